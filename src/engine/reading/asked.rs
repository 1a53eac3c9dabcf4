//! What the switchboard asks of this room that is no step of a read: what was read, who is waited for, and lookups and
//! puts on behalf of others.

use std::sync::Arc;

use libp2p::PeerId;

use super::{
    Reading,
    queries::{Repair, Task, Waiter, Wants},
    waiting::Call,
};
use crate::{
    counters::{CallEnd, CallKind, Counters, EndedCall},
    engine::{
        calls::AwaitedBack,
        command::Reply,
        context::Context,
        effects::Effects,
        interest::News,
        interface::{Action, Now, QueryKey, Reach},
    },
    error::Error,
    freshness::Freshness,
    package::{Package, PackageId, PackageName},
    record::{Head, Record, RecordKey, Selection, Side, Signed, select},
    storage::Change,
    ticket::Ticket,
};

/// How many records of others are put again at one sweep, at the most: 16,384 in an hour. With the default limits that is
/// more than a full store's part, where each record has twenty holders and what one of them puts is a round for the others.
/// A server's store that is full of small records comes round in some three hours.
pub(in crate::engine) const REPLICATION_BUDGET: usize = 137;

/// What was read.
impl Reading {
    /// Answers a caller with what stands on the shelf. If that is nothing, the place for the answer comes back.
    ///
    /// The package may stand there since its caller has looked: a crowd that asks for one is mostly answered from here.
    pub(in crate::engine) fn shelved(
        &self,
        cx: &Context,
        out: &mut Effects,
        package: &PackageId,
        freshness: Freshness,
        reply: Reply<Box<Package>>,
    ) -> Option<Reply<Box<Package>>> {
        if freshness != Freshness::First {
            return Some(reply);
        }
        let now = cx.now();
        let Some(known) = self.shelf.get_at(package, || (now.mono, now.unix)) else {
            return Some(reply);
        };
        let end = reply.send(Ok(Box::new(Package::clone(&known))));
        out.count(EndedCall(CallKind::Get, end));
        None
    }

    /// The packages that callers have read without the node since the last time.
    pub(in crate::engine) fn take_used(&self) -> Vec<PackageId> {
        self.shelf.take_used()
    }

    /// Keeps what was read for a while.
    pub(in crate::engine) fn keep(&mut self, now: Now, record: &Arc<Record>) {
        self.cache.insert(record.key(), Arc::clone(record), now);
    }

    /// The head of a package that was read a short while ago.
    pub(in crate::engine) fn cached_head(
        &self,
        now: Now,
        key: &RecordKey,
    ) -> Option<&Signed<Head>> {
        match &**self.cache.get(key, now)? {
            Record::Head(head) => Some(head),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        }
    }

    /// Whether a head says more than what was read of its package.
    pub(in crate::engine) fn is_news(&self, cx: &Context, head: &Signed<Head>) -> bool {
        match self.cached_head(cx.now(), &head.key()).map(|known| select(known, head)) {
            None | Some(Selection::Right) => true,
            Some(Selection::Left | Selection::Same) => false,
            Some(Selection::Equivocation { keep }) => keep == Side::Right,
        }
    }

    /// Word of a package has come that is news: whoever asks for it is told of this head.
    pub(in crate::engine) fn hear_of(&mut self, cx: &Context, news: News, head: &Signed<Head>) {
        self.appeared(head);
        match news {
            News::Announced(_) => self.keep(cx.now(), &Arc::new(Record::Head(head.clone()))),
            // What is fetched by the thousand would wash out what is being used.
            News::Fetched(_) => self.outdate(head, &head.key()),
        }
    }

    /// A newer head of a package is there than the one that may have been read.
    pub(in crate::engine) fn outdate(&mut self, head: &Head, key: &RecordKey) {
        self.cache.outdate(head, key);
    }

    /// This node has put a record under this key, whether or not it was there a moment ago.
    pub(in crate::engine) fn forget_absence(&mut self, key: &RecordKey) {
        self.absences.forget(key);
    }

    /// What was refused for its date may hold now.
    pub(in crate::engine) fn forget_absences(&mut self) {
        self.absences.forget_all();
    }

    /// Drops what was read too long ago, and looks through no more than so much at once.
    pub(in crate::engine) fn sweep(&mut self, now: Now, budget: usize) {
        self.cache.sweep(now.mono, budget);
    }

    /// Which owners bare names mean.
    pub(in crate::engine) fn pinned(&self) -> Vec<(PackageName, PeerId)> {
        self.pins.all()
    }

