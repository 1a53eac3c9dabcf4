//! What time connected peers say it is, and whether this node's clock is one of those that are wrong.
//!
//! A hello carries the time at which it was signed, which is when it was sent. The median of what connected peers say is
//! compared with this node's own clock: what less than half of them say does not move it. Nothing else hangs on it. No
//! record is judged by the time that a peer says, so that a liar achieves a warning at the most.
//!
//! A reading holds only for as long as this node's own calendar goes at the pace of its monotonic clock. Once the
//! calendar has been set, or the machine has slept, peers are asked anew.

use std::{collections::BTreeMap, time::Duration};

use libp2p::PeerId;

use crate::{
    clock_offset::ClockOffset,
    engine::{deadlines::Deadline, effects::Effects, interface::Now},
    event::Event,
};

/// How long others have to say what time it is before anything is told: the first to connect may be the one that is
/// wrong.
const SETTLING: Duration = Duration::from_secs(2);

/// Nothing is told more often than this, so that peers who change their minds cannot fill the stream of events.
const QUIET: Duration = Duration::from_secs(60);

/// A clock that was told to be wrong is right again once it is as near as this. Half of what makes it wrong, so that
/// one which differs by a minute is not told of again and again.
const NEAR_SECS: u64 = ClockOffset::LARGE_SECS / 2;

/// How old a reading may be before its peer is asked again: where the clocks differ, so that it is noticed soon when one
/// of them is set, and where they do not.
const ASKED_AGAIN_IF_OFF: Duration = Duration::from_secs(60);
const ASKED_AGAIN: Duration = Duration::from_secs(1800);

/// So many peers are asked again at one sweep, at the most.
const ASKED_AT_A_SWEEP: usize = 8;

/// The calendar and the monotonic clock may drift apart by so much before readings no longer hold: the calendar is read
/// in whole seconds, and disciplined clocks run a little faster or slower.
const DRIFT_MILLIS: i128 = 5_000;

/// The clocks of connected peers. Bounded by those who are connected, whose readings are forgotten as they go.
#[derive(Debug, Default)]
pub(in crate::engine) struct PeerClocks {
    readings: BTreeMap<PeerId, Reading>,
    told: Told,
    /// Whether it has been decided when to look again at what is to be told.
    is_settling: bool,
}

/// What a peer's clock has shown, and how long the word of it has been on its way.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct ClockReading {
    pub(in crate::engine) sent: u64,
    pub(in crate::engine) took: Duration,
}

/// What a peer's clock showed.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// By how much this node's was ahead of it, in milliseconds.
    ahead: i128,
    /// This node's calendar less its monotonic clock at that time, in milliseconds.
    base: i128,
    taken: Duration,
}

/// What the application has been told last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    /// Nothing yet, and nothing is wrong until somebody says so.
    #[default]
    Nothing,
    Agrees {
        at: Duration,
    },
    Disagrees {
        seconds: i64,
        at: Duration,
    },
}

/// Milliseconds since the calendar's origin. It shows whole seconds: their middle is the nearest to all that may be meant.
fn millis(unix: u64) -> i128 {
    i128::from(unix) * 1000 + 500
}

fn base(now: Now) -> i128 {
    millis(now.unix) - i128::try_from(now.mono.as_millis()).unwrap_or(i128::MAX / 2)
}

impl Reading {
    fn holds(&self, now: Now) -> bool {
        (base(now) - self.base).abs() <= DRIFT_MILLIS
    }
}

