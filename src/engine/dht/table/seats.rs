//! Who gets a seat, who waits for one, and who gives it up.
//!
//! Kademlia prefers those who have long been there ([Kademlia], section 2.2): a newcomer waits until a seat is free, and
//! meanwhile the one is dialed that was not seen for the longest time, among those in whose place the newcomer could
//! sit. If nobody answers, its seat is free. So a household whose node has started anew with another identity a few times
//! is not locked out, and those who are there cannot be driven away.
//!
//! Nobody waits for whom there is room: whoever leaves is replaced at once, by who was seen last.
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf

use std::time::Duration;

use libp2p::PeerId;

use super::{Entry, Key, Newcomer, Table};
use crate::place::Place;

/// Seats that are in question at a time: each is a dial.
pub(super) const MAX_CHALLENGES: usize = 16;

/// What has become of a peer that asks for a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    Entered,
    /// It had one. What it says of its addresses was noted.
    Known,
    /// Its bucket, its host's share or its network's is full. This one is to be dialed, to see whether it still needs
    /// its seat; what comes of it is told to [`Table::challenge_met`] or [`Table::challenge_failed`].
    Waits {
        challenge: Option<PeerId>,
    },
    /// It says nowhere to be found, or is this node itself.
    Declined,
}

/// Who has lost a seat, and who has got one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) left: Option<PeerId>,
    /// Two at the most: what is free in a bucket and what is free at a place may serve different peers.
    pub(crate) entered: Vec<PeerId>,
}

/// A peer is dialed, to see whether it still needs its seat. No connection with it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Challenge {
    pub(super) seated: PeerId,
    pub(super) newcomer: PeerId,
}

impl Table {
    /// A peer with which a connection stands says that it serves, and where it can be found. Who has no seat gets one if
    /// there is room, and waits for one otherwise, for as long as it is connected.
    pub(crate) fn seat(&mut self, now: Duration, newcomer: Newcomer) -> Seat {
        let key = Key::of_peer(&newcomer.peer);
        let Some(depth) = self.depth(&key) else { return Seat::Declined };
        let most = self.addresses_per_peer;
        self.end_challenge_of(&newcomer.peer);
        if let Some(entry) = self.buckets.get_mut(depth).and_then(|bucket| bucket.get_mut(&key)) {
            entry.introduced(now, newcomer.direction, most, newcomer.addresses);
            return Seat::Known;
        }
        if newcomer.addresses.is_empty() {
            return Seat::Declined;
        }
        if self.buckets.len() <= depth {
            self.buckets.resize_with(depth + 1, Default::default);
        }
        let Some(bucket) = self.buckets.get_mut(depth) else { return Seat::Declined };
        let entry = match bucket.take_waiting(&key) {
            Some(mut waited) => {
                // Nothing was charged yet.
                waited.place = newcomer.place;
                waited.introduced(now, newcomer.direction, most, newcomer.addresses);
                waited
            }
            None => Entry::new(now, key, most, newcomer),
        };
        if self.has_room(depth, entry.place) {
            self.enter(depth, entry);
            return Seat::Entered;
        }
        let challenge = self.challenge(depth, &entry);
        let per_host = self.places.per_host;
        if let Some(bucket) = self.buckets.get_mut(depth) {
            bucket.wait(entry, per_host);
        }
        Seat::Waits { challenge }
    }

    /// Whoever was dialed is there, and keeps its seat.
    pub(crate) fn challenge_met(&mut self, peer: &PeerId) {
        self.end_challenge_of(peer);
    }

    /// Whoever was dialed is gone, and gives its seat to the newcomer, or to who else waits and was seen last. If
    /// nobody waits any longer, it keeps the seat.
    pub(crate) fn challenge_failed(&mut self, peer: &PeerId) -> Change {
        let Some(Challenge { newcomer, .. }) = self.end_challenge_of(peer) else {
            return Change::default();
        };
        let Some((depth, mut entry)) = self.vacate(peer) else { return Change::default() };
        entry.standing.unreachable();
        let entered = self.promote(Some(newcomer));
        if entered.is_empty() {
            self.enter(depth, entry);
            return Change::default();
        }
        Change { left: Some(*peer), entered }
    }

