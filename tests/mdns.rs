//! Peers on one network that nobody has told of each other.
//!
//! Multicast goes nowhere but through a network namespace that a test makes for itself.
#![cfg(all(feature = "mdns", target_os = "linux"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use peerage::{Config, Error, Event, MdnsConfig, PeerId, Registry};
use socket2::{Domain, Socket, Type};

#[path = "support/namespace.rs"]
mod namespace;
mod support;

use namespace::{ip, is_inside, loopback_up};
use support::{Executor, Peer, loopback, manifest, owned, within};

const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

fn discovering(config: Config) -> Peer {
    Peer::start(Executor::Smol, config.with_mdns(MdnsConfig::new()))
}

async fn connected(peer: &mut Peer, to: PeerId) {
    peer.wait_for("a connection", |event| match event {
        Event::Connected { peer, .. } if peer == to => Some(()),
        _ => None,
    })
    .await;
}

/// One finds what the other publishes.
async fn works(publisher: &Peer, reader: &Peer, package: &str) {
    let registered = publisher.handle.register(manifest(package, "1.0.0"));
    within("a receipt", registered).await.expect("registered");
    let id = owned(publisher.id(), package);
    let found = within("the package", reader.handle.get_package(id)).await.expect("found");
    assert_eq!(found.owner, publisher.id());
}

#[test]
fn two_nodes_that_know_nobody_find_each_other() {
    if !is_inside("two_nodes_that_know_nobody_find_each_other") {
        return;
    }
    loopback_up();
    block_on(async {
        let mut alice = discovering(loopback());
        let mut bob = discovering(loopback());
        let (a, b) = (alice.id(), bob.id());
        connected(&mut alice, b).await;
        connected(&mut bob, a).await;
        works(&alice, &bob, "tiny").await;
    });
}

#[test]
fn a_node_that_does_not_discover_is_not_discovered() {
    if !is_inside("a_node_that_does_not_discover_is_not_discovered") {
        return;
    }
    loopback_up();
    block_on(async {
        let hidden = Peer::start(Executor::Smol, loopback());
        let mut alice = discovering(loopback());
        let mut bob = discovering(loopback());
        connected(&mut alice, bob.id()).await;
        connected(&mut bob, alice.id()).await;
        let peers = hidden.handle.peers().await.expect("peers");
        assert!(peers.is_empty(), "{peers:?}");
    });
}

/// There is nothing to listen on and nothing to speak on when they start.
#[test]
fn an_interface_that_comes_later_is_used() {
    if !is_inside("an_interface_that_comes_later_is_used") {
        return;
    }
    block_on(async {
        let anywhere = || Config::new().with_listen(["/ip4/0.0.0.0/tcp/0".parse().unwrap()]);
        let mut alice = discovering(anywhere());
        let mut bob = discovering(anywhere());
        let bootstrap = within("an answer", alice.handle.bootstrap()).await;
        assert_eq!(bootstrap, Err(Error::NoPeers));

        // An interface of a local network, of which these two are the only machines.
        ip("link add lan type veth peer name cable");
        ip("address add 192.168.7.1/24 dev lan");
        ip("link set lan up");
        ip("link set cable up");
        // What a machine sends to its own addresses goes this way.
        loopback_up();
        connected(&mut alice, bob.id()).await;
        connected(&mut bob, alice.id()).await;
        works(&bob, &alice, "late").await;
    });
}

/// Nodes of another network are neighbours, too.
#[test]
fn neighbours_of_another_network_do_not_stay() {
    if !is_inside("neighbours_of_another_network_do_not_stay") {
        return;
    }
    loopback_up();
    block_on(async {
        let mut alice = discovering(loopback());
        let mut bob = discovering(loopback());
        let mut stranger = discovering(loopback().with_network("other".parse().unwrap()));
        connected(&mut alice, bob.id()).await;
        connected(&mut bob, alice.id()).await;
        stranger
            .wait_for("its end", |event| match event {
                Event::Disconnected { .. } => Some(()),
                _ => None,
            })
            .await;
        works(&alice, &bob, "ours").await;
        let metadata = within("metadata", stranger.handle.metadata()).await.expect("metadata");
        assert_eq!(metadata.routing_table, 0);
    });
}

