//! Who hears of a new package, in time: everybody, and everybody who is left while others die.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    network::Network,
    node::{Node, PATIENCE, WATCHED, register},
    report::{Report, Target, median, most},
};

const TIMES: usize = 50;
const HEARD_WITHIN: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(10);
/// From one announcement to the next.
const PACE: Duration = Duration::from_secs(2);
/// In the middle, every so many die, the first ones, through which all have joined, not among them.
const KILLED_EVERY: usize = 5;

/// The names of the figures.
struct Names {
    run: &'static str,
    rounds: &'static str,
    missed: &'static str,
    median: &'static str,
    slowest: &'static str,
}

const CALM: Names = Names {
    run: "calm",
    rounds: "reach-all",
    missed: "reach-missed-most",
    median: "reach-median",
    slowest: "reach-slowest",
};
const KILLED: Names = Names {
    run: "killed",
    rounds: "killed-reach-all",
    missed: "killed-reach-missed-most",
    median: "killed-reach-median",
    slowest: "killed-reach-slowest",
};

/// What became of one announcement.
struct Round {
    heard: usize,
    missed: usize,
    /// Until the last one heard of it, of those who did in time.
    last: Duration,
}

/// While nothing else happens.
pub(crate) fn calm(network: &mut Network<'_>, report: &mut Report) -> Outcome<()> {
    rounds(network, &CALM, &[], report)
}

/// While a fifth of the nodes is killed. They do not come back.
pub(crate) fn killed(network: &mut Network<'_>, report: &mut Report) -> Outcome<()> {
    let first = KILLED_EVERY - 1;
    let victims: Vec<usize> = (first..network.size()).step_by(KILLED_EVERY).collect();
    rounds(network, &KILLED, &victims, report)
}

/// Announces again and again, each time from another node.
fn rounds(
    network: &mut Network<'_>,
    names: &Names,
    victims: &[usize],
    report: &mut Report,
) -> Outcome<()> {
    let size = network.size();
    let publishers: Vec<usize> = (0..size).filter(|number| !victims.contains(number)).collect();
    let mut rounds = Vec::new();
    for (number, publisher) in (0..TIMES).zip(publishers.into_iter().cycle()) {
        let begun = Instant::now();
        let dying = if number == TIMES / 2 { victims } else { &[] };
        let name = format!("{WATCHED}{}-{number}", names.run);
        let round = announce(&mut network.nodes, publisher, &name, dying)?;
        rounds.push(round);
        thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    let reached = rounds.iter().filter(|round| round.missed == 0).count();
    let target = Target::AtLeast(TIMES as f64);
    report.target(size, names.rounds, reached as f64, "times", target);
    let missed = most(rounds.iter().map(|round| round.missed as f64));
    report.figure(size, names.missed, missed, "nodes");
    let lasted = rounds.iter().map(|round| round.last.as_secs_f64());
    report.figure(size, names.median, median(lasted.clone()), "s");
    report.figure(size, names.slowest, most(lasted), "s");
    Ok(())
}

/// Publishes at one node, kills others meanwhile, and waits until all who live have heard of it, or time is over.
fn announce(nodes: &mut [Node], publisher: usize, name: &str, dying: &[usize]) -> Outcome<Round> {
    let begun = Instant::now();
    let owner = nodes.get_mut(publisher).ok_or("there is no such node")?;
    let asked = owner.send(register(name))?;
    for victim in dying {
        nodes.get_mut(*victim).ok_or("there is no such node")?.kill();
    }
    let round = loop {
        let round = heard(nodes, publisher, name, begun);
        if round.missed == 0 || begun.elapsed() > HEARD_WITHIN {
            break round;
        }
        thread::sleep(STEP);
    };
    let owner = nodes.get_mut(publisher).ok_or("there is no such node")?;
    match owner.receive(asked, PATIENCE) {
        Ok((receipt, time)) if round.missed > 0 => {
            let (Round { heard, missed, .. }, sent) = (&round, &receipt["announcement"]);
            eprintln!("      {name}: {heard} heard, {missed} not; {sent} after {time:.1?}");
        }
        Ok(_) => {}
        Err(error) => eprintln!("      {name}: {error}"),
    }
    Ok(round)
}

fn heard(nodes: &[Node], publisher: usize, name: &str, begun: Instant) -> Round {
    let others = nodes.iter().enumerate().filter(|(number, _)| *number != publisher);
    let living = others.filter(|(_, node)| node.is_alive);
    let after = |node: &Node| Some(node.heard_of(name)?.saturating_duration_since(begun));
    let times: Vec<Option<Duration>> =
        living.map(|(_, node)| after(node).filter(|time| *time <= HEARD_WITHIN)).collect();
    let heard = times.iter().flatten().count();
    let last = times.iter().flatten().max().copied().unwrap_or_default();
    Round { heard, missed: times.len() - heard, last }
}
