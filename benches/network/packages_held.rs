//! What a node holds for others: its memory in a network to which each brings a hundred packages.

use std::time::{Duration, Instant};

use peerage::Manifest;
use serde_json::json;

use crate::{
    Outcome,
    network::{Network, of_each},
    node::{Node, PATIENCE, Program},
    packages::packages,
    report::{Report, Target, least, median, most},
};

const PACKAGES_EACH: usize = 100;
/// For how long it is waited until everybody has heard of everything.
const SETTLED: Duration = Duration::from_secs(3600);

/// Has so many nodes publish while they are alone, which costs next to nothing, and then meet: what they have to tell each
/// other is the same as if they had met before.
pub(crate) fn measure(program: &Program, size: usize, report: &mut Report) -> Outcome<()> {
    let mut network = Network::of_strangers(program, size)?;
    let all = network.size() * PACKAGES_EACH;
    let published = publish(&mut network.nodes, &packages(all)?)?;
    report.target(
        size,
        "packages-published",
        published as f64,
        "packages",
        Target::AtLeast(all as f64),
    );
    let before = network.memory()?;
    let begun = Instant::now();
    network.meet()?;
    match network.settle(SETTLED)? {
        Some(at) => report.figure(size, "packages-settled", (at - begun).as_secs_f64(), "s"),
        None => eprintln!("      the network has not settled after {SETTLED:?}"),
    }
    print(&mut network, &before, report)
}

/// Has each node publish its part. Tells how many packages were.
fn publish(nodes: &mut [Node], packages: &[Manifest]) -> Outcome<usize> {
    let mut published = 0;
    for (node, packages) in nodes.iter_mut().zip(packages.chunks(PACKAGES_EACH)) {
        let asked = packages
            .iter()
            .map(|manifest| node.send(json!({"op": "register", "manifest": manifest})));
        for asked in asked.collect::<Outcome<Vec<_>>>()? {
            match node.receive(asked, PATIENCE) {
                Ok(_) => published += 1,
                Err(error) => eprintln!("      not published: {error}"),
            }
        }
    }
    Ok(published)
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
