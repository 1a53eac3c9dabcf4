//! What a network costs that has nothing to do.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    network::{CORE_AT_REST, Network, of_each},
    node::Node,
    report::{Report, Target, median, most},
};

const WATCHED_FOR: Duration = Duration::from_secs(20);
/// Connections that a node keeps, by default.
const CONNECTION_TARGET: f64 = 48.0;

/// What each node takes of one core when nothing happens.
#[derive(Debug)]
pub(crate) struct Rest {
    cores: Vec<f64>,
}

impl Rest {
    /// Watches a network for a while.
    pub(crate) fn of(network: &Network<'_>) -> Outcome<Self> {
        let (cpus, begun) = (network.cpus()?, Instant::now());
        thread::sleep(WATCHED_FOR);
        let (after, time) = (network.cpus()?, begun.elapsed());
        let share = |(before, after): (&Duration, &Duration)| {
            after.saturating_sub(*before).as_secs_f64() / time.as_secs_f64()
        };
        Ok(Self { cores: cpus.iter().zip(&after).map(share).collect() })
    }

    /// What each has worked beyond that, in so much time.
    pub(crate) fn beyond(
        &self,
        before: &[Duration],
        after: &[Duration],
        time: Duration,
    ) -> Vec<f64> {
        let worked = before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before));
        let at_rest = self.cores.iter().map(|cores| cores * time.as_secs_f64());
        worked.zip(at_rest).map(|(worked, at_rest)| worked.as_secs_f64() - at_rest).collect()
    }
}

pub(crate) fn measure(network: &mut Network<'_>, report: &mut Report) -> Outcome<Rest> {
    let size = network.size();
    let changes = network.changes();
    let rest = Rest::of(network)?;
    let changes = network.changes() - changes;
    let together = rest.cores.iter().sum();
    report.target(size, "rest-cpu", together, "cores", Target::AtMost(CORE_AT_REST));
    report.figure(size, "rest-connections-changed", changes as f64, "connections");
    connections(network, report)?;
    let memory = network.memory()?;
    report.figure(size, "memory-median", median(memory.iter().copied()), "MiB");
    report.figure(size, "memory-most", most(memory), "MiB");
    Ok(rest)
}

fn connections(network: &mut Network<'_>, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let sockets = network.nodes.iter().map(Node::sockets).collect::<Outcome<Vec<_>>>()?;
    let metadata = network.metadata()?;
    let peers = of_each(&metadata, "peers");
    let joined = of_each(&metadata, "routing_table").iter().filter(|seats| **seats > 0.0).count();
    report.target(size, "joined", joined as f64, "nodes", Target::AtLeast(size as f64));
    report.figure(size, "connections-median", median(peers.iter().copied()), "peers");
    let target = Target::AtMost(CONNECTION_TARGET);
    report.target(size, "connections-most", most(peers), "peers", target);
    let sockets = most(sockets.iter().map(|sockets| *sockets as f64));
    report.figure(size, "sockets-most", sockets, "sockets");
    Ok(())
}
