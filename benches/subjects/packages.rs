//! Packages by the hundred thousand that look like real ones: grown from what real crates say about themselves, with
//! words that are repeated as those of a language are, and new ones among them as there are in any large collection.

use std::collections::{BTreeMap, BTreeSet};

use peerage::{Manifest, Query, semver::Version};

/// The crates in a lock file of this repository.
const CRATES: &str = include_str!("../../tests/relevance/corpus.json");

const SYLLABLES: [&str; 32] = [
    "ba", "co", "di", "fe", "gra", "hu", "in", "ka", "lo", "mi", "net", "or", "pa", "qui", "re",
    "so", "ta", "ul", "ver", "wa", "xi", "ya", "zen", "tro", "ster", "ple", "nor", "mex", "lin",
    "ket", "jo", "hal",
];

/// Numbers that look random and are the same every time (xorshift64*).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len().max(1)))
    }

    /// As words are in a text: the first few very often, most of them hardly ever (Zipf).
    fn skewed(&mut self, bound: usize) -> usize {
        let part = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((bound as f64).powf(part) as usize - 1).min(bound - 1)
    }
}

/// A made-up word, another one for each number.
fn word(number: usize) -> String {
    let (mut rest, mut word) = (number + SYLLABLES.len(), String::new());
    while rest > 0 {
        word.extend(SYLLABLES.get(rest % SYLLABLES.len()).copied());
        rest /= SYLLABLES.len();
    }
    word
}

/// So many packages, each of another name. Their words grow in number as the square root of the texts' does (Heaps).
pub(crate) fn packages(count: usize) -> serde_json::Result<Vec<Manifest>> {
    let crates: Vec<Manifest> = serde_json::from_str(CRATES)?;
    let real: BTreeSet<&str> = crates.iter().flat_map(|m| m.description.split(' ')).collect();
    let real: Vec<&str> = real.into_iter().collect();
    let made_up = 60 * count.isqrt();
    let mut dice = Dice::new(7);
    let mut taken = BTreeSet::new();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let Some(base) = dice.of(&crates) else { break };
        let mut name = match dice.below(3) {
            0 => format!("{}-{}", word(dice.skewed(made_up)), base.name),
            1 => format!("{}-{}", base.name, word(dice.skewed(made_up))),
            _ => format!("{}{}", word(dice.skewed(made_up)), word(dice.skewed(made_up))),
        };
        if !taken.insert(name.clone()) {
            name = format!("{name}-{}", all.len());
            taken.insert(name.clone());
        }
        name.truncate(64);
        let description = base.description.split(' ').map(|known| match dice.below(10) {
            0..6 => known.to_owned(),
            6..8 => dice.of(&real).copied().unwrap_or_default().to_owned(),
            _ => word(dice.skewed(made_up)),
        });
        let description: Vec<String> = description.collect();
        let mut description = description.join(" ");
        description.truncate(description.floor_char_boundary_at(1024));
        let mut keywords: Vec<String> = base.keywords.clone();
        if let Some(keyword) = keywords.first_mut()
            && dice.below(2) == 0
        {
            *keyword = word(dice.skewed(made_up));
        }
        let Ok(name) = name.parse() else { continue };
        let version = Version::new(dice.below(3) as u64, dice.below(20) as u64, 0);
        let manifest = Manifest::new(name, version)
            .with_description(description)
            .with_keywords(keywords)
            .with_license(base.license.clone().unwrap_or_default());
        all.push(manifest);
    }
    Ok(all)
}

/// Of so many characters that are in use, each word is one or two.
const CHARACTERS: usize = 3_500;

/// A made-up Chinese word. The most frequent ones are single characters, as in the language.
fn chinese_word(number: usize) -> String {
    let character = |number: usize| char::from_u32(0x4E00 + (number % CHARACTERS) as u32);
    let first = character(number * 37);
    let second = (number >= 20).then(|| character(number * 101 + 7)).flatten();
    first.into_iter().chain(second).collect()
}

/// So many packages whose descriptions are Chinese: 30 to 70 words without spaces between them, a sign now and then,
/// and an English word in some places.
pub(crate) fn chinese(count: usize) -> Vec<Manifest> {
    let mut dice = Dice::new(13);
    let words = 60 * count.isqrt();
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let Ok(name) = format!("{}-{number}", word(dice.skewed(words))).parse() else { continue };
        let mut text = String::new();
        for _ in 0..30 + dice.below(40) {
            text.push_str(&chinese_word(dice.skewed(words)));
            match dice.below(12) {
                0 => text.push('，'),
                1 => text.push_str(&word(dice.skewed(2_000))),
                _ => {}
            }
        }
        all.push(Manifest::new(name, Version::new(1, 0, 0)).with_description(text));
    }
    all
}

