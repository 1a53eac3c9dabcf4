//! Records that lie in the storage alone are held like any others: nobody who asks can tell.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    engine::store::{snapshot::Snapshot, wire::Kept},
    storage::{Change, Table},
};

/// A store with a storage below it, which the test reads and writes as the node does.
struct Tiered {
    local: PeerId,
    memory: usize,
    store: SharedStore,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The rows of sequences and epochs, which a node reads before anything else.
    seen: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Tiered {
    /// As much memory as some records take.
    fn new(local: PeerId, memory: usize) -> Self {
        let store = started(local, memory, NOW);
        store.all_read();
        Self { local, memory, store, rows: BTreeMap::new(), seen: BTreeMap::new() }
    }

    fn save(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.store.take_changes(&mut changes);
        changes
    }

    /// A commit. What need not lie in memory does not afterwards.
    fn commit(&mut self) {
        for Change { table, key, value } in self.save() {
            match (table, value) {
                (Table::Held, Some(value)) => drop(self.rows.insert(key, value)),
                (Table::Held, None) => drop(self.rows.remove(&key)),
                (table, Some(value)) => drop(self.seen.insert((table, key), value)),
                (table, None) => drop(self.seen.remove(&(table, key))),
            }
        }
        self.store.settle_changes(true);
        self.store.cool();
    }

    /// Has the record under this key fetched if need be, as whoever serves peers does.
    fn fetch(&self, key: &RecordKey) {
        if !self.store.is_away(key) {
            return;
        }
        if let Some(value) = self.rows.get(&key.digest()[..]) {
            let row = self.read([(key.digest().to_vec(), value.clone())]);
            self.store.warm(&key.digest(), &row);
        }
        self.store.settle_fetch(&key.digest());
    }

    fn read(&self, rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Snapshot {
        let mut snapshot = Snapshot::of_rows(NetworkName::default());
        for row in rows {
            if snapshot.read_row(Table::Held, &row).is_err() {
                self.store.unreadable(&row.0);
            }
        }
        snapshot
    }

    fn get(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.fetch(key);
        self.store.bytes(key).map(|(bytes, _)| bytes)
    }

    /// The process ends, and another one reads what it has left.
    fn restart(&mut self) {
        self.commit();
        let now = self.store.lock().now;
        self.store = started(self.local, self.memory, now);
        let mut first = Snapshot::of_rows(NetworkName::default());
        for ((table, key), value) in &self.seen {
            first.read_row(*table, &(key.clone(), value.clone())).unwrap();
        }
        self.store.restore(&first);
        self.store.unmark(&first);
        let rows: Vec<_> = self.rows.clone().into_iter().collect();
        for page in rows.chunks(3) {
            let snapshot = self.read(page.iter().cloned());
            let rest = self.store.index(snapshot);
            self.store.restore(&rest);
            self.store.unmark(&rest);
            self.store.cool();
        }
        self.store.all_read();
    }

    fn cold(&self) -> usize {
        self.store.lock().tiers.cold.len()
    }
}

fn started(local: PeerId, memory: usize, now: u64) -> SharedStore {
    let mut config = Config::new();
    config.limits.store_memory_bytes = memory;
    let store = SharedStore::new(local, &config, now);
    store.note_changes();
    store
}

fn offer(store: &SharedStore, peer: PeerId, record: &Record) -> Result<(), Refused> {
    store.hear(peer);
    let outcome = store.offer(record.key().as_ref(), &record.to_bytes());
    store.fall_silent();
    outcome
}

fn record(owner: &Keypair, package: &str, what: u8, sequence: u64) -> Record {
    match what {
        0..3 => Record::Release(release(owner, package, &format!("1.0.{what}"))),
        3 | 4 => Record::Head(live(owner, package, "1.0.0", sequence)),
        5 => Record::Head(tombstone(owner, package, sequence)),
        _ => claims(package, &[owner]),
    }
}

/// How many records and bytes are held, and how many of these each peer has put.
fn accounts(store: &SharedStore, peers: &[PeerId]) -> (Amount, Vec<Amount>) {
    let store = store.lock();
    (store.held, peers.iter().map(|peer| store.putters.held(&Account::of(peer))).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn with_little_memory_the_same_is_held_as_with_much(
        steps in proptest::collection::vec((1..4_u8, 0..4_u8, 0..7_u8, 0..3_usize, 0..12_u8), 1..80),
        memory in 0..3_000_usize,
    ) {
        let local = PeerId::random();
        let peers: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        let mut much = Tiered::new(local, usize::MAX);
        let mut little = Tiered::new(local, memory);
        let mut keys = BTreeMap::new();
        for (at, (owner, package, what, putter, then)) in steps.into_iter().enumerate() {
            let record = record(&keypair(owner), &format!("package-{package}"), what, at as u64 + 1);
            keys.insert(record.key().digest(), record.key());
            little.fetch(&record.key());
            much.fetch(&record.key());
            prop_assert_eq!(
                offer(&little.store, peers[putter], &record).is_ok(),
                offer(&much.store, peers[putter], &record).is_ok()
            );
            match then {
                0..6 => little.commit(),
                6 => little.restart(),
                7 => much.restart(),
                8 => {
                    let now = much.store.lock().now + 300;
                    for tiered in [&much, &little] {
                        tiered.store.set_time(now.min(NOW + 3000));
                        tiered.store.sweep(100);
                    }
                }
                _ => {}
            }
            prop_assert!(little.store.lock().records.is_in_order());
        }
        little.commit();
        for key in keys.values() {
            prop_assert_eq!(little.get(key), much.get(key));
            if memory == 0 {
                little.commit();
            }
        }
        prop_assert_eq!(little.store.len(), much.store.len());
        prop_assert_eq!(accounts(&little.store, &peers), accounts(&much.store, &peers));
    }
}

/// A storage with this many records, none of which lies in memory.
fn filled(count: usize) -> (Tiered, Vec<Record>) {
    let mut tiered = Tiered::new(PeerId::random(), 0);
    let all: Vec<Record> = (0..count)
        .map(|at| Record::Head(live(&keypair(1), &format!("tool-{at}"), "1.0.0", 1)))
        .collect();
    for record in &all {
        tiered.store.insert(&record.key(), &record.to_bytes()).unwrap();
    }
    tiered.commit();
    // A second round: what was used in the first is not any more.
    tiered.store.cool();
    assert_eq!((tiered.cold(), tiered.store.len()), (count, count));
    (tiered, all)
}

#[test]
fn a_record_that_is_not_yet_durable_stays_in_memory() {
    let tiered = Tiered::new(PeerId::random(), 0);
    let record = Record::Head(live(&keypair(1), "tool", "1.0.0", 1));
    tiered.store.insert(&record.key(), &record.to_bytes()).unwrap();
    tiered.store.cool();
    assert!(!tiered.store.is_away(&record.key()));
    // While it is being written, too.
    tiered.save();
    tiered.store.cool();
    assert!(!tiered.store.is_away(&record.key()));
    tiered.store.settle_changes(false);
    tiered.store.cool();
    assert!(!tiered.store.is_away(&record.key()), "the commit has failed");
}

#[test]
fn without_a_storage_everything_stays_in_memory() {
    let store = store(|config| config.limits.store_memory_bytes = 0);
    let record = Record::Head(live(&keypair(1), "tool", "1.0.0", 1));
    store.insert(&record.key(), &record.to_bytes()).unwrap();
    store.cool();
    assert!(!store.is_away(&record.key()));
    assert!(store.bytes(&record.key()).is_some());
}

#[test]
fn a_record_in_the_storage_does_not_go_back_to_an_older_one() {
    let (tiered, _) = filled(1);
    let newer = Record::Head(live(&keypair(1), "tool-0", "2.0.0", 2));
    let older = Record::Head(live(&keypair(1), "tool-0", "1.0.0", 1));
    // Nothing takes its place before it is fetched.
    assert_eq!(tiered.store.insert(&newer.key(), &newer.to_bytes()), Err(Refused::Away));
    tiered.fetch(&newer.key());
    tiered.store.insert(&newer.key(), &newer.to_bytes()).unwrap();
    assert!(tiered.store.insert(&older.key(), &older.to_bytes()).is_err());
    assert_eq!(tiered.get(&newer.key()).as_deref(), Some(&newer.to_bytes()[..]));
}

#[test]
fn a_record_whose_row_has_gone_is_held_no_more() {
    let (mut tiered, all) = filled(2);
    tiered.rows.clear();
    assert_eq!(tiered.get(&all[0].key()), None);
    assert_eq!((tiered.store.len(), tiered.cold()), (1, 1));
    assert!(!tiered.store.is_away(&all[0].key()));
}

#[test]
fn what_a_manipulated_file_holds_is_not_served() {
    let (mut tiered, all) = filled(2);
    // Signed by somebody else, under the key of the first.
    let forged = Record::Head(live(&keypair(2), "tool-0", "9.9.9", 9));
    let row = Kept { bytes: forged.to_bytes(), until: NOW + 99, putter: None }.encode();
    tiered.rows.insert(all[0].key().digest().to_vec(), row);
    assert_eq!(tiered.get(&all[0].key()), None);
    assert_eq!(tiered.get(&all[1].key()).as_deref(), Some(&all[1].to_bytes()[..]));
}

#[test]
fn what_is_over_goes_from_the_storage_without_being_read() {
    let (mut tiered, _) = filled(100);
    tiered.store.set_time(NOW + 4000);
    while tiered.store.len() > 0 {
        tiered.store.sweep(100);
    }
    tiered.commit();
    assert!(tiered.rows.is_empty());
    assert_eq!(tiered.store.lock().held, Amount::default());
}

#[test]
fn what_is_due_is_fetched_and_put_to_others_once() {
    let (mut tiered, all) = filled(3);
    let due = NOW + 2 * REPLICATION_SECS;
    // They live for an hour alone, so that they would be over by then.
    tiered.store.lock().tiers.cold.move_times(|cold| cold.until = due + 9_999);
    tiered.store.set_time(due - REPLICATION_SECS - 1);
    tiered.store.lock().tiers.cold.move_times(|cold| cold.replicate_at = 0);
    tiered.store.sweep(0);
    let wanted: Vec<_> = std::iter::from_fn(|| tiered.store.next_wanted()).collect();
    assert_eq!(wanted.len(), all.len());
    for digest in &wanted {
        tiered.fetch(&RecordKey::of_digest(digest));
    }
    assert_eq!(tiered.store.take_due(9).len(), all.len());
    tiered.commit();
    tiered.store.cool();
    tiered.store.sweep(0);
    assert_eq!(tiered.store.next_wanted(), None, "their next round has begun");
}

#[test]
fn the_farthest_goes_wherever_it_lies() {
    let local = PeerId::random();
    let mut tiered = Tiered::new(local, 0);
    tiered.store.lock().most.records = 10;
    let mut records: Vec<Record> = (0..20)
        .map(|at| Record::Head(live(&keypair(1), &format!("tool-{at}"), "1.0.0", 1)))
        .collect();
    for record in &records {
        // Refused or taken in: the ten that are nearest are left in the end.
        let _ = tiered.store.insert(&record.key(), &record.to_bytes());
        tiered.commit();
        tiered.store.cool();
    }
    records.sort_by_key(|record| distance_of(&Key::of_peer(&local), &record.key()));
    let held: Vec<bool> =
        records.iter().map(|record| tiered.get(&record.key()).is_some()).collect();
    assert_eq!(held, [[true; 10], [false; 10]].concat());
    tiered.commit();
    assert_eq!(tiered.rows.len(), 10);
}

#[test]
fn what_is_asked_for_often_stays_in_memory() {
    let (mut tiered, all) = filled(20);
    let often = &all[7];
    tiered.memory = 5 * 1024;
    tiered.store.lock().tiers = Tiers::new(5 * 1024);
    tiered.restart();
    let mut fetched = 0;
    for round in 0..200 {
        for record in [often, &all[round % 20]] {
            if tiered.store.is_away(&record.key()) && record.key() == often.key() {
                fetched += 1;
            }
            assert!(tiered.get(&record.key()).is_some());
            tiered.store.cool();
        }
    }
    assert!(fetched <= 1, "{fetched}");
    assert!(tiered.cold() > 0);
}

#[test]
fn what_has_no_date_is_there_for_its_time_though_the_calendar_moves_while_it_lies_in_the_storage() {
    let mut tiered = Tiered::new(PeerId::random(), 0);
    let record = Record::Release(release(&keypair(1), "tool", "1.0.0"));
    tiered.store.insert(&record.key(), &record.to_bytes()).unwrap();
    tiered.commit();
    assert!(tiered.store.is_away(&record.key()));
    let two_years = 2 * 365 * 24 * 3600;
    tiered.store.calendar_moved(i64::try_from(two_years).unwrap());
    tiered.store.set_time(NOW + two_years);
    assert!(tiered.get(&record.key()).is_some());
    // Its row is written anew.
    tiered.restart();
    assert!(tiered.get(&record.key()).is_some());
}

#[test]
fn a_withdrawal_takes_the_place_of_a_head_in_the_storage() {
    let (mut tiered, all) = filled(1);
    let end = tombstone(&keypair(1), "tool-0", 2);
    tiered.store.withdraw(&end).unwrap();
    tiered.commit();
    assert_eq!(tiered.get(&all[0].key()).as_deref(), Some(&end.bytes()[..]));
}

/// Has everything fetched that is wanted though nobody asks for it.
fn fetch_wanted(tiered: &Tiered) -> usize {
    let wanted: Vec<_> = std::iter::from_fn(|| tiered.store.next_wanted()).collect();
    for digest in &wanted {
        let rows = tiered.rows.get(&digest[..]).map(|value| (digest.to_vec(), value.clone()));
        tiered.store.warm(digest, &tiered.read(rows));
        tiered.store.settle_fetch(digest);
    }
    wanted.len()
}

#[test]
fn claims_of_others_in_the_storage_outlive_a_claim_of_this_node() {
    let both = claims("tool", &[&keypair(1), &keypair(2)]);
    for is_read in [true, false] {
        let mut tiered = Tiered::new(PeerId::random(), 0);
        let others = claims("tool", &[&keypair(1)]);
        tiered.store.insert(&others.key(), &others.to_bytes()).unwrap();
        tiered.commit();
        assert!(tiered.store.is_away(&others.key()));
        let own = claims("tool", &[&keypair(2)]);
        if is_read {
            tiered.store.insert_own(own).unwrap();
            tiered.store.want_nothing();
            assert_eq!(fetch_wanted(&tiered), 1);
        } else {
            // It claims the name before it has read what lies there.
            let rows: Vec<_> = tiered.rows.clone().into_iter().collect();
            tiered.store = started(tiered.local, 0, NOW);
            tiered.store.insert_own(own).unwrap();
            let rest = tiered.store.index(tiered.read(rows));
            tiered.store.restore(&rest);
            tiered.store.unmark(&rest);
            tiered.store.all_read();
        }
        assert_eq!(tiered.get(&both.key()).as_deref(), Some(&both.to_bytes()[..]), "{is_read}");
        tiered.commit();
        assert!(tiered.rows.is_empty(), "it lies among the own ones now");
    }
}

#[test]
fn a_record_that_the_storage_does_not_have_is_taken_in_while_the_rest_of_it_is_read() {
    let (store, peer) = (started(PeerId::random(), 0, NOW), PeerId::random());
    let new = record(&keypair(1), "tool", 0, 1);
    assert!(store.is_away(&new.key()));
    assert_eq!(offer(&store, peer, &new), Err(Refused::Away));
    store.settle_fetch(&new.key().digest());
    assert_eq!(offer(&store, peer, &new), Ok(()));
    // That was true at that moment.
    let next = record(&keypair(1), "tool", 1, 1);
    store.settle_fetch(&next.key().digest());
    store.cool();
    assert_eq!(offer(&store, peer, &next), Err(Refused::Away));
}
