//! Who is dialed, and what comes of it.

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{link::Link, wiring::DialFor};
use crate::{
    engine::Now,
    event::Direction,
    net::{Scope, of_use},
    place::Place,
    place::{begins_with_name, named_peer},
    ticket::Ticket,
};

impl Link {
    pub(super) fn dial_for_caller(
        &mut self,
        now: Now,
        ticket: Ticket,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        let options = to_peer(peer, PeerCondition::Disconnected, addresses);
        self.dial(now, options, DialFor::Caller(ticket));
    }

    pub(super) fn dial_bootstrap(&mut self, now: Now, address: Multiaddr) {
        let options = match named_peer(&address) {
            Some(peer) => to_peer(peer, PeerCondition::Disconnected, vec![address.clone()]),
            None => DialOpts::unknown_peer_id().address(address.clone()).build(),
        };
        self.dial(now, options, DialFor::Bootstrap(address));
    }

    pub(super) fn redial(&mut self, now: Now, peer: PeerId, addresses: Vec<Multiaddr>) {
        // The routing table may know more by now. The Swarm dials each once.
        let mut known = self.dht.addresses(&peer).to_vec();
        known.extend(addresses);
        let known = without_names(known);
        let options = to_peer(peer, PeerCondition::DisconnectedAndNotDialing, known);
        self.dial(now, options, DialFor::Lost);
    }

    /// Dials a peer of which another has told, over a connection with this address.
    pub(super) fn dial_told(
        &mut self,
        now: Now,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        over: &Multiaddr,
    ) {
        let addresses = without_names(of_use(addresses, Scope::of(over)));
        let options = to_peer(peer, PeerCondition::DisconnectedAndNotDialing, addresses);
        self.dial(now, options, DialFor::Told(peer));
    }

    fn dial(&mut self, now: Now, options: DialOpts, purpose: DialFor) {
        let (connection, peer) = (options.connection_id(), options.get_peer_id());
        let fact = match (self.swarm.dial(options), peer) {
            (Ok(()), _) => return self.wiring.dialing(connection, purpose),
            (Err(DialError::DialPeerConditionFalse(_)), Some(peer)) => purpose.succeeded(peer),
            (Err(error), peer) => {
                let found = self.found(peer, &error);
                purpose.failed(&error, found)
            }
        };
        self.tell(now, fact);
    }

    pub(super) fn dial_for_dht(&mut self, now: Now, peer: PeerId, addresses: Vec<Multiaddr>) {
        let addresses = without_names(addresses);
        let options = to_peer(peer, PeerCondition::DisconnectedAndNotDialing, addresses);
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

    /// A connection with a peer stands, whoever has dialed.
    pub(super) fn dial_succeeded(&mut self, now: Now, connection: ConnectionId, peer: PeerId) {
        let purpose = self.wiring.take_dial(connection);
        self.tell(now, purpose.and_then(|purpose| purpose.succeeded(peer)));
    }

    /// A dial has made no connection.
    pub(super) fn dial_failed(
        &mut self,
        now: Now,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
    ) {
        let purpose = self.wiring.take_dial(connection);
        let was_for_dht = matches!(purpose, Some(DialFor::Dht(_)));
        if let Some(purpose) = purpose {
            let found = self.found(peer, error);
            self.tell(now, purpose.failed(error, found));
        }
        // One of the DHT's own tells it; after one of somebody else's, who may have looked elsewhere, it looks itself.
        match peer {
            Some(peer) if was_for_dht => {
                let is_gone = self.is_gone(&peer, error);
                self.dht.unreachable(&peer, is_gone);
            }
            Some(peer) => self.dht.dial_again(peer),
            None => {}
        }
    }

    /// Who is at an address, although a dial has made no new connection with it.
    fn found(&self, peer: Option<PeerId>, error: &DialError) -> Option<PeerId> {
        match error {
            DialError::LocalPeerId { .. } => Some(*self.swarm.local_peer_id()),
            // Where a peer may have no further connection, it has one.
            DialError::Denied { .. } => peer.filter(|peer| self.swarm.is_connected(peer)),
            _ => None,
        }
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

/// Without those that begin with a name, of addresses that other peers have told: nobody else has this node look up what
/// they like.
fn without_names(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.into_iter().filter(|address| !begins_with_name(address)).collect()
}

fn to_peer(peer: PeerId, condition: PeerCondition, addresses: Vec<Multiaddr>) -> DialOpts {
    DialOpts::peer_id(peer).condition(condition).addresses(addresses).build()
}
