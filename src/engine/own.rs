//! The packages that this node publishes, and what a change to one of them signs.

use std::collections::BTreeMap;

use semver::Version;

use super::signer::Signer;
use crate::{
    Digest, Error, Manifest, PackageId, PackageName, Result,
    counters::CallKind,
    record::{
        Claim, ClaimSet, ClaimStatus, END_MARGIN_SECS, Head, MAX_CLOCK_SKEW_SECS, Page, Pagination,
        Rank, Record, RecordKey, Release, ReleaseEntry, Revision, Selection, Signed, Validity,
        latest, select,
    },
};

/// A change that the owner makes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Register(Box<Manifest>),
    Yank {
        name: PackageName,
        version: Version,
    },
    Unregister {
        name: PackageName,
    },
    /// Nothing changes, but what stands is put again, and signed anew before it expires.
    Renew {
        name: PackageName,
    },
}

impl Change {
    pub(super) fn name(&self) -> &PackageName {
        match self {
            Self::Register(manifest) => &manifest.name,
            Self::Yank { name, .. } | Self::Unregister { name } | Self::Renew { name } => name,
        }
    }

    /// What its caller has asked for; the node itself renews.
    pub(super) fn kind(&self) -> Option<CallKind> {
        match self {
            Self::Register(_) => Some(CallKind::Register),
            Self::Yank { .. } => Some(CallKind::Yank),
            Self::Unregister { .. } => Some(CallKind::Unregister),
            Self::Renew { .. } => None,
        }
    }

    fn version(&self) -> Option<&Version> {
        match self {
            Self::Register(manifest) => Some(&manifest.version),
            Self::Yank { version, .. } => Some(version),
            Self::Unregister { .. } | Self::Renew { .. } => None,
        }
    }
}

/// One of this node's own packages, or its tombstone.
#[derive(Debug, Clone)]
pub(super) struct OwnPackage {
    pub(super) head: Signed<Head>,
    claim: Signed<Claim>,
    /// The whole list, newest first. Empty once withdrawn.
    releases: Vec<ReleaseEntry>,
    /// The release records at hand. Those of an earlier life of this node are with its peers.
    records: BTreeMap<Version, Signed<Release>>,
    pages: Vec<Signed<Page>>,
    pub(super) standing: Standing,
}

/// How what is known here relates to what the network holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody could be asked whether an earlier life of this node has published the package.
    Unconfirmed,
    /// The network was asked, and what it held is part of what is known here. So many peers hold the least
    /// held record.
    Confirmed { replicas: u32 },
}

/// What the network holds of an own package that this node knows nothing of, or not everything.
#[derive(Debug)]
pub(super) struct Recalled {
    pub(super) head: Signed<Head>,
    pub(super) releases: Vec<ReleaseEntry>,
    /// The release that becomes the newest by the change, where it was not at hand.
    pub(super) newest: Option<Signed<Release>>,
}

/// What a change comes to: the package as it then stands, and the records to put.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) id: PackageId,
    pub(super) package: OwnPackage,
    pub(super) records: Vec<Record>,
}

/// The state from which a change starts: what is known here and what was recalled, put together.
#[derive(Debug, Default)]
struct Base {
    revision: Revision,
    /// Whether the package is withdrawn, in the epoch in which this node signs or a later one.
    withdrawn: bool,
    releases: Vec<ReleaseEntry>,
    records: BTreeMap<Version, Signed<Release>>,
    /// The manifest of the release that was the newest so far.
    latest: Option<Manifest>,
    /// Until when one of the heads from which it starts is believed, in Unix seconds: what is signed now ends no sooner,
    /// or the older head would come back from a peer that has slept.
    outlived: u64,
}

