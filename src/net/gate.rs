//! The part that every rule on who may connect has in common: a behaviour that says yes or no to connections, and speaks
//! no protocol.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

use super::ended::ended;

/// Says who may connect. Each question is asked once of a connection, in the order in which it is set up; where nothing is
/// said, anybody may.
pub(crate) trait Rule {
    /// Somebody knocks.
    fn accept(&mut self, id: ConnectionId, from: &Multiaddr) -> Result<(), ConnectionDenied>;

    /// Who has knocked has proved who it is.
    fn let_in(&mut self, _id: ConnectionId, _peer: PeerId) -> Result<(), ConnectionDenied> {
        Ok(())
    }

    /// This node is about to dial.
    fn dial(&mut self, id: ConnectionId) -> Result<(), ConnectionDenied>;

    /// Who was dialed has answered at this address, and has proved who it is.
    fn reach(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        at: &Multiaddr,
    ) -> Result<(), ConnectionDenied>;

    /// Nobody has refused the connection. Told before there can be another.
    fn stands(&mut self, _id: ConnectionId, _peer: PeerId, _endpoint: &ConnectedPoint) {}

    /// The connection has ended, or the attempt at one, whoever has refused it.
    fn ended(&mut self, id: ConnectionId);

    /// The next connection that is to be closed. They are found while the Swarm handles an event, and it polls its
    /// behaviours after that.
    fn next_surplus(&mut self) -> Option<(PeerId, ConnectionId)> {
        None
    }
}

/// A rule, held against every connection.
#[derive(Debug)]
pub(crate) struct Gate<R> {
    pub(super) rule: R,
}

impl<R: Rule + 'static> NetworkBehaviour for Gate<R> {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.rule.accept(id, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.rule.let_in(id, peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.rule.dial(id)?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.rule.reach(id, peer, address)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let Some(connection) = ended(&event) {
            self.rule.ended(connection);
        }
        if let FromSwarm::ConnectionEstablished(new) = event {
            self.rule.stands(new.connection_id, new.peer_id, new.endpoint);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.rule.next_surplus().map_or(Poll::Pending, |(peer_id, id)| {
            let connection = CloseConnection::One(id);
            Poll::Ready(ToSwarm::CloseConnection { peer_id, connection })
        })
    }
}
