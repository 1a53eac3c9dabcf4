use std::collections::BTreeMap;

use libp2p::identity::Keypair;
use proptest::prelude::*;

use super::*;

/// Owners in the order of their identities.
fn owners() -> [PeerId; 3] {
    let mut owners = [1, 2, 3].map(|seed| {
        let keypair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        keypair.public().to_peer_id()
    });
    owners.sort_unstable();
    owners
}

fn manifest(name: &str) -> Manifest {
    Manifest::new(name.parse().unwrap(), Version::new(1, 0, 0))
}

/// An index of these packages of one owner.
fn index(manifests: &[Manifest]) -> Index {
    let mut index = Index::default();
    for manifest in manifests {
        index.insert(owners()[0], manifest, [manifest.version.clone()], 1);
    }
    index
}

fn names(index: &Index, query: &Query) -> Vec<String> {
    index.search(query).hits.into_iter().map(|(name, _)| name.to_string()).collect()
}

fn text(text: &str) -> Query {
    Query::new().with_text(text).with_limit(100)
}

fn some() -> Vec<Manifest> {
    vec![
        manifest("http").with_description("Types for requests and responses"),
        manifest("http-body").with_description("Bodies of requests").with_keywords(["http"]),
        manifest("tiny-http").with_description("A small server").with_keywords(["web-server"]),
        manifest("hyper").with_description("A server").with_keywords(["http", "web-server"]),
        manifest("ureq").with_description("A client for HTTP and HTTPS"),
        manifest("rusqlite").with_description("Bindings to a database"),
    ]
}

#[test]
fn the_name_that_was_typed_comes_first_then_names_keywords_and_descriptions() {
    let index = index(&some());
    assert_eq!(names(&index, &text("HTTP")), ["http", "http-body", "tiny-http", "hyper", "ureq"]);
    assert_eq!(names(&index, &text("http body")), ["http-body"]);
    assert_eq!(names(&index, &text("httpbody")), ["http-body"]);
}

#[test]
fn beginnings_and_typing_errors_are_forgiven_where_nothing_else_is_found() {
    let index = index(&some());
    assert_eq!(names(&index, &text("datab")), ["rusqlite"]);
    assert_eq!(names(&index, &text("databsae")), ["rusqlite"]);
    assert_eq!(names(&index, &text("hyepr")), ["hyper"]);
    assert_eq!(names(&index, &text("hypxr clxent")), Vec::<String>::new(), "all words are wanted");
    assert_eq!(names(&index, &text("zzzz")), Vec::<String>::new());
    assert_eq!(names(&index, &text("?!")), Vec::<String>::new());
}

#[test]
fn alternatives_find_what_any_of_them_has() {
    let index = index(&some());
    let query = text("hyper ureq nothing").with_matching(Matching::Any);
    assert_eq!(names(&index, &query), ["hyper", "ureq"]);
}

#[test]
fn each_part_of_a_query_narrows_it() {
    let mut index = index(&some());
    let [first, second, _] = owners();
    let other = manifest("http").with_license("MIT OR Apache-2.0").with_keywords(["http"]);
    index.insert(second, &other, [Version::new(0, 9, 0), Version::new(2, 1, 0)], 7);
    let found = |query: &Query| index.search(query).total;
    assert_eq!(found(&Query::new()), 7);
    assert_eq!(found(&Query::new().with_keyword("http")), 3);
    assert_eq!(found(&Query::new().with_keyword("http").with_keyword("web-server")), 1);
    assert_eq!(found(&Query::new().with_keyword("server")), 0, "a keyword is wanted whole");
    assert_eq!(found(&Query::new().with_owner(first)), 6);
    assert_eq!(found(&Query::new().with_license("mit")), 1);
    assert_eq!(found(&Query::new().with_version("^2".parse().unwrap())), 1);
    assert_eq!(found(&Query::new().with_version("<0.9".parse().unwrap())), 0);
    assert_eq!(found(&text("http").with_owner(second).with_keyword("http")), 1);
    let updated = index.search(&Query::new().with_sort(Sort::Updated).with_limit(1));
    assert_eq!(updated.hits, [("http".parse().unwrap(), second)]);
}

#[test]
fn pages_of_an_answer_are_the_whole_answer_and_count_it() {
    let index = index(&some());
    let whole = index.search(&text("http"));
    let pages: Vec<_> = (0..3)
        .flat_map(|page| {
            let page = index.search(&text("http").with_limit(2).with_offset(2 * page));
            assert_eq!((page.total, page.truncated), (5, false));
            page.hits
        })
        .collect();
    assert_eq!(pages, whole.hits);
    assert_eq!(index.search(&text("http").with_offset(9)).hits, []);
}

