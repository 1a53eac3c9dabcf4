//! Which connection has ended, for behaviours that remember something of each.

use libp2p::swarm::{ConnectionId, FromSwarm};

/// The connection that has ended, or the attempt at one: each ends with one of these, whoever has refused or closed it,
/// also where another behaviour did so after this one had let it in.
pub(super) fn ended(event: &FromSwarm<'_>) -> Option<ConnectionId> {
    match event {
        FromSwarm::ConnectionClosed(closed) => Some(closed.connection_id),
        FromSwarm::ListenFailure(failure) => Some(failure.connection_id),
        FromSwarm::DialFailure(failure) => Some(failure.connection_id),
        _ => None,
    }
}
