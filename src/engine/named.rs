//! Which peer an address names, and whom the configuration names by one.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::engine::context::Context;

/// The peer that an address names.
pub(in crate::engine) fn named(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

impl Context {
    /// Whether a bootstrap address names this peer.
    pub(in crate::engine) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.config.bootstrap.iter().any(|address| named(address) == Some(*peer))
    }
}
