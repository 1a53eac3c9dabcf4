//! Between the caller's durations and the wheel's ticks.

use std::time::Duration;

/// The last tick. It is never reached: deadlines round up to it, the clock stops one before it.
pub(super) const NEVER: u64 = u64::MAX;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The length of a tick.
///
/// Deadlines round up and the clock rounds down, so `deadline tick <= clock tick` implies
/// `deadline <= clock`: that is why nothing is early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolution {
    /// At least one.
    nanos: u64,
}

impl Resolution {
    pub(super) fn new(tick: Duration) -> Self {
        Self { nanos: u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1) }
    }

    /// The first tick that begins at `time` or later.
    #[inline]
    pub(super) fn round_up(self, time: Duration) -> u64 {
        match nanos(time) {
            Some(nanos) => nanos.div_ceil(self.nanos),
            None => to_tick(time.as_nanos().div_ceil(self.nanos.into())),
        }
    }

    /// The last tick that begins at `time` or earlier.
    #[inline]
    pub(super) fn round_down(self, time: Duration) -> u64 {
        let tick = match nanos(time) {
            Some(nanos) => nanos / self.nanos,
            None => to_tick(time.as_nanos() / u128::from(self.nanos)),
        };
        tick.min(NEVER - 1)
    }

    /// When `tick` begins, or [`Duration::MAX`] if that is longer than can be told.
    #[inline]
    pub(super) fn start_of(self, tick: u64) -> Duration {
        let nanos = u128::from(tick) * u128::from(self.nanos);
        let seconds = nanos / u128::from(NANOS_PER_SECOND);
        let rest = nanos % u128::from(NANOS_PER_SECOND);
        match (u64::try_from(seconds), u32::try_from(rest)) {
            (Ok(seconds), Ok(rest)) => Duration::new(seconds, rest),
            _ => Duration::MAX,
        }
    }
}

/// Nanoseconds while they fit 64 bits (584 years): dividing 128 bits is many times slower.
#[inline]
fn nanos(time: Duration) -> Option<u64> {
    time.as_secs().checked_mul(NANOS_PER_SECOND)?.checked_add(time.subsec_nanos().into())
}

fn to_tick(tick: u128) -> u64 {
    u64::try_from(tick).unwrap_or(NEVER)
}
