//! What a node knows from an earlier life, and what it leaves for the next one.
//!
//! The calendar that a machine starts with may be wrong by years, until somebody sets it a moment later. So nothing is
//! dropped for the date that it shows then: all is verified, at the time at which it was issued where it does not hold
//! now, and is taken in as if it had been there all along. For an hour no time counts as over (see `clocks.rs`). What is
//! out of its time is hidden meanwhile, as it is where the calendar jumps later on.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    engine::{
        context::Context,
        deadlines::Deadline,
        discovery::{Discovery, catalogue::Interest},
        effects::Effects,
        interface::Now,
    },
    record::{Head, Signed},
    storage::Change,
};

/// How many heads of a snapshot are verified in one go: a few milliseconds' work.
const RESTORED_AT_ONCE: usize = 64;

/// A head of an earlier life's catalogue, as it was read.
#[derive(Debug)]
pub(in crate::engine) struct Earlier {
    pub(in crate::engine) bytes: Arc<[u8]>,
    /// The key of its row, where it was read from the node's storage.
    pub(in crate::engine) row: Option<Vec<u8>>,
}

/// What an earlier life has listed, and is not listed yet.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    waiting: VecDeque<Earlier>,
    /// More of it has not been read from the storage yet.
    more_comes: bool,
}

impl Restoring {
    /// Whether all is listed.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && !self.more_comes
    }
}

/// A head of an earlier life's catalogue that holds.
#[derive(Debug)]
pub(in crate::engine) struct Restored {
    pub(in crate::engine) head: Signed<Head>,
    pub(in crate::engine) interest: Interest,
    /// The time at which it is listed: it may be hidden now.
    pub(in crate::engine) then: Now,
}

impl Restored {
    /// Verifies a head of an earlier life's catalogue.
    pub(in crate::engine) fn verify(cx: &Context, bytes: &[u8]) -> Option<Self> {
        let now = cx.now();
        let verified = cx.store.verify_kept_head(bytes, now.unix).inspect_err(|rejected| {
            tracing::debug!(%rejected, "head of a snapshot dropped");
        });
        let head = verified.ok()?;
        cx.store.raise_high_water(&head);
        let interest = match cx.store.is_wanted(&head.owner, &head.name) {
            true => Interest::Used,
            false => Interest::Heard,
        };
        let then = Now { unix: head.validity.issued.min(now.unix), ..now };
        Some(Self { head, interest, then })
    }
}

impl Discovery {
    /// These heads of an earlier life's catalogue are to be verified.
    pub(in crate::engine) fn restore(&mut self, heads: impl Iterator<Item = Arc<[u8]>>) {
        self.restoring.waiting.extend(heads.map(|bytes| Earlier { bytes, row: None }));
    }

    /// Some more of them, from the node's storage.
    pub(in crate::engine) fn restore_more(
        &mut self,
        heads: impl Iterator<Item = (Vec<u8>, Arc<[u8]>)>,
    ) {
        self.restoring.waiting.extend(heads.map(|(row, bytes)| Earlier { bytes, row: Some(row) }));
    }

    /// All has been read from the storage.
    pub(in crate::engine) fn all_read(&mut self) {
        self.restoring.more_comes = false;
    }

    /// How many of them are left.
    pub(in crate::engine) fn restoring_len(&self) -> usize {
        self.restoring.waiting.len()
    }

    /// The next of them, as many as are verified in one go.
    pub(in crate::engine) fn take_restoring(&mut self) -> Vec<Earlier> {
        let waiting = &mut self.restoring.waiting;
        waiting.drain(..waiting.len().min(RESTORED_AT_ONCE)).collect()
    }

    /// Some more are done. Before all are, the catalogue is not compared with anybody's.
    pub(in crate::engine) fn restore_on(&mut self, cx: &Context, out: &mut Effects) {
        if self.restoring.is_over() {
            self.next_session(cx, out);
        } else if !self.restoring.waiting.is_empty() {
            let soon = cx.now().mono.saturating_add(cx.config.sweep_granularity);
            out.wheel.insert(soon, Deadline::Restore);
        }
    }

    /// What a snapshot has of the catalogue: the heads that are listed, hidden ones too, and those of an earlier life that
    /// are still to be, as far as there is room for them.
    pub(in crate::engine) fn heads_of_others(&self, cx: &Context) -> Vec<Arc<[u8]>> {
        let mut heads = self.catalogue.heads_of_others(cx.clocks.certain(cx.now()));
        let room = cx.config.limits.catalogue_packages.saturating_sub(heads.len());
        heads.extend(self.restoring.waiting.iter().take(room).map(|head| Arc::clone(&head.bytes)));
        heads
    }
}

/// What the node's storage is to have of this room.
impl Discovery {
    pub(in crate::engine) fn note_changes(&mut self) {
        self.restoring.more_comes = true;
        self.catalogue.note_changes();
    }

    pub(in crate::engine) fn unsaved(&self) -> usize {
        self.catalogue.unsaved()
    }

    pub(in crate::engine) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        self.catalogue.take_changes(changes);
    }

    pub(in crate::engine) fn settle_changes(&mut self, is_written: bool) {
        self.catalogue.settle_changes(is_written);
    }

    /// A row was read, which has this head, or nothing that holds. Tells whether it can be a row of the catalogue.
    pub(in crate::engine) fn row_read(&mut self, row: &[u8], head: Option<&Signed<Head>>) -> bool {
        self.catalogue.row_read(row, head)
    }
}
