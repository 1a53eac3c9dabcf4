//! How heads come into the catalogue: those that are announced, those that are looked up, and this node's own.

use libp2p::PeerId;

use crate::{
    engine::{
        context::Context,
        discovery::{
            Discovery,
            catalogue::{Admission, Arrival, Insertion, Interest},
            said_since::said_since,
        },
        interest::News,
        interface::Now,
        packages,
    },
    event::Event,
    package::{Digest, PackageId, PackageName, Source},
    record::{Head, HeadState, Rank, Record, RecordKey, Rejected, Signed},
};

impl Discovery {
    /// Lists a verified head, which this peer has delivered. What the application is to be told of it comes back: what it
    /// says anew of a package that the application follows.
    pub(in crate::engine) fn list(
        &mut self,
        now: Now,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) -> Vec<Event> {
        let before = self.followed_before(now, head);
        let outcome = self.enter(now, head, from, interest);
        match (before, outcome) {
            (None, _) | (_, Admission::Older | Admission::Same | Admission::Expired) => Vec::new(),
            (
                Some(before),
                Admission::New | Admission::Replaced | Admission::Uncovered | Admission::Full,
            ) => said_since(&before, head),
        }
    }

    /// As [`list`](Self::list), where nothing of it is news.
    pub(in crate::engine) fn enter(
        &mut self,
        now: Now,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) -> Admission {
        let inserted = self.catalogue.insert(head, Arrival { from, unix: now.unix, interest });
        tracing::trace!(name = %head.name, owner = %head.owner, ?inserted, "head listed");
        let outcome = inserted.outcome;
        self.index(head, inserted);
        outcome
    }

    /// A caller has read a package. False if it is not listed.
    pub(in crate::engine) fn note_use(
        &mut self,
        now: Now,
        name: &PackageName,
        owner: &PeerId,
        interest: Interest,
    ) -> bool {
        let is_listed = self.catalogue.get(name, owner, now.unix).is_some();
        if is_listed {
            let gone = self.catalogue.promote(name, owner, interest);
            self.unlisted(&gone);
        }
        is_listed
    }

    /// The store has taken in a head. True if an older one is listed, whose place it is to take: who has put it there
    /// need not have told of it. Where a newer one is listed, the store is given that.
    pub(in crate::engine) fn match_store(&self, cx: &Context, head: &Signed<Head>) -> bool {
        let now = cx.now();
        let Some(listed) = self.catalogue.get(&head.name, &head.owner, now.unix) else {
            return false;
        };
        let (rank, digest) = (listed.rank, listed.digest);
        if rank > head.rank()
            && let Some(newer) = self.catalogue.by_digest(&digest, now.unix)
            && let Err(refused) = cx.store.insert(&head.key(), newer)
        {
            tracing::debug!(%refused, "older replica not replaced by what is listed");
        }
        rank < head.rank()
    }

    /// Whether this very head is listed.
    pub(in crate::engine) fn is_listed(&self, now: Now, digest: &Digest) -> bool {
        self.catalogue.by_digest(digest, now.unix).is_some()
    }

    /// The head that is written down in these bytes, if it is listed. It was verified before it was listed.
    pub(in crate::engine) fn listed_as(&self, now: Now, bytes: &[u8]) -> Option<Signed<Head>> {
        let digest = Signed::<Head>::claimed_digest(bytes)?;
        let listed = self.catalogue.by_digest(&digest, now.unix)?;
        // The digest is one of the body alone, and says nothing of the signature.
        if **listed != *bytes {
            return None;
        }
        Signed::reopened(listed, digest).ok()
    }

    /// What the application is to be told of a head that has just been listed, where it was `told` of this rank before, and
    /// the head has `said` this anew.
    pub(in crate::engine) fn discovered(
        &self,
        cx: &Context,
        head: &Signed<Head>,
        news: News,
        told: Option<Rank>,
        said: Vec<Event>,
    ) -> Vec<Event> {
        let is_new = self.is_discovery(cx.now(), head, news, told);
        if head.is_withdrawn() {
            let id = PackageId::owned(head.owner, head.name.clone());
            return is_new.then_some(Event::Withdrawn { id }).into_iter().collect();
        }
        let Some(package) = packages::newest(head, Source::Cache) else { return Vec::new() };
        let discovered = is_new.then(|| Event::Discovered { package: Box::new(package) });
        discovered.into_iter().chain(said).collect()
    }

    fn is_discovery(&self, now: Now, head: &Signed<Head>, news: News, told: Option<Rank>) -> bool {
        let was_announced = matches!(news, News::Announced(_));
        // Where there was no room for what was fetched, it would be news again with each peer that has it.
        let is_worth_telling = was_announced || self.is_listed(now, &head.digest());
        // A head that was merely heard anew after the cache had forgotten it is no discovery.
        is_worth_telling && told.is_none_or(|told| told < head.rank())
    }

