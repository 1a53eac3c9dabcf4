//! The catalogue: the newest verified head of every package that this node has heard of, as the bytes that were signed,
//! with who was seen providing it and when.
//!
//! It is fed by announcements, by lookups and by other nodes' catalogues. Of two heads of a package it lists the one
//! that [`select`](crate::record::select) keeps, whichever came first. A withdrawal is listed until it expires, so that
//! it reaches those who have missed it; it is neither searched nor counted as a package. Nothing that has expired is
//! ever told. What this node publishes itself is listed as well, beyond all bounds (its number is bounded elsewhere),
//! so that what is compared with others' catalogues is all that this node knows.
//!
//! # What stays when there is no room for all
//!
//! There is a bound on packages and one on bytes. Entries stand in two parts:
//!
//! - *Kept* are packages whose name is pinned to their owner, and those that the application has used: a call was
//!   answered by them. They have up to three quarters of either bound. Beyond, the one used longest ago falls back
//!   among the others; pinned ones never do.
//! - *Heard* is everything else. Where room is needed, what has expired goes first. Then an owner with more than a
//!   sixteenth of the scarce bound who brings another loses its own oldest one. Otherwise the peer that has brought
//!   the most (who delivered it here, not who claims to have signed it) loses its oldest one, unless another peer that
//!   has brought less was seen providing it too: then it counts for that one from then on. The oldest is the one that
//!   was issued longest ago, so that what has just gone does not come back by the next exchange to push out another.
//!
//! So identities, which cost nothing, push out neither what is pinned nor what is used. And where `k` peers have brought
//! what was merely heard of, none of them loses anything to the others as long as it has brought no more than a `k`th of
//! the room for it: whoever floods the catalogue floods its own part. A peer is an identity that has connected. How
//! many do so at a time costs addresses, see [`Limits::connections_per_ip`](crate::Limits::connections_per_ip); but one
//! that comes back under another name, again and again, takes a part under each. What was brought by nobody, as after a
//! restart, counts for one peer.
//!
//! Every operation on one entry takes logarithmic time.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use libp2p::PeerId;

use self::{
    entry::{Entry, Key, Listing, Worth},
    eviction::Places,
    expiry::is_known,
    sum::DigestSum,
};
use crate::{
    coverage::Coverage,
    engine::{
        dirty::Dirty,
        pages::{Links, NIL, Pages},
    },
    package::{Digest, PackageName, owner_key},
    record::{Head, Rank, Signed},
};

mod entry;
mod eviction;
mod expiry;
mod interface;
mod rows;
mod sum;
#[cfg(test)]
mod tests;

pub(crate) use eviction::Load;
pub(crate) use interface::{Admission, Arrival, Gone, Insertion, Interest, Listed};

/// So often at the most an entry is handed over to another of its providers, before one really goes.
const HANDOVERS: usize = 8;

/// So many expired entries at the most go with each head that comes in.
const SWEPT_ALONG: usize = 4;

/// The catalogue. See the [module](self).
#[derive(Debug)]
pub(crate) struct Catalogue {
    entries: Pages<Entry>,
    by_package: BTreeMap<Key, u32>,
    by_digest: BTreeMap<Digest, u32>,
    /// Unix seconds from which on an entry no longer holds.
    by_expiry: BTreeSet<(u64, u32)>,
    /// Unix seconds that had come for certain at the last sweep.
    certain: u64,
    /// Unix seconds that the calendar shows: what has expired by then is hidden, and counts for nothing that is told.
    unix: u64,
    hidden: usize,
    places: Places,
    sum: DigestSum,
    coverage: Coverage,
    /// Live packages of others.
    known: usize,
    /// Counts uses, to tell older from newer.
    turn: u64,
    generation: u64,
    /// Packages whose head the storage does not have as it is.
    changed: Dirty<Key>,
}

impl Catalogue {
    /// An empty one, of at most so many packages and bytes.
    pub(crate) fn new(bounds: Load, coverage: Coverage) -> Self {
        Self {
            entries: Pages::new(),
            by_package: BTreeMap::new(),
            by_digest: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            certain: 0,
            unix: 0,
            hidden: 0,
            places: Places::new(bounds),
            sum: DigestSum::default(),
            coverage,
            known: 0,
            turn: 0,
            generation: 0,
            changed: Dirty::default(),
        }
    }

    /// Lists a head, if none that is newer is.
    pub(crate) fn insert(&mut self, head: &Signed<Head>, arrival: Arrival) -> Insertion {
        // What is listed comes by again and again, and need not be taken apart for that.
        if let Some(key) = Key::new(&head.name, &head.owner)
            && let Some(id) = self.by_digest.get(&head.digest()).copied()
            && self.by_package.get(&key) == Some(&id)
        {
            return self.seen_again(id, arrival, Gone::new());
        }
        match Listing::of(head) {
            Some(listing) => self.list(listing, arrival),
            // Heads are verified with the key that is their owner.
            None => Insertion { outcome: Admission::Uncovered, gone: Vec::new() },
        }
    }

