//! What the Swarm reports, put as facts for the engine.

use std::collections::{HashMap, HashSet};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::transport::ListenerId,
    gossipsub,
    swarm::{ConnectionId, DialError, ListenError, SwarmEvent},
};

use super::{
    Node,
    exchange::Exchanges,
    failures::{innermost, nobody_is_there, reason},
};
use crate::{
    Config, Direction, NetworkName, Result,
    engine::{Fact, Lacking, Now, Verdict},
    net::{
        Behaviour, BehaviourEvent, Counted, Subscriptions, counted, dht_protocol, lacks_room,
        topic_name,
    },
    ticket::Ticket,
};

#[cfg(test)]
mod tests;

/// Which engine's matter each thing under way in the Swarm is.
#[derive(Debug)]
pub(super) struct Wiring {
    network: NetworkName,
    protocol: StreamProtocol,
    dials: HashMap<ConnectionId, DialFor>,
    listeners: Vec<ListenerId>,
    subscriptions: Subscriptions,
    /// Connected peers that are about to be blocked: nothing that they ask of the DHT is carried out.
    pub(super) muted: HashSet<PeerId>,
    pub(super) addresses_per_peer: usize,
    pub(super) count_private: bool,
    pub(super) exchanges: Exchanges,
}

/// On whose behalf a dial was made.
#[derive(Debug)]
pub(super) enum DialFor {
    Caller(Ticket),
    Bootstrap(Multiaddr),
    /// To see whether a peer that has left is back.
    Lost,
    /// To see whether a peer has room of which one without room has told.
    Told(PeerId),
    /// To ask it something, or to see whether it still needs its seat.
    Dht(PeerId),
}

impl DialFor {
    /// The dial has led to this peer.
    pub(super) fn succeeded(self, peer: PeerId) -> Option<Fact> {
        match self {
            Self::Caller(ticket) => Some(Fact::Dialed { ticket, failure: None }),
            Self::Bootstrap(address) => Some(Fact::BootstrapDialed { address, end: Ok(peer) }),
            Self::Told(peer) => Some(Fact::ToldDialed { peer }),
            Self::Lost | Self::Dht(_) => None,
        }
    }

    /// The dial has made no connection. `found` is who is at the address all the same.
    pub(super) fn failed(self, error: &DialError, found: Option<PeerId>) -> Option<Fact> {
        match self {
            Self::Caller(ticket) => Some(Fact::Dialed { ticket, failure: Some(reason(error)) }),
            Self::Bootstrap(address) => {
                let end = found.ok_or_else(|| reason(error));
                Some(Fact::BootstrapDialed { address, end })
            }
            Self::Told(peer) => Some(Fact::ToldDialed { peer }),
            Self::Dht(peer) => nobody_is_there(error).then_some(Fact::Left { peer }),
            Self::Lost => None,
        }
    }
}

impl Wiring {
    pub(super) fn new(
        config: &Config,
        listeners: Vec<ListenerId>,
        subscriptions: Subscriptions,
    ) -> Result<Self> {
        Ok(Self {
            network: config.network.clone(),
            protocol: dht_protocol(&config.network)?,
            dials: HashMap::new(),
            listeners,
            subscriptions,
            muted: HashSet::new(),
            addresses_per_peer: config.limits.addresses_per_peer,
            count_private: config.limits.count_private_addresses,
            exchanges: Exchanges::default(),
        })
    }

    pub(super) fn network(&self) -> &NetworkName {
        &self.network
    }

    /// The name under which peers of this network speak the DHT protocol.
    pub(super) fn protocol(&self) -> &StreamProtocol {
        &self.protocol
    }

    pub(super) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    pub(super) fn dialing(&mut self, connection: ConnectionId, purpose: DialFor) {
        self.dials.insert(connection, purpose);
    }

    /// Nobody new is let in.
    pub(super) fn stop_listening(&mut self, swarm: &mut Swarm<Behaviour>) {
        for listener in self.listeners.drain(..) {
            swarm.remove_listener(listener);
        }
    }

