//! What a node knows from an earlier life, and what it leaves for the next one.
//!
//! The calendar that a machine starts with may be wrong by years, until somebody sets it a moment later. So nothing is
//! dropped for the date that it shows then: all is verified, at the time at which it was issued where it does not hold
//! now, and is taken in as if it had been there all along. For an hour no time counts as over (see `clocks.rs`). What is
//! out of its time is hidden meanwhile, as it is where the calendar jumps later on.

use std::sync::Arc;

use crate::{
    Error, Result,
    engine::{
        Context, Deadline, Discovery, Engine, Now, Snapshot, catalogue::Interest, earlier::Earlier,
    },
};

/// How many heads of a snapshot are verified in one go: a few milliseconds' work.
const RESTORED_AT_ONCE: usize = 64;

impl Discovery {
    /// What a snapshot has of the catalogue: the heads that are listed, hidden ones too, and those of an earlier life that
    /// are still to be, as far as there is room for them.
    pub(in crate::engine) fn heads_of_others(&self, cx: &Context, now: Now) -> Vec<Arc<[u8]>> {
        let mut heads = self.catalogue.heads_of_others(cx.clocks.certain(now));
        let room = cx.config.limits.catalogue_packages.saturating_sub(heads.len());
        heads.extend(self.restoring.iter().take(room).cloned());
        heads
    }
}

impl Engine {
    /// Takes in what an earlier node knew. What is configured comes first.
    pub(crate) fn restore(&mut self, now: Now, snapshot: &Snapshot) -> Result<()> {
        if *snapshot.network() != self.cx.config.network {
            let reason = format!("is of the network `{}`", snapshot.network());
            return Err(Error::invalid("snapshot", reason));
        }
        self.cx.clocks.restored(now);
        self.show_time(now);
        let published = self.cx.store.restore(snapshot);
        self.reading.restore_pins(snapshot.pins());
        self.publishing.restore_outbox(&self.cx, now, snapshot);
        // What this node has published is listed as others' packages are, until it publishes it again.
        let heads = published.values().map(|head| head.bytes());
        self.discovery.restoring = heads.chain(snapshot.catalogue()).cloned().collect();
        self.publishing.resuming = Earlier::new(published.into_values());
        Ok(())
    }

    /// Verifies some more heads of an earlier life's catalogue, and lists them. Nobody is told of them again. Before that is
    /// done, the catalogue is not compared with anybody's.
    pub(in crate::engine) fn restore_listed(&mut self, now: Now) {
        self.note_uses(now);
        for _ in 0..RESTORED_AT_ONCE {
            let Some(bytes) = self.discovery.restoring.pop_front() else { break };
            match self.cx.store.verify_kept_head(&bytes, now.unix) {
                Ok(head) => {
                    self.cx.store.raise_high_water(&head);
                    let interest = match self.cx.store.is_wanted(&head.owner, &head.name) {
                        true => Interest::Used,
                        false => Interest::Heard,
                    };
                    // It is listed though it may be hidden now.
                    let then = Now { unix: head.validity.issued.min(now.unix), ..now };
                    self.list(then, &head, None, interest);
                    self.discovery.catalogue.tell(&head.name, &head.owner);
                }
                Err(rejected) => tracing::debug!(%rejected, "head of a snapshot dropped"),
            }
        }
        if self.discovery.restoring.is_empty() {
            self.discovery.next_session(&self.cx, &mut self.out, now);
        } else {
            let soon = now.mono.saturating_add(self.cx.config.sweep_granularity);
            self.out.wheel.insert(soon, Deadline::Restore);
        }
    }

    /// What the next life is to know.
    pub(in crate::engine) fn snapshot(&self, now: Now) -> Snapshot {
        let snapshot = self.cx.store.snapshot(self.reading.pinned());
        snapshot
            .with_published(self.publishing.resuming.heads())
            .with_outbox(self.publishing.outbox.unheard())
            .with_catalogue(self.discovery.heads_of_others(&self.cx, now))
    }
}
