use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    FutureExt as _, Stream as _,
    executor::block_on,
    future::{Either, Future as _, poll_fn, select},
};
use libp2p::{
    core::Endpoint,
    identify::Info,
    identity::Keypair,
    swarm::{ConnectionId, DialError, NetworkBehaviour as _, THandlerOutEvent},
};

use super::*;
use crate::{
    config::{Config, Limits},
    engine::dht::message::{RequestId, Response},
    handle::Handle,
    net::{
        kad,
        transport::{self, TransportConfig},
    },
    node::Node,
    package::Manifest,
    record::RecordKey,
    registry::Registry as _,
};

const NOW: Now = Now { mono: Duration::ZERO, unix: 0 };

fn node(limits: Limits) -> Node {
    let config = Config::new().with_listen([]).with_limits(limits);
    Node::new(Keypair::generate_ed25519(), config).unwrap().0
}

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// What identify is told by its connections. Its type has no name of its own outside of libp2p.
type Said = THandlerOutEvent<identify::Behaviour>;

/// A peer that has connected from an address.
struct Peer {
    keypair: Keypair,
    id: PeerId,
}

impl Peer {
    fn connected(node: &mut Node, from: &str) -> Self {
        let keypair = Keypair::generate_ed25519();
        let peer = keypair.public().to_peer_id();
        let (address, direction) = (address(from), Direction::Inbound);
        node.link.engine.learn(NOW, Fact::Connected { peer, address, direction });
        node.link.dht.connected(NOW.mono, peer, direction);
        Self { keypair, id: peer }
    }

    fn introduction(&self, node: &Node, addresses: Vec<Multiaddr>) -> Info {
        Info {
            public_key: self.keypair.public(),
            protocol_version: String::new(),
            agent_version: String::new(),
            listen_addrs: addresses,
            protocols: vec![node.link.wiring.protocol().clone()],
            observed_addr: Multiaddr::empty(),
            signed_peer_record: None,
        }
    }

    /// It says where it can be found.
    fn introduce(&self, node: &mut Node, addresses: Vec<Multiaddr>) {
        let event = identify::Event::Received {
            connection_id: ConnectionId::new_unchecked(0),
            peer_id: self.id,
            info: self.introduction(node, addresses),
        };
        node.link.learn_introduction(NOW, event);
    }

    /// As above, at once and by one address.
    fn join(node: &mut Node, from: &str, claims: &str) -> Self {
        let peer = Self::connected(node, from);
        peer.introduce(node, vec![address(claims)]);
        peer
    }
}

fn known(node: &Node, peer: PeerId) -> Vec<String> {
    node.link.dht.addresses(&peer).iter().map(Multiaddr::to_string).collect()
}

#[test]
fn however_often_a_peer_introduces_itself_its_newest_addresses_are_kept_and_few() {
    for most in [16, 3] {
        let mut node = node(Limits::new().with_addresses_per_peer(most));
        let peer = Peer::connected(&mut node, "/ip4/198.51.100.1/tcp/50000");
        let claimed = |i: usize| address(&format!("/ip4/198.51.100.{i}/tcp/4001"));
        for round in 0..10 {
            peer.introduce(&mut node, (0..20).map(|i| claimed(20 * round + i)).collect());
        }
        let expected: Vec<String> = (180..180 + most).map(|i| claimed(i).to_string()).collect();
        assert_eq!(known(&node, peer.id), expected);
    }
}

#[test]
fn addresses_that_would_not_fit_into_replies_are_left_out() {
    let mut node = node(Limits::new());
    let long = format!("/dns4/{}.example/tcp/4001", "a".repeat(200));
    let peer = Peer::join(&mut node, "/ip4/198.51.100.1/tcp/50000", &long);
    assert_eq!(known(&node, peer.id), [""; 0]);
}

