//! The protocols that a node speaks, set up for one network.

use std::num::NonZeroUsize;

use libp2p::{
    PeerId, StreamProtocol, allow_block_list, connection_limits, gossipsub, identify,
    identity::Keypair,
    kad::{self, store::RecordStore},
    swarm::NetworkBehaviour,
};
use sha2::{Digest as _, Sha256};

use super::attributed::{Attributed, Audience};
use crate::{Config, DhtMode, Error, NetworkName, Result, record::Message};

/// Announcements carry a signed head at the most, with room for gossipsub's own framing.
const MAX_GOSSIP_BYTES: usize = 16 * 1024;

/// A reply to a lookup carries a record and the addresses of up to twenty peers; with libp2p's default of
/// 16 KiB a record of 14,000 bytes can be held and yet not be served.
const MAX_DHT_PACKET_BYTES: usize = 64 * 1024;

/// Topics that one peer may subscribe. More is a flood.
const MAX_TOPICS_PER_PEER: usize = 256;

pub(crate) type Gossipsub = gossipsub::Behaviour<
    gossipsub::IdentityTransform,
    gossipsub::MaxCountSubscriptionFilter<NetworkTopics>,
>;

/// Topics of one network, with names as long as messages have them. Whatever else a peer subscribes is not kept.
#[derive(Debug)]
pub(crate) struct NetworkTopics {
    prefix: String,
}

impl gossipsub::TopicSubscriptionFilter for NetworkTopics {
    fn can_subscribe(&mut self, topic: &gossipsub::TopicHash) -> bool {
        let name = topic.as_str().strip_prefix(&self.prefix);
        name.is_some_and(|name| (1..=Message::MAX_TOPIC_BYTES).contains(&name.len()))
    }
}

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
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) kad: Attributed<S>,
    pub(crate) gossipsub: Gossipsub,
}

impl<S> Behaviour<S>
where
    S: RecordStore + Audience + Send + 'static,
{
    pub(crate) fn new(keypair: &Keypair, config: &Config, store: S) -> Result<Self> {
        let peer_id = keypair.public().to_peer_id();
        Ok(Self {
            blocked: allow_block_list::Behaviour::default(),
            limits: limits(config),
            identify: introduction(keypair, &config.network),
            kad: Attributed::new(dht(peer_id, config, store)?),
            gossipsub: gossip(&config.network)?,
        })
    }
}

/// The name under which a peer of this network speaks the DHT protocol.
pub(crate) fn dht_protocol(network: &NetworkName) -> Result<StreamProtocol> {
    StreamProtocol::try_from_owned(format!("/peerage/{network}/kad/1.0.0"))
        .map_err(|error| Error::invalid("network", error.to_string()))
}

/// The name of a topic on the wire. The application's names are prefixed with the network's.
pub(crate) fn topic_name(network: &NetworkName, topic: &str) -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(format!("peerage/{network}/{topic}"))
}

fn limits(config: &Config) -> connection_limits::Behaviour {
    let limits = &config.limits;
    connection_limits::Behaviour::new(
        connection_limits::ConnectionLimits::default()
            .with_max_established(Some(limits.connections))
            // Strangers who take all places that there are for them leave some to dial from.
            .with_max_established_incoming(Some(limits.connections - limits.connections / 4))
            .with_max_established_per_peer(Some(limits.connections_per_peer))
            .with_max_pending_incoming(Some(limits.pending_connections))
            .with_max_pending_outgoing(Some(limits.pending_connections)),
    )
}

fn introduction(keypair: &Keypair, network: &NetworkName) -> identify::Behaviour {
    let config = identify::Config::new(format!("/peerage/{network}/1.0.0"), keypair.public())
        .with_agent_version(concat!("peerage/", env!("CARGO_PKG_VERSION")).to_owned())
        // Peers learn of a new address when it appears, not at the next round five minutes later.
        .with_push_listen_addr_updates(true);
    identify::Behaviour::new(config)
}

fn dht<S>(peer_id: PeerId, config: &Config, store: S) -> Result<kad::Behaviour<S>>
where
    S: RecordStore + Send + 'static,
{
    let mut settings = kad::Config::new(dht_protocol(&config.network)?);
    settings
        // Records carry their own signed validity, which the store enforces on the node's clock.
        .set_record_ttl(None)
        .set_provider_record_ttl(None)
        .set_provider_publication_interval(None)
        // Own records are put again by the engine, which knows when they must be signed anew.
        .set_publication_interval(None)
        // And so are those of others: Kademlia's own job notes every key that it is sent, valid or not, for
        // as long as the interval lasts.
        .set_replication_interval(None)
        // The store validates and its refusal resets the stream, so that an acknowledgement means stored.
        .set_record_filtering(kad::StoreInserts::Unfiltered)
        // Kademlia caches nothing by itself: it tells which of the closest peers had no copy, and the engine
        // repairs them.
        .set_caching(kad::Caching::Enabled { max_peers: REPLICATION_FACTOR.get() as u16 })
        .set_max_packet_size(MAX_DHT_PACKET_BYTES)
        .set_query_timeout(config.query_timeout);
    let mut kad = kad::Behaviour::with_config(peer_id, store, settings);
    kad.set_mode(Some(match config.mode {
        DhtMode::Server => kad::Mode::Server,
        DhtMode::Client => kad::Mode::Client,
    }));
    Ok(kad)
}

fn gossip(network: &NetworkName) -> Result<Gossipsub> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/peerage/{network}/meshsub"))
        // The payload is signed by its author. A second signature by the same key would add nothing, and an
        // identifier by content makes a duplicate cost a hash instead of a signature check. It is also what
        // other implementations can be told to compute, which they must, or they score us down.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::from(Sha256::digest(&message.data).to_vec()))
        // Nothing is forwarded before it has been verified here.
        .validate_messages()
        .max_transmit_size(MAX_GOSSIP_BYTES)
        .build()
        .map_err(|error| Error::Transport { reason: error.to_string() })?;
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: NetworkTopics { prefix: topic_name(network, "").hash().into_string() },
        max_subscribed_topics: MAX_TOPICS_PER_PEER,
        max_subscriptions_per_request: MAX_TOPICS_PER_PEER,
    };
    gossipsub::Behaviour::new_with_subscription_filter(
        gossipsub::MessageAuthenticity::Anonymous,
        config,
        filter,
    )
    .map_err(|reason| Error::Transport { reason: reason.to_owned() })
}

/// The number of peers that a record is put to, which is also the most that can acknowledge it.
pub(crate) const REPLICATION_FACTOR: NonZeroUsize = kad::K_VALUE;

#[cfg(test)]
mod tests {
    use gossipsub::TopicSubscriptionFilter as _;

    use super::*;

    #[test]
    fn topics_of_other_networks_and_endless_ones_are_not_kept() {
        let network = NetworkName::default();
        let mut topics = NetworkTopics { prefix: topic_name(&network, "").hash().into_string() };
        let mut allows = |topic: gossipsub::IdentTopic| topics.can_subscribe(&topic.hash());
        assert!(allows(topic_name(&network, "announcements")));
        assert!(allows(topic_name(&network, &"t".repeat(Message::MAX_TOPIC_BYTES))));
        assert!(!allows(topic_name(&network, &"t".repeat(Message::MAX_TOPIC_BYTES + 1))));
        assert!(!allows(topic_name(&network, "")));
        assert!(!allows(topic_name(&"other".parse().unwrap(), "announcements")));
        assert!(!allows(gossipsub::IdentTopic::new("announcements")));
    }
}
