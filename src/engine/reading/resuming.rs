//! How calls go on with what their lookups have found.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    Error, Found, Freshness, Source,
    counters::{CallKind, EndedCall},
    engine::{
        Context, Engine, Now, Operation, Reading,
        calls::{Call, Heard, Outcome, Since},
        catalogue::Interest,
        flows::listing::Asked,
        lookups::is_head_of_other,
        queries::{Untimely, Waiter},
        read::{Progress, Read},
    },
    record::{Head, Record, RecordKey, Signed},
    ticket::Ticket,
};

/// How far a read comes with what is known here.
#[derive(Debug)]
pub(in crate::engine) enum Known {
    /// And counted.
    Answered,
    /// The record under this key is to be asked for.
    Lacks(RecordKey, Read),
}

impl Context {
    /// Why nothing was found, where copies were refused for their time.
    fn explain(&self, untimely: Untimely) -> Option<String> {
        untimely.explain(self.clock_disagreement())
    }

    pub(in crate::engine) fn timeout(&self, now: Now, since: Since) -> Error {
        Error::Timeout { after: now.mono.saturating_sub(since.asked) }
    }
}

impl Reading {
    /// Whether nobody had this a moment ago. Who wants to hear more than one replica hears it anew.
    pub(in crate::engine) fn is_absent(
        &self,
        now: Now,
        key: &RecordKey,
        freshness: Freshness,
    ) -> bool {
        freshness == Freshness::First && self.absences.contains(key, now.mono)
    }
}

