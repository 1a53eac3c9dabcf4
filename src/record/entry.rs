//! What a list of releases is made of, in a head as in its pages.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{
    codec::{List, Text},
    limits::MAX_RELEASES,
    notes::Notes,
    rejected::Rejected,
    release::Release,
    signed::Signed,
    wire::{self, VersionText},
};
use crate::{
    error::{Error, Result},
    package::{
        Digest, Manifest, VersionInfo,
        text::{is_same_release, version_len},
    },
};

/// A release in a list: what identifies it, and whether it should still be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReleaseEntry {
    /// The version. Of two that differ in nothing but build metadata, a registry publishes one.
    pub version: Version,
    /// The digest of the [`Release`]'s body.
    pub digest: Digest,
    /// Whether the owner advises against it. It can still be had by its version.
    pub yanked: bool,
}

impl ReleaseEntry {
    /// The entry of a release that is not yanked.
    #[must_use]
    pub fn of(release: &Signed<Release>) -> Self {
        let version = release.version().clone();
        Self { version, digest: release.digest(), yanked: false }
    }

    /// Whether it is the release of this version: build metadata makes no difference.
    #[must_use]
    pub fn is_same_release(&self, version: &Version) -> bool {
        is_same_release(&self.version, version)
    }

    /// The entry as readers are told of it, with what the head of its list says of it.
    pub(crate) fn into_info(self, notes: &Notes) -> VersionInfo {
        let Self { version, digest, yanked } = self;
        let reason = notes.reason(&version).filter(|_| yanked).map(str::to_owned);
        VersionInfo { version, digest, yanked, yank_reason: reason }
    }

    /// Whether this is the release that the entry speaks of.
    #[must_use]
    pub fn is_of(&self, release: &Signed<Release>) -> bool {
        self.version == *release.version() && self.digest == release.digest()
    }
}

/// Where a list of releases continues with older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageLink {
    /// The digest of the [`Page`](super::Page)'s body.
    pub digest: Digest,
    /// How many releases that page and all those behind it list.
    pub count: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntryWire<'a> {
    #[serde(borrow)]
    version: VersionText<'a>,
    digest: [u8; 32],
    yanked: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkWire {
    digest: [u8; 32],
    count: u32,
}

impl EntryWire<'_> {
    pub(super) fn of(entry: &ReleaseEntry) -> Self {
        let version = Text(entry.version.to_string().into());
        Self { version, digest: *entry.digest.as_bytes(), yanked: entry.yanked }
    }

    fn into_entry(self) -> Result<ReleaseEntry, Rejected> {
        let digest = Digest::from_bytes(self.digest);
        Ok(ReleaseEntry { version: wire::version_of(&self.version)?, digest, yanked: self.yanked })
    }
}

impl LinkWire {
    fn of(link: &PageLink) -> Self {
        Self { digest: *link.digest.as_bytes(), count: link.count }
    }

    fn into_link(self) -> PageLink {
        PageLink { digest: Digest::from_bytes(self.digest), count: self.count }
    }
}

/// A part of a list, as a head and a page have it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListWire<'a, const MAX: usize> {
    #[serde(borrow)]
    releases: List<EntryWire<'a>, MAX>,
    older: Option<LinkWire>,
}

impl<const MAX: usize> ListWire<'_, MAX> {
    pub(super) fn of(releases: &[ReleaseEntry], older: Option<&PageLink>) -> Self {
        let releases = List(releases.iter().map(EntryWire::of).collect());
        Self { releases, older: older.map(LinkWire::of) }
    }

    /// What comes back is not validated.
    pub(super) fn into_list(self) -> Result<(Vec<ReleaseEntry>, Option<PageLink>), Rejected> {
        let releases = self.releases.0.into_iter().map(EntryWire::into_entry);
        Ok((releases.collect::<Result<_, _>>()?, self.older.map(LinkWire::into_link)))
    }
}

/// A part of a list: 1 to `max` releases, newest first, each once, and no more behind them than a
/// list may have.
pub(super) fn check_releases(
    releases: &[ReleaseEntry],
    older: Option<&PageLink>,
    max: usize,
) -> Result<()> {
    if !(1..=max).contains(&releases.len()) {
        let reason = format!("has {} items; 1 to {max} are accepted", releases.len());
        return Err(Error::invalid("releases", reason));
    }
    for (i, entry) in releases.iter().enumerate() {
        let size = version_len(&entry.version);
        if size > Manifest::MAX_VERSION_BYTES {
            let reason = format!("is {size} of at most {} bytes", Manifest::MAX_VERSION_BYTES);
            return Err(Error::invalid(format!("releases[{i}].version"), reason));
        }
    }
    if !releases.is_sorted_by(|newer, older| newer.version > older.version) {
        let reason = "is not in order; each version once, newest first, is accepted";
        return Err(Error::invalid("releases", reason));
    }
    if let Some(PageLink { count, .. }) = older {
        let all = usize::try_from(*count).unwrap_or(usize::MAX).saturating_add(releases.len());
        if *count == 0 || all > MAX_RELEASES {
            let reason = format!(
                "is {count}, which makes {all} releases; 1 or more that make up to {MAX_RELEASES} \
                 are accepted"
            );
            return Err(Error::invalid("older.count", reason));
        }
    }
    Ok(())
}
