//! On whose account each record counts: its owner's, and that of the peer that has put it.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
};

use hashbrown::HashTable;
use libp2p::PeerId;
use sha2::{Digest as _, Sha256};

use crate::{
    engine::pages::{Links, NIL, Pages},
    package::owner_key,
    record::{MAX_RECORD_BYTES, Record},
};

/// The owners of what is held, and how many records each has here.
#[derive(Debug)]
pub(super) struct Shares {
    owners: Pages<Owner>,
    by_key: HashTable<u32>,
    hasher: RandomState,
    most: usize,
}

#[derive(Debug)]
struct Owner {
    key: [u8; 32],
    /// Records that name it, those included that are on nobody's share. With the last one it is forgotten.
    named: NonZeroU32,
    /// Records on its share.
    share: u32,
}

impl Shares {
    pub(super) fn new(most: usize) -> Self {
        let (owners, by_key) = (Pages::new(), HashTable::new());
        Self { owners, by_key, hasher: RandomState::new(), most }
    }

    /// The number of an owner who has something here.
    pub(super) fn find(&self, owner: &PeerId) -> Option<u32> {
        let key = owner_key(owner)?;
        let is = |number: &u32| self.owners.get(*number).is_some_and(|owner| owner.key == key);
        self.by_key.find(self.hasher.hash_one(key), is).copied()
    }

    pub(super) fn of(&self, owner: &PeerId) -> usize {
        self.find(owner).map_or(0, |number| self.share_of(number))
    }

    /// How many records the owner with this number has on its share.
    pub(super) fn share_of(&self, number: u32) -> usize {
        self.owners.get(number).map_or(0, |owner| owner.share as usize)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.owners.len()
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

    /// A record of this owner comes in, on its share or on nobody's. Tells the owner's number.
    pub(super) fn take(&mut self, owner: &PeerId, counts: bool) -> u32 {
        let known = self.find(owner);
        let Some(number) = known.or_else(|| self.enter(owner)) else { return NIL };
        if let Some(owner) = self.owners.get_mut(number) {
            owner.share += u32::from(counts);
            owner.named = owner.named.saturating_add(u32::from(known.is_some()));
        }
        number
    }

    fn enter(&mut self, owner: &PeerId) -> Option<u32> {
        let key = owner_key(owner)?;
        let owner = Owner { key, named: NonZeroU32::MIN, share: 0 };
        let number = self.owners.insert(Links { prev: NIL, next: NIL }, owner);
        let (owners, hasher) = (&self.owners, &self.hasher);
        let rehash =
            |number: &u32| owners.get(*number).map_or(0, |owner| hasher.hash_one(owner.key));
        self.by_key.insert_unique(hasher.hash_one(key), number, rehash);
        Some(number)
    }

    /// A record is on this owner's share no more. It is still there.
    pub(super) fn uncount(&mut self, number: u32) {
        if let Some(owner) = self.owners.get_mut(number) {
            owner.share = owner.share.saturating_sub(1);
        }
    }

    /// A record of this owner goes.
    pub(super) fn give_back(&mut self, number: u32, counts: bool) {
        let Some(owner) = self.owners.get_mut(number) else { return };
        owner.share = owner.share.saturating_sub(u32::from(counts));
        match NonZeroU32::new(owner.named.get() - 1) {
            Some(named) => owner.named = named,
            None => {
                let hash = self.hasher.hash_one(owner.key);
                if let Ok(place) = self.by_key.find_entry(hash, |other| *other == number) {
                    place.remove();
                }
                self.owners.take(number);
            }
        }
    }
}

/// Names a peer on whose account records are: a digest of its id, which is shorter than that. Rows of a storage have it,
/// and it is only ever compared. To share an account with a peer of one's choice takes 2^96 attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Account([u8; Account::BYTES]);

impl Account {
    pub(super) const BYTES: usize = 12;

