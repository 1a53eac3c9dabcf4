//! What a node knows still when its process has ended and it starts again from its storage.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::executor::block_on;
use peerage::{
    Announcement, Config, Error, Event, Node, Registry,
    identity::Keypair,
    storage::{Change, Memory, Result, Row, Storage, StorageError, Table},
};

#[path = "support/hindered.rs"]
mod hindered;
mod support;

use hindered::{Hindered, Hindrance};
use support::{Executor, Peer, bare, loopback, manifest, name, network, owned, version, within};

/// A node that keeps what it knows in this storage.
fn start(storage: impl Storage, keypair: &Keypair, config: Config) -> Peer {
    let builder = Node::builder(keypair.clone(), config).with_storage(storage);
    let (node, handle) = builder.build().expect("a node");
    Peer::run(Executor::Smol, node, handle)
}

/// The process ends at this moment: what the node still meant to write is never written.
///
/// The storage is copied first, so that nothing can come after.
fn killed(storage: &Memory) -> Memory {
    let copy = Memory::new();
    for table in Table::ALL {
        let rows = storage.scan(table, None, usize::MAX).expect("rows");
        let change = |(key, value): Row| Change { table, key, value: Some(value) };
        copy.commit(&rows.into_iter().map(change).collect::<Vec<_>>()).expect("copied");
    }
    copy
}

/// A storage that can be told to fail, and counts its commits.
#[derive(Debug, Default)]
struct Moody {
    is_full: AtomicBool,
    commits: AtomicUsize,
}

impl Hindrance for Moody {
    fn before_commit(&self) -> Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StorageError::Full);
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    block_on(async {
        let (storage, key) = (Memory::new(), Keypair::generate_ed25519());
        let peer = start(storage.clone(), &key, loopback());
        peer.handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let storage = killed(&storage);
        peer.handle.register(manifest("tool", "1.1.0")).await.expect("after the copy");
        drop(peer);

        let peer = start(storage, &key, loopback());
        let versions = peer.handle.list_versions(owned(peer.id(), "tool")).await.expect("there");
        assert_eq!(versions.releases.len(), 1);
        assert!(peer.handle.get_package(bare("tool")).await.is_ok());
        // It goes on from there.
        peer.handle.yank(name("tool"), version("1.0.0")).await.expect("yanked");
        let versions = peer.handle.list_versions(owned(peer.id(), "tool")).await.expect("there");
        assert!(versions.releases[0].yanked);
    });
}

