//! Who is connected, how far this node has joined, and whom it dials again.
//!
//! | file | what it knows |
//! |--|--|
//! | `connected.rs` | who is connected, and who stands in the routing table |
//! | `connected/worth.rs`, `keeping.rs` | what connections are worth, and which of them stay |
//! | `dialing.rs` | callers who dial, and wait for an introduction |
//! | `goodbyes.rs` | why peers are let go, and why they let this node go |
//! | `rejoining.rs`, `rejoining/` | who has left, and when they are dialed again |
//! | `known.rs` | who is looked for after a restart |
//! | `nearby.rs` | who was discovered on the local network |
//! | `blocked.rs` | with whom no connection is made |

use std::collections::HashSet;

use libp2p::{Multiaddr, PeerId};

use crate::{
    config::Config,
    engine::{
        context::Context,
        deadlines::Deadline,
        effects::Effects,
        interface::{Action, KnownPeer, Now, Reach},
        peers::dialing::INTRODUCTION_TIME,
    },
    error::{Error, Result},
    event::{Direction, Event},
    keyspace::REPLICAS,
    place::{Place, Subnet},
    record::RecordKey,
    storage::{Change, Row},
};

use blocked::Blocked;
use connected::{Company, GRACE, Introduction, Peers, above_target, for_newcomer, keep_catalogues};
use dialing::Dials;
use goodbyes::Goodbyes;
use known::{Known, Restored};
use nearby::Nearby;
use rejoining::Rejoining;

mod blocked;
mod connected;
pub(in crate::engine) mod dialing;
pub(in crate::engine) mod goodbyes;
pub(in crate::engine) mod keeping;
mod known;
mod nearby;
mod rejoining;

pub(in crate::engine) use connected::Candidate;
#[cfg(test)]
pub(in crate::engine) use rejoining::MOST_LOST;

/// The room of connections.
#[derive(Debug)]
pub(in crate::engine) struct Peering {
    peers: Peers,
    /// Where this node listens.
    addresses: Vec<Multiaddr>,
    goodbyes: Goodbyes,
    rejoining: Rejoining,
    nearby: Nearby,
    dials: Dials,
    blocked: Blocked,
    known: Known,
}

impl Peering {
    pub(in crate::engine) fn new(local: PeerId, config: &Config) -> Self {
        Self {
            peers: Peers::default(),
            addresses: Vec::new(),
            goodbyes: Goodbyes::default(),
            rejoining: Rejoining::new(local, config),
            nearby: Nearby::default(),
            dials: Dials::default(),
            blocked: Blocked::default(),
            known: Known::new(&local),
        }
    }

    /// This node listens there.
    pub(in crate::engine) fn listening(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        address: Multiaddr,
    ) {
        let address = cx.dialable(address);
        self.addresses.push(address.clone());
        out.events.push_back(Event::Listening { address });
        self.network_changed(cx, out);
    }

    /// This node listens there no longer.
    pub(in crate::engine) fn listening_ended(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        address: Multiaddr,
        reason: Option<String>,
    ) {
        let address = cx.dialable(address);
        self.addresses.retain(|known| *known != address);
        out.events.push_back(Event::ListeningEnded { address, reason });
    }

    /// A first connection stands. For a while the peer's introduction is waited for.
    pub(in crate::engine) fn connected(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        address: Multiaddr,
        direction: Direction,
    ) {
        let now = cx.now();
        let deadline = now.mono.saturating_add(INTRODUCTION_TIME);
        let deadline = out.wheel.insert(deadline, Deadline::Introduction(Box::new(peer)));
        let subnet = subnet(cx, &address);
        self.peers.connected(peer, address, direction, subnet, now.mono, deadline);
        out.counters.peers.connected += 1;
        self.rejoining.connected(now.mono, peer);
    }

    /// A connected peer is somewhere else than it was.
    pub(in crate::engine) fn moved(
        &mut self,
        cx: &Context,
        peer: &PeerId,
        address: Multiaddr,
        direction: Direction,
    ) {
        let subnet = subnet(cx, &address);
        self.peers.moved(peer, address, direction, subnet);
    }

    /// The peer has entered the routing table. True if it may stay there, and that is new.
    pub(in crate::engine) fn routable(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
    ) -> bool {
        if self.is_blocked(&peer) {
            // It introduced itself before it was told to go: it is taken out of the routing table again.
            out.actions.push_back(Action::Block { peer });
            return false;
        }
        let is_new = self.peers.routable(peer);
        if is_new {
            self.rejoin_later(cx, out);
        }
        is_new
    }

    /// The peer stands in the routing table no longer.
    pub(in crate::engine) fn unroutable(&mut self, cx: &Context, out: &mut Effects, peer: &PeerId) {
        self.peers.unroutable(peer);
        self.rejoin_later(cx, out);
    }

    /// These peers are in the mesh of a topic.
    pub(in crate::engine) fn in_mesh(&mut self, now: Now, mesh: HashSet<PeerId>) {
        self.peers.in_mesh(now.mono, mesh);
    }

    /// A connected peer has not answered in time, or has answered again.
    pub(in crate::engine) fn set_silent(&mut self, peer: &PeerId, is_silent: bool) {
        self.peers.set_silent(peer, is_silent);
    }

    /// Gossip is told how a peer stands, if it is connected: from -1 to 1.
    pub(in crate::engine) fn tell_score(&self, out: &mut Effects, peer: PeerId, score: f64) {
        if self.peers.is_connected(&peer) {
            out.actions.push_back(Action::Score { peer, score });
        }
    }
}

