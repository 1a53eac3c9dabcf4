//! An inverted index of packages: which words occur where, so that a search looks only at what it finds.
//!
//! | file | what it knows |
//! |--|--|
//! | `fold.rs` | how text becomes words |
//! | `grams.rs` | what takes their place in scripts without spaces |
//! | `gather.rs`, `wanted.rs` | the words of a manifest, and those of a query |
//! | `terms.rs` | the dictionary of all words, in order |
//! | `typos.rs` | which words of it were probably meant |
//! | `paged.rs` | vectors that never move |
//! | `postings.rs` | for each word, the packages that have it |
//! | `docs.rs` | the packages |
//! | `search.rs` | how lists are united and intersected |
//! | `best.rs` | the best of what was found |
//! | `rank.rs`, `relevance.rs` | how well a package fits: among others, and by itself |
//!
//! Entries are replaced and removed at once, in place: there are no tombstones, no segments and nothing to merge, so that
//! no insertion is slow because of what came before. What a list costs to change is bounded by its length, a few
//! microseconds for a word that tens of thousands of packages have. Words whose last package is gone are swept out of
//! the dictionary a few blocks at a time.
//!
//! A search looks at a bounded number of words and entries, whatever the query: see [`Found::truncated`].

use std::{
    collections::HashSet,
    fmt,
    hash::{BuildHasher as _, RandomState},
    mem,
};

use hashbrown::HashTable;
use libp2p::PeerId;
use semver::Version;

use crate::package::{Manifest, PackageName, owner_key};

use docs::Doc;
use gather::Gathered;
use paged::Paged;
use postings::{Postings, doc_of, field, fields_of};
use terms::{TermId, Terms};

mod best;
mod docs;
mod fold;
mod gather;
mod grams;
mod paged;
mod postings;
mod rank;
mod relevance;
mod search;
mod terms;
#[cfg(test)]
mod tests;
mod typos;
mod wanted;

pub(crate) use gather::most_bytes;
pub use rank::Score;
pub use relevance::relevance;
pub use search::{Found, Hit};

/// How many blocks of the dictionary are swept with an insertion or removal, while there is something to sweep out: a
/// quarter of the words is dead at the most, or so many.
const SWEEP_BLOCKS: usize = 32;
const SOME_DEAD: usize = 1024;
/// So many entries of the words that are like a name are looked at: some words are in very many texts.
const MAX_NAMES_LOOKED_AT: usize = 65_536;

/// What the index takes for each byte of the catalogue at the most: a head whose words take more counts for more bytes
/// there.
pub(crate) const INDEXED_BYTE: usize = 3;

/// Among how many tables packages are spread, by hash.
const TABLES: usize = 64;

