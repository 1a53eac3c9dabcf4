use libp2p::identity::Keypair;

use super::{replication::REPLICATION_SECS, *};
use crate::{
    package::Manifest,
    record::{Claim, ClaimSet, ClaimStatus, Release, ReleaseEntry, Revision, Validity},
};

mod histories;
mod marks;
mod quotas;
mod sequences;
mod snapshots;
mod tables;
mod tiers;

const NOW: u64 = 1_800_000_000;

fn store(adjust: impl FnOnce(&mut Config)) -> SharedStore {
    let mut config = Config::new();
    adjust(&mut config);
    SharedStore::new(PeerId::random(), &config, NOW)
}

fn name(text: &str) -> PackageName {
    text.parse().unwrap()
}

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn validity() -> Validity {
    Validity::starting(NOW, 3600)
}

fn release(keypair: &Keypair, package: &str, version: &str) -> Signed<Release> {
    let manifest = Manifest::new(name(package), version.parse().unwrap());
    let owner = keypair.public().to_peer_id();
    Signed::sign(keypair, Release::new(NetworkName::default(), owner, manifest)).unwrap()
}

fn live(keypair: &Keypair, package: &str, version: &str, sequence: u64) -> Signed<Head> {
    let release = release(keypair, package, version);
    let head = Head::live(
        NetworkName::default(),
        keypair.public().to_peer_id(),
        Revision::new(0, sequence),
        validity(),
        release.manifest.clone(),
        vec![ReleaseEntry::of(&release)],
        None,
    );
    Signed::sign(keypair, head).unwrap()
}

fn tombstone(keypair: &Keypair, package: &str, sequence: u64) -> Signed<Head> {
    let owner = keypair.public().to_peer_id();
    let revision = Revision::new(0, sequence);
    let (network, name) = (NetworkName::default(), name(package));
    Signed::sign(keypair, Head::withdrawn(network, owner, name, revision, validity(), "")).unwrap()
}

fn claims(package: &str, claimants: &[&Keypair]) -> Record {
    let mut set = ClaimSet::empty(NetworkName::default(), name(package));
    for keypair in claimants {
        let claim = Claim::new(
            NetworkName::default(),
            keypair.public().to_peer_id(),
            name(package),
            Revision::new(0, 1),
            validity(),
            ClaimStatus::Active,
        );
        set = set.with(Signed::sign(keypair, claim).unwrap(), NOW);
    }
    Record::Claims { set, dropped: 0 }
}

fn put(store: &SharedStore, record: &Record) -> Result<(), Refused> {
    store.insert(&record.key(), &record.to_bytes())
}

fn share(store: &SharedStore, keypair: &Keypair) -> usize {
    store.lock().shares.of(&keypair.public().to_peer_id())
}

/// The key pairs of two owners, in the order of the claims in a set.
fn in_order() -> (Keypair, Keypair) {
    let (a, b) = (keypair(1), keypair(2));
    let key = |keypair: &Keypair| crate::package::owner_key(&keypair.public().to_peer_id());
    if key(&a) < key(&b) { (a, b) } else { (b, a) }
}

#[test]
fn a_claimant_without_any_share_left_cannot_take_the_claims_of_others_away() {
    let (greedy, modest) = in_order();
    let store = store(|config| config.limits.store_records_per_owner = 1);
    put(&store, &Record::Head(live(&greedy, "greedy", "1.0.0", 1))).unwrap();
    put(&store, &claims("wanted", &[&modest])).unwrap();

    put(&store, &claims("wanted", &[&greedy])).unwrap();

    let (bytes, _) = store.bytes(&claims("wanted", &[]).key()).expect("the set is still held");
    assert_eq!(*bytes, *claims("wanted", &[&greedy, &modest]).to_bytes());
}

#[test]
fn what_peers_gave_back_first_becomes_own_when_its_owner_publishes_it() {
    let owner = keypair(1);
    let store = store(|config| config.limits.store_records = 1);
    let release = Record::Release(release(&owner, "tool", "1.0.0"));
    put(&store, &release).unwrap();
    assert_eq!(share(&store, &owner), 1);

    store.insert_own(release.clone()).unwrap();

    assert_eq!(store.own(&release.key()).as_ref(), Some(&release));
    assert_eq!(share(&store, &owner), 0, "own records are on nobody's share");
    for other in 10..20 {
        // The one place for others is free, and nothing takes the own one's.
        let _ = put(&store, &Record::Head(live(&keypair(other), "other", "1.0.0", 1)));
    }
    assert_eq!(store.len(), 2);
    assert!(store.own(&release.key()).is_some());
}

