//! Which rows of a table have changed since they were last written to the node's storage.

use std::{collections::HashSet, hash::Hash};

/// So many rows of one table wait to be written at the most. That is more than a second's work. Beyond it the storage has
/// failed for long: what is not written then is lost with the process, as it would be without a storage.
const MOST_WAITING: usize = 1 << 20;

/// The keys of changed rows. A row is read when it is written, so that however often it changes in between, it is written
/// once.
///
/// ```text
/// mark ─▶ waiting ─ take ─▶ leaving ─ written ─▶ gone
///            ▲                 │
///            └──── failed ─────┘
/// ```
///
/// Without a storage it is off, and stays empty.
#[derive(Debug)]
pub(in crate::engine) struct Dirty<K> {
    is_on: bool,
    waiting: HashSet<K>,
    leaving: HashSet<K>,
}

impl<K> Default for Dirty<K> {
    fn default() -> Self {
        Self { is_on: false, waiting: HashSet::new(), leaving: HashSet::new() }
    }
}

impl<K: Clone + Eq + Hash> Dirty<K> {
    /// From here on, changes are noted.
    pub(in crate::engine) fn turn_on(&mut self) {
        self.is_on = true;
    }

    /// A row has changed, or has gone.
    pub(in crate::engine) fn mark(&mut self, key: impl FnOnce() -> K) {
        if self.is_on && self.waiting.len() < MOST_WAITING {
            self.waiting.insert(key());
        }
    }

    /// The row is as the storage has it.
    pub(in crate::engine) fn unmark(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// Whether the storage may have this row otherwise.
    pub(in crate::engine) fn contains(&self, key: &K) -> bool {
        self.waiting.contains(key) || self.leaving.contains(key)
    }

    /// How many rows wait to be written.
    pub(in crate::engine) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Rows that are about to be written, at most so many. Those taken before have been [settled](Self::settle).
    pub(in crate::engine) fn take(&mut self, most: usize) -> Vec<K> {
        if self.waiting.len() <= most {
            self.leaving = std::mem::take(&mut self.waiting);
        } else {
            self.leaving = self.waiting.iter().take(most).cloned().collect();
            self.waiting.retain(|key| !self.leaving.contains(key));
        }
        self.leaving.iter().cloned().collect()
    }

    /// The rows that were taken have been written. If not, they wait again.
    pub(in crate::engine) fn settle(&mut self, is_written: bool) {
        let leaving = std::mem::take(&mut self.leaving);
        if !is_written {
            self.waiting.extend(leaving);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Dirty<u8> {
        let mut dirty = Dirty::default();
        dirty.turn_on();
        dirty
    }

    fn taken(dirty: &mut Dirty<u8>, most: usize) -> Vec<u8> {
        let mut keys = dirty.take(most);
        keys.sort_unstable();
        keys
    }

    #[test]
    fn without_a_storage_nothing_is_noted() {
        let mut dirty = Dirty::default();
        dirty.mark(|| 1);
        assert_eq!(dirty.len(), 0);
    }

    #[test]
    fn a_row_that_changes_often_is_written_once() {
        let mut dirty = on();
        (0..9).for_each(|_| dirty.mark(|| 7));
        assert_eq!(taken(&mut dirty, 9), [7]);
        dirty.settle(true);
        assert!(taken(&mut dirty, 9).is_empty());
    }

    #[test]
    fn a_row_that_changes_while_it_is_written_is_written_again() {
        let mut dirty = on();
        dirty.mark(|| 7);
        dirty.take(9);
        dirty.mark(|| 7);
        dirty.settle(true);
        assert_eq!(taken(&mut dirty, 9), [7]);
    }

    #[test]
    fn what_could_not_be_written_waits_again() {
        let mut dirty = on();
        (1..=3).for_each(|key| dirty.mark(|| key));
        dirty.take(9);
        dirty.mark(|| 4);
        dirty.settle(false);
        assert_eq!(taken(&mut dirty, 9), [1, 2, 3, 4]);
    }

    #[test]
    fn many_rows_are_written_in_several_goes_and_none_is_left_out() {
        let mut dirty = on();
        (0..10).for_each(|key| dirty.mark(|| key));
        let mut all = Vec::new();
        while dirty.len() > 0 {
            all.extend(dirty.take(3));
            dirty.settle(true);
        }
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}