/// What other rooms have to know of this one.
impl Peering {
    /// How many of those connected have said what they are.
    #[cfg(test)]
    pub(in crate::engine) fn introduced_len(&self) -> usize {
        self.peers.introduced_len()
    }

    /// Where this node listens.
    pub(in crate::engine) fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// How far the DHT can be asked.
    pub(in crate::engine) fn reach(&self) -> Reach {
        self.peers.reach()
    }

    /// Why there is nobody to ask.
    pub(in crate::engine) fn nobody(&self) -> Error {
        match self.rejoining.turning_away() {
            (0, _) => Error::NoPeers,
            (full, of) => Error::NoRoom { full, of },
        }
    }

    /// What a caller is told who waited until the routing table had been filled: with how many peers.
    pub(in crate::engine) fn joined(&self) -> Result<usize> {
        match self.peers.routing_table_len() {
            0 => Err(self.nobody()),
            _ if self.is_turned_away() => Err(self.nobody()),
            known => Ok(known),
        }
    }

    /// How many can be asked.
    pub(in crate::engine) fn members(&self) -> usize {
        match self.peers.company() {
            Company::Members(members) => members,
            Company::Expected | Company::Nobody => 0,
        }
    }

    /// How many are connected.
    pub(in crate::engine) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Everybody who is connected.
    pub(in crate::engine) fn ids(&self) -> Vec<PeerId> {
        self.peers.ids()
    }

    pub(in crate::engine) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.is_connected(peer)
    }

    /// Whether a connected peer has said what it is, or that it does not say so.
    pub(in crate::engine) fn is_introduced(&self, peer: &PeerId) -> bool {
        self.peers.is_connected(peer) && !self.peers.is_unknown(peer)
    }

    /// Whether a peer is connected and answers, as far as is known.
    pub(in crate::engine) fn is_answering(&self, peer: &PeerId) -> bool {
        self.peers.is_answering(peer)
    }

    /// Whether this peer is being let go.
    pub(in crate::engine) fn is_going(&self, peer: &PeerId) -> bool {
        self.goodbyes.is_going(peer)
    }

    /// Whether the peer stands in the routing table.
    pub(in crate::engine) fn is_routable(&self, peer: &PeerId) -> bool {
        self.peers.is_routable(peer)
    }

    /// How many stand in the routing table.
    pub(in crate::engine) fn routing_table_len(&self) -> usize {
        self.peers.routing_table_len()
    }

    /// The address of the first connection with this peer, and who has dialed.
    pub(in crate::engine) fn connection(&self, peer: &PeerId) -> Option<(&Multiaddr, Direction)> {
        self.peers.connection(peer)
    }

    /// The connected peers that should hold a record and have not acknowledged it, as those in `by` have: of those closest
    /// to it, as far as this node knows. As many as a record has replicas.
    pub(in crate::engine) fn should_hold(&self, key: &RecordKey, by: &[PeerId]) -> Vec<PeerId> {
        let mut peers = self.peers.closest(key, by, REPLICAS);
        peers.retain(|peer| {
            !by.contains(peer)
                && self.is_connected(peer)
                && !self.is_going(peer)
                && !self.is_blocked(peer)
        });
        peers
    }

    /// Whether a peer is, or would be, one of so many that are closest to a key, beside those in the routing table.
    pub(in crate::engine) fn is_among_closest(
        &self,
        key: &RecordKey,
        peer: &PeerId,
        count: usize,
    ) -> bool {
        self.peers.is_among_closest(key, peer, count)
    }

    /// The routing table is like this: some of it is for the next life.
    pub(in crate::engine) fn look_at_table(&mut self, now: Now, table: Vec<KnownPeer>) {
        self.known.look(now, table);
    }

    /// Looks for the peers that an earlier life has met. Tells which rows mean nothing.
    pub(in crate::engine) fn restore(&mut self, now: Now, rows: &[Row]) -> Vec<Change> {
        let Restored { contacts, obsolete } = self.known.restore(now, rows);
        for (peer, addresses) in contacts {
            if !self.rejoining.is_contact(&peer) {
                self.rejoining.known(now.mono, peer, addresses);
            }
        }
        obsolete
    }

    pub(in crate::engine) fn note_changes(&mut self) {
        self.known.note_changes();
    }

    pub(in crate::engine) fn unsaved(&self) -> usize {
        self.known.unsaved()
    }

    pub(in crate::engine) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        self.known.take_changes(changes);
    }

    pub(in crate::engine) fn settle_changes(&mut self, is_written: bool) {
        self.known.settle_changes(is_written);
    }

    /// With how many no connection is made.
    #[cfg(test)]
    pub(in crate::engine) fn blocked_len(&self) -> usize {
        self.blocked.len()
    }

    /// How many goodbyes are under way.
    #[cfg(test)]
    pub(in crate::engine) fn goodbye_timers(&self) -> usize {
        self.goodbyes.timers()
    }

    /// How many deadlines are set at the most.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn timers(&self) -> usize {
        usize::from(self.rejoining.is_waiting())
            + usize::from(self.peers.waits_to_trim())
            + self.peers.len()
            + self.blocked.len()
            + self.goodbyes.timers()
            + self.dials.len()
    }
}

/// The subnet that a connection from this address counts for.
fn subnet(cx: &Context, address: &Multiaddr) -> Option<Subnet> {
    let place = Place::of(address, cx.config.limits.count_private_addresses);
    place.map(|place| place.subnet)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl Peering {
    pub(in crate::engine) fn connections(&self) -> &Peers {
        &self.peers
    }

    pub(in crate::engine) fn connections_mut(&mut self) -> &mut Peers {
        &mut self.peers
    }
}