    /// What bare names meant in an earlier life holds where nothing else is decided.
    pub(in crate::engine) fn restore_pins<'a>(
        &mut self,
        pins: impl Iterator<Item = (&'a PackageName, &'a PeerId)>,
    ) {
        self.pins.restore(pins);
    }
}

/// What the node's storage is to have of this room.
impl Reading {
    pub(in crate::engine) fn note_changes(&mut self) {
        self.pins.note_changes();
    }

    pub(in crate::engine) fn unsaved(&self) -> usize {
        self.pins.unsaved()
    }

    pub(in crate::engine) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        self.pins.take_changes(changes);
    }

    /// The storage has what this room knows as it is here.
    pub(in crate::engine) fn is_stored(&mut self) {
        self.pins.unmark();
    }

    pub(in crate::engine) fn settle_changes(&mut self, is_written: bool) {
        self.pins.settle_changes(is_written);
    }
}

/// What changes to own packages ask of the DHT, and what is put for others.
impl Reading {
    /// Looks up who claims a name, beside the change that is to be told of its look-alikes and does not wait for that.
    fn look_up_claims(&mut self, key: RecordKey, ticket: Ticket) {
        self.queries.get(key, Waiter { ticket, wants: Wants::LookAlikes });
    }

    /// Looks up which peers serve what a change has put under a key.
    pub(in crate::engine) fn read_back(&mut self, key: RecordKey, ticket: Ticket) {
        self.queries.get(key, Waiter { ticket, wants: Wants::ReadBack });
    }

    /// A peer has served a record in this lookup. Where it is one of this node's own and somebody waits: what is looked up,
    /// and who reads back by it.
    pub(in crate::engine) fn read_backs(
        &self,
        cx: &Context,
        query: QueryKey,
        record: &Record,
    ) -> Option<(RecordKey, Vec<Ticket>)> {
        if !is_of(record, &cx.owner) {
            return None;
        }
        let key = self.queries.wanted(query)?;
        Some((key, self.queries.read_backs(&key)))
    }

    /// Looks up what a change has put under these keys. Tells which of them are being looked up already: it goes along.
    pub(in crate::engine) fn read_all_back(
        &mut self,
        keys: Vec<RecordKey>,
        ticket: Ticket,
    ) -> Vec<RecordKey> {
        let joined = keys.iter().filter(|key| self.is_looked_up(key)).copied().collect();
        for key in keys {
            self.read_back(key, ticket);
        }
        joined
    }

    /// A change reads nothing back any longer. How many peers have served each by now.
    pub(in crate::engine) fn stop_reading_back(
        &mut self,
        out: &mut Effects,
        awaited: &[AwaitedBack],
        ticket: Ticket,
    ) -> Vec<(RecordKey, u32)> {
        let served = awaited.iter().map(|awaited| (awaited.key, self.served(awaited))).collect();
        for awaited in awaited {
            self.leave_lookup(out, &awaited.key, ticket);
        }
        served
    }

    /// Asks what the network holds of an own package, and beside it who claims its name.
    pub(in crate::engine) fn look_up_own(
        &mut self,
        key: RecordKey,
        claims: Option<RecordKey>,
        ticket: Ticket,
    ) {
        self.look_up(key, ticket, Freshness::First);
        if let Some(claims) = claims {
            self.look_up_claims(claims, ticket);
        }
    }

    /// Puts what a change has signed. What was read under the outdated keys is known better from now on.
    pub(in crate::engine) fn put_own(
        &mut self,
        outdated: &[RecordKey],
        records: Vec<Record>,
        ticket: Ticket,
    ) {
        for key in outdated {
            self.cache.remove(key);
        }
        for record in records {
            self.forget_absence(&record.key());
            self.put(record, Some(ticket));
        }
    }

    /// Puts records of others to the peers that are closest to them now. Where queries stand in line already,
    /// these wait.
    pub(in crate::engine) fn replicate_others(&mut self, cx: &Context, reach: Reach) {
        let room = REPLICATION_BUDGET.saturating_sub(self.puts());
        if cx.closed || reach != Reach::Joined {
            return cx.store.want_nothing();
        }
        for record in cx.store.take_due(room) {
            self.put(record, None);
        }
    }

    fn is_looked_up(&self, key: &RecordKey) -> bool {
        self.queries.heard(key).is_some()
    }

