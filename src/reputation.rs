//! How a peer stands with a node, as callers are shown it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::counters::Answer;

/// What a node has seen of one peer, and how it stands by that.
///
/// # What counts
///
/// Only what the node has seen itself counts, with peers whose identity the connection has proved:
///
/// - **A delivery**: a copy of a record that a lookup *of this node* asked for and that proved valid. It does not
///   count where the record is the peer's own, nor for claims to a name, which anybody can sign; whoever makes
///   identities by the thousand could else have them praise themselves.
/// - **An invalid copy**: one that no honest peer serves or hands over (bad signature, wrong key, broken encoding).
///   Those that are expired, older than what is known or of a later format do not count: whoever serves them is not
///   at fault.
/// - **A failure**: a dial that came to nothing, of a peer in the routing table and at the addresses that it has told
///   itself; or a record that the peer acknowledged and a moment later did not have.
///
/// What peers say about peers counts for nothing, and there is no message that could say it. Announcements and messages
/// count neither for their authors, who were not asked, nor for or against those who forward them.
///
/// # The score
///
/// Five terms, each from 0 to 1 with 0.5 for "nothing is known", make a weighted mean, times 100:
///
/// | term | weight | value |
/// |--|--|--|
/// | [`success`](Self::success) | [0.40](Self::SUCCESS_WEIGHT) | `(d + 1) / (d + 10 i + 2)`: Laplace's rule of succession, an invalid copy weighing as ten deliveries |
/// | [`availability`](Self::availability) | [0.20](Self::AVAILABILITY_WEIGHT) | `(d + 1) / (d + 10 i + f + 2)` |
/// | [`response_time`](Self::response_time) | [0.15](Self::RESPONSE_TIME_WEIGHT) | `1 s / (1 s + t)`, `t` being the moving average (a quarter is the newest) of the time from the start of a lookup to the peer's verified copy |
/// | [`recency`](Self::recency) | [0.15](Self::RECENCY_WEIGHT) | 1 just after a delivery, 0 just after an invalid copy; from either it goes back to 0.5, half of the way each hour |
/// | [`nearness`](Self::nearness) | [0.10](Self::NEARNESS_WEIGHT) | by the address at the last delivery: 1 for this machine, 0.75 for a private or link-local network, else 0.5 |
///
/// `d`, `i` and `f` are deliveries, invalid copies and failures. Each is no more than
/// [20](Self::MOST_REMEMBERED), so that no long good conduct outweighs a change of mind, and each fades: half is
/// forgotten every [six hours](Self::HALF_LIFE), and of what the response time says as well. A peer that is not heard
/// of goes back to 50, whatever it was.
///
/// # What follows
///
/// Peers are preferred by their scores where the node itself chooses between them, and gossip is told. Where an
/// invalid copy leaves a peer below [30](Self::FLOOR), nearness not counted, and more than
/// [four](Self::ENOUGH_SEEN) copies of its, good and bad, are in memory, the node ends its connections and
/// refuses new ones for [an hour](Self::BLOCK_TIME): [`Event::PeerBlocked`](crate::Event::PeerBlocked). Slow or
/// unreachable peers, and those that are merely unknown, never come so low. About one invalid copy in three is too
/// much. Peers that [`Config::bootstrap`](crate::Config::bootstrap) names are not blocked, and a
/// [`dial`](crate::Handle::dial) by the application ends a block: in both cases somebody has decided. How the peer
/// stands is not changed by that, so that the next invalid copy blocks one that was dialed again.
///
/// # What it does not say
///
/// It is one node's view of peers that it has asked, forgotten when the node ends. It does not say who a peer is,
/// whether what it publishes is harmless, or that it will not hold back tomorrow what it served today. Identities cost
/// nothing: who is blocked comes back as somebody new, at 50, which is why nothing depends on the score but order and
/// connections. Records are verified whoever serves them. Lookups reach far peers later than near ones, so response
/// times compare only roughly. Somebody who answers lookups with false addresses of a peer can slow down dials to
/// it, which are tried at its own addresses first; unreachable for that, it loses no more than ten points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reputation {
    /// Records that the peer was asked for and delivered, since it was first remembered.
    pub valid: u64,
    /// Records of its that no honest peer serves.
    pub invalid: u64,
    /// Dials that failed, and records that it had acknowledged and did not have.
    pub failed: u64,
    /// How much of what it served was valid, from 0 to 1.
    pub success: f64,
    /// How soon it serves, from 0 to 1.
    pub response_time: f64,
    /// How often it was there when it should have been, from 0 to 1.
    pub availability: f64,
    /// How it was seen last, and how long ago, from 0 to 1.
    pub recency: f64,
    /// How near it is, from 0 to 1.
    pub nearness: f64,
}

impl Reputation {
    /// What [`success`](Self::success) weighs. The five weights make 1.
    pub const SUCCESS_WEIGHT: f64 = 0.40;
    /// What [`availability`](Self::availability) weighs.
    pub const AVAILABILITY_WEIGHT: f64 = 0.20;
    /// What [`response_time`](Self::response_time) weighs.
    pub const RESPONSE_TIME_WEIGHT: f64 = 0.15;
    /// What [`recency`](Self::recency) weighs.
    pub const RECENCY_WEIGHT: f64 = 0.15;
    /// What [`nearness`](Self::nearness) weighs.
    pub const NEARNESS_WEIGHT: f64 = 0.10;

    /// The score below which a peer that serves invalid records is blocked.
    pub const FLOOR: u8 = 30;
    /// More copies than this, after fading, are to have been seen before a peer is blocked.
    pub const ENOUGH_SEEN: u8 = 4;
    /// The most deliveries, invalid copies and failures that count, of each.
    pub const MOST_REMEMBERED: u8 = 20;
    /// The time in which half of a peer's conduct is forgotten.
    pub const HALF_LIFE: Duration = Duration::from_secs(6 * 3600);
    /// How long a peer is blocked.
    pub const BLOCK_TIME: Duration = Duration::from_secs(3600);

    /// The value of a term of which nothing is known.
    pub(crate) const NEUTRAL: f64 = 0.5;

    /// From 0 to 100. A peer of whom nothing is known stands at 50.
    ///
    /// ```
    /// assert_eq!(peerage::Reputation::default().score(), 50);
    /// ```
    #[must_use]
    pub fn score(&self) -> u8 {
        let mean = Self::SUCCESS_WEIGHT * self.success
            + Self::AVAILABILITY_WEIGHT * self.availability
            + Self::RESPONSE_TIME_WEIGHT * self.response_time
            + Self::RECENCY_WEIGHT * self.recency
            + Self::NEARNESS_WEIGHT * self.nearness;
        // A cast from a float saturates, and makes zero of what is no number.
        (100.0 * mean).round().clamp(0.0, 100.0) as u8
    }
}

impl Default for Reputation {
    /// That of a peer of whom nothing is known.
    fn default() -> Self {
        Self {
            valid: 0,
            invalid: 0,
            failed: 0,
            success: Self::NEUTRAL,
            response_time: Self::NEUTRAL,
            availability: Self::NEUTRAL,
            recency: Self::NEUTRAL,
            nearness: Self::NEUTRAL,
        }
    }
}

impl Answer for Reputation {}
