//! How long a peer takes to answer, and when it is overdue: [RFC 6298], for requests instead of segments.
//!
//! Each answer belongs to one request, so that it is never in doubt what it measures. What comes after the node has
//! given up waiting is not measured all the same, as in the RFC (section 3): a peer whose machine has slept for a minute
//! takes no minute to answer, and one that is really as slow as that is given twice the time with each attempt.
//!
//! [RFC 6298]: https://www.rfc-editor.org/rfc/rfc6298

use std::{num::NonZeroU32, time::Duration};

/// Nobody is overdue before: a machine that is busy is not silent.
const LEAST: Duration = Duration::from_millis(200);

/// Everybody is overdue then.
const MOST: Duration = Duration::from_secs(5);

/// When a peer is overdue that has never answered.
const UNMEASURED: Duration = Duration::from_millis(500);

/// Nobody else is asked as well before.
const LEAST_HEDGE: Duration = Duration::from_millis(20);

/// When somebody else is asked as well, where the peer has never answered.
const UNMEASURED_HEDGE: Duration = Duration::from_millis(150);

/// More change nothing: 200 ms and five of these are more than the most.
const MOST_DOUBLINGS: u8 = 5;

/// What is known of the time that one peer takes, in 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    /// In microseconds, as is the variation. None as long as nothing was measured.
    smoothed: Option<NonZeroU32>,
    variation: u32,
    /// How often it was overdue since it last answered in time.
    doublings: u8,
}

impl RoundTrip {
    pub(crate) const fn new() -> Self {
        Self { smoothed: None, variation: 0, doublings: 0 }
    }

    /// It has answered after this time.
    pub(crate) fn sample(&mut self, took: Duration) {
        let most = if self.smoothed.is_none() { MOST } else { self.overdue_after() };
        if took > most {
            return;
        }
        let took = micros(took);
        let (smoothed, variation) = match self.smoothed {
            None => (took, took / 2),
            Some(smoothed) => {
                let off = smoothed.get().abs_diff(took);
                ((7 * smoothed.get() + took) / 8, (3 * self.variation + off) / 4)
            }
        };
        *self = Self { smoothed: NonZeroU32::new(smoothed.max(1)), variation, doublings: 0 };
    }

    /// It has not answered in time: the next request is given twice as long.
    pub(crate) fn timed_out(&mut self) {
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
    }

    /// How long it usually takes, if it has answered at all.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| Duration::from_micros(smoothed.get().into()))
    }

    /// After this time a request counts as not answered.
    pub(crate) fn overdue_after(&self) -> Duration {
        (self.usual_at_most() * (1 << self.doublings)).min(MOST)
    }

    /// What it takes at the most when it is well, however often it was overdue lately.
    pub(crate) fn usual_at_most(&self) -> Duration {
        self.expected(4).map_or(UNMEASURED, |time| time.clamp(LEAST, MOST))
    }

    /// After this time a lookup asks somebody else as well, although this peer may still answer.
    pub(crate) fn hedge_after(&self) -> Duration {
        let expected = self.expected(2).map_or(UNMEASURED_HEDGE, |time| time.max(LEAST_HEDGE));
        expected.min(self.overdue_after())
    }

    /// The usual time and so many variations.
    fn expected(&self, variations: u32) -> Option<Duration> {
        Some(self.smoothed()? + Duration::from_micros(self.variation.into()) * variations)
    }
}

/// Nothing is measured that took longer than the most that is waited.
fn micros(time: Duration) -> u32 {
    time.min(MOST).as_micros().try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn measured(millis: impl IntoIterator<Item = u64>) -> RoundTrip {
        let mut time = RoundTrip::new();
        millis.into_iter().for_each(|took| time.sample(ms(took)));
        time
    }

    #[test]
    fn a_peer_that_was_never_heard_is_given_half_a_second() {
        let time = RoundTrip::new();
        assert_eq!(time.smoothed(), None);
        assert_eq!((time.overdue_after(), time.hedge_after()), (ms(500), ms(150)));
        assert!(size_of::<RoundTrip>() <= 16);
    }

    #[test]
    fn the_first_answers_count_as_in_the_rfc() {
        let time = measured([400]);
        assert_eq!(time.smoothed(), Some(ms(400)));
        assert_eq!((time.overdue_after(), time.hedge_after()), (ms(1_200), ms(800)));
        let time = measured([400, 800]);
        assert_eq!(time.smoothed(), Some(ms(450)));
        // The variation is 3/4 of 200 ms and 1/4 of 400 ms.
        assert_eq!((time.overdue_after(), time.hedge_after()), (ms(1_450), ms(950)));
    }

    #[test]
    fn a_quick_peer_is_overtaken_soon_and_overdue_after_200_ms() {
        let time = measured([1; 50]);
        assert_eq!((time.overdue_after(), time.hedge_after()), (ms(200), ms(20)));
    }

    #[test]
    fn each_time_that_it_is_overdue_it_is_given_twice_as_long_until_it_answers() {
        let mut time = measured([1; 50]);
        for expected in [400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
            time.timed_out();
            assert_eq!(time.overdue_after(), ms(expected));
            assert_eq!(time.hedge_after(), ms(20));
        }
        time.sample(ms(1));
        assert_eq!(time.overdue_after(), ms(200));
    }

    #[test]
    fn what_comes_long_after_it_was_given_up_is_not_measured() {
        let mut time = measured([1; 50]);
        time.timed_out();
        let before = time;
        time.sample(ms(60_000));
        assert_eq!(time, before);
    }

    #[test]
    fn a_peer_that_is_slow_from_the_beginning_is_waited_for_in_the_end() {
        let mut time = RoundTrip::new();
        let overdue = (0..10).filter(|_| {
            let late = ms(1_900) > time.overdue_after();
            if late {
                time.timed_out();
            }
            time.sample(ms(1_900));
            late
        });
        assert_eq!(overdue.count(), 1);
        // And so is one that has become slow.
        let mut time = measured([10; 50]);
        let overdue = (0..20).filter(|_| {
            let late = ms(1_900) > time.overdue_after();
            if late {
                time.timed_out();
            }
            time.sample(ms(1_900));
            late
        });
        assert!(overdue.count() <= 4);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_was_measured(
            steps in prop::collection::vec(prop::option::of(0_u64..100_000_000), 0..60)
        ) {
            let mut time = RoundTrip::new();
            for step in steps {
                match step {
                    Some(micros) => time.sample(Duration::from_micros(micros)),
                    None => time.timed_out(),
                }
                prop_assert!((LEAST..=MOST).contains(&time.overdue_after()));
                prop_assert!((LEAST_HEDGE..=time.overdue_after()).contains(&time.hedge_after()));
                prop_assert!(time.smoothed().is_none_or(|smoothed| smoothed <= MOST));
            }
        }
    }
}
