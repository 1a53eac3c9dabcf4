//! What the Swarm reports, put as facts for the engine.

use std::collections::{HashMap, HashSet};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::transport::ListenerId,
    gossipsub, kad,
    swarm::{ConnectionId, DialError, ListenError, SwarmEvent},
};

use super::{
    Node,
    exchange::Exchanges,
    failures::{innermost, nobody_is_there, reason},
    filling::Filling,
    record_store::KadStore,
    routing::Routing,
};
use crate::{
    Config, Direction, NetworkName, Result,
    command::Ticket,
    engine::{Fact, Lacking, Now, QueryEnd, QueryKey, Verdict},
    net::{
        Behaviour, BehaviourEvent, Counted, REPLICATION_FACTOR, Subscriptions, counted,
        dht_protocol, lacks_room, topic_name,
    },
};

#[cfg(test)]
mod tests;

/// Which engine's matter each thing under way in the Swarm is.
#[derive(Debug)]
pub(super) struct Wiring {
    network: NetworkName,
    protocol: StreamProtocol,
    queries: HashMap<kad::QueryId, QueryKey>,
    running: HashMap<QueryKey, kad::QueryId>,
    dials: HashMap<ConnectionId, DialFor>,
    most_dials: u32,
    listeners: Vec<ListenerId>,
    subscriptions: Subscriptions,
    pub(super) routing: Routing,
    pub(super) filling: Filling,
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
    /// To have a connection by the time that Kademlia wants one.
    Approach(PeerId),
}

