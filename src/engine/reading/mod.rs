//! Callers who wait for records: freshness, what was read before, what is absent, who owns a name.
//!
//! The life of a get, from top to bottom. The [flow](crate::engine::flows) of reads carries it from one to the next, and
//! asks the other rooms what this one does not know.
//!
//! | step | file |
//! |--|--|
//! | a caller asks for a package or a record | `beginning.rs` |
//! | a read of a package needs one record after the other | `read.rs` |
//! | is it known here, or absent? | `lookups.rs`, `cache.rs`, `absences.rs` |
//! | if not, the call waits, and its lookup stands in line | `waiting.rs`, `queries.rs` |
//! | copies arrive, until there are enough for somebody | `copies.rs` |
//! | the lookup ends: what was the best, and was enough heard? | `ended.rs` |
//! | who lacks the best is sent it | `repairs.rs` |
//! | the call goes on, or is answered | `resuming.rs` |
//!
//! What others ask of this room that is no step of a read is in `asked.rs`.

use std::time::Duration;

use libp2p::PeerId;

use super::recent::Recent;
use crate::{config::Config, package::Digest, record::RecordKey, shelf::Shelf};

use absences::Absences;
use cache::Cache;
use pins::Pins;
use queries::Queries;
use waiting::Calls;

mod absences;
mod asked;
mod beginning;
mod cache;
mod copies;
mod ended;
pub(in crate::engine) mod lookups;
mod pins;
pub(in crate::engine) mod queries;
pub(in crate::engine) mod read;
mod repairs;
mod resuming;
#[cfg(test)]
mod tests;
pub(in crate::engine) mod waiting;

pub(in crate::engine) use asked::REPLICATION_BUDGET;
pub(in crate::engine) use copies::{AfterCopy, Answered, Enough, Refusal, ValidCopy};
pub(in crate::engine) use ended::{EndedLookup, Over};
pub(in crate::engine) use lookups::Here;

/// Replicas of one record are repaired once in this time, of so many records at the most.
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const REMEMBERED_REPAIRS: usize = 4096;

/// The room of readers.
#[derive(Debug)]
pub(in crate::engine) struct Reading {
    /// Who waits.
    calls: Calls,
    /// What the DHT is asked, on behalf of callers and of changes to own packages.
    queries: Queries,
    cache: Cache,
    absences: Absences,
    /// Records that replicas were sent a moment ago, because they lacked them. What they say is part of it, so that a
    /// newer one need not wait.
    repairs: Recent<(RecordKey, Digest)>,
    pins: Pins,
    /// What callers may read without asking.
    shelf: Shelf,
}

impl Reading {
    pub(in crate::engine) fn new(owner: PeerId, config: &Config, shelf: Shelf) -> Self {
        let limits = &config.limits;
        Self {
            calls: Calls::default(),
            queries: Queries::new(limits.running_queries),
            cache: Cache::new(config.cache_ttl, limits.cache_records, owner, shelf.clone()),
            absences: Absences::new(config),
            repairs: Recent::new(REPAIR_INTERVAL, REMEMBERED_REPAIRS),
            pins: Pins::new(config.pins.clone(), config.pin_on_first_use, limits.pins),
            shelf,
        }
    }
}
