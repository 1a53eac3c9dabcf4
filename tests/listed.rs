//! What search finds, get finds, over real sockets: though the peers that should hold it have no room, or have just come.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::{collections::BTreeMap, time::Duration};

use futures::executor::block_on;
use peerage::{Config, DhtMode, Limits, Query, Registry, Source};

mod support;

use support::{Executor, Peer, bare, discovers, loopback, manifest, owned, within};

const PACKAGES: usize = 6;

/// A node that holds nothing for others, and asks anew for what it has read or heard a moment ago.
fn client() -> Config {
    loopback()
        .with_mode(DhtMode::Client)
        .with_absence_ttl(Duration::ZERO)
        .with_limits(Limits::new().with_cache_records(0))
}

#[test]
fn with_a_full_server_every_package_that_a_search_finds_can_be_read() {
    block_on(async {
        let limits = Limits::new().with_store_records(1).with_store_records_per_peer(1000);
        let full = loopback().with_mode(DhtMode::Server).with_limits(limits);
        let mut server = Peer::start(Executor::Smol, full);
        let address = server.address().await;
        let start = || Peer::start(Executor::Smol, client().with_bootstrap([address.clone()]));
        let (publisher, mut reader) = (start(), start());
        for peer in [&publisher, &reader] {
            within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
        }
        let mut refused = 0;
        for number in 0..PACKAGES {
            let manifest = manifest(&format!("package-{number}"), "1.0.0");
            let receipt = within("a receipt", publisher.handle.register(manifest)).await;
            refused += usize::from(receipt.expect("registered").replicas == 0);
        }
        assert!(refused >= PACKAGES - 1, "there is room for one record");
        discovers(&mut reader, PACKAGES).await;

        let found = reader.handle.search(Query::new().with_text("package")).await.expect("found");
        assert_eq!(found.packages.len(), PACKAGES);
        let mut sources = BTreeMap::<&str, usize>::new();
        for package in found.packages {
            let name = package.id.name().as_str();
            for id in [owned(package.owner, name), bare(name)] {
                let read = within("a package", reader.handle.get_package(id)).await;
                let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((read.owner, &read.manifest), (package.owner, &package.manifest));
                let source = if read.source == Source::Catalogue { "catalogue" } else { "other" };
                *sources.entry(source).or_default() += 1;
            }
        }
        println!("{sources:?}");
        assert!(sources.get("catalogue").is_some_and(|count| *count >= 2 * (PACKAGES - 1)));
    });
}

#[test]
fn who_reads_a_head_that_a_new_peer_lacks_hands_it_over() {
    block_on(async {
        let mut publisher = Peer::start(Executor::Smol, loopback());
        let address = publisher.address().await;
        publisher.handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let mut reader = Peer::start(Executor::Smol, client().with_bootstrap([address]));
        let readers = reader.address().await;
        within("bootstrap", reader.handle.bootstrap()).await.expect("bootstrapped");
        discovers(&mut reader, 1).await;
        let owner = publisher.id();
        publisher.handle.shutdown().await.expect("acknowledged");
        within("the end", publisher.ended).await.expect("ended");

        let config = loopback().with_mode(DhtMode::Server).with_bootstrap([readers]);
        let server = Peer::start(Executor::Smol, config);
        let handed_over = async {
            loop {
                let _ = reader.handle.get_package(owned(owner, "tool")).await;
                if server.handle.metadata().await.expect("metadata").records > 0 {
                    return;
                }
                async_io::Timer::after(Duration::from_millis(50)).await;
            }
        };
        within("the head at the server", handed_over).await;
        let read = server.handle.get_package(owned(owner, "tool")).await.expect("held");
        assert_eq!(read.owner, owner);
    });
}
