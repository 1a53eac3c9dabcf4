//! The flow of reads: from a caller who asks for a record to its answer.
//!
//! What is known of a record is decided by the room of [readers](crate::engine::reading). On the way the catalogue says
//! what it lists, the room of own packages what this node publishes, and the room of conduct hears who has delivered.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;

use super::listing::Turnout;
use crate::engine::interface::QueryKey;
use crate::{
    counters::{CallKind, EndedCall},
    engine::{
        Engine,
        calls::{Begin, Outcome, Since},
        command::Reply,
        interest::Interest,
        interface::QueryEnd,
        reading::{
            AfterCopy, Answered, EndedLookup, Enough, Here, Over, Refusal, ValidCopy,
            lookups::Best,
            queries::{Waiter, Wants},
            read::{Goal, Progress, Read, Which},
            waiting::{Call, Operation},
        },
    },
    error::{Error, Result},
    freshness::Freshness,
    package::{PackageId, PackageName, Source},
    record::{Record, RecordKey, Rejected},
    ticket::Ticket,
};

/// How far a read comes with what is known here.
#[derive(Debug)]
enum Stop {
    /// And counted.
    Answered,
    /// The record under this key is to be asked for.
    Lacks(RecordKey, Read),
}

/// A caller asks.
impl Engine {
    /// Reads a package.
    pub(in crate::engine) fn read(
        &mut self,
        begin: Begin,
        package: PackageId,
        which: Which,
        freshness: Freshness,
        goal: Goal,
    ) {
        let publishes = self.publishing.is_live(package.name());
        let owner = self.reading.whose(&self.cx, &package, publishes);
        let own = match owner == Some(self.cx.owner) {
            true => self.publishing.own_head(self.cx.now(), package.name()),
            false => None,
        };
        let read = match Read::begin(package, which, owner, freshness, goal).with_own(own) {
            Progress::More(read) => read,
            Progress::Answered(ended) => return self.out.count(ended),
        };
        match self.read_known(read) {
            Stop::Answered => {}
            // Only what has to wait takes a place among the deadlines.
            Stop::Lacks(key, read) => {
                let since = self.out.since(&begin);
                self.reading.wait(begin.ticket, since, key, read);
            }
        }
    }

    /// Puts a record for a caller, here and to the peers that should hold it.
    pub(in crate::engine) fn put_record(
        &mut self,
        begin: Begin,
        record: Record,
        reply: Reply<u32>,
    ) {
        let (cx, out) = (&self.cx, &mut self.out);
        let Some((record, reply)) = self.reading.accept_put(cx, out, record, reply) else { return };
        self.learn_stored();
        self.reading.put_record(&mut self.out, begin, record, reply);
    }

    /// Fills the routing table for a caller.
    pub(in crate::engine) fn bootstrap(&mut self, begin: Begin, reply: Reply<usize>) {
        if self.peers.is_alone() {
            self.dial_bootstrap();
        }
        self.reading.bootstrap(&mut self.out, begin, reply);
    }

    /// Says whose package a bare name means. Tells what was said before.
    pub(in crate::engine) fn pin(
        &mut self,
        name: PackageName,
        owner: Option<PeerId>,
    ) -> Result<Option<PeerId>> {
        let before = self.reading.pin(&self.cx, &name, owner)?;
        self.discovery.repinned(&name, before, owner);
        Ok(before)
    }
}

/// A read goes from one record to the next.
impl Engine {
    /// Takes a read as far as it goes with what is known here.
    fn read_known(&mut self, mut read: Read) -> Stop {
        loop {
            let progress = match self.reading.here(&self.cx, &read) {
                Here::Known(record, source) => self.advance(read, &record, source),
                Here::Absent => self.read_absent(read),
                Here::Lacks(key) => return Stop::Lacks(key, read),
            };
            match progress {
                Progress::More(further) => read = further,
                Progress::Answered(ended) => {
                    self.out.count(ended);
                    return Stop::Answered;
                }
            }
        }
    }

