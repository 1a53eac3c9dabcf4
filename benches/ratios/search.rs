//! Searches, beside tantivy with its index in memory, in one segment, and beside looking at every package.
//!
//! Both find packages that have all words in name, keywords or description, count them, and rank the best twenty by
//! BM25. What tantivy is asked for is less: words as they are typed, nothing that begins with them, and the addresses of
//! the best only. Where the words are beginnings, it is asked for all words that begin so, as this crate's index is.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use peerage::{Manifest, PeerId, Query, bench_support::index::Index, identity::Keypair};
use tantivy::{
    IndexWriter, Searcher, TantivyDocument, Term,
    collector::{Count, TopDocs},
    directory::RamDirectory,
    query::{BooleanQuery, Occur, Query as TantivyQuery, RegexQuery, TermQuery},
    schema::{
        Field, IndexRecordOption, STORED, STRING, Schema, TEXT, TextFieldIndexing, TextOptions,
    },
    tokenizer::NgramTokenizer,
};

use crate::{
    dispatch::Outcome,
    packages::{chinese, chinese_texts, packages, scan, texts},
    report::{Each, Report, Target},
    worst_search::filled,
};

const ROUNDS: usize = 21;
/// How many different texts are searched for in a round.
const TEXTS: usize = 200;
/// A scan takes long, and so does filling an index.
const FILLINGS: usize = 3;
const SCANS: usize = 4;
const OWNERS: u8 = 50;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    for (size, count) in [("10k", 10_000), ("100k", 100_000)] {
        let name = |row: &str| format!("search/{size}-{row}");
        let names = [name("words"), name("names"), name("beginnings"), name("typos"), name("scan")];
        if names.iter().any(|name| report.wants(name)) {
            family(report, &names, &packages(count)?)?;
        }
    }
    let names = ["search/10k-chinese", "search/10k-chinese-fill"];
    if names.iter().any(|name| report.wants(name)) {
        in_chinese(report, names, &chinese(10_000))?;
    }
    Ok(())
}

/// Descriptions without spaces. The peer makes the same of a text: its characters and the pairs of them.
fn in_chinese(report: &Report, [search, fill]: [&str; 2], packages: &[Manifest]) -> Outcome<()> {
    let owner = Keypair::ed25519_from_bytes([1; 32])?.public().to_peer_id();
    let (index, _) = filled(packages)?;
    let peer = Tantivy::new(packages, &[owner], Cut::Pairs)?;
    let each = |bytes: usize| bytes / packages.len().max(1);
    eprintln!(
        "      {} Chinese descriptions: {} bytes each beside {}",
        packages.len(),
        each(index.bytes()),
        each(peer.bytes),
    );
    report.row(
        fill,
        Target::AtMost(2.0),
        FILLINGS,
        || filled(packages).map_or(Duration::MAX, |(_, took)| took),
        || Tantivy::new(packages, &[owner], Cut::Pairs).map_or(Duration::ZERO, |peer| peer.built),
    );
    let texts = chinese_texts(packages, TEXTS);
    let queries: Vec<Query> = texts.iter().map(|text| Query::new().with_text(text)).collect();
    let theirs: Vec<BooleanQuery> = texts.iter().map(|text| peer.pairs_of(text)).collect();
    report.row(
        search,
        Target::AtMost(2.0),
        ROUNDS,
        || timed(&queries, |query| index.search(query).total),
        || timed(&theirs, |query| peer.search(query)),
    );
    Ok(())
}

