//! What two catalogues of 100,000 heads differ by, beside telling the other side all digests.

use std::{
    collections::HashSet,
    hint::black_box,
    time::{Duration, Instant},
};

use peerage::{
    Digest,
    bench_support::compared::{Compared, Side},
};

use crate::{
    dispatch::Outcome,
    report::{BytesEach, Report, Target},
};

const HEADS: u64 = 100_000;
const ROUNDS: usize = 11;

/// By how many heads the two differ; how many times fewer bytes that takes at least; and how many times the computing
/// of both sides together at most, which on a network comes besides the time that the bytes take.
const ROWS: [(u64, f64, f64); 3] = [(0, 5_000.0, 0.02), (10, 200.0, 0.25), (1_000, 8.0, 2.0)];

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    for (differences, fewer, time) in ROWS {
        let bytes_row = format!("reconcile/bytes/{differences}");
        let time_row = format!("reconcile/time/{differences}");
        if !report.wants(&bytes_row) && !report.wants(&time_row) {
            continue;
        }
        // Each side lacks half of what they differ by.
        let (ours, theirs) = (differences / 2..HEADS, 0..HEADS - differences.div_ceil(2));
        let (ours, theirs): (Vec<_>, Vec<_>) =
            (ours.map(head).collect(), theirs.map(head).collect());
        let (side, other) = (Side::new(ours.iter().copied()), Side::new(theirs.iter().copied()));
        // As a node has them anyway.
        let known: HashSet<Digest> = ours.iter().map(|(_, digest)| *digest).collect();

        let compared = side.compare(&other, 7).ok_or("a comparison has come to nothing")?;
        let Compared { need, have, complete, bytes, rounds } = &compared;
        assert!(*complete && (need.len() + have.len()) as u64 == differences);
        let (all_need, all_have, all_bytes) = whole_list(&known, &theirs);
        assert_eq!((need.len(), have.len()), (all_need, all_have));
        let cost = |total: usize| BytesEach { total, things: 1 };
        report.once(&bytes_row, Target::AtLeast(fewer), || cost(*bytes), || cost(all_bytes));
        if report.wants(&bytes_row) {
            eprintln!("      {bytes_row}: {rounds} rounds");
        }

        let mut salt = 0;
        let ours = || {
            salt += 1;
            timed(|| {
                black_box(side.compare(&other, salt));
            })
        };
        let peer = || {
            timed(|| {
                black_box(whole_list(&known, &theirs));
            })
        };
        report.row(&time_row, Target::AtMost(time), ROUNDS, ours, peer);
    }
    Ok(())
}

/// One that was issued within a month.
fn head(number: u64) -> (u64, Digest) {
    let digest = Digest::of(number.to_be_bytes());
    let ago = digest.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    (1_800_000_000 - ago % 2_592_000, digest)
}

/// The other side writes all of its digests, and this one reads them: how many only the other has, how many only this
/// one, and how many bytes that were.
fn whole_list(known: &HashSet<Digest>, theirs: &[(u64, Digest)]) -> (usize, usize, usize) {
    let message: Vec<u8> = theirs.iter().flat_map(|(_, digest)| *digest.as_bytes()).collect();
    let (told, _) = black_box(&message).as_chunks::<32>();
    let told: HashSet<Digest> = told.iter().map(|digest| Digest::from_bytes(*digest)).collect();
    let need = told.iter().filter(|digest| !known.contains(*digest)).count();
    let have = known.iter().filter(|digest| !told.contains(*digest)).count();
    (need, have, message.len())
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}
