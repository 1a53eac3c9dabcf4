//! How calls go on, or are answered, with what their queries have come to.

use super::{
    Reading,
    read::Read,
    waiting::{Call, GetRecord, Operation},
};
use crate::{
    counters::EndedCall,
    engine::{
        calls::{Heard, Outcome, Since, Untimely},
        command::Reply,
        context::Context,
    },
    error::Error,
    freshness::Freshness,
    record::Record,
    ticket::Ticket,
};

impl Context {
    /// Why nothing was found, where copies were refused for their time.
    fn explain(&self, untimely: Untimely) -> Option<String> {
        untimely.explain(self.clock_disagreement())
    }

    /// What a reader hears of an outcome. It is not told of what is overtaken.
    pub(in crate::engine) fn for_readers(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Found { record, .. } if self.is_outdated(&record) => {
                Outcome::NotFound { untimely: Untimely::default(), heard: Heard::All }
            }
            outcome => outcome,
        }
    }
}

impl GetRecord {
    /// Its lookup has ended. `nobody` is what it is told where nobody is there.
    pub(in crate::engine) fn ended(
        self,
        cx: &Context,
        since: Since,
        outcome: Outcome,
        nobody: Error,
    ) -> EndedCall {
        let error = match outcome {
            Outcome::Found { record, source } => {
                if let Record::Head(head) = &*record {
                    cx.store.raise_high_water(head);
                    cx.store.want(&head.owner, &head.name);
                }
                return self.answer(record, source);
            }
            Outcome::NoPeers => nobody,
            Outcome::TimedOut => cx.timeout(cx.now(), since),
            Outcome::NotFound { untimely, .. } => {
                Error::not_found("record").because(cx.explain(untimely))
            }
            Outcome::Stored { .. } | Outcome::ReadBack { .. } | Outcome::Bootstrapped => {
                Error::not_found("record")
            }
        };
        Operation::GetRecord(self).fail(error)
    }
}

impl Read {
    /// Whether as many replicas as its caller wants were heard by the end of a lookup that has found nothing.
    pub(in crate::engine) fn has_heard_enough(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::NotFound { heard, .. } => {
                *heard == Heard::All || self.freshness() == Freshness::First
            }
            _ => false,
        }
    }

    /// Its lookup has ended, and nothing is found. `nobody` is what its caller is told where nobody is there.
    pub(in crate::engine) fn ended_in_vain(
        self,
        cx: &Context,
        since: Since,
        outcome: &Outcome,
        nobody: Error,
    ) -> EndedCall {
        match outcome {
            Outcome::NoPeers => self.fail(nobody),
            Outcome::TimedOut => self.fail(cx.timeout(cx.now(), since)),
            Outcome::NotFound { untimely, .. } => self.not_found_because(cx.explain(*untimely)),
            Outcome::Found { .. }
            | Outcome::Stored { .. }
            | Outcome::ReadBack { .. }
            | Outcome::Bootstrapped => self.not_found(),
        }
    }
}

impl Reading {
    /// A caller waits for one more bootstrap.
    pub(in crate::engine) fn bootstrap_again(
        &mut self,
        ticket: Ticket,
        since: Since,
        reply: Reply<usize>,
    ) {
        self.queries.bootstrap(ticket);
        self.calls.insert(ticket, Call { since, operation: Operation::Bootstrap { reply } });
    }
}
