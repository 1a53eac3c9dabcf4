//! Where a word occurs: entries in ascending order, a package's number and in which of its fields each.

use std::mem;

/// The fields of a package in which a word occurs: bits.
pub(super) mod field {
    /// It is the whole name, separators left out.
    pub(crate) const WHOLE: u8 = 1;
    /// The name begins with it.
    pub(crate) const START: u8 = 2;
    /// It is among the words of the name.
    pub(crate) const NAME: u8 = 4;
    /// It is a keyword, or a word of one.
    pub(crate) const KEYWORD: u8 = 8;
    /// It is in the description.
    pub(crate) const DESCRIPTION: u8 = 16;
    /// How many combinations there are.
    pub(crate) const SETS: usize = 32;
}

/// How many of an entry's bits are fields.
const FIELD_BITS: u32 = 5;

/// The most packages that can be numbered.
pub(super) const MAX_DOCS: usize = 1 << (u32::BITS - FIELD_BITS);

pub(super) const fn entry(doc: u32, fields: u8) -> u32 {
    (doc << FIELD_BITS) | fields as u32
}

pub(super) const fn doc_of(entry: u32) -> u32 {
    entry >> FIELD_BITS
}

pub(super) const fn fields_of(entry: u32) -> u8 {
    (entry & ((1 << FIELD_BITS) - 1)) as u8
}

/// The list of one word. Most words are rare: a few entries take no memory of their own.
#[derive(Debug, Clone)]
pub(super) enum Postings {
    Few { len: u8, entries: [u32; Self::FEW] },
    Many(Vec<u32>),
}

impl Postings {
    const FEW: usize = 3;

    pub(super) const fn new() -> Self {
        Self::Few { len: 0, entries: [0; Self::FEW] }
    }

    pub(super) fn entries(&self) -> &[u32] {
        match self {
            Self::Few { len, entries } => entries.get(..usize::from(*len)).unwrap_or_default(),
            Self::Many(entries) => entries,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the list takes beside itself.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Few { .. } => 0,
            Self::Many(entries) => entries.capacity() * mem::size_of::<u32>(),
        }
    }

    /// Notes that these fields of a package have the word, and no others.
    pub(super) fn set(&mut self, doc: u32, fields: u8) {
        let new = entry(doc, fields);
        let at = self.entries().partition_point(|entry| doc_of(*entry) < doc);
        let slot = match self {
            Self::Few { len, entries } => {
                entries.get_mut(..usize::from(*len)).and_then(|entries| entries.get_mut(at))
            }
            Self::Many(entries) => entries.get_mut(at),
        };
        if let Some(slot) = slot
            && doc_of(*slot) == doc
        {
            *slot = new;
            return;
        }
        match self {
            Self::Few { len, entries } if usize::from(*len) < Self::FEW => {
                if let Some(tail) = entries.get_mut(at..=usize::from(*len)) {
                    tail.rotate_right(1);
                    if let Some(slot) = tail.first_mut() {
                        *slot = new;
                    }
                    *len += 1;
                }
            }
            Self::Few { entries, .. } => {
                let mut many = Vec::with_capacity(2 * Self::FEW);
                many.extend_from_slice(entries);
                many.insert(at, new);
                *self = Self::Many(many);
            }
            Self::Many(entries) => {
                // A quarter more at a time: twice as much would be waste, with so many lists.
                if entries.len() == entries.capacity() {
                    entries.reserve_exact(entries.len() / 4 + 2);
                }
                entries.insert(at, new);
            }
        }
    }

    /// Forgets a package.
    pub(super) fn remove(&mut self, doc: u32) {
        let Ok(at) = self.entries().binary_search_by_key(&doc, |entry| doc_of(*entry)) else {
            return;
        };
        match self {
            Self::Few { len, entries } => {
                if let Some(tail) = entries.get_mut(at..usize::from(*len)) {
                    tail.rotate_left(1);
                    *len -= 1;
                }
            }
            Self::Many(entries) => {
                entries.remove(at);
                if let [a, b, c] = entries.as_slice() {
                    *self = Self::Few { len: 3, entries: [*a, *b, *c] };
                } else if entries.capacity() > 2 * entries.len() {
                    entries.shrink_to(entries.len() + entries.len() / 4);
                }
            }
        }
    }
}

/// The fields of a package in a list of entries.
pub(super) fn fields_in(entries: &[u32], doc: u32) -> Option<u8> {
    let at = entries.binary_search_by_key(&doc, |entry| doc_of(*entry)).ok()?;
    entries.get(at).map(|entry| fields_of(*entry))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_holds_what_was_noted_last(
            steps in proptest::collection::vec((0_u32..12, proptest::option::of(1_u8..32)), 0..60),
        ) {
            let (mut postings, mut model) = (Postings::new(), BTreeMap::new());
            for (doc, fields) in steps {
                match fields {
                    Some(fields) => {
                        postings.set(doc, fields);
                        model.insert(doc, fields);
                    }
                    None => {
                        postings.remove(doc);
                        model.remove(&doc);
                    }
                }
                let expected: Vec<u32> = model.iter().map(|(doc, fields)| entry(*doc, *fields)).collect();
                prop_assert_eq!(postings.entries(), expected);
                prop_assert_eq!(fields_in(postings.entries(), doc), model.get(&doc).copied());
            }
        }
    }

    #[test]
    fn a_rare_word_takes_three_words_of_memory() {
        assert_eq!(mem::size_of::<Postings>(), 24);
    }
}
