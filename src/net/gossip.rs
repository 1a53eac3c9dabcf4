//! gossipsub, set up for one network: what is accepted, how much is queued, and what misconduct costs.
//!
//! # Scores
//!
//! Each node scores its neighbours by itself, after [gossipsub 1.1]. The parameters of this network:
//!
//! | part | what for | here |
//! |--|--|--|
//! | P1 | time in the mesh | up to [`MESH_TIME_CREDIT`] in all, after an hour |
//! | P2 | first to deliver | nothing: whoever relays is not credited with what others have written |
//! | P3, P3b | too few deliveries | nothing: a topic on which nobody speaks for hours is a quiet one, and no fault |
//! | P4 | invalid messages | minus the square of their number, which fades within an hour |
//! | P5 | conduct, from the node | [`application_score`] |
//! | P6 | many peers with one address | nothing: such peers are refused at the door, by host (`connections_per_ip`) |
//! | P7 | broken promises, grafts too soon | minus ten times the square of what exceeds six, which fades within ten minutes |
//! | slow peers | messages that do not fit into its queue | nothing: who has a slow link is at no fault |
//!
//! A message is invalid where no honest peer relays it, since each verifies first. What time has overtaken meanwhile
//! is ignored and costs nothing. So a stranger is graylisted with its ninth invalid message of one topic within a short
//! time, and a peer with the best score there is with its eleventh within a minute: from then on whatever it sends is
//! dropped unread. Below zero, a peer is not in the mesh, with the first invalid message mostly.
//!
//! [gossipsub 1.1]: https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use libp2p::gossipsub::{
    self, IdentTopic, MessageId, PeerScoreParams, PeerScoreThresholds, RawMessage, TopicHash,
    TopicScoreParams, TopicSubscriptionFilter,
};
use sha2::{Digest as _, Sha256};

use crate::{
    buckets::Buckets,
    config::{Budget, Limits},
    error::{Error, Result},
    record::{MAX_RECORD_BYTES, Message, NetworkName},
};

#[cfg(test)]
mod tests;

/// One frame. An announcement is a signed head of at most 8 KiB with a topic; what takes more is the first thing
/// said on a connection, the topics that are subscribed: see `Limits::MAX_TOPICS`. Were it larger, the stream
/// would be lost, and nobody would know what this node listens to.
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// Topics that one peer may subscribe. More is a flood.
const MAX_TOPICS_PER_PEER: usize = 256;

/// Messages in one frame. This implementation sends one, others what they were asked for at once.
const MAX_MESSAGES_PER_FRAME: usize = 64;

/// Identifiers of messages that are offered or asked for at once: they have to fit into a frame, with 34 bytes each.
const MAX_IDS_PER_FRAME: usize = 256;

/// To how many peers outside of the mesh the identifiers of new messages go, and at how many heartbeats.
const OFFERED_TO: usize = 3;
const OFFERED_AT: usize = 2;

/// Peers in the mesh of one topic, at the most: two more than are looked for.
const MESH_MOST: usize = 8;

/// Messages that wait to be sent to one peer. libp2p's 5,000 would be 40 MiB for each of them; whoever is so far
/// behind learns of the rest by the identifiers that are offered with each heartbeat.
pub(super) const MAX_QUEUED_MESSAGES: usize = 256;

/// For how long the identifiers of messages are remembered, which is how long the scores remember whether they were
/// valid: a message that comes again after one and before the other would go unpunished.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(120);

/// How often scores fade. It wakes a node that has nothing else to do, and what fades takes minutes.
const DECAY_INTERVAL: Duration = Duration::from_secs(10);

/// For how many heartbeats of a second gossipsub keeps a message that is relayed, to send it to whoever asks.
pub(crate) const CACHED_SECS: u32 = 5;

/// For how long the score of a peer that has left is kept. Identities are free, so a peer with a bad score can return under
/// another one. This is for peers that merely lost their connection.
const RETAINED: Duration = Duration::from_secs(600);

/// Below this, a peer is neither offered messages nor asked for any.
const GOSSIP_THRESHOLD: f64 = -10.0;
/// Below this, a peer is not sent what this node publishes.
const PUBLISH_THRESHOLD: f64 = -50.0;
/// Below this, whatever a peer sends is dropped unread.
pub(crate) const GRAYLIST_THRESHOLD: f64 = -80.0;

/// The most that time in the mesh counts, of all topics together.
pub(super) const MESH_TIME_CREDIT: f64 = 5.0;
/// What time in the mesh of one topic counts at the most, and when.
const MESH_TIME_PER_TOPIC: f64 = 1.0;
const MESH_TIME: Duration = Duration::from_secs(3600);

/// What the best conduct counts, and the worst, which alone is enough for the graylist.
const BEST_CONDUCT: f64 = 10.0;
const WORST_CONDUCT: f64 = 100.0;

/// What a peer has of which nothing is known. Scores that are not above zero are retained when their peers leave,
/// so that ten thousand passers-by would stay in memory; those of strangers need not.
const STRANGER: f64 = 0.001;

