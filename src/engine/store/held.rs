//! What is held: each record as the bytes that were verified, and the orders in which records go.
//!
//! A record is read again when somebody asks what it says: as it is read, it would take many times its bytes. Beside them
//! it takes some 200, for its place here and in the orders, which have numbers of four bytes instead of keys.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    sync::Arc,
};

use hashbrown::HashTable;

mod cooling;
mod standing;

pub(super) use standing::Standing;

use crate::{
    engine::{
        dirty::Dirty,
        pages::{Links, NIL, Pages},
    },
    package::PackageName,
    record::{Kind, Record, RecordKey},
};

/// A record that is held. There may be very many: what its bytes say is not kept beside them.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Box<[u8]>,
    key: [u8; 32],
    /// How far its key lies from this node: the first 64 bits.
    pub(super) distance: u64,
    /// Whose package it is of, or on whose share it counts. [`NIL`] for nobody's.
    pub(super) owner: u32,
    /// Which peer's room it takes: of the one who has put it. [`NIL`] for nobody's.
    pub(super) putter: u32,
    /// The hash of its package's name. Claims to a name belong to several.
    name: Option<NameHash>,
    /// Unix seconds. All 64 bits are kept: a clock may tell any of them.
    until: u64,
    replicate_at: u64,
    marks: u8,
}

/// Never 0, so that none takes no room.
type NameHash = NonZeroU32;

/// It is one of this node's own.
const OWN: u8 = 1;
/// An earlier life of this node has published it.
const EARLIER: u8 = 16;
/// It is part of an own package that stands, and does not go with its time.
const LASTING: u8 = 32;
/// It has no end of its own.
const UNDATED: u8 = 2;
/// Several owners have signed it.
const OF_SEVERAL: u8 = 4;
/// Somebody has asked for it since it was last looked at.
const USED: u8 = 8;

impl Held {
    /// A record, nobody's yet. It is no longer served after `until`.
    pub(super) fn new(record: &Record, distance: u64, until: u64, replicate_at: u64) -> Self {
        let is_of_several = match record {
            Record::Claims { set, .. } => {
                // One owner may claim two spellings.
                let mut owners = set.iter().map(|claim| claim.owner);
                owners.next().is_some_and(|first| owners.any(|owner| owner != first))
            }
            Record::Head(_) | Record::Release(_) | Record::Page(_) => false,
        };
        let undated = if record.expires().is_none() { UNDATED } else { 0 };
        Self {
            bytes: (*record.to_bytes()).into(),
            key: record.key().digest(),
            distance,
            owner: NIL,
            putter: NIL,
            name: None,
            until,
            replicate_at,
            marks: undated | if is_of_several { OF_SEVERAL } else { 0 },
        }
    }

    /// Whether it has no end of its own.
    pub(super) fn is_undated(&self) -> bool {
        self.marks & UNDATED != 0
    }

    /// Whether several owners have signed it.
    pub(super) fn is_of_several(&self) -> bool {
        self.marks & OF_SEVERAL != 0
    }

    /// Unix seconds after which it is no longer served.
    pub(super) fn until(&self) -> u64 {
        self.until
    }

    pub(super) fn set_until(&mut self, unix: u64) {
        self.until = unix;
    }

    /// Unix seconds at which it is put to others again, unless they do so before.
    pub(super) fn replicate_at(&self) -> u64 {
        self.replicate_at
    }

    pub(super) fn set_replicate_at(&mut self, unix: u64) {
        self.replicate_at = unix;
    }

    pub(super) fn key(&self) -> RecordKey {
        RecordKey::of_digest(&self.key)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes it has on the wire.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_claims(&self) -> bool {
        self.bytes.get(1) == Some(&(Kind::ClaimSet as u8))
    }

    /// Whether this name stands in it, as names are written: a byte of length, and the letters. A package may have very many
    /// records, and to decode all of them would take long.
    pub(super) fn names(&self, name: &PackageName) -> bool {
        let name = name.as_str().as_bytes();
        let mut places = self.bytes().windows(name.len() + 1);
        places.any(|place| {
            place.split_first().is_some_and(|(length, letters)| {
                usize::from(*length) == name.len() && letters == name
            })
        })
    }

    /// What it says.
    pub(super) fn record(&self) -> Option<Record> {
        // The bytes were verified before they came here.
        Record::reopened(&Arc::from(self.bytes())).ok()
    }
}

/// A place in an order by time, and the number of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ByTime([u8; 8], [u8; 4]);

impl ByTime {
    fn new(time: u64, number: u32) -> Self {
        Self(time.to_be_bytes(), number.to_be_bytes())
    }

