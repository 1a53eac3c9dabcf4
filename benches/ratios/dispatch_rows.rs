//! From a command to an answer that is known locally, one call at a time.

use crate::{
    dispatch::{Bare, Driven, NodeOnTokio, Outcome, WholeNode, classic::Classic},
    report::{Each, Report, Target},
};

const ROUNDS: usize = 101;
const CALLS: u64 = 2_000;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let name = "dispatch/bare";
    if report.wants(name) {
        let (mut node, mut bare) = (WholeNode::new()?, Bare::new()?);
        report.row(name, Target::AtMost(4.0), ROUNDS, || each(&mut node), || each(&mut bare));
    }
    let name = "dispatch/classic";
    if report.wants(name) {
        let (mut node, mut classic) = (NodeOnTokio::new()?, Classic::new()?);
        report.row(name, Target::AtMost(0.7), ROUNDS, || each(&mut node), || each(&mut classic));
    }
    Ok(())
}

fn each(subject: &mut impl Driven) -> Each {
    Each { total: subject.run(CALLS), operations: CALLS }
}
