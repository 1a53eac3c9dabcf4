//! Peers that sleep while something ends, and wake up with what was there before.

use std::{sync::LazyLock, thread};

use super::*;
use crate::{
    engine::{
        own::{Change, Confidence, OwnPackage, apply},
        seeded::Random,
        signer::Signer,
    },
    freshness::Freshness,
    package::Deprecation,
    record::{Delegation, END_MARGIN_SECS, HeadState, MAX_LIFETIME_SECS, Rank, Record},
};

const HISTORIES: u64 = 10_000;
const SCRIPTS: u64 = 96;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Somebody to whom an owner has delegated epoch 0 for long.
pub(super) fn publisher_of(owner: &Keypair, byte: u8) -> Identity {
    let keypair = Keypair::ed25519_from_bytes([byte; 32]).unwrap();
    let (peer, validity) = (keypair.public().to_peer_id(), Validity::starting(UNIX, 300 * DAY));
    let delegation = Delegation::sign(owner, &NetworkName::default(), peer, 0, validity).unwrap();
    Identity::new(keypair, Authority::Delegate(Box::new(delegation)))
}

/// What an owner signs of one package, one head after the other: with whichever lifetime is configured at the time, from
/// its own memory or from what the network has, by its own key, under a delegation, or by turns.
struct Script(Vec<Signed<Head>>);

impl Script {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let byte = u8::try_from(seed + 1).unwrap();
        let owner = Keypair::ed25519_from_bytes([byte; 32]).unwrap();
        let network = NetworkName::default();
        let publisher = publisher_of(&owner, byte + 128);
        let owner = Identity::new(owner, Authority::Owner { epoch: 0 });
        let signers = match seed % 4 {
            2 => vec![&owner, &publisher],
            3 => vec![&publisher],
            _ => vec![&owner],
        };
        let mut script = Self(Vec::new());
        let (mut own, mut unix, mut versions) = (None, UNIX, 0);
        let changes = 2 + random.below(4);
        for number in 0..=changes {
            let name: PackageName = "tool".parse().unwrap();
            let version = |n: usize| format!("1.{n}.0").parse::<semver::Version>().unwrap();
            let change = match random.below(7) {
                _ if number == changes && !seed.is_multiple_of(3) => Change::Unregister { name },
                0 | 1 if versions > 0 => Change::Yank {
                    name,
                    version: version(random.below(versions)),
                    reason: String::new(),
                },
                2 if versions > 0 => Change::Renew { name },
                3 if versions > 0 => {
                    Change::Unyank { name, version: version(random.below(versions)) }
                }
                4 if versions > 0 => Change::Deprecate {
                    name,
                    deprecation: (random.below(2) == 0).then(|| Box::new(Deprecation::new("old"))),
                },
                _ => {
                    versions += 1;
                    Change::Register(Box::new(Manifest::new(name, version(versions - 1))))
                }
            };
            let ttl = *random.of(&[60, HOUR, 2 * DAY, 10 * DAY, 30 * DAY]);
            let Identity { keypair, authority } = *random.of(&signers);
            let signer =
                Signer { keypair, authority, network: &network, unix, ttl, floor: 0, clock: None };
            // Every third time it has forgotten what it has signed, and reads it from others.
            let before: Option<OwnPackage> = own.take();
            let (mine, recalled) = match before {
                Some(before) if random.below(3) == 0 => (None, Some(before.recalled())),
                before => (before, None),
            };
            let seen = script.0.last().map(|head| head.rank()).unwrap_or_default();
            let standing = Confidence::Confirmed { replicas: 1 };
            let changed =
                apply(mine.as_ref(), recalled.as_slice(), &change, standing, seen, &signer)
                    .unwrap();
            let head = changed.package.head.clone();
            if script.0.last() != Some(&head) {
                script.0.push(head);
            }
            own = Some(changed.package);
            unix += *random.of(&[1, 20 * 60, 12 * HOUR, 3 * DAY]);
        }
        script
    }

    /// The tombstone, if there is one.
    fn end(&self) -> Option<&Signed<Head>> {
        self.0.last().filter(|head| head.is_withdrawn())
    }
}

static SIGNED: LazyLock<Vec<Script>> = LazyLock::new(|| (0..SCRIPTS).map(Script::new).collect());

fn yanked(head: &Head) -> Vec<&semver::Version> {
    match &head.state {
        HeadState::Live { releases, .. } => {
            releases.iter().filter(|entry| entry.yanked).map(|entry| &entry.version).collect()
        }
        HeadState::Withdrawn { .. } => Vec::new(),
    }
}

/// Whether something of what the first says is no longer so by the second.
fn ends(before: &Head, after: &Head) -> bool {
    let known = yanked(before);
    after.is_withdrawn() || yanked(after).iter().any(|version| !known.contains(version))
}

