//! What a search finds, and in which order.

use std::collections::BTreeMap;

use libp2p::{PeerId, identity::Keypair};
use proptest::prelude::*;
use semver::Version;

use super::*;
use crate::package::{Match, Query, Sort};

mod scripts;

fn owner(number: u8) -> PeerId {
    Keypair::ed25519_from_bytes([number; 32]).unwrap().public().to_peer_id()
}

fn package(name: &str) -> Manifest {
    Manifest::new(name.parse().unwrap(), Version::new(1, 0, 0))
}

fn index_of(packages: &[Manifest]) -> Index {
    let mut index = Index::new();
    for package in packages {
        index.insert(owner(1), package, [&package.version], 0);
    }
    index
}

/// The names that a query finds, best first.
fn found(index: &Index, query: &Query) -> Vec<String> {
    let found = index.search(query);
    assert!(!found.truncated);
    assert!(found.total >= found.hits.len());
    found.hits.into_iter().map(|hit| hit.name.to_string()).collect()
}

fn names(index: &Index, text: &str) -> Vec<String> {
    found(index, &Query::new().with_text(text))
}

#[test]
fn the_name_counts_more_than_what_is_said_about_it() {
    let packages = [
        package("log"),
        package("log-writer"),
        package("tiny-log"),
        package("logger"),
        package("my-logger"),
        package("writer").with_keywords(["log"]),
        package("scribe").with_keywords(["logging"]),
        package("reader").with_description("Reads a Log"),
        package("rereader").with_description("Reads all logs"),
    ];
    let expected: Vec<String> = packages.iter().map(|package| package.name.to_string()).collect();
    assert_eq!(names(&index_of(&packages), "Log"), expected);
    // Whoever knows nothing but one package at a time puts them in the same order.
    let query = Query::new().with_text("Log");
    let scores: Vec<Score> =
        packages.iter().map(|package| relevance(&query, package).unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a > b), "{scores:?}");
}

#[test]
fn a_whole_name_outweighs_any_number_of_words() {
    let words: Vec<String> = (0..10).map(|i| format!("word{i:02}")).collect();
    let text = words.join(" ");
    let packages = [package(&words.concat()), package("all").with_description(&text)];
    let index = index_of(&packages);
    assert_eq!(names(&index, &text), [&words.concat(), "all"]);
    let hits = index.search(&Query::new().with_text(&text)).hits;
    assert!(hits[0].score > hits[1].score);
}

#[test]
fn all_words_are_wanted_or_any_of_them() {
    let index = index_of(&[
        package("tiny-http").with_description("A small Server for embedded use"),
        package("toml").with_description("Reads a format"),
        package("yaml-server"),
    ]);
    assert_eq!(names(&index, "SERVER  tiny small"), ["tiny-http"]);
    assert_eq!(names(&index, "server huge"), [""; 0]);
    let any = |text: &str| found(&index, &Query::new().with_text(text).with_matching(Match::Any));
    assert_eq!(any("toml yaml"), ["toml", "yaml-server"]);
    // Who has more of the words comes first.
    assert_eq!(any("tiny server"), ["tiny-http", "yaml-server"]);
}

#[test]
fn separators_make_no_other_name() {
    let packages = ["serde-json", "serde_json", "serdejson", "serde-json-path", "rustfmt"];
    let index = index_of(&packages.map(package));
    let first: Vec<String> = names(&index, "serde_json").into_iter().take(3).collect();
    assert_eq!(
        first,
        ["serde_json", "serdejson", "serde-json"],
        "what is typed, and then the shorter"
    );
    assert_eq!(names(&index, "serdejson")[0], "serdejson");
    assert_eq!(names(&index, "Serde JSON").len(), 4);
    assert_eq!(names(&index, "rust fmt"), ["rustfmt"]);
}

