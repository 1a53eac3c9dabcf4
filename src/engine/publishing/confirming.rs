//! How a change is read back from the peers that are to hold it.
//!
//! An acknowledgement says that a peer has verified a record and stored it; whether it will serve it is shown only by
//! asking. Each record of the change is looked up as any reader would do, and the peers are counted that served it
//! themselves. What this node holds does not count, nor what others say that somebody holds.

use std::collections::BTreeMap;

use libp2p::PeerId;

use crate::{
    Announcement, Receipt,
    engine::{
        Action, Effects, Engine, Now, QueryKey,
        calls::{Outcome, Since},
        publish::{MAX_ROUNDS, Publish, Put, Stage, Storing},
        queries::{Queries, Replies, Waiter, Wants},
    },
    record::{Record, RecordKey},
    ticket::Ticket,
};

/// What peers are to serve, and what has come of it.
#[derive(Debug)]
pub(in crate::engine) struct Confirming {
    storing: Storing,
    /// From how many peers each record is wanted.
    wanted: u8,
    read_backs: BTreeMap<RecordKey, ReadBack>,
}

/// One record that is read back.
#[derive(Debug)]
enum ReadBack {
    /// It goes along with a lookup that had begun before, and may have asked peers before they were to hold it.
    Joined(Put),
    /// Its lookup is under way.
    Asked(Put),
    /// So many peers have served it.
    Ended(u32),
}

impl Confirming {
    /// `queries` tells which of the records are being looked up already.
    fn new(mut storing: Storing, wanted: u8, queries: &Queries) -> Self {
        let put = std::mem::take(&mut storing.put).into_iter();
        let read_back = |put: Put| match queries.heard(&put.key) {
            Some(_) => ReadBack::Joined(put),
            None => ReadBack::Asked(put),
        };
        let read_backs = put.map(|put| (put.key, read_back(put))).collect();
        Self { storing, wanted, read_backs }
    }

    /// Whether a lookup that has ended is to be followed by one of its own, in which everybody is asked again.
    fn asks_again(&mut self, key: &RecordKey) -> bool {
        let Some(read_back) = self.read_backs.get_mut(key) else { return false };
        let (is_joined, as_before) = match std::mem::replace(read_back, ReadBack::Ended(0)) {
            ReadBack::Joined(put) => (true, ReadBack::Asked(put)),
            as_before => (false, as_before),
        };
        *read_back = as_before;
        is_joined
    }

    /// A record has been read back as often as was wanted, or as it could be.
    pub(in crate::engine) fn ended(&mut self, key: &RecordKey, confirmed: u32) {
        if let Some(read_back) = self.read_backs.get_mut(key) {
            *read_back = ReadBack::Ended(confirmed);
        }
    }

    /// The keys that are still being asked for.
    fn asked(&self) -> impl Iterator<Item = &RecordKey> {
        let asked = self.read_backs.iter();
        asked.filter(|(_, read_back)| !matches!(read_back, ReadBack::Ended(_))).map(|(key, _)| key)
    }

    /// How many peers have served a record that is still being asked for.
    fn heard(&self, key: &RecordKey, replies: &Replies) -> Option<u32> {
        match self.read_backs.get(key)? {
            ReadBack::Asked(put) | ReadBack::Joined(put) => {
                Some(u32::try_from(replies.attesting(&put.attests)).unwrap_or(u32::MAX))
            }
            ReadBack::Ended(_) => None,
        }
    }

    /// Those who acknowledged a record that is being asked for, of the ones that have answered that they have none.
    fn forgetful(&self, key: &RecordKey, without: &[PeerId]) -> Vec<PeerId> {
        match self.read_backs.get(key) {
            Some(ReadBack::Asked(put)) => {
                let acknowledged = put.acknowledged.iter();
                acknowledged.filter(|peer| without.contains(peer)).copied().collect()
            }
            Some(ReadBack::Joined(_) | ReadBack::Ended(_)) | None => Vec::new(),
        }
    }

    /// What the caller is told.
    fn receipt(&self, announcement: Announcement, confirmed: u32) -> Receipt {
        Receipt { confirmed, ..self.storing.receipt(announcement, self.wanted) }
    }
}

impl Queries {
    /// What has been read back so far.
    fn receipt_of(&self, confirming: &Confirming, announcement: Announcement) -> Receipt {
        let counts = confirming.read_backs.iter().map(|(key, read_back)| match read_back {
            ReadBack::Ended(confirmed) => *confirmed,
            ReadBack::Asked(_) | ReadBack::Joined(_) => {
                let replies = self.heard(key);
                replies.and_then(|replies| confirming.heard(key, replies)).unwrap_or(0)
            }
        });
        confirming.receipt(announcement, counts.min().unwrap_or(0))
    }

    /// Nobody waits for these read-backs any more.
    pub(in crate::engine) fn end_read_backs(
        &mut self,
        out: &mut Effects,
        ticket: Ticket,
        confirming: &Confirming,
    ) {
        for key in confirming.asked() {
            if let Some(query) = self.leave(key, ticket) {
                out.actions.push_back(Action::Finish { query });
            }
        }
    }
}

