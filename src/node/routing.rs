//! Who gets a seat in the routing table, and with which addresses.
//!
//! A peer comes here when it has been dialed and speaks the protocol, or when it has introduced itself over a
//! connection that stands. What it says of its own addresses is where others may find it; where it *is*, for the
//! share of its host and network, is told by the connection alone.
//!
//! Where a share is used up, a newcomer may still take the place of somebody who is gone: one who shares it and is
//! not connected is dialed, and loses the seat if nobody answers. So a household whose node has started anew with
//! another identity a few times is not locked out, and those who are there cannot be driven away.

use std::collections::HashMap;

use libp2p::{
    Multiaddr, PeerId, identify, kad,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{Node, failures::is_unsupported};
use crate::{
    Direction, Limits,
    engine::{Affiliation, Fact, Now},
    exchange::MAX_ADDRESS_BYTES,
    net::{Crowded, Diversity, Scope, networks, of_use},
    place::Place,
};

#[cfg(test)]
mod tests;

/// Seats that are in question at a time: each is a dial, and keeps a newcomer's addresses.
const MAX_CHALLENGES: usize = 16;

/// The shares of hosts and networks, and the seats in question.
#[derive(Debug)]
pub(super) struct Routing {
    diversity: Diversity,
    challenges: HashMap<ConnectionId, Challenge>,
    addresses_per_peer: usize,
    count_private: bool,
}

/// A peer is dialed, to see whether it still needs its seat.
#[derive(Debug)]
struct Challenge {
    seated: PeerId,
    newcomer: PeerId,
    /// Where the newcomer is, and where it says that it can be found.
    address: Multiaddr,
    addresses: Vec<Multiaddr>,
}

impl Routing {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            diversity: Diversity::new(limits),
            challenges: HashMap::new(),
            addresses_per_peer: limits.addresses_per_peer,
            count_private: limits.count_private_addresses,
        }
    }

    /// A connection stands: whoever was dialed keeps the seat.
    pub(super) fn answered(&mut self, connection: ConnectionId) {
        self.challenges.remove(&connection);
    }

    /// A peer has lost its seat: its share of the place is free.
    pub(super) fn left(&mut self, peer: &PeerId) {
        self.diversity.leave(peer);
    }

    /// Whether this newcomer may put this seat into question: not while either is part of it already.
    fn may_challenge(&self, seated: &PeerId, newcomer: &PeerId) -> bool {
        self.challenges.len() < MAX_CHALLENGES
            && self
                .challenges
                .values()
                .all(|challenge| challenge.seated != *seated && challenge.newcomer != *newcomer)
    }
}

impl Node {
    pub(super) fn learn_introduction(&mut self, now: Now, event: identify::Event) {
        match event {
            identify::Event::Received { peer_id, info, .. } => self.introduced(now, peer_id, info),
            // It does not say what it is, and never will.
            identify::Event::Error { peer_id: peer, error, .. } if is_unsupported(&error) => {
                let affiliation = Affiliation::Unknown;
                self.engine.learn(now, Fact::Introduced { peer, agent: None, affiliation });
            }
            identify::Event::Error { .. }
            | identify::Event::Sent { .. }
            | identify::Event::Pushed { .. } => {}
        }
    }

    fn introduced(&mut self, now: Now, peer: PeerId, info: identify::Info) {
        if self.engine.is_blocked(&peer) {
            return;
        }
        let affiliation = self.affiliation(&info);
        // Identify's addresses reach the routing table only if somebody takes them there. A client does not
        // name the protocol, so it is never asked to hold or find anything.
        if info.protocols.contains(self.wiring.protocol()) {
            self.seat_where_it_listens(now, peer, info.listen_addrs);
        } else {
            tracing::debug!(%peer, protocols = ?info.protocols, "does not serve this network's DHT");
            if affiliation != Affiliation::Same && self.is_seated(&peer) {
                self.unseat(now, &peer);
            }
        }
        // After its seat: whoever has dialed it is answered by this, and may ask it from then on.
        let agent = Some(info.agent_version);
        self.engine.learn(now, Fact::Introduced { peer, agent, affiliation });
    }

