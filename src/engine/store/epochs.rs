//! The highest epoch seen of each owner.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;

use crate::record::{Head, Record};

/// Owners whose epoch is remembered. One that has never gone on to another than 0 takes no place.
const MAX_OWNERS: usize = 16_384;

/// The epoch that each owner has come to, by any of its verified heads and claims: below it no publisher's key is
/// believed, whichever package it signs. Bounded: the owner that entered first is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    floors: HashMap<PeerId, u32>,
    order: VecDeque<PeerId>,
}

impl Epochs {
    /// The highest epoch seen, or 0.
    pub(super) fn floor(&self, owner: &PeerId) -> u32 {
        self.floors.get(owner).copied().unwrap_or_default()
    }

    /// All of them, the one that entered first coming first.
    pub(super) fn all(&self) -> impl Iterator<Item = (PeerId, u32)> {
        self.order.iter().map(|owner| (*owner, self.floor(owner)))
    }

    /// Remembers an epoch that was seen.
    pub(super) fn raise(&mut self, owner: PeerId, epoch: u32) {
        if epoch == 0 {
            return;
        }
        if let Some(floor) = self.floors.get_mut(&owner) {
            *floor = epoch.max(*floor);
            return;
        }
        while self.floors.len() >= MAX_OWNERS {
            let Some(first) = self.order.pop_front() else { break };
            self.floors.remove(&first);
        }
        self.floors.insert(owner, epoch);
        self.order.push_back(owner);
    }

    /// Remembers the epoch of a head that was seen.
    pub(super) fn raise_by_head(&mut self, head: &Head) {
        self.raise(head.owner, head.revision.epoch);
    }

    /// Remembers what a verified record says of epochs. Releases and pages say nothing: they have none.
    pub(super) fn raise_by(&mut self, record: &Record) {
        match record {
            Record::Head(head) => self.raise_by_head(head),
            Record::Claims { set, .. } => {
                set.iter().for_each(|claim| self.raise(claim.owner, claim.revision.epoch));
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
        let mut epochs = Epochs::default();
        let owner = PeerId::random();
        for (epoch, floor) in [(0, 0), (3, 3), (1, 3), (4, 4), (0, 4)] {
            epochs.raise(owner, epoch);
            assert_eq!(epochs.floor(&owner), floor);
        }
        assert_eq!(epochs.floor(&PeerId::random()), 0);
    }

    #[test]
    fn a_flood_of_owners_costs_bounded_memory() {
        let mut epochs = Epochs::default();
        let first = PeerId::random();
        epochs.raise(first, 1);
        let second = PeerId::random();
        epochs.raise(second, 1);
        for _ in 0..MAX_OWNERS - 1 {
            epochs.raise(PeerId::random(), 1);
        }
        assert_eq!((epochs.floors.len(), epochs.order.len()), (MAX_OWNERS, MAX_OWNERS));
        assert_eq!((epochs.floor(&first), epochs.floor(&second)), (0, 1));
        // Owners that stay in epoch 0, as nearly all do, push nobody out.
        epochs.raise(PeerId::random(), 0);
        assert_eq!(epochs.floor(&second), 1);
    }
}
