//! What the end of a query means to those who wait for it.

use std::sync::Arc;

use libp2p::PeerId;

use super::{
    Reading,
    lookups::{Best, is_own_head},
    queries::{Ended, Extent, Replies, Waiter},
};
use crate::engine::interface::QueryKey;
use crate::{
    engine::{
        calls::{Heard, Outcome},
        context::Context,
        interface::{Now, QueryEnd},
    },
    freshness::Freshness,
    keyspace::REPLICAS,
    package::{Digest, PackageName, Source},
    record::{Record, RecordKey},
    ticket::Ticket,
};

/// Who was heard by the end of a lookup.
#[derive(Debug, Clone, Copy)]
enum Hearing {
    Somebody(Heard),
    Nobody,
    /// The DHT ended it for want of time.
    CutShort,
}

impl Hearing {
    fn of(answered: u32, unheard: u32, replies: &Replies) -> Self {
        let closest = u32::try_from(REPLICAS).unwrap_or(u32::MAX);
        match answered {
            0 => Self::Nobody,
            _ if unheard == 0 || answered >= closest => Self::Somebody(Heard::All),
            _ if answered > replies.silent(unheard) => Self::Somebody(Heard::Most),
            _ => Self::Somebody(Heard::Few),
        }
    }
}

/// A query is over.
#[derive(Debug)]
pub(in crate::engine) enum Over {
    Lookup(Box<EndedLookup>),
    /// These calls go on.
    Other(Vec<(Ticket, Outcome)>),
}

/// A lookup that has ended.
#[derive(Debug)]
pub(in crate::engine) struct EndedLookup {
    pub(in crate::engine) key: RecordKey,
    /// Nobody where it was answered, or left by everybody, before its end.
    pub(in crate::engine) waiting: Vec<Waiter>,
    pub(in crate::engine) replies: Replies,
    /// Who has answered that it has no copy, the closest to the key first.
    pub(in crate::engine) without: Vec<PeerId>,
    hearing: Hearing,
}

impl EndedLookup {
    fn new(key: RecordKey, waiting: Vec<Waiter>, replies: Replies, end: QueryEnd) -> Self {
        let (hearing, without) = match end {
            QueryEnd::Lookup { answered, unheard, without } => {
                (Hearing::of(answered, unheard, &replies), without)
            }
            QueryEnd::LookupCutShort | QueryEnd::Stored { .. } | QueryEnd::Bootstrapped => {
                (Hearing::CutShort, Vec::new())
            }
        };
        Self { key, waiting, replies, without, hearing }
    }

    /// Whether nobody waits for it, and no replica is known to lack anything.
    pub(in crate::engine) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.replies.agree(&self.without)
    }

    /// How far it came. One that nobody waited for to the end has not asked everybody.
    pub(super) fn extent(&self) -> Extent {
        match self.hearing {
            Hearing::Somebody(_) if !self.waiting.is_empty() => Extent::Whole,
            _ => Extent::Part,
        }
    }

    /// What a call is told that wants to hear so many replicas. `None` if nothing is known, and nobody had the time to
    /// answer.
    pub(in crate::engine) fn outcome(
        &self,
        cx: &Context,
        best: &Best,
        freshness: Freshness,
    ) -> Option<Outcome> {
        let found = |record: &Arc<Record>, source| {
            let source = if self.is_heard(freshness) { source } else { Source::Partial };
            Outcome::Found { record: Arc::clone(record), source }
        };
        Some(match (best, self.hearing) {
            (Best::Found(record), _) => found(record, Source::Network),
            // What this node holds of its own earlier life is nothing that it could go on from for certain.
            (Best::Known(record), Hearing::Nobody) if is_own_head(record, &cx.owner) => {
                Outcome::NoPeers
            }
            (Best::Known(record), _) => found(record, Source::Cache),
            (Best::Listed(record), _) => found(record, Source::Catalogue),
            (Best::Nothing, Hearing::Somebody(heard)) => {
                Outcome::NotFound { untimely: self.replies.untimely(), heard }
            }
            (Best::Nothing, Hearing::Nobody) => Outcome::NoPeers,
            (Best::Nothing, Hearing::CutShort) => return None,
        })
    }

    /// How many peers have served what this node has put, and attests this.
    pub(in crate::engine) fn served(&self, attests: &Digest) -> u32 {
        u32::try_from(self.replies.attesting(attests)).unwrap_or(u32::MAX)
    }

    fn is_heard(&self, freshness: Freshness) -> bool {
        match self.hearing {
            Hearing::Somebody(heard) => {
                freshness.is_satisfied_at_end(self.replies.copies(), heard == Heard::All)
            }
            Hearing::Nobody | Hearing::CutShort => false,
        }
    }
}

impl Reading {
    /// The DHT reports the end of a query.
    pub(in crate::engine) fn query_ended(&mut self, query: QueryKey, end: QueryEnd) -> Over {
        match self.queries.ended(query) {
            Some(Ended::Lookup { key, waiting, replies }) => {
                Over::Lookup(Box::new(EndedLookup::new(key, waiting, replies, end)))
            }
            Some(Ended::Put { key, caller }) => {
                let replicas = if let QueryEnd::Stored { replicas } = end { replicas } else { 0 };
                let stored = caller.map(|ticket| (ticket, Outcome::Stored { key, replicas }));
                Over::Other(stored.into_iter().collect())
            }
            Some(Ended::Bootstrap { callers }) => {
                let filled = callers.into_iter().map(|ticket| (ticket, Outcome::Bootstrapped));
                Over::Other(filled.collect())
            }
            Some(Ended::Repair) | None => Over::Other(Vec::new()),
        }
    }

    /// The best that a lookup has found, and the package whose head it is, if a call reads it.
    pub(in crate::engine) fn best_at_end(
        &self,
        cx: &Context,
        ended: &EndedLookup,
    ) -> (Best, Option<(PackageName, PeerId)>) {
        let best = self.best(cx, &ended.key, &ended.replies);
        let subject = self.calls.subject_of(ended.waiting.iter().map(|waiter| waiter.ticket));
        (best, subject.or_else(|| ended.replies.listed()))
    }

    /// Takes note of what is absent. Gives what is to be remembered.
    pub(in crate::engine) fn note_end(
        &mut self,
        now: Now,
        ended: &EndedLookup,
        best: &Best,
    ) -> Option<Arc<Record>> {
        let Hearing::Somebody(_) = ended.hearing else { return None };
        if ended.waiting.is_empty() {
            return None;
        }
        match best {
            Best::Found(record) => return Some(Arc::clone(record)),
            Best::Known(_) => {}
            // The catalogue answers the next reader, too, without asking again at once.
            Best::Listed(_) => self.absences.note(now, ended.key),
            Best::Nothing if ended.replies.untimely().is_none() => {
                self.absences.note(now, ended.key);
            }
            Best::Nothing => self.absences.note_untimely(now, ended.key),
        }
        None
    }
}
