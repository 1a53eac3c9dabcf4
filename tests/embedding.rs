//! The ways in which an application may hold and drive a node.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use futures::{StreamExt, executor::block_on, future::FutureExt};
use peerage::{
    Config, Event, Limits, Multiaddr, Node, PeerId, Registry, TransportConfig, identity::Keypair,
    net::transport,
};

mod support;

use support::{Executor, Peer, bare, loopback, manifest, within};

/// Registers on one side, and reads on the other until it is there.
async fn serves(owner: &peerage::Handle, reader: &dyn Registry) {
    owner.register(manifest("served", "1.0.0")).await.expect("registered");
    let package = reader.get_package(bare("served")).await.expect("found");
    assert_eq!(package.owner, owner.peer_id());
    owner.unregister("served".parse().expect("a name")).await.expect("withdrawn");
}

#[test]
fn a_node_that_is_only_a_future_serves() {
    block_on(async {
        let mut other = Peer::start(Executor::Smol, loopback());
        let config = loopback().with_bootstrap([other.address().await]);
        let (node, handle) = Node::new(Keypair::generate_ed25519(), config).expect("a node");
        let driver = thread::spawn(|| block_on(node));
        handle.bootstrap().await.expect("joined");
        serves(&handle, &other.handle).await;
        serves_both_ways(&other.handle, &handle).await;
        handle.shutdown().await.expect("acknowledged");
        driver.join().expect("the future ends");
    });
}

async fn serves_both_ways(owner: &peerage::Handle, reader: &dyn Registry) {
    let registered = owner.register(manifest("back", "1.0.0")).await.expect("registered");
    assert!(registered.replicas > 0);
    let package = reader.get_package(bare("back")).await.expect("found");
    assert_eq!(package.owner, owner.peer_id());
}

#[test]
fn a_node_that_is_only_a_stream_in_a_select_serves() {
    block_on(async {
        let mut other = Peer::start(Executor::Tokio, loopback());
        let config = loopback().with_bootstrap([other.address().await]);
        let (mut node, handle) = Node::new(Keypair::generate_ed25519(), config).expect("a node");
        let work = async {
            handle.bootstrap().await.expect("joined");
            serves(&handle, &other.handle).await;
            serves_both_ways(&other.handle, &handle).await;
        };
        let mut work = std::pin::pin!(work.fuse());
        let mut heard = Vec::new();
        within("the work", async {
            loop {
                futures::select! {
                    event = node.select_next_some() => heard.push(event),
                    () = work => break,
                }
            }
        })
        .await;
        assert!(heard.iter().any(|event| matches!(event, Event::Connected { .. })), "{heard:?}");
        // It ends as a stream does.
        let ((), rest) = futures::future::join(
            async { handle.shutdown().await.expect("acknowledged") },
            node.by_ref().collect::<Vec<_>>(),
        )
        .await;
        assert!(rest.iter().all(|event| !matches!(event, Event::Connected { .. })));
    });
}

#[test]
fn connections_may_run_on_the_application_s_own_executor() {
    let spawned = Arc::new(AtomicUsize::new(0));
    block_on(async {
        let mut other = Peer::start(Executor::Smol, loopback());
        let config = loopback().with_bootstrap([other.address().await]);
        let count = Arc::clone(&spawned);
        let (node, handle) = Node::builder(Keypair::generate_ed25519(), config)
            .with_executor(move |task| {
                count.fetch_add(1, Ordering::Relaxed);
                smol::spawn(task).detach();
            })
            .build()
            .expect("a node");
        let peer = Peer::run(Executor::Futures, node, handle);
        peer.handle.bootstrap().await.expect("joined");
        serves(&peer.handle, &other.handle).await;
        serves_both_ways(&other.handle, &peer.handle).await;
    });
    assert!(spawned.load(Ordering::Relaxed) > 0);
}

#[test]
fn nodes_may_talk_within_the_process() {
    let memory = |config: Config| {
        let keypair = Keypair::generate_ed25519();
        let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())
            .expect("a transport");
        let listen: Multiaddr = "/memory/0".parse().expect("an address");
        let (node, handle) = Node::builder(keypair, config.with_listen([listen]))
            .with_transport(transport)
            .build()
            .expect("a node");
        Peer::run(Executor::Smol, node, handle)
    };
    block_on(async {
        let mut one = memory(Config::new());
        let other = memory(Config::new().with_bootstrap([one.address().await]));
        other.handle.bootstrap().await.expect("joined");
        serves(&one.handle, &other.handle).await;
    });
}

#[test]
fn a_registry_can_be_held_as_a_trait_object() {
    block_on(async {
        let peer = Peer::start(Executor::Smol, loopback());
        let registry: Arc<dyn Registry> = Arc::new(peer.handle.clone());
        registry.register(manifest("boxed", "1.0.0")).await.expect("registered");
        assert_eq!(registry.get_package(bare("boxed")).await.expect("its own").owner, peer.id());
        let metadata = registry.metadata().await.expect("metadata");
        assert_eq!(metadata.peer_id, peer.id());
        assert_eq!((metadata.own_packages, metadata.peers), (1, 0));
    });
}

#[test]
fn what_an_application_needs_can_cross_threads() {
    fn crosses<T: Send + 'static>() {}
    fn is_shared<T: Send + Sync + 'static>() {}
    crosses::<Node>();
    is_shared::<peerage::Handle>();
    is_shared::<Arc<dyn Registry>>();
    is_shared::<PeerId>();
    is_shared::<peerage::Error>();
    crosses::<Event>();
}