    fn list(&mut self, listing: Listing, arrival: Arrival) -> Insertion {
        let Arrival { from, unix, interest } = arrival;
        let mut gone = self.drop_expired(unix.min(self.certain), SWEPT_ALONG);
        let outcome = |outcome, gone| Insertion { outcome, gone };
        if listing.expires <= unix {
            return outcome(Admission::Expired, gone);
        }
        let listed = self.by_package.get(&listing.key).copied();
        let Some((id, before)) = listed.and_then(|id| Some((id, self.entries.get(id)?))) else {
            if interest == Interest::Heard && !listing.is_in(&self.coverage) {
                return outcome(Admission::Uncovered, gone);
            }
            let worth = self.worth(interest);
            let package = listing.key.package();
            let id = self.add(Entry::new(listing, worth, from.as_ref(), unix));
            let mut evicted = Vec::new();
            self.make_room(id, unix, &mut evicted);
            let is_full = self.entries.get(id).is_none();
            if is_full {
                // Nobody has known of it.
                evicted.retain(|evicted| Some(evicted) != package.as_ref());
            }
            gone.extend(evicted);
            return outcome(if is_full { Admission::Full } else { Admission::New }, gone);
        };
        if before.listing.digest == listing.digest {
            return self.seen_again(id, arrival, gone);
        }
        // What has expired a moment ago is still the end of what came before it.
        if interest != Interest::Own && !listing.replaces(&before.listing) {
            // An application that was answered with an older one has an interest in the package all the same.
            if interest != Interest::Heard {
                gone.extend(self.promote_entry(id, interest));
            }
            return outcome(Admission::Older, gone);
        }
        let merely_heard = interest == Interest::Heard && before.worth == Worth::Heard;
        // What is withdrawn was covered while it was there.
        if merely_heard && listing.keywords.is_some() && !listing.is_in(&self.coverage) {
            gone.extend(self.remove(id));
            return outcome(Admission::Uncovered, gone);
        }
        let worth = self.worth(interest);
        let Some(mut entry) = self.take(id) else { return outcome(Admission::Full, gone) };
        entry.worth = entry.worth.max(worth);
        entry.replace(listing, from.as_ref(), unix);
        let id = self.add(entry);
        self.make_room(id, unix, &mut gone);
        let is_full = self.entries.get(id).is_none();
        outcome(if is_full { Admission::Full } else { Admission::Replaced }, gone)
    }

    fn worth(&mut self, interest: Interest) -> Worth {
        match interest {
            Interest::Heard => Worth::Heard,
            Interest::Used => {
                self.turn += 1;
                Worth::Used(self.turn)
            }
            Interest::Pinned => Worth::Pinned,
            Interest::Own => Worth::Own,
        }
    }

    /// `gone` is what has lapsed already.
    fn seen_again(&mut self, id: u32, arrival: Arrival, mut gone: Gone) -> Insertion {
        let Arrival { from, unix, interest } = arrival;
        if self.entries.get(id).is_some_and(|entry| entry.listing.expires <= unix) {
            return Insertion { outcome: Admission::Expired, gone };
        }
        let worth = self.worth(interest);
        match self.entries.get_mut(id) {
            // It keeps its place, as most do that are seen again.
            Some(entry) if entry.worth >= worth && entry.was_brought() => {
                entry.provided(from.as_ref(), unix);
            }
            _ => self.rearrange(id, |entry| {
                entry.worth = entry.worth.max(worth);
                entry.provided(from.as_ref(), unix);
            }),
        }
        self.make_room(id, unix, &mut gone);
        Insertion { outcome: Admission::Same, gone }
    }

    /// The application takes an interest in a package, if it is listed.
    pub(crate) fn promote(
        &mut self,
        name: &PackageName,
        owner: &PeerId,
        interest: Interest,
    ) -> Gone {
        self.find(name, owner).map(|id| self.promote_entry(id, interest)).unwrap_or_default()
    }

    fn promote_entry(&mut self, id: u32, interest: Interest) -> Gone {
        let mut gone = Vec::new();
        let worth = self.worth(interest);
        self.rearrange(id, |entry| entry.worth = entry.worth.max(worth));
        self.make_room(id, 0, &mut gone);
        gone
    }

    /// The name is pinned to this owner no more: the package counts as one that the application has used.
    pub(crate) fn unpin(&mut self, name: &PackageName, owner: &PeerId) -> Gone {
        let mut gone = Vec::new();
        if let Some(id) = self.find(name, owner)
            && self.entries.get(id).is_some_and(|entry| entry.worth == Worth::Pinned)
        {
            let worth = self.worth(Interest::Used);
            self.rearrange(id, |entry| entry.worth = worth);
            self.make_room(id, 0, &mut gone);
        }
        gone
    }

