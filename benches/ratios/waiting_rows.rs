//! What lookups that wait cost whenever the task is polled. What they take in memory is measured by `heap`.

use std::time::Instant;

use crate::{
    dispatch::Outcome,
    report::{Each, Report, Target},
    waiting::{IN_KAD, IN_NODE, WaitingNode, WaitingRaw},
};

const ROUNDS: usize = 31;
const IDLE_POLLS: u64 = 1_000;
const RUNG_POLLS: u64 = 100;
/// Each walks over every query.
const RAW_POLLS: u64 = 5;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    polls(report, "waiting/idle-poll", IDLE_POLLS, WaitingNode::poll)?;
    polls(report, "waiting/rung-poll", RUNG_POLLS, WaitingNode::poll_rung)
}

/// One poll of a task in which lookups wait, and which has nothing to do.
fn polls(
    report: &Report,
    name: &str,
    times: u64,
    mut poll: impl FnMut(&mut WaitingNode),
) -> Outcome<()> {
    if !report.wants(name) {
        return Ok(());
    }
    // Kademlia gives a silent peer up after ten seconds: less than this takes.
    let (mut node, mut raw) = (WaitingNode::new(IN_NODE, || 0)?, WaitingRaw::new(IN_KAD, || 0)?);
    let ours = || each(times, || poll(&mut node));
    let peer = || each(RAW_POLLS, || raw.poll());
    report.row(name, Target::AtMost(1.0 / 50.0), ROUNDS, ours, peer);
    node.assert_waiting(IN_NODE);
    raw.assert_waiting(IN_KAD);
    Ok(())
}

fn each(operations: u64, mut operation: impl FnMut()) -> Each {
    let start = Instant::now();
    for _ in 0..operations {
        operation();
    }
    Each { total: start.elapsed(), operations }
}
