//! On whose account each record counts: its owner's, and that of the peer that has put it.

use std::collections::{BTreeMap, HashMap};

use libp2p::{PeerId, kad::KBucketDistance};

use crate::record::{MAX_RECORD_BYTES, Record, RecordKey};

/// How many records each owner has here.
#[derive(Debug)]
pub(super) struct Shares {
    owners: HashMap<PeerId, usize>,
    most: usize,
}

impl Shares {
    pub(super) fn new(most: usize) -> Self {
        Self { owners: HashMap::new(), most }
    }

    pub(super) fn of(&self, owner: &PeerId) -> usize {
        self.owners.get(owner).copied().unwrap_or_default()
    }

    pub(super) fn is_used_up(&self, owner: &PeerId) -> bool {
        self.of(owner) >= self.most
    }

    /// On whose share a record counts: its owner's. A set of claims is that one's of the claimants who has the
    /// least here, so that nobody is kept out of a set by who else is in it, and nobody's share is used up by
    /// others' claims.
    pub(super) fn account(&self, record: &Record) -> Option<PeerId> {
        match record {
            Record::Head(head) => Some(head.owner),
            Record::Release(release) => Some(release.owner),
            Record::Page(page) => Some(page.owner),
            Record::Claims { set, .. } => {
                set.iter().map(|claim| claim.owner).min_by_key(|owner| self.of(owner))
            }
        }
    }

    pub(super) fn take(&mut self, owner: PeerId) {
        *self.owners.entry(owner).or_default() += 1;
    }

    pub(super) fn give_back(&mut self, owner: &PeerId) {
        if let Some(share) = self.owners.get_mut(owner) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

/// How many records and bytes each peer has put that are held. A peer is forgotten with the last of them, so
/// that there are never more peers here than records.
#[derive(Debug)]
pub(super) struct Putters {
    peers: HashMap<PeerId, Put>,
    /// By the peer's number and the distance from here, which is another one for each key.
    records: BTreeMap<(u64, KBucketDistance), RecordKey>,
    next_number: u64,
    most: Amount,
}

#[derive(Debug)]
struct Put {
    number: u64,
    held: Amount,
}

/// So many records, of so many bytes altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Amount {
    pub(super) fn plus(self, bytes: usize) -> Self {
        Self { records: self.records + 1, bytes: self.bytes.saturating_add(bytes) }
    }

    pub(super) fn minus(self, bytes: usize) -> Self {
        Self { records: self.records.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }

    /// The part of this that so many of its records are, with room for one at the least.
    pub(super) fn part(self, records: usize) -> Self {
        let share = (self.bytes as u128).saturating_mul(records as u128);
        let bytes = share.checked_div(self.records as u128).unwrap_or_default();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self { records, bytes: bytes.clamp(MAX_RECORD_BYTES, self.bytes.max(MAX_RECORD_BYTES)) }
    }

    pub(super) fn fits(self, most: Self) -> bool {
        self.records <= most.records && self.bytes <= most.bytes
    }
}

impl Putters {
    pub(super) fn new(most: Amount) -> Self {
        Self { peers: HashMap::new(), records: BTreeMap::new(), next_number: 0, most }
    }

    pub(super) fn most(&self) -> Amount {
        self.most
    }

    /// What is held that this peer has put.
    pub(super) fn held(&self, peer: &PeerId) -> Amount {
        self.peers.get(peer).map(|put| put.held).unwrap_or_default()
    }

    /// Whether a record of so many bytes has room on a peer's account.
    pub(super) fn has_room(&self, peer: &PeerId, bytes: usize) -> bool {
        self.held(peer).plus(bytes).fits(self.most)
    }

    /// What a peer has put, the farthest first.
    pub(super) fn farthest(
        &self,
        peer: &PeerId,
    ) -> impl Iterator<Item = (KBucketDistance, RecordKey)> {
        let number = self.peers.get(peer).map(|put| put.number);
        // Numbers are never used twice: the range of one ends where the next begins.
        let its = number.map(|number| {
            let nearest = KBucketDistance::default();
            self.records.range((number, nearest)..(number + 1, nearest)).rev()
        });
        its.into_iter().flatten().map(|(&(_, distance), &key)| (distance, key))
    }

    pub(super) fn take(
        &mut self,
        peer: PeerId,
        distance: KBucketDistance,
        key: RecordKey,
        bytes: usize,
    ) {
        let next = &mut self.next_number;
        let put = self.peers.entry(peer).or_insert_with(|| {
            *next += 1;
            Put { number: *next, held: Amount::default() }
        });
        put.held = put.held.plus(bytes);
        self.records.insert((put.number, distance), key);
    }

    pub(super) fn give_back(&mut self, peer: &PeerId, distance: KBucketDistance, bytes: usize) {
        let Some(put) = self.peers.get_mut(peer) else { return };
        put.held = put.held.minus(bytes);
        self.records.remove(&(put.number, distance));
        if put.held.records == 0 {
            self.peers.remove(peer);
        }
    }
}
