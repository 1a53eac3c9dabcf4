//! Peers of which those that have no room have told, for a node that has nobody.

use std::collections::{BTreeSet, VecDeque};

use libp2p::{Multiaddr, PeerId};

use crate::exchange::{MAX_OTHERS, Other};

/// So many are dialed at a time.
const AT_A_TIME: usize = 3;

/// So many wait to be dialed: what three peers have told.
const MOST_WAITING: usize = 3 * MAX_OTHERS;

/// So many are dialed before a bootstrap address is dialed again. Those that have no room tell of others in turn, and
/// without a bound a few of them could lead a node from one to the next for ever.
const MOST_TRIED: usize = 64;

/// Peers that may have room.
#[derive(Debug, Default)]
pub(super) struct Told {
    waiting: VecDeque<Candidate>,
    dialing: BTreeSet<PeerId>,
    /// Each is dialed once.
    tried: BTreeSet<PeerId>,
}

/// A peer that may have room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    /// The address of the connection over which it was told.
    pub(super) over: Multiaddr,
}

impl Told {
    /// A peer without room has told of these, over a connection with this address.
    pub(super) fn hear(&mut self, others: Vec<Other>, over: &Multiaddr) {
        let room = MOST_WAITING.saturating_sub(self.waiting.len());
        let new = others.into_iter().filter(|other| !self.tried.contains(&other.peer));
        let new = new.map(|Other { peer, addresses }| {
            let over = over.clone();
            Candidate { peer, addresses, over }
        });
        self.waiting.extend(new.take(room));
    }

    /// The next one to dial, if there may be one more.
    pub(super) fn next(&mut self) -> Option<Candidate> {
        while self.dialing.len() < AT_A_TIME && self.tried.len() < MOST_TRIED {
            let candidate = self.waiting.pop_front()?;
            if self.tried.insert(candidate.peer) {
                self.dialing.insert(candidate.peer);
                return Some(candidate);
            }
        }
        None
    }

    /// A dial has ended. Whether it was one of these.
    pub(super) fn ended(&mut self, peer: &PeerId) -> bool {
        self.dialing.remove(peer)
    }

    /// Whether some were dialed since the last time that there was somebody.
    pub(super) fn has_dialed(&self) -> bool {
        !self.tried.is_empty()
    }

    /// Those who have no room are about to be asked once more: what they tell then counts anew.
    pub(super) fn begin_round(&mut self) {
        self.tried = self.dialing.clone();
    }

    /// There is somebody.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.begin_round();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(count: usize) -> Vec<Other> {
        let other = |_| Other { peer: PeerId::random(), addresses: vec![Multiaddr::empty()] };
        (0..count).map(other).collect()
    }

    fn all(told: &mut Told) -> Vec<PeerId> {
        let mut all = Vec::new();
        while let Some(candidate) = told.next() {
            assert!(told.ended(&candidate.peer) && !told.ended(&candidate.peer));
            all.push(candidate.peer);
        }
        all
    }

    #[test]
    fn three_are_dialed_at_a_time_and_each_once() {
        let mut told = Told::default();
        let others = others(5);
        told.hear(others.clone(), &Multiaddr::empty());
        told.hear(others.clone(), &Multiaddr::empty());
        let first: Vec<PeerId> =
            std::iter::from_fn(|| told.next()).map(|candidate| candidate.peer).collect();
        assert_eq!(first, [others[0].peer, others[1].peer, others[2].peer]);
        assert!(told.ended(&first[1]));
        assert_eq!(told.next().map(|candidate| candidate.peer), Some(others[3].peer));
        assert!(told.next().is_none());
        for peer in [others[0].peer, others[2].peer, others[3].peer] {
            assert!(told.ended(&peer));
        }
        assert_eq!(all(&mut told), [others[4].peer]);
        told.hear(others, &Multiaddr::empty());
        assert!(told.next().is_none());
    }

    #[test]
    fn those_who_tell_of_others_without_end_are_followed_to_a_bound() {
        let mut told = Told::default();
        let mut dialed = 0;
        for _ in 0..100 {
            told.hear(others(MAX_OTHERS), &Multiaddr::empty());
            assert!(told.waiting.len() <= MOST_WAITING);
            dialed += all(&mut told).len();
        }
        assert_eq!(dialed, MOST_TRIED);
        told.begin_round();
        assert_eq!(all(&mut told).len(), MOST_WAITING);
    }
}
