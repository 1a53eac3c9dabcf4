//! Peers that have come, and why they have gone.

use serde::{Deserialize, Serialize};

use crate::farewell::Farewell;

/// Connections with peers. Several with one peer count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerCounters {
    /// A first connection with a peer stood.
    pub connected: u64,
    /// The last connection with a peer ended.
    pub disconnected: u64,
    /// A peer was refused further connections for what it had served, whether or not it was connected.
    pub blocked: u64,
    /// Connected peers that this node has let go, by why.
    pub let_go: LetGoCounters,
    /// Goodbyes that connected peers have said to this node, by their reason.
    pub goodbyes: GoodbyeCounters,
    /// Connections that others have dialed and this node has refused, because it has too many of them (in all, from
    /// others, with one peer or host, or being set up) or because the process uses too much memory. Blocked peers and
    /// connections that fail in other ways are not among them.
    pub turned_away: u64,
}

/// Connected peers that a node has let go. Each is counted once for the time that it was connected, by the first reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LetGoCounters {
    /// There were more connections than
    /// [`Limits::connection_target`](crate::Limits::connection_target), and others were worth more.
    pub above_target: u64,
    /// It made room for a newcomer, where there was nearly none left.
    pub for_newcomer: u64,
    /// It has served what is invalid: see [`Reputation`](crate::Reputation).
    pub blocked: u64,
    /// It forwarded or asked for more than any honest peer does.
    pub flood: u64,
    /// It belongs to another network, or is no node at all.
    pub other_network: u64,
    /// The node shuts down.
    pub going_away: u64,
}

/// Why a node lets a peer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetGo {
    AboveTarget,
    ForNewcomer,
    Blocked,
    Flood,
    OtherNetwork,
    GoingAway,
}

/// Goodbyes that a node has heard, by what the peers said: see [`Farewell`]. Each peer says one for each time that it is
/// connected, at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GoodbyeCounters {
    /// [`Farewell::NoRoom`].
    pub no_room: u64,
    /// [`Farewell::GoingAway`].
    pub going_away: u64,
    /// [`Farewell::Blocked`].
    pub blocked: u64,
    /// A reason that this version does not know.
    pub other: u64,
}

impl LetGoCounters {
    /// Each reason by its name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64); 6] {
        [
            ("above_target", self.above_target),
            ("for_newcomer", self.for_newcomer),
            ("blocked", self.blocked),
            ("flood", self.flood),
            ("other_network", self.other_network),
            ("going_away", self.going_away),
        ]
    }

    /// How many were let go, for whatever reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.each().iter().map(|(_, times)| times).sum()
    }

    pub(crate) fn count(&mut self, why: LetGo) {
        *match why {
            LetGo::AboveTarget => &mut self.above_target,
            LetGo::ForNewcomer => &mut self.for_newcomer,
            LetGo::Blocked => &mut self.blocked,
            LetGo::Flood => &mut self.flood,
            LetGo::OtherNetwork => &mut self.other_network,
            LetGo::GoingAway => &mut self.going_away,
        } += 1;
    }
}

impl GoodbyeCounters {
    /// Each reason by its name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("no_room", self.no_room),
            ("going_away", self.going_away),
            ("blocked", self.blocked),
            ("other", self.other),
        ]
    }

    /// How many were heard, for whatever reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.each().iter().map(|(_, times)| times).sum()
    }

    pub(crate) fn count(&mut self, said: Option<Farewell>) {
        *match said {
            Some(Farewell::NoRoom) => &mut self.no_room,
            Some(Farewell::GoingAway) => &mut self.going_away,
            Some(Farewell::Blocked) => &mut self.blocked,
            None => &mut self.other,
        } += 1;
    }
}
