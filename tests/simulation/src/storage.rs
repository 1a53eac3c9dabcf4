//! The disks of the machines: what survives a node, and what does not.
//!
//! A commit is durable when its work is done, some virtual time after the node has begun it (see the `blocking` crate of this
//! workspace). A node that dies meanwhile leaves it done or not done, never in part: a storage discards what it finds torn at
//! its end, as the contract of `Storage` wants it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use peerage::storage::{Change, Result, Row, Storage, StorageError, Table};
use process::Random;

use crate::args::Mutation;

/// A disk. Its clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    bytes: u64,
    is_full: bool,
    /// Of all commits, how many fail.
    failures: f64,
    random: Random,
    commits: u64,
    /// Of a disk that lies about what is durable, how it was before each of the last commits.
    before: Option<VecDeque<Vec<Change>>>,
}

/// How many commits a disk that lies loses at the most.
const MOST_LOST: usize = 4;

impl Disk {
    pub(crate) fn new(random: Random, mutation: Option<Mutation>) -> Self {
        Self(Arc::new(Mutex::new(State {
            rows: BTreeMap::new(),
            bytes: 0,
            is_full: false,
            failures: 0.0,
            random,
            commits: 0,
            before: (mutation == Some(Mutation::LyingDisk)).then(VecDeque::new),
        })))
    }

    /// The machine has lost its power. A disk that keeps its word loses nothing by that.
    pub(crate) fn lose_power(&self) {
        let mut state = self.state();
        while let Some(before) = state.before.as_mut().and_then(VecDeque::pop_back) {
            before.into_iter().rev().for_each(|row| drop(state.write(row)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has no room from now on, or it has again.
    pub(crate) fn is_full(&self) -> bool {
        self.state().is_full
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Of all commits, so many fail from now on.
    pub(crate) fn set_failures(&self, failures: f64) {
        self.state().failures = failures;
    }

    /// How many commits it has taken.
    pub(crate) fn commits(&self) -> u64 {
        self.state().commits
    }
}

impl State {
    /// Answers with the change that takes it back.
    fn write(&mut self, Change { table, key, value }: Change) -> Change {
        let size = |value: &Option<Vec<u8>>| {
            value.as_ref().map_or(0, |value| (value.len() + key.len()) as u64)
        };
        let row = (table, key.clone());
        let after = size(&value);
        let before = match value {
            Some(value) => self.rows.insert(row, value),
            None => self.rows.remove(&row),
        };
        self.bytes = self.bytes - size(&before) + after;
        Change { table, key, value: before }
    }
}

impl Storage for Disk {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.state().rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let start = match after {
            Some(key) => Excluded((table, key.to_vec())),
            None => Included((table, Vec::new())),
        };
        let state = self.state();
        let rows = state.rows.range((start, Unbounded));
        let rows = rows.take_while(|((of, _), _)| *of == table).take(limit);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn len(&self, table: Table) -> Result<u64> {
        let state = self.state();
        let rows = state.rows.range((table, Vec::new())..);
        Ok(rows.take_while(|((of, _), _)| *of == table).count() as u64)
    }

    fn commit(&self, changes: &[Change]) -> Result<()> {
        let mut state = self.state();
        if state.is_full && changes.iter().any(|change| change.value.is_some()) {
            return Err(StorageError::Full);
        }
        let failures = state.failures;
        if failures > 0.0 && state.random.happens(failures) {
            return Err(StorageError::other("the disk has not answered"));
        }
        state.commits += 1;
        let before = changes.iter().map(|change| state.write(change.clone())).collect();
        if let Some(commits) = &mut state.before {
            commits.push_back(before);
            if commits.len() > MOST_LOST {
                commits.pop_front();
            }
        }
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        Ok(self.state().bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, value: Option<&str>) -> Change {
        Change { table: Table::Held, key: key.into(), value: value.map(Into::into) }
    }

    #[test]
    fn rows_come_in_the_order_of_their_keys_and_a_full_disk_only_forgets() {
        let disk = Disk::new(Random::new(1), None);
        disk.commit(&[change("b", Some("2")), change("a", Some("1"))]).expect("room");
        assert_eq!(
            disk.scan(Table::Held, None, 9).expect("rows"),
            [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]
        );
        assert_eq!(disk.scan(Table::Held, Some(b"a"), 9).expect("rows").len(), 1);
        disk.set_full(true);
        assert_eq!(disk.commit(&[change("c", Some("3"))]), Err(StorageError::Full));
        disk.commit(&[change("a", None)]).expect("no room is needed");
        assert_eq!((disk.len(Table::Held), disk.size()), (Ok(1), Ok(2)));
    }

    #[test]
    fn a_disk_that_lies_forgets_its_last_commits_with_its_power() {
        for (mutation, left) in [(None, 6), (Some(Mutation::LyingDisk), 2)] {
            let disk = Disk::new(Random::new(1), mutation);
            for key in ["a", "b", "c", "d", "e", "f"] {
                disk.commit(&[change(key, Some("1"))]).expect("room");
            }
            disk.lose_power();
            assert_eq!((disk.len(Table::Held), disk.size()), (Ok(left), Ok(left * 2)));
        }
    }

    #[test]
    fn a_commit_that_fails_changes_nothing() {
        let disk = Disk::new(Random::new(1), None);
        disk.set_failures(1.0);
        assert!(disk.commit(&[change("a", Some("1"))]).is_err());
        disk.set_failures(0.0);
        assert_eq!(disk.get(Table::Held, b"a"), Ok(None));
    }
}
