//! Which rows of a table have changed since they were last written to the node's storage.

use std::{collections::HashSet, hash::Hash};

use crate::storage::Change;

/// The keys of changed rows. A row is read when it is written, so that however often it changes in between, it is written
/// once.
///
/// ```text
/// mark ─▶ waiting ─ take ─▶ leaving ─ written ─▶ gone
///            ▲                 │
///            └──── failed ─────┘
/// ```
///
/// However long a storage fails, no change is left out, and what waits is bounded: what comes and goes meanwhile has never
/// been written, and its key is forgotten again. So there are no more keys than the room has of entries, and the table of
/// rows.
///
/// Without a storage it is off, and stays empty.
#[derive(Debug)]
pub(in crate::engine) struct Dirty<K> {
    is_on: bool,
    waiting: HashSet<K>,
    leaving: HashSet<K>,
    /// Of all these, those of which the storage has no row. A commit that fails has written none.
    fresh: HashSet<K>,
}

impl<K> Default for Dirty<K> {
    fn default() -> Self {
        Self {
            is_on: false,
            waiting: HashSet::new(),
            leaving: HashSet::new(),
            fresh: HashSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Dirty<K> {
    /// From here on, changes are noted.
    pub(in crate::engine) fn turn_on(&mut self) {
        self.is_on = true;
    }

    /// A row has changed, or has gone.
    pub(in crate::engine) fn mark(&mut self, key: impl FnOnce() -> K) {
        if self.is_on {
            self.waiting.insert(key());
        }
    }

    /// There is something new, of which the storage has no row that is known.
    pub(in crate::engine) fn mark_new(&mut self, key: impl FnOnce() -> K) {
        if !self.is_on {
            return;
        }
        let key = key();
        if !self.contains(&key) {
            self.fresh.insert(key.clone());
        }
        self.waiting.insert(key);
    }

    /// Something has gone, and its row is to go.
    pub(in crate::engine) fn mark_gone(&mut self, key: impl FnOnce() -> K) {
        if !self.is_on {
            return;
        }
        let key = key();
        if self.fresh.contains(&key) && !self.leaving.contains(&key) {
            self.fresh.remove(&key);
            self.waiting.remove(&key);
        } else {
            self.waiting.insert(key);
        }
    }

    /// A row was read that is to be written anew, or to go.
    pub(in crate::engine) fn mark_row(&mut self, key: impl FnOnce() -> K) {
        if self.is_on {
            let key = key();
            self.fresh.remove(&key);
            self.waiting.insert(key);
        }
    }

    /// The row is as the storage has it, unless it is being written.
    pub(in crate::engine) fn unmark(&mut self, key: &K) {
        if !self.leaving.contains(key) {
            self.waiting.remove(key);
            self.fresh.remove(key);
        }
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
            // It is left where it is after so many: there may be a million.
            self.leaving = self.waiting.extract_if(|_| true).take(most).collect();
        }
        self.leaving.iter().cloned().collect()
    }

    /// A row that was taken finds no room. It waits again.
    pub(in crate::engine) fn put_back(&mut self, key: K) {
        if self.leaving.remove(&key) {
            self.waiting.insert(key);
        }
    }

    /// The rows that were taken have been written. If not, they wait again.
    pub(in crate::engine) fn settle(&mut self, is_written: bool) {
        let leaving = std::mem::take(&mut self.leaving);
        if is_written {
            for key in &leaving {
                self.fresh.remove(key);
            }
        } else {
            self.waiting.extend(leaving);
        }
    }
}

/// The rows of one table in one commit, where nobody waits for them. They are copied within a poll, and go in portions that
/// take a millisecond: about a thousand rows and a megabyte for all tables.
#[derive(Debug, Default)]
pub(in crate::engine) struct Portion {
    bytes: usize,
}

impl Portion {
    /// So many rows at the most.
    pub(in crate::engine) const ROWS: usize = 256;

    /// With so many bytes it is full.
    const BYTES: usize = 256 * 1024;

    pub(in crate::engine) fn is_full(&self) -> bool {
        self.bytes >= Self::BYTES
    }

    /// Adds a row to what is written.
    pub(in crate::engine) fn add(&mut self, changes: &mut Vec<Change>, change: Change) {
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, Vec::len);
        changes.push(change);
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
    fn what_comes_and_goes_while_nothing_can_be_written_is_forgotten() {
        let mut dirty = on();
        dirty.mark_new(|| 1);
        assert_eq!(taken(&mut dirty, 9), [1]);
        dirty.settle(true);
        for key in 2..200 {
            dirty.mark_new(|| key);
            dirty.take(9);
            dirty.settle(false);
            dirty.mark_gone(|| key);
            assert!(dirty.len() <= 1);
        }
        // What is in the storage has to go from there, and comes back as a row that is there.
        dirty.mark_gone(|| 1);
        dirty.mark_new(|| 1);
        dirty.mark_gone(|| 1);
        assert_eq!(taken(&mut dirty, 9), [1]);
    }

    #[test]
    fn what_goes_while_it_is_written_is_removed_again() {
        let mut dirty = on();
        dirty.mark_new(|| 7);
        dirty.take(9);
        dirty.mark_gone(|| 7);
        dirty.settle(true);
        assert_eq!(taken(&mut dirty, 9), [7]);
    }

    #[test]
    fn a_row_that_was_read_while_something_new_waits_is_not_forgotten_with_it() {
        let mut dirty = on();
        dirty.mark_new(|| 7);
        dirty.mark_row(|| 7);
        dirty.mark_gone(|| 7);
        assert_eq!(taken(&mut dirty, 9), [7]);
    }

    #[test]
    fn what_is_being_written_is_not_taken_for_what_was_read_before() {
        let mut dirty = on();
        dirty.mark(|| 7);
        dirty.take(9);
        dirty.mark(|| 7);
        dirty.unmark(&7);
        dirty.settle(true);
        assert_eq!(taken(&mut dirty, 9), [7]);
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

    #[test]
    fn what_finds_no_room_waits_again_and_is_not_taken_for_written() {
        let mut dirty = on();
        (0..3).for_each(|key| dirty.mark(|| key));
        let mut keys = taken(&mut dirty, 9);
        dirty.put_back(keys.remove(0));
        assert_eq!(dirty.len(), 1);
        dirty.settle(true);
        assert_eq!(taken(&mut dirty, 9), [0]);
    }

    /// A key that counts how often it is hashed or compared.
    #[derive(Debug, Clone)]
    struct Counting(u32, std::rc::Rc<std::cell::Cell<u64>>);

    impl PartialEq for Counting {
        fn eq(&self, other: &Self) -> bool {
            self.1.set(self.1.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Counting {}

    impl Hash for Counting {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.1.set(self.1.get() + 1);
            self.0.hash(state);
        }
    }

    #[test]
    fn a_few_of_many_rows_are_taken_without_a_look_at_all_of_them() {
        let looks = std::rc::Rc::new(std::cell::Cell::new(0));
        let mut dirty = Dirty::default();
        dirty.turn_on();
        for key in 0..100_000 {
            dirty.mark(|| Counting(key, looks.clone()));
        }
        looks.set(0);
        assert_eq!(dirty.take(100).len(), 100);
        assert!(looks.get() < 1000, "{} looks for 100 rows", looks.get());
    }

    #[test]
    fn a_portion_is_full_by_bytes() {
        let (mut portion, mut changes) = (Portion::default(), Vec::new());
        while !portion.is_full() {
            let (table, key, value) = (crate::storage::Table::Held, vec![0; 32], vec![0; 8192]);
            portion.add(&mut changes, Change { table, key, value: Some(value) });
        }
        assert_eq!(changes.len(), 32);
    }
}