#[test]
fn addresses_that_nobody_can_reach_do_not_crowd_out_one_that_everybody_can() {
    let mut node = node(Limits::new().with_addresses_per_peer(2));
    let peer = Peer::connected(&mut node, "/ip4/9.9.9.9/tcp/50000");
    let mut told: Vec<Multiaddr> = (0..20)
        .flat_map(|i| [format!("/ip6/fe80::{i}/tcp/1"), format!("/ip4/169.254.0.{i}/tcp/1")])
        .chain((0..20).map(|i| format!("/ip4/192.168.0.{i}/tcp/4001")))
        .chain(["/ip4/0.0.0.0/tcp/1".to_owned(), "/ip4/9.9.9.9/tcp/0".to_owned()])
        .map(|text| address(&text))
        .collect();
    let home = "/ip4/9.9.9.9/tcp/4001";
    told.push(address(home));
    peer.introduce(&mut node, told);
    assert_eq!(known(&node, peer.id), [home]);

    let neighbour = Peer::connected(&mut node, "/ip4/192.168.0.9/tcp/50000");
    let told = ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.0.9/tcp/1", home].map(address);
    neighbour.introduce(&mut node, told.to_vec());
    let kept = [home, "/ip4/192.168.0.9/tcp/1"];
    assert_eq!(known(&node, neighbour.id), kept);
}

#[test]
fn one_host_gets_its_share_of_seats_whatever_it_claims() {
    let mut node = node(Limits::new().with_routing_peers_per_ip(3));
    let seated = (0..20).filter(|i| {
        let from = format!("/ip4/198.51.100.1/tcp/{}", 50_000 + i);
        let peer = Peer::join(&mut node, &from, &format!("/ip4/203.{i}.113.1/tcp/4001"));
        node.link.dht.is_seated(&peer.id)
    });
    assert_eq!(seated.count(), 3);
}

#[test]
fn claiming_addresses_in_a_network_uses_up_none_of_its_seats() {
    let limits = Limits::new().with_routing_peers_per_ip(2).with_routing_peers_per_subnet(2);
    let mut node = node(limits);
    for host in 0..20 {
        let from = format!("/ip4/198.{host}.100.1/tcp/50000");
        Peer::join(&mut node, &from, "/ip4/9.9.9.9/tcp/4001");
    }
    let resident = Peer::join(&mut node, "/ip4/9.9.9.9/tcp/50000", "/ip4/9.9.9.9/tcp/4001");
    assert!(node.link.dht.is_seated(&resident.id));
}

#[test]
fn machines_nearby_share_no_seats_unless_asked_to() {
    for (count, seated) in [(false, 10), (true, 4)] {
        let mut node = node(Limits::new().with_count_private_addresses(count));
        let peers: Vec<PeerId> = (0..10)
            .map(|_| Peer::join(&mut node, "/ip4/192.168.1.7/tcp/1", "/ip4/192.168.1.7/tcp/1").id)
            .collect();
        assert_eq!(peers.iter().filter(|peer| node.link.dht.is_seated(peer)).count(), seated);
    }
}

#[test]
fn a_seat_is_charged_for_as_long_as_it_is_held_and_no_longer() {
    let mut node = node(Limits::new().with_routing_peers_per_ip(1));
    let from = "/ip4/198.51.100.1/tcp/50000";
    let first = Peer::join(&mut node, from, "/ip4/198.51.100.1/tcp/1");
    // The last address that it claims is somebody else's: that takes its seat as little as it gives up the charge.
    let foreign = format!("/ip4/198.51.100.1/tcp/2/p2p/{}", PeerId::random());
    first.introduce(&mut node, vec![address("/ip4/198.51.100.1/tcp/3"), address(&foreign)]);
    assert!(node.link.dht.is_seated(&first.id));
    let second = Peer::join(&mut node, from, "/ip4/198.51.100.1/tcp/4");
    assert!(!node.link.dht.is_seated(&second.id));

    node.link.dht.unseat(&first.id);
    second.introduce(&mut node, vec![address("/ip4/198.51.100.1/tcp/4")]);
    assert!(node.link.dht.is_seated(&second.id));
}

