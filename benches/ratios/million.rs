//! A node that holds a million records of others, nearly all of them in its file alone: what memory it takes, how soon it
//! has a record of the file for another node, and how many new ones it takes in.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use peerage::{
    Config, DhtMode, Freshness, Multiaddr, Node,
    bench_support::filled::Filled,
    identity::Keypair,
    record::{Record, RecordKey},
};

use crate::{
    dispatch::Outcome,
    nodes::Asker,
    report::{BytesEach, Report, Target},
    start::{Serving, Written, million, now, offers},
    storage::folder,
};

const HELD: usize = 1_000_000;
/// Memory that records may take.
const MEMORY: usize = 4 << 20;
/// Lookups of a round, one after the other.
const LOOKUPS: usize = 100;
const ROUNDS: usize = 7;
/// Records that are put, so many at a time.
const PUTS: usize = 20_000;
const IN_FLIGHT: usize = 64;

const RSS: &str = "million/memory";
const GET: &str = "million/get-from-disk-p50";
const PUT: &str = "million/puts";
const JUDGED: &str = "million/offers-judged";

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    judged(report)?;
    if ![RSS, GET, PUT].iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let folder = folder()?;
    let path = folder.path().join("million.redb");
    let start = Instant::now();
    let written = Written::new(&path, HELD)?;
    eprintln!("      {HELD} records written in {:.0?}", start.elapsed());
    let start = Instant::now();
    let mut serving = Serving::start(&path, Some(MEMORY))?;
    let address = serving.address()?;
    let rss = serving.restored()?;
    eprintln!(
        "      all known after {:.1?}, RSS {} MiB, the file {} MiB",
        start.elapsed(),
        rss / 1024,
        written.on_disk >> 20
    );
    // 150 MB, of a million.
    let bytes = |total| BytesEach { total, things: HELD };
    let rss = usize::try_from(rss * 1024)?;
    report.once(RSS, Target::AtMost(1.0), || bytes(rss), || bytes(150_000_000));
    gets(report, &address, &written.keys)?;
    puts(report, &serving, &address)?;
    eprintln!("      at the end: RSS {} MiB", serving.end()? / 1024);
    Ok(())
}

/// Lookups of records that another node has asked for before, beside those of records that nobody has asked for.
fn gets(report: &Report, address: &Multiaddr, keys: &[RecordKey]) -> Outcome<()> {
    if !report.wants(GET) {
        return Ok(());
    }
    let (warmer, reader) = (asker(address)?, asker(address)?);
    // Every record once: who has read it before knows its signature.
    let mut keys = keys.iter().step_by(101).copied();
    let mut p50 = |is_warm: bool| {
        let keys: Vec<_> = keys.by_ref().take(LOOKUPS).collect();
        assert_eq!(keys.len(), LOOKUPS);
        if is_warm {
            warmer.gets(&keys, IN_FLIGHT);
        }
        let mut times: Vec<_> = keys.iter().map(|key| reader.get(key, Freshness::All)).collect();
        times.sort_unstable();
        times.get(LOOKUPS / 2).copied().unwrap_or_default()
    };
    let keys = std::cell::RefCell::new(&mut p50);
    let ours = || (keys.borrow_mut())(false);
    let theirs = || (keys.borrow_mut())(true);
    report.row(GET, Target::AtMost(1.5), ROUNDS, ours, theirs);
    Ok(())
}

/// New records that a peer offers, verified and taken in without a network: 10,000 a second, on one core.
fn judged(report: &Report) -> Outcome<()> {
    if !report.wants(JUDGED) {
        return Ok(());
    }
    let records = offers(PUTS)?;
    let mut store = Filled::new(Config::new().with_limits(million(MEMORY)), now()?);
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    let judged = || {
        let start = Instant::now();
        let kept = records.iter().filter(|head| store.put_by(peer, &head.key(), head.bytes()));
        assert_eq!(kept.count(), PUTS, "all are right, and there is room");
        start.elapsed()
    };
    report.once(JUDGED, Target::AtMost(1.0), judged, || Duration::from_secs(PUTS as u64 / 10_000));
    Ok(())
}

/// New records, put by a peer as fast as it can. The peer is on this machine, too, and takes most of it: what a machine of its
/// own could take in follows from the time that the node itself has had.
fn puts(report: &Report, serving: &Serving, address: &Multiaddr) -> Outcome<()> {
    if !report.wants(PUT) {
        return Ok(());
    }
    let putter = asker(address)?;
    let records = offers(PUTS)?;
    let before = serving.cpu()?;
    let start = Instant::now();
    let kept = putter.run(
        stream::iter(records)
            .map(|head| putter.handle.put_record(Record::Head(head)))
            .buffer_unordered(IN_FLIGHT)
            .filter(|put| std::future::ready(put.as_ref().is_ok_and(|copies| *copies > 0)))
            .count(),
    );
    let time = start.elapsed();
    let cpu = serving.cpu()?.saturating_sub(before);
    let [rate, of_core] = [time, cpu].map(|time| kept as f64 / time.as_secs_f64());
    eprintln!(
        "      {PUT}: {kept} of {PUTS} kept in {time:.1?}, {rate:.0} a second, both sides on this machine; in {cpu:.1?} of the \
         node's own time, {of_core:.0} a second of one core"
    );
    Ok(())
}

fn asker(address: &Multiaddr) -> Outcome<Asker> {
    let config = Config::new().with_mode(DhtMode::Client).with_listen([]);
    let asker = Asker::start(Node::builder(Keypair::generate_ed25519(), config))?;
    asker.run(asker.handle.dial_address(address.clone()))?;
    asker.rest(Duration::from_millis(500));
    Ok(asker)
}
