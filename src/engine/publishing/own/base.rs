//! What is known of an own package from everywhere, before a change to it is made.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::{
    Confidence, OwnPackage, Recalled,
    said::{Said, later},
};
use crate::{
    engine::signer::Signer,
    package::{Digest, Manifest},
    record::{
        DeprecationNote, END_MARGIN_SECS, Head, MAX_LIFETIME_SECS, Notes, Rank, Release,
        ReleaseEntry, Revision, Signed, Validity, latest,
    },
};

/// The state from which a change starts: what is known here and what was recalled, put together.
#[derive(Debug, Default)]
pub(super) struct Base {
    pub(super) revision: Revision,
    /// Whether the package is withdrawn, in the epoch in which this node signs or a later one.
    pub(super) withdrawn: bool,
    pub(super) releases: Vec<ReleaseEntry>,
    pub(super) records: BTreeMap<Version, Signed<Release>>,
    /// The manifest of the release that was the newest so far.
    pub(super) latest: Option<Manifest>,
    /// What is said of releases, where something is.
    said: BTreeMap<Version, Said>,
    /// What is said of the package.
    pub(super) deprecation: Option<DeprecationNote>,
    /// Until when one of the heads from which it starts is believed, in Unix seconds: what is signed now ends no sooner,
    /// or the older head would come back from a peer that has slept.
    outlived: u64,
    /// Whether one of them holds for longer than a tombstone could that is signed now.
    pub(super) is_endless: bool,
}

impl Base {
    pub(super) fn new(
        own: Option<&OwnPackage>,
        recalled: &[Recalled],
        signer: &Signer<'_>,
    ) -> Self {
        let mut base = Self::default();
        let recalled_heads = recalled.iter().map(|recalled| &recalled.head);
        let heads = || own.map(|own| &own.head).into_iter().chain(recalled_heads.clone());
        base.revision = heads().map(|head| head.revision).max().unwrap_or_default();
        // A higher epoch begins anew what has ended in a lower one, whoever of the devices has begun it.
        base.withdrawn = heads().any(|head| {
            head.revision.epoch == base.revision.epoch && signer.is_bound_by(head.rank())
        });
        base.outlived = heads()
            .map(|head| head.validity)
            // One that was signed while this clock was far ahead outlives whatever is signed now, and is believed by nobody
            // until then.
            .filter(|held| !held.is_early(signer.unix) || signer.can_outlive(*held))
            .map(|held| held.expires)
            .max()
            .unwrap_or_default();
        base.is_endless = heads().any(|head| !signer.can_end(head.validity));
        if let Some(own) = own {
            base.releases.clone_from(&own.releases);
            base.records.clone_from(&own.records);
            base.latest = own.head.latest().cloned();
            base.hear(&own.head, &own.releases, recalled, signer);
        }
        let unheard = own.filter(|own| own.confidence == Confidence::Unheard);
        for one in recalled {
            base.merge(one, recalled, unheard, signer);
        }
        base.releases.sort_unstable_by(|a, b| b.version.cmp(&a.version));
        base.keep_one_of_each(unheard);
        if base.withdrawn {
            base = base.withdrawn();
        }
        base
    }

    /// Takes in the highest rank that was seen of the package, wherever. As of heads, that of the highest epoch says
    /// whether the package has ended.
    pub(super) fn seen(mut self, seen: Rank, signer: &Signer<'_>) -> Self {
        let epoch = self.revision.epoch;
        self.revision = self.revision.max(seen.revision());
        if seen.epoch < epoch {
            return self;
        }
        if signer.is_bound_by(seen) {
            return self.withdrawn();
        }
        self.withdrawn &= seen.epoch == epoch;
        self
    }

