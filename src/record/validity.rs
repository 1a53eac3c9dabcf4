use super::{
    limits::{MAX_CLOCK_SKEW_SECS, MAX_LIFETIME_SECS},
    rejected::Rejected,
};
use crate::error::{Error, Result};

/// By how much what ends something outlives it, in seconds: an hour.
///
/// A registry signs tombstones for [`MAX_LIFETIME_SECS`], and live heads for this much less at the most, mostly for a day
/// less. A head that yanks a release, or begins a new epoch, holds for this much longer than the one before it, within
/// that bound, and none ends before the one that it follows. So a peer that was away while something ended, and still has
/// what was there before, finds the end of it with others for as long as anybody believes what it has. Verification does
/// not depend on this.
pub const END_MARGIN_SECS: u64 = 60 * 60;

/// When a record holds: from `issued` until before `expires`, in Unix seconds, for at most
/// [`MAX_LIFETIME_SECS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Validity {
    /// When the record was signed, in Unix seconds.
    pub issued: u64,
    /// From when on the record no longer holds, in Unix seconds.
    pub expires: u64,
}

impl Validity {
    /// From `issued` on, for so many seconds.
    #[must_use]
    pub const fn starting(issued: u64, seconds: u64) -> Self {
        Self { issued, expires: issued.saturating_add(seconds) }
    }

    /// Whether a record of this validity no longer holds.
    #[must_use]
    pub const fn is_expired(&self, now: u64) -> bool {
        now >= self.expires
    }

    /// Whether nobody believes a record of this validity yet: it was issued in the future, by more than clocks may differ.
    pub(crate) const fn is_early(&self, now: u64) -> bool {
        self.issued > now.saturating_add(MAX_CLOCK_SKEW_SECS)
    }

    /// The lifetime is as a record's must be, whatever the time.
    pub(super) fn validate(&self) -> Result<()> {
        self.validate_within(MAX_LIFETIME_SECS)
    }

    /// The lifetime is one, and not longer than this.
    pub(super) fn validate_within(&self, most: u64) -> Result<()> {
        if self.is_within(most) {
            return Ok(());
        }
        let reason = format!("is {}; up to {most} s after `issued` are accepted", self.expires);
        Err(Error::invalid("expires", reason))
    }

    /// The lifetime is as a record's must be, of one that somebody else has signed.
    pub(super) fn check_lifetime(&self) -> Result<(), Rejected> {
        let Self { issued, expires } = *self;
        if !self.is_within(MAX_LIFETIME_SECS) {
            return Err(Rejected::Lifetime { issued, expires });
        }
        Ok(())
    }

    pub(crate) fn check(&self, now: u64) -> Result<(), Rejected> {
        self.check_lifetime()?;
        self.check_now(now)
    }

    /// It holds at this time, however long it is.
    pub(super) fn check_now(&self, now: u64) -> Result<(), Rejected> {
        let Self { issued, expires } = *self;
        if self.is_expired(now) {
            return Err(Rejected::Expired { expires, now });
        }
        if self.is_early(now) {
            return Err(Rejected::Future { issued, now });
        }
        Ok(())
    }

    pub(super) fn is_within(&self, most: u64) -> bool {
        self.expires.checked_sub(self.issued).is_some_and(|s| (1..=most).contains(&s))
    }
}
