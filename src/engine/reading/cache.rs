//! Records that were read or announced a short while ago.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    engine::{interface::Now, packages},
    package::{PackageId, Source},
    record::{Head, Record, RecordKey},
    shelf::Shelf,
};

/// The calendar is told in whole seconds, a moment late: so much more of it is waited for, so that where both clocks keep
/// step it is the monotonic one that ends an entry's time.
const CALENDAR_STEP: u64 = 2;

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// Monotonic time at which it is no longer answered.
    until: Duration,
    /// Unix seconds at which it is not either: the monotonic clock stands still while the machine sleeps.
    until_unix: u64,
}

/// Verified records with a time to live, bounded in number: the one that would lapse first goes. What they say of
/// other owners' packages stands on the shelf for as long as they stay.
#[derive(Debug)]
pub(crate) struct Cache {
    records: HashMap<RecordKey, Entry>,
    by_time: BTreeSet<(Duration, RecordKey)>,
    ttl: Duration,
    bound: usize,
    /// Whom this node publishes for: those packages are not the cache's business.
    owner: PeerId,
    shelf: Shelf,
}

impl Cache {
    pub(crate) fn new(ttl: Duration, bound: usize, owner: PeerId, shelf: Shelf) -> Self {
        Self { records: HashMap::new(), by_time: BTreeSet::new(), ttl, bound, owner, shelf }
    }

    /// Keeps a record for the cache's time to live. The caller decides which of two records is newer.
    pub(crate) fn insert(&mut self, key: RecordKey, record: Arc<Record>, now: Now) {
        if self.bound == 0 {
            return;
        }
        self.remove(&key);
        while self.records.len() >= self.bound {
            let Some(&(_, soonest)) = self.by_time.first() else { break };
            self.remove(&soonest);
        }
        let until = now.mono.saturating_add(self.ttl);
        let until_unix = now.unix.saturating_add(self.ttl.as_secs()).saturating_add(CALENDAR_STEP);
        if let Some((head, id)) = self.shelved(&record)
            && let Some(package) = packages::newest(head, Source::Cache)
        {
            let expires = head.validity.expires.min(until_unix);
            self.shelf.put([id], package, Some(until), expires);
        }
        self.records.insert(key, Entry { record, until, until_unix });
        self.by_time.insert((until, key));
    }

    pub(crate) fn get(&self, key: &RecordKey, now: Now) -> Option<&Arc<Record>> {
        let entry = self.records.get(key)?;
        (entry.until > now.mono && entry.until_unix > now.unix).then_some(&entry.record)
    }

    pub(crate) fn remove(&mut self, key: &RecordKey) {
        if let Some(entry) = self.records.remove(key) {
            self.by_time.remove(&(entry.until, *key));
            if let Some((_, id)) = self.shelved(&entry.record) {
                self.shelf.remove(&id);
            }
        }
    }

    /// Forgets the head of a package if a newer one than this has been seen.
    pub(crate) fn outdate(&mut self, head: &Head, key: &RecordKey) {
        if let Some(entry) = self.records.get(key)
            && let Record::Head(known) = &*entry.record
            && known.rank() < head.rank()
        {
            self.remove(key);
        }
    }

    /// The head and the identifier under which a record stands on the shelf.
    fn shelved<'a>(&self, record: &'a Record) -> Option<(&'a Head, PackageId)> {
        match record {
            Record::Head(head) if head.owner != self.owner => {
                Some((head, PackageId::owned(head.owner, head.name.clone())))
            }
            Record::Head(_) | Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
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
