//! Who may take how much of the store.

use super::*;

/// Releases of one size, the nearest to this store first.
fn releases(store: &SharedStore, owner: &Keypair, count: usize) -> Vec<Record> {
    let name = |i| format!("package-{i:03}");
    let mut records: Vec<_> =
        (0..count).map(|i| Record::Release(release(owner, &name(i), "1.0.0"))).collect();
    records.sort_by_key(|record| store.lock().distance(&record.key()));
    records
}

fn is_held(store: &SharedStore, record: &Record) -> bool {
    store.bytes(&record.key()).is_some()
}

fn put_by(store: &SharedStore, peer: PeerId, record: &Record) -> Result<(), Refused> {
    store.hear(peer);
    let outcome = store.offer(record.key().as_ref(), &record.to_bytes());
    store.fall_silent();
    outcome
}

fn held_of(store: &SharedStore, peer: &PeerId) -> usize {
    store.lock().putters.held(&Account::of(peer)).records
}

#[test]
fn who_has_put_too_much_replaces_its_own_farthest_and_nothing_of_others() {
    let store = store(|config| config.limits.store_records_per_peer = 3);
    let (greedy, modest) = (PeerId::random(), PeerId::random());
    let all = releases(&store, &keypair(1), 6);
    let [nearest, near, middle, far, farther, farthest] = &all[..] else { panic!("six") };
    put_by(&store, modest, farthest).unwrap();
    for record in [near, middle, farther] {
        put_by(&store, greedy, record).unwrap();
    }

    put_by(&store, greedy, far).unwrap();
    assert!(!is_held(&store, farther) && is_held(&store, farthest));
    assert_eq!(put_by(&store, greedy, farther), Err(Refused::PeerQuota));
    put_by(&store, greedy, nearest).unwrap();
    assert!(!is_held(&store, far) && is_held(&store, middle));
    assert_eq!(held_of(&store, &greedy), 3);

    // Another peer's share is its own.
    put_by(&store, modest, far).unwrap();
}

#[test]
fn a_peer_that_comes_back_has_the_share_that_it_had() {
    let store = store(|config| config.limits.store_records_per_peer = 1);
    let peer = PeerId::random();
    let all = releases(&store, &keypair(1), 2);
    put_by(&store, peer, &all[0]).unwrap();
    // Nothing here hears of connections: the store knows the peer by its identity alone.
    assert_eq!(put_by(&store, peer, &all[1]), Err(Refused::PeerQuota));
}

#[test]
fn what_is_gone_gives_its_place_back() {
    let owner = keypair(1);
    let store = store(|config| {
        config.limits.store_records_per_peer = 2;
        config.record_ttl = std::time::Duration::from_secs(100);
    });
    let peer = PeerId::random();
    let head = |sequence| Record::Head(live(&owner, "tool", "1.0.0", sequence));
    for sequence in 1..10 {
        put_by(&store, peer, &head(sequence)).unwrap();
    }
    assert_eq!(held_of(&store, &peer), 1, "each has replaced the one before");
    put_by(&store, peer, &Record::Release(release(&owner, "tool", "1.0.0"))).unwrap();
    assert_eq!(held_of(&store, &peer), 2);
    put_by(&store, peer, &Record::Head(tombstone(&owner, "tool", 10))).unwrap();
    assert_eq!(held_of(&store, &peer), 1, "a withdrawal purges");
    store.set_time(NOW + 3600);
    store.sweep(9);
    assert_eq!(held_of(&store, &peer), 0);
    let inner = store.lock();
    assert_eq!(inner.held, Amount::default());
    assert_eq!(inner.putters.farthest(&Account::of(&peer)).count(), 0);
}

#[test]
fn an_update_by_a_peer_without_room_is_taken_all_the_same() {
    let owner = keypair(1);
    let store = store(|config| config.limits.store_records_per_peer = 1);
    let (full, other) = (PeerId::random(), PeerId::random());
    put_by(&store, full, &Record::Head(live(&owner, "full", "1.0.0", 1))).unwrap();
    put_by(&store, other, &Record::Head(live(&owner, "tool", "1.0.0", 1))).unwrap();

    put_by(&store, full, &Record::Head(live(&owner, "tool", "1.0.0", 2))).unwrap();

    assert_eq!((held_of(&store, &full), held_of(&store, &other)), (1, 1));
}

