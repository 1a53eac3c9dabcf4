//! What is written to the node's storage, and what was read from it at the start.

use std::time::Duration;

use crate::{
    counters::EndedCall,
    engine::{
        Engine, Snapshot,
        interface::Now,
        saving::{Turned, Unsaved},
    },
    error::Result,
    event::Event,
    storage::{self, Change, Row, StorageError, StorageReport, Table},
};

/// Rows of a storage, as they were read.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) table: Table,
    pub(crate) rows: Vec<Row>,
}

impl Engine {
    /// There is a storage, which takes so many bytes: from here on, it is noted what changes.
    pub(crate) fn note_changes(&mut self, bytes: u64) {
        self.out.saving.turn_on(bytes);
        self.cx.store.note_changes();
        self.reading.note_changes();
        self.publishing.note_changes();
        self.discovery.note_changes();
        self.peers.note_changes();
        self.standing.note_changes();
    }

    /// The storage has more sequences than those that have been read. What must be judged by them waits.
    pub(crate) fn await_sequences(&mut self) {
        self.cx.store.await_sequences();
    }

    /// How many rows wait to be written.
    fn unsaved(&self) -> Unsaved {
        Unsaved {
            own: self.cx.store.unsaved_own() + self.reading.unsaved(),
            announcements: self.publishing.unsaved(),
            others: self.cx.store.unsaved() + self.discovery.unsaved() + self.peers.unsaved(),
        }
    }

    /// What is to be written now, if anything is. It has not begun until the one before has [ended](Self::saved).
    pub(crate) fn save(&mut self, now: Now) -> Option<Vec<Change>> {
        if !self.out.saving.is_on() {
            return None;
        }
        let unsaved = self.unsaved();
        if !self.out.saving.is_due(now.mono, unsaved, self.cx.closed) {
            return None;
        }
        let mut changes = self.out.saving.begin();
        self.cx.store.take_changes(&mut changes);
        self.reading.take_changes(&mut changes);
        self.publishing.take_changes(&mut changes);
        self.discovery.take_changes(&mut changes);
        self.peers.take_changes(&mut changes);
        self.standing.take_changes(&self.cx, &mut changes);
        let left = self.unsaved();
        self.out.saving.begun(changes.len(), left);
        Some(changes)
    }

    /// Answers callers who have waited for the storage and need not any more, or may not. That is looked at in every poll,
    /// also while a commit runs: it may take longer than they have time.
    pub(crate) fn release(&mut self, now: Now) {
        if self.out.saving.callers() > 0 {
            let unsaved = self.unsaved();
            let released = self.out.saving.release(now.mono, unsaved);
            self.count_all(released);
        }
    }

    /// What is known of the storage, if there is one.
    pub(in crate::engine) fn storage_report(&self) -> Option<StorageReport> {
        self.out.saving.report(self.unsaved())
    }

    /// All is read that an earlier life has left, or cannot be.
    pub(crate) fn all_read(&mut self) {
        self.cx.store.all_read();
        self.out.saving.restored();
    }

    /// What was to be written is durable, and the storage takes so many bytes, or it could not be written.
    pub(crate) fn saved(&mut self, now: Now, outcome: &storage::Result<u64>) {
        let is_written = outcome.is_ok();
        self.cx.store.settle_changes(is_written);
        if is_written {
            self.cx.store.cool();
        }
        self.reading.settle_changes(is_written);
        self.publishing.settle_changes(is_written);
        self.discovery.settle_changes(is_written);
        self.peers.settle_changes(is_written);
        self.standing.settle_changes(is_written);
        let (ended, turned) = self.out.saving.end(now.mono, outcome);
        self.count_all(ended);
        match turned {
            Some(Turned::Bad(error)) => {
                tracing::warn!(%error, "cannot save");
                self.out.events.push_back(Event::StorageFailed { reason: error.to_string() });
            }
            Some(Turned::Good) => self.out.events.push_back(Event::StorageRecovered),
            None => {}
        }
    }

    /// The node ends, whatever has not been written: those who wait for that hear so.
    pub(crate) fn give_up_saving(&mut self) {
        let ended = self.out.saving.give_up();
        self.count_all(ended);
    }

    /// Whether something is being written, or is to be. A storage that fails is tried once more, and not waited for.
    pub(crate) fn is_saving(&self) -> bool {
        self.out.saving.is_on() && self.out.saving.is_busy(self.unsaved())
    }

