//! Callers who wait for records: freshness, what was read before, what is absent, who owns a name.
//!
//! The life of a get, from top to bottom. The [flow](crate::engine::flows) of reads carries it from one to the next, and
//! asks the other rooms what this one does not know.
//!
//! | step | file |
//! |--|--|
//! | a caller asks for a package or a record | `beginning.rs` |
//! | a read of a package needs one record after the other | `read.rs` |
//! | is it known here, or absent? | `lookups.rs` |
//! | if not, the call waits, and its lookup stands in line | `waiting.rs`, `queries.rs` |
//! | copies arrive, until there are enough for somebody | `copies.rs` |
//! | the lookup ends: what was the best, and was enough heard? | `ended.rs` |
//! | who lacks the best is sent it | `repairs.rs` |
//! | the call goes on, or is answered | `resuming.rs` |

use std::{sync::Arc, time::Duration};

use super::{Now, recent::Recent};
use crate::{
    Config, Digest, PeerId,
    record::{Head, Record, RecordKey, Signed},
    shelf::Shelf,
};

mod beginning;
pub(in crate::engine) mod cache;
mod copies;
mod ended;
pub(in crate::engine) mod lookups;
pub(in crate::engine) mod pins;
pub(in crate::engine) mod queries;
pub(in crate::engine) mod read;
mod repairs;
mod resuming;
pub(in crate::engine) mod waiting;

pub(in crate::engine) use copies::{AfterCopy, Answered, Enough, Refusal, ValidCopy};
pub(in crate::engine) use ended::{EndedLookup, Over};
pub(in crate::engine) use lookups::Here;

use cache::Cache;
use pins::Pins;
use queries::Queries;
use waiting::Calls;

/// Replicas of one record are repaired once in this time, of so many records at the most.
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const REMEMBERED_REPAIRS: usize = 4096;

/// The room of readers.
#[derive(Debug)]
pub(in crate::engine) struct Reading {
    /// Who waits.
    pub(in crate::engine) calls: Calls,
    /// What the DHT is asked, on behalf of callers and of changes to own packages.
    pub(in crate::engine) queries: Queries,
    pub(in crate::engine) cache: Cache,
    pub(in crate::engine) absences: Recent<RecordKey>,
    /// Records that replicas were sent a moment ago, because they lacked them. What they say is part of it, so that a
    /// newer one need not wait.
    repairs: Recent<(RecordKey, Digest)>,
    pub(in crate::engine) pins: Pins,
    /// What callers may read without asking.
    pub(in crate::engine) shelf: Shelf,
}

impl Reading {
    pub(in crate::engine) fn new(owner: PeerId, config: &Config, shelf: Shelf) -> Self {
        let limits = &config.limits;
        Self {
            calls: Calls::default(),
            queries: Queries::new(limits.running_queries),
            cache: Cache::new(config.cache_ttl, limits.cache_records, owner, shelf.clone()),
            absences: Recent::new(config.absence_ttl, limits.cache_records),
            repairs: Recent::new(REPAIR_INTERVAL, REMEMBERED_REPAIRS),
            pins: Pins::new(config.pins.clone(), config.pin_on_first_use, limits.pins),
            shelf,
        }
    }

    /// Keeps what was read for a while.
    pub(in crate::engine) fn keep(&mut self, now: Now, record: &Arc<Record>) {
        self.cache.insert(record.key(), Arc::clone(record), now);
    }

    /// The head of a package that was read a short while ago.
    pub(in crate::engine) fn cached_head(
        &self,
        now: Now,
        key: &RecordKey,
    ) -> Option<&Signed<Head>> {
        match &**self.cache.get(key, now)? {
            Record::Head(head) => Some(head),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        }
    }

    /// What was read under this key is known better from now on.
    pub(in crate::engine) fn forget(&mut self, key: &RecordKey) {
        self.cache.remove(key);
    }

    /// This node has put a record under this key, whether or not it was there a moment ago.
    pub(in crate::engine) fn forget_absence(&mut self, key: &RecordKey) {
        self.absences.remove(key);
    }

    /// Whether no more is to be put by callers: what is put is carried out even if its caller goes away, so that it has
    /// a bound of its own.
    pub(in crate::engine) fn has_enough_puts(&self, most: usize) -> bool {
        self.queries.puts() >= most
    }

    /// Whether nothing is retained on behalf of any caller.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn is_at_rest(&self) -> bool {
        self.calls.len() == 0 && self.queries.is_empty()
    }
}
