//! The catalogue as a source of reads. What a search finds can be read, though the DHT may not have it: the stores of the
//! peers that should hold it may be full.
//!
//! The DHT is asked first, and as many replicas are waited for as the reader wants. What is listed answers where nothing
//! was found, or only what is older. Of a bare name, the owners whose packages are listed count beside those who claim
//! it.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    engine::{context::Context, discovery::Discovery, interface::Now},
    package::{PackageName, SimilarName},
    record::{ClaimSet, ClaimStatus, Rank, Record},
};

/// So many packages with similar names are looked at, of which a few names are told.
const MAX_SIMILAR: usize = 64;

impl Discovery {
    fn is_listed_live(&self, now: Now, name: &PackageName, owner: &PeerId) -> bool {
        let listed = self.catalogue.get(name, owner, now.unix);
        listed.is_some_and(|listed| !listed.rank.withdrawn)
    }

    /// Which names may have been meant by one that is not there: of those that are claimed, and those that are listed.
    pub(in crate::engine) fn similar_to(
        &self,
        now: Now,
        name: &PackageName,
        owner: Option<PeerId>,
        claims: Option<&ClaimSet>,
    ) -> Vec<SimilarName> {
        let is_meant = |by: &PeerId| owner.is_none_or(|owner| owner == *by);
        let listed = self.index.named_like(name, MAX_SIMILAR).into_iter();
        let listed = listed.filter(|(name, by)| is_meant(by) && self.is_listed_live(now, name, by));
        let listed = listed.map(|(name, by)| (name, vec![by]));
        let claimed = claims.map(|claims| claims.look_alikes(name)).unwrap_or_default();
        SimilarName::union(claimed.into_iter().chain(listed))
    }

    /// The names of others' packages that are listed and that people confuse with this one.
    pub(in crate::engine) fn look_alikes_listed(
        &self,
        cx: &Context,
        name: &PackageName,
    ) -> Vec<SimilarName> {
        let folded = name.folded();
        // Names that merely read alike are no look-alikes, and there may be very many: they do not count as looked at.
        let alike = self.index.spelt_like(name, MAX_SIMILAR, |other| other.folded() == folded);
        let others = alike.into_iter().filter(|(_, by)| *by != cx.owner);
        let live = others.filter(|(name, by)| self.is_listed_live(cx.now(), name, by));
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

    /// Whether nothing is listed of a package that is newer than this.
    pub(in crate::engine) fn is_newest(
        &self,
        name: &PackageName,
        owner: &PeerId,
        known: Rank,
    ) -> bool {
        self.catalogue.rank(name, owner).is_none_or(|listed| listed <= known)
    }

    /// The head that is listed of a package, if it is one that is believed.
    pub(in crate::engine) fn believed_head(
        &self,
        cx: &Context,
        name: &PackageName,
        owner: &PeerId,
    ) -> Option<Arc<Record>> {
        let now = cx.now();
        let head = self.catalogue.get(name, owner, now.unix)?.head()?;
        head.validity.check(now.unix).ok()?;
        let record = Record::Head(head);
        (!cx.is_outdated(&record)).then(|| Arc::new(record))
    }
}
