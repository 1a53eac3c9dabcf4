//! An owner whose key is never online: publishers who act for it, and are replaced.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use peerage::{
    Config, Error, Event, Multiaddr, NetworkName, Node, PeerId, Registry,
    identity::Keypair,
    record::{
        Delegation, Head, MAX_DELEGATION_SECS, Record, Release, ReleaseEntry, Revision, Signed,
        Validity,
    },
};

mod support;

use support::{Executor, Peer, loopback, manifest, network, owned, version, within};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn id(keypair: &Keypair) -> PeerId {
    keypair.public().to_peer_id()
}

/// What the owner signs where its key is.
fn delegation(owner: &Keypair, publisher: &Keypair, epoch: u32) -> Delegation {
    let year = Validity::starting(now(), MAX_DELEGATION_SECS);
    let signed = Delegation::sign(owner, &NetworkName::default(), id(publisher), epoch, year);
    // It travels as bytes.
    Delegation::from_bytes(&signed.expect("signed").to_bytes()).expect("read")
}

async fn publisher(keypair: Keypair, delegation: Delegation, bootstrap: &Multiaddr) -> Peer {
    let config = loopback().with_bootstrap([bootstrap.clone()]);
    let builder = Node::builder(keypair, config).with_delegation(delegation);
    let (node, handle) = builder.build().expect("a node");
    let peer = Peer::run(Executor::Smol, node, handle);
    within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
    peer
}

async fn discovered(peer: &mut Peer, package: &str, release: &str) {
    peer.wait_for("the announcement", |event| match event {
        Event::Discovered { package: found }
            if found.id.name().as_str() == package
                && found.manifest.version == version(release) =>
        {
            Some(())
        }
        _ => None,
    })
    .await;
}

/// Publishes again and again, in vain, until the node knows better.
async fn refused(publisher: &Peer) -> Error {
    let mut patch = 0;
    loop {
        let next = manifest("third", &format!("1.0.{patch}"));
        if let Err(error) = publisher.handle.register(next).await {
            return error;
        }
        patch += 1;
    }
}

/// What a thief signs with a publisher's key, whatever any node thinks of it.
fn stolen(owner: PeerId, key: &Keypair, delegation: &Delegation, package: &str) -> Record {
    let network = NetworkName::default();
    let latest = manifest(package, "6.6.6");
    let mut release = Release::new(network.clone(), owner, latest.clone());
    release.ext = delegation.to_ext();
    let releases = vec![ReleaseEntry::of(&Signed::sign(key, release).expect("signed"))];
    let revision = Revision::new(delegation.epoch(), u64::MAX);
    let validity = Validity::starting(now(), 3600);
    let mut head = Head::live(network, owner, revision, validity, latest, releases, None);
    head.ext = delegation.to_ext();
    Record::Head(Signed::sign(key, head).expect("signed"))
}

