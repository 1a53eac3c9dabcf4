//! Where the far ends of connections are.
//!
//! A peer that gets another address dials anew, often before its first connection is seen to be dead. So where a peer is
//! can change while it stays connected.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::event::Direction;

/// The connections that stand, of each peer the oldest first. There are as many as the Swarm has.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<PeerId, Vec<(ConnectionId, End)>>);

/// Where a peer is by one of its connections, and who has dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) address: Multiaddr,
    pub(super) direction: Direction,
}

impl Ends {
    pub(super) fn opened(&mut self, peer: PeerId, connection: ConnectionId, end: End) {
        self.0.entry(peer).or_default().push((connection, end));
    }

    /// A connection has ended. Where the peer is by the oldest that is left, if the oldest has ended.
    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) -> Option<&End> {
        let ends = self.0.get_mut(peer)?;
        let at = ends.iter().position(|(other, _)| *other == connection)?;
        ends.remove(at);
        if ends.is_empty() {
            self.0.remove(peer);
            return None;
        }
        let (_, oldest) = self.0.get(peer)?.first()?;
        (at == 0).then_some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(address: &str) -> End {
        End { address: address.parse().unwrap(), direction: Direction::Inbound }
    }

    #[test]
    fn a_peer_is_where_its_oldest_connection_is() {
        let (mut ends, peer) = (Ends::default(), PeerId::random());
        let connections = [0, 1, 2, 3].map(ConnectionId::new_unchecked);
        for (at, connection) in connections.into_iter().enumerate() {
            ends.opened(peer, connection, end(&format!("/ip4/192.0.2.{at}")));
        }
        assert_eq!(ends.closed(&peer, connections[1]), None, "it was not the oldest");
        assert_eq!(ends.closed(&PeerId::random(), connections[0]), None, "it is another peer's");
        assert_eq!(ends.closed(&peer, connections[0]), Some(&end("/ip4/192.0.2.2")));
        assert_eq!(ends.closed(&peer, connections[2]), Some(&end("/ip4/192.0.2.3")));
        assert_eq!(ends.closed(&peer, connections[3]), None, "it was the last");
        assert!(ends.0.is_empty());
    }
}
