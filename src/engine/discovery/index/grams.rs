//! Scripts without spaces between words: the overlapping pairs of their characters stand for words, and each character
//! for itself.
//!
//! Whoever looks for two characters or more looks for the pairs of them, so that `形態素` finds "日本語の形態素解析" and
//! needs no dictionary of a language for it. Whoever looks for one character looks for that.

use unicode_normalization::char::is_combining_mark;

/// What pairs and characters are written with in the dictionary: no word begins so, and all words come after it. So
/// they are passed over where words are looked for that were probably meant.
const SIGN: char = '%';

/// Of more vowels and tones at one character, the first ones count.
const MAX_MARKS: usize = 4;

/// A pair of characters, or one, as it stands in the dictionary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gram<'a> {
    pub(super) text: &'a str,
    /// Whether the pairs before and after it have its characters.
    pub(super) is_spare: bool,
}

/// Whether a word of the dictionary is such a pair or character.
pub(super) fn is_gram(word: &str) -> bool {
    word.starts_with(SIGN)
}

/// Whether a word of the dictionary is one such character, without marks.
pub(super) fn is_character(word: &str) -> bool {
    is_gram(word) && word.chars().nth(2).is_none()
}

/// Whether a character is of a script without spaces between words: those that UAX #29 cuts at each character, since where
/// words end takes a dictionary, and katakana. Digits are cut as anywhere else.
pub(super) fn is_unspaced(c: char) -> bool {
    match c {
        '\0'..'\u{E00}' => false,
        // Thai, Lao; Myanmar; Khmer; Tai Le, New Tai Lue; Tai Tham.
        '\u{E00}'..='\u{EFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{1950}'..='\u{19DF}'
        | '\u{1A20}'..='\u{1AAF}'
        | '\u{A9E0}'..='\u{A9FF}'
        | '\u{AA60}'..='\u{AADF}' => c.is_alphabetic() && !c.is_numeric(),
        // Signs that stand for characters, kana, Han; Ahom; Tangut, Khitan, Nushu.
        '\u{3005}'..='\u{3007}'
        | '\u{3021}'..='\u{3029}'
        | '\u{3031}'..='\u{3035}'
        | '\u{3038}'..='\u{303C}'
        | '\u{3041}'..='\u{30FF}'
        | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{11700}'..='\u{1174F}'
        | '\u{16FE0}'..='\u{18DFF}'
        | '\u{1AFF0}'..='\u{1B2FF}'
        | '\u{20000}'..='\u{3FFFD}' => c.is_alphabetic(),
        _ => false,
    }
}

/// Adds the characters of a text that is all of such a script, each with its marks.
pub(super) fn characters<'a>(text: &'a str, run: &mut Vec<&'a str>) {
    let mut starts = text.char_indices().peekable();
    while let Some((start, c)) = starts.next() {
        let (mut end, mut marks) = (start + c.len_utf8(), 0);
        while let Some((at, mark)) = starts.next_if(|(_, c)| is_combining_mark(*c)) {
            marks += 1;
            if marks <= MAX_MARKS {
                end = at + mark.len_utf8();
            }
        }
        run.extend(text.get(start..end));
    }
}

/// What stands for a run in the text of a query.
pub(super) fn wanted(run: &[&str], mut take: impl FnMut(Gram<'_>)) {
    let mut gram = String::from(SIGN);
    if let [only] = run {
        gram.push_str(only);
        return take(Gram { text: &gram, is_spare: false });
    }
    let last = run.len().saturating_sub(2);
    for (at, pair) in run.windows(2).enumerate() {
        write(pair, &mut gram);
        take(Gram { text: &gram, is_spare: at % 2 == 1 && at != last });
    }
}

/// What stands for a run in the text of a package.
pub(super) fn indexed(run: &[&str], mut take: impl FnMut(&str)) {
    let mut gram = String::from(SIGN);
    for characters in run.windows(1).chain(run.windows(2)) {
        write(characters, &mut gram);
        take(&gram);
    }
}

fn write(characters: &[&str], gram: &mut String) {
    gram.truncate(SIGN.len_utf8());
    gram.extend(characters.iter().copied());
}

#[cfg(test)]
mod tests {
    use unicode_segmentation::UnicodeSegmentation as _;

    use super::*;

    #[test]
    fn every_script_that_the_standard_cuts_at_each_character_is_one_without_spaces() {
        let missing: Vec<char> = ('\0'..=char::MAX)
            .filter(|c| c.is_alphabetic() && !is_combining_mark(*c))
            .filter(|c| [*c, *c].iter().collect::<String>().split_word_bounds().count() == 2)
            .filter(|c| !is_unspaced(*c))
            .collect();
        assert!(
            missing.is_empty(),
            "{}",
            missing.iter().map(|c| c.escape_unicode()).map(|c| format!("{c} ")).collect::<String>()
        );
    }

    #[test]
    fn letters_of_scripts_with_spaces_and_digits_are_no_such_characters() {
        assert!("azßяωאبहিகక한국ተ๑៣0９".chars().all(|c| !is_unspaced(c)));
        assert!("語のカー々ไກကក㐀𠀀".chars().all(is_unspaced));
    }

    #[test]
    fn a_character_has_its_marks_but_not_without_end() {
        let mut run = Vec::new();
        let text = format!("กิน{}", "\u{E34}".repeat(1000));
        characters(&text, &mut run);
        assert_eq!(run, ["กิ", "น\u{E34}\u{E34}\u{E34}\u{E34}"]);
    }

    #[test]
    fn pairs_that_others_cover_can_be_spared() {
        for (text, kept) in
            [("本", 1), ("日本", 1), ("日本語", 2), ("日本語学", 2), ("日本語学校", 3)]
        {
            let mut run = Vec::new();
            characters(text, &mut run);
            let (mut all, mut without_spare) = (Vec::new(), String::new());
            wanted(&run, |gram| {
                all.push(gram.text.to_owned());
                if !gram.is_spare {
                    without_spare.push_str(gram.text);
                }
            });
            assert_eq!(all.len(), run.len().saturating_sub(1).max(1));
            assert_eq!(without_spare.matches(SIGN).count(), kept);
            assert!(text.chars().all(|c| without_spare.contains(c)), "{without_spare}");
        }
    }
}
