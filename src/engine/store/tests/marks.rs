//! What is remembered of packages, under those who would have it forgotten.

use super::{high_water::Remembered, *};
use crate::package::owner_key;

const BOUND: usize = 64;

fn marks() -> (HighWater, PeerId) {
    let local = keypair(200).public().to_peer_id();
    (HighWater::new(NetworkName::default(), local, BOUND), local)
}

fn owner(n: u64) -> PeerId {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    Keypair::ed25519_from_bytes(seed).unwrap().public().to_peer_id()
}

fn seen(marks: &mut HighWater, owner: PeerId, package: &str, sequence: u64) {
    marks.merge(Remembered {
        owner: owner_key(&owner).unwrap(),
        name: name(package),
        rank: Revision::new(0, sequence).into(),
        equivocated: false,
        wanted: false,
    });
}

#[test]
fn one_owner_of_many_packages_flushes_its_own_oldest_only() {
    let (mut marks, _) = marks();
    let (victim, flooder) = (owner(0), owner(1));
    seen(&mut marks, victim, "victim", 5);
    for i in 0..10_000 {
        seen(&mut marks, flooder, &format!("flood-{i}"), 1);
    }
    assert_eq!(marks.rank(&victim, &name("victim")), Some(Revision::new(0, 5).into()));
    let last = (9_996..10_000).map(|i| name(&format!("flood-{i}")));
    assert!(last.into_iter().all(|name| marks.rank(&flooder, &name).is_some()));
    assert_eq!(marks.rank(&flooder, &name("flood-9995")), None);
    assert_eq!(marks.all().count(), 1 + BOUND / 16);
}

#[test]
fn what_is_raised_again_is_not_the_oldest() {
    let (mut marks, _) = marks();
    let owner = owner(1);
    for (i, package) in ["a", "b", "c", "d", "a", "e"].into_iter().enumerate() {
        seen(&mut marks, owner, package, i as u64);
    }
    assert_eq!(marks.rank(&owner, &name("a")), Some(Revision::new(0, 4).into()));
    assert_eq!(marks.rank(&owner, &name("b")), None);
}

#[test]
fn a_flood_of_owners_leaves_the_nearest_and_takes_neither_own_nor_read_packages() {
    let (mut marks, local) = marks();
    seen(&mut marks, local, "own", 5);
    seen(&mut marks, owner(0), "read", 5);
    marks.want(&owner(0), &name("read"));
    let packages: Vec<_> = (1..1_000).map(owner).collect();
    for owner in &packages {
        seen(&mut marks, *owner, "flood", 1);
    }
    assert!(marks.rank(&local, &name("own")).is_some());
    assert!(marks.rank(&owner(0), &name("read")).is_some());
    assert_eq!(marks.all().count(), BOUND);
    let mut nearest = packages.clone();
    let local = crate::keyspace::Key::of_peer(&local);
    nearest.sort_by_key(|owner| {
        let key = RecordKey::head(&NetworkName::default(), owner, &name("flood"));
        distance_of(&local, &key)
    });
    for (i, owner) in nearest.iter().enumerate() {
        let is_known = marks.rank(owner, &name("flood")).is_some();
        assert_eq!(is_known, i < BOUND - 2, "the {i}th nearest");
    }
}

#[test]
fn what_was_read_takes_half_of_the_places_at_the_most() {
    let (mut marks, _) = marks();
    for n in 0..BOUND as u64 {
        seen(&mut marks, owner(n), "read", 1);
        marks.want(&owner(n), &name("read"));
    }
    let wanted: Vec<_> = marks.all().filter(|mark| mark.wanted).collect();
    assert_eq!(wanted.len(), BOUND / 2);
    // The ones first read are as others are from then on.
    let late: Vec<_> = (BOUND as u64 / 2..BOUND as u64).map(owner).collect();
    assert!(
        wanted.iter().all(|mark| late
            .iter()
            .any(|owner| crate::package::owner_key(owner) == Some(mark.owner)))
    );
}

#[test]
fn the_highest_stays_whichever_comes_first_and_withdrawn_is_for_good() {
    let owner = owner(1);
    let keypair = keypair(1);
    let id = keypair.public().to_peer_id();
    let (mut marks, _) = marks();
    for sequence in [3, 5, 1, 4] {
        seen(&mut marks, owner, "tool", sequence);
    }
    assert_eq!(marks.rank(&owner, &name("tool")), Some(Revision::new(0, 5).into()));
    let both: [&Head; 2] = [&live(&keypair, "tool", "1.0.0", 1), &tombstone(&keypair, "tool", 1)];
    for order in [[0, 1], [1, 0]] {
        let (mut marks, _) = self::marks();
        order.iter().for_each(|&i| marks.raise(both[i]));
        assert!(marks.rank(&id, &name("tool")).is_some_and(|rank| rank.withdrawn));
    }
}

#[test]
fn the_books_balance_whatever_happens() {
    let (mut marks, local) = marks();
    let mut state = 1_u64;
    let mut random = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let owners: Vec<_> = (0..40).map(owner).chain([local]).collect();
    for _ in 0..20_000 {
        let owner = owners[random(owners.len() as u64) as usize];
        let package = format!("p-{}", random(8));
        match random(4) {
            0 => marks.want(&owner, &name(&package)),
            _ => seen(&mut marks, owner, &package, random(50)),
        }
        marks.check();
    }
}

#[test]
fn a_revocation_by_an_owner_that_was_read_is_not_washed_out_by_a_flood_of_owners() {
    let store = store(|_| {});
    let (read, own) = (keypair(1), keypair(2));
    let (read_id, own_id) = (read.public().to_peer_id(), own.public().to_peer_id());
    store.publishes_for(own_id, 0);
    store.raise_high_water(&live(&read, "tool", "1.0.0", 1));
    store.want(&read_id, &name("tool"));
    // Both go on to another epoch, after the reading.
    for (owner, package) in [(&read, "other"), (&own, "own")] {
        let mut body = live(owner, package, "1.0.0", 1).body().clone();
        body.revision = Revision::new(1, 1);
        store.raise_high_water(&Signed::sign(owner, body).unwrap());
    }
    for _ in 0..20_000 {
        store.lock().raise_epoch(PeerId::random(), 1);
    }
    assert_eq!((store.epoch(&read_id), store.epoch(&own_id)), (1, 1));
}
