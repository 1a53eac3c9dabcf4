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

    /// The storage has this head in this row, or nothing that holds. Where that is not what is listed, the row is written
    /// anew, or goes: by what is listed when it is written, which may be more than now. Tells whether it can be a row.
    pub(crate) fn row_read(&mut self, row: &[u8], head: Option<&Signed<Head>>) -> bool {
        let Some(key) = key_of(row) else { return false };
        let entry = self.by_package.get(&key).and_then(|id| self.entries.get(*id));
        let listed = entry.filter(|entry| entry.worth != Worth::Own);
        let listed = listed.map(|entry| entry.listing.digest);
        if listed.is_some() && listed == head.map(Signed::digest) {
            self.changed.unmark(&key);
        } else {
            self.changed.mark_row(|| key);
        }
        true
    }

    /// The rows that were taken have been written, or have not.
    pub(crate) fn settle_changes(&mut self, is_written: bool) {
        self.changed.settle(is_written);
    }
}

fn row_key(Key { owner, name }: &Key) -> Vec<u8> {
    [owner, name.as_str().as_bytes()].concat()
}

/// The package that a row is of.
fn key_of(row: &[u8]) -> Option<Key> {
    let (owner, name) = row.split_first_chunk::<32>()?;
    let name = std::str::from_utf8(name).ok()?.parse().ok()?;
    Some(Key { owner: *owner, name })
}
