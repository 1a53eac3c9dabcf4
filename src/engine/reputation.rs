//! What has been seen of each peer's conduct.

use std::collections::HashMap;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

/// What a node has seen of one peer: of what it served from the DHT, and of what it signed and announced.
///
/// Who forwards an announcement is neither credited nor blamed for its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reputation {
    /// Records and announcements that proved valid.
    pub valid: u64,
    /// Records that no honest peer serves: bad signature, wrong key, broken encoding. Those that are expired,
    /// older than what is known or of a later format do not count: whoever serves them is not at fault.
    pub invalid: u64,
}

impl Reputation {
    /// From 0 (everything seen was refused) to 100 (everything seen was valid). A peer of whom nothing is
    /// known stands at 50, and few observations move it little (Laplace's rule of succession).
    ///
    /// ```
    /// assert_eq!(peerage::Reputation::default().score(), 50);
    /// ```
    #[must_use]
    pub fn score(&self) -> u8 {
        let good = u128::from(self.valid) + 1;
        let all = u128::from(self.valid) + u128::from(self.invalid) + 2;
        u8::try_from(100 * good / all).unwrap_or(100)
    }
}

/// The conduct of a bounded number of peers.
#[derive(Debug)]
pub(crate) struct Reputations {
    peers: HashMap<PeerId, (Reputation, u64)>,
    bound: usize,
    observations: u64,
}

impl Reputations {
    pub(crate) fn new(bound: usize) -> Self {
        Self { peers: HashMap::new(), bound, observations: 0 }
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Reputation {
        self.peers.get(peer).map(|(reputation, _)| *reputation).unwrap_or_default()
    }

    pub(crate) fn valid(&mut self, peer: PeerId) {
        if let Some(reputation) = self.observe(peer) {
            reputation.valid = reputation.valid.saturating_add(1);
        }
    }

    pub(crate) fn invalid(&mut self, peer: PeerId) {
        if let Some(reputation) = self.observe(peer) {
            reputation.invalid = reputation.invalid.saturating_add(1);
        }
    }

    fn observe(&mut self, peer: PeerId) -> Option<&mut Reputation> {
        if self.bound == 0 {
            return None;
        }
        self.observations += 1;
        if self.peers.len() >= self.bound && !self.peers.contains_key(&peer) {
            // The peer that was heard of longest ago is forgotten. A scan, but only when a stranger comes
            // to a full house.
            let oldest =
                self.peers.iter().min_by_key(|(_, (_, seen))| *seen).map(|(&peer, _)| peer);
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        let (reputation, seen) = self.peers.entry(peer).or_default();
        *seen = self.observations;
        Some(reputation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_stands_in_the_middle_and_conduct_moves_it() {
        let peer = PeerId::random();
        let mut all = Reputations::new(8);
        assert_eq!(all.get(&peer).score(), 50);
        for _ in 0..9 {
            all.valid(peer);
        }
        assert!(all.get(&peer).score() > 85);
        for _ in 0..90 {
            all.invalid(peer);
        }
        assert!(all.get(&peer).score() < 15);
    }

    #[test]
    fn a_flood_of_strangers_costs_bounded_memory_and_forgets_the_oldest_first() {
        let mut all = Reputations::new(4);
        let (old, known) = (PeerId::random(), PeerId::random());
        all.valid(old);
        all.valid(known);
        for _ in 0..2 {
            all.valid(PeerId::random());
        }
        all.valid(known);
        all.valid(PeerId::random());
        assert_eq!(all.peers.len(), 4);
        assert_eq!(all.get(&old), Reputation::default());
        assert_eq!(all.get(&known).valid, 2);
    }
}