#[test]
fn accents_beginnings_and_typing_errors_do_not_hide_a_package() {
    let index = index_of(&[
        package("tokio").with_description("Ein Läufer für Aufgaben"),
        package("crossbeam-channel").with_keywords(["concurrency"]),
        package("tokenizer"),
    ]);
    assert_eq!(names(&index, "laufer"), ["tokio"]);
    assert_eq!(names(&index, "LÄUFER"), ["tokio"]);
    assert_eq!(names(&index, "tok"), ["tokenizer", "tokio"]);
    assert_eq!(names(&index, "toiko"), ["tokio"]);
    assert_eq!(names(&index, "crosbeam chanel"), ["crossbeam-channel"]);
    assert_eq!(names(&index, "concurency"), ["crossbeam-channel"]);
    assert_eq!(names(&index, "conccurrenci"), ["crossbeam-channel"]);
    assert_eq!(names(&index, "tki"), [""; 0], "a short word is taken as it is typed");
    assert_eq!(names(&index, "t"), [""; 0], "a single letter is no beginning");
}

#[test]
fn what_is_typed_right_comes_before_what_is_not() {
    let index = index_of(&[
        package("band").with_keywords(["music"]),
        package("other").with_description("the word brand"),
        package("brands"),
        package("bandana").with_description("music"),
    ]);
    // Where something is found as it is typed, nothing else is.
    assert_eq!(names(&index, "brand"), ["brands", "other"]);
    assert_eq!(names(&index, "brandt"), ["brands", "other"]);
    // Both words are there, but no package has both.
    assert_eq!(names(&index, "brand music"), ["band"]);
    assert_eq!(names(&index, "band music"), ["band", "bandana"]);
}

#[test]
fn a_query_narrows_by_keyword_owner_licence_and_version() {
    let mut index = Index::new();
    let web =
        package("web").with_keywords(["http", "web-server"]).with_license("MIT OR Apache-2.0");
    let (old, new) = (Version::new(0, 9, 1), Version::new(1, 0, 0));
    index.insert(owner(1), &web, [&new, &old], 0);
    index.insert(owner(2), &web.clone().with_license("GPL-3.0-only"), [&old], 0);
    let count = |query: Query| index.search(&query).total;
    for text in [None, Some("web")] {
        let query = Query { text: text.map(str::to_owned), ..Query::new() };
        assert_eq!(count(query.clone()), 2);
        assert_eq!(count(query.clone().with_keyword("http").with_keyword("web-server")), 2);
        assert_eq!(count(query.clone().with_keyword("web")), 0, "a keyword is wanted whole");
        assert_eq!(count(query.clone().with_owner(owner(2))), 1);
        assert_eq!(count(query.clone().with_owner(owner(3))), 0);
        assert_eq!(count(query.clone().with_license("mit")), 1);
        assert_eq!(count(query.clone().with_license("Mit or apache-2.0")), 1);
        assert_eq!(count(query.clone().with_license("Apache-2.0 OR MIT")), 1);
        assert_eq!(count(query.clone().with_license("gpl-3.0")), 0);
        assert_eq!(count(query.clone().with_version("^1".parse().unwrap())), 1);
        assert_eq!(count(query.with_version(">=0.9".parse().unwrap())), 2);
    }
    assert_eq!(count(Query::new().with_text("#http")), 2, "signs are no part of a word");
    assert_eq!(count(Query::new().with_text("?!")), 0, "a text without words finds nothing");
    assert_eq!(count(Query::new().with_text("  ")), 2, "no text finds everything");
}

