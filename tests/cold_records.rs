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
    storage::{Storage as _, Table},
};

#[path = "support/hindered.rs"]
mod hindered;
mod support;

use hindered::{Hindered, Hindrance};
use support::{Executor, Peer, loopback, manifest, owned, version, within};

/// Packages of the tests, each of two releases.
const PACKAGES: u32 = 20;

/// A storage that counts how often held records are read one by one, and can be told to take its time for it.
#[derive(Debug, Default)]
struct Watched {
    reads: AtomicUsize,
    gate: (Mutex<bool>, Condvar),
}

impl Watched {
    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn close(&self, is_closed: bool) {
        *self.gate.0.lock().expect("nobody panics") = is_closed;
        self.gate.1.notify_all();
    }
}

impl Hindrance for Watched {
    fn before_get(&self, table: Table) {
        if table == Table::Held {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let closed = self.gate.0.lock().expect("nobody panics");
            drop(self.gate.1.wait_while(closed, |closed| *closed).expect("nobody panics"));
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

        storage.by.close(true);
        let waits = server.handle.get_version(owned(owner, &package(0)), version("1.0.0"));
        let mut waits = std::pin::pin!(waits);
        // The node goes on: it reads no faster, and answers everybody else.
        for _ in 0..9 {
            assert!(futures::poll!(&mut waits).is_pending());
            within("metadata", server.handle.metadata()).await.expect("metadata");
        }
        within("a change", server.handle.register(manifest("mine", "1.0.0"))).await.expect("made");
        storage.by.close(false);
        assert!(within("the package", waits).await.is_ok());
    });
}