    /// A read goes on with a record.
    pub(in crate::engine) fn advance(
        &mut self,
        mut read: Read,
        record: &Record,
        source: Source,
    ) -> Progress {
        self.reading.note_use(&self.cx, &read, record, source);
        match record {
            Record::Claims { set, .. } => {
                let listed = self.discovery.owners_listed(self.cx.now(), read.name(), Some(set));
                if read.is_in_vain(set, &listed) {
                    self.suggest(&mut read, Some(set));
                }
                read.take_claims(Some(set), &listed, source)
            }
            Record::Head(head) => {
                self.list(head, None, Interest::Used);
                read.take(record, source)
            }
            Record::Release(_) | Record::Page(_) => read.take(record, source),
        }
    }

    /// Nobody had what a read needs a moment ago.
    fn read_absent(&mut self, read: Read) -> Progress {
        self.read_listed(read, Turnout::Enough).unwrap_or_else(|mut read| {
            self.suggest(&mut read, None);
            Progress::Answered(read.not_found())
        })
    }

    /// The lookup that a read waits for has ended.
    fn resume_read(&mut self, ticket: Ticket, since: Since, read: Read, outcome: Outcome) {
        let progress = match outcome {
            Outcome::Found { record, source } => self.advance(read, &record, source),
            outcome => self.read_in_vain(since, read, &outcome),
        };
        let read = match progress {
            Progress::More(read) => read,
            Progress::Answered(ended) => {
                self.out.finish(since);
                return self.out.count(ended);
            }
        };
        match self.read_known(read) {
            Stop::Answered => self.out.finish(since),
            Stop::Lacks(key, read) => self.reading.wait(ticket, since, key, read),
        }
    }

    /// The lookup that a read waits for has found nothing. The catalogue may know more.
    fn read_in_vain(&mut self, since: Since, read: Read, outcome: &Outcome) -> Progress {
        let asked = match read.has_heard_enough(outcome) {
            true => Turnout::Enough,
            false => Turnout::TooFew,
        };
        self.read_listed(read, asked).unwrap_or_else(|mut read| {
            if let Outcome::NotFound { .. } = outcome {
                self.suggest(&mut read, None);
            }
            let nobody = self.peers.nobody();
            Progress::Answered(read.ended_in_vain(&self.cx, since, outcome, nobody))
        })
    }
}

/// Copies arrive.
impl Engine {
    /// A copy of a record that is being looked up, from a peer or from this node's own store.
    pub(in crate::engine) fn copy(&mut self, query: QueryKey, from: Option<PeerId>, bytes: &[u8]) {
        if from.is_some_and(|peer| self.is_blocked(&peer)) {
            return;
        }
        let Some(key) = self.reading.looked_up(query) else { return };
        match self.discovery.verify_copy(&self.cx, &key, bytes) {
            Ok(record) => self.take_copy(query, from, record),
            Err(rejected) => {
                tracing::debug!(%key, ?from, %rejected, "copy refused");
                self.refuse_copy(query, from, &rejected);
            }
        }
    }

    fn refuse_copy(&mut self, query: QueryKey, from: Option<PeerId>, rejected: &Rejected) {
        match self.reading.refuse_copy(query, from, rejected) {
            Refusal::Outdated => self.answer(query, Enough::AsWanted),
            Refusal::FaultOf(peer) => self.standing.invalid(peer),
            Refusal::Excused => {}
        }
    }

    fn take_copy(&mut self, query: QueryKey, from: Option<PeerId>, record: Record) {
        if let Some(peer) = from {
            self.credit(peer, &record, self.reading.elapsed(self.cx.now(), query));
        }
        let publishes = match &record {
            Record::Head(head) => self.publishing.publishes(&self.cx, head),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => false,
        };
        let Some(copy) = self.reading.take_copy(&self.cx, query, from, record, publishes) else {
            return;
        };
        self.read_back(query, &copy.record);
        self.tell_of_copy(from, &copy);
        match self.reading.after_copy(&self.cx, query, &copy) {
            AfterCopy::Answer(enough) => self.answer(query, enough),
            AfterCopy::Remember => self.remember(&copy.record),
            AfterCopy::Wait => {}
        }
    }

