//! What becomes of a peer that serves garbage, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{
    Event, NetworkName, PackageName, Registry, Reputation, identity::Keypair, record::RecordKey,
};

#[path = "support/bytes.rs"]
mod bytes;
#[path = "support/raw.rs"]
mod raw;
mod support;

use support::{Executor, network, owned};

#[test]
fn a_peer_that_serves_garbage_is_sent_away_until_somebody_dials_it() {
    block_on(async {
        let mut peers = network(Executor::Smol, 2).await;
        let mut reader = peers.pop().expect("two");
        let address = reader.handle.metadata().await.expect("metadata").addresses[0].clone();
        let owner = Keypair::generate_ed25519().public().to_peer_id();
        let names: Vec<PackageName> =
            (0..8).map(|n| format!("package-{n}").parse().expect("a name")).collect();
        let head = |name| RecordKey::head(&NetworkName::default(), &owner, name);
        let keys: Vec<RecordKey> = names.iter().map(head).collect();
        let liar = raw::start(Executor::Smol, address, &keys, b"\x01garbage").await;
        while reader.handle.bootstrap().await.expect("peers") < 2 {}

        for name in &names {
            let error = reader.handle.get_package(owned(owner, name.as_str())).await;
            assert_eq!(error.expect_err("nobody has it").kind(), "not_found");
        }
        let score = reader
            .wait_for("the block", |event| match event {
                Event::PeerBlocked { peer, score } if peer == liar.id => Some(score),
                _ => None,
            })
            .await;
        assert!(score < Reputation::FLOOR, "{score}");
        reader
            .wait_for("the end of the connection", |event| match event {
                Event::Disconnected { peer, .. } if peer == liar.id => Some(()),
                _ => None,
            })
            .await;
        let seen = reader.handle.reputation(liar.id).await.expect("known");
        assert_eq!(seen.invalid, 5, "what it said afterwards was not listened to");
        assert!(reader.handle.reputation(peers[0].id()).await.expect("known").score() >= 50);

        // Somebody who knows better dials it.
        let dialed = reader.handle.dial(liar.id, vec![liar.address.clone()]).await;
        assert_eq!(dialed, Ok(()));
        let again = reader.handle.peers().await.expect("peers");
        assert!(again.iter().any(|peer| peer.peer == liar.id));
    });
}
