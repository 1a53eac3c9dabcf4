//! Sequences that are read while the node runs already: they never go back.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    engine::store::snapshot::Snapshot,
    storage::{Change, Table},
};

/// Packages of the tests. The first is this node's own.
const PACKAGES: u8 = 5;

/// What happens to a node that has just started.
#[derive(Debug, Clone)]
enum Step {
    /// Some more of the sequences is read.
    Read,
    /// A peer puts a head of this package with this sequence.
    Put(u8, u64),
    /// A peer asks for the head of this package.
    Get(u8),
    /// What has changed is written.
    Save,
}

/// A store, and the storage below it.
struct Stored {
    local: PeerId,
    store: SharedStore,
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// How far the sequences have been read.
    after: Vec<u8>,
}

impl Stored {
    fn new() -> Self {
        let local = keypair(0).public().to_peer_id();
        let (store, rows) = (SharedStore::new(local, &Config::new(), NOW), BTreeMap::new());
        store.note_changes();
        store.all_read();
        Self { local, store, rows, after: Vec::new() }
    }

    /// The process ends, and the next one reads the sequences of its own packages, and none else.
    fn restart(&mut self) {
        self.save();
        self.store = SharedStore::new(self.local, &Config::new(), NOW);
        self.store.note_changes();
        self.store.await_sequences();
        let own = keypair(0).try_into_ed25519().unwrap().public().to_bytes();
        self.take_in(|(_, key)| key.starts_with(&own));
        self.after.clear();
    }

    /// Takes the rows of these sequences in, two at the most. Tells how many.
    fn take_in(&mut self, is_it: impl Fn(&(Table, Vec<u8>)) -> bool) -> usize {
        let mut read = Snapshot::of_rows(NetworkName::default());
        let rows = self.rows.iter().filter(|(row, _)| row.0 == Table::Sequences && is_it(row));
        for ((table, key), value) in rows.take(2) {
            read.read_row(*table, &(key.clone(), value.clone())).unwrap();
            self.after.clone_from(key);
        }
        self.store.restore(&read);
        self.store.unmark(&read);
        read.marks.len()
    }

    /// Tells whether there is more.
    fn read(&mut self) -> bool {
        let after = self.after.clone();
        let is_more = self.take_in(|(_, key)| *key > after) == 2;
        if !is_more {
            self.store.sequences_read();
        }
        is_more
    }

    fn save(&mut self) {
        let mut changes = Vec::new();
        self.store.take_changes(&mut changes);
        for Change { table, key, value } in changes {
            match value {
                Some(value) => self.rows.insert((table, key), value),
                None => self.rows.remove(&(table, key)),
            };
        }
        self.store.settle_changes(true);
    }

    fn put(&self, record: &Record) -> Result<(), Refused> {
        self.store.hear(keypair(99).public().to_peer_id());
        let outcome = self.store.offer(record.key().as_ref(), &record.to_bytes());
        self.store.fall_silent();
        outcome
    }

    /// A peer asks for a record, which is fetched if need be.
    fn get(&self, key: &RecordKey) {
        if self.store.is_away(key) {
            let mut read = Snapshot::of_rows(NetworkName::default());
            let digest = key.digest();
            if let Some(value) = self.rows.get(&(Table::Held, digest.to_vec())) {
                read.read_row(Table::Held, &(digest.to_vec(), value.clone())).unwrap();
                self.store.warm(&digest, &read);
            }
            self.store.settle_fetch(&digest);
        }
    }

    /// The sequence of a package that the storage has.
    fn stored(&self, at: u8) -> u64 {
        let mut read = Snapshot::of_rows(NetworkName::default());
        for ((table, key), value) in &self.rows {
            if *table == Table::Sequences {
                read.read_row(*table, &(key.clone(), value.clone())).unwrap();
            }
        }
        let owner = keypair(at).try_into_ed25519().unwrap().public().to_bytes();
        let its = read.marks.iter().find(|mark| mark.owner == owner);
        its.map_or(0, |mark| mark.rank.sequence)
    }
}

fn head(at: u8, sequence: u64) -> Record {
    Record::Head(live(&keypair(at), "tool", "1.0.0", sequence))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Read),
        4 => (0..PACKAGES, 1..9_u64).prop_map(|(at, sequence)| Step::Put(at, sequence)),
        2 => (0..PACKAGES).prop_map(Step::Get),
        1 => Just(Step::Save),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sequences_do_not_go_back_whatever_comes_before_they_are_read(
        seen in proptest::collection::vec((1..9_u64, 0..9_u64), usize::from(PACKAGES)),
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        let mut node = Stored::new();
        for (at, (held, higher)) in (0..PACKAGES).zip(&seen) {
            node.put(&head(at, *held)).unwrap();
            // What was announced since, and is not held here.
            if let Record::Head(head) = head(at, *higher) {
                node.store.raise_high_water(&head);
            }
        }
        node.restart();
        let before: Vec<u64> = (0..PACKAGES).map(|at| node.stored(at)).collect();
        let expected: Vec<u64> = seen.iter().map(|(held, higher)| *held.max(higher)).collect();
        prop_assert_eq!(&before, &expected);

        for step in steps {
            match step {
                Step::Read => {
                    node.read();
                }
                Step::Put(at, sequence) => {
                    let record = head(at, sequence);
                    node.get(&record.key());
                    let is_known = !node.store.awaits_sequences();
                    match node.put(&record) {
                        // What is held stays, also where a newer one was announced.
                        Ok(()) => {
                            let at = usize::from(at);
                            prop_assert!(is_known);
                            prop_assert!(sequence >= before[at] || sequence == seen[at].0);
                        }
                        Err(refused) => prop_assert!(is_known || refused == Refused::Away),
                    }
                }
                Step::Get(at) => node.get(&head(at, 1).key()),
                Step::Save => node.save(),
            }
            for (at, before) in (0..PACKAGES).zip(&before) {
                prop_assert!(node.stored(at) >= *before);
            }
        }
        while node.read() {}
        node.save();
        for (at, before) in (0..PACKAGES).zip(&before) {
            prop_assert!(node.stored(at) >= *before);
            let owner = keypair(at).public().to_peer_id();
            let known = node.store.high_water(Kind::Head, &owner, &name("tool")).unwrap();
            prop_assert_eq!(known.sequence, node.stored(at));
        }
    }
}

/// Sequences and epochs lie in tables of their own. Which are read first makes no difference.
#[test]
fn an_owner_s_epoch_is_kept_for_a_package_that_was_read_here_though_its_sequence_is_read_later() {
    let (owner, before) = (keypair(1), store(|_| {}));
    let id = owner.public().to_peer_id();
    before.raise_high_water(&live(&owner, "tool", "1.0.0", 1));
    before.want(&id, &name("tool"));
    before.lock().raise_epoch(id, 3);
    let whole = before.snapshot(Vec::new());

    let after = store(|_| {});
    after.restore(&Snapshot { marks: Vec::new(), ..whole.clone() });
    after.restore(&Snapshot { epochs: Vec::new(), ..whole });
    for _ in 0..20_000 {
        after.lock().raise_epoch(PeerId::random(), 1);
    }
    assert_eq!(after.epoch(&id), 3);
}
