//! What the wheel has to agree with: an ordered map, and steps that both take.
//!
//! The test takes them at random, and the fuzz target `wheel` as the bytes of an input have it.

use std::collections::{BTreeMap, HashMap};

use super::*;

/// A step of the random walk. Times are nanoseconds, and what an operation acts on is picked from
/// what there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Insert {
        delay: u64,
    },
    InsertPast {
        by: u64,
    },
    InsertNever,
    Cancel {
        pick: usize,
    },
    CancelStale {
        pick: usize,
    },
    Reschedule {
        pick: usize,
        delay: u64,
    },
    Forward {
        by: u64,
    },
    Backward {
        by: u64,
    },
    ToNextDeadline,
    Poll {
        times: u8,
    },
    /// Polls that share a number of moves.
    PollWithin {
        times: u8,
        moves: usize,
    },
    PollUntilIdle,
}

/// What the wheel has to agree with: an ordered map, and the bookkeeping to name its entries.
pub(crate) struct Model {
    wheel: Wheel<u64>,
    tick: u128,
    now: Duration,
    latest: Duration,
    /// By tick and id; an entry whose deadline had passed counts as well.
    pending: BTreeMap<(u128, u64), Duration>,
    entries: HashMap<u64, Named>,
    ids: Vec<u64>,
    stale: Vec<Key>,
    next_id: u64,
    /// The tick of the last entry that expired without having been late when given.
    last_tick: u128,
}

struct Named {
    key: Key,
    tick: u128,
    late: bool,
    place: usize,
}

impl Model {
    pub(crate) fn new(tick: Duration) -> Self {
        Self {
            wheel: Wheel::new(tick),
            tick: tick.as_nanos(),
            now: Duration::ZERO,
            latest: Duration::ZERO,
            pending: BTreeMap::new(),
            entries: HashMap::new(),
            ids: Vec::new(),
            stale: Vec::new(),
            next_id: 0,
            last_tick: 0,
        }
    }

    fn tick_of(&self, deadline: Duration) -> u128 {
        deadline.as_nanos().div_ceil(self.tick)
    }

    /// Whether this tick has come. The last one that can be told never does.
    fn is_late(&self, tick: u128) -> bool {
        tick < u128::from(NEVER) && tick <= self.latest.as_nanos() / self.tick
    }

    fn pick(&self, pick: usize) -> Option<u64> {
        self.ids.get(pick.checked_rem(self.ids.len())?).copied()
    }

    fn insert(&mut self, deadline: Duration) {
        let id = self.next_id;
        self.next_id += 1;
        let key = self.wheel.insert(deadline, id);
        let tick = self.tick_of(deadline);
        let late = self.is_late(tick);
        self.pending.insert((tick, id), deadline);
        self.entries.insert(id, Named { key, tick, late, place: self.ids.len() });
        self.ids.push(id);
    }

    fn forget(&mut self, id: u64) -> (Named, Duration) {
        let named = self.entries.remove(&id).expect("the wheel knows only what it was given");
        self.ids.swap_remove(named.place);
        if let Some(moved) = self.ids.get(named.place) {
            self.entries.get_mut(moved).unwrap().place = named.place;
        }
        self.stale.push(named.key);
        let deadline = self.pending.remove(&(named.tick, id)).unwrap();
        (named, deadline)
    }

    fn reschedule(&mut self, id: u64, deadline: Duration) {
        let tick = self.tick_of(deadline);
        let late = self.is_late(tick);
        let named = self.entries.get_mut(&id).unwrap();
        assert!(self.wheel.reschedule(named.key, deadline));
        self.pending.remove(&(named.tick, id)).unwrap();
        self.pending.insert((tick, id), deadline);
        named.tick = tick;
        named.late = late;
    }

    /// Polls once; `true` if there may be more.
    fn poll(&mut self) -> bool {
        let expiry = self.wheel.poll(self.now);
        self.expired(expiry)
    }

    /// Polls once with no more moves than these, and takes off how many it needed.
    fn poll_within(&mut self, moves: &mut usize) {
        let before = *moves;
        let expiry = self.wheel.poll_within(self.now, moves);
        assert!(*moves <= before, "moves were made up");
        // Nobody stops short of what is due while there are moves left.
        assert!(expiry != Expiry::More || *moves == 0, "{moves} moves are left");
        self.expired(expiry);
    }

