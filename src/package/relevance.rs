//! How well a package fits what is searched for, by where its words are found.
//!
//! The measure depends on the query and the package alone, so that what several peers have found can be put in one order.
//! An index that knows how rare words are weighs them by that, and uses the same numbers else.

use super::{
    Manifest, Query,
    words::{forgiven_errors, joined, typing_errors, words},
};
use crate::package::query::Matching;

/// Where a word stands in a package. The worth of places: one above another is never made up for by how well a word fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places(u8);

impl Places {
    /// It is the whole name.
    pub(crate) const NAME: Self = Self(16);
    /// The name begins with it.
    pub(crate) const NAME_START: Self = Self(8);
    /// It is another one of the name's words.
    pub(crate) const NAME_WORD: Self = Self(4);
    /// It is a keyword, or a word of one.
    pub(crate) const KEYWORD: Self = Self(2);
    /// It is in the description.
    pub(crate) const DESCRIPTION: Self = Self(1);

    /// How many bits [`bits`](Self::bits) tells.
    pub(crate) const BITS: u32 = 5;

    pub(crate) fn of_bits(bits: u8) -> Self {
        Self(bits & 31)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, place: Self) -> bool {
        self.0 & place.0 != 0
    }
}

/// How a word of the query is like one of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// It is the same.
    Same,
    /// The package's goes on after it, for so many of its letters.
    Beginning { letters: usize, of: usize },
    /// So many typing errors apart.
    Errors(usize),
}

impl Likeness {
    /// The likeness of two words, if they are alike at all.
    pub(crate) fn of(wanted: &str, found: &str) -> Option<Self> {
        if wanted == found {
            return Some(Self::Same);
        }
        if is_begun_by(found, wanted) {
            let (letters, of) = (wanted.chars().count(), found.chars().count());
            return Some(Self::Beginning { letters, of });
        }
        let [wanted, found] = [wanted, found].map(|word| word.chars().collect::<Vec<_>>());
        typing_errors(&wanted, &found, forgiven_errors(wanted.len())).map(Self::Errors)
    }

    /// How many typing errors there are.
    pub(crate) fn errors(self) -> usize {
        match self {
            Self::Same | Self::Beginning { .. } => 0,
            Self::Errors(errors) => errors,
        }
    }

    /// In hundredths.
    fn worth(self) -> u32 {
        match self {
            Self::Same => 100,
            Self::Beginning { letters, of } => {
                let share = 100 * letters / of.max(1);
                // 30 to 70: less than what is the same, and more the less is missing.
                30 + u32::try_from(share.min(100)).unwrap_or(0) * 2 / 5
            }
            Self::Errors(errors) if errors < 2 => 40,
            Self::Errors(_) => 25,
        }
    }
}

/// Whether a word counts as the beginning of another: from two letters on.
pub(crate) fn is_begun_by(word: &str, beginning: &str) -> bool {
    beginning.len() >= 2 && word.starts_with(beginning)
}

/// What a package is beside its words: how long its name is, in letters, and its description, in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) name: u8,
    pub(crate) description: u8,
}

impl Lengths {
    pub(crate) fn new(name: usize, description: usize) -> Self {
        let short = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
        Self { name: short(name), description: short(description) }
    }
}

/// What a word of the query adds for being found there: 0 to some 20,000.
pub(crate) fn worth(places: Places, likeness: Likeness, word: &str, lengths: Lengths) -> u32 {
    let letters = u32::try_from(word.len()).unwrap_or(u32::MAX);
    let mut worth = 0;
    if places.has(Places::NAME) {
        worth = 140;
    } else if places.has(Places::NAME_START) || places.has(Places::NAME_WORD) {
        // Of a short name it is a larger part.
        let name = u32::from(lengths.name).max(1);
        let (least, share) = if places.has(Places::NAME_START) { (88, 22) } else { (62, 24) };
        worth = least + share * letters.min(name) / name;
    }
    if places.has(Places::KEYWORD) {
        worth = if worth == 0 { 55 } else { worth + 12 };
    }
    if places.has(Places::DESCRIPTION) {
        let words = u32::from(lengths.description);
        let concise = 18 + 12 * 12 / words.max(6);
        worth = if worth == 0 { concise } else { worth + concise / 4 };
    }
    worth * likeness.worth()
}

/// Above every sum of [`worth`]: the name is what was typed, but for punctuation.
pub(crate) const NAME_AS_TYPED: u64 = 1 << 40;

/// The parts of a query's text that are compared.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Each once, in their order.
    pub(crate) words: Vec<String>,
    pub(crate) joined: String,
}

impl Wanted {
    pub(crate) fn of(query: &Query) -> Self {
        let text = query.text.as_deref().unwrap_or_default();
        let mut unique: Vec<String> = Vec::new();
        for word in words(text) {
            if !unique.contains(&word) {
                unique.push(word);
            }
        }
        Self { words: unique, joined: joined(text) }
    }
}

/// The words of a package, each with its places, and its lengths.
pub(crate) fn indexed(manifest: &Manifest) -> (Vec<(String, Places)>, Lengths) {
    let name = joined(manifest.name.as_str());
    let mut found: Vec<(String, Places)> = Vec::new();
    let lengths_name = name.len();
    found.push((name, Places::NAME));
    let name_words = words(manifest.name.as_str()).into_iter().enumerate();
    found.extend(name_words.map(|(place, word)| {
        (word, if place == 0 { Places::NAME_START } else { Places::NAME_WORD })
    }));
    for keyword in &manifest.keywords {
        let parts = words(keyword);
        if parts.len() > 1 {
            found.push((joined(keyword), Places::KEYWORD));
        }
        found.extend(parts.into_iter().map(|word| (word, Places::KEYWORD)));
    }
    let description = words(&manifest.description);
    let lengths = Lengths::new(lengths_name, description.len());
    found.extend(description.into_iter().map(|word| (word, Places::DESCRIPTION)));
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    found.dedup_by(|(word, places), (kept, all)| {
        let same = word == kept;
        if same {
            *all = all.and(*places);
        }
        same
    });
    (found, lengths)
}

/// How well a package fits the text of a query: the higher the better, `None` if it does not. Without a text, each fits
/// equally well.
pub(crate) fn relevance(query: &Query, manifest: &Manifest) -> Option<u64> {
    let wanted = Wanted::of(query);
    let (found, lengths) = indexed(manifest);
    let mut sum: u64 = 0;
    let mut any = wanted.words.is_empty();
    for word in &wanted.words {
        let best = found
            .iter()
            .filter_map(|(other, places)| {
                let likeness = Likeness::of(word, other)?;
                Some(worth(*places, likeness, word, lengths))
            })
            .max();
        match (best, query.matching) {
            (Some(best), _) => {
                any = true;
                sum += u64::from(best);
            }
            (None, Matching::All) => return None,
            (None, Matching::Any) => {}
        }
    }
    let as_typed = !wanted.joined.is_empty() && wanted.joined == joined(manifest.name.as_str());
    let tier = if as_typed { NAME_AS_TYPED } else { 0 };
    (any || as_typed).then_some(tier + sum)
}
