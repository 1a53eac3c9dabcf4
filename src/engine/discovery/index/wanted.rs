//! What the text of a query asks for.

use super::{fold, grams::is_gram};
use crate::package::{Match, Query};

/// The words of a query's text.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Different words, in the order of the text.
    pub(super) words: Vec<String>,
    /// Whether there were more of them than count.
    pub(super) truncated: bool,
    /// All words as one, where there are several and all are wanted.
    pub(super) joined: Option<String>,
    /// Whether each word alone will do.
    pub(super) any: bool,
    /// Whether there is one word and no more.
    single: bool,
    /// The text, as a name might be spelt.
    typed: String,
}

/// Whether a word also finds longer ones that begin with it. Of single letters, that would be too many; pairs of
/// characters are found in the middle of a text anyway.
pub(super) fn begins_more(word: &str) -> bool {
    !is_gram(word) && word.chars().nth(1).is_some()
}

/// More words than this are in no valid text, each with a space.
const MAX_PIECES: usize = Query::MAX_TEXT_BYTES / 2;

impl Wanted {
    /// `None` where there is no text, so that everything is wanted.
    pub(super) fn of(query: &Query) -> Option<Self> {
        let text = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
        let any = query.matching == Match::Any;
        let (mut words, mut pieces) = (Vec::<(String, bool)>::new(), 0);
        fold::words(text, |word, is_spare| {
            pieces += 1;
            if let Some((_, was_spare)) = words.iter_mut().find(|(known, _)| known == word) {
                *was_spare &= is_spare;
            } else if words.len() < MAX_PIECES {
                words.push((word.to_owned(), is_spare));
            }
        });
        if words.len() > Query::MAX_WORDS {
            words.retain(|(_, is_spare)| !is_spare);
        }
        let truncated = words.len() > Query::MAX_WORDS;
        let words = words.into_iter().take(Query::MAX_WORDS).map(|(word, _)| word).collect();
        let joined = (pieces > 1 && !any).then(|| fold::joined(text));
        Some(Self {
            words,
            truncated,
            joined,
            any,
            single: pieces == 1,
            typed: text.to_lowercase(),
        })
    }

    /// Whether a single word is as much as the text, so that a package of that name is what is meant.
    pub(super) fn is_text(&self) -> bool {
        self.any || self.single
    }

    /// Whether a name was typed to the letter.
    pub(super) fn is_typed(&self, name: &str) -> bool {
        self.typed == name || (self.any && self.typed.split_whitespace().any(|word| word == name))
    }
}
