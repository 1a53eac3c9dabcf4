//! Which packages there are: the catalogue, its words, how it catches up with that of others, and searches.

use libp2p::PeerId;

use super::recent::Recent;
use crate::{
    buckets::Buckets,
    config::Config,
    coverage::Coverage,
    engine::{discovery::restoring::Restoring, interface::Now},
    package::Digest,
};

use catalogue::{Catalogue, Load};
use index::Index;
use neighbours::Neighbours;
use reconciling::{REMEMBERED_IN_VAIN, Running};
use searching::Searches;
use slices::Listing;

pub(in crate::engine) mod answering;
pub(in crate::engine) mod catalogue;
pub(in crate::engine) mod greeting;
pub(crate) mod index;
mod listed;
mod listing;
pub(in crate::engine) mod nearness;
pub(in crate::engine) mod neighbours;
pub(crate) mod reconcile;
pub(in crate::engine) mod reconciling;
pub(in crate::engine) mod restoring;
mod said_since;
pub(in crate::engine) mod searching;
mod slices;

/// The room of what there is.
#[derive(Debug)]
pub(in crate::engine) struct Discovery {
    catalogue: Catalogue,
    /// What is in the catalogue, by its words.
    index: Index,
    /// Heads of an earlier life's catalogue that have not been verified yet.
    restoring: Restoring,
    /// Connected peers as those with whom the catalogue is compared, and the session that is under way with one.
    neighbours: Neighbours,
    session: Option<Running>,
    /// The catalogue as it was compared last.
    listings: Vec<Listing>,
    /// Heads that peers have sent in vain.
    vain: Recent<Digest>,
    /// How many more peers may have this node fetch.
    allowances: Buckets<PeerId>,
    searches: Searches,
}

impl Discovery {
    pub(in crate::engine) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            catalogue: Catalogue::new(
                Load { packages: limits.catalogue_packages, bytes: limits.catalogue_bytes },
                config.coverage.clone(),
            ),
            index: Index::new(),
            restoring: Restoring::default(),
            neighbours: Neighbours::default(),
            session: None,
            listings: Vec::new(),
            vain: Recent::new(reconciling::VAIN, REMEMBERED_IN_VAIN),
            allowances: reconciling::allowances(limits),
            searches: Searches::default(),
        }
    }
    /// From here on, what has a date is judged by this time.
    pub(in crate::engine) fn set_time(&mut self, now: Now) {
        self.catalogue.set_time(now.unix);
    }

    /// What peers have sent in vain may be of use now.
    pub(in crate::engine) fn forgive_vain(&mut self) {
        self.vain.clear();
    }

    /// How many packages have been heard of.
    pub(in crate::engine) fn known_packages(&self) -> usize {
        self.catalogue.known()
    }

    /// How many bytes the bounds of the catalogue count, and those of this node's own heads.
    pub(in crate::engine) fn bytes(&self) -> usize {
        self.catalogue.bytes()
    }

    pub(in crate::engine) fn coverage(&self) -> &Coverage {
        self.catalogue.coverage()
    }
}

/// For tests, which look into the room and make up what is in it.
#[cfg(test)]
impl Discovery {
    pub(in crate::engine) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(in crate::engine) fn catalogue_mut(&mut self) -> &mut Catalogue {
        &mut self.catalogue
    }

    pub(in crate::engine) fn neighbours(&mut self) -> &mut Neighbours {
        &mut self.neighbours
    }

    pub(in crate::engine) fn vain(&mut self) -> &mut Recent<Digest> {
        &mut self.vain
    }
}

#[cfg(any(test, fuzzing))]
impl Discovery {
    /// How many deadlines it has set that end with what they are for.
    pub(in crate::engine) fn timers(&self) -> usize {
        let doubted = self.neighbours.iter().filter(|(_, neighbour)| neighbour.doubt.is_some());
        usize::from(self.session.is_some()) + self.searches.len() + doubted.count()
    }
}
