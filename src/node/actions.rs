//! What the engine decides, carried out on the Swarm.

use libp2p::{
    Multiaddr, PeerId,
    gossipsub::PublishError,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{Node, facts::DialFor};
use crate::{
    engine::{Action, Fact, Now, Published, Unanswered},
    handle::named_peer,
    net::{Scope, of_use, topic_name},
};

impl Node {
    /// Carries out every action that the engine has decided, and what the DHT wants done. What is known at once goes back
    /// as a fact. Tells whether there were any.
    ///
    /// The engine's actions come first: an answer that it is told may end a lookup that would ask more peers.
    pub(super) fn carry_out(&mut self, now: Now) -> bool {
        let mut acted = false;
        loop {
            if let Some(action) = self.engine.next_action() {
                if let Some(fact) = self.perform(now, action) {
                    self.engine.learn(now, fact);
                }
            } else if let Some(effect) = self.dht.next_effect(now.mono) {
                self.affect(now, effect);
            } else {
                return acted;
            }
            // Behaviours rely on being polled after they were touched.
            self.bell.keep_rung();
            acted = true;
        }
    }

    fn perform(&mut self, now: Now, action: Action) -> Option<Fact> {
        let swarm = &mut self.swarm;
        match action {
            Action::Get { query, key, breadth } => {
                if let Some((bytes, _)) = self.store.bytes(&key) {
                    self.engine.learn(now, Fact::Copy { query, from: None, bytes });
                }
                self.dht.get(now.mono, query, &key, breadth);
                None
            }
            Action::Approach { key } => {
                self.dht.approach(now.mono, &key);
                None
            }
            Action::Put { query, key, bytes } => {
                self.dht.put(now.mono, query, &key, &bytes);
                None
            }
            Action::Repair { query, key, bytes, peers } => {
                self.dht.put_to(now.mono, query, &key, &bytes, peers);
                None
            }
            Action::Bootstrap { query } => {
                self.dht.bootstrap(now.mono, query);
                None
            }
            Action::Finish { query } => {
                self.dht.finish(now.mono, query);
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
                // The routing table may know more by now. The Swarm dials each once.
                let mut known = self.dht.addresses(&peer).to_vec();
                known.extend(addresses);
                let options = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(known)
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
                    self.wiring.muted.insert(peer);
                }
                self.dht.unseat(&peer);
                None
            }
            Action::Block { peer } => {
                // Its connections are closed with that.
                swarm.behaviour_mut().blocked.block_peer(peer);
                self.dht.unseat(&peer);
                None
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

fn to_peer(peer: PeerId, address: Multiaddr) -> DialOpts {
    DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).addresses(vec![address]).build()
}