impl Engine {
    /// The query that a call waits for has ended.
    pub(in crate::engine) fn resume(&mut self, now: Now, ticket: Ticket, outcome: Outcome) {
        if self.publishing.is_changing(ticket) {
            self.out.answered = true;
            return self.resume_change(now, ticket, outcome);
        }
        let Some(call) = self.calls.remove(ticket) else { return };
        self.out.answered = true;
        let Call { since, operation } = call;
        let is_read = matches!(operation, Operation::Read(_) | Operation::GetRecord(_));
        let outcome = match outcome {
            Outcome::Found { record, .. } if is_read && self.cx.is_outdated(&record) => {
                Outcome::NotFound { untimely: Untimely::default(), heard: Heard::All }
            }
            outcome => outcome,
        };
        match (operation, outcome) {
            (Operation::Read(read), outcome) => self.resume_read(now, ticket, since, read, outcome),
            (Operation::GetRecord(get), outcome) => {
                self.out.finish(since);
                let end = get.reply.send(match outcome {
                    Outcome::Found { record, source } => {
                        if let Record::Head(head) = &*record {
                            self.cx.store.raise_high_water(head);
                            self.cx.store.want(&head.owner, &head.name);
                        }
                        Ok(Found { record: Arc::unwrap_or_clone(record), source })
                    }
                    Outcome::NoPeers => Err(self.peers.nobody()),
                    Outcome::TimedOut => Err(self.cx.timeout(now, since)),
                    Outcome::NotFound { untimely, .. } => {
                        let found = Error::not_found("record");
                        Err(found.because(self.cx.explain(untimely)))
                    }
                    Outcome::Stored { .. } | Outcome::ReadBack { .. } | Outcome::Bootstrapped => {
                        Err(Error::not_found("record"))
                    }
                });
                self.out.count(EndedCall(CallKind::GetRecord, end));
            }
            (Operation::PutRecord { reply }, outcome) => {
                self.out.finish(since);
                let end = reply.send(Ok(outcome.replicas()));
                self.out.count(EndedCall(CallKind::PutRecord, end));
            }
            (operation @ Operation::Bootstrap { .. }, _) if self.peers.is_led_on() => {
                self.queries.bootstrap(ticket);
                self.calls.insert(ticket, Call { since, operation });
            }
            (Operation::Bootstrap { reply }, _) => {
                self.out.finish(since);
                let known = self.peers.peers.routing_table_len();
                // Seats of those who have no room are of no use to a node that has nobody else.
                let has_nobody = known == 0 || self.peers.is_turned_away();
                let end = reply.send(if has_nobody { Err(self.peers.nobody()) } else { Ok(known) });
                self.out.count(EndedCall(CallKind::Bootstrap, end));
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
            Outcome::Found { record, source } => self.advance(now, read, &record, source),
            outcome => {
                let asked = match outcome {
                    Outcome::NotFound { heard, .. }
                        if heard == Heard::All || read.freshness() == Freshness::First =>
                    {
                        Asked::Enough
                    }
                    _ => Asked::TooFew,
                };
                self.read_listed(now, read, asked).unwrap_or_else(|mut read| {
                    if let Outcome::NotFound { .. } = outcome {
                        self.suggest(now, &mut read, None);
                    }
                    Progress::Answered(match outcome {
                        Outcome::NoPeers => read.fail(self.peers.nobody()),
                        Outcome::TimedOut => read.fail(self.cx.timeout(now, since)),
                        Outcome::NotFound { untimely, .. } => {
                            read.not_found_because(self.cx.explain(untimely))
                        }
                        Outcome::Found { .. }
                        | Outcome::Stored { .. }
                        | Outcome::ReadBack { .. }
                        | Outcome::Bootstrapped => read.not_found(),
                    })
                })
            }
        };
        match progress {
            Progress::More(read) => self.drive_read(now, ticket, since, read),
            Progress::Answered(ended) => {
                self.out.finish(since);
                self.out.count(ended);
            }
        }
    }

    /// Takes a read as far as it goes with what is known here, then asks the DHT for what is missing.
    fn drive_read(&mut self, now: Now, ticket: Ticket, since: Since, read: Read) {
        match self.read_known(now, read) {
            Known::Answered => self.out.finish(since),
            Known::Lacks(key, read) => self.wait_read(ticket, since, key, read),
        }
    }

    /// Takes a read as far as it goes with what is known here.
    pub(in crate::engine) fn read_known(&mut self, now: Now, mut read: Read) -> Known {
        loop {
            let (key, freshness) = (read.wants(&self.cx.config.network), read.freshness());
            let known = self
                .reading
                .known(&self.cx, now, &key, freshness)
                .or_else(|| self.heard(now, &key, freshness));
            match known.filter(|(record, _)| read.accepts(record)) {
                Some((record, source)) => match self.advance(now, read, &record, source) {
                    Progress::More(further) => read = further,
                    Progress::Answered(ended) => {
                        self.out.count(ended);
                        return Known::Answered;
                    }
                },
                None if !read.is_partial() && self.reading.is_absent(now, &key, freshness) => {
                    let progress = self.read_listed(now, read, Asked::Enough);
                    let progress = progress.unwrap_or_else(|mut read| {
                        self.suggest(now, &mut read, None);
                        Progress::Answered(read.not_found())
                    });
                    match progress {
                        Progress::More(further) => read = further,
                        Progress::Answered(ended) => {
                            self.out.count(ended);
                            return Known::Answered;
                        }
                    }
                }
                None => return Known::Lacks(key, read),
            }
        }
    }

    /// What a lookup that goes on has found already, if it is enough.
    pub(in crate::engine) fn heard(
        &self,
        now: Now,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Option<(Arc<Record>, Source)> {
        let replies = self.queries.heard(key)?;
        if !freshness.is_satisfied(replies.copies()) {
            return None;
        }
        let heard = self.reading.best(&self.cx, now, key, replies).known();
        heard.filter(|(record, _)| is_head_of_other(record, &self.cx.owner))
    }

    /// Asks the DHT for what a read lacks.
    pub(in crate::engine) fn wait_read(
        &mut self,
        ticket: Ticket,
        since: Since,
        key: RecordKey,
        read: Read,
    ) {
        self.queries.get(key, Waiter::new(ticket, read.freshness()));
        self.calls.insert(ticket, Call { since, operation: Operation::Read(read) });
    }

    pub(in crate::engine) fn advance(
        &mut self,
        now: Now,
        mut read: Read,
        record: &Record,
        source: Source,
    ) -> Progress {
        if let Record::Head(head) = record {
            // From here on nothing older is told, however many other packages are heard of. What the catalogue has
            // answered may have been seen in an earlier life, or so long ago that its sequence is forgotten.
            self.cx.store.raise_high_water(head);
            self.cx.store.want(&head.owner, &head.name);
        }
        if let Record::Head(head) = record
            && read.is_claimed()
            // A part of the claims may not name the owner who was there first.
            && !read.is_partial()
            && source != Source::Partial
            && is_live_of_other(head, &self.cx.owner)
        {
            self.reading.pins.first_use(&head.name, head.owner);
        }
        if let Record::Head(head) = record {
            self.list(now, head, None, Interest::Used);
        }
        match record {
            Record::Claims { set, .. } => {
                let listed = self.discovery.owners_listed(now, read.name(), Some(set));
                if listed.is_empty() && set.active_owners(read.name()).is_empty() {
                    self.suggest(now, &mut read, Some(set));
                }
                read.take_claims(Some(set), &listed, source)
            }
            Record::Head(_) | Record::Release(_) | Record::Page(_) => read.take(record, source),
        }
    }
}

fn is_live_of_other(head: &Signed<Head>, owner: &PeerId) -> bool {
    !head.is_withdrawn() && head.owner != *owner
}
