//! What time it is, as a poll is told.

use std::{sync::Arc, time::Duration};

use crate::{clock::Clock, engine::Now};

/// For how long the calendar is not looked at again. It is told in whole seconds, and a look at it costs as much as one at
/// the monotonic clock, which every poll needs.
const CALENDAR_LASTS: Duration = Duration::from_millis(100);

/// A clock that is read once a poll.
#[derive(Debug)]
pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    /// What was read last, with the calendar as it was then or a moment before.
    last: Now,
    /// When the calendar was looked at, on the monotonic scale.
    looked: Duration,
}

impl Watch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let last = Now { mono: clock.now(), unix: clock.unix_time().as_secs() };
        Self { clock, last, looked: last.mono }
    }

    /// What was read last.
    pub(super) fn last(&self) -> Now {
        self.last
    }

    pub(super) fn read(&mut self) -> Now {
        let mono = self.clock.now();
        // A monotonic clock that runs backwards says nothing of how long ago that was.
        let is_recent = mono.checked_sub(self.looked).is_some_and(|ago| ago < CALENDAR_LASTS);
        if !is_recent {
            self.last.unix = self.clock.unix_time().as_secs();
            self.looked = mono;
        }
        self.last.mono = mono;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::clock::Timer;

    /// A monotonic time, and the calendar's.
    #[derive(Debug, Default)]
    struct Hands(Mutex<(Duration, Duration)>);

    impl Hands {
        fn set(&self, mono_millis: u64, unix: u64) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
                (Duration::from_millis(mono_millis), Duration::from_secs(unix));
        }
    }

    impl Clock for Hands {
        fn now(&self) -> Duration {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).0
        }

        fn unix_time(&self) -> Duration {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).1
        }

        fn timer(&self) -> Box<dyn Timer> {
            unreachable!("nobody waits by it")
        }
    }

    #[test]
    fn a_calendar_that_is_put_right_is_noticed_within_a_tenth_of_a_second_and_when_time_runs_back()
    {
        let hands = Arc::new(Hands::default());
        let clock: Arc<dyn Clock> = Arc::clone(&hands) as _;
        hands.set(5_000, 1_000);
        let mut watch = Watch::new(clock);
        assert_eq!((watch.last().mono.as_millis(), watch.last().unix), (5_000, 1_000));
        // To milliseconds and a calendar: what is read then.
        let steps = [
            ((5_099, 2_000), 1_000),
            ((5_100, 2_000), 2_000),
            ((5_150, 900), 2_000),
            ((5_200, 900), 900),
            ((4_000, 950), 950),
            ((4_050, 960), 950),
        ];
        for ((mono, unix), read) in steps {
            hands.set(mono, unix);
            let now = watch.read();
            assert_eq!((now.mono.as_millis(), now.unix), (u128::from(mono), read), "at {mono}");
        }
    }
}
