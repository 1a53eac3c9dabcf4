//! What survives a restart.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{record::Delegation, storage::Table};

fn restored(snapshot: &Snapshot, adjust: impl FnOnce(&mut Config)) -> SharedStore {
    let store = store(adjust);
    store.restore(snapshot);
    store
}

/// A store after it has been written down and read again.
pub(super) fn restart(store: &SharedStore, adjust: impl FnOnce(&mut Config)) -> SharedStore {
    let bytes = store.snapshot(Vec::new()).to_bytes();
    let (local, unix) = {
        let inner = store.lock();
        (inner.owner, inner.now)
    };
    let mut config = Config::new();
    adjust(&mut config);
    let store = SharedStore::new(local, &config, unix);
    store.restore(&Snapshot::from_bytes(&bytes).unwrap());
    store
}

#[test]
fn a_restarted_store_still_knows_which_publishers_are_revoked() {
    let (owner, publisher) = (keypair(1), keypair(2));
    let (id, thief) = (owner.public().to_peer_id(), publisher.public().to_peer_id());
    let store = store(|_| {});
    store.publishes_for(keypair(3).public().to_peer_id(), 0);
    // The owner has gone on to the next epoch with one of its packages.
    let mut newer = live(&owner, "tool", "1.0.0", 1).body().clone();
    newer.revision = Revision::new(1, 1);
    put(&store, &Record::Head(Signed::sign(&owner, newer).unwrap())).unwrap();
    // With another, the old publisher tries again.
    let validity = Validity::starting(NOW - 9, 9_999);
    let delegation = Delegation::sign(&owner, &NetworkName::default(), thief, 0, validity).unwrap();
    let mut old = live(&owner, "other", "1.0.0", 1).body().clone();
    (old.validity, old.ext) = (validity, delegation.to_ext());
    let old = Record::Head(Signed::sign(&publisher, old).unwrap());
    for store in [&store, &restart(&store, |_| {})] {
        assert_eq!(store.epoch(&id), 1);
        let refused = put(store, &old);
        assert!(matches!(refused, Err(Refused::Rejected(Rejected::Revoked { .. }))), "{refused:?}");
    }
}

#[test]
fn a_restarted_store_refuses_what_the_old_one_refused() {
    let owner = keypair(1);
    let store = store(|_| {});
    put(&store, &Record::Head(live(&owner, "tool", "2.0.0", 2))).unwrap();
    put(&store, &Record::Head(tombstone(&owner, "gone", 2))).unwrap();
    store.raise_high_water(&live(&owner, "heard", "2.0.0", 2));
    let held = Record::Release(release(&owner, "tool", "2.0.0"));
    put(&store, &held).unwrap();
    // The tombstone has expired, and so has the newer head; older ones may last.
    store.set_time(NOW + 3600);
    store.sweep(9);
    let old = |package: &str| {
        let release = release(&owner, package, "1.0.0");
        let id = owner.public().to_peer_id();
        let entries = vec![ReleaseEntry::of(&release)];
        let validity = Validity::starting(NOW - 9, 9_999);
        let manifest = release.manifest.clone();
        let network = NetworkName::default();
        let head = Head::live(network, id, Revision::new(0, 1), validity, manifest, entries, None);
        Record::Head(Signed::sign(&owner, head).unwrap())
    };
    let leftover = Record::Release(release(&owner, "gone", "1.0.0"));

    for store in [&store, &restart(&store, |_| {}), &restart(&restart(&store, |_| {}), |_| {})] {
        for package in ["tool", "gone", "heard"] {
            let refused = put(store, &old(package));
            assert!(matches!(refused, Err(Refused::Rejected(Rejected::Stale { .. }))), "{package}");
        }
        assert_eq!(put(store, &leftover), Err(Refused::Withdrawn));
        assert!(store.holds(&held.key(), &held.to_bytes()));
    }
}

#[test]
fn a_record_without_an_end_of_its_own_lives_no_longer_for_a_restart() {
    let store = store(|_| {});
    let release = Record::Release(release(&keypair(1), "tool", "1.0.0"));
    put(&store, &release).unwrap();
    let ttl = store.lock().ttl;
    store.set_time(NOW + ttl - 10);
    let store = restart(&store, |_| {});
    assert!(store.bytes(&release.key()).is_some());
    store.set_time(NOW + ttl);
    assert_eq!(store.bytes(&release.key()), None);
}