#[test]
fn a_peer_that_was_dialed_and_does_not_introduce_itself_is_charged_where_it_answered() {
    let mut node = node(Limits::new().with_routing_peers_per_ip(1));
    let [first, second] = [(); 2].map(|()| PeerId::random());
    for peer in [first, second] {
        let (address, direction) = (address("/ip4/198.51.100.1/tcp/4001"), Direction::Outbound);
        node.link.engine.learn(NOW, Fact::Connected { peer, address, direction });
        node.link.dht.connected(NOW.mono, peer, direction);
        let response = Response::Closer { peers: Vec::new().into() };
        node.link.learn_dht(NOW, kad::Event::Answered { request: RequestId(1), peer, response });
    }
    assert!(node.link.dht.is_seated(&first));
    assert!(!node.link.dht.is_seated(&second));
}

/// How many dials are under way.
fn dials(node: &Node) -> u32 {
    node.link.swarm.network_info().connection_counters().num_pending_outgoing()
}

impl Peer {
    /// It has gone.
    fn leave(&self, node: &mut Node) {
        node.link.dht.disconnected(NOW.mono, &self.id);
        node.link.engine.learn(NOW, Fact::Disconnected { peer: self.id, reason: None });
    }
}

#[test]
fn whoever_is_gone_gives_up_the_seat_to_a_newcomer_and_who_answers_keeps_it() {
    let mut node = node(Limits::new().with_routing_peers_per_ip(1));
    let from = "/ip4/198.51.100.1/tcp/50000";
    let first = Peer::join(&mut node, from, "/ip4/198.51.100.1/tcp/1");
    let second = Peer::join(&mut node, from, "/ip4/198.51.100.1/tcp/2");
    assert_eq!(dials(&node), 0, "it is connected");
    first.leave(&mut node);
    second.introduce(&mut node, vec![address("/ip4/198.51.100.1/tcp/2")]);
    assert_eq!(dials(&node), 1);
    // A second look at the same seat has to wait for the first.
    Peer::join(&mut node, from, "/ip4/198.51.100.1/tcp/3");
    assert_eq!(dials(&node), 1);

    // This node was merely too busy.
    let is_gone = node.link.is_gone(&first.id, &DialError::Aborted);
    node.link.dht.unreachable(&first.id, is_gone);
    assert!(node.link.dht.is_seated(&first.id));

    second.introduce(&mut node, vec![address("/ip4/198.51.100.1/tcp/2")]);
    let is_gone = node.link.is_gone(&first.id, &DialError::Transport(Vec::new()));
    node.link.dht.unreachable(&first.id, is_gone);
    assert!(node.link.dht.is_seated(&second.id) && !node.link.dht.is_seated(&first.id));
}

#[test]
fn a_stranger_who_answers_in_a_peers_stead_does_not_cost_it_the_seat() {
    let mut node = node(Limits::new().with_routing_peers_per_ip(1));
    let resident = Peer::connected(&mut node, "/ip4/198.51.100.1/tcp/50000");
    let home = "/ip4/198.51.100.1/tcp/1";
    resident.introduce(&mut node, vec![address("/ip4/192.168.0.1/tcp/1"), address(home)]);
    let stranger = PeerId::random();
    let answered_at = |place: &str| DialError::WrongPeerId {
        obtained: stranger,
        address: address(place).with_p2p(resident.id).unwrap(),
    };
    // Where others say that it is, next door, and at an address that means another machine here.
    for elsewhere in ["/ip4/198.51.7.7/tcp/1", "/ip4/198.51.100.1/tcp/9", "/ip4/192.168.0.1/tcp/1"]
    {
        assert!(!node.link.is_gone(&resident.id, &answered_at(elsewhere)), "{elsewhere}");
    }
    // Somebody else lives there now.
    assert!(node.link.is_gone(&resident.id, &answered_at(home)));
}

