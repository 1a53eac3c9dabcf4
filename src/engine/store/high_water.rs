//! The newest head seen of each package.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use libp2p::PeerId;

use super::distance_of;
use crate::{
    engine::dirty::Dirty,
    keyspace::Key,
    package::{PackageName, owner_from_key, owner_key},
    record::{Head, NetworkName, Rank, RecordKey},
};

/// No owner's packages take more than this part of the places, besides those that this node's own application
/// has asked for.
const OWNERS_PART: usize = 16;

/// Highest (epoch, sequence) seen of each package. It outlives the records, so that an old head cannot come
/// back when the newer one has expired here.
///
/// Bounded, and hard to flush: an owner with more than its share loses its own oldest mark, and when all
/// places are taken the package goes that the DHT places farthest from this node, which others remember.
/// What this node's application has read goes after all of those, and what the node publishes goes last.
#[derive(Debug)]
pub(super) struct HighWater {
    network: NetworkName,
    local: Key,
    /// Whose packages this node publishes.
    publisher: PeerId,
    marks: HashMap<Package, Mark>,
    /// In the order in which they are forgotten.
    order: BTreeSet<(Worth, Package)>,
    /// What counts on an owner's share, by when it was raised.
    by_owner: BTreeMap<([u8; 32], u64), PackageName>,
    shares: HashMap<[u8; 32], usize>,
    /// What the application has been told of, by when it first was.
    wanted: BTreeMap<u64, Package>,
    /// How many of these each owner has.
    wanted_of: HashMap<[u8; 32], usize>,
    /// Counts up with every change, to tell older from newer.
    clock: u64,
    bound: usize,
    /// The storage has marks of others' packages that have not been read.
    is_partial: bool,
    /// Marks that the storage does not have as they are.
    pub(super) changed: Dirty<Package>,
}

/// A package by its owner's bare key: thousands of these are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Package {
    owner: [u8; 32],
    name: PackageName,
}

/// How much it matters that a mark stays, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Somebody's: of these the farthest goes first. The first 64 bits of the distance.
    Others(Reverse<u64>),
    /// The application has been told of it: of these the one first told goes first.
    Wanted(u64),
    /// This node publishes it.
    Own(u64),
}

/// The newest head seen of a package.
#[derive(Debug, Clone, Copy)]
struct Mark {
    rank: Rank,
    /// Whether it has been told that there are two of this revision.
    equivocated: bool,
    worth: Worth,
    raised: u64,
}

/// A mark by itself, as a snapshot has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) owner: [u8; 32],
    pub(super) name: PackageName,
    pub(super) rank: Rank,
    pub(super) equivocated: bool,
    pub(super) wanted: bool,
}

impl Package {
    /// The key of its row: the owner's key, and the name.
    pub(super) fn row(&self) -> Vec<u8> {
        [&self.owner, self.name.as_str().as_bytes()].concat()
    }
}

impl HighWater {
    pub(super) fn new(network: NetworkName, local: PeerId, bound: usize) -> Self {
        Self {
            network,
            local: Key::of_peer(&local),
            publisher: local,
            marks: HashMap::new(),
            order: BTreeSet::new(),
            by_owner: BTreeMap::new(),
            shares: HashMap::new(),
            wanted: BTreeMap::new(),
            wanted_of: HashMap::new(),
            clock: 0,
            bound,
            is_partial: false,
            changed: Dirty::default(),
        }
    }

    /// This node's packages are this owner's.
    pub(super) fn publishes_for(&mut self, owner: PeerId) {
        self.publisher = owner;
    }

    /// Whether the storage has marks of others' packages that have not been read. Nothing is judged by them meanwhile.
    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(super) fn set_partial(&mut self, is_partial: bool) {
        self.is_partial = is_partial;
    }

    fn mark(&self, owner: &PeerId, name: &PackageName) -> Option<&Mark> {
        self.marks.get(&package(owner, name)?)
    }

    /// The highest rank seen, unless the package has been forgotten.
    pub(super) fn rank(&self, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        self.mark(owner, name).map(|mark| mark.rank)
    }