/// Speaks and hears on the loopback interface as any process of this machine could.
struct Neighbour(UdpSocket);

impl Neighbour {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, GROUP.1)).into()).unwrap();
        socket.join_multicast_v4(&GROUP.0, &Ipv4Addr::LOCALHOST).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket.into())
    }

    fn say(&self, packet: &[u8]) {
        // What does not fit into the buffers is lost.
        let _ = self.0.send_to(packet, GROUP);
    }

    fn hear(&self) -> Vec<u8> {
        let mut packet = vec![0; 9000];
        let length = self.0.recv(&mut packet).expect("a packet in time");
        packet.truncate(length);
        packet
    }
}

/// `name`, `type`, `class`, `ttl` and data as RFC 1035 writes a record.
fn record(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [name, &[0, kind, 0, 1, 0, 0, 1, 0], &length, data].concat()
}

/// An answer as the specification describes it, written by hand.
fn answer(peer: PeerId, address: &str) -> Vec<u8> {
    let service = b"\x04_p2p\x04_udp\x05local\0";
    let name = [b"\x04peer", &service[..]].concat();
    let text = format!("dnsaddr={address}/p2p/{peer}");
    let text = [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let header = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    [&header[..], &record(service, 12, &name), &record(&name, 16, &text)].concat()
}

#[test]
fn junk_floods_and_packets_that_come_back_change_nothing() {
    if !is_inside("junk_floods_and_packets_that_come_back_change_nothing") {
        return;
    }
    loopback_up();
    block_on(async {
        let neighbour = Neighbour::new();
        let mut alice = discovering(loopback());
        let mut bob = discovering(loopback());
        connected(&mut alice, bob.id()).await;
        connected(&mut bob, alice.id()).await;
        let own: Vec<Vec<u8>> = (0..4).map(|_| neighbour.hear()).collect();

        // For two seconds, as much as there is room for.
        let flood = thread::spawn(move || {
            let (begun, mut said) = (Instant::now(), 0_usize);
            while begun.elapsed() < Duration::from_secs(2) {
                let made_up = PeerId::random();
                neighbour.say(&answer(made_up, "/ip4/127.0.0.1/tcp/9"));
                neighbour.say(&answer(made_up, "/ip4/8.8.8.8/tcp/9"));
                neighbour.say(&made_up.to_bytes());
                neighbour.say(&own[said % own.len()]);
                said += 4;
            }
            said
        });
        for round in 0..5 {
            works(&alice, &bob, &format!("alice-{round}")).await;
            works(&bob, &alice, &format!("bob-{round}")).await;
        }
        let said = flood.join().expect("the flood");
        println!("{said} packets");
        assert!(said > 1000, "{said} packets are no flood");
        for (peer, other) in [(&alice, &bob), (&bob, &alice)] {
            let peers = within("peers", peer.handle.peers()).await.expect("peers");
            let peers: Vec<PeerId> = peers.iter().map(|peer| peer.peer).collect();
            assert_eq!(peers, [other.id()]);
        }
        works(&alice, &bob, "after").await;

        // A third is found by both as before.
        let mut carol = discovering(loopback());
        connected(&mut carol, alice.id()).await;
        works(&carol, &bob, "carol").await;
    });
}

/// What other implementations of the specification send is understood, and they are answered.
#[test]
fn a_node_answers_a_question_that_was_written_by_hand() {
    if !is_inside("a_node_answers_a_question_that_was_written_by_hand") {
        return;
    }
    loopback_up();
    let neighbour = Neighbour::new();
    let node = discovering(loopback());
    let peer = node.id().to_string();
    let is_answer = |packet: &[u8], name: &[u8]| {
        let holds = |part: &[u8]| packet.windows(part.len()).any(|window| window == part);
        packet[2] & 0x80 != 0 && holds(name) && holds(peer.as_bytes())
    };
    for name in
        [&b"\x04_p2p\x04_udp\x05local\0"[..], b"\x09_services\x07_dns-sd\x04_udp\x05local\0"]
    {
        let header = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        neighbour.say(&[&header[..], name, &[0, 12, 0, 1]].concat());
        while !is_answer(&neighbour.hear(), name.get(..name.len() - 1).unwrap()) {}
    }
}
