//! Sorted lists of slices of the catalogue, which comparisons are held over.

use std::{sync::Arc, time::Duration};

use crate::{
    coverage::Coverage,
    engine::{
        discovery::{
            Discovery,
            reconcile::{Item, Items},
        },
        interface::Now,
    },
};

/// For how long a sorted list of the catalogue is used although the catalogue has changed, for each head in it: so that
/// lists are made for no more than a small part of the time.
const LISTED_FOR: Duration = Duration::from_micros(20);

/// Lists that are kept at a time: of everything, and of two slices.
const MAX_LISTINGS: usize = 3;

/// A sorted list of a slice of the catalogue, which a few questions in a row can share.
#[derive(Debug)]
pub(super) struct Listing {
    slice: Coverage,
    generation: u64,
    made: Duration,
    items: Arc<Items>,
}

impl Listing {
    fn lasts(&self) -> Duration {
        LISTED_FOR.saturating_mul(u32::try_from(self.items.len()).unwrap_or(u32::MAX))
    }
}

impl Discovery {
    /// The list of a slice that needs not be made anew.
    pub(super) fn held_list(&self, now: Now, slice: &Coverage) -> Option<Arc<Items>> {
        let generation = self.catalogue.generation();
        let listing = self.listings.iter().find(|listing| listing.slice == *slice)?;
        let holds = listing.generation == generation
            || now.mono < listing.made.saturating_add(listing.lasts());
        holds.then(|| Arc::clone(&listing.items))
    }

    /// The catalogue's heads of a slice, in order. A list that is a moment old will do: what is no longer there is
    /// absent when it is fetched, and what is new is found next time.
    pub(super) fn listed(&mut self, now: Now, slice: &Coverage) -> Arc<Items> {
        self.held_list(now, slice).unwrap_or_else(|| self.make_list(now, slice))
    }

    /// Looks through the whole catalogue for the list of a slice, and keeps it in the place of the oldest.
    pub(super) fn make_list(&mut self, now: Now, slice: &Coverage) -> Arc<Items> {
        let generation = self.catalogue.generation();
        let items = self.catalogue.items(slice, now.unix);
        let items: Arc<Items> =
            Arc::new(items.map(|(issued, digest)| Item::new(issued, digest)).collect());
        self.listings.retain(|listing| listing.slice != *slice);
        self.listings.truncate(MAX_LISTINGS - 1);
        let listing =
            Listing { slice: slice.clone(), generation, made: now.mono, items: Arc::clone(&items) };
        self.listings.insert(0, listing);
        items
    }
}
