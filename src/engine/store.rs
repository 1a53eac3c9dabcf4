//! The records that this node holds for the network. Nothing enters that has not been verified.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    config::Config,
    counters::RecordCounters,
    error::Error,
    keyspace::{Distance, Key},
    package::PackageName,
    record::{
        EquivocationProof, Head, Kind, NetworkName, Rank, Record, RecordKey, Rejected, Seen,
        Selection, Side, Signed, Verifier, select,
    },
};

use epochs::Epochs;
use held::{Held, Standing, Table};
use high_water::HighWater;
use quota::{Account, Amount, Putters, Shares};
use rates::Rates;
use refusals::Refusals;
use tiers::Tiers;

mod cold;
mod earlier;
mod epochs;
mod eviction;
mod held;
mod high_water;
mod offers;
mod quota;
mod rates;
mod refusals;
mod replication;
pub(in crate::engine) mod rows;
mod shared;
mod snapshot;
#[cfg(test)]
mod tests;
mod tiers;
mod wire;

pub(crate) use epochs::MAX_OWNERS;
pub(crate) use rates::Hearing;
pub(crate) use refusals::MAX_REFUSALS_KEPT;
pub(crate) use shared::SharedStore;
pub use snapshot::Snapshot;
pub(crate) use wire::Unheard;

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
    #[error("what it is to be judged by lies in the storage, and has not been read")]
    Away,
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
            Refused::Away => Self::busy("store_memory_bytes"),
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

/// On whose account a record comes in.
#[derive(Debug, Clone, Copy)]
enum Speaker {
    /// A peer, whose request is being carried out.
    Peer(PeerId, Account),
    /// One that has put it in an earlier life of this node.
    Earlier(Account),
}

/// Verified records by key: one of each, the one that the selection rule prefers.
///
/// When it is full, of records or of bytes, the record whose key lies farthest from this node goes: other nodes
/// are closer to it. No owner has more than a share, and of what one peer has put, its own farthest makes room.
/// Own records are outside of all of these bounds.
#[derive(Debug)]
pub(crate) struct Store {
    network: NetworkName,
    local: Key,
    /// Whose packages this node publishes.
    owner: PeerId,
    /// Unix seconds, as of the current poll.
    now: u64,
    /// The calendar time that has come for certain, which is that or earlier: what has expired by then is dropped.
    certain: u64,
    /// The node's own clock, as of the current poll.
    mono: Duration,
    ttl: u64,
    /// What lies in memory.
    records: Table,
    /// What does not.
    tiers: Tiers,
    shares: Shares,
    putters: Putters,
    high_water: HighWater,
    epochs: Epochs,
    verifier: Verifier,
    rates: Rates,
    speaker: Option<Speaker>,
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
            local: Key::of_peer(&local),
            owner: local,
            now,
            certain: now,
            mono: Duration::ZERO,
            ttl: config.record_ttl.as_secs(),
            records: Table::new(),
            tiers: Tiers::new(limits.store_memory_bytes),
            shares: Shares::new(limits.granted_records_per_owner()),
            putters: Putters::new(most.part(limits.granted_records_per_peer())),
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

    /// The peer whose request is being carried out.
    fn speaking(&self) -> Option<PeerId> {
        match self.speaker {
            Some(Speaker::Peer(peer, _)) => Some(peer),
            Some(Speaker::Earlier(_)) | None => None,
        }
    }

    /// On whose account a record is that comes in now.
    fn account(&self) -> Option<Account> {
        self.speaker.map(|(Speaker::Peer(_, account) | Speaker::Earlier(account))| account)
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
        // Marks are forgotten in a flood of other packages; what is held in memory is not.
        match self.records.get(&RecordKey::head(&self.network, owner, name))?.record()? {
            Record::Head(head) => Some(head.rank()),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        }
    }

