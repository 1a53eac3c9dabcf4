//! One peer that puts records as fast as it can.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use futures::executor::block_on;
use peerage::{Freshness, Limits, Multiaddr, Registry, identity::Keypair};

use crate::{
    forge::{Dice, Owner},
    hostile::{Connection, Offer, Put},
    report::{Growth, line, mebibytes, size, turn},
    support::{manifest, owned},
    world::{self, client_of, joined, server},
};

/// Connections of the attacker: as many as one peer may have.
const CONNECTIONS: usize = 4;

/// Records on their way on each of them.
const BATCH: usize = 16;

/// Honest packages in the network.
const HONEST: usize = 20;

/// What was sent, and what became of it.
#[derive(Default)]
struct Handled {
    sent: AtomicUsize,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    cut_off: AtomicUsize,
    dials: AtomicUsize,
}

impl Handled {
    fn count(&self, put: Put) {
        let counter = match put {
            Put::Acknowledged => &self.acknowledged,
            Put::Refused => &self.refused,
            Put::CutOff => &self.cut_off,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Valid heads, each of an owner and a name of its own, and after every nine of them one that is none.
fn pool(count: usize) -> Vec<Offer> {
    let mut dice = Dice::new(4);
    let head = |index: usize| {
        let head = Owner::new(&format!("spam-{index}")).head(1);
        let mut value = head.bytes().to_vec();
        if index % 10 == 9 {
            let at = dice.roll(value.len());
            value[at] ^= 1 << dice.roll(8);
        }
        Offer::from((head.key().as_bytes().to_vec(), value))
    };
    (0..count).map(head).collect()
}

/// Sends what is left to be sent, over one connection at a time.
async fn flood(
    identity: &Keypair,
    address: &Multiaddr,
    pool: &[Offer],
    total: usize,
    handled: &Handled,
    growth: &Mutex<Growth>,
) {
    let mut connection = None;
    loop {
        let first = handled.sent.fetch_add(BATCH, Ordering::Relaxed);
        if first >= total {
            return;
        }
        let batch: Vec<Offer> =
            (first..first + BATCH).map(|index| pool[index % pool.len()].clone()).collect();
        let open = match connection.take() {
            Some(open) => open,
            None => {
                handled.dials.fetch_add(1, Ordering::Relaxed);
                match Connection::dial(identity, address).await {
                    Ok(open) => open,
                    Err(_) => {
                        // Turned away at the door: handled as well.
                        batch.iter().for_each(|_| handled.count(Put::CutOff));
                        continue;
                    }
                }
            }
        };
        let puts = open.offer(&batch).await;
        puts.iter().for_each(|&put| handled.count(put));
        if !puts.contains(&Put::CutOff) {
            connection = Some(open);
        }
        if first % 1024 < BATCH {
            growth.lock().expect("not poisoned").sample();
        }
    }
}

/// Few connections, so that the ceiling is not theirs alone, and a quarter of the store for any one peer.
fn limits() -> Limits {
    let records = size(16_384, 1_024);
    Limits::new()
        .with_connections(16)
        .with_store_records(records)
        .with_store_records_per_peer(records / 4)
}

#[test]
fn whoever_floods_a_node_with_puts_is_soon_heard_no_more() {
    flooded("flood of puts", limits(), size(1_000_000, 3_000));
}

#[test]
fn honest_records_and_memory_survive_a_flood_of_puts_that_nothing_stems() {
    // Nobody is blocked, and nobody's requests are counted: what is left is the store.
    let open = limits()
        .with_blocked_peers(0)
        .with_requests_per_second(10_000_000)
        .with_request_burst(100_000_000);
    flooded("unstemmed puts", open, size(1_000_000, 3_000));
}

fn flooded(name: &str, limits: Limits, total: usize) {
    let _turn = turn();
    block_on(async {
        let config = world::config().with_limits(limits);
        let (victim, address) = server(config.clone()).await;
        let (_other, other_address) =
            server(config.clone().with_bootstrap([address.clone()])).await;
        let addresses = [address.clone(), other_address];
        let (publisher, _) = server(config.clone().with_bootstrap(addresses.clone())).await;
        joined(&publisher, 2).await;
        let reader = client_of(&addresses, config.clone()).await;

        let registered = victim.handle.register(manifest("own", "1.0.0")).await;
        let first = registered.expect("registered");
        let mut packages = Vec::new();
        for index in 0..HONEST {
            let name = format!("honest-{index}");
            let receipt = publisher.handle.register(manifest(&name, "1.0.0")).await;
            assert_eq!(receipt.expect("registered").replicas, 2);
            packages.push(owned(publisher.id(), &name));
        }

        let pool = pool(size(20_000, 1_500));
        let (identity, handled) = (Keypair::generate_ed25519(), Handled::default());
        let growth = Mutex::new(Growth::begin());
        let start = Instant::now();
        // Each on a thread of its own: what slows the flood down is to be the victim.
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                let flood = flood(&identity, &address, &pool, total, &handled, &growth);
                scope.spawn(|| block_on(flood));
            }
        });
        let elapsed = start.elapsed();

        let [acknowledged, refused, cut_off] =
            [&handled.acknowledged, &handled.refused, &handled.cut_off]
                .map(|counter| counter.load(Ordering::Relaxed));
        let arrived = acknowledged + refused + cut_off;
        assert!(arrived >= total, "{arrived} of {total}");
        assert!(acknowledged > 0, "the flood has not reached the store");

        // The store is full at the most, and the process no larger than it may be.
        let metadata = victim.handle.metadata().await.expect("metadata");
        // Its own package takes a head, a release and a claim.
        assert!(metadata.records as usize <= config.limits.store_records + 3, "{metadata:?}");
        let peak = growth.into_inner().expect("not poisoned").peak();
        // What one peer can have kept: records, what is remembered of them, and its connections.
        let ceiling = config.memory_ceiling();
        let connections = ceiling.connections / 16 * CONNECTIONS as u64;
        let ceiling = ceiling.store + ceiling.marks + connections;
        let ceiling = usize::try_from(ceiling).expect("an amount");
        assert!(peak.is_none_or(|peak| peak <= ceiling), "{peak:?} of {ceiling} bytes");

        // Who publishes himself loses nothing, and honest records are found by whoever asks.
        let reader = reader.handle.with_freshness(Freshness::All);
        let own = reader.get_package(owned(victim.id(), "own")).await.expect("the victim's own");
        assert_eq!(own.sequence, first.sequence);
        for package in &packages {
            let found = reader.get_package(package.clone()).await.expect("an honest record");
            assert_eq!(found.owner, publisher.id());
        }
        let friend =
            Connection::dial(&Keypair::generate_ed25519(), &address).await.expect("dialed");
        let mut survivors = 0;
        for package in &packages {
            let network = publisher.handle.network();
            let key = peerage::record::RecordKey::head(network, &publisher.id(), package.name());
            survivors +=
                usize::from(friend.get(key.as_bytes()).await.expect("an answer").is_some());
        }
        assert_eq!(survivors, HONEST, "with the victim");
        let rate = arrived as f64 / elapsed.as_secs_f64();
        line(
            name,
            format_args!(
                "{arrived} puts of {} records ({} valid) in {:.1} s, {rate:.0}/s, {} dials: {acknowledged} stored or renewed, \
                 {refused} refused, {cut_off} cut off; {HONEST} of {HONEST} honest packages found, {survivors} with the \
                 victim; memory +{} of {}",
                pool.len(),
                pool.len() - pool.len() / 10,
                elapsed.as_secs_f64(),
                handled.dials.load(Ordering::Relaxed),
                peak.map_or_else(|| "?".to_owned(), mebibytes),
                mebibytes(ceiling),
            ),
        );
    });
}
