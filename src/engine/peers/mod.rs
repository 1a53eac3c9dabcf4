//! Who is connected, how far this node has joined, and whom it dials again.

use libp2p::Multiaddr;

use super::standing::reputation::{self, Blocked};
use crate::{Config, PeerId};

mod connected;
pub(in crate::engine) mod dialing;
pub(in crate::engine) mod goodbyes;
pub(in crate::engine) mod keeping;
pub(in crate::engine) mod rejoining;

pub(in crate::engine) use connected::{
    Candidate, Company, GRACE, Introduction, Peers, Reach, above_target, for_newcomer,
    keep_catalogues,
};
pub use connected::{ConnectedPeer, KeptConnections, KeptFor};

use dialing::Dials;
use goodbyes::Goodbyes;
use rejoining::Rejoining;

/// The room of connections.
#[derive(Debug)]
pub(in crate::engine) struct Peering {
    pub(in crate::engine) peers: Peers,
    /// Where this node listens.
    pub(in crate::engine) addresses: Vec<Multiaddr>,
    pub(in crate::engine) goodbyes: Goodbyes,
    pub(in crate::engine) rejoining: Rejoining,
    pub(in crate::engine) dials: Dials,
    pub(in crate::engine) blocked: Blocked,
}

impl Peering {
    pub(in crate::engine) fn new(local: PeerId, config: &Config) -> Self {
        Self {
            peers: Peers::default(),
            addresses: Vec::new(),
            goodbyes: Goodbyes::default(),
            rejoining: Rejoining::new(local, config, reputation::named),
            dials: Dials::default(),
            blocked: Blocked::default(),
        }
    }
}
