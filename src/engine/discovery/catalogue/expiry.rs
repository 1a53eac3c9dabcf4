//! What has expired: it is hidden at once, and forgotten when that is certain, or when there is no room.

use std::ops::Bound;

use super::{
    Catalogue, Gone,
    entry::{Entry, Listing, Worth},
};

impl Catalogue {
    /// Forgets at most `budget` entries that have expired by this time, which has come for certain. What has expired
    /// since by a calendar that may be wrong is never told, but stays until room is needed.
    pub(crate) fn sweep(&mut self, certain: u64, budget: usize) -> Gone {
        self.certain = certain;
        self.drop_expired(certain, budget)
    }

    pub(super) fn drop_expired(&mut self, unix: u64, budget: usize) -> Gone {
        let mut gone = Vec::new();
        for _ in 0..budget {
            match self.by_expiry.first() {
                Some(&(expires, id)) if expires <= unix => gone.extend(self.remove(id)),
                _ => break,
            }
        }
        gone
    }

    /// The calendar shows this time. What has expired by it is hidden from here on, and what has not is there, even if it
    /// was hidden before.
    pub(crate) fn set_time(&mut self, unix: u64) {
        let (first, last) = (self.unix.min(unix), self.unix.max(unix));
        let passed = (Bound::Excluded((first, u32::MAX)), Bound::Included((last, u32::MAX)));
        let is_later = unix > self.unix;
        self.unix = unix;
        for (_, id) in self.by_expiry.range(passed) {
            let Some(Entry { listing, worth, .. }) = self.entries.get(*id) else { continue };
            let is_known = usize::from(is_known(listing, *worth));
            if is_later {
                self.hidden += 1;
                self.sum.take(&listing.digest);
                self.known -= is_known;
            } else {
                self.hidden -= 1;
                self.sum.add(&listing.digest);
                self.known += is_known;
            }
        }
    }

    /// How many entries have expired and are still here.
    pub(crate) fn hidden(&self) -> usize {
        self.hidden
    }
}

/// Whether it is a package of somebody else's that is there.
pub(super) fn is_known(listing: &Listing, worth: Worth) -> bool {
    !listing.rank.withdrawn && worth != Worth::Own
}
