//! Words that were probably meant: optimal string alignment distance, over the dictionary in order.
//!
//! Words that begin alike share the rows of the distance matrix, and where a row shows that no continuation can come
//! near, all words with that beginning are passed over at once: the dictionary is walked as a trie would be.

use super::{
    grams::is_gram,
    terms::{TermId, Terms},
};

/// How many rows of the matrix are computed at the most for one word of a query.
const MAX_ROWS: usize = 100_000;

/// The words of the index are no longer, in characters.
const MAX_CHARS: usize = 64;

/// How many typing errors are forgiven in a word. In a pair of characters that would be half of it.
pub(super) fn forgiven(word: &str) -> u8 {
    if is_gram(word) {
        return 0;
    }
    match word.chars().count() {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

/// The matrix of a word that is looked for and one that is compared with it, row by row. Of each row only the cells near
/// the diagonal are computed: those farther away are too many errors.
struct Matrix {
    wanted: Vec<char>,
    /// The cells, row after row.
    cells: Vec<u8>,
    /// The least of each row.
    least: Vec<u8>,
    /// What the rows are for, after the first.
    path: Vec<char>,
    most: u8,
}

impl Matrix {
    fn new(wanted: &str, most: u8) -> Self {
        let wanted: Vec<char> = wanted.chars().take(MAX_CHARS).collect();
        let cells = (0..=wanted.len()).map(|cell| cell as u8).collect();
        Self { wanted, cells, least: vec![0], path: Vec::new(), most }
    }

    /// Keeps the rows of the first characters only.
    fn cut(&mut self, depth: usize) {
        self.path.truncate(depth);
        self.least.truncate(depth + 1);
        self.cells.truncate((depth + 1) * (self.wanted.len() + 1));
    }

    fn push(&mut self, c: char) {
        let (width, near, too_many) =
            (self.wanted.len() + 1, usize::from(self.most), self.most + 1);
        let row = self.path.len() + 1;
        let start = self.cells.len();
        self.cells.resize(start + width, too_many);
        let (known, new) = self.cells.split_at_mut(start);
        let before = known.get(start - width..).unwrap_or_default();
        let earlier = start.checked_sub(2 * width).and_then(|at| known.get(at..at + width));
        let last = self.path.last().copied();
        let mut least = too_many;
        if row <= near
            && let Some(cell) = new.first_mut()
        {
            *cell = row as u8;
            least = row as u8;
        }
        for column in row.saturating_sub(near).max(1)..(row + near + 1).min(width) {
            let wanted = self.wanted.get(column - 1).copied();
            let at = |row: &[u8], column: usize| row.get(column).copied().unwrap_or(too_many);
            let mut errors = at(before, column - 1) + u8::from(wanted != Some(c));
            errors = errors.min(at(before, column) + 1).min(at(new, column - 1) + 1);
            // Two neighbours that have changed places.
            if let (Some(earlier), Some(corner)) = (earlier, column.checked_sub(2))
                && last == wanted
                && self.wanted.get(corner) == Some(&c)
            {
                errors = errors.min(at(earlier, corner) + 1);
            }
            let errors = errors.min(too_many);
            least = least.min(errors);
            if let Some(cell) = new.get_mut(column) {
                *cell = errors;
            }
        }
        self.least.push(least);
        self.path.push(c);
    }

    /// Whether nothing that goes on from here can come near. An exchange of neighbours goes back two rows.
    fn is_lost(&self) -> bool {
        let mut last = self.least.iter().rev();
        last.next().is_some_and(|least| *least > self.most)
            && last.next().is_none_or(|least| *least >= self.most)
    }

    fn distance(&self) -> Option<u8> {
        let distance = *self.cells.last()?;
        (1..=self.most).contains(&distance).then_some(distance)
    }
}

/// The distance between two words, where it is at least one and no more than `most`.
pub(super) fn distance(wanted: &str, word: &str, most: u8) -> Option<u8> {
    let mut matrix = Matrix::new(wanted, most);
    for c in word.chars().take(MAX_CHARS) {
        matrix.push(c);
        if matrix.is_lost() {
            return None;
        }
    }
    matrix.distance()
}

/// How far the dictionary was looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    /// So many rows of the matrix were computed.
    pub(super) rows: usize,
    /// Whether that was all: there was not too much to look at.
    pub(super) is_whole: bool,
}

/// The words of the dictionary within a distance, but not the word itself.
pub(super) fn near(
    terms: &Terms,
    wanted: &str,
    most: u8,
    mut take: impl FnMut(u8, TermId),
) -> Walk {
    let mut matrix = Matrix::new(wanted, most);
    let mut rows = 0;
    // What lies before are no words of texts.
    let mut at = terms.seek("0");
    while let Some((word, id)) = terms.at(at) {
        let common = word.chars().zip(&matrix.path).take_while(|(a, b)| a == *b).count();
        matrix.cut(common);
        let mut lost = None;
        for (start, c) in word.char_indices().take(MAX_CHARS).skip(common) {
            if rows == MAX_ROWS {
                return Walk { rows, is_whole: false };
            }
            rows += 1;
            matrix.push(c);
            if matrix.is_lost() {
                lost = word.get(..start + c.len_utf8());
                break;
            }
        }
        if let Some(prefix) = lost {
            at = terms.seek_past(at, prefix);
            continue;
        }
        if let Some(distance) = matrix.distance() {
            take(distance, id);
        }
        at = terms.next(at);
    }
    Walk { rows, is_whole: true }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The whole matrix, by the book.
    fn slow(a: &str, b: &str) -> usize {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let mut d = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                d[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let swap = if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        d[i - 2][j - 2] + 1
                    } else {
                        usize::MAX
                    };
                    let same = d[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    same.min(d[i - 1][j] + 1).min(d[i][j - 1] + 1).min(swap)
                };
            }
        }
        d[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn near_words_are_those_of_a_small_distance(
            words in proptest::collection::btree_set("[abж]{1,10}", 1..120),
            wanted in "[abж]{4,10}",
        ) {
            let mut terms = Terms::default();
            let ids: Vec<(TermId, &String)> =
                words.iter().rev().map(|word| (terms.intern(word), word)).collect();
            let most = forgiven(&wanted);
            let mut found = Vec::new();
            let walk = near(&terms, &wanted, most, |distance, id| found.push((id, usize::from(distance))));
            prop_assert!(walk.is_whole);
            found.sort_unstable();
            let mut expected: Vec<_> = ids
                .into_iter()
                .map(|(id, word)| (id, slow(&wanted, word)))
                .filter(|(_, distance)| (1..=usize::from(most)).contains(distance))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            for word in &words {
                let near = slow(&wanted, word);
                let near = (near > 0 && near <= usize::from(most)).then_some(near as u8);
                prop_assert_eq!(distance(&wanted, word, most), near);
            }
        }
    }
}
