//! What the text of a query asks for.

use super::fold;
use crate::{Query, package::Match};

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

/// Whether a word also finds longer ones that begin with it. Of single letters, that would be too many.
pub(super) fn begins_more(word: &str) -> bool {
    word.chars().nth(1).is_some()
}

impl Wanted {
    /// `None` where there is no text, so that everything is wanted.
    pub(super) fn of(query: &Query) -> Option<Self> {
        let text = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
        let any = query.matching == Match::Any;
        let (mut words, mut truncated, mut pieces) = (Vec::<String>::new(), false, 0);
        fold::words(text, |word| {
            pieces += 1;
            if words.iter().any(|known| known == word) {
                return;
            }
            if words.len() < Query::MAX_WORDS {
                words.push(word.to_owned())
            } else {
                truncated = true
            }
        });
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