fn family(report: &Report, names: &[String; 5], packages: &[Manifest]) -> Outcome<()> {
    let [words, whole_names, beginnings, typos, scans] = names;
    let owners: Vec<PeerId> = (1..=OWNERS)
        .map(|number| Ok(Keypair::ed25519_from_bytes([number; 32])?.public().to_peer_id()))
        .collect::<Outcome<_>>()?;
    let start = Instant::now();
    let (mut ours, mut longest) = (Index::new(), Duration::ZERO);
    for (package, owner) in packages.iter().zip(owners.iter().cycle()) {
        let start = Instant::now();
        ours.insert(*owner, package, [&package.version], 0);
        longest = longest.max(start.elapsed());
    }
    let built = start.elapsed();
    let peer = Tantivy::new(packages, &owners, Cut::Words)?;
    let each = |bytes: usize| bytes / packages.len();
    eprintln!(
        "      {} packages indexed in {built:.0?} beside {:.0?}, the longest one in {longest:.0?}; {} bytes each \
         beside {}",
        packages.len(),
        peer.built,
        each(ours.bytes()),
        each(peer.bytes),
    );

    let texts = texts(packages, TEXTS);
    let is_name = |text: &String| packages.iter().any(|package| package.name.as_str() == text);
    let (by_name, by_words): (Vec<String>, Vec<String>) = texts.into_iter().partition(is_name);
    // As far as one has typed.
    let begun: Vec<String> = by_words
        .iter()
        .map(|text| {
            let begun =
                text.split_whitespace().map(|word| word.chars().take(4).collect::<String>());
            begun.collect::<Vec<_>>().join(" ")
        })
        .collect();
    // Another letter in the middle of a name, so that it is not there.
    let mistyped: Vec<String> = by_name
        .iter()
        .map(|text| {
            let word = text.split('-').max_by_key(|word| word.len()).unwrap_or(text);
            let (one, other) = word.split_at(word.len() / 2);
            format!("{one}j{other}")
        })
        .collect();

    let search = |texts: &[String]| {
        let queries: Vec<Query> = texts.iter().map(|text| Query::new().with_text(text)).collect();
        let index = &ours;
        move || timed(&queries, |query| index.search(query).total)
    };
    let exactly = |texts: &[String]| -> Outcome<_> {
        let queries = texts.iter().map(|text| peer.all_of(text, Spelling::Whole));
        let queries: Vec<BooleanQuery> = queries.collect::<Outcome<_>>()?;
        let peer = &peer;
        Ok(move || timed(&queries, |query| peer.search(query)))
    };
    for (name, texts) in [(words, &by_words), (whole_names, &by_name)] {
        report.row(name, Target::AtMost(2.0), ROUNDS, search(texts), exactly(texts)?);
    }
    let queries = begun.iter().map(|text| peer.all_of(text, Spelling::Beginning));
    let queries: Vec<BooleanQuery> = queries.collect::<Outcome<_>>()?;
    let theirs = || timed(&queries, |query| peer.search(query));
    report.row(beginnings, Target::AtMost(2.0), ROUNDS, search(&begun), theirs);
    let queries = mistyped.iter().map(|text| peer.all_of(text, Spelling::Mistyped));
    let queries: Vec<BooleanQuery> = queries.collect::<Outcome<_>>()?;
    let theirs = || timed(&queries, |query| peer.search(query));
    report.row(typos, Target::AtMost(2.0), ROUNDS / 4, search(&mistyped), theirs);

    let few: Vec<Query> =
        by_words.iter().take(SCANS).map(|text| Query::new().with_text(text)).collect();
    let index = &ours;
    report.row(
        scans,
        Target::AtLeast(20.0),
        ROUNDS / 4,
        || timed(&few, |query| index.search(query).total),
        || timed(&few, |query| scan(packages, query).len()),
    );
    Ok(())
}

fn timed<Q>(queries: &[Q], mut search: impl FnMut(&Q) -> usize) -> Each {
    let start = Instant::now();
    for query in queries {
        black_box(search(black_box(query)));
    }
    Each { total: start.elapsed(), operations: queries.len() as u64 }
}

/// How the words of a query stand in the index.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    Whole,
    Beginning,
    Mistyped,
}

/// How the peer cuts descriptions.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Words,
    Pairs,
}

/// The peer.
struct Tantivy {
    searcher: Searcher,
    fields: [Field; 3],
    built: Duration,
    bytes: usize,
}

