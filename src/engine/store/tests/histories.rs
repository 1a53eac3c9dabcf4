//! Whatever arrives in whatever order: what a package has come to is never undone.

use std::{sync::LazyLock, thread};

use super::{snapshots::restart, *};
use crate::engine::seeded::Random;

const HISTORIES: u64 = 10_000;

/// Heads of one package, with lifetimes that end in any order, and releases. One of the heads is a tombstone or none is;
/// its owner may have signed live ones after it all the same.
struct Package {
    owner: PeerId,
    name: PackageName,
    heads: Vec<Signed<Head>>,
    releases: Vec<Record>,
}

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let package = |seed: u8, package: &str, withdrawn_at: Option<u64>| {
        let keypair = keypair(seed);
        let owner = keypair.public().to_peer_id();
        let releases = ["1.0.0", "2.0.0"].map(|version| release(&keypair, package, version));
        let head = |sequence: u64| {
            let (network, revision) = (NetworkName::default(), Revision::new(0, sequence));
            let validity = Validity::starting(NOW - 60, 200 + (sequence * 7_919) % 900);
            if withdrawn_at == Some(sequence) {
                let name = name(package);
                return Head::withdrawn(network, owner, name, revision, validity, "");
            }
            let latest = releases[sequence as usize % 2].manifest.clone();
            let mut entries: Vec<_> = releases.iter().map(ReleaseEntry::of).collect();
            entries.sort_by(|a, b| b.version.cmp(&a.version));
            // The older one is yanked half-way.
            entries[1].yanked = sequence > 2;
            Head::live(network, owner, revision, validity, latest, entries, None)
        };
        let heads = (1..=5).map(|sequence| Signed::sign(&keypair, head(sequence)).unwrap());
        Package {
            owner,
            name: name(package),
            heads: heads.collect(),
            releases: releases.into_iter().map(Record::Release).collect(),
        }
    };
    vec![package(1, "tool", None), package(1, "gone", Some(5)), package(2, "gone", Some(3))]
});

/// Records of strangers, enough of them to push everything else out of a small store.
static STRANGERS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    (0..24).map(|i| Record::Head(live(&keypair(100 + i), "strange", "1.0.0", 1))).collect()
});

fn small(config: &mut Config) {
    config.limits.store_records = 6;
    config.limits.store_bytes = 8192;
    // Few enough places that strangers fill them, with half of them for what was read.
    config.limits.remembered_sequences = 16;
}

/// What a reader of a store has been told so far.
#[derive(Default)]
struct Reader {
    rank: Option<Rank>,
    withdrawn: bool,
}

impl Reader {
    /// Reads, and checks that nothing is undone.
    fn read(&mut self, store: &SharedStore, package: &Package, context: &str) {
        let key = RecordKey::head(&NetworkName::default(), &package.owner, &package.name);
        if let Some(Record::Head(head)) = store.held(&key) {
            assert!(self.rank <= Some(head.rank()), "{context}: it went back");
            assert!(!self.withdrawn || head.is_withdrawn(), "{context}: came back to life");
            self.rank = Some(head.rank());
            self.withdrawn |= head.is_withdrawn();
            store.want(&head.owner, &head.name);
        }
        if self.withdrawn {
            let held = package.releases.iter().any(|release| store.bytes(&release.key()).is_some());
            assert!(!held, "{context}: a release of a withdrawn package is held");
        }
        for head in package.heads.iter().filter(|head| Some(head.rank()) < self.rank) {
            let older = Record::Head(head.clone());
            assert!(put(store, &older).is_err(), "{context}: {} was taken", head.rank());
        }
    }
}

fn history(seed: u64) {
    let mut random = Random(seed);
    let mut store = store(small);
    let mut readers: Vec<Reader> = PACKAGES.iter().map(|_| Reader::default()).collect();
    let mut now = NOW;
    let length = 6 + random.below(14);
    for step in 0..length {
        let context = format!("history {seed}, step {step}");
        let package = random.below(PACKAGES.len());
        match random.below(12) {
            0..=4 => {
                let head = random.of(&PACKAGES[package].heads).clone();
                let _ = put(&store, &Record::Head(head));
            }
            5 | 6 => {
                let _ = put(&store, random.of(&PACKAGES[package].releases));
            }
            7 => {
                let heard = random.of(&PACKAGES[package].heads);
                store.raise_high_water(heard);
            }
            8 => {
                for _ in 0..4 {
                    let _ = put(&store, random.of(&STRANGERS));
                }
            }
            9 => {
                now += random.below(300) as u64;
                store.set_time(now);
            }
            10 => store.sweep(random.below(9)),
            _ => store = restart(&store, small),
        }
        let (reader, package) = (&mut readers[package], &PACKAGES[package]);
        reader.read(&store, package, &context);
    }
    store.lock().high_water.check();
    for (reader, package) in readers.iter_mut().zip(PACKAGES.iter()) {
        reader.read(&store, package, &format!("history {seed}, the end"));
    }
}

#[test]
fn nothing_that_was_read_is_ever_undone() {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || (first..HISTORIES).step_by(threads as usize).for_each(history));
        }
    });
}

#[test]
fn every_order_of_arrival_ends_with_the_newest_with_and_without_restarts() {
    let mut random = Random(1);
    for round in 0..300 {
        let package = random.of(&PACKAGES);
        let mut arriving: Vec<Record> = package.heads.iter().cloned().map(Record::Head).collect();
        arriving.extend(package.releases.iter().cloned());
        let mut store = store(|_| {});
        while !arriving.is_empty() {
            let record = arriving.swap_remove(random.below(arriving.len()));
            let _ = put(&store, &record);
            if random.below(4) == 0 {
                store = restart(&store, |_| {});
            }
        }
        let newest = package.heads.iter().max_by_key(|head| head.rank()).unwrap();
        let held = store.held(&newest.key());
        assert_eq!(held, Some(Record::Head(newest.clone())), "round {round}");
    }
}
