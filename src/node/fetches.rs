//! Requests that wait for what lies in the storage alone: a record, or the sequences by which records are judged.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;

use crate::{
    engine::{Breadth, QueryKey, dht::message::Request},
    net::kad::InboundId,
    record::RecordKey,
};

/// So many requests wait for records at the most, and as many puts of peers for the sequences: neither takes the places of
/// the other. Beyond it, they are answered as if nothing lay in the storage.
pub(crate) const MOST: usize = 1_024;

/// So many records are fetched at once.
const AT_ONCE: usize = 64;

/// What waits for a record.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A peer has asked for it, or puts it.
    Peer { asked: InboundId, peer: PeerId, request: Request },
    /// A lookup begins with it.
    Lookup { query: QueryKey, key: RecordKey, breadth: Breadth },
}

/// The digests of the keys that are fetched, and who waits for each.
///
/// ```text
/// wait ─▶ queue ── begin ─▶ being read ── end ─▶ whoever waits goes on
/// hold_back ─▶ until all sequences are read ── take_held_back ─▶ the same
/// ```
#[derive(Debug, Default)]
pub(super) struct Fetches {
    queue: VecDeque<[u8; 32]>,
    waiting: HashMap<[u8; 32], Vec<Waiting>>,
    /// How many wait for a record.
    len: usize,
    /// What waits for all sequences.
    held_back: Vec<Waiting>,
}

impl Fetches {
    /// Has a request wait. Gives it back if too many wait.
    pub(super) fn wait(&mut self, digest: [u8; 32], waiting: Waiting) -> Option<Waiting> {
        if self.len >= MOST {
            return Some(waiting);
        }
        self.len += 1;
        self.want(digest).push(waiting);
        None
    }

    /// Has a request wait for the sequences. Gives it back if too many wait.
    pub(super) fn hold_back(&mut self, waiting: Waiting) -> Option<Waiting> {
        // Only so many lookups run as may.
        if self.held_back.len() >= MOST && matches!(waiting, Waiting::Peer { .. }) {
            return Some(waiting);
        }
        self.held_back.push(waiting);
        None
    }

    /// The sequences have been read. Tells what has waited for them, some of it at a time.
    pub(super) fn take_held_back(&mut self) -> Vec<Waiting> {
        let count = self.held_back.len().min(AT_ONCE);
        self.held_back.drain(..count).collect()
    }

    /// A record is to be fetched. Tells who waits for it.
    fn want(&mut self, digest: [u8; 32]) -> &mut Vec<Waiting> {
        let queue = &mut self.queue;
        self.waiting.entry(digest).or_insert_with(|| {
            queue.push_back(digest);
            Vec::new()
        })
    }

    /// The records that are read next, with those that are wanted by nobody's request as far as there is room.
    pub(super) fn begin(&mut self, wanted: impl Iterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
        for digest in wanted.take(AT_ONCE.saturating_sub(self.queue.len())) {
            self.want(digest);
        }
        let count = self.queue.len().min(AT_ONCE);
        self.queue.drain(..count).collect()
    }

    /// A lookup has ended before it could begin.
    pub(super) fn forget(&mut self, ended: QueryKey) {
        let goes_on = |waiting: &Waiting| !matches!(waiting, Waiting::Lookup { query, .. } if *query == ended);
        for waiting in self.waiting.values_mut() {
            let before = waiting.len();
            waiting.retain(goes_on);
            self.len -= before - waiting.len();
        }
        self.held_back.retain(goes_on);
    }

    /// A record was read while it may have changed: it is read again.
    pub(super) fn again(&mut self, digest: [u8; 32]) {
        self.queue.push_back(digest);
    }

    /// Nothing can be read. Tells who has waited.
    pub(super) fn end_all(&mut self) -> Vec<Waiting> {
        self.len = 0;
        self.queue.clear();
        self.waiting.drain().flat_map(|(_, waiting)| waiting).collect()
    }

    /// A record was read. Tells who has waited for it.
    pub(super) fn end(&mut self, digest: &[u8; 32]) -> Vec<Waiting> {
        let ended = self.waiting.remove(digest).unwrap_or_default();
        self.len -= ended.len();
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(number: u64) -> Waiting {
        let key = RecordKey::of_digest(&[number as u8; 32]);
        Waiting::Lookup { query: QueryKey::numbered(number), key, breadth: Breadth::Narrow }
    }

    #[test]
    fn a_record_is_read_once_for_all_who_wait_for_it() {
        let mut fetches = Fetches::default();
        assert!(fetches.wait([1; 32], lookup(1)).is_none());
        assert!(fetches.wait([1; 32], lookup(2)).is_none());
        assert_eq!(fetches.begin(std::iter::empty()), [[1; 32]]);
        // Whoever comes while it is being read waits for the same.
        assert!(fetches.wait([1; 32], lookup(3)).is_none());
        assert!(fetches.begin(std::iter::empty()).is_empty());
        assert_eq!(fetches.end(&[1; 32]).len(), 3);
        assert!(fetches.end(&[1; 32]).is_empty());
    }

    #[test]
    fn no_more_wait_than_the_bound_and_their_places_are_used_again() {
        let mut fetches = Fetches::default();
        for number in 0..MOST {
            assert!(fetches.wait([(number % 200) as u8; 32], lookup(1)).is_none());
        }
        assert!(fetches.wait([201; 32], lookup(1)).is_some());
        fetches.end(&[7; 32]);
        assert!(fetches.wait([201; 32], lookup(1)).is_none());
    }

    #[test]
    fn what_waits_for_the_sequences_takes_no_places_of_what_waits_for_a_record() {
        let mut fetches = Fetches::default();
        for number in 0..2 * MOST as u64 {
            assert!(fetches.hold_back(lookup(number)).is_none());
        }
        assert!(fetches.wait([1; 32], lookup(0)).is_none());
        assert_eq!(fetches.end(&[1; 32]).len(), 1);
    }

    #[test]
    fn a_lookup_that_has_ended_does_not_begin() {
        let mut fetches = Fetches::default();
        assert!(fetches.wait([1; 32], lookup(1)).is_none());
        assert!(fetches.wait([1; 32], lookup(2)).is_none());
        fetches.forget(QueryKey::numbered(1));
        let left = fetches.end(&[1; 32]);
        assert!(
            matches!(left[..], [Waiting::Lookup { query, .. }] if query == QueryKey::numbered(2))
        );
    }

    #[test]
    fn what_waits_for_the_sequences_waits_for_nothing_else() {
        let mut fetches = Fetches::default();
        assert!(fetches.hold_back(lookup(1)).is_none());
        assert!(fetches.hold_back(lookup(2)).is_none());
        assert!(fetches.wait([1; 32], lookup(3)).is_none());
        assert_eq!(fetches.end_all().len(), 1);
        fetches.forget(QueryKey::numbered(1));
        assert!(matches!(fetches.take_held_back()[..], [Waiting::Lookup { query, .. }]
            if query == QueryKey::numbered(2)));
        assert_eq!(fetches.len, 0);
    }

    #[test]
    fn what_nobody_asks_for_comes_after_what_somebody_does() {
        let mut fetches = Fetches::default();
        for number in 0..AT_ONCE - 1 {
            assert!(fetches.wait([number as u8; 32], lookup(1)).is_none());
        }
        let begun = fetches.begin([[254; 32], [255; 32]].into_iter());
        assert_eq!(begun.len(), AT_ONCE);
        assert_eq!(begun.last(), Some(&[254; 32]));
    }
}
