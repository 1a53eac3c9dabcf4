//! Whom a bare name means.

use std::collections::{BTreeMap, btree_map::Entry};

use libp2p::PeerId;

use crate::{
    engine::{dirty::Dirty, store::rows},
    error::{Error, Result},
    package::PackageName,
    storage::Change,
};

/// Owners decided for bare names, by the application or on first use.
#[derive(Debug)]
pub(crate) struct Pins {
    owners: BTreeMap<PackageName, PeerId>,
    on_first_use: bool,
    bound: usize,
    /// Names whose pin the storage does not have as it is.
    changed: Dirty<PackageName>,
}

impl Pins {
    pub(crate) fn new(
        owners: BTreeMap<PackageName, PeerId>,
        on_first_use: bool,
        bound: usize,
    ) -> Self {
        Self { owners, on_first_use, bound, changed: Dirty::default() }
    }

    pub(crate) fn owner(&self, name: &PackageName) -> Option<PeerId> {
        self.owners.get(name).copied()
    }

    /// Pins, or with `None` unpins, and answers with the owner that was pinned before.
    pub(crate) fn set(
        &mut self,
        name: PackageName,
        owner: Option<PeerId>,
    ) -> Result<Option<PeerId>> {
        let Some(owner) = owner else {
            let before = self.owners.remove(&name);
            self.changed.mark_gone(|| name);
            return Ok(before);
        };
        if self.owners.len() >= self.bound && !self.owners.contains_key(&name) {
            return Err(Error::busy("pins"));
        }
        let before = self.owners.insert(name.clone(), owner);
        match before {
            Some(_) => self.changed.mark(|| name),
            None => self.changed.mark_new(|| name),
        }
        Ok(before)
    }

    /// Every name that is pinned, and whom it means.
    pub(crate) fn all(&self) -> Vec<(PackageName, PeerId)> {
        self.owners.iter().map(|(name, owner)| (name.clone(), *owner)).collect()
    }

    /// Pins what was pinned in an earlier life, where nothing else is decided.
    pub(crate) fn restore<'a>(
        &mut self,
        pins: impl Iterator<Item = (&'a PackageName, &'a PeerId)>,
    ) {
        for (name, owner) in pins {
            if self.owners.len() < self.bound {
                self.owners.entry(name.clone()).or_insert(*owner);
                self.changed.mark(|| name.clone());
            }
        }
    }

    /// From here on, it is noted which names change.
    pub(crate) fn note_changes(&mut self) {
        self.changed.turn_on();
    }

    /// How many names wait to be written.
    pub(crate) fn unsaved(&self) -> usize {
        self.changed.len()
    }

    /// Takes the rows that are to be written now.
    pub(crate) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        for name in self.changed.take(usize::MAX) {
            changes.push(rows::pin(&name, self.owner(&name)));
        }
    }

    /// The rows that were taken have been written, or have not.
    pub(crate) fn settle_changes(&mut self, is_written: bool) {
        self.changed.settle(is_written);
    }

    /// The storage has all of them as they are.
    pub(crate) fn unmark(&mut self) {
        self.changed.take(usize::MAX);
        self.changed.settle(true);
    }

    /// A bare name resolved to the only owner that claims it.
    pub(crate) fn first_use(&mut self, name: &PackageName, owner: PeerId) {
        if self.on_first_use
            && self.owners.len() < self.bound
            && let Entry::Vacant(vacant) = self.owners.entry(name.clone())
        {
            vacant.insert(owner);
            self.changed.mark_new(|| name.clone());
        }
    }
}
