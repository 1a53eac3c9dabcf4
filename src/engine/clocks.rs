//! Whether the calendar keeps step with the monotonic clock, and what follows where it does not.
//!
//! Deadlines run on the monotonic clock, which nobody can set, but which stands still while a machine sleeps. What is
//! signed has a date, and the calendar moves on while the machine sleeps, but can be set to anything. A node cannot tell
//! a long sleep from a calendar that was set forward, so that neither clock alone decides:
//!
//! - What has a date is judged by the calendar each time that it is looked at: nothing is served, told or believed
//!   outside of its time, whatever the deadlines are set to.
//! - What was read is fresh until either clock says that it is not.
//! - Own packages are put again when either clock says that it is time. So they are where the calendar shows a time at
//!   which nobody believes their heads: after a sleep, and after it was wrong.
//! - What is dropped for its age is dropped when its time is over for certain: for an hour after the calendar has
//!   jumped forward, it is only hidden, and is there again if the jump is taken back. What has no date of its own, but is
//!   kept for a time on the calendar, moves with it.
//! - What was refused for its date is asked for again.
//! - What is known without a date stays: the highest sequences and epochs seen, pins, and this node's own packages.

use std::time::Duration;

use super::{
    Deadline, Engine, Now,
    deadlines::{Backoff, spread},
};
use crate::{Event, PackageName};

/// Differences below this, in seconds, are no change: the clocks are read apart, and are put right a little at a time.
const TOLERANCE: u64 = 10;

/// For how long after a jump forward nothing is dropped for it.
const GRACE: Duration = Duration::from_secs(3600);

/// Own packages that are overdue are put again within this time, spread over it: after a sleep, connections have to be
/// made anew first.
const CATCHING_UP: Duration = Duration::from_secs(30);

/// Pauses between rounds in which overdue packages are put again, so that a calendar that goes back and forth, or a
/// network that is not there yet, costs few signatures.
const ROUNDS: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(3600));

/// How long after the last pause there must be nothing to do for the pauses to be short again.
const REST: Duration = Duration::from_secs(3600);

/// The two clocks beside each other.
#[derive(Debug)]
pub(super) struct Clocks {
    /// When they were seen last to keep step.
    anchor: Option<Now>,
    doubt: Option<Doubt>,
    rounds: Backoff,
    next_round: Duration,
}

/// The calendar has jumped forward, and may have been right before.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    before: Now,
    /// The monotonic time at which it is taken for right.
    until: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { anchor: None, doubt: None, rounds: ROUNDS, next_round: Duration::ZERO }
    }
}

impl Clocks {
    /// Looks at both clocks, and tells by how many seconds the calendar has moved against the other, if it has.
    fn look(&mut self, now: Now) -> Option<i64> {
        let Some(anchor) = self.anchor else {
            self.anchor = Some(now);
            return None;
        };
        let by = i128::from(now.unix) - calendar_at(anchor, now.mono);
        if by.unsigned_abs() < u128::from(TOLERANCE) {
            return None;
        }
        self.anchor = Some(now);
        let doubt = self.doubt.filter(|doubt| now.mono < doubt.until);
        self.doubt = if by > 0 {
            let before = doubt.map_or(anchor, |doubt| doubt.before);
            Some(Doubt { before, until: now.mono.saturating_add(GRACE) })
        } else {
            doubt
        };
        Some(i64::try_from(by).unwrap_or(if by > 0 { i64::MAX } else { i64::MIN }))
    }

    /// What the clocks differ by now is no change: so slow a drift is that of any two clocks.
    fn settle(&mut self, now: Now) {
        self.anchor = Some(now);
    }

    /// The calendar time that has come for certain.
    pub(super) fn certain(&self, now: Now) -> u64 {
        match self.doubt {
            Some(Doubt { before, until }) if now.mono < until => {
                let had_it_not_jumped = calendar_at(before, now.mono).max(0);
                u64::try_from(had_it_not_jumped).unwrap_or(u64::MAX).min(now.unix)
            }
            _ => now.unix,
        }
    }

    /// Whether a round may begin, in which overdue packages are put again.
    fn may_catch_up(&self, now: Duration) -> bool {
        now >= self.next_round
    }

    /// A round has begun, or there was nothing to do.
    fn caught_up(&mut self, now: Duration, was_due: bool) {
        if was_due {
            self.next_round = now.saturating_add(self.rounds.pause());
        } else if now >= self.next_round.saturating_add(REST) {
            self.rounds.reset();
        }
    }
}

/// What the calendar shows at a monotonic time, if it keeps step from here on.
fn calendar_at(from: Now, mono: Duration) -> i128 {
    let millis = |time: Duration| i128::try_from(time.as_millis()).unwrap_or(i128::MAX);
    i128::from(from.unix) + (millis(mono) - millis(from.mono)) / 1000
}