    /// When something is to be written next.
    pub(crate) fn next_save(&self) -> Option<Duration> {
        self.out.saving.next_deadline()
    }

    /// What an earlier life has left cannot be read.
    pub(crate) fn cannot_read(&mut self, error: &StorageError) {
        tracing::warn!(%error, "cannot read what an earlier life has left");
        self.out.events.push_back(Event::StorageFailed { reason: error.to_string() });
    }

    /// All of what this node had listed has been read, or cannot be.
    pub(crate) fn catalogue_read(&mut self, now: Now) {
        self.set_time(now);
        self.discovery.all_read();
        self.restore_listed();
    }

    /// Whether what was read last is still being taken in.
    pub(crate) fn is_restoring(&self) -> bool {
        self.discovery.restoring_len() > 0
    }

    fn count_all(&mut self, ended: Vec<EndedCall>) {
        ended.into_iter().for_each(|ended| self.out.count(ended));
    }
}

impl Engine {
    /// Takes in what a node must know before it does anything: what it has published itself, how far others have come, whom
    /// names mean, and what nobody has heard yet.
    ///
    /// # Errors
    /// If what was read belongs to another network.
    pub(crate) fn restore_first(&mut self, now: Now, tables: &[Rows]) -> Result<()> {
        self.set_time(now);
        let mut snapshot = Snapshot::of_rows(self.cx.config.network.clone());
        let mut obsolete = Vec::new();
        for Rows { table, rows } in tables {
            match table {
                Table::Peers => obsolete.extend(self.peers.restore(now, rows)),
                Table::Reputations => obsolete.extend(self.standing.restore(&self.cx, rows)),
                _ => {}
            }
            for row in rows {
                if snapshot.read_row(*table, row).is_err() {
                    obsolete.push(Change { table: *table, key: row.0.clone(), value: None });
                }
            }
        }
        self.restore(now, &snapshot)?;
        self.cx.store.unmark(&snapshot);
        self.reading.is_stored();
        self.out.saving.remove(obsolete);
        Ok(())
    }

    /// Takes in some more of what this node held for others, or of what it has listed.
    pub(crate) fn restore_more(&mut self, now: Now, Rows { table, rows }: &Rows) {
        self.set_time(now);
        let mut snapshot = Snapshot::of_rows(self.cx.config.network.clone());
        let (good, bad): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| snapshot.read_row(*table, row).is_ok());
        for (key, _) in bad {
            match table {
                Table::Catalogue => self.catalogue_row_read(key.clone(), None),
                Table::Held if self.cx.store.unreadable(key) => {}
                // Nothing that is known is ever written under such a key.
                _ => {
                    let gone = Change { table: *table, key: key.clone(), value: None };
                    self.out.saving.remove([gone]);
                }
            }
        }
        let snapshot = self.cx.store.index(snapshot);
        let published = self.cx.store.restore(&snapshot);
        self.cx.store.unmark(&snapshot);
        self.cx.store.cool();
        self.publishing.restore_more(published.into_values());
        if *table == Table::Catalogue {
            let keys = good.into_iter().map(|(key, _)| key.clone());
            self.discovery.restore_more(keys.zip(snapshot.catalogue().iter().cloned()));
        }
        self.restore_listed();
    }

    /// Takes in the row that the storage has of a held record, or that it has none.
    pub(crate) fn fetched(&mut self, now: Now, digest: [u8; 32], value: Option<Vec<u8>>) {
        self.set_time(now);
        let mut snapshot = Snapshot::of_rows(self.cx.config.network.clone());
        let row = value.map(|value| (digest.to_vec(), value));
        let is_read = row.as_ref().is_some_and(|row| snapshot.read_row(Table::Held, row).is_ok());
        if is_read {
            self.cx.store.warm(&digest, &snapshot);
        }
        self.cx.store.settle_fetch(&digest);
    }

    /// The digest of the key of a held record that is to be fetched, though nobody waits for it.
    pub(crate) fn next_wanted(&self) -> Option<[u8; 32]> {
        self.cx.store.next_wanted()
    }

    /// Makes room in memory again for what is fetched next.
    pub(crate) fn cool(&self) {
        self.cx.store.cool();
    }
}