impl PeerClocks {
    /// Whether it has been decided when to look again at what is to be told.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn is_settling(&self) -> bool {
        self.is_settling
    }

    /// A connected peer has said at which time it sent something that took so long to get here.
    pub(in crate::engine) fn hear(
        &mut self,
        out: &mut Effects,
        now: Now,
        peer: PeerId,
        reading: ClockReading,
    ) {
        self.read(now, peer, reading);
        self.settle_later(out, now);
    }

    fn read(&mut self, now: Now, peer: PeerId, ClockReading { sent, took }: ClockReading) {
        let took = i128::try_from(took.as_millis()).unwrap_or(i128::MAX / 2);
        let ahead = millis(now.unix) - took - millis(sent);
        self.readings.insert(peer, Reading { ahead, base: base(now), taken: now.mono });
    }

    /// A peer has gone.
    pub(in crate::engine) fn forget(&mut self, peer: &PeerId) {
        self.readings.remove(peer);
    }

    /// How this node's clock stands to those of its peers, if any of them has said what time it is.
    pub(in crate::engine) fn offset(&self, now: Now) -> Option<ClockOffset> {
        let holding = self.readings.values().filter(|reading| reading.holds(now));
        let mut ahead: Vec<i128> = holding.map(|reading| reading.ahead).collect();
        ahead.sort_unstable();
        let (lower, upper) =
            (ahead.get(ahead.len().checked_sub(1)? / 2)?, ahead.get(ahead.len() / 2)?);
        // Of two that are in the middle the one that speaks for this node's own clock, which is a clock as well.
        let median = if lower.abs() <= upper.abs() { lower } else { upper };
        let seconds = (median + median.signum() * 500) / 1000;
        let seconds =
            i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX });
        Some(ClockOffset::new(seconds, u32::try_from(ahead.len()).unwrap_or(u32::MAX)))
    }

    /// The same where it is large enough to matter.
    pub(in crate::engine) fn disagreement(&self, now: Now) -> Option<ClockOffset> {
        self.offset(now).filter(ClockOffset::is_large)
    }

    /// Has somebody look again at what is to be told, if there seems to be something.
    pub(in crate::engine) fn settle_later(&mut self, out: &mut Effects, now: Now) {
        if let Some(due) = self.settle(now) {
            out.wheel.insert(due, Deadline::ClocksSettled);
        }
    }

    /// When to look again at what is to be told, if there seems to be something and it has not been decided yet.
    fn settle(&mut self, now: Now) -> Option<Duration> {
        if self.is_settling || self.news(now).is_none() {
            return None;
        }
        self.is_settling = true;
        let quiet = match self.told {
            Told::Nothing => Duration::ZERO,
            Told::Agrees { at } | Told::Disagrees { at, .. } => at.saturating_add(QUIET),
        };
        Some(quiet.max(now.mono.saturating_add(SETTLING)))
    }

    /// What is to be told now.
    pub(in crate::engine) fn settled(&mut self, now: Now) -> Option<Event> {
        self.is_settling = false;
        let (told, event) = self.news(now)?;
        self.told = told;
        Some(event)
    }

    /// What the application has not been told yet.
    fn news(&self, now: Now) -> Option<(Told, Event)> {
        let offset = self.offset(now)?;
        let (seconds, at) = (offset.seconds, now.mono);
        let disagrees = (Told::Disagrees { seconds, at }, Event::ClockDisagrees { offset });
        match self.told {
            Told::Nothing | Told::Agrees { .. } => offset.is_large().then_some(disagrees),
            Told::Disagrees { .. } if seconds.unsigned_abs() <= NEAR_SECS => {
                Some((Told::Agrees { at }, Event::ClockAgrees { offset }))
            }
            Told::Disagrees { seconds: told, .. } => {
                let is_another = seconds.abs_diff(told) > ClockOffset::LARGE_SECS;
                (is_another && offset.is_large()).then_some(disagrees)
            }
        }
    }

    /// Peers whose clocks are to be read again, those that were read the longest ago first. They count as read from now
    /// on, so that one that does not answer is not asked at each sweep.
    pub(in crate::engine) fn take_due(&mut self, now: Now) -> Vec<PeerId> {
        let is_off =
            matches!(self.told, Told::Disagrees { .. }) || self.disagreement(now).is_some();
        let lasts = if is_off { ASKED_AGAIN_IF_OFF } else { ASKED_AGAIN };
        let is_due = |reading: &Reading| {
            !reading.holds(now) || now.mono.saturating_sub(reading.taken) >= lasts
        };
        let due = self.readings.iter().filter(|(_, reading)| is_due(reading));
        let mut due: Vec<_> = due.map(|(peer, reading)| (reading.taken, *peer)).collect();
        due.sort_unstable();
        due.truncate(ASKED_AT_A_SWEEP);
        for (_, peer) in &due {
            if let Some(reading) = self.readings.get_mut(peer) {
                reading.taken = now.mono;
            }
        }
        due.into_iter().map(|(_, peer)| peer).collect()
    }
}

#[cfg(test)]
mod tests;
