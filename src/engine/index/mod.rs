//! The words of all packages, and which packages have them: an inverted index.
//!
//! A word leads to the packages that have it, with where they have it; a query's words are looked up, their packages
//! brought together, weighed and cut to what is wanted. See [`Query`] for what is found and in which order; by
//! relevance, a rare word weighs more than a common one here (the inverse document frequency of Robertson and Spärck
//! Jones, in a range of one to four, so that where a word stands still counts for more than how rare it is).
//!
//! Work is bounded: a word stands for no more than [`MAX_EXPANSIONS`] others that begin with it or are like it, and a query
//! looks at no more than [`MAX_LOOKED_AT`] entries. Where that leaves something out, the answer says so.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use libp2p::PeerId;
use semver::Version;

mod terms;
#[cfg(test)]
mod tests;

use self::terms::{Posting, TermId, Terms};
use crate::{
    Manifest, Matching, PackageName, Query, Sort,
    package::relevance::{self, Lengths, Likeness, NAME_AS_TYPED, Wanted, is_begun_by},
    package::words::{forgiven_errors, joined},
};

/// How many words a word may stand for.
const MAX_EXPANSIONS: usize = 64;

/// How many entries of all words together a query looks at.
const MAX_LOOKED_AT: usize = 1_000_000;

/// What is asked of the index is answered with this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// How many packages match, those before the offset and beyond the limit among them.
    pub(crate) total: usize,
    /// Those that are wanted, in the order that is wanted.
    pub(crate) hits: Vec<(PackageName, PeerId)>,
    /// Not everything was looked at that might match.
    pub(crate) truncated: bool,
}

/// What is kept of a package beside its words.
#[derive(Debug)]
struct Document {
    name: PackageName,
    owner: PeerId,
    license: Option<Box<str>>,
    releases: Box<[Version]>,
    issued: u64,
    /// The name without what is between its words, as the dictionary has it.
    joined: TermId,
}

/// The index. See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By number. A package that has gone leaves its place empty until there are too many of those.
    documents: Vec<Option<Box<Document>>>,
    /// Of each, apart from the rest: every hit is weighed by it.
    lengths: Vec<Lengths>,
    by_package: HashMap<(PackageName, PeerId), u32>,
    terms: Terms,
    /// Packages by their keywords as they were written.
    keywords: HashMap<Box<str>, Vec<u32>>,
}

/// Packages with what they are worth, in the order of their numbers, each once.
type Weighed = Vec<(u32, u64)>;

impl Index {
    /// Lists a package in place of what was listed of it before. `releases` are those that are not yanked.
    pub(crate) fn insert(
        &mut self,
        owner: PeerId,
        manifest: &Manifest,
        releases: impl IntoIterator<Item = Version>,
        issued: u64,
    ) {
        self.remove(&manifest.name, &owner);
        let Ok(number) = u32::try_from(self.documents.len()) else { return };
        if number > Posting::MAX_DOCUMENT {
            return;
        }
        let (words, lengths) = relevance::indexed(manifest);
        for (word, places) in words {
            self.terms.add(&word, Posting::new(number, places));
        }
        let mut keywords: HashSet<&str> = HashSet::new();
        for keyword in manifest.keywords.iter().filter(|keyword| keywords.insert(keyword.as_str()))
        {
            match self.keywords.get_mut(keyword.as_str()) {
                Some(packages) => packages.push(number),
                None => {
                    self.keywords.insert(keyword.as_str().into(), vec![number]);
                }
            }
        }
        let joined = self.terms.intern(&joined(manifest.name.as_str()));
        self.documents.push(Some(Box::new(Document {
            name: manifest.name.clone(),
            owner,
            license: manifest.license.as_deref().map(Into::into),
            releases: releases.into_iter().collect(),
            issued,
            joined,
        })));
        self.lengths.push(lengths);
        self.by_package.insert((manifest.name.clone(), owner), number);
    }

    /// Forgets a package.
    pub(crate) fn remove(&mut self, name: &PackageName, owner: &PeerId) {
        let Some(number) = self.by_package.remove(&(name.clone(), *owner)) else { return };
        if let Some(document) = self.documents.get_mut(number as usize) {
            *document = None;
        }
        if self.documents.len() > 2 * self.by_package.len() + 1024 {
            self.compact();
        }
    }

    /// How many packages there are.
    pub(crate) fn len(&self) -> usize {
        self.by_package.len()
    }

