//! What is kept beside the bytes: it follows them, and goes with them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A record of one of a few packages, or a peer's claim, and who puts it.
fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8, u8, bool)>> {
    // Owner, package, what, who puts it, and whether the time goes on.
    proptest::collection::vec(
        (1..4_u8, 0..3_u8, 0..6_u8, 0..4_u8, proptest::bool::weighted(0.1)),
        1..80,
    )
}

fn record(owner: &Keypair, package: &str, what: u8, sequence: u64) -> Record {
    match what {
        0 | 1 => Record::Release(release(owner, package, &format!("1.0.{what}"))),
        2 | 3 => Record::Head(live(owner, package, "1.0.0", sequence)),
        4 => Record::Head(tombstone(owner, package, sequence)),
        _ => claims(package, &[owner]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn orders_shares_and_places_follow_what_is_held(steps in steps()) {
        let store = store(|config| {
            config.limits.store_records = 9;
            config.limits.store_records_per_peer = 4;
            config.limits.store_records_per_owner = 5;
        });
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        for (at, (owner, package, what, putter, later)) in steps.into_iter().enumerate() {
            let owner = keypair(owner);
            let package = format!("package-{package}");
            let record = record(&owner, &package, what, at as u64 + 1);
            match peers.get(usize::from(putter)) {
                Some(peer) if putter > 0 => {
                    store.hear(*peer);
                    let _ = store.offer(record.key().as_ref(), &record.to_bytes());
                    store.fall_silent();
                }
                _ => {
                    let _ = store.insert_own(record.clone());
                }
            }
            if let Some((bytes, _)) = store.bytes(&record.key()) {
                let again = Record::reopened(&bytes.as_slice().into()).unwrap();
                prop_assert_eq!(again.key(), record.key());
                prop_assert_eq!(&*again.to_bytes(), &bytes[..]);
            }
            let now = store.lock().now;
            // Nobody signs a claim that is over.
            if later && now < NOW + 2700 {
                store.set_time(now + 900);
                store.sweep(9);
            }
            check(&store)?;
        }
        // In the end all of it is over: what is this node's own, once it is withdrawn.
        for (owner, package) in (1..4).flat_map(|owner| (0..3).map(move |package| (owner, package))) {
            let end = tombstone(&keypair(owner), &format!("package-{package}"), 1_000);
            store.insert_own(Record::Head(end)).unwrap();
        }
        check(&store)?;
        let now = store.lock().now;
        store.set_time(now + 400 * 24 * 3600);
        store.sweep(usize::MAX);
        check(&store)?;
        let store = store.lock();
        prop_assert_eq!(store.records.len(), 0);
        prop_assert_eq!((store.shares.len(), store.putters.len()), (0, 0), "nobody is remembered");
        prop_assert_eq!(store.held, Amount::default());
    }
}

fn check(store: &SharedStore) -> Result<(), TestCaseError> {
    let store = store.lock();
    prop_assert!(store.records.is_in_order());
    let (mut held, mut shares, mut put) =
        (Amount::default(), BTreeMap::<u32, usize>::new(), BTreeMap::<u32, Amount>::new());
    for (number, record) in store.records.by_expiry() {
        prop_assert_eq!(store.records.find(&record.key()), Some(number));
        if let Some((owner, name)) = package(&record.record().unwrap()) {
            let owner = store.shares.find(&owner).unwrap();
            prop_assert_eq!(record.owner, owner);
            prop_assert!(store.records.of_package(owner, &name).contains(&number));
        }
        if !record.is_outside() {
            held = held.plus(record.len());
            *shares.entry(record.owner).or_default() += 1;
            if store.putters.peer(record.putter).is_some() {
                let put = put.entry(record.putter).or_default();
                *put = put.plus(record.len());
            }
        }
    }
    prop_assert_eq!(held, store.held);
    for (owner, share) in shares {
        prop_assert_eq!(store.shares.share_of(owner), share);
    }
    for (putter, amount) in put {
        let peer = store.putters.peer(putter).unwrap();
        prop_assert_eq!(store.putters.held(&peer), amount);
        prop_assert_eq!(store.putters.farthest(&peer).count(), amount.records);
    }
    Ok(())
}

#[test]
fn a_withdrawal_leaves_a_package_alone_whose_name_has_the_same_hash() {
    let store = store(|_| {});
    let owner = keypair(1);
    // By a hash of 32 bits, chosen at random: of so many names, two are surely alike.
    let [one, other] = {
        let (inner, mut seen) = (store.lock(), BTreeMap::new());
        let mut names = (0..1_000_000).map(|i| name(&format!("p-{i}")));
        names
            .find_map(|name| {
                let before = seen.insert(inner.records.name_hash(&name), name.clone())?;
                Some([before, name])
            })
            .expect("two names with one hash")
    };
    let releases =
        [&one, &other].map(|name| Record::Release(release(&owner, name.as_str(), "1.0.0")));
    releases.iter().for_each(|record| put(&store, record).unwrap());
    put(&store, &Record::Head(tombstone(&owner, one.as_str(), 1))).unwrap();
    let is_held = releases.map(|record| store.bytes(&record.key()).is_some());
    assert_eq!(is_held, [false, true]);
}
