//! What a receipt says of the peers that hold a change, among peers that acknowledge it and keep nothing, and of those
//! that refuse it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, executor::block_on, future};
use peerage::{
    Announcement, Clock, Config, Event, Limits, Node, Receipt, Refusal, Registry, SystemClock,
    Timer, identity::Keypair,
};

#[path = "support/bytes.rs"]
mod bytes;
#[path = "support/raw.rs"]
mod raw;
mod support;

use support::{Executor, Peer, loopback, manifest, name, network, version, within};

const HONEST: usize = 5;
const FORGETFUL: usize = 5;

/// Waits until these have been connected in all.
async fn connected(peer: &mut Peer, peers: usize) {
    while peer.handle.peers().await.expect("peers").len() < peers {
        peer.wait_for("a connection", |event| {
            matches!(event, Event::Connected { .. }).then_some(())
        })
        .await;
    }
}

/// The peers that forget have acknowledged, and are not confirmed.
fn is_counted(receipt: &Receipt) {
    let replicas = usize::try_from(receipt.replicas).expect("a few");
    let confirmed = usize::try_from(receipt.confirmed).expect("a few");
    assert!(replicas > HONEST, "the others acknowledge as well: {receipt:?}");
    assert_eq!(confirmed, HONEST, "{receipt:?}");
}

#[test]
fn peers_that_acknowledge_and_drop_are_not_confirmed() {
    block_on(async {
        let mut peers = network(Executor::Smol, HONEST + 1).await;
        let mut publisher = peers.pop().expect("a few");
        connected(&mut publisher, 1).await;
        let addresses = publisher.handle.metadata().await.expect("metadata").addresses;
        let mut forgetful = Vec::new();
        for _ in 0..FORGETFUL {
            forgetful.push(raw::start(Executor::Smol, addresses[0].clone(), &[], &[]).await);
        }
        connected(&mut publisher, HONEST + FORGETFUL).await;
        let publisher = &publisher.handle;
        let everybody = within("the routing table", async {
            loop {
                if publisher.bootstrap().await.expect("peers") >= HONEST + FORGETFUL {
                    break publisher.with_confirmation(20);
                }
            }
        })
        .await;

        // Every record, however many were wanted.
        let receipt = everybody.register(manifest("tool", "1.0.0")).await.expect("registered");
        is_counted(&receipt);
        assert!(!receipt.is_confirmed());

        // A few are soon found.
        let few = publisher.with_confirmation(3);
        let receipt = few.register(manifest("tool", "1.1.0")).await.expect("registered");
        assert_eq!((receipt.confirmed, receipt.confirmation), (3, 3));
        assert!(receipt.is_confirmed());

        // None, where nobody asks.
        let receipt = publisher.register(manifest("tool", "1.2.0")).await.expect("registered");
        assert_eq!((receipt.confirmed, receipt.confirmation), (0, 0));
        assert!(!receipt.is_confirmed());

        // A change of what is there, and the end of it.
        let receipt = everybody.yank(name("tool"), version("1.1.0")).await.expect("yanked");
        is_counted(&receipt);
        let receipt = everybody.unregister(name("tool")).await.expect("withdrawn");
        is_counted(&receipt);

        // Who served it has earned something, who did not has not.
        for peer in &peers {
            let reputation = publisher.reputation(peer.id()).await.expect("known");
            assert!(reputation.score() > 60, "{reputation:?}");
        }
        for peer in &forgetful {
            let reputation = publisher.reputation(peer.id).await.expect("known");
            assert!(reputation.failed > 0 && reputation.score() < 50, "{reputation:?}");
        }
    });
}

/// The machine's clock, but for the calendar.
#[derive(Debug)]
struct Ahead(SystemClock, Duration);

impl Clock for Ahead {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn unix_time(&self) -> Duration {
        self.0.unix_time() + self.1
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.0.timer()
    }
}

