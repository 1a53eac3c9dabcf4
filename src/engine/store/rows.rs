//! What of the engine is kept in a [`Storage`](crate::storage::Storage), as rows and back.
//!
//! | table | key | value |
//! |--|--|--|
//! | `own`, `held` | the record's key, 32 bytes | the record, until when it is held, who has put it |
//! | `sequences` | the owner's key, 32 bytes, and the name | the newest head seen |
//! | `epochs` | the owner | the highest epoch seen |
//! | `pins` | the name | the owner |
//! | `outbox` | a number, 8 bytes, big endian | the announcement |
//! | `catalogue` | the owner's key, 32 bytes, and the name | the head as it was signed |
//!
//! A value says by itself what it is of. Values are written as the entries of a [`Snapshot`] are.

use std::sync::Arc;

use libp2p::PeerId;

use super::{
    SharedStore, Snapshot, Store,
    held::Held,
    wire::{
        EpochWire, HeadWire, Kept, MarkWire, PinWire, RecordWire, Unheard, UnheardWire,
        encode_epoch, encode_head, encode_pin, malformed, take,
    },
};
use crate::{
    engine::dirty::Portion,
    error::Result,
    package::PackageName,
    record::{NetworkName, Record, RecordKey},
    storage::{Change, Row, Table},
};

/// A name means this owner, or nobody any more.
pub(in crate::engine) fn pin(name: &PackageName, owner: Option<PeerId>) -> Change {
    let value = owner.map(|owner| encode_pin(name, &owner));
    Change { table: Table::Pins, key: name.as_str().into(), value }
}

/// An announcement waits, or does so no more.
pub(in crate::engine) fn announcement(number: u64, unheard: Option<&Unheard>) -> Change {
    let value = unheard.map(Unheard::encode);
    Change { table: Table::Outbox, key: number.to_be_bytes().into(), value }
}

/// A package is listed with this head, or is not listed any more.
pub(in crate::engine) fn listed(key: Vec<u8>, head: Option<&[u8]>) -> Change {
    Change { table: Table::Catalogue, key, value: head.map(encode_head) }
}

/// A row of the catalogue is to go.
pub(in crate::engine) fn unlisted(key: Vec<u8>) -> Change {
    listed(key, None)
}

impl Snapshot {
    /// What a storage holds of this network, before it is read.
    pub(crate) fn of_rows(network: NetworkName) -> Self {
        Self::empty(network)
    }

    /// Reads a row of a storage. Those of other tables are left out.
    ///
    /// # Errors
    /// If the value is nothing that this version has written, or not under this key.
    pub(crate) fn read_row(&mut self, table: Table, (key, value): &Row) -> Result<()> {
        match table {
            Table::Own => self.own.push(record(key, value)?),
            Table::Held => self.records.push(record(key, value)?),
            Table::Sequences => {
                let mark = whole::<MarkWire<'_>>(value)?.read()?;
                its_own(key, &mark.row())?;
                self.marks.push(mark);
            }
            Table::Epochs => {
                let (owner, epoch) = whole::<EpochWire<'_>>(value)?.read()?;
                its_own(key, &owner.to_bytes())?;
                self.epochs.push((owner, epoch));
            }
            Table::Pins => {
                let (name, owner) = whole::<PinWire<'_>>(value)?.read()?;
                its_own(key, name.as_str().as_bytes())?;
                self.pins.push((name, owner));
            }
            Table::Outbox => {
                let number = key.as_slice().try_into().map_err(|_| malformed())?;
                let unheard = whole::<UnheardWire<'_>>(value)?.read()?;
                let number = Some(u64::from_be_bytes(number));
                self.outbox.push(Unheard { number, ..unheard });
            }
            Table::Catalogue => self.catalogue.push(whole::<HeadWire<'_>>(value)?.read()?),
            _ => {}
        }
        Ok(())
    }
}

/// A record, which lies under its own key. What it says is not verified.
fn record(key: &[u8], value: &[u8]) -> Result<Kept> {
    let kept = whole::<RecordWire<'_>>(value)?.read()?;
    let claimed = Record::claimed_key(&kept.bytes).map_err(|_| malformed())?;
    its_own(key, &claimed.digest())?;
    Ok(kept)
}

/// A row is found again only under the key of what is in it.
fn its_own(key: &[u8], expected: &[u8]) -> Result<()> {
    if key == expected { Ok(()) } else { Err(malformed()) }
}

/// A value that has nothing behind it.
fn whole<'a, T: serde::Deserialize<'a>>(value: &'a [u8]) -> Result<T> {
    match take(value)? {
        (wire, []) => Ok(wire),
        _ => Err(malformed()),
    }
}

impl SharedStore {
    /// From here on, it is noted which rows change.
    pub(crate) fn note_changes(&self) {
        self.lock().note_changes();
    }

    /// How many rows of this node's own records wait to be written.
    pub(crate) fn unsaved_own(&self) -> usize {
        self.lock().records.own_changed.len()
    }

    /// How many others do.
    pub(crate) fn unsaved(&self) -> usize {
        let store = self.lock();
        store.records.changed.len() + store.high_water.changed.len() + store.epochs.changed.len()
    }

