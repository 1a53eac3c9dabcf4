//! Peers that share a distance, and those who wait for one of their seats.

use std::time::Duration;

use super::entry::Entry;
use crate::keyspace::Key;

/// Peers that wait for a seat of one bucket. All of them are connected.
const MAX_WAITING: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) seated: Vec<Entry>,
    pub(super) waiting: Vec<Entry>,
    /// When its first peer came.
    pub(super) since: Option<Duration>,
    /// When something in it was last looked up.
    pub(super) looked_up: Option<Duration>,
}

impl Bucket {
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.seated.iter().find(|entry| entry.key == *key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        self.seated.iter_mut().find(|entry| entry.key == *key)
    }

    /// Also one that waits.
    pub(super) fn known_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        self.seated.iter_mut().chain(&mut self.waiting).find(|entry| entry.key == *key)
    }

    pub(super) fn take_seated(&mut self, key: &Key) -> Option<Entry> {
        take(&mut self.seated, key)
    }

    pub(super) fn take_waiting(&mut self, key: &Key) -> Option<Entry> {
        take(&mut self.waiting, key)
    }

    /// Puts a newcomer in line. If the line is full, or its host has its share of it, the one goes that was not seen
    /// for the longest time, of all or of the host.
    pub(super) fn wait(&mut self, entry: Entry, per_host: usize) {
        let host = entry.place.and_then(|place| place.host);
        let shares =
            |other: &Entry| host.is_some() && other.place.and_then(|place| place.host) == host;
        let of_host = self.waiting.iter().filter(|other| shares(other)).count();
        let leaves = if of_host > 0 && of_host >= per_host {
            oldest(self.waiting.iter().filter(|other| shares(other)))
        } else if self.waiting.len() >= MAX_WAITING {
            oldest(self.waiting.iter())
        } else {
            None
        };
        if let Some(key) = leaves {
            self.take_waiting(&key);
        }
        self.waiting.push(entry);
    }
}

fn take(entries: &mut Vec<Entry>, key: &Key) -> Option<Entry> {
    let at = entries.iter().position(|entry| entry.key == *key)?;
    Some(entries.swap_remove(at))
}

fn oldest<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<Key> {
    entries.min_by_key(|entry| entry.standing.seen).map(|entry| entry.key)
}