#[test]
fn nothing_of_a_withdrawn_package_comes_back() {
    let owner = keypair(1);
    let store = store(|_| {});
    let release = Record::Release(release(&owner, "tool", "1.0.0"));
    put(&store, &Record::Head(live(&owner, "tool", "1.0.0", 1))).unwrap();
    put(&store, &release).unwrap();

    put(&store, &Record::Head(tombstone(&owner, "tool", 2))).unwrap();

    assert_eq!(store.bytes(&release.key()), None);
    assert_eq!(put(&store, &release), Err(Refused::Withdrawn));
    assert_eq!(store.len(), 1, "the tombstone");
}

#[test]
fn a_tombstone_that_is_heard_of_drops_releases_without_a_head() {
    let owner = keypair(1);
    let store = store(|_| {});
    let release = Record::Release(release(&owner, "tool", "1.0.0"));
    put(&store, &release).unwrap();

    store.withdraw(&tombstone(&owner, "tool", 2)).unwrap();

    assert_eq!(store.len(), 0);
}

#[test]
fn a_held_head_stands_against_older_ones_when_its_mark_is_forgotten() {
    let owner = keypair(1);
    let store = store(|config| config.limits.remembered_sequences = 1);
    let newer = live(&owner, "tool", "2.0.0", 2);
    put(&store, &Record::Head(newer.clone())).unwrap();
    store.raise_high_water(&live(&keypair(2), "other", "1.0.0", 1));

    let older = Record::Head(live(&owner, "tool", "1.0.0", 1));
    let rejected = store.verify(&older.key(), &older.to_bytes()).unwrap_err();

    assert_eq!(
        rejected,
        Rejected::Stale { known: newer.rank(), found: Revision::new(0, 1).into() }
    );
}

#[test]
fn an_equivocation_is_told_once_however_often_its_heads_are_sent() {
    let owner = keypair(1);
    let store = store(|_| {});
    let heads = ["1.0.0", "2.0.0"].map(|version| Record::Head(live(&owner, "tool", version, 1)));
    for _ in 0..5 {
        for head in &heads {
            put(&store, head).unwrap();
        }
    }
    let facts = std::iter::from_fn(|| store.next_fact());
    let told = facts.filter(|fact| matches!(fact, StoreFact::Equivocation { .. })).count();
    assert_eq!(told, 1);
}

#[test]
fn own_heads_leave_room_for_the_facts_that_peers_make() {
    let (own, other) = (keypair(1), keypair(2));
    let store = store(|_| {});
    for i in 0..2 * MAX_FACTS {
        let head = live(&own, &format!("own-{i}"), "1.0.0", 1);
        store.insert_own(Record::Head(head)).unwrap();
    }
    put(&store, &Record::Head(live(&other, "tool", "1.0.0", 1))).unwrap();
    assert!(matches!(store.next_fact(), Some(StoreFact::Head(head)) if head.name == name("tool")));
}

#[test]
fn a_record_of_others_is_put_again_once_an_hour_unless_others_do() {
    let owner = keypair(1);
    let store = store(|config| config.record_ttl = std::time::Duration::from_secs(86_400));
    let release = Record::Release(release(&owner, "tool", "1.0.0"));
    let own = Record::Release(self::release(&owner, "own", "1.0.0"));
    put(&store, &release).unwrap();
    store.insert_own(own).unwrap();

    assert_eq!(store.take_due(9), []);
    store.set_time(NOW + REPLICATION_SECS - 1);
    assert_eq!(store.take_due(9), []);
    put(&store, &release).unwrap();
    store.set_time(NOW + 2 * REPLICATION_SECS - 2);
    assert_eq!(store.take_due(9), [], "somebody else has just put it");
    store.set_time(NOW + 3 * REPLICATION_SECS);
    assert_eq!(store.take_due(0), []);
    assert_eq!(store.take_due(9), std::slice::from_ref(&release));
    assert_eq!(store.take_due(9), [], "its next round has begun");
}

#[test]
fn what_peers_have_stopped_putting_lapses_although_this_node_puts_it() {
    let owner = keypair(1);
    let store = store(|config| config.record_ttl = std::time::Duration::from_secs(7200));
    let release = Record::Release(release(&owner, "tool", "1.0.0"));
    put(&store, &release).unwrap();
    store.set_time(NOW + 7199);
    assert_eq!(store.take_due(9), std::slice::from_ref(&release));
    assert!(store.holds(&release.key(), &release.to_bytes()));
    store.set_time(NOW + 7200);
    assert!(!store.holds(&release.key(), &release.to_bytes()));
}

const YEARS: i64 = 10 * 365 * 24 * 3600;

