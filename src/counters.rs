//! What a node has done since it started, as numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::{
    Announcement, Error, Found, Package, Receipt, RegistryMetadata, Reputation, Snapshot, Source,
    Versions,
};

/// What a node has done since it started. Every number only grows, but for the three that say how many there are
/// *now*: [`QueryCounters::running`], [`QueryCounters::waiting`] and [`AnnouncementCounters::queued`].
///
/// They are part of [`RegistryMetadata`], and begin at zero with each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Counters {
    /// Calls of this node's application, by what they asked for and how they ended.
    pub calls: CallCounters,
    /// Queries to the DHT.
    pub queries: QueryCounters,
    /// Announcements that left this node, and those that came to it.
    pub announcements: AnnouncementCounters,
    /// Records that peers have put here.
    pub records: RecordCounters,
    /// Connections with peers.
    pub peers: PeerCounters,
    /// Comparisons of catalogues with peers.
    pub reconciliation: ReconciliationCounters,
}

/// Calls, by what they asked for. Each is counted once, when it ends: answered by the node, answered from what is at
/// hand without it, refused before it could get there, or dropped by its caller.
///
/// What only asks for the state of the node (`metadata`, `peers`, `reputation`, …) or changes its settings (`pin`,
/// `subscribe`, …) is not counted. Nor is a future that was dropped before it was first polled, and a call that still
/// waits when the node itself is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CallCounters {
    /// [`get_package`](crate::Registry::get_package) and [`get_version`](crate::Registry::get_version).
    pub get: ReadCounters,
    /// [`list_versions`](crate::Registry::list_versions).
    pub versions: ReadCounters,
    /// [`get_record`](crate::Handle::get_record).
    pub get_record: ReadCounters,
    /// [`put_record`](crate::Handle::put_record).
    pub put_record: OutcomeCounters,
    /// [`register`](crate::Registry::register).
    pub register: OutcomeCounters,
    /// [`yank`](crate::Registry::yank).
    pub yank: OutcomeCounters,
    /// [`unregister`](crate::Registry::unregister).
    pub unregister: OutcomeCounters,
    /// [`search`](crate::Registry::search) and [`search_peers`](crate::Handle::search_peers), which has ended when its
    /// stream has.
    pub search: OutcomeCounters,
    /// [`announce`](crate::Handle::announce).
    pub announce: OutcomeCounters,
    /// [`bootstrap`](crate::Handle::bootstrap).
    pub bootstrap: OutcomeCounters,
    /// [`dial`](crate::Handle::dial) and [`dial_address`](crate::Handle::dial_address).
    pub dial: OutcomeCounters,
}

/// Calls that read, by how they ended, and those that were answered by where the answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ReadCounters {
    /// How they ended.
    pub outcomes: OutcomeCounters,
    /// Where the answers came from: together as many as were answered.
    pub sources: SourceCounters,
}

/// Calls, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OutcomeCounters {
    /// With what was asked for.
    pub answered: u64,
    /// There is none, or no longer: [`NotFound`](crate::Error::NotFound), [`Withdrawn`](crate::Error::Withdrawn).
    pub not_found: u64,
    /// The deadline passed first: [`Timeout`](crate::Error::Timeout).
    pub timed_out: u64,
    /// The caller dropped it before it was answered.
    pub cancelled: u64,
    /// It was not begun, for want of room or because it cannot be done: [`Busy`](crate::Error::Busy),
    /// [`Invalid`](crate::Error::Invalid), [`TooLarge`](crate::Error::TooLarge), [`Conflict`](crate::Error::Conflict).
    pub refused: u64,
    /// Anything else: [`NoPeers`](crate::Error::NoPeers), [`Ambiguous`](crate::Error::Ambiguous),
    /// [`Transport`](crate::Error::Transport), [`ShuttingDown`](crate::Error::ShuttingDown).
    pub failed: u64,
}

/// Answers, by their [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SourceCounters {
    /// [`Source::Own`].
    pub own: u64,
    /// [`Source::Cache`].
    pub cache: u64,
    /// [`Source::Network`].
    pub network: u64,
    /// [`Source::Partial`].
    pub partial: u64,
}

