//! A bounded memory.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// What was remembered last: at most so much, the oldest goes first. Each step takes the same time however much it is.
#[derive(Debug, Clone)]
pub(super) struct Recent<K, V> {
    known: HashMap<K, V>,
    /// Oldest first.
    order: VecDeque<K>,
    capacity: usize,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// With a capacity of 0 nothing is remembered.
    pub(super) fn new(capacity: usize) -> Self {
        Self { known: HashMap::new(), order: VecDeque::new(), capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key)
    }

    /// What is known already keeps its place in the order.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        if let Some(known) = self.known.get_mut(&key) {
            *known = value;
            return;
        }
        while self.known.len() >= self.capacity {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
        self.known.insert(key, value);
        self.order.push_back(key);
    }
}
