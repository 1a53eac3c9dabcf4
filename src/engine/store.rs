//! The records that this node holds for the network. Nothing enters that has not been verified.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{
    PeerId,
    kad::{KBucketDistance, KBucketKey},
};

use crate::{
    Config, NetworkName, PackageName,
    record::{Head, Kind, Record, RecordKey, Rejected, Revision, Selection, Side, Signed, select},
};

/// Why the store refused a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("its key is not of this registry")]
    NotOurs,
    #[error("a newer one is held")]
    Older,
    #[error("the store is full of records that belong here more")]
    Full,
    #[error("its owner's share of the store is used up")]
    Quota,
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// What happened in the store while peers were filling it.
#[derive(Debug, Clone)]
pub(crate) enum StoreFact {
    /// A head took the place of an older one, or of none.
    Head(Signed<Head>),
    /// An owner signed two heads with one sequence.
    Equivocation { owner: PeerId, name: PackageName },
}

/// Facts that are kept until the engine asks for them. It does so after every network event, each of which
/// stores one record at the most.
const MAX_FACTS: usize = 64;

/// A package: its owner and its name.
pub(crate) type PackageKey = (PeerId, PackageName);

/// Highest (epoch, sequence) seen of each package. It outlives the records, so that an old head cannot come
/// back when the newer one has expired here. Bounded: the package that entered first is forgotten first.
#[derive(Debug)]
struct HighWater {
    marks: HashMap<PackageKey, Revision>,
    order: VecDeque<PackageKey>,
    bound: usize,
}

impl HighWater {
    /// The mark that a record of this kind must not fall below. Claims have none: of one owner's the newest
    /// wins, and an old one that is played again leads to a head, which does have one.
    fn of(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Revision> {
        match kind {
            Kind::Head => self.marks.get(&(*owner, name.clone())).copied(),
            Kind::Release | Kind::Page | Kind::Claim | Kind::Message | Kind::ClaimSet => None,
        }
    }

    fn raise(&mut self, head: &Head) {
        let key = (head.owner, head.name.clone());
        let mark = head.revision;
        if let Some(known) = self.marks.get_mut(&key) {
            *known = mark.max(*known);
            return;
        }
        while self.marks.len() >= self.bound {
            let Some(first) = self.order.pop_front() else { break };
            self.marks.remove(&first);
        }
        self.order.push_back(key.clone());
        self.marks.insert(key, mark);
    }
}

#[derive(Debug)]
struct Held {
    record: Record,
    /// On whose share it counts.
    account: Option<PeerId>,
    /// Unix seconds after which it is no longer served.
    until: u64,
    distance: KBucketDistance,
    own: bool,
}

/// Verified records by key: one of each, the one that the selection rule prefers.
///
/// When it is full, the record whose key lies farthest from this node goes: other nodes are closer to it.
/// No owner has more than a share. Own records are outside both bounds.
#[derive(Debug)]
pub(crate) struct Store {
    network: NetworkName,
    local: KBucketKey<PeerId>,
    /// Unix seconds, as of the current poll.
    now: u64,
    ttl: u64,
    records: HashMap<RecordKey, Held>,
    by_distance: BTreeSet<(KBucketDistance, RecordKey)>,
    by_expiry: BTreeSet<(u64, RecordKey)>,
    packages: HashMap<PackageKey, BTreeSet<RecordKey>>,
    shares: HashMap<PeerId, usize>,
    high_water: HighWater,
    max_records: usize,
    max_share: usize,
    facts: VecDeque<StoreFact>,
}

impl Store {
    fn new(local: PeerId, config: &Config, now: u64) -> Self {
        let limits = &config.limits;
        Self {
            network: config.network.clone(),
            local: KBucketKey::from(local),
            now,
            ttl: config.record_ttl.as_secs(),
            records: HashMap::new(),
            by_distance: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            packages: HashMap::new(),
            shares: HashMap::new(),
            high_water: HighWater {
                marks: HashMap::new(),
                order: VecDeque::new(),
                bound: limits.remembered_sequences,
            },
            max_records: limits.store_records,
            max_share: limits.store_records_per_owner,
            facts: VecDeque::new(),
        }
    }

    fn verify(&self, key: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
        Record::verify(&self.network, key, bytes, self.now, |kind, owner, name| {
            self.high_water.of(kind, owner, name)
        })
    }

