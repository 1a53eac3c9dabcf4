//! Packages that this node can answer for, where callers on any thread read them without waiting for the node.
//!
//! The engine is the only writer: it puts here what it would answer, and takes it away in the same step in
//! which that stops being so. Readers check the two clocks themselves, so that nothing is served past its time
//! while the node is not being polled.
//!
//! Since callers who are answered from here do not trouble the node, they count their calls here as well.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    clock::Clock,
    counters::{CountedByCallers, EndedCall},
    package::{Package, PackageId},
};

/// The shelf. All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    packages: RwLock<HashMap<PackageId, Shelved>>,
    /// Packages that were read here since the engine has looked, each once for as long as it stands here.
    used: Mutex<Vec<PackageId>>,
    is_used: AtomicBool,
    counted: CountedByCallers,
}

/// So many uses are told to the engine at the most; of more, it learns when they are read again.
const TOLD_USES: usize = 4096;

#[derive(Debug)]
struct Shelved {
    package: Arc<Package>,
    /// Monotonic time from which on it is no longer answered; an own package has none.
    until: Option<Duration>,
    /// Unix seconds from which on its head is no longer valid.
    expires: u64,
    /// Whether the engine has been told that it was read.
    is_used: AtomicBool,
}

impl Shelf {
    /// The newest release of a package, if this node knows it. Identifiers that name a version are for the node.
    pub(crate) fn get(&self, id: &PackageId, clock: &dyn Clock) -> Option<Arc<Package>> {
        self.get_at(id, || (clock.now(), clock.unix_time().as_secs()))
    }

    /// As [`get`](Self::get), at a time on both scales, which is only asked for where there is something to time.
    pub(crate) fn get_at(
        &self,
        id: &PackageId,
        time: impl FnOnce() -> (Duration, u64),
    ) -> Option<Arc<Package>> {
        if id.version().is_some() {
            return None;
        }
        let packages = self.0.packages.read().unwrap_or_else(PoisonError::into_inner);
        let shelved = packages.get(id)?;
        let (mono, unix) = time();
        let lapsed = shelved.until.is_some_and(|until| until <= mono);
        if lapsed || unix >= shelved.expires {
            return None;
        }
        // What this node publishes stays by itself.
        if shelved.until.is_some() && !shelved.is_used.load(Relaxed) {
            self.tell_used(id, shelved);
        }
        // What is copied is copied outside of the lock: a manifest is a page of text.
        Some(Arc::clone(&shelved.package))
    }

    #[cold]
    fn tell_used(&self, id: &PackageId, shelved: &Shelved) {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < TOLD_USES && !shelved.is_used.swap(true, Relaxed) {
            used.push(id.clone());
            // Those who see it find the list once this lock is free.
            self.0.is_used.store(true, Relaxed);
        }
    }

    /// The packages of others that were read here since the last time.
    pub(crate) fn take_used(&self) -> Vec<PackageId> {
        // Nearly always there are none.
        if !self.0.is_used.load(Relaxed) {
            return Vec::new();
        }
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.is_used.store(false, Relaxed);
        std::mem::take(&mut *used)
    }

    /// Puts a package here, under each of the identifiers, in the place of what was there.
    pub(crate) fn put(
        &self,
        ids: impl IntoIterator<Item = PackageId>,
        package: Package,
        until: Option<Duration>,
        expires: u64,
    ) {
        let package = Arc::new(package);
        let mut packages = self.0.packages.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            let (package, is_used) = (Arc::clone(&package), AtomicBool::new(false));
            packages.insert(id, Shelved { package, until, expires, is_used });
        }
    }

    /// Takes a package away.
    pub(crate) fn remove(&self, id: &PackageId) {
        self.0.packages.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Takes everything away: the node answers for nothing any more.
    pub(crate) fn clear(&self) {
        self.0.packages.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A call has ended without the node.
    pub(crate) fn count(&self, ended: EndedCall) {
        self.0.counted.count(ended);
    }

    /// The calls that have ended without the node.
    pub(crate) fn counted(&self) -> &CountedByCallers {
        &self.0.counted
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.packages.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
