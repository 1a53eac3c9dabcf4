//! What was seen of one peer. It fades with time, and is brought up to date only when somebody looks.

use std::time::Duration;

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::reputation::Reputation;

/// How much worse an invalid copy is than a delivery is good. None comes by accident.
const INVALID_WEIGHT: f64 = 10.0;

/// The response time that counts as middling.
const MIDDLING_RESPONSE: f64 = 1.0;

/// What the newest response time weighs in the moving average.
const NEWEST_RESPONSE: f64 = 0.25;

/// Slower answers than this count as this slow.
const SLOWEST_RESPONSE: f64 = 3600.0;

/// The time in which it becomes half as telling how a peer was seen last.
const RECENCY_HALF_LIFE: Duration = Duration::from_secs(3600);

/// Where a connection leads, as far as its address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Nearness {
    /// To this machine.
    Loopback,
    /// Into a private or link-local network.
    Private,
    #[default]
    Unknown,
}

impl Nearness {
    pub(super) fn of(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(Protocol::Memory(_)) => Self::Loopback,
            Some(Protocol::Ip4(ip)) if ip.is_loopback() => Self::Loopback,
            Some(Protocol::Ip6(ip)) if ip.is_loopback() => Self::Loopback,
            Some(Protocol::Ip4(ip)) if ip.is_private() || ip.is_link_local() => Self::Private,
            Some(Protocol::Ip6(ip)) if ip.is_unique_local() || ip.is_unicast_link_local() => {
                Self::Private
            }
            _ => Self::Unknown,
        }
    }

    fn term(self) -> f64 {
        match self {
            Self::Loopback => 1.0,
            Self::Private => 0.75,
            Self::Unknown => Reputation::NEUTRAL,
        }
    }
}

/// How a peer was seen last.
#[derive(Debug, Clone, Copy)]
enum Last {
    Delivering { at: Duration },
    Lying { at: Duration },
}

/// How fast a peer delivers.
#[derive(Debug, Clone, Copy)]
struct Response {
    /// The moving average, in seconds.
    average: f64,
    /// When it was last known.
    at: Duration,
}

/// What was seen, as of `at` on the monotonic scale.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conduct {
    valid: u64,
    invalid: u64,
    failed: u64,
    at: Duration,
    deliveries: f64,
    lies: f64,
    failures: f64,
    response: Option<Response>,
    last: Option<Last>,
    nearness: Nearness,
}

/// What is left after some time of what halves in `half_life`. Between 0 and 1; clocks that go backwards change nothing.
fn left(since: Duration, now: Duration, half_life: Duration) -> f64 {
    let passed = now.saturating_sub(since).as_secs_f64();
    (-passed / half_life.as_secs_f64()).exp2()
}

/// What is left of a term's distance from the middle.
fn faded(term: f64, left: f64) -> f64 {
    Reputation::NEUTRAL + (term - Reputation::NEUTRAL) * left
}

fn one_more(count: &mut f64) {
    *count = (*count + 1.0).min(f64::from(Reputation::MOST_REMEMBERED));
}

impl Conduct {
    /// Lets the time since the last look pass.
    fn fade(&mut self, now: Duration) {
        let left = left(self.at, now, Reputation::HALF_LIFE);
        self.deliveries *= left;
        self.lies *= left;
        self.failures *= left;
        self.at = self.at.max(now);
    }

    /// A record that it was asked for has come and is valid, so long after it was asked for.
    pub(super) fn delivered(&mut self, now: Duration, after: Duration, nearness: Nearness) {
        self.fade(now);
        self.valid = self.valid.saturating_add(1);
        one_more(&mut self.deliveries);
        let after = after.as_secs_f64().min(SLOWEST_RESPONSE);
        let average = self.response.map_or(after, |response| {
            response.average + NEWEST_RESPONSE * (after - response.average)
        });
        self.response = Some(Response { average, at: now });
        self.last = Some(Last::Delivering { at: now });
        self.nearness = nearness;
    }

    /// It has served what no honest peer serves.
    pub(super) fn lied(&mut self, now: Duration) {
        self.fade(now);
        self.invalid = self.invalid.saturating_add(1);
        one_more(&mut self.lies);
        self.last = Some(Last::Lying { at: now });
    }

    /// It was not there, or did not have what it should have.
    pub(super) fn failed(&mut self, now: Duration) {
        self.fade(now);
        self.failed = self.failed.saturating_add(1);
        one_more(&mut self.failures);
    }

    /// How it stands.
    pub(super) fn reputation(&self, now: Duration) -> Reputation {
        let mut then = *self;
        then.fade(now);
        let Self { deliveries, lies, failures, .. } = then;
        let (good, served) = (deliveries + 1.0, deliveries + INVALID_WEIGHT * lies + 2.0);
        Reputation {
            valid: self.valid,
            invalid: self.invalid,
            failed: self.failed,
            success: good / served,
            availability: good / (served + failures),
            response_time: self.response.map_or(Reputation::NEUTRAL, |response| {
                let term = MIDDLING_RESPONSE / (MIDDLING_RESPONSE + response.average);
                faded(term, left(response.at, now, Reputation::HALF_LIFE))
            }),
            recency: match self.last {
                None => Reputation::NEUTRAL,
                Some(Last::Delivering { at }) => faded(1.0, left(at, now, RECENCY_HALF_LIFE)),
                Some(Last::Lying { at }) => faded(0.0, left(at, now, RECENCY_HALF_LIFE)),
            },
            nearness: self.nearness.term(),
        }
    }

    /// How often it was seen to deliver, to lie and to fail.
    pub(super) fn counts(&self) -> [u64; 3] {
        [self.valid, self.invalid, self.failed]
    }

    /// How much of that has not faded.
    pub(super) fn remembered(&self, now: Duration) -> [f64; 3] {
        let mut then = *self;
        then.fade(now);
        [then.deliveries, then.lies, then.failures]
    }

    /// What an earlier life has seen, which ended so long ago.
    pub(super) fn restored(
        now: Duration,
        [valid, invalid, failed]: [u64; 3],
        remembered: [f64; 3],
        away: Duration,
    ) -> Self {
        let left = left(Duration::ZERO, away, Reputation::HALF_LIFE);
        let most = f64::from(Reputation::MOST_REMEMBERED);
        let [deliveries, lies, failures] = remembered.map(|count| count.min(most) * left);
        Self { valid, invalid, failed, at: now, deliveries, lies, failures, ..Self::default() }
    }

    /// How many of its copies are remembered, valid or not.
    pub(super) fn seen(&self, now: Duration) -> f64 {
        (self.deliveries + self.lies) * left(self.at, now, Reputation::HALF_LIFE)
    }

    /// Whether the connections with it are to be ended. Where it is does not matter for that.
    pub(super) fn is_unbearable(&self, now: Duration) -> bool {
        let conduct = Reputation { nearness: Reputation::NEUTRAL, ..self.reputation(now) };
        self.seen(now) > f64::from(Reputation::ENOUGH_SEEN) && conduct.score() < Reputation::FLOOR
    }
}
