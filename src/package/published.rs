//! What a reader gets back: packages as their owners published them.

use libp2p::PeerId;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Deprecation, Digest, Manifest, PackageId, PackageName, SimilarName};
use crate::{clock_offset::ClockOffset, refusal::RefusalCount};

/// A release of a package, as its owner signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Package {
    /// Owner, name and version.
    pub id: PackageId,
    /// Who signed it.
    pub owner: PeerId,
    /// What was published.
    pub manifest: Manifest,
    /// Whether the owner has since yanked this release: still readable, no longer recommended.
    pub yanked: bool,
    /// Why it is yanked, if the owner has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yank_reason: Option<String>,
    /// Set where the owner has deprecated the package: what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
    /// The sequence of the head in which the release was found. It grows with each change to the
    /// package, and begins anew when the owner goes on to another epoch.
    pub sequence: u64,
    /// Where the answer came from.
    pub source: Source,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// One of this node's own packages.
    Own,
    /// Read, announced or put here earlier. Where the network was asked for this call, no peer was found to hold
    /// anything newer, or anything at all.
    Cache,
    /// Read from the network for this call.
    Network,
    /// One of the packages that this node has heard of, which searches cover. The network was asked for this call, or a
    /// moment ago, and nobody was found to hold it, or anything newer. Or a bare name was asked for that nobody was found
    /// to claim: whose package it means is what the catalogue says, whoever holds the package.
    Catalogue,
    /// Read from the network for this call, but fewer peers have answered than
    /// [`Freshness`](crate::Freshness) asks for: the deadline passed, or some of those that should know have fallen
    /// silent or could not be reached. It is the best of what was there, or what this node's catalogue lists where nothing
    /// was, and a newer one may exist.
    Partial,
}

/// All releases of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Versions {
    /// Whose package it is.
    pub owner: PeerId,
    /// The package's name.
    pub name: PackageName,
    /// The releases, newest version first.
    pub releases: Vec<VersionInfo>,
    /// Set where the owner has deprecated the package: what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
    /// The sequence of the head that lists them. It grows with each change to the
    /// package, and begins anew when the owner goes on to another epoch.
    pub sequence: u64,
    /// Where that head came from.
    pub source: Source,
}

/// One entry of a package's list of releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VersionInfo {
    /// The version.
    pub version: Version,
    /// SHA-256 of the signed body of the release.
    pub digest: Digest,
    /// Whether the owner has yanked it.
    pub yanked: bool,
    /// Why, if the owner has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yank_reason: Option<String>,
}

/// One page of the packages that match a [`Query`](crate::Query), of those that a registry knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchResults {
    /// The newest release of each, in the order that the query wants; no more than its limit.
    pub packages: Vec<Package>,
    /// How many packages match, on this page and all others, of those that were looked through.
    pub total: usize,
    /// Whether there may be more than are here: past the limit, or because the query is so broad that not everything
    /// was looked through that might match it. What a page's offset has skipped is not counted as missing.
    pub truncated: bool,
}

/// What a publishing call has achieved by the time that it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The package, with its owner (and its version, where one was published or yanked).
    pub id: PackageId,
    /// The sequence of the head that now stands.
    pub sequence: u64,
    /// How many other peers acknowledged that they stored the change: of all the records that it
    /// took, the count of the one that fewest peers hold. Zero on a node that is alone; the node puts
    /// them again when peers appear.
    pub replicas: u32,
    /// How many other peers have served the change when it was read back, of those that
    /// [`with_confirmation`](crate::Handle::with_confirmation) asked for: of all the records that it took, the count
    /// of the one that fewest peers served. Zero where none were asked for.
    pub confirmed: u32,
    /// How many were asked for.
    pub confirmation: u8,
    /// Whether the change has been announced. It is once peers hold it, or a second after it was signed.
    pub announcement: Announcement,
    /// Why peers that should hold the change have not stored all of it, and how many, as far as they have said so within
    /// a second. Peers of older versions cannot say, and those that are not connected are not asked.
    #[serde(default)]
    pub refusals: Vec<RefusalCount>,
    /// Names of other owners' packages that people may confuse with this one's: [look-alikes](PackageName::folded) that are
    /// claimed or in the catalogue. Told of a new release. Where this node has not published the package before, the
    /// claims are looked up while it is registered; if no peer tells of any by the time that the change is stored, that
    /// neither fails nor delays it. Later releases cost no lookup, and tell of those in the catalogue and of those that
    /// were claimed where the change was read back.
    #[serde(default)]
    pub look_alikes: Vec<SimilarName>,
    /// Set where this node's clock, by which the change was signed, differs from its peers' by more than a minute. Past
    /// five minutes peers refuse what it signs, if it is ahead, and what others sign is refused here, if it is behind.
    #[serde(default)]
    pub clock: Option<ClockOffset>,
}

impl Receipt {
    /// Whether as many peers as were asked for have served every record of the change. False where none were asked for:
    /// then nothing was read back.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmation > 0 && self.confirmed >= u32::from(self.confirmation)
    }
}

/// What became of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Announcement {
    /// Handed to at least one subscribed peer.
    Sent,
    /// Nobody is subscribed yet: kept, and sent when somebody is, unless it has lapsed by then. Or too few of the peers
    /// that should hold the package have answered before it was signed: sent once those that took it serve it, half a
    /// minute later. Or the call's time was up while peers still stored the change, within a second: sent at that moment.
    /// Or a later change of the package was signed meanwhile, and what is announced is that one, which says both.
    Queued,
}
