//! Records of others whose bytes lie in the storage alone, and what is known of each without reading it.
//!
//! There may be very many: of each, some 75 bytes are kept here, whatever its own size.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound::{Excluded, Unbounded},
};

/// What is known of a record that lies in the storage alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColdRecord {
    /// The digest of its key, under which its row lies.
    pub(super) key: [u8; 32],
    /// How far its key lies from this node: the first 64 bits.
    pub(super) distance: u64,
    /// How many bytes it has on the wire.
    pub(super) len: usize,
    /// On whose share it counts, by number.
    pub(super) owner: u32,
    /// Whose room it takes, by number.
    pub(super) putter: u32,
    /// Unix seconds after which it is no longer served.
    pub(super) until: u64,
    /// Unix seconds at which it is put to others again.
    pub(super) replicate_at: u64,
    /// Whether it has no end of its own.
    pub(super) is_undated: bool,
}

/// The first bit of the length: it has no end of its own.
const UNDATED: u16 = 1 << 15;

/// The same without gaps: numbers as bytes need no alignment.
#[derive(Debug, Clone, Copy)]
struct Packed {
    key: [u8; 32],
    len: [u8; 2],
    owner: [u8; 4],
    putter: [u8; 4],
    until: Seconds,
    replicate_at: Seconds,
}

/// Unix seconds of 40 bits, which last for 34,000 years. Later ones are cut to the last of these.
#[derive(Debug, Clone, Copy)]
struct Seconds([u8; 5]);

impl Seconds {
    fn new(unix: u64) -> Self {
        let [_, _, _, bytes @ ..] = unix.min((1 << 40) - 1).to_be_bytes();
        Self(bytes)
    }

    fn unix(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }
}

impl Packed {
    fn new(record: &ColdRecord) -> Self {
        // A record has at most 8 KiB.
        let len = u16::try_from(record.len).unwrap_or(u16::MAX) & !UNDATED;
        Self {
            key: record.key,
            len: (if record.is_undated { len | UNDATED } else { len }).to_be_bytes(),
            owner: record.owner.to_be_bytes(),
            putter: record.putter.to_be_bytes(),
            until: Seconds::new(record.until),
            replicate_at: Seconds::new(record.replicate_at),
        }
    }

    fn open(&self, distance: [u8; 8]) -> ColdRecord {
        let len = u16::from_be_bytes(self.len);
        ColdRecord {
            key: self.key,
            distance: u64::from_be_bytes(distance),
            len: usize::from(len & !UNDATED),
            owner: u32::from_be_bytes(self.owner),
            putter: u32::from_be_bytes(self.putter),
            until: self.until.unix(),
            replicate_at: self.replicate_at.unix(),
            is_undated: len & UNDATED != 0,
        }
    }
}

/// What is known of each record, by number. Pages are full but for the last one, and for the places of those that have gone.
/// They take their memory until all have gone.
#[derive(Debug, Default)]
struct Pages {
    pages: Vec<Vec<Packed>>,
    vacant: Vec<[u8; 4]>,
}

/// Records of a page.
const PAGE: usize = 512;

impl Pages {
    fn place(number: [u8; 4]) -> (usize, usize) {
        let number = u32::from_be_bytes(number) as usize;
        (number / PAGE, number % PAGE)
    }

    fn get(&self, number: [u8; 4]) -> Option<&Packed> {
        let (page, place) = Self::place(number);
        self.pages.get(page)?.get(place)
    }

    fn get_mut(&mut self, number: [u8; 4]) -> Option<&mut Packed> {
        let (page, place) = Self::place(number);
        self.pages.get_mut(page)?.get_mut(place)
    }

    /// Tells the number that it has from now on.
    fn insert(&mut self, record: Packed) -> [u8; 4] {
        if let Some(number) = self.vacant.pop()
            && let Some(place) = self.get_mut(number)
        {
            *place = record;
            return number;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let before = (self.pages.len() - 1) * PAGE;
        let Some(page) = self.pages.last_mut() else { return [0; 4] };
        let number = before + page.len();
        page.push(record);
        (number as u32).to_be_bytes()
    }
}

/// The records that lie in the storage alone, by distance.
#[derive(Debug, Default)]
pub(super) struct Cold {
    /// Their numbers by their distances, big endian: in this order they go where there is no room. A tree leaves a third of
    /// its places free, so that what is large lies elsewhere.
    numbers: BTreeMap<[u8; 8], [u8; 4]>,
    known: Pages,
    bytes: usize,
    /// How far they have been looked through.
    looked_through: Option<[u8; 8]>,
}

impl Cold {
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// How many bytes they have on the wire.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&self, distance: u64, key: &[u8; 32]) -> Option<ColdRecord> {
        let distance = distance.to_be_bytes();
        let found = self.open(&distance, self.numbers.get(&distance)?)?;
        (found.key == *key).then_some(found)
    }

    /// Takes a record in, unless another one lies at the same distance. Of a million, no two do.
    pub(super) fn insert(&mut self, record: &ColdRecord) -> bool {
        let distance = record.distance.to_be_bytes();
        let Entry::Vacant(place) = self.numbers.entry(distance) else { return false };
        place.insert(self.known.insert(Packed::new(record)));
        self.bytes += record.len;
        true
    }

