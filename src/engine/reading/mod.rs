//! Callers who wait for records: freshness, what was read before, what is absent, who owns a name.

use std::time::Duration;

use super::recent::Recent;
use crate::{Config, Digest, PeerId, record::RecordKey, shelf::Shelf};

pub(in crate::engine) mod cache;
pub(in crate::engine) mod lookups;
pub(in crate::engine) mod pins;
pub(in crate::engine) mod read;
pub(in crate::engine) mod resuming;

use cache::Cache;
use pins::Pins;

/// Replicas of one record are repaired once in this time, of so many records at the most.
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const REMEMBERED_REPAIRS: usize = 4096;

/// The room of readers.
#[derive(Debug)]
pub(in crate::engine) struct Reading {
    pub(in crate::engine) cache: Cache,
    pub(in crate::engine) absences: Recent<RecordKey>,
    /// Records that replicas were sent a moment ago, because they lacked them. What they say is part of it, so that a
    /// newer one need not wait.
    pub(in crate::engine) repairs: Recent<(RecordKey, Digest)>,
    pub(in crate::engine) pins: Pins,
    /// What callers may read without asking.
    pub(in crate::engine) shelf: Shelf,
}

impl Reading {
    pub(in crate::engine) fn new(owner: PeerId, config: &Config, shelf: Shelf) -> Self {
        let limits = &config.limits;
        Self {
            cache: Cache::new(config.cache_ttl, limits.cache_records, owner, shelf.clone()),
            absences: Recent::new(config.absence_ttl, limits.cache_records),
            repairs: Recent::new(REPAIR_INTERVAL, REMEMBERED_REPAIRS),
            pins: Pins::new(config.pins.clone(), config.pin_on_first_use, limits.pins),
            shelf,
        }
    }
}
