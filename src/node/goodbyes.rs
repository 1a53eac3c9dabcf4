//! What a peer is told that is let go: why, and of others if there is no room.

use libp2p::{Multiaddr, PeerId};

use super::Node;
use crate::{
    Farewell,
    engine::{Fact, QuestionId, Unanswered},
    exchange::{MAX_OTHERS, Other, Request},
    net::{Scope, of_use},
};

impl Node {
    pub(super) fn say_goodbye(
        &mut self,
        question: QuestionId,
        peer: PeerId,
        farewell: Farewell,
    ) -> Option<Fact> {
        let others = match farewell {
            Farewell::NoRoom => self.others_for(&peer),
            Farewell::GoingAway | Farewell::Blocked => Vec::new(),
        };
        let request = Request::Goodbye { reason: farewell.code(), others }.encode();
        let exchange = &mut self.swarm.behaviour_mut().exchange;
        match request {
            Ok(request) if exchange.is_connected(&peer) => {
                let request = exchange.send_request(&peer, request);
                self.wiring.exchanges.asking(request, question);
                None
            }
            Ok(_) | Err(_) => Some(Fact::Unanswered { question, why: Unanswered::Gone }),
        }
    }

    /// Others in the routing table that may have room for a peer: those who are connected first, of which it is known that
    /// they are there, and then those who are its closest neighbours.
    fn others_for(&self, newcomer: &PeerId) -> Vec<Other> {
        let Some((address, _)) = self.engine.connection_with(newcomer) else { return Vec::new() };
        let scope = Scope::of(address);
        others_of_use(self.dht.others_for(newcomer).into_iter(), scope)
    }
}

/// The first of these peers that can be reached by whoever is at the far end of a connection, with where that is.
fn others_of_use(
    peers: impl Iterator<Item = (PeerId, Vec<Multiaddr>)>,
    connection: Scope,
) -> Vec<Other> {
    peers
        .filter_map(|(peer, addresses)| Other::found_at(peer, of_use(addresses, connection)))
        .take(MAX_OTHERS)
        .collect()
}

#[cfg(test)]
mod tests;