    /// Takes in what a head says of its releases beside that they are there.
    ///
    /// What has been taken back is noted for [`MAX_LIFETIME_SECS`]. So a head that was signed longer ago than that, and has
    /// slept since, says nothing any more of what a newer one speaks of.
    fn hear(
        &mut self,
        head: &Head,
        releases: &[ReleaseEntry],
        recalled: &[Recalled],
        signer: &Signer<'_>,
    ) {
        let is_old = head.validity.issued.saturating_add(MAX_LIFETIME_SECS) < signer.unix;
        let newer = recalled.iter().filter(|one| is_old && one.head.revision > head.revision);
        let listed: BTreeSet<&Version> =
            newer.clone().flat_map(|one| &one.releases).map(|entry| &entry.version).collect();
        let notes = head.notes();
        for entry in releases.iter().filter(|entry| !listed.contains(&entry.version)) {
            if let Some(said) = Said::by(head, &notes, entry) {
                hear(&mut self.said, &entry.version, said);
            }
        }
        if newer.count() == 0 {
            self.deprecation = later(self.deprecation.take(), notes.deprecation);
        }
    }

    /// Says something new of a release.
    pub(super) fn say(&mut self, version: &Version, said: Said) {
        if let Some(entry) = self.entry_mut(version) {
            entry.yanked = said.yanked;
        }
        self.said.insert(version.clone(), said);
    }

    /// What was said of a release last.
    pub(super) fn said(&self, version: &Version) -> Option<&Said> {
        self.said.get(version)
    }

    /// Takes in what a head says. `unheard` is what is known here, where it was signed with nobody to ask.
    fn merge(
        &mut self,
        recalled: &Recalled,
        all: &[Recalled],
        unheard: Option<&OwnPackage>,
        signer: &Signer<'_>,
    ) {
        for entry in &recalled.releases {
            match self.releases.iter_mut().find(|known| known.version == entry.version) {
                // A release is written once. The network's copy was there before one that nobody was told of; of two
                // that were published, every device keeps the same.
                Some(known)
                    if known.digest != entry.digest
                        && (unheard.is_some_and(|own| own.releases.contains(known))
                            || entry.digest < known.digest) =>
                {
                    self.records.remove(&entry.version);
                    *known = entry.clone();
                    // Its manifest is not that of the release any more.
                    self.latest =
                        self.latest.take().filter(|latest| latest.version != entry.version);
                }
                Some(_) => {}
                None => self.releases.push(entry.clone()),
            }
        }
        self.hear(&recalled.head, &recalled.releases, all, signer);
        for entry in &mut self.releases {
            entry.yanked = self.said.get(&entry.version).is_some_and(|said| said.yanked);
        }
        let newest = latest(&self.releases).map(|entry| entry.version.clone());
        if let Some(theirs) = recalled.head.latest()
            && self.latest.as_ref().is_none_or(|latest| {
                Some(&latest.version) != newest.as_ref() && Some(&theirs.version) == newest.as_ref()
            })
        {
            self.latest = Some(theirs.clone());
        }
        let again = recalled.head.latest().and_then(|latest| signer.release(latest.clone()).ok());
        let digests: BTreeMap<Version, Digest> =
            self.releases.iter().map(|entry| (entry.version.clone(), entry.digest)).collect();
        for release in recalled.at_hand.iter().cloned().chain(again) {
            if digests.get(release.version()) == Some(&release.digest()) {
                self.records.insert(release.version().clone(), release);
            }
        }
    }

    /// Of versions that differ in nothing but build metadata, which two devices may have published, one is kept: as of
    /// two contents of one version. The list is in order.
    fn keep_one_of_each(&mut self, unheard: Option<&OwnPackage>) {
        let is_unheard = |entry: &ReleaseEntry| {
            let same = |own: &ReleaseEntry| own.digest == entry.digest;
            unheard.is_some_and(|own| own.releases.iter().any(same))
        };
        let mut dropped = Vec::new();
        let said = &mut self.said;
        self.releases.dedup_by(|next, kept| {
            if !kept.is_same_release(&next.version) {
                return false;
            }
            if (is_unheard(next), next.digest) < (is_unheard(kept), kept.digest) {
                std::mem::swap(next, kept);
            }
            if let Some(of_next) = said.remove(&next.version) {
                hear(said, &kept.version, of_next);
            }
            kept.yanked = said.get(&kept.version).is_some_and(|said| said.yanked);
            dropped.push(next.version.clone());
            true
        });
        for version in dropped {
            self.records.remove(&version);
            self.latest = self.latest.take().filter(|latest| latest.version != version);
        }
    }

    /// Whoever knows of releases: a tombstone has none.
    pub(super) fn withdrawn(self) -> Self {
        Self { revision: self.revision, withdrawn: true, ..Self::default() }
    }

