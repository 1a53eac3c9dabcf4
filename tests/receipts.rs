//! What a receipt says of the peers that hold a change, among peers that acknowledge it and keep nothing.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{Event, Receipt, Registry};

#[path = "support/raw.rs"]
mod raw;
mod support;

use support::{Executor, Peer, manifest, name, network, version, within};

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