    /// Compares what a poll came to with what it had to.
    fn expired(&mut self, expiry: Expiry<u64>) -> bool {
        self.latest = self.latest.max(self.now);
        match expiry {
            Expiry::Expired(id) => {
                let (named, deadline) = self.forget(id);
                assert!(deadline <= self.latest, "early: {deadline:?} at {:?}", self.latest);
                if !named.late {
                    assert!(named.tick >= self.last_tick, "out of order");
                    self.last_tick = named.tick;
                }
                true
            }
            Expiry::More => true,
            Expiry::Idle => {
                if let Some((&(tick, _), deadline)) = self.pending.first_key_value() {
                    assert!(!self.is_late(tick), "late: {deadline:?} at {:?}", self.latest);
                }
                let next = self.wheel.next_deadline();
                assert!(next.is_none_or(|next| next > self.latest), "spins");
                false
            }
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Insert { delay } => self.insert(self.now + Duration::from_nanos(delay)),
            Step::InsertPast { by } => {
                self.insert(self.now.saturating_sub(Duration::from_nanos(by)));
            }
            Step::InsertNever => self.insert(Duration::MAX),
            Step::Cancel { pick } => {
                if let Some(id) = self.pick(pick) {
                    let (named, _) = self.forget(id);
                    assert_eq!(self.wheel.cancel(named.key), Some(id));
                }
            }
            Step::CancelStale { pick } => {
                if let Some(place) = pick.checked_rem(self.stale.len()) {
                    assert_eq!(self.wheel.cancel(self.stale[place]), None);
                    assert!(!self.wheel.reschedule(self.stale[place], self.now));
                }
            }
            Step::Reschedule { pick, delay } => {
                if let Some(id) = self.pick(pick) {
                    self.reschedule(id, self.now + Duration::from_nanos(delay));
                }
            }
            Step::Forward { by } => self.now += Duration::from_nanos(by),
            Step::Backward { by } => {
                self.now = self.now.saturating_sub(Duration::from_nanos(by));
            }
            Step::ToNextDeadline => {
                if let Some(next) = self.wheel.next_deadline() {
                    self.now = self.now.max(next);
                }
            }
            Step::Poll { times } => {
                for _ in 0..times {
                    self.poll();
                }
            }
            Step::PollWithin { times, mut moves } => {
                for _ in 0..times {
                    self.poll_within(&mut moves);
                }
            }
            Step::PollUntilIdle => while self.poll() {},
        }
        self.check();
    }

    /// In the end a driver that polls when it is told to sees everything else on time.
    pub(crate) fn finish(mut self) {
        while self.poll() {}
        let mut wakes = 0;
        while let Some(next) = self.wheel.next_deadline() {
            self.now = next;
            wakes += 1;
            while self.poll() {}
        }
        assert!(wakes <= 11 * self.next_id, "{wakes} wakes for {} entries", self.next_id);
        assert!(self.pending.keys().all(|(tick, _)| *tick >= u128::from(NEVER)));
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.pending.len());
        assert_eq!(self.wheel.is_empty(), self.pending.is_empty());
        let next = self.wheel.next_deadline();
        if let Some(((tick, _), _)) = self.pending.first_key_value() {
            let never = *tick >= u128::from(NEVER);
            // A late entry's time has passed, and so must the time that is told.
            let at = self.wheel.resolution.start_of((*tick).try_into().unwrap_or(NEVER));
            let bound = at.max(self.latest);
            assert!(
                next.map_or(never, |next| next <= bound),
                "{next:?} would miss {at:?} at {:?}",
                self.latest
            );
        } else {
            assert_eq!(next, None);
        }
    }
}

#[cfg(fuzzing)]
impl Step {
    /// Takes a step from the front of these bytes: one that says which, and as many as that one needs.
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(match number(bytes, 1)? % 16 {
            0 => Self::Insert { delay: number(bytes, 3)? << 12 },
            1 => Self::Insert { delay: number(bytes, 4)? },
            2 => Self::Insert { delay: span(bytes)? },
            3 => Self::InsertPast { by: span(bytes)? },
            4 => Self::InsertNever,
            5 => Self::Cancel { pick: pick(bytes)? },
            6 => Self::CancelStale { pick: pick(bytes)? },
            7 => Self::Reschedule { pick: pick(bytes)?, delay: number(bytes, 4)? },
            8 => Self::Reschedule { pick: pick(bytes)?, delay: span(bytes)? },
            9 => Self::Forward { by: number(bytes, 4)? },
            10 => Self::Forward { by: span(bytes)? },
            11 => Self::Backward { by: span(bytes)? },
            12 => Self::ToNextDeadline,
            13 => Self::Poll { times: bytes.split_off_first()? % 20 },
            14 => {
                Self::PollWithin { times: bytes.split_off_first()? % 20, moves: pick(bytes)? % 40 }
            }
            _ => Self::PollUntilIdle,
        })
    }
}

/// A little-endian number of so many bytes.
#[cfg(fuzzing)]
fn number(bytes: &mut &[u8], length: usize) -> Option<u64> {
    let number = bytes.split_off(..length)?;
    Some(number.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Of any order of magnitude up to 2^59, so that every level is used.
#[cfg(fuzzing)]
fn span(bytes: &mut &[u8]) -> Option<u64> {
    let bits = number(bytes, 1)? % 60;
    Some((1 << bits) | number(bytes, 2)? << bits.saturating_sub(16) & ((1 << bits) - 1))
}

#[cfg(fuzzing)]
fn pick(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(number(bytes, 1)?).ok()
}