    /// The application has been told of the head that is listed.
    pub(crate) fn tell(&mut self, name: &PackageName, owner: &PeerId) {
        if let Some(id) = self.find(name, owner)
            && let Some(entry) = self.entries.get_mut(id)
        {
            (entry.told, entry.followed) = (true, true);
        }
    }

    /// Forgets what was signed for an owner, by another key, in an epoch below this one: nobody believes it any more.
    pub(crate) fn revoke(&mut self, owner: &PeerId, epoch: u32) -> Gone {
        let Some(key) = owner_key(owner) else { return Gone::new() };
        let revoked: Vec<u32> = self
            .by_owner(key)
            .filter(|(_, entry)| entry.listing.rank.epoch < epoch && entry.signer() != Some(*owner))
            .map(|(id, _)| id)
            .collect();
        revoked.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The packages of an owner.
    fn by_owner(&self, owner: [u8; 32]) -> impl Iterator<Item = (u32, &Entry)> {
        // No name comes before this one.
        let first = "0".parse().ok().map(|name| Key { owner, name });
        let its = first.map(|first| self.by_package.range(first..)).into_iter().flatten();
        its.take_while(move |(key, _)| key.owner == owner)
            .filter_map(|(_, id)| Some((*id, self.entries.get(*id)?)))
    }

    /// The head of a package.
    pub(crate) fn get(&self, name: &PackageName, owner: &PeerId, unix: u64) -> Option<Listed<'_>> {
        let entry = self.entries.get(self.find(name, owner)?)?;
        (entry.listing.expires > unix).then(|| entry.into())
    }

    /// The rank of the newest head heard of, whether or not it has expired since.
    pub(crate) fn rank(&self, name: &PackageName, owner: &PeerId) -> Option<Rank> {
        let entry = self.entries.get(self.find(name, owner)?)?;
        Some(entry.listing.rank)
    }

    /// The bytes of the head with this digest.
    pub(crate) fn by_digest(&self, digest: &Digest, unix: u64) -> Option<&Arc<[u8]>> {
        let entry = self.entries.get(*self.by_digest.get(digest)?)?;
        (entry.listing.expires > unix).then_some(&entry.listing.bytes)
    }

    /// Who was seen providing a package, and when, in Unix seconds: the last one first. Whoever signed it had it when it
    /// was issued, too.
    pub(crate) fn providers(
        &self,
        name: &PackageName,
        owner: &PeerId,
        unix: u64,
    ) -> Vec<(PeerId, u64)> {
        let entry = self.find(name, owner).and_then(|id| self.entries.get(id));
        let Some(entry) = entry.filter(|entry| entry.listing.expires > unix) else {
            return Vec::new();
        };
        let seen = entry.providers().iter();
        let mut providers: Vec<(PeerId, u64)> =
            seen.filter_map(|provider| Some((provider.peer.peer()?, provider.unix))).collect();
        if let Some(signer) = entry.signer()
            && providers.iter().all(|(peer, _)| *peer != signer)
        {
            providers.push((signer, entry.listing.issued));
        }
        providers.sort_by(|(left, left_unix), (right, right_unix)| {
            right_unix.cmp(left_unix).then_with(|| left.cmp(right))
        });
        providers
    }

