//! Catalogues that catch up with each other, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::{StreamExt, executor::block_on};
use peerage::{
    Config, Coverage, DhtMode, Event, Limits, Multiaddr, Node, Query, Registry, RegistryMetadata,
    Snapshot, identity::Keypair,
};

mod support;

use support::{Executor, Peer, loopback, manifest, name, within};

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

/// Waits until a peer has been told of so many packages that are new to it.
async fn discovers(peer: &mut Peer, count: usize) {
    let mut found = 0;
    peer.wait_for("the packages", |event| {
        found += usize::from(matches!(event, Event::Discovered { .. }));
        (found >= count).then_some(())
    })
    .await;
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
        assert!(found.iter().all(|package| package.id.name().as_str() != "package-2"));
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
            client(&address).with_query_timeout(std::time::Duration::from_secs(2)),
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