    /// Takes out a peer that is not to be asked any more. Its seat goes to whoever waits for it and was seen last.
    pub(crate) fn remove(&mut self, peer: &PeerId) -> Change {
        self.end_challenge_of(peer);
        self.stop_waiting(peer);
        if self.vacate(peer).is_none() {
            return Change::default();
        }
        Change { left: Some(*peer), entered: self.promote(None) }
    }

    /// A seat that is challenged no longer, if it was.
    pub(super) fn end_challenge_of(&mut self, peer: &PeerId) -> Option<Challenge> {
        let at = self.challenges.iter().position(|challenge| challenge.seated == *peer)?;
        Some(self.challenges.swap_remove(at))
    }

    pub(super) fn stop_waiting(&mut self, peer: &PeerId) {
        let key = Key::of_peer(peer);
        if let Some(bucket) = self.depth(&key).and_then(|depth| self.buckets.get_mut(depth)) {
            bucket.take_waiting(&key);
        }
    }

    /// Whose seat is put into question by a newcomer: not while either is part of a challenge already.
    fn challenge(&mut self, depth: usize, newcomer: &Entry) -> Option<PeerId> {
        let is_busy = self.challenges.len() >= MAX_CHALLENGES
            || self.challenges.iter().any(|challenge| challenge.newcomer == newcomer.peer);
        if is_busy {
            return None;
        }
        let crowded = self.places.crowded(newcomer.place);
        let is_full = self.is_full(depth);
        let buckets = self.buckets.iter().enumerate();
        let in_question = buckets
            .filter(|(at, _)| !is_full || *at == depth)
            .flat_map(|(_, bucket)| &bucket.seated)
            .filter(|entry| crowded.includes(entry.place) && !entry.standing.is_connected())
            .filter(|entry| self.challenges.iter().all(|other| other.seated != entry.peer));
        let seated = in_question.min_by_key(|entry| entry.standing.seen)?.peer;
        self.challenges.push(Challenge { seated, newcomer: newcomer.peer });
        Some(seated)
    }

    fn is_full(&self, depth: usize) -> bool {
        self.buckets.get(depth).is_some_and(|bucket| bucket.seated.len() >= self.k)
    }

    fn has_room(&self, depth: usize, place: Option<Place>) -> bool {
        !self.is_full(depth) && self.places.has_room(place)
    }

    pub(super) fn enter(&mut self, depth: usize, entry: Entry) {
        if let Some(bucket) = self.buckets.get_mut(depth) {
            bucket.since.get_or_insert(entry.standing.seen);
            self.places.charge(entry.place);
            bucket.seated.push(entry);
        }
    }

    fn vacate(&mut self, peer: &PeerId) -> Option<(usize, Entry)> {
        let key = Key::of_peer(peer);
        let depth = self.depth(&key)?;
        let entry = self.buckets.get_mut(depth)?.take_seated(&key)?;
        self.places.give_back(entry.place);
        Some((depth, entry))
    }

    /// Seats those who wait and for whom there is room: first this one, then who was seen last.
    fn promote(&mut self, first: Option<PeerId>) -> Vec<PeerId> {
        let mut entered = Vec::new();
        while let Some((depth, key)) = self.next_in_line(first)
            && let Some(entry) =
                self.buckets.get_mut(depth).and_then(|bucket| bucket.take_waiting(&key))
        {
            entered.push(entry.peer);
            self.enter(depth, entry);
        }
        entered
    }

    fn next_in_line(&self, first: Option<PeerId>) -> Option<(usize, Key)> {
        let buckets = self.buckets.iter().enumerate();
        let waiting = buckets
            .flat_map(|(depth, bucket)| bucket.waiting.iter().map(move |entry| (depth, entry)));
        waiting
            .filter(|(depth, entry)| self.has_room(*depth, entry.place))
            .max_by_key(|(_, entry)| (Some(entry.peer) == first, entry.standing.seen))
            .map(|(depth, entry)| (depth, entry.key))
    }
}
