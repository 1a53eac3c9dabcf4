//! The routing table: who is known, where, and how they have answered ([Kademlia], section 2.2 and 2.4).
//!
//! Peers stand in buckets, by the highest bit in which their key differs from this node's. Only a connection brings
//! somebody here: what others tell is tried first. One that cannot be reached keeps its seat, since networks come back,
//! until somebody else needs it.
//!
//! | file | what it knows |
//! |--|--|
//! | `entry.rs` | one peer: where it can be found, how it has done so far |
//! | `bucket.rs` | peers that share a distance, and those who wait for one of their seats |
//! | `places.rs` | how many seats one host, and one network, may take |
//! | `seats.rs` | who gets a seat, who waits for one, and who gives it up |
//! | `nearest.rs` | the peers closest to a key |
//! | `refresh.rs` | what is to be looked up so that the table stays full |
//! | `size.rs` | how many peers there are, and who is near enough to a key to hold what is kept there |
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf

// Nothing drives it yet.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use self::{bucket::Bucket, places::Places, seats::Challenge};
use crate::{
    config::Limits,
    event::Direction,
    keyspace::{KEY_BITS, Key, REPLICAS},
};

mod bucket;
mod entry;
mod nearest;
mod places;
mod refresh;
mod seats;
mod size;
#[cfg(test)]
pub(super) mod tests;

pub(crate) use self::{
    entry::{Entry, Newcomer},
    refresh::ENOUGH,
    seats::{Change, Seat},
    size::NetworkSize,
};

/// Seats of a bucket, at the most.
pub(crate) const K: usize = REPLICAS;

#[derive(Debug)]
pub(crate) struct Table {
    local: Key,
    /// Seats of each bucket.
    k: usize,
    /// By depth, which is how many bits a key shares with this node's: the first has the half of key space that is
    /// farthest away. As deep as anybody is known.
    buckets: Vec<Bucket>,
    places: Places,
    challenges: Vec<Challenge>,
    addresses_per_peer: usize,
    /// When this node's own key was last looked up.
    neighbourhood_used: Option<Duration>,
}

impl Table {
    /// An empty table, with `k` seats in each bucket: from 1 to [`K`].
    pub(crate) fn new(local: Key, limits: &Limits, k: usize) -> Self {
        Self {
            local,
            k: k.clamp(1, K),
            buckets: Vec::new(),
            places: Places::new(limits),
            challenges: Vec::new(),
            addresses_per_peer: limits.addresses_per_peer,
            neighbourhood_used: None,
        }
    }

    /// A connection with a peer stands. Whoever is there keeps its seat.
    pub(crate) fn connected(&mut self, now: Duration, peer: &PeerId, direction: Direction) {
        if let Some(entry) = self.known_mut(peer) {
            entry.standing.connected(now, direction);
        }
        self.end_challenge_of(peer);
    }

    /// The last connection with a peer has ended. It does not wait for a seat any longer.
    pub(crate) fn disconnected(&mut self, now: Duration, peer: &PeerId) {
        self.stop_waiting(peer);
        if let Some(entry) = self.known_mut(peer) {
            entry.standing.disconnected(now);
        }
    }

    /// A peer has answered, after this time, even if nobody waited for it any longer.
    pub(crate) fn answered(&mut self, now: Duration, peer: &PeerId, round_trip: Duration) {
        if let Some(entry) = self.known_mut(peer) {
            entry.standing.answered(now, round_trip);
        }
        self.end_challenge_of(peer);
    }

    /// The answer of a peer is overdue.
    pub(crate) fn silent(&mut self, peer: &PeerId) {
        if let Some(entry) = self.known_mut(peer) {
            entry.standing.silent();
        }
    }

    /// Nobody was reached at any address of a peer. If it is connected from its side, it is not to be reached by others
    /// either.
    pub(crate) fn unreachable(&mut self, peer: &PeerId) {
        if let Some(entry) = self.known_mut(peer) {
            entry.standing.unreachable();
        }
    }

    /// A peer that has a seat.
    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Entry> {
        self.at(&Key::of_peer(peer))
    }

    /// The same by its key, where that is at hand: to make it takes a hash.
    pub(crate) fn at(&self, key: &Key) -> Option<&Entry> {
        self.buckets.get(self.depth(key)?)?.get(key)
    }

    /// Where a peer that has a seat can be found.
    pub(crate) fn addresses(&self, peer: &PeerId) -> &[Multiaddr] {
        self.get(peer).map(|entry| entry.addresses.as_slice()).unwrap_or_default()
    }

    pub(crate) fn is_seated(&self, peer: &PeerId) -> bool {
        self.get(peer).is_some()
    }

    /// How many peers have a seat.
    pub(crate) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.seated.len()).sum()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.seated.is_empty())
    }

    /// All peers that have a seat, those that are farthest from this node first.
    /// All that have a seat.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| &bucket.seated)
    }

    /// How many bits a key shares with this node's, or none where it is the same.
    fn depth(&self, key: &Key) -> Option<usize> {
        Some(KEY_BITS - 1 - self.local.distance(key).bucket()?)
    }

    fn known_mut(&mut self, peer: &PeerId) -> Option<&mut Entry> {
        let key = Key::of_peer(peer);
        let depth = self.depth(&key)?;
        self.buckets.get_mut(depth)?.known_mut(&key)
    }

    fn most_seats(&self) -> usize {
        self.buckets.len() * self.k
    }
}
