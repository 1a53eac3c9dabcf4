//! The dictionary: every word that is indexed, in order, and the number of its list.
//!
//! Words lie in blocks of at most 64, in the order of their bytes, so that a word, those that begin alike, and those
//! that come after a prefix are found by halving. A word enters or leaves by rewriting one block: there is nothing to be
//! merged later. Numbers of words that are gone are given out again.

use std::{cmp::Ordering, mem};

/// The most words in a block.
const BLOCK: usize = 64;

/// A word's number.
pub(super) type TermId = u32;

#[derive(Debug, Default)]
pub(super) struct Terms {
    blocks: Vec<Block>,
    /// The beginning of the first word of each block, as a number: so the search for a block touches little memory.
    keys: Vec<u64>,
    free: Vec<TermId>,
    next: TermId,
    /// The bytes in blocks.
    heap: usize,
    /// The block that is looked at next for words that are gone.
    sweep: usize,
}

#[derive(Debug, Default)]
struct Block {
    text: String,
    /// Where each word ends in the text.
    ends: Vec<u16>,
    ids: Vec<TermId>,
}

/// A place in the dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    block: usize,
    slot: usize,
}

fn key(word: &str) -> u64 {
    let mut key = [0; 8];
    key.iter_mut().zip(word.bytes()).for_each(|(key, byte)| *key = byte);
    u64::from_be_bytes(key)
}

/// The highest key of a word that begins so.
fn upper_key(prefix: &str) -> u64 {
    let mut key = [u8::MAX; 8];
    key.iter_mut().zip(prefix.bytes()).for_each(|(key, byte)| *key = byte);
    u64::from_be_bytes(key)
}

impl Block {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn start(&self, slot: usize) -> usize {
        slot.checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |end| usize::from(*end))
    }

    fn word(&self, slot: usize) -> Option<&str> {
        let end = usize::from(*self.ends.get(slot)?);
        self.text.get(self.start(slot)..end)
    }

    fn first(&self) -> &str {
        self.word(0).unwrap_or_default()
    }

    fn last(&self) -> &str {
        self.len().checked_sub(1).and_then(|last| self.word(last)).unwrap_or_default()
    }

    /// How many words, from the first, are so.
    fn partition(&self, is: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.word(middle).is_some_and(&is) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn insert(&mut self, slot: usize, word: &str, id: TermId) {
        let (start, length) = (self.start(slot), word.len());
        // Exactly as much as there is: there are thousands of blocks, and each one grows seldom.
        self.text.reserve_exact(length);
        self.text.insert_str(start, word);
        self.ends.iter_mut().skip(slot).for_each(|end| *end += length as u16);
        self.ends.reserve_exact(1);
        self.ends.insert(slot, (start + length) as u16);
        self.ids.reserve_exact(1);
        self.ids.insert(slot, id);
    }

    /// The second half, taken out.
    fn split(&mut self) -> Self {
        let half = self.len() / 2;
        let start = self.start(half);
        let text = self.text.split_off(start);
        let ends = self.ends.split_off(half).into_iter().map(|end| end - start as u16).collect();
        let ids = self.ids.split_off(half);
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.ids.shrink_to_fit();
        Self { text, ends, ids }
    }

    /// Without the words whose lists are empty.
    fn without(&self, gone: &impl Fn(TermId) -> bool) -> Self {
        let mut kept = Self::default();
        for (slot, id) in self.ids.iter().enumerate() {
            if let Some(word) = self.word(slot)
                && !gone(*id)
            {
                kept.insert(kept.len(), word, *id);
            }
        }
        kept
    }

    fn append(&mut self, other: &Self) {
        let start = self.text.len() as u16;
        self.text.push_str(&other.text);
        self.ends.extend(other.ends.iter().map(|end| end + start));
        self.ids.extend_from_slice(&other.ids);
    }

    fn heap(&self) -> usize {
        mem::size_of::<Self>()
            + mem::size_of::<u64>()
            + self.text.capacity()
            + self.ends.capacity() * mem::size_of::<u16>()
            + self.ids.capacity() * mem::size_of::<TermId>()
    }
}

impl Terms {
    /// The block in which a word is, or would be.
    fn block_of(&self, word: &str) -> usize {
        let key = key(word);
        let low = self.keys.partition_point(|first| *first < key);
        let high = self.keys.partition_point(|first| *first <= key);
        let alike = self.blocks.get(low..high).unwrap_or_default();
        (low + alike.partition_point(|block| block.first() <= word)).saturating_sub(1)
    }

    pub(super) fn get(&self, word: &str) -> Option<TermId> {
        let block = self.blocks.get(self.block_of(word))?;
        let slot = block.partition(|other| other < word);
        (block.word(slot)? == word).then(|| block.ids.get(slot).copied()).flatten()
    }

