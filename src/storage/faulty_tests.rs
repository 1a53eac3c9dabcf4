//! That the faults are those that it says.

use proptest::prelude::*;

use super::{
    Storage, StorageError, Table,
    contract::{batches, holds_what_a_map_holds, keeps_to_the_contract, put, rows},
    faulty::{Faults, Faulty},
};

/// Rows by which the order of the commits can be told.
fn commit(storage: &Faulty, number: u32) -> super::Result<()> {
    let number = number.to_be_bytes();
    storage.commit(&[put(Table::Own, &number, b"1"), put(Table::Held, &number, b"2")])
}

#[test]
fn without_faults_it_keeps_to_the_contract() {
    keeps_to_the_contract(&Faulty::new(1, Faults::default()));
}

proptest! {
    #[test]
    fn without_faults_it_holds_what_a_map_holds(batches in batches(), seed: u64) {
        let storage = Faulty::new(seed, Faults::default());
        holds_what_a_map_holds(storage, batches, |storage| storage.crash());
    }

    #[test]
    fn a_crash_leaves_the_first_commits_each_of_them_whole(
        seed: u64,
        commits in 0_u32..30,
        held_back in 0_usize..10,
    ) {
        let storage = Faulty::new(seed, Faults { held_back, ..Faults::default() });
        for number in 0..commits {
            commit(&storage, number).unwrap();
        }
        let after = storage.crash();
        let left = after.len(Table::Own).unwrap() as u32;
        assert!(left <= commits && left + held_back as u32 >= commits);
        let expected: Vec<_> = (0..left).map(|number| number.to_be_bytes().to_vec()).collect();
        for table in [Table::Own, Table::Held] {
            let keys: Vec<_> = rows(&after, table, 7).into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, expected);
        }
        // The crashed one is out of use, and the next one is not.
        commit(&storage, 99).unwrap_err();
        commit(&after, 99).unwrap();
        assert_eq!(after.crash().commits(), 0);
    }
}

#[test]
fn commits_fail_as_often_as_they_should_and_leave_nothing_behind() {
    let storage = Faulty::new(7, Faults { full: 200, errors: 100, ..Faults::default() });
    let (mut full, mut other) = (0, 0);
    for number in 0..1000 {
        match commit(&storage, number) {
            Ok(()) => {}
            Err(StorageError::Full) => full += 1,
            Err(_) => other += 1,
        }
    }
    assert!((150..250).contains(&full) && (60..140).contains(&other), "{full} {other}");
    assert_eq!(storage.commits(), 1000 - full - other);
    assert_eq!(storage.len(Table::Own).unwrap(), 1000 - full - other);
    storage.set_faults(Faults::default());
    storage.set_full(true);
    assert_eq!(commit(&storage, 1).unwrap_err(), StorageError::Full);
    storage.set_full(false);
    commit(&storage, 1).unwrap();
}
