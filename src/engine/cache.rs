//! Records that were read or announced a short while ago.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::record::{Record, RecordKey};

#[derive(Debug)]
struct Entry {
    record: Record,
    /// Monotonic time at which it is no longer answered.
    until: Duration,
}

/// Verified records with a time to live, bounded in number: the one that would lapse first goes.
#[derive(Debug)]
pub(crate) struct Cache {
    records: HashMap<RecordKey, Entry>,
    by_time: BTreeSet<(Duration, RecordKey)>,
    ttl: Duration,
    bound: usize,
}

impl Cache {
    pub(crate) fn new(ttl: Duration, bound: usize) -> Self {
        Self { records: HashMap::new(), by_time: BTreeSet::new(), ttl, bound }
    }

    /// Keeps a record for the cache's time to live. The caller decides which of two records is newer.
    pub(crate) fn insert(&mut self, key: RecordKey, record: Record, now: Duration) {
        if self.bound == 0 {
            return;
        }
        self.remove(&key);
        while self.records.len() >= self.bound {
            let Some(&(_, soonest)) = self.by_time.first() else { break };
            self.remove(&soonest);
        }
        let until = now.saturating_add(self.ttl);
        self.records.insert(key, Entry { record, until });
        self.by_time.insert((until, key));
    }

    pub(crate) fn get(&self, key: &RecordKey, now: Duration) -> Option<&Record> {
        self.records.get(key).filter(|entry| entry.until > now).map(|entry| &entry.record)
    }

    pub(crate) fn remove(&mut self, key: &RecordKey) {
        if let Some(entry) = self.records.remove(key) {
            self.by_time.remove(&(entry.until, *key));
        }
    }

    /// Forgets at most `budget` records that have lapsed.
    pub(crate) fn sweep(&mut self, now: Duration, budget: usize) {
        for _ in 0..budget {
            match self.by_time.first() {
                Some(&(until, key)) if until <= now => self.remove(&key),
                _ => return,
            }
        }
    }
}