    /// How many peers have served what is read back, in the lookup that is under way.
    pub(in crate::engine) fn served(&self, awaited: &AwaitedBack) -> u32 {
        let AwaitedBack { key, attests } = awaited;
        let served = self.queries.heard(key).map_or(0, |replies| replies.attesting(attests));
        u32::try_from(served).unwrap_or(u32::MAX)
    }

    /// Puts a record in line to be stored. It is carried out even if the change that waits for it ends.
    fn put(&mut self, record: Record, ticket: Option<Ticket>) {
        self.queries.put(record, ticket);
    }

    /// The key under which a query puts a record, and who waits for that.
    pub(in crate::engine) fn put_for(&self, query: QueryKey) -> Option<(RecordKey, Ticket)> {
        self.queries.put_for(query)
    }

    /// How many puts have not ended, without repairs.
    pub(in crate::engine) fn puts(&self) -> usize {
        self.queries.puts()
    }
}

/// Who waits, and what is asked.
impl Reading {
    /// A call waits no longer, for now or for ever.
    pub(in crate::engine) fn take_call(&mut self, ticket: Ticket) -> Option<Call> {
        self.calls.remove(ticket)
    }

    /// A caller has gone away. False if it is not one of those who wait here.
    pub(in crate::engine) fn cancel(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        ticket: Ticket,
    ) -> bool {
        let Some(Call { since, operation }) = self.calls.remove(ticket) else { return false };
        out.finish(since);
        out.count(EndedCall(operation.kind(), CallEnd::Cancelled));
        self.leave(cx, out, ticket, &operation);
        true
    }

    /// Whether a call waits that has a deadline to end it.
    pub(in crate::engine) fn has_deadline(&self, ticket: Ticket) -> bool {
        self.calls.has_deadline(ticket)
    }

    /// How many calls wait.
    pub(in crate::engine) fn waiting_calls(&self) -> usize {
        self.calls.len()
    }

    /// Hands queries to the DHT while there is room, unless the first peers are about to appear: a question asked a moment
    /// too early would be answered by nobody. One that fills the routing table waits while this node `is_led_on`: it would
    /// ask nobody but those who have no room.
    pub(in crate::engine) fn admit(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        is_led_on: bool,
    ) {
        if cx.closed || reach == Reach::Joining {
            return;
        }
        while let Some((query, task)) = self.queries.admit(cx.now().mono, !is_led_on) {
            let action = match task {
                Task::Get(key) => Action::Get { query, key, breadth: self.queries.breadth(&key) },
                Task::Put(record) => {
                    Action::Put { query, key: record.key(), bytes: record.to_bytes().to_vec() }
                }
                Task::Repair(repair) => {
                    let Repair { record, peers } = *repair;
                    let (key, bytes) = (record.key(), record.to_bytes().to_vec());
                    Action::Repair { query, key, bytes, peers }
                }
                Task::Bootstrap => Action::Bootstrap { query },
            };
            out.actions.push_back(action);
        }
    }

    /// A peer has left. Nobody tells which lookups wanted it: those of keys to which it `is_close`.
    pub(in crate::engine) fn left(&mut self, peer: PeerId, is_close: impl Fn(&RecordKey) -> bool) {
        self.queries.left(peer, is_close);
    }

    /// What was done here.
    pub(in crate::engine) fn count_in(&self, counters: &mut Counters) {
        self.shelf.counted().add_to(&mut counters.calls);
        counters.queries = self.queries.counters();
    }

    /// Answers everybody with an error.
    pub(in crate::engine) fn fail_all(&mut self, out: &mut Effects, error: &Error) {
        for call in self.calls.drain() {
            out.count(call.operation.fail(error.clone()));
        }
    }

    /// Handles outlive the node, and must not answer for it.
    pub(in crate::engine) fn close(&self) {
        self.shelf.clear();
    }

    /// Whose package a bare name means.
    #[cfg(test)]
    pub(in crate::engine) fn pinned_owner(&self, name: &PackageName) -> Option<PeerId> {
        self.pins.owner(name)
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn queries(&self) -> &super::queries::Queries {
        &self.queries
    }

    /// Whether nothing is retained on behalf of any caller.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn is_at_rest(&self) -> bool {
        self.calls.len() == 0 && self.queries.is_empty()
    }
}

/// Whether a record is this owner's, or has a claim of his in it.
fn is_of(record: &Record, owner: &PeerId) -> bool {
    match record {
        Record::Head(head) => head.owner == *owner,
        Record::Release(release) => release.owner == *owner,
        Record::Page(page) => page.owner == *owner,
        Record::Claims { set, .. } => set.iter().any(|claim| claim.owner == *owner),
    }
}
