//! What can go wrong, sorted by what a caller can do about it.

use std::{borrow::Cow, time::Duration};

use libp2p::{Multiaddr, PeerId};

use crate::{
    package::{PackageId, PackageName, SimilarName, VersionInfo},
    record::NetworkName,
    storage::StorageError,
};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Each variant is a different thing for the caller to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lookup was carried to its end, and no reachable peer holds it. Where peers hold copies that were refused as
    /// issued in the future or as expired, the text says so, and whether this node's own clock seems to be at fault.
    #[error("not found: {what}{}", did_you_mean(similar))]
    #[non_exhaustive]
    NotFound {
        /// What was looked for, as the caller named it.
        what: String,
        /// Names that may have been meant: [look-alikes](PackageName::folded) that are claimed, and names in the catalogue
        /// that are one typing error away. The most alike come first.
        similar: Vec<SimilarName>,
    },

    /// The package is there, and none of its releases is what was required: ask for one of those that there are.
    #[error("`{what}` matches none of {total} releases: {}", list_versions(versions, *total))]
    #[non_exhaustive]
    NoMatch {
        /// The package and the requirement, as the caller named them.
        what: String,
        /// The releases that there are, newest first: the first 16 of them.
        versions: Vec<VersionInfo>,
        /// How many releases there are.
        total: usize,
    },

    /// Several owners claim this name or are known to publish under it, or so many claim it and its look-alikes that some
    /// claims found no room: ask again as `owner/name`, or pin one.
    #[error(
        "`{name}` is claimed or published by {}; name one as `owner/{name}` or pin it: {}",
        how_many(claimants),
        list(claimants)
    )]
    #[non_exhaustive]
    Ambiguous {
        /// The bare name that was asked for.
        name: PackageName,
        /// Everyone who signed a claim to the name, or whose package of that name is in the catalogue, sorted. Anybody can
        /// do either.
        claimants: Vec<PeerId>,
    },

    /// The owner has withdrawn the package for good.
    #[error("`{id}` was withdrawn by its owner")]
    #[non_exhaustive]
    Withdrawn {
        /// The package, with its owner.
        id: PackageId,
    },

    /// The deadline passed first. The answer is unknown, which is not the same as "not found".
    #[error("no answer within {}", humantime(after))]
    #[non_exhaustive]
    Timeout {
        /// How long the call had been waiting.
        after: Duration,
    },

    /// There is nobody to ask: no peer is connected, and none could be reached.
    #[error("no peers: dial one, or configure bootstrap addresses")]
    NoPeers,

    /// There is nobody to ask: bootstrap peers could be reached, and have no room for one more. The node has dialed those
    /// that they have told of, in vain, and dials them all again later by itself.
    #[error("{full} of {of} bootstrap peers have no room")]
    #[non_exhaustive]
    NoRoom {
        /// How many of the bootstrap peers have said that they have no room.
        full: usize,
        /// How many bootstrap peers are configured, beside this node itself.
        of: usize,
    },

    /// A bound was reached; the call was not started. Try again later, or raise the limit.
    #[error("busy: {what} is full")]
    #[non_exhaustive]
    Busy {
        /// The bound that was reached, by its name in [`Limits`](crate::Limits).
        what: Cow<'static, str>,
    },

    /// The node is shutting down, or is gone.
    #[error("the node is shutting down")]
    ShuttingDown,

    /// What the call has changed could not be written to the node's [storage](crate::storage). It stands for as long as
    /// the process lives, peers may know of it already, and the node goes on trying to write it; the storage's own
    /// recovery is an event, [`StorageRecovered`](crate::Event::StorageRecovered).
    #[error("storage: {reason}")]
    #[non_exhaustive]
    Storage {
        /// What the storage says.
        reason: String,
    },

    /// The input cannot be used as it is; nothing was changed.
    #[error("invalid {field}: {reason}")]
    #[non_exhaustive]
    Invalid {
        /// The field at fault, as a path (`artifacts[2].media_type`).
        field: Cow<'static, str>,
        /// What is wrong with it and what would be accepted.
        reason: String,
    },

    /// The input is larger than a record can hold; nothing was changed.
    #[error("{what} is too large: {size} of at most {max} bytes")]
    #[non_exhaustive]
    TooLarge {
        /// What is too large.
        what: Cow<'static, str>,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        max: usize,
    },

    /// The input contradicts what is already published. Nothing was changed; or another device of the owner's has published
    /// otherwise at the same time, and what it has published is kept.
    #[error("conflict: {reason}")]
    #[non_exhaustive]
    Conflict {
        /// What it contradicts.
        reason: String,
    },

    /// Somebody answers there, and belongs to another network than this node. The connection is let go.
    #[error("{address}: {}, not of `{own}`", of_network(found.as_ref()))]
    #[non_exhaustive]
    OtherNetwork {
        /// The address of the connection.
        address: Multiaddr,
        /// The peer's network; `None` for a peer that speaks for none.
        found: Option<NetworkName>,
        /// This node's network.
        own: NetworkName,
    },

    /// A connection or a listener failed.
    #[error("transport: {reason}")]
    #[non_exhaustive]
    Transport {
        /// The reason that the network stack gave.
        reason: String,
    },
}

