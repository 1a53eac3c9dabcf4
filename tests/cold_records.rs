//! Records that a node holds for others, and has no memory for: they are served from its storage.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::sync::{
    Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::executor::block_on;
use libp2p::Multiaddr;
use peerage::{
    Config, Node, Registry,
    identity::Keypair,
    storage::{Change, Storage as _, Table},
};

#[path = "support/hindered.rs"]
mod hindered;
mod support;

use hindered::{Hindered, Hindrance};
use support::{Executor, Peer, loopback, manifest, owned, version, within};

/// Packages of the tests, each of two releases.
const PACKAGES: u32 = 20;

/// A storage that counts how often held records are read one by one, and can be told to take its time for it, or for the
/// sequences that a node reads while it runs.
#[derive(Debug, Default)]
struct Watched {
    reads: AtomicUsize,
    records: Gate,
    sequences: Gate,
}

/// Who comes while it is closed waits.
#[derive(Debug, Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn close(&self, is_closed: bool) {
        *self.0.lock().expect("nobody panics") = is_closed;
        self.1.notify_all();
    }

    fn pass(&self) {
        let closed = self.0.lock().expect("nobody panics");
        drop(self.1.wait_while(closed, |closed| *closed).expect("nobody panics"));
    }
}

impl Watched {
    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Hindrance for Watched {
    fn before_get(&self, table: Table) {
        if table == Table::Held {
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.records.pass();
        }
    }

    fn before_scan(&self, table: Table, after: Option<&[u8]>) {
        // From the key of a row on: before its first poll, a node reads from the beginning, and from an owner's key.
        if table == Table::Sequences && after.is_some_and(|after| after.len() > 32) {
            self.sequences.pass();
        }
    }
}

/// A node whose held records have no memory at all.
fn start(storage: &Hindered<Watched>, key: &Keypair, config: Config) -> Peer {
    let limits = config.limits.clone().with_store_memory_bytes(0);
    let builder = Node::builder(key.clone(), config.with_limits(limits));
    let (node, handle) = builder.with_storage(storage.clone()).build().expect("a node");
    Peer::run(Executor::Smol, node, handle)
}

fn package(at: u32) -> String {
    format!("tool-{at}")
}

/// Publishes everything, and ends once the other node has written what it was given.
async fn publish(
    server: &Peer,
    storage: &Hindered<Watched>,
    address: &Multiaddr,
) -> libp2p::PeerId {
    let publisher = Peer::start(Executor::Smol, loopback().with_bootstrap([address.clone()]));
    within("bootstrap", publisher.handle.bootstrap()).await.expect("bootstrapped");
    for at in 0..PACKAGES {
        for release in ["1.0.0", "1.1.0"] {
            publisher.handle.register(manifest(&package(at), release)).await.expect("registered");
        }
    }
    within("the server to have written it", async {
        loop {
            let metadata = server.handle.metadata().await.expect("metadata");
            let report = metadata.storage.expect("a storage");
            let held = storage.len(Table::Held).expect("a number");
            // For each package its head and two releases, and its claim.
            if report.unsaved == 0 && held >= u64::from(4 * PACKAGES) {
                return;
            }
            smol::Timer::after(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    publisher.id()
}

#[test]
fn what_has_no_room_in_memory_is_served_from_the_storage() {
    block_on(async {
        let (storage, key) = (Hindered::<Watched>::default(), Keypair::generate_ed25519());
        let mut server = start(&storage, &key, loopback());
        let address = server.address().await;
        let owner = publish(&server, &storage, &address).await;

        let before = storage.by.reads();
        let reader = Peer::start(Executor::Smol, loopback().with_bootstrap([address]));
        within("bootstrap", reader.handle.bootstrap()).await.expect("bootstrapped");
        for at in 0..PACKAGES {
            let found = reader.handle.get_version(owned(owner, &package(at)), version("1.0.0"));
            let found = within("the package", found).await.expect("found");
            assert_eq!(found.manifest.version, version("1.0.0"));
        }
        assert!(
            storage.by.reads() - before >= PACKAGES as usize,
            "{} reads",
            storage.by.reads() - before
        );
    });
}

#[test]
fn a_node_that_is_alone_finds_what_lies_in_its_storage() {
    block_on(async {
        let (storage, key) = (Hindered::<Watched>::default(), Keypair::generate_ed25519());
        let mut server = start(&storage, &key, loopback());
        let address = server.address().await;
        let owner = publish(&server, &storage, &address).await;
        drop(server);

        // Whatever it is asked before it has read its storage, too.
        let server = start(&storage, &key, loopback());
        for at in 0..PACKAGES {
            let found = server.handle.get_version(owned(owner, &package(at)), version("1.0.0"));
            assert!(within("the package", found).await.is_ok(), "{at}");
        }
        let held = server.handle.metadata().await.expect("metadata").records;
        assert!(held >= 4 * PACKAGES, "{held}");
    });
}

#[test]
fn a_storage_that_takes_its_time_holds_up_nobody_else() {
    block_on(async {
        let (storage, key) = (Hindered::<Watched>::default(), Keypair::generate_ed25519());
        let mut server = start(&storage, &key, loopback());
        let address = server.address().await;
        let owner = publish(&server, &storage, &address).await;

        storage.by.records.close(true);
        let waits = server.handle.get_version(owned(owner, &package(0)), version("1.0.0"));
        let mut waits = std::pin::pin!(waits);
        // The node goes on: it reads no faster, and answers everybody else.
        for _ in 0..9 {
            assert!(futures::poll!(&mut waits).is_pending());
            within("metadata", server.handle.metadata()).await.expect("metadata");
        }
        within("a change", server.handle.register(manifest("mine", "1.0.0"))).await.expect("made");
        storage.by.records.close(false);
        assert!(within("the package", waits).await.is_ok());
    });
}

/// More sequences than a node reads before its first poll, of packages that nobody knows.
fn sequences() -> Vec<Change> {
    let row = |number: u32| {
        let mut owner = [0xEE; 32];
        owner[..4].copy_from_slice(&number.to_be_bytes());
        let value = postcard::to_stdvec(&(owner, "tool", 0_u32, 7_u64, false, false, false));
        let key = [&owner[..], b"tool"].concat();
        Change { table: Table::Sequences, key, value: Some(value.expect("a row")) }
    };
    (0..5_000).map(row).collect()
}

#[test]
fn what_is_held_is_served_before_all_sequences_are_read_and_what_is_put_waits_for_them() {
    block_on(async {
        let (storage, key) = (Hindered::<Watched>::default(), Keypair::generate_ed25519());
        let mut server = start(&storage, &key, loopback());
        let address = server.address().await;
        let owner = publish(&server, &storage, &address).await;
        within("an own package", server.handle.register(manifest("mine", "1.0.0")))
            .await
            .expect("registered");
        drop(server);
        storage.commit(&sequences()).expect("written");

        storage.by.sequences.close(true);
        let mut server = start(&storage, &key, loopback());
        let address = server.address().await;
        let mine = server.handle.get_package(owned(server.id(), "mine"));
        within("the own package", mine).await.expect("found");
        let reader = Peer::start(Executor::Smol, loopback().with_bootstrap([address.clone()]));
        within("bootstrap", reader.handle.bootstrap()).await.expect("bootstrapped");
        for at in 0..PACKAGES {
            let found = reader.handle.get_version(owned(owner, &package(at)), version("1.0.0"));
            within("the package", found).await.expect("found");
        }
        let report = server.handle.metadata().await.expect("metadata").storage.expect("a storage");
        assert!(!report.is_restored);

        let before = server.handle.metadata().await.expect("metadata").counters.records.stored;
        let mut registers = std::pin::pin!(reader.handle.register(manifest("new", "1.0.0")));
        // Its records wait, and so does what the server itself looks up.
        let mut looks_up = std::pin::pin!(server.handle.get_package(owned(owner, &package(0))));
        for _ in 0..9 {
            assert!(futures::poll!(&mut registers).is_pending());
            assert!(futures::poll!(&mut looks_up).is_pending());
            within("metadata", server.handle.metadata()).await.expect("metadata");
        }
        let stored = server.handle.metadata().await.expect("metadata").counters.records.stored;
        assert_eq!(stored, before);
        storage.by.sequences.close(false);
        within("the package", looks_up).await.expect("found");
        within("the new package", registers).await.expect("registered");
        let stored = server.handle.metadata().await.expect("metadata").counters.records.stored;
        assert!(stored > before);
    });
}
