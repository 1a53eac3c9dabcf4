//! What is counted beside the node, by its callers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{CallCounters, CallEnd, CallKind, EndedCall};
use crate::package::Source;

/// Calls that ended without the node: answered from the shelf, refused before they were sent, or given up while they
/// waited for room. Counted by their callers, on any thread.
#[derive(Debug, Default)]
pub(crate) struct CountedByCallers([[AtomicU64; Self::ENDS.len()]; Self::KINDS.len()]);

impl CountedByCallers {
    const KINDS: [CallKind; 12] = [
        CallKind::Get,
        CallKind::Versions,
        CallKind::GetRecord,
        CallKind::PutRecord,
        CallKind::Register,
        CallKind::Yank,
        CallKind::Deprecate,
        CallKind::Unregister,
        CallKind::Search,
        CallKind::Announce,
        CallKind::Bootstrap,
        CallKind::Dial,
    ];

    /// How a call can end without the node.
    const ENDS: [CallEnd; 5] = [
        CallEnd::Read(Source::Own),
        CallEnd::Read(Source::Cache),
        CallEnd::Refused,
        CallEnd::Cancelled,
        CallEnd::Failed,
    ];

    /// One relaxed addition. Whoever is told the sum later has been told of the answer by other means.
    pub(crate) fn count(&self, EndedCall(kind, end): EndedCall) {
        let place = Self::ENDS.iter().position(|known| *known == end);
        // `KINDS` has them in the order of their declaration.
        let counters = self.0.get(kind as usize);
        if let Some(counter) = counters.zip(place).and_then(|(ends, place)| ends.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds what has been counted so far.
    pub(crate) fn add_to(&self, calls: &mut CallCounters) {
        for (kind, counters) in Self::KINDS.into_iter().zip(&self.0) {
            for (end, counter) in Self::ENDS.into_iter().zip(counters) {
                calls.count(EndedCall(kind, end), counter.load(Ordering::Relaxed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::OutcomeCounters;
    use crate::counters::SourceCounters;

    #[test]
    fn what_callers_count_without_the_node_is_added_where_it_belongs() {
        let counted = CountedByCallers::default();
        for kind in CountedByCallers::KINDS {
            for (times, end) in CountedByCallers::ENDS.into_iter().enumerate() {
                (0..=times).for_each(|_| counted.count(EndedCall(kind, end)));
            }
        }
        let mut calls = CallCounters::default();
        counted.add_to(&mut calls);
        for (name, outcomes) in calls.outcomes() {
            let OutcomeCounters { answered, refused, cancelled, failed, .. } = outcomes;
            assert_eq!((answered, refused, cancelled, failed), (3, 3, 4, 5), "{name}");
            assert_eq!(outcomes.total(), 15, "{name}");
        }
        for (name, sources) in calls.sources() {
            let expected = SourceCounters { own: 1, cache: 2, ..SourceCounters::default() };
            assert_eq!(sources, expected, "{name}");
        }
        assert_eq!(calls.total().total(), 15 * 12);
    }

    #[test]
    fn each_operation_has_its_own_counters() {
        for (place, kind) in CountedByCallers::KINDS.into_iter().enumerate() {
            let mut calls = CallCounters::default();
            calls.count(EndedCall(kind, CallEnd::TimedOut), 1);
            let outcomes = calls.outcomes();
            let counted: Vec<usize> =
                (0..outcomes.len()).filter(|&at| outcomes[at].1.timed_out == 1).collect();
            assert_eq!(counted, [place], "{kind:?}");
            assert_eq!(kind as usize, place);
        }
    }
}
