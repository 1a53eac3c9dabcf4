//! Whether a search finds what is meant: queries as people type them, each with the packages that would do, best first,
//! over what the crates that peerage is built with say about themselves.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use peerage::{
    Manifest, Query,
    bench_support::index::{Index, relevance},
    identity::Keypair,
    package::Match,
};
use serde::Deserialize;

/// The crates in a lock file of this repository, by the `Cargo.toml` that each of them was published with.
const CORPUS: &str = include_str!("relevance/corpus.json");
const QUERIES: &str = include_str!("relevance/queries.json");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Judged {
    text: String,
    /// Whether the words are alternatives.
    #[serde(default)]
    any: bool,
    /// What is acceptable, best first.
    best: Vec<String>,
}

impl Judged {
    fn query(&self) -> Query {
        let matching = if self.any { Match::Any } else { Match::All };
        Query::new().with_text(&self.text).with_matching(matching)
    }
}

fn corpus() -> Vec<Manifest> {
    let corpus: Vec<Manifest> = serde_json::from_str(CORPUS).expect("manifests");
    corpus.iter().for_each(|manifest| manifest.validate().expect("a valid manifest"));
    corpus
}

fn queries(corpus: &[Manifest]) -> Vec<Judged> {
    let queries: Vec<Judged> = serde_json::from_str(QUERIES).expect("queries");
    for query in &queries {
        assert!((1..=5).contains(&query.best.len()), "{query:?}");
        for name in &query.best {
            assert!(corpus.iter().any(|m| m.name.as_str() == name), "{name} is not there");
        }
    }
    queries
}

/// The mean reciprocal rank of the first acceptable answer, and how many queries have one first, and among the first
/// five.
#[derive(Debug, Default)]
struct Figures {
    queries: u32,
    reciprocal: f64,
    first: u32,
    among_five: u32,
    /// How often the very best answer comes first.
    best_first: u32,
}

impl Figures {
    fn add(&mut self, judged: &Judged, answers: &[String]) {
        let rank = answers.iter().position(|name| judged.best.contains(name));
        self.queries += 1;
        if let Some(rank) = rank {
            self.reciprocal += 1.0 / (rank as f64 + 1.0);
            self.first += u32::from(rank == 0);
            self.among_five += u32::from(rank < 5);
        }
        self.best_first += u32::from(answers.first() == judged.best.first());
    }

    fn print(&self, what: &str) -> f64 {
        let share = |count: u32| f64::from(count) / f64::from(self.queries);
        let mrr = self.reciprocal / f64::from(self.queries);
        println!(
            "{what}: {} queries, mean reciprocal rank {mrr:.3}, hits@1 {:.3}, hits@5 {:.3}, best first {:.3}",
            self.queries,
            share(self.first),
            share(self.among_five),
            share(self.best_first),
        );
        mrr
    }
}

#[test]
fn a_search_finds_what_is_meant() {
    let corpus = corpus();
    let owner = Keypair::generate_ed25519().public().to_peer_id();
    let mut index = Index::new();
    for manifest in &corpus {
        index.insert(owner, manifest, [&manifest.version], 0);
    }
    let queries = queries(&corpus);
    assert!(queries.len() >= 60);
    let (mut whole, mut merged) = (Figures::default(), Figures::default());
    for judged in &queries {
        let query = judged.query();
        let found = index.search(&query);
        let answers: Vec<String> = found.hits.iter().map(|hit| hit.name.to_string()).collect();
        whole.add(judged, &answers);
        if answers.first().is_none_or(|first| !judged.best.contains(first)) {
            println!(
                "{:?}: {:?}, found {:?}",
                judged.text,
                judged.best,
                &answers[..answers.len().min(5)]
            );
        }
        // As when the same packages came from many peers: none of them knows how rare a word is among all.
        let mut scored: Vec<_> = found
            .hits
            .iter()
            .filter_map(|hit| {
                let manifest = corpus.iter().find(|manifest| manifest.name == hit.name)?;
                Some((std::cmp::Reverse(relevance(&query, manifest)?), hit.name.to_string()))
            })
            .collect();
        assert_eq!(scored.len(), found.hits.len(), "{query:?}");
        scored.sort();
        let answers: Vec<String> = scored.into_iter().map(|(_, name)| name).collect();
        merged.add(judged, &answers);
    }
    let mrr = whole.print("the index");
    let merged = merged.print("put in order one by one");
    assert!(mrr >= FLOOR, "{mrr}");
    assert!(merged >= MERGED_FLOOR, "{merged}");
}

/// Just below what is measured.
const FLOOR: f64 = 0.93;
const MERGED_FLOOR: f64 = 0.93;