    /// What it takes of memory, in bytes, reckoned from what is in it.
    pub(crate) fn bytes(&self) -> usize {
        const ENTRY: usize = 48;
        let documents = self.documents.iter().flatten().map(|document| {
            size_of::<Document>()
                + 2 * document.name.as_str().len()
                + document.license.as_ref().map_or(0, |license| license.len())
                + document.releases.len() * size_of::<Version>()
        });
        let keywords = self
            .keywords
            .iter()
            .map(|(word, packages)| ENTRY + word.len() + packages.capacity() * size_of::<u32>());
        self.documents.capacity() * size_of::<Option<Box<Document>>>()
            + self.lengths.capacity() * size_of::<Lengths>()
            + documents.sum::<usize>()
            + keywords.sum::<usize>()
            + self.by_package.capacity() * (size_of::<(PackageName, PeerId)>() + 8)
            + self.terms.bytes()
    }

    /// What matches a query.
    pub(crate) fn search(&self, query: &Query) -> Found {
        let mut truncated = false;
        let mut found: Weighed = match self.weigh(query, &mut truncated) {
            Some(weighed) => weighed,
            None => self.all(query),
        };
        let by_keywords: Vec<_> =
            query.keywords.iter().map(|keyword| self.keywords.get(keyword.as_str())).collect();
        found.retain(|(number, _)| {
            by_keywords.iter().all(|packages| {
                packages.is_some_and(|packages| packages.binary_search(number).is_ok())
            }) && self.document(*number).is_some_and(|document| document.is_wanted(query))
        });
        let total = found.len();
        let wanted = query.offset.saturating_add(query.limit);
        match query.sort {
            Sort::Relevance => self.first(&mut found, wanted, |(_, worth), _| Reverse(*worth)),
            Sort::Name => self.first(&mut found, wanted, |_, _| ()),
            Sort::Updated => self.first(&mut found, wanted, |_, document| Reverse(document.issued)),
        }
        let hits = found
            .iter()
            .skip(query.offset)
            .filter_map(|(number, _)| self.document(*number))
            .map(|document| (document.name.clone(), document.owner))
            .collect();
        Found { total, hits, truncated }
    }

    fn document(&self, number: u32) -> Option<&Document> {
        self.documents.get(number as usize)?.as_deref()
    }

    /// Everything that may match a query without a text.
    fn all(&self, query: &Query) -> Weighed {
        // The rarest keyword has the fewest to look at.
        let keywords = query.keywords.iter().map(|keyword| self.keywords.get(keyword.as_str()));
        match keywords.min_by_key(|packages| packages.map_or(0, Vec::len)) {
            Some(packages) => packages.into_iter().flatten().map(|number| (*number, 0)).collect(),
            None => (0..).take(self.documents.len()).map(|number| (number, 0)).collect(),
        }
    }

    /// Keeps the first of them, in order.
    fn first<K: Ord>(
        &self,
        found: &mut Weighed,
        wanted: usize,
        key: impl Fn(&(u32, u64), &Document) -> K,
    ) {
        let order = |a: &(u32, u64), b: &(u32, u64)| {
            let key = |hit: &(u32, u64)| {
                self.document(hit.0)
                    .map(|document| (key(hit, document), &document.name, document.owner))
            };
            key(a).cmp(&key(b))
        };
        if wanted < found.len() {
            found.select_nth_unstable_by(wanted, order);
            found.truncate(wanted);
        }
        found.sort_unstable_by(order);
    }

    /// What has the words of a query's text, weighed. None if it has no text.
    fn weigh(&self, query: &Query, truncated: &mut bool) -> Option<Weighed> {
        let wanted = Wanted::of(query);
        if wanted.words.is_empty() {
            // A text of punctuation alone is one that nothing has.
            return query
                .text
                .as_deref()
                .is_some_and(|text| !text.trim().is_empty())
                .then(Vec::new);
        }
        let mut room = MAX_LOOKED_AT;
        let mut lists: Vec<Weighed> =
            wanted.words.iter().map(|word| self.having(word, &mut room, truncated)).collect();
        let mut weighed = match query.matching {
            Matching::All => {
                // The shortest first: what is not in it need not be looked at.
                lists.sort_by_key(Vec::len);
                lists.into_iter().reduce(|all, list| intersection(&all, &list))?
            }
            Matching::Any => lists.into_iter().reduce(|all, list| union(&all, &list))?,
        };
        if let Some(term) = self.terms.find(&wanted.joined) {
            for (number, worth) in &mut weighed {
                if self.document(*number).is_some_and(|document| document.joined == term) {
                    *worth += NAME_AS_TYPED;
                }
            }
        }
        Some(weighed)
    }

