//! The catalogue as a source of reads. What a search finds can be read, though the DHT may not have it: the stores of the
//! peers that should hold it may be full.
//!
//! The DHT is asked first, and as many replicas are waited for as the reader wants. What is listed answers where nothing
//! was found, or only what is older. Of a bare name, the owners whose packages are listed count beside those who claim
//! it.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    PackageName, SimilarName, Source,
    engine::{
        Context, Discovery, Engine, Now,
        lookups::Best,
        own::Change,
        publish::Publish,
        read::{Progress, Read},
    },
    record::{ClaimSet, ClaimStatus, Record},
};

/// So many packages with similar names are looked at, of which a few names are told.
const MAX_SIMILAR: usize = 64;

/// Whether those who were asked are as many as the reader wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Asked {
    Enough,
    TooFew,
}

impl Discovery {
    fn is_listed_live(&self, now: Now, name: &PackageName, owner: &PeerId) -> bool {
        let listed = self.catalogue.get(name, owner, now.unix);
        listed.is_some_and(|listed| !listed.rank.withdrawn)
    }

    /// Tells a read which names may have been meant, as its own is not there: of those that are claimed, and those that
    /// are listed.
    pub(in crate::engine) fn suggest(&self, now: Now, read: &mut Read, claims: Option<&ClaimSet>) {
        let (name, owner) = (read.name(), read.named_owner());
        let is_meant = |by: &PeerId| owner.is_none_or(|owner| owner == *by);
        let listed = self.index.named_like(name, MAX_SIMILAR).into_iter();
        let listed = listed.filter(|(name, by)| is_meant(by) && self.is_listed_live(now, name, by));
        let listed = listed.map(|(name, by)| (name, vec![by]));
        let claimed = claims.map(|claims| claims.look_alikes(name)).unwrap_or_default();
        let similar = SimilarName::union(claimed.into_iter().chain(listed));
        read.suggest(similar);
    }

    /// The names of others' packages that are listed and that people confuse with this one.
    pub(in crate::engine) fn look_alikes_listed(
        &self,
        cx: &Context,
        now: Now,
        name: &PackageName,
    ) -> Vec<SimilarName> {
        let folded = name.folded();
        // Names that merely read alike are no look-alikes, and there may be very many: they do not count as looked at.
        let alike = self.index.spelt_like(name, MAX_SIMILAR, |other| other.folded() == folded);
        let others = alike.into_iter().filter(|(_, by)| *by != cx.owner);
        let live = others.filter(|(name, by)| self.is_listed_live(now, name, by));
        SimilarName::union(live.map(|(name, by)| (name, vec![by])))
    }

    /// The owners whose packages of this name are listed, those left out who say themselves, in their newest claim, that
    /// they publish it no more.
    pub(in crate::engine) fn owners_listed(
        &self,
        now: Now,
        name: &PackageName,
        claims: Option<&ClaimSet>,
    ) -> Vec<PeerId> {
        let mut owners = self.index.owners_of(name, ClaimSet::MAX_CLAIMS);
        owners.retain(|owner| {
            let Some(listed) = self.catalogue.get(name, owner, now.unix) else {
                return false;
            };
            let claim = claims.and_then(|claims| claims.of(owner, name));
            let has_left = claim.is_some_and(|claim| {
                claim.status == ClaimStatus::Withdrawn && claim.revision >= listed.rank.revision()
            });
            !has_left && !listed.rank.withdrawn
        });
        owners
    }

    /// Adds those that are in the catalogue.
    pub(in crate::engine) fn add_look_alikes_listed(
        &self,
        cx: &Context,
        now: Now,
        publish: &mut Publish,
    ) {
        if let Change::Register(manifest) = &publish.change {
            let listed = self.look_alikes_listed(cx, now, &manifest.name).into_iter();
            publish.alike.add(listed.map(|listed| (listed.name, listed.owners)));
        }
    }
}

impl Engine {
    /// The better of what is known of the head of a package and what is listed of it.
    pub(in crate::engine) fn with_listed(
        &self,
        now: Now,
        best: Best,
        subject: Option<(PackageName, PeerId)>,
    ) -> Best {
        let Some((name, owner)) = subject else { return best };
        if let Best::Found(known) | Best::Known(known) | Best::Listed(known) = &best
            && let Record::Head(known) = &**known
            && self
                .discovery
                .catalogue
                .rank(&name, &owner)
                .is_none_or(|listed| listed <= known.rank())
        {
            return best;
        }
        self.listed_head(now, &name, &owner).map_or(best, Best::Listed)
    }

    /// The head that is listed of a package, if it is one that is believed. What this node publishes itself it does not
    /// read from there. Other devices of its owner may publish more.
    fn listed_head(&self, now: Now, name: &PackageName, owner: &PeerId) -> Option<Arc<Record>> {
        if *owner == self.cx.owner && self.publishing.own.contains_key(name) {
            return None;
        }
        let head = self.discovery.catalogue.get(name, owner, now.unix)?.head()?;
        head.validity.check(now.unix).ok()?;
        let record = Record::Head(head);
        (!self.cx.is_outdated(&record)).then(|| Arc::new(record))
    }

    /// Goes on with what is listed, where the DHT has nothing. Gives the read back where nothing is.
    pub(in crate::engine) fn read_listed(
        &mut self,
        now: Now,
        mut read: Read,
        asked: Asked,
    ) -> Result<Progress, Read> {
        let source = match asked {
            Asked::Enough => Source::Catalogue,
            Asked::TooFew => Source::Partial,
        };
        if let Some((name, owner)) = read.subject() {
            let Some(head) = self.listed_head(now, &name, &owner) else { return Err(read) };
            return Ok(self.advance(now, read, &head, source));
        }
        let Some(name) = read.claims_wanted() else { return Err(read) };
        let listed = self.discovery.owners_listed(now, name, None);
        if listed.is_empty() {
            return Err(read);
        }
        if asked == Asked::TooFew {
            read.make_do();
        }
        Ok(read.take_claims(None, &listed, source))
    }
}