#[test]
fn what_is_deprecated_comes_last_however_well_it_fits() {
    let mut packages = vec![package("log")];
    packages.extend((0..200).map(|n| package(&format!("some-log-{n}"))));
    let mut index = index_of(&packages);
    let name = || "log".parse::<PackageName>().unwrap();
    for sort in [Sort::Relevance, Sort::Name, Sort::Updated] {
        let query = Query::new().with_text("log").with_sort(sort).with_limit(100);
        let place = |index: &Index| {
            let pages =
                [0, 100, 200].map(|offset| found(index, &query.clone().with_offset(offset)));
            pages.concat().iter().position(|found| found == "log")
        };
        index.set_deprecated(&name(), &owner(1), true);
        assert_eq!(place(&index), Some(200), "{sort:?}");
        let few = query.clone().with_limit(5);
        assert!(!found(&index, &few).contains(&"log".to_owned()));
        index.set_deprecated(&name(), &owner(1), false);
        assert_ne!(place(&index), Some(200), "{sort:?}");
    }
    // One that has gone leaves nothing behind for whoever takes its place.
    index.set_deprecated(&name(), &owner(1), true);
    index.remove(&name(), &owner(1));
    index.insert(owner(2), &package("log"), [], 0);
    assert_eq!(names(&index, "log").first().map(String::as_str), Some("log"));
    // All of a name that are deprecated still come in their order.
    index.set_deprecated(&name(), &owner(2), true);
    index.set_deprecated(&"some-log-7".parse().unwrap(), &owner(1), true);
    let last = Query::new().with_text("log").with_offset(199);
    assert_eq!(found(&index, &last), ["log", "some-log-7"]);
}

#[test]
fn results_come_in_the_order_that_is_asked_for_and_in_pages() {
    let mut index = Index::new();
    for (number, issued) in [(3, 50), (1, 70), (2, 60)] {
        index.insert(owner(number), &package("same"), [], issued);
        index.insert(owner(number), &package(&format!("other-{number}")), [], 40);
    }
    let by_name = Query::new().with_sort(Sort::Name);
    let hits = |query: &Query| -> Vec<(String, PeerId)> {
        index.search(query).hits.into_iter().map(|hit| (hit.name.to_string(), hit.owner)).collect()
    };
    let whole = hits(&by_name);
    assert!(whole.is_sorted() && whole.len() == 6);
    let newest: Vec<_> = hits(&Query::new().with_sort(Sort::Updated));
    assert_eq!(newest[..3], [1, 2, 3].map(|number| ("same".to_owned(), owner(number))));
    assert_eq!(newest[3..], whole[..3]);
    let pages: Vec<_> = (0..4)
        .flat_map(|page| hits(&by_name.clone().with_limit(2).with_offset(2 * page)))
        .collect();
    assert_eq!(pages, whole);
    assert_eq!(index.search(&by_name.with_limit(1).with_offset(5)).total, 6);
}

#[test]
fn what_is_not_looked_at_is_not_kept_quiet() {
    let many: Vec<Manifest> = (0..200).map(|i| package(&format!("beginning{i:03}"))).collect();
    let index = index_of(&many);
    let found = index.search(&Query::new().with_text("beginning"));
    assert!(found.truncated && found.total < 200);
    assert!(!index.search(&Query::new().with_text("beginning00")).truncated);
    let words: Vec<String> = (0..17).map(|i| format!("word{i:02}")).collect();
    assert!(index.search(&Query::new().with_text(words.join(" "))).truncated);
    assert!(!index.search(&Query::new().with_text(words[..16].join(" "))).truncated);
}

#[test]
fn a_package_that_is_replaced_or_removed_is_found_as_it_is_now() {
    let mut index = index_of(&[package("a").with_description("former words")]);
    index.insert(owner(1), &package("a").with_description("latter words"), [], 1);
    assert_eq!(index.len(), 1);
    assert_eq!(names(&index, "former"), [""; 0]);
    assert_eq!(names(&index, "words latter"), ["a"]);
    assert!(!index.remove(&"a".parse().unwrap(), &owner(2)));
    assert!(index.remove(&"a".parse().unwrap(), &owner(1)));
    assert!(index.is_empty());
    assert_eq!(names(&index, "words"), [""; 0]);
}

#[test]
fn no_flood_of_words_is_remembered_for_good() {
    let mut index = Index::new();
    let mut most = 0;
    for round in 0..4000 {
        let words: Vec<String> = (0..40).map(|i| format!("w{round}x{i}")).collect();
        index.insert(owner(1), &package("a").with_description(words.join(" ")), [], 0);
        most = most.max(index.bytes());
    }
    // Of 160,000 words, a few thousand at a time.
    assert!(index.terms.len() < 4000, "{}", index.terms.len());
    assert!(most < 1 << 20, "{most}");
}