async fn rotation() {
    let owner = Keypair::generate_ed25519();
    let (first_key, second_key) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let first_word = delegation(&owner, &first_key, 1);
    let second_word = delegation(&owner, &second_key, 2);
    let owner = id(&owner);

    let mut readers = network(Executor::Smol, 2).await;
    let address = {
        let mut rendezvous = Peer::start(Executor::Smol, loopback());
        let address = rendezvous.address().await;
        for reader in &readers {
            within("a dial", reader.handle.dial_address(address.clone())).await.expect("dialed");
        }
        readers.push(rendezvous);
        address
    };

    // A publisher acts for the owner: everybody takes its packages for the owner's.
    let first = publisher(first_key.clone(), first_word.clone(), &address).await;
    assert_eq!((first.handle.owner(), first.handle.peer_id()), (owner, id(&first_key)));
    for package in ["tool", "other"] {
        let receipt = first.handle.register(manifest(package, "1.0.0")).await.expect("registered");
        assert_eq!(receipt.id.owner(), Some(&owner));
        assert!(receipt.replicas >= 1, "{receipt:?}");
        for reader in &mut readers {
            discovered(reader, package, "1.0.0").await;
        }
    }
    let package = readers[0].handle.get_package(owned(owner, "tool")).await.expect("found");
    assert_eq!((package.owner, package.manifest), (owner, manifest("tool", "1.0.0")));

    // Another one takes its place, and goes on where it was.
    let second = publisher(second_key, second_word, &address).await;
    second.handle.register(manifest("tool", "2.0.0")).await.expect("registered");
    for reader in &mut readers {
        discovered(reader, "tool", "2.0.0").await;
    }
    let error = within("the first one to hear of it", refused(&first)).await;
    assert!(matches!(&error, Error::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("owner has to delegate epoch 2"), "{error}");
    let versions = readers[0].handle.list_versions(owned(owner, "tool")).await.expect("listed");
    let listed: Vec<String> =
        versions.releases.iter().map(|info| info.version.to_string()).collect();
    assert_eq!(listed, ["2.0.0", "1.0.0"]);
    let old = readers[0].handle.get_version(owned(owner, "tool"), version("1.0.0")).await;
    assert_eq!(old.expect("still there").manifest, manifest("tool", "1.0.0"));

    // Whoever has the first key now is refused by all who have seen the second: for what it had published, with
    // whichever sequence, and for what nobody has heard of before.
    let thief = Peer::start(Executor::Smol, loopback().with_bootstrap([address.clone()]));
    within("bootstrap", thief.handle.bootstrap()).await.expect("bootstrapped");
    for package in ["tool", "other", "third"] {
        let record = stolen(owner, &first_key, &first_word, package);
        let stored = within("a put", thief.handle.put_record(record)).await;
        assert!(matches!(stored, Ok(0) | Err(Error::Conflict { .. })), "{package}: {stored:?}");
    }
    for reader in &readers {
        let package = reader.handle.get_package(owned(owner, "tool")).await.expect("found");
        assert_eq!(package.manifest.version, version("2.0.0"));
        // What it had published remains, until it is replaced.
        let package = reader.handle.get_package(owned(owner, "other")).await.expect("found");
        assert_eq!(package.manifest.version, version("1.0.0"));
        let error = reader.handle.get_package(owned(owner, "third")).await;
        assert!(matches!(error, Err(Error::NotFound { .. })), "{error:?}");
    }
    // The new publisher goes on from what it finds, which is to be the first one's.
    thief.handle.shutdown().await.expect("acknowledged");
    within("the end", thief.ended).await.expect("ended by itself");
    second.handle.register(manifest("other", "1.1.0")).await.expect("registered");
    for reader in &mut readers {
        discovered(reader, "other", "1.1.0").await;
    }

    for peer in [first, second].into_iter().chain(readers) {
        peer.handle.shutdown().await.expect("acknowledged");
        within("the end", peer.ended).await.expect("ended by itself");
    }
}

#[test]
fn a_replaced_publisher_s_key_is_worth_nothing_to_whoever_has_seen_the_next() {
    block_on(rotation());
}

#[test]
fn a_delegation_for_another_node_or_network_is_refused_at_once() {
    let (owner, publisher) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let field = |keypair: &Keypair, config: Config, delegation: Delegation, epoch: Option<u32>| {
        let mut builder = Node::builder(keypair.clone(), config).with_delegation(delegation);
        if let Some(epoch) = epoch {
            builder = builder.with_epoch(epoch);
        }
        match builder.build() {
            Err(Error::Invalid { field, .. }) => Some(field),
            Ok(_) => None,
            Err(other) => panic!("{other:?}"),
        }
    };
    let word = || delegation(&owner, &publisher, 3);
    assert_eq!(field(&publisher, loopback(), word(), None), None);
    assert_eq!(field(&publisher, loopback(), word(), Some(3)), None);
    assert_eq!(field(&publisher, loopback(), word(), Some(4)).as_deref(), Some("epoch"));
    assert_eq!(field(&owner, loopback(), word(), None).as_deref(), Some("delegation"));
    let elsewhere = loopback().with_network("other".parse().expect("a name"));
    assert_eq!(field(&publisher, elsewhere, word(), None).as_deref(), Some("delegation"));
    // One that somebody has made up: the last byte of the signature is another.
    let mut bytes = word().to_bytes();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    let forged = Delegation::from_bytes(&bytes).expect("read");
    assert_eq!(field(&publisher, loopback(), forged, None).as_deref(), Some("delegation"));
}
