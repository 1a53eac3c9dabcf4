//! The records that this node holds for the network. Nothing enters that has not been verified.

use std::collections::{BTreeSet, HashMap, VecDeque};

use libp2p::{
    PeerId,
    kad::{KBucketDistance, KBucketKey},
};

mod high_water;
mod shared;
#[cfg(test)]
mod tests;

use high_water::HighWater;
pub(crate) use shared::SharedStore;

use crate::{
    Config, Error, NetworkName, PackageName,
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
    #[error("its package is withdrawn")]
    Withdrawn,
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Older | Refused::Withdrawn | Refused::Rejected(Rejected::Stale { .. }) => {
                Self::Conflict { reason: refused.to_string() }
            }
            Refused::Full => Self::busy("store_records"),
            Refused::Quota => Self::busy("store_records_per_owner"),
            Refused::NotOurs | Refused::Rejected(_) => Self::invalid("record", refused.to_string()),
        }
    }
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
/// stores one record at the most; the node's own records make none.
const MAX_FACTS: usize = 64;

/// The least time between two rounds in which a record held for others is put to the peers that are closest to
/// it now, in seconds. It is up to twice that, of each record differently, so that one of its holders comes
/// first: what it puts is a round for the others.
const REPLICATION_SECS: u64 = 3600;

/// A package: its owner and its name.
pub(crate) type PackageKey = (PeerId, PackageName);

