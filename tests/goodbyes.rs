//! Nodes that end a connection say why, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::time::{Duration, Instant};

use futures::{StreamExt as _, channel::mpsc, executor::block_on};
use peerage::{
    Event, NetworkName, PackageName, PeerId, Registry, identity::Keypair, record::RecordKey,
};

#[path = "support/bytes.rs"]
mod bytes;
#[path = "support/raw.rs"]
mod raw;
mod support;

use support::{Executor, Peer, loopback, network, owned, within};

/// Goodbyes as they are written: format, message, reason, and nobody else.
const GOING_AWAY: [u8; 4] = [1, 6, 2, 0];
const BLOCKED: [u8; 4] = [1, 6, 3, 0];

/// Waits until a peer has been told this, whatever else it is asked.
async fn await_goodbye(heard: &mut mpsc::UnboundedReceiver<Vec<u8>>, goodbye: [u8; 4]) {
    let told = heard.any(|asked| std::future::ready(asked == goodbye));
    assert!(within("a goodbye", told).await, "it is told");
}

/// Waits until a peer has gone, and says why.
async fn gone(node: &mut Peer, gone: PeerId) -> Option<String> {
    node.wait_for("a peer's leave", |event| match event {
        Event::Disconnected { peer, reason } if peer == gone => Some(reason),
        _ => None,
    })
    .await
}

#[test]
fn a_node_that_leaves_cleanly_says_that_it_is_going_away() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let mut leaving = peers.pop().expect("three");
        let mut known = 0;
        while known < 2 {
            known = leaving.handle.bootstrap().await.expect("peers");
        }
        let id = leaving.id();
        leaving.handle.shutdown().await.expect("acknowledged");
        within("the end", &mut leaving.ended).await.expect("ended");
        for mut peer in peers {
            assert_eq!(gone(&mut peer, id).await.as_deref(), Some("it is going away"));
        }
    });
}

#[test]
fn a_node_ends_soon_whether_or_not_anybody_hears_its_goodbye() {
    block_on(async {
        let mut node = Peer::start(Executor::Smol, loopback());
        let address = node.address().await;
        let (_silent, mut heard) = raw::start_silent(Executor::Smol, address).await;
        // Of those who have not said what they are, nobody knows whether they understand.
        while node.handle.bootstrap().await != Ok(1) {}
        let begun = Instant::now();
        node.handle.shutdown().await.expect("acknowledged");
        await_goodbye(&mut heard, GOING_AWAY).await;
        within("the end", &mut node.ended).await.expect("ended");
        let took = begun.elapsed();
        // Three seconds at the most, and what a busy machine adds.
        assert!(took < Duration::from_secs(6), "{took:?}");
    });
}

#[test]
fn a_blocked_peer_hears_that_it_is_blocked() {
    block_on(async {
        let mut peers = network(Executor::Smol, 2).await;
        let mut reader = peers.pop().expect("two");
        let address = reader.handle.metadata().await.expect("metadata").addresses[0].clone();
        let owner = Keypair::generate_ed25519().public().to_peer_id();
        let names: Vec<PackageName> =
            (0..8).map(|n| format!("package-{n}").parse().expect("a name")).collect();
        let head = |name| RecordKey::head(&NetworkName::default(), &owner, name);
        let keys: Vec<RecordKey> = names.iter().map(head).collect();
        let (liar, mut heard) =
            raw::start_attentive(Executor::Smol, address, &keys, b"\x01garbage").await;
        while reader.handle.bootstrap().await.expect("peers") < 2 {}
        for name in &names {
            let error = reader.handle.get_package(owned(owner, name.as_str())).await;
            assert_eq!(error.expect_err("nobody has it").kind(), "not_found");
        }
        await_goodbye(&mut heard, BLOCKED).await;
        gone(&mut reader, liar.id).await;
        let seen = reader.handle.reputation(liar.id).await.expect("known");
        assert_eq!(seen.invalid, 5, "what it said afterwards was not listened to");
    });
}
