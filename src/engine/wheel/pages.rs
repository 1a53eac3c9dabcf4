//! Where entries live: fixed pages, so that growing never copies and shrinking never waits.

use std::num::NonZeroU64;

use super::slots::{MAX_ENTRIES, NIL};

const PAGE_BITS: u32 = 9;
/// Entries of a page.
pub(super) const PAGE: usize = 1 << PAGE_BITS;

/// One pending value.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Drawn once for the wheel's life. Never zero, which also lets a vacant node do without a tag.
    pub(super) generation: NonZeroU64,
    pub(super) deadline: u64,
    pub(super) value: T,
}

/// An entry's neighbours in its slot's list. A vacant node's `next` is the page's next vacant one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

#[derive(Debug)]
struct Node<T> {
    links: Links,
    entry: Option<Entry<T>>,
}

#[derive(Debug)]
struct Page<T> {
    /// Without capacity while the page is given back.
    nodes: Vec<Node<T>>,
    /// The first of the vacant nodes, by index.
    vacant: u32,
    live: u32,
    /// The next page with room, if this one has room.
    next_open: u32,
}

/// The entries, by index.
#[derive(Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Page<T>>,
    /// The first page with room. Every page with room is in this list, also one given back.
    open: u32,
    /// The page that became empty last. It keeps its memory.
    spare: u32,
    len: usize,
}

impl<T> Pages<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), open: NIL, spare: NIL, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn links_mut(&mut self, index: u32) -> Option<&mut Links> {
        self.node_mut(index).map(|node| &mut node.links)
    }

    pub(super) fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        self.node_mut(index)?.entry.as_mut()
    }

    /// Stores an entry, in the page that had room last, and tells its index.
    pub(super) fn insert(&mut self, links: Links, entry: Entry<T>) -> u32 {
        let node = Node { links, entry: Some(entry) };
        let number = self.open;
        let Some(page) = self.pages.get_mut(number as usize) else {
            return self.insert_in_new_page(node);
        };
        page.live += 1;
        self.len += 1;
        if page.live as usize == PAGE {
            self.open = page.next_open;
        }
        let index = page.vacant;
        if let Some(vacant) = page.nodes.get_mut(index as usize % PAGE)
            && index != NIL
        {
            page.vacant = vacant.links.next;
            *vacant = node;
            return index;
        }
        page.push(number, node)
    }

    #[cold]
    fn insert_in_new_page(&mut self, node: Node<T>) -> u32 {
        let number = self.pages.len() as u32;
        assert!(number < MAX_ENTRIES >> PAGE_BITS, "a wheel holds at most 2^31 entries");
        let mut page = Page { nodes: Vec::new(), vacant: NIL, live: 1, next_open: NIL };
        let index = page.push(number, node);
        self.pages.push(page);
        self.open = number;
        self.len += 1;
        index
    }

    /// Takes the entry at `index` if it is still the one with this generation.
    pub(super) fn remove(
        &mut self,
        index: u32,
        generation: NonZeroU64,
    ) -> Option<(Links, Entry<T>)> {
        self.take_if(index, |entry| entry.generation == generation)
    }

    /// Takes the entry at `index`, if there is one.
    pub(super) fn take(&mut self, index: u32) -> Option<(Links, Entry<T>)> {
        self.take_if(index, |_| true)
    }

    fn take_if(
        &mut self,
        index: u32,
        test: impl FnOnce(&mut Entry<T>) -> bool,
    ) -> Option<(Links, Entry<T>)> {
        let number = index >> PAGE_BITS;
        let page = self.pages.get_mut(number as usize)?;
        let node = page.nodes.get_mut(index as usize % PAGE)?;
        let entry = node.entry.take_if(test)?;
        let links = node.links;
        node.links.next = page.vacant;
        page.vacant = index;
        if page.live as usize == PAGE {
            page.next_open = self.open;
            self.open = number;
        }
        page.live -= 1;
        self.len -= 1;
        if page.live == 0 && self.spare != number {
            self.give_back_spare(number);
        }
        Some((links, entry))
    }

    /// Makes the page that has just become empty the spare one, and frees the spare one before it.
    #[cold]
    fn give_back_spare(&mut self, emptied: u32) {
        // Not the page just emptied: it is likely the first with room, so the next insertion would
        // allocate it again.
        if let Some(spare) = self.pages.get_mut(self.spare as usize)
            && spare.live == 0
        {
            spare.nodes = Vec::new();
            spare.vacant = NIL;
        }
        self.spare = emptied;
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node<T>> {
        self.pages.get_mut((index >> PAGE_BITS) as usize)?.nodes.get_mut(index as usize % PAGE)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.pages.iter().map(|page| page.nodes.capacity()).sum()
    }
}

impl<T> Page<T> {
    /// Adds a node that was never used; only when no vacant one is left.
    fn push(&mut self, number: u32, node: Node<T>) -> u32 {
        if self.nodes.is_empty() {
            self.nodes.reserve_exact(PAGE);
        }
        let index = number << PAGE_BITS | self.nodes.len() as u32;
        self.nodes.push(node);
        index
    }
}

#[cfg(test)]
pub(super) const fn node_size<T>() -> usize {
    size_of::<Node<T>>()
}
