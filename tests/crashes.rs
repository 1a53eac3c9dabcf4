//! A node on a bad disk, in virtual time: commits fail, and the process ends at any moment. What was acknowledged is there
//! afterwards, and no sequence goes back.
//!
//! Each run follows from its number. `PEERAGE_CASES=10000` has it make so many; a failure names the run, and
//! `PEERAGE_CASE=<number>` repeats that one alone.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::FutureExt;
use peerage::{
    Config, Error, Handle, Node, Registry, identity::Keypair, net::transport, package::PackageName,
};
use semver::Version;

/// What the storage with the faults is written against.
#[path = "../src/storage"]
mod storage {
    pub(crate) use peerage::storage::{Change, Memory, Result, Row, Storage, StorageError, Table};

    #[allow(dead_code, reason = "other tests need more of it")]
    pub(crate) mod faulty;
}

#[path = "support/virtual_time.rs"]
#[allow(dead_code, reason = "other tests look at more of it")]
mod virtual_time;

use storage::faulty::{Faults, Faulty};
use virtual_time::VirtualClock;

/// Runs of an ordinary test.
const CASES: u64 = 500;

/// Longer than any call of these takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

/// What callers were told, and so has to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Acknowledged {
    /// The sequence of the head, as it was read last.
    sequence: u64,
    versions: BTreeSet<Version>,
    yanked: BTreeSet<Version>,
}

/// One process after the other, each with the disk that the last one has left.
struct World {
    random: Random,
    clock: VirtualClock,
    key: Keypair,
    disk: Faulty,
    packages: BTreeMap<PackageName, Acknowledged>,
    /// Those of which a call has failed, whose change may be there or not.
    in_doubt: BTreeSet<PackageName>,
    pins: BTreeMap<PackageName, peerage::PeerId>,
}

