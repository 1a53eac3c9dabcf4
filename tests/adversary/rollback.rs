//! Replicas, putters and announcers that go back and forth in the history of packages.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::{StreamExt, executor::block_on, future::join_all, stream};
use peerage::{Error, Registry, identity::Keypair};

use crate::{
    forge::{Dice, Owner},
    hostile::{Connection, Offer},
    replica::{Answer, Replica},
    report::{line, size, turn},
    support::Peer,
    world::{FRESHNESSES, config, joined, server},
};

/// Readers, each of which reads every package.
const READERS: usize = 4;

/// Hostile replicas, each of which answers every lookup with what it likes.
const REPLICAS: usize = 2;

/// Heads of each package.
const HEADS: usize = 5;

/// Reads of each package by each reader.
const READS: usize = 6;

/// Lookups of each reader under way at once.
const AT_ONCE: usize = 32;

/// A package, and all that its owner has ever signed of it.
struct Package {
    owner: Owner,
    heads: Vec<Vec<u8>>,
    key: Vec<u8>,
}

impl Package {
    fn new(key: &Keypair, index: usize) -> Self {
        let owner = Owner::of(key, &format!("history-{index}"));
        let mut heads: Vec<_> = (1..HEADS as u64).map(|sequence| owner.head(sequence)).collect();
        // Every fourth ends.
        let last = HEADS as u64;
        heads.push(if index.is_multiple_of(4) { owner.tombstone(last) } else { owner.head(last) });
        let key = heads[0].key().as_bytes().to_vec();
        Self { owner, heads: heads.iter().map(|head| head.bytes().to_vec()).collect(), key }
    }
}

/// Answers with any of the heads of what is asked for, and counts.
fn fickle(heads: Arc<HashMap<Vec<u8>, Vec<Vec<u8>>>>, seed: u64, told: Arc<AtomicUsize>) -> Answer {
    let dice = Mutex::new(Dice::new(seed));
    Arc::new(move |key| {
        let heads = heads.get(key)?;
        told.fetch_add(1, Ordering::Relaxed);
        let mut dice = dice.lock().expect("not poisoned");
        Some(heads[dice.roll(heads.len())].clone())
    })
}

/// How reads went.
#[derive(Debug, Clone, Copy, Default)]
struct Reads {
    answered: usize,
    /// Peers had only what is older than what the reader has seen.
    nothing: usize,
    /// Answered with something newer than before.
    forward: usize,
}

/// One reader's reads of one package.
async fn history(reader: &Peer, package: &Package, seed: u64) -> Reads {
    let mut dice = Dice::new(seed);
    let (mut known, mut reads) = (0, Reads::default());
    for _ in 0..READS {
        let freshness = FRESHNESSES[dice.roll(FRESHNESSES.len())];
        let reader = reader.handle.with_freshness(freshness);
        let sequence = match reader.get_package(package.owner.package()).await {
            Ok(found) => found.sequence,
            Err(Error::Withdrawn { .. }) => HEADS as u64,
            Err(Error::NotFound { .. }) if known > 0 => {
                reads.nothing += 1;
                continue;
            }
            Err(error) => panic!("{}: {error}", package.owner.name),
        };
        assert!(sequence >= known, "{} went from {known} back to {sequence}", package.owner.name);
        reads.answered += 1;
        reads.forward += usize::from(sequence > known);
        known = sequence;
    }
    reads
}

/// Puts any of the heads to a reader, which is a server as well, until there is no more time.
async fn put_at_random(address: &peerage::Multiaddr, packages: &[Package], count: usize) -> usize {
    let mut dice = Dice::new(8);
    let mut put = 0;
    while put < count {
        let identity = Keypair::generate_ed25519();
        let Ok(connection) = Connection::dial(&identity, address).await else { continue };
        let offers: Vec<Offer> = (0..20)
            .map(|_| {
                let package = &packages[dice.roll(packages.len())];
                let head = package.heads[dice.roll(HEADS)].clone();
                Offer::from((package.key.clone(), head))
            })
            .collect();
        put += connection.offer(&offers).await.len();
    }
    put
}

#[test]
fn no_reader_ever_sees_a_sequence_go_back() {
    let _turn = turn();
    block_on(async {
        let histories = size(10_000, 400);
        let key = Keypair::generate_ed25519();
        let packages: Vec<Package> =
            (0..histories / READERS).map(|index| Package::new(&key, index)).collect();
        let heads = packages.iter().map(|package| (package.key.clone(), package.heads.clone()));
        let heads: Arc<HashMap<_, _>> = Arc::new(heads.collect());
        let told = Arc::new(AtomicUsize::new(0));
        let mut replicas = Vec::new();
        for seed in 0..REPLICAS as u64 {
            replicas
                .push(Replica::start(fickle(Arc::clone(&heads), seed, Arc::clone(&told))).await);
        }
        let addresses: Vec<_> = replicas.iter().map(|replica| replica.address.clone()).collect();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let reader = server(config().with_bootstrap(addresses.clone())).await;
            joined(&reader.0, REPLICAS).await;
            readers.push(reader);
        }

        let start = Instant::now();
        let reading = join_all(readers.iter().enumerate().map(|(number, (reader, _))| {
            let histories = packages.iter().enumerate().map(move |(index, package)| {
                history(reader, package, (number * 1_000_000 + index) as u64)
            });
            stream::iter(histories).buffer_unordered(AT_ONCE).collect::<Vec<_>>()
        }));
        let putting = join_all(
            readers.iter().map(|(_, address)| put_at_random(address, &packages, packages.len())),
        );
        let (reads, puts) = futures::join!(reading, putting);
        let reads: Vec<Reads> = reads.into_iter().flatten().collect();
        assert_eq!(reads.len(), packages.len() * READERS);
        let all = reads.iter().fold(Reads::default(), |all, one| Reads {
            answered: all.answered + one.answered,
            nothing: all.nothing + one.nothing,
            forward: all.forward + one.forward,
        });
        // They have gone through the histories, and not only stood at their ends.
        assert!(all.forward > reads.len(), "{all:?} in {} histories", reads.len());
        line(
            "rollback",
            format_args!(
                "{} histories, {} reads answered and {} with nothing newer to find in {:.1} s; {} answers of hostile \
                 replicas and {} puts in between: {} steps forward, 0 back",
                reads.len(),
                all.answered,
                all.nothing,
                start.elapsed().as_secs_f64(),
                told.load(Ordering::Relaxed),
                puts.iter().sum::<usize>(),
                all.forward,
            ),
        );
    });
}
