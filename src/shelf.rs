//! Packages that this node can answer for, where callers on any thread read them without waiting for the node.
//!
//! The engine is the only writer: it puts here what it would answer, and takes it away in the same step in
//! which that stops being so. Readers check the two clocks themselves, so that nothing is served past its time
//! while the node is not being polled.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crate::{Clock, Package, PackageId};

/// The shelf. All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Arc<RwLock<HashMap<PackageId, Shelved>>>);

#[derive(Debug)]
struct Shelved {
    package: Arc<Package>,
    /// Monotonic time from which on it is no longer answered; an own package has none.
    until: Option<Duration>,
    /// Unix seconds from which on its head is no longer valid.
    expires: u64,
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
        let packages = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let shelved = packages.get(id)?;
        let (mono, unix) = time();
        let lapsed = shelved.until.is_some_and(|until| until <= mono);
        // What is copied is copied outside of the lock: a manifest is a page of text.
        (!lapsed && unix < shelved.expires).then(|| Arc::clone(&shelved.package))
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
        let mut packages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            packages.insert(id, Shelved { package: Arc::clone(&package), until, expires });
        }
    }

    /// Takes a package away.
    pub(crate) fn remove(&self, id: &PackageId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Takes everything away: the node answers for nothing any more.
    pub(crate) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