    /// A head is news to the catalogue, to the publisher, and to whoever looks for two histories.
    fn tell_of_copy(&mut self, from: Option<PeerId>, copy: &ValidCopy) {
        let Record::Head(head) = &*copy.record else { return };
        self.list(head, from, Interest::Heard);
        self.confront_known(&head.key(), head);
        if from.is_some() {
            self.hear_own(head);
        }
        if let Some(Record::Head(before)) = copy.before.as_deref() {
            self.confront(before, head);
        }
    }

    /// Answers those who wait for a lookup and have heard enough.
    fn answer(&mut self, query: QueryKey, enough: Enough) {
        let Some((best, subject)) = self.reading.best_so_far(&self.cx, query) else { return };
        let best = self.with_listed(best, subject.clone());
        let (cx, out) = (&self.cx, &mut self.out);
        let answered = self.reading.take_answered(cx, out, query, best, subject, enough);
        let Some(Answered { record, source, waiting }) = answered else { return };
        if !waiting.is_empty() && source == Source::Network {
            self.remember(&record);
        }
        for ticket in waiting {
            self.resume(ticket, Outcome::Found { record: Arc::clone(&record), source });
        }
    }

    /// Keeps what was read for a while, and the sequence for good.
    pub(in crate::engine) fn remember(&mut self, record: &Arc<Record>) {
        if self.cx.is_outdated(record) {
            return;
        }
        self.cx.store.raise_epochs(record);
        if let Record::Head(head) = &**record {
            self.cx.store.raise_high_water(head);
            self.list(head, None, Interest::Heard);
        }
        self.reading.keep(self.cx.now(), record);
    }
}

/// Queries end.
impl Engine {
    /// The DHT reports the end of a query.
    pub(in crate::engine) fn query_ended(&mut self, query: QueryKey, end: QueryEnd) {
        match self.reading.query_ended(query, end) {
            Over::Lookup(lookup) => self.lookup_ended(*lookup),
            Over::Other(calls) => {
                for (ticket, outcome) in calls {
                    self.resume(ticket, outcome);
                }
            }
        }
    }

    fn lookup_ended(&mut self, mut lookup: EndedLookup) {
        if lookup.is_done() {
            return;
        }
        let (found, subject) = self.reading.best_at_end(&self.cx, &lookup);
        let best = self.with_listed(found.clone(), subject);
        self.repair(&lookup, &best);
        if let Some(record) = self.reading.note_end(self.cx.now(), &lookup, &best) {
            self.remember(&record);
        }
        for Waiter { ticket, wants } in std::mem::take(&mut lookup.waiting) {
            match wants {
                Wants::Record(freshness) => {
                    self.lookup_over(ticket, freshness, &lookup, &found, &best);
                }
                Wants::ReadBack => self.read_back_ended(ticket, &lookup),
                Wants::LookAlikes => {
                    self.publishing.claims_found(&self.cx, ticket, best.record());
                }
            }
        }
    }

    /// Sends the best record that is known to the replicas that were found to lack it, those in the best standing first.
    fn repair(&mut self, lookup: &EndedLookup, best: &Best) {
        let own = self.cx.store.own(&lookup.key);
        let own = own.filter(|own| !self.publishing.is_unheard(&self.cx, own));
        let lacking = self.reading.choose_repair(&self.cx, lookup, best, own);
        let Some((best, mut peers)) = lacking else { return };
        peers.retain(|peer| !self.is_blocked(peer));
        self.standing.rank(&mut peers);
        self.reading.repair(&self.cx, best, peers);
    }

