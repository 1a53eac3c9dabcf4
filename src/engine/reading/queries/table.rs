//! The lookups that somebody waits for: by their keys, and those in line in the order of their arrival.
//!
//! Ten thousand of them may wait here while a few run, so each is small: its key, once, its callers, its
//! neighbours in the line.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    mem,
};

use hashbrown::HashTable;

use crate::engine::interface::QueryKey;
use crate::{
    engine::{
        interface::Breadth,
        pages::{Links, NIL, Pages},
    },
    freshness::Freshness,
    record::RecordKey,
    ticket::Ticket,
};

/// A caller that waits for a lookup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) ticket: Ticket,
    pub(crate) wants: Wants,
}

/// What a caller wants of a lookup.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wants {
    /// The record, of so many replicas.
    Record(Freshness),
    /// To know which peers serve what this node has put there. It hears of each copy by itself.
    ReadBack,
    /// To be told at its end who claims names like the one that it publishes. It does not wait for that.
    LookAlikes,
}

impl Waiter {
    /// A caller that wants the record.
    pub(crate) fn new(ticket: Ticket, freshness: Freshness) -> Self {
        Self { ticket, wants: Wants::Record(freshness) }
    }
}

impl Wants {
    fn has(self, enough: impl Fn(Freshness) -> bool) -> bool {
        match self {
            Self::Record(freshness) => enough(freshness),
            Self::ReadBack | Self::LookAlikes => false,
        }
    }
}

/// The callers of one lookup: nearly always one.
#[derive(Debug)]
enum Waiting {
    One(Waiter),
    Many(BTreeMap<Ticket, Wants>),
}

/// A lookup that somebody waits for.
#[derive(Debug)]
pub(super) struct Lookup {
    key: RecordKey,
    /// The query that asks for it, once it has left the line.
    query: Option<QueryKey>,
    waiting: Waiting,
}

#[derive(Debug)]
pub(super) struct Lookups {
    pages: Pages<Lookup>,
    by_key: HashTable<u32>,
    hasher: RandomState,
    first: u32,
    last: u32,
}

/// What a lookup in line takes, its places in the line and in the table of keys included.
#[cfg(test)]
pub(crate) const BYTES_IN_LINE: usize =
    crate::engine::pages::node_size::<Lookup>() + size_of::<u32>() + 1;

impl Waiting {
    fn push(&mut self, waiter: Waiter) {
        match self {
            Self::One(first) => {
                let both = [*first, waiter].map(|waiter| (waiter.ticket, waiter.wants));
                *self = Self::Many(BTreeMap::from(both));
            }
            Self::Many(all) => {
                all.insert(waiter.ticket, waiter.wants);
            }
        }
    }

    /// Removes a caller. True if that was the last one.
    fn remove(&mut self, caller: Ticket) -> bool {
        match self {
            Self::One(only) => only.ticket == caller,
            Self::Many(all) => {
                all.remove(&caller);
                all.is_empty()
            }
        }
    }

    /// Takes those that have heard enough. True if nobody is left.
    fn take(&mut self, enough: impl Fn(Freshness) -> bool) -> (Vec<Ticket>, bool) {
        match self {
            Self::One(only) if only.wants.has(&enough) => (vec![only.ticket], true),
            Self::One(_) => (Vec::new(), false),
            Self::Many(all) if !all.values().any(|wants| wants.has(&enough)) => (Vec::new(), false),
            Self::Many(all) => {
                let (answered, waiting) =
                    mem::take(all).into_iter().partition(|(_, wants)| wants.has(&enough));
                *all = waiting;
                let answered: BTreeMap<_, _> = answered;
                (answered.into_keys().collect(), all.is_empty())
            }
        }
    }
}

impl Lookup {
    /// Everybody who waits.
    pub(super) fn into_waiting(self) -> Vec<Waiter> {
        match self.waiting {
            Waiting::One(only) => vec![only],
            Waiting::Many(all) => {
                all.into_iter().map(|(ticket, wants)| Waiter { ticket, wants }).collect()
            }
        }
    }
}