    /// Remembers a head that was seen. Not before its mark has been read, if the storage may have one: it would be written
    /// over that, which may be higher. Such a head comes from the storage itself.
    pub(super) fn raise(&mut self, head: &Head) {
        if self.is_partial && head.owner != self.publisher {
            return;
        }
        let Some(owner) = owner_key(&head.owner) else { return };
        self.merge(Remembered {
            owner,
            name: head.name.clone(),
            rank: head.rank(),
            equivocated: false,
            wanted: false,
        });
    }

    /// Whether an equivocation at this revision is news: whoever has two heads can send them in turns.
    pub(super) fn is_news(&mut self, head: &Head) -> bool {
        let Some(key) = package(&head.owner, &head.name) else { return true };
        match self.marks.get_mut(&key) {
            Some(mark) if mark.rank.revision() == head.revision => {
                let is_news = !std::mem::replace(&mut mark.equivocated, true);
                if is_news {
                    self.changed.mark(|| key);
                }
                is_news
            }
            _ => true,
        }
    }

    /// The application has been told what this package's head says, and must not be told anything older.
    pub(super) fn want(&mut self, owner: &PeerId, name: &PackageName) {
        if let Some(key) = package(owner, name)
            && let Some(mark) = self.marks.get(&key)
            && let Worth::Others(_) = mark.worth
        {
            self.clock += 1;
            self.set_worth(&key, Worth::Wanted(self.clock));
            self.bound_wanted();
        }
    }

    /// Whether the application has been told of this package.
    pub(super) fn is_wanted(&self, owner: &PeerId, name: &PackageName) -> bool {
        self.mark(owner, name).is_some_and(|mark| matches!(mark.worth, Worth::Wanted(_)))
    }

    /// Whether the application has been told of any package of this owner's.
    pub(super) fn wants(&self, owner: &PeerId) -> bool {
        owner_key(owner).is_some_and(|owner| self.wanted_of.contains_key(&owner))
    }

    /// Takes in what is known of a package, the higher of what was known before and this.
    pub(super) fn merge(&mut self, seen: Remembered) {
        let Remembered { owner, name, rank, equivocated, wanted } = seen;
        let key = Package { owner, name };
        self.clock += 1;
        let raised = self.clock;
        if let Some(mark) = self.marks.get_mut(&key) {
            let before = (mark.rank, mark.equivocated);
            if mark.rank.revision() == rank.revision() {
                mark.equivocated |= equivocated;
            } else if mark.rank < rank {
                mark.equivocated = equivocated;
            }
            if mark.rank < rank {
                mark.rank = rank;
                let before = std::mem::replace(&mut mark.raised, raised);
                if matches!(mark.worth, Worth::Others(_)) {
                    self.by_owner.remove(&(owner, before));
                    self.by_owner.insert((owner, raised), key.name.clone());
                }
            }
            if (mark.rank, mark.equivocated) != before {
                self.changed.mark(|| key.clone());
            }
        } else {
            let Some(peer) = owner_from_key(&owner) else { return };
            let worth = if peer == self.publisher {
                Worth::Own(raised)
            } else {
                let head = RecordKey::head(&self.network, &peer, &key.name);
                Worth::Others(Reverse(distance_of(&self.local, &head).high()))
            };
            let mark = Mark { rank, equivocated, worth, raised };
            self.marks.insert(key.clone(), mark);
            self.changed.mark_new(|| key.clone());
            self.enlist(&key, worth, raised);
            self.bound_share(&owner);
            self.bound_all();
        }
        if wanted && let Some(peer) = owner_from_key(&owner) {
            self.want(&peer, &key.name);
        }
    }

    /// Everything that is known, the first to be forgotten first.
    pub(super) fn all(&self) -> impl Iterator<Item = Remembered> {
        self.order.iter().filter_map(|(_, key)| self.remembered(key))
    }

    /// What is known of a package, unless it has been forgotten.
    pub(super) fn remembered(&self, key: &Package) -> Option<Remembered> {
        let mark = self.marks.get(key)?;
        Some(Remembered {
            owner: key.owner,
            name: key.name.clone(),
            rank: mark.rank,
            equivocated: mark.equivocated,
            wanted: matches!(mark.worth, Worth::Wanted(_)),
        })
    }

    /// The storage has this.
    pub(super) fn unmark(&mut self, stored: &Remembered) {
        let key = Package { owner: stored.owner, name: stored.name.clone() };
        if self.remembered(&key).as_ref() == Some(stored) {
            self.changed.unmark(&key);
        } else {
            self.changed.mark_row(|| key);
        }
    }

