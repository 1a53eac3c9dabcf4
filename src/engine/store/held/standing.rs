//! Whose a record is, as far as this node is concerned: its own ones are outside of all bounds, and stay.

use super::{EARLIER, Held, LASTING, NIL, OWN, Table};
use crate::record::{Kind, Record};

/// What a record is to this node, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine::store) enum Standing {
    /// It is held for others, within bounds.
    Others,
    /// An earlier life of this node has published it, and this one has not yet. The storage has it among the own ones, and
    /// keeps it until the package is withdrawn or is published otherwise.
    Earlier,
    /// This life has published it.
    Own,
}

impl Held {
    /// It is this to the node from here on. `record` is what it says.
    pub(in crate::engine::store) fn stand(&mut self, standing: Standing, record: &Record) {
        self.marks &= !(OWN | EARLIER | LASTING);
        match standing {
            Standing::Others => return,
            Standing::Earlier => self.marks |= EARLIER,
            Standing::Own => self.marks |= OWN,
        }
        self.putter = NIL;
        let lasts = match record {
            Record::Head(head) => !head.is_withdrawn(),
            Record::Release(_) | Record::Page(_) => true,
            // They are signed with each head.
            Record::Claims { .. } => false,
        };
        if lasts {
            self.marks |= LASTING;
        }
    }

    pub(in crate::engine::store) fn standing(&self) -> Standing {
        match (self.is_own(), self.is_outside()) {
            (true, _) => Standing::Own,
            (false, true) => Standing::Earlier,
            (false, false) => Standing::Others,
        }
    }

    /// Whether this life has published it.
    pub(in crate::engine::store) fn is_own(&self) -> bool {
        self.marks & OWN != 0
    }

    /// Whether this life or an earlier one has published it, so that it takes nobody's room.
    pub(in crate::engine::store) fn is_outside(&self) -> bool {
        self.marks & (OWN | EARLIER) != 0
    }

    /// Whether it stays when its time is over.
    pub(in crate::engine::store) fn is_lasting(&self) -> bool {
        self.marks & LASTING != 0
    }

    /// No own package needs it any more: it goes with its time.
    pub(in crate::engine::store) fn pass(&mut self) {
        self.marks &= !LASTING;
    }

    /// When it goes, in Unix seconds.
    pub(super) fn goes_at(&self) -> u64 {
        if self.is_lasting() { u64::MAX } else { self.until }
    }

    pub(in crate::engine::store) fn is_page(&self) -> bool {
        self.bytes.get(1) == Some(&(Kind::Page as u8))
    }
}

impl Table {
    /// Somebody else has replaced this own record. The storage has it still. What was replaced first counts.
    pub(in crate::engine::store) fn overtake(&mut self, held: Held) {
        self.overtaken.entry(held.key).or_insert(held);
    }

    /// What this node has published under a key, where somebody else has replaced it.
    pub(in crate::engine::store) fn overtaken(&self, key: &[u8; 32]) -> Option<&Held> {
        self.overtaken.get(key)
    }

    /// What is held under this key is what the storage is to have among the own records.
    pub(in crate::engine::store) fn take_over(&mut self, key: &[u8; 32]) {
        if self.overtaken.remove(key).is_some() {
            self.own_changed.mark(|| *key);
        }
    }

    /// The same for all that was replaced and is of this kind.
    pub(in crate::engine::store) fn take_over_all(&mut self, is_it: impl Fn(&Held) -> bool) {
        let own_changed = &mut self.own_changed;
        self.overtaken.retain(|key, held| {
            let goes = is_it(held);
            if goes {
                own_changed.mark(|| *key);
            }
            !goes
        });
    }
}
