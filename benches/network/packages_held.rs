//! What a node holds for others: its memory in a network with a hundred packages of each.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use peerage::Manifest;
use serde_json::json;

use crate::{
    Outcome,
    network::{Network, of_each},
    node::{Node, PATIENCE},
    packages::packages,
    report::{Report, Target, least, median, most},
};

const PACKAGES_EACH: usize = 100;
/// Nodes that publish at one time, one package after the other.
const AT_ONCE: usize = 16;
/// When no further package is published.
const GIVEN_UP: Duration = Duration::from_secs(4 * 3600);
/// For how long it is waited until everybody has heard of everything.
const SETTLED: Duration = Duration::from_secs(900);
const PROGRESS_EVERY: usize = 500;

pub(crate) fn measure(network: &mut Network<'_>, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let all = size * PACKAGES_EACH;
    let before = network.memory()?;
    let begun = Instant::now();
    let published = publish(&mut network.nodes, &packages(all)?)?;
    let target = Target::AtLeast(all as f64);
    report.target(size, "packages-published", published as f64, "packages", target);
    report.figure(size, "packages-published-after", begun.elapsed().as_secs_f64(), "s");
    if network.settle(SETTLED)?.is_none() {
        eprintln!("      the network has not settled after {SETTLED:?}");
    }
    print(network, &before, report)
}

/// Has each node publish its part. Tells how many packages were.
fn publish(nodes: &mut [Node], packages: &[Manifest]) -> Outcome<usize> {
    let (done, until) = (&AtomicUsize::new(0), Instant::now() + GIVEN_UP);
    let nodes_each = nodes.len().div_ceil(AT_ONCE);
    let parts = nodes.chunks_mut(nodes_each);
    let parts = parts.zip(packages.chunks(nodes_each * PACKAGES_EACH));
    thread::scope(|scope| {
        let publishing =
            |(nodes, packages)| scope.spawn(move || part(nodes, packages, done, until));
        let threads: Vec<_> = parts.map(publishing).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread that publishes has panicked")??;
        }
        Ok(done.load(Relaxed))
    })
}

fn part(
    nodes: &mut [Node],
    packages: &[Manifest],
    done: &AtomicUsize,
    until: Instant,
) -> Outcome<()> {
    for (node, packages) in nodes.iter_mut().zip(packages.chunks(PACKAGES_EACH)) {
        for manifest in packages {
            if Instant::now() > until {
                return Ok(());
            }
            if let Err(error) = node.ask(json!({"op": "register", "manifest": manifest}), PATIENCE)
            {
                eprintln!("      {}: {error}", manifest.name);
                continue;
            }
            let done = done.fetch_add(1, Relaxed) + 1;
            if done.is_multiple_of(PROGRESS_EVERY) {
                eprintln!("      {done} packages are published");
            }
        }
    }
    Ok(())
}

/// Each node on standard error, and what they come to as figures.
fn print(network: &mut Network<'_>, before: &[f64], report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let memory = network.memory()?;
    let metadata = network.metadata()?;
    let known = of_each(&metadata, "known_packages");
    let catalogue = of_each(&metadata, "catalogue_bytes");
    let records = of_each(&metadata, "records");
    let held = of_each(&metadata, "record_bytes");
    for (number, ((memory, known), records)) in memory.iter().zip(&known).zip(&records).enumerate()
    {
        eprintln!("      node {number}: {memory:.1} MiB, {known} packages, {records} records");
    }
    report.figure(size, "packages-memory-before", median(before.iter().copied()), "MiB");
    report.figure(size, "packages-memory-least", least(memory.iter().copied()), "MiB");
    report.figure(size, "packages-memory-median", median(memory.iter().copied()), "MiB");
    report.figure(size, "packages-memory-most", most(memory), "MiB");
    report.figure(size, "packages-known-least", least(known), "packages");
    report.figure(size, "packages-catalogue-median", median(catalogue), "bytes");
    report.figure(size, "packages-records-median", median(records), "records");
    report.figure(size, "packages-record-bytes-median", median(held), "bytes");
    Ok(())
}
