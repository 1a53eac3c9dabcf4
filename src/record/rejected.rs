use super::{
    limits::{MAX_CLOCK_SKEW_SECS, MAX_LIFETIME_SECS, MAX_RECORD_BYTES},
    revision::Rank,
};
use crate::error::Error;

/// Why bytes from the network are not a record.
///
/// Whoever sent them either has been careless or lies, except where the variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// More bytes than a record may have.
    #[error("{size} bytes, of at most {MAX_RECORD_BYTES}")]
    TooLarge {
        /// How many there are.
        size: usize,
    },

    /// The key is not one of this registry's.
    #[error("the key is not `/pg/` and a hash")]
    NotOurs,

    /// The bytes are of another format; maybe of a later version of the sender's software.
    #[error("format {found} is not known")]
    Format {
        /// The first byte.
        found: u8,
    },

    /// The record is of a kind that is not known, or that does not belong here.
    #[error("kind {found:#04x} does not belong here")]
    Kind {
        /// The second byte.
        found: u8,
    },

    /// The bytes are not the strict encoding of a body.
    #[error("{reason}")]
    Encoding {
        /// What is wrong with them.
        reason: &'static str,
    },

    /// A field is out of its bounds.
    #[error("{0}")]
    Bounds(Box<Error>),

    /// The record belongs to another network.
    #[error("the record is of another network")]
    Network,

    /// The record belongs under another key.
    #[error("the record belongs under another key")]
    Key,

    /// The signer is neither the owner nor delegated by it, or a key is one that anybody can sign with.
    #[error("the signer is neither the owner nor its delegate, or has a weak key")]
    Signer,

    /// The record is not one that the delegation which it carries allows.
    #[error("the delegation does not allow it: {reason}")]
    Delegation {
        /// What it does not allow.
        reason: &'static str,
    },

    /// The record is out of date. Peers may hold such a record without fault.
    #[error("expired at {expires}, and it is {now} (Unix seconds)")]
    Expired {
        /// When it expired, in Unix seconds.
        expires: u64,
        /// The time it was verified at, in Unix seconds.
        now: u64,
    },

    /// The record was issued in the future. One of the two clocks is wrong.
    #[error("issued at {issued}, {MAX_CLOCK_SKEW_SECS} s or more after {now} (Unix seconds)")]
    Future {
        /// When it was issued, in Unix seconds.
        issued: u64,
        /// The time it was verified at, in Unix seconds.
        now: u64,
    },

    /// The record is valid for no time at all, or for too long.
    #[error("valid from {issued} to {expires}, of at most {MAX_LIFETIME_SECS} s")]
    Lifetime {
        /// When it was issued, in Unix seconds.
        issued: u64,
        /// When it expires, in Unix seconds.
        expires: u64,
    },

    /// A newer record of this package has been seen, or the end of it. Peers may hold such a record without fault.
    #[error("{found} does not come after {known}, which has been seen")]
    Stale {
        /// The highest rank seen.
        known: Rank,
        /// The rank of this record.
        found: Rank,
    },

    /// The publisher's key has been replaced: a record of the owner with a higher epoch has been seen. Peers that
    /// have not seen it may hold such a record without fault.
    #[error("epoch {epoch} is revoked: the owner has gone on to {floor}")]
    Revoked {
        /// The epoch of this record.
        epoch: u32,
        /// The highest epoch seen of the owner.
        floor: u32,
    },

    /// The two heads are no proof of anything: they are the same, or not of one package and revision.
    #[error("the two heads prove nothing: {reason}")]
    Proof {
        /// What they lack.
        reason: &'static str,
    },

    /// The page is not the one that the link means, or does not continue the list.
    #[error("the page does not continue the list: {reason}")]
    Page {
        /// What does not fit.
        reason: &'static str,
    },

    /// The signature is not the signer's, or not over this.
    #[error("the signature does not verify")]
    Signature,
}

impl Rejected {
    /// Whether an honest peer may well send this: a record that has been overtaken by time or by a
    /// newer one, that a differing clock judges differently, or that a later version has written.
    #[must_use]
    pub fn is_excusable(&self) -> bool {
        match self {
            Self::Format { .. }
            | Self::Expired { .. }
            | Self::Future { .. }
            | Self::Stale { .. }
            | Self::Revoked { .. } => true,
            Self::TooLarge { .. }
            | Self::NotOurs
            | Self::Kind { .. }
            | Self::Encoding { .. }
            | Self::Bounds(_)
            | Self::Network
            | Self::Key
            | Self::Signer
            | Self::Delegation { .. }
            | Self::Lifetime { .. }
            | Self::Page { .. }
            | Self::Proof { .. }
            | Self::Signature => false,
        }
    }

    pub(crate) const fn encoding(reason: &'static str) -> Self {
        Self::Encoding { reason }
    }

    pub(super) const fn delegation(reason: &'static str) -> Self {
        Self::Delegation { reason }
    }
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self::Bounds(Box::new(error))
    }
}