    /// A lookup that a call waits for has ended. What peers were found to hold is `found`, and the `best` is what readers
    /// are told: a change goes on from what peers hold, and from nothing else.
    fn lookup_over(
        &mut self,
        ticket: Ticket,
        freshness: Freshness,
        lookup: &EndedLookup,
        found: &Best,
        best: &Best,
    ) {
        let is_change = self.publishing.take_heads(ticket, lookup.replies.own_heads());
        let best = if is_change { found } else { best };
        match lookup.outcome(&self.cx, best, freshness) {
            Some(outcome) => self.resume(ticket, outcome),
            // Whoever joined it late has time left for another.
            None if self.has_deadline(ticket) => {
                self.reading.look_up(lookup.key, ticket, freshness);
            }
            None => self.resume(ticket, Outcome::TimedOut),
        }
    }

    fn has_deadline(&self, ticket: Ticket) -> bool {
        self.reading.has_deadline(ticket) || self.publishing.has_deadline(ticket)
    }

    /// The query that a call waits for has ended.
    pub(in crate::engine) fn resume(&mut self, ticket: Ticket, outcome: Outcome) {
        if self.publishing.is_changing(ticket) {
            self.out.answered = true;
            return self.resume_change(ticket, outcome);
        }
        let Some(Call { since, operation }) = self.reading.take_call(ticket) else { return };
        self.out.answered = true;
        match operation {
            Operation::Read(read) => {
                let outcome = self.cx.for_readers(outcome);
                self.resume_read(ticket, since, read, outcome);
            }
            Operation::GetRecord(get) => {
                let (outcome, nobody) = (self.cx.for_readers(outcome), self.peers.nobody());
                self.out.finish(since);
                self.out.count(get.ended(&self.cx, since, outcome, nobody));
            }
            Operation::PutRecord { reply } => {
                self.out.finish(since);
                let end = reply.send(Ok(outcome.replicas()));
                self.out.count(EndedCall(CallKind::PutRecord, end));
            }
            Operation::Bootstrap { reply } => self.bootstrapped(ticket, since, reply),
        }
    }

    /// The routing table has been filled. Seats of those who have no room are of no use to a node that has nobody else.
    fn bootstrapped(&mut self, ticket: Ticket, since: Since, reply: Reply<usize>) {
        if self.peers.is_led_on() {
            return self.reading.bootstrap_again(ticket, since, reply);
        }
        self.out.finish(since);
        let end = reply.send(self.peers.joined());
        self.out.count(EndedCall(CallKind::Bootstrap, end));
    }
}

/// Callers wait no longer.
impl Engine {
    /// A caller's time is up. Better what was found so far than nothing.
    pub(in crate::engine) fn time_out_call(&mut self, ticket: Ticket) {
        let Some(Call { since, operation }) = self.reading.take_call(ticket) else { return };
        let best = self.reading.best_awaited(&self.cx, &operation);
        let best =
            best.and_then(|(best, subject)| self.cx.readable(self.with_listed(best, subject)));
        self.reading.leave(&self.cx, &mut self.out, ticket, &operation);
        let after = self.cx.now().mono.saturating_sub(since.asked);
        match (operation, best) {
            (Operation::GetRecord(get), Some(best)) => {
                self.out.count(get.answer(best, Source::Partial));
            }
            (Operation::Read(read), best) => self.make_do(read, best, after),
            (operation, _) => self.out.count(operation.fail(Error::Timeout { after })),
        }
    }

    /// A read whose time is up goes on with what was found so far and what is known here, and no further.
    fn make_do(&mut self, mut read: Read, best: Option<Arc<Record>>, after: Duration) {
        read.make_do();
        let mut progress = match best {
            Some(best) => Ok(self.advance(read, &best, Source::Partial)),
            None => self.read_listed(read, Turnout::TooFew),
        };
        loop {
            let read = match progress {
                Ok(Progress::More(read)) => read,
                Ok(Progress::Answered(ended)) => return self.out.count(ended),
                Err(read) => return self.out.count(read.fail(Error::Timeout { after })),
            };
            let Stop::Lacks(_, read) = self.read_known(read) else { return };
            progress = self.read_listed(read, Turnout::TooFew);
        }
    }
}
