//! Where small things live in great numbers, by index: fixed pages, so that growing never copies, shrinking never
//! waits, and what is not used is less than a page.

const PAGE_BITS: u32 = 9;
/// Entries of a page.
pub(super) const PAGE: usize = 1 << PAGE_BITS;

/// No entry: ends a list, and heads an empty one.
pub(super) const NIL: u32 = u32::MAX;

/// Entries have indices below this.
pub(super) const MAX_ENTRIES: u32 = 1 << 31;

/// An entry's neighbours in the list that it stands in. A vacant node's `next` is the page's next vacant one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

#[derive(Debug)]
struct Node<E> {
    links: Links,
    /// Takes no more room than the entry itself, if that has a niche.
    entry: Option<E>,
}

#[derive(Debug)]
struct Page<E> {
    /// Without capacity while the page is given back.
    nodes: Vec<Node<E>>,
    /// The first of the vacant nodes, by index.
    vacant: u32,
    live: u32,
    /// The next page with room, if this one has room.
    next_open: u32,
}

/// The entries, by index.
#[derive(Debug)]
pub(super) struct Pages<E> {
    pages: Vec<Page<E>>,
    /// The first page with room. Every page with room is in this list, also one given back.
    open: u32,
    /// The page that became empty last. It keeps its memory.
    spare: u32,
    len: usize,
}

impl<E> Pages<E> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), open: NIL, spare: NIL, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All indices are below this.
    pub(super) fn end(&self) -> u32 {
        (self.pages.len() as u32) << PAGE_BITS
    }

    /// The neighbours of the entry at `index`, if there is one.
    pub(super) fn links(&self, index: u32) -> Option<Links> {
        let node =
            self.pages.get((index >> PAGE_BITS) as usize)?.nodes.get(index as usize % PAGE)?;
        node.entry.as_ref().map(|_| node.links)
    }

    pub(super) fn links_mut(&mut self, index: u32) -> Option<&mut Links> {
        self.node_mut(index).map(|node| &mut node.links)
    }

    pub(super) fn get(&self, index: u32) -> Option<&E> {
        let page = self.pages.get((index >> PAGE_BITS) as usize)?;
        page.nodes.get(index as usize % PAGE)?.entry.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut E> {
        self.node_mut(index)?.entry.as_mut()
    }

    /// Stores an entry, in the page that had room last, and tells its index.
    pub(super) fn insert(&mut self, links: Links, entry: E) -> u32 {
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
    fn insert_in_new_page(&mut self, node: Node<E>) -> u32 {
        let number = self.pages.len() as u32;
        assert!(number < MAX_ENTRIES >> PAGE_BITS, "at most 2^31 entries");
        let mut page = Page { nodes: Vec::new(), vacant: NIL, live: 1, next_open: NIL };
        let index = page.push(number, node);
        self.pages.push(page);
        self.open = number;
        self.len += 1;
        index
    }

    /// Takes the entry at `index`, if there is one.
    pub(super) fn take(&mut self, index: u32) -> Option<(Links, E)> {
        self.take_if(index, |_| true)
    }

    /// Takes the entry at `index`, if there is one and it passes the test.
    pub(super) fn take_if(
        &mut self,
        index: u32,
        test: impl FnOnce(&mut E) -> bool,
    ) -> Option<(Links, E)> {
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

    fn node_mut(&mut self, index: u32) -> Option<&mut Node<E>> {
        self.pages.get_mut((index >> PAGE_BITS) as usize)?.nodes.get_mut(index as usize % PAGE)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.pages.iter().map(|page| page.nodes.capacity()).sum()
    }
}

impl<E> Page<E> {
    /// Adds a node that was never used; only when no vacant one is left.
    fn push(&mut self, number: u32, node: Node<E>) -> u32 {
        if self.nodes.is_empty() {
            self.nodes.reserve_exact(PAGE);
        }
        let index = number << PAGE_BITS | self.nodes.len() as u32;
        self.nodes.push(node);
        index
    }
}

#[cfg(test)]
pub(super) const fn node_size<E>() -> usize {
    size_of::<Node<E>>()
}