    pub(super) fn of(peer: &PeerId) -> Self {
        let digest = Sha256::digest(peer.to_bytes());
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    pub(super) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How many records and bytes each peer has put that are held. A peer is forgotten with the last of them, so
/// that there are never more peers here than records.
#[derive(Debug)]
pub(super) struct Putters {
    numbers: HashMap<Account, u32>,
    peers: Pages<Put>,
    records: BTreeSet<Place>,
    most: Amount,
}

#[derive(Debug)]
struct Put {
    peer: Account,
    held: Amount,
}

/// The number of a peer, how far away a record is, and the record's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place([u8; 4], [u8; 8], [u8; 4]);

impl Place {
    fn new(peer: u32, distance: u64, record: u32) -> Self {
        Self(peer.to_be_bytes(), distance.to_be_bytes(), record.to_be_bytes())
    }
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
        Self { numbers: HashMap::new(), peers: Pages::new(), records: BTreeSet::new(), most }
    }

    pub(super) fn most(&self) -> Amount {
        self.most
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The number of a peer that has put something that is held.
    pub(super) fn find(&self, peer: &Account) -> Option<u32> {
        self.numbers.get(peer).copied()
    }

    /// The peer with this number.
    pub(super) fn peer(&self, number: u32) -> Option<Account> {
        self.peers.get(number).map(|put| put.peer)
    }

    /// What is held that this peer has put.
    pub(super) fn held(&self, peer: &Account) -> Amount {
        let put = self.find(peer).and_then(|number| self.peers.get(number));
        put.map(|put| put.held).unwrap_or_default()
    }

    /// Whether a record of so many bytes has room on a peer's account.
    pub(super) fn has_room(&self, peer: &Account, bytes: usize) -> bool {
        self.held(peer).plus(bytes).fits(self.most)
    }

    /// What a peer has put, the farthest first: how far away it is, and its number.
    pub(super) fn farthest(&self, peer: &Account) -> impl Iterator<Item = (u64, u32)> {
        let its = self.find(peer).map(|number| {
            let (first, last) = (Place::new(number, 0, 0), Place::new(number, u64::MAX, u32::MAX));
            self.records.range(first..=last).rev()
        });
        its.into_iter().flatten().map(|Place(_, distance, record)| {
            (u64::from_be_bytes(*distance), u32::from_be_bytes(*record))
        })
    }

    /// A peer has put a record, which lies in memory. Tells the peer's number.
    pub(super) fn take(&mut self, peer: Account, distance: u64, record: u32, bytes: usize) -> u32 {
        let number = self.count(peer, bytes);
        self.place(number, distance, record);
        number
    }

    /// A record that the peer with this number has put goes, or is another's.
    pub(super) fn give_back(&mut self, number: u32, distance: u64, record: u32, bytes: usize) {
        self.unplace(number, distance, record);
        self.uncount(number, bytes);
    }

    /// A record is on a peer's account, wherever it lies. Tells the peer's number.
    pub(super) fn count(&mut self, peer: Account, bytes: usize) -> u32 {
        let peers = &mut self.peers;
        let number = *self.numbers.entry(peer).or_insert_with(|| {
            let put = Put { peer, held: Amount::default() };
            peers.insert(Links { prev: NIL, next: NIL }, put)
        });
        if let Some(put) = peers.get_mut(number) {
            put.held = put.held.plus(bytes);
        }
        number
    }

    /// It is so no more.
    pub(super) fn uncount(&mut self, number: u32, bytes: usize) {
        let Some(put) = self.peers.get_mut(number) else { return };
        put.held = put.held.minus(bytes);
        let (peer, is_last) = (put.peer, put.held.records == 0);
        if is_last {
            self.numbers.remove(&peer);
            self.peers.take(number);
        }
    }

    /// A record lies in memory, and is found among those of its peer by distance.
    fn place(&mut self, number: u32, distance: u64, record: u32) {
        self.records.insert(Place::new(number, distance, record));
    }

    /// It lies there no more.
    pub(super) fn unplace(&mut self, number: u32, distance: u64, record: u32) {
        self.records.remove(&Place::new(number, distance, record));
    }
}
