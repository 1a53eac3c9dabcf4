//! The protocols that a node speaks, set up for one network.

use libp2p::{
    PeerId, StreamProtocol, allow_block_list, identify, identity::Keypair, swarm::NetworkBehaviour,
};

use super::{
    Resolved, admission, counts,
    exchange::{self, Exchange},
    gossip::{self, Gossipsub, Subscriptions},
    introduction, kad,
    told::Told,
};
use crate::{
    config::Config,
    error::{Error, Result},
    record::NetworkName,
};

/// Everything that a node says and hears.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    /// First, so that nobody else hears of a peer that is refused.
    pub(crate) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    /// Then, so that a connection above the limits is refused before anyone else hears of it.
    pub(crate) counts: counts::Behaviour,
    pub(crate) admission: admission::Behaviour,
    pub(crate) identify: Told,
    pub(crate) kad: kad::Behaviour,
    pub(crate) gossipsub: Gossipsub,
    pub(crate) exchange: Exchange,
}

impl Behaviour {
    /// What is subscribed goes through `subscriptions`, and where names have led comes from `resolved`.
    pub(crate) fn new(
        keypair: &Keypair,
        config: &Config,
        subscriptions: &Subscriptions,
        resolved: Resolved,
    ) -> Result<Self> {
        let peer_id = keypair.public().to_peer_id();
        Ok(Self {
            blocked: allow_block_list::Behaviour::default(),
            counts: counts::Behaviour::new(peer_id, &config.limits),
            admission: admission::Behaviour::new(&config.limits).with_resolved(resolved),
            identify: identify(keypair, &config.network),
            kad: kad::Behaviour::new(dht_protocol(&config.network)?, config.mode),
            gossipsub: gossip::behaviour(&config.network, subscriptions)?,
            exchange: exchange::behaviour(&config.network)?,
        })
    }

    /// Tells gossipsub how a connected peer conducts itself, from -1 (the worst there is: it is not heard any more)
    /// over 0 (nothing is known) to 1. It forgets a peer when it leaves, unless its score is below zero.
    pub(crate) fn set_application_score(&mut self, peer: &PeerId, conduct: f64) {
        self.gossipsub.set_application_score(peer, gossip::application_score(conduct));
    }
}

/// The name under which a peer of this network speaks the DHT protocol.
pub(crate) fn dht_protocol(network: &NetworkName) -> Result<StreamProtocol> {
    StreamProtocol::try_from_owned(format!("/peerage/{network}/kad/1.0.0"))
        .map_err(|error| Error::invalid("network", error.to_string()))
}

fn identify(keypair: &Keypair, network: &NetworkName) -> Told {
    let config = identify::Config::new(introduction::version(network), keypair.public())
        .with_agent_version(concat!("peerage/", env!("CARGO_PKG_VERSION")).to_owned())
        // Peers learn of a new address when it appears, not at the next round five minutes later.
        .with_push_listen_addr_updates(true)
        // It would dial whatever a peer has said of itself, its own loopback addresses among them, where somebody else
        // may answer first. The routing table holds what is left of that.
        .with_cache_size(0);
    Told::new(identify::Behaviour::new(config))
}