impl Base {
    fn new(own: Option<&OwnPackage>, recalled: Option<&Recalled>, signer: &Signer<'_>) -> Self {
        let mut base = Self::default();
        let heads = own.map(|own| &own.head).into_iter().chain(recalled.map(|it| &it.head));
        base.outlived = heads
            // One that was signed while this clock was ahead is believed by nobody.
            .filter(|head| is_believed(head, signer))
            .map(|head| head.validity.expires)
            .max()
            .unwrap_or_default();
        if let Some(own) = own {
            base.revision = own.head.revision;
            base.withdrawn = signer.is_bound_by(own.head.rank());
            base.releases.clone_from(&own.releases);
            base.records.clone_from(&own.records);
            base.latest = own.head.latest().cloned();
        }
        if let Some(recalled) = recalled {
            base.revision = base.revision.max(recalled.head.revision);
            base.withdrawn |= signer.is_bound_by(recalled.head.rank());
            for entry in &recalled.releases {
                match base.releases.iter_mut().find(|known| known.version == entry.version) {
                    // A release is written once, and the network's copy was there first.
                    Some(known) if known.digest != entry.digest => {
                        base.records.remove(&entry.version);
                        *known = entry.clone();
                        // Its manifest is not that of the release any more.
                        base.latest = base.latest.filter(|latest| latest.version != entry.version);
                    }
                    Some(known) => known.yanked |= entry.yanked,
                    None => base.releases.push(entry.clone()),
                }
            }
            base.latest = base.latest.or_else(|| recalled.head.latest().cloned());
            let at_hand =
                recalled.head.latest().and_then(|latest| signer.release(latest.clone()).ok());
            for release in recalled.newest.iter().cloned().chain(at_hand) {
                if base.releases.iter().any(|entry| entry.is_of(&release)) {
                    base.records.insert(release.version().clone(), release);
                }
            }
            base.releases.sort_unstable_by(|a, b| b.version.cmp(&a.version));
        }
        if base.withdrawn {
            base = base.withdrawn();
        }
        base
    }

    /// Whoever knows of releases: a tombstone has none.
    fn withdrawn(self) -> Self {
        Self { revision: self.revision, withdrawn: true, ..Self::default() }
    }

    /// When a head holds that is signed from here, in this epoch.
    fn validity(&self, epoch: u32, signer: &Signer<'_>) -> Validity {
        if self.withdrawn {
            return signer.final_validity();
        }
        let ends = self.releases.iter().any(|entry| entry.yanked) || self.revision.epoch < epoch;
        let margin = if ends { END_MARGIN_SECS } else { 0 };
        signer.live_validity(self.outlived.saturating_add(margin))
    }

    fn entry(&self, version: &Version) -> Option<&ReleaseEntry> {
        self.releases.iter().find(|entry| entry.version == *version)
    }

    /// The manifest that stands in the head: that of the newest release. Where it is not at hand and nobody
    /// holds it, the one that stood there before: still signed, still listed.
    fn newest_manifest(&self) -> Option<Manifest> {
        latest(&self.releases)
            .and_then(|entry| self.records.get(&entry.version))
            .map(|release| release.manifest.clone())
            .or_else(|| self.latest.clone())
    }
}

/// The release that a change makes the newest, or publishes again, if its record is not at hand: it has to be looked
/// up first.
pub(super) fn missing_newest(
    own: Option<&OwnPackage>,
    recalled: Option<&Recalled>,
    change: &Change,
    signer: &Signer<'_>,
) -> Option<ReleaseEntry> {
    let mut base = Base::new(own, recalled, signer);
    match change {
        Change::Yank { version, .. } => {
            let entry = base.releases.iter_mut().find(|entry| entry.version == *version)?;
            entry.yanked = true;
        }
        Change::Register(manifest) if base.entry(&manifest.version).is_none() => {
            // Only the version matters here.
            let (version, digest) = (manifest.version.clone(), Digest::from_bytes([0; 32]));
            base.releases.push(ReleaseEntry { version, digest, yanked: false });
            if latest(&base.releases)?.version == manifest.version {
                return None;
            }
        }
        Change::Register(manifest) => {
            // Another key or another delegation may have signed it, so that it cannot be told by its digest.
            let version = &manifest.version;
            if let Some(entry) = base.entry(version)
                && !base.records.contains_key(version)
                && !signer.release((**manifest).clone()).is_ok_and(|again| entry.is_of(&again))
            {
                return Some(entry.clone());
            }
        }
        Change::Renew { .. } => {}
        Change::Unregister { .. } => return None,
    }
    let newest = latest(&base.releases)?;
    (!base.records.contains_key(&newest.version)).then(|| newest.clone())
}

