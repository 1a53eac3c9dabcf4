//! What is known of one peer.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use super::super::round_trip::RoundTrip;
use crate::{event::Direction, keyspace::Key, place::Place};

/// A peer with which a connection stands, and which serves the DHT.
#[derive(Debug, Clone)]
pub(crate) struct Newcomer {
    pub(crate) peer: PeerId,
    /// Who has dialed.
    pub(crate) direction: Direction,
    /// Where it was reached, or has come from. None where that is not counted.
    pub(crate) place: Option<Place>,
    /// Where it can be found: where it was reached comes first, and then what it says.
    pub(crate) addresses: Vec<Multiaddr>,
}

/// A peer that the table knows.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) peer: PeerId,
    pub(crate) key: Key,
    /// Where it can be found, what was told last coming last.
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) standing: History,
    /// What its seat is charged to, wherever it has moved since.
    pub(crate) place: Option<Place>,
}

/// How a peer has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) link: Link,
    /// When it was last known to be there.
    pub(crate) seen: Duration,
    pub(crate) round_trip: RoundTrip,
    /// It did not answer in time when it was last asked.
    pub(crate) silent: bool,
    /// Dials in a row that have found nobody.
    pub(crate) failed_dials: u8,
    pub(crate) dialable: Dialable,
}

/// Whether a connection with a peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Apart,
    /// It has dialed this node.
    Inbound,
    /// This node has dialed it, whether or not it has dialed this node as well.
    Outbound,
}

/// Whether others can reach a peer where it says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialable {
    /// This node has reached it.
    Proven,
    /// It says so, and nobody has tried.
    Told,
    /// It was there, connected from its side, while nobody could be reached where it says that it is. It is behind a NAT
    /// or a firewall: reachable through this node, and no place to store at.
    Refused,
}

impl Entry {
    pub(super) fn new(now: Duration, key: Key, most: usize, newcomer: Newcomer) -> Self {
        let Newcomer { peer, direction, place, addresses } = newcomer;
        let standing = History {
            link: Link::Apart,
            seen: now,
            round_trip: RoundTrip::new(),
            silent: false,
            failed_dials: 0,
            dialable: Dialable::Told,
        };
        let mut entry = Self { peer, key, addresses: Vec::new(), standing, place };
        entry.introduced(now, direction, most, addresses);
        entry
    }

    /// It says over a connection where it can be found. What it said before is kept as far as there is room.
    pub(super) fn introduced(
        &mut self,
        now: Duration,
        direction: Direction,
        most: usize,
        mut told: Vec<Multiaddr>,
    ) {
        told.truncate(most);
        // Where it was refused is no longer all that it says.
        if self.standing.dialable == Dialable::Refused
            && told.iter().any(|address| !self.addresses.contains(address))
        {
            self.standing.dialable = Dialable::Told;
        }
        self.addresses.retain(|address| !told.contains(address));
        let surplus = (self.addresses.len() + told.len()).saturating_sub(most);
        self.addresses.drain(..surplus);
        for address in told {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        self.standing.connected(now, direction);
    }
}

impl History {
    pub(crate) fn is_connected(&self) -> bool {
        self.link != Link::Apart
    }

    /// Whether others are asked first: it was silent, or is not to be reached.
    pub(crate) fn is_tried_last(&self) -> bool {
        let lost = self.failed_dials > 0 || !self.is_dialable();
        self.silent || (lost && !self.is_connected())
    }

    /// Whether others can be sent to it, and records be stored there.
    pub(crate) fn is_dialable(&self) -> bool {
        self.dialable != Dialable::Refused
    }

    pub(super) fn connected(&mut self, now: Duration, direction: Direction) {
        self.seen = now;
        self.failed_dials = 0;
        if direction == Direction::Outbound {
            self.link = Link::Outbound;
            self.dialable = Dialable::Proven;
        } else if self.link == Link::Apart {
            self.link = Link::Inbound;
        }
    }

    pub(super) fn disconnected(&mut self, now: Duration) {
        self.seen = now;
        self.link = Link::Apart;
    }

    pub(super) fn answered(&mut self, now: Duration, round_trip: Duration) {
        self.seen = now;
        self.silent = false;
        self.failed_dials = 0;
        self.round_trip.sample(round_trip);
    }

    pub(super) fn silent(&mut self) {
        // Of several requests that were under way at that time, one says as much as all.
        if !std::mem::replace(&mut self.silent, true) {
            self.round_trip.timed_out();
        }
    }

    /// A dial to all of its addresses has failed.
    pub(super) fn unreachable(&mut self) {
        match self.link {
            Link::Apart => self.failed_dials = self.failed_dials.saturating_add(1),
            Link::Inbound => self.dialable = Dialable::Refused,
            // One that was dialed a second time.
            Link::Outbound => {}
        }
    }
}
