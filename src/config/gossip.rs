//! How much gossip there may be, in multiples of what one author may say.

use std::{hash::Hash, time::Duration};

use super::Limits;
use crate::buckets::Buckets;

/// So many times the rate, and so many times the burst, of one author.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    rates: u32,
    bursts: u32,
}

impl Budget {
    /// What is believed of one author.
    pub(crate) const AUTHOR: Self = Self { rates: 1, bursts: 1 };

    /// What is heard from one peer, which relays what several authors have to say. Each message costs a signature to
    /// verify.
    pub(crate) const FORWARDER: Self = Self { rates: 4, bursts: 2 };

    /// What is relayed in all, and so the most that an honest node forwards to another.
    pub(crate) const RELAYED: Self = Self { rates: 16, bursts: 4 };

    /// Who forwards twice what can be relayed is not honest, or not of this kind.
    pub(crate) const FLOOD: Self = Self::RELAYED.times(2);

    /// What gossipsub remembers. Each message that is relayed comes from up to twelve peers, as many as there are in a
    /// mesh; which copy is the first is known only there.
    pub(crate) const REMEMBERED: Self = Self::RELAYED.times(12);

    const fn times(self, times: u32) -> Self {
        Self { rates: times * self.rates, bursts: times * self.bursts }
    }

    /// The most messages that there are in so many seconds.
    pub(crate) fn messages(self, limits: &Limits, seconds: u32) -> u64 {
        let steady = u64::from(self.rate(limits)).saturating_mul(u64::from(seconds));
        steady.saturating_add(u64::from(self.burst(limits)))
    }

    /// A bucket for each of at most so many.
    pub(crate) fn buckets<K: Copy + Eq + Hash>(self, limits: &Limits, bound: usize) -> Buckets<K> {
        let each = Duration::from_secs(1) / self.rate(limits);
        Buckets::new(self.burst(limits), each, bound)
    }

    fn rate(self, limits: &Limits) -> u32 {
        limits.announcements_per_second.max(1).saturating_mul(self.rates)
    }

    fn burst(self, limits: &Limits) -> u32 {
        limits.announcement_burst.max(1).saturating_mul(self.bursts)
    }
}
