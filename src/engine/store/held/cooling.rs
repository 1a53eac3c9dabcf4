//! Which records need not lie in memory: the CLOCK algorithm (Corbató, 1968), an approximation of "least recently used".

use super::{Held, Table, USED};
use crate::record::RecordKey;

impl Table {
    /// Somebody asks for the record under this key. It stays in memory for a round more.
    pub(in crate::engine::store) fn touch(&mut self, key: &RecordKey) {
        if let Some(number) = self.find(key)
            && let Some(held) = self.records.get_mut(number)
        {
            held.marks |= USED;
        }
    }

    /// The next record of others that nobody has asked for in the last round, and that the storage has as it is. Looks at
    /// no more than `budget` places, which it takes from it.
    pub(in crate::engine::store) fn next_to_cool(&mut self, budget: &mut usize) -> Option<u32> {
        while *budget > 0 {
            *budget -= 1;
            let number = self.hand;
            self.hand = if number + 1 < self.records.end() { number + 1 } else { 0 };
            let Some(held) = self.records.get_mut(number).filter(|held| !held.is_outside()) else {
                continue;
            };
            let was_used = held.marks & USED != 0;
            held.marks &= !USED;
            if !was_used && !self.changed.contains(&held.key) {
                return Some(number);
            }
        }
        None
    }

    /// Takes out a record that stays in the storage.
    pub(in crate::engine::store) fn cool(&mut self, number: u32) -> Option<Held> {
        self.take_unmarked(number)
    }
}

impl Held {
    /// The digest of its key.
    pub(in crate::engine::store) fn digest(&self) -> [u8; 32] {
        self.key
    }
}
