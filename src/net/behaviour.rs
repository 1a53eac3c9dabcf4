//! The protocols that a node speaks, set up for one network.

use std::{num::NonZeroUsize, time::Duration};

use libp2p::{
    PeerId, StreamProtocol, allow_block_list, identify,
    identity::Keypair,
    kad::{self, store::RecordStore},
    swarm::NetworkBehaviour,
};

use super::{
    admission,
    attributed::{Attributed, Audience},
    counts,
    exchange::{self, Exchange},
    gossip::{self, Gossipsub, Subscriptions},
    introduction,
    told::Told,
};
use crate::{Config, DhtMode, Error, NetworkName, Result};

/// A reply to a lookup carries a record and the addresses of up to twenty peers; with libp2p's default of
/// 16 KiB a record of 14,000 bytes can be held and yet not be served.
const MAX_DHT_PACKET_BYTES: usize = 64 * 1024;

const REFRESH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Everything that a node says and hears, over the record store `S`.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour<S>
where
    S: RecordStore + Audience + Send + 'static,
{
    /// First, so that nobody else hears of a peer that is refused.
    pub(crate) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    /// Then, so that a connection above the limits is refused before anyone else hears of it.
    pub(crate) counts: counts::Behaviour,
    pub(crate) admission: admission::Behaviour,
    pub(crate) identify: Told,
    pub(crate) kad: Attributed<S>,
    pub(crate) gossipsub: Gossipsub,
    pub(crate) exchange: Exchange,
}

impl<S> Behaviour<S>
where
    S: RecordStore + Audience + Send + 'static,
{
    /// What is subscribed goes through `subscriptions`.
    pub(crate) fn new(
        keypair: &Keypair,
        config: &Config,
        store: S,
        subscriptions: &Subscriptions,
    ) -> Result<Self> {
        let peer_id = keypair.public().to_peer_id();
        Ok(Self {
            blocked: allow_block_list::Behaviour::default(),
            counts: counts::Behaviour::new(peer_id, &config.limits),
            admission: admission::Behaviour::new(&config.limits),
            identify: identify(keypair, &config.network),
            kad: Attributed::new(dht(peer_id, config, store)?),
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

fn dht<S>(peer_id: PeerId, config: &Config, store: S) -> Result<kad::Behaviour<S>>
where
    S: RecordStore + Send + 'static,
{
    let mut settings = kad::Config::new(dht_protocol(&config.network)?);
    settings
        // A peer gets a seat in the routing table from the node, which sees to it that no host has too many.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        // Records carry their own signed validity, which the store enforces on the node's clock.
        .set_record_ttl(None)
        .set_provider_record_ttl(None)
        .set_provider_publication_interval(None)
        // Own records are put again by the engine, which knows when they must be signed anew.
        .set_publication_interval(None)
        // And so are those of others: Kademlia's own job notes every key that it is sent, valid or not, for
        // as long as the interval lasts.
        .set_replication_interval(None)
        // The store validates, and what it refuses is not acknowledged: an acknowledgement means stored.
        .set_record_filtering(kad::StoreInserts::Unfiltered)
        // Kademlia caches nothing by itself: it tells which of the closest peers had no copy, and the engine
        // repairs them.
        .set_caching(kad::Caching::Enabled { max_peers: REPLICATION_FACTOR.get() as u16 })
        .set_max_packet_size(MAX_DHT_PACKET_BYTES)
        .set_periodic_bootstrap_interval(Some(refresh_interval(&peer_id)))
        .set_query_timeout(config.query_timeout);
    let mut kad = kad::Behaviour::with_config(peer_id, store, settings);
    kad.set_mode(Some(match config.mode {
        DhtMode::Server => kad::Mode::Server,
        DhtMode::Client => kad::Mode::Client,
    }));
    Ok(kad)
}

/// How long a node waits before it looks for its neighbours again and fills thin buckets: about the hour of the [paper],
/// section 2.3. By default libp2p does so every five minutes, which has each node of a quiet network dial a few dozen peers
/// and let them go again. Nodes that started together have different intervals.
///
/// [paper]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf
fn refresh_interval(local: &PeerId) -> Duration {
    let spread = local.to_bytes().last().copied().unwrap_or_default();
    REFRESH_INTERVAL.mul_f64(0.9 + 0.2 * f64::from(spread) / 255.0)
}

/// The number of peers that a record is put to, which is also the most that can acknowledge it.
pub(crate) const REPLICATION_FACTOR: NonZeroUsize = kad::K_VALUE;
