//! A hierarchical timer wheel: many deadlines behind one timer.
//!
//! The engine awaits thousands of things at once and nearly all of them are cancelled before their
//! deadline, so starting and cancelling must cost next to nothing, and a crowd of deadlines that
//! falls due together must not stall whoever polls.
//!
//! # How it works
//!
//! Time is counted in ticks, 64-bit integers. A tick number is read as eleven digits to the base
//! 64, and a level of the wheel stands for each digit. A deadline waits at the level of the highest
//! digit in which it differs from the wheel's position, in the slot which that digit names
//! (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987). Eleven digits hold every
//! 64-bit tick, so there is no horizon, and no overflow list behind it.
//!
//! Two consequences carry the rest:
//!
//! - Whatever waits at a lower level is due before whatever waits at a higher one, and slots of one
//!   level are due in their order. One word of occupancy bits a level, and one word over the levels,
//!   find the next slot in two instructions however many empty slots lie between. A clock that
//!   jumps by ten years costs what a clock that moves by one tick costs.
//! - Each slot remembers the earliest deadline it was ever given since it was last empty. A slot of
//!   a higher level is opened when that deadline comes and not when its span begins: what is
//!   cancelled by then was never moved (the gain of the Linux wheel of 2015, which does not cascade
//!   at all and pays with precision), and [`Wheel::next_deadline`] is usually exact.
//!
//! An opened slot is emptied a few entries a call ([`MOVES_PER_POLL`]), so no single call
//! does more than a bounded amount of work. An entry only ever moves to a lower level: ten moves in
//! the life of an entry are the most, and the common number is none or one.
//!
//! # Promises
//!
//! - Never early: nothing expires before its deadline. At most one tick late, when polled at
//!   [`Wheel::next_deadline`].
//! - Insert, cancel, reschedule and each call of poll do a bounded amount of work. Entries live in
//!   pages that never move, so growing does not copy them: an insertion allocates one page at most,
//!   and now and then doubles the table of pages, 40 bytes for 512 entries.
//! - A key outlives its entry harmlessly: it names nothing, for ever.

use std::{fmt, num::NonZeroU64, time::Duration};

use self::{
    slots::{Slot, Slots},
    ticks::{NEVER, Resolution},
};
use super::pages::{Links, NIL, Pages};

#[cfg(test)]
mod model;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod model;
mod slots;
#[cfg(test)]
mod tests;
mod ticks;

/// The most entries that one call of [`Wheel::poll`] moves between slots. Some microseconds of work.
pub const MOVES_PER_POLL: usize = 32;

/// Names one pending entry of a [`Wheel`].
///
/// Each insertion draws a number that is never drawn again, so a key whose entry has expired or was
/// cancelled matches nothing, also after the entry's memory has been used again. A key means
/// something only to the wheel that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    generation: NonZeroU64,
    index: u32,
}

/// One pending value.
#[derive(Debug)]
struct Entry<T> {
    /// Drawn once for the wheel's life. Never zero, which also lets a vacant place do without a tag.
    generation: NonZeroU64,
    deadline: u64,
    value: T,
}

/// What one call of [`Wheel::poll`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Expiry<T> {
    /// This entry's deadline has come. More may be due: poll again.
    Expired(T),
    /// The call's share of work was spent on bringing entries into order, and more may be due: poll
    /// again, now or after letting others have their turn.
    More,
    /// Nothing further is due at this time. [`Wheel::next_deadline`] lies in the future.
    Idle,
}

/// Values that wait for their deadlines. The head of this file tells how.
///
/// Times are [`Duration`]s since an origin that the caller chooses and keeps to, such as the moment
/// its clock was started. The wheel reads no clock.
///
/// # Memory
///
/// An entry takes the size of `T` and 24 bytes (rounded up to eight), in pages of 512 entries; the
/// wheel itself takes 12 KiB. A page goes back to the allocator when its last entry leaves, except
/// for the one that became empty last, so that a wheel which swings between empty and full at a
/// page's edge does not allocate at each swing. What stays of a page that was given back is its row
/// in the table of pages, 40 bytes: 80 KiB after a burst of a million entries. A single entry that
/// stays keeps its page.
pub struct Wheel<T> {
    resolution: Resolution,
    slots: Box<Slots>,
    entries: Pages<Entry<T>>,
    /// Where the wheel stands. Every entry in a level has a later deadline, and differs from the
    /// position first in that level's digit, with the larger digit.
    position: u64,
    /// The highest tick that was ever polled; `position` never exceeds it.
    now: u64,
    next_generation: NonZeroU64,
}