/// The index.
pub struct Index {
    terms: Terms,
    /// By the numbers of the words.
    postings: Paged<Postings>,
    docs: Paged<Option<Doc>>,
    /// How much a match of each package weighs: read for everything that is found, and so kept together.
    norms: Paged<u8>,
    free: Vec<u32>,
    /// Those that are deprecated, which are few.
    deprecated: HashSet<u32>,
    /// The numbers of the packages, by name and owner: in several tables, each of which grows by itself.
    places: [HashTable<u32>; TABLES],
    hasher: RandomState,
    /// How many words have become empty and not been swept out.
    dead: usize,
    /// The bytes that lists and packages take beside themselves.
    heap: usize,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packages, words) = (self.len(), self.terms.len());
        f.debug_struct("Index")
            .field("packages", &packages)
            .field("words", &words)
            .finish_non_exhaustive()
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// An index of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            terms: Terms::default(),
            postings: Paged::new(),
            docs: Paged::new(),
            norms: Paged::new(),
            free: Vec::new(),
            deprecated: HashSet::new(),
            places: [const { HashTable::new() }; TABLES],
            hasher: RandomState::new(),
            dead: 0,
            heap: 0,
        }
    }

    /// Takes in what the newest head of a package says, in place of what an earlier one said: the manifest of its latest
    /// release, the versions of those of its releases that are not yanked, and when it was issued, in Unix seconds.
    ///
    /// Owners whose keys are not Ed25519 own no packages: theirs are passed over.
    pub fn insert<'a>(
        &mut self,
        owner: PeerId,
        manifest: &Manifest,
        versions: impl IntoIterator<Item = &'a Version>,
        issued: u64,
    ) {
        let Some(key) = owner_key(&owner) else { return };
        let gathered = Gathered::of(manifest);
        let before = self.terms.len();
        let mut words: Vec<(TermId, u8)> =
            gathered.iter().map(|(word, fields)| (self.terms.intern(word), fields)).collect();
        // Nobody has the new ones yet.
        self.dead += self.terms.len() - before;
        words.sort_unstable();
        let new = Doc::new(
            manifest.name.clone(),
            &owner,
            issued,
            words.iter().map(|(id, _)| *id),
            versions,
        );
        let Some(new) = new else { return };
        let known = self.find(manifest.name.as_str(), &key);
        let doc = match known.or_else(|| self.free.pop()) {
            Some(doc) => doc,
            None => {
                let doc = self.docs.len();
                if doc >= postings::MAX_DOCS {
                    return;
                }
                self.docs.push(None);
                self.norms.push(0);
                doc as u32
            }
        };
        let Some(slot) = self.docs.get_mut(doc as usize) else { return };
        self.heap += new.heap();
        if let Some(norm) = self.norms.get_mut(doc as usize) {
            *norm = gathered.norm();
        }
        let old = slot.replace(new);
        for (id, fields) in &words {
            self.change(*id, |list| list.set(doc, *fields));
        }
        match old {
            Some(old) => self.forget(doc, &old, &words),
            None => {
                let hash = hash(&self.hasher, manifest.name.as_str(), &key);
                let (hasher, docs) = (&self.hasher, &self.docs);
                if let Some(table) = self.places.get_mut(table_of(hash)) {
                    table.insert_unique(hash, doc, |doc| rehash(hasher, docs, *doc));
                }
            }
        }
        self.sweep();
    }

    /// Says whether a package that is there is deprecated: then it comes last.
    pub fn set_deprecated(&mut self, name: &PackageName, owner: &PeerId, deprecated: bool) {
        if !deprecated && self.deprecated.is_empty() {
            return;
        }
        let found = owner_key(owner).and_then(|key| self.find(name.as_str(), &key));
        let Some(doc) = found else { return };
        if deprecated {
            self.deprecated.insert(doc);
        } else {
            self.deprecated.remove(&doc);
        }
    }

    /// Forgets a package. Tells whether it was there.
    pub fn remove(&mut self, name: &PackageName, owner: &PeerId) -> bool {
        let Some(key) = owner_key(owner) else { return false };
        let Some(doc) = self.find(name.as_str(), &key) else { return false };
        let hash = hash(&self.hasher, name.as_str(), &key);
        if let Some(table) = self.places.get_mut(table_of(hash))
            && let Ok(place) = table.find_entry(hash, |other| *other == doc)
        {
            place.remove();
        }
        if let Some(old) = self.docs.get_mut(doc as usize).and_then(Option::take) {
            self.forget(doc, &old, &[]);
        }
        self.deprecated.remove(&doc);
        self.free.push(doc);
        self.sweep();
        true
    }

    /// Whose packages have this very name: so many of them at the most.
    pub(crate) fn owners_of(&self, name: &PackageName, most: usize) -> Vec<PeerId> {
        let docs = self.named(self.spelt_as(name), usize::MAX).filter(|doc| doc.name == *name);
        docs.filter_map(Doc::owner).take(most).collect()
    }

    /// Packages of other names that are spelt like this one but for separators: so many of those that are wanted at the
    /// most.
    pub(crate) fn spelt_like(
        &self,
        name: &PackageName,
        most: usize,
        is_wanted: impl Fn(&PackageName) -> bool,
    ) -> Vec<(PackageName, PeerId)> {
        let docs = self.named(self.spelt_as(name), MAX_NAMES_LOOKED_AT);
        packages(docs.filter(|doc| doc.name != *name && is_wanted(&doc.name)), most)
    }

    /// Packages of other names that are spelt like this one but for separators, and then those that are one typing error
    /// away: so many of them at the most.
    pub(crate) fn named_like(&self, name: &PackageName, most: usize) -> Vec<(PackageName, PeerId)> {
        let joined = fold::joined(name.as_str());
        let mut words: Vec<TermId> = self.spelt_as(name).into_iter().collect();
        // Of two letters, each other name of two is half an error away.
        let forgiven = u8::from(joined.chars().nth(2).is_some());
        typos::near(&self.terms, &joined, forgiven, |_, id| words.push(id));
        packages(self.named(words, MAX_NAMES_LOOKED_AT).filter(|doc| doc.name != *name), most)
    }

    /// The word that is this name but for separators.
    fn spelt_as(&self, name: &PackageName) -> Option<TermId> {
        self.terms.get(&fold::joined(name.as_str()))
    }

    /// Packages whose whole name is one of these words, among so many that have them anywhere.
    fn named(
        &self,
        words: impl IntoIterator<Item = TermId>,
        most_looked_at: usize,
    ) -> impl Iterator<Item = &Doc> {
        let entries = words.into_iter().flat_map(|id| self.entries(id)).take(most_looked_at);
        let named = entries.filter(|entry| fields_of(**entry) & field::WHOLE != 0);
        named.filter_map(|entry| self.doc(doc_of(*entry)))
    }

    /// How many packages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.iter().map(HashTable::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the index takes, as far as it allocates them itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A number and a byte of control for each place of a hash table.
        let places = self.places.iter().map(|table| table.capacity() * 5).sum::<usize>();
        self.heap
            + self.terms.heap()
            + self.postings.heap()
            + self.docs.heap()
            + self.norms.heap()
            + self.free.capacity() * mem::size_of::<u32>()
            + self.deprecated.capacity() * (mem::size_of::<u32>() + 1)
            + places
            + mem::size_of::<Self>()
    }

    fn find(&self, name: &str, owner: &[u8; 32]) -> Option<u32> {
        let same = |doc: &u32| {
            let doc = self.docs.get(*doc as usize).and_then(Option::as_ref);
            doc.is_some_and(|doc| doc.place() == (name, owner))
        };
        let hash = hash(&self.hasher, name, owner);
        self.places.get(table_of(hash))?.find(hash, same).copied()
    }

    /// Takes a package out of the lists of words that it has no more. Both lists of words are in order.
    fn forget(&mut self, doc: u32, old: &Doc, new: &[(TermId, u8)]) {
        self.heap -= old.heap();
        for id in old.terms() {
            if new.binary_search_by_key(&id, |(id, _)| *id).is_err() {
                self.change(id, |list| list.remove(doc));
            }
        }
    }

    fn change(&mut self, id: TermId, change: impl FnOnce(&mut Postings)) {
        let at = id as usize;
        while at >= self.postings.len() {
            self.postings.push(Postings::new());
        }
        if let Some(list) = self.postings.get_mut(at) {
            let (heap, was_empty) = (list.heap(), list.is_empty());
            change(list);
            self.heap = self.heap + list.heap() - heap;
            match (was_empty, list.is_empty()) {
                (false, true) => self.dead += 1,
                (true, false) => self.dead = self.dead.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Sweeps some of the dictionary, if it is worth it.
    fn sweep(&mut self) {
        if self.dead > SOME_DEAD.max(self.terms.len() / 4) {
            let postings = &self.postings;
            let gone = |id: TermId| postings.get(id as usize).is_none_or(Postings::is_empty);
            self.dead = self.dead.saturating_sub(self.terms.sweep(SWEEP_BLOCKS, gone));
        }
    }

    fn entries(&self, id: TermId) -> &[u32] {
        self.postings.get(id as usize).map(Postings::entries).unwrap_or_default()
    }

    fn norm(&self, doc: u32) -> u8 {
        self.norms.get(doc as usize).copied().unwrap_or_default()
    }

    fn is_deprecated(&self, doc: u32) -> bool {
        !self.deprecated.is_empty() && self.deprecated.contains(&doc)
    }

    fn doc(&self, doc: u32) -> Option<&Doc> {
        self.docs.get(doc as usize)?.as_ref()
    }
}

/// By bits in the middle: a table looks at both ends of a hash.
fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

fn hash(hasher: &RandomState, name: &str, owner: &[u8; 32]) -> u64 {
    hasher.hash_one((name, owner))
}

fn rehash(hasher: &RandomState, docs: &Paged<Option<Doc>>, doc: u32) -> u64 {
    let doc = docs.get(doc as usize).and_then(Option::as_ref);
    doc.map_or(0, |doc| hash(hasher, doc.place().0, doc.owner_key()))
}

/// The first of these packages, by name and owner.
fn packages<'a>(docs: impl Iterator<Item = &'a Doc>, most: usize) -> Vec<(PackageName, PeerId)> {
    docs.filter_map(|doc| Some((doc.name.clone(), doc.owner()?))).take(most).collect()
}