/// What people type who look for one of these: one to six characters in a row.
pub(crate) fn chinese_texts(packages: &[Manifest], count: usize) -> Vec<String> {
    let mut dice = Dice::new(17);
    let texts = (0..count).filter_map(|i| {
        let text: Vec<char> = dice.of(packages)?.description.chars().collect();
        let rest = text.get(dice.below(text.len().max(1))..)?.iter();
        let row = rest.skip_while(|c| c.is_ascii()).take_while(|c| !c.is_ascii());
        Some(row.filter(|c| c.is_alphanumeric()).take(1 + i % 6).collect::<String>())
    });
    texts.filter(|text| !text.is_empty()).collect()
}

/// The hardest that can be asked: the most frequent words and characters, alone and as many together as count, two
/// letters with which words begin, and a text as long as it may be.
pub(crate) fn hard_texts(packages: &[Manifest]) -> Vec<String> {
    let mut times = BTreeMap::<String, usize>::new();
    let mut note = |piece: String| *times.entry(piece).or_default() += 1;
    let mut longest = "";
    for package in packages {
        let text = package.description.as_str();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).for_each(|word| note(word.to_lowercase()));
        text.chars().filter(|c| !c.is_ascii()).for_each(|c| note(c.to_string()));
        longest = if text.len() > longest.len() { text } else { longest };
    }
    let mut frequent: Vec<(usize, &String)> = times.iter().map(|(word, n)| (*n, word)).collect();
    frequent.sort_unstable_by(|a, b| b.cmp(a));
    let frequent: Vec<&str> =
        frequent.into_iter().map(|(_, word)| word.as_str()).take(Query::MAX_WORDS).collect();
    let mut texts: Vec<String> = frequent.iter().copied().map(str::to_owned).collect();
    texts.extend((2..=frequent.len()).filter_map(|many| Some(frequent.get(..many)?.join(" "))));
    let letters = || 'a'..='z';
    texts.extend(letters().flat_map(|a| letters().step_by(4).map(move |b| format!("{a}{b}"))));
    texts.push(longest.to_owned());
    for text in &mut texts {
        text.truncate(text.floor_char_boundary_at(Query::MAX_TEXT_BYTES));
    }
    texts.retain(|text| !text.is_empty());
    texts
}

trait Floor {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl Floor for String {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        (0..=at.min(self.len())).rev().find(|at| self.is_char_boundary(*at)).unwrap_or_default()
    }
}

/// Texts that people type who look for one of these packages: its name, one to three words of what it says about
/// itself, frequent ones as well as rare ones.
pub(crate) fn texts(packages: &[Manifest], count: usize) -> Vec<String> {
    let mut dice = Dice::new(11);
    (0..count)
        .filter_map(|i| {
            let package = dice.of(packages)?;
            if i % 4 == 0 {
                return Some(package.name.to_string());
            }
            let words: Vec<&str> = package
                .description
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| word.len() > 3)
                .chain(package.keywords.iter().map(String::as_str))
                .collect();
            let wanted = (0..i % 4).filter_map(|_| words.get(dice.below(words.len().max(1))));
            Some(wanted.copied().collect::<Vec<_>>().join(" "))
        })
        .filter(|text| !text.is_empty())
        .collect()
}

/// A search that looks at every package: what an index spares.
pub(crate) fn scan<'a>(packages: &'a [Manifest], query: &Query) -> Vec<(u32, &'a Manifest)> {
    let words: Vec<String> = query
        .text
        .as_deref()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut found: Vec<(u32, &Manifest)> =
        packages.iter().filter_map(|package| Some((score(&words, package)?, package))).collect();
    found.sort_by(|(a_score, a), (b_score, b)| {
        b_score.cmp(a_score).then_with(|| a.name.cmp(&b.name))
    });
    found.truncate(query.limit);
    found
}

/// The best place of any word decides, and then the places of all.
fn score(words: &[String], package: &Manifest) -> Option<u32> {
    let description = package.description.to_lowercase();
    let places = words.iter().map(|word| {
        let (word, name) = (word.as_str(), package.name.as_ref());
        if name == word {
            Some(5)
        } else if name.starts_with(word) {
            Some(4)
        } else if name.contains(word) {
            Some(3)
        } else if package.keywords.iter().any(|keyword| keyword.contains(word)) {
            Some(2)
        } else if description.contains(word) {
            Some(1)
        } else {
            None
        }
    });
    let places = places.collect::<Option<Vec<u32>>>()?;
    Some(
        places.iter().max().copied().unwrap_or_default() * 1_000
            + places.iter().sum::<u32>().min(999),
    )
}
