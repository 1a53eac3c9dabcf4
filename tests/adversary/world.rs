//! The honest side: nodes within the process, as an application would run them.

use std::time::Duration;

use peerage::{
    Config, DhtMode, Freshness, Limits, Multiaddr, Node, NodeBuilder, Snapshot,
    identity::Keypair,
    net::transport::{self, TransportConfig},
};

use crate::support::{Executor, Peer, within};

/// A configuration for nodes within the process. Reads are not answered from memory, so that each says what peers
/// answer now.
pub(crate) fn config() -> Config {
    Config::new()
        .with_listen(["/memory/0".parse().expect("an address")])
        .with_cache_ttl(Duration::from_millis(1))
        .with_absence_ttl(Duration::ZERO)
}

/// A node with this identity, on a thread of its own.
pub(crate) fn node_as(keypair: &Keypair, config: Config) -> Peer {
    run(builder(keypair, config))
}

fn builder(keypair: &Keypair, config: Config) -> NodeBuilder {
    let transport =
        transport::memory(keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    Node::builder(keypair.clone(), config).with_transport(transport)
}

fn run(builder: NodeBuilder) -> Peer {
    let (node, handle) = builder.build().expect("a node");
    Peer::run(Executor::Futures, node, handle)
}

/// The same node after it has ended and begun again, with what a file has kept for it.
pub(crate) async fn restarted(keypair: &Keypair, node: Peer, config: Config) -> (Peer, Multiaddr) {
    let snapshot = node.handle.snapshot().await.expect("a snapshot").to_bytes();
    node.handle.shutdown().await.expect("acknowledged");
    within("the end", node.ended).await.expect("ended");
    let snapshot = Snapshot::from_bytes(&snapshot).expect("what was written");
    let mut node = run(builder(keypair, config).with_snapshot(snapshot));
    let address = node.address().await;
    (node, address)
}

/// A server, and where it listens.
pub(crate) async fn server(config: Config) -> (Peer, Multiaddr) {
    let mut peer = node_as(&Keypair::generate_ed25519(), config);
    let address = peer.address().await;
    (peer, address)
}

/// A client that knows these peers. It has been introduced to all of them.
pub(crate) async fn client_of(addresses: &[Multiaddr], config: Config) -> Peer {
    let config = config.with_mode(DhtMode::Client).with_bootstrap(addresses.to_vec());
    let peer = node_as(&Keypair::generate_ed25519(), config);
    joined(&peer, addresses.len()).await;
    peer
}

/// Waits until a peer has so many others in its routing table.
pub(crate) async fn joined(peer: &Peer, others: usize) {
    let joining =
        async { while peer.handle.bootstrap().await.is_ok_and(|known| known < others) {} };
    within("the routing table to fill", joining).await;
}

/// Every kind of reader.
pub(crate) const FRESHNESSES: [Freshness; 3] =
    [Freshness::First, Freshness::Quorum(2), Freshness::All];