/// Makes a change. Nothing is altered: what comes back is put in the place of what was.
///
/// `seen` is the highest rank that was seen of the package, wherever: no head is signed that is not above it.
pub(super) fn apply(
    own: Option<&OwnPackage>,
    recalled: Option<&Recalled>,
    change: &Change,
    standing: Standing,
    seen: Rank,
    signer: &Signer<'_>,
) -> Result<Changed> {
    let mut base = Base::new(own, recalled, signer);
    base.revision = base.revision.max(seen.revision());
    if signer.is_bound_by(seen) {
        base = base.withdrawn();
    }
    let name = change.name().clone();
    let id = PackageId::owned(signer.owner(), name.clone());
    let id = match change.version() {
        Some(version) => id.with_version(version.clone()),
        None => id,
    };
    signer.check(base.revision)?;
    let unknown = || Error::NotFound { what: format!("`{id}` among this node's own packages") };
    let mut fresh = None;
    let changes = match change {
        _ if base.withdrawn => match change {
            Change::Renew { .. } | Change::Unregister { .. } => false,
            _ => return Err(Error::Withdrawn { id: id.without_version() }),
        },
        Change::Register(manifest) => {
            let release = signer.release((**manifest).clone())?;
            match base.entry(&manifest.version) {
                Some(entry) if entry.is_of(&release) => {
                    base.records.insert(manifest.version.clone(), release);
                    false
                }
                // It was signed by another key, or under another delegation, and says the same.
                Some(_)
                    if base
                        .records
                        .get(&manifest.version)
                        .is_some_and(|known| known.manifest == **manifest) =>
                {
                    false
                }
                Some(_) => {
                    return Err(Error::Conflict {
                        reason: format!(
                            "`{id}` is published with another content; releases are written once, publish \
                             a new version"
                        ),
                    });
                }
                None => {
                    base.releases.push(ReleaseEntry::of(&release));
                    base.releases.sort_unstable_by(|a, b| b.version.cmp(&a.version));
                    base.records.insert(manifest.version.clone(), release.clone());
                    fresh = Some(release);
                    true
                }
            }
        }
        Change::Yank { version, .. } => {
            let entry = base
                .releases
                .iter_mut()
                .find(|entry| entry.version == *version)
                .ok_or_else(unknown)?;
            !std::mem::replace(&mut entry.yanked, true)
        }
        Change::Unregister { .. } if base.releases.is_empty() => return Err(unknown()),
        Change::Unregister { .. } => {
            base.withdrawn = true;
            true
        }
        Change::Renew { .. } if base.releases.is_empty() => return Err(unknown()),
        Change::Renew { .. } => false,
    };

    // A head that says nothing new is kept for as long as half of its life is left: signing it anew takes a
    // sequence, and everybody would have to read it again. What was recalled may be news, though, even where
    // its sequence is no higher: this node may have counted from one again before it could ask.
    let kept = own.filter(|own| {
        let half_life = own.head.validity.issued.midpoint(own.head.validity.expires);
        let says_all = own.releases == base.releases && own.is_withdrawn() == base.withdrawn;
        let is_newest = own.head.revision == base.revision
            && !recalled.is_some_and(|recalled| own.is_outbid_by(&recalled.head));
        // Where a delegation is about to end, signing anew does not make it last any longer.
        let lasts =
            own.head.validity.expires >= base.validity(own.head.revision.epoch, signer).expires;
        let is_believed = is_believed(&own.head, signer);
        !changes && says_all && is_newest && is_believed && (signer.unix < half_life || lasts)
    });
    let package = match kept {
        Some(own) => OwnPackage { standing, records: base.records, ..own.clone() },
        None => sign(base, &name, standing, signer)?,
    };
    let records = records(own, &package, change, fresh, signer);
    Ok(Changed { id, package, records })
}

