//! The levels' slots: where a deadline belongs, and which slot comes next.

use crate::engine::pages::{MAX_ENTRIES, NIL};

/// Bits of a digit, and so the base-two logarithm of the slots of a level.
const DIGIT_BITS: u32 = 6;
const SLOTS_PER_LEVEL: u32 = 1 << DIGIT_BITS;
/// As many digits as a 64-bit tick has.
const LEVELS: u32 = u64::BITS.div_ceil(DIGIT_BITS);
/// The lists that belong to no level take their places from here, as if they were a level.
const IN_HAND: u32 = LEVELS * SLOTS_PER_LEVEL;
const SLOTS: usize = IN_HAND as usize + 3;

/// Marks a link that leads to a slot and not to an entry: entries have indices below it.
const SLOT_LINK: u32 = MAX_ENTRIES;

/// A list of entries: a slot of a level, or one of the three lists in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    /// Entries that expire next, all of one tick or all late.
    pub(super) const DUE: Self = Self(IN_HAND);
    /// Entries of an opened slot, to be brought to lower levels.
    pub(super) const OPENED: Self = Self(IN_HAND + 1);
    /// Entries whose deadline had passed when it was given.
    pub(super) const LATE: Self = Self(IN_HAND + 2);

    /// The slot of a level in which `deadline` waits while the wheel stands at `position`; `None`
    /// if it has come.
    #[inline]
    pub(super) fn of(deadline: u64, position: u64) -> Option<Self> {
        if deadline <= position {
            return None;
        }
        let level = (deadline ^ position).ilog2() / DIGIT_BITS;
        let digit = (deadline >> (level * DIGIT_BITS)) as u32 % SLOTS_PER_LEVEL;
        Some(Self(level * SLOTS_PER_LEVEL + digit))
    }

    /// The tick before this level slot's span, for a position before the span.
    #[inline]
    pub(super) fn last_tick_before(self, position: u64) -> u64 {
        let shift = self.level() * DIGIT_BITS;
        let digit = u64::from(self.0 % SLOTS_PER_LEVEL);
        // The digit differs from the position's, and all above are the same.
        let above = position.checked_shr(shift + DIGIT_BITS).unwrap_or(0);
        (((above << DIGIT_BITS) | digit) << shift) - 1
    }

    /// Whether all entries of this slot have the same deadline.
    #[inline]
    pub(super) fn is_single_tick(self) -> bool {
        self.level() == 0
    }

    /// What the first entry of the slot's list has for a link to the previous one.
    #[inline]
    pub(super) fn as_link(self) -> u32 {
        SLOT_LINK | self.0
    }

    /// The slot if `link` is one's [`as_link`](Self::as_link).
    #[inline]
    pub(super) fn from_link(link: u32) -> Option<Self> {
        (link & SLOT_LINK != 0).then_some(Self(link & !SLOT_LINK))
    }

    fn level(self) -> u32 {
        self.0 / SLOTS_PER_LEVEL
    }
}

/// The heads of all lists, and which of them are occupied.
#[derive(Debug)]
pub(super) struct Slots {
    /// A bit for each level with an occupied slot.
    levels: u32,
    /// A word for each level, with a bit for each occupied slot; the last is for the lists in hand.
    occupied: [u64; LEVELS as usize + 1],
    lists: [List; SLOTS],
}

#[derive(Clone, Copy, Debug)]
struct List {
    /// No entry of the list has an earlier deadline.
    earliest: u64,
    head: u32,
}

const EMPTY: List = List { earliest: u64::MAX, head: NIL };

impl Default for Slots {
    fn default() -> Self {
        Self { levels: 0, occupied: [0; LEVELS as usize + 1], lists: [EMPTY; SLOTS] }
    }
}

impl Slots {
    #[inline]
    pub(super) fn head(&self, slot: Slot) -> u32 {
        self.lists.get(slot.0 as usize).map_or(NIL, |list| list.head)
    }

    #[inline]
    pub(super) fn is_empty(&self, slot: Slot) -> bool {
        self.head(slot) == NIL
    }

    /// The occupied slot of a level that comes first, and its earliest deadline.
    #[inline]
    pub(super) fn first(&self) -> Option<(Slot, u64)> {
        // Lower levels come before higher ones. Within a level the lowest digit comes first, since
        // no entry waits in a digit the position has passed.
        let level = (self.levels & !(1 << LEVELS)).trailing_zeros();
        let digit = self.occupied.get(level as usize)?.trailing_zeros();
        let slot = Slot(level * SLOTS_PER_LEVEL + digit);
        Some((slot, self.lists.get(slot.0 as usize)?.earliest))
    }

    /// Puts an entry, or a chain of them with `deadline` the earliest, before the slot's first.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, index: u32, deadline: u64) {
        let Some(list) = self.lists.get_mut(slot.0 as usize) else { return };
        list.head = index;
        list.earliest = list.earliest.min(deadline);
        let level = slot.level();
        self.levels |= 1 << level;
        if let Some(occupied) = self.occupied.get_mut(level as usize) {
            *occupied |= 1 << (slot.0 % SLOTS_PER_LEVEL);
        }
    }

    /// Says that the slot's first entry has left and `head` is now the first; [`NIL`] empties it.
    #[inline]
    pub(super) fn set_head(&mut self, slot: Slot, head: u32) {
        let Some(list) = self.lists.get_mut(slot.0 as usize) else { return };
        list.head = head;
        if head != NIL {
            return;
        }
        *list = EMPTY;
        let level = slot.level();
        if let Some(occupied) = self.occupied.get_mut(level as usize) {
            *occupied &= !(1 << (slot.0 % SLOTS_PER_LEVEL));
            if *occupied == 0 {
                self.levels &= !(1 << level);
            }
        }
    }
}