#[test]
fn an_owner_that_puts_its_own_record_takes_it_from_whoever_was_quicker() {
    let owner = keypair(1);
    let id = owner.public().to_peer_id();
    let store = store(|_| {});
    let quick = PeerId::random();
    let head = Record::Head(live(&owner, "tool", "1.0.0", 1));
    put_by(&store, quick, &head).unwrap();
    assert_eq!((held_of(&store, &quick), held_of(&store, &id)), (1, 0));
    put_by(&store, id, &head).unwrap();
    put_by(&store, quick, &head).unwrap();
    assert_eq!((held_of(&store, &quick), held_of(&store, &id)), (0, 1));
}

#[test]
fn bytes_are_bounded_whatever_replaces_what() {
    let owner = keypair(1);
    let store = store(|config| config.limits.store_bytes = 8192);
    for i in 0..64 {
        let _ = put(&store, &Record::Release(release(&owner, &format!("p-{i}"), "1.0.0")));
    }
    assert!(store.len() > 10);
    for i in 0..64 {
        let name = format!("p-{i}");
        for (sequence, version) in [(1, "1.0.0"), (2, "1.0.0-a-version-with-a-much-longer-name")] {
            let _ = put(&store, &Record::Head(live(&owner, &name, version, sequence)));
            let inner = store.lock();
            let bytes: usize = inner.records.by_expiry().map(|(_, held)| held.len()).sum();
            assert_eq!(bytes, inner.held.bytes);
            assert!(bytes <= 8192);
        }
    }
}

#[test]
fn nothing_goes_for_a_record_that_does_not_fit_all_the_same() {
    let owner = keypair(1);
    let store = store(|config| config.limits.store_bytes = 8192);
    let mut small = releases(&store, &owner, 40);
    small.retain(|record| put(&store, record).is_ok() && is_held(&store, record));
    let before = store.len();
    let manifest = Manifest::new(name("large"), "1.0.0".parse().unwrap())
        .with_description("x".repeat(Manifest::MAX_DESCRIPTION_BYTES));
    let id = owner.public().to_peer_id();
    let large = Release::new(NetworkName::default(), id, manifest);
    let large = Record::Release(Signed::sign(&owner, large).unwrap());
    match put(&store, &large) {
        Ok(()) => assert!(store.lock().held.bytes <= 8192),
        Err(refused) => {
            assert_eq!((refused, store.len()), (Refused::Full, before));
        }
    }
}

#[test]
fn a_claimant_without_room_keeps_nobody_out_of_a_set() {
    let (greedy, modest) = in_order();
    let store = store(|config| config.limits.store_records_per_owner = 1);
    put(&store, &Record::Head(live(&greedy, "greedy", "1.0.0", 1))).unwrap();

    // The set of both is new here: it counts on the share of the one who has room.
    put(&store, &claims("wanted", &[&greedy, &modest])).unwrap();

    assert_eq!((share(&store, &greedy), share(&store, &modest)), (1, 1));
    let refused = put(&store, &claims("more", &[&greedy, &modest]));
    assert_eq!(refused, Err(Refused::Quota));
}

#[test]
fn a_refused_record_costs_more_than_a_good_one_and_a_message_the_least() {
    let store = store(|config| {
        config.limits.requests_per_second = 1;
        config.limits.request_burst = 100;
    });
    let owner = keypair(1);
    let good = Record::Release(release(&owner, "tool", "1.0.0"));
    let mut forged = good.to_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let offers = |bytes: &[u8]| {
        let peer = PeerId::random();
        let served = |_: &usize| {
            store.hear(peer);
            let serves = store.serves();
            let _ = store.offer(good.key().as_ref(), bytes);
            store.fall_silent();
            serves
        };
        (0..1_000).take_while(served).count()
    };
    let claims = claims("tool", &[&owner]);
    assert_eq!(offers(&forged), 4);
    assert_eq!(offers(&claims.to_bytes()), 2, "under another's key, with room for two claims");
    put(&store, &good).unwrap();
    assert_eq!(offers(&good.to_bytes()), 100, "what is held is not verified again");
}

