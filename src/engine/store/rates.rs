//! How much each peer may ask for.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;

use crate::config::Limits;

/// So many bursts outstanding, and the peer's connections are closed.
const CLOSING_BURSTS: u32 = 5;

/// What a request costs, in requests.
pub(super) mod cost {
    /// A request.
    pub(crate) const MESSAGE: u32 = 1;
    /// Each signature that is checked: about ten times the work of an answer.
    pub(crate) const CHECK: u32 = 4;
    /// The same, in a record that no honest peer sends.
    pub(crate) const BAD_CHECK: u32 = 32;
}

/// What a peer's next request meets with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// It is served.
    Served,
    /// It asks for too much: what it puts is refused, and what it looks up is not found.
    Unserved,
    /// It does not stop: it is listened to no longer.
    Closed,
}

/// A token bucket for each peer, by the node's clock. A bucket is written as the time at which it would be full
/// again (the "theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371): a peer with a full
/// one is as good as unknown.
#[derive(Debug)]
pub(super) struct Rates {
    peers: HashMap<PeerId, FullAt>,
    /// How long it takes to earn one request.
    interval: Duration,
    burst: Duration,
    closing: Duration,
    bound: usize,
}

/// When a peer's bucket is full again.
type FullAt = Duration;

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        let interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        let burst = interval.saturating_mul(limits.request_burst);
        Self {
            peers: HashMap::new(),
            interval,
            burst,
            closing: burst.saturating_mul(CLOSING_BURSTS),
            bound: limits.recent_peers(),
        }
    }

    /// A peer has sent a request.
    pub(super) fn hear(&mut self, now: Duration, peer: PeerId) -> Hearing {
        self.charge(now, peer, cost::MESSAGE);
        self.hearing(now, &peer)
    }

    /// A message has cost more than others do.
    pub(super) fn charge(&mut self, now: Duration, peer: PeerId, requests: u32) {
        let spent = self.interval.saturating_mul(requests);
        let most = now.saturating_add(self.closing).saturating_add(self.interval);
        let full_at = self.bucket(now, peer);
        // No more than closes the connection, so that a peer is forgiven in a time that is known.
        *full_at = (*full_at).max(now).saturating_add(spent).min(most);
    }

    pub(super) fn hearing(&self, now: Duration, peer: &PeerId) -> Hearing {
        let Some(full_at) = self.peers.get(peer) else { return Hearing::Served };
        let outstanding = full_at.saturating_sub(now);
        if outstanding > self.closing {
            Hearing::Closed
        } else if outstanding > self.burst {
            Hearing::Unserved
        } else {
            Hearing::Served
        }
    }

    fn bucket(&mut self, now: Duration, peer: PeerId) -> &mut FullAt {
        if self.peers.len() >= self.bound && !self.peers.contains_key(&peer) {
            self.make_room(now);
        }
        self.peers.entry(peer).or_insert(now)
    }

    /// Forgets the peers whose buckets are full; else the one whose bucket is the fullest. A walk through all of
    /// them, but only for a stranger in a full house, who has done a handshake for it.
    fn make_room(&mut self, now: Duration) {
        self.peers.retain(|_, full_at| *full_at > now);
        if self.peers.len() >= self.bound {
            let fullest = self.peers.iter().min_by_key(|(_, full_at)| **full_at);
            if let Some(peer) = fullest.map(|(&peer, _)| peer) {
                self.peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
