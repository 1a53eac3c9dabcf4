//! The timer wheel beside an ordered map, `tokio_util::time::DelayQueue` and
//! `hierarchical_hash_wheel_timer`, with 1, 1,000, 100,000 and 1,000,000 entries pending.
//!
//! - `churn`: cancel a random pending entry and insert another. What a busy registry does.
//! - `answered`: insert an entry and cancel it again. What one quick query does.
//! - `expire`: let all pending entries expire, per entry.
//! - `worst_poll`: not a mean but the longest single call while 100,000 entries expire together. Of
//!   several runs the best counts, since no process can forbid that it is interrupted.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use peerage::bench_support::wheel::{Expiry, Wheel};

#[path = "subjects/timers.rs"]
mod timers;

use timers::{
    HashWheel, Ordered, Ours, SIZES, SPAN, TICK, Timers, TokioDelayQueue, filled, paused_clock,
};

fn churn<T: Timers>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, pending: usize) {
    group.bench_function(BenchmarkId::new(name, pending), |b| {
        b.iter_custom(|iters| timers::churn::<T>(pending, iters));
    });
}

fn answered<T: Timers>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, pending: usize) {
    group.bench_function(BenchmarkId::new(name, pending), |b| {
        b.iter_custom(|iters| timers::answered::<T>(pending, iters));
    });
}

fn expire<T: Timers>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    pending: usize,
    advance: impl Fn(Duration),
) {
    group.bench_function(BenchmarkId::new(name, pending), |b| {
        b.iter_custom(|iters| {
            let mut total = Duration::ZERO;
            for _ in 0..iters.div_ceil(pending as u64) {
                let (mut timers, _, _) = filled::<T>(pending);
                let end = TICK * (SPAN + 1) as u32;
                advance(end);
                let start = Instant::now();
                assert_eq!(timers.expire(end), pending);
                total += start.elapsed();
            }
            let done = iters.div_ceil(pending as u64) * pending as u64;
            total.mul_f64(iters as f64 / done as f64)
        });
    });
}

fn worst_poll(c: &mut Criterion) {
    const TOGETHER: u64 = 100_000;
    let mut group = c.benchmark_group("worst_poll");
    // Half of them in one tick, half spread over a slot that has to be shared out.
    let worst_of_run = || {
        let mut wheel = Wheel::new(TICK);
        let deadline = TICK * 30_000;
        for value in 0..TOGETHER {
            let earlier = if value % 2 == 0 { 0 } else { value % 1_000 };
            wheel.insert(deadline - TICK * earlier as u32, value);
        }
        let mut worst = Duration::ZERO;
        loop {
            let start = Instant::now();
            let expiry = wheel.poll(deadline);
            worst = worst.max(start.elapsed());
            if let Expiry::Idle = black_box(expiry) {
                return worst;
            }
        }
    };
    group.sample_size(10);
    group.bench_function("Wheel/100000", |b| {
        b.iter_custom(|iters| {
            let best = (0..5).map(|_| worst_of_run()).min().unwrap_or_default();
            best.mul_f64(iters as f64)
        });
    });
    group.finish();
}

fn compare(c: &mut Criterion) {
    let runtime = paused_clock();
    let _entered = runtime.enter();

    let mut group = c.benchmark_group("churn");
    for pending in SIZES {
        churn::<Ours>(&mut group, "Wheel", pending);
        churn::<Ordered>(&mut group, "BTreeMap", pending);
        churn::<TokioDelayQueue>(&mut group, "DelayQueue", pending);
        churn::<HashWheel>(&mut group, "HashWheelTimer", pending);
    }
    group.finish();

    let mut group = c.benchmark_group("answered");
    for pending in SIZES {
        answered::<Ours>(&mut group, "Wheel", pending);
        answered::<Ordered>(&mut group, "BTreeMap", pending);
        answered::<TokioDelayQueue>(&mut group, "DelayQueue", pending);
        answered::<HashWheel>(&mut group, "HashWheelTimer", pending);
    }
    group.finish();

    let mut group = c.benchmark_group("expire");
    group.sample_size(10);
    for pending in SIZES {
        let advance = |by| runtime.block_on(tokio::time::advance(by));
        expire::<Ours>(&mut group, "Wheel", pending, |_| ());
        expire::<Ordered>(&mut group, "BTreeMap", pending, |_| ());
        expire::<TokioDelayQueue>(&mut group, "DelayQueue", pending, advance);
        expire::<HashWheel>(&mut group, "HashWheelTimer", pending, |_| ());
    }
    group.finish();
}

criterion_group!(benches, compare, worst_poll);
criterion_main!(benches);
