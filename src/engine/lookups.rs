//! How answers of the DHT reach the calls that wait for them.

use std::sync::Arc;

use libp2p::PeerId;

use super::{
    Action, Engine, MAX_REPAIRS, Now, Operation, QueryEnd, QueryKey,
    calls::{Call, Outcome, Since},
    publish::Stage,
    queries::{Ended, Extent, Replies, Waiter},
    read::{Progress, Read},
};
use crate::{
    Error, Found, Freshness, Source,
    command::Ticket,
    record::{Head, Record, RecordKey, Signed},
};

/// When a copy that was found is enough to answer with.
#[derive(Debug, Clone, Copy)]
enum Enough {
    /// Whichever it is.
    Any,
    /// With as many others as each caller wants.
    AsWanted,
    /// At the end of the lookup.
    Whole,
}

/// How far a read comes with what is known here.
#[derive(Debug)]
pub(super) enum Known {
    Answered,
    /// The record under this key is to be asked for.
    Lacks(RecordKey, Read),
}

impl Engine {
    /// A copy of a record that is being looked up. What is written once is the same in every valid copy, so that
    /// the first one answers. Of a head, as many copies as each caller wants to hear. Two things wait for the end
    /// of the lookup whatever callers want: of claims the union of all copies answers, and of this node's own heads
    /// the newest. To go on from an older one would undo what came after it, and sign its sequence twice.
    pub(super) fn copy(&mut self, now: Now, query: QueryKey, from: Option<PeerId>, bytes: &[u8]) {
        let Some((key, replies)) = self.queries.lookup(query) else { return };
        let record = match self.store.verify(&key, bytes) {
            Ok(record) => record,
            Err(rejected) => {
                tracing::debug!(%key, ?from, %rejected, "copy refused");
                match from {
                    from if rejected.is_excusable() => replies.outdated(from),
                    Some(peer) => self.reputations.invalid(peer),
                    None => {}
                }
                return;
            }
        };
        if let Some(peer) = from {
            self.reputations.valid(peer);
        }
        let enough = match &record {
            Record::Release(_) | Record::Page(_) => Enough::Any,
            Record::Claims { .. } => Enough::Whole,
            Record::Head(head) if head.owner != self.local => Enough::AsWanted,
            Record::Head(head) => {
                if from.is_none() && self.own.contains_key(&head.name) {
                    // What this node has signed itself says nothing of what peers hold.
                    return;
                }
                Enough::Whole
            }
        };
        // This node's own replica does not count: it may have missed what has happened since it was handed over.
        replies.copy(from, bytes, record, now.unix);
        let (copies, peers) = (replies.holders(), self.peers.routing_table_len());
        let (waiting, finish) = match enough {
            Enough::Whole => return,
            Enough::Any => self.queries.answer(query, |_| true),
            Enough::AsWanted => {
                self.queries.answer(query, |freshness| freshness.is_satisfied(copies, peers))
            }
        };
        if let Some(query) = finish {
            self.actions.push_back(Action::Finish { query });
        }
        if waiting.is_empty() {
            return;
        }
        let best = self.queries.lookup(query).and_then(|(_, replies)| replies.best().cloned());
        if let Some(record) = best {
            self.remember(now, &record);
            self.resume_all(now, waiting, &Outcome::Found { record, source: Source::Network });
        }
    }

    /// libp2p reports the end of a query.
    pub(super) fn query_ended(&mut self, now: Now, query: QueryKey, end: QueryEnd) {
        match self.queries.ended(query) {
            Some(Ended::Lookup { key, waiting, replies }) => {
                self.lookup_ended(now, &key, waiting, replies, end);
            }
            Some(Ended::Put { caller }) => {
                let replicas = if let QueryEnd::Stored { replicas } = end { replicas } else { 0 };
                self.resume_all(now, caller.into_iter().collect(), &Outcome::Stored(replicas));
            }
            Some(Ended::Bootstrap { callers }) => {
                self.resume_all(now, callers, &Outcome::Bootstrapped);
            }
            None => {}
        }
    }

