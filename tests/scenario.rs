//! The life of a package between peers on real sockets: the same on every executor.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{Announcement, Error, Event, Query, Registry, Source};

mod support;

use support::{Executor, Peer, bare, manifest, name, network, owned, version, within};

async fn the_life_of_a_package(executor: Executor) {
    let mut peers = network(executor, 3).await;
    let mut reader = peers.pop().expect("three peers");
    let owner = peers.pop().expect("three peers");
    let publisher = owner.id();

    // Registered, it is held by others.
    let receipt = owner.handle.register(manifest("tiny-http", "1.0.0")).await.expect("registered");
    let first = receipt.sequence;
    assert!(receipt.replicas >= 1, "{receipt:?}");

    // Another peer gets it, by its full name and by its bare one.
    let package = reader.handle.get_package(owned(publisher, "tiny-http")).await.expect("found");
    assert_eq!(package.manifest, manifest("tiny-http", "1.0.0"));
    assert_eq!(package.owner, publisher);
    let package = reader.handle.get_package(bare("tiny-http")).await.expect("resolved");
    assert_eq!(package.owner, publisher);

    // A new version is announced, and becomes the newest.
    let receipt = owner.handle.register(manifest("tiny-http", "1.1.0")).await.expect("registered");
    assert!(receipt.sequence > first);
    assert_eq!(receipt.announcement, Announcement::Sent);
    discovered(&mut reader, "1.1.0").await;
    let package = reader.handle.get_package(bare("tiny-http")).await.expect("found");
    assert_eq!(package.manifest.version, version("1.1.0"));
    let versions = reader.handle.list_versions(bare("tiny-http")).await.expect("listed");
    let listed: Vec<String> =
        versions.releases.iter().map(|info| info.version.to_string()).collect();
    assert_eq!(listed, ["1.1.0", "1.0.0"]);
    let old = reader.handle.get_version(bare("tiny-http"), version("1.0.0")).await.expect("found");
    assert_eq!(old.manifest, manifest("tiny-http", "1.0.0"));

    // It is found by searching.
    let found = reader.handle.search(Query::new().with_text("tiny")).await.expect("searched");
    assert_eq!((found.packages.len(), found.total, found.truncated), (1, 1, false));
    assert_eq!(found.packages[0].owner, publisher);

    // Yanked, the newest is passed over, and can still be had by its version.
    owner.handle.yank(name("tiny-http"), version("1.1.0")).await.expect("yanked");
    discovered(&mut reader, "1.0.0").await;
    let package = reader.handle.get_package(bare("tiny-http")).await.expect("found");
    assert_eq!(package.manifest.version, version("1.0.0"));
    let yanked =
        reader.handle.get_version(bare("tiny-http"), version("1.1.0")).await.expect("found");
    assert!(yanked.yanked);

    // Withdrawn, it is gone everywhere, by every name.
    owner.handle.unregister(name("tiny-http")).await.expect("withdrawn");
    reader
        .wait_for("the withdrawal", |event| match event {
            Event::Withdrawn { id } => Some(id),
            _ => None,
        })
        .await;
    for peer in [&owner, &reader, &peers[0]] {
        for id in [owned(publisher, "tiny-http"), bare("tiny-http")] {
            let error = peer.handle.get_package(id).await.expect_err("withdrawn");
            assert!(matches!(error, Error::Withdrawn { .. }), "{error:?}");
        }
    }
    let found = reader.handle.search(Query::new().with_text("tiny")).await.expect("searched");
    assert_eq!((found.packages, found.total), (vec![], 0));

    // Everybody can be stopped, and ends.
    for peer in [owner, reader].into_iter().chain(peers) {
        peer.handle.shutdown().await.expect("acknowledged");
        within("the end", peer.ended).await.expect("ended by itself");
        assert_eq!(peer.handle.metadata().await, Err(Error::ShuttingDown));
    }
}

async fn discovered(reader: &mut Peer, release: &str) {
    let release = version(release);
    let package = reader
        .wait_for("the announcement", |event| match event {
            Event::Discovered { package } if package.manifest.version == release => Some(package),
            _ => None,
        })
        .await;
    assert_eq!(package.source, Source::Cache);
}

#[test]
fn on_smol() {
    block_on(the_life_of_a_package(Executor::Smol));
}

#[test]
fn on_tokio() {
    block_on(the_life_of_a_package(Executor::Tokio));
}

#[test]
fn on_async_std() {
    block_on(the_life_of_a_package(Executor::AsyncStd));
}

#[test]
fn on_futures_executor() {
    block_on(the_life_of_a_package(Executor::Futures));
}