impl<T> Wheel<T> {
    /// An empty wheel with the given length of a tick.
    ///
    /// Deadlines are rounded up to a whole tick, so a tick is both the greatest lateness and the
    /// least time between two wakes. A length of zero is taken as one nanosecond, and more than
    /// 2⁶⁴ - 1 nanoseconds (584 years) as that.
    #[must_use]
    pub fn new(tick: Duration) -> Self {
        Self {
            resolution: Resolution::new(tick),
            slots: Box::default(),
            entries: Pages::new(),
            position: 0,
            now: 0,
            next_generation: NonZeroU64::MIN,
        }
    }

    /// How many entries are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Lets `value` wait until `deadline`.
    ///
    /// A deadline that has passed expires with the next polls, after what is due already: a caller
    /// that answers each expiry with a new deadline in the past cannot keep others from expiring. A
    /// deadline 2⁶⁴ - 1 ticks after the origin or later, such as [`Duration::MAX`], never expires
    /// and waits to be cancelled.
    ///
    /// # Panics
    ///
    /// If 2³¹ entries are pending already.
    pub fn insert(&mut self, deadline: Duration, value: T) -> Key {
        let generation = self.next_generation;
        // At one insertion a nanosecond the numbers last for 584 years.
        self.next_generation = generation.saturating_add(1);
        let deadline = self.resolution.round_up(deadline);
        let slot = Slot::of(deadline, self.position).unwrap_or(Slot::LATE);
        let next = self.slots.head(slot);
        let links = Links { prev: slot.as_link(), next };
        let index = self.entries.insert(links, Entry { generation, deadline, value });
        if let Some(links) = self.entries.links_mut(next) {
            links.prev = index;
        }
        self.slots.push(slot, index, deadline);
        Key { generation, index }
    }