    /// Takes a verified record in, if the selection rule prefers it to the one that is held.
    fn insert(&mut self, record: Record, own: bool) -> Result<(), Refused> {
        let key = record.key();
        let record = match self.records.get(&key) {
            None => record,
            Some(held) => {
                let own = own || held.own;
                match self.prefer(&held.record.clone(), record) {
                    Preferred::Held => {
                        // Somebody still cares for it: a record without an expiry of its own lives on.
                        self.renew(&key);
                        return Ok(());
                    }
                    Preferred::HeldIsNewer => return Err(Refused::Older),
                    Preferred::New(record) => {
                        self.remove(&key);
                        return self.place(key, *record, own);
                    }
                }
            }
        };
        self.place(key, record, own)
    }

    fn prefer(&mut self, held: &Record, new: Record) -> Preferred {
        match (held, new) {
            (Record::Head(held), Record::Head(new)) => match select(held, &new) {
                Selection::Same => Preferred::Held,
                Selection::Left => Preferred::HeldIsNewer,
                Selection::Right => Preferred::new(Record::Head(new)),
                Selection::Equivocation { keep } => {
                    let (owner, name) = (held.owner, held.name.clone());
                    self.note(StoreFact::Equivocation { owner, name });
                    match keep {
                        Side::Left => Preferred::Held,
                        Side::Right => Preferred::new(Record::Head(new)),
                    }
                }
            },
            (Record::Claims { set: held, .. }, Record::Claims { set: new, .. }) => {
                let set = held.merge(&new, self.now);
                if set == *held {
                    Preferred::Held
                } else {
                    Preferred::new(Record::Claims { set, dropped: 0 })
                }
            }
            // Write-once records: an owner that signs two keeps the one that every peer would keep.
            (held, new) => {
                if new.to_bytes() < held.to_bytes() {
                    Preferred::new(new)
                } else {
                    Preferred::Held
                }
            }
        }
    }

    fn place(&mut self, key: RecordKey, record: Record, own: bool) -> Result<(), Refused> {
        let account = account(&record);
        let distance = self.local.distance(&KBucketKey::new(key.as_bytes().to_vec()));
        if !own {
            self.make_room(account, distance)?;
        }
        if let Record::Head(head) = &record {
            self.high_water.raise(head);
            self.note(StoreFact::Head(head.clone()));
            if head.is_withdrawn() {
                self.purge(&(head.owner, head.name.clone()));
            }
        }
        let until = record.expires().unwrap_or_else(|| self.now.saturating_add(self.ttl));
        if let Some(package) = package(&record) {
            self.packages.entry(package).or_default().insert(key);
        }
        if !own {
            self.by_distance.insert((distance, key));
        }
        self.by_expiry.insert((until, key));
        if let Some(owner) = account {
            *self.shares.entry(owner).or_default() += 1;
        }
        self.records.insert(key, Held { record, account, until, distance, own });
        Ok(())
    }

    fn make_room(
        &mut self,
        account: Option<PeerId>,
        distance: KBucketDistance,
    ) -> Result<(), Refused> {
        if account
            .and_then(|owner| self.shares.get(&owner))
            .is_some_and(|&share| share >= self.max_share)
        {
            return Err(Refused::Quota);
        }
        if self.by_distance.len() >= self.max_records {
            self.sweep(usize::MAX);
        }
        while self.by_distance.len() >= self.max_records {
            match self.by_distance.last() {
                Some(&(farthest, key)) if farthest > distance => self.remove(&key),
                _ => return Err(Refused::Full),
            }
        }
        Ok(())
    }

    /// Removes everything of a package: its releases and pages mean nothing once it is withdrawn.
    fn purge(&mut self, package: &PackageKey) {
        for key in self.packages.remove(package).unwrap_or_default() {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        let Some(held) = self.records.remove(key) else { return };
        self.by_distance.remove(&(held.distance, *key));
        self.by_expiry.remove(&(held.until, *key));
        if let Some(owner) = held.account
            && let Some(share) = self.shares.get_mut(&owner)
        {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(&owner);
            }
        }
        if let Some(package) = package(&held.record)
            && let Some(keys) = self.packages.get_mut(&package)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.packages.remove(&package);
            }
        }
    }

    fn renew(&mut self, key: &RecordKey) {
        let Some(held) = self.records.get_mut(key) else { return };
        if held.record.expires().is_none() {
            self.by_expiry.remove(&(held.until, *key));
            held.until = self.now.saturating_add(self.ttl);
            self.by_expiry.insert((held.until, *key));
        }
    }

    /// Drops at most `budget` records whose time is over.
    fn sweep(&mut self, budget: usize) {
        for _ in 0..budget {
            match self.by_expiry.first() {
                Some(&(until, key)) if until <= self.now => self.remove(&key),
                _ => return,
            }
        }
    }

    fn live(&self, key: &RecordKey) -> Option<&Held> {
        self.records.get(key).filter(|held| held.until > self.now)
    }

    fn note(&mut self, fact: StoreFact) {
        if self.facts.len() < MAX_FACTS {
            self.facts.push_back(fact);
        }
    }
}

