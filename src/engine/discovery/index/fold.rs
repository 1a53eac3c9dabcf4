//! How text becomes words: without regard to case, accents and compatibility forms.
//!
//! Words end where UAX #29 says, and at each sign besides: names are written with signs between their words. Some scripts
//! have no spaces between words, and no rule says where a word ends. There the overlapping pairs of characters take the
//! place of words, so that a text is found by any part of it: see `grams.rs`.

use std::borrow::Cow;

use unicode_normalization::{
    UnicodeNormalization as _,
    char::{compose, is_combining_mark},
};
use unicode_segmentation::UnicodeSegmentation as _;

use super::grams::{self, Gram};

/// Of a longer word only the beginning is kept, in bytes.
const MAX_WORD_BYTES: usize = 64;

/// Letters that no normalisation form takes apart, as they are typed where a keyboard lacks them.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'ł' | 'Ł' => "l",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'þ' | 'Þ' => "th",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

/// Whether this is a mark that makes no other word. In the scripts of India and its neighbours, marks are vowels.
fn is_accent(c: char) -> bool {
    let may_be_vowel = matches!(c,
        '\u{900}'..='\u{109F}' | '\u{1700}'..='\u{1AAF}' | '\u{1B00}'..='\u{1CFF}' | '\u{A800}'..='\u{ABFF}'
        | '\u{11000}'..='\u{11FFF}');
    is_combining_mark(c) && !(may_be_vowel && c.is_alphabetic())
}

/// Whether nobody sees it, and a word goes on beyond it: what joins letters or keeps them apart, a soft hyphen, marks of
/// direction.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{200C}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// The text with all but letters' case and word boundaries folded away.
fn normalised(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_invisible(*c)) {
        if let '\u{3099}' | '\u{309A}' = c {
            // Voiced kana are letters of their own: が is not か.
            if let Some(voiced) = folded.chars().next_back().and_then(|base| compose(base, c)) {
                folded.pop();
                folded.push(voiced);
            }
        } else if let Some(plain) = plain(c) {
            folded.push_str(plain);
        } else if !is_accent(c) {
            folded.push(c);
        }
    }
    Cow::Owned(folded)
}

/// Puts a word into `out` in lower case. Lower case may itself have marks, which go.
fn lower(word: &str, out: &mut String) {
    out.clear();
    if word.is_ascii() {
        out.extend(word.chars().take(MAX_WORD_BYTES).map(|c| c.to_ascii_lowercase()));
        return;
    }
    for c in word.chars().flat_map(char::to_lowercase).filter(|c| !is_accent(*c)) {
        let c = if c == 'ς' { 'σ' } else { c };
        if out.len() + c.len_utf8() > MAX_WORD_BYTES {
            break;
        }
        out.push(c);
    }
}

/// A part of a text without a sign.
enum Piece<'a> {
    Word(&'a str),
    /// Characters of scripts without spaces between words, one after the other.
    Run(&'a [&'a str]),
}

