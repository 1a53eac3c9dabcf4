//! Searches that ask connected peers, and whom to ask first: what peers have said of themselves, how they have behaved, and
//! who is blocked is known in three rooms.

use libp2p::PeerId;

use crate::{
    connections::ConnectedPeer,
    engine::{
        Engine,
        calls::Begin,
        discovery::{nearness::Portrait, searching::MAX_ASKED},
        interface::Unanswered,
    },
    exchange::Response,
    package::{PackageName, Query},
    provider::Provider,
    search::Findings,
    ticket::Ticket,
};

impl Engine {
    /// A caller searches what this node knows and what connected peers know.
    pub(in crate::engine) fn search_peers(
        &mut self,
        begin: Begin,
        query: Query,
        findings: Findings,
    ) {
        let targets = self.search_targets(MAX_ASKED);
        self.discovery.search_peers(&self.cx, &mut self.out, begin, query, findings, targets);
    }

    /// A peer has answered a search, or will not.
    pub(in crate::engine) fn search_answered(
        &mut self,
        ticket: Ticket,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) {
        let delivered = self.discovery.search_answered(&mut self.out, ticket, peer, answer);
        let Some(mut delivered) = delivered else { return };
        let heads = delivered.take_heads();
        let taken = heads.iter().map(|bytes| self.take_head(peer, bytes)).collect();
        let of = (ticket, peer);
        self.discovery.search_delivered(&self.cx, &mut self.out, of, &delivered, taken);
    }

    /// The connected peers that a search asks, in their order, and how many others there are.
    pub(in crate::engine) fn search_targets(&self, most: usize) -> (Vec<PeerId>, u32) {
        let may_be_asked = |peer: &PeerId| !self.peers.is_blocked(peer);
        let score = |peer: &PeerId| self.standing.score(peer);
        self.discovery.search_targets(&self.cx, most, may_be_asked, score)
    }

    /// Who was seen providing a package, whom to ask first coming first.
    pub(in crate::engine) fn providers(&self, owner: &PeerId, name: &PackageName) -> Vec<Provider> {
        let is_connected = |peer: &PeerId| self.peers.is_connected(peer);
        let score = |peer: &PeerId| self.standing.score(peer);
        self.discovery.providers(&self.cx, owner, name, is_connected, score)
    }

    /// The peers with which a connection stands, with what they have said of themselves.
    pub(in crate::engine) fn connected_peers(&self) -> Vec<ConnectedPeer> {
        let mut peers = self.peers.list(&self.cx, &self.out, &self.regards());
        for shown in &mut peers {
            let portrait = self.discovery.portrait(&shown.peer);
            let Portrait { round_trip, location, coverage, packages } = portrait;
            (shown.round_trip, shown.location) = (round_trip, location);
            (shown.coverage, shown.catalogue) = (coverage, packages);
        }
        peers
    }
}
