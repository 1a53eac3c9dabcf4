//! The dictionary: every word, and the packages that have it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use crate::package::{
    relevance::{Likeness, Places},
    words::{forgiven_errors, typing_errors},
};

/// Names a word for as long as the dictionary is not compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct TermId(u32);

/// That a package has a word, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting(u32);

impl Posting {
    /// The largest number of a package.
    pub(super) const MAX_DOCUMENT: u32 = u32::MAX >> Places::BITS;

    pub(super) fn new(document: u32, places: Places) -> Self {
        Self(document << Places::BITS | u32::from(places.bits()))
    }

    pub(super) fn document(self) -> u32 {
        self.0 >> Places::BITS
    }

    pub(super) fn places(self) -> Places {
        Places::of_bits((self.0 & ((1 << Places::BITS) - 1)) as u8)
    }
}

/// A word letter by letter.
#[derive(Debug)]
struct Letters {
    /// Which letters there are, each standing for one of 32: most words can be told apart by that alone.
    some: u32,
    all: Box<[char]>,
}

impl Letters {
    fn of(word: &str) -> Self {
        let all: Box<[char]> = word.chars().collect();
        let some = all.iter().fold(0, |some, letter| some | 1 << (u32::from(*letter) % 32));
        Self { some, all }
    }
}

/// Words in the order of their bytes. Packages get ever higher numbers, so that the packages of a word are in order.
#[derive(Debug, Default)]
pub(super) struct Terms {
    ids: BTreeMap<Box<str>, TermId>,
    postings: Vec<Vec<Posting>>,
    /// Words by their length in letters: what a word with typing errors is compared with.
    by_length: BTreeMap<usize, Vec<Letters>>,
}

impl Terms {
    /// A package has a word. Its number is the highest there is.
    pub(super) fn add(&mut self, word: &str, posting: Posting) {
        let TermId(id) = self.intern(word);
        if let Some(postings) = self.postings.get_mut(id as usize) {
            postings.push(posting);
        }
    }

    /// The name of a word, a new one if it is new.
    pub(super) fn intern(&mut self, word: &str) -> TermId {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        // There are fewer words than postings, whose numbers are bounded.
        let id = TermId(u32::try_from(self.postings.len()).unwrap_or(u32::MAX));
        self.ids.insert(word.into(), id);
        self.postings.push(Vec::new());
        let letters = Letters::of(word);
        self.by_length.entry(letters.all.len()).or_default().push(letters);
        id
    }

    pub(super) fn find(&self, word: &str) -> Option<TermId> {
        self.ids.get(word).copied()
    }

    pub(super) fn postings(&self, TermId(id): TermId) -> &[Posting] {
        self.postings.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// The words that begin with this one, itself first.
    pub(super) fn beginning_with(&self, word: &str) -> impl Iterator<Item = (&str, TermId)> {
        let from = (Bound::Included(word), Bound::Unbounded);
        self.ids
            .range::<str, _>(from)
            .map(|(other, id)| (&**other, *id))
            .take_while(move |(other, _)| other.starts_with(word))
    }

    /// The words that are as many typing errors away from this one as it may have. All words of about its length are
    /// looked at: some milliseconds among a hundred thousand, for a word that nobody uses.
    pub(super) fn like(&self, word: &str) -> Vec<(TermId, Likeness)> {
        let Letters { some, all } = Letters::of(word);
        let most = forgiven_errors(all.len());
        let lengths = all.len().saturating_sub(most)..=all.len() + most;
        let mut like = Vec::new();
        for other in self.by_length.range(lengths).flat_map(|(_, words)| words) {
            // An error takes a letter away, brings one, or both.
            let differ = (some ^ other.some).count_ones() as usize;
            if differ <= 2 * most
                && let Some(errors) = typing_errors(&all, &other.all, most)
                && let Some(id) = self.find(&other.all.iter().collect::<String>())
            {
                like.push((id, Likeness::Errors(errors)));
            }
        }
        like
    }

    /// Gives packages other numbers, in the same order, and leaves out those that have none any more, and words that no
    /// package has. `kept` are words that stay. The new names of all words that are left.
    pub(super) fn compact(
        &mut self,
        renumbered: impl Fn(u32) -> Option<u32>,
        kept: &[TermId],
    ) -> HashMap<TermId, TermId> {
        let kept: std::collections::HashSet<&TermId> = kept.iter().collect();
        let before = std::mem::take(self);
        let mut names = HashMap::new();
        for (word, id) in before.ids {
            let postings: Vec<Posting> = before
                .postings
                .get(id.0 as usize)
                .into_iter()
                .flatten()
                .filter_map(|posting| {
                    Some(Posting::new(renumbered(posting.document())?, posting.places()))
                })
                .collect();
            if postings.is_empty() && !kept.contains(&id) {
                continue;
            }
            let new = self.intern(&word);
            names.insert(id, new);
            if let Some(place) = self.postings.get_mut(new.0 as usize) {
                *place = postings;
            }
        }
        names
    }

    pub(super) fn bytes(&self) -> usize {
        // A word stands in two places: as text with what a tree takes for it, and letter by letter.
        const ENTRY: usize = 72;
        let words = self.ids.keys().map(|word| ENTRY + 5 * word.len());
        let postings = self.postings.iter().map(|postings| 24 + 4 * postings.capacity());
        words.sum::<usize>() + postings.sum::<usize>()
    }
}