/// A peer with these limits, and a publisher that has joined it and is ahead of the calendar by this much.
async fn pair(limits: Limits, ahead: Duration) -> [Peer; 2] {
    let mut peer = Peer::start(Executor::Smol, loopback().with_limits(limits));
    let address = peer.address().await;
    let clock = Arc::new(Ahead(SystemClock::new(), ahead));
    let config: Config = loopback().with_bootstrap([address]);
    let (node, handle) = Node::builder(Keypair::generate_ed25519(), config)
        .with_clock(clock)
        .build()
        .expect("a node");
    let mut publisher = Peer::run(Executor::Smol, node, handle);
    connected(&mut publisher, 1).await;
    within("bootstrap", publisher.handle.bootstrap()).await.expect("bootstrapped");
    [peer, publisher]
}

/// Publishes one package after the other until the peer says that it has refused one, for this reason.
async fn refused(publisher: &Peer, reason: Refusal) -> Receipt {
    let mut published = 0;
    within("a refusal", async {
        loop {
            let manifest = manifest(&format!("package-{published}"), "1.0.0");
            published += 1;
            let receipt = publisher.handle.register(manifest).await.expect("registered");
            if receipt.refusals.iter().any(|refused| refused.reason == reason) {
                return receipt;
            }
        }
    })
    .await
}

#[test]
fn a_publisher_whose_clock_is_ahead_is_told_that_its_records_come_from_the_future() {
    block_on(async {
        let [_peer, publisher] = pair(Limits::new(), Duration::from_secs(600)).await;
        let receipt = refused(&publisher, Refusal::Future).await;
        assert_eq!((receipt.replicas, receipt.refusals[0].peers), (0, 1), "{receipt:?}");
        let clock = receipt.clock.expect("the peer has said what time it is");
        assert!((595..=605).contains(&clock.seconds), "{receipt:?}");
    });
}

#[test]
fn a_publisher_is_told_that_a_peers_store_is_full() {
    block_on(async {
        let limits = Limits::new().with_store_records(1).with_store_records_per_peer(1000);
        let [_peer, publisher] = pair(limits, Duration::ZERO).await;
        let receipt = refused(&publisher, Refusal::Full).await;
        assert_eq!((receipt.replicas, receipt.clock), (0, None), "{receipt:?}");
    });
}

#[test]
fn a_publisher_is_told_that_it_asks_too_much_of_a_peer() {
    block_on(async {
        let limits = Limits::new().with_requests_per_second(2).with_request_burst(100);
        let [_peer, publisher] = pair(limits, Duration::ZERO).await;
        let receipt = refused(&publisher, Refusal::Rate).await;
        assert_eq!(receipt.replicas, 0, "{receipt:?}");
    });
}

#[test]
fn a_publisher_whose_records_are_stored_is_told_of_no_refusal() {
    block_on(async {
        let [_peer, publisher] = pair(Limits::new(), Duration::ZERO).await;
        let manifest = manifest("tool", "1.0.0");
        let receipt = publisher.handle.register(manifest).await.expect("registered");
        assert_eq!((receipt.replicas, receipt.refusals.len()), (1, 0), "{receipt:?}");
    });
}

#[test]
fn a_new_package_is_announced_at_once_though_a_peer_has_left() {
    block_on(async {
        let [first, mut publisher] = pair(Limits::new(), Duration::ZERO).await;
        let address = first.handle.metadata().await.expect("metadata").addresses[0].clone();
        let config = loopback().with_bootstrap([address]);
        let (node, handle) = Node::new(Keypair::generate_ed25519(), config).expect("a node");
        let (task, killed) = future::abortable(node.for_each(|_| async {}));
        Executor::Smol.spawn(task.map(drop));
        within("bootstrap", handle.bootstrap()).await.expect("bootstrapped");
        connected(&mut publisher, 2).await;

        killed.abort();
        let gone = handle.peer_id();
        let left =
            |event| matches!(event, Event::Disconnected { peer, .. } if peer == gone).then_some(());
        publisher.wait_for("the end of a connection", left).await;
        let receipt =
            within("a receipt", publisher.handle.register(manifest("tool", "1.0.0"))).await;
        let receipt = receipt.expect("registered");
        assert_eq!(
            (receipt.replicas, receipt.announcement),
            (1, Announcement::Sent),
            "{receipt:?}"
        );
    });
}