#[test]
fn what_somebody_cares_for_lives_no_shorter_for_an_old_row_or_snapshot_of_it() {
    let old = store(|_| {});
    let release = Record::Release(release(&keypair(1), "tool", "1.0.0"));
    put(&old, &release).unwrap();
    let snapshot = old.snapshot(Vec::new());
    let ttl = old.lock().ttl;
    // Three days later, and nothing is certain yet of the time.
    let store = store(|_| {});
    store.set_doubted_time(NOW + 3 * 24 * 3600, 0);
    put(&store, &release).unwrap();
    store.restore(&snapshot);
    assert!(store.bytes(&release.key()).is_some(), "it was put a moment ago");
    let until = store.lock().records.get(&release.key()).unwrap().until();
    assert_eq!(until, NOW + 3 * 24 * 3600 + ttl);
}

#[test]
fn a_restarted_store_keeps_to_its_own_bounds_and_to_each_peer_s() {
    let (store, peer) = (store(|_| {}), PeerId::random());
    for i in 0..9 {
        let record = Record::Release(release(&keypair(1), &format!("tool-{i}"), "1.0.0"));
        store.hear(peer);
        store.offer(record.key().as_ref(), &record.to_bytes()).unwrap();
        store.fall_silent();
    }
    assert_eq!(restart(&store, |_| {}).lock().putters.held(&Account::of(&peer)).records, 9);
    assert_eq!(restart(&store, |config| config.limits.store_records = 4).len(), 4);
    assert_eq!(restart(&store, |config| config.limits.store_records_per_peer = 3).len(), 3);
}

#[test]
fn what_is_known_now_is_merged_with_what_was_known_then() {
    let owner = keypair(1);
    let id = owner.public().to_peer_id();
    let old = store(|_| {});
    old.raise_high_water(&live(&owner, "older", "1.0.0", 1));
    old.raise_high_water(&live(&owner, "newer", "1.0.0", 9));
    let store = store(|_| {});
    for package in ["older", "newer"] {
        store.raise_high_water(&live(&owner, package, "1.0.0", 5));
    }
    store.restore(&old.snapshot(Vec::new()));
    let mark = |package| store.high_water(Kind::Head, &id, &name(package));
    assert_eq!(mark("older"), Some(Revision::new(0, 5).into()));
    assert_eq!(mark("newer"), Some(Revision::new(0, 9).into()));
}

#[test]
fn an_equivocation_that_was_told_is_no_news_after_a_restart() {
    let owner = keypair(1);
    let store = store(|_| {});
    let heads = ["1.0.0", "2.0.0"].map(|version| live(&owner, "tool", version, 1));
    heads.iter().for_each(|head| put(&store, &Record::Head(head.clone())).unwrap());
    let store = restart(&store, |_| {});
    assert!(!store.is_news_of_equivocation(&heads[0]));
}

#[test]
fn forged_records_in_a_snapshot_are_not_believed() {
    let store = store(|_| {});
    let record = Record::Release(release(&keypair(1), "tool", "1.0.0"));
    put(&store, &record).unwrap();
    let mut bytes = store.snapshot(Vec::new()).to_bytes();
    let place = bytes.windows(5).position(|window| window == b"1.0.0").unwrap();
    bytes[place] = b'7';
    let bytes = sealed(bytes);
    let snapshot = Snapshot::from_bytes(&bytes).expect("well formed");
    assert_eq!(restored(&snapshot, |_| {}).len(), 0);
}

/// With a checksum that is right, whatever comes before.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    use sha2::Digest as _;
    bytes.truncate(bytes.len() - 32);
    let checksum = sha2::Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (a, b) = (keypair(1), keypair(2));
    let store = store(|_| {});
    put(&store, &Record::Head(live(&a, "tool", "2.0.0", 2))).unwrap();
    put(&store, &Record::Head(tombstone(&b, "gone", 300))).unwrap();
    store.hear(PeerId::random());
    put(&store, &Record::Release(release(&a, "tool", "2.0.0"))).unwrap();
    store.fall_silent();
    put(&store, &claims("tool", &[&a, &b])).unwrap();
    store.want(&a.public().to_peer_id(), &name("tool"));
    store.snapshot(vec![(name("tool"), a.public().to_peer_id())]).to_bytes()
});

