//! What is to be looked up so that the table stays full: this node's neighbourhood whole, and a few peers at each
//! distance beyond it.
//!
//! Twenty peers in each bucket would be all of a network of some hundreds. Far buckets need only somebody: lookups go
//! on from there, and fill them with whom they meet ([Kademlia], section 2.3). So a lookup of this node's own key
//! fills the neighbourhood, and then one for each bucket beyond that is thin, or in which nothing was looked up for long.
//! It costs contact with O(k + log n) peers of n.
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf

use std::time::Duration;

use super::Table;
use crate::keyspace::{KEY_BITS, Key};

/// Peers that each bucket beyond the neighbourhood is to have.
pub(crate) const ENOUGH: usize = 4;

/// Where a bucket has fewer even after it was looked up, there may be no more: it is looked up as often as this.
const THIN_PAUSE: Duration = Duration::from_secs(300);

impl Table {
    /// A key is looked up. So is its bucket, or the neighbourhood where it is this node's own.
    pub(crate) fn used(&mut self, now: Duration, target: &Key) {
        match self.depth(target) {
            None => self.neighbourhood_used = Some(now),
            // What is nearer than anybody is part of the neighbourhood.
            Some(depth) => {
                if let Some(bucket) = self.buckets.get_mut(depth) {
                    bucket.looked_up = Some(now);
                }
            }
        }
    }

    /// Whether this node's own key is to be looked up, having not been for this long.
    #[cfg(test)]
    pub(crate) fn is_neighbourhood_stale(&self, now: Duration, interval: Duration) -> bool {
        self.neighbourhood_used.is_none_or(|used| now.saturating_sub(used) >= interval)
    }

    /// The buckets beyond the neighbourhood in which something is to be looked up: nothing was for this long, or they
    /// are thin. The farthest first, as most lookups go there.
    pub(crate) fn stale(&self, now: Duration, interval: Duration) -> Vec<usize> {
        // Without an edge everybody is known.
        let Some(edge) = self.edge() else { return Vec::new() };
        let is_over = |since: Option<Duration>, pause: Duration| {
            since.is_none_or(|since| now.saturating_sub(since) >= pause)
        };
        let beyond = self.buckets.iter().enumerate().take(edge);
        let stale = beyond.filter(|(_, bucket)| {
            if bucket.seated.len() < ENOUGH {
                is_over(bucket.looked_up, THIN_PAUSE.min(interval))
            } else {
                is_over(bucket.looked_up.or(bucket.since), interval)
            }
        });
        stale.map(|(depth, _)| KEY_BITS - 1 - depth).collect()
    }

    /// A key in one of this node's buckets, drawn from these bits.
    #[cfg(test)]
    pub(crate) fn key_in(&self, bucket: usize, random: [u8; 32]) -> Key {
        self.local.in_bucket(bucket, random)
    }

    /// The depth at which the `k` closest peers end, if there are as many.
    fn edge(&self) -> Option<usize> {
        let mut nearer = 0;
        self.buckets.iter().enumerate().rev().find_map(|(depth, bucket)| {
            nearer += bucket.seated.len();
            (nearer >= self.k).then_some(depth)
        })
    }
}
