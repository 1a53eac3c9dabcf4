use std::fmt;

use super::Rejected;
use crate::{Error, Result};

/// How far in the future a record may have been issued, in seconds, since clocks differ.
pub const MAX_CLOCK_SKEW_SECS: u64 = 5 * 60;

/// The longest time that a record may be valid for, in seconds: 30 days.
pub const MAX_LIFETIME_SECS: u64 = 30 * 24 * 60 * 60;

/// By how much what ends something outlives it, in seconds: an hour.
///
/// A registry signs tombstones for [`MAX_LIFETIME_SECS`], and live heads for this much less at the most, mostly for a day
/// less. A head that yanks a release, or begins a new epoch, holds for this much longer than the one before it, within
/// that bound, and none ends before the one that it follows. So a peer that was away while something ended, and still has what was there before, finds the end of it with others for as
/// long as anybody believes what it has. Verification does not depend on this.
pub const END_MARGIN_SECS: u64 = 60 * 60;

/// Which of an owner's records on a package is the newer one: the epoch decides, then the sequence.
///
/// The sequence rises from record to record: a node signs the Unix time in seconds, or one more than the highest
/// sequence that it has seen, whichever is more. The epoch is raised when keys are rotated, so that whoever holds an
/// old publisher key cannot outbid the owner by a high sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    // The order of the fields is the order of comparison.
    /// The epoch, compared first.
    pub epoch: u32,
    /// The sequence within the epoch.
    pub sequence: u64,
}

impl Revision {
    /// The revision of this epoch and sequence.
    #[must_use]
    pub const fn new(epoch: u32, sequence: u64) -> Self {
        Self { epoch, sequence }
    }

    /// The revision after this one, in the same epoch. Where there is none, the owner goes on with the first
    /// of the next epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the epoch has no further sequence.
    pub fn next(self) -> Result<Self> {
        let exhausted = || Error::Conflict { reason: format!("epoch {} is used up", self.epoch) };
        let sequence = self.sequence.checked_add(1).ok_or_else(exhausted)?;
        Ok(Self { sequence, ..self })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

/// What orders the heads of a package, wherever and in whatever order they arrive: the epoch decides, then whether it is
/// the end, then the sequence.
///
/// So the end of a package is the end: once its owner has withdrawn it, no sequence leads past that. Only another epoch
/// does, which only the owner's own key can begin: were a publisher's key stolen, whoever has it could else end packages
/// for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rank {
    // The order of the fields is the order of comparison.
    /// The epoch, compared first.
    pub epoch: u32,
    /// Whether the package is withdrawn by it.
    pub withdrawn: bool,
    /// The sequence within the epoch.
    pub sequence: u64,
}

impl Rank {
    /// Its epoch and sequence.
    #[must_use]
    pub const fn revision(self) -> Revision {
        Revision::new(self.epoch, self.sequence)
    }
}

/// That of a record which withdraws nothing.
impl From<Revision> for Rank {
    fn from(revision: Revision) -> Self {
        Self { epoch: revision.epoch, withdrawn: false, sequence: revision.sequence }
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.revision().fmt(f)?;
        f.write_str(if self.withdrawn { " (withdrawn)" } else { "" })
    }
}

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
        is_early(self.issued, now)
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
        let Self { issued, expires } = *self;
        self.check_lifetime()?;
        if self.is_expired(now) {
            return Err(Rejected::Expired { expires, now });
        }
        check_issued(issued, now)
    }

    pub(super) fn is_within(&self, most: u64) -> bool {
        self.expires.checked_sub(self.issued).is_some_and(|s| (1..=most).contains(&s))
    }
}

const fn is_early(issued: u64, now: u64) -> bool {
    issued > now.saturating_add(MAX_CLOCK_SKEW_SECS)
}

pub(super) fn check_issued(issued: u64, now: u64) -> Result<(), Rejected> {
    if is_early(issued, now) {
        return Err(Rejected::Future { issued, now });
    }
    Ok(())
}
