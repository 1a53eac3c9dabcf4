//! Somebody new: how long until it has joined, who takes what it publishes, and whether the next one finds that.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Outcome,
    network::Network,
    node::{Node, PATIENCE, register},
    report::{Report, Target, least, median, millis, most},
};

/// How often, with two newcomers each.
const TIMES: usize = 3;
pub(crate) const JOINED_WITHIN: f64 = 3.0;
/// When it is given up.
const GIVEN_UP: Duration = Duration::from_secs(60);
const BETWEEN_TRIALS: Duration = Duration::from_millis(100);
const REPLICAS: usize = 20;

#[derive(Debug, Default)]
struct Figures {
    joining: Vec<f64>,
    registering: Vec<f64>,
    replicas: Vec<f64>,
    finding: Vec<f64>,
}

pub(crate) fn measure(network: &Network<'_>, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let mut figures = Figures::default();
    for number in 0..TIMES {
        pair(network, &format!("newcomer-{number}"), &mut figures)?;
    }
    let Figures { joining, registering, replicas, finding } = figures;
    report.figure(size, "newcomer-joins-median", median(joining.iter().copied()), "s");
    let target = Target::AtMost(JOINED_WITHIN);
    report.target(size, "newcomer-joins-slowest", most(joining), "s", target);
    report.figure(size, "newcomer-registers-median", median(registering), "ms");
    let target = Target::AtLeast(size.min(REPLICAS) as f64);
    report.target(size, "newcomer-replicas-least", least(replicas), "replicas", target);
    let target = Target::AtLeast(TIMES as f64);
    report.target(size, "newcomer-finds", finding.len() as f64, "times", target);
    report.figure(size, "newcomer-finds-median", median(finding), "ms");
    Ok(())
}

/// One that publishes, and one that comes after and asks for it.
fn pair(network: &Network<'_>, name: &str, figures: &mut Figures) -> Outcome<()> {
    let mut owner = network.newcomer()?;
    figures.joining.push(joined(&mut owner).as_secs_f64());
    let (receipt, time) = owner.ask(register(name), PATIENCE)?;
    figures.registering.push(millis(time));
    figures.replicas.push(receipt["replicas"].as_f64().unwrap_or(f64::NAN));
    let id = receipt["id"].as_str().unwrap_or_default();
    let package = id.split('@').next().unwrap_or_default();

    let mut reader = network.newcomer()?;
    figures.joining.push(joined(&mut reader).as_secs_f64());
    match reader.ask(json!({"op": "get", "package": package}), PATIENCE) {
        Ok((_, time)) => figures.finding.push(millis(time)),
        Err(error) => eprintln!("      a newcomer has not found {name}: {error}"),
    }
    // Whoever is killed keeps a place with others for a while, which is no part of this.
    reader.leave()?;
    owner.leave()
}

/// The time from the start of the process until it has filled its routing table. Where that fails, it is asked again, as
/// an application does.
pub(crate) fn joined(node: &mut Node) -> Duration {
    let until = node.started + GIVEN_UP;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match node.ask(json!({"op": "bootstrap"}), left) {
            Ok(_) => return node.started.elapsed(),
            Err(error) => eprintln!("      a newcomer has not joined: {error}"),
        }
        if left.is_zero() {
            return GIVEN_UP;
        }
        thread::sleep(BETWEEN_TRIALS);
    }
}