#[test]
fn whoever_is_over_its_rate_is_not_served_and_others_are() {
    let store = store(|config| {
        config.limits.requests_per_second = 1;
        config.limits.request_burst = 1;
    });
    let (greedy, modest) = (PeerId::random(), PeerId::random());
    let record = Record::Release(release(&keypair(1), "tool", "1.0.0"));
    store.hear(greedy);
    store.hear(greedy);
    assert!(!store.serves());
    assert_eq!(store.offer(record.key().as_ref(), &record.to_bytes()), Err(Refused::Rate));
    store.fall_silent();
    assert!(store.serves(), "this node itself");
    put_by(&store, modest, &record).unwrap();
    store.set_clock(std::time::Duration::from_secs(9));
    store.hear(greedy);
    assert!(store.serves());
}

#[test]
fn refusals_are_told_with_who_sent_them_and_are_one_fact_until_then() {
    let owner = keypair(1);
    let store = store(|_| {});
    let (liar, late) = (PeerId::random(), PeerId::random());
    put(&store, &Record::Head(live(&owner, "tool", "2.0.0", 2))).unwrap();
    while store.next_fact().is_some() {}
    let mut forged = Record::Release(release(&owner, "tool", "1.0.0")).to_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let key = Record::Release(release(&owner, "tool", "1.0.0")).key();
    for _ in 0..3 {
        store.hear(liar);
        store.offer(key.as_ref(), &forged).unwrap_err();
        store.fall_silent();
    }
    put_by(&store, late, &Record::Head(live(&owner, "tool", "1.0.0", 1))).unwrap_err();
    let facts: Vec<_> = std::iter::from_fn(|| store.next_fact()).collect();
    let told = |fact: &StoreFact| match fact {
        StoreFact::Refused { peer, excusable, times } => (*peer, *excusable, *times),
        other => panic!("{other:?}"),
    };
    assert_eq!(facts.iter().map(told).collect::<Vec<_>>(), [(liar, false, 3), (late, true, 1)]);
    for _ in 0..2 * MAX_REFUSALS {
        store.hear(PeerId::random());
        store.offer(b"/elsewhere/", &forged).unwrap_err();
        store.fall_silent();
    }
    assert_eq!(std::iter::from_fn(|| store.next_fact()).count(), MAX_REFUSALS);
}

/// As [`live`], with a text of so many bytes.
fn head_of(owner: &Keypair, package: &str, sequence: u64, text: usize) -> Record {
    let manifest =
        Manifest::new(name(package), "1.0.0".parse().unwrap()).with_description("x".repeat(text));
    let id = owner.public().to_peer_id();
    let release = Release::new(NetworkName::default(), id, manifest.clone());
    let entries = vec![ReleaseEntry::of(&Signed::sign(owner, release).unwrap())];
    let (network, revision) = (NetworkName::default(), Revision::new(0, sequence));
    let head = Head::live(network, id, revision, validity(), manifest, entries, None);
    Record::Head(Signed::sign(owner, head).unwrap())
}

#[test]
fn records_that_grow_after_they_were_put_take_no_more_than_their_sender_s_room() {
    let owner = keypair(1);
    let store = store(|config| {
        config.limits.store_records = 64;
        config.limits.store_records_per_peer = 16;
        config.limits.store_bytes = 48 * 1024;
    });
    let (greedy, modest) = (PeerId::random(), PeerId::random());
    let head = |i: usize, sequence, text| head_of(&owner, &format!("p-{i}"), sequence, text);
    for i in 0..16 {
        put_by(&store, greedy, &head(i, 1, 0)).unwrap();
    }
    let others: Vec<_> = (100..110).map(|i| head(i, 1, 0)).collect();
    others.iter().for_each(|record| put_by(&store, modest, record).unwrap());
    for i in 0..16 {
        let _ = put_by(&store, greedy, &head(i, 2, 1024));
        let inner = store.lock();
        assert!(inner.putters.held(&Account::of(&greedy)).fits(inner.putters.most()), "the {i}th");
    }
    assert!(others.iter().all(|record| is_held(&store, record)), "nothing of others goes for it");
    assert!(held_of(&store, &greedy) >= 2);

    // Nor does another peer's room serve for it.
    put_by(&store, modest, &head(99, 1, 0)).unwrap();
    let before = store.lock().putters.held(&Account::of(&modest)).bytes;
    put_by(&store, greedy, &head(99, 2, 1024)).unwrap();
    let inner = store.lock();
    assert!(inner.putters.held(&Account::of(&modest)).bytes < before);
    assert!(inner.putters.held(&Account::of(&greedy)).fits(inner.putters.most()));
}