    fn lookup_ended(
        &mut self,
        now: Now,
        key: &RecordKey,
        waiting: Vec<Ticket>,
        mut replies: Replies,
        end: QueryEnd,
    ) {
        let (answered, without) = match end {
            QueryEnd::Lookup { answered, without } => (Some(answered), without),
            _ => (None, Vec::new()),
        };
        if waiting.is_empty() && replies.agree(&without) {
            return;
        }
        // One that nobody waited for to the end has not asked everybody.
        let extent = match answered {
            Some(_) if !waiting.is_empty() => Extent::Whole,
            _ => Extent::Part,
        };
        let mut best = replies.best().cloned();
        if let Some((known, source)) = self.known(now, key, Freshness::First) {
            replies.know(&known, now.unix);
            // An announcement may have brought something newer than any replica holds. What this node has signed
            // itself is no finding.
            if source != Source::Own {
                best = replies.best().cloned();
            }
        }
        self.repair(now, key, &replies, &without, extent);
        if waiting.is_empty() {
            return;
        }
        let outcome = match (best, answered) {
            (Some(record), Some(1..)) => {
                self.remember(now, &record);
                Outcome::Found { record, source: Source::Network }
            }
            (Some(record), Some(0) | None) => Outcome::Found { record, source: Source::Partial },
            (None, Some(1..)) => {
                self.absences.insert(*key, now.mono);
                Outcome::NotFound
            }
            (None, Some(0)) => Outcome::NoPeers,
            (None, None) => Outcome::TimedOut,
        };
        self.resume_all(now, waiting, &outcome);
    }

    /// Sends the best record that a lookup has found to the replicas that were found to lack it, this node's own
    /// among them. One that lacks it again a moment later does not want it.
    fn repair(
        &mut self,
        now: Now,
        key: &RecordKey,
        replies: &Replies,
        without: &[PeerId],
        extent: Extent,
    ) {
        let Some(best) = replies.best() else { return };
        if self.store.holds_another(key, &best.to_bytes())
            && let Err(refused) = self.store.insert(key, &best.to_bytes())
        {
            tracing::debug!(%key, %refused, "own replica not brought up to date");
        }
        let lacking = replies.lacking(key, without, extent);
        if lacking.is_empty()
            || self.closed
            || self.queries.puts() >= MAX_REPAIRS
            || self.repairs.contains(key, now.mono)
        {
            return;
        }
        tracing::debug!(%key, replicas = lacking.len(), "repairing");
        self.repairs.insert(*key, now.mono);
        self.queries.repair(Arc::clone(best), lacking);
    }

    /// Keeps what was read for a while, and the sequence for good.
    pub(super) fn remember(&mut self, now: Now, record: &Arc<Record>) {
        if let Record::Head(head) = &**record {
            self.store.raise_high_water(head);
            if head.is_withdrawn() {
                self.catalogue.remove(&head.name, &head.owner);
            }
        }
        self.cache.insert(record.key(), Arc::clone(record), now.mono);
    }

    fn resume_all(&mut self, now: Now, waiting: Vec<Ticket>, outcome: &Outcome) {
        for ticket in waiting {
            self.resume(now, ticket, outcome.clone());
        }
    }

    /// The query that a call waits for has ended.
    fn resume(&mut self, now: Now, ticket: Ticket, outcome: Outcome) {
        let Some(call) = self.calls.remove(ticket) else { return };
        let Call { since, operation } = call;
        match (operation, outcome) {
            (Operation::Read(read), outcome) => self.resume_read(now, ticket, since, read, outcome),
            (Operation::Publish(publish), outcome) => {
                self.resume_publish(now, ticket, since, publish, outcome);
            }
            (Operation::GetRecord(get), outcome) => {
                self.finish(since);
                get.reply.send(match outcome {
                    Outcome::Found { record, source } => {
                        Ok(Found { record: Arc::unwrap_or_clone(record), source })
                    }
                    Outcome::NoPeers => Err(Error::NoPeers),
                    Outcome::TimedOut => Err(self.timeout(now, since)),
                    Outcome::NotFound | Outcome::Stored(_) | Outcome::Bootstrapped => {
                        Err(Error::NotFound { what: "record".to_owned() })
                    }
                });
            }
            (Operation::PutRecord { reply }, outcome) => {
                self.finish(since);
                reply.send(Ok(outcome.replicas()));
            }
            (Operation::Bootstrap { reply }, _) => {
                self.finish(since);
                let known = self.peers.routing_table_len();
                reply.send(if known == 0 { Err(Error::NoPeers) } else { Ok(known) });
            }
            // A dial waits for no query.
            (operation @ Operation::Dial { .. }, _) => {
                self.calls.insert(ticket, Call { since, operation });
            }
        }
    }