impl Tantivy {
    fn new(packages: &[Manifest], owners: &[PeerId], cut: Cut) -> Outcome<Self> {
        let mut schema = Schema::builder();
        let name = schema.add_text_field("name", TEXT | STORED);
        let keywords = schema.add_text_field("keywords", TEXT);
        let pairs = TextFieldIndexing::default()
            .set_tokenizer("pairs")
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let description = match cut {
            Cut::Words => TEXT,
            Cut::Pairs => TextOptions::default().set_indexing_options(pairs),
        };
        let description = schema.add_text_field("description", description);
        let owner = schema.add_bytes_field("owner", STORED);
        let license = schema.add_text_field("license", STRING);
        let schema = schema.build();
        let directory = RamDirectory::create();
        let start = Instant::now();
        let index = tantivy::Index::create(directory.clone(), schema, Default::default())?;
        index.tokenizers().register("pairs", NgramTokenizer::new(1, 2, false)?);
        // One thread, with as much memory as makes one segment.
        let mut writer: IndexWriter = index.writer_with_num_threads(1, 1 << 30)?;
        for (package, whose) in packages.iter().zip(owners.iter().cycle()) {
            let mut document = TantivyDocument::default();
            document.add_text(name, package.name.as_str());
            document.add_text(keywords, package.keywords.join(" "));
            document.add_text(description, &package.description);
            document.add_bytes(owner, whose.to_bytes().as_slice());
            document.add_text(license, package.license.as_deref().unwrap_or_default());
            writer.add_document(document)?;
        }
        writer.commit()?;
        let built = start.elapsed();
        writer.wait_merging_threads()?;
        let searcher = index.reader()?.searcher();
        if searcher.segment_readers().len() != 1 {
            return Err("tantivy has made more than one segment".into());
        }
        let fields = [name, keywords, description];
        Ok(Self { searcher, fields, built, bytes: directory.total_mem_usage() })
    }

    /// All words of a text, each in any of the fields.
    fn all_of(&self, text: &str, spelling: Spelling) -> Outcome<BooleanQuery> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words = words.map(|word| -> Outcome<(Occur, Box<dyn TantivyQuery>)> {
            let word = word.to_lowercase();
            let fields = self.fields.map(|field| -> Outcome<(Occur, Box<dyn TantivyQuery>)> {
                let term = Term::from_field_text(field, &word);
                let query: Box<dyn TantivyQuery> = match spelling {
                    Spelling::Whole => Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)),
                    Spelling::Beginning => {
                        Box::new(RegexQuery::from_pattern(&format!("{word}.*"), field)?)
                    }
                    Spelling::Mistyped => {
                        let distance = if word.chars().count() < 8 { 1 } else { 2 };
                        Box::new(tantivy::query::FuzzyTermQuery::new(term, distance, true))
                    }
                };
                Ok((Occur::Should, query))
            });
            let fields = fields.into_iter().collect::<Outcome<Vec<_>>>()?;
            Ok((Occur::Must, Box::new(BooleanQuery::new(fields))))
        });
        Ok(BooleanQuery::new(words.collect::<Outcome<Vec<_>>>()?))
    }

    /// All pairs of a text's characters, or its only one, in the description.
    fn pairs_of(&self, text: &str) -> BooleanQuery {
        let [.., description] = self.fields;
        let chars: Vec<char> = text.chars().collect();
        let pairs = chars.windows(chars.len().clamp(1, 2)).map(|pair| {
            let term = Term::from_field_text(description, &pair.iter().collect::<String>());
            let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
            (Occur::Must, Box::new(query) as Box<dyn TantivyQuery>)
        });
        BooleanQuery::new(pairs.collect())
    }

    fn search(&self, query: &BooleanQuery) -> usize {
        let best = TopDocs::with_limit(Query::DEFAULT_LIMIT).order_by_score();
        let found = self.searcher.search(query, &(best, Count));
        found.map_or(0, |(best, count)| black_box(best).len().max(count))
    }
}
