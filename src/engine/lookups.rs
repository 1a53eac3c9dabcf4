//! How answers of the DHT reach the calls that wait for them.

use libp2p::PeerId;

use super::{
    Action, Engine, Now, Operation, QueryKey,
    calls::{Call, Since},
    publish::Stage,
    queries::Outcome,
    read::{Progress, Read},
};
use crate::{
    Error, Source,
    command::Ticket,
    record::{Head, Record, RecordKey, Signed, kept},
};

/// How far a read comes with what is known here.
#[derive(Debug)]
pub(super) enum Known {
    Answered,
    /// The record under this key is to be asked for.
    Lacks(RecordKey, Box<Read>),
}

impl Engine {
    /// A copy of a record that is being looked up. The first valid one answers, with two exceptions that wait
    /// for the end of the lookup: of claims the union of all copies answers, and of this node's own heads the
    /// newest. To go on from an older one would undo what came after it, and sign its sequence twice.
    pub(super) fn copy(&mut self, now: Now, query: QueryKey, from: Option<PeerId>, bytes: &[u8]) {
        let Some(key) = self.queries.looked_up(query) else { return };
        let record = match self.store.verify(&key, bytes) {
            Ok(record) => record,
            Err(rejected) => {
                tracing::debug!(%key, ?from, %rejected, "copy refused");
                if let Some(peer) = from
                    && !rejected.is_excusable()
                {
                    self.reputations.invalid(peer);
                }
                return;
            }
        };
        if let Some(peer) = from {
            self.reputations.valid(peer);
        }
        match record {
            Record::Claims { set, dropped } => {
                let set = match self.queries.best(query) {
                    Some(Record::Claims { set: known, .. }) => known.merge(&set, now.unix),
                    _ => set,
                };
                self.queries.set_best(query, Record::Claims { set, dropped });
            }
            // This node may have missed what has happened since it was handed its replica: it answers only if
            // nobody else does.
            Record::Head(head) if from.is_none() && head.owner != self.local => {
                self.queries.set_best(query, Record::Head(head));
            }
            // What is signed next goes on from here: a copy that is out of date would lose releases, and a
            // sequence would be signed twice.
            Record::Head(head) if head.owner == self.local => {
                if from.is_none() && self.own.contains_key(&head.name) {
                    // What this node has signed itself says nothing of what peers hold.
                    return;
                }
                let head = match self.queries.best(query) {
                    Some(Record::Head(known)) => kept(known, &head).clone(),
                    _ => head,
                };
                self.queries.set_best(query, Record::Head(head));
            }
            record => {
                let record = match (self.queries.best(query), record) {
                    (Some(Record::Head(held)), Record::Head(head)) => {
                        Record::Head(kept(held, &head).clone())
                    }
                    (_, record) => record,
                };
                self.remember(now, &record);
                let (waiting, finish) = self.queries.settle(query);
                if finish {
                    self.actions.push_back(Action::Finish { query });
                }
                let outcome = Outcome::Found(Box::new(record));
                for ticket in waiting {
                    self.resume(now, ticket, outcome.clone());
                }
            }
        }
    }

    /// Keeps what was read for a while, and the sequence for good.
    pub(super) fn remember(&mut self, now: Now, record: &Record) {
        if let Record::Head(head) = record {
            self.store.raise_high_water(head);
            if head.is_withdrawn() {
                self.catalogue.remove(&head.name, &head.owner);
            }
        }
        self.cache.insert(record.key(), record.clone(), now.mono);
    }

    /// The query that a call waits for has ended.
    pub(super) fn resume(&mut self, now: Now, ticket: Ticket, outcome: Outcome) {
        let Some(call) = self.calls.remove(ticket) else { return };
        let Call { since, operation, .. } = call;
        match (operation, outcome) {
            (Operation::Read(read), outcome) => self.resume_read(now, ticket, since, read, outcome),
            (Operation::Publish(publish), outcome) => {
                self.resume_publish(now, ticket, since, publish, outcome);
            }
            (Operation::GetRecord { reply }, outcome) => {
                self.finish(since);
                reply.send(match outcome {
                    Outcome::Found(record) => Ok(*record),
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
                self.calls.insert(ticket, Call { since, operation, query: None });
            }
        }
    }

    fn resume_read(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        read: Box<Read>,
        outcome: Outcome,
    ) {
        let progress = match outcome {
            Outcome::Found(record) => self.advance(read, *record, Source::Network),
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
    fn drive_read(&mut self, now: Now, ticket: Ticket, since: Since, read: Box<Read>) {
        match self.read_known(now, read) {
            Known::Answered => self.finish(since),
            Known::Lacks(key, read) => self.wait_read(ticket, since, key, read),
        }
    }

    /// Takes a read as far as it goes with what is known here.
    pub(super) fn read_known(&mut self, now: Now, mut read: Box<Read>) -> Known {
        loop {
            let key = read.wants(&self.config.network);
            match self.known(now, &key).filter(|(record, _)| read.accepts(record)) {
                Some((record, source)) => match self.advance(read, record, source) {
                    Progress::More(further) => read = further,
                    Progress::Answered => return Known::Answered,
                },
                None if self.absences.contains(&key, now.mono) => {
                    read.not_found();
                    return Known::Answered;
                }
                None => return Known::Lacks(key, read),
            }
        }
    }

    /// Asks the DHT for what a read lacks.
    pub(super) fn wait_read(
        &mut self,
        ticket: Ticket,
        since: Since,
        key: RecordKey,
        read: Box<Read>,
    ) {
        let query = Some(self.queries.get(key, ticket));
        self.calls.insert(ticket, Call { since, operation: Operation::Read(read), query });
    }

    pub(super) fn advance(&mut self, read: Box<Read>, record: Record, source: Source) -> Progress {
        if let Record::Head(head) = &record
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
        let query = Some(self.queries.get(key, ticket));
        self.calls.insert(ticket, Call { since, operation: Operation::Publish(publish), query });
    }
}

fn is_live_of_other(head: &Signed<Head>, local: &PeerId) -> bool {
    !head.is_withdrawn() && head.owner != *local
}
