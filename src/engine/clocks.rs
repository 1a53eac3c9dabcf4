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
//!   jumped forward, it is only hidden, and is there again if the jump is taken back. The same holds for an hour after a
//!   start from a snapshot: a machine without a clock of its own starts with any date. What has no date of its own, but
//!   is kept for a time on the calendar, moves with it.
//! - What was refused for its date is asked for again.
//! - What is known without a date stays: the highest sequences and epochs seen, pins, and this node's own packages.

use std::{collections::VecDeque, time::Duration};

use super::{Engine, deadlines::Backoff};
use crate::{engine::interface::Now, event::Event};

/// Differences below this, in seconds, are no change: the clocks are read apart, and are put right a little at a time.
const TOLERANCE: u64 = 10;

/// For how long after a jump forward nothing is dropped for it.
const GRACE: Duration = Duration::from_secs(3600);

/// Jumps that come within this time of each other are one. So there are few at a time, and a machine that naps again and
/// again does not put off the end of the first.
const APART: Duration = Duration::from_secs(GRACE.as_secs() / 16);

/// A renewal that is late by no more than this, in seconds, needs no round: its deadline is about to come by itself.
pub(in crate::engine) const LATE: u64 = 60;

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
    /// Jumps forward that are still in doubt, the oldest first. No more than fit into an hour, [`APART`] from each other.
    doubts: VecDeque<Doubt>,
    /// How often the calendar has moved.
    moves: u64,
    rounds: Backoff,
    next_round: Duration,
    /// What the calendar showed at the last round.
    last_round: Option<u64>,
    /// From this monotonic time on, a calendar that has moved on counts as time that has passed. A calendar that was set
    /// back has shown both for an hour before.
    steady: Duration,
}

/// The calendar has jumped forward, and may have been right before.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    before: Now,
    since: Duration,
    /// The monotonic time at which it is taken for right.
    until: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            anchor: None,
            doubts: VecDeque::new(),
            moves: 0,
            rounds: ROUNDS,
            next_round: Duration::ZERO,
            last_round: None,
            steady: Duration::ZERO,
        }
    }
}

