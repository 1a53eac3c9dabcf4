//! What a node knows still when it starts again from its snapshot.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{
    Error, Event, Node, Registry, Snapshot,
    identity::Keypair,
    record::{Head, NetworkName, Record, RecordKey, ReleaseEntry, Revision, Signed, Validity},
};

mod support;

use support::{Executor, Peer, bare, loopback, manifest, name, network, owned, within};

/// A node that starts from what another one knew.
fn start_from(bytes: &[u8], keypair: Keypair, config: peerage::Config) -> Peer {
    let snapshot = Snapshot::from_bytes(bytes).expect("a snapshot");
    let (node, handle) =
        Node::builder(keypair, config).with_snapshot(snapshot).build().expect("a node");
    Peer::run(Executor::Smol, node, handle)
}

/// An owner's head of a package, with one release.
fn head(keypair: &Keypair, package: &str, sequence: u64) -> Record {
    let owner = keypair.public().to_peer_id();
    let manifest = manifest(package, "1.0.0");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let validity = Validity::starting(now.expect("after 1970").as_secs(), 3600);
    let release = peerage::record::Release::new(NetworkName::default(), owner, manifest.clone());
    let release = Signed::sign(keypair, release).expect("signed");
    let entries = vec![ReleaseEntry::of(&release)];
    let revision = Revision::new(0, sequence);
    let network = NetworkName::default();
    let head = Head::live(network, owner, revision, validity, manifest, entries, None);
    Record::Head(Signed::sign(keypair, head).expect("signed"))
}

#[test]
fn a_restarted_node_holds_what_it_held_and_refuses_what_it_refused() {
    block_on(async {
        let key = Keypair::generate_ed25519();
        let peer = Peer::start_as(Executor::Smol, key.clone(), loopback());
        let owner = Keypair::generate_ed25519();
        for sequence in [1, 2, 3] {
            let put = peer.handle.put_record(head(&owner, "tool", sequence)).await;
            assert_eq!(put, Ok(0));
        }
        let bytes = peer.handle.snapshot().await.expect("a snapshot").to_bytes();
        peer.handle.shutdown().await.expect("acknowledged");
        within("the end", peer.ended).await.expect("ended");

        let peer = start_from(&bytes, key, loopback());
        assert_eq!(peer.handle.metadata().await.expect("metadata").records, 1);
        let old = peer.handle.put_record(head(&owner, "tool", 2)).await;
        assert!(matches!(old, Err(Error::Conflict { .. })), "{old:?}");
        assert_eq!(peer.handle.put_record(head(&owner, "tool", 4)).await, Ok(0));
    });
}

#[test]
fn a_tombstone_outlives_a_restart_of_everybody_who_held_it() {
    block_on(async {
        let mut peers = network(Executor::Smol, 2).await;
        let owner = peers.remove(0);
        owner.handle.register(manifest("gone", "1.0.0")).await.expect("registered");
        let keep = |handle: peerage::Handle| async move {
            let key = RecordKey::head(&NetworkName::default(), &handle.peer_id(), &name("gone"));
            handle.get_record(key).await.expect("held").record
        };
        let live = keep(owner.handle.clone()).await;
        owner.handle.unregister(name("gone")).await.expect("withdrawn");
        let bytes = peers[0].handle.snapshot().await.expect("a snapshot").to_bytes();

        // Nobody is left whom the new node could ask.
        let other = start_from(&bytes, Keypair::generate_ed25519(), loopback());
        let revived = other.handle.put_record(live).await;
        assert!(matches!(revived, Err(Error::Conflict { .. })), "{revived:?}");
    });
}

