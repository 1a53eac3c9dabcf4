//! What it costs to be refused.

use futures::executor::block_on;
use peerage::identity::Keypair;

use crate::{
    forge::Owner,
    hostile::{Connection, Offer, Put},
    report::{line, turn},
    world::{config, server},
};

/// Lookups, each of which may come while the refusals are on their way.
const TRIES: usize = 20;

/// As many substreams of a connection as Kademlia answers at once.
const PLACES: usize = 32;

#[test]
fn whoever_waits_for_a_refusal_is_served_meanwhile() {
    let _turn = turn();
    block_on(async {
        let (_victim, address) = server(config()).await;
        let peer = Connection::dial(&Keypair::generate_ed25519(), &address).await.expect("dialed");
        // An honest peer that was away puts what it holds, and has missed the newest of each.
        let owners: Vec<Owner> = (0..PLACES).map(|n| Owner::new(&format!("tool-{n}"))).collect();
        for owner in &owners {
            let head = owner.head(2);
            assert_eq!(peer.put(head.key().as_bytes(), head.bytes()).await, Put::Acknowledged);
        }
        let mut waiting = Vec::new();
        for owner in &owners {
            let head = owner.head(1);
            let offer = Offer::from((head.key().as_bytes().to_vec(), head.bytes().to_vec()));
            waiting.push(peer.send(&offer).await.expect("sent"));
        }
        // While it waits to hear what became of them, it asks for something.
        let key = owners[0].head(2).key();
        let mut served = false;
        for _ in 0..TRIES {
            served |= peer.get(key.as_bytes()).await.is_ok();
        }
        assert!(served);
        // A new connection has new places.
        drop(waiting);
        let peer = Connection::dial(&Keypair::generate_ed25519(), &address).await.expect("dialed");
        assert!(peer.get(key.as_bytes()).await.expect("an answer").is_some());
        line(
            "refusals",
            format_args!(
                "{PLACES} stale records refused on one connection: lookups on it are {} from then on",
                if served { "served" } else { "not served" },
            ),
        );
    });
}
