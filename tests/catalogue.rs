//! Catalogues that catch up with each other, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::time::Duration;

use futures::{StreamExt, executor::block_on};
use peerage::{
    Config, Coverage, DhtMode, Event, Limits, Multiaddr, Node, PeerId, Query, Registry,
    RegistryMetadata, Snapshot, Sort, identity::Keypair,
};

#[path = "support/bytes.rs"]
mod bytes;
#[path = "support/hostile_exchange.rs"]
mod hostile;
mod support;

use support::{Executor, Peer, discovers, loopback, manifest, name, owned, within};

/// As many as a registry may have, in an optimised build; fewer else, since signatures are slow then.
const PACKAGES: usize = if cfg!(debug_assertions) { 600 } else { 10_000 };

/// A node that holds nothing for others and hears none of their announcements, so that it learns only by reconciling.
fn client(bootstrap: &Multiaddr) -> Config {
    loopback()
        .with_mode(DhtMode::Client)
        .with_announcements_topic("elsewhere")
        .with_bootstrap([bootstrap.clone()])
}

async fn metadata(peer: &Peer) -> RegistryMetadata {
    peer.handle.metadata().await.expect("metadata")
}

/// A peer that publishes many packages, and its address.
async fn publisher(count: usize) -> (Peer, Multiaddr) {
    let limits = Limits::new().with_own_packages(20_000).with_waiting_calls(40_000);
    let mut publisher = Peer::start(Executor::Smol, loopback().with_limits(limits));
    let address = publisher.address().await;
    for number in 0..count {
        let manifest = manifest(&format!("package-{number}"), "1.0.0");
        publisher.handle.register(manifest).await.expect("registered");
    }
    (publisher, address)
}

#[test]
fn who_joins_late_has_everything_in_one_exchange_and_who_was_away_fetches_what_is_missing() {
    block_on(async {
        let (publisher, address) = publisher(PACKAGES).await;
        let heads = metadata(&publisher).await.catalogue_bytes;
        let key = Keypair::generate_ed25519();

        let mut late = Peer::start_as(Executor::Smol, key.clone(), client(&address));
        discovers(&mut late, PACKAGES).await;
        let known = metadata(&late).await;
        assert_eq!(known.known_packages as usize, PACKAGES);
        let moved = known.counters.reconciliation;
        let bytes = moved.bytes_in + moved.bytes_out;
        println!(
            "late joiner: {PACKAGES} packages in {} session, {bytes} bytes for {heads} bytes of heads ({:.2})",
            moved.sessions,
            bytes as f64 / heads as f64
        );
        assert_eq!((moved.sessions, moved.failed), (1, 0));
        assert!(bytes as f64 <= 1.5 * heads as f64, "{bytes} bytes for {heads}");

        // It goes away for a while, and keeps what it knows.
        let snapshot = late.handle.snapshot().await.expect("a snapshot").to_bytes();
        late.handle.shutdown().await.expect("acknowledged");
        within("the end", late.ended).await.expect("ended");
        for number in 0..8 {
            let manifest = manifest(&format!("new-{number}"), "1.0.0");
            publisher.handle.register(manifest).await.expect("registered");
        }
        publisher
            .handle
            .yank(name("package-1"), "1.0.0".parse().expect("a version"))
            .await
            .expect("yanked");
        publisher.handle.unregister(name("package-2")).await.expect("withdrawn");

        let snapshot = Snapshot::from_bytes(&snapshot).expect("a snapshot");
        let (node, handle) =
            Node::builder(key, client(&address)).with_snapshot(snapshot).build().expect("a node");
        let mut back = Peer::run(Executor::Smol, node, handle);
        let mut told = Vec::new();
        back.wait_for("the changes", |event| {
            match event {
                Event::Discovered { package } => told.push(package.id.name().to_string()),
                Event::Withdrawn { id } => told.push(format!("-{}", id.name())),
                _ => {}
            }
            (told.len() >= 10).then_some(())
        })
        .await;
        told.sort();
        let mut expected: Vec<String> = (0..8).map(|number| format!("new-{number}")).collect();
        expected.extend(["-package-2".to_owned(), "package-1".to_owned()]);
        expected.sort();
        assert_eq!(told, expected);
        let known = metadata(&back).await;
        let moved = known.counters.reconciliation;
        let bytes = moved.bytes_in + moved.bytes_out;
        println!("back again: 10 of {PACKAGES} in {} session, {bytes} bytes", moved.sessions);
        assert_eq!((moved.sessions, moved.heads_fetched), (1, 10));
        assert!(bytes < 32 * 1024, "{bytes} bytes");
        assert_eq!(known.known_packages as usize, PACKAGES + 7);
        let found =
            back.handle.search(Query::new().with_text("package-2")).await.expect("searched");
        assert!(found.packages.iter().all(|package| package.id.name().as_str() != "package-2"));
    });
}