#[test]
fn whatever_ends_something_is_signed_to_outlive_it_by_a_margin() {
    let (mut ended, mut followed) = (0, 0);
    for (seed, Script(heads)) in SIGNED.iter().enumerate() {
        for (place, after) in heads.iter().enumerate() {
            assert!(after.validity.expires <= after.validity.issued + MAX_LIFETIME_SECS);
            for before in &heads[..place] {
                let margin = if ends(before, after) { END_MARGIN_SECS } else { 0 };
                let [first, second] = [before, after].map(|head| head.validity);
                assert!(
                    second.expires >= first.expires + margin,
                    "script {seed}, {place}: {first:?} {second:?}"
                );
                ended += usize::from(margin > 0);
                followed += 1;
            }
        }
    }
    assert!(ended > 100 && followed > 300, "{ended} {followed}");
}

/// A peer, which may be asleep.
struct Peer {
    engine: Engine,
    mono: Duration,
    asleep: bool,
    /// The highest rank that it has listed.
    shown: Option<Rank>,
    /// Whether it knows that the package is withdrawn.
    ended: bool,
}

fn config() -> Config {
    // Few enough places that strangers fill them.
    Config::new().with_limits(Limits::new().with_remembered_sequences(16))
}

/// For each script a store that has verified its signatures, so that no history has to.
static VERIFIED: LazyLock<Vec<SharedStore>> = LazyLock::new(|| {
    let verified = |script: &Script| {
        let store = SharedStore::new(PeerId::random(), &config(), UNIX);
        for head in &script.0 {
            store.verify_announcement(head.bytes(), head.validity.issued).unwrap();
        }
        store
    };
    SIGNED.iter().map(verified).collect()
});

/// Others' heads, enough of them to push every mark out that can be.
static STRANGERS: LazyLock<Vec<Signed<Head>>> = LazyLock::new(|| {
    let head = |number| published(&format!("strange-{number}"), 1).1;
    (0..20).map(head).collect()
});

static IDENTITY: LazyLock<Keypair> = LazyLock::new(Keypair::generate_ed25519);

impl Peer {
    fn new(unix: u64, verified: &SharedStore, snapshot: Option<&Snapshot>) -> Self {
        let store = SharedStore::new(IDENTITY.public().to_peer_id(), &config(), unix);
        store.know_signatures_of(verified);
        let setup = Setup::of(IDENTITY.clone()).with_config(config()).at(unix).with_store(store);
        let setup = match snapshot {
            Some(snapshot) => setup.with_snapshot(snapshot),
            None => setup,
        };
        let Lab { engine, mono, .. } = setup.start();
        Self { engine, mono, asleep: false, shown: None, ended: false }
    }

    /// It is this time now, and was awake for so many seconds of it.
    fn live(&mut self, unix: u64, awake: u64) {
        self.mono += Duration::from_secs(awake);
        let now = Now { mono: self.mono, unix };
        self.engine.begin(now);
        while self.engine.expire(now, 64) > 0 {}
        self.engine.out.events.clear();
        self.engine.out.actions.clear();
    }

    /// Hears of a head, or is handed it to hold it.
    fn take(&mut self, unix: u64, head: &Signed<Head>, by_put: bool) {
        self.engine.set_time(Now { mono: self.mono, unix });
        if by_put {
            let taken = self.engine.cx.store.insert(&head.key(), head.bytes());
            self.engine.learn_stored();
            self.ended |= taken.is_ok() && head.is_withdrawn();
        } else {
            let taken = self.engine.take_head(*IDENTITY_OF_OTHERS, head.bytes());
            self.ended |= taken.is_ok() && head.is_withdrawn();
        }
    }

    /// What it lists of a package.
    fn lists(&self, unix: u64, of: &Signed<Head>) -> Option<Signed<Head>> {
        let listed = self.engine.discovery.catalogue().get(&of.name, &of.owner, unix)?;
        Signed::<Head>::reopened(listed.bytes, listed.digest).ok()
    }

    /// What it shows of a package: what it lists, and what it holds, which may be older.
    fn shows(&self, unix: u64, of: &Signed<Head>) -> Vec<Signed<Head>> {
        let held = match self.engine.cx.store.held(&of.key()) {
            Some(Record::Head(head)) => Some(head),
            _ => None,
        };
        self.lists(unix, of).into_iter().chain(held).collect()
    }

    /// Checks that nothing that has ended is back.
    fn check(&mut self, unix: u64, script: &Script, context: &str) {
        let end = script.end().filter(|end| end.validity.is_expired(unix));
        for head in self.shows(unix, &script.0[0]) {
            assert!(!head.validity.is_expired(unix), "{context}: it has expired");
            if !head.is_withdrawn() {
                assert!(!self.ended, "{context}: what it knew to be withdrawn is back");
                assert!(end.is_none(), "{context}: it has outlived its tombstone");
            }
            let later = script.0.iter().filter(|later| later.rank() > head.rank());
            for later in later.filter(|later| ends(&head, later)) {
                assert!(!later.validity.is_expired(unix), "{context}: it has outlived its end");
            }
        }
        if let Some(head) = self.lists(unix, &script.0[0]) {
            assert!(self.shown <= Some(head.rank()), "{context}: it went back");
            self.shown = Some(head.rank());
        }
    }
}

