//! Many deadlines that pass at once: how long the one who polls is held up.

use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

use futures::channel::oneshot;
use peerage::bench_support::wheel::{Expiry, Wheel};

use crate::{
    dispatch::Outcome,
    report::{Report, Target},
};

const ROUNDS: usize = 15;
const TOGETHER: u64 = 100_000;
const TICK: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(30);
/// What the node hands out in one poll.
const DEADLINES_PER_POLL: usize = 256;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    // No process can forbid that it is interrupted, so of three runs the best counts, on both sides.
    let best = |run: fn() -> Duration| move || (0..3).map(|_| run()).min().unwrap_or_default();
    let target = Target::AtMost(1.0 / 50.0);
    report.row("deadlines/worst-poll", target, ROUNDS, best(worst_poll), best(sweep));
    Ok(())
}

/// Half of the deadlines lie in one tick, half are spread over the second before it.
fn deadline(number: u64) -> Duration {
    let earlier = if number.is_multiple_of(2) { 0 } else { number % 100 };
    DEADLINE - TICK * earlier as u32
}

type Reply = oneshot::Sender<u64>;

fn waiting() -> impl Iterator<Item = (u64, Reply)> {
    // Every caller waits for its answer.
    (0..TOGETHER).map(|number| {
        let (reply, answer) = oneshot::channel();
        std::mem::forget(answer);
        (number, reply)
    })
}

/// The longest poll until everybody has been answered.
fn worst_poll() -> Duration {
    let mut wheel = Wheel::new(TICK);
    let mut calls: HashMap<u64, Reply> = HashMap::new();
    for (number, reply) in waiting() {
        wheel.insert(deadline(number), number);
        calls.insert(number, reply);
    }
    let mut worst = Duration::ZERO;
    while !calls.is_empty() {
        // As the engine does: so many answers, and so many entries brought into order.
        let (mut done, mut moves) = (0, DEADLINES_PER_POLL);
        let start = Instant::now();
        while done < DEADLINES_PER_POLL {
            match wheel.poll_within(DEADLINE, &mut moves) {
                Expiry::Expired(number) => {
                    if let Some(reply) = calls.remove(&number) {
                        let _ = black_box(reply.send(number));
                    }
                    done += 1;
                }
                Expiry::More | Expiry::Idle => break,
            }
        }
        worst = worst.max(start.elapsed());
    }
    worst
}

/// The one sweep that answers everybody.
fn sweep() -> Duration {
    let mut calls: HashMap<u64, (Duration, Option<Reply>)> =
        waiting().map(|(number, reply)| (number, (deadline(number), Some(reply)))).collect();
    let start = Instant::now();
    calls.retain(|&number, (deadline, reply)| {
        let waits = *deadline > DEADLINE;
        if !waits && let Some(reply) = reply.take() {
            let _ = black_box(reply.send(number));
        }
        waits
    });
    let time = start.elapsed();
    assert!(calls.is_empty());
    time
}