#[test]
fn what_is_acknowledged_is_stored_whatever_year_the_clock_tells() {
    let owner = keypair(1);
    let record = Record::Release(release(&owner, "tool", "1.0.0"));
    for year in [1970, 2100, 40_000, 1_000_000, 500_000_000_000_u64] {
        let store = store(|_| {});
        store.set_time(year.saturating_mul(31_556_952));
        put(&store, &record).unwrap();
        assert!(store.bytes(&record.key()).is_some(), "in the year {year}");
        store.sweep(9);
        assert!(
            store.bytes(&record.key()).is_some(),
            "in the year {year}, after a look at what is over"
        );
    }
}

/// Sets the calendar by so much away from what it would show.
fn set_calendar(store: &SharedStore, unix: u64, by: i64) -> u64 {
    let unix = unix.saturating_add_signed(by);
    store.calendar_moved(by);
    // A jump is not believed at first.
    store.set_doubted_time(unix, unix.min(unix.saturating_sub_signed(by)));
    unix
}

#[test]
fn what_has_no_date_is_kept_for_its_time_wherever_the_calendar_is_set_meanwhile() {
    for by in [-YEARS, YEARS] {
        let store = store(|config| config.record_ttl = std::time::Duration::from_secs(7200));
        let release = Record::Release(release(&keypair(1), "tool", "1.0.0"));
        let is_held = || store.holds(&release.key(), &release.to_bytes());
        put(&store, &release).unwrap();
        let wrong = set_calendar(&store, NOW, by);
        store.set_time(wrong + 3600);
        store.sweep(9);
        // Somebody still cares for it.
        put(&store, &release).unwrap();
        let right = set_calendar(&store, wrong + 3600, -by);
        assert_eq!(right, NOW + 3600);
        for (since, held) in [(3600, true), (7199, true), (7200, false)] {
            store.set_time(right + since);
            assert_eq!(is_held(), held, "{by} {since}");
        }
        assert!(store.len() == 1 && store.lock().records.is_in_order());
    }
}

#[test]
fn a_record_of_others_is_put_again_though_the_calendar_was_set_back() {
    let store = store(|_| {});
    let release = Record::Release(release(&keypair(1), "tool", "1.0.0"));
    put(&store, &release).unwrap();
    let now = set_calendar(&store, NOW, -YEARS);
    assert_eq!(store.take_due(9), []);
    store.set_time(now + 2 * REPLICATION_SECS);
    assert_eq!(store.take_due(9), std::slice::from_ref(&release));
}

#[test]
fn what_only_seems_to_have_expired_is_hidden_and_goes_when_what_holds_needs_its_room() {
    let store = store(|config| config.limits.store_records = 2);
    let old = Record::Head(live(&keypair(1), "tool", "1.0.0", 1));
    put(&store, &old).unwrap();
    let later = set_calendar(&store, NOW, 3 * 24 * 3600);
    store.sweep(9);
    assert_eq!(store.take_due(9), []);
    assert_eq!((store.len(), store.held(&old.key())), (1, None));
    assert_eq!(set_calendar(&store, later, -3 * 24 * 3600), NOW);
    assert_eq!(store.held(&old.key()), Some(old));
    set_calendar(&store, NOW, 3 * 24 * 3600);
    for version in ["1.0.0", "1.0.1"] {
        put(&store, &Record::Release(release(&keypair(2), "other", version))).unwrap();
    }
    assert_eq!(store.len(), 2);
}

#[test]
fn claims_of_others_are_not_erased_by_a_calendar_that_is_ahead_for_a_moment() {
    let store = store(|_| {});
    let (first, second) = in_order();
    put(&store, &claims("wanted", &[&first])).unwrap();
    let ahead = set_calendar(&store, NOW, YEARS);
    // Somebody whose calendar is as wrong claims the name meanwhile.
    let network = NetworkName::default();
    let (owner, name) = (second.public().to_peer_id(), name("wanted"));
    let validity = Validity::starting(ahead, 3600);
    let claim = Claim::new(
        network.clone(),
        owner,
        name.clone(),
        Revision::new(0, 1),
        validity,
        ClaimStatus::Active,
    );
    let set = ClaimSet::empty(network, name).with(Signed::sign(&second, claim).unwrap(), ahead);
    put(&store, &Record::Claims { set, dropped: 0 }).unwrap();
    set_calendar(&store, ahead, -YEARS);
    let Some(Record::Claims { set, .. }) = store.held(&claims("wanted", &[]).key()) else {
        panic!("the set is held")
    };
    assert!(set.of(&first.public().to_peer_id(), &"wanted".parse().unwrap()).is_some());
}