impl Lookups {
    pub(super) fn new() -> Self {
        Self {
            pages: Pages::new(),
            by_key: HashTable::new(),
            hasher: RandomState::new(),
            first: NIL,
            last: NIL,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    /// The bytes that are set aside, used or not.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let entries = self.pages.capacity() * crate::engine::pages::node_size::<Lookup>();
        entries + self.by_key.allocation_size()
    }

    pub(super) fn has_line(&self) -> bool {
        self.first != NIL
    }

    /// Joins the lookup of this key if there is one, else puts one at the end of the line.
    pub(super) fn join(&mut self, key: RecordKey, waiter: Waiter) {
        if let Some(lookup) = self.find(&key).and_then(|index| self.pages.get_mut(index)) {
            return lookup.waiting.push(waiter);
        }
        let lookup = Lookup { key, query: None, waiting: Waiting::One(waiter) };
        let index = self.pages.insert(Links { prev: self.last, next: NIL }, lookup);
        self.link_next(self.last, index);
        self.last = index;
        let hash = self.hasher.hash_one(key);
        self.by_key.insert_unique(hash, index, rehash(&self.pages, &self.hasher));
    }

    /// The first lookup leaves the line: this query asks for it from now on.
    pub(super) fn start(&mut self, query: QueryKey) -> Option<RecordKey> {
        let index = self.first;
        self.leave_line(index);
        let lookup = self.pages.get_mut(index)?;
        lookup.query = Some(query);
        Some(lookup.key)
    }

    /// The query that asks for this key.
    pub(super) fn query(&self, key: &RecordKey) -> Option<QueryKey> {
        self.pages.get(self.find(key)?)?.query
    }

    /// Takes the callers that have heard enough. None of them left: neither is the lookup.
    pub(super) fn answer(
        &mut self,
        key: &RecordKey,
        enough: impl Fn(Freshness) -> bool,
    ) -> Vec<Ticket> {
        let Some(lookup) = self.find(key).and_then(|index| self.pages.get_mut(index)) else {
            return Vec::new();
        };
        let (answered, nobody_left) = lookup.waiting.take(enough);
        if nobody_left {
            self.remove(key);
        }
        answered
    }

    /// Everybody who waits for a lookup.
    pub(super) fn waiting(&self, key: &RecordKey) -> impl Iterator<Item = Ticket> {
        let lookup = self.find(key).and_then(|index| self.pages.get(index));
        let (one, many) = match lookup.map(|lookup| &lookup.waiting) {
            Some(Waiting::One(only)) => (Some(only.ticket), None),
            Some(Waiting::Many(all)) => (None, Some(all.keys().copied())),
            None => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// How many peers those who wait for this key are likely to need.
    pub(super) fn breadth(&self, key: &RecordKey) -> Breadth {
        let lookup = self.find(key).and_then(|index| self.pages.get(index));
        let of = |wants: &Wants| match wants {
            Wants::Record(Freshness::First) => Breadth::Narrow,
            Wants::ReadBack | Wants::LookAlikes => Breadth::Wide,
            Wants::Record(_) => Breadth::Disjoint,
        };
        let widest = |widest: Breadth, wants: &Wants| match (widest, of(wants)) {
            (Breadth::Disjoint, _) | (_, Breadth::Disjoint) => Breadth::Disjoint,
            (Breadth::Wide, _) | (_, Breadth::Wide) => Breadth::Wide,
            (Breadth::Narrow, Breadth::Narrow) => Breadth::Narrow,
        };
        match lookup.map(|lookup| &lookup.waiting) {
            Some(Waiting::One(only)) => of(&only.wants),
            Some(Waiting::Many(all)) => all.values().fold(Breadth::Narrow, widest),
            None => Breadth::Wide,
        }
    }

    /// Who reads back what this node has put under this key.
    pub(super) fn read_backs(&self, key: &RecordKey) -> Vec<Ticket> {
        let Some(lookup) = self.find(key).and_then(|index| self.pages.get(index)) else {
            return Vec::new();
        };
        let ticket = |(ticket, wants): (Ticket, Wants)| match wants {
            Wants::ReadBack => Some(ticket),
            Wants::Record(_) | Wants::LookAlikes => None,
        };
        match &lookup.waiting {
            Waiting::One(only) => ticket((only.ticket, only.wants)).into_iter().collect(),
            Waiting::Many(all) => {
                all.iter().filter_map(|(&name, &wants)| ticket((name, wants))).collect()
            }
        }
    }

    /// One caller no longer waits. With the last one the lookup goes; the query that was asking for it, if one was,
    /// is left to nobody.
    pub(super) fn leave(&mut self, key: &RecordKey, caller: Ticket) -> Option<QueryKey> {
        let index = self.find(key)?;
        let nobody_left = self.pages.get_mut(index)?.waiting.remove(caller);
        if nobody_left { self.remove(key)?.query } else { None }
    }

    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<Lookup> {
        let hash = self.hasher.hash_one(key);
        let (index, _) = self.by_key.find_entry(hash, is_of(&self.pages, key)).ok()?.remove();
        if self.pages.get(index)?.query.is_none() {
            self.leave_line(index);
        }
        // What a burst took is given back.
        if self.by_key.capacity() > 4 * self.by_key.len() + 1024 {
            self.by_key.shrink_to(2 * self.by_key.len(), rehash(&self.pages, &self.hasher));
        }
        self.pages.take(index).map(|(_, lookup)| lookup)
    }

    fn find(&self, key: &RecordKey) -> Option<u32> {
        self.by_key.find(self.hasher.hash_one(key), is_of(&self.pages, key)).copied()
    }

    /// Closes the gap that a lookup leaves in the line.
    fn leave_line(&mut self, index: u32) {
        let Some(links) = self.pages.links_mut(index) else { return };
        let Links { prev, next } = mem::replace(links, Links { prev: NIL, next: NIL });
        self.link_next(prev, next);
        match self.pages.links_mut(next) {
            Some(links) => links.prev = prev,
            None => self.last = prev,
        }
    }

    /// Lets `next` follow `prev`, or lead the line.
    fn link_next(&mut self, prev: u32, next: u32) {
        match self.pages.links_mut(prev) {
            Some(links) => links.next = next,
            None => self.first = next,
        }
    }
}

/// Whether an index in the table of keys is that of this key's lookup.
fn is_of(pages: &Pages<Lookup>, key: &RecordKey) -> impl Fn(&u32) -> bool {
    |&index| pages.get(index).is_some_and(|lookup| lookup.key == *key)
}

/// The hash of an index in the table of keys. Each has its lookup there; the key only has to be the same each time.
fn rehash(pages: &Pages<Lookup>, hasher: &RandomState) -> impl Fn(&u32) -> u64 {
    |&index| pages.get(index).map_or(0, |lookup| hasher.hash_one(lookup.key))
}
