//! The packages that this node publishes, and what a change to one of them signs.

use std::collections::BTreeMap;

use semver::Version;

use crate::{
    engine::signer::Signer,
    error::{Error, Result},
    package::{Digest, PackageId, PackageName},
    record::{
        Claim, ClaimSet, ClaimStatus, Head, HeadState, Notes, Page, PageLink, Pagination, Rank,
        Record, RecordKey, Release, ReleaseEntry, ReleaseList, Revision, Selection, Side, Signed,
        latest, select,
    },
};

use base::Base;
use change::Made;
use said::{Said, later};

pub(in crate::engine) use change::Change;

mod base;
mod change;
pub(in crate::engine) mod elsewhere;
mod said;
#[cfg(test)]
mod tests;

/// One of this node's own packages, or its tombstone.
#[derive(Debug, Clone)]
pub(in crate::engine) struct OwnPackage {
    pub(in crate::engine) head: Signed<Head>,
    claim: Signed<Claim>,
    /// The whole list, newest first. Empty once withdrawn.
    releases: Vec<ReleaseEntry>,
    /// The release records at hand. Those of an earlier life of this node are with its peers.
    records: BTreeMap<Version, Signed<Release>>,
    pages: Vec<Signed<Page>>,
    pub(in crate::engine) confidence: Confidence,
    /// Whether all that was to be put of it has been, and others hold it as far as they have said.
    pub(in crate::engine) is_held: bool,
}

/// How what is known here relates to what the network holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Confidence {
    /// It was signed when nobody could be asked what an earlier life of this node, or another device with its key, has
    /// published.
    Unheard,
    /// The network was asked. What it holds by now may be another head: one was seen, or nobody took this one.
    Doubted,
    /// The network was asked, and what it held is part of what is known here. So many peers hold the least
    /// held record.
    Confirmed { replicas: u32 },
}

impl Confidence {
    /// Another head was seen, or nobody serves this one.
    pub(in crate::engine) fn doubted(self) -> Self {
        match self {
            Self::Unheard => Self::Unheard,
            Self::Doubted | Self::Confirmed { .. } => Self::Doubted,
        }
    }

    /// The network has been asked, and what it held is known.
    pub(in crate::engine) fn heard(before: Option<Self>) -> Self {
        match before {
            Some(confirmed @ Self::Confirmed { .. }) => confirmed,
            Some(Self::Unheard | Self::Doubted) | None => Self::Confirmed { replicas: 0 },
        }
    }
}

/// A head of an own package that this node did not sign last, and what it says.
#[derive(Debug)]
pub(in crate::engine) struct Recalled {
    pub(in crate::engine) head: Signed<Head>,
    pub(in crate::engine) releases: Vec<ReleaseEntry>,
    /// The pages of its list that were read.
    pages: Vec<Signed<Page>>,
    /// Whether these are all of its releases.
    pub(in crate::engine) is_whole: bool,
    /// Releases of it that were read, or that this node still has.
    pub(in crate::engine) at_hand: Vec<Signed<Release>>,
}

impl Recalled {
    pub(in crate::engine) fn of(
        head: Signed<Head>,
        list: ReleaseList,
        pages: Vec<Signed<Page>>,
    ) -> Self {
        let is_whole = list.awaits().is_none();
        Self { head, releases: list.into_releases(), pages, is_whole, at_hand: Vec::new() }
    }
}

/// What a change comes to: the package as it then stands, and the records to put.
#[derive(Debug)]
pub(in crate::engine) struct Changed {
    pub(in crate::engine) id: PackageId,
    pub(in crate::engine) package: OwnPackage,
    pub(in crate::engine) records: Vec<Record>,
    /// Whether nothing else of the package is still to be put.
    pub(in crate::engine) is_whole: bool,
    pub(in crate::engine) head: Authorship,
}

/// Whence the head of a package comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Authorship {
    /// It was signed for this change.
    Signed,
    /// It is the one that was in force.
    Kept,
    /// Another device has signed it, and it says all that there is to say.
    Adopted,
}

/// The release that a change makes the newest, or publishes again, if its record is not at hand: it has to be looked
/// up first.
pub(in crate::engine) fn missing_newest(
    own: Option<&OwnPackage>,
    recalled: &[Recalled],
    change: &Change,
    signer: &Signer<'_>,
) -> Option<ReleaseEntry> {
    let mut base = Base::new(own, recalled, signer);
    match change {
        Change::Yank { version, .. } => base.entry_mut(version)?.yanked = true,
        Change::Unyank { version, .. } => base.entry_mut(version)?.yanked = false,
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
                && entry.version == *version
                && !base.records.contains_key(version)
                && !signer.release((**manifest).clone()).is_ok_and(|again| entry.is_of(&again))
            {
                return Some(entry.clone());
            }
        }
        Change::Deprecate { .. } | Change::Renew { .. } | Change::Merge { .. } => {}
        Change::Unregister { .. } => return None,
    }
    let newest = latest(&base.releases)?;
    (!base.records.contains_key(&newest.version)).then(|| newest.clone())
}

