//! Whom the node has broken with, for a while.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;

use crate::engine::wheel;

/// Peers with which no connection is made, each with the deadline that ends it.
#[derive(Debug, Default)]
pub(crate) struct Blocked {
    peers: HashMap<PeerId, wheel::Key>,
    /// In the order in which they were blocked.
    order: VecDeque<PeerId>,
}

impl Blocked {
    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The one that has been blocked for longest.
    pub(super) fn first(&self) -> Option<PeerId> {
        self.order.front().copied()
    }

    pub(super) fn insert(&mut self, peer: PeerId, until: wheel::Key) {
        if self.peers.insert(peer, until).is_none() {
            self.order.push_back(peer);
        }
    }

    /// The deadline of a block that ends now.
    pub(in crate::engine) fn remove(&mut self, peer: &PeerId) -> Option<wheel::Key> {
        let until = self.peers.remove(peer)?;
        // Nearly always the first: all are blocked for the same time.
        self.order.retain(|blocked| blocked != peer);
        Some(until)
    }
}
