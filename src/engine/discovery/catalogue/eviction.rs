//! What stays when there is no room for all: who takes how much of the catalogue, and what goes first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::entry::{Age, Entry, PeerKey, Worth};

/// Pinned and used packages have no more than three quarters of the room.
const KEPT_PART: (usize, usize) = (3, 4);

/// An owner that has more than this part of the room makes room for its own.
const OWNERS_PART: usize = 16;

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    pub(crate) packages: usize,
    pub(crate) bytes: usize,
}

impl Load {
    fn add(&mut self, size: usize) {
        self.packages += 1;
        self.bytes += size;
    }

    fn take(&mut self, size: usize) {
        self.packages = self.packages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }

    fn of(&self, scarce: Scarce) -> usize {
        match scarce {
            Scarce::Places => self.packages,
            Scarce::Bytes => self.bytes,
        }
    }

    fn exceeds(&self, bound: Self) -> bool {
        self.packages > bound.packages || self.bytes > bound.bytes
    }
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scarce {
    Places,
    Bytes,
}

/// The order in which entries go, and how much of the room is whose.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Load,
    /// All but what this node publishes.
    counted: Load,
    own: Load,
    kept: Load,
    /// Longest unused first.
    used: BTreeMap<u64, u32>,
    /// What was merely heard of: by whom it was brought, the oldest first.
    heard: BTreeSet<(PeerKey, Age, u32)>,
    brought: HashMap<PeerKey, Load>,
    loudest_by_packages: BTreeSet<(usize, PeerKey)>,
    loudest_by_bytes: BTreeSet<(usize, PeerKey)>,
    /// What was merely heard of: by owner, the oldest first.
    owned: BTreeSet<([u8; 32], Age, u32)>,
    shares: HashMap<[u8; 32], Load>,
}

