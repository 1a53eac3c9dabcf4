//! What the Swarm reports, put as facts for the engine.

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    swarm::{ConnectionDenied, ListenError, SwarmEvent},
};

use super::{ends::End, failures::innermost, link::Link};
#[cfg(feature = "mdns")]
use crate::net::mdns;
use crate::{
    engine::{Fact, Lacking, Now},
    event::Direction,
    net::{BehaviourEvent, Counted, counted, lacks_room},
};

#[cfg(test)]
mod tests;

impl Link {
    /// Tells the engine what the Swarm reports.
    pub(super) fn learn(&mut self, now: Now, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.learn_of_behaviour(now, event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                num_established,
                ..
            } => {
                let end = self.end(peer_id, &endpoint);
                self.wiring.ends.opened(peer_id, connection_id, end.clone());
                if num_established.get() == 1 {
                    self.connected(now, peer_id, end);
                }
                self.dial_succeeded(now, connection_id, peer_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id, connection_id, num_established, cause, ..
            } => {
                let moved = self.wiring.ends.closed(&peer_id, connection_id).cloned();
                if num_established == 0 {
                    let reason = cause.map(|cause| innermost(&cause));
                    self.disconnected(now, peer_id, reason);
                } else if let Some(End { address, direction }) = moved {
                    self.engine.learn(now, Fact::Moved { peer: peer_id, address, direction });
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error, .. } => {
                self.dial_failed(now, connection_id, peer_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.engine.learn(now, Fact::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.engine.learn(now, Fact::ListeningEnded { address, reason: None });
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                let reason = reason.err().map(|error| error.to_string());
                self.listener_ended(now, addresses, reason.as_deref());
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { cause }, ..
            } if lacks_room(&cause) => self.turned_away(now, &cause),
            // Nothing has happened that matters here.
            SwarmEvent::IncomingConnection { .. }
            | SwarmEvent::IncomingConnectionError { .. }
            | SwarmEvent::Dialing { .. } => {}
            other => tracing::trace!(?other, "swarm"),
        }
        // What the network stored meanwhile is knowledge too.
        self.engine.learn_stored();
    }

    fn learn_of_behaviour(&mut self, now: Now, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Kad(event) => self.learn_dht(now, event),
            BehaviourEvent::Gossipsub(event) => self.learn_gossip(now, event),
            BehaviourEvent::Identify(event) => self.learn_introduction(now, event),
            BehaviourEvent::Exchange(event) => self.learn_exchange(now, event),
            #[cfg(feature = "mdns")]
            BehaviourEvent::Mdns(mdns::Event::Found { peer, addresses, by }) => {
                tracing::debug!(%peer, ?addresses, "is on the local network");
                self.engine.learn(now, Fact::Discovered { peer, addresses, by });
            }
            other => tracing::trace!(?other, "swarm"),
        }
    }

    fn end(&self, peer: PeerId, endpoint: &ConnectedPoint) -> End {
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        // Everything that goes by where a peer is goes by this.
        let address = self.wiring.resolved.real(endpoint.get_remote_address(), peer);
        End { address, direction }
    }

    /// The first connection with a peer stands.
    fn connected(&mut self, now: Now, peer: PeerId, End { address, direction }: End) {
        self.engine.learn(now, Fact::Connected { peer, address, direction });
        self.swarm.behaviour_mut().set_application_score(&peer, 0.0);
        self.dht.connected(now.mono, peer, direction);
    }

    /// The last connection with a peer has ended.
    fn disconnected(&mut self, now: Now, peer: PeerId, reason: Option<String>) {
        self.leaving(now, peer);
        self.dht.disconnected(now.mono, &peer);
        self.wiring.muted.remove(&peer);
        self.engine.learn(now, Fact::Disconnected { peer, reason });
    }

    fn listener_ended(&mut self, now: Now, addresses: Vec<Multiaddr>, reason: Option<&str>) {
        for address in addresses {
            let reason = reason.map(str::to_owned);
            self.engine.learn(now, Fact::ListeningEnded { address, reason });
        }
    }

    /// There was no room for somebody.
    fn turned_away(&mut self, now: Now, cause: &ConnectionDenied) {
        let lacking = match counted(cause) {
            Some(Counted::InAll) => Lacking::Any,
            Some(Counted::FromOthers) => Lacking::Inbound,
            _ => Lacking::Nothing,
        };
        self.engine.learn(now, Fact::TurnedAway { lacking });
    }
}
