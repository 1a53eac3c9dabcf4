//! The longest search of all, by the clock: a bound that holds for each, and not for the mean of many.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use peerage::{Manifest, Query, bench_support::index::Index, identity::Keypair};

use crate::{
    dispatch::Outcome,
    packages::{chinese, chinese_texts, hard_texts, packages, texts},
    report::{Report, Target},
};

/// No search takes longer than so many milliseconds.
const LONGEST_MILLIS: f64 = 2.0;
/// Where tens of thousands of descriptions have each of a query's words, as many entries are looked at as a search may:
/// that is the bound there.
const LONGEST_MILLIS_IN_TEXTS: f64 = 10.0;
/// The shortest of so many tries of each counts: what else the machine does is nobody's search.
const TRIES: usize = 5;
/// How many texts that people type are searched for, and as many with an error in them.
const TEXTS: usize = 200;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    for (size, longest, make) in SETS {
        let name = format!("search/{size}-worst-ms");
        if report.wants(&name) {
            row(report, &name, longest, &make()?)?;
        }
    }
    Ok(())
}

/// Packages among which the longest search is looked for.
type Make = fn() -> Outcome<Vec<Manifest>>;
const SETS: [(&str, f64, Make); 3] = [
    ("100k", LONGEST_MILLIS_IN_TEXTS, || Ok(packages(100_000)?)),
    ("100k-names", LONGEST_MILLIS, || {
        let bare = |m: Manifest| Manifest::new(m.name, m.version);
        Ok(packages(100_000)?.into_iter().map(bare).collect())
    }),
    ("10k-chinese", LONGEST_MILLIS, || Ok(chinese(10_000))),
];

/// An index of these packages, and how long it took to fill it.
pub(crate) fn filled(packages: &[Manifest]) -> Outcome<(Index, Duration)> {
    let owner = Keypair::ed25519_from_bytes([1; 32])?.public().to_peer_id();
    let (start, mut index) = (Instant::now(), Index::new());
    packages.iter().for_each(|package| index.insert(owner, package, [&package.version], 0));
    Ok((index, start.elapsed()))
}

/// What people type, the same with an error, and the hardest that can be asked.
fn row(report: &Report, name: &str, most: f64, packages: &[Manifest]) -> Outcome<()> {
    let (index, built) = filled(packages)?;
    let bytes = index.bytes() / packages.len().max(1);
    eprintln!("      {name}: {} packages in {built:.0?}, {bytes} bytes each", packages.len());
    let mut all = texts(packages, TEXTS);
    all.extend(chinese_texts(packages, TEXTS));
    let mistyped = all.iter().map(|text| {
        let middle = text.char_indices().nth(2).map_or(0, |(at, _)| at);
        let (one, other) = text.split_at(middle);
        format!("{one}q{other}")
    });
    all.extend(mistyped.collect::<Vec<_>>());
    all.extend(hard_texts(packages));
    let took = |text: &String| {
        let query = Query::new().with_text(text);
        let tries = (0..TRIES).map(|_| {
            let start = Instant::now();
            black_box(index.search(black_box(&query)));
            start.elapsed()
        });
        (tries.min().unwrap_or_default(), text.clone())
    };
    let (longest, text) = all.iter().map(took).max().unwrap_or_default();
    eprintln!("      {name}: the longest of {} searches was for {text:?}", all.len());
    report.once(name, Target::MillisMore(most), || longest, || Duration::ZERO);
    Ok(())
}
