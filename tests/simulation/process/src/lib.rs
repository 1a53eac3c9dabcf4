//! The clock, the timers, the randomness and the disk of a simulated process.
//!
//! A simulation runs on one thread, and all of this belongs to that thread. Its time stands still until the simulation
//! moves it. Threads on which none runs see the operating system's clock, since nothing here answers for them.

mod alarm;
mod disk;
mod random;

use std::{cell::Cell, time::Duration};

pub use alarm::{Alarm, next_alarm};
pub use disk::{Disk, set_disk, work_time};
pub use random::{Random, fill};

/// No simulation runs on this thread.
const NONE: u64 = u64::MAX;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(NONE) };
}

/// Begins a simulation on this thread, at time zero. There is no end of it but that of the thread: what libraries keep for
/// each thread would be left over for the next.
///
/// # Panics
/// If one runs already.
pub fn begin(seed: u64) {
    assert!(now().is_none(), "a simulation has run on this thread already");
    NOW.set(0);
    random::seed(seed);
}

/// The time since the simulation began, if one runs on this thread.
#[must_use]
pub fn now() -> Option<Duration> {
    let now = NOW.get();
    (now != NONE).then(|| Duration::from_nanos(now))
}

/// Moves time to this moment, and wakes those who have waited for it. Time never goes back.
///
/// # Panics
/// If no simulation runs on this thread.
pub fn advance(to: Duration) {
    let now = now().expect("a simulation on this thread");
    NOW.set(nanos(to.max(now)));
    alarm::wake_due();
}

/// Some 500 years, at the most.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NONE).min(NONE - 1)
}