#[test]
fn a_peer_elsewhere_is_not_looked_for_on_this_machine() {
    let mut node = node(Limits::new());
    let peer = Peer::connected(&mut node, "/ip4/198.51.100.1/tcp/50000");
    let here = ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1"];
    peer.introduce(&mut node, here.map(address).to_vec());
    assert_eq!(known(&node, peer.id), [""; 0]);

    // Nor does anybody else in the node keep what it has said.
    let said = Said::Identified(peer.introduction(&node, here.map(address).to_vec()));
    let connection = ConnectionId::new_unchecked(0);
    let behaviour = node.link.swarm.behaviour_mut();
    behaviour.identify.on_connection_handler_event(peer.id, connection, said);
    let (dial, role) = (ConnectionId::new_unchecked(1), Endpoint::Dialer);
    let dialed = behaviour.handle_pending_outbound_connection(dial, Some(peer.id), &[], role);
    assert!(dialed.unwrap().is_empty());
}

/// A node on loopback.
fn on_loopback(limits: Limits, bootstrap: Option<Multiaddr>) -> (Node, Handle) {
    let config = Config::new()
        .with_listen([address("/ip4/127.0.0.1/tcp/0")])
        .with_bootstrap(bootstrap)
        .with_limits(limits);
    Node::new(Keypair::generate_ed25519(), config).unwrap()
}

/// Polls a node until it is as wanted, and fails if that takes too long.
fn until<T>(node: &mut Node, what: &str, mut wanted: impl FnMut(&mut Node) -> Option<T>) -> T {
    let as_wanted = poll_fn(|cx| {
        while Pin::new(&mut *node).poll_next(cx).is_ready() {}
        wanted(node).map_or(Poll::Pending, Poll::Ready)
    });
    match block_on(select(as_wanted, async_io::Timer::after(Duration::from_secs(60)))) {
        Either::Left((found, _)) => found,
        Either::Right(_) => panic!("still waiting for {what}"),
    }
}

fn listening(node: &mut Node) -> Multiaddr {
    until(node, "an address", |node| node.link.swarm.listeners().next().cloned())
}

fn seated(node: &mut Node, peers: &[PeerId]) -> usize {
    peers.iter().filter(|peer| node.link.dht.is_seated(peer)).count()
}

#[test]
fn one_host_cannot_fill_the_table_of_a_running_node_and_is_served_all_the_same() {
    let limits = Limits::new()
        .with_count_private_addresses(true)
        .with_routing_peers_per_ip(3)
        .with_connections_per_ip(64);
    let (mut node, _handle) = on_loopback(limits, None);
    let bootstrap = listening(&mut node);
    let others: Vec<(PeerId, Handle)> = (0..8)
        .map(|_| {
            let (other, handle) = on_loopback(Limits::new(), Some(bootstrap.clone()));
            let peer = other.peer_id();
            smol::spawn(other).detach();
            (peer, handle)
        })
        .collect();
    let peers: Vec<PeerId> = others.iter().map(|&(peer, _)| peer).collect();
    until(&mut node, "all of them", |node| {
        let introduced = node.link.engine.introduced_peers();
        (introduced == peers.len()).then_some(())
    });
    assert_eq!(seated(&mut node, &peers), 3);

    for (_, handle) in &others {
        let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
        let publish = handle.register(manifest);
        let mut publish = std::pin::pin!(publish);
        let receipt = until(&mut node, "the receipt", |_| {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            match publish.as_mut().poll(&mut cx) {
                Poll::Ready(receipt) => Some(receipt.unwrap()),
                Poll::Pending => None,
            }
        });
        assert!(receipt.replicas >= 1, "{receipt:?}");
    }
    assert_eq!(seated(&mut node, &peers), 3);
}

