//! Topics that the application subscribed, and messages heard on them of late.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::{
    error::{Error, Result},
    package::Digest,
};

/// Messages remembered, so that one that is played again is not heard twice.
pub(crate) const REMEMBERED_MESSAGES: usize = 8192;

#[derive(Debug)]
pub(in crate::engine) struct Topics {
    subscribed: BTreeSet<String>,
    heard: HashSet<Digest>,
    order: VecDeque<Digest>,
    bound: usize,
}

impl Topics {
    pub(in crate::engine) fn new(bound: usize) -> Self {
        let (subscribed, heard, order) = Default::default();
        Self { subscribed, heard, order, bound }
    }

    /// Adds a topic. False if it is there already.
    pub(in crate::engine) fn subscribe(&mut self, topic: &str) -> Result<bool> {
        if self.subscribed.contains(topic) {
            return Ok(false);
        }
        if self.subscribed.len() >= self.bound {
            return Err(Error::busy("topics"));
        }
        Ok(self.subscribed.insert(topic.to_owned()))
    }

    pub(in crate::engine) fn unsubscribe(&mut self, topic: &str) -> bool {
        self.subscribed.remove(topic)
    }

    pub(in crate::engine) fn contains(&self, topic: &str) -> bool {
        self.subscribed.contains(topic)
    }

    /// Remembers a message. False if it was heard before.
    pub(in crate::engine) fn hear(&mut self, message: Digest) -> bool {
        if !self.heard.insert(message) {
            return false;
        }
        self.order.push_back(message);
        if self.order.len() > REMEMBERED_MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.heard.remove(&oldest);
        }
        true
    }
}