/// Signed while this clock was ahead, a head is believed by nobody until then.
fn is_believed(head: &Head, signer: &Signer<'_>) -> bool {
    head.validity.issued <= signer.unix.saturating_add(MAX_CLOCK_SKEW_SECS)
}

fn sign(
    base: Base,
    name: &PackageName,
    standing: Standing,
    signer: &Signer<'_>,
) -> Result<OwnPackage> {
    let (owner, network) = (signer.owner(), signer.network.clone());
    let revision = signer.revision_after(base.revision)?;
    let validity = base.validity(revision.epoch, signer);
    let (mut head, releases, records, pages, status) = if base.withdrawn {
        let head = Head::withdrawn(network, owner, name.clone(), revision, validity, "");
        (head, Vec::new(), BTreeMap::new(), Vec::new(), ClaimStatus::Withdrawn)
    } else {
        let manifest = base.newest_manifest().ok_or_else(|| Error::NotFound {
            what: format!("`{name}`: no reachable peer holds its newest release"),
        })?;
        let Pagination { inline, older, pages } =
            signer.paginate(&manifest, base.releases.clone())?;
        let head = Head::live(network, owner, revision, validity, manifest, inline, older);
        (head, base.releases, base.records, pages, ClaimStatus::Active)
    };
    let claim = signer.claim(&head, status)?;
    head.ext = signer.ext();
    let head = Signed::sign(signer.keypair, head)?;
    Ok(OwnPackage { head, claim, releases, records, pages, standing })
}

/// The records to put, in the order in which they should arrive: what is linked to before what links to it.
fn records(
    before: Option<&OwnPackage>,
    package: &OwnPackage,
    change: &Change,
    fresh: Option<Signed<Release>>,
    signer: &Signer<'_>,
) -> Vec<Record> {
    let mut records = Vec::new();
    match change {
        Change::Register(manifest) => {
            // Publishing the same manifest again puts its release again.
            let release = fresh.or_else(|| package.records.get(&manifest.version).cloned());
            records.extend(release.map(Record::Release));
        }
        Change::Renew { .. } => {
            records.extend(package.records.values().cloned().map(Record::Release));
        }
        Change::Yank { .. } | Change::Unregister { .. } => {}
    }
    let known = |page: &Signed<Page>| before.is_some_and(|before| before.pages.contains(page));
    let all = matches!(change, Change::Renew { .. });
    records
        .extend(package.pages.iter().filter(|page| all || !known(page)).cloned().map(Record::Page));
    records.push(Record::Claims { set: package.claims(signer.unix), dropped: 0 });
    records.push(Record::Head(package.head.clone()));
    records
}

impl OwnPackage {
    fn claims(&self, unix: u64) -> ClaimSet {
        ClaimSet::empty(self.head.network.clone(), self.head.name.clone())
            .with(self.claim.clone(), unix)
    }

    /// As it is read back by somebody who has forgotten it.
    #[cfg(test)]
    pub(super) fn recalled(self) -> Recalled {
        Recalled { head: self.head, releases: self.releases, newest: None }
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.head.is_withdrawn()
    }

    /// Whether peers may hold this head of the package instead of the one known here: only a head of a higher
    /// sequence than both replaces it everywhere.
    pub(super) fn is_outbid_by(&self, head: &Signed<Head>) -> bool {
        match select(&self.head, head) {
            Selection::Right | Selection::Equivocation { .. } => true,
            Selection::Left | Selection::Same => false,
        }
    }

    /// The keys of its releases and pages.
    pub(super) fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let releases = self.records.values().map(Signed::key);
        releases.chain(self.pages.iter().map(Signed::key))
    }

    /// Whether nobody else is known to hold it.
    pub(super) fn lacks_replicas(&self) -> bool {
        matches!(self.standing, Standing::Unconfirmed | Standing::Confirmed { replicas: 0 })
    }
}

#[cfg(test)]
mod tests;
