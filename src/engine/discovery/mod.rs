//! Which packages there are: the catalogue, its words, how it catches up with that of others, and searches.

use std::{collections::VecDeque, sync::Arc};

use super::recent::Recent;
use crate::{Config, Digest, PeerId, buckets::Buckets};

pub(in crate::engine) mod answering;
pub(in crate::engine) mod catalogue;
pub(in crate::engine) mod greeting;
pub mod index;
pub(in crate::engine) mod listed;
pub(in crate::engine) mod listing;
pub(in crate::engine) mod nearness;
pub(in crate::engine) mod neighbours;
pub(crate) mod reconcile;
pub(in crate::engine) mod reconciling;
pub(in crate::engine) mod restoring;
pub(in crate::engine) mod said_since;
pub(in crate::engine) mod searching;

use catalogue::{Catalogue, Load};
use index::Index;
use neighbours::Neighbours;
use reconciling::{Listing, REMEMBERED_IN_VAIN, Running};
use searching::Searches;

/// The room of what there is.
#[derive(Debug)]
pub(in crate::engine) struct Discovery {
    pub(in crate::engine) catalogue: Catalogue,
    /// What is in the catalogue, by its words.
    pub(in crate::engine) index: Index,
    /// Heads of an earlier life's catalogue that have not been verified yet.
    pub(in crate::engine) restoring: VecDeque<Arc<[u8]>>,
    /// Connected peers as those with whom the catalogue is compared, and the session that is under way with one.
    pub(in crate::engine) neighbours: Neighbours,
    pub(in crate::engine) session: Option<Running>,
    /// The catalogue as it was compared last.
    pub(in crate::engine) listings: Vec<Listing>,
    /// Heads that peers have sent in vain.
    pub(in crate::engine) vain: Recent<Digest>,
    /// How many more peers may have this node fetch.
    pub(in crate::engine) allowances: Buckets<PeerId>,
    pub(in crate::engine) searches: Searches,
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
            restoring: VecDeque::new(),
            neighbours: Neighbours::default(),
            session: None,
            listings: Vec::new(),
            vain: Recent::new(reconciling::VAIN, REMEMBERED_IN_VAIN),
            allowances: reconciling::allowances(limits),
            searches: Searches::default(),
        }
    }
}
