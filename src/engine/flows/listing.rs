//! How heads come into the catalogue, and how reads are answered from it: which packages this node publishes itself, which
//! are pinned, and what callers have read is known in other rooms.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    engine::{
        Engine,
        discovery::catalogue::Interest,
        interface::Now,
        reading::{
            lookups::Best,
            read::{Progress, Read},
        },
    },
    event::Event,
    package::{PackageName, Source},
    record::{ClaimSet, Head, Record, RecordKey, Signed},
};

/// Whether those who were asked are as many as the reader wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turnout {
    Enough,
    TooFew,
}

impl Engine {
    /// Lists a verified head, which this peer has delivered, and tells the application what it says anew. Of this
    /// node's own packages it has the heads itself; what it does not know of, an earlier life or another publisher of
    /// the same owner has published, and that stays as if it were pinned.
    pub(in crate::engine) fn list(
        &mut self,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) {
        let said = self.list_quietly(head, from, interest);
        self.out.events.extend(said);
    }

    /// As [`list`](Self::list). What the application is to be told comes back.
    pub(in crate::engine) fn list_quietly(
        &mut self,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) -> Vec<Event> {
        self.list_as_of(self.cx.now(), head, from, interest)
    }

    /// As [`list_quietly`](Self::list_quietly), at another time than now.
    pub(super) fn list_as_of(
        &mut self,
        then: Now,
        head: &Signed<Head>,
        from: Option<PeerId>,
        interest: Interest,
    ) -> Vec<Event> {
        if self.publishing.is_published_here(&self.cx, &head.name, &head.owner) {
            return Vec::new();
        }
        let interest = if head.owner == self.cx.owner { Interest::Pinned } else { interest };
        self.note_uses();
        let interest = self.reading.interest(&head.name, &head.owner, interest);
        self.discovery.list(then, head, from, interest)
    }

    /// The store has taken in a head. Where an older one is listed, it takes its place.
    pub(in crate::engine) fn replaced_elsewhere(&mut self, head: &Signed<Head>) {
        if self.discovery.match_store(&self.cx, head) {
            self.list(head, None, Interest::Heard);
        }
    }

    /// Takes note of the packages that callers have read without the node.
    pub(in crate::engine) fn note_uses(&mut self) {
        let now = self.cx.now();
        for id in self.reading.take_used() {
            let Some(owner) = id.owner() else { continue };
            let interest = self.reading.interest(id.name(), owner, Interest::Used);
            if self.discovery.note_use(now, id.name(), owner, interest) {
                continue;
            }
            // It was merely heard of, and not covered.
            let key = RecordKey::head(&self.cx.config.network, owner, id.name());
            if let Some(head) = self.reading.cached_head(now, &key).cloned() {
                self.discovery.enter(now, &head, None, interest);
            }
        }
    }

    /// The better of what is known of the head of a package and what is listed of it.
    pub(in crate::engine) fn with_listed(
        &self,
        best: Best,
        subject: Option<(PackageName, PeerId)>,
    ) -> Best {
        let Some((name, owner)) = subject else { return best };
        if let Best::Found(known) | Best::Known(known) | Best::Listed(known) = &best
            && let Record::Head(known) = &**known
            && self.discovery.is_newest(&name, &owner, known.rank())
        {
            return best;
        }
        self.listed_head(&name, &owner).map_or(best, Best::Listed)
    }

    /// The head that is listed of a package, if it is one that is believed. What this node publishes itself it does not
    /// read from there.
    fn listed_head(&self, name: &PackageName, owner: &PeerId) -> Option<Arc<Record>> {
        if self.publishing.is_published_here(&self.cx, name, owner) {
            return None;
        }
        self.discovery.believed_head(&self.cx, name, owner)
    }

    /// Goes on with what is listed, where the DHT has nothing. Gives the read back where nothing is.
    pub(super) fn read_listed(&mut self, mut read: Read, asked: Turnout) -> Result<Progress, Read> {
        let source = match asked {
            Turnout::Enough => Source::Catalogue,
            Turnout::TooFew => Source::Partial,
        };
        if let Some((name, owner)) = read.subject() {
            let Some(head) = self.listed_head(&name, &owner) else { return Err(read) };
            return Ok(self.advance(read, &head, source));
        }
        let Some(name) = read.claims_wanted() else { return Err(read) };
        let listed = self.discovery.owners_listed(self.cx.now(), name, None);
        if listed.is_empty() {
            return Err(read);
        }
        if asked == Turnout::TooFew {
            read.make_do();
        }
        Ok(read.take_claims(None, &listed, source))
    }

    /// Tells a read which names may have been meant, as its own is not there.
    pub(super) fn suggest(&self, read: &mut Read, claims: Option<&ClaimSet>) {
        let (name, owner) = (read.name(), read.named_owner());
        read.suggest(self.discovery.similar_to(self.cx.now(), name, owner, claims));
    }
}
