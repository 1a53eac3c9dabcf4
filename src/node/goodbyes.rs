//! What a peer is told that is let go: why, and of others if there is no room.

use libp2p::{Multiaddr, PeerId};

use super::link::Link;
use crate::{
    engine::{Fact, Now, QuestionId, Unanswered},
    exchange::{MAX_OTHERS, Other, Request},
    farewell::Farewell,
    net::{Scope, of_use},
};

impl Link {
    pub(super) fn say_goodbye(
        &mut self,
        now: Now,
        question: QuestionId,
        peer: PeerId,
        farewell: Farewell,
    ) {
        let others = match farewell {
            Farewell::NoRoom => self.others_for(&peer),
            Farewell::GoingAway | Farewell::Blocked => Vec::new(),
        };
        match (Request::Goodbye { reason: farewell.code(), others }).encode() {
            Ok(request) => self.ask(now, question, peer, request),
            Err(_) => self.engine.learn(now, Fact::Unanswered { question, why: Unanswered::Gone }),
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
