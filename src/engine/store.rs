//! The records that this node holds for the network. Nothing enters that has not been verified.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use libp2p::{
    PeerId,
    kad::{KBucketDistance, KBucketKey},
};

mod epochs;
mod eviction;
mod high_water;
mod offers;
mod quota;
mod rates;
mod refusals;
mod replication;
mod shared;
mod snapshot;
#[cfg(test)]
mod tests;

use epochs::Epochs;
use high_water::HighWater;
use quota::{Amount, Putters, Shares};
use rates::Rates;
use refusals::Refusals;

pub(crate) use epochs::MAX_OWNERS;
pub(crate) use rates::Hearing;
pub(crate) use refusals::MAX_REFUSALS_KEPT;
pub(crate) use shared::SharedStore;
pub use snapshot::Snapshot;
pub(crate) use snapshot::Unheard;

use crate::{
    Config, Error, NetworkName, PackageName, RecordCounters,
    record::{
        EquivocationProof, Head, Kind, Rank, Record, RecordKey, Rejected, Seen, Selection, Side,
        Signed, Verifier, select,
    },
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
    #[error("what its sender may put here is used up")]
    PeerQuota,
    #[error("its sender asks for too much at once")]
    Rate,
    #[error("its package is withdrawn")]
    Withdrawn,
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Older
            | Refused::Withdrawn
            | Refused::Rejected(Rejected::Stale { .. } | Rejected::Revoked { .. }) => {
                Self::Conflict { reason: refused.to_string() }
            }
            Refused::Full => Self::busy("store_records"),
            Refused::Quota => Self::busy("store_records_per_owner"),
            Refused::PeerQuota => Self::busy("store_records_per_peer"),
            Refused::Rate => Self::busy("requests_per_second"),
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
    Equivocation(EquivocationProof),
    /// Records that a peer has put were refused, so many times.
    Refused {
        peer: PeerId,
        /// Whether an honest peer may well send such a record.
        excusable: bool,
        times: u32,
    },
}

/// Facts that are kept until the engine asks for them. It does so after every network event, each of which
/// stores one record at the most; the node's own records make none.
pub(super) const MAX_FACTS: usize = 64;

/// Peers of whose refused records note is taken until then. There may be many of one peer in between.
const MAX_REFUSALS: usize = 64;

/// A package: its owner and its name.
pub(crate) type PackageKey = (PeerId, PackageName);

#[derive(Debug)]
struct Held {
    record: Record,
    /// How many bytes it has on the wire.
    bytes: usize,
    /// On whose share it counts.
    account: Option<PeerId>,
    /// Which peer's room it takes: of the one who has put it.
    putter: Option<PeerId>,
    /// Unix seconds after which it is no longer served.
    until: u64,
    distance: KBucketDistance,
    /// Unix seconds at which it is put to others again, unless they do so before.
    replicate_at: u64,
    own: bool,
}

/// Verified records by key: one of each, the one that the selection rule prefers.
///
/// When it is full, of records or of bytes, the record whose key lies farthest from this node goes: other nodes
/// are closer to it. No owner has more than a share, and of what one peer has put, its own farthest makes room.
/// Own records are outside of all of these bounds.
#[derive(Debug)]
pub(crate) struct Store {
    network: NetworkName,
    local: KBucketKey<PeerId>,
    /// Whose packages this node publishes.
    owner: PeerId,
    /// Unix seconds, as of the current poll.
    now: u64,
    /// The calendar time that has come for certain, which is that or earlier: what has expired by then is dropped.
    certain: u64,
    /// The node's own clock, as of the current poll.
    mono: Duration,
    ttl: u64,
    records: HashMap<RecordKey, Held>,
    by_distance: BTreeSet<(KBucketDistance, RecordKey)>,
    by_expiry: BTreeSet<(u64, RecordKey)>,
    /// Those that are not this node's own: these the engine renews.
    by_replication: BTreeSet<(u64, RecordKey)>,
    packages: HashMap<PackageKey, BTreeSet<RecordKey>>,
    shares: Shares,
    putters: Putters,
    high_water: HighWater,
    epochs: Epochs,
    verifier: Verifier,
    rates: Rates,
    /// The peer whose request Kademlia is carrying out.
    speaker: Option<PeerId>,
    /// What is held for others.
    held: Amount,
    most: Amount,
    facts: VecDeque<StoreFact>,
    refusals: VecDeque<StoreFact>,
    /// Why, for those who ask.
    reasons: Refusals,
    /// Owners that have gone on to a higher epoch since the engine has looked. Of too many, readers find out themselves.
    raised: BTreeSet<PeerId>,
    counters: RecordCounters,
}

