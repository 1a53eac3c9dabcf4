//! When what is held for others is put to others again.

use super::{Speaker, Store};
use crate::record::{Record, RecordKey};

/// The least time between two rounds in which a record held for others is put to the peers that are closest to
/// it now, in seconds. It is up to twice that, of each record differently, so that one of its holders comes
/// first: what it puts is a round for the others.
pub(super) const REPLICATION_SECS: u64 = 3600;

impl Store {
    /// A peer has put what is held: it cares for it, and so do others that it has put it to.
    pub(super) fn renew(&mut self, key: &RecordKey) {
        self.replicated(key);
        self.adopt(key);
        if self.records.get(key).is_some_and(|held| held.is_undated()) {
            self.ends_at(key, self.now.saturating_add(self.ttl));
        }
    }

    /// Whoever puts what it has signed takes it on its own account: whoever was quicker with it, to have it make room
    /// for something else, has no say in it from then on.
    fn adopt(&mut self, key: &RecordKey) {
        let Some(number) = self.records.find(key) else { return };
        let Some(held) = self.records.at(number).filter(|held| !held.is_outside()) else { return };
        if let Some(Speaker::Peer(peer, account)) = self.speaker
            && self.putters.find(&account).is_none_or(|putter| held.putter != putter)
            && self.putters.has_room(&account, held.len())
            && Record::is_signed_by(held.bytes(), &peer)
        {
            let (distance, bytes) = (held.distance, held.len());
            self.putters.give_back(held.putter, distance, number, bytes);
            let putter = self.putters.take(account, distance, number, bytes);
            self.records.change(number, |held| held.putter = putter);
        }
    }

    pub(super) fn next_replication(&self, distance: u64) -> u64 {
        let spread = distance % REPLICATION_SECS;
        self.now.saturating_add(REPLICATION_SECS).saturating_add(spread)
    }

    fn replicated(&mut self, key: &RecordKey) {
        let Some(number) = self.records.find(key) else { return };
        let Some(held) = self.records.at(number).filter(|held| !held.is_outside()) else { return };
        let next = self.next_replication(held.distance);
        self.records.change(number, |held| held.set_replicate_at(next));
    }

    /// Without an end of its own, nothing is kept for longer than if it were put now, whatever an earlier life has
    /// written down.
    fn bound_time(&mut self, key: &RecordKey) {
        let most = self.now.saturating_add(self.ttl);
        let held = self.records.get(key).filter(|held| held.is_undated());
        if held.is_some_and(|held| held.until() > most) {
            self.ends_at(key, most);
        }
    }

    /// What is held under this key is kept until then.
    pub(super) fn ends_at(&mut self, key: &RecordKey, until: u64) {
        if let Some(number) = self.records.find(key) {
            self.records.change(number, |held| held.set_until(until));
        }
    }

    /// A record that is to be put to others again. Its next round begins.
    pub(super) fn take_due(&mut self) -> Option<Record> {
        loop {
            let (number, held) = self.records.next_replication()?;
            if held.replicate_at() > self.now {
                return None;
            }
            let key = held.key();
            self.replicated(&key);
            self.bound_time(&key);
            let held = self.records.at(number)?;
            if self.is_live(held)
                && let Some(record) = held.record()
            {
                return Some(record);
            }
            if held.until() <= self.certain {
                self.remove(number);
            }
        }
    }
}