/// On whose share of the store a record counts: its owner's. A set of claims counts on the first claimant's.
fn account(record: &Record) -> Option<PeerId> {
    match record {
        Record::Head(head) => Some(head.owner),
        Record::Release(release) => Some(release.owner),
        Record::Page(page) => Some(page.owner),
        Record::Claims { set, .. } => set.iter().next().map(|claim| claim.owner),
    }
}

/// The package that a record is of. Claims to a name belong to several.
fn package(record: &Record) -> Option<PackageKey> {
    match record {
        Record::Head(head) => Some((head.owner, head.name.clone())),
        Record::Release(release) => Some((release.owner, release.name().clone())),
        Record::Page(page) => Some((page.owner, page.name.clone())),
        Record::Claims { .. } => None,
    }
}

enum Preferred {
    Held,
    HeldIsNewer,
    New(Box<Record>),
}

impl Preferred {
    fn new(record: Record) -> Self {
        Self::New(Box::new(record))
    }
}

/// The one store of a node, shared by its two users within one poll: Kademlia, which serves and fills it for
/// peers, and the engine. The lock is never contended.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    pub(crate) fn new(local: PeerId, config: &Config, now: u64) -> Self {
        Self(Arc::new(Mutex::new(Store::new(local, config, now))))
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the calendar time by which records are valid.
    pub(crate) fn set_time(&self, unix: u64) {
        self.lock().now = unix;
    }

    /// Verifies a record without taking it in.
    pub(crate) fn verify(&self, key: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
        self.lock().verify(key, bytes)
    }

    /// Verifies a record that a peer sent, and takes it in.
    pub(crate) fn insert(&self, key: &RecordKey, bytes: &[u8]) -> Result<(), Refused> {
        let mut store = self.lock();
        if let Some(held) = store.live(key)
            && *held.record.to_bytes() == *bytes
        {
            // The same bytes were verified before.
            store.renew(key);
            return Ok(());
        }
        let record = store.verify(key, bytes)?;
        store.insert(record, false)
    }

    /// Takes a record in that has been verified before.
    pub(crate) fn insert_verified(&self, record: Record) -> Result<(), Refused> {
        self.lock().insert(record, false)
    }

    /// Takes one of this node's own records in, outside the bounds.
    pub(crate) fn insert_own(&self, record: Record) -> Result<(), Refused> {
        self.lock().insert(record, true)
    }

    /// Remembers the sequence of a head that was seen, stored or not.
    pub(crate) fn raise_high_water(&self, head: &Head) {
        self.lock().high_water.raise(head);
    }

    /// The highest revision seen of a package's records of this kind.
    pub(crate) fn high_water(
        &self,
        kind: Kind,
        owner: &PeerId,
        name: &PackageName,
    ) -> Option<Revision> {
        self.lock().high_water.of(kind, owner, name)
    }

    /// Puts a newer record in the place of one that is held; what is not held is not taken in.
    pub(crate) fn replace_held(&self, record: Record) -> Result<(), Refused> {
        let mut store = self.lock();
        if store.live(&record.key()).is_none() {
            return Ok(());
        }
        store.insert(record, false)
    }

    /// One of this node's own records.
    pub(crate) fn own(&self, key: &RecordKey) -> Option<Record> {
        let store = self.lock();
        let held = store.live(key).filter(|held| held.own)?;
        // A set of claims is everybody's, and this node may not know all of it.
        (!matches!(held.record, Record::Claims { .. })).then(|| held.record.clone())
    }

    pub(crate) fn bytes(&self, key: &RecordKey) -> Option<(Vec<u8>, bool)> {
        let store = self.lock();
        let held = store.live(key)?;
        Some((held.record.to_bytes().to_vec(), held.own))
    }

    pub(crate) fn all(&self) -> Vec<(RecordKey, Vec<u8>, bool)> {
        let store = self.lock();
        store
            .records
            .iter()
            .filter(|(_, held)| held.until > store.now)
            .map(|(key, held)| (*key, held.record.to_bytes().to_vec(), held.own))
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().records.len()
    }

    pub(crate) fn sweep(&self, budget: usize) {
        self.lock().sweep(budget);
    }

    pub(crate) fn next_fact(&self) -> Option<StoreFact> {
        self.lock().facts.pop_front()
    }
}