/// The number of invalid messages after which a peer is graylisted, whatever its credit, if they come within a
/// minute. Those that stand in one frame with the last of these are still looked at, and not relayed.
#[cfg(test)]
pub(crate) const GRAYLISTED_AFTER: u32 = 11;

pub(crate) type Gossipsub =
    gossipsub::Behaviour<Subscriptions, gossipsub::MaxCountSubscriptionFilter<NetworkTopics>>;

/// The name of a topic on the wire. The application's names are prefixed with the network's.
pub(crate) fn topic_name(network: &NetworkName, topic: &str) -> IdentTopic {
    IdentTopic::new(format!("peerage/{network}/{topic}"))
}

/// Topics of one network, with names as long as messages have them. Whatever else a peer subscribes is not kept.
#[derive(Debug)]
pub(crate) struct NetworkTopics {
    prefix: String,
}

impl TopicSubscriptionFilter for NetworkTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        let name = topic.as_str().strip_prefix(&self.prefix);
        name.is_some_and(|name| (1..=Message::MAX_TOPIC_BYTES).contains(&name.len()))
    }
}

/// The topics that this node listens to, and how much of them it can remember. All clones are one.
///
/// gossipsub would keep messages of other topics for seconds and remember them for minutes, though nobody asks to
/// have them judged. What nobody listens to is dropped here, before it is remembered.
///
/// Nor has gossipsub any bound for what it remembers. Beyond the one that is kept here, every message of a topic is
/// turned into the same empty one: it is remembered once, and its sender, who may be honest, loses nothing by it.
#[derive(Debug, Clone)]
pub(crate) struct Subscriptions(Arc<Intake>);

#[derive(Debug)]
struct Intake {
    topics: RwLock<HashSet<TopicHash>>,
    remembered: Mutex<Buckets<()>>,
    since: Instant,
}

impl Subscriptions {
    pub(crate) fn new(limits: &Limits) -> Self {
        let remembered = Mutex::new(Budget::REMEMBERED.buckets(limits, 1));
        Self(Arc::new(Intake { topics: RwLock::default(), remembered, since: Instant::now() }))
    }

    /// Whether a message is one that stands for those that were too many. Whoever forwarded it is at no fault.
    pub(crate) fn is_overflow(message: &gossipsub::Message) -> bool {
        message.data.is_empty()
    }

    /// Begins to listen, and to score those who speak.
    pub(crate) fn subscribe(&self, gossipsub: &mut Gossipsub, topic: &IdentTopic) {
        let mut topics = self.0.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.hash());
        drop(topics);
        // Fails where there are no scores; there always are.
        let _ = gossipsub.set_topic_params(topic.clone(), topic_score(1.0, MESH_TIME));
        if let Err(error) = gossipsub.subscribe(topic) {
            tracing::warn!(%topic, %error, "cannot subscribe");
        }
    }

    /// Listens no longer. What still comes is nobody's fault.
    pub(crate) fn unsubscribe(&self, gossipsub: &mut Gossipsub, topic: &IdentTopic) {
        gossipsub.unsubscribe(topic);
        // Nor is it when the topic is subscribed again: what was counted meanwhile has faded at once.
        let at_once = Duration::from_secs(1);
        let _ = gossipsub.set_topic_params(topic.clone(), topic_score(0.0, at_once));
        let mut topics = self.0.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.remove(&topic.hash());
    }
}

