//! Sets of timers to compare: the wheel, an ordered map, `tokio_util::time::DelayQueue` and
//! `hierarchical_hash_wheel_timer`.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    collections::BTreeMap,
    future::poll_fn,
    hint::black_box,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use hierarchical_hash_wheel_timer::{
    IdOnlyTimerEntry,
    wheels::{Skip, cancellable::QuadWheelWithOverflow},
};
use peerage::bench_support::wheel::{Expiry, Key, Wheel};
use tokio_util::time::{DelayQueue, delay_queue};

pub(crate) const SIZES: [usize; 4] = [1, 1_000, 100_000, 1_000_000];
/// All subjects count in ticks of a millisecond, the only one that `DelayQueue` and
/// `hierarchical_hash_wheel_timer` have.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Deadlines lie up to about a minute ahead.
pub(crate) const SPAN: u64 = 60_000;

/// What the benchmarks ask of a set of timers.
pub(crate) trait Timers {
    type Key: Copy;
    fn new() -> Self;
    fn insert(&mut self, delay: Duration, value: u64) -> Self::Key;
    fn cancel(&mut self, key: Self::Key);
    /// Lets everything expire up to `now` and says how many entries that were.
    fn expire(&mut self, now: Duration) -> usize;
}

pub(crate) struct Ours(Wheel<u64>);

impl Timers for Ours {
    type Key = Key;

    fn new() -> Self {
        Self(Wheel::new(TICK))
    }

    fn insert(&mut self, delay: Duration, value: u64) -> Key {
        self.0.insert(delay, value)
    }

    fn cancel(&mut self, key: Key) {
        black_box(self.0.cancel(key));
    }

    fn expire(&mut self, now: Duration) -> usize {
        let mut expired = 0;
        loop {
            match self.0.poll(now) {
                Expiry::Expired(value) => {
                    black_box(value);
                    expired += 1;
                }
                Expiry::More => {}
                Expiry::Idle => return expired,
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Ordered {
    entries: BTreeMap<(Duration, u64), u64>,
    next_id: u64,
}

impl Timers for Ordered {
    type Key = (Duration, u64);

    fn new() -> Self {
        Self::default()
    }

    fn insert(&mut self, delay: Duration, value: u64) -> Self::Key {
        self.next_id += 1;
        let key = (delay, self.next_id);
        self.entries.insert(key, value);
        key
    }

    fn cancel(&mut self, key: Self::Key) {
        black_box(self.entries.remove(&key));
    }

    fn expire(&mut self, now: Duration) -> usize {
        let mut expired = 0;
        while let Some(entry) = self.entries.first_entry()
            && entry.key().0 <= now
        {
            black_box(entry.remove());
            expired += 1;
        }
        expired
    }
}

pub(crate) struct TokioDelayQueue {
    queue: DelayQueue<u64>,
    start: tokio::time::Instant,
}

impl Timers for TokioDelayQueue {
    type Key = delay_queue::Key;

    fn new() -> Self {
        Self { queue: DelayQueue::new(), start: tokio::time::Instant::now() }
    }

    fn insert(&mut self, delay: Duration, value: u64) -> Self::Key {
        // An instant and not a delay, which would read the clock.
        self.queue.insert_at(value, self.start + delay)
    }

    fn cancel(&mut self, key: Self::Key) {
        black_box(self.queue.try_remove(&key));
    }

    fn expire(&mut self, _: Duration) -> usize {
        // The runtime's clock is paused and advanced by the benchmark.
        let mut expired = 0;
        while let Some(Some(value)) = poll_fn(|cx| self.queue.poll_expired(cx)).now_or_never() {
            black_box(value);
            expired += 1;
        }
        expired
    }
}

pub(crate) struct HashWheel {
    wheel: QuadWheelWithOverflow<IdOnlyTimerEntry<u64>>,
    next_id: u64,
    now: u64,
}

impl Timers for HashWheel {
    type Key = u64;

    fn new() -> Self {
        Self { wheel: QuadWheelWithOverflow::new(), next_id: 0, now: 0 }
    }

    fn insert(&mut self, delay: Duration, _: u64) -> u64 {
        // The entry's id has the place of the value.
        self.next_id += 1;
        let id = self.next_id;
        assert!(self.wheel.insert(IdOnlyTimerEntry { id, delay }).is_ok());
        id
    }

    fn cancel(&mut self, key: u64) {
        assert!(self.wheel.cancel(&key).is_ok());
    }

    fn expire(&mut self, now: Duration) -> usize {
        let mut expired = 0;
        let now = now.as_millis() as u64;
        while self.now < now {
            if let Skip::Millis(skip) = self.wheel.can_skip() {
                let skip = u64::from(skip).min(now - self.now);
                self.wheel.skip(skip as u32);
                self.now += skip;
                continue;
            }
            expired += black_box(self.wheel.tick()).len();
            self.now += 1;
        }
        expired
    }
}

/// SplitMix64: random enough, and the same for every subject.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn delay(&mut self) -> Duration {
        TICK * (1 + self.next() % SPAN) as u32
    }
}

pub(crate) fn filled<T: Timers>(pending: usize) -> (T, Vec<T::Key>, Random) {
    let mut timers = T::new();
    let mut random = Random(7);
    let keys = (0..pending as u64).map(|value| timers.insert(random.delay(), value)).collect();
    (timers, keys, random)
}

/// Runs `iters` operations in lots, each on fresh timers: `hierarchical_hash_wheel_timer` keeps what
/// was cancelled until its time has come, and would otherwise only grow.
fn in_lots<T: Timers>(
    pending: usize,
    iters: u64,
    operation: impl Fn(&mut T, &mut [T::Key], &mut Random),
) -> Duration {
    let lot = (pending as u64).max(100_000);
    let mut left = iters;
    let mut total = Duration::ZERO;
    while left > 0 {
        let (mut timers, mut keys, mut random) = filled::<T>(pending);
        let now = lot.min(left);
        let start = Instant::now();
        for _ in 0..now {
            operation(&mut timers, &mut keys, &mut random);
        }
        total += start.elapsed();
        left -= now;
    }
    total
}

/// Cancels a random pending entry and inserts another, `iters` times. What a busy registry does.
pub(crate) fn churn<T: Timers>(pending: usize, iters: u64) -> Duration {
    in_lots::<T>(pending, iters, |timers, keys, random| {
        if let Some(key) = keys.get_mut(random.next() as usize % pending) {
            timers.cancel(*key);
            *key = timers.insert(random.delay(), 0);
        }
    })
}

/// Inserts an entry and cancels it again, `iters` times. What one quick query does.
pub(crate) fn answered<T: Timers>(pending: usize, iters: u64) -> Duration {
    in_lots::<T>(pending, iters, |timers, _, random| {
        let key = timers.insert(random.delay(), 0);
        timers.cancel(black_box(key));
    })
}

/// A runtime whose clock stands still until it is advanced: the tokio queue wants one to be entered.
pub(crate) fn paused_clock() -> tokio::runtime::Runtime {
    match tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build() {
        Ok(runtime) => runtime,
        Err(_) => {
            unreachable!("a runtime with nothing but a clock opens nothing that could fail")
        }
    }
}