impl Engine {
    /// Looks at both clocks, at the beginning of each poll.
    pub(super) fn look_at_clocks(&mut self, now: Now) {
        let Some(by) = self.clocks.look(now).filter(|_| !self.closed) else { return };
        tracing::info!(seconds = by, "the calendar has moved against the monotonic clock");
        self.events.push_back(Event::ClockChanged { by, unix: now.unix });
        self.absences.clear();
        self.vain.clear();
        self.store.calendar_moved(by);
        for renewal in self.renewals.values_mut() {
            // Where it was set back, what is due then would be due much later.
            renewal.due = renewal.due.min(now.unix.saturating_add(renewal.interval.as_secs()));
        }
        self.catch_up(now);
    }

    /// Looks after what deadlines alone would come to too late, at each sweep.
    pub(super) fn sweep_clocks(&mut self, now: Now) {
        self.clocks.settle(now);
        self.catch_up(now);
    }

    /// Has own packages put again soon that are overdue by the calendar, whatever their deadlines say.
    fn catch_up(&mut self, now: Now) {
        if self.closed || !self.clocks.may_catch_up(now.mono) {
            return;
        }
        let overdue: Vec<PackageName> =
            self.own.keys().filter(|name| self.is_overdue(now, name)).cloned().collect();
        self.clocks.caught_up(now.mono, !overdue.is_empty());
        for name in overdue {
            let after = spread(CATCHING_UP, [0.0, 1.0], &mut *self.entropy);
            let deadline = now.mono.saturating_add(after);
            let timer = self.wheel.insert(deadline, Deadline::Renew(Box::new(name.clone())));
            if let Some(renewal) = self.renewals.get_mut(&name) {
                let before = std::mem::replace(&mut renewal.timer, timer);
                self.wheel.cancel(before);
            }
        }
    }

    /// Whether it is time to put an own package again, or nobody believes its head any more, or yet.
    fn is_overdue(&self, now: Now, name: &PackageName) -> bool {
        let (Some(own), Some(renewal)) = (self.own.get(name), self.renewals.get(name)) else {
            return false;
        };
        let validity = own.head.validity;
        let is_due =
            renewal.due <= now.unix || validity.is_expired(now.unix) || validity.is_early(now.unix);
        is_due && !self.renewing.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn at(mono: u64, unix: u64) -> Now {
        Now { mono: Duration::from_secs(mono), unix }
    }

    fn started() -> Clocks {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.look(at(100, 1_000_000)), None);
        clocks
    }

    #[test]
    fn clocks_that_keep_step_have_not_changed_however_long_they_run() {
        let mut clocks = started();
        assert_eq!(clocks.look(at(100 + 400 * DAY, 1_000_000 + 400 * DAY)), None);
        // One that is put right a little at a time has not either.
        for minute in 0..1000 {
            let now = at(200 + 400 * DAY + minute * 60, 1_000_100 + 400 * DAY + minute * 66);
            assert_eq!(clocks.look(now), None);
            clocks.settle(now);
        }
    }

    #[test]
    fn a_jump_is_told_once_in_either_direction() {
        let mut clocks = started();
        assert_eq!(clocks.look(at(101, 1_000_009)), None);
        assert_eq!(clocks.look(at(101, 1_000_001 + 60 * 3600)), Some(60 * 3600));
        assert_eq!(clocks.look(at(131, 1_000_031 + 60 * 3600)), None);
        assert_eq!(clocks.look(at(131, 31)), Some(-1_000_000 - 60 * 3600));
        assert_eq!(clocks.look(at(131, u64::MAX)), Some(i64::MAX));
    }

    #[test]
    fn what_came_by_a_jump_forward_is_certain_after_an_hour() {
        let mut clocks = started();
        let jumped = |mono: u64| at(mono, 900_000 + mono + 10 * DAY);
        clocks.look(jumped(100));
        assert_eq!(clocks.certain(jumped(150)), 1_000_050);
        // A second one begins the hour anew, and what was certain before is what stays.
        let again = |mono: u64| at(mono, 900_000 + mono + 20 * DAY);
        clocks.look(again(1900));
        assert_eq!(clocks.certain(again(5400)), 1_005_300);
        assert_eq!(clocks.certain(again(5500)), again(5500).unix);
    }

    #[test]
    fn a_calendar_that_was_set_back_is_certain_at_once() {
        let mut clocks = started();
        clocks.look(at(101, 5));
        assert_eq!(clocks.certain(at(102, 6)), 6);
        // Nor is more certain than it shows, where a jump is taken back further than it went.
        clocks.look(at(102, 1_000_000));
        clocks.look(at(103, 2));
        assert_eq!(clocks.certain(at(103, 2)), 2);
    }

    #[test]
    fn rounds_of_a_calendar_that_never_rests_become_rare() {
        let mut clocks = started();
        let rounds = (0..24 * 3600)
            .filter(|second| {
                let now = Duration::from_secs(*second);
                let may = clocks.may_catch_up(now);
                if may {
                    clocks.caught_up(now, true);
                }
                may
            })
            .count();
        assert!(rounds < 32, "{rounds} in a day");
        let late = Duration::from_secs(30 * 3600);
        assert!(clocks.may_catch_up(late));
        clocks.caught_up(late, false);
        clocks.caught_up(late, true);
        assert!(clocks.may_catch_up(late + Duration::from_secs(60)), "it starts over");
    }
}