impl Error {
    /// A stable, machine-readable name of the variant, in `snake_case`.
    ///
    /// ```
    /// assert_eq!(peerage::Error::NoPeers.kind(), "no_peers");
    /// ```
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NoMatch { .. } => "no_match",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Timeout { .. } => "timeout",
            Self::NoPeers => "no_peers",
            Self::NoRoom { .. } => "no_room",
            Self::Busy { .. } => "busy",
            Self::ShuttingDown => "shutting_down",
            Self::Storage { .. } => "storage",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::Conflict { .. } => "conflict",
            Self::OtherNetwork { .. } => "other_network",
            Self::Transport { .. } => "transport",
        }
    }

    /// The input cannot be used as it is: which field is at fault, and what is wrong with it. For those who write a
    /// [`Registry`](crate::Registry) of their own, as the other constructors are.
    #[must_use]
    pub fn invalid(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    /// Says more of why nothing was found, or something cannot be used, if more is known.
    pub(crate) fn because(self, reason: Option<String>) -> Self {
        match (self, reason) {
            (Self::NotFound { what, similar }, Some(reason)) => {
                Self::NotFound { what: format!("{what} ({reason})"), similar }
            }
            (Self::Invalid { field, reason: before }, Some(reason)) => {
                Self::Invalid { field, reason: format!("{before} ({reason})") }
            }
            (error, _) => error,
        }
    }

    /// Nobody holds what was looked for, and nothing is known that may have been meant.
    ///
    /// ```
    /// # use peerage::Error;
    /// assert_eq!(Error::not_found("tiny").to_string(), "not found: tiny");
    /// ```
    #[must_use]
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), similar: Vec::new() }
    }

    /// [`Self::NotFound`] with names that may have been meant. Another error stays what it is.
    #[must_use]
    pub fn with_similar(self, similar: Vec<SimilarName>) -> Self {
        match self {
            Self::NotFound { what, .. } => Self::NotFound { what, similar },
            error => error,
        }
    }

    /// Several owners claim the name. They are sorted here.
    #[must_use]
    pub fn ambiguous(name: PackageName, mut claimants: Vec<PeerId>) -> Self {
        claimants.sort_unstable();
        Self::Ambiguous { name, claimants }
    }

    /// None of so many releases is what was required. Of those that are named, the first 16 are kept.
    #[must_use]
    pub fn no_match(what: impl Into<String>, mut versions: Vec<VersionInfo>, total: usize) -> Self {
        versions.truncate(16);
        Self::NoMatch { what: what.into(), versions, total }
    }

    /// The owner has withdrawn this package, which is named with its owner.
    #[must_use]
    pub fn withdrawn(id: PackageId) -> Self {
        Self::Withdrawn { id }
    }

    /// The call has waited for so long.
    #[must_use]
    pub fn timeout(after: Duration) -> Self {
        Self::Timeout { after }
    }

    /// So many `of` the bootstrap peers have no room.
    #[must_use]
    pub fn no_room(full: usize, of: usize) -> Self {
        Self::NoRoom { full, of }
    }

    /// The input has `size` bytes, and may have `max`.
    #[must_use]
    pub fn too_large(what: impl Into<Cow<'static, str>>, size: usize, max: usize) -> Self {
        Self::TooLarge { what: what.into(), size, max }
    }

    /// What the input contradicts.
    #[must_use]
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::Conflict { reason: reason.into() }
    }

    /// The peer at an address belongs to the network `found`, or to none, and this node to `own`.
    #[must_use]
    pub fn other_network(address: Multiaddr, found: Option<NetworkName>, own: NetworkName) -> Self {
        Self::OtherNetwork { address, found, own }
    }

    /// Why a connection or a listener failed.
    #[must_use]
    pub fn transport(reason: impl Into<String>) -> Self {
        Self::Transport { reason: reason.into() }
    }

    /// A bound was reached, by its name in [`Limits`](crate::Limits).
    #[must_use]
    pub fn busy(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Busy { what: what.into() }
    }

    /// What a call has changed cannot be written.
    #[must_use]
    pub fn storage(error: &StorageError) -> Self {
        Self::Storage { reason: error.to_string() }
    }

    /// It has not been written within the call's time.
    pub(crate) fn unsaved() -> Self {
        Self::Storage { reason: "the storage has not answered in time".to_owned() }
    }
}

/// What a peer is that belongs elsewhere.
pub(crate) fn of_network(network: Option<&NetworkName>) -> String {
    match network {
        Some(network) => format!("a peer of the network `{network}`"),
        None => "a peer of no peerage network".to_owned(),
    }
}

fn did_you_mean(similar: &[SimilarName]) -> String {
    match similar {
        [] => String::new(),
        similar => format!("; did you mean {}?", SimilarName::or(similar)),
    }
}

/// Where only one owner is known, the set of claims was full.
fn how_many(claimants: &[PeerId]) -> String {
    match claimants.len() {
        1 => "one owner, and perhaps by others whose claims found no room".to_owned(),
        count => format!("{count} owners"),
    }
}

fn list(peers: &[PeerId]) -> String {
    let names: Vec<String> = peers.iter().map(PeerId::to_string).collect();
    names.join(", ")
}

fn list_versions(versions: &[VersionInfo], total: usize) -> String {
    let show = |info: &VersionInfo| match (info.yanked, &info.yank_reason) {
        (true, Some(reason)) => format!("{} (yanked: {reason})", info.version),
        (true, None) => format!("{} (yanked)", info.version),
        (false, _) => info.version.to_string(),
    };
    let listed: Vec<String> = versions.iter().map(show).collect();
    let rest = match total.saturating_sub(versions.len()) {
        0 => String::new(),
        rest => format!(", and {rest} older ones"),
    };
    listed.join(", ") + &rest
}

fn humantime(duration: &Duration) -> String {
    // Whole milliseconds: nobody reads nanoseconds in an error message.
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime_serde::re::humantime::format_duration(Duration::from_millis(millis)).to_string()
}