impl Places {
    pub(super) fn new(bounds: Load) -> Self {
        Self {
            bounds,
            counted: Load::default(),
            own: Load::default(),
            kept: Load::default(),
            used: BTreeMap::new(),
            heard: BTreeSet::new(),
            brought: HashMap::new(),
            loudest_by_packages: BTreeSet::new(),
            loudest_by_bytes: BTreeSet::new(),
            owned: BTreeSet::new(),
            shares: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, id: u32, entry: &Entry) {
        let size = entry.listing.size();
        match entry.worth {
            Worth::Own => return self.own.add(size),
            Worth::Pinned => self.kept.add(size),
            Worth::Used(turn) => {
                self.kept.add(size);
                self.used.insert(turn, id);
            }
            Worth::Heard => {
                let (peer, age) = (entry.brought_by(), entry.listing.age());
                let owner = entry.listing.key.owner;
                self.heard.insert((peer.clone(), age, id));
                self.owned.insert((owner, age, id));
                self.shares.entry(owner).or_default().add(size);
                self.weigh(peer, |load| load.add(size));
            }
        }
        self.counted.add(size);
    }

    /// Takes out an entry that is as it was when it was added.
    pub(super) fn take(&mut self, id: u32, entry: &Entry) {
        let size = entry.listing.size();
        match entry.worth {
            Worth::Own => return self.own.take(size),
            Worth::Pinned => self.kept.take(size),
            Worth::Used(turn) => {
                self.kept.take(size);
                self.used.remove(&turn);
            }
            Worth::Heard => {
                let (peer, age) = (entry.brought_by(), entry.listing.age());
                let owner = entry.listing.key.owner;
                self.heard.remove(&(peer.clone(), age, id));
                self.owned.remove(&(owner, age, id));
                if let Some(share) = self.shares.get_mut(&owner) {
                    share.take(size);
                    if share.packages == 0 {
                        self.shares.remove(&owner);
                    }
                }
                self.weigh(peer, |load| load.take(size));
            }
        }
        self.counted.take(size);
    }

    fn weigh(&mut self, peer: PeerKey, change: impl FnOnce(&mut Load)) {
        let mut load = self.brought_by(&peer);
        if load.packages > 0 {
            self.loudest_by_packages.remove(&(load.packages, peer.clone()));
            self.loudest_by_bytes.remove(&(load.bytes, peer.clone()));
        }
        change(&mut load);
        if load.packages == 0 {
            self.brought.remove(&peer);
            return;
        }
        self.loudest_by_packages.insert((load.packages, peer.clone()));
        self.loudest_by_bytes.insert((load.bytes, peer.clone()));
        self.brought.insert(peer, load);
    }

    /// What a peer has brought of what was merely heard of.
    pub(super) fn brought_by(&self, peer: &PeerKey) -> Load {
        self.brought.get(peer).copied().unwrap_or_default()
    }

    /// What the bounds count, and what this node publishes.
    pub(super) fn total(&self) -> Load {
        Load {
            packages: self.counted.packages + self.own.packages,
            bytes: self.counted.bytes + self.own.bytes,
        }
    }

    /// The used entry that has to go back among the others.
    pub(super) fn falling(&self) -> Option<u32> {
        let (part, whole) = KEPT_PART;
        let part = |bound: usize| bound / whole * part + bound % whole * part / whole;
        let bounds = Load { packages: part(self.bounds.packages), bytes: part(self.bounds.bytes) };
        if !self.kept.exceeds(bounds) {
            return None;
        }
        self.used.first_key_value().map(|(_, id)| *id)
    }

    /// What there is too little of now.
    pub(super) fn scarce(&self) -> Option<Scarce> {
        if self.counted.packages > self.bounds.packages {
            Some(Scarce::Places)
        } else if self.counted.bytes > self.bounds.bytes {
            Some(Scarce::Bytes)
        } else {
            None
        }
    }

    /// The oldest entry of an owner that has more than its share.
    pub(super) fn oldest_of_owner(&self, owner: &[u8; 32], scarce: Scarce) -> Option<u32> {
        let share = self.shares.get(owner)?.of(scarce);
        // One package is nobody's share too many, however small the catalogue.
        if share <= (self.bounds.of(scarce) / OWNERS_PART).max(1) {
            return None;
        }
        let from = (*owner, Age::FIRST, 0);
        let (found, _, id) = self.owned.range(from..).next()?;
        (found == owner).then_some(*id)
    }

    /// The oldest entry of the peer that has brought the most.
    pub(super) fn oldest_of_loudest(&self, scarce: Scarce) -> Option<u32> {
        let loudest = match scarce {
            Scarce::Places => &self.loudest_by_packages,
            Scarce::Bytes => &self.loudest_by_bytes,
        };
        let (_, peer) = loudest.last()?;
        self.heard.range((peer.clone(), Age::FIRST, 0)..).next().map(|(_, _, id)| *id)
    }

    /// Another provider of an entry that stays below the one that has brought it, even if it takes the entry over.
    pub(super) fn quieter(&self, entry: &Entry, scarce: Scarce) -> Option<PeerKey> {
        let loudest = self.brought_by(&entry.brought_by()).of(scarce);
        let more = match scarce {
            Scarce::Places => 1,
            Scarce::Bytes => entry.listing.size(),
        };
        let others = entry.providers().iter().skip(1);
        let quietest = others.min_by_key(|other| self.brought_by(&other.peer).of(scarce))?;
        let takes = self.brought_by(&quietest.peer).of(scarce).saturating_add(more);
        (takes < loudest).then(|| quietest.peer.clone())
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let heard: usize = self.brought.values().map(|load| load.packages).sum();
        assert_eq!(heard, self.heard.len());
        assert_eq!(heard, self.owned.len());
        assert_eq!(heard, self.shares.values().map(|share| share.packages).sum::<usize>());
        assert_eq!(self.brought.len(), self.loudest_by_packages.len());
        assert_eq!(self.brought.len(), self.loudest_by_bytes.len());
        assert_eq!(self.counted.packages, heard + self.kept.packages);
        assert!(!self.counted.exceeds(self.bounds));
    }
}