impl Store {
    fn new(local: PeerId, config: &Config, now: u64) -> Self {
        let limits = &config.limits;
        let most = Amount { records: limits.store_records, bytes: limits.store_bytes };
        Self {
            network: config.network.clone(),
            local: KBucketKey::from(local),
            owner: local,
            now,
            certain: now,
            mono: Duration::ZERO,
            ttl: config.record_ttl.as_secs(),
            records: HashMap::new(),
            by_distance: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            by_replication: BTreeSet::new(),
            packages: HashMap::new(),
            shares: Shares::new(limits.store_records_per_owner),
            putters: Putters::new(most.part(limits.store_records_per_peer)),
            high_water: HighWater::new(config.network.clone(), local, limits.remembered_sequences),
            epochs: Epochs::new(local),
            verifier: Verifier::default(),
            rates: Rates::new(limits),
            speaker: None,
            held: Amount::default(),
            most,
            facts: VecDeque::new(),
            refusals: VecDeque::new(),
            reasons: Refusals::default(),
            raised: BTreeSet::new(),
            counters: RecordCounters::default(),
        }
    }

    fn verify(&mut self, key: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
        self.verified(|verifier, store| {
            verifier.verify(&store.network, key, bytes, store.now, store)
        })
    }

    /// Lends out the verifier, beside which the rest of the store can be looked at.
    fn verified<T>(&mut self, verify: impl FnOnce(&mut Verifier, &Self) -> T) -> T {
        let mut verifier = std::mem::take(&mut self.verifier);
        let verified = verify(&mut verifier, self);
        self.verifier = verifier;
        verified
    }

    /// The rank that a record of this kind must not fall below. Claims have none: of one owner's the newest
    /// wins, and an old one that is played again leads to a head, which does have one.
    fn newest_seen(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        if kind != Kind::Head {
            return None;
        }
        let mark = self.high_water.rank(owner, name);
        if mark.is_some() {
            return mark;
        }
        // Marks are forgotten in a flood of other packages; what is held is not.
        match &self.records.get(&RecordKey::head(&self.network, owner, name))?.record {
            Record::Head(head) => Some(head.rank()),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        }
    }