impl Engine {
    /// These peers say that they have stored what a query put.
    pub(in crate::engine) fn acknowledged(&mut self, query: QueryKey, peers: Vec<PeerId>) {
        let Some((key, ticket)) = self.reading.queries.put_for(query) else { return };
        let Some(storing) = self.publishing.changes.storing(ticket) else { return };
        if let Some(put) = storing.put.iter_mut().find(|put| put.key == key) {
            put.acknowledged = peers;
        }
    }

    /// Every put of a change has ended: its records are looked up.
    pub(in crate::engine) fn confirm(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
    ) {
        let before = std::mem::replace(&mut publish.stage, Stage::BEGINNING);
        let Stage::Storing(mut storing) = before else { return self.out.finish(since) };
        if publish.reply.is_none() {
            // The node itself only wants to know whether anybody holds another head.
            let (network, name) = (&self.cx.config.network, publish.change.name());
            let head = RecordKey::head(network, &self.cx.owner, name);
            storing.put.retain(|put| put.key == head);
        }
        let confirming = Confirming::new(storing, publish.confirmation, &self.reading.queries);
        for key in confirming.asked() {
            self.reading.queries.get(*key, Waiter { ticket, wants: Wants::ReadBack });
        }
        publish.stage = Stage::Confirming(Box::new(confirming));
        self.go_on_confirming(now, ticket, since, publish);
    }

    /// Waits for what is still being read back, or answers. Where another head has shown, there is to be one above both
    /// first.
    pub(in crate::engine) fn go_on_confirming(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
    ) {
        let Stage::Confirming(confirming) = &publish.stage else { return self.out.finish(since) };
        if confirming.asked().next().is_some() {
            return self.publishing.changes.insert(ticket, since, publish);
        }
        let has_another = self.publishing.elsewhere.is_awaited(publish.change.name());
        if has_another && publish.reply.is_some() && publish.rounds < MAX_ROUNDS {
            publish.rounds += 1;
            publish.signed = Some(
                self.reading
                    .queries
                    .receipt_of(confirming, publish.announcement(&self.publishing.outbox)),
            );
            return self.begin_change(now, ticket, since, publish);
        }
        self.confirmed(now, ticket, since, publish);
    }

    /// Announces the change and answers with what has been read back so far, and ends what has not.
    pub(in crate::engine) fn confirmed(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
    ) {
        let Stage::Confirming(confirming) = &publish.stage else { return self.out.finish(since) };
        let receipt = self
            .reading
            .queries
            .receipt_of(confirming, publish.announcement(&self.publishing.outbox));
        self.reading.queries.end_read_backs(&mut self.out, ticket, confirming);
        let name = publish.change.name().clone();
        if self.publishing.is_withheld(&name) {
            if receipt.confirmed > 0 {
                publish.announcement =
                    self.publishing.announce_withheld(&self.cx, &mut self.out, now, &name);
            } else {
                self.doubt_own(now, &name);
            }
        }
        self.answer_announced(ticket, since, publish, receipt);
    }

    /// A peer has served a record. Where it is one of this node's own, it may have been read back often enough.
    pub(in crate::engine) fn read_back(&mut self, now: Now, query: QueryKey, record: &Record) {
        if !is_of(record, &self.cx.owner) {
            return;
        }
        let Some(key) = self.reading.queries.wanted(query) else { return };
        for ticket in self.reading.queries.read_backs(&key) {
            if let Record::Claims { set, .. } = record
                && let Some(publish) = self.publishing.changes.publish(ticket)
            {
                publish.hear_claims(set, &self.cx.owner);
            }
            let Some(confirming) = self.publishing.changes.confirming(ticket) else { continue };
            let replies = self.reading.queries.heard(&key);
            let heard = replies.and_then(|replies| confirming.heard(&key, replies));
            let Some(confirmed) = heard.filter(|heard| *heard >= u32::from(confirming.wanted))
            else {
                continue;
            };
            if let Some(query) = self.reading.queries.leave(&key, ticket) {
                self.out.actions.push_back(Action::Finish { query });
            }
            self.resume(now, ticket, Outcome::ReadBack { key, confirmed });
        }
    }

    /// All that there are have been asked for a record of this node's.
    pub(in crate::engine) fn read_back_ended(
        &mut self,
        now: Now,
        ticket: Ticket,
        key: &RecordKey,
        replies: &Replies,
        without: &[PeerId],
    ) {
        let Some(confirming) = self.publishing.changes.confirming(ticket) else { return };
        if confirming.asks_again(key) {
            return self.reading.queries.get(*key, Waiter { ticket, wants: Wants::ReadBack });
        }
        let confirmed = confirming.heard(key, replies).unwrap_or(0);
        for peer in confirming.forgetful(key, without) {
            self.standing.reputations.failed(peer);
        }
        self.resume(now, ticket, Outcome::ReadBack { key: *key, confirmed });
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