    /// A row of a held record was read, and means nothing. It goes, unless something else is under its key by then. Tells
    /// whether something can be.
    pub(crate) fn unreadable(&self, key: &[u8]) -> bool {
        let Ok(digest) = <[u8; 32]>::try_from(key) else { return false };
        self.lock().records.changed.mark_row(|| digest);
        true
    }

    /// What was restored just now stands in the storage as it is here. What of it was refused is to go there, too.
    pub(crate) fn unmark(&self, read: &Snapshot) {
        let mut store = self.lock();
        for kept in &read.own {
            store.unmark_own(kept);
        }
        for kept in &read.records {
            if let Ok(key) = Record::claimed_key(&kept.bytes) {
                store.unmark_held(&key, kept);
            }
        }
        for mark in &read.marks {
            store.high_water.unmark(mark);
        }
        for (owner, epoch) in &read.epochs {
            store.epochs.unmark(owner, *epoch);
        }
    }

    /// Takes the rows that are to be written now: all of this node's own, and of others a portion.
    pub(crate) fn take_changes(&self, changes: &mut Vec<Change>) {
        let mut store = self.lock();
        for digest in store.records.own_changed.take(usize::MAX) {
            changes.push(store.record_row(Table::Own, digest, Held::is_outside));
        }
        let mut portion = Portion::default();
        for digest in store.records.changed.take(Portion::ROWS) {
            if portion.is_full() {
                store.records.changed.put_back(digest);
            } else {
                let row = store.record_row(Table::Held, digest, |held| !held.is_outside());
                portion.add(changes, row);
            }
        }
        // Their rows are small.
        for package in store.high_water.changed.take(Portion::ROWS) {
            let mark = store.high_water.remembered(&package);
            let value = mark.map(|mark| mark.encode());
            changes.push(Change { table: Table::Sequences, key: package.row(), value });
        }
        for owner in store.epochs.changed.take(Portion::ROWS) {
            let epoch = store.epochs.floor(&owner);
            let value = (epoch > 0).then(|| encode_epoch(&owner, epoch));
            changes.push(Change { table: Table::Epochs, key: owner.to_bytes(), value });
        }
    }

    /// The rows that were taken have been written, or have not.
    pub(crate) fn settle_changes(&self, is_written: bool) {
        let mut store = self.lock();
        store.records.own_changed.settle(is_written);
        store.records.changed.settle(is_written);
        store.high_water.changed.settle(is_written);
        store.epochs.changed.settle(is_written);
    }
}

impl Store {
    fn note_changes(&mut self) {
        self.tiers.turn_on();
        self.records.own_changed.turn_on();
        self.records.changed.turn_on();
        self.high_water.changed.turn_on();
        self.epochs.note_changes();
    }

    fn unmark_own(&mut self, kept: &Kept) {
        let Ok(key) = Record::claimed_key(&kept.bytes) else { return };
        let digest = key.digest();
        match self.records.by_digest(&digest) {
            Some(held) if held.is_outside() && *held.bytes() == *kept.bytes => {
                self.records.own_changed.unmark(&digest);
            }
            _ => self.records.own_changed.mark_row(|| digest),
        }
    }

    pub(super) fn unmark_held(&mut self, key: &RecordKey, kept: &Kept) {
        let digest = key.digest();
        match self.records.by_digest(&digest) {
            Some(held) if !held.is_outside() && self.is_as_kept(held, kept) => {
                self.records.changed.unmark(&digest);
            }
            // The storage has it as it is: it was not read into memory.
            None if self.cold_record(key).is_some() => {}
            _ => self.records.changed.mark_row(|| digest),
        }
    }

    /// Whether a row of this record would be this one.
    fn is_as_kept(&self, held: &Held, kept: &Kept) -> bool {
        let is_same = held.until() == kept.until && *held.bytes() == *kept.bytes;
        is_same && self.putters.peer(held.putter) == kept.putter
    }

    /// The storage has a row of a held record that is known already. Where another one is to be written, or it lies among the
    /// own ones now, that is not forgotten.
    pub(super) fn note_row(&mut self, key: &RecordKey) {
        let digest = key.digest();
        let is_own = self.records.get(key).is_some_and(Held::is_outside);
        if is_own || self.records.changed.contains(&digest) {
            self.records.changed.mark_row(|| digest);
        }
    }

    /// The row of a record in one of its two tables, in which it lies or no longer does.
    fn record_row(
        &self,
        table: Table,
        digest: [u8; 32],
        lies_there: impl Fn(&Held) -> bool,
    ) -> Change {
        let overtaken = self.records.overtaken(&digest).filter(|_| table == Table::Own);
        let held = overtaken.or_else(|| self.records.by_digest(&digest));
        let held = held.filter(|held| lies_there(held));
        let value = held.map(|held| {
            let putter = self.putters.peer(held.putter);
            Kept { bytes: Arc::from(held.bytes()), until: held.until(), putter }.encode()
        });
        Change { table, key: digest.into(), value }
    }
}