/// Makes a change. Nothing is altered: what comes back is put in the place of what was.
///
/// `seen` is the highest rank that was seen of the package, wherever: no head is signed that is not above it.
pub(in crate::engine) fn apply(
    own: Option<&OwnPackage>,
    recalled: &[Recalled],
    change: &Change,
    confidence: Confidence,
    seen: Rank,
    signer: &Signer<'_>,
) -> Result<Changed> {
    let mut base = Base::new(own, recalled, signer).seen(seen, signer);
    let name = change.name().clone();
    signer.check(base.revision)?;
    let Made { id, changes, fresh } = change.make(&mut base, signer)?;

    let in_force = in_force(own, recalled).filter(|_| !changes);
    let (mut package, head) = match in_force {
        Some(InForce::Own(own)) if base.is_said_by(&own.head, &own.releases, signer) => {
            let package = OwnPackage { confidence, records: base.records, ..own.clone() };
            (package, Authorship::Kept)
        }
        Some(InForce::Other(other)) if base.is_said_by(&other.head, &other.releases, signer) => {
            (adopt(base, other, confidence, signer)?, Authorship::Adopted)
        }
        Some(_) | None => {
            // What has ended stays so in its own epoch: in a higher one somebody may begin it anew.
            let revision = match base.withdrawn && !changes {
                true => signer.revision_within(base.revision)?,
                false => signer.revision_after(base.revision)?,
            };
            (sign(base, &name, revision, confidence, signer)?, Authorship::Signed)
        }
    };
    package.is_held = own.is_some_and(|own| own.is_held);
    let puts_all = match change {
        Change::Renew { .. } => true,
        Change::Merge { .. } => !package.is_held,
        Change::Register(_)
        | Change::Yank { .. }
        | Change::Unyank { .. }
        | Change::Deprecate { .. }
        | Change::Unregister { .. } => false,
    };
    let is_whole = puts_all || own.is_none_or(|own| own.is_held);
    let records = records(own, &package, change, puts_all, fresh, signer);
    Ok(Changed { id, package, records, is_whole, head })
}

