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
    kad::{self, KadPeer, QueryId, store::RecordStore},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
    },
};

use super::{
    ended::ended,
    scope::{Scope, of_use},
};

/// A record store that is told which peer's message Kademlia is about to carry out. Kademlia itself does not
/// say: the publisher in a request is whatever its sender writes there.
pub(crate) trait Audience {
    /// A peer has sent a message. Answers whether it is to be carried out.
    fn hear(&mut self, peer: PeerId) -> Verdict;

    /// It has been carried out: what follows is this node's own doing.
    fn fall_silent(&mut self);

    /// This node has begun a query, which peers are going to answer.
    fn ask(&mut self);
}

/// What Kademlia tells the connections. Its type has no name of its own outside of libp2p.
type ToConnection<S> = THandlerInEvent<kad::Behaviour<S>>;

/// What connections tell Kademlia, likewise.
type FromConnection<S> = THandlerOutEvent<kad::Behaviour<S>>;

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
    /// Connected peers whose messages are not carried out.
    muted: HashSet<PeerId>,
    /// From where the far end of each connection is.
    scopes: HashMap<ConnectionId, Scope>,
    to_close: VecDeque<PeerId>,
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
        Self {
            kad,
            closing: HashSet::new(),
            muted: HashSet::new(),
            scopes: HashMap::new(),
            to_close: VecDeque::new(),
        }
    }

    /// Carries out no message of a connected peer any more, until it has gone. What it waits for and what it was asked for
    /// end with the connection.
    pub(crate) fn mute(&mut self, peer: PeerId) {
        self.muted.insert(peer);
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
        self.scopes.insert(connection, Scope::of(remote));
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
        self.scopes.insert(connection, Scope::of(address));
        self.kad.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let Some(connection) = ended(&event) {
            self.scopes.remove(&connection);
        }
        match &event {
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                remaining_established: 0,
                ..
            }) => {
                self.closing.remove(peer_id);
                self.muted.remove(peer_id);
            }
            // The others were told to close before there was this one.
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, .. }) => {
                self.closing.remove(peer_id);
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if self.muted.contains(&peer) {
            return;
        }
        match self.kad.store_mut().hear(peer) {
            Verdict::Listen => {
                let event = heard::<S>(event, self.scopes.get(&connection).copied());
                self.kad.on_connection_handler_event(peer, connection, event);
            }
            // What it waits for and what it was asked for end with the connection.
            Verdict::Close => {
                if self.closing.insert(peer) {
                    self.to_close.push_back(peer);
                }
            }
        }
        self.kad.store_mut().fall_silent();
    }

    // The Swarm polls once more after it has handed over a handler's event: nothing needs to be woken.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.to_close.pop_front() {
            tracing::debug!(peer = %peer_id, "sends too much");
            let connection = CloseConnection::All;
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
        }
        self.kad.poll(cx).map(|command| {
            let scope = match &command {
                ToSwarm::NotifyHandler { handler: NotifyHandler::One(connection), .. } => {
                    self.scopes.get(connection).copied()
                }
                _ => None,
            };
            command.map_in(|event| told::<S>(event, scope))
        })
    }
}

/// A refusal, as an answer that acknowledges nothing.
///
/// Kademlia resets the stream of a record that the store has refused, but libp2p-kad 0.49 wakes nobody to do it: the
/// sender would wait until it runs out of time, and the stream would keep one of the 32 places in which a connection's
/// questions are answered.
///
/// Of where others are, the peer is told what is of use to it.
fn told<S>(event: ToConnection<S>, scope: Option<Scope>) -> ToConnection<S>
where
    S: RecordStore + Send + 'static,
{
    match event {
        ToConnection::<S>::Reset(request_id) => {
            ToConnection::<S>::FindNodeRes { closer_peers: Vec::new(), request_id }
        }
        ToConnection::<S>::FindNodeRes { closer_peers, request_id } => {
            let closer_peers = reachable(closer_peers, scope);
            ToConnection::<S>::FindNodeRes { closer_peers, request_id }
        }
        ToConnection::<S>::GetRecordRes { record, closer_peers, request_id } => {
            let closer_peers = reachable(closer_peers, scope);
            ToConnection::<S>::GetRecordRes { record, closer_peers, request_id }
        }
        ToConnection::<S>::GetProvidersRes { closer_peers, provider_peers, request_id } => {
            let [closer_peers, provider_peers] =
                [closer_peers, provider_peers].map(|peers| reachable(peers, scope));
            ToConnection::<S>::GetProvidersRes { closer_peers, provider_peers, request_id }
        }
        event => event,
    }
}

