use libp2p::PeerId;
use semver::Version;

use super::{
    Kind, NetworkName, Notes, RecordKey, Rejected, Release, Signed,
    codec::{self, Bytes, List},
    signed::sealed::{Placed, Wire},
    wire::{self, EntryWire, LinkWire, NameText, NetworkText, PageWire},
};
use crate::{
    Error, Result, VersionInfo,
    package::{
        Digest, Manifest, Origin, PackageName,
        text::{is_same_release, version_len},
    },
};

/// The most releases of a package, in its head and all of its pages.
pub const MAX_RELEASES: usize = 5_000;

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
    /// The digest of the [`Page`]'s body.
    pub digest: Digest,
    /// How many releases that page and all those behind it list.
    pub count: u32,
}

/// A part of a list of releases that has outgrown its head: written once, found by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who publishes the package.
    pub owner: PeerId,
    /// The package's name.
    pub name: PackageName,
    /// The releases, newest first: 1 to 100 of them.
    pub releases: Vec<ReleaseEntry>,
    /// Where the list continues.
    pub older: Option<PageLink>,
    /// What the owner delegates, or what later versions sign; at most 512 bytes. See the
    /// [module](super).
    pub ext: Vec<u8>,
}

impl Page {
    /// The most releases of one page.
    pub const MAX_RELEASES: usize = 100;

    /// A page of these releases, newest first.
    #[must_use]
    pub fn new(
        network: NetworkName,
        owner: PeerId,
        name: PackageName,
        releases: Vec<ReleaseEntry>,
        older: Option<PageLink>,
    ) -> Self {
        Self { network, owner, name, releases, older, ext: Vec::new() }
    }
}

impl Wire for Page {
    const KIND: Kind = Kind::Page;

    fn network(&self) -> &NetworkName {
        &self.network
    }

    fn owner(&self) -> &PeerId {
        &self.owner
    }

    fn ext(&self) -> &[u8] {
        &self.ext
    }

    fn validate(&self, _origin: Origin) -> Result<()> {
        check_releases(&self.releases, self.older.as_ref(), Self::MAX_RELEASES)
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(&PageWire {
            network: NetworkText::of(self.network.as_str()),
            owner: wire::key_of(&self.owner)?,
            name: NameText::of(self.name.as_str()),
            releases: List(self.releases.iter().map(EntryWire::of).collect()),
            older: self.older.as_ref().map(LinkWire::of),
            ext: Bytes(&self.ext),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let wire: PageWire<'_> = codec::decode_strict(bytes)?;
        Ok(Self {
            network: wire.network.0.parse()?,
            owner: wire::owner_of(&wire.owner)?,
            name: wire.name.0.parse()?,
            releases: wire::entries(wire.releases)?,
            older: wire.older.map(LinkWire::into_link),
            ext: wire.ext.0.to_vec(),
        })
    }
}

impl Placed for Page {
    fn key(&self, digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::page(&self.network, &self.owner, &self.name, &digest())
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
