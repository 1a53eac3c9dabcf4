//! Copies that arrive while a record is being looked up, and who is answered before the lookup is over.
//!
//! What is written once is the same in every valid copy, so that the first one answers. Of a head, as many copies as each
//! caller wants to hear. Two things wait for the end of the lookup whatever callers want: of claims the union of all
//! copies answers, and of this node's own heads the newest. To go on from an older one would undo what came after it, and
//! sign its sequence twice.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;

use super::{
    Reading,
    lookups::{Best, is_head_of_other},
    queries::Waiter,
};
use crate::engine::interface::QueryKey;
use crate::{
    engine::{
        context::Context,
        effects::Effects,
        interface::{Action, Now},
    },
    freshness::Freshness,
    package::{PackageName, Source},
    record::{Record, RecordKey, Rejected},
    ticket::Ticket,
};

/// Whom a copy that was found is enough to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Enough {
    /// Everybody: it is the same whichever it is.
    Any,
    /// With as many others, those who want no more.
    AsWanted,
}

/// A copy that was taken in.
#[derive(Debug)]
pub(in crate::engine) struct ValidCopy {
    pub(in crate::engine) record: Arc<Record>,
    /// The best that the lookup had found before.
    pub(in crate::engine) before: Option<Arc<Record>>,
    enough: Option<Enough>,
}

/// What a copy leads to, once everybody has been told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum AfterCopy {
    /// For some it may be enough.
    Answer(Enough),
    /// It comes too late for its own lookup, and is as good for the next.
    Remember,
    /// The end of the lookup answers.
    Wait,
}

/// What follows from a copy that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Refusal {
    /// Whoever holds it has been heard.
    Outdated,
    /// This peer is at fault.
    FaultOf(PeerId),
    /// Nobody is.
    Excused,
}

/// Who has heard enough.
#[derive(Debug)]
pub(in crate::engine) struct Answered {
    pub(in crate::engine) record: Arc<Record>,
    pub(in crate::engine) source: Source,
    pub(in crate::engine) waiting: Vec<Ticket>,
}

impl Reading {
    /// What a lookup asks for, until its end.
    pub(in crate::engine) fn looked_up(&mut self, query: QueryKey) -> Option<RecordKey> {
        self.queries.lookup(query).map(|(key, _)| key)
    }

    /// For how long a lookup has been under way.
    pub(in crate::engine) fn elapsed(&self, now: Now, query: QueryKey) -> Duration {
        self.queries.elapsed(query, now.mono).unwrap_or_default()
    }

    /// A copy is not valid.
    pub(in crate::engine) fn refuse_copy(
        &mut self,
        query: QueryKey,
        from: Option<PeerId>,
        rejected: &Rejected,
    ) -> Refusal {
        let Some((_, replies)) = self.queries.lookup(query) else { return Refusal::Excused };
        if from.is_some() {
            replies.refused(rejected);
        }
        match (rejected, from) {
            (
                Rejected::Stale { .. } | Rejected::Revoked { .. } | Rejected::Expired { .. },
                from,
            ) => {
                replies.outdated(from);
                Refusal::Outdated
            }
            (rejected, Some(peer)) if !rejected.is_excusable() => Refusal::FaultOf(peer),
            _ => Refusal::Excused,
        }
    }

    /// A valid copy has arrived, from a peer or from this node's own store. `publishes` says whether it is of a package
    /// that this node publishes.
    pub(in crate::engine) fn take_copy(
        &mut self,
        cx: &Context,
        query: QueryKey,
        from: Option<PeerId>,
        record: Record,
        publishes: bool,
    ) -> Option<ValidCopy> {
        let enough = match &record {
            Record::Release(_) | Record::Page(_) => Some(Enough::Any),
            Record::Claims { .. } => None,
            Record::Head(head) if head.owner != cx.owner => Some(Enough::AsWanted),
            // What this node has signed itself says nothing of what peers hold.
            Record::Head(_) if from.is_none() && publishes => return None,
            Record::Head(_) => None,
        };
        let record = Arc::new(record);
        // This node's own replica does not count: it may have missed what has happened since it was handed over.
        let (_, replies) = self.queries.lookup(query)?;
        let before = replies.best().map(Arc::clone);
        replies.copy(from, Arc::clone(&record), &cx.owner, cx.now().unix);
        Some(ValidCopy { record, before, enough })
    }

    /// Everybody has been told of a copy: it may be enough for those who wait for it.
    pub(in crate::engine) fn after_copy(
        &mut self,
        cx: &Context,
        query: QueryKey,
        copy: &ValidCopy,
    ) -> AfterCopy {
        if let (Record::Head(head), Some(Enough::AsWanted)) = (&*copy.record, copy.enough) {
            // From here on nothing older is believed, whoever is still waited for.
            cx.store.raise_high_water(head);
            self.cache.outdate(head, &copy.record.key());
            if self.queries.wanted(query).is_none() {
                return AfterCopy::Remember;
            }
        }
        copy.enough.map_or(AfterCopy::Wait, AfterCopy::Answer)
    }

    /// The best so far of what a lookup asks for that somebody waits for, and the package whose head it is, if one of
    /// them reads it.
    pub(in crate::engine) fn best_so_far(
        &self,
        cx: &Context,
        query: QueryKey,
    ) -> Option<(Best, Option<(PackageName, PeerId)>)> {
        let key = self.queries.wanted(query)?;
        let replies = self.queries.heard(&key)?;
        let best = self.best(cx, &key, replies);
        Some((best, self.calls.subject_of(self.queries.waiting(&key))))
    }

    /// Takes those who have heard enough. With the last one, the lookup ends.
    pub(in crate::engine) fn take_answered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        query: QueryKey,
        best: Best,
        subject: Option<(PackageName, PeerId)>,
        enough: Enough,
    ) -> Option<Answered> {
        let (record, source) = best.known()?;
        let (_, replies) = self.queries.lookup(query)?;
        if source == Source::Catalogue {
            replies.answered_by_listed(subject);
        }
        let copies = replies.copies();
        let is_enough = |freshness: Freshness| match enough {
            Enough::Any => true,
            Enough::AsWanted => {
                is_head_of_other(&record, &cx.owner) && freshness.is_satisfied(copies)
            }
        };
        let (waiting, finish) = self.queries.answer(query, is_enough);
        if let Some(query) = finish {
            out.actions.push_back(Action::Finish { query });
        }
        Some(Answered { record, source, waiting })
    }

    /// Looks a record up, or joins the lookup that goes on.
    pub(in crate::engine) fn look_up(&mut self, key: RecordKey, ticket: Ticket, wants: Freshness) {
        self.queries.get(key, Waiter::new(ticket, wants));
    }
}