    /// What is compared with another node's catalogue: when each head in this slice was issued, and its digest.
    /// Withdrawals are among them. In no particular order.
    pub(crate) fn items<'a>(
        &'a self,
        slice: &'a Coverage,
        unix: u64,
    ) -> impl Iterator<Item = (u64, Digest)> + 'a {
        self.valid(unix)
            .filter(move |entry| entry.listing.is_in(slice))
            .map(|entry| (entry.listing.issued, entry.listing.digest))
    }

    /// The packages that are there, not those that are withdrawn, in no particular order.
    #[cfg(test)]
    pub(crate) fn iter(&self, unix: u64) -> impl Iterator<Item = Listed<'_>> {
        self.valid(unix).filter(|entry| !entry.listing.rank.withdrawn).map(Listed::from)
    }

    /// The bytes of all heads but this node's own, withdrawals among them.
    pub(crate) fn heads_of_others(&self, unix: u64) -> Vec<Arc<[u8]>> {
        let others = self.valid(unix).filter(|entry| entry.worth != Worth::Own);
        others.map(|entry| Arc::clone(&entry.listing.bytes)).collect()
    }

    /// Changes with everything that [`items`](Self::items) tells, but for what time alone changes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The sum of all digests but those that are hidden, by which two nodes can see that they list the same. It is a hint: whoever wants to can
    /// make two sets of the same sum.
    pub(crate) fn digest_sum(&self) -> [u8; 32] {
        self.sum.to_bytes()
    }

    /// How many heads are listed, withdrawals and this node's own among them. What expires counts until it is swept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many packages of others there are, those that are hidden left out.
    pub(crate) fn known(&self) -> usize {
        self.known
    }

    /// How many bytes the bounds count, and those of this node's own heads.
    pub(crate) fn bytes(&self) -> usize {
        self.places.total().bytes
    }

    pub(crate) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    fn valid(&self, unix: u64) -> impl Iterator<Item = &Entry> {
        let since = (Bound::Excluded((unix, u32::MAX)), Bound::Unbounded);
        self.by_expiry.range(since).filter_map(|(_, id)| self.entries.get(*id))
    }

    fn find(&self, name: &PackageName, owner: &PeerId) -> Option<u32> {
        self.by_package.get(&Key::new(name, owner)?).copied()
    }

    /// Brings the catalogue back into its bounds, now that this entry has come or grown.
    fn make_room(&mut self, id: u32, unix: u64, gone: &mut Gone) {
        while let Some(falling) = self.places.falling() {
            let coverage = &self.coverage;
            let entry = self.entries.get(falling);
            if entry.is_some_and(|entry| entry.listing.is_in(coverage)) {
                self.rearrange(falling, |entry| entry.worth = Worth::Heard);
            } else {
                gone.extend(self.remove(falling));
            }
        }
        let mut handovers = HANDOVERS;
        while let Some(scarce) = self.places.scarce() {
            let swept = self.drop_expired(unix, 1);
            if !swept.is_empty() {
                gone.extend(swept);
                continue;
            }
            let own = self.entries.get(id).filter(|entry| entry.worth == Worth::Heard);
            if let Some(owner) = own.map(|entry| entry.listing.key.owner)
                && let Some(oldest) = self.places.oldest_of_owner(&owner, scarce)
            {
                gone.extend(self.remove(oldest));
                continue;
            }
            let oldest = self.places.oldest_of_loudest(scarce).unwrap_or(id);
            let quieter = self
                .entries
                .get(oldest)
                .filter(|_| handovers > 0)
                .and_then(|entry| self.places.quieter(entry, scarce));
            match quieter {
                Some(peer) => {
                    handovers -= 1;
                    self.rearrange(oldest, |entry| entry.hand_over(&peer));
                }
                None => {
                    handovers = HANDOVERS;
                    gone.extend(self.remove(oldest));
                }
            }
        }
    }

    fn add(&mut self, entry: Entry) -> u32 {
        let links = Links { prev: NIL, next: NIL };
        let Entry { listing, worth, .. } = &entry;
        let (key, digest, expires) = (listing.key.clone(), listing.digest, listing.expires);
        let is_known = is_known(listing, *worth);
        let id = self.entries.insert(links, entry);
        if let Some(entry) = self.entries.get(id) {
            self.places.add(id, entry);
        }
        self.changed.mark_new(|| key.clone());
        self.by_package.insert(key, id);
        self.by_digest.insert(digest, id);
        self.by_expiry.insert((expires, id));
        if expires > self.unix {
            self.sum.add(&digest);
            self.known += usize::from(is_known);
        } else {
            self.hidden += 1;
        }
        self.generation += 1;
        id
    }

    fn take(&mut self, id: u32) -> Option<Entry> {
        let (_, entry) = self.entries.take(id)?;
        let Entry { listing, worth, .. } = &entry;
        self.places.take(id, &entry);
        self.by_package.remove(&listing.key);
        self.changed.mark_gone(|| listing.key.clone());
        self.by_digest.remove(&listing.digest);
        self.by_expiry.remove(&(listing.expires, id));
        if listing.expires > self.unix {
            self.sum.take(&listing.digest);
            self.known -= usize::from(is_known(listing, *worth));
        } else {
            self.hidden -= 1;
        }
        self.generation += 1;
        Some(entry)
    }

    /// Takes an entry out for good, and tells which package that was.
    fn remove(&mut self, id: u32) -> Option<(PackageName, PeerId)> {
        self.take(id)?.listing.key.package()
    }

    /// Changes who an entry counts for.
    fn rearrange(&mut self, id: u32, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let was_own = entry.worth == Worth::Own;
        self.places.take(id, entry);
        change(entry);
        self.places.add(id, entry);
        let is_shown = entry.listing.expires > self.unix && !entry.listing.rank.withdrawn;
        if entry.worth == Worth::Own && !was_own && is_shown {
            self.known -= 1;
        }
    }

    #[cfg(test)]
    fn check(&self) {
        self.places.check();
        for index in [self.by_package.len(), self.by_digest.len(), self.by_expiry.len()] {
            assert_eq!(index, self.entries.len());
        }
    }
}