    fn seat_where_it_listens(&mut self, now: Now, peer: PeerId, listening: Vec<Multiaddr>) {
        // One that has gone meanwhile will introduce itself when it comes back.
        let Some((real, direction)) = self.engine.connection_with(&peer) else { return };
        let real = real.clone();
        // Where it was reached it can be found, even if it does not know so itself.
        let reached = (direction == Direction::Outbound).then(|| real.clone());
        let listening = listening.into_iter().filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        // A peer elsewhere that listens on its own loopback address is not to be found on ours, and what nobody can reach
        // is not to take the place of what everybody can.
        let listening = of_use(listening, Scope::of(&real));
        let most = self.wiring.routing.addresses_per_peer;
        let addresses = reached.into_iter().chain(listening).take(most).collect();
        self.seat(now, peer, &real, addresses);
        self.forget_oldest_addresses(peer);
    }

    /// Whether a peer belongs to this network. One that speaks for several does.
    fn affiliation(&self, info: &identify::Info) -> Affiliation {
        let mut other = None;
        for network in networks(info) {
            if network == *self.wiring.network() {
                return Affiliation::Same;
            }
            other.get_or_insert(network);
        }
        other.map_or(Affiliation::Unknown, Affiliation::Other)
    }

    /// Tells the routing table where a peer can be found. If it has no seat there, it gets one, as far as the share
    /// of its place goes: `real` is the address of a connection with it.
    pub(super) fn seat(
        &mut self,
        now: Now,
        peer: PeerId,
        real: &Multiaddr,
        addresses: Vec<Multiaddr>,
    ) {
        if addresses.is_empty() {
            return;
        }
        // Those who are there already say where else they are; those whose place does not count need no share.
        let place = Place::of(real, self.wiring.routing.count_private);
        if let Some(place) = place
            && !self.is_seated(&peer)
            && let Err(crowded) = self.admit(peer, place)
        {
            tracing::debug!(%peer, address = %real, "the routing table has enough peers from there");
            let (newcomer, address) = (peer, real.clone());
            self.challenge(now, crowded, |seated| Challenge {
                seated,
                newcomer,
                address,
                addresses,
            });
            return;
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let mut waits = false;
        for address in addresses {
            waits |= kad.add_address(&peer, address) == kad::RoutingUpdate::Pending;
        }
        if self.is_seated(&peer) {
            self.engine.learn(now, Fact::Routable { peer });
        } else if !waits {
            self.wiring.routing.left(&peer);
        }
    }

    /// Kademlia has changed what it knows of a peer, or has at last replaced another by it.
    pub(super) fn routing_updated(&mut self, now: Now, peer: PeerId, old_peer: Option<PeerId>) {
        if let Some(peer) = old_peer {
            self.wiring.routing.left(&peer);
            self.engine.learn(now, Fact::Unroutable { peer });
        }
        self.forget_oldest_addresses(peer);
        // It may have lost its seat before this was told.
        if self.is_seated(&peer) {
            self.engine.learn(now, Fact::Routable { peer });
        }
    }

    /// Charges a seat to a place.
    fn admit(&mut self, peer: PeerId, place: Place) -> Result<(), Crowded> {
        let diversity = &mut self.wiring.routing.diversity;
        if diversity.admit(peer, place).is_ok() {
            return Ok(());
        }
        // Kademlia does not tell when somebody who waited for a seat has waited in vain.
        let kad = &mut self.swarm.behaviour_mut().kad;
        diversity.retain(|&member| {
            kad.kbucket(member).is_some_and(|bucket| {
                bucket.has_pending()
                    || bucket.iter().any(|entry| *entry.node.key.preimage() == member)
            })
        });
        diversity.admit(peer, place)
    }

    /// Whether a peer stands in the routing table.
    fn is_seated(&mut self, peer: &PeerId) -> bool {
        let kad = &mut self.swarm.behaviour_mut().kad;
        kad.kbucket(*peer)
            .is_some_and(|bucket| bucket.iter().any(|entry| entry.node.key.preimage() == peer))
    }

    /// Dials one of those who share a place and are not connected, on behalf of a newcomer.
    fn challenge(&mut self, now: Now, crowded: Crowded, by: impl FnOnce(PeerId) -> Challenge) {
        let gone = crowded.members.into_iter().find(|member| !self.swarm.is_connected(member));
        let Some(seated) = gone else { return };
        let challenge = by(seated);
        if !self.wiring.routing.may_challenge(&seated, &challenge.newcomer) {
            return;
        }
        // Kademlia adds the addresses that it knows.
        let options =
            DialOpts::peer_id(seated).condition(PeerCondition::DisconnectedAndNotDialing).build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.wiring.routing.challenges.insert(connection, challenge);
            }
            Err(error) => self.judge(now, challenge, &error),
        }
        self.bell.keep_rung();
    }

    /// A dial has failed. If it was to see whether a peer needs its seat, it does not.
    pub(super) fn unanswered(&mut self, now: Now, connection: ConnectionId, error: &DialError) {
        if let Some(challenge) = self.wiring.routing.challenges.remove(&connection) {
            self.judge(now, challenge, error);
        }
    }

    fn judge(&mut self, now: Now, challenge: Challenge, error: &DialError) {
        if !self.is_gone(&challenge.seated, error) || self.swarm.is_connected(&challenge.seated) {
            return;
        }
        let Challenge { seated, newcomer, address, addresses } = challenge;
        tracing::debug!(peer = %seated, %newcomer, "gives up its seat");
        self.unseat(now, &seated);
        if self.swarm.is_connected(&newcomer) {
            self.seat(now, newcomer, &address, addresses);
        }
        self.bell.keep_rung();
    }

    /// Whether a failed dial says that the peer is not there, not that this node could not look.
    fn is_gone(&mut self, peer: &PeerId, error: &DialError) -> bool {
        match error {
            DialError::Transport(_) | DialError::NoAddresses => true,
            // Kademlia also dials where others say that the peer is, and the first answer ends the dial. So this
            // tells something only where the peer has said itself that it is there, and where its seat is charged.
            DialError::WrongPeerId { address, .. } => {
                let routing = &self.wiring.routing;
                let place = Place::of(address, routing.count_private);
                place.is_some()
                    && place == routing.diversity.place_of(peer)
                    && self.addresses_of(peer).contains(address)
            }
            DialError::LocalPeerId { .. }
            | DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::Denied { .. } => false,
        }
    }

    /// The last connection with a peer has ended. Where it can be found is what a node forgets first: addresses at which
    /// a dial fails leave the routing table, but for one.
    pub(super) fn leaving(&mut self, now: Now, peer: PeerId) {
        let addresses = self.addresses_of(&peer);
        if !addresses.is_empty() {
            self.engine.learn(now, Fact::Leaving { peer, addresses });
        }
    }

    /// Takes a peer out of the routing table.
    pub(super) fn unseat(&mut self, now: Now, peer: &PeerId) {
        self.swarm.behaviour_mut().kad.remove_peer(peer);
        self.wiring.routing.left(peer);
        self.engine.learn(now, Fact::Unroutable { peer: *peer });
    }

    /// A peer may introduce itself again and again, with other addresses each time.
    fn forget_oldest_addresses(&mut self, peer: PeerId) {
        let known = self.addresses_of(&peer);
        let surplus = known.len().saturating_sub(self.wiring.routing.addresses_per_peer);
        for address in known.iter().take(surplus) {
            self.swarm.behaviour_mut().kad.remove_address(&peer, address);
        }
    }

    /// Where the routing table says that a peer is: what it has told, and where it was reached.
    fn addresses_of(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let Some(bucket) = kad.kbucket(*peer) else { return Vec::new() };
        let entry = bucket.iter().find(|entry| entry.node.key.preimage() == peer);
        entry.map(|entry| entry.node.value.iter().cloned().collect()).unwrap_or_default()
    }
}
