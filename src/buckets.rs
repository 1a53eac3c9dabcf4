//! Token buckets, one for each key of a table that is bounded.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// What each of many has spent lately, written as the time at which its bucket would be full again (the generic cell
/// rate algorithm, ITU-T I.371): who has spent nothing for as long as a bucket takes to fill is as good as unknown.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    full_at: HashMap<K, Duration>,
    /// How long it takes to earn one token.
    interval: Duration,
    /// How long it takes to fill an empty bucket.
    burst: Duration,
    /// How many keys are remembered.
    bound: usize,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    /// Buckets of so many tokens, each of which is earned in this time, for at most so many keys.
    pub(crate) fn new(tokens: u32, interval: Duration, bound: usize) -> Self {
        let interval = interval.max(Duration::from_nanos(1));
        let burst = interval.saturating_mul(tokens.max(1));
        Self { full_at: HashMap::new(), interval, burst, bound: bound.max(1) }
    }

    /// How many tokens there are now.
    pub(crate) fn left(&self, now: Duration, key: &K) -> usize {
        let full_at = self.full_at.get(key).copied().unwrap_or(now);
        let left = self.burst.saturating_sub(full_at.saturating_sub(now));
        usize::try_from(left.as_nanos() / self.interval.as_nanos()).unwrap_or(usize::MAX)
    }

    /// So many have been spent, whether or not they were there.
    pub(crate) fn spend(&mut self, now: Duration, key: K, tokens: usize) {
        if self.full_at.len() >= self.bound && !self.full_at.contains_key(&key) {
            self.make_room(now);
        }
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let full_at = self.full_at.entry(key).or_insert(now);
        *full_at = (*full_at).max(now).saturating_add(self.interval.saturating_mul(tokens));
    }

    /// Spends one token, if it is there.
    pub(crate) fn take(&mut self, now: Duration, key: K) -> bool {
        let is_there = self.left(now, &key) > 0;
        if is_there {
            self.spend(now, key, 1);
        }
        is_there
    }

    /// Forgets those whose buckets are full; else the one that lacks the least.
    fn make_room(&mut self, now: Duration) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= self.bound {
            let least = self.full_at.iter().min_by_key(|(_, full_at)| **full_at);
            if let Some(key) = least.map(|(&key, _)| key) {
                self.full_at.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_full_bucket_may_be_spent_at_once_and_fills_again_in_its_time() {
        let mut buckets = Buckets::new(3600, Duration::from_secs(1), 8);
        assert_eq!(buckets.left(START, &'a'), 3600);
        buckets.spend(START, 'a', 3600);
        assert_eq!(buckets.left(START, &'a'), 0);
        assert!(!buckets.take(START, 'a'));
        assert_eq!(buckets.left(START, &'b'), 3600, "each for itself");
        assert_eq!(buckets.left(START + Duration::from_secs(60), &'a'), 60);
        assert_eq!(buckets.left(START + HOUR, &'a'), 3600);
        assert_eq!(buckets.left(START + 2 * HOUR, &'a'), 3600, "nothing is saved up");
    }

    #[test]
    fn who_asks_in_vain_is_not_put_off_any_further() {
        let mut buckets = Buckets::new(2, Duration::from_secs(1), 8);
        let taken =
            |buckets: &mut Buckets<_>, now| (0..100).filter(|_| buckets.take(now, 'a')).count();
        assert_eq!(taken(&mut buckets, START), 2);
        assert_eq!(taken(&mut buckets, START + Duration::from_secs(1)), 1);
        assert_eq!(taken(&mut buckets, START + Duration::from_secs(9)), 2);
    }

    #[test]
    fn of_too_many_the_one_that_has_spent_least_is_forgotten() {
        let mut buckets = Buckets::new(3600, Duration::from_secs(1), 2);
        for (key, tokens) in [('a', 100), ('b', 10), ('c', 1)] {
            buckets.spend(START, key, tokens);
        }
        assert_eq!(['a', 'b', 'c'].map(|key| buckets.left(START, &key)), [3500, 3600, 3599]);
        // Who is quiet makes room by itself.
        buckets.spend(START + HOUR, 'b', 5);
        assert_eq!(buckets.full_at.len(), 1);
    }
}
