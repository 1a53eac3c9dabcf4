//! The engine, the DHT and the Swarm, side by side: everything between them is a method of this.

use std::{collections::HashSet, sync::Arc};

use libp2p::{Multiaddr, PeerId, Swarm};

use super::{fetches::Fetches, wiring::Wiring};
use crate::{
    bell::Bell,
    engine::{Engine, Fact, Now, SharedStore, dht::Dht},
    net::{Behaviour, Traffic},
    place::Place,
};

/// What decides, what carries out, and what is under way between the two. It does something when the poll loop says so.
pub(super) struct Link {
    pub(super) swarm: Swarm<Behaviour>,
    /// Says whether the Swarm is to be polled.
    pub(super) bell: Bell,
    pub(super) engine: Engine,
    pub(super) dht: Dht,
    /// What the engine holds for the network, as peers reach it.
    pub(super) store: SharedStore,
    /// What of it is being read.
    pub(super) fetches: Fetches,
    pub(super) wiring: Wiring,
    pub(super) traffic: Arc<Traffic>,
}

impl Link {
    /// Tells the engine something, if there is something to tell.
    pub(super) fn tell(&mut self, now: Now, fact: Option<Fact>) {
        if let Some(fact) = fact {
            self.engine.learn(now, fact);
        }
    }

    /// Who is in the mesh of a topic.
    pub(super) fn mesh(&self) -> HashSet<PeerId> {
        self.swarm.behaviour().gossipsub.all_mesh_peers().copied().collect()
    }

    /// Tells the engine how the network stands, for somebody who asks.
    pub(super) fn see(&mut self, now: Now) {
        let mesh = self.mesh();
        let traffic = Box::new(self.traffic.read());
        self.engine.learn(now, Fact::Seen { mesh, traffic });
    }

    /// Tells the routing table where a peer can be found. If it has no seat there, it gets one, as far as the share
    /// of its place goes: `real` is the address of a connection with it.
    pub(super) fn seat(
        &mut self,
        now: Now,
        peer: PeerId,
        real: &Multiaddr,
        addresses: Vec<Multiaddr>,
    ) {
        let place = Place::of(real, self.wiring.count_private);
        self.dht.seat(now.mono, peer, place, addresses);
    }

    /// Ends all connections with a peer.
    pub(super) fn disconnect(&mut self, peer: PeerId) {
        // It may have gone already.
        let _ = self.swarm.disconnect_peer_id(peer);
    }
}