    /// Takes a verified record in, if the selection rule prefers it to the one that is held.
    fn insert(&mut self, record: Record, own: bool) -> Result<(), Refused> {
        let key = record.key();
        if !own && self.is_leftover(&record) {
            return Err(Refused::Withdrawn);
        }
        let fact = match &record {
            Record::Head(head) if !own => Some(StoreFact::Head(head.clone())),
            _ => None,
        };
        match self.records.get(&key) {
            None => {
                if !own {
                    self.make_room(&record, self.distance(&key))?;
                }
                self.place(key, record, own, self.speaker);
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
                    // It has the room of the one that it replaces, and what it needs beyond is its sender's.
                    Preferred::New(record) => {
                        let putter = self.make_room_to_grow(&key, record.to_bytes().len())?;
                        self.remove(&key);
                        self.place(key, *record, own || was_own, putter);
                        self.trim();
                        if !self.records.contains_key(&key) {
                            return Err(Refused::Full);
                        }
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
        let Some((owner, name)) = package(record) else { return false };
        let end = match self.newest_seen(Kind::Head, &owner, &name) {
            Some(end) if end.withdrawn => end,
            Some(_) | None => return false,
        };
        let delegation = match record {
            Record::Release(release) => release.delegation(),
            Record::Page(page) => page.delegation(),
            Record::Head(_) | Record::Claims { .. } => return false,
        };
        // Where the package begins anew in a higher epoch, this may arrive before the head that says so.
        delegation.is_none_or(|delegation| delegation.epoch() <= end.epoch)
    }

    fn distance(&self, key: &RecordKey) -> KBucketDistance {
        distance_of(&self.local, key)
    }

    fn prefer(&mut self, held: &Record, new: Record) -> Preferred {
        match (held, new) {
            (Record::Head(held), Record::Head(new)) => match select(held, &new) {
                Selection::Same => Preferred::Held,
                Selection::Left => Preferred::HeldIsNewer,
                Selection::Right => Preferred::new(Record::Head(new)),
                Selection::Equivocation { keep } => {
                    if self.high_water.is_news(held)
                        && let Ok(proof) = EquivocationProof::new(held, &new)
                    {
                        self.note(StoreFact::Equivocation(proof));
                    }
                    match keep {
                        Side::Left => Preferred::Held,
                        Side::Right => Preferred::new(Record::Head(new)),
                    }
                }
            },
            (Record::Claims { set: held, .. }, Record::Claims { set: new, .. }) => {
                // Claims that only seem to be over stay: whoever reads them judges their dates.
                let set = held.merge(&new, self.certain);
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

    fn place(&mut self, key: RecordKey, record: Record, own: bool, putter: Option<PeerId>) {
        let account = self.shares.account(&record).filter(|_| !own);
        let putter = putter.filter(|_| !own);
        let (distance, bytes) = (self.distance(&key), record.to_bytes().len());
        self.raise_epochs(&record);
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
            self.held = self.held.plus(bytes);
            self.by_distance.insert((distance, key));
            self.by_replication.insert((replicate_at, key));
        }
        self.by_expiry.insert((until, key));
        if let Some(owner) = account {
            self.shares.take(owner);
        }
        if let Some(peer) = putter {
            self.putters.take(peer, distance, key, bytes);
        }
        let held = Held { record, bytes, account, putter, until, distance, replicate_at, own };
        self.records.insert(key, held);
    }

    /// A record that was held for the network turns out to be one of this node's own.
    fn make_own(&mut self, key: &RecordKey) {
        let Some(mut held) = self.records.remove(key) else { return };
        self.settle(key, &held);
        (held.own, held.account, held.putter) = (true, None, None);
        self.records.insert(*key, held);
    }

    /// A record takes nobody's room any longer.
    fn settle(&mut self, key: &RecordKey, held: &Held) {
        if held.own {
            return;
        }
        self.held = self.held.minus(held.bytes);
        self.by_distance.remove(&(held.distance, *key));
        self.by_replication.remove(&(held.replicate_at, *key));
        if let Some(owner) = &held.account {
            self.shares.give_back(owner);
        }
        if let Some(peer) = &held.putter {
            self.putters.give_back(peer, held.distance, held.bytes);
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        let Some(held) = self.records.remove(key) else { return };
        self.settle(key, &held);
        self.by_expiry.remove(&(held.until, *key));
        if let Some(package) = package(&held.record)
            && let Some(keys) = self.packages.get_mut(&package)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.packages.remove(&package);
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

impl Seen for Store {
    fn rank(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        self.newest_seen(kind, owner, name)
    }

    fn epoch(&self, owner: &PeerId) -> u32 {
        self.epochs.floor(owner)
    }
}

/// How far a key lies from this node.
fn distance_of(local: &KBucketKey<PeerId>, key: &RecordKey) -> KBucketDistance {
    local.distance(&KBucketKey::new(key.as_bytes().to_vec()))
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