/// The pieces of a text, in order.
fn pieces(text: &str, mut take: impl FnMut(Piece<'_>)) {
    let between_signs = |text: &str, take: &mut dyn FnMut(Piece<'_>)| {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.for_each(|word| take(Piece::Word(word)));
    };
    if text.is_ascii() {
        // Each boundary of UAX #29 in ASCII is at a sign.
        return between_signs(text, &mut take);
    }
    let mut run = Vec::new();
    for segment in text.split_word_bounds() {
        let mut rest = segment;
        while let Some(first) = rest.chars().next() {
            let unspaced = grams::is_unspaced(first);
            let goes_on = |c: char| grams::is_unspaced(c) == unspaced;
            let end = rest.find(|c| !goes_on(c)).unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = after;
            if unspaced {
                grams::characters(part, &mut run);
                continue;
            }
            if !run.is_empty() {
                take(Piece::Run(&run));
                run.clear();
            }
            between_signs(part, &mut take);
        }
    }
    if !run.is_empty() {
        take(Piece::Run(&run));
    }
}

/// The words of a text, as somebody looks for them, and whether the words around one say as much as it does.
pub(super) fn words(text: &str, mut take: impl FnMut(&str, bool)) {
    let (text, mut word) = (normalised(text), String::new());
    pieces(&text, |piece| match piece {
        Piece::Word(piece) => {
            lower(piece, &mut word);
            if !word.is_empty() {
                take(&word, false);
            }
        }
        Piece::Run(run) => grams::wanted(run, |Gram { text, is_spare }| take(text, is_spare)),
    });
}

/// The words of a text, and the parts of those that are put together: `WebSocket` is also `web` and `socket`, and
/// `ed25519` also `25519`. Tells how many there are; two characters of a script without spaces count as one.
pub(super) fn words_and_parts(text: &str, mut take: impl FnMut(&str)) -> usize {
    let (text, mut word, mut count) = (normalised(text), String::new(), 0);
    pieces(&text, |piece| match piece {
        Piece::Word(piece) => {
            lower(piece, &mut word);
            if !word.is_empty() {
                take(&word);
                count += 1;
            }
            parts(piece, |part| {
                lower(part, &mut word);
                take(&word);
                count += 1;
            });
        }
        Piece::Run(run) => {
            grams::indexed(run, &mut take);
            count += run.len().div_ceil(2);
        }
    });
    count
}

/// All words of a text as one: how `serde-json`, `serde_json` and `serde json` are the same name.
pub(super) fn joined(text: &str) -> String {
    let (text, mut joined, mut word) = (normalised(text), String::new(), String::new());
    pieces(&text, |piece| match piece {
        Piece::Word(piece) => {
            lower(piece, &mut word);
            joined.push_str(&word);
        }
        Piece::Run(run) => joined.extend(run.iter().copied()),
    });
    let mut end = joined.len().min(MAX_WORD_BYTES);
    while !joined.is_char_boundary(end) {
        end -= 1;
    }
    joined.truncate(end);
    joined
}

/// The parts of a piece of at least two characters, where it has more than one, and the numbers after letters.
fn parts(piece: &str, mut take: impl FnMut(&str)) {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Upper,
        Lower,
        Digit,
    }
    let kind = |c: char| match c {
        c if c.is_uppercase() => Kind::Upper,
        c if c.is_numeric() => Kind::Digit,
        _ => Kind::Lower,
    };
    let mut start = 0;
    let mut before: Option<Kind> = None;
    let mut chars = piece.char_indices().peekable();
    let mut give = |from: usize, to: usize, all: bool| {
        if let Some(part) = piece.get(from..to)
            && part.len() < piece.len()
            && part.chars().nth(1).is_some()
            && (all || part.chars().all(char::is_numeric))
        {
            take(part);
        }
    };
    // Without capitals inside, only numbers are parts: nobody looks for the `ed` of `ed25519`.
    let camel =
        piece.chars().skip(1).any(char::is_uppercase) && piece.chars().any(char::is_lowercase);
    while let Some((at, c)) = chars.next() {
        let now = kind(c);
        let next = chars.peek().map(|(_, c)| kind(*c));
        let begins = match (before, now) {
            (None, _) => false,
            (Some(Kind::Lower | Kind::Digit), Kind::Upper) => true,
            // The last capital of several belongs to the word that follows: `HTTPServer`.
            (Some(Kind::Upper), Kind::Upper) => next == Some(Kind::Lower),
            (Some(Kind::Digit), now) => now != Kind::Digit,
            (Some(_), now) => now == Kind::Digit,
        };
        if begins {
            give(start, at, camel);
            start = at;
        }
        before = Some(now);
    }
    give(start, piece.len(), camel);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words_and_parts(text, |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn case_and_accents_make_no_difference() {
        assert_eq!(of("Résumé CAFÉ"), ["resume", "cafe"]);
        assert_eq!(of("re\u{301}sume\u{301}"), ["resume"]);
        assert_eq!(of("Straße Łódź Ærø"), ["strasse", "lodz", "aero"]);
        assert_eq!(of("ＦＵＬＬ ﬁne"), ["full", "fine"]);
        assert_eq!(of("İstanbul ΟΔΟΣ"), ["istanbul", "οδοσ"]);
        assert_eq!(of("Быстрый"), ["быстрыи"]);
    }

    #[test]
    fn words_end_where_letters_and_digits_do() {
        assert_eq!(of("no-std, TCP/IP & (more)."), ["no", "std", "tcp", "ip", "more"]);
        assert_eq!(of(" --- "), [""; 0]);
        assert_eq!(joined("serde_json"), "serdejson");
        assert_eq!(joined("Serde JSON"), "serdejson");
    }

    #[test]
    fn a_run_without_spaces_is_cut_into_pairs_and_characters() {
        assert_eq!(
            of("Rust言語の本"),
            ["rust", "%言", "%語", "%の", "%本", "%言語", "%語の", "%の本"]
        );
        assert_eq!(of("第3章"), ["%第", "3", "%章"]);
        assert_eq!(of("ﾃﾞｰﾀ_base"), ["%デ", "%ー", "%タ", "%デー", "%ータ", "base"]);
        assert_eq!(of("か\u{3099}"), ["%が"]);
        assert_eq!(of("한국어 서울").len(), 2, "words of a script with spaces stay whole");
        assert_eq!(joined("言語 Rust"), "言語rust");
    }

    #[test]
    fn vowels_are_kept_where_they_are_marks_and_what_nobody_sees_ends_no_word() {
        assert_ne!(of("काल"), of("कल"));
        assert_eq!(of("हिन्दी").len(), 1);
        assert_ne!(of("กิน"), of("กัน"));
        assert_eq!(of("می\u{200C}خواهم soft\u{AD}ware"), ["میخواهم", "software"]);
    }

    #[test]
    fn in_ascii_the_standard_cuts_at_signs_only() {
        // All that is printed, twice over, in every order of three.
        let signs: Vec<char> = (' '..='~').collect();
        for a in &signs {
            for b in &signs {
                let text = format!("x{a}y{b}3");
                let mut ours = Vec::new();
                pieces(&text, |piece| {
                    if let Piece::Word(word) = piece {
                        ours.push(word.to_owned());
                    }
                });
                let cut: Vec<&str> = text
                    .split_word_bounds()
                    .flat_map(|part| part.split(|c: char| !c.is_alphanumeric()))
                    .filter(|part| !part.is_empty())
                    .collect();
                assert_eq!(ours, cut, "{text}");
            }
        }
    }

    #[test]
    fn words_that_are_put_together_are_also_found_by_their_parts() {
        assert_eq!(of("WebSocket"), ["websocket", "web", "socket"]);
        assert_eq!(of("HTTPServer2"), ["httpserver2", "http", "server"]);
        assert_eq!(of("ed25519"), ["ed25519", "25519"]);
        assert_eq!(of("JSON base64 utf8"), ["json", "base64", "64", "utf8"]);
    }

    #[test]
    fn a_word_without_end_is_cut_off() {
        for text in ["x".repeat(1000), "я".repeat(1000)] {
            assert_eq!(of(&text).iter().map(String::len).collect::<Vec<_>>(), [64]);
            assert_eq!(joined(&text).len(), 64);
        }
    }
}
