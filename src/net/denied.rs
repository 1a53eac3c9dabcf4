//! Why a connection was refused.

use libp2p::swarm::ConnectionDenied;

use super::{admission, counts};

/// Whether there was no room for it: too many connections of some kind, or too little memory. Blocked peers are refused for
/// what they have done, however much room there is.
pub(crate) fn lacks_room(denied: &ConnectionDenied) -> bool {
    denied.downcast_ref::<counts::Exceeded>().is_some()
        || denied.downcast_ref::<admission::Refused>().is_some()
}

/// Of which connections there were too many, if that is why one was refused.
pub(crate) fn counted(denied: &ConnectionDenied) -> Option<counts::Counted> {
    denied.downcast_ref::<counts::Exceeded>().map(counts::Exceeded::what)
}

#[cfg(test)]
mod tests {
    use libp2p::{
        Multiaddr, PeerId, allow_block_list,
        swarm::{ConnectionId, NetworkBehaviour},
    };

    use super::*;
    use crate::config::Limits;

    /// Whether somebody who dials is refused for want of room.
    fn is_turned_away(gate: &mut impl NetworkBehaviour, peer: PeerId) -> bool {
        let (id, here) = (ConnectionId::new_unchecked(1), Multiaddr::empty());
        let there = "/ip4/198.51.100.1/tcp/4001".parse().unwrap();
        let pending = gate.handle_pending_inbound_connection(id, &here, &there);
        let end = pending.and_then(|()| {
            gate.handle_established_inbound_connection(id, peer, &here, &there).map(drop)
        });
        lacks_room(&end.unwrap_err())
    }

    #[test]
    fn a_crowded_node_lacks_room_and_one_that_has_blocked_somebody_does_not() {
        let peer = PeerId::random();
        let none = Limits::new().with_connections(0).with_pending_connections(10);
        assert!(is_turned_away(&mut counts::Behaviour::new(peer, &none), peer));
        let none = Limits::new().with_pending_connections(0);
        assert!(is_turned_away(&mut counts::Behaviour::new(peer, &none), peer));
        let none = Limits::new().with_connections_per_ip(0);
        assert!(is_turned_away(&mut admission::Behaviour::new(&none), peer));
        let none = Limits::new().with_process_memory(1);
        assert!(is_turned_away(&mut admission::Behaviour::new(&none), peer));
        let mut blocked = allow_block_list::Behaviour::<allow_block_list::BlockedPeers>::default();
        blocked.block_peer(peer);
        assert!(!is_turned_away(&mut blocked, peer));
    }
}