    fn number(self) -> u32 {
        u32::from_be_bytes(self.1)
    }
}

/// A place in the order by distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ByDistance([u8; 8], [u8; 4]);

impl ByDistance {
    fn new(distance: u64, number: u32) -> Self {
        Self(distance.to_be_bytes(), number.to_be_bytes())
    }
}

/// All records that are held, by key, by package, and in their orders.
#[derive(Debug)]
pub(super) struct Table {
    records: Pages<Held>,
    by_key: HashTable<u32>,
    /// The first record of each package. The others follow by their links.
    packages: HashTable<u32>,
    by_distance: BTreeSet<ByDistance>,
    by_expiry: BTreeSet<ByTime>,
    /// Those that are not this node's own: these the engine renews.
    by_replication: BTreeSet<ByTime>,
    hasher: RandomState,
    /// Up to where it was looked for what need not lie in memory.
    hand: u32,
    /// Own records that somebody else has replaced. The storage keeps them until this node has taken that in.
    overtaken: HashMap<[u8; 32], Held>,
    /// This node's own records that the storage does not have as they are.
    pub(super) own_changed: Dirty<[u8; 32]>,
    /// The same for those of others.
    pub(super) changed: Dirty<[u8; 32]>,
    /// How many records were looked at by number, for tests of what a request costs.
    #[cfg(test)]
    pub(super) looked_at: std::cell::Cell<usize>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            records: Pages::new(),
            by_key: HashTable::new(),
            packages: HashTable::new(),
            by_distance: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            by_replication: BTreeSet::new(),
            hasher: RandomState::new(),
            hand: 0,
            overtaken: HashMap::new(),
            own_changed: Dirty::default(),
            changed: Dirty::default(),
            #[cfg(test)]
            looked_at: std::cell::Cell::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The number of the record under a key.
    pub(super) fn find(&self, key: &RecordKey) -> Option<u32> {
        self.find_digest(&key.digest())
    }

    fn find_digest(&self, key: &[u8; 32]) -> Option<u32> {
        let is = |number: &u32| self.records.get(*number).is_some_and(|held| held.key == *key);
        self.by_key.find(self.hasher.hash_one(key), is).copied()
    }

    /// The record under the key with this digest.
    pub(super) fn by_digest(&self, key: &[u8; 32]) -> Option<&Held> {
        self.records.get(self.find_digest(key)?)
    }

    pub(super) fn get(&self, key: &RecordKey) -> Option<&Held> {
        self.records.get(self.find(key)?)
    }

    pub(super) fn at(&self, number: u32) -> Option<&Held> {
        #[cfg(test)]
        self.looked_at.update(|count| count + 1);
        self.records.get(number)
    }

    /// Takes a record in, of this package if it is one's alone. None is held under its key.
    pub(super) fn insert(&mut self, mut held: Held, package: Option<&PackageName>) -> u32 {
        held.name = package.map(|name| self.name_hash(name));
        let key = self.hasher.hash_one(held.key);
        let number = self.records.insert(Links { prev: NIL, next: NIL }, held);
        let (records, hasher) = (&self.records, &self.hasher);
        let rehash =
            |number: &u32| records.get(*number).map_or(0, |held| hasher.hash_one(held.key));
        self.by_key.insert_unique(key, number, rehash);
        self.link(number);
        self.order(number);
        if let Some((changed, key)) = self.row(number) {
            changed.mark_new(|| key);
        }
        number
    }

    /// Takes the record with this number out.
    pub(super) fn take(&mut self, number: u32) -> Option<Held> {
        let held = self.take_unmarked(number)?;
        self.changed_among(held.is_outside()).mark_gone(|| held.key);
        Some(held)
    }

    /// The same, of one that stays in the storage.
    fn take_unmarked(&mut self, number: u32) -> Option<Held> {
        self.unorder(number);
        self.unlink(number);
        let (_, held) = self.records.take(number)?;
        if let Ok(place) =
            self.by_key.find_entry(self.hasher.hash_one(held.key), |other| *other == number)
        {
            place.remove();
        }
        Some(held)
    }

    /// Where and under which key the storage has this record.
    fn row(&mut self, number: u32) -> Option<(&mut Dirty<[u8; 32]>, [u8; 32])> {
        let held = self.records.get(number)?;
        let (is_own, key) = (held.is_outside(), held.key);
        Some((self.changed_among(is_own), key))
    }

    /// What has changed among this node's own records, or among those of others.
    fn changed_among(&mut self, own: bool) -> &mut Dirty<[u8; 32]> {
        if own { &mut self.own_changed } else { &mut self.changed }
    }

    /// Changes what is kept of a record besides its bytes. Its orders follow.
    pub(super) fn change(&mut self, number: u32, change: impl FnOnce(&mut Held)) {
        self.unorder(number);
        let stored = |held: &Held| (held.until, held.putter, held.is_outside());
        let before = self.records.get(number).map(stored);
        if let Some(held) = self.records.get_mut(number) {
            change(held);
        }
        self.order(number);
        let after = self.records.get(number);
        if after.map(stored) != before {
            let was_others = before.is_some_and(|(_, _, was_outside)| !was_outside);
            if let Some(held) = after.filter(|held| was_others && held.is_outside()) {
                // It lies among the own ones from here on.
                self.changed.mark_gone(|| held.key);
            }
            if let Some((changed, key)) = self.row(number) {
                changed.mark(|| key);
            }
        }
    }

