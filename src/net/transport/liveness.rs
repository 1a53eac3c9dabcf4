//! Whether the peer at the other end of a connection still lives.

use std::time::{Duration, Instant};

/// The listening end waits this part of the time for an answer longer before it asks: the dialer's question is an answer
/// to its own. So one round trip serves both ends.
const DEFERENCE: u32 = 8;

/// The dialing end asks up to this part of the time early, so that it can ask several peers at once.
const HASTE: u32 = 5;

/// How long a peer may be silent before it is asked, and then until it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    ask_after: Duration,
    answer_within: Duration,
    rounds: Option<Rounds>,
}

/// The moments at which peers are asked. All connections of a transport have the same, so that a node with many idle ones
/// is woken once for several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rounds {
    since: Instant,
    every: Duration,
}

impl Rounds {
    /// The last one that is not after this.
    fn before(self, time: Instant) -> Instant {
        let passed = time.saturating_duration_since(self.since).as_nanos();
        let beyond = passed.checked_rem(self.every.as_nanos()).unwrap_or_default();
        time - Duration::from_nanos(u64::try_from(beyond).unwrap_or_default())
    }
}

impl Patience {
    /// That of the end that has dialed.
    pub(super) fn of_dialer(interval: Duration, timeout: Duration) -> Self {
        Self { ask_after: interval, answer_within: timeout, rounds: None }
    }

    /// It asks in rounds, which are counted from then.
    pub(super) fn in_rounds(self, since: Instant) -> Self {
        Self { rounds: Some(Rounds { since, every: self.ask_after / HASTE }), ..self }
    }

    /// That of the other end.
    pub(super) fn of_listener(interval: Duration, timeout: Duration) -> Self {
        let ask_after = interval.saturating_add(timeout / DEFERENCE);
        Self { ask_after, answer_within: timeout, rounds: None }
    }
}

/// What is known of a peer's life. Any byte is a sign of it, so that a connection with traffic is never asked.
#[derive(Debug)]
pub(super) struct Liveness {
    patience: Patience,
    heard: Instant,
    asked: Option<Instant>,
    /// When the peer is to be looked after next, as was last said.
    next: Instant,
}

/// What follows from the time that has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until then.
    Wait { until: Instant },
    /// The peer is to be asked, and to be looked after again then.
    Ask { until: Instant },
    /// The peer was asked and has not answered in time.
    GiveUp(Silent),
}

/// Nothing came from a peer, although it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer was silent for {} s and did not answer a ping", .0.as_secs())]
pub(super) struct Silent(Duration);

impl Liveness {
    pub(super) fn new(patience: Patience, now: Instant) -> Self {
        Self { patience, heard: now, asked: None, next: now }
    }

    /// Something came from the peer.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// When something last came from the peer, or when it connected.
    pub(super) fn last_heard(&self) -> Instant {
        self.heard
    }

    /// What is to be done, once everything that has come from the peer was [heard](Self::heard).
    ///
    /// A peer is never given up unasked. A process that was stopped itself finds, when it goes on, that all its peers
    /// have been silent for as long.
    pub(super) fn check(&mut self, now: Instant) -> Step {
        let answer_within = self.patience.answer_within;
        match self.asked {
            None if now < self.ask_at() => {
                self.next = self.ask_at();
                Step::Wait { until: self.next }
            }
            None => {
                self.asked = Some(now);
                self.next = now + answer_within;
                Step::Ask { until: self.next }
            }
            Some(asked) if now.saturating_duration_since(asked) < answer_within => {
                self.next = asked + answer_within;
                Step::Wait { until: self.next }
            }
            Some(_) => Step::GiveUp(Silent(now.saturating_duration_since(self.heard))),
        }
    }

    /// When the peer is to be looked after, where that has become much later than was last said, since it has been heard.
    /// To set a timer again costs less than to be woken in vain, and what does nothing else is woken only to ask.
    pub(super) fn postponed(&mut self) -> Option<Instant> {
        if self.asked.is_some() {
            return None;
        }
        let until = self.ask_at();
        let much = self.patience.ask_after / 2;
        let is_later = until.saturating_duration_since(self.next) >= much;
        is_later.then(|| {
            self.next = until;
            until
        })
    }

