//! Own packages: how a change takes its course, how it is announced, and how it is kept alive.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::deadlines::{Backoff, Retry};
use crate::{Limits, PackageName};

pub(in crate::engine) mod announcing;
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
pub(in crate::engine) mod signer;
pub(in crate::engine) mod topics;
pub(in crate::engine) mod upkeep;

use changes::Changes;
use earlier::Earlier;
use outbox::Outbox;
use own::{OwnPackage, elsewhere::Elsewhere};
use publish::Renewal;
use topics::Topics;

/// Pauses before own records that no connected peer took are put again.
const REPLICATION: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(3600));

/// The room of own packages.
#[derive(Debug)]
pub(in crate::engine) struct Publishing {
    pub(in crate::engine) own: BTreeMap<PackageName, OwnPackage>,
    /// Changes to them that are under way.
    pub(in crate::engine) changes: Changes,
    pub(in crate::engine) renewals: HashMap<PackageName, Renewal>,
    /// Own packages that the node is putting again by itself.
    pub(in crate::engine) renewing: BTreeSet<PackageName>,
    /// Own packages of an earlier life, of which this one has not read yet what stands of them.
    pub(in crate::engine) resuming: Earlier,
    pub(in crate::engine) elsewhere: Elsewhere,
    pub(in crate::engine) replication: Retry,
    pub(in crate::engine) outbox: Outbox,
    pub(in crate::engine) topics: Topics,
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
