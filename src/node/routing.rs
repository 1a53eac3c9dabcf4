//! Who gets a seat in the routing table, and with which addresses.
//!
//! A peer comes here when it has introduced itself over a connection that stands, or has been dialed and has answered.
//! What it says of its own addresses is where others may find it; where it *is*, for the share of its host and network,
//! is told by the connection alone.

use libp2p::{Multiaddr, PeerId, identify};

use super::{failures::is_unsupported, link::Link};
use crate::{
    engine::{Affiliation, Fact, Now},
    event::Direction,
    exchange::MAX_ADDRESS_BYTES,
    net::{Scope, networks, of_use},
};

#[cfg(test)]
mod tests;

impl Link {
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
            if affiliation != Affiliation::Same {
                self.dht.unseat(&peer);
            }
        }
        // After its seat: whoever has dialed it is answered by this, and may ask it from then on.
        self.carry_out(now);
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
        let most = self.wiring.addresses_per_peer;
        let addresses = reached.into_iter().chain(listening).take(most).collect();
        self.seat(now, peer, &real, addresses);
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

    /// The last connection with a peer has ended. Where it can be found is what a node forgets first.
    pub(super) fn leaving(&mut self, now: Now, peer: PeerId) {
        let addresses = self.dht.addresses(&peer).to_vec();
        if !addresses.is_empty() {
            self.engine.learn(now, Fact::Leaving { peer, addresses });
        }
    }
}