static IDENTITY_OF_OTHERS: LazyLock<PeerId> = LazyLock::new(PeerId::random);

fn history(seed: u64) {
    let mut random = Random(seed ^ 0x5eed);
    let which = random.below(SIGNED.len());
    let (script, verified) = (&SIGNED[which], &VERIFIED[which]);
    let mut unix = UNIX;
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::new(unix, verified, None)).collect();
    for step in 0..16 {
        let context = format!("history {seed}, step {step}");
        let place = random.below(peers.len());
        match random.below(16) {
            0..=3 => {
                let passed = *random.of(&[60, HOUR, DAY, 3 * DAY, 12 * DAY]);
                unix += passed;
                let awake = peers.iter_mut().filter(|peer| !peer.asleep);
                awake.for_each(|peer| peer.live(unix, passed));
            }
            // The owner tells the newest, or somebody plays an old one again.
            told @ 4..=8 => {
                let signed = script.0.iter().filter(|head| head.validity.issued <= unix).count();
                let which = if told < 7 { signed - 1 } else { random.below(signed) };
                if !peers[place].asleep {
                    peers[place].take(unix, &script.0[which], random.below(2) == 0);
                }
            }
            // Two that are awake tell each other what they show.
            9..=11 => {
                let other = random.below(peers.len());
                if !peers[place].asleep && !peers[other].asleep {
                    for (from, to) in [(place, other), (other, place)] {
                        for head in peers[from].shows(unix, &script.0[0]) {
                            peers[to].take(unix, &head, random.below(2) == 0);
                        }
                    }
                }
            }
            12 | 13 => {
                let peer = &mut peers[place];
                peer.asleep = !peer.asleep;
                if !peer.asleep {
                    peer.live(unix, 0);
                }
            }
            14 if !peers[place].asleep => {
                for head in STRANGERS.iter() {
                    peers[place].engine.cx.store.raise_high_water(head);
                }
            }
            _ if peers[place].asleep => {}
            // It starts again from what it knew, or another one comes.
            _ => {
                let peer = &mut peers[place];
                peer.engine.set_time(Now { mono: STARTED, unix });
                let kept = (random.below(2) == 0).then(|| {
                    let snapshot = peer.engine.cx.store.snapshot(Vec::new());
                    snapshot.with_catalogue(peer.engine.discovery.heads_of_others(&peer.engine.cx))
                });
                let (shown, ended) =
                    kept.as_ref().map_or((None, false), |_| (peer.shown, peer.ended));
                peers[place] = Peer { shown, ended, ..Peer::new(unix, verified, kept.as_ref()) };
            }
        }
        for peer in peers.iter_mut().filter(|peer| !peer.asleep) {
            peer.check(unix, script, &context);
        }
    }
}

#[test]
fn what_has_ended_never_comes_back_from_a_peer_that_slept() {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || (first..HISTORIES).step_by(threads as usize).for_each(history));
        }
    });
}

/// A node that lists a tombstone whose sequence it has forgotten in a flood of other packages; and the head before it.
fn forgetful() -> (Lab, Signed<Head>, Signed<Head>) {
    let mut lab = Lab::new(Config::new().with_limits(Limits::new().with_remembered_sequences(2)));
    for _ in 0..64 {
        let keypair = Keypair::generate_ed25519();
        let (id, live) = published_by(&keypair, "gone", 7);
        let end = tombstone(&keypair, &id, 8);
        lab.engine.take_head(PeerId::random(), end.bytes()).unwrap();
        STRANGERS.iter().for_each(|head| lab.engine.cx.store.raise_high_water(head));
        if lab
            .engine
            .cx
            .store
            .high_water(crate::record::Kind::Head, &live.owner, &live.name)
            .is_none()
        {
            return (lab, live, end);
        }
    }
    panic!("nothing was forgotten");
}

#[test]
fn what_is_listed_as_withdrawn_stays_so_though_its_sequence_was_forgotten() {
    // Announced, fetched, and looked up.
    let (mut lab, live, end) = forgetful();
    let heard = lab.hears_from(PeerId::random(), &live);
    assert_eq!(heard, Verdict::Ignore);
    assert!(lab.engine.take_head(PeerId::random(), live.bytes()).is_err());
    let id = PackageId::owned(live.owner, live.name.clone());
    let (_, asked) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &live));
    lab.end(query, 3);
    assert!(answer(asked).unwrap().is_err());
    assert_eq!(told_now(&mut lab, &id), None);
    assert!(lab.engine.discovery.catalogue().by_digest(&end.digest(), lab.now().unix).is_some());
}

#[test]
fn a_peer_cannot_have_a_withdrawn_package_held_where_the_tombstone_is_listed() {
    let (mut lab, live, end) = forgetful();
    lab.engine.cx.store.insert(&live.key(), live.bytes()).unwrap();
    lab.engine.learn_stored();
    assert_eq!(lab.engine.cx.store.held(&live.key()), Some(Record::Head(end)));
}
