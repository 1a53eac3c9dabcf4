//! Keys with which something was done a moment ago, so that it is not done again at once: lookups that found
//! nothing, replicas that were repaired.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// Keys that are remembered for a short time, bounded in number: the oldest goes first.
#[derive(Debug)]
pub(super) struct Recent<K> {
    until: HashMap<K, Duration>,
    /// Oldest first: nearly all live equally long. A key that was forgotten early stays here until its time, and one that
    /// lives shorter until those before it go.
    order: VecDeque<(Duration, K)>,
    ttl: Duration,
    bound: usize,
}

impl<K: Copy + Eq + Hash> Recent<K> {
    pub(super) fn new(ttl: Duration, bound: usize) -> Self {
        Self { until: HashMap::new(), order: VecDeque::new(), ttl, bound }
    }

    /// Remembers a key, unless it is remembered already: its time does not begin anew.
    pub(super) fn insert(&mut self, key: K, now: Duration) {
        self.insert_for(key, now, self.ttl);
    }

    /// The same for a time of its own, if that is shorter.
    pub(super) fn insert_for(&mut self, key: K, now: Duration, ttl: Duration) {
        if self.contains(&key, now) {
            return;
        }
        let until = now.saturating_add(ttl.min(self.ttl));
        self.until.insert(key, until);
        self.order.push_back((until, key));
        while self.order.len() > self.bound
            || self.order.front().is_some_and(|&(until, _)| until <= now)
        {
            let Some((until, key)) = self.order.pop_front() else { return };
            if self.until.get(&key) == Some(&until) {
                self.until.remove(&key);
            }
        }
    }

    pub(super) fn contains(&self, key: &K, now: Duration) -> bool {
        self.until.get(key).is_some_and(|&until| until > now)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.until.clear();
        self.order.clear();
    }

    /// Forgets a key: something is there now, say.
    pub(super) fn remove(&mut self, key: &K) {
        self.until.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::PeerId;

    use crate::record::RecordKey;

    fn key(n: usize) -> RecordKey {
        let name = format!("package-{n}").parse().unwrap();
        RecordKey::head(&crate::record::NetworkName::default(), &PeerId::random(), &name)
    }

    #[test]
    fn what_was_not_there_is_asked_for_again_after_a_while() {
        let mut recent = Recent::new(Duration::from_secs(2), 8);
        let (gone, second) = (key(1), Duration::from_secs(1));
        recent.insert(gone, second);
        assert!(recent.contains(&gone, 2 * second));
        assert!(!recent.contains(&gone, 3 * second));
        recent.insert(gone, 5 * second);
        recent.remove(&gone);
        assert!(!recent.contains(&gone, 5 * second));
    }

    #[test]
    fn a_flood_of_questions_costs_bounded_memory() {
        let mut recent = Recent::new(Duration::from_secs(2), 8);
        let keys: Vec<_> = (0..100).map(key).collect();
        for key in &keys {
            recent.insert(*key, Duration::ZERO);
        }
        assert_eq!((recent.until.len(), recent.order.len()), (8, 8));
        assert!(recent.contains(&keys[99], Duration::ZERO));
        recent.insert(key(200), Duration::from_secs(9));
        assert_eq!((recent.until.len(), recent.order.len()), (1, 1));
    }
}