#[test]
fn who_adds_a_claim_to_a_set_cannot_have_the_set_make_room() {
    let (squatter, modest) = in_order();
    let store = store(|config| config.limits.store_records_per_peer = 2);
    let (attacker, honest) = (squatter.public().to_peer_id(), modest.public().to_peer_id());
    put_by(&store, honest, &claims("wanted", &[&modest])).unwrap();
    put_by(&store, attacker, &claims("wanted", &[&squatter])).unwrap();
    for record in releases(&store, &keypair(3), 60).iter().rev() {
        let _ = put_by(&store, attacker, record);
    }
    assert_eq!(held_of(&store, &attacker), 2);
    let (bytes, _) = store.bytes(&claims("wanted", &[]).key()).expect("the set is still held");
    assert_eq!(*bytes, *claims("wanted", &[&squatter, &modest]).to_bytes());
}

#[test]
fn a_publisher_that_puts_what_it_has_signed_takes_it_from_whoever_was_quicker() {
    let (owner, publisher) = (keypair(1), keypair(2));
    let id = publisher.public().to_peer_id();
    let delegation =
        crate::record::Delegation::sign(&owner, &NetworkName::default(), id, 0, validity());
    let mut body = live(&owner, "tool", "1.0.0", 1).body().clone();
    body.ext = delegation.unwrap().to_ext();
    let head = Record::Head(Signed::sign(&publisher, body).unwrap());
    let store = store(|_| {});
    let quick = PeerId::random();
    put_by(&store, quick, &head).unwrap();
    put_by(&store, id, &head).unwrap();
    put_by(&store, quick, &head).unwrap();
    assert_eq!((held_of(&store, &quick), held_of(&store, &id)), (0, 1));
}

#[test]
fn what_seems_to_have_expired_gives_way_in_the_shares_of_its_sender_and_its_owner() {
    let store = store(|config| {
        config.limits.store_records_per_peer = 2;
        config.limits.store_records_per_owner = 2;
    });
    let (peer, other) = (PeerId::random(), PeerId::random());
    let owner = keypair(1);
    for name in ["tool", "other"] {
        put_by(&store, peer, &Record::Head(live(&owner, name, "1.0.0", 1))).unwrap();
    }
    let mine = Record::Head(live(&keypair(9), "mine", "1.0.0", 1));
    store.insert_own(mine.clone()).unwrap();
    set_calendar(&store, NOW, 3 * 24 * 3600);
    // The sender's share is full of them, and so is their owner's.
    let all = releases(&store, &owner, 4);
    put_by(&store, other, &all[0]).unwrap();
    put_by(&store, peer, &all[1]).unwrap();
    assert_eq!(put_by(&store, other, &all[2]), Err(Refused::Quota));
    assert!(is_held(&store, &all[0]) && is_held(&store, &all[1]));
    // What this node has signed itself takes nobody's room, and stays.
    assert!(store.lock().records.find(&mine.key()).is_some());
}

#[test]
fn a_sender_whose_share_is_full_of_what_seems_to_have_expired_loses_nothing_that_holds() {
    let store = store(|config| config.limits.store_records_per_peer = 3);
    let peer = PeerId::random();
    for name in ["tool", "other"] {
        put_by(&store, peer, &Record::Head(live(&keypair(1), name, "1.0.0", 1))).unwrap();
    }
    set_calendar(&store, NOW, 3 * 24 * 3600);
    let all = releases(&store, &keypair(2), 3);
    // The nearest comes first, and those farther away have room all the same.
    for release in &all {
        put_by(&store, peer, release).unwrap();
    }
    assert!(all.iter().all(|release| is_held(&store, release)));
}