impl Clocks {
    /// What is known comes from an earlier life. Nobody has said yet that the calendar is right, so that no time is over
    /// for certain.
    pub(super) fn restored(&mut self, now: Now) {
        self.doubt(Now { mono: now.mono, unix: 0 }, now.mono);
    }

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
        self.moves += 1;
        if by > 0 {
            self.doubt(anchor, now.mono);
        } else {
            self.last_round = self.last_round.map(|round| round.min(now.unix));
            self.steady = now.mono.saturating_add(REST);
        }
        Some(i64::try_from(by).unwrap_or(if by > 0 { i64::MAX } else { i64::MIN }))
    }

    /// The calendar is in doubt from now on, and what it showed before is not.
    fn doubt(&mut self, before: Now, now: Duration) {
        self.doubts.retain(|doubt| now < doubt.until);
        let until = now.saturating_add(GRACE);
        match self.doubts.back_mut() {
            Some(last) if now < last.since.saturating_add(APART) => last.until = until,
            _ => self.doubts.push_back(Doubt { before, since: now, until }),
        }
    }

    /// What the clocks differ by now is no change: so slow a drift is that of any two clocks.
    fn settle(&mut self, now: Now) {
        self.anchor = Some(now);
    }

    /// The calendar time that has come for certain.
    pub(super) fn certain(&self, now: Now) -> u64 {
        let doubts = self.doubts.iter().filter(|doubt| now.mono < doubt.until);
        let had_it_not_jumped = doubts.map(|doubt| {
            u64::try_from(calendar_at(doubt.before, now.mono).max(0)).unwrap_or(u64::MAX)
        });
        had_it_not_jumped.fold(now.unix, u64::min)
    }

    /// Changes whenever the calendar has moved.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// Whether a round may begin, in which overdue packages are put again. Where the calendar says that the time between
    /// two renewals has passed since the last one, it is time whatever the pause: the monotonic clock of a machine that is
    /// awake for minutes a day takes days for an hour.
    fn may_catch_up(&mut self, now: Now, interval: u64) -> bool {
        let passed = self.last_round.map_or(0, |round| now.unix.saturating_sub(round));
        if passed >= interval && now.mono >= self.steady {
            self.rounds.reset();
            return true;
        }
        now.mono >= self.next_round
    }

    /// A round has begun, or there was nothing to do.
    fn caught_up(&mut self, now: Now, was_due: bool) {
        if was_due {
            self.next_round = now.mono.saturating_add(self.rounds.pause());
            self.last_round = Some(now.unix);
        } else if now.mono >= self.next_round.saturating_add(REST) {
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
    pub(super) fn look_at_clocks(&mut self) {
        let now = self.cx.now();
        let Some(by) = self.cx.clocks.look(now).filter(|_| !self.cx.closed) else { return };
        tracing::info!(seconds = by, "the calendar has moved against the monotonic clock");
        self.out.events.push_back(Event::ClockChanged { by, unix: now.unix });
        self.reading.forget_absences();
        self.discovery.forgive_vain();
        self.cx.store.calendar_moved(by);
        self.publishing.calendar_moved(&mut self.out, now);
        self.peers.network_changed(&self.cx, &mut self.out);
        self.catch_up();
    }

    /// Looks after what deadlines alone would come to too late, at each sweep.
    pub(super) fn sweep_clocks(&mut self) {
        self.cx.clocks.settle(self.cx.now());
        self.catch_up();
    }

    /// Has own packages put again soon that are overdue by the calendar, whatever their deadlines say, and those of an
    /// earlier life that the network is to be asked for again.
    fn catch_up(&mut self) {
        let now = self.cx.now();
        let interval =
            self.cx.config.republish_interval.min(self.cx.config.record_ttl / 3).max(REST);
        if self.cx.closed || !self.cx.clocks.may_catch_up(now, interval.as_secs()) {
            return;
        }
        let missed = self.publishing.missed(now, self.cx.clocks.moves());
        self.cx.clocks.caught_up(now, !missed.is_none());
        self.publishing.catch_up(&mut self.out, now, missed);
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
        // A second one has an hour of its own, and does not put off the end of the first.
        let again = |mono: u64| at(mono, 900_000 + mono + 20 * DAY);
        clocks.look(again(1900));
        assert_eq!(clocks.certain(again(3699)), 1_003_599);
        assert_eq!(clocks.certain(again(3700)), jumped(3700).unix);
        assert_eq!(clocks.certain(again(5500)), again(5500).unix);
    }

    #[test]
    fn a_machine_that_naps_all_the_time_becomes_certain_of_all_but_the_last_hour() {
        let mut clocks = started();
        // A minute awake, ten asleep, for a week of waking hours.
        for minute in 1..7 * 24 * 60 {
            let now = at(100 + minute * 60, 1_000_000 + minute * 660);
            clocks.look(now);
            assert!(clocks.doubts.len() <= 18, "{}", clocks.doubts.len());
            let lag = now.unix - clocks.certain(now);
            assert!(lag <= 70 * 660, "{lag} s after {minute} min");
        }
    }

    #[test]
    fn nothing_is_certain_in_the_first_hour_of_what_an_earlier_life_knew() {
        let mut clocks = Clocks::default();
        clocks.restored(at(100, 1_000_000));
        clocks.look(at(100, 1_000_000));
        assert_eq!(clocks.certain(at(110, 1_000_010)), 10);
        // The calendar is set a moment later.
        clocks.look(at(120, 5));
        assert_eq!(clocks.certain(at(121, 6)), 6);
        clocks.look(at(130, 2_000_000));
        assert_eq!(clocks.certain(at(140, 2_000_010)), 40);
        assert_eq!(clocks.certain(at(3730, 2_003_600)), 2_003_600);
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
                let now = at(*second, 1_000_000);
                let may = clocks.may_catch_up(now, DAY / 2);
                if may {
                    clocks.caught_up(now, true);
                }
                may
            })
            .count();
        assert!(rounds < 32, "{rounds} in a day");
        let late = at(30 * 3600, 1_000_000);
        assert!(clocks.may_catch_up(late, DAY / 2));
        clocks.caught_up(late, false);
        clocks.caught_up(late, true);
        assert!(clocks.may_catch_up(at(30 * 3600 + 60, 1_000_000), DAY / 2), "it starts over");
    }
}