    /// The packages that have a word, one that begins with it, or one that is like it.
    fn having(&self, word: &str, room: &mut usize, truncated: &mut bool) -> Weighed {
        let mut terms: Vec<(TermId, Likeness)> = Vec::new();
        let mut beginning = self.terms.beginning_with(word);
        for (other, term) in beginning.by_ref().take(MAX_EXPANSIONS) {
            if other == word || is_begun_by(other, word) {
                terms.extend(Likeness::of(word, other).map(|likeness| (term, likeness)));
            }
        }
        *truncated |= word.len() >= 2 && beginning.next().is_some();
        if terms.is_empty() && forgiven_errors(word.chars().count()) > 0 {
            terms = self.terms.like(word);
            if terms.len() > MAX_EXPANSIONS {
                // The fewest errors first.
                terms.sort_by_key(|(term, likeness)| (likeness.errors(), *term));
                terms.truncate(MAX_EXPANSIONS);
                *truncated = true;
            }
        }
        let has = terms.iter().map(|(term, _)| self.terms.postings(*term).len()).sum::<usize>();
        let mut weighed: Weighed = Vec::with_capacity(has.min(*room));
        for (term, likeness) in terms {
            let postings = self.terms.postings(term);
            if postings.len() > *room {
                *truncated = true;
                break;
            }
            *room -= postings.len();
            weighed.extend(postings.iter().filter_map(|posting| {
                let number = posting.document();
                // It may have gone.
                self.document(number)?;
                let lengths = *self.lengths.get(number as usize)?;
                let worth = relevance::worth(posting.places(), likeness, word, lengths);
                Some((number, u64::from(worth)))
            }));
        }
        // Each word's packages are in order; those of several words are put in order together.
        weighed.sort_unstable_by_key(|(number, worth)| (*number, Reverse(*worth)));
        weighed.dedup_by_key(|(number, _)| *number);
        let rarity = self.rarity(weighed.len());
        weighed.iter_mut().for_each(|(_, worth)| *worth *= rarity);
        weighed
    }

    /// How much a word counts that so many packages have: 64 for one that all have, up to 256.
    fn rarity(&self, has: usize) -> u64 {
        let all = u64::try_from(self.len()).unwrap_or(u64::MAX).max(1);
        let has = u64::try_from(has).unwrap_or(u64::MAX).max(1);
        // Each halving of the share counts the same: from one in one to one in some hundred thousand.
        let halvings = u64::from((all / has).max(1).ilog2());
        64 + 12 * halvings.min(16)
    }

    /// Leaves the empty places out: takes time in proportion to all that is there, once in as many removals.
    fn compact(&mut self) {
        let mut numbers = vec![None; self.documents.len()];
        let mut next = 0_u32;
        let (mut documents, mut lengths) = (Vec::new(), Vec::new());
        let before = std::mem::take(&mut self.documents).into_iter().zip(&self.lengths);
        for ((document, length), number) in before.zip(&mut numbers) {
            if let Some(document) = document {
                *number = Some(next);
                next += 1;
                documents.push(Some(document));
                lengths.push(*length);
            }
        }
        let renumbered = |number: u32| numbers.get(number as usize).copied().flatten();
        self.by_package.values_mut().for_each(|number| *number = renumbered(*number).unwrap_or(0));
        self.keywords.retain(|_, packages| {
            *packages = packages.iter().copied().filter_map(renumbered).collect();
            !packages.is_empty()
        });
        let kept: Vec<TermId> =
            documents.iter().flatten().map(|document| document.joined).collect();
        let terms = self.terms.compact(renumbered, &kept);
        for document in documents.iter_mut().flatten() {
            document.joined = terms.get(&document.joined).copied().unwrap_or_default();
        }
        (self.documents, self.lengths) = (documents, lengths);
    }
}

impl Document {
    fn is_wanted(&self, query: &Query) -> bool {
        query.owner.is_none_or(|owner| owner == self.owner)
            && query.is_licensed(self.license.as_deref())
            && query.has_release(self.releases.iter())
    }
}

/// What is in both, each worth what it is in either.
fn intersection(a: &Weighed, b: &Weighed) -> Weighed {
    let mut both = Vec::with_capacity(a.len().min(b.len()));
    let mut rest = b.as_slice();
    for (number, worth) in a {
        // Far ahead in large steps, then back: the other may be very much longer.
        let mut step = 1;
        while rest.get(step).is_some_and(|(other, _)| other < number) {
            step *= 2;
        }
        let near = rest.get(..=step).unwrap_or(rest);
        let skip = near.partition_point(|(other, _)| other < number);
        rest = rest.get(skip..).unwrap_or_default();
        if let Some((other, more)) = rest.first()
            && other == number
        {
            both.push((*number, worth + more));
        }
    }
    both
}

/// What is in one of them, worth what it is in both.
fn union(a: &Weighed, b: &Weighed) -> Weighed {
    let mut all: Weighed = a.iter().chain(b).copied().collect();
    all.sort_unstable_by_key(|(number, _)| *number);
    all.dedup_by(|(number, more), (kept, worth)| {
        let same = number == kept;
        if same {
            *worth += *more;
        }
        same
    });
    all
}