#[test]
fn what_is_left_out_of_a_query_that_is_too_wide_is_said() {
    let many: Vec<Manifest> = (0..200).map(|n| manifest(&format!("ab{n}"))).collect();
    let index = index(&many);
    let found = index.search(&text("ab"));
    assert!(found.truncated && found.total >= MAX_EXPANSIONS);
    assert!(!index.search(&text("ab17")).truncated);
}

#[test]
fn a_package_that_changes_a_thousand_times_takes_the_room_of_one() {
    let mut index = Index::default();
    let once = {
        let mut once = Index::default();
        once.insert(owners()[0], &some()[0], [Version::new(1, 0, 0)], 1);
        once.bytes()
    };
    for n in 0..10_000_u64 {
        let changed = some()[0].clone().with_description(format!("number {n}"));
        index.insert(owners()[0], &changed, [Version::new(1, 0, 0)], n);
    }
    assert_eq!(index.len(), 1);
    assert_eq!(names(&index, &text("9999")), ["http"]);
    assert_eq!(names(&index, &text("9998")), Vec::<String>::new());
    assert!(index.bytes() < once + 600_000, "{} bytes", index.bytes());
}

const WORDS: [&str; 8] = ["http", "https", "web", "server", "serve", "json", "tiny", "Größe"];

/// A package of few words, so that many have the same.
fn package() -> impl Strategy<Value = (usize, Manifest)> {
    let words = proptest::collection::vec(0..WORDS.len(), 0..4);
    (0..3_usize, 0..7_usize, proptest::option::of(0..7_usize), words).prop_map(
        |(owner, name, keyword, description)| {
            let description: Vec<&str> = description.into_iter().map(|word| WORDS[word]).collect();
            let keyword = keyword.map(|keyword| WORDS[keyword]);
            (
                owner,
                manifest(WORDS[name])
                    .with_description(description.join(", "))
                    .with_keywords(keyword),
            )
        },
    )
}

proptest! {
    /// Against looking through all packages one by one.
    #[test]
    fn it_finds_what_a_walk_through_all_packages_finds(
        packages in proptest::collection::vec((package(), any::<bool>()), 0..40),
        wanted in proptest::collection::vec(0..WORDS.len(), 0..3),
        letters in 2..5_usize,
        any in any::<bool>(),
    ) {
        let mut index = Index::default();
        let mut all = BTreeMap::new();
        for ((owner, manifest), stays) in &packages {
            let owner = owners()[*owner];
            let key = (manifest.name.clone(), owner);
            if *stays {
                index.insert(owner, manifest, [manifest.version.clone()], 1);
                all.insert(key, manifest.clone());
            } else {
                index.remove(&manifest.name, &owner);
                all.remove(&key);
            }
        }
        let wanted: Vec<String> =
            wanted.iter().map(|word| WORDS[*word].chars().take(letters).collect()).collect();
        let matching = if any { Matching::Any } else { Matching::All };
        let query = text(&wanted.join(" ")).with_matching(matching);
        let mut walked: Vec<_> = all
            .iter()
            .filter(|((_, owner), manifest)| query.matches(manifest, owner))
            .map(|(key, _)| key.clone())
            .collect();
        let found = index.search(&query);
        prop_assert_eq!((found.total, found.truncated), (found.hits.len(), false));
        let mut hits = found.hits.clone();
        hits.sort();
        walked.sort();
        // The index forgives errors only in words that it does not have at all.
        prop_assert!(hits.iter().all(|hit| walked.contains(hit)));
        let exact = |manifest: &Manifest| {
            let (words, _) = relevance::indexed(manifest);
            let has = |wanted: &String| {
                let folded = crate::package::words::joined(wanted);
                words.iter().any(|(word, _)| *word == folded || is_begun_by(word, &folded))
            };
            if any { wanted.is_empty() || wanted.iter().any(has) } else { wanted.iter().all(has) }
        };
        for (key, manifest) in &all {
            prop_assert!(!exact(manifest) || hits.contains(key), "{:?} is missing", key);
        }
        prop_assert_eq!(index.len(), all.len());
        // Whatever the order in which they came.
        let mut again = Index::default();
        for ((_, owner), manifest) in all.iter().rev() {
            again.insert(*owner, manifest, [manifest.version.clone()], 1);
        }
        prop_assert_eq!(again.search(&query).hits, found.hits);
    }
}
