//! Where the records of others lie: in memory, or in the storage alone.
//!
//! ```text
//!            put ─▶ memory ── its turn comes, and the storage has it ──▶ storage alone
//!                     ▲                                                      │
//!                     └── fetched: asked for, or due to be put to others ◀───┘
//! ```
//!
//! What lies in the storage alone counts towards every bound as before. Nothing here reads it: the node does, on another
//! thread, and hands it back. Until then a request for it waits.

use std::collections::{BTreeSet, VecDeque};

use super::{
    SharedStore, Snapshot, Store,
    cold::{Cold, ColdRecord},
    held::Held,
    wire::Kept,
};
use crate::{
    engine::pages::NIL,
    record::{Record, RecordKey},
};

/// What a record takes in memory beside its bytes.
const BESIDE: usize = 210;

/// So many records that are due are fetched for one sweep: about as many as are put to others until the next.
const MOST_WANTED: usize = 128;

/// In so many sweeps, one every 30 s, all records in the storage are looked through.
const SWEEPS_PER_ROUND: usize = 60;

/// Places that are looked at for one record that need not lie in memory.
const LOOKS: usize = 1_024;

/// The records that lie in the storage alone, and what memory the others may take.
#[derive(Debug)]
pub(super) struct Tiers {
    pub(super) cold: Cold,
    /// The digests of the keys of those that are due to be put to others.
    wanted: VecDeque<[u8; 32]>,
    /// The same of others' claims to names that this node claims, too. There are no more than own packages.
    claimed: BTreeSet<[u8; 32]>,
    /// Keys that were looked up in the storage just now, while not all of it is known: whatever lay there is in memory.
    absent: BTreeSet<[u8; 32]>,
    /// The most bytes that records of others take in memory.
    most: usize,
    below: Below,
}

/// What lies below the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    Nothing,
    /// A storage that has been read in part: any record may lie there.
    Unread,
    /// A storage, all of which is known.
    Known,
}

impl Tiers {
    pub(super) fn new(most: usize) -> Self {
        Self {
            cold: Cold::default(),
            wanted: VecDeque::new(),
            claimed: BTreeSet::new(),
            absent: BTreeSet::new(),
            most,
            below: Below::Nothing,
        }
    }

    /// There is a storage, of which nothing has been read.
    pub(super) fn turn_on(&mut self) {
        self.below = Below::Unread;
    }
}

impl SharedStore {
    /// All is read that an earlier life has left, or cannot be.
    pub(crate) fn all_read(&self) {
        let below = &mut self.lock().tiers.below;
        if *below == Below::Unread {
            *below = Below::Known;
        }
    }

    /// Whether the record under this key lies in the storage alone, or may do so.
    pub(crate) fn is_away(&self, key: &RecordKey) -> bool {
        let store = self.lock();
        if store.tiers.below == Below::Nothing || store.records.find(key).is_some() {
            return false;
        }
        let digest = key.digest();
        let may_be = store.tiers.below == Below::Unread
            && !store.records.changed.contains(&digest)
            && !store.tiers.absent.contains(&digest);
        may_be || store.cold_record(key).is_some()
    }

    /// The digest of the key of a record that is to be fetched, though nobody has asked for it.
    pub(crate) fn next_wanted(&self) -> Option<[u8; 32]> {
        let tiers = &mut self.lock().tiers;
        tiers.claimed.pop_first().or_else(|| tiers.wanted.pop_front())
    }

    /// Nobody is there to whom records could be put.
    pub(crate) fn want_nothing(&self) {
        self.lock().tiers.wanted.clear();
    }

    /// The row of a record that may lie in the storage alone was read there, under the key with this digest. If it is as the
    /// storage has it, the record lies in memory from here on.
    pub(crate) fn warm(&self, digest: &[u8; 32], row: &Snapshot) {
        let mut store = self.lock();
        let key = RecordKey::of_digest(digest);
        for kept in &row.records {
            if store.warm(&key, kept) == Warmed::Yes {
                store.unmark_held(&key, kept);
            }
        }
    }

    /// The row of this record has been taken in, if there was one. A record that does not lie in memory now is lost. Until
    /// memory is [made room in](Self::cool), it is known that the storage has none.
    pub(crate) fn settle_fetch(&self, digest: &[u8; 32]) {
        let mut store = self.lock();
        if let Some(cold) = store.cold_record(&RecordKey::of_digest(digest)) {
            store.remove_cold(&cold);
        }
        store.tiers.absent.insert(*digest);
    }

