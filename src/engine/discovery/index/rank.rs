//! How well a package fits a text.
//!
//! Each word of the text earns points by the best place in which the package has it, and the points of all words decide:
//! that depends on the package and the query only, so that results of different peers can be put in one order. Where
//! the points are alike, what decides is how rare the words are, in how many fields they are, and how short the
//! package's texts are: the factors of BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009),
//! with fields weighed as in BM25F. A package whose whole name is the text comes before all others.
//!
//! | place | whole | as a beginning | with one error | with two |
//! |--|--|--|--|--|
//! | the whole name | 20 | 15 | 5 | 3 |
//! | the start of the name | 17 | 14 | 4 | 2 |
//! | a word of the name | 16 | 13 | 4 | 2 |
//! | a keyword | 11 | 9 | 3 | 1 |
//! | the description | 8 | 6 | 2 | 1 |

use super::postings::field::{DESCRIPTION, KEYWORD, NAME, SETS, START, WHOLE};

/// How well a package fits a text: the higher, the better. Scores of one query can be compared.
///
/// From the highest bit: the name is the text; it is so to the letter; the points; what decides between equal points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Score(u32);

impl Score {
    const NAMED: u32 = 1 << 31;
    const TYPED: u32 = 1 << 30;
    const POINT: u32 = 1 << 20;
    const FINE: u32 = Self::POINT - 1;

    /// The score of a package whose name is the text, but for separators.
    pub(super) const OF_NAME: u32 = Self::NAMED;

    /// The score of a package whose words come to so much.
    pub(super) fn of(sum: u32, norm: u8, is_typed: impl FnOnce() -> bool) -> Self {
        if sum & Self::NAMED != 0 {
            let typed = if is_typed() { Self::TYPED } else { 0 };
            return Self(Self::NAMED | typed | u32::from(norm));
        }
        // 20 bits and 8.
        Self((sum & !Self::FINE) | ((sum & Self::FINE) * u32::from(norm)) >> 8)
    }

    /// The part of the score that is the same whatever else is known: what [`relevance`] finds, too.
    #[must_use]
    pub fn tier(self) -> u32 {
        if self.0 & Self::NAMED != 0 { self.0 >> 30 << 10 } else { self.0 / Self::POINT }
    }
}

/// How a word was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quality {
    Whole,
    Beginning,
    OneError,
    TwoErrors,
}

impl Quality {
    pub(super) fn of_distance(distance: u8) -> Self {
        if distance < 2 { Self::OneError } else { Self::TwoErrors }
    }

    /// For the whole name, its start, a word of it, a keyword, the description.
    const fn points(self) -> [u32; 5] {
        match self {
            Self::Whole => [20, 17, 16, 11, 8],
            Self::Beginning => [15, 14, 13, 9, 6],
            Self::OneError => [5, 4, 4, 3, 2],
            Self::TwoErrors => [3, 2, 2, 1, 1],
        }
    }

    const fn weight(self) -> f32 {
        match self {
            Self::Whole => 1.0,
            Self::Beginning => 0.7,
            Self::OneError => 0.5,
            Self::TwoErrors => 0.3,
        }
    }
}

/// What a word adds, by the fields that have it.
pub(super) type Table = [u32; SETS];

/// Counts for the sum what a filter finds: nothing.
pub(super) const NOTHING: Table = [0; SETS];

/// How rare a word is that `with` of `all` packages have: the idf of BM25.
pub(super) fn rarity(with: usize, all: usize) -> f32 {
    let (with, all) = (with as f32, all.max(with) as f32);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

/// What a word adds that was found so. `is_text` says that it is the whole text, or an alternative of it.
pub(super) fn table(quality: Quality, rarity: f32, is_text: bool) -> Table {
    let [whole, start, name, keyword, description] = quality.points();
    std::array::from_fn(|fields| {
        let has = |field: u8| fields & usize::from(field) != 0;
        if has(WHOLE) && is_text && quality == Quality::Whole {
            return Score::OF_NAME;
        }
        let places = [
            (WHOLE, whole),
            (START, start),
            (NAME, name),
            (KEYWORD, keyword),
            (DESCRIPTION, description),
        ];
        let points =
            places.into_iter().find(|(field, _)| has(*field)).map_or(0, |(_, points)| points);
        let weights = [(WHOLE, 1.0), (NAME, 4.0), (KEYWORD, 2.5), (DESCRIPTION, 1.0)];
        let weight: f32 =
            weights.into_iter().filter(|(field, _)| has(*field)).map(|(_, weight)| weight).sum();
        // Of sixteen words, the sum stays below a point.
        let fine = (rarity * weight * quality.weight() * 64.0) as u32;
        points * Score::POINT + fine.min(Score::FINE / 16)
    })
}

/// How much what decides between equal points weighs, for a name and a description of so many words: 1 to 255.
pub(super) fn norm(name: usize, description: usize) -> u8 {
    let long = 0.5 + 0.2 * name as f32 + 0.015 * description as f32;
    (180.0 / long).clamp(1.0, 255.0) as u8
}

/// The sum of what two words add. Only one of them is the name, and then nothing else counts.
pub(super) fn add(a: u32, b: u32) -> u32 {
    a.saturating_add(b)
}