    /// Takes back what waits under `key`; `None` if it has expired or was cancelled.
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        let (links, entry) =
            self.entries.take_if(key.index, |entry| entry.generation == key.generation)?;
        self.unlink(links);
        Some(entry.value)
    }

    /// Moves the deadline of what waits under `key`, which stays valid; `false` if it has expired or
    /// was cancelled. The new deadline is treated like that of an [`insert`](Self::insert).
    pub fn reschedule(&mut self, key: Key, deadline: Duration) -> bool {
        let deadline = self.resolution.round_up(deadline);
        let Some(entry) = self.entries.get_mut(key.index) else { return false };
        if entry.generation != key.generation {
            return false;
        }
        entry.deadline = deadline;
        let Some(&mut links) = self.entries.links_mut(key.index) else { return false };
        self.unlink(links);
        let slot = Slot::of(deadline, self.position).unwrap_or(Slot::LATE);
        self.link(slot, key.index, deadline);
        true
    }

    /// Takes one entry whose deadline is at or before `now`.
    ///
    /// Entries come in the order of their ticks, except that one whose deadline had passed when it
    /// was inserted comes when those that became due in time have come. The order within a tick is
    /// not specified. A `now` before an earlier one counts as the latest there was.
    ///
    /// The work of one call is bounded, whatever is pending and however far the clock has jumped:
    /// one entry returned, at most [`MOVES_PER_POLL`] moved.
    pub fn poll(&mut self, now: Duration) -> Expiry<T> {
        let mut moves = MOVES_PER_POLL;
        self.poll_within(now, &mut moves)
    }

    /// As [`poll`](Self::poll), but with a number of moves of the caller's own, which is lessened by what
    /// was moved: several calls that share one number do no more together than one poll that is given it
    /// whole. With none left, what is due already still expires, and [`Expiry::More`] says that the rest
    /// has to wait.
    pub fn poll_within(&mut self, now: Duration, moves: &mut usize) -> Expiry<T> {
        self.now = self.now.max(self.resolution.round_down(now));
        loop {
            if let Some(value) = self.pop_due() {
                return Expiry::Expired(value);
            }
            // Each pass from here either moves an entry or ends in `pop_due` or a return, so the
            // moves bound the passes.
            while *moves > 0 && self.redistribute_one() {
                *moves -= 1;
            }
            if !self.slots.is_empty(Slot::DUE) {
                continue;
            }
            if !self.slots.is_empty(Slot::OPENED) {
                return Expiry::More;
            }
            // The levels before the late entries, and the late ones as one batch: neither endless
            // insertions into the past nor a busy wheel can starve the other.
            if !self.open_next_slot() {
                if self.slots.is_empty(Slot::LATE) {
                    return Expiry::Idle;
                }
                self.splice(Slot::LATE, Slot::DUE);
            }
        }
    }

    /// When to poll next: a time before which nothing expires; `None` if nothing ever will.
    ///
    /// It is the tick of the earliest deadline, exactly, unless an earlier one was cancelled or moved
    /// out of the same slot of a higher level. It is then the time of that one; polling there finds
    /// nothing and brings the slot's entries to lower levels, so such an idle wake happens at most
    /// ten times in an entry's life. A wheel that has something due, or has last said
    /// [`Expiry::More`], gives a time that has passed. After [`Expiry::Idle`] the time is in the
    /// future, so a timer set to it does not spin.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let in_hand = [Slot::DUE, Slot::OPENED, Slot::LATE];
        if in_hand.into_iter().any(|slot| !self.slots.is_empty(slot)) {
            return Some(self.resolution.start_of(self.position));
        }
        let (_, earliest) = self.slots.first()?;
        (earliest != NEVER).then(|| self.resolution.start_of(earliest))
    }

    fn pop_due(&mut self) -> Option<T> {
        let (links, entry) = self.entries.take(self.slots.head(Slot::DUE))?;
        self.unlink(links);
        Some(entry.value)
    }

    /// Brings one entry of the opened slot to where it belongs; `false` if there is none left.
    fn redistribute_one(&mut self) -> bool {
        let index = self.slots.head(Slot::OPENED);
        let Some(&mut links) = self.entries.links_mut(index) else { return false };
        let Some(&mut Entry { deadline, .. }) = self.entries.get_mut(index) else { return false };
        self.unlink(links);
        self.link(Slot::of(deadline, self.position).unwrap_or(Slot::DUE), index, deadline);
        true
    }

    /// Turns the wheel as far as it goes without passing an entry, and opens the slot of the next
    /// entry if it may be due; `false` if none is.
    ///
    /// Requires that nothing is due and no slot is open: turning would break their order.
    fn open_next_slot(&mut self) -> bool {
        let Some((slot, earliest)) = self.slots.first() else {
            self.position = self.now;
            return false;
        };
        if earliest > self.now {
            // Inside the slot's span its entries would belong to a lower level.
            self.position = self.now.min(slot.last_tick_before(self.position));
            return false;
        }
        // All levels below are empty, so standing inside the slot's span contradicts no entry but
        // those of the slot itself, and they are taken out of it.
        self.position = earliest;
        self.splice(slot, if slot.is_single_tick() { Slot::DUE } else { Slot::OPENED });
        true
    }

    /// Gives the whole list of `from` to `to`, which must be empty.
    fn splice(&mut self, from: Slot, to: Slot) {
        debug_assert!(self.slots.is_empty(to));
        let head = self.slots.head(from);
        if let Some(links) = self.entries.links_mut(head) {
            links.prev = to.as_link();
        }
        self.slots.set_head(from, NIL);
        self.slots.push(to, head, self.position);
    }

    fn link(&mut self, slot: Slot, index: u32, deadline: u64) {
        let next = self.slots.head(slot);
        if let Some(links) = self.entries.links_mut(next) {
            links.prev = index;
        }
        if let Some(links) = self.entries.links_mut(index) {
            *links = Links { prev: slot.as_link(), next };
        }
        self.slots.push(slot, index, deadline);
    }

    /// Closes the gap that an entry with these links leaves.
    fn unlink(&mut self, Links { prev, next }: Links) {
        if let Some(links) = self.entries.links_mut(next) {
            links.prev = prev;
        }
        match Slot::from_link(prev) {
            Some(slot) => self.slots.set_head(slot, next),
            None => {
                if let Some(links) = self.entries.links_mut(prev) {
                    links.next = next;
                }
            }
        }
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len())
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}
