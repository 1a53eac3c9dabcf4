//! The DHT's machine and the Swarm: what it wants done, and what it is told.

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{Node, facts::DialFor};
use crate::{
    Direction,
    engine::{
        Hearing, Now, SharedStore,
        dht::{
            Effect, Records,
            message::{Failure, Request, Value},
        },
    },
    net::kad,
    place::Place,
    record::RecordKey,
};

impl Node {
    /// Carries out what the DHT wants done.
    pub(super) fn affect(&mut self, now: Now, effect: Effect) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        match effect {
            Effect::Ask { request, peer, message } => kad.ask(request, peer, message),
            Effect::Cancel { request } => kad.cancel(request),
            Effect::Dial { peer, addresses } => self.dial_for_dht(now, peer, addresses),
            Effect::Tell(fact) => self.engine.learn(now, fact),
        }
    }

    fn dial_for_dht(&mut self, now: Now, peer: PeerId, addresses: Vec<Multiaddr>) {
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.wiring.dialing(connection, DialFor::Dht(peer)),
            Err(DialError::DialPeerConditionFalse(_)) if self.swarm.is_connected(&peer) => {
                let direction = self.engine.connection_with(&peer);
                let direction = direction.map_or(Direction::Inbound, |(_, direction)| direction);
                self.dht.connected(now.mono, peer, direction);
            }
            // Somebody else's dial is under way, and tells the DHT when it ends.
            Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => {
                let is_gone = self.is_gone(&peer, &error);
                self.dht.unreachable(&peer, is_gone);
            }
        }
    }

    /// A dial to a peer has failed. One of the DHT's own tells it; after one of somebody else's, who may have looked
    /// elsewhere, it looks itself.
    pub(super) fn dial_failed(&mut self, peer: PeerId, was_ours: bool, error: &DialError) {
        if was_ours {
            let is_gone = self.is_gone(&peer, error);
            self.dht.unreachable(&peer, is_gone);
        } else {
            self.dht.dial_again(peer);
        }
    }

    pub(super) fn learn_dht(&mut self, now: Now, event: kad::Event) {
        match event {
            kad::Event::Asked { asked, peer, request } => self.serve(asked, peer, request),
            // It is about to be blocked.
            kad::Event::Answered { request, peer, .. } if self.wiring.muted.contains(&peer) => {
                self.dht.failed(now.mono, request, Failure::Gone);
            }
            kad::Event::Answered { request, peer, response } => {
                if !self.engine.is_introduced(&peer) && !self.dht.is_seated(&peer) {
                    self.seat_who_answered(now, peer);
                }
                self.dht.answered(now.mono, request, response);
            }
            kad::Event::Dropped { peer, messages } => {
                if self.store.charge(peer, messages) == Hearing::Closed {
                    self.let_go_of(peer);
                }
            }
            kad::Event::Failed { request, why, .. } => self.dht.failed(now.mono, request, why),
        }
    }

    /// A peer that was dialed and has answered can be found where it was reached, whether or not it introduces itself.
    fn seat_who_answered(&mut self, now: Now, peer: PeerId) {
        if let Some((address, Direction::Outbound)) = self.engine.connection_with(&peer)
            && !self.engine.is_blocked(&peer)
        {
            let address = address.clone();
            self.seat(now, peer, &address, vec![address.clone()]);
        }
    }

    fn serve(&mut self, asked: kad::InboundId, peer: PeerId, request: Request) {
        if self.wiring.muted.contains(&peer) {
            return;
        }
        let mut records = Kept::new(self.store.clone());
        match records.hear(peer) {
            Hearing::Served | Hearing::Unserved => {
                let response = self.dht.serve(&peer, request, &mut records);
                self.swarm.behaviour_mut().kad.answer(asked, response);
            }
            Hearing::Closed => self.let_go_of(peer),
        }
    }

    fn let_go_of(&mut self, peer: PeerId) {
        tracing::debug!(%peer, "sends too much");
        // It may have gone already.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    /// Whether a failed dial says that the peer is not there, not that this node could not look.
    pub(super) fn is_gone(&self, peer: &PeerId, error: &DialError) -> bool {
        // An address may name the peer at its end.
        let named = |address: &Multiaddr| address.clone().with_p2p(*peer).ok();
        match error {
            DialError::Transport(_) | DialError::NoAddresses => true,
            // Peers are also dialed where others say that they are, and the first answer ends the dial. So this tells
            // something only where the peer has said itself that it is there, and where its seat is charged.
            DialError::WrongPeerId { address, .. } => {
                let place = Place::of(address, self.wiring.count_private);
                place.is_some()
                    && place == self.dht.place(peer)
                    && named(address).is_some_and(|address| {
                        self.dht
                            .addresses(peer)
                            .iter()
                            .any(|known| named(known).as_ref() == Some(&address))
                    })
            }
            DialError::LocalPeerId { .. }
            | DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::Denied { .. } => false,
        }
    }
}

/// The engine's record store as peers reach it.
#[derive(Debug)]
pub(crate) struct Kept {
    store: SharedStore,
}

impl Kept {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store }
    }

    /// A peer speaks: what follows is on its account, until this is dropped.
    pub(crate) fn hear(&mut self, peer: PeerId) -> Hearing {
        self.store.hear(peer)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.store.fall_silent();
    }
}

impl Records for Kept {
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let key = RecordKey::try_from(key).ok()?;
        if !self.store.serves() {
            return None;
        }
        let (bytes, _) = self.store.bytes(&key)?;
        Some(bytes)
    }

    fn put(&mut self, value: &Value) -> bool {
        self.store.offer(&value.key, &value.bytes).is_ok()
    }
}
