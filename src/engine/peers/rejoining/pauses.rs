//! How long is waited before somebody is dialed again.

use std::time::Duration;

use crate::{
    clock::Entropy,
    engine::deadlines::{Backoff, spread},
};

/// Pauses are spread between these shares of them, so that those whom one peer has left do not come back together. The
/// first one is at least as long as it says; later ones vary more, so that after a few of them everybody has a time of
/// his own.
const SPREAD_FIRST: [f64; 2] = [1.0, 1.25];
const SPREAD: [f64; 2] = [0.5, 1.25];

/// Pauses grow to so many times the first one. With their spread that is ten times at the most.
const GROWTH: u32 = 8;

/// Those of a node with many others, before it dials a peer without room again, grow further: with the usual first one to
/// a day. Everybody whom a bootstrap peer has let go dials it again and again, and takes the places of newcomers; and it is
/// there, so that no other part of the network is found through it.
const GROWTH_OF_FULL: u32 = 288;

/// A peer that has no room is dialed again after so many times the pause of one that has left: it is there, and others
/// are of more use to it.
const FULL: u32 = 5;

/// In a network of many peers somebody dials soon, whoever it is. Among fewer pauses are shorter, by their number, so that
/// two parts of a small network find each other within two minutes; and among a few no shorter than these need.
const MANY: u32 = 32;
const FEW: u32 = 6;

/// The pauses before one peer is dialed again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    first: Duration,
    growth_among_many: u32,
    backoff: Backoff,
}

impl Pauses {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, growth_among_many: GROWTH, backoff: Backoff::new(first, first * GROWTH) }
    }

    /// Those before a peer without room is dialed again.
    pub(super) fn while_full(self) -> Self {
        let (first, growth_among_many) = (self.first * FULL, GROWTH_OF_FULL);
        Self { first, growth_among_many, backoff: Backoff::new(first, first * growth_among_many) }
    }

    /// When the peer is dialed next, by a node that has so many others.
    pub(super) fn next(
        &mut self,
        now: Duration,
        members: usize,
        entropy: &mut dyn Entropy,
    ) -> Duration {
        let members = u32::try_from(members).unwrap_or(MANY).clamp(FEW, MANY);
        let longest = match members {
            MANY => self.first * self.growth_among_many,
            _ => self.first * members * GROWTH / MANY,
        };
        let pause = self.backoff.pause();
        let shares = if pause == self.first { SPREAD_FIRST } else { SPREAD };
        now.saturating_add(spread(pause.min(longest), shares, entropy))
    }

    /// A connection has ended. One that ends at once, since the other has no room, does not make the pauses short again.
    pub(super) fn ended(&mut self, now: Duration, since: Duration) {
        if self.has_lasted(now, since) {
            self.backoff.reset();
        }
    }

    /// Whether a connection that stands since then was a success.
    pub(super) fn has_lasted(&self, now: Duration, since: Duration) -> bool {
        now.saturating_sub(since) >= self.first
    }

    /// Whether both begin with the same pause.
    pub(super) fn are_like(&self, other: &Self) -> bool {
        self.first == other.first
    }

    pub(super) fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(60);

    /// Xorshift: the test is the same each time.
    struct Dice(u64);

    impl Entropy for Dice {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                *byte = self.0.to_le_bytes()[3];
            }
        }
    }

    struct Highest;

    impl Entropy for Highest {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(u8::MAX);
        }
    }

    #[test]
    fn nobody_waits_longer_than_ten_times_the_first_pause() {
        let mut pauses = Pauses::new(FIRST);
        let waits: Vec<u64> =
            (0..5).map(|_| pauses.next(Duration::ZERO, 1000, &mut Highest).as_secs()).collect();
        assert_eq!(waits, [75, 150, 300, 600, 600]);
    }

    #[test]
    fn a_node_with_many_others_dials_one_without_room_about_once_a_day() {
        let mut pauses = Pauses::new(FIRST).while_full();
        let mut dice = Dice(5);
        let mut due = Duration::ZERO;
        let days = Duration::from_secs(30 * 24 * 3600);
        let dials = std::iter::repeat_with(|| {
            due = pauses.next(due, 100, &mut dice);
            due
        });
        let dials = dials.take_while(|due| *due < days).count();
        assert!((30..50).contains(&dials), "{dials}");
        // One that has few is looking for others.
        let longest = (0..20).map(|_| pauses.next(Duration::ZERO, 6, &mut dice)).max();
        assert!(longest.unwrap() < Duration::from_secs(600));
    }

    #[test]
    fn among_few_nobody_waits_longer_than_two_minutes() {
        for members in 0..=6 {
            let mut pauses = Pauses::new(FIRST);
            for _ in 0..10 {
                assert!(pauses.next(Duration::ZERO, members, &mut Highest).as_secs() <= 120);
            }
        }
    }

    /// Where there are more, one of them dials within two minutes, however long each has been at it. This is for one that
    /// is looked for; of those who were cut off there are more, and they dial as well.
    #[test]
    fn of_any_number_somebody_dials_every_two_minutes() {
        let mut dice = Dice(7);
        for members in 1..200_usize {
            let mut dials: Vec<Duration> = Vec::new();
            for _ in 0..=members {
                let mut pauses = Pauses::new(FIRST);
                let mut due = Duration::ZERO;
                while due < Duration::from_secs(4 * 3600) {
                    due = pauses.next(due, members, &mut dice);
                    dials.push(due);
                }
            }
            dials.sort();
            let settled = dials.partition_point(|due| due.as_secs() < 3600);
            let gaps = dials[settled..].windows(2).map(|two| (two[1] - two[0]).as_secs());
            let [beyond, longest] = gaps.fold([0, 0], |[sum, longest], gap| {
                [sum + gap.saturating_sub(120), longest.max(gap)]
            });
            // Out of three hours.
            assert!(beyond < 60 && longest < 180, "{members}: {beyond} s beyond, {longest} s");
        }
    }

    /// A thousand had connected, and five thousand in all have it configured. A dial costs the one who is dialed a
    /// handshake, well below a millisecond.
    #[test]
    fn thousands_who_look_for_one_do_not_come_together() {
        let mut dice = Dice(3);
        let mut seconds = vec![0_u32; 7200];
        for _ in 0..5000 {
            let mut pauses = Pauses::new(FIRST);
            let mut due = pauses.next(Duration::ZERO, 100, &mut dice);
            while let Some(second) = seconds.get_mut(usize::try_from(due.as_secs()).unwrap()) {
                *second += 1;
                due = pauses.next(due, 100, &mut dice);
            }
        }
        let first = seconds.iter().max().unwrap();
        let later = seconds[3600..].iter().max().unwrap();
        let mean = f64::from(seconds[3600..].iter().sum::<u32>()) / 3600.0;
        println!(
            "dials a second: {first} at the most, {later} after an hour, {mean:.1} on average"
        );
        assert!(*first < 500 && *later < 50 && mean < 12.5);
    }
}