#[derive(Debug)]
struct Held {
    record: Record,
    /// On whose share it counts.
    account: Option<PeerId>,
    /// Unix seconds after which it is no longer served.
    until: u64,
    distance: KBucketDistance,
    /// Unix seconds at which it is put to others again, unless they do so before.
    replicate_at: u64,
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
    /// Those that are not this node's own: these the engine renews.
    by_replication: BTreeSet<(u64, RecordKey)>,
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
            by_replication: BTreeSet::new(),
            packages: HashMap::new(),
            shares: HashMap::new(),
            high_water: HighWater::new(limits.remembered_sequences),
            max_records: limits.store_records,
            max_share: limits.store_records_per_owner,
            facts: VecDeque::new(),
        }
    }

    fn verify(&self, key: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
        Record::verify(&self.network, key, bytes, self.now, |kind, owner, name| {
            self.newest_seen(kind, owner, name)
        })
    }

    /// The revision that a record of this kind must not fall below. Claims have none: of one owner's the newest
    /// wins, and an old one that is played again leads to a head, which does have one.
    fn newest_seen(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Revision> {
        if kind != Kind::Head {
            return None;
        }
        let mark = self.high_water.revision(&(*owner, name.clone()));
        if mark.is_some() {
            return mark;
        }
        // Marks are forgotten in a flood of other packages; what is held is not.
        match &self.records.get(&RecordKey::head(&self.network, owner, name))?.record {
            Record::Head(head) => Some(head.revision),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        }
    }

    /// Takes a verified record in, if the selection rule prefers it to the one that is held.
    fn insert(&mut self, record: Record, own: bool) -> Result<(), Refused> {
        let key = record.key();
        if self.is_leftover(&record) {
            return Err(Refused::Withdrawn);
        }
        let fact = match &record {
            Record::Head(head) if !own => Some(StoreFact::Head(head.clone())),
            _ => None,
        };
        match self.records.get(&key) {
            None => {
                if !own {
                    self.make_room(account(&record), self.distance(&key))?;
                }
                self.place(key, record, own);
            }
            Some(held) => {
                let was_own = held.own;
                match self.prefer(&held.record.clone(), record) {
                    Preferred::Held => {
                        // Somebody still cares for it: a record without an expiry of its own lives on.
                        self.renew(&key);
                        if own {
                            self.make_own(&key);
                        }
                        return Ok(());
                    }
                    Preferred::HeldIsNewer => return Err(Refused::Older),
                    // It has the room of the one that it replaces. Were it refused for want of room, a
                    // claimant without any left would take the claims of others away.
                    Preferred::New(record) => {
                        self.remove(&key);
                        self.place(key, *record, own || was_own);
                    }
                }
            }
        }
        if let Some(fact) = fact {
            self.note(fact);
        }
        Ok(())
    }

    /// Whether it is a part of a package that is withdrawn, so that it means nothing any more.
    fn is_leftover(&self, record: &Record) -> bool {
        matches!(record, Record::Release(_) | Record::Page(_))
            && package(record).is_some_and(|package| self.high_water.is_withdrawn(&package))
    }

    fn distance(&self, key: &RecordKey) -> KBucketDistance {
        self.local.distance(&KBucketKey::new(key.as_bytes().to_vec()))
    }

    fn prefer(&mut self, held: &Record, new: Record) -> Preferred {
        match (held, new) {
            (Record::Head(held), Record::Head(new)) => match select(held, &new) {
                Selection::Same => Preferred::Held,
                Selection::Left => Preferred::HeldIsNewer,
                Selection::Right => Preferred::new(Record::Head(new)),
                Selection::Equivocation { keep } => {
                    if self.high_water.is_news(held) {
                        let (owner, name) = (held.owner, held.name.clone());
                        self.note(StoreFact::Equivocation { owner, name });
                    }
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

    fn place(&mut self, key: RecordKey, record: Record, own: bool) {
        let account = account(&record).filter(|_| !own);
        let distance = self.distance(&key);
        if let Record::Head(head) = &record {
            self.high_water.raise(head);
            if head.is_withdrawn() {
                self.purge(&(head.owner, head.name.clone()));
            }
        }
        let until = record.expires().unwrap_or_else(|| self.now.saturating_add(self.ttl));
        if let Some(package) = package(&record) {
            self.packages.entry(package).or_default().insert(key);
        }
        let replicate_at = self.next_replication(distance);
        if !own {
            self.by_distance.insert((distance, key));
            self.by_replication.insert((replicate_at, key));
        }
        self.by_expiry.insert((until, key));
        if let Some(owner) = account {
            *self.shares.entry(owner).or_default() += 1;
        }
        self.records.insert(key, Held { record, account, until, distance, replicate_at, own });
    }

    /// A record that was held for the network turns out to be one of this node's own.
    fn make_own(&mut self, key: &RecordKey) {
        let Some(held) = self.records.get_mut(key) else { return };
        held.own = true;
        self.by_distance.remove(&(held.distance, *key));
        self.by_replication.remove(&(held.replicate_at, *key));
        let account = held.account.take();
        self.give_back(account);
    }

    /// A record no longer counts on its owner's share.
    fn give_back(&mut self, account: Option<PeerId>) {
        if let Some(owner) = account
            && let Some(share) = self.shares.get_mut(&owner)
        {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(&owner);
            }
        }
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
        self.by_replication.remove(&(held.replicate_at, *key));
        self.by_expiry.remove(&(held.until, *key));
        self.give_back(held.account);
        if let Some(package) = package(&held.record)
            && let Some(keys) = self.packages.get_mut(&package)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.packages.remove(&package);
            }
        }
    }

    /// A peer has put what is held: it cares for it, and so do others that it has put it to.
    fn renew(&mut self, key: &RecordKey) {
        self.replicated(key);
        let Some(held) = self.records.get_mut(key) else { return };
        if held.record.expires().is_none() {
            self.by_expiry.remove(&(held.until, *key));
            held.until = self.now.saturating_add(self.ttl);
            self.by_expiry.insert((held.until, *key));
        }
    }

    fn next_replication(&self, distance: KBucketDistance) -> u64 {
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

    /// A record that is to be put to others again. Its next round begins.
    fn take_due(&mut self) -> Option<Record> {
        loop {
            let &(due, key) = self.by_replication.first()?;
            if due > self.now {
                return None;
            }
            self.replicated(&key);
            if let Some(held) = self.live(&key) {
                return Some(held.record.clone());
            }
            self.remove(&key);
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
