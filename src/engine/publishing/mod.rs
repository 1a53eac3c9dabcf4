//! Own packages: how a change takes its course, how it is announced, and how it is kept alive.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    deadlines::{Backoff, Retry},
    store::Unheard,
};
use crate::{
    config::Limits,
    engine::{context::Context, store::Snapshot},
    package::PackageName,
    record::{Head, Signed},
    storage::Change,
    ticket::Ticket,
};

use changes::Changes;
use earlier::Earlier;
use outbox::Outbox;
use own::{OwnPackage, elsewhere::Elsewhere};
use publish::Renewal;
use topics::Topics;

pub(in crate::engine) mod announcing;
mod asked;
pub(in crate::engine) mod changes;
pub(in crate::engine) mod changing;
pub(in crate::engine) mod confirming;
pub(in crate::engine) mod earlier;
mod ending;
pub(in crate::engine) mod explaining;
pub(in crate::engine) mod listening;
pub(in crate::engine) mod look_alikes;
pub(in crate::engine) mod next;
pub(in crate::engine) mod outbox;
pub(in crate::engine) mod own;
pub(in crate::engine) mod publish;
pub(in crate::engine) mod recalling;
pub(in crate::engine) mod topics;
pub(in crate::engine) mod upkeep;

/// Pauses before own records that no connected peer took are put again.
const REPLICATION: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(3600));

/// The room of own packages.
#[derive(Debug)]
pub(in crate::engine) struct Publishing {
    own: BTreeMap<PackageName, OwnPackage>,
    /// Changes to them that are under way.
    changes: Changes,
    renewals: HashMap<PackageName, Renewal>,
    /// Own packages that the node is putting again by itself.
    renewing: BTreeSet<PackageName>,
    /// Own packages of an earlier life, of which this one has not read yet what stands of them.
    resuming: Earlier,
    elsewhere: Elsewhere,
    replication: Retry,
    outbox: Outbox,
    topics: Topics,
}

impl Publishing {
    pub(in crate::engine) fn new(limits: &Limits) -> Self {
        Self {
            own: BTreeMap::new(),
            changes: Changes::default(),
            renewals: HashMap::new(),
            renewing: BTreeSet::new(),
            resuming: Earlier::default(),
            elsewhere: Elsewhere::default(),
            replication: Retry { backoff: REPLICATION, timer: None },
            outbox: Outbox::new(limits.queued_announcements),
            topics: Topics::new(limits.topics),
        }
    }
}

/// What others have to know of this room.
impl Publishing {
    /// Whether this node has published a package of this name, withdrawn or not.
    pub(in crate::engine) fn is_own(&self, name: &PackageName) -> bool {
        self.own.contains_key(name)
    }

    /// Whether it publishes one.
    pub(in crate::engine) fn is_live(&self, name: &PackageName) -> bool {
        self.own.get(name).is_some_and(|own| !own.is_withdrawn())
    }

    /// How many it publishes.
    pub(in crate::engine) fn live_len(&self) -> usize {
        self.own.values().filter(|own| !own.is_withdrawn()).count()
    }

    /// The head of an own package that is in force, whether or not it holds now.
    pub(in crate::engine) fn head_in_force(&self, name: &PackageName) -> Option<&Signed<Head>> {
        self.own.get(name).map(|own| &own.head)
    }

    /// How many changes are under way.
    pub(in crate::engine) fn changes_len(&self) -> usize {
        self.changes.len()
    }

    /// Whether a call waits for a change.
    pub(in crate::engine) fn is_changing(&self, ticket: Ticket) -> bool {
        self.changes.contains(ticket)
    }

    /// Whether a change waits that has a deadline to end it.
    pub(in crate::engine) fn has_deadline(&self, ticket: Ticket) -> bool {
        self.changes.has_deadline(ticket)
    }

    /// How many announcements were sent, and how many wait to be.
    pub(in crate::engine) fn announcements_counted(&self) -> (u64, u64) {
        self.outbox.counted()
    }
}

/// What one life leaves for the next.
impl Publishing {
    /// Takes up what an earlier life has published, and what it left unheard.
    pub(in crate::engine) fn restore(
        &mut self,
        cx: &Context,
        snapshot: &Snapshot,
        published: impl Iterator<Item = Signed<Head>>,
    ) {
        self.restore_outbox(cx, snapshot);
        self.resuming.add(published);
    }

    /// Heads of an earlier life of which this one has not read yet what stands of them, with the time at which they end.
    pub(in crate::engine) fn earlier_heads(&self) -> impl Iterator<Item = (&Arc<[u8]>, u64)> {
        self.resuming.heads()
    }

    /// Announcements that wait to be heard or released, oldest first.
    pub(in crate::engine) fn unheard(&self) -> Vec<Unheard> {
        self.outbox.unheard()
    }
}

/// What the node's storage is to have of this room. Own records lie in the store.
impl Publishing {
    pub(in crate::engine) fn note_changes(&mut self) {
        self.outbox.note_changes();
    }

    pub(in crate::engine) fn unsaved(&self) -> usize {
        self.outbox.unsaved()
    }

    pub(in crate::engine) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        self.outbox.take_changes(changes);
    }

    pub(in crate::engine) fn settle_changes(&mut self, is_written: bool) {
        self.outbox.settle_changes(is_written);
    }

    /// Some more that an earlier life has published has been found.
    pub(in crate::engine) fn restore_more(
        &mut self,
        published: impl Iterator<Item = Signed<Head>>,
    ) {
        self.resuming.add(published);
    }
}

#[cfg(any(test, fuzzing))]
impl Publishing {
    /// How many deadlines are set at the most.
    pub(in crate::engine) fn timers(&self) -> usize {
        self.renewals.len()
            + self.elsewhere.timers()
            + usize::from(self.replication.timer.is_some())
            + self.changes.timers()
            + self.outbox.on_hold().count()
    }
}

/// What tests look at.
#[cfg(test)]
impl Publishing {
    pub(in crate::engine) fn own(&self) -> &BTreeMap<PackageName, OwnPackage> {
        &self.own
    }

    pub(in crate::engine) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(in crate::engine) fn resuming(&self) -> &Earlier {
        &self.resuming
    }

    pub(in crate::engine) fn elsewhere(&mut self) -> &mut Elsewhere {
        &mut self.elsewhere
    }

    pub(in crate::engine) fn topics(&mut self) -> &mut Topics {
        &mut self.topics
    }

    /// When each own package is put again by the calendar.
    pub(in crate::engine) fn due(&mut self) -> impl Iterator<Item = &mut u64> {
        self.renewals.values_mut().map(|renewal| &mut renewal.due)
    }

    /// The next pause is as long as after one more try.
    pub(in crate::engine) fn tried_once_more(&mut self) {
        self.replication.backoff.pause();
    }
}
