//! The hashes of ranges of items, each in a bounded number of steps whatever the items are.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::items::Item;

/// What stands for a set of items.
pub(super) type Hash = [u8; 32];

/// A set of at most so many items is hashed as a list.
const LISTED: usize = 64;
/// A leaf of fewer items is not kept: hashing it again costs little more than looking it up.
const KEPT: usize = 16;

/// How many blocks of SHA-256, of 64 bytes each, have been hashed: what hashing costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blocks(pub(crate) usize);

impl Blocks {
    /// Hashes these parts as one. A hash of lists and one of hashes differ in their first byte, so that none can be
    /// passed off as the other.
    pub(super) fn hash<'a>(
        &mut self,
        kind: Kind,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Hash {
        let mut hasher = Sha256::new_with_prefix([kind as u8]);
        let mut bytes = 1;
        for part in parts {
            hasher.update(part);
            bytes += part.len();
        }
        // The padding takes nine bytes at least.
        self.0 += (bytes + 9).div_ceil(64);
        hasher.finalize().into()
    }
}

/// What a hash is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Digests of items, in order.
    List = 0,
    /// The hashes of two halves.
    Halves = 1,
    /// A salt, a number of items and the hash of the set: a fingerprint.
    Salted = 2,
}

/// The hashes of parts of an ordered list, so that the hash of any range of it is found by following two paths.
///
/// The hash of a set is defined by its items alone: up to 64 are hashed as a list. More are divided at the first bit,
/// of the time of issue and then of the digest, in which they are not all alike, and the hashes of the two halves are
/// hashed. So equal ranges have equal hashes whatever lies beside them, and both sides of a comparison find the same
/// ones.
///
/// # Cost
///
/// The hash of a range takes at most two lists and four hashes for each division on the way to its two ends. Items
/// that spread out divide some log2(n / 64) times. Who chooses the times of issue, and tries 2^b digests to find one,
/// gets some 20 + b more.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// The root comes last.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    hash: Hash,
    halves: Option<Halves>,
}

/// Where a set is divided, and what is kept of its halves.
#[derive(Debug, Clone, Copy)]
struct Halves {
    middle: u32,
    before: Kept,
    after: Kept,
}

/// The place of a node, unless the set is too small to be kept.
type Kept = Option<u32>;

impl Tree {
    /// The tree of these items, which are in order.
    pub(super) fn of(items: &[Item]) -> Self {
        let mut tree = Self::default();
        tree.grow(items, 0..items.len());
        tree
    }

    /// The node of the items of this range, and its hash.
    fn grow(&mut self, items: &[Item], range: Range<usize>) -> (Kept, Hash) {
        let mut blocks = Blocks::default();
        let Some(middle) = divide(items, &range) else {
            let hash = list(items, &range, &mut blocks);
            let kept =
                (range.len() >= KEPT).then(|| self.keep(Node { hash, halves: None })).flatten();
            return (kept, hash);
        };
        let (before, first) = self.grow(items, range.start..middle);
        let (after, second) = self.grow(items, middle..range.end);
        let hash = blocks.hash(Kind::Halves, [&first[..], &second[..]]);
        let halves = u32::try_from(middle).ok().map(|middle| Halves { middle, before, after });
        (self.keep(Node { hash, halves }), hash)
    }

    fn keep(&mut self, node: Node) -> Kept {
        let place = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(node);
        Some(place)
    }

    /// The hash of the items of this range, out of all those that the tree was made of.
    pub(super) fn hash(&self, items: &[Item], range: &Range<usize>, blocks: &mut Blocks) -> Hash {
        let root = self.nodes.len().checked_sub(1).and_then(|last| u32::try_from(last).ok());
        self.hash_within(root, 0..items.len(), items, range, blocks)
    }

    /// The hash of the items of this range, all of which lie in the part of the list that this node stands for.
    fn hash_within(
        &self,
        node: Kept,
        whole: Range<usize>,
        items: &[Item],
        range: &Range<usize>,
        blocks: &mut Blocks,
    ) -> Hash {
        let node = node.and_then(|place| self.nodes.get(place as usize));
        match node {
            Some(node) if *range == whole => node.hash,
            Some(Node { halves: Some(halves), .. }) if range.len() > LISTED => {
                let Halves { middle, before, after } = *halves;
                let middle = middle as usize;
                let (first, second) = (whole.start..middle, middle..whole.end);
                if range.end <= middle {
                    return self.hash_within(before, first, items, range, blocks);
                }
                if range.start >= middle {
                    return self.hash_within(after, second, items, range, blocks);
                }
                let (left, right) = (range.start..middle, middle..range.end);
                let left = self.hash_within(before, first, items, &left, blocks);
                let right = self.hash_within(after, second, items, &right, blocks);
                blocks.hash(Kind::Halves, [&left[..], &right[..]])
            }
            _ => list(items, range, blocks),
        }
    }
}

/// Where a set that is not hashed as a list is divided.
fn divide(items: &[Item], range: &Range<usize>) -> Option<usize> {
    let items = items.get(range.clone()).filter(|items| items.len() > LISTED)?;
    let (first, last) = (items.first()?.to_bytes(), items.last()?.to_bytes());
    let (place, differ) =
        first.iter().zip(&last).map(|(a, b)| a ^ b).enumerate().find(|(_, differ)| *differ != 0)?;
    let bit = 0x80_u8 >> differ.leading_zeros();
    let is_first = |item: &Item| item.to_bytes().get(place).is_some_and(|byte| byte & bit == 0);
    Some(range.start + items.partition_point(is_first))
}

fn list(items: &[Item], range: &Range<usize>, blocks: &mut Blocks) -> Hash {
    let items = items.get(range.clone()).unwrap_or_default();
    blocks.hash(Kind::List, items.iter().map(|item| &item.digest.as_bytes()[..]))
}