/// Queries to the DHT, by what they do. A query is what libp2p carries out; calls that ask for the same record at
/// the same time share one, and what the node does by itself, such as putting its packages again, takes queries too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct QueryCounters {
    /// Lookups of a record.
    pub lookups: TaskCounters,
    /// Puts of a record to the peers closest to its key.
    pub puts: TaskCounters,
    /// Puts of a record to replicas that were found to lack it.
    pub repairs: TaskCounters,
    /// Fillings of the routing table, but for those that Kademlia begins by itself.
    pub bootstraps: TaskCounters,
    /// Queries of all kinds that run now.
    pub running: u64,
    /// Queries of all kinds that wait now for their turn: see [`Limits::running_queries`](crate::Limits).
    pub waiting: u64,
}

/// Queries of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TaskCounters {
    /// Handed to libp2p.
    pub started: u64,
    /// Of these, ended. The others run.
    pub finished: u64,
}

/// Announcements of packages, and the application's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AnnouncementCounters {
    /// Handed to at least one subscribed peer.
    pub sent: u64,
    /// Those that wait now for somebody to subscribe.
    pub queued: u64,
    /// Heard from peers, found valid and forwarded.
    pub accepted: u64,
    /// Heard from peers, and of no use: heard before, overtaken by time, on a topic that nobody here subscribes.
    pub ignored: u64,
    /// Heard from peers, and invalid.
    pub rejected: u64,
}

/// Records that peers have put here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RecordCounters {
    /// Taken in, or held already and renewed.
    pub stored: u64,
    /// Refused: invalid, older than what is held, or beyond what its peer, its owner or the store has room for.
    pub refused: u64,
}

/// Connections with peers. Several with one peer count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerCounters {
    /// A first connection with a peer stood.
    pub connected: u64,
    /// The last connection with a peer ended.
    pub disconnected: u64,
    /// A peer was refused further connections for what it had served.
    pub blocked: u64,
}

/// Comparisons of catalogues that this node has begun with peers. Those that peers begin, and the heads that they fetch
/// here, count with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ReconciliationCounters {
    /// Comparisons that were begun.
    pub sessions: u64,
    /// Of these, those that did not come to their end.
    pub failed: u64,
    /// Bytes that peers sent for them, heads included.
    pub bytes_in: u64,
    /// Bytes that were sent to peers for them: questions and offers, no heads.
    pub bytes_out: u64,
    /// Heads that peers sent because they were missing here, sound or not.
    pub heads_fetched: u64,
}

impl CallCounters {
    /// Each operation by its name, with how its calls ended.
    #[must_use]
    pub fn outcomes(&self) -> [(&'static str, OutcomeCounters); 11] {
        [
            ("get", self.get.outcomes),
            ("versions", self.versions.outcomes),
            ("get_record", self.get_record.outcomes),
            ("put_record", self.put_record),
            ("register", self.register),
            ("yank", self.yank),
            ("unregister", self.unregister),
            ("search", self.search),
            ("announce", self.announce),
            ("bootstrap", self.bootstrap),
            ("dial", self.dial),
        ]
    }

    /// Each operation that reads by its name, with where its answers came from.
    #[must_use]
    pub fn sources(&self) -> [(&'static str, SourceCounters); 3] {
        [
            ("get", self.get.sources),
            ("versions", self.versions.sources),
            ("get_record", self.get_record.sources),
        ]
    }

    /// All calls together, by how they ended.
    #[must_use]
    pub fn total(&self) -> OutcomeCounters {
        self.outcomes().iter().fold(OutcomeCounters::default(), |sum, (_, of)| OutcomeCounters {
            answered: sum.answered + of.answered,
            not_found: sum.not_found + of.not_found,
            timed_out: sum.timed_out + of.timed_out,
            cancelled: sum.cancelled + of.cancelled,
            refused: sum.refused + of.refused,
            failed: sum.failed + of.failed,
        })
    }

    /// So many calls have ended.
    pub(crate) fn count(&mut self, EndedCall(kind, end): EndedCall, times: u64) {
        let (outcomes, sources) = match kind {
            CallKind::Get => self.get.parts(),
            CallKind::Versions => self.versions.parts(),
            CallKind::GetRecord => self.get_record.parts(),
            CallKind::PutRecord => (&mut self.put_record, None),
            CallKind::Register => (&mut self.register, None),
            CallKind::Yank => (&mut self.yank, None),
            CallKind::Unregister => (&mut self.unregister, None),
            CallKind::Search => (&mut self.search, None),
            CallKind::Announce => (&mut self.announce, None),
            CallKind::Bootstrap => (&mut self.bootstrap, None),
            CallKind::Dial => (&mut self.dial, None),
        };
        *outcomes.slot(end) += times;
        if let (CallEnd::Read(source), Some(sources)) = (end, sources) {
            *sources.slot(source) += times;
        }
    }
}

impl ReadCounters {
    fn parts(&mut self) -> (&mut OutcomeCounters, Option<&mut SourceCounters>) {
        (&mut self.outcomes, Some(&mut self.sources))
    }
}

impl OutcomeCounters {
    /// Each outcome by its name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64); 6] {
        [
            ("answered", self.answered),
            ("not_found", self.not_found),
            ("timed_out", self.timed_out),
            ("cancelled", self.cancelled),
            ("refused", self.refused),
            ("failed", self.failed),
        ]
    }

    /// How many calls have ended, in whatever way.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.each().iter().map(|(_, times)| times).sum()
    }