/// A change to the index, or a search.
#[derive(Debug, Clone)]
enum Step {
    Insert(u8, Manifest, u64),
    Remove(u8, String),
    Search(Query),
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let keywords = proptest::collection::btree_set("[ab]{1,2}(-[ab])?", 0..3);
    ("[ab]{1,3}([-_][ab]{1,2})?", keywords, "([abB]{1,3}[ ,.]{1,2}){0,5}", "MIT|GPL-3.0 OR MIT|BSD")
        .prop_map(|(name, keywords, description, license)| {
            package(&name)
                .with_keywords(keywords)
                .with_description(description)
                .with_license(license)
        })
}

fn queries() -> impl Strategy<Value = Query> {
    let text = proptest::option::of("[abAB]{1,3}([ _][ab]{1,3}){0,2}");
    let filters = (proptest::option::of("[ab]{1,2}"), proptest::option::of("mit|GPL-3.0"));
    (text, any::<bool>(), filters, proptest::option::of(0..3_u8), 0..3_u8, 0..4_usize, 1..9_usize)
        .prop_map(|(text, any, (keyword, license), whose, sort, offset, limit)| Query {
            text,
            matching: if any { Match::Any } else { Match::All },
            keywords: keyword.into_iter().collect(),
            license,
            owner: whose.map(owner),
            sort: [Sort::Relevance, Sort::Name, Sort::Updated][usize::from(sort)],
            ..Query::new().with_offset(offset).with_limit(limit)
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..3_u8, manifests(), 0..3_u64).prop_map(|(o, m, i)| Step::Insert(o, m, i)),
        1 => (0..3_u8, "[ab]{1,2}").prop_map(|(owner, name)| Step::Remove(owner, name)),
        3 => queries().prop_map(Step::Search),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Whether the words are there, by looking at the texts. The words of these tests are too short to be forgiven errors.
fn has_words(query: &Query, manifest: &Manifest) -> bool {
    let Some(text) = &query.text else { return true };
    let split = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let texts = manifest.keywords.iter().map(String::as_str).chain([manifest.name.as_str()]);
    let mut words = split(&manifest.description);
    for text in texts {
        words.extend(split(text));
        words.push(split(text).concat());
    }
    // Capitals inside a word begin another one.
    for word in manifest.description.split(|c: char| !c.is_alphanumeric()) {
        fold::words_and_parts(word, |part| words.push(part.to_owned()));
    }
    let wanted = split(text);
    let has = |wanted: &String| {
        let long = wanted.len() > 1;
        words.iter().any(|word| word == wanted || (long && word.starts_with(wanted.as_str())))
    };
    match query.matching {
        Match::Any => wanted.iter().any(has),
        Match::All => {
            wanted.iter().all(has) || split(manifest.name.as_str()).concat() == wanted.concat()
        }
    }
}

type Model = BTreeMap<(String, PeerId), (Manifest, u64)>;

fn check(index: &Index, model: &Model, query: &Query) -> Result<(), TestCaseError> {
    let mut expected: Vec<(Score, u64, &(String, PeerId))> = model
        .iter()
        .filter(|((_, owner), (manifest, _))| {
            query.accepts(manifest, owner, [&manifest.version]) && has_words(query, manifest)
        })
        .map(|(key, (manifest, issued))| (relevance(query, manifest).unwrap(), *issued, key))
        .collect();
    let all = Query { offset: 0, limit: Query::MAX_LIMIT, ..query.clone() };
    let found = index.search(&all);
    prop_assert_eq!((found.total, found.hits.len()), (expected.len(), expected.len()));
    prop_assert!(!found.truncated);
    for hit in &found.hits {
        let key = (hit.name.to_string(), hit.owner);
        let (score, ..) = expected.iter().find(|(.., other)| **other == key).unwrap();
        prop_assert_eq!(hit.score.tier(), score.tier(), "{:?}", hit);
    }
    let by_place = |a: &Hit, b: &Hit| (&a.name, a.owner).cmp(&(&b.name, b.owner));
    match query.sort {
        Sort::Relevance => {
            let is_sorted = found
                .hits
                .is_sorted_by(|a, b| b.score.cmp(&a.score).then_with(|| by_place(a, b)).is_lt());
            prop_assert!(is_sorted);
        }
        sort => {
            expected.sort_by_key(|(_, issued, key)| {
                (if sort == Sort::Name { 0 } else { u64::MAX - issued }, *key)
            });
            let expected: Vec<_> = expected.into_iter().map(|(.., key)| key.clone()).collect();
            let hits: Vec<_> =
                found.hits.iter().map(|hit| (hit.name.to_string(), hit.owner)).collect();
            prop_assert_eq!(hits, expected);
        }
    }
    let page = index.search(query);
    let expected: Vec<Hit> = found.hits.into_iter().skip(query.offset).take(query.limit).collect();
    prop_assert_eq!((page.total, page.hits), (found.total, expected));
    Ok(())
}

proptest! {
    #[test]
    fn a_search_finds_what_looking_at_every_package_finds(steps in steps()) {
        let (mut index, mut model) = (Index::new(), Model::new());
        for step in steps {
            match step {
                Step::Insert(whose, manifest, issued) => {
                    index.insert(owner(whose), &manifest, [&manifest.version], issued);
                    model.insert((manifest.name.to_string(), owner(whose)), (manifest, issued));
                }
                Step::Remove(whose, name) => {
                    let was_there = model.remove(&(name.clone(), owner(whose))).is_some();
                    prop_assert_eq!(index.remove(&name.parse().unwrap(), &owner(whose)), was_there);
                }
                Step::Search(query) => check(&index, &model, &query)?,
            }
            prop_assert_eq!(index.len(), model.len());
        }
        // What it takes is accounted to the byte.
        let lists: usize = index.postings.iter().map(Postings::heap).sum();
        let docs: usize = index.docs.iter().flatten().map(Doc::heap).sum();
        prop_assert_eq!(index.heap, lists + docs);
        let dead = (0..index.terms.len() as u32).filter(|id| index.entries(*id).is_empty()).count();
        prop_assert_eq!(index.dead, dead);
    }

    #[test]
    fn the_order_does_not_depend_on_what_became_known_first(
        packages in proptest::collection::vec((0..3_u8, manifests(), 0..3_u64), 1..20)
            .prop_map(|packages| -> Vec<_> {
                let key = |(owner, manifest, _): &(u8, Manifest, u64)| (*owner, manifest.name.clone());
                packages.into_iter().map(|package| (key(&package), package)).collect::<BTreeMap<_, _>>()
                    .into_values().collect()
            }),
        seed in any::<u64>(),
        query in queries(),
    ) {
        let (mut one, mut other) = (Index::new(), Index::new());
        let insert = |index: &mut Index, (whose, manifest, issued): &(u8, Manifest, u64)| {
            index.insert(owner(*whose), manifest, [&manifest.version], *issued);
        };
        packages.iter().for_each(|package| insert(&mut one, package));
        // Others have come and gone before.
        let mut shuffled = packages.clone();
        shuffled.sort_by_key(|(owner, manifest, _)| {
            manifest.name.as_str().bytes().fold(seed ^ u64::from(*owner), |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(11)
            })
        });
        for (i, package) in shuffled.iter().enumerate() {
            let passing = super::tests::package(&format!("passing{i}")).with_description("aa bb");
            other.insert(owner(9), &passing, [], 0);
            insert(&mut other, package);
            other.remove(&passing.name, &owner(9));
        }
        // Words that nobody has any more are still looked at.
        let [one, other] = [one, other].map(|index| Found { looked: 0, ..index.search(&query) });
        prop_assert_eq!(one, other);
    }
}