/// A running process.
struct Process {
    node: Pin<Box<Node>>,
    handle: Handle,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut secret = [0; 32];
        secret.fill_with(|| random.below(256) as u8);
        let key = Keypair::ed25519_from_bytes(secret).expect("a key");
        let (full, errors) = (random.below(200) as u32, random.below(100) as u32);
        let faults = Faults { full, errors, ..Faults::default() };
        Self {
            disk: Faulty::new(seed, faults),
            random,
            clock: VirtualClock::default(),
            key,
            packages: BTreeMap::new(),
            in_doubt: BTreeSet::new(),
            pins: BTreeMap::new(),
        }
    }

    /// A process begins. Should the disk fail at that moment, it is started once more, as a supervisor would.
    fn start(&mut self) -> Process {
        loop {
            let config = Config::new().with_listen([]);
            let transport = transport::memory(&self.key, &Default::default(), &config.limits);
            let built = Node::builder(self.key.clone(), config)
                .with_clock(Arc::new(self.clock.clone()))
                .with_transport(transport.expect("a transport"))
                .with_storage(self.disk.clone())
                .build();
            match built {
                Ok((node, handle)) => return Process { node: Box::pin(node), handle },
                Err(Error::Storage { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Polls the node until the call is answered, or so many times.
    fn run<T>(&self, process: &mut Process, call: impl Future<Output = T>, most: u64) -> Option<T> {
        let mut call = pin!(call);
        let mut cx = Context::from_waker(Waker::noop());
        let end = peerage::Clock::now(&self.clock) + PATIENCE;
        for _ in 0..most {
            let before = self.disk.commits();
            if process.node.as_mut().poll(&mut cx).is_ready() {
                panic!("the node has ended");
            }
            if let Poll::Ready(answer) = call.as_mut().poll(&mut cx) {
                return Some(answer);
            }
            if self.disk.commits() == before {
                self.clock.advance(Duration::from_millis(10));
            }
            assert!(peerage::Clock::now(&self.clock) < end, "a call is never answered");
        }
        None
    }

    fn finish<T>(&self, process: &mut Process, call: impl Future<Output = T>) -> T {
        self.run(process, call, u64::MAX).expect("no bound")
    }

    /// The machine does something, and is told that it is done, or dies before.
    fn step(&mut self, process: &mut Process) -> bool {
        let name: PackageName = format!("tool-{}", self.random.below(3)).parse().expect("a name");
        let version = Version::new(1, self.random.below(4), 0);
        let most = match self.random.below(4) {
            0 => self.random.below(12),
            _ => u64::MAX,
        };
        let handle = process.handle.clone();
        let answer = match self.random.below(4) {
            0 | 1 => {
                let manifest = peerage::Manifest::new(name.clone(), version.clone());
                self.run(process, handle.register(manifest).map(|end| end.map(drop)), most)
            }
            2 => {
                let call = handle.yank(name.clone(), version.clone()).map(|end| end.map(drop));
                let answer = self.run(process, call, most);
                return self.note(&name, answer, |known| {
                    known.yanked.insert(version);
                });
            }
            _ => {
                let owner = peerage::PeerId::random();
                let answer = self.run(process, handle.pin(name.clone(), owner), most);
                return match answer {
                    Some(Ok(_)) => {
                        self.pins.insert(name, owner);
                        true
                    }
                    Some(Err(Error::Storage { .. })) => {
                        self.pins.remove(&name);
                        true
                    }
                    Some(Err(error)) => panic!("{error}"),
                    None => {
                        self.pins.remove(&name);
                        false
                    }
                };
            }
        };
        self.note(&name, answer, |known| {
            known.versions.insert(version);
        })
    }

    /// Notes what a caller was told. False if the process has died meanwhile.
    fn note(
        &mut self,
        name: &PackageName,
        answer: Option<peerage::Result<()>>,
        is_done: impl FnOnce(&mut Acknowledged),
    ) -> bool {
        match answer {
            Some(Ok(())) => is_done(self.packages.entry(name.clone()).or_default()),
            // It stands here, and may come to stand on disk.
            Some(Err(Error::Storage { .. })) => self.doubt(name),
            // A version that is there already, or one that is not there to be yanked.
            Some(Err(_)) => {}
            None => {
                self.doubt(name);
                return false;
            }
        }
        true
    }

    fn doubt(&mut self, name: &PackageName) {
        self.in_doubt.insert(name.clone());
    }

    /// What was acknowledged is there.
    fn check(&mut self, process: &mut Process) {
        let owner = process.handle.owner();
        let names: Vec<PackageName> = self.packages.keys().cloned().collect();
        for name in names {
            let id = peerage::PackageId::owned(owner, name.clone());
            let handle = process.handle.clone();
            let listed = self.finish(process, handle.list_versions(id)).expect("it is there");
            let known = self.packages.get_mut(&name).expect("one of these");
            let releases = listed.releases.iter();
            let versions: BTreeSet<Version> =
                releases.clone().map(|release| release.version.clone()).collect();
            let yanked = releases.filter(|release| release.yanked);
            let yanked: BTreeSet<Version> = yanked.map(|release| release.version.clone()).collect();
            assert!(versions.is_superset(&known.versions), "{name}: {versions:?}, {known:?}");
            assert!(yanked.is_superset(&known.yanked), "{name}: {yanked:?}, {known:?}");
            if !self.in_doubt.contains(&name) {
                assert_eq!((&versions, &yanked), (&known.versions, &known.yanked), "{name}");
            }
            let sequence = listed.sequence;
            assert!(sequence >= known.sequence, "{name}: {sequence} after {}", known.sequence);
            *known = Acknowledged { sequence, versions, yanked };
        }
        for (name, owner) in self.pins.clone() {
            let handle = process.handle.clone();
            // A failing disk says nothing of what was pinned before.
            if let Ok(before) = self.finish(process, handle.pin(name.clone(), owner)) {
                assert_eq!(before, Some(owner), "{name}");
            }
        }
    }
}

fn case(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..3 {
        let mut process = world.start();
        world.check(&mut process);
        for _ in 0..world.random.below(7) {
            if !world.step(&mut process) {
                break;
            }
        }
        // In this order: what the process still does is done in vain.
        world.disk = world.disk.crash();
        drop(process);
        world.clock.advance(Duration::from_millis(world.random.below(3000)));
    }
    let mut process = world.start();
    world.check(&mut process);
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(one) = number("PEERAGE_CASE") {
        return case(one);
    }
    for seed in 0..number("PEERAGE_CASES").unwrap_or(CASES) {
        let run = std::panic::catch_unwind(|| case(seed));
        assert!(run.is_ok(), "PEERAGE_CASE={seed} repeats this run");
    }
}
