//! Numbers that bound what is signed, and that format 1 has for good.

use crate::error::{Error, Result};

/// The most bytes of a record, envelope and all.
pub const MAX_RECORD_BYTES: usize = 8192;

/// The most bytes of a body's `ext`: room for a delegation, and for what later versions sign without changing the
/// format.
pub const MAX_EXT_BYTES: usize = 512;

/// The most bytes that a manifest takes in a record.
pub const MAX_MANIFEST_BYTES: usize = 5120;

/// The most releases of a package, in its head and all of its pages.
pub const MAX_RELEASES: usize = 5_000;

/// How far in the future a record may have been issued, in seconds, since clocks differ.
pub const MAX_CLOCK_SKEW_SECS: u64 = 5 * 60;

/// The longest time that a record may be valid for, in seconds: 30 days.
pub const MAX_LIFETIME_SECS: u64 = 30 * 24 * 60 * 60;

/// The longest time that a delegation may hold for, in seconds: 366 days, so that a year always fits.
pub const MAX_DELEGATION_SECS: u64 = 366 * 24 * 60 * 60;

/// How many bytes something may take, and what it is called where it takes more.
#[derive(Debug, Clone, Copy)]
pub struct SizeLimit {
    pub(super) what: &'static str,
    pub(super) max: usize,
}

impl SizeLimit {
    pub(super) const RECORD: Self = Self { what: "record", max: MAX_RECORD_BYTES };
    pub(super) const MANIFEST: Self = Self { what: "manifest", max: MAX_MANIFEST_BYTES };

    pub(super) fn check(self, size: usize) -> Result<()> {
        let Self { what, max } = self;
        if size > max {
            return Err(Error::TooLarge { what: what.into(), size, max });
        }
        Ok(())
    }
}