impl gossipsub::DataTransform for Subscriptions {
    fn inbound_transform(&self, message: RawMessage) -> io::Result<gossipsub::Message> {
        let topics = self.0.topics.read().unwrap_or_else(PoisonError::into_inner);
        if !topics.contains(&message.topic) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "nobody listens to its topic"));
        }
        if !(1..=MAX_RECORD_BYTES).contains(&message.data.len()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "of a size that no record has"));
        }
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let data =
            if remembered.take(self.0.since.elapsed(), ()) { message.data } else { Vec::new() };
        Ok(gossipsub::Message {
            source: message.source,
            data,
            sequence_number: message.sequence_number,
            topic: message.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

/// What conduct counts among the scores, from -1 (the worst) over 0 (nothing is known) to 1 (the best). The worst is
/// graylisted by this alone, and the best can afford no more than one invalid message more than a stranger.
pub(super) fn application_score(conduct: f64) -> f64 {
    // What is not a number says nothing.
    let conduct = if conduct.is_nan() { 0.0 } else { conduct.clamp(-1.0, 1.0) };
    let scale = if conduct < 0.0 { WORST_CONDUCT } else { BEST_CONDUCT };
    scale * conduct + STRANGER
}

/// A message is what was said and where: SHA-256 of the topic's name, a zero byte and the data.
///
/// Every implementation can be told to compute it, and must, or it scores its neighbours down. Without the topic,
/// whoever sends an announcement on some other topic first would make it a duplicate on its own.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let hash = Sha256::new()
        .chain_update(message.topic.as_str())
        .chain_update([0])
        .chain_update(&message.data)
        .finalize();
    MessageId::from(hash.to_vec())
}

/// How the names of its versions begin: the standard ones, so that nodes of every implementation relay announcements.
/// Networks are told apart by the names of their topics.
pub(super) const PROTOCOLS: &str = "/meshsub/";

/// The behaviour, which listens to nothing yet.
pub(super) fn behaviour(network: &NetworkName, subscriptions: &Subscriptions) -> Result<Gossipsub> {
    let config = gossipsub::ConfigBuilder::default()
        // The payload is signed by its author. A second signature by the same key would add nothing, and an
        // identifier by content makes a duplicate cost a hash instead of a signature check.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(message_id)
        // Nothing is forwarded before it has been verified here.
        .validate_messages()
        .max_transmit_size(MAX_FRAME_BYTES)
        .max_publish_messages(MAX_MESSAGES_PER_FRAME)
        .max_control_message_size(MAX_FRAME_BYTES)
        // By default 5,000, which do not fit into a frame of this size: who has so many to offer would lose the
        // stream with it.
        .max_control_messages_sent(MAX_IDS_PER_FRAME)
        .connection_handler_queue_len(MAX_QUEUED_MESSAGES)
        .duplicate_cache_time(REMEMBERED)
        .history_length(CACHED_SECS as usize)
        // What the mesh has not brought is offered to so many of the others, however many there are, at two heartbeats. By
        // default they are a quarter of all, at three: that makes a bystander's work for one message grow with the number
        // of its connections.
        .gossip_lazy(OFFERED_TO)
        .gossip_factor(0.0)
        .history_gossip(OFFERED_AT)
        // Each peer of the mesh brings a message or is sent it. By default there may be twelve, and in a network where
        // everybody adds six there soon are nine.
        .mesh_n_high(MESH_MOST)
        // An own message goes to the mesh, as others' do, and not to everybody who is connected.
        .flood_publish(false)
        // Peers are found by the DHT. Those that a peer hands over when it leaves are its choice (peer exchange),
        // and are neither asked for nor taken.
        .prune_peers(0)
        .build()
        .map_err(|error| Error::Transport { reason: error.to_string() })?;
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: NetworkTopics { prefix: topic_name(network, "").hash().into_string() },
        max_subscribed_topics: MAX_TOPICS_PER_PEER,
        max_subscriptions_per_request: MAX_TOPICS_PER_PEER,
    };
    let authenticity = gossipsub::MessageAuthenticity::Anonymous;
    let transform = subscriptions.clone();
    let transport = |reason: &str| Error::Transport { reason: reason.to_owned() };
    let mut gossipsub = gossipsub::Behaviour::new_with_subscription_filter_and_transform(
        authenticity,
        config,
        filter,
        transform,
    )
    .map_err(transport)?;
    gossipsub
        .with_peer_score(score(), thresholds())
        .map_err(|reason| Error::Transport { reason })?;
    Ok(gossipsub)
}

/// What is left of a count after each [interval](DECAY_INTERVAL), if a tenth is left after this long.
fn decay(memory: Duration) -> f64 {
    gossipsub::score_parameter_decay_with_base(memory, DECAY_INTERVAL, 0.1)
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: GOSSIP_THRESHOLD,
        publish_threshold: PUBLISH_THRESHOLD,
        graylist_threshold: GRAYLIST_THRESHOLD,
        // Above all that can be reached: see `prune_peers`.
        accept_px_threshold: 10.0 * (MESH_TIME_CREDIT + BEST_CONDUCT),
        // A mesh of mere strangers takes in somebody with a better name, if it knows one.
        opportunistic_graft_threshold: MESH_TIME_PER_TOPIC,
    }
}

fn score() -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: MESH_TIME_CREDIT,
        // `application_score` has weighed it.
        app_specific_weight: 1.0,
        // Exact addresses, of which everybody with IPv6 has 2^64, and of which ranges cannot be left out.
        ip_colocation_factor_weight: 0.0,
        // An honest peer breaks a promise now and then, by forgetting a message before it is asked for.
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_decay: decay(Duration::from_secs(600)),
        decay_interval: DECAY_INTERVAL,
        // How much a peer is sent is up to others: they could have it lose its standing by saying a lot.
        slow_peer_weight: 0.0,
        retain_score: RETAINED,
        ..PeerScoreParams::default()
    }
}

/// How much a topic matters, all the same or not at all, and for how long invalid messages count.
fn topic_score(topic_weight: f64, memory: Duration) -> TopicScoreParams {
    TopicScoreParams {
        topic_weight,
        time_in_mesh_weight: MESH_TIME_PER_TOPIC / MESH_TIME.as_secs_f64(),
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: MESH_TIME.as_secs_f64(),
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        // Not even counted: a deficit is what falls short of this.
        mesh_message_deliveries_threshold: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: decay(memory),
        ..TopicScoreParams::default()
    }
}