impl DialFor {
    /// The dial has led to this peer.
    pub(super) fn succeeded(self, peer: PeerId) -> Option<Fact> {
        match self {
            Self::Caller(ticket) => Some(Fact::Dialed { ticket, failure: None }),
            Self::Bootstrap(address) => Some(Fact::BootstrapDialed { address, end: Ok(peer) }),
            Self::Told(peer) => Some(Fact::ToldDialed { peer }),
            Self::Lost | Self::Approach(_) => None,
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
            // Nobody has asked it anything yet, so that this is not held against it.
            Self::Approach(peer) => nobody_is_there(error).then_some(Fact::Left { peer }),
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
            queries: HashMap::new(),
            running: HashMap::new(),
            dials: HashMap::new(),
            most_dials: config.limits.pending_connections,
            listeners,
            subscriptions,
            routing: Routing::new(&config.limits),
            filling: Filling::default(),
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

    pub(super) fn started(&mut self, query: QueryKey, id: kad::QueryId) {
        self.queries.insert(id, query);
        self.running.insert(query, id);
    }

    /// What the engine has given up has no query any longer.
    pub(super) fn ended(&mut self, query: QueryKey) {
        self.running.remove(&query);
    }

    pub(super) fn running(&self, query: QueryKey) -> Option<kad::QueryId> {
        self.running.get(&query).copied()
    }

    pub(super) fn dialing(&mut self, connection: ConnectionId, purpose: DialFor) {
        self.dials.insert(connection, purpose);
    }

    /// How many dials may be under way.
    pub(super) fn most_dials(&self) -> u32 {
        self.most_dials
    }

    /// Nobody new is let in.
    pub(super) fn stop_listening(&mut self, swarm: &mut Swarm<Behaviour<KadStore>>) {
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
    pub(super) fn learn(&mut self, now: Now, event: SwarmEvent<BehaviourEvent<KadStore>>) {
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
                }
                self.wiring.routing.answered(connection_id);
                let purpose = self.wiring.dials.remove(&connection_id);
                if let Some(fact) = purpose.and_then(|purpose| purpose.succeeded(peer_id)) {
                    self.engine.learn(now, fact);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                self.leaving(now, peer_id);
                let reason = cause.map(|cause| innermost(&cause));
                self.engine.learn(now, Fact::Disconnected { peer: peer_id, reason });
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error, .. } => {
                if let Some(purpose) = self.wiring.dials.remove(&connection_id) {
                    let found = self.found(peer_id, &error);
                    if let Some(fact) = purpose.failed(&error, found) {
                        self.engine.learn(now, fact);
                    }
                } else if let (Some(peer), DialError::Transport(_)) = (peer_id, &error) {
                    // One of Kademlia's dials. Where others answered in its stead, or this node would not dial, the
                    // peer is not at fault.
                    if nobody_is_there(&error) {
                        self.engine.learn(now, Fact::Left { peer });
                    }
                    self.engine.learn(now, Fact::Unreachable { peer });
                }
                self.unanswered(now, connection_id, &error);
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

    /// A bootstrap of the engine's or of Kademlia's own has come so far.
    fn bootstrapped(&mut self, now: Now, id: kad::QueryId, is_last: bool, query: Option<QueryKey>) {
        if is_last {
            self.wiring.queries.remove(&id);
        }
        let ended = self.wiring.filling.bootstrapped(&mut self.swarm, id, is_last, query);
        self.filled(now, ended);
    }

    fn filled(&mut self, now: Now, ended: Vec<QueryKey>) {
        for query in ended {
            self.wiring.running.remove(&query);
            self.engine.learn(now, Fact::QueryEnded { query, end: QueryEnd::Bootstrapped });
        }
    }

    pub(super) fn learn_dht(&mut self, now: Now, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, stats, step } => {
                let query = self.wiring.queries.get(&id).copied();
                if let kad::QueryResult::Bootstrap(_) = result {
                    return self.bootstrapped(now, id, step.last, query);
                }
                if self.wiring.filling.is_running(id) {
                    if step.last {
                        let ended = self.wiring.filling.filled(&mut self.swarm);
                        self.filled(now, ended);
                    }
                    return;
                }
                // One of Kademlia's own, otherwise: a replication.
                let Some(query) = query else { return };
                let answered = stats.num_successes();
                let unheard = stats.num_requests().saturating_sub(answered);
                let end = match result {
                    kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                        let fact =
                            Fact::Copy { query, from: found.peer, bytes: found.record.value };
                        self.engine.learn(now, fact);
                        QueryEnd::Lookup { answered, unheard, without: Vec::new() }
                    }
                    // "No additional record" means that there were some; the copies have been told.
                    kad::QueryResult::GetRecord(Ok(
                        kad::GetRecordOk::FinishedWithNoAdditionalRecord { cache_candidates },
                    )) => {
                        let without = cache_candidates.into_values().collect();
                        QueryEnd::Lookup { answered, unheard, without }
                    }
                    // The closest of those who have answered, the closest first.
                    kad::QueryResult::GetRecord(Err(kad::GetRecordError::NotFound {
                        closest_peers: without,
                        ..
                    })) => QueryEnd::Lookup { answered, unheard, without },
                    kad::QueryResult::GetRecord(Err(kad::GetRecordError::Timeout { .. })) => {
                        QueryEnd::LookupCutShort
                    }
                    kad::QueryResult::PutRecord(result) => {
                        if let Err(
                            kad::PutRecordError::QuorumFailed { success, .. }
                            | kad::PutRecordError::Timeout { success, .. },
                        ) = &result
                        {
                            let peers = success.clone();
                            self.engine.learn(now, Fact::Acknowledged { query, peers });
                        }
                        QueryEnd::Stored { replicas: acknowledged(&result) }
                    }
                    // Told above, or never asked for.
                    kad::QueryResult::Bootstrap(_)
                    | kad::QueryResult::GetClosestPeers(_)
                    | kad::QueryResult::GetProviders(_)
                    | kad::QueryResult::StartProviding(_)
                    | kad::QueryResult::RepublishProvider(_)
                    | kad::QueryResult::RepublishRecord(_) => return,
                };
                if step.last {
                    self.wiring.queries.remove(&id);
                    self.wiring.running.remove(&query);
                    self.engine.learn(now, Fact::QueryEnded { query, end });
                }
            }
            kad::Event::RoutingUpdated { peer, old_peer, .. } => {
                self.routing_updated(now, peer, old_peer);
            }
            kad::Event::RoutablePeer { peer, address } => {
                // Dialed, and it speaks the protocol.
                self.seat(now, peer, &address, vec![address.clone()]);
            }
            kad::Event::InboundRequest { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
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

/// How many peers said that they stored a record, whether or not the quorum was reached.
fn acknowledged(result: &kad::PutRecordResult) -> u32 {
    let count = match result {
        // The quorum was all of the closest peers.
        Ok(_) => REPLICATION_FACTOR.get(),
        Err(
            kad::PutRecordError::QuorumFailed { success, .. }
            | kad::PutRecordError::Timeout { success, .. },
        ) => success.len(),
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}
