//! Peers of the neighbourhood that have left.
//!
//! The configuration does not name them, and yet they may be all that a part of the network has left of the other.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::{MOST_LOST, pauses::Pauses};
use crate::{
    clock::Entropy,
    keyspace::{Distance, Key},
};

/// Whoever has been away for so long is not expected any more.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Peers that have left, with where they could be found.
#[derive(Debug)]
pub(super) struct Lost {
    local: Key,
    pauses: Pauses,
    /// Those before a peer without room is dialed again.
    full: Pauses,
    peers: BTreeMap<PeerId, Neighbour>,
}

#[derive(Debug)]
struct Neighbour {
    distance: Distance,
    addresses: Vec<Multiaddr>,
    pauses: Pauses,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Dialed at this time.
    Away { due: Duration, until: Duration },
    /// Connected again since then, and forgotten once that has lasted.
    Back { since: Duration, until: Duration },
}

impl Lost {
    pub(super) fn new(local: PeerId, pauses: Pauses, full: Pauses) -> Self {
        Self { local: Key::of_peer(&local), pauses, full, peers: BTreeMap::new() }
    }

    /// A peer has gone, for want of room there or because of something else.
    pub(super) fn left(
        &mut self,
        now: Duration,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        is_full: bool,
        members: usize,
        entropy: &mut dyn Entropy,
    ) {
        let mut pauses = if is_full { self.full } else { self.pauses };
        let mut until = now.saturating_add(PATIENCE);
        if let Some(Neighbour {
            pauses: before, state: State::Back { since, until: was }, ..
        }) = self.peers.remove(&peer)
        {
            // One that is back only for moments is away.
            if !self.pauses.has_lasted(now, since) {
                until = was;
            }
            if before.are_like(&pauses) {
                pauses = before;
                pauses.ended(now, since);
            }
        }
        let distance = self.local.distance(&Key::of_peer(&peer));
        let due = pauses.next(now, members, entropy);
        let state = State::Away { due, until };
        self.peers.insert(peer, Neighbour { distance, addresses, pauses, state });
        if self.peers.len() > MOST_LOST {
            let farthest = self.peers.iter().max_by_key(|(_, neighbour)| neighbour.distance);
            if let Some(farthest) = farthest.map(|(peer, _)| *peer) {
                self.peers.remove(&farthest);
            }
        }
    }

    /// A peer of an earlier life: it is dialed at once, and later as one that has just left.
    pub(super) fn known(&mut self, now: Duration, peer: PeerId, addresses: Vec<Multiaddr>) {
        let distance = self.local.distance(&Key::of_peer(&peer));
        let state = State::Away { due: now, until: now.saturating_add(PATIENCE) };
        self.peers.insert(peer, Neighbour { distance, addresses, pauses: self.pauses, state });
    }

    /// A first connection stands with a peer, whoever has dialed.
    pub(super) fn connected(&mut self, now: Duration, peer: &PeerId) {
        if let Some(neighbour) = self.peers.get_mut(peer) {
            let (State::Away { until, .. } | State::Back { until, .. }) = neighbour.state;
            neighbour.state = State::Back { since: now, until };
        }
    }

    /// All who are away are dialed at this time at the latest.
    pub(super) fn hurry(&mut self, soon: Duration) {
        for neighbour in self.peers.values_mut() {
            if let State::Away { due, .. } = &mut neighbour.state {
                *due = soon.min(*due);
            }
        }
    }

    /// When one of them is to be dialed.
    pub(super) fn due(&self) -> Option<Duration> {
        let due = self.peers.values().filter_map(|neighbour| match neighbour.state {
            State::Away { due, .. } => Some(due),
            State::Back { .. } => None,
        });
        due.min()
    }

    /// Those to dial: who is due, and all of them for a node that is alone. When they are dialed after that is decided
    /// at once, so that it does not matter how this ends.
    pub(super) fn take_due(
        &mut self,
        now: Duration,
        is_alone: bool,
        members: usize,
        entropy: &mut dyn Entropy,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let steady = self.pauses;
        self.peers.retain(|_, neighbour| match neighbour.state {
            State::Away { until, .. } => now < until,
            State::Back { since, .. } => !steady.has_lasted(now, since),
        });
        let mut dialed = Vec::new();
        for (peer, neighbour) in &mut self.peers {
            let State::Away { due, until } = neighbour.state else { continue };
            if is_alone {
                // How long the pauses are while nobody is there is another matter.
                neighbour.pauses.reset();
            } else if now < due {
                continue;
            }
            let due = neighbour.pauses.next(now, members, entropy);
            neighbour.state = State::Away { due, until };
            dialed.push((*peer, neighbour.addresses.clone()));
        }
        dialed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Middle;

    impl Entropy for Middle {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(128);
        }
    }

    #[test]
    fn one_that_comes_back_only_for_moments_is_given_up_after_a_day() {
        let pauses = Pauses::new(Duration::from_secs(60));
        let mut lost = Lost::new(PeerId::random(), pauses, pauses.while_full());
        let (peer, mut now) = (PeerId::random(), Duration::ZERO);
        lost.left(now, peer, vec![Multiaddr::empty()], true, 10, &mut Middle);
        for _ in 0..1000 {
            let Some(due) = lost.due() else { break };
            now = due;
            if !lost.take_due(now, false, 10, &mut Middle).is_empty() {
                lost.connected(now, &peer);
                now += Duration::from_secs(1);
                lost.left(now, peer, vec![Multiaddr::empty()], true, 10, &mut Middle);
            }
        }
        assert_eq!(lost.due(), None);
        assert!((PATIENCE..2 * PATIENCE).contains(&now), "{now:?}");
    }
}
