//! The highest epoch seen of each owner.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;

use super::{MAX_FACTS, Store};
use crate::{engine::dirty::Dirty, record::Record};

/// Owners whose epoch is remembered. One that has never gone on to another than 0 takes no place.
pub(crate) const MAX_OWNERS: usize = 16_384;

/// The epoch that each owner has come to, by any of its verified heads and claims: below it no publisher's key is
/// believed, whichever package it signs.
///
/// Bounded: the owner that entered first is forgotten first. Owners whose packages the application has been told of
/// keep up to half of the places, whoever comes; the one that this node publishes for is never forgotten.
#[derive(Debug)]
pub(super) struct Epochs {
    publisher: PeerId,
    floors: HashMap<PeerId, Floor>,
    /// In the order in which they are forgotten, the wanted ones after the others.
    others: VecDeque<PeerId>,
    wanted: VecDeque<PeerId>,
    /// Owners whose epoch the storage does not have as it is.
    pub(super) changed: Dirty<PeerId>,
}

#[derive(Debug)]
struct Floor {
    epoch: u32,
    worth: Worth,
}

/// How much it matters that an owner stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    Others,
    Wanted,
    Own,
}

impl Epochs {
    pub(super) fn new(publisher: PeerId) -> Self {
        let (floors, others, wanted) = Default::default();
        Self { publisher, floors, others, wanted, changed: Dirty::default() }
    }

    /// From here on, it is noted which epochs change. The storage has none of those that were given before.
    pub(super) fn note_changes(&mut self) {
        self.changed.turn_on();
        for owner in self.floors.keys() {
            self.changed.mark_new(|| *owner);
        }
    }

    /// The storage has this.
    pub(super) fn unmark(&mut self, owner: &PeerId, epoch: u32) {
        if self.floor(owner) == epoch {
            self.changed.unmark(owner);
        } else {
            self.changed.mark_row(|| *owner);
        }
    }

    /// This node's packages are this owner's. Comes before anything is seen.
    pub(super) fn publishes_for(&mut self, owner: PeerId) {
        self.publisher = owner;
    }

    /// The highest epoch seen, or 0.
    pub(super) fn floor(&self, owner: &PeerId) -> u32 {
        self.floors.get(owner).map_or(0, |floor| floor.epoch)
    }

    /// All of them, the first to be forgotten coming first.
    pub(super) fn all(&self) -> impl Iterator<Item = (PeerId, u32)> {
        let own = self.floors.contains_key(&self.publisher).then_some(&self.publisher);
        let owners = self.others.iter().chain(&self.wanted).chain(own);
        owners.map(|owner| (*owner, self.floor(owner)))
    }

    /// Remembers an epoch that was seen, and tells whether it is higher than what was known.
    pub(super) fn raise(&mut self, owner: PeerId, epoch: u32) -> bool {
        if epoch <= self.floor(&owner) {
            return false;
        }
        if let Some(floor) = self.floors.get_mut(&owner) {
            self.changed.mark(|| owner);
            floor.epoch = epoch;
            return true;
        }
        self.changed.mark_new(|| owner);
        if owner == self.publisher {
            self.floors.insert(owner, Floor { epoch, worth: Worth::Own });
            return true;
        }
        self.floors.insert(owner, Floor { epoch, worth: Worth::Others });
        self.others.push_back(owner);
        while self.others.len() + self.wanted.len() > MAX_OWNERS {
            let Some(first) = self.others.pop_front() else { break };
            self.floors.remove(&first);
            self.changed.mark_gone(|| first);
        }
        true
    }

    /// The application has been told of a package of this owner's.
    pub(super) fn want(&mut self, owner: &PeerId) {
        match self.floors.get_mut(owner) {
            Some(floor) if floor.worth == Worth::Others => floor.worth = Worth::Wanted,
            _ => return,
        }
        self.others.retain(|other| other != owner);
        self.wanted.push_back(*owner);
        if self.wanted.len() > MAX_OWNERS / 2
            && let Some(first) = self.wanted.pop_front()
            && let Some(floor) = self.floors.get_mut(&first)
        {
            floor.worth = Worth::Others;
            self.others.push_back(first);
        }
    }
}

impl Store {
    /// Remembers an epoch that was seen of an owner.
    pub(super) fn raise_epoch(&mut self, owner: PeerId, epoch: u32) {
        if self.epochs.raise(owner, epoch) && self.raised.len() < MAX_FACTS {
            self.raised.insert(owner);
        }
        if self.high_water.wants(&owner) {
            self.epochs.want(&owner);
        }
    }

    /// Remembers what a verified record says of epochs. Releases and pages say nothing: they have none.
    pub(super) fn raise_epochs(&mut self, record: &Record) {
        match record {
            Record::Head(head) => self.raise_epoch(head.owner, head.revision.epoch),
            Record::Claims { set, .. } => {
                set.iter().for_each(|claim| self.raise_epoch(claim.owner, claim.revision.epoch));
            }
            Record::Release(_) | Record::Page(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_s_epoch_never_falls() {
        let mut epochs = Epochs::new(PeerId::random());
        let owner = PeerId::random();
        for (epoch, floor) in [(0, 0), (3, 3), (1, 3), (4, 4), (0, 4)] {
            epochs.raise(owner, epoch);
            assert_eq!(epochs.floor(&owner), floor);
        }
        assert_eq!(epochs.floor(&PeerId::random()), 0);
    }

    #[test]
    fn a_flood_of_owners_costs_bounded_memory() {
        let mut epochs = Epochs::new(PeerId::random());
        let first = PeerId::random();
        epochs.raise(first, 1);
        let second = PeerId::random();
        epochs.raise(second, 1);
        for _ in 0..MAX_OWNERS - 1 {
            epochs.raise(PeerId::random(), 1);
        }
        assert_eq!((epochs.floors.len(), epochs.others.len()), (MAX_OWNERS, MAX_OWNERS));
        assert_eq!((epochs.floor(&first), epochs.floor(&second)), (0, 1));
        // Owners that stay in epoch 0, as nearly all do, push nobody out.
        epochs.raise(PeerId::random(), 0);
        assert_eq!(epochs.floor(&second), 1);
    }

    #[test]
    fn a_flood_of_owners_takes_neither_those_that_are_read_nor_the_own_one() {
        let (own, read) = (PeerId::random(), PeerId::random());
        let mut epochs = Epochs::new(own);
        epochs.raise(own, 3);
        epochs.raise(read, 2);
        epochs.want(&read);
        for _ in 0..MAX_OWNERS + 9 {
            epochs.raise(PeerId::random(), 1);
        }
        assert_eq!((epochs.floor(&own), epochs.floor(&read)), (3, 2));
        assert_eq!(epochs.all().count(), MAX_OWNERS + 1);
        assert_eq!(epochs.floors.len(), MAX_OWNERS + 1);
        // They take half of the places at the most.
        for _ in 0..MAX_OWNERS {
            let owner = PeerId::random();
            epochs.raise(owner, 1);
            epochs.want(&owner);
        }
        assert_eq!((epochs.wanted.len(), epochs.floor(&read)), (MAX_OWNERS / 2, 0));
    }
}