#[test]
fn a_light_client_finds_what_its_peers_know_and_is_told_how_complete_that_is() {
    block_on(async {
        let (_publisher, address) = publisher(30).await;
        let config = client(&address).with_coverage(Coverage::None);
        let mut light = Peer::start(Executor::Tokio, config);
        light
            .wait_for("the connection", |event| {
                matches!(event, Event::Connected { .. }).then_some(())
            })
            .await;
        let query = Query::new().with_text("package").with_keyword("test").with_limit(20);
        let search = light.handle.search_peers(query.clone()).await.expect("begun");
        let (found, report) = within("the search", search.finish()).await.expect("searched");
        assert_eq!((found.len(), report.asked.len(), report.answered.len()), (20, 1, 1));
        assert!(report.truncated && !report.is_complete(), "{report:?}");

        let query = Query::new().with_text("package-17");
        let search = light.handle.search_peers(query).await.expect("begun");
        let (found, report) = within("the search", search.finish()).await.expect("searched");
        assert_eq!(found[0].id.name().as_str(), "package-17");
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(metadata(&light).await.known_packages, 0, "it keeps no catalogue");
    });
}

#[test]
fn a_search_says_who_did_not_answer() {
    block_on(async {
        let (publisher, address) = publisher(3).await;
        let mut reader = Peer::start(
            Executor::Smol,
            client(&address).with_query_timeout(Duration::from_secs(2)),
        );
        discovers(&mut reader, 3).await;
        publisher.handle.shutdown().await.expect("acknowledged");
        reader
            .wait_for("the end of the connection", |event| {
                matches!(event, Event::Disconnected { .. }).then_some(())
            })
            .await;
        let mut search =
            reader.handle.search_peers(Query::new().with_text("package")).await.expect("begun");
        let mut found = Vec::new();
        while let Some(package) = within("a package", search.next()).await {
            found.push(package.expect("found").id.name().to_string());
        }
        assert_eq!(found, ["package-0", "package-1", "package-2"], "what it knows itself");
        assert!(search.report().expect("ended").asked.is_empty());
    });
}

/// The packages that a peer finds when it searches for everything, with their sequences.
async fn everything(peer: &Peer) -> Vec<(String, PeerId, u64)> {
    let query = Query::new().with_sort(Sort::Name).with_limit(100);
    let found = peer.handle.search(query).await.expect("searched");
    assert!(!found.truncated);
    let found = found.packages.into_iter();
    found.map(|one| (one.id.name().to_string(), one.owner, one.sequence)).collect()
}

