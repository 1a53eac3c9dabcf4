//! Whom a bare name means.

use std::collections::BTreeMap;

use libp2p::PeerId;

use crate::{
    error::{Error, Result},
    package::PackageName,
};

/// Owners decided for bare names, by the application or on first use.
#[derive(Debug)]
pub(crate) struct Pins {
    owners: BTreeMap<PackageName, PeerId>,
    on_first_use: bool,
    bound: usize,
}

impl Pins {
    pub(crate) fn new(
        owners: BTreeMap<PackageName, PeerId>,
        on_first_use: bool,
        bound: usize,
    ) -> Self {
        Self { owners, on_first_use, bound }
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
        let Some(owner) = owner else { return Ok(self.owners.remove(&name)) };
        if self.owners.len() >= self.bound && !self.owners.contains_key(&name) {
            return Err(Error::busy("pins"));
        }
        Ok(self.owners.insert(name, owner))
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
            }
        }
    }

    /// A bare name resolved to the only owner that claims it.
    pub(crate) fn first_use(&mut self, name: &PackageName, owner: PeerId) {
        if self.on_first_use && self.owners.len() < self.bound {
            self.owners.entry(name.clone()).or_insert(owner);
        }
    }
}
