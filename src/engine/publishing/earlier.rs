//! Own packages of an earlier life, of which this one has not read yet what stands of them.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    package::PackageName,
    record::{Head, Signed, Validity},
};

/// The packages that a snapshot says this node has published, and what the network is asked of them. As many as the
/// snapshot has.
///
/// That nobody holds one any more ends it, unless the calendar may be why: where it says that the head is out of its
/// time, whatever peers hold may be refused for the same reason. Such a package is set aside, and asked for again when
/// the calendar has moved.
#[derive(Debug, Default)]
pub(in crate::engine) struct Earlier {
    packages: BTreeMap<PackageName, Package>,
    /// How often the calendar had moved when those that were set aside were taken up last.
    taken_up: u64,
}

#[derive(Debug)]
struct Package {
    head: Arc<[u8]>,
    validity: Validity,
    is_aside: bool,
    /// How often the calendar had moved when the network was heard of it last.
    moves: u64,
}

impl Earlier {
    pub(in crate::engine) fn new(heads: impl Iterator<Item = Signed<Head>>) -> Self {
        let package = |head: Signed<Head>| {
            let (bytes, validity) = (Arc::clone(head.bytes()), head.validity);
            (head.name.clone(), Package { head: bytes, validity, is_aside: false, moves: 0 })
        };
        Self { packages: heads.map(package).collect(), taken_up: 0 }
    }

    /// Some more have been found.
    pub(in crate::engine) fn add(&mut self, heads: impl Iterator<Item = Signed<Head>>) {
        for (name, package) in Self::new(heads).packages {
            self.packages.entry(name).or_insert(package);
        }
    }

    /// Those that the network is to be asked for.
    pub(in crate::engine) fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.packages.iter().filter(|(_, package)| !package.is_aside).map(|(name, _)| name)
    }

    /// Whether the network is to be asked for none.
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    pub(in crate::engine) fn contains(&self, name: &PackageName) -> bool {
        self.packages.contains_key(name)
    }

    /// The heads of all of them as they were signed, with the time at which they end.
    pub(in crate::engine) fn heads(&self) -> impl Iterator<Item = (&Arc<[u8]>, u64)> {
        self.packages.values().map(|package| (&package.head, package.validity.expires))
    }

    /// This life publishes it.
    pub(in crate::engine) fn remove(&mut self, name: &PackageName) {
        self.packages.remove(name);
    }

    /// Peers were asked, and none of them has told of a copy that holds. Tells whether they are to be asked again.
    pub(in crate::engine) fn not_found(
        &mut self,
        name: &PackageName,
        unix: u64,
        moves: u64,
    ) -> bool {
        let Some(package) = self.packages.get_mut(name) else { return false };
        if std::mem::replace(&mut package.moves, moves) != moves {
            // Some copies may have been refused before the calendar was set.
            return true;
        }
        if package.validity.is_expired(unix) || package.validity.is_early(unix) {
            package.is_aside = true;
        } else {
            self.packages.remove(name);
        }
        false
    }

    /// Takes up those that were set aside, if the calendar has moved since, and tells whether there are any.
    pub(in crate::engine) fn take_up(&mut self, moves: u64) -> bool {
        if std::mem::replace(&mut self.taken_up, moves) == moves {
            return false;
        }
        let aside = self.packages.values_mut().filter(|package| package.is_aside);
        aside.map(|package| package.is_aside = false).count() > 0
    }
}
