//! Packages of others that were announced, for searching.

use std::collections::{BTreeMap, VecDeque};

use libp2p::PeerId;

use crate::{
    Package, PackageName, Query,
    record::{Head, Revision, Signed},
};

/// Announced packages, bounded in number: the one that was announced longest ago goes.
#[derive(Debug)]
pub(crate) struct Catalogue {
    packages: BTreeMap<(PackageName, PeerId), Listed>,
    /// Oldest first. An entry whose turn number no longer fits its package has been announced again since.
    by_age: VecDeque<(u64, (PackageName, PeerId))>,
    turn: u64,
    bound: usize,
}

#[derive(Debug)]
struct Listed {
    package: Package,
    revision: Revision,
    /// Whether a publisher has signed the head, whom a higher epoch revokes.
    delegated: bool,
    /// Unix seconds at which the head that announced it is no longer valid.
    expires: u64,
    turn: u64,
}

impl Catalogue {
    pub(crate) fn new(bound: usize) -> Self {
        Self { packages: BTreeMap::new(), by_age: VecDeque::new(), turn: 0, bound }
    }

    /// Lists a package in place of an older announcement of it.
    pub(crate) fn insert(&mut self, package: Package, head: &Signed<Head>) {
        if self.bound == 0 {
            return;
        }
        let key = (package.id.name().clone(), package.owner);
        self.turn += 1;
        let turn = self.turn;
        self.by_age.push_back((turn, key.clone()));
        let (revision, expires) = (head.revision, head.validity.expires);
        self.packages.insert(
            key,
            Listed { package, revision, delegated: head.is_delegated(), expires, turn },
        );
        while self.packages.len() > self.bound {
            let Some((turn, key)) = self.by_age.pop_front() else { break };
            if self.packages.get(&key).is_some_and(|listed| listed.turn == turn) {
                self.packages.remove(&key);
            }
        }
        if self.by_age.len() > 2 * self.packages.len() + 64 {
            let packages = &self.packages;
            self.by_age
                .retain(|(turn, key)| packages.get(key).is_some_and(|listed| listed.turn == *turn));
        }
    }

    pub(crate) fn remove(&mut self, name: &PackageName, owner: &PeerId) {
        self.packages.remove(&(name.clone(), *owner));
    }

    /// The revision of the head that announced a listed package.
    pub(crate) fn revision(&self, name: &PackageName, owner: &PeerId) -> Option<Revision> {
        Some(self.packages.get(&(name.clone(), *owner))?.revision)
    }

    pub(crate) fn len(&self) -> usize {
        self.packages.len()
    }

    /// Everything that matches and is still valid, in no particular order. `epoch` tells the highest epoch seen of an
    /// owner.
    pub(crate) fn matching<'a>(
        &'a self,
        query: &'a Query,
        unix: u64,
        epoch: impl Fn(&PeerId) -> u32 + 'a,
    ) -> impl Iterator<Item = &'a Package> {
        self.packages
            .values()
            .filter(move |listed| listed.expires > unix)
            .filter(move |Listed { package, .. }| query.matches(&package.manifest, &package.owner))
            .filter(move |Listed { package, revision, delegated, .. }| {
                !delegated || revision.epoch >= epoch(&package.owner)
            })
            .map(|listed| &listed.package)
    }
}
