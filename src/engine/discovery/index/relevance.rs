//! How well one package fits a query, where no other packages are known.

use super::{
    gather::Gathered,
    postings::field::WHOLE,
    rank::{Quality, Score, add, table},
    typos,
    wanted::{Wanted, begins_more},
};
use crate::package::{Manifest, Query};

/// The rarity of all words where no other packages are known.
const NO_RARITY: f32 = 5.0;

/// How well a package fits the text of a query, by what the query and the package say alone: for putting results of
/// different peers in one order. `None` where it does not fit. What else the query wants is not looked at: see
/// [`Query::accepts`]. A text without a word finds nothing, no text finds everything, with the lowest score.
#[must_use]
pub fn relevance(query: &Query, manifest: &Manifest) -> Option<Score> {
    let Some(wanted) = Wanted::of(query) else { return Some(Score::default()) };
    let gathered = Gathered::of(manifest);
    let found = wanted.words.iter().map(|word| best(word, &wanted, &gathered));
    let named = wanted.joined.as_deref().is_some_and(|joined| {
        gathered.iter().any(|(term, fields)| fields & WHOLE != 0 && term == joined)
    });
    let sum = if named {
        Score::OF_NAME
    } else if wanted.any {
        // A name outweighs everything, and needs no more.
        found.flatten().reduce(add)?
    } else {
        found.collect::<Option<Vec<u32>>>()?.into_iter().reduce(add)?
    };
    Some(Score::of(sum, gathered.norm(), || wanted.is_typed(manifest.name.as_str())))
}

/// What a word of the query adds by the place that has it best.
fn best(word: &str, wanted: &Wanted, gathered: &Gathered) -> Option<u32> {
    let is_text = wanted.is_text();
    let most = typos::forgiven(word);
    let places = gathered.iter().filter(|(_, fields)| *fields != 0);
    let added = places.filter_map(|(term, fields)| {
        let quality = if term == word {
            Quality::Whole
        } else if begins_more(word) && term.starts_with(word) {
            Quality::Beginning
        } else {
            Quality::of_distance(typos::distance(word, term, most)?)
        };
        table(quality, NO_RARITY, is_text).get(usize::from(fields)).copied()
    });
    added.max()
}