/// What a peer has told, without the addresses that cannot be reached from here.
fn heard<S>(event: FromConnection<S>, scope: Option<Scope>) -> FromConnection<S>
where
    S: RecordStore + Send + 'static,
{
    match event {
        FromConnection::<S>::FindNodeRes { closer_peers, query_id } => {
            let closer_peers = reachable(closer_peers, scope);
            FromConnection::<S>::FindNodeRes { closer_peers, query_id }
        }
        FromConnection::<S>::GetRecordRes { record, closer_peers, query_id } => {
            let closer_peers = reachable(closer_peers, scope);
            FromConnection::<S>::GetRecordRes { record, closer_peers, query_id }
        }
        event => event,
    }
}

/// Those of these peers that can be reached by whoever is at the far end of a connection, or from there, with the
/// addresses at which they can.
fn reachable(peers: Vec<KadPeer>, scope: Option<Scope>) -> Vec<KadPeer> {
    let Some(scope) = scope else { return peers };
    peers
        .into_iter()
        .map(|peer| KadPeer { multiaddrs: of_use(peer.multiaddrs, scope), ..peer })
        .filter(|peer| !peer.multiaddrs.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use libp2p::{core::ConnectedPoint, kad::store::MemoryStore};

    use super::*;

    /// Listens to nobody.
    impl Audience for MemoryStore {
        fn hear(&mut self, _: PeerId) -> Verdict {
            Verdict::Close
        }

        fn fall_silent(&mut self) {}

        fn ask(&mut self) {}
    }

    type Message = THandlerOutEvent<kad::Behaviour<MemoryStore>>;

    /// Whether a message makes the node close the connections with its sender.
    fn closes(kad: &mut Attributed<MemoryStore>, peer: PeerId, connection: ConnectionId) -> bool {
        let endpoint = ConnectedPoint::Listener {
            local_addr: Multiaddr::empty(),
            send_back_addr: Multiaddr::empty(),
        };
        let message = Message::ProtocolNotSupported { endpoint };
        kad.on_connection_handler_event(peer, connection, message);
        let polled = kad.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(ToSwarm::CloseConnection { peer_id, .. }) if peer_id == peer)
    }

    #[test]
    fn a_reply_names_those_who_can_be_reached_from_where_it_goes_and_where() {
        let peer = |addresses: &[&str]| KadPeer {
            node_id: PeerId::random(),
            multiaddrs: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            connection_ty: kad::ConnectionType::Connected,
        };
        let here = ["/ip4/127.0.0.1/tcp/1"];
        let [home, nearby] = [
            peer(&["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/1", "/ip4/8.8.8.8/tcp/1"]),
            peer(&here),
        ];
        let global =
            KadPeer { multiaddrs: vec!["/ip4/8.8.8.8/tcp/1".parse().unwrap()], ..home.clone() };
        let both = vec![home, nearby];
        let named = reachable(both.clone(), Some(Scope::Global));
        assert_eq!(named, [global]);
        let named = reachable(both.clone(), Some(Scope::Loopback));
        assert_eq!(named.len(), both.len());
        assert_eq!(named.iter().map(|peer| peer.multiaddrs.len()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_connection_that_comes_while_others_are_closing_is_closed_too() {
        let (local, peer) = (PeerId::random(), PeerId::random());
        let store = MemoryStore::new(local);
        let mut kad = Attributed::new(kad::Behaviour::new(local, store));
        let [first, second] = [1, 2].map(ConnectionId::new_unchecked);
        assert!(closes(&mut kad, peer, first));
        assert!(!closes(&mut kad, peer, first), "it is closing already");

        let endpoint = ConnectedPoint::Listener {
            local_addr: Multiaddr::empty(),
            send_back_addr: Multiaddr::empty(),
        };
        kad.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: second,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 1,
        }));
        assert!(closes(&mut kad, peer, second));
    }
}
