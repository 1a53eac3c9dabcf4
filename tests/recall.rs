//! A node that starts again with its old key goes on with what it has published before.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{Config, Error, Event, Manifest, Registry, identity::Keypair};

mod support;

use support::{Executor, Peer, bare, loopback, manifest, name, network, owned, version, within};

/// A node publishes these releases, and ends. The last sequence that it has signed.
async fn first_life(key: &Keypair, config: Config, releases: &[&str]) -> u64 {
    let mut last = 0;
    let peer = Peer::start_as(Executor::Smol, key.clone(), config);
    for release in releases {
        let receipt = peer.handle.register(manifest("reborn", release)).await.expect("registered");
        last = receipt.sequence;
    }
    peer.handle.shutdown().await.expect("acknowledged");
    within("the end", peer.ended).await.expect("ended");
    last
}

#[test]
fn a_node_that_lost_its_memory_goes_on_where_it_stopped() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let address = peers[0].handle.metadata().await.expect("metadata").addresses[0].clone();
        let key = Keypair::generate_ed25519();
        let config = || loopback().with_bootstrap([address.clone()]);

        let last = first_life(&key, config(), &["1.0.0", "1.1.0"]).await;

        let second_life = Peer::start_as(Executor::Smol, key, config());
        let twice = Manifest::new(name("reborn"), version("1.0.0")).with_description("another");
        let error = second_life.handle.register(twice).await.expect_err("written once");
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
        let receipt =
            second_life.handle.register(manifest("reborn", "2.0.0")).await.expect("registered");
        assert!(receipt.sequence > last, "above what an earlier life has signed");
        second_life.handle.yank(name("reborn"), version("2.0.0")).await.expect("yanked");
        let versions =
            peers[1].handle.list_versions(owned(second_life.id(), "reborn")).await.expect("listed");
        let versions: Vec<(String, bool)> =
            versions.releases.iter().map(|info| (info.version.to_string(), info.yanked)).collect();
        let expected = [("2.0.0", true), ("1.1.0", false), ("1.0.0", false)];
        assert_eq!(versions, expected.map(|(version, yanked)| (version.to_owned(), yanked)));
        let newest =
            second_life.handle.get_package(bare("reborn")).await.expect("the newest not yanked");
        assert_eq!(newest.manifest, manifest("reborn", "1.1.0"));
    });
}

#[test]
fn what_a_node_published_before_it_lost_its_memory_is_kept_when_it_starts_alone() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let address = peers[0].handle.metadata().await.expect("metadata").addresses[0].clone();
        let key = Keypair::generate_ed25519();
        let config = loopback().with_bootstrap([address.clone()]);

        first_life(&key, config, &["1.0.0"]).await;

        for alone in [vec!["2.0.0"], vec!["3.0.0", "4.0.0", "5.0.0"]] {
            let mut later_life = Peer::start_as(Executor::Smol, key.clone(), loopback());
            for release in alone {
                later_life.handle.register(manifest("reborn", release)).await.expect("registered");
            }
            later_life.handle.dial(peers[0].id(), vec![address.clone()]).await.expect("dialed");
            let replicated = |event| matches!(event, Event::Replicated { .. }).then_some(());
            later_life.wait_for("replication", replicated).await;
            later_life.handle.shutdown().await.expect("acknowledged");
            within("the end", later_life.ended).await.expect("ended");
        }

        let reader = Peer::start(Executor::Smol, loopback().with_bootstrap([address]));
        let versions = reader
            .handle
            .list_versions(owned(key.public().to_peer_id(), "reborn"))
            .await
            .expect("listed");
        let versions: Vec<String> =
            versions.releases.iter().map(|info| info.version.to_string()).collect();
        assert_eq!(versions, ["5.0.0", "4.0.0", "3.0.0", "2.0.0", "1.0.0"]);
    });
}

#[test]
fn yanking_one_release_after_the_other_reads_the_next_newest_from_peers() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let address = peers[0].handle.metadata().await.expect("metadata").addresses[0].clone();
        let key = Keypair::generate_ed25519();
        let config = || loopback().with_bootstrap([address.clone()]);
        first_life(&key, config(), &["1.0.0", "1.1.0", "1.2.0"]).await;

        let second_life = Peer::start_as(Executor::Smol, key, config());
        second_life.handle.register(manifest("reborn", "2.0.0")).await.expect("registered");
        for release in ["2.0.0", "1.2.0", "1.1.0"] {
            second_life.handle.yank(name("reborn"), version(release)).await.expect("yanked");
        }
        let package = second_life.handle.get_package(bare("reborn")).await.expect("found");
        assert_eq!((package.manifest, package.yanked), (manifest("reborn", "1.0.0"), false));
    });
}
