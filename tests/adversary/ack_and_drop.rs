//! Peers that say that they have stored what they have not.

use std::sync::Arc;

use futures::executor::block_on;
use peerage::{Coverage, Error, Freshness, Registry, identity::Keypair};

use crate::{
    replica::Replica,
    report::{line, turn},
    support::{manifest, owned, within},
    world::{client_of, config, joined, node_as, server},
};

/// As many as a record is put to.
const DROPPERS: usize = 20;

#[test]
fn an_acknowledgement_is_not_a_copy() {
    let _turn = turn();
    block_on(async {
        let mut droppers = Vec::new();
        for _ in 0..DROPPERS {
            droppers.push(Replica::start(Arc::new(|_| None)).await);
        }
        let addresses: Vec<_> = droppers.iter().map(|peer| peer.address.clone()).collect();
        let bootstrap = config().with_bootstrap(addresses.clone());
        let publisher = node_as(&Keypair::generate_ed25519(), bootstrap);
        joined(&publisher, DROPPERS).await;

        let sure = publisher.handle.with_confirmation(3);
        let receipt = sure.register(manifest("gone", "1.0.0")).await.expect("registered");
        // Whoever only counts acknowledgements believes all of them.
        assert_eq!(receipt.replicas, 20);
        let confirmed = receipt.confirmed;
        assert_eq!(confirmed, 0, "nobody holds it");
        assert!(!receipt.is_confirmed());

        // Beside an honest replica there is one copy, and the owner gone it is found there.
        let (honest, address) = server(config()).await;
        publisher.handle.dial_address(address.clone()).await.expect("dialed");
        joined(&publisher, DROPPERS + 1).await;
        let receipt = sure.register(manifest("kept", "1.0.0")).await.expect("registered");
        let owner = publisher.id();
        publisher.handle.shutdown().await.expect("acknowledged");
        within("the end", publisher.ended).await.expect("ended");

        let everybody: Vec<_> = addresses.into_iter().chain([address]).collect();
        // Its catalogue would know what the honest replica has heard of.
        let reader = client_of(&everybody, config().with_coverage(Coverage::None)).await;
        let reader = reader.handle.with_freshness(Freshness::All);
        let gone = reader.get_package(owned(owner, "gone")).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
        // The farthest of twenty-one from a key is not asked to hold what is under it: release, claim and head each have
        // their own.
        let records = honest.handle.metadata().await.expect("metadata").records;
        let held = records > 0;
        assert!(receipt.confirmed <= u32::from(held), "{receipt:?}");
        let kept = reader.get_package(owned(owner, "kept")).await;
        match records {
            0 => assert!(kept.is_err(), "{kept:?}"),
            3 => assert!(kept.is_ok(), "{kept:?}"),
            _ => {}
        }

        line(
            "ack and drop",
            format_args!(
                "{DROPPERS} replicas: {} acknowledgements, {} confirmed; {} copies when the owner had left",
                receipt.replicas,
                confirmed,
                u8::from(kept.is_ok()),
            ),
        );
    });
}