    /// When a head holds that is signed from here, in this epoch.
    pub(super) fn validity(&self, epoch: u32, signer: &Signer<'_>) -> Validity {
        if self.withdrawn {
            return signer.final_validity();
        }
        let ends = self.releases.iter().any(|entry| entry.yanked) || self.revision.epoch < epoch;
        let margin = if ends { END_MARGIN_SECS } else { 0 };
        signer.live_validity(self.outlived.saturating_add(margin))
    }

    /// Whether a head says all of this, and need not be signed anew for its age. It is kept for as long as half of its
    /// life is left: signing it anew takes a sequence, and everybody would have to read it again.
    pub(super) fn is_said_by(
        &self,
        head: &Head,
        releases: &[ReleaseEntry],
        signer: &Signer<'_>,
    ) -> bool {
        let validity = head.validity;
        let is_yanked =
            |version: &Version| releases.iter().any(|one| one.yanked && one.version == *version);
        let notes = head.notes().fitted(signer.unix, is_yanked);
        let says_notes = notes == self.notes(signer.unix);
        let says_all =
            releases == self.releases && head.is_withdrawn() == self.withdrawn && says_notes;
        // One that was seen, and is not at hand, has a higher revision.
        let is_newest = head.revision == self.revision;
        // Signed while this clock was ahead, it is believed by nobody until then.
        let is_believed = !validity.is_early(signer.unix);
        // Where a delegation is about to end, signing anew does not make it last any longer.
        let lasts = validity.expires >= self.validity(head.revision.epoch, signer).expires;
        let half_life = validity.issued.midpoint(validity.expires);
        says_all && is_newest && is_believed && (signer.unix < half_life || lasts)
    }

    /// What the next head says beside its list, whoever signs it. A tombstone says nothing.
    pub(super) fn notes(&self, unix: u64) -> Notes {
        if self.withdrawn {
            return Notes::default();
        }
        let releases = self.said.iter().filter_map(|(version, said)| said.note(version));
        let (deprecation, releases) = (self.deprecation.clone(), releases.collect());
        Notes { deprecation, releases }.fitted(unix, |version| self.is_yanked(version))
    }

    fn is_yanked(&self, version: &Version) -> bool {
        self.said.get(version).is_some_and(|said| said.yanked)
    }

    /// How many yanks were taken back for which the notes have no room. An older head undoes these, so that no change may
    /// add to them.
    pub(super) fn forgotten(&self, unix: u64) -> usize {
        let notes = self.notes(unix);
        let is_forgotten = |(version, said): &(&Version, &Said)| {
            !said.yanked && notes.of_release(version).is_none()
        };
        self.said.iter().filter(is_forgotten).count()
    }

    /// Whether the notes have room for the reason for which a release is yanked.
    pub(super) fn gives_reason(&self, version: &Version, reason: &str, unix: u64) -> bool {
        reason.is_empty() || self.notes(unix).reason(version) == Some(reason)
    }

    /// The release of this version, whatever its build metadata.
    pub(super) fn entry(&self, version: &Version) -> Option<&ReleaseEntry> {
        self.releases.iter().find(|entry| entry.is_same_release(version))
    }

    /// As [`entry`](Self::entry), to be changed.
    pub(super) fn entry_mut(&mut self, version: &Version) -> Option<&mut ReleaseEntry> {
        self.releases.iter_mut().find(|entry| entry.is_same_release(version))
    }

    /// The manifest that stands in the head: that of the newest release. Where it is not at hand and nobody
    /// holds it, the one that stood there before: still signed, still listed.
    pub(super) fn newest_manifest(&self) -> Option<Manifest> {
        latest(&self.releases)
            .and_then(|entry| self.records.get(&entry.version))
            .map(|release| release.manifest.clone())
            .or_else(|| self.latest.clone())
    }
}

/// Keeps the later word on a release.
fn hear(known: &mut BTreeMap<Version, Said>, version: &Version, said: Said) {
    match known.get_mut(version) {
        Some(before) if *before < said => *before = said,
        Some(_) => {}
        None => {
            known.insert(version.clone(), said);
        }
    }
}
