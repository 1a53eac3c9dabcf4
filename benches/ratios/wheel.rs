//! The timer wheel beside other sets of timers: inserting and cancelling among many that are pending.

use std::time::Duration;

use crate::{
    dispatch::Outcome,
    report::{Each, Report, Target},
    timers::{
        HashWheel, Ordered, Ours, SIZES, Timers, TokioDelayQueue, answered, churn, paused_clock,
    },
};

/// How many times faster at the largest size; at the others, ahead.
const ORDERED: f64 = 5.0;
const DELAY_QUEUE: f64 = 3.0;
const HASH_WHEEL: f64 = 1.2;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let runtime = paused_clock();
    let _entered = runtime.enter();
    beside::<Ordered>(report, "BTreeMap", ORDERED);
    beside::<TokioDelayQueue>(report, "DelayQueue", DELAY_QUEUE);
    beside::<HashWheel>(report, "HashWheelTimer", HASH_WHEEL);
    Ok(())
}

fn beside<T: Timers>(report: &Report, peer: &str, at_a_million: f64) {
    type Run = fn(usize, u64) -> Duration;
    let operations: [(&str, Run, Run); 2] =
        [("churn", churn::<Ours>, churn::<T>), ("answered", answered::<Ours>, answered::<T>)];
    for (operation, ours, theirs) in operations {
        for pending in SIZES {
            let name = format!("wheel/{operation}/{peer}/{pending}");
            let least = if pending == 1_000_000 { at_a_million } else { 1.0 };
            // Filling a million takes longer than measuring.
            let (rounds, times) = if pending > 10_000 { (5, 100_000) } else { (15, 20_000) };
            let each = |run: Run| move || Each { total: run(pending, times), operations: times };
            report.row(&name, Target::AtLeast(least), rounds, each(ours), each(theirs));
        }
    }
}
