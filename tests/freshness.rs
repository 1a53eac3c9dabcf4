//! Peers that missed a change: what a reader gets who wants to be sure, and what becomes of them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, StreamExt, executor::block_on, future::poll_fn};
use peerage::{
    Config, DhtMode, Event, Freshness, Handle, Limits, Multiaddr, Node, PackageId, Registry,
    Source,
    identity::Keypair,
    record::{Head, NetworkName, Record, Release, ReleaseEntry, Revision, Signed, Validity},
};

mod support;

use support::{Executor, Peer, loopback, manifest, within};

/// Reads are not answered from memory, so that each says what peers hold now.
fn forgetful() -> Config {
    let limits = Limits::new().with_cache_records(0);
    loopback().with_absence_ttl(Duration::ZERO).with_limits(limits)
}

/// A head of a package with one release, signed by its owner.
fn head(owner: &Keypair, release: &str, sequence: u64) -> Signed<Head> {
    let (network, id) = (NetworkName::default(), owner.public().to_peer_id());
    let manifest = manifest("tool", release);
    let signed = Release::new(network.clone(), id, manifest.clone());
    let entry = ReleaseEntry::of(&Signed::sign(owner, signed).expect("signed"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let validity = Validity::starting(now, 3600);
    let revision = Revision::new(0, sequence);
    let head = Head::live(network, id, revision, validity, manifest, vec![entry], None);
    Signed::sign(owner, head).expect("signed")
}

/// A client that knows one peer.
async fn client_of(address: &Multiaddr) -> Peer {
    let config = forgetful().with_mode(DhtMode::Client).with_bootstrap([address.clone()]);
    let peer = Peer::start(Executor::Smol, config);
    within("bootstrap", peer.handle.bootstrap()).await.expect("joined");
    peer
}

/// A server that knows nobody, and holds this record, and its address.
async fn holder(record: Option<&Signed<Head>>) -> (Peer, Multiaddr) {
    let mut peer = Peer::start(Executor::Smol, forgetful());
    let address = peer.address().await;
    if let Some(head) = record {
        let client = client_of(&address).await;
        let put = client.handle.put_record(Record::Head(head.clone())).await;
        assert_eq!(put, Ok(1));
    }
    (peer, address)
}

/// A client that knows this peer and another, which was polled until it was known, and is polled by nobody from then
/// on.
async fn beside_a_silent_peer(peer: Multiaddr, timeout: Duration) -> (Peer, (Node, Handle)) {
    let (mut silent, handle) = Node::new(Keypair::generate_ed25519(), loopback()).expect("a node");
    let address = loop {
        if let Some(Event::Listening { address }) = silent.next().await {
            break address;
        }
    };
    let config = forgetful()
        .with_mode(DhtMode::Client)
        .with_bootstrap([peer, address])
        .with_query_timeout(timeout);
    let reader = Peer::start(Executor::Smol, config);
    let asking = reader.handle.clone();
    let joined = async move { while asking.bootstrap().await != Ok(2) {} };
    let mut joined = pin!(within("two peers", joined));
    poll_fn(|cx| {
        while silent.poll_next_unpin(cx).is_ready() {}
        joined.poll_unpin(cx)
    })
    .await;
    (reader, (silent, handle))
}

/// Reads until the answer is this sequence.
async fn reads_at_last(handle: &Handle, package: &PackageId, sequence: u64) {
    let reading = async {
        loop {
            match handle.get_package(package.clone()).await {
                Ok(found) if found.sequence == sequence => return,
                Ok(_) | Err(_) => {}
            }
        }
    };
    within("a repaired replica", reading).await;
}

#[test]
fn a_reader_of_all_copies_gets_the_newest_and_repairs_the_others() {
    block_on(async {
        let owner = Keypair::generate_ed25519();
        let [old, new] = [("1.0.0", 1), ("2.0.0", 2)].map(|(release, n)| head(&owner, release, n));
        let package =
            PackageId::owned(owner.public().to_peer_id(), "tool".parse().expect("a name"));

        let [stale, absent, fresh] =
            [holder(Some(&old)).await, holder(None).await, holder(Some(&new)).await];
        let reader = client_of(&stale.1).await;
        for (_, address) in [&absent, &fresh] {
            reader.handle.dial_address(address.clone()).await.expect("dialed");
        }
        within("bootstrap", reader.handle.bootstrap()).await.expect("joined");

        let sure = reader.handle.with_freshness(Freshness::All);
        let found = sure.get_package(package.clone()).await.expect("found");
        assert_eq!((found.sequence, found.source), (2, Source::Network));
        // There are three peers, two of which hold it: twenty are not waited for.
        let sure = reader.handle.with_freshness(Freshness::Quorum(20));
        let found = sure.get_package(package.clone()).await.expect("found");
        assert_eq!((found.sequence, found.source), (2, Source::Network));

        // Each of them has it now, whoever asks.
        for (_peer, address) in [stale, absent] {
            let other = client_of(&address).await;
            reads_at_last(&other.handle, &package, 2).await;
        }
    });
}

#[test]
fn a_peer_that_has_fallen_silent_makes_the_answer_partial_and_not_late() {
    block_on(async {
        let owner = Keypair::generate_ed25519();
        let package =
            PackageId::owned(owner.public().to_peer_id(), "tool".parse().expect("a name"));
        let (_holder, fresh) = holder(Some(&head(&owner, "1.0.0", 1))).await;

        let (reader, _silent) = beside_a_silent_peer(fresh, Duration::from_secs(5)).await;
        let sure = reader.handle.with_freshness(Freshness::All);
        let found = within("an answer", sure.get_package(package.clone())).await.expect("found");
        assert_eq!((found.sequence, found.source), (1, Source::Partial));
        // Whoever takes the first copy does not wait for the silent peer.
        let found = reader.handle.get_package(package).await.expect("found");
        assert_eq!((found.sequence, found.source), (1, Source::Network));
    });
}

#[test]
fn a_newcomer_that_asks_for_a_quorum_is_not_content_with_its_bootstrap_peer() {
    block_on(async {
        let owner = Keypair::generate_ed25519();
        let [old, new] = [("1.0.0", 1), ("2.0.0", 2)].map(|(release, n)| head(&owner, release, n));
        let package =
            PackageId::owned(owner.public().to_peer_id(), "tool".parse().expect("a name"));
        // One peer that was away, which knows five that were not.
        let stale = holder(Some(&old)).await;
        let mut others = Vec::new();
        for _ in 0..5 {
            let other = holder(Some(&new)).await;
            other.0.handle.dial_address(stale.1.clone()).await.expect("dialed");
            others.push(other);
        }
        for (peer, _) in &others {
            within("bootstrap", peer.handle.bootstrap()).await.expect("joined");
        }
        let mut wrong = Vec::new();
        for _ in 0..5 {
            let config = forgetful().with_mode(DhtMode::Client).with_bootstrap([stale.1.clone()]);
            let reader = Peer::start(Executor::Smol, config);
            let sure = reader.handle.with_freshness(Freshness::Quorum(3));
            let found = within("an answer", sure.get_package(package.clone())).await;
            let found = found.expect("found");
            if found.sequence != 2 && found.source != Source::Partial {
                wrong.push((found.sequence, found.source));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?} of five");
    });
}

#[test]
fn all_copies_are_not_all_where_a_peer_was_silent() {
    block_on(async {
        let owner = Keypair::generate_ed25519();
        let package =
            PackageId::owned(owner.public().to_peer_id(), "tool".parse().expect("a name"));
        let (_holder, fresh) = holder(Some(&head(&owner, "1.0.0", 1))).await;
        // Kademlia gives a silent peer up long before.
        let (reader, _silent) = beside_a_silent_peer(fresh, Duration::from_secs(30)).await;
        let sure = reader.handle.with_freshness(Freshness::All);
        let start = std::time::Instant::now();
        let found = within("an answer", sure.get_package(package.clone())).await.expect("found");
        assert_eq!(found.source, Source::Partial, "after {:?}", start.elapsed());
    });
}
