//! What a node has done since it started, as numbers that only grow.

mod callers;
mod ended;
mod peers;
mod traffic;

use serde::{Deserialize, Serialize};

use crate::package::Source;

pub(crate) use callers::CountedByCallers;
pub(crate) use ended::{Answer, CallEnd, CallKind, EndedCall};
pub(crate) use peers::LetGo;
pub use peers::{GoodbyeCounters, LetGoCounters, PeerCounters};
pub use traffic::{ProtocolCounters, TrafficCounters};

/// What a node has done since it started. Every number only grows, but for the three that say how many there are
/// *now*: [`QueryCounters::running`], [`QueryCounters::waiting`] and [`AnnouncementCounters::queued`].
///
/// They are part of [`RegistryMetadata`](crate::RegistryMetadata), and begin at zero with each node.
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
    /// Messages and bytes to peers and from them.
    pub traffic: TrafficCounters,
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
    /// [`get_package`](crate::Registry::get_package), [`get_version`](crate::Registry::get_version) and
    /// [`resolve`](crate::Registry::resolve).
    pub get: ReadCounters,
    /// [`list_versions`](crate::Registry::list_versions).
    pub versions: ReadCounters,
    /// [`get_record`](crate::Handle::get_record).
    pub get_record: ReadCounters,
    /// [`put_record`](crate::Handle::put_record).
    pub put_record: OutcomeCounters,
    /// [`register`](crate::Registry::register).
    pub register: OutcomeCounters,
    /// [`yank`](crate::Registry::yank), [`yank_with_reason`](crate::Registry::yank_with_reason) and
    /// [`unyank`](crate::Registry::unyank).
    pub yank: OutcomeCounters,
    /// [`deprecate`](crate::Registry::deprecate) and [`undeprecate`](crate::Registry::undeprecate).
    pub deprecate: OutcomeCounters,
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
    /// There is none, or no longer: [`NotFound`](crate::Error::NotFound), [`NoMatch`](crate::Error::NoMatch),
    /// [`Withdrawn`](crate::Error::Withdrawn).
    pub not_found: u64,
    /// The deadline passed first: [`Timeout`](crate::Error::Timeout).
    pub timed_out: u64,
    /// The caller dropped it before it was answered.
    pub cancelled: u64,
    /// It was not begun, for want of room or because it cannot be done: [`Busy`](crate::Error::Busy),
    /// [`Invalid`](crate::Error::Invalid), [`TooLarge`](crate::Error::TooLarge), [`Conflict`](crate::Error::Conflict).
    pub refused: u64,
    /// Anything else: [`NoPeers`](crate::Error::NoPeers), [`NoRoom`](crate::Error::NoRoom),
    /// [`Ambiguous`](crate::Error::Ambiguous), [`Transport`](crate::Error::Transport), [`ShuttingDown`](crate::Error::ShuttingDown).
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
    /// [`Source::Catalogue`].
    pub catalogue: u64,
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
    /// Fillings of the routing table, but for those that the DHT begins by itself.
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
    /// Those that wait now for somebody to subscribe, or for peers to hold what they announce.
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
    pub fn outcomes(&self) -> [(&'static str, OutcomeCounters); 12] {
        [
            ("get", self.get.outcomes),
            ("versions", self.versions.outcomes),
            ("get_record", self.get_record.outcomes),
            ("put_record", self.put_record),
            ("register", self.register),
            ("yank", self.yank),
            ("deprecate", self.deprecate),
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
            CallKind::Deprecate => (&mut self.deprecate, None),
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
    pub fn each(&self) -> [(&'static str, u64); 5] {
        [
            ("own", self.own),
            ("cache", self.cache),
            ("network", self.network),
            ("catalogue", self.catalogue),
            ("partial", self.partial),
        ]
    }

    fn slot(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Own => &mut self.own,
            Source::Cache => &mut self.cache,
            Source::Network => &mut self.network,
            Source::Catalogue => &mut self.catalogue,
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