    fn slot(&mut self, end: CallEnd) -> &mut u64 {
        match end {
            CallEnd::Answered | CallEnd::Read(_) => &mut self.answered,
            CallEnd::NotFound => &mut self.not_found,
            CallEnd::TimedOut => &mut self.timed_out,
            CallEnd::Cancelled => &mut self.cancelled,
            CallEnd::Refused => &mut self.refused,
            CallEnd::Failed => &mut self.failed,
        }
    }
}

impl SourceCounters {
    /// Each source by its name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("own", self.own),
            ("cache", self.cache),
            ("network", self.network),
            ("partial", self.partial),
        ]
    }

    fn slot(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Own => &mut self.own,
            Source::Cache => &mut self.cache,
            Source::Network => &mut self.network,
            Source::Partial => &mut self.partial,
        }
    }
}

impl QueryCounters {
    /// Each kind of query by its name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, TaskCounters); 4] {
        [
            ("lookup", self.lookups),
            ("put", self.puts),
            ("repair", self.repairs),
            ("bootstrap", self.bootstraps),
        ]
    }
}

/// What a call that is counted asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Get,
    Versions,
    GetRecord,
    PutRecord,
    Register,
    Yank,
    Unregister,
    Search,
    Announce,
    Bootstrap,
    Dial,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that has ended is counted"]
pub(crate) enum CallEnd {
    Answered,
    /// Answered with what was read, from there.
    Read(Source),
    NotFound,
    TimedOut,
    Cancelled,
    Refused,
    Failed,
}

/// A call that has ended, and is to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that has ended is counted"]
pub(crate) struct EndedCall(pub(crate) CallKind, pub(crate) CallEnd);

impl CallEnd {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::NotFound { .. } | Error::Withdrawn { .. } => Self::NotFound,
            Error::Timeout { .. } => Self::TimedOut,
            Error::Busy { .. }
            | Error::Invalid { .. }
            | Error::TooLarge { .. }
            | Error::Conflict { .. } => Self::Refused,
            Error::Ambiguous { .. }
            | Error::NoPeers
            | Error::ShuttingDown
            | Error::Transport { .. } => Self::Failed,
        }
    }
}

/// What a caller may be answered with.
pub(crate) trait Answer {
    /// How a call has ended that is answered with this.
    fn end(&self) -> CallEnd {
        CallEnd::Answered
    }
}

impl Answer for Package {
    fn end(&self) -> CallEnd {
        CallEnd::Read(self.source)
    }
}

impl Answer for Versions {
    fn end(&self) -> CallEnd {
        CallEnd::Read(self.source)
    }
}

impl Answer for Found {
    fn end(&self) -> CallEnd {
        CallEnd::Read(self.source)
    }
}

impl<T: Answer> Answer for Box<T> {
    fn end(&self) -> CallEnd {
        T::end(self)
    }
}

impl<T> Answer for Vec<T> {}
impl<T> Answer for Option<T> {}
impl Answer for () {}
impl Answer for bool {}
impl Answer for u32 {}
impl Answer for usize {}
impl Answer for Announcement {}
impl Answer for Receipt {}
impl Answer for RegistryMetadata {}
impl Answer for Reputation {}
impl Answer for Snapshot {}

/// Calls that ended without the node: answered from the shelf, refused before they were sent, or given up while they
/// waited for room. Counted by their callers, on any thread.
#[derive(Debug, Default)]
pub(crate) struct CountedByCallers([[AtomicU64; Self::ENDS.len()]; Self::KINDS.len()]);

impl CountedByCallers {
    const KINDS: [CallKind; 11] = [
        CallKind::Get,
        CallKind::Versions,
        CallKind::GetRecord,
        CallKind::PutRecord,
        CallKind::Register,
        CallKind::Yank,
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
        assert_eq!(calls.total().total(), 15 * 11);
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