#[test]
fn a_newcomer_takes_the_seat_of_a_neighbour_who_has_gone_and_not_that_of_one_who_is_there() {
    let limits = Limits::new().with_count_private_addresses(true).with_routing_peers_per_ip(1);
    let (mut node, _handle) = on_loopback(limits, None);
    let bootstrap = listening(&mut node);
    let join = || {
        let (other, handle) = on_loopback(Limits::new(), Some(bootstrap.clone()));
        let peer = other.peer_id();
        smol::spawn(other).detach();
        (peer, handle)
    };
    let (first, handle) = join();
    until(&mut node, "the first seat", |node| node.link.dht.is_seated(&first).then_some(()));

    let (second, _second) = join();
    until(&mut node, "the second peer", |node| {
        (node.link.engine.introduced_peers() == 2).then_some(())
    });
    assert!(node.link.dht.is_seated(&first) && !node.link.dht.is_seated(&second));

    smol::spawn(async move { handle.shutdown().await }).detach();
    until(&mut node, "its leave", |node| (!node.link.swarm.is_connected(&first)).then_some(()));
    let (third, _third) = join();
    until(&mut node, "the third seat", |node| node.link.dht.is_seated(&third).then_some(()));
    assert!(!node.link.dht.is_seated(&first));
}

/// A node that others reach in this process, and where.
fn in_memory() -> (Node, Handle, Multiaddr) {
    let keypair = Keypair::generate_ed25519();
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
    let config = Config::new().with_listen([address("/memory/0")]);
    let builder = Node::builder(keypair, config).with_transport(transport);
    let (mut node, handle) = builder.build().unwrap();
    poll(&mut node);
    let listens = node.link.swarm.listeners().next().unwrap().clone();
    let named = listens.with_p2p(node.peer_id()).unwrap();
    (node, handle, named)
}

/// Polls a node once, to its rest.
fn poll(node: &mut Node) {
    let mut cx = Context::from_waker(Waker::noop());
    while Pin::new(&mut *node).poll_next(&mut cx).is_ready() {}
}

#[test]
fn a_peer_that_was_dialed_has_its_seat_when_the_caller_is_told() {
    let (mut node, handle, _) = in_memory();
    let (mut other, _other, address) = in_memory();
    let peer = other.peer_id();
    let mut dial = pin!(handle.dial_address(address));
    assert_eq!(dial.as_mut().now_or_never(), None);
    let connected = poll_fn(|cx| {
        while Pin::new(&mut node).poll_next(cx).is_ready() {}
        if node.link.swarm.is_connected(&peer) {
            return Poll::Ready(());
        }
        while Pin::new(&mut other).poll_next(cx).is_ready() {}
        Poll::Pending
    });
    let patience = async_io::Timer::after(Duration::from_secs(60));
    assert!(matches!(block_on(select(connected, patience)), Either::Left(_)));
    // The connection stands, and the peer, which is polled by nobody, has not introduced itself.
    for _ in 0..100 {
        poll(&mut node);
    }
    assert_eq!(dial.as_mut().now_or_never(), None);

    let told = poll_fn(|cx| {
        while Pin::new(&mut other).poll_next(cx).is_ready() {}
        while Pin::new(&mut node).poll_next(cx).is_ready() {}
        dial.as_mut().poll(cx)
    });
    let patience = async_io::Timer::after(Duration::from_secs(60));
    let Either::Left((end, _)) = block_on(select(told, patience)) else {
        panic!("nobody was told");
    };
    assert_eq!(end, Ok(peer));
    assert!(node.link.dht.is_seated(&peer));
}

#[test]
fn what_a_change_needs_leaves_half_of_the_dials_to_others() {
    let mut node = node(Limits::new().with_pending_connections(6));
    for port in 1..10 {
        let address = format!("/ip4/127.0.0.1/tcp/{port}");
        Peer::join(&mut node, "/ip4/127.0.0.1/tcp/50000", &address).leave(&mut node);
    }
    for name in ["tool", "other"] {
        let name = name.parse().unwrap();
        node.link.dht.approach(NOW.mono, &RecordKey::claims(node.link.wiring.network(), &name));
        node.link.carry_out(NOW);
        assert_eq!(dials(&node), 3);
    }
}