    /// Leaves those of the rows out that say nothing new, since the record is known here or has just gone, and those for
    /// whose records memory has no room: of these note is taken.
    pub(crate) fn index(&self, mut rows: Snapshot) -> Snapshot {
        let mut store = self.lock();
        rows.records.retain(|kept| {
            let Ok(key) = Record::claimed_key(&kept.bytes) else { return true };
            if store.is_part_of_own(&key) {
                return true;
            }
            if store.knows(&key) {
                store.note_row(&key);
                return false;
            }
            !store.index(kept)
        });
        rows
    }

    /// Leaves records in the storage alone until the rest keeps to the memory that it may take.
    pub(crate) fn cool(&self) {
        let mut store = self.lock();
        store.tiers.absent.clear();
        store.cool();
    }
}

impl Store {
    /// What is known of the record under this key, if it lies in the storage alone.
    pub(super) fn cold_record(&self, key: &RecordKey) -> Option<ColdRecord> {
        if self.tiers.cold.len() == 0 {
            return None;
        }
        self.tiers.cold.find(self.distance(key), &key.digest())
    }

    /// Whether the storage's row of this record says nothing new.
    fn knows(&self, key: &RecordKey) -> bool {
        let digest = key.digest();
        self.records.changed.contains(&digest)
            || self.records.own_changed.contains(&digest)
            || self.records.find(key).is_some()
            || self.cold_record(key).is_some()
    }

    /// How much memory records of others take.
    fn memory(&self) -> usize {
        let cold = &self.tiers.cold;
        let records = self.held.records.saturating_sub(cold.len());
        let bytes = self.held.bytes.saturating_sub(cold.bytes());
        bytes.saturating_add(records.saturating_mul(BESIDE))
    }

    /// Whether what lies in memory takes more of it than it may.
    fn exceeds_memory(&self) -> bool {
        self.memory() > self.tiers.most
    }

    /// Whether memory has no room for what nobody has asked for yet. An eighth is left to what somebody asks for.
    fn is_filled(&self) -> bool {
        self.memory() >= self.tiers.most - self.tiers.most / 8
    }

    fn cool(&mut self) {
        if self.tiers.below == Below::Nothing {
            return;
        }
        // The rows of this node's own packages lie elsewhere.
        let own = self.shares.find(&self.owner);
        let mut looks = LOOKS;
        while self.exceeds_memory() {
            let Some(number) = self.records.next_to_cool(&mut looks) else { return };
            if self.records.at(number).is_some_and(|held| own.is_none_or(|own| held.owner != own))
                && self.cool_one(number)
            {
                looks = LOOKS;
            }
        }
    }

    fn cool_one(&mut self, number: u32) -> bool {
        let Some(held) = self.records.at(number) else { return false };
        if !self.tiers.cold.insert(&cold(held)) {
            return false;
        }
        if let Some(held) = self.records.cool(number) {
            self.putters.unplace(held.putter, held.distance, number);
        }
        true
    }

    fn warm(&mut self, key: &RecordKey, kept: &Kept) -> Warmed {
        let cold = self.cold_record(key);
        match &cold {
            Some(cold) => self.forget_cold(cold),
            None if self.is_part_of_own(key) => {}
            None if self.tiers.below == Below::Unread && !self.knows(key) => {}
            None => return Warmed::No,
        }
        let facts = self.facts.len();
        // The calendar may have moved since the row was written.
        let until = cold.map_or(kept.until, |cold| cold.until);
        self.restore_under(key, &Kept { until, ..kept.clone() });
        // It was held all the time.
        self.facts.truncate(facts);
        // Whoever has had it fetched finds it here.
        self.records.touch(key);
        if let Some(cold) = cold
            && let Some(number) = self.records.find(key)
        {
            self.records.change(number, |held| held.set_replicate_at(cold.replicate_at));
        }
        Warmed::Yes
    }

    /// Whether this node's own claims lie under this key, which are part of a set with others' that may lie in the storage.
    fn is_part_of_own(&self, key: &RecordKey) -> bool {
        self.records.get(key).is_some_and(|held| held.is_outside() && held.is_claims())
    }