/// How many records are looked at for one more release of a peer's.
fn looked_at_for(store: &SharedStore, peer: PeerId, record: &Record) -> usize {
    let looked_at = || store.lock().records.looked_at.get();
    let before = looked_at();
    let _ = put_by(store, peer, record);
    looked_at() - before
}

#[test]
fn what_a_put_costs_does_not_follow_what_its_sender_has_here() {
    const SHARE: usize = 3_000;
    let store = store(|config| config.limits.store_records_per_peer = SHARE);
    let (peer, other) = (PeerId::random(), PeerId::random());
    let owner = keypair(1);
    for record in releases(&store, &owner, SHARE) {
        put_by(&store, peer, &record).unwrap();
    }
    assert_eq!(held_of(&store, &peer), SHARE);
    for i in 0..8 {
        let more = Record::Release(release(&owner, &format!("more-{i}"), "1.0.0"));
        let count = looked_at_for(&store, peer, &more);
        assert!(count < 32, "{count} of {SHARE}");
    }
    // Nor what seems to have expired, by a calendar that may be wrong.
    for i in 0..SHARE / 2 {
        let head = Record::Head(live(&owner, &format!("head-{i}"), "1.0.0", 1));
        put_by(&store, other, &head).unwrap();
    }
    set_calendar(&store, NOW, 3 * 24 * 3600);
    let more = Record::Release(release(&owner, "one-more", "1.0.0"));
    let count = looked_at_for(&store, peer, &more);
    assert!(count < SHARE, "{count}");
}

#[test]
fn two_spellings_of_one_owner_s_are_no_claims_of_several_and_make_room() {
    let store = store(|config| config.limits.store_records_per_peer = 1);
    let (owner, peer) = (keypair(1), PeerId::random());
    let both = |[one, other]: [&Keypair; 2]| {
        let sets = [claims("yt-dlp", &[one]), claims("yt_dlp", &[other])];
        let [Record::Claims { set, .. }, Record::Claims { set: other, .. }] = sets else {
            panic!("sets")
        };
        Record::Claims { set: set.merge(&other, NOW), dropped: 0 }
    };
    let spellings = both([&owner, &owner]);
    let distance = |record: &Record| store.lock().distance(&record.key());
    let nearer = releases(&store, &keypair(2), 60).into_iter().next().expect("the nearest");
    assert!(distance(&nearer) < distance(&spellings), "of 60 one is nearer");
    put_by(&store, peer, &spellings).unwrap();
    put_by(&store, peer, &nearer).unwrap();
    assert!(is_held(&store, &nearer) && !is_held(&store, &spellings));

    let of_two = both([&owner, &keypair(3)]);
    let other = PeerId::random();
    put_by(&store, other, &of_two).unwrap();
    let more = releases(&store, &keypair(4), 60).into_iter().next().expect("the nearest");
    assert_eq!(put_by(&store, other, &more), Err(Refused::PeerQuota));
}

#[test]
fn sets_of_claims_that_cannot_make_room_are_not_all_looked_at_for_each_put() {
    const SHARE: usize = 2_500;
    let store = store(|config| {
        config.limits.store_records_per_peer = SHARE;
        config.limits.store_bytes = 1 << 30;
        // Nobody puts so many at once by the default rates.
        config.limits.request_burst = u32::MAX;
    });
    let (peer, owners) = (PeerId::random(), [keypair(1), keypair(2)]);
    for i in 0..SHARE {
        let set = claims(&format!("wanted-{i}"), &owners.each_ref());
        put_by(&store, peer, &set).unwrap();
    }
    let record = Record::Release(release(&keypair(3), "more", "1.0.0"));
    assert_eq!(put_by(&store, peer, &record), Err(Refused::PeerQuota));
    let count = looked_at_for(&store, peer, &record);
    assert!(count < SHARE / 2, "{count} of {SHARE}");
}
