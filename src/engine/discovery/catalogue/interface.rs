//! What goes into the catalogue and what comes out of it, as values.

use libp2p::PeerId;

use super::entry::{Entry, Listing, Worth};
use crate::{
    package::PackageName,
    record::{Head, Rank, Signed},
};

pub(crate) use crate::engine::interest::Interest;

/// How a head came here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The peer that delivered it, where it was one.
    pub(crate) from: Option<PeerId>,
    /// The time, in Unix seconds.
    pub(crate) unix: u64,
    pub(crate) interest: Interest,
}

/// What became of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is listed, and no head of its package was.
    New,
    /// It is listed in the place of an older one.
    Replaced,
    /// It is listed already. Who brought it is noted.
    Same,
    /// A newer one is listed.
    Older,
    Expired,
    /// It is not one of those that the node covers. An older one that was covered is listed no more.
    Uncovered,
    /// There is no room: of those that could have made room, it would be the first to go.
    Full,
}

/// What became of a head, and which packages were forgotten before it was listed or refused: its own among them, if an
/// older head of it had expired, or there is no place for it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Insertion {
    pub(crate) outcome: Admission,
    pub(crate) gone: Gone,
}

/// Packages that are listed no more, by name and owner.
pub(crate) type Gone = Vec<(PackageName, PeerId)>;

/// A head that is listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    #[cfg(test)]
    pub(crate) name: &'a PackageName,
    /// The signed bytes, as they were received.
    #[cfg(test)]
    pub(crate) bytes: &'a std::sync::Arc<[u8]>,
    /// The digest of the body, which identifies the head.
    pub(crate) digest: crate::package::Digest,
    pub(crate) rank: Rank,
    /// Unix seconds.
    #[cfg(test)]
    pub(crate) issued: u64,
    /// When this head was heard of first, in Unix seconds.
    #[cfg(test)]
    pub(crate) heard: u64,
    /// Whether this node publishes it.
    pub(crate) is_own: bool,
    /// Whether the application has been told that it is there.
    pub(crate) is_told: bool,
    /// Whether it has been told of this head or of one before it.
    pub(crate) is_followed: bool,
    pub(super) listing: &'a Listing,
}

impl Listed<'_> {
    /// Reads the head again.
    pub(crate) fn head(&self) -> Option<Signed<Head>> {
        // The bytes were verified before they were listed.
        self.listing.head().ok()
    }
}

impl<'a> From<&'a Entry> for Listed<'a> {
    fn from(entry: &'a Entry) -> Self {
        let listing = &entry.listing;
        Self {
            #[cfg(test)]
            name: &listing.key.name,
            #[cfg(test)]
            bytes: &listing.bytes,
            digest: listing.digest,
            rank: listing.rank,
            #[cfg(test)]
            issued: listing.issued,
            #[cfg(test)]
            heard: entry.heard,
            is_own: entry.worth == Worth::Own,
            is_told: entry.told,
            is_followed: entry.followed,
            listing,
        }
    }
}