    /// The number of a word, a new one if it has none.
    pub(super) fn intern(&mut self, word: &str) -> TermId {
        let at = self.block_of(word);
        if self.blocks.is_empty() {
            self.blocks.push(Block::default());
            self.keys.push(0);
            self.heap += Block::default().heap();
        }
        let Some(block) = self.blocks.get_mut(at) else { return 0 };
        let slot = block.partition(|other| other < word);
        if let (Some(known), Some(id)) = (block.word(slot), block.ids.get(slot))
            && known == word
        {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        let before = block.heap();
        block.insert(slot, word, id);
        let second = (block.len() > BLOCK).then(|| block.split());
        self.heap = self.heap + block.heap() - before;
        if slot == 0
            && let Some(first) = self.keys.get_mut(at)
        {
            *first = key(word);
        }
        if let Some(second) = second {
            self.heap += second.heap();
            self.keys.insert(at + 1, key(second.first()));
            self.blocks.insert(at + 1, second);
        }
        id
    }

    /// Lets go of words whose lists are empty, in so many of the blocks, in turn.
    pub(super) fn sweep(&mut self, blocks: usize, gone: impl Fn(TermId) -> bool) -> usize {
        let mut freed = 0;
        for _ in 0..blocks.min(self.blocks.len()) {
            if self.sweep >= self.blocks.len() {
                self.sweep = 0;
            }
            let at = self.sweep;
            self.sweep += 1;
            let Some(block) = self.blocks.get_mut(at) else { break };
            let dead = block.ids.iter().copied().filter(|id| gone(*id));
            let from = self.free.len();
            self.free.extend(dead);
            let count = self.free.len() - from;
            if count == 0 {
                continue;
            }
            freed += count;
            let kept = block.without(&gone);
            self.heap = self.heap + kept.heap() - block.heap();
            *block = kept;
            self.merge(at);
        }
        freed
    }

    /// Unites a block that has shrunk with the one before it, if they fit into half of one.
    fn merge(&mut self, at: usize) {
        let before = at.checked_sub(1).and_then(|before| Some(self.blocks.get(before)?.len()));
        let Some(block) = self.blocks.get(at) else { return };
        if block.len() == 0 || before.is_some_and(|before| before + block.len() <= BLOCK / 2) {
            let gone = self.blocks.remove(at);
            self.keys.remove(at);
            self.sweep = at;
            self.heap -= gone.heap();
            if let Some(block) = at.checked_sub(1).and_then(|before| self.blocks.get_mut(before)) {
                let heap = block.heap();
                block.append(&gone);
                self.heap = self.heap + block.heap() - heap;
            }
        } else if let Some(first) = self.keys.get_mut(at) {
            *first = key(block.first());
        }
    }

    /// The first word that is not below this one.
    pub(super) fn seek(&self, word: &str) -> Position {
        let block = self.block_of(word);
        let slot = self.blocks.get(block).map_or(0, |block| block.partition(|other| other < word));
        self.settled(Position { block, slot })
    }

    /// The first word after `from` that does not begin with `prefix`, with which all words from there on begin or
    /// which they are above.
    pub(super) fn seek_past(&self, from: Position, prefix: &str) -> Position {
        let below = |word: &str| word < prefix || word.starts_with(prefix);
        let mut block = from.block;
        if self.blocks.get(block).is_some_and(|block| below(block.last())) {
            // A word is below if it is up to the length of the prefix: of most words, the first bytes tell.
            let (least, most) = (key(prefix), upper_key(prefix));
            let low = self.keys.partition_point(|first| *first < least);
            let high = self.keys.partition_point(|first| *first <= most);
            let alike = self.blocks.get(low..high).unwrap_or_default();
            block = (low + alike.partition_point(|block| below(block.first()))).saturating_sub(1);
        }
        let slot = self.blocks.get(block).map_or(0, |block| block.partition(below));
        self.settled(Position { block, slot })
    }

    pub(super) fn next(&self, at: Position) -> Position {
        self.settled(Position { slot: at.slot + 1, ..at })
    }

    fn settled(&self, at: Position) -> Position {
        match self.blocks.get(at.block) {
            Some(block) if at.slot >= block.len() => Position { block: at.block + 1, slot: 0 },
            _ => at,
        }
    }

    pub(super) fn at(&self, at: Position) -> Option<(&str, TermId)> {
        let block = self.blocks.get(at.block)?;
        Some((block.word(at.slot)?, *block.ids.get(at.slot)?))
    }

    /// The words that begin with this one and are longer, in order.
    pub(super) fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, TermId)> {
        let mut at = self.seek(prefix);
        let words = std::iter::from_fn(move || {
            let found = self.at(at)?;
            at = self.next(at);
            Some(found)
        });
        words
            .take_while(move |(word, _)| word.starts_with(prefix))
            .filter(move |(word, _)| word.cmp(&prefix) != Ordering::Equal)
    }

    /// How many words there are, those included whose lists have become empty a short while ago.
    pub(super) fn len(&self) -> usize {
        self.next as usize - self.free.len()
    }

    pub(super) fn heap(&self) -> usize {
        self.heap + self.free.capacity() * mem::size_of::<TermId>()
    }
}
