//! Peers that were silent, and how it is found out that they are back.

use std::{collections::VecDeque, time::Duration};

use libp2p::PeerId;

/// How often they are asked. A peer that wakes up is used again within two of these.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// How many are asked at a time.
const MOST: usize = 32;

/// Connected peers that did not answer in time the last time they were asked.
#[derive(Debug, Default)]
pub(super) struct Probing {
    /// Those that were asked last stand last.
    silent: VecDeque<PeerId>,
    is_due: bool,
}

impl Probing {
    /// A peer is silent. Whether a deadline is to be set.
    pub(super) fn add(&mut self, peer: PeerId) -> bool {
        if !self.has(&peer) {
            self.silent.push_back(peer);
        }
        !std::mem::replace(&mut self.is_due, true)
    }

    /// It has answered, or has gone. Whether it was silent.
    pub(super) fn remove(&mut self, peer: &PeerId) -> bool {
        let at = self.silent.iter().position(|silent| silent == peer);
        at.and_then(|at| self.silent.remove(at)).is_some()
    }

    /// Whether a peer is silent.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.silent.contains(peer)
    }

    /// The deadline has come: who is asked now. Another one is to be set if there is anybody.
    pub(super) fn due(&mut self) -> Vec<PeerId> {
        self.is_due = !self.silent.is_empty();
        let due: Vec<_> = self.silent.iter().take(MOST).copied().collect();
        self.silent.rotate_left(due.len());
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_are_silent_are_asked_in_turn() {
        let mut probing = Probing::default();
        let peers: Vec<_> = (0..MOST + 8).map(|_| PeerId::random()).collect();
        let set = peers.iter().filter(|peer| probing.add(**peer)).count();
        assert_eq!(set, 1, "there is one deadline");
        assert_eq!(probing.due(), peers[..MOST]);
        assert_eq!(probing.due()[..8], peers[MOST..]);
        peers.iter().for_each(|peer| assert!(probing.remove(peer)));
        assert!(probing.due().is_empty() && probing.add(peers[0]));
    }
}