/// The head of a package that everybody keeps.
enum InForce<'a> {
    Own(&'a OwnPackage),
    /// Another device's, of which all is known.
    Other(&'a Recalled),
}

/// Which head is in force, unless it is to be replaced: two of one revision are an equivocation, and of the two devices
/// the one whose head nobody keeps signs the next. That there is only one spares them from outbidding each other.
fn in_force<'a>(own: Option<&'a OwnPackage>, recalled: &'a [Recalled]) -> Option<InForce<'a>> {
    let own = own?;
    let mut in_force = InForce::Own(own);
    for recalled in recalled {
        let known = match in_force {
            InForce::Own(own) => &own.head,
            InForce::Other(other) => &other.head,
        };
        match select(known, &recalled.head) {
            Selection::Left | Selection::Same => {}
            Selection::Equivocation { keep: Side::Left } => {}
            Selection::Equivocation { keep: Side::Right } => return None,
            Selection::Right => in_force = InForce::Other(recalled),
        }
    }
    match in_force {
        InForce::Other(other)
            if !other.is_whole || other.head.revision.epoch != own.head.revision.epoch =>
        {
            None
        }
        in_force => Some(in_force),
    }
}

/// What another device has signed stands, and is put and renewed by this one as well.
fn adopt(
    base: Base,
    other: &Recalled,
    confidence: Confidence,
    signer: &Signer<'_>,
) -> Result<OwnPackage> {
    let head = other.head.clone();
    let status = match head.is_withdrawn() {
        true => ClaimStatus::Withdrawn,
        false => ClaimStatus::Active,
    };
    let claim = signer.claim(&head, status)?;
    let Base { releases, records, .. } = base;
    let pages = other.pages.clone();
    Ok(OwnPackage { head, claim, releases, records, pages, confidence, is_held: false })
}

fn sign(
    base: Base,
    name: &PackageName,
    revision: Revision,
    confidence: Confidence,
    signer: &Signer<'_>,
) -> Result<OwnPackage> {
    let (owner, network) = (signer.owner(), signer.network.clone());
    let validity = base.validity(revision.epoch, signer);
    let ext = signer.head_ext(&base.notes(signer.unix))?;
    let (mut head, releases, records, pages, status) = if base.withdrawn {
        let head = Head::withdrawn(network, owner, name.clone(), revision, validity, "");
        (head, Vec::new(), BTreeMap::new(), Vec::new(), ClaimStatus::Withdrawn)
    } else {
        let manifest = base.newest_manifest().ok_or_else(|| {
            Error::not_found(format!("`{name}`: no reachable peer holds its newest release"))
        })?;
        let Pagination { inline, older, pages } =
            signer.paginate(&manifest, ext.len(), base.releases.clone())?;
        let head = Head::live(network, owner, revision, validity, manifest, inline, older);
        (head, base.releases, base.records, pages, ClaimStatus::Active)
    };
    let claim = signer.claim(&head, status)?;
    head.ext = ext;
    let head = Signed::sign(signer.keypair, head)?;
    Ok(OwnPackage { head, claim, releases, records, pages, confidence, is_held: false })
}

/// The records to put, in the order in which they should arrive: what is linked to before what links to it.
fn records(
    before: Option<&OwnPackage>,
    package: &OwnPackage,
    change: &Change,
    all: bool,
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
        Change::Renew { .. } | Change::Merge { .. } => {
            let known = |release: &Signed<Release>| {
                let known = before.and_then(|before| before.records.get(release.version()));
                known.is_some_and(|known| known == release)
            };
            let releases = package.records.values().filter(|release| all || !known(release));
            records.extend(releases.cloned().map(Record::Release));
        }
        Change::Yank { .. }
        | Change::Unyank { .. }
        | Change::Deprecate { .. }
        | Change::Unregister { .. } => {}
    }
    let known = |page: &Signed<Page>| before.is_some_and(|before| before.pages.contains(page));
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
    pub(in crate::engine) fn recalled(self) -> Recalled {
        let Self { head, releases, pages, .. } = self;
        Recalled { head, releases, pages, is_whole: true, at_hand: Vec::new() }
    }

    pub(in crate::engine) fn is_withdrawn(&self) -> bool {
        self.head.is_withdrawn()
    }

    /// Whether a head says of the package what is not known here, or peers keep it instead of the one known here.
    ///
    /// Of an older epoch the owner has said what stays: who was replaced changes nothing any more.
    pub(in crate::engine) fn is_behind(&self, head: &Signed<Head>) -> bool {
        if head.revision.epoch < self.head.revision.epoch {
            return false;
        }
        match select(&self.head, head) {
            Selection::Same => return false,
            Selection::Right | Selection::Equivocation { keep: Side::Right } => return true,
            Selection::Left | Selection::Equivocation { keep: Side::Left } => {}
        }
        match &head.state {
            // A withdrawal is the end, and whatever was signed before it.
            _ if self.is_withdrawn() => false,
            HeadState::Withdrawn { .. } => true,
            HeadState::Live { releases, older, .. } => {
                let is_read =
                    |older: &PageLink| self.pages.iter().any(|page| page.digest() == older.digest);
                let (notes, theirs) = (self.head.notes(), head.notes());
                let known = notes.deprecation.clone();
                later(known, theirs.deprecation.clone()) != notes.deprecation
                    || releases.iter().any(|entry| {
                        let said = Said::by(head, &theirs, entry);
                        !self.says(entry, &notes, said.as_ref())
                    })
                    || older.as_ref().is_some_and(|older| !is_read(older))
            }
        }
    }

    /// Whether its list says what an entry of another says, or what is kept instead, and its notes what the other says of
    /// it.
    fn says(&self, entry: &ReleaseEntry, notes: &Notes, said: Option<&Said>) -> bool {
        let known = self.releases.iter().find(|known| known.is_same_release(&entry.version));
        known.is_some_and(|known| {
            let is_settled = |said: &Said| {
                Said::by(&self.head, notes, known).is_some_and(|ours| ours.settles(said))
            };
            known.digest <= entry.digest && said.is_none_or(is_settled)
        })
    }

    /// The keys of its releases and pages.
    pub(in crate::engine) fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let releases = self.records.values().map(Signed::key);
        releases.chain(self.pages.iter().map(Signed::key))
    }

    /// Whether nobody else is known to hold it.
    pub(in crate::engine) fn lacks_replicas(&self) -> bool {
        match self.confidence {
            Confidence::Unheard | Confidence::Doubted => true,
            Confidence::Confirmed { replicas } => replicas == 0,
        }
    }
}
