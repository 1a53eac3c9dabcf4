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
    record::{NetworkName, Record},
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
    /// If the value is nothing that this version has written.
    pub(crate) fn read_row(&mut self, table: Table, (_, value): &Row) -> Result<()> {
        match table {
            Table::Own | Table::Held => self.records.push(whole::<RecordWire<'_>>(value)?.read()?),
            Table::Sequences => self.marks.push(whole::<MarkWire<'_>>(value)?.read()?),
            Table::Epochs => self.epochs.push(whole::<EpochWire<'_>>(value)?.read()?),
            Table::Pins => self.pins.push(whole::<PinWire<'_>>(value)?.read()?),
            Table::Outbox => self.outbox.push(whole::<UnheardWire<'_>>(value)?.read()?),
            Table::Catalogue => self.catalogue.push(whole::<HeadWire<'_>>(value)?.read()?),
            _ => {}
        }
        Ok(())
    }
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

    /// What was restored just now stands in the storage as it is here. What of it was refused is to go there, too.
    pub(crate) fn unmark(&self, read: &Snapshot) {
        let mut store = self.lock();
        for kept in &read.records {
            let Ok(key) = Record::claimed_key(&kept.bytes) else { continue };
            let digest = key.digest();
            let held = store.records.by_digest(&digest);
            if held.is_some_and(|held| *held.bytes() == *kept.bytes) {
                store.records.own_changed.unmark(&digest);
                store.records.changed.unmark(&digest);
            } else if held.is_none() && store.cold_record(&key).is_none() {
                store.records.own_changed.mark(|| digest);
                store.records.changed.mark(|| digest);
            }
        }
        for mark in &read.marks {
            store.high_water.unmark(mark);
        }
        for (owner, epoch) in &read.epochs {
            if store.epochs.floor(owner) == *epoch {
                store.epochs.changed.unmark(owner);
            }
        }
    }

    /// Takes the rows that are to be written now: all of this node's own, and of others a portion.
    pub(crate) fn take_changes(&self, changes: &mut Vec<Change>) {
        let mut store = self.lock();
        for digest in store.records.own_changed.take(usize::MAX) {
            changes.push(store.record_row(Table::Own, digest, Held::is_own));
        }
        let mut portion = Portion::default();
        for digest in store.records.changed.take(Portion::ROWS) {
            if portion.is_full() {
                store.records.changed.put_back(digest);
            } else {
                let row = store.record_row(Table::Held, digest, |held| !held.is_own());
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
        self.epochs.changed.turn_on();
    }

    /// The row of a record in one of its two tables, in which it lies or no longer does.
    fn record_row(
        &self,
        table: Table,
        digest: [u8; 32],
        lies_there: impl Fn(&Held) -> bool,
    ) -> Change {
        let held = self.records.by_digest(&digest).filter(|held| lies_there(held));
        let value = held.map(|held| {
            let putter = self.putters.peer(held.putter);
            Kept { bytes: Arc::from(held.bytes()), until: held.until(), putter }.encode()
        });
        Change { table, key: digest.into(), value }
    }
}
