//! Which heads the node's storage is to have.

use super::{Catalogue, Worth, entry::Key};
use crate::{
    engine::{dirty::Portion, store::rows},
    record::{Head, Signed},
    storage::Change,
};

impl Catalogue {
    /// From here on, it is noted which packages change.
    pub(crate) fn note_changes(&mut self) {
        self.changed.turn_on();
    }

    /// How many packages wait to be written.
    pub(crate) fn unsaved(&self) -> usize {
        self.changed.len()
    }

    /// Takes the rows that are to be written now, a portion of them. This node's own heads lie among its own records.
    pub(crate) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        let mut portion = Portion::default();
        for key in self.changed.take(Portion::ROWS) {
            if portion.is_full() {
                self.changed.put_back(key);
                continue;
            }
            let entry = self.by_package.get(&key).and_then(|id| self.entries.get(*id));
            let entry = entry.filter(|entry| entry.worth != Worth::Own);
            let head = entry.map(|entry| &*entry.listing.bytes);
            portion.add(changes, rows::listed(row_key(&key), head));
        }
    }

    /// The storage has this head, if it is what is listed.
    pub(crate) fn unmark(&mut self, head: &Signed<Head>) {
        if self.by_digest.contains_key(&head.digest())
            && let Some(key) = Key::new(&head.name, &head.owner)
        {
            self.changed.unmark(&key);
        }
    }

    /// The rows that were taken have been written, or have not.
    pub(crate) fn settle_changes(&mut self, is_written: bool) {
        self.changed.settle(is_written);
    }
}

fn row_key(Key { owner, name }: &Key) -> Vec<u8> {
    [owner, name.as_str().as_bytes()].concat()
}