#[test]
fn a_snapshot_that_is_cut_short_or_altered_anywhere_is_refused() {
    assert!(Snapshot::from_bytes(&FILE).is_ok());
    for length in 0..FILE.len() {
        assert!(Snapshot::from_bytes(&FILE[..length]).is_err(), "{length} bytes");
    }
    assert!(Snapshot::from_bytes(&[&FILE[..], &[0]].concat()).is_err());
    for byte in 0..FILE.len() {
        for bit in 0..8 {
            let mut altered = FILE.clone();
            altered[byte] ^= 1 << bit;
            assert!(Snapshot::from_bytes(&altered).is_err(), "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn a_snapshot_of_what_comes_later_is_refused_and_not_half_read() {
    let (content, _) = FILE.split_at(FILE.len() - 32);
    let later = [content, &[7, 1, 0], &[0; 32]].concat();
    let refused = Snapshot::from_bytes(&sealed(later)).unwrap_err();
    assert!(refused.to_string().contains("later version"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_refused_calmly_or_are_a_snapshot(
        tail in proptest::collection::vec(any::<u8>(), 0..400),
        kept in 0..FILE.len(),
    ) {
        // With a checksum that is right, so that it is not that alone which refuses them.
        let bytes = sealed([&FILE[..kept], &tail, &[0; 32]].concat());
        if let Ok(snapshot) = Snapshot::from_bytes(&bytes) {
            prop_assert_eq!(snapshot.to_bytes(), bytes);
            restored(&snapshot, |_| {});
        }
    }

    #[test]
    fn a_snapshot_reads_as_it_was_written(
        heads in proptest::collection::vec((1..4_u8, 0..6_u8, 1..u64::MAX, any::<bool>()), 0..12),
        pins in proptest::collection::btree_map("[a-z][a-z0-9.]{0,63}", 1..9_u8, 0..6),
        want in any::<bool>(),
    ) {
        let store = store(|_| {});
        for (owner, package, sequence, withdrawn) in heads {
            let (owner, package) = (keypair(owner), format!("package-{package}"));
            let head = if withdrawn {
                tombstone(&owner, &package, sequence)
            } else {
                live(&owner, &package, "1.0.0", sequence)
            };
            if want {
                store.want(&owner.public().to_peer_id(), &head.name);
            }
            let _ = put(&store, &Record::Head(head));
        }
        let pins = pins.into_iter().map(|(package, owner)| {
            (name(&package), keypair(owner).public().to_peer_id())
        });
        let snapshot = store.snapshot(pins.collect());
        let bytes = snapshot.to_bytes();
        let read = Snapshot::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &snapshot);
        // And knows the same after it.
        let again = restart(&store, |_| {}).snapshot(Vec::new());
        prop_assert_eq!(again.to_bytes(), store.snapshot(Vec::new()).to_bytes());
    }
}

#[test]
fn a_row_of_the_first_schema_is_on_the_account_of_the_peer_that_it_names() {
    let (owner, peer) = (keypair(1), keypair(2).public().to_peer_id());
    let record = Record::Head(live(&owner, "tool", "1.0.0", 1));
    let bytes = record.to_bytes();
    let row = postcard::to_stdvec(&(&bytes[..], NOW + 99, Some(&peer.to_bytes()[..]))).unwrap();
    let mut read = Snapshot::of_rows(NetworkName::default());
    read.read_row(Table::Held, &(record.key().digest().to_vec(), row.clone())).unwrap();
    let [kept] = &read.records[..] else { panic!("{read:?}") };
    assert_eq!(kept.putter, Some(Account::of(&peer)));
    // It is read again as it is written from now on.
    let written = kept.encode();
    assert_eq!(written.len() + peer.to_bytes().len() - Account::BYTES, row.len());
    read.read_row(Table::Held, &(record.key().digest().to_vec(), written)).unwrap();
    assert_eq!(read.records[0], read.records[1]);
}
