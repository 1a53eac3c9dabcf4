//! What a change costs: the one who makes it in time, and everybody else in work.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Outcome,
    network::Network,
    node::{PATIENCE, Program, register},
    report::{Report, Target, median, millis, most},
    rest::Rest,
};

const TIMES: usize = 20;
/// The one that publishes: none of those through which the others join.
const PUBLISHER: usize = 3;
/// From one answer to the next call, so that each meets a network at rest.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long gossip comes back to a message: it is offered at two heartbeats, of one second.
const AFTERMATH: Duration = Duration::from_secs(5);
const BYSTANDER_MILLIS: f64 = 6.0;
const BYSTANDER_MESSAGES: f64 = 20.0;
/// What is told of the traffic: a protocol, what is counted, and the name of the figure.
const CARRIED: &[(&str, &str, &str)] = &[
    ("gossip", "messages", "bystander-gossip"),
    ("gossip", "bytes", "bystander-gossip-bytes"),
    ("dht", "messages", "bystander-dht"),
    ("dht", "bytes", "bystander-dht-bytes"),
    ("exchange", "messages", "bystander-exchange"),
    ("exchange", "bytes", "bystander-exchange-bytes"),
];

pub(crate) fn measure(network: &mut Network<'_>, rest: &Rest, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let messages_before = messages(network)?;
    let Changes { times, each } = publish(network, rest, "register")?;
    let messages_after = messages(network)?;
    report.figure(size, "register-p50", median(times.iter().copied()), "ms");
    report.figure(size, "register-slowest", most(times), "ms");
    let target = Target::AtMost(BYSTANDER_MILLIS);
    report.target(size, "bystander-cpu", median(each.iter().copied()), "ms", target);
    report.figure(size, "bystander-cpu-most", most(each), "ms");
    for (protocol, unit, figure) in CARRIED {
        let key = [*protocol, *unit];
        let each = bystanders(messages_before.iter().zip(&messages_after));
        let each =
            each.map(|(before, after)| (carried(after, key) - carried(before, key)) / TIMES as f64);
        match *figure {
            "bystander-gossip" => {
                let target = Target::AtMost(BYSTANDER_MESSAGES);
                report.target(size, figure, median(each), unit, target);
            }
            figure => report.figure(size, figure, median(each), unit),
        }
    }
    Ok(())
}

/// About as many processes as the largest network has are on the machine, most of them of other networks, which are at rest.
pub(crate) fn crowded(
    network: &mut Network<'_>,
    program: &Program,
    processes: usize,
    report: &mut Report,
) -> Outcome<()> {
    let size = network.size();
    let mut others = Vec::new();
    while (others.len() + 2) * size <= processes {
        others.push(Network::beside(program, size)?);
    }
    let rest = Rest::of(network)?;
    let Changes { times, each } = publish(network, &rest, "crowded")?;
    report.figure(size, "crowded-register-p50", median(times), "ms");
    report.figure(size, "crowded-bystander-cpu", median(each), "ms");
    Ok(())
}

/// What became of changes that were made one after the other.
struct Changes {
    /// What each took, in milliseconds.
    times: Vec<f64>,
    /// What one cost each of the others, in milliseconds of a processor.
    each: Vec<f64>,
}

fn publish(network: &mut Network<'_>, rest: &Rest, name: &str) -> Outcome<Changes> {
    let (before, begun) = (network.cpus()?, Instant::now());
    let mut times = Vec::new();
    for number in 0..TIMES {
        let node = network.nodes.get_mut(PUBLISHER).ok_or("nobody is there to publish")?;
        let (_, time) = node.ask(register(&format!("{name}-{number}")), PATIENCE)?;
        times.push(millis(time));
        thread::sleep(PAUSE);
    }
    thread::sleep(AFTERMATH);
    let beyond = rest.beyond(&before, &network.cpus()?, begun.elapsed());
    let each = bystanders(beyond.iter()).map(|seconds| seconds * 1e3 / TIMES as f64);
    Ok(Changes { times, each: each.collect() })
}

/// Of what there is one of each node, those of all but the one that publishes.
fn bystanders<T>(each: impl Iterator<Item = T> + Clone) -> impl Iterator<Item = T> + Clone
where
    T: Clone,
{
    each.enumerate().filter(|(number, _)| *number != PUBLISHER).map(|(_, of)| of)
}

/// What each node has carried so far.
fn messages(network: &mut Network<'_>) -> Outcome<Vec<Value>> {
    Ok(network
        .metadata()?
        .into_iter()
        .map(|mut about| about["counters"]["traffic"].take())
        .collect())
}

/// What one node has carried of a protocol, both ways.
fn carried(traffic: &Value, [protocol, unit]: [&str; 2]) -> f64 {
    let ways = ["in", "out"].map(|way| traffic[protocol][format!("{unit}_{way}")].as_f64());
    ways.into_iter().map(|count| count.unwrap_or(f64::NAN)).sum()
}
