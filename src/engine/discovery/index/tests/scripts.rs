//! Texts in scripts without spaces between words.

use super::*;

fn described(packages: &[(&str, &str)]) -> Index {
    let packages = packages.iter().map(|(name, text)| package(name).with_description(*text));
    index_of(&packages.collect::<Vec<_>>())
}

#[test]
fn a_word_is_found_in_the_middle_of_a_text_without_spaces() {
    let index = described(&[
        ("ja", "日本語の形態素解析エンジン"),
        ("zh", "高性能的分布式数据库"),
        ("th", "ไลบรารีสำหรับตัดคำภาษาไทย"),
        ("km", "កម្មវិធីសម្រាប់ភាសាខ្មែរ"),
        ("my", "မြန်မာစာအတွက်ဆော့ဖ်ဝဲ"),
        ("en", "A parser of texts"),
    ]);
    for (text, name) in [
        ("形態素", "ja"),
        ("形態素解析", "ja"),
        ("エンジン", "ja"),
        ("ｴﾝｼﾞﾝ", "ja"),
        ("析", "ja"),
        ("ン", "ja"),
        ("数据库", "zh"),
        ("分布", "zh"),
        ("数据 高性能", "zh"),
        ("ตัดคำ", "th"),
        ("ภาษา", "th"),
        ("ភាសា", "km"),
        ("အတွက်", "my"),
    ] {
        assert_eq!(names(&index, text), [name], "{text}");
    }
    for text in ["形素", "庫", "エンシン", "ตัดคา", "据库数"] {
        assert_eq!(names(&index, text), [""; 0], "{text}");
    }
}

#[test]
fn words_of_other_scripts_in_between_are_found_as_anywhere() {
    let index = described(&[("a", "Rustで書かれたHTTPサーバー"), ("b", "Rust製のツール")]);
    assert_eq!(names(&index, "rust"), ["b", "a"], "the shorter text first");
    assert_eq!(names(&index, "http サーバー"), ["a"]);
    assert_eq!(names(&index, "HTTPサーバー"), ["a"]);
    assert_eq!(names(&index, "htpp"), ["a"]);
    assert_eq!(names(&index, "ruts ツール"), ["b"]);
}

#[test]
fn of_alternatives_the_package_that_has_more_comes_first() {
    let index =
        described(&[("images", "画像処理"), ("both", "画像と音声の処理"), ("none", "文書")]);
    let query = Query::new().with_text("画像 音声").with_matching(Match::Any);
    assert_eq!(found(&index, &query), ["both", "images"]);
}

#[test]
fn a_long_text_without_spaces_is_looked_for_whole() {
    // 32 characters: 31 pairs, of which sixteen have them all.
    let text: String = ('\u{4E00}'..).take(32).collect();
    let index = described(&[("whole", &format!("〈{text}〉")), ("part", &text[..90])]);
    assert_eq!(names(&index, &text), ["whole"]);
    let longer: String = ('\u{4E00}'..).take(40).collect();
    let index = described(&[("whole", &longer)]);
    let found = index.search(&Query::new().with_text(&longer));
    assert!(found.truncated && found.total == 1, "what does not count is told");
}

#[test]
fn a_dictionary_full_of_characters_does_not_slow_typing_errors_down() {
    let mut index = index_of(&[package("tokio")]);
    let han = |number: u32| char::from_u32(0x4E00 + number % 20_000).unwrap();
    for number in 0..200_u32 {
        let text: String = (0..300).map(|i| han(number * 7919 + i * i * 31)).collect();
        let name = format!("p{number}");
        index.insert(owner(1), &package(&name).with_description(text), [], 0);
    }
    assert!(index.terms.len() > 40_000);
    let found = index.search(&Query::new().with_text("toiko"));
    assert_eq!((found.total, found.truncated), (1, false));
    assert!(found.looked < 2000, "{}", found.looked);
}

/// The scripts of a text and the signs around them.
fn texts() -> impl Strategy<Value = String> {
    "([日本語形態]{1,5}|[กขิา]{1,4}|[カター]{1,3}|[ab]{1,2}|[ 、.]){0,8}"
}

proptest! {
    #[test]
    fn any_part_of_a_text_finds_it_and_only_what_has_its_pairs(
        descriptions in proptest::collection::vec(texts(), 1..6),
        whose in 0..6_usize, from in 0..30_usize, length in 1..6_usize,
    ) {
        let packages: Vec<Manifest> = descriptions
            .iter()
            .enumerate()
            .map(|(number, text)| package(&format!("p{number}")).with_description(text))
            .collect();
        let index = index_of(&packages);
        let text = &descriptions[whose % descriptions.len()];
        // From where a character begins, with all its marks.
        let chars: Vec<char> = text.chars().collect();
        let starts = |at: usize| chars.get(at).is_none_or(|c| *c != 'ิ');
        let from = (from % (chars.len() + 1)..).find(|at| starts(*at)).unwrap();
        let to = (from + length..).find(|at| starts(*at)).unwrap().min(chars.len());
        let wanted: String = chars[from..to].iter().collect();
        // A part of a word of letters is another word.
        if !wanted.chars().any(char::is_alphanumeric) || wanted.contains(['a', 'b']) {
            return Ok(());
        }
        let query = Query::new().with_text(&wanted);
        let found: Vec<String> = found(&index, &query);
        for (number, text) in descriptions.iter().enumerate() {
            let is_found = found.contains(&format!("p{number}"));
            prop_assert_eq!(is_found, relevance(&query, &packages[number]).is_some());
            if text.contains(&wanted) && whose % descriptions.len() == number {
                prop_assert!(is_found, "{} in {}", wanted, text);
            }
            if is_found {
                let missing = wanted.chars().find(|c| c.is_alphanumeric() && !text.contains(*c));
                prop_assert_eq!(missing, None, "{} in {}", wanted, text);
            }
        }
    }
}
