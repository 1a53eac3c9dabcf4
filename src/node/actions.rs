//! What the engine decides, carried out on the Swarm.

use libp2p::{
    Multiaddr, PeerId,
    gossipsub::PublishError,
    kad::{KBucketKey, Quorum, Record, RecordKey as KadKey},
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{Node, facts::DialFor};
use crate::{
    engine::{Action, Fact, Now, Published, QueryEnd, QueryKey, Unanswered},
    handle::named_peer,
    net::{REPLICATION_FACTOR, Scope, of_use, topic_name},
    record::RecordKey,
};

impl Node {
    /// Carries out every action that the engine has decided. What is known at once goes back as a fact. Tells whether
    /// there were any.
    pub(super) fn carry_out(&mut self, now: Now) -> bool {
        let mut acted = false;
        while let Some(action) = self.engine.next_action() {
            // Behaviours rely on being polled after they were touched.
            self.bell.keep_rung();
            acted = true;
            if let Some(fact) = self.perform(action) {
                self.engine.learn(now, fact);
            }
        }
        acted
    }

    fn perform(&mut self, action: Action) -> Option<Fact> {
        let swarm = &mut self.swarm;
        match action {
            Action::Get { query, key } => {
                let id = swarm.behaviour_mut().kad.get_record(KadKey::new(&key.as_bytes()));
                self.wiring.started(query, id);
                None
            }
            Action::Approach { key } => {
                self.approach(&key);
                None
            }
            Action::Put { query, key, bytes } => {
                self.put(query, KadKey::new(&key.as_bytes()), bytes)
            }
            Action::Repair { query, key, bytes, peers } => {
                let key = KadKey::new(&key.as_bytes());
                let record = Record { key, value: bytes, publisher: None, expires: None };
                let kad = &mut swarm.behaviour_mut().kad;
                let id = kad.put_record_to(record, peers.into_iter(), Quorum::All);
                self.wiring.started(query, id);
                None
            }
            Action::Bootstrap { query } => match swarm.behaviour_mut().kad.bootstrap() {
                Ok(id) => {
                    self.wiring.started(query, id);
                    None
                }
                Err(_) => Some(Fact::QueryEnded { query, end: QueryEnd::Bootstrapped }),
            },
            Action::Finish { query } if self.wiring.filling.leave(query) => {
                self.wiring.ended(query);
                Some(Fact::QueryEnded { query, end: QueryEnd::Bootstrapped })
            }
            Action::Finish { query } => {
                if let Some(id) = self.wiring.running(query)
                    && let Some(mut running) = swarm.behaviour_mut().kad.query_mut(&id)
                {
                    running.finish();
                }
                None
            }
            Action::Publish { id, topic, data } => {
                let topic = topic_name(self.wiring.network(), &topic);
                let outcome = match swarm.behaviour_mut().gossipsub.publish(topic, data) {
                    // A duplicate has been sent before: somebody has heard it. Where every peer's queue is full,
                    // gossipsub keeps the message and offers it to them at its next heartbeats.
                    Ok(_) | Err(PublishError::Duplicate | PublishError::AllQueuesFull(_)) => {
                        Published::Sent
                    }
                    Err(PublishError::NoPeersSubscribedToTopic) => Published::Unheard,
                    Err(
                        error @ (PublishError::MessageTooLarge
                        | PublishError::SigningError(_)
                        | PublishError::TransformFailed(_)),
                    ) => {
                        tracing::warn!(%error, "cannot announce");
                        Published::Impossible
                    }
                };
                Some(Fact::Published { id, outcome })
            }
            Action::Subscribe { topic } => {
                let topic = topic_name(self.wiring.network(), &topic);
                let gossipsub = &mut swarm.behaviour_mut().gossipsub;
                self.wiring.subscriptions().subscribe(gossipsub, &topic);
                None
            }
            Action::Unsubscribe { topic } => {
                let topic = topic_name(self.wiring.network(), &topic);
                let gossipsub = &mut swarm.behaviour_mut().gossipsub;
                self.wiring.subscriptions().unsubscribe(gossipsub, &topic);
                None
            }
            Action::Dial { ticket, peer, addresses } => {
                let options = DialOpts::peer_id(peer)
                    .condition(PeerCondition::Disconnected)
                    .addresses(addresses)
                    .build();
                self.dial(options, DialFor::Caller(ticket))
            }
            Action::DialBootstrap { address } => {
                let options = match named_peer(&address) {
                    Some(peer) => to_peer(peer, address.clone()),
                    None => DialOpts::unknown_peer_id().address(address.clone()).build(),
                };
                self.dial(options, DialFor::Bootstrap(address))
            }
            Action::Redial { peer, addresses } => {
                // Kademlia may know of others by now.
                let options = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(addresses)
                    .extend_addresses_through_behaviour()
                    .build();
                self.dial(options, DialFor::Lost)
            }
            Action::Ask { question, peer, request } => {
                let exchange = &mut swarm.behaviour_mut().exchange;
                // Nobody is dialed for a question: there are others to ask.
                if !exchange.is_connected(&peer) {
                    return Some(Fact::Unanswered { question, why: Unanswered::Gone });
                }
                let request = exchange.send_request(&peer, request);
                self.wiring.exchanges.asking(request, question);
                None
            }
            Action::DialTold { peer, addresses, over } => {
                let options = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(of_use(addresses, Scope::of(&over)))
                    .build();
                self.dial(options, DialFor::Told(peer))
            }
            Action::Goodbye { question, peer, farewell } => {
                self.say_goodbye(question, peer, farewell)
            }
            Action::Answer { asked, response } => {
                if let Some(channel) = self.wiring.exchanges.take_channel(asked) {
                    // Fails only for a peer that has just gone, or has given up waiting.
                    let _ = swarm.behaviour_mut().exchange.send_response(channel, response);
                }
                None
            }
            Action::TellMesh => Some(Fact::Mesh { peers: self.mesh() }),
            Action::Disconnect { peer } => {
                // It may have gone already.
                let _ = swarm.disconnect_peer_id(peer);
                None
            }
            Action::Mute { peer } => {
                if swarm.is_connected(&peer) {
                    swarm.behaviour_mut().kad.mute(peer);
                }
                swarm.behaviour_mut().kad.remove_peer(&peer);
                self.wiring.routing.left(&peer);
                Some(Fact::Unroutable { peer })
            }
            Action::Block { peer } => {
                let behaviour = swarm.behaviour_mut();
                // Its connections are closed with that.
                behaviour.blocked.block_peer(peer);
                behaviour.kad.remove_peer(&peer);
                self.wiring.routing.left(&peer);
                Some(Fact::Unroutable { peer })
            }
            Action::Unblock { peer } => {
                swarm.behaviour_mut().blocked.unblock_peer(peer);
                None
            }
            Action::Score { peer, score } => {
                swarm.behaviour_mut().set_application_score(&peer, score);
                None
            }
        }
    }

    fn put(&mut self, query: QueryKey, key: KadKey, value: Vec<u8>) -> Option<Fact> {
        let record = Record { key, value, publisher: None, expires: None };
        // The quorum is all of them, not because fewer would not do, but because Kademlia tells how many
        // peers acknowledged only where the quorum was missed.
        match self.swarm.behaviour_mut().kad.put_record(record, Quorum::All) {
            Ok(id) => {
                self.wiring.started(query, id);
                None
            }
            Err(error) => {
                tracing::debug!(%error, "the local store refused a record");
                Some(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 0 } })
            }
        }
    }

    fn dial(&mut self, options: DialOpts, purpose: DialFor) -> Option<Fact> {
        let (connection, peer) = (options.connection_id(), options.get_peer_id());
        match (self.swarm.dial(options), peer) {
            (Ok(()), _) => {
                self.wiring.dialing(connection, purpose);
                None
            }
            (Err(DialError::DialPeerConditionFalse(_)), Some(peer)) => purpose.succeeded(peer),
            (Err(error), peer) => {
                let found = self.found(peer, &error);
                purpose.failed(&error, found)
            }
        }
    }

    /// Dials the peers closest to a key, of those in the routing table. Kademlia waits for dials that are under way.
    /// Half of those that may be are left to others.
    pub(super) fn approach(&mut self, key: &RecordKey) {
        let target = KBucketKey::new(key.as_bytes().to_vec());
        let kad = &mut self.swarm.behaviour_mut().kad;
        let closest = kad.get_closest_local_peers(&target).take(REPLICATION_FACTOR.get());
        let closest: Vec<PeerId> = closest.map(|peer| *peer.preimage()).collect();
        let pending = self.swarm.network_info().connection_counters().num_pending_outgoing();
        let most = APPROACHED_AT_ONCE.min(self.wiring.most_dials() / 2);
        let mut room = most.saturating_sub(pending);
        for peer in closest {
            if room > 0 && !self.swarm.is_connected(&peer) {
                let options = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .build();
                let connection = options.connection_id();
                if self.swarm.dial(options).is_ok() {
                    self.wiring.dialing(connection, DialFor::Approach(peer));
                    room -= 1;
                }
            }
        }
    }

    /// Who is at an address, although a dial has made no new connection with it.
    pub(super) fn found(&self, peer: Option<PeerId>, error: &DialError) -> Option<PeerId> {
        match error {
            DialError::LocalPeerId { .. } => Some(*self.swarm.local_peer_id()),
            // Where a peer may have no further connection, it has one.
            DialError::Denied { .. } => peer.filter(|peer| self.swarm.is_connected(peer)),
            _ => None,
        }
    }
}

/// How many dials may be under way for whoever is about to be asked, at the most.
const APPROACHED_AT_ONCE: u32 = 64;

fn to_peer(peer: PeerId, address: Multiaddr) -> DialOpts {
    DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).addresses(vec![address]).build()
}