#[test]
fn everything_that_a_snapshot_has_outlives_a_kill_without_one() {
    block_on(async {
        let peers = network(Executor::Smol, 3).await;
        let address = peers[0].handle.metadata().await.expect("metadata").addresses[0].clone();
        let config = || loopback().with_bootstrap([address.clone()]);
        let (storage, key) = (Memory::new(), Keypair::generate_ed25519());
        let mut peer = start(storage.clone(), &key, config());
        within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
        for (at, publisher) in peers.iter().enumerate() {
            let package = manifest(&format!("tool-{at}"), "1.0.0");
            publisher.handle.register(package).await.expect("registered");
        }
        support::discovers(&mut peer, 3).await;
        peer.handle.pin(name("mine"), peers[1].id()).await.expect("pinned");
        peer.handle.register(manifest("own", "1.0.0")).await.expect("registered");
        let before = peer.handle.metadata().await.expect("metadata");
        let heads = || storage.len(Table::Catalogue).expect("a number");
        // Nobody waits for these: they are written a moment later.
        while heads() < 3 || storage.len(Table::Held).expect("a number") < 3 {
            smol::Timer::after(std::time::Duration::from_millis(20)).await;
        }
        let storage = killed(&storage);
        drop((peer, peers));

        let peer = start(storage, &key, loopback());
        let after = within("all to be read", async {
            loop {
                let after = peer.handle.metadata().await.expect("metadata");
                if after.known_packages >= before.known_packages && after.records >= before.records
                {
                    return after;
                }
                smol::Timer::after(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(after.records, before.records);
        let pinned = peer.handle.unpin(name("mine")).await.expect("answered");
        assert!(pinned.is_some());
        assert!(peer.handle.get_package(bare("tool-1")).await.is_ok(), "nobody else is there");
    });
}

#[test]
fn an_announcement_that_was_queued_is_heard_after_a_kill() {
    block_on(async {
        let (storage, key) = (Memory::new(), Keypair::generate_ed25519());
        let peer = start(storage.clone(), &key, loopback());
        let queued = peer.handle.announce("news", b"hello".to_vec()).await;
        assert_eq!(queued, Ok(Announcement::Queued));
        let storage = killed(&storage);
        drop(peer);

        // Twice, since what was read at a start is written anew by it.
        let peer = start(storage.clone(), &key, loopback());
        peer.handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let storage = killed(&storage);
        drop(peer);
        let mut peer = start(storage.clone(), &key, loopback());
        let address = peer.address().await;
        let mut hearer = Peer::start(Executor::Smol, loopback().with_bootstrap([address]));
        hearer.handle.subscribe("news").await.expect("subscribed");
        let said = |event| match event {
            Event::Message { data, .. } => Some(data),
            _ => None,
        };
        assert_eq!(hearer.wait_for("the announcement", said).await, b"hello".to_vec());
        peer.handle.shutdown().await.expect("acknowledged");
        within("the end", peer.ended).await.expect("ended");
        let left = storage.scan(Table::Outbox, None, 9).expect("rows");
        assert!(left.is_empty(), "what was heard is not said again: {left:?}");
    });
}

#[test]
fn a_full_disk_fails_calls_and_nothing_else() {
    block_on(async {
        let storage = Hindered::<Moody>::default();
        let key = Keypair::generate_ed25519();
        let mut peer = start(storage.clone(), &key, loopback());
        peer.handle.register(manifest("before", "1.0.0")).await.expect("registered");
        storage.by.is_full.store(true, Ordering::SeqCst);
        let refused = peer.handle.register(manifest("while", "1.0.0")).await;
        let Err(Error::Storage { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("no space"), "{reason}");
        let failed = |event| matches!(event, Event::StorageFailed { .. }).then_some(());
        peer.wait_for("the failure", failed).await;
        assert!(peer.handle.get_package(bare("before")).await.is_ok(), "reading goes on");

        storage.by.is_full.store(false, Ordering::SeqCst);
        let recovered = |event| matches!(event, Event::StorageRecovered).then_some(());
        peer.wait_for("the recovery", recovered).await;
        peer.handle.register(manifest("after", "1.0.0")).await.expect("registered");
        let storage = killed(&storage.memory);
        drop(peer);

        let peer = start(storage, &key, loopback());
        for package in ["before", "while", "after"] {
            let found = peer.handle.get_package(owned(peer.id(), package)).await;
            assert!(found.is_ok(), "{package}: {found:?}");
        }
    });
}

#[test]
fn many_callers_share_a_commit() {
    block_on(async {
        let storage = Hindered::<Moody>::default();
        let peer = start(storage.clone(), &Keypair::generate_ed25519(), loopback());
        let before = storage.by.commits.load(Ordering::SeqCst);
        let calls =
            (0..64).map(|at| peer.handle.register(manifest(&format!("tool-{at}"), "1.0.0")));
        for registered in futures::future::join_all(calls).await {
            registered.expect("registered");
        }
        let commits = storage.by.commits.load(Ordering::SeqCst) - before;
        assert!(commits <= 16, "{commits} commits for 64 callers");
    });
}

#[test]
fn data_of_somebody_else_is_refused_with_words() {
    let (storage, key) = (Memory::new(), Keypair::generate_ed25519());
    let build = |key: &Keypair, config| {
        Node::builder(key.clone(), config).with_storage(storage.clone()).build()
    };
    drop(build(&key, loopback()).expect("new data"));
    drop(build(&key, loopback()).expect("its own data"));
    let error = build(&Keypair::generate_ed25519(), loopback()).expect_err("another owner");
    assert!(error.to_string().contains("belongs to owner"), "{error}");
    let other = loopback().with_network("other".parse().expect("a name"));
    let error = build(&key, other).expect_err("another network");
    assert!(error.to_string().contains("belongs to network `main`"), "{error}");
    let newer =
        Change { table: Table::Meta, key: b"schema".to_vec(), value: Some(b"999".to_vec()) };
    storage.commit(&[newer]).expect("written");
    let error = build(&key, loopback()).expect_err("a later schema");
    assert!(error.to_string().contains("schema 999"), "{error}");
}

#[test]
fn data_of_an_earlier_schema_is_taken_over() {
    let (storage, key) = (Memory::new(), Keypair::generate_ed25519());
    let build = || Node::builder(key.clone(), loopback()).with_storage(storage.clone()).build();
    drop(build().expect("new data"));
    let newest = storage.get(Table::Meta, b"schema").expect("read");
    let first = Change { table: Table::Meta, key: b"schema".to_vec(), value: Some(b"1".to_vec()) };
    storage.commit(&[first]).expect("written");
    drop(build().expect("earlier data"));
    assert_eq!(storage.get(Table::Meta, b"schema").expect("read"), newest);
}

#[test]
fn junk_in_the_storage_is_dropped_and_removed() {
    block_on(async {
        let (storage, key) = (Memory::new(), Keypair::generate_ed25519());
        let peer = start(storage.clone(), &key, loopback());
        peer.handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let storage = killed(&storage);
        drop(peer);
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Meta) {
            for length in [0, 1, 40, 300] {
                let (key, value) = (vec![b'z'; 32 + length], Some(vec![0xA5; length]));
                storage.commit(&[Change { table, key, value }]).expect("written");
            }
        }

        let peer = start(storage.clone(), &key, loopback());
        assert!(peer.handle.get_package(owned(peer.id(), "tool")).await.is_ok());
        within("the junk to go", async {
            let read = Table::ALL.into_iter().filter(|table| *table != Table::Meta);
            let is_junk = |(key, _): &Row| key.len() >= 32 && key.iter().all(|byte| *byte == b'z');
            while read
                .clone()
                .any(|table| storage.scan(table, None, 99).expect("rows").iter().any(is_junk))
            {
                smol::Timer::after(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    });
}