    fn resume_read(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        read: Read,
        outcome: Outcome,
    ) {
        let progress = match outcome {
            Outcome::Found { record, source } => self.advance(read, &record, source),
            Outcome::NoPeers => read.fail(Error::NoPeers),
            Outcome::TimedOut => {
                let error = self.timeout(now, since);
                read.fail(error)
            }
            Outcome::NotFound | Outcome::Stored(_) | Outcome::Bootstrapped => read.not_found(),
        };
        match progress {
            Progress::More(read) => self.drive_read(now, ticket, since, read),
            Progress::Answered => self.finish(since),
        }
    }

    /// Takes a read as far as it goes with what is known here, then asks the DHT for what is missing.
    fn drive_read(&mut self, now: Now, ticket: Ticket, since: Since, read: Read) {
        match self.read_known(now, read) {
            Known::Answered => self.finish(since),
            Known::Lacks(key, read) => self.wait_read(ticket, since, key, read),
        }
    }

    /// Takes a read as far as it goes with what is known here.
    pub(super) fn read_known(&mut self, now: Now, mut read: Read) -> Known {
        loop {
            let (key, freshness) = (read.wants(&self.config.network), read.freshness());
            let known = self.known(now, &key, freshness);
            match known.filter(|(record, _)| read.accepts(record)) {
                Some((record, source)) => match self.advance(read, &record, source) {
                    Progress::More(further) => read = further,
                    Progress::Answered => return Known::Answered,
                },
                None if self.is_absent(now, &key, freshness) => {
                    read.not_found();
                    return Known::Answered;
                }
                None => return Known::Lacks(key, read),
            }
        }
    }

    /// Whether nobody had this a moment ago. Who wants to hear more than one replica hears it anew.
    pub(super) fn is_absent(&self, now: Now, key: &RecordKey, freshness: Freshness) -> bool {
        freshness == Freshness::First && self.absences.contains(key, now.mono)
    }

    /// Asks the DHT for what a read lacks.
    pub(super) fn wait_read(&mut self, ticket: Ticket, since: Since, key: RecordKey, read: Read) {
        self.queries.get(key, Waiter { ticket, freshness: read.freshness() });
        self.calls.insert(ticket, Call { since, operation: Operation::Read(read) });
    }

    pub(super) fn advance(&mut self, read: Read, record: &Record, source: Source) -> Progress {
        if let Record::Head(head) = record
            && read.is_bare()
            && is_live_of_other(head, &self.local)
        {
            self.pins.first_use(&head.name, head.owner);
        }
        read.take(record, source)
    }

    /// A call has been answered: its deadline goes.
    pub(super) fn finish(&mut self, since: Since) {
        if let Some(timer) = since.timer {
            self.wheel.cancel(timer);
        }
    }

    pub(super) fn timeout(&self, now: Now, since: Since) -> Error {
        Error::Timeout { after: now.mono.saturating_sub(since.asked) }
    }

    /// Puts an own publish on the table while it waits for a lookup.
    pub(super) fn wait_publish(
        &mut self,
        ticket: Ticket,
        since: Since,
        publish: Box<super::publish::Publish>,
    ) {
        let Stage::Recalling(recall) = &publish.stage else { return };
        let name = publish.change.name();
        let key = recall.wants(&self.config.network, &self.local, name);
        self.queries.get(key, Waiter { ticket, freshness: Freshness::First });
        self.calls.insert(ticket, Call { since, operation: Operation::Publish(publish) });
    }
}

fn is_live_of_other(head: &Signed<Head>, local: &PeerId) -> bool {
    !head.is_withdrawn() && head.owner != *local
}
