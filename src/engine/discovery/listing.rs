//! How heads come into the catalogue: those that are announced, those that are looked up, and this node's own.

use libp2p::PeerId;

use crate::{
    Event, PackageName,
    engine::{
        Context, Discovery, Engine, Now,
        catalogue::{Arrival, Insertion, Interest, Outcome},
        discovery::said_since::said_since,
    },
    record::{Head, HeadState, RecordKey, Rejected, Signed},
};

impl Discovery {
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
        if !matches!(inserted.outcome, Outcome::New | Outcome::Replaced) {
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
    pub(in crate::engine) fn unlisted(&mut self, gone: &[(PackageName, PeerId)]) {
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

impl Engine {
    /// Lists a verified head, which this peer has delivered, and tells the application what it says anew. Of this
    /// node's own packages it has the heads itself; what it does not know of, an earlier life or another publisher of
    /// the same owner has published, and that stays as if it were pinned.
    pub(in crate::engine) fn list(
        &mut self,
        now: Now,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) {
        let said = self.list_quietly(now, head, from, interest);
        self.out.events.extend(said);
    }

    /// As [`list`](Self::list). What the application is to be told comes back.
    pub(in crate::engine) fn list_quietly(
        &mut self,
        now: Now,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) -> Vec<Event> {
        let interest = match head.owner == self.cx.owner {
            true if self.publishing.own.contains_key(&head.name) => return Vec::new(),
            true => Interest::Pinned,
            false => interest,
        };
        self.note_uses(now);
        let before = self.discovery.followed_before(now, head);
        let outcome = self.list_as(now, head, from, interest);
        match (before, outcome) {
            (None, _) | (_, Outcome::Older | Outcome::Same | Outcome::Expired) => Vec::new(),
            (
                Some(before),
                Outcome::New | Outcome::Replaced | Outcome::Uncovered | Outcome::Full,
            ) => said_since(&before, head),
        }
    }

    fn list_as(
        &mut self,
        now: Now,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) -> Outcome {
        let interest = self.reading.interest(&head.name, &head.owner, interest);
        let inserted =
            self.discovery.catalogue.insert(head, Arrival { from, unix: now.unix, interest });
        tracing::trace!(name = %head.name, owner = %head.owner, ?inserted, "head listed");
        let outcome = inserted.outcome;
        self.discovery.index(head, inserted);
        outcome
    }

    /// The store has taken in a head. Where an older one is listed, it takes its place: who has put it there need not
    /// have told of it.
    pub(in crate::engine) fn replaced_elsewhere(&mut self, now: Now, head: &Signed<Head>) {
        let listed = self.discovery.catalogue.get(&head.name, &head.owner, now.unix);
        let Some((rank, digest)) = listed.map(|listed| (listed.rank, listed.digest)) else {
            return;
        };
        if rank < head.rank() {
            self.list(now, head, None, Interest::Heard);
        } else if rank > head.rank()
            && let Some(newer) = self.discovery.catalogue.by_digest(&digest, now.unix)
            && let Err(refused) = self.cx.store.insert(&head.key(), newer)
        {
            tracing::debug!(%refused, "older replica not replaced by what is listed");
        }
    }

    /// Takes note of the packages that callers have read without the node.
    pub(in crate::engine) fn note_uses(&mut self, now: Now) {
        for id in self.reading.take_used() {
            let Some(owner) = id.owner() else { continue };
            if self.discovery.catalogue.get(id.name(), owner, now.unix).is_some() {
                let interest = self.reading.interest(id.name(), owner, Interest::Used);
                let gone = self.discovery.catalogue.promote(id.name(), owner, interest);
                self.discovery.unlisted(&gone);
                continue;
            }
            // It was merely heard of, and not covered.
            let key = RecordKey::head(&self.cx.config.network, owner, id.name());
            if let Some(head) = self.reading.cached_head(now, &key).cloned() {
                self.list_as(now, &head, None, Interest::Used);
            }
        }
    }
}
