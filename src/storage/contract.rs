//! What every storage has to keep to, as tests that each storage runs.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Change, MAX_KEY_BYTES, MAX_VALUE_BYTES, Row, Storage, Table};

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A row that is written.
pub(super) fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
    Change { table, key: key.to_vec(), value: Some(value.to_vec()) }
}

/// A row that is removed.
pub(super) fn remove(table: Table, key: &[u8]) -> Change {
    Change { table, key: key.to_vec(), value: None }
}

/// All rows of a table, read this many at a time.
pub(super) fn rows(storage: &impl Storage, table: Table, at_a_time: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.clone());
        let more = storage.scan(table, after.as_deref(), at_a_time).unwrap();
        let is_last = more.len() < at_a_time;
        rows.extend(more);
        if is_last {
            return rows;
        }
    }
}

/// Keys from few bytes, so that they meet again.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    let table = select(&Table::ALL[..4]);
    let key = vec(select(&[0, 1, 0xff][..]), 0..3);
    let value = proptest::option::weighted(0.7, vec(any::<u8>(), 0..40));
    vec((table, key, value).prop_map(|(table, key, value)| Change { table, key, value }), 0..12)
}

/// What is done to a storage: batches to commit, after some of which it is opened again.
pub(super) fn batches() -> impl Strategy<Value = Vec<(Vec<Change>, bool)>> {
    vec((changes(), proptest::bool::weighted(0.2)), 0..8)
}

/// Commits all batches to the storage and to a map, and finds the same in both.
pub(super) fn holds_what_a_map_holds<S: Storage>(
    mut storage: S,
    batches: Vec<(Vec<Change>, bool)>,
    reopen: impl Fn(S) -> S,
) {
    let mut model = Model::new();
    for (batch, opens_again) in batches {
        storage.commit(&batch).unwrap();
        for Change { table, key, value } in batch {
            match value {
                Some(value) => model.insert((table, key), value),
                None => model.remove(&(table, key)),
            };
        }
        if opens_again {
            storage = reopen(storage);
        }
        holds(&storage, &model);
    }
}

fn holds(storage: &impl Storage, model: &Model) {
    for table in Table::ALL {
        let of_table = model.iter().filter(|((of, _), _)| *of == table);
        let expected: Vec<Row> =
            of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        assert_eq!(storage.len(table).unwrap(), expected.len() as u64);
        for at_a_time in [1, 2, 100] {
            assert_eq!(rows(storage, table, at_a_time), expected, "{table}");
        }
        for (key, value) in &expected {
            assert_eq!(storage.get(table, key).unwrap().as_ref(), Some(value));
        }
        // From a key that is not there, too.
        let after: Vec<Row> =
            expected.iter().filter(|(key, _)| key.as_slice() > &[0, 7][..]).cloned().collect();
        assert_eq!(storage.scan(table, Some(&[0, 7]), 100).unwrap(), after);
    }
}

/// The rest of what a storage has to keep to, on an empty one.
pub(super) fn keeps_to_the_contract(storage: &impl Storage) {
    assert_eq!(storage.get(Table::Own, b"a").unwrap(), None);
    assert_eq!(storage.len(Table::Own).unwrap(), 0);
    assert!(storage.scan(Table::Own, None, 10).unwrap().is_empty());
    storage.commit(&[]).unwrap();
    storage.commit(&[remove(Table::Own, b"a")]).unwrap();

    // The last of several changes to one row counts, also with changes to other tables between them.
    let [own, held] = [Table::Own, Table::Held];
    storage.commit(&[put(own, b"a", b"1"), put(held, b"a", b"2"), put(own, b"a", b"3")]).unwrap();
    assert_eq!(storage.get(own, b"a").unwrap(), Some(b"3".to_vec()));
    assert_eq!(storage.get(held, b"a").unwrap(), Some(b"2".to_vec()));
    storage.commit(&[put(own, b"b", b""), remove(own, b"b"), remove(own, b"a")]).unwrap();
    assert_eq!(storage.len(own).unwrap(), 0);

    // An empty key, an empty value, the longest of both, and no limit at all.
    let (key, value) = (vec![0xff; MAX_KEY_BYTES], vec![7; MAX_VALUE_BYTES]);
    storage.commit(&[put(own, b"", b""), put(own, &key, &value)]).unwrap();
    assert_eq!(storage.get(own, b"").unwrap(), Some(Vec::new()));
    assert_eq!(
        storage.scan(own, None, usize::MAX).unwrap(),
        [(Vec::new(), Vec::new()), (key.clone(), value)]
    );
    assert!(storage.scan(own, Some(&key), 5).unwrap().is_empty());
    assert!(storage.scan(own, None, 0).unwrap().is_empty());
    assert!(storage.size().unwrap() > MAX_VALUE_BYTES as u64);

    // Whoever reads while others commit sees whole batches.
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..50_u8 {
                let batch: Vec<_> = (0..10).map(|row| put(held, &[row], &[round])).collect();
                storage.commit(&batch).unwrap();
            }
        });
        while !writer.is_finished() {
            let rows = storage.scan(held, None, 10).unwrap();
            let values: Vec<_> =
                rows.iter().filter(|(key, _)| key.len() == 1 && key[0] < 10).collect();
            assert!(values.iter().all(|(_, value)| *value == values[0].1), "{values:?}");
        }
    });
}

mod memory {
    use super::{super::Memory, *};

    #[test]
    fn memory_keeps_to_the_contract() {
        keeps_to_the_contract(&Memory::new());
    }

    proptest! {
        #[test]
        fn memory_holds_what_a_map_holds(batches in batches()) {
            holds_what_a_map_holds(Memory::new(), batches, |memory| memory.clone());
        }
    }
}
