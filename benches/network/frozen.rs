//! What callers wait for while a fifth of all nodes stands still, and nobody knows it yet.

use std::time::Duration;

use serde_json::json;

use crate::{
    Outcome,
    joining::{JOINED_WITHIN, joined},
    network::Network,
    node::{Node, PATIENCE, register},
    report::{Report, Target, median, millis, most},
};

/// Every so many stand still, the first ones, through which all have joined, not among them.
const FROZEN_EVERY: usize = 5;
/// Who asks while nothing is wrong, and how often.
const ASKER: usize = 3;
const TIMES: usize = 20;
/// How many ask while others stand still. For each of them these are the first calls since.
const ASKERS: usize = 3;
const NEWCOMERS: usize = 3;
const ANSWERED_WITHIN_MILLIS: f64 = 1_500.0;
/// How long it is waited until the network is well again.
const SETTLED: Duration = Duration::from_secs(240);

pub(crate) fn measure(network: &mut Network<'_>, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let asker = network.nodes.get_mut(ASKER).ok_or("nobody is there to ask")?;
    let calm = (0..TIMES).map(|number| absent(asker, number)).collect::<Outcome<Vec<_>>>()?;
    report.figure(size, "absent-get-p50", median(calm), "ms");
    let mut frozen = network.nodes.iter().skip(FROZEN_EVERY - 1).step_by(FROZEN_EVERY);
    let stopped = frozen.try_for_each(Node::freeze);
    let measured = stopped.and_then(|()| while_frozen(network, report));
    // All of them, whatever has become of the others.
    let thawed: Vec<_> = network.nodes.iter().map(Node::thaw).collect();
    thawed.into_iter().collect::<Outcome<()>>()?;
    if network.settle(SETTLED)?.is_none() {
        eprintln!("      the network is not at rest after {SETTLED:?}");
    }
    measured
}

fn while_frozen(network: &mut Network<'_>, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let (mut absences, mut registers, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    let askers = network.nodes.iter_mut().skip(ASKER).step_by(FROZEN_EVERY).take(ASKERS);
    for (number, asker) in askers.enumerate() {
        absences.push(absent(asker, TIMES + number)?);
        let (_, time) = asker.ask(register(&format!("frozen-{number}")), PATIENCE)?;
        registers.push(millis(time));
    }
    for _ in 0..NEWCOMERS {
        let mut newcomer = network.newcomer()?;
        joins.push(joined(&mut newcomer).as_secs_f64());
        newcomer.leave()?;
    }
    let target = Target::AtMost(ANSWERED_WITHIN_MILLIS);
    report.target(size, "frozen-absent-get-slowest", most(absences), "ms", target);
    report.target(size, "frozen-register-slowest", most(registers), "ms", target);
    let target = Target::AtMost(JOINED_WITHIN);
    report.target(size, "frozen-newcomer-joins-slowest", most(joins), "s", target);
    Ok(())
}

/// What it takes to learn that there is no such package, in milliseconds.
fn absent(node: &mut Node, number: usize) -> Outcome<f64> {
    let asked = node.send(json!({"op": "get", "package": format!("absent-{number}")}))?;
    let (error, time) = node.receive_error(asked, PATIENCE)?;
    match error["kind"] == "not_found" {
        true => Ok(millis(time)),
        false => Err(format!("absent-{number}: {error}").into()),
    }
}
