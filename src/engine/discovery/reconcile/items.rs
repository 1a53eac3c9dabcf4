//! The list that is compared, and the fingerprints of its ranges.

use std::ops::Range;

use super::tree::{Blocks, Kind, Tree};
use crate::package::Digest;

/// Something to compare: a head, by when it was issued and the digest of its body. It is also a position between
/// items, before the first item that is not less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item {
    // The order of the fields is the order of comparison.
    /// In Unix seconds.
    pub(crate) issued: u64,
    pub(crate) digest: Digest,
}

impl Item {
    /// Before every item.
    pub(super) const START: Self = Self::new(0, Digest::from_bytes([0; 32]));
    /// After every item that [`Items`] takes.
    pub(super) const END: Self = Self::new(u64::MAX, Digest::from_bytes([0; 32]));

    pub(crate) const fn new(issued: u64, digest: Digest) -> Self {
        Self { issued, digest }
    }

    /// As bytes that are in the same order.
    pub(super) fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let parts = self.issued.to_be_bytes().into_iter().chain(*self.digest.as_bytes());
        for (place, byte) in bytes.iter_mut().zip(parts) {
            *place = byte;
        }
        bytes
    }

    /// The position between two neighbours that takes the fewest bytes to tell.
    fn between(before: &Self, after: &Self) -> Self {
        let mut digest = [0; 32];
        if before.issued == after.issued {
            let pairs = before.digest.as_bytes().iter().zip(after.digest.as_bytes());
            for (place, (a, b)) in digest.iter_mut().zip(pairs) {
                *place = *b;
                if a != b {
                    break;
                }
            }
        }
        Self::new(after.issued, Digest::from_bytes(digest))
    }
}

/// What recognises the items of a range, among those who use the same salt.
pub(super) type Fingerprint = [u8; 16];

/// The items of a slice of the catalogue, in order. Whoever keeps it makes it anew when the catalogue has changed.
///
/// # Fingerprints
///
/// Fingerprints that are sums of digests, as range-based reconciliation is often built, can be forged: who makes some
/// hundreds of heads finds among the sums of their digests one that hides a head of somebody else (Wagner, "A
/// Generalized Birthday Problem", 2002). Here a fingerprint is the SHA-256 of a salt, the number of items and the hash
/// of the range in a [`Tree`], cut to 16 bytes. Who does not know the salt cannot prepare two ranges of one fingerprint.
///
/// # Memory
///
/// 40 bytes an item, and a few for the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Items {
    items: Vec<Item>,
    tree: Tree,
}

impl FromIterator<Item> for Items {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let mut items: Vec<Item> = items.into_iter().filter(|item| *item < Item::END).collect();
        items.sort_unstable();
        items.dedup();
        let tree = Tree::of(&items);
        Self { items, tree }
    }
}

impl Items {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Those at these places.
    pub(super) fn at(&self, range: &Range<usize>) -> &[Item] {
        self.items.get(range.clone()).unwrap_or_default()
    }

    /// The places of those from one position until before another.
    pub(super) fn between(&self, lower: &Item, upper: &Item) -> Range<usize> {
        let start = self.items.partition_point(|item| item < lower);
        let rest = self.items.get(start..).unwrap_or_default();
        start..start + rest.partition_point(|item| item < upper)
    }

    /// A position before the item at this place and after the one before it.
    pub(super) fn position(&self, place: usize) -> Item {
        let before = place.checked_sub(1).and_then(|place| self.items.get(place));
        match (before, self.items.get(place)) {
            (Some(before), Some(after)) => Item::between(before, after),
            (None, _) => Item::START,
            (Some(_), None) => Item::END,
        }
    }

    /// Cuts a range of more than [`SMALL`](super::SMALL) items into up to 16 of about the same number, and tells where each ends.
    pub(super) fn cuts(&self, range: &Range<usize>, upper: Item) -> Vec<(Item, Range<usize>)> {
        let count = range.len();
        let parts = (count / 4).clamp(2, super::FAN_OUT);
        let place = |part: usize| range.start + count * part / parts;
        (0..parts)
            .map(|part| {
                let (start, end) = (place(part), place(part + 1));
                (if part + 1 == parts { upper } else { self.position(end) }, start..end)
            })
            .collect()
    }

    /// The fingerprint of a range among those who use this salt. What it takes is added to `blocks`.
    pub(super) fn fingerprint(
        &self,
        salt: u64,
        range: &Range<usize>,
        blocks: &mut Blocks,
    ) -> Fingerprint {
        let hash = self.tree.hash(&self.items, range, blocks);
        let count = (range.len() as u64).to_be_bytes();
        let salted = blocks.hash(Kind::Salted, [&salt.to_be_bytes()[..], &count, &hash]);
        let mut fingerprint = [0; 16];
        for (place, byte) in fingerprint.iter_mut().zip(salted) {
            *place = byte;
        }
        fingerprint
    }
}