    fn ask_at(&self) -> Instant {
        let latest = self.heard + self.patience.ask_after;
        self.patience.rounds.map_or(latest, |rounds| rounds.before(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::TransportConfig, *};

    const SECOND: Duration = Duration::from_secs(1);

    /// Of the end that dials and of the other.
    fn defaults() -> (Patience, Patience) {
        let config = TransportConfig::new();
        let (interval, timeout) = (config.ping_interval(), config.ping_timeout());
        (Patience::of_dialer(interval, timeout), Patience::of_listener(interval, timeout))
    }

    fn patience() -> Patience {
        Patience::of_dialer(25 * SECOND, 4 * SECOND)
    }

    #[test]
    fn a_silent_peer_is_asked_and_given_up_four_seconds_later() {
        let start = Instant::now();
        let mut liveness = Liveness::new(patience(), start);
        assert_eq!(liveness.check(start + 24 * SECOND), Step::Wait { until: start + 25 * SECOND });
        assert_eq!(liveness.check(start + 25 * SECOND), Step::Ask { until: start + 29 * SECOND });
        assert_eq!(liveness.check(start + 26 * SECOND), Step::Wait { until: start + 29 * SECOND });
        let silent = Silent(29 * SECOND);
        assert_eq!(liveness.check(start + 29 * SECOND), Step::GiveUp(silent));
        assert_eq!(silent.to_string(), "the peer was silent for 29 s and did not answer a ping");
    }

    #[test]
    fn a_peer_that_says_anything_at_all_is_not_asked() {
        let start = Instant::now();
        let mut liveness = Liveness::new(patience(), start);
        for second in (20..1000).step_by(20) {
            let now = start + second * SECOND;
            assert_eq!(liveness.check(now), Step::Wait { until: now + 5 * SECOND });
            liveness.heard(now);
        }
    }

    #[test]
    fn an_answer_is_good_for_another_while() {
        let start = Instant::now();
        let mut liveness = Liveness::new(patience(), start);
        assert_eq!(liveness.check(start + 25 * SECOND), Step::Ask { until: start + 29 * SECOND });
        liveness.heard(start + 28 * SECOND);
        assert_eq!(liveness.check(start + 29 * SECOND), Step::Wait { until: start + 53 * SECOND });
        assert_eq!(liveness.check(start + 53 * SECOND), Step::Ask { until: start + 57 * SECOND });
    }

    #[test]
    fn a_process_that_was_stopped_itself_asks_before_it_gives_anybody_up() {
        let start = Instant::now();
        let hour = start + 3600 * SECOND;
        let mut liveness = Liveness::new(patience(), start);
        assert_eq!(liveness.check(hour), Step::Ask { until: hour + 4 * SECOND });
        liveness.heard(hour + SECOND);
        assert_eq!(liveness.check(hour + 4 * SECOND), Step::Wait { until: hour + 26 * SECOND });
    }

    #[test]
    fn peers_that_fell_silent_one_after_the_other_are_asked_together() {
        let start = Instant::now();
        let mut asked: Vec<_> = (0..200)
            .map(|tenth| {
                let heard = start + tenth * SECOND / 10;
                let mut liveness = Liveness::new(patience().in_rounds(start), heard);
                let Step::Wait { until } = liveness.check(heard) else { panic!("asked at once") };
                assert!(until <= heard + 25 * SECOND && until > heard + 20 * SECOND);
                let asked = liveness.check(until);
                assert_eq!(asked, Step::Ask { until: until + 4 * SECOND });
                until
            })
            .collect();
        asked.dedup();
        assert!(asked.len() <= 5, "{asked:?}");
    }

    #[test]
    fn the_next_look_is_put_off_where_that_saves_one() {
        let start = Instant::now();
        let mut liveness = Liveness::new(patience(), start);
        assert_eq!(liveness.postponed(), Some(start + 25 * SECOND));
        for second in 1..12 {
            liveness.heard(start + second * SECOND);
            assert_eq!(liveness.postponed(), None);
        }
        liveness.heard(start + 13 * SECOND);
        assert_eq!(liveness.postponed(), Some(start + 38 * SECOND));
        // Nothing is put off while the peer is to answer.
        assert_eq!(liveness.check(start + 38 * SECOND), Step::Ask { until: start + 42 * SECOND });
        assert_eq!(liveness.postponed(), None);
        liveness.heard(start + 39 * SECOND);
        assert_eq!(liveness.postponed(), Some(start + 64 * SECOND));
    }

    #[test]
    fn the_end_that_has_dialed_asks_first_and_both_give_up_within_thirty_seconds() {
        let (dialer, listener) = defaults();
        assert_eq!(listener.ask_after - dialer.ask_after, SECOND / 2);
        assert!(listener.ask_after + listener.answer_within < 30 * SECOND);
    }

    #[test]
    fn twenty_idle_connections_carry_less_than_twenty_bytes_a_second() {
        const DAY: u32 = 24 * 60 * 60;
        let start = Instant::now();
        let mut asked = 0;
        for connection in 0..20 {
            let (dialer, listener) = defaults();
            let mut now = start + connection * SECOND;
            let mut ends = [dialer.in_rounds(start), listener].map(|end| Liveness::new(end, now));
            while now < start + DAY * SECOND {
                let mut next = now + DAY * SECOND;
                for end in 0..2 {
                    match ends[end].check(now) {
                        Step::Wait { until } => next = next.min(until),
                        Step::Ask { .. } => {
                            asked += 1;
                            ends.iter_mut().for_each(|end| end.heard(now));
                            next = now;
                        }
                        Step::GiveUp(silent) => panic!("{silent}"),
                    }
                }
                now = next.max(now + SECOND / 1000);
            }
        }
        let bytes = f64::from(asked) * 24.0 / f64::from(DAY);
        assert!(bytes < 20.0, "{bytes} bytes a second");
        assert!(bytes > 19.0, "{bytes} bytes a second");
    }
}