    /// The application's name of a topic, if it belongs to this network.
    fn topic(&self, hash: &gossipsub::TopicHash) -> Option<String> {
        let prefix = topic_name(&self.network, "").hash();
        hash.as_str().strip_prefix(prefix.as_str()).map(str::to_owned)
    }
}

impl Node {
    /// Tells the engine what the Swarm reports.
    pub(super) fn learn(&mut self, now: Now, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.learn_dht(now, event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(event)) => {
                self.learn_gossip(now, event)
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => {
                self.learn_introduction(now, event);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => {
                self.learn_exchange(now, event);
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                num_established,
                ..
            } => {
                if num_established.get() == 1 {
                    let direction =
                        if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
                    let address = endpoint.get_remote_address().clone();
                    self.engine.learn(now, Fact::Connected { peer: peer_id, address, direction });
                    self.swarm.behaviour_mut().set_application_score(&peer_id, 0.0);
                    self.dht.connected(now.mono, peer_id, direction);
                }
                let purpose = self.wiring.dials.remove(&connection_id);
                if let Some(fact) = purpose.and_then(|purpose| purpose.succeeded(peer_id)) {
                    self.engine.learn(now, fact);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                self.leaving(now, peer_id);
                self.dht.disconnected(now.mono, &peer_id);
                self.wiring.muted.remove(&peer_id);
                let reason = cause.map(|cause| innermost(&cause));
                self.engine.learn(now, Fact::Disconnected { peer: peer_id, reason });
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error, .. } => {
                let purpose = self.wiring.dials.remove(&connection_id);
                let was_ours = matches!(purpose, Some(DialFor::Dht(_)));
                if let Some(purpose) = purpose {
                    let found = self.found(peer_id, &error);
                    if let Some(fact) = purpose.failed(&error, found) {
                        self.engine.learn(now, fact);
                    }
                }
                if let Some(peer) = peer_id {
                    self.dial_failed(peer, was_ours, &error);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.engine.learn(now, Fact::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.engine.learn(now, Fact::ListeningEnded { address, reason: None });
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                let reason = reason.err().map(|error| error.to_string());
                for address in addresses {
                    let reason = reason.clone();
                    self.engine.learn(now, Fact::ListeningEnded { address, reason });
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { cause }, ..
            } if lacks_room(&cause) => {
                let lacking = match counted(&cause) {
                    Some(Counted::InAll) => Lacking::Any,
                    Some(Counted::FromOthers) => Lacking::Inbound,
                    _ => Lacking::Nothing,
                };
                self.engine.learn(now, Fact::TurnedAway { lacking });
            }
            // Another connection with the peer stands, or nothing has happened that matters here.
            SwarmEvent::ConnectionClosed { .. }
            | SwarmEvent::IncomingConnection { .. }
            | SwarmEvent::IncomingConnectionError { .. }
            | SwarmEvent::Dialing { .. } => {}
            other => tracing::trace!(?other, "swarm"),
        }
        // What the network stored meanwhile is knowledge too.
        self.engine.learn_stored();
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

    /// Brings what is shown of this node up to date.
    pub(super) fn show(&mut self, now: Now) {
        self.see(now);
        self.metrics.show(&self.engine);
    }

    fn learn_gossip(&mut self, now: Now, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let verdict = match self.wiring.topic(&message.topic) {
                    Some(_) if Subscriptions::is_overflow(&message) => Verdict::Ignore,
                    Some(topic) => {
                        let from = Some(propagation_source);
                        self.engine.hear_from(now, from, &topic, &message.data)
                    }
                    None => Verdict::Ignore,
                };
                let acceptance = match verdict {
                    Verdict::Accept => gossipsub::MessageAcceptance::Accept,
                    Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
                    Verdict::Reject => gossipsub::MessageAcceptance::Reject,
                };
                // Without a verdict a message stays in gossipsub's memory for five heartbeats and goes
                // nowhere.
                self.swarm.behaviour_mut().gossipsub.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            gossipsub::Event::Subscribed { topic, .. } => {
                if let Some(topic) = self.wiring.topic(&topic) {
                    self.engine.learn(now, Fact::Hearer { topic });
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "too slow for its announcements");
            }
            gossipsub::Event::Unsubscribed { .. }
            | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }
}
