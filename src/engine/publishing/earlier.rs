//! Own packages of an earlier life, of which this one has not read yet what stands of them.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    package::PackageName,
    record::{Head, Rank, Record, Signed, Validity},
};

/// The packages that a snapshot or a storage says this node has published, and what the network is asked of them. As many
/// as it has.
///
/// That nobody holds one any more does not end it: all may have been off for longer than a head holds. It is published
/// again from what is kept here, unless somebody may know better who has not been heard. What peers hold may have been
/// refused for the date that the calendar shows. Where the calendar says that the head has not been signed yet, it is wrong:
/// the package is set aside, and asked for again when the calendar has moved. A withdrawal of which nobody knows any more
/// has done its work.
#[derive(Debug, Default)]
pub(in crate::engine) struct Earlier {
    packages: BTreeMap<PackageName, Package>,
    /// How often the calendar had moved when those that were set aside were taken up last.
    taken_up: u64,
}

#[derive(Debug)]
struct Package {
    head: Arc<[u8]>,
    rank: Rank,
    validity: Validity,
    is_aside: bool,
    /// How often the calendar had moved when the network was heard of it last.
    moves: u64,
}

impl Earlier {
    pub(in crate::engine) fn new(heads: impl Iterator<Item = Signed<Head>>) -> Self {
        let package = |head: Signed<Head>| {
            let (bytes, rank, validity) = (Arc::clone(head.bytes()), head.rank(), head.validity);
            (head.name.clone(), Package { head: bytes, rank, validity, is_aside: false, moves: 0 })
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

    /// The head of one of them.
    pub(in crate::engine) fn head(&self, name: &PackageName) -> Option<Signed<Head>> {
        match Record::reopened(&self.packages.get(name)?.head).ok()? {
            Record::Head(head) => Some(head),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        }
    }

    /// Everybody who could know of it was heard, and nobody holds it. Tells whether what is kept here stands: by the
    /// calendar it may, which has not moved since peers were asked before, and nothing newer was `seen`.
    pub(in crate::engine) fn stands(
        &self,
        name: &PackageName,
        unix: u64,
        moves: u64,
        seen: Option<Rank>,
    ) -> bool {
        self.packages.get(name).is_some_and(|package| {
            !package.rank.withdrawn
                && !package.validity.is_early(unix)
                && package.moves == moves
                && seen.is_none_or(|seen| seen <= package.rank)
        })
    }

    /// This life publishes it.
    pub(in crate::engine) fn remove(&mut self, name: &PackageName) {
        self.packages.remove(name);
    }

    /// Peers were asked, and none of them has told of a copy that holds, nor could it be published again. Tells whether
    /// they are to be asked again.
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
        let (is_early, is_expired) =
            (package.validity.is_early(unix), package.validity.is_expired(unix));
        if !is_early && !package.rank.withdrawn {
            return true;
        }
        if is_early || is_expired {
            package.is_aside = true;
        } else {
            self.packages.remove(name);
        }
        false
    }

    /// Takes up those that were set aside, if the calendar has moved since, and tells whether there are any to be asked for:
    /// of the others, too, copies may have been refused before.
    pub(in crate::engine) fn take_up(&mut self, moves: u64) -> bool {
        if std::mem::replace(&mut self.taken_up, moves) == moves {
            return false;
        }
        self.packages.values_mut().for_each(|package| package.is_aside = false);
        !self.packages.is_empty()
    }
}