    /// The rank of the newest head of a package that the application was told of.
    pub(in crate::engine) fn told_rank(&self, cx: &Context, head: &Head) -> Option<Rank> {
        let listed = self.catalogue.get(&head.name, &head.owner, cx.now().unix);
        listed.filter(|listed| listed.is_told).map(|listed| listed.rank)
    }

    /// The application is told of the package, or knows of it.
    pub(in crate::engine) fn tell(&mut self, head: &Head) {
        self.catalogue.tell(&head.name, &head.owner);
    }

    /// Lists no more what has certainly expired, and looks through no more than so much at once.
    pub(in crate::engine) fn sweep(&mut self, certain: u64, budget: usize) {
        let gone = self.catalogue.sweep(certain, budget);
        self.unlisted(&gone);
    }

    /// The head that is listed of a package which the application has been told of, if this one may replace it. A
    /// withdrawal is told of as such.
    fn followed_before(&self, now: Now, head: &Signed<Head>) -> Option<Signed<Head>> {
        let listed = self.catalogue.get(&head.name, &head.owner, now.unix)?;
        let is_other = listed.digest != head.digest() && listed.rank <= head.rank();
        let is_followed = listed.is_followed && is_other && !head.is_withdrawn();
        is_followed.then(|| listed.head()).flatten()
    }

    /// The index follows the catalogue.
    fn index(&mut self, head: &Signed<Head>, inserted: Insertion) {
        self.unlisted(&inserted.gone);
        if !matches!(inserted.outcome, Admission::New | Admission::Replaced) {
            return;
        }
        match &head.state {
            HeadState::Live { latest, releases, .. } => {
                let current = releases.iter().filter(|release| !release.yanked);
                let versions = current.map(|release| &release.version);
                self.index.insert(head.owner, latest, versions, head.validity.issued);
                let deprecated = head.notes().deprecation().is_some();
                self.index.set_deprecated(&head.name, &head.owner, deprecated);
            }
            HeadState::Withdrawn { .. } => {
                self.index.remove(&head.name, &head.owner);
            }
        }
    }

    /// What the replaced keys of owners have signed is listed no more: it is neither found nor told to others.
    pub(in crate::engine) fn unlist_revoked(&mut self, cx: &Context) {
        for owner in cx.store.take_raised() {
            let gone = self.catalogue.revoke(&owner, cx.store.epoch(&owner));
            self.unlisted(&gone);
        }
    }

    /// These packages are listed no more.
    fn unlisted(&mut self, gone: &[(PackageName, PeerId)]) {
        for (name, owner) in gone {
            self.index.remove(name, owner);
        }
    }

    /// Lists the head of a package that this node publishes.
    pub(in crate::engine) fn list_own(&mut self, now: Now, head: &Signed<Head>) {
        let arrival = Arrival { from: None, unix: now.unix, interest: Interest::Own };
        let inserted = self.catalogue.insert(head, arrival);
        tracing::trace!(name = %head.name, ?inserted, "own head listed");
        self.index(head, inserted);
    }

    /// Refuses a head of another owner's if a newer one is listed. Sequences are forgotten in a flood of other packages;
    /// what is listed says them again.
    pub(in crate::engine) fn check_listed(
        &self,
        cx: &Context,
        head: &Head,
    ) -> Result<(), Rejected> {
        match self.catalogue.rank(&head.name, &head.owner) {
            Some(known) if head.owner != cx.owner && known > head.rank() => {
                Err(Rejected::Stale { known, found: head.rank() })
            }
            _ => Ok(()),
        }
    }

    /// Verifies a copy of a record that is looked up. A head may be valid, and older than the one that is listed.
    pub(in crate::engine) fn verify_copy(
        &self,
        cx: &Context,
        key: &RecordKey,
        bytes: &[u8],
    ) -> Result<Record, Rejected> {
        let record = cx.store.verify(key, bytes)?;
        if let Record::Head(head) = &record {
            self.check_listed(cx, head)?;
        }
        Ok(record)
    }

    /// A name is pinned to another owner than before.
    pub(in crate::engine) fn repinned(
        &mut self,
        name: &PackageName,
        before: Option<PeerId>,
        owner: Option<PeerId>,
    ) {
        if let Some(before) = before {
            let gone = self.catalogue.unpin(name, &before);
            self.unlisted(&gone);
        }
        if let Some(owner) = owner {
            let gone = self.catalogue.promote(name, &owner, Interest::Pinned);
            self.unlisted(&gone);
        }
    }
}