    /// A record takes the place of one that lies in the storage alone. The claims of others to a name are fetched, and go
    /// into the set with this node's own.
    pub(super) fn overrule(&mut self, cold: &ColdRecord, record: &Record) {
        match record {
            Record::Claims { .. } => {
                self.forget_cold(cold);
                self.tiers.claimed.insert(cold.key);
            }
            Record::Head(_) | Record::Release(_) | Record::Page(_) => self.remove_cold(cold),
        }
    }

    /// Takes note of a record in the storage without reading it into memory, which is full. Tells whether that was done.
    /// It is verified when it is fetched.
    fn index(&mut self, kept: &Kept) -> bool {
        if self.tiers.below == Below::Nothing || !self.is_filled() {
            return false;
        }
        let Ok(record) = Record::reopened(&kept.bytes) else { return false };
        let owner = self.shares.account(&record);
        if owner.is_some_and(|owner| owner == self.owner || self.shares.is_used_up(&owner)) {
            return false;
        }
        let len = kept.bytes.len();
        let has_room = kept.putter.is_none_or(|peer| self.putters.has_room(&peer, len));
        if !self.held.plus(len).fits(self.most) || !has_room || kept.until <= self.certain {
            return false;
        }
        let distance = self.distance(&record.key());
        let mut held = Held::new(&record, distance, kept.until, self.next_replication(distance));
        held.owner = owner.map_or(NIL, |owner| self.shares.take(&owner, true));
        held.putter = kept.putter.map_or(NIL, |peer| self.putters.count(peer, len));
        self.held = self.held.plus(len);
        if !self.tiers.cold.insert(&cold(&held)) {
            // Another one lies at the same distance, which does not happen.
            self.give_back(&cold(&held));
            return false;
        }
        true
    }

    /// A record that lies in the storage alone goes.
    pub(super) fn remove_cold(&mut self, cold: &ColdRecord) {
        self.forget_cold(cold);
        self.records.changed.mark(|| cold.key);
    }

    fn forget_cold(&mut self, cold: &ColdRecord) {
        if self.tiers.cold.take(cold.distance, &cold.key).is_some() {
            self.give_back(cold);
        }
    }

    fn give_back(&mut self, cold: &ColdRecord) {
        self.shares.give_back(cold.owner, true);
        self.putters.uncount(cold.putter, cold.len);
        self.held = self.held.minus(cold.len);
    }

    /// Looks some of the records through that lie in the storage alone: drops those whose time is over for certain, and
    /// wants those that are due to be put to others.
    pub(super) fn look_through(&mut self) {
        let budget = self.tiers.cold.len() / SWEEPS_PER_ROUND + 64;
        for cold in self.tiers.cold.look_through(budget) {
            if cold.until <= self.certain {
                self.remove_cold(&cold);
            } else if cold.replicate_at <= self.now && self.tiers.wanted.len() < MOST_WANTED {
                self.tiers.wanted.push_back(cold.key);
            }
        }
    }

    /// How many records are held, wherever they lie.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.tiers.cold.len()
    }

    /// Those of others, the farthest first, wherever they lie.
    pub(super) fn farthest(&self) -> impl Iterator<Item = (u64, Place)> {
        let mut hot = self.records.farthest().peekable();
        let mut cold = self.tiers.cold.farthest().peekable();
        std::iter::from_fn(move || {
            let is_hot_farther = match (hot.peek(), cold.peek()) {
                (Some((distance, _)), Some(cold)) => *distance >= cold.distance,
                (hot, _) => hot.is_some(),
            };
            if is_hot_farther {
                hot.next().map(|(distance, number)| (distance, Place::Memory(number)))
            } else {
                cold.next().map(|cold| (cold.distance, Place::Storage(Box::new(cold))))
            }
        })
    }
}

/// What became of a row that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Warmed {
    Yes,
    /// It says nothing new.
    No,
}

/// Where a record lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In memory, under this number.
    Memory(u32),
    /// In the storage alone.
    Storage(Box<ColdRecord>),
}

/// What stays in memory of a record that does not.
fn cold(held: &Held) -> ColdRecord {
    ColdRecord {
        key: held.digest(),
        distance: held.distance,
        len: held.len(),
        owner: held.owner,
        putter: held.putter,
        until: held.until(),
        replicate_at: held.replicate_at(),
        is_undated: held.is_undated(),
    }
}
