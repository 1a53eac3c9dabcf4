//! Kademlia over a store that is told who speaks.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    ops::{Deref, DerefMut},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    kad::{self, QueryId, store::RecordStore},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm,
        NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};

/// A record store that is told which peer's message Kademlia is about to carry out. Kademlia itself does not
/// say: the publisher in a request is whatever its sender writes there.
pub(crate) trait Audience {
    /// A peer has sent a message. Answers whether it is to be carried out.
    fn hear(&mut self, peer: PeerId) -> Verdict;

    /// It has been carried out: what follows is this node's own doing. Answers whether it was a record that the
    /// store refused.
    fn fall_silent(&mut self) -> bool;

    /// This node has begun a query, which peers are going to answer.
    fn ask(&mut self);
}

/// Refused records after which a connection is closed, to be made anew.
///
/// Kademlia resets the stream of each, and libp2p-kad 0.49 forgets to wake what was reset, so that it keeps its
/// place among the 32 that a connection has. Whoever has had so many records refused, with or without any fault,
/// would be heard no more on that connection, not even with lookups.
const MAX_REFUSED: u32 = 24;

/// What is to become of a peer that has sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Carry the message out.
    Listen,
    /// Close the connections with this peer.
    Close,
}

/// Kademlia, with each message of a peer attributed to it. In all else it is the behaviour that it wraps.
pub(crate) struct Attributed<S> {
    kad: kad::Behaviour<S>,
    /// Peers whose connections are closing, until they are closed.
    closing: HashSet<PeerId>,
    /// How many records were refused on each connection, where there were any.
    refused: HashMap<ConnectionId, u32>,
    to_close: VecDeque<(PeerId, CloseConnection)>,
}

impl<S> fmt::Debug for Attributed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributed").field("closing", &self.closing).finish_non_exhaustive()
    }
}

impl<S> Attributed<S>
where
    S: RecordStore + Audience + Send + 'static,
{
    pub(crate) fn new(kad: kad::Behaviour<S>) -> Self {
        Self { kad, closing: HashSet::new(), refused: HashMap::new(), to_close: VecDeque::new() }
    }

    // What begins a query is named here, before the wrapped behaviour's methods of the same names, so that the
    // store hears of it.

    pub(crate) fn get_record(&mut self, key: kad::RecordKey) -> QueryId {
        self.kad.store_mut().ask();
        self.kad.get_record(key)
    }

    pub(crate) fn put_record(
        &mut self,
        record: kad::Record,
        quorum: kad::Quorum,
    ) -> Result<QueryId, kad::store::Error> {
        self.kad.store_mut().ask();
        self.kad.put_record(record, quorum)
    }

    pub(crate) fn put_record_to(
        &mut self,
        record: kad::Record,
        peers: impl ExactSizeIterator<Item = PeerId>,
        quorum: kad::Quorum,
    ) -> QueryId {
        self.kad.store_mut().ask();
        self.kad.put_record_to(record, peers, quorum)
    }

    pub(crate) fn bootstrap(&mut self) -> Result<QueryId, kad::NoKnownPeers> {
        self.kad.store_mut().ask();
        self.kad.bootstrap()
    }
}

impl<S> Deref for Attributed<S> {
    type Target = kad::Behaviour<S>;

    fn deref(&self) -> &Self::Target {
        &self.kad
    }
}

impl<S> DerefMut for Attributed<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kad
    }
}

impl<S> NetworkBehaviour for Attributed<S>
where
    S: RecordStore + Audience + Send + 'static,
{
    type ConnectionHandler = <kad::Behaviour<S> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = kad::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.kad.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.kad.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id,
            connection_id,
            remaining_established,
            ..
        }) = &event
        {
            self.refused.remove(connection_id);
            if *remaining_established == 0 {
                self.closing.remove(peer_id);
            }
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match self.kad.store_mut().hear(peer) {
            Verdict::Listen => self.kad.on_connection_handler_event(peer, connection, event),
            // What it waits for and what it was asked for end with the connection.
            Verdict::Close => {
                if self.closing.insert(peer) {
                    self.to_close.push_back((peer, CloseConnection::All));
                }
            }
        }
        if self.kad.store_mut().fall_silent() {
            let refused = self.refused.entry(connection).or_default();
            *refused += 1;
            if *refused == MAX_REFUSED {
                self.to_close.push_back((peer, CloseConnection::One(connection)));
            }
        }
    }

    // The Swarm polls once more after it has handed over a handler's event: nothing needs to be woken.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.to_close.pop_front() {
            tracing::debug!(peer = %peer_id, ?connection, "closing");
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
        }
        self.kad.poll(cx)
    }
}
