//! The index of searches by itself, for what measures it. No part of the interface.

use std::fmt;

use libp2p::PeerId;

use super::index::Index;
use crate::{Manifest, PackageName, Query};

/// Packages, and what is found among them.
#[derive(Default)]
pub struct Indexed(Index);

impl fmt::Debug for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexed").field("packages", &self.0.len()).finish()
    }
}

impl Indexed {
    /// Lists a package.
    pub fn insert(&mut self, owner: PeerId, manifest: &Manifest) {
        self.0.insert(owner, manifest, [manifest.version.clone()], 0);
    }

    /// The best packages, how many match, and whether more might.
    #[must_use]
    pub fn search(&self, query: &Query) -> (Vec<(PackageName, PeerId)>, usize, bool) {
        let found = self.0.search(query);
        (found.hits, found.total, found.truncated)
    }

    /// What it takes of memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
