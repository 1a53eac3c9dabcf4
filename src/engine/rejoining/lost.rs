//! Peers of the neighbourhood that have left.
//!
//! The configuration does not name them, and yet they may be all that a part of the network has left of the other.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    kad::{KBucketDistance, KBucketKey},
};

use super::{MOST_LOST, pauses::Pauses};
use crate::Entropy;

/// Whoever has been away for so long is not expected any more.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Peers that have left, with where they could be found.
#[derive(Debug)]
pub(super) struct Lost {
    local: KBucketKey<PeerId>,
    pauses: Pauses,
    /// Those before a peer without room is dialed again.
    full: Pauses,
    peers: BTreeMap<PeerId, Neighbour>,
}

#[derive(Debug)]
struct Neighbour {
    distance: KBucketDistance,
    addresses: Vec<Multiaddr>,
    pauses: Pauses,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Dialed at this time.
    Away { due: Duration, until: Duration },
    /// Connected again since then, and forgotten once that has lasted.
    Back { since: Duration },
}

impl Lost {
    pub(super) fn new(local: PeerId, pauses: Pauses, full: Pauses) -> Self {
        Self { local: KBucketKey::from(local), pauses, full, peers: BTreeMap::new() }
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
        if let Some(Neighbour { pauses: before, state: State::Back { since }, .. }) =
            self.peers.remove(&peer)
            && before.are_like(&pauses)
        {
            pauses = before;
            pauses.ended(now, since);
        }
        let distance = self.local.distance(&KBucketKey::from(peer));
        let due = pauses.next(now, members, entropy);
        let state = State::Away { due, until: now.saturating_add(PATIENCE) };
        self.peers.insert(peer, Neighbour { distance, addresses, pauses, state });
        if self.peers.len() > MOST_LOST {
            let farthest = self.peers.iter().max_by_key(|(_, neighbour)| neighbour.distance);
            if let Some(farthest) = farthest.map(|(peer, _)| *peer) {
                self.peers.remove(&farthest);
            }
        }
    }

    /// A first connection stands with a peer, whoever has dialed.
    pub(super) fn connected(&mut self, now: Duration, peer: &PeerId) {
        if let Some(neighbour) = self.peers.get_mut(peer) {
            neighbour.state = State::Back { since: now };
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
            State::Back { since } => !steady.has_lasted(now, since),
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