#[test]
fn a_network_that_was_in_two_halves_is_one_again_withdrawals_included() {
    const HALF: usize = 10;
    block_on(async {
        let config = || loopback().with_reconcile_interval(Duration::from_secs(1));
        let mut halves = Vec::new();
        for half in 0..2 {
            let mut first = Peer::start(Executor::Smol, config());
            let address = first.address().await;
            let mut peers = vec![first];
            for _ in 1..HALF {
                let config = config().with_bootstrap([address.clone()]);
                let peer = Peer::start(Executor::Tokio, config);
                within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
                peers.push(peer);
            }
            for (number, peer) in peers.iter().enumerate() {
                let package = manifest(&format!("of-{half}-{number}"), "1.0.0");
                peer.handle.register(package).await.expect("registered");
            }
            let gone = name(&format!("of-{half}-3"));
            peers[3].handle.unregister(gone).await.expect("withdrawn");
            halves.push((address, peers));
        }
        let (_, right) = &halves[1];
        let bridge = right[HALF - 1].handle.clone();
        let first = halves[0].0.clone();
        within("the bridge", bridge.dial_address(first)).await.expect("connected");

        let mut expected: Vec<(String, PeerId)> = Vec::new();
        for (half, (_, peers)) in halves.iter().enumerate() {
            let packages = peers.iter().enumerate().filter(|(number, _)| *number != 3);
            expected
                .extend(packages.map(|(number, peer)| (format!("of-{half}-{number}"), peer.id())));
        }
        expected.sort();
        for peer in halves.iter_mut().flat_map(|(_, peers)| peers) {
            // Each event may be the one with which it is all there.
            loop {
                let found = everything(peer).await;
                let found: Vec<_> =
                    found.into_iter().map(|(name, owner, _)| (name, owner)).collect();
                if found == expected {
                    break;
                }
                peer.wait_for("the other half", |event| {
                    matches!(event, Event::Discovered { .. } | Event::Withdrawn { .. })
                        .then_some(())
                })
                .await;
            }
        }
        let reference = everything(&halves[0].1[0]).await;
        for peer in halves.iter().flat_map(|(_, peers)| peers) {
            assert_eq!(everything(peer).await, reference);
        }
    });
}

/// What a hostile peer answers to whatever it is asked.
type Lie = fn(&[u8]) -> Option<Vec<u8>>;

/// A frame of format 1: a response of this kind, around these bytes.
fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let (low, high) = (bytes.len() % 128, bytes.len() / 128);
    [&[1, kind, low as u8 | 128, high as u8], bytes].concat()
}

#[test]
fn a_poisoned_peer_costs_little_and_changes_nothing() {
    let lies: [(&str, Lie); 4] = [
        ("garbage", |_| Some(vec![7; 1000])),
        ("a comparison that is none", |_| Some(frame(1, &[9; 600]))),
        ("heads that are none", |_| Some([&[1, 3, 1][..], &[128 | 88, 2], &[5; 344]].concat())),
        ("nothing at all", |_| None),
    ];
    block_on(async {
        let (publisher, address) = publisher(20).await;
        for (what, lie) in lies {
            let mut reader = Peer::start(Executor::Smol, client(&address));
            discovers(&mut reader, 20).await;
            let before = everything(&reader).await;
            let moved = |known: &RegistryMetadata| known.counters.reconciliation.bytes_in;
            let bytes = moved(&metadata(&reader).await);
            let target = reader.handle.metadata().await.expect("metadata").addresses[0].clone();
            // It offers heads that nobody has, and lies when it is asked for them.
            let offer: Vec<u8> =
                [&[1, 3, 64][..], &(0..64 * 32).map(|n| (n / 32) as u8).collect::<Vec<_>>()]
                    .concat();
            let liar = hostile::Hostile::start(target, offer, lie).await;
            within(what, liar.asked).await.expect("it was asked");
            assert_eq!(everything(&reader).await, before, "{what}");

            // What matters comes all the same.
            let new = format!("after-{}", what.replace(' ', "-"));
            publisher.handle.register(manifest(&new, "1.0.0")).await.expect("registered");
            let known = metadata(&reader).await;
            assert!(moved(&known) - bytes < 64 * 1024, "{what}: {}", moved(&known));
            let found = reader.handle.get_package(owned(publisher.id(), &new)).await;
            assert!(found.is_ok(), "{what}: {found:?}");
        }
    });
}
