//! The words of a manifest, and where it has them.

use super::{
    fold, grams,
    postings::field::{DESCRIPTION, KEYWORD, NAME, START, WHOLE},
    rank,
};
use crate::package::{Manifest, license_terms};

/// What keywords and licences are written with in the dictionary, so that they are found whole. No word begins so, and
/// both come before all words.
pub(super) const KEYWORD_SIGN: char = '#';
pub(super) const LICENSE_SIGN: char = '!';

/// Longer ones are of no valid manifest.
const MAX_BYTES: usize = 160;

/// The different words of a manifest, in order, each with the fields that have it: none for what only filters look for.
#[derive(Debug)]
pub(super) struct Gathered {
    words: Vec<(Box<str>, u8)>,
    norm: u8,
}

/// What a word takes of the index that no other package has, beside its letters: its list, its number there and in the
/// package, and its part of a block of the dictionary that is half full, some of it gone.
const WORD: usize = 48;

/// What a word takes that others have, too: its place in the list and its number. There are not so many characters that
/// their own lists count.
const SHARED: usize = 12;

/// How many bytes the index takes at the most for a manifest.
pub(crate) fn most_bytes(manifest: &Manifest) -> usize {
    let words = Gathered::of(manifest).words;
    let cost = |word: &str| if grams::is_character(word) { SHARED } else { WORD + word.len() };
    words.iter().map(|(word, _)| cost(word)).sum()
}

impl Gathered {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let mut words: Vec<(Box<str>, u8)> = Vec::with_capacity(48);
        let mut add = |word: &str, fields: u8| {
            if !word.is_empty() && word.len() <= MAX_BYTES {
                words.push((word.into(), fields));
            }
        };
        let name = manifest.name.as_str();
        let mut in_name = 0;
        fold::words_and_parts(name, |word| {
            add(word, if in_name == 0 { NAME | START } else { NAME });
            in_name += 1;
        });
        add(&fold::joined(name), NAME | START | WHOLE);
        for keyword in &manifest.keywords {
            let mut parts = 0;
            fold::words_and_parts(keyword, |word| {
                add(word, KEYWORD);
                parts += 1;
            });
            if parts > 1 {
                add(&fold::joined(keyword), KEYWORD);
            }
            add(&format!("{KEYWORD_SIGN}{keyword}"), 0);
        }
        let in_description =
            fold::words_and_parts(&manifest.description, |word| add(word, DESCRIPTION));
        if let Some(license) = &manifest.license {
            for term in license_terms(license) {
                add(&format!("{LICENSE_SIGN}{term}"), 0);
            }
        }
        words.sort_unstable();
        words.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 |= later.1;
            }
            same
        });
        Self { words, norm: rank::norm(in_name, in_description) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u8)> {
        self.words.iter().map(|(word, fields)| (&**word, *fields))
    }

    pub(super) fn norm(&self) -> u8 {
        self.norm
    }
}