    fn open(&self, distance: &[u8; 8], number: &[u8; 4]) -> Option<ColdRecord> {
        Some(self.known.get(*number)?.open(*distance))
    }

    pub(super) fn take(&mut self, distance: u64, key: &[u8; 32]) -> Option<ColdRecord> {
        let found = self.find(distance, key)?;
        let number = self.numbers.remove(&distance.to_be_bytes())?;
        self.bytes -= found.len;
        if self.numbers.is_empty() {
            self.known = Pages::default();
        } else {
            self.known.vacant.push(number);
        }
        Some(found)
    }

    /// Those first that lie farthest away.
    pub(super) fn farthest(&self) -> impl Iterator<Item = ColdRecord> {
        let farthest = self.numbers.iter().rev();
        farthest.filter_map(|(distance, number)| self.open(distance, number))
    }

    /// The next `budget` records, in rounds: after the last one comes the first.
    pub(super) fn look_through(&mut self, budget: usize) -> Vec<ColdRecord> {
        let after = self.looked_through.take().map_or(Unbounded, Excluded);
        let next = self.numbers.range((after, Unbounded)).take(budget);
        let next: Vec<_> =
            next.filter_map(|(distance, number)| self.open(distance, number)).collect();
        if next.len() == budget {
            self.looked_through = next.last().map(|last| last.distance.to_be_bytes());
        }
        next
    }

    /// Changes when each of them ends, and is put to others again.
    pub(super) fn move_times(&mut self, change: impl Fn(&mut ColdRecord)) {
        for (distance, number) in &self.numbers {
            let Some(record) = self.known.get_mut(*number) else { continue };
            let mut moved = record.open(*distance);
            change(&mut moved);
            *record = Packed::new(&moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    fn record(distance: u64) -> ColdRecord {
        ColdRecord {
            key: [7; 32],
            distance,
            len: 300,
            owner: 1,
            putter: u32::MAX,
            until: 1_800_000_000,
            replicate_at: 1_700_000_000,
            is_undated: true,
        }
    }

    fn of(distances: impl IntoIterator<Item = u64>) -> Cold {
        let mut cold = Cold::default();
        distances.into_iter().for_each(|distance| assert!(cold.insert(&record(distance))));
        cold
    }

    #[test]
    fn what_is_known_of_a_record_is_small_and_comes_back_as_it_was() {
        assert_eq!(mem::size_of::<Packed>(), 52);
        let mut cold = of([5]);
        assert_eq!(cold.take(5, &[7; 32]), Some(record(5)));
        assert_eq!((cold.len(), cold.bytes()), (0, 0));
    }

    #[test]
    fn a_time_in_the_far_future_is_cut_and_not_wrapped() {
        for unix in [0, 1, 1_800_000_000, (1 << 40) - 1] {
            assert_eq!(Seconds::new(unix).unix(), unix);
        }
        assert_eq!(Seconds::new(u64::MAX).unix(), (1 << 40) - 1);
    }

    #[test]
    fn another_record_at_the_same_distance_is_not_mistaken_for_it() {
        let mut cold = of([5]);
        assert_eq!(cold.find(5, &[8; 32]), None);
        assert!(!cold.insert(&ColdRecord { key: [8; 32], ..record(5) }));
        assert_eq!(cold.find(5, &[7; 32]), Some(record(5)));
    }

    #[test]
    fn the_place_of_a_record_that_has_gone_is_the_next_ones() {
        let mut cold = of(0..3 * PAGE as u64);
        for distance in 0..2 * PAGE as u64 {
            assert_eq!(cold.take(distance, &[7; 32]), Some(record(distance)));
            assert!(cold.insert(&record(u64::MAX - distance)));
        }
        assert_eq!((cold.len(), cold.known.pages.len()), (3 * PAGE, 3));
        for distance in 0..2 * PAGE as u64 {
            assert!(cold.find(u64::MAX - distance, &[7; 32]).is_some());
        }
        // When all have gone, they take no memory.
        for distance in 2 * PAGE as u64..3 * PAGE as u64 {
            cold.take(distance, &[7; 32]);
        }
        for distance in 0..2 * PAGE as u64 {
            cold.take(u64::MAX - distance, &[7; 32]);
        }
        assert_eq!((cold.len(), cold.bytes(), cold.known.pages.len()), (0, 0, 0));
    }

    #[test]
    fn all_are_looked_through_in_rounds() {
        let mut cold = of(0..10);
        let mut next =
            || -> Vec<u64> { cold.look_through(4).iter().map(|record| record.distance).collect() };
        assert_eq!([next(), next()], [[0, 1, 2, 3], [4, 5, 6, 7]]);
        assert_eq!(next(), [8, 9]);
        assert_eq!(next(), [0, 1, 2, 3]);
    }

    #[test]
    fn the_farthest_come_first() {
        let cold = of([3, 9, 1 << 60]);
        let all: Vec<u64> = cold.farthest().map(|record| record.distance).collect();
        assert_eq!(all, [1 << 60, 9, 3]);
    }
}
