//! Nodes that meet peers of another network, or peers that are no nodes: they say so, and let them go.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::{StreamExt as _, executor::block_on};
use libp2p::{
    Swarm, identify,
    swarm::{self, NetworkBehaviour, SwarmEvent, dummy},
};
use peerage::{
    Config, DhtMode, Error, Event, Freshness, Limits, Multiaddr, NetworkName, PeerId, Registry,
    Source,
    identity::Keypair,
    net::transport::{self, TransportConfig},
};

mod support;

use support::{Executor, Peer, loopback, manifest, owned, within};

fn of_network(name: &str) -> Config {
    loopback().with_network(network(name))
}

fn network(name: &str) -> NetworkName {
    name.parse().expect("a name")
}

/// Starts a libp2p peer that is no node. Its address names it.
async fn stranger<B>(keypair: Keypair, behaviour: B) -> Multiaddr
where
    B: NetworkBehaviour + Send + 'static,
    B::ToSwarm: Send,
{
    let transport =
        transport::tcp(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    let peer = keypair.public().to_peer_id();
    let config = swarm::Config::with_executor(|task| smol::spawn(task).detach())
        .with_idle_connection_timeout(support::PATIENCE);
    let mut swarm = Swarm::new(transport, behaviour, peer, config);
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("listening");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    Executor::Smol.spawn(async move { while swarm.next().await.is_some() {} });
    address.with_p2p(peer).expect("an address without a peer")
}

/// Waits until the node has let a peer go, and says why.
async fn let_go(node: &mut Peer, gone: PeerId) -> Option<String> {
    node.wait_for("a peer's leave", |event| match event {
        Event::Disconnected { peer, reason } if peer == gone => Some(reason),
        _ => None,
    })
    .await
}

/// The dial has told that who is there belongs to this network, or to none, and not to this node's.
fn assert_is_of_another(
    end: peerage::Result<PeerId>,
    dialed: &Multiaddr,
    network: Option<NetworkName>,
) {
    match end {
        Err(Error::OtherNetwork { address, found, own, .. }) => {
            assert_eq!((address, found, own), (dialed.clone(), network, NetworkName::default()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_dials_a_peer_of_another_network_is_told_which_and_the_peer_is_let_go() {
    block_on(async {
        let mut other = Peer::start(Executor::Smol, of_network("other"));
        let address = other.address().await;
        let mut node = Peer::start(Executor::Smol, loopback());
        let end = within("an answer", node.handle.dial_address(address.clone())).await;
        assert_is_of_another(end, &address, Some(network("other")));
        let reason = let_go(&mut node, other.id()).await;
        assert_eq!(reason.as_deref(), Some("a peer of the network `other`"));
        let_go(&mut other, node.id()).await;
        for peer in [&node, &other] {
            assert_eq!(peer.handle.peers().await, Ok(Vec::new()));
        }
    });
}

#[test]
fn a_node_that_bootstraps_through_a_peer_of_another_network_says_so() {
    block_on(async {
        let mut other = Peer::start(Executor::Smol, of_network("other"));
        let bootstrap = other.address().await;
        let mut unnamed = bootstrap.clone();
        unnamed.pop();
        for bootstrap in [bootstrap, unnamed] {
            let mut node =
                Peer::start(Executor::Smol, loopback().with_bootstrap([bootstrap.clone()]));
            let (address, reason) = node
                .wait_for("a report", |event| match event {
                    Event::BootstrapUnreachable { address, reason } => Some((address, reason)),
                    _ => None,
                })
                .await;
            assert_eq!((address, &*reason), (bootstrap, "a peer of the network `other`"));
            let_go(&mut node, other.id()).await;
            // It is reachable, and that would not be enough.
            assert_eq!(node.handle.bootstrap().await, Err(Error::NoPeers));
        }
    });
}

#[test]
fn a_peer_that_is_no_node_is_not_mistaken_for_one() {
    block_on(async {
        let node = Peer::start(Executor::Smol, loopback());
        let keypair = Keypair::generate_ed25519();
        let introduction = identify::Config::new("ipfs/0.1.0".to_owned(), keypair.public());
        let talkative = stranger(keypair, identify::Behaviour::new(introduction)).await;
        let silent = stranger(Keypair::generate_ed25519(), dummy::Behaviour).await;
        for address in [talkative, silent] {
            let end = within("an answer", node.handle.dial_address(address.clone())).await;
            assert_is_of_another(end, &address, None);
        }
    });
}

#[test]
fn a_peer_that_was_dialed_is_asked_by_the_next_question() {
    block_on(async {
        let reader = Peer::start(Executor::Smol, loopback().with_mode(DhtMode::Client));
        let sure = reader.handle.with_freshness(Freshness::All);
        // One after another, each of which holds what nobody else does.
        let mut owners = Vec::new();
        for number in 0..8 {
            let mut owner = Peer::start(Executor::Smol, loopback());
            let address = owner.address().await;
            let name = format!("tool-{number}");
            owner.handle.register(manifest(&name, "1.0.0")).await.expect("registered");
            within("a dial", reader.handle.dial_address(address)).await.expect("dialed");
            let found = sure.get_package(owned(owner.id(), &name)).await.expect("found");
            assert_eq!(found.source, Source::Network);
            owners.push(owner);
        }
    });
}
