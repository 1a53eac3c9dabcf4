//! The addresses that a node tells of itself: to each peer those that are of use to it.
//!
//! libp2p's identify tells everybody all of them, in no order. An address of a link or of a private network leads a peer
//! elsewhere to another machine or to none, and takes the place of one that leads here.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    identify,
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionHandler as _, ConnectionId, ExternalAddresses, FromSwarm,
        ListenAddresses, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
    },
};

use super::{
    ended::ended,
    scope::{Scope, of_use},
};

/// What identify tells its connections. Its type has no name of its own outside of libp2p.
type ToConnection = THandlerInEvent<identify::Behaviour>;

/// Where this node can be reached, as far as it knows.
#[derive(Debug, Default)]
struct Own {
    listening: ListenAddresses,
    external: ExternalAddresses,
}

impl Own {
    /// What is told over a connection: all external addresses, and of the others the best of each network and family.
    fn told_over(&self, connection: Scope) -> HashSet<Multiaddr> {
        let mut told: HashSet<Multiaddr> = self.external.iter().cloned().collect();
        let mut networks: BTreeSet<Network> = BTreeSet::new();
        // In the same order whatever order they came in, so that it is the same address every time.
        let listening: BTreeSet<Multiaddr> = self.listening.iter().cloned().collect();
        for address in of_use(listening, connection) {
            if Network::of(&address).is_none_or(|network| networks.insert(network)) {
                told.insert(address);
            }
        }
        told
    }
}

/// The part of an address that all those of one interface and family have in common: of IPv4 the /24, of IPv6 the /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    V4([u8; 3]),
    V6([u16; 4]),
}

impl Network {
    fn of(address: &Multiaddr) -> Option<Self> {
        let ip = match address.iter().next()? {
            Protocol::Ip4(ip) => IpAddr::V4(ip),
            Protocol::Ip6(ip) => ip.to_canonical(),
            _ => return None,
        };
        Some(match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d])
            }
        })
    }
}

/// identify, by which each peer is told the addresses that are of use to it. In all else it is the behaviour that it
/// wraps.
pub(crate) struct Told {
    identify: identify::Behaviour,
    own: Own,
    connections: HashMap<ConnectionId, Scope>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Told {
    pub(super) fn new(identify: identify::Behaviour) -> Self {
        Self { identify, own: Own::default(), connections: HashMap::new() }
    }

    /// What a connection's handler begins with.
    fn begin(
        &mut self,
        connection: ConnectionId,
        remote: &Multiaddr,
        handler: &mut THandler<Self>,
    ) {
        let scope = Scope::of(remote);
        self.connections.insert(connection, scope);
        handler.on_behaviour_event(ToConnection::AddressesChanged(self.own.told_over(scope)));
    }
}

impl NetworkBehaviour for Told {
    type ConnectionHandler = <identify::Behaviour as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = identify::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.identify.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let mut handler =
            self.identify.handle_established_inbound_connection(connection, peer, local, remote)?;
        self.begin(connection, remote, &mut handler);
        Ok(handler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.identify.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let mut handler = self
            .identify
            .handle_established_outbound_connection(connection, peer, address, role, port)?;
        self.begin(connection, address, &mut handler);
        Ok(handler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.own.listening.on_swarm_event(&event);
        self.own.external.on_swarm_event(&event);
        if let Some(connection) = ended(&event) {
            self.connections.remove(&connection);
        }
        self.identify.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.identify.on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let mut polled = self.identify.poll(cx);
        if let Poll::Ready(ToSwarm::NotifyHandler {
            handler: NotifyHandler::One(connection),
            event: ToConnection::AddressesChanged(addresses),
            ..
        }) = &mut polled
            // One of which nothing is known has gone.
            && let Some(&scope) = self.connections.get(connection)
        {
            *addresses = self.own.told_over(scope);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use libp2p::{
        core::{ConnectedPoint, transport::ListenerId},
        identity::Keypair,
        swarm::{
            NewListenAddr,
            behaviour::{ConnectionClosed, ConnectionEstablished, ExternalAddrConfirmed},
        },
    };

    use super::*;

    /// A node with an interface of each kind, two addresses of one network among them.
    fn told(external: &[&str]) -> Told {
        let key = Keypair::generate_ed25519().public();
        let config = identify::Config::new("/peerage/main/1.0.0".to_owned(), key);
        let mut told = Told::new(identify::Behaviour::new(config));
        let listener_id = ListenerId::next();
        for text in [
            "/ip6/fe80::1/tcp/4001",
            "/ip4/169.254.7.7/tcp/4001",
            "/ip4/127.0.0.1/tcp/4001",
            "/ip4/192.168.1.7/tcp/4001",
            "/ip4/192.168.1.8/tcp/4001",
            "/ip6/fd00::7/tcp/4001",
            "/ip6/2606:4700::7/tcp/4001",
            "/ip6/2606:4700::8/tcp/4001",
        ] {
            let addr = &text.parse().unwrap();
            told.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
        }
        for text in external {
            let addr = &text.parse().unwrap();
            told.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr }));
        }
        told
    }

    fn over(told: &Told, remote: &str) -> BTreeSet<String> {
        let told = told.own.told_over(Scope::of(&remote.parse().unwrap()));
        told.iter().map(Multiaddr::to_string).collect()
    }

    #[test]
    fn what_a_peer_is_told_depends_on_where_it_is() {
        let told = told(&[]);
        let global = ["/ip6/2606:4700::7/tcp/4001"];
        let private = ["/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/tcp/4001"];
        let of = |kinds: &[&[&str]]| {
            kinds.concat().iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(over(&told, "/ip4/8.8.8.8/tcp/1"), of(&[&global]));
        assert_eq!(over(&told, "/ip4/192.168.1.9/tcp/1"), of(&[&global, &private]));
        let loopback = ["/ip4/127.0.0.1/tcp/4001"];
        assert_eq!(over(&told, "/ip4/127.0.0.1/tcp/1"), of(&[&global, &private, &loopback]));
    }

    #[test]
    fn external_addresses_are_told_to_everybody() {
        let external = "/ip4/10.0.0.1/tcp/4001";
        let told = told(&[external]);
        for remote in ["/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/fe80::2/tcp/1"] {
            assert!(over(&told, remote).contains(external), "{remote}");
        }
    }

    #[test]
    fn a_change_of_addresses_is_told_to_each_connection_as_it_concerns_it() {
        let mut told = told(&[]);
        let connection = ConnectionId::new_unchecked(1);
        let remote: Multiaddr = "/ip4/8.8.8.8/tcp/1".parse().unwrap();
        let peer = PeerId::random();
        let local = Multiaddr::empty();
        assert!(
            told.handle_established_inbound_connection(connection, peer, &local, &remote).is_ok()
        );
        let endpoint =
            ConnectedPoint::Listener { local_addr: local, send_back_addr: remote.clone() };
        told.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        let addr = &"/ip4/10.7.7.7/tcp/4001".parse().unwrap();
        let listener_id = ListenerId::next();
        told.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(ToSwarm::NotifyHandler {
            event: ToConnection::AddressesChanged(addresses),
            ..
        }) = told.poll(&mut cx)
        else {
            panic!("the connection is told")
        };
        let global: Multiaddr = "/ip6/2606:4700::7/tcp/4001".parse().unwrap();
        assert_eq!(addresses, HashSet::from([global]));

        told.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
        assert!(told.connections.is_empty());
    }
}
