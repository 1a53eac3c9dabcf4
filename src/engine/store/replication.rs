//! When what is held for others is put to others again.

use libp2p::{PeerId, kad::KBucketDistance};

use super::Store;
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
        let Some(held) = self.records.get(key) else { return };
        if held.record.expires().is_none() {
            let until = self.now.saturating_add(self.ttl);
            self.ends_at(key, until);
        }
    }

    /// Whoever puts what it has signed takes it on its own account: whoever was quicker with it, to have it make room
    /// for something else, has no say in it from then on.
    fn adopt(&mut self, key: &RecordKey) {
        let Some(held) = self.records.get_mut(key).filter(|held| !held.own) else { return };
        if let Some(speaker) = self.speaker
            && held.putter != Some(speaker)
            && is_signed_by(&held.record, &speaker)
            && self.putters.has_room(&speaker, held.bytes)
        {
            if let Some(before) = held.putter.replace(speaker) {
                self.putters.give_back(&before, held.distance, held.bytes);
            }
            self.putters.take(speaker, held.distance, *key, held.bytes);
        }
    }

    pub(super) fn next_replication(&self, distance: KBucketDistance) -> u64 {
        let spread = distance.0.low_u64() % REPLICATION_SECS;
        self.now.saturating_add(REPLICATION_SECS).saturating_add(spread)
    }

    fn replicated(&mut self, key: &RecordKey) {
        let Some(distance) = self.records.get(key).map(|held| held.distance) else { return };
        let next = self.next_replication(distance);
        if let Some(held) = self.records.get_mut(key)
            && self.by_replication.remove(&(held.replicate_at, *key))
        {
            held.replicate_at = next;
            self.by_replication.insert((next, *key));
        }
    }

    /// Without an end of its own, nothing is kept for longer than if it were put now, whatever an earlier life has
    /// written down.
    fn bound_time(&mut self, key: &RecordKey) {
        let most = self.now.saturating_add(self.ttl);
        let held = self.records.get(key).filter(|held| held.record.expires().is_none());
        if held.is_some_and(|held| held.until > most) {
            self.ends_at(key, most);
        }
    }

    /// What is held under this key is kept until then.
    pub(super) fn ends_at(&mut self, key: &RecordKey, until: u64) {
        let Some(held) = self.records.get_mut(key) else { return };
        self.by_expiry.remove(&(held.until, *key));
        held.until = until;
        self.by_expiry.insert((until, *key));
    }

    /// A record that is to be put to others again. Its next round begins.
    pub(super) fn take_due(&mut self) -> Option<Record> {
        loop {
            let &(due, key) = self.by_replication.first()?;
            if due > self.now {
                return None;
            }
            self.replicated(&key);
            self.bound_time(&key);
            if let Some(held) = self.live(&key) {
                return Some(held.record.clone());
            }
            if self.records.get(&key).is_some_and(|held| held.until <= self.certain) {
                self.remove(&key);
            }
        }
    }
}

/// Whether a record is this peer's work, as its owner's or a publisher's: of a set of claims, all of it.
fn is_signed_by(record: &Record, peer: &PeerId) -> bool {
    match record {
        Record::Head(head) => head.signer() == *peer,
        Record::Release(release) => release.signer() == *peer,
        Record::Page(page) => page.signer() == *peer,
        Record::Claims { set, .. } => set.iter().all(|claim| claim.signer() == *peer),
    }
}
