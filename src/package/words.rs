//! The words of a text, as searches compare them: whatever their case, accents and punctuation.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The words of a text in their order: runs of letters and digits, in lower case, compatibility forms and accents taken
/// apart and the accents left out (Unicode NFKD, UAX #15). `Crème-brûlée v2` is `creme`, `brulee`, `v2`.
///
/// Scripts that put no spaces between words come out as long words, which are found by their beginnings.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    each_folded(text, |c| match c {
        Some(c) => word.push(c),
        None if word.is_empty() => {}
        None => words.push(std::mem::take(&mut word)),
    });
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// All the words of a text as one: `Serde_JSON` and `serde json` are the same.
pub(crate) fn joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    each_folded(text, |c| joined.extend(c));
    joined
}

/// Tells each letter and digit as it is compared, and of whatever is between words that it is there.
fn each_folded(text: &str, mut tell: impl FnMut(Option<char>)) {
    if text.is_ascii() {
        for byte in text.bytes() {
            tell(byte.is_ascii_alphanumeric().then(|| byte.to_ascii_lowercase().into()));
        }
        return;
    }
    for c in text.nfkd() {
        // An accent belongs to the letter before it.
        if is_combining_mark(c) {
            continue;
        }
        if c.is_alphanumeric() {
            c.to_lowercase().filter(|c| !is_combining_mark(*c)).for_each(|c| tell(Some(c)));
        } else {
            tell(None);
        }
    }
}

/// How many typing errors a word of so many letters may have: one from four letters on, two from eight.
pub(crate) fn forgiven_errors(letters: usize) -> usize {
    match letters {
        0..4 => 0,
        4..8 => 1,
        8.. => 2,
    }
}

/// By how many typing errors two words differ, if by no more than `most` (at most 2): a letter too many, too few, another
/// one, or two neighbours exchanged (the optimal string alignment distance).
pub(crate) fn typing_errors(a: &[char], b: &[char], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    // What is the same at both ends is left out, which mostly leaves a letter or two.
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.get(start..)?, b.get(start..)?);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.get(..a.len() - end)?, b.get(..b.len() - end)?);
    distance(a, b).filter(|errors| *errors <= most)
}

/// Row by row, with the two rows before.
fn distance(a: &[char], b: &[char]) -> Option<usize> {
    let width = b.len() + 1;
    let mut before_last: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for (i, x) in a.iter().enumerate() {
        *row.first_mut()? = i + 1;
        for (j, y) in b.iter().enumerate() {
            let other = last.get(j)? + usize::from(x != y);
            let fewer = last.get(j + 1)? + 1;
            let more = row.get(j)? + 1;
            let mut best = other.min(fewer).min(more);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(before_last.get(j - 1)? + 1);
            }
            *row.get_mut(j + 1)? = best;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_punctuation_do_not_matter() {
        assert_eq!(words("Crème-brûlée, v2!"), ["creme", "brulee", "v2"]);
        assert_eq!(words("ﬁne ÅNGSTRÖM İstanbul"), ["fine", "angstrom", "istanbul"]);
        assert_eq!(words("  -- "), Vec::<String>::new());
        assert_eq!(joined("Serde_JSON"), joined("serde json"));
        assert_eq!(words("日本語 パッケージ").len(), 2);
    }

    #[test]
    fn small_typing_errors_are_counted_and_larger_ones_are_not() {
        let errors = |a: &str, b: &str, most| {
            let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
            typing_errors(&a, &b, most)
        };
        assert_eq!(errors("tokio", "tokio", 1), Some(0));
        assert_eq!(errors("tokoi", "tokio", 1), Some(1));
        assert_eq!(errors("tokoi", "tokio", 0), None);
        assert_eq!(errors("reqest", "request", 1), Some(1));
        assert_eq!(errors("serialisation", "serialization", 2), Some(1));
        assert_eq!(errors("serialisaton", "serialization", 2), Some(2));
        assert_eq!(errors("abcd", "dcba", 2), None);
        assert_eq!(errors("", "ab", 2), Some(2));
        assert_eq!(errors("", "abc", 2), None);
        assert_eq!([3, 4, 7, 8].map(forgiven_errors), [0, 1, 1, 2]);
    }
}
