//! What a change costs: the one who makes it in time, and everybody else in work.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    network::Network,
    node::{PATIENCE, register},
    report::{Report, Target, median, millis, most},
    rest::Rest,
};

const TIMES: usize = 20;
/// The one that publishes: none of those through which the others join.
const PUBLISHER: usize = 3;
/// From one answer to the next call, so that each meets a network at rest.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long gossip comes back to a message: it is offered at three heartbeats, of one second.
const AFTERMATH: Duration = Duration::from_secs(5);
const BYSTANDER_MILLIS: f64 = 6.0;

pub(crate) fn measure(network: &mut Network<'_>, rest: &Rest, report: &mut Report) -> Outcome<()> {
    let size = network.size();
    let (before, begun) = (network.cpus()?, Instant::now());
    let mut times = Vec::new();
    for number in 0..TIMES {
        let node = network.nodes.get_mut(PUBLISHER).ok_or("nobody is there to publish")?;
        let (_, time) = node.ask(register(&format!("register-{number}")), PATIENCE)?;
        times.push(millis(time));
        thread::sleep(PAUSE);
    }
    thread::sleep(AFTERMATH);
    let beyond = rest.beyond(&before, &network.cpus()?, begun.elapsed());
    report.figure(size, "register-p50", median(times.iter().copied()), "ms");
    report.figure(size, "register-slowest", most(times), "ms");
    let bystanders = beyond.iter().enumerate().filter(|(number, _)| *number != PUBLISHER);
    let each = bystanders.map(|(_, seconds)| seconds * 1e3 / TIMES as f64);
    let target = Target::AtMost(BYSTANDER_MILLIS);
    report.target(size, "bystander-cpu", median(each.clone()), "ms", target);
    report.figure(size, "bystander-cpu-most", most(each), "ms");
    Ok(())
}
