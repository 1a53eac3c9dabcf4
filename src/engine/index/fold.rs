//! How text becomes words: without regard to case, accents and compatibility forms.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

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

/// The text with all but letters' case and word boundaries folded away.
fn normalised(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)) {
        match plain(c) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(c),
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
    for c in word.chars().flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)) {
        let c = if c == 'ς' { 'σ' } else { c };
        if out.len() + c.len_utf8() > MAX_WORD_BYTES {
            break;
        }
        out.push(c);
    }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty())
}

/// The words of a text, as somebody looks for them.
pub(super) fn words(text: &str, mut take: impl FnMut(&str)) {
    let (text, mut word) = (normalised(text), String::new());
    for piece in pieces(&text) {
        lower(piece, &mut word);
        if !word.is_empty() {
            take(&word);
        }
    }
}

/// The words of a text, and the parts of those that are put together: `WebSocket` is also `web` and `socket`, and
/// `ed25519` also `25519`.
pub(super) fn words_and_parts(text: &str, mut take: impl FnMut(&str)) {
    let (text, mut word) = (normalised(text), String::new());
    for piece in pieces(&text) {
        lower(piece, &mut word);
        if !word.is_empty() {
            take(&word);
        }
        parts(piece, |part| {
            lower(part, &mut word);
            take(&word);
        });
    }
}

/// All words of a text as one: how `serde-json`, `serde_json` and `serde json` are the same name.
pub(super) fn joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    words(text, |word| joined.push_str(word));
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