#[test]
fn trust_on_first_use_outlives_a_restart() {
    block_on(async {
        let mut peers = network(Executor::Smol, 2).await;
        let address = peers[0].handle.metadata().await.expect("metadata").addresses[0].clone();
        let config = || loopback().with_bootstrap([address.clone()]).with_pin_on_first_use(true);
        peers[1].handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let reader = Peer::start(Executor::Smol, config());
        let found = reader.handle.get_package(bare("tool")).await.expect("found");
        assert_eq!(found.owner, peers[1].id());
        let bytes = reader.handle.snapshot().await.expect("a snapshot").to_bytes();

        // Somebody else claims the name while the reader is away.
        let squatter = Peer::start(Executor::Smol, config());
        squatter.handle.register(manifest("tool", "6.6.6")).await.expect("registered");
        let reader = start_from(&bytes, Keypair::generate_ed25519(), config());
        let found = reader.handle.get_package(bare("tool")).await.expect("not ambiguous");
        assert_eq!(found.owner, peers[1].id());
        let owned = owned(squatter.id(), "tool");
        assert!(reader.handle.get_package(owned).await.is_ok(), "by its full name it is there");
        drop(peers.pop());
    });
}

#[test]
fn what_nobody_had_heard_is_announced_after_a_restart() {
    block_on(async {
        let key = Keypair::generate_ed25519();
        let peer = Peer::start_as(Executor::Smol, key.clone(), loopback());
        let unheard = peer.handle.announce("news", b"hello".to_vec()).await.expect("signed");
        assert_eq!(unheard, peerage::Announcement::Queued);
        let bytes = peer.handle.snapshot().await.expect("a snapshot").to_bytes();
        peer.handle.shutdown().await.expect("acknowledged");
        within("the end", peer.ended).await.expect("ended");

        let mut peer = start_from(&bytes, key, loopback());
        let address = peer.address().await;
        let mut hearer = Peer::start(Executor::Tokio, loopback().with_bootstrap([address]));
        hearer.handle.subscribe("news").await.expect("subscribed");
        let (author, data) = hearer
            .wait_for("the announcement", |event| match event {
                Event::Message { author, data, .. } => Some((author, data)),
                _ => None,
            })
            .await;
        assert_eq!((author, data), (peer.id(), b"hello".to_vec()));
    });
}

#[test]
fn a_publisher_goes_on_with_its_packages_after_a_restart() {
    block_on(async {
        let key = Keypair::generate_ed25519();
        let peer = Peer::start_as(Executor::Smol, key.clone(), loopback());
        peer.handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        peer.handle.register(manifest("tool", "1.1.0")).await.expect("registered");
        let bytes = peer.handle.snapshot().await.expect("a snapshot").to_bytes();
        peer.handle.shutdown().await.expect("acknowledged");
        within("the end", peer.ended).await.expect("ended");

        let mut peer = start_from(&bytes, key, loopback());
        let address = peer.address().await;
        let reader = Peer::start(Executor::Tokio, loopback().with_bootstrap([address]));
        within("bootstrap", reader.handle.bootstrap()).await.expect("bootstrapped");
        // It has not been told to change anything.
        peer.wait_for("the packages to be put again", |event| match event {
            Event::Replicated { id, replicas } => Some((id, replicas)),
            _ => None,
        })
        .await;
        assert_eq!(peer.handle.metadata().await.expect("metadata").own_packages, 1);
        peer.handle.shutdown().await.expect("acknowledged");
        let versions = reader.handle.list_versions(owned(peer.id(), "tool")).await.expect("held");
        assert_eq!(versions.releases.len(), 2);
    });
}

#[test]
fn a_snapshot_of_another_network_is_refused() {
    block_on(async {
        let peer = Peer::start(Executor::Smol, loopback());
        let snapshot = peer.handle.snapshot().await.expect("a snapshot");
        let config = loopback().with_network("other".parse().expect("a name"));
        let error = Node::builder(Keypair::generate_ed25519(), config)
            .with_snapshot(snapshot)
            .build()
            .expect_err("refused");
        assert!(matches!(error, Error::Invalid { ref field, .. } if field == "snapshot"));
    });
}