    fn enlist(&mut self, key: &Package, worth: Worth, raised: u64) {
        self.order.insert((worth, key.clone()));
        match worth {
            Worth::Others(_) => {
                self.by_owner.insert((key.owner, raised), key.name.clone());
                *self.shares.entry(key.owner).or_default() += 1;
            }
            Worth::Wanted(since) => {
                self.wanted.insert(since, key.clone());
                *self.wanted_of.entry(key.owner).or_default() += 1;
            }
            Worth::Own(_) => {}
        }
    }

    fn delist(&mut self, key: &Package, worth: Worth, raised: u64) {
        self.order.remove(&(worth, key.clone()));
        match worth {
            Worth::Others(_) => {
                self.by_owner.remove(&(key.owner, raised));
                count_down(&mut self.shares, &key.owner);
            }
            Worth::Wanted(since) => {
                self.wanted.remove(&since);
                count_down(&mut self.wanted_of, &key.owner);
            }
            Worth::Own(_) => {}
        }
    }

    fn set_worth(&mut self, key: &Package, worth: Worth) {
        let Some(mark) = self.marks.get_mut(key) else { return };
        let (before, raised) = (std::mem::replace(&mut mark.worth, worth), mark.raised);
        self.delist(key, before, raised);
        self.enlist(key, worth, raised);
        self.changed.mark(|| key.clone());
    }

    fn forget(&mut self, key: &Package) {
        if let Some(Mark { worth, raised, .. }) = self.marks.remove(key) {
            self.delist(key, worth, raised);
            self.changed.mark_gone(|| key.clone());
        }
    }

    /// An owner with too many loses its oldest.
    fn bound_share(&mut self, owner: &[u8; 32]) {
        let most = self.bound.div_ceil(OWNERS_PART);
        while self.shares.get(owner).is_some_and(|&share| share > most) {
            let mut its = self.by_owner.range((*owner, 0)..=(*owner, u64::MAX));
            let Some((_, name)) = its.next() else { return };
            self.forget(&Package { owner: *owner, name: name.clone() });
        }
    }

    /// What the application has asked for takes half of the places at the most. Beyond, the first told is as
    /// others are.
    fn bound_wanted(&mut self) {
        while self.wanted.len() > self.bound / 2 {
            let Some((_, key)) = self.wanted.first_key_value() else { return };
            self.lower(&key.clone());
        }
    }

    fn lower(&mut self, key: &Package) {
        let Some(owner) = owner_from_key(&key.owner) else { return };
        let head = RecordKey::head(&self.network, &owner, &key.name);
        self.set_worth(key, Worth::Others(Reverse(distance_of(&self.local, &head).high())));
        self.bound_share(&key.owner);
    }

    fn bound_all(&mut self) {
        while self.marks.len() > self.bound {
            let Some((_, key)) = self.order.first().cloned() else { return };
            self.forget(&key);
        }
    }
}

fn count_down(counts: &mut HashMap<[u8; 32], usize>, owner: &[u8; 32]) {
    if let Some(count) = counts.get_mut(owner) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(owner);
        }
    }
}

fn package(owner: &PeerId, name: &PackageName) -> Option<Package> {
    Some(Package { owner: owner_key(owner)?, name: name.clone() })
}

#[cfg(test)]
impl HighWater {
    /// Checks that every list tells the same.
    pub(super) fn check(&self) {
        let count =
            |kind: fn(&Worth) -> bool| self.marks.values().filter(|mark| kind(&mark.worth)).count();
        assert!(self.marks.len() <= self.bound);
        assert_eq!(self.marks.len(), self.order.len());
        assert_eq!(self.by_owner.len(), count(|worth| matches!(worth, Worth::Others(_))));
        assert_eq!(self.by_owner.len(), self.shares.values().sum::<usize>());
        assert_eq!(self.wanted.len(), count(|worth| matches!(worth, Worth::Wanted(_))));
        assert_eq!(self.wanted.len(), self.wanted_of.values().sum::<usize>());
        assert!(self.wanted.len() <= self.bound / 2);
        assert!(self.shares.values().all(|&share| share <= self.bound.div_ceil(OWNERS_PART)));
        for (key, mark) in &self.marks {
            assert!(self.order.contains(&(mark.worth, key.clone())));
        }
    }
}