    /// Takes a verified record in, if the selection rule prefers it to the one that is held.
    fn insert(&mut self, record: Record, standing: Standing) -> Result<(), Refused> {
        let key = record.key();
        if standing != Standing::Own && self.is_leftover(&record) {
            return Err(Refused::Withdrawn);
        }
        if let Some(cold) = self.cold_record(&key) {
            // A withdrawal, or this node's own, which stand above whatever lies there.
            self.overrule(&cold, &record);
        }
        let fact = match &record {
            Record::Head(head) if standing == Standing::Others => {
                Some(StoreFact::Head(head.clone()))
            }
            _ => None,
        };
        let held = self.records.get(&key).and_then(|held| Some((held.standing(), held.record()?)));
        match held {
            None => {
                if standing == Standing::Others {
                    self.make_room(&record, self.distance(&key))?;
                }
                self.place(&key, record, standing, self.account());
            }
            Some((before, held)) => {
                match self.prefer(&held, record) {
                    Preferred::Held => {
                        // Somebody still cares for it: a record without an expiry of its own lives on.
                        self.renew(&key);
                        self.promote(&key, standing);
                        return Ok(());
                    }
                    Preferred::HeldIsNewer => return Err(Refused::Older),
                    // It has the room of the one that it replaces, and what it needs beyond is its sender's.
                    Preferred::New(record) => {
                        let putter = self.make_room_to_grow(&key, record.to_bytes().len())?;
                        let replaced =
                            self.records.find(&key).and_then(|number| self.remove(number));
                        if let Some(replaced) = replaced {
                            self.note_replaced(replaced, standing, &record);
                        }
                        self.place(&key, *record, standing.max(before), putter);
                        self.trim();
                        if self.records.find(&key).is_none() {
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

    /// How far a key lies from this node: the first 64 bits, by which no two of a million keys are likely to be alike.
    fn distance(&self, key: &RecordKey) -> u64 {
        distance_of(&self.local, key).high()
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

    fn place(
        &mut self,
        key: &RecordKey,
        record: Record,
        standing: Standing,
        putter: Option<Account>,
    ) {
        let is_outside = standing != Standing::Others;
        let account = self.shares.account(&record).filter(|_| !is_outside);
        self.raise_epochs(&record);
        if let Record::Head(head) = &record {
            self.high_water.raise(head);
            if head.is_withdrawn() {
                self.purge(&(head.owner, head.name.clone()));
            }
        }
        let distance = self.distance(key);
        let until = record.expires().unwrap_or_else(|| self.now.saturating_add(self.ttl));
        let mut held = Held::new(&record, distance, until, self.next_replication(distance));
        held.stand(standing, &record);
        let package = package(&record);
        if let Some(owner) = package.as_ref().map(|(owner, _)| *owner).or(account) {
            held.owner = self.shares.take(&owner, account.is_some());
        }
        let bytes = held.len();
        let number = self.records.insert(held, package.as_ref().map(|(_, name)| name));
        if is_outside {
            return;
        }
        self.held = self.held.plus(bytes);
        if let Some(peer) = putter {
            let putter = self.putters.take(peer, distance, number, bytes);
            self.records.change(number, |held| held.putter = putter);
        }
    }

    fn remove(&mut self, number: u32) -> Option<Held> {
        let held = self.records.take(number)?;
        self.shares.give_back(held.owner, !held.is_outside());
        if !held.is_outside() {
            self.held = self.held.minus(held.len());
            self.putters.give_back(held.putter, held.distance, number, held.len());
        }
        Some(held)
    }

    fn live(&self, key: &RecordKey) -> Option<&Held> {
        self.records.get(key).filter(|held| self.is_live(held))
    }

    /// Whether it is served. What an own package consists of has no end but the package's, where it has none of its own.
    fn is_live(&self, held: &Held) -> bool {
        held.until() > self.now || held.is_lasting() && held.is_undated()
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
fn distance_of(local: &Key, key: &RecordKey) -> Distance {
    local.distance(&Key::of_record(key))
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
