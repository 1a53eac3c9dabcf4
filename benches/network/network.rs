//! A network of processes: how it starts, and when it has settled.

use std::{
    collections::VecDeque,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Outcome,
    node::{Node, PATIENCE, Program},
    report::{Report, Target},
};

/// Through how many all others join.
const BOOTSTRAP_NODES: usize = 3;
/// By when all have settled.
const SETTLED_WITHIN: f64 = 60.0;
/// When they are not waited for any longer.
const GIVEN_UP: Duration = Duration::from_secs(240);
/// For how long nothing changes when they have.
const QUIET: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(1);
/// What all together may take of one core when they have settled.
pub(crate) const CORE_AT_REST: f64 = 0.1;

#[derive(Debug)]
pub(crate) struct Network<'a> {
    program: &'a Program,
    pub(crate) nodes: Vec<Node>,
    bootstrap: Vec<String>,
}

/// What can be seen of all nodes without asking them.
#[derive(Debug)]
struct Sample {
    at: Instant,
    alone: usize,
    changes: usize,
    cpu: Duration,
}

impl Sample {
    /// What all together took of one core.
    fn core_since(&self, earlier: &Self) -> f64 {
        let cpu = self.cpu.saturating_sub(earlier.cpu);
        cpu.as_secs_f64() / (self.at - earlier.at).as_secs_f64()
    }

    fn is_quiet_since(&self, earlier: &Self) -> bool {
        self.alone == 0
            && self.changes == earlier.changes
            && self.core_since(earlier) < CORE_AT_REST
    }
}

impl<'a> Network<'a> {
    /// Starts so many processes, and waits until they have settled.
    pub(crate) fn start(program: &'a Program, size: usize, report: &mut Report) -> Outcome<Self> {
        let begun = Instant::now();
        let mut network = Self::bootstrapping(program)?;
        let alone = network.nodes.first().ok_or("nobody has started")?.memory()?;
        report.figure(size, "memory-at-start", alone, "MiB");
        network.grow(size)?;
        let settled = network.settle(GIVEN_UP)?.map_or(GIVEN_UP, |at| at - begun).as_secs_f64();
        report.target(size, "settled", settled, "s", Target::AtMost(SETTLED_WITHIN));
        Ok(network)
    }

    /// Starts another network of so many, of which nothing is told, and waits until it has settled.
    pub(crate) fn beside(program: &'a Program, size: usize) -> Outcome<Self> {
        let mut network = Self::bootstrapping(program)?;
        network.grow(size)?;
        network.settle(GIVEN_UP)?.ok_or("a network beside has not settled")?;
        Ok(network)
    }

    /// So many processes whose bootstrap peers are not there yet.
    pub(crate) fn of_strangers(program: &'a Program, size: usize) -> Outcome<Self> {
        let mut network = Self { program, nodes: Vec::new(), bootstrap: Vec::new() };
        // All are held at once, so that they differ.
        let ports = [(); BOOTSTRAP_NODES].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        for listener in &ports {
            let port = listener.as_ref().map_err(ToString::to_string)?.local_addr()?.port();
            network.bootstrap.push(format!("/ip4/127.0.0.1/tcp/{port}"));
        }
        drop(ports);
        network.grow(size - BOOTSTRAP_NODES)?;
        Ok(network)
    }

    /// Starts the bootstrap peers of strangers, which these dial by themselves.
    pub(crate) fn meet(&mut self) -> Outcome<()> {
        for address in &self.bootstrap {
            self.nodes.push(Node::start_at(self.program, address, &self.bootstrap)?);
        }
        Ok(())
    }

    /// The first ones.
    fn bootstrapping(program: &'a Program) -> Outcome<Self> {
        let mut network = Self { program, nodes: Vec::new(), bootstrap: Vec::new() };
        for _ in 0..BOOTSTRAP_NODES {
            let mut node = network.newcomer()?;
            network.bootstrap.push(node.address()?);
            network.nodes.push(node);
        }
        Ok(network)
    }

    /// Starts all others at once.
    fn grow(&mut self, size: usize) -> Outcome<()> {
        while self.nodes.len() < size {
            let node = self.newcomer()?;
            self.nodes.push(node);
        }
        Ok(())
    }

    /// A process that is not part of the network yet.
    pub(crate) fn newcomer(&self) -> Outcome<Node> {
        Node::start(self.program, &self.bootstrap)
    }

    pub(crate) fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Waits until all have peers, nobody's connections have changed for a while, and all together take next to no time.
    /// Tells since when that is so, or nothing where it does not come to that.
    pub(crate) fn settle(&self, within: Duration) -> Outcome<Option<Instant>> {
        let begun = Instant::now();
        let mut samples = VecDeque::from([self.sample()?]);
        while begun.elapsed() < within {
            thread::sleep(STEP);
            let now = self.sample()?;
            while samples.get(1).is_some_and(|next| now.at - next.at >= QUIET) {
                samples.pop_front();
            }
            if let Some(earlier) = samples.front().filter(|earlier| now.at - earlier.at >= QUIET) {
                if now.is_quiet_since(earlier) {
                    return Ok(Some(earlier.at));
                }
                eprintln!(
                    "      {:.0?}: {} without peers, {} connections changed, {:.2} cores",
                    begun.elapsed(),
                    now.alone,
                    now.changes - earlier.changes,
                    now.core_since(earlier)
                );
            }
            samples.push_back(now);
        }
        Ok(None)
    }

    fn sample(&self) -> Outcome<Sample> {
        Ok(Sample {
            at: Instant::now(),
            alone: self.nodes.iter().filter(|node| node.peers() == 0).count(),
            changes: self.changes(),
            cpu: self.cpus()?.iter().sum(),
        })
    }

    /// How often somebody's connections have changed.
    pub(crate) fn changes(&self) -> usize {
        self.nodes.iter().map(Node::changes).sum()
    }

    /// The time that each has had on a processor.
    pub(crate) fn cpus(&self) -> Outcome<Vec<Duration>> {
        self.nodes.iter().map(Node::cpu).collect()
    }

    /// The memory of each, in MiB.
    pub(crate) fn memory(&self) -> Outcome<Vec<f64>> {
        self.nodes.iter().map(Node::memory).collect()
    }

    /// What each says of itself.
    pub(crate) fn metadata(&mut self) -> Outcome<Vec<Value>> {
        let asked = self.nodes.iter_mut().map(|node| node.send(json!({"op": "metadata"})));
        let asked = asked.collect::<Outcome<Vec<_>>>()?;
        let answers = self.nodes.iter_mut().zip(asked);
        answers.map(|(node, asked)| Ok(node.receive(asked, PATIENCE)?.0)).collect()
    }
}

/// A number that each says of itself, by its field.
pub(crate) fn of_each(metadata: &[Value], field: &str) -> Vec<f64> {
    metadata.iter().map(|about| about[field].as_f64().unwrap_or(f64::NAN)).collect()
}