    /// The numbers of a package's records, and perhaps of another one's with the same hash: hashes have 32 bits.
    pub(super) fn of_package(&self, owner: u32, name: &PackageName) -> Vec<u32> {
        let wanted = self.name_hash(name);
        let hash = self.hasher.hash_one((owner, wanted));
        let is = |held: &Held| held.owner == owner && held.name == Some(wanted);
        let mut next =
            self.packages.find(hash, |first| self.records.get(*first).is_some_and(is)).copied();
        let mut found = Vec::new();
        while let Some(number) = next {
            found.push(number);
            next = self.records.links(number).map(|links| links.next).filter(|next| *next != NIL);
        }
        found
    }

    /// Records of others, the farthest first, with how far away they are.
    pub(super) fn farthest(&self) -> impl Iterator<Item = (u64, u32)> {
        self.by_distance.iter().rev().map(|ByDistance(distance, number)| {
            (u64::from_be_bytes(*distance), u32::from_be_bytes(*number))
        })
    }

    /// All records, those first that end first, and those last that do not go with their time.
    pub(super) fn by_expiry(&self) -> impl Iterator<Item = (u32, &Held)> {
        let numbers = self.by_expiry.iter().map(|place| place.number());
        numbers.filter_map(|number| Some((number, self.at(number)?)))
    }

    /// The record of others that is to be put to others next.
    pub(super) fn next_replication(&self) -> Option<(u32, &Held)> {
        let number = self.by_replication.first()?.number();
        Some((number, self.records.get(number)?))
    }

    #[cfg(test)]
    pub(super) fn is_in_order(&self) -> bool {
        let others = self.by_expiry().filter(|(_, held)| !held.is_outside()).count();
        self.by_expiry.len() == self.len()
            && self.by_key.len() == self.len()
            && self.by_distance.len() == others
            && self.by_replication.len() == others
    }

    pub(super) fn name_hash(&self, name: &PackageName) -> NameHash {
        NameHash::new(self.hasher.hash_one(name.as_str()) as u32).unwrap_or(NameHash::MIN)
    }

    fn order(&mut self, number: u32) {
        let Some(held) = self.records.get(number) else { return };
        self.by_expiry.insert(ByTime::new(held.goes_at(), number));
        if !held.is_outside() {
            self.by_distance.insert(ByDistance::new(held.distance, number));
            self.by_replication.insert(ByTime::new(held.replicate_at, number));
        }
    }

    fn unorder(&mut self, number: u32) {
        let Some(held) = self.records.get(number) else { return };
        self.by_expiry.remove(&ByTime::new(held.goes_at(), number));
        self.by_distance.remove(&ByDistance::new(held.distance, number));
        self.by_replication.remove(&ByTime::new(held.replicate_at, number));
    }

    /// The hash under which the first record of a package is found.
    fn package_hash(&self, number: u32) -> Option<u64> {
        let held = self.records.get(number)?;
        Some(self.hasher.hash_one((held.owner, held.name?)))
    }

    /// Puts a record before the others of its package.
    fn link(&mut self, number: u32) {
        let Some(hash) = self.package_hash(number) else { return };
        let of = |number: u32| self.records.get(number).map(|held| (held.owner, held.name));
        let its = of(number);
        if let Some(first) = self.packages.find_mut(hash, |first| of(*first) == its) {
            let next = std::mem::replace(first, number);
            if let Some(links) = self.records.links_mut(number) {
                links.next = next;
            }
            if let Some(links) = self.records.links_mut(next) {
                links.prev = number;
            }
            return;
        }
        let (records, hasher) = (&self.records, &self.hasher);
        let rehash = |number: &u32| {
            let held = records.get(*number);
            let package = held.and_then(|held| Some((held.owner, held.name?)));
            package.map_or(0, |package| hasher.hash_one(package))
        };
        self.packages.insert_unique(hash, number, rehash);
    }

    fn unlink(&mut self, number: u32) {
        let Some(hash) = self.package_hash(number) else { return };
        let Some(Links { prev, next }) = self.records.links(number) else { return };
        if let Some(links) = self.records.links_mut(prev) {
            links.next = next;
        }
        if let Some(links) = self.records.links_mut(next) {
            links.prev = prev;
        }
        if prev != NIL {
            return;
        }
        if let Ok(mut first) = self.packages.find_entry(hash, |first| *first == number) {
            if next == NIL {
                first.remove();
            } else {
                *first.get_mut() = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    #[test]
    fn what_is_kept_beside_the_bytes_is_small() {
        assert_eq!(mem::size_of::<Option<Held>>(), 88);
        assert_eq!((mem::size_of::<ByTime>(), mem::size_of::<ByDistance>()), (12, 12));
    }

    #[test]
    fn the_orders_are_those_of_the_numbers() {
        let times = [0, 1, 255, 256, 1 << 31, 1 << 40, u64::MAX];
        assert!(times.map(|time| ByTime::new(time, 9)).is_sorted_by(|a, b| a < b));
        assert!(ByTime::new(5, 1) < ByTime::new(5, 2) && ByTime::new(5, 9) < ByTime::new(6, 0));
        assert_eq!(ByTime::new(5, 9).number(), 9);
        assert!(ByDistance::new(255, 9) < ByDistance::new(256, 0));
    }
}
