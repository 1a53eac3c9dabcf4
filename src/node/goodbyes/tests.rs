//! Nodes without room, over connections within this process.

use std::{
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use futures::{
    Future as _, Stream as _,
    executor::block_on,
    future::{Either, poll_fn, select},
};
use libp2p::identity::Keypair;

use super::*;
use crate::{
    config::{Config, Limits},
    error::Error,
    event::Event,
    handle::Handle,
    net::transport::{self, TransportConfig},
    node::Node,
};

fn start(bootstrap: Option<Multiaddr>) -> (Node, Handle) {
    let keypair = Keypair::generate_ed25519();
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
    let config =
        Config::new().with_listen(["/memory/0".parse().unwrap()]).with_bootstrap(bootstrap);
    Node::builder(keypair, config).with_transport(transport).build().unwrap()
}

/// Polls all nodes until the condition holds, which is told of each event with the node that it is of.
fn poll_until(
    nodes: &mut [Node],
    mut holds: impl FnMut(&mut [Node], Option<(usize, Event)>) -> bool,
) {
    let done = poll_fn(|cx| {
        for at in 0..nodes.len() {
            while let Poll::Ready(Some(event)) = Pin::new(&mut nodes[at]).poll_next(cx) {
                if holds(nodes, Some((at, event))) {
                    return Poll::Ready(());
                }
            }
        }
        if holds(nodes, None) { Poll::Ready(()) } else { Poll::Pending }
    });
    let patience = async_io::Timer::after(Duration::from_secs(60));
    assert!(matches!(block_on(select(done, patience)), Either::Left(_)), "it does not come");
}

/// Where a node listens.
fn address(node: &mut Node) -> Multiaddr {
    let mut address = None;
    poll_until(std::slice::from_mut(node), |_, event| {
        if let Some((_, Event::Listening { address: listens })) = event {
            address = Some(listens);
        }
        address.is_some()
    });
    address.unwrap()
}

/// Whoever connects with this node is let go at once.
fn has_no_room(nodes: &mut [Node], event: &(usize, Event)) {
    if let (0, Event::Connected { peer, .. }) = event {
        nodes[0].link.engine.let_go(*peer, Farewell::NoRoom);
    }
}

#[test]
fn a_newcomer_for_whom_there_is_no_room_joins_through_those_of_whom_it_is_told() {
    let (mut full, _full) = start(None);
    let bootstrap = address(&mut full);
    let (other, _other) = start(Some(bootstrap.clone()));
    let id = other.peer_id();
    let mut nodes = vec![full, other];
    poll_until(&mut nodes, |nodes, _| nodes[0].link.dht.is_seated(&id));

    let (newcomer, handle) = start(Some(bootstrap));
    nodes.push(newcomer);
    let mut joining = pin!(handle.bootstrap());
    let (mut answer, mut words, mut is_connected) = (None, None, false);
    poll_until(&mut nodes, |nodes, event| {
        if let Some(event) = event {
            has_no_room(nodes, &event);
            match event {
                (2, Event::Disconnected { reason, .. }) => words = reason,
                (2, Event::Connected { peer, .. }) => is_connected |= peer == id,
                _ => {}
            }
        }
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        if answer.is_none()
            && let Poll::Ready(end) = joining.as_mut().poll(&mut cx)
        {
            answer = Some(end);
        }
        answer.is_some() && is_connected && words.is_some()
    });
    assert_eq!(words.as_deref(), Some("it has no room"));
    assert!(answer.unwrap().unwrap() >= 1);
}

#[test]
fn whoever_finds_nobody_but_a_bootstrap_peer_without_room_is_told_so() {
    let (mut full, _full) = start(None);
    let (newcomer, handle) = start(Some(address(&mut full)));
    let mut nodes = vec![full, newcomer];
    let mut joining = pin!(handle.bootstrap());
    let mut answer = None;
    poll_until(&mut nodes, |nodes, event| {
        if let Some(event) = event {
            has_no_room(nodes, &event);
        }
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(end) = joining.as_mut().poll(&mut cx) {
            answer = Some(end);
        }
        answer.is_some()
    });
    assert_eq!(answer, Some(Err(Error::NoRoom { full: 1, of: 1 })));
}

#[test]
fn a_peer_is_told_of_eight_others_where_it_can_reach_them() {
    let address = |text: &str| text.parse::<Multiaddr>().unwrap();
    let peers: Vec<PeerId> =
        (0..12).map(|_| Keypair::generate_ed25519().public().to_peer_id()).collect();
    let addresses = |peer: PeerId| {
        let own = address("/ip4/8.8.8.8/tcp/4001").with_p2p(peer).unwrap();
        let mut all = vec![address("/ip4/127.0.0.1/tcp/4001"), own];
        all.extend((0..6).map(|n| address(&format!("/ip4/8.8.4.{n}/tcp/4001"))));
        all
    };
    let all = peers.iter().map(|peer| (*peer, addresses(*peer)));
    let others = others_of_use(all, Scope::of(&address("/ip4/9.9.9.9/tcp/1")));
    assert_eq!(others.len(), MAX_OTHERS);
    for (other, peer) in others.iter().zip(&peers) {
        assert_eq!((other.peer, other.addresses.len()), (*peer, 4));
        assert_eq!(other.addresses[0], address("/ip4/8.8.8.8/tcp/4001"));
    }
    assert!(Request::Goodbye { reason: 1, others }.encode().is_ok());
    // Who can be reached from here alone, or has no name that a goodbye knows, is not told of.
    let local = [(peers[0], vec![address("/ip4/127.0.0.1/tcp/4001")])];
    assert_eq!(others_of_use(local.into_iter(), Scope::Global), []);
    let nameless = [(PeerId::random(), vec![address("/ip4/8.8.8.8/tcp/4001")])];
    assert_eq!(others_of_use(nameless.into_iter(), Scope::Global), []);
}
