//! Random walks on which the wheel must agree with an ordered map.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

/// A step of the random walk. Times are nanoseconds, and what an operation acts on is picked from
/// what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
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

/// Evenly over the orders of magnitude, so that every level is used.
fn span() -> impl Strategy<Value = u64> {
    // Up to 2^59 nanoseconds: eighteen years, and a thousand steps stay within 2^69.
    (0..60_u32, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1))
}

/// Mostly what an engine asks for, up to two minutes.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..120_000_000_000_u64, 2 => 0..1_000_000_000_u64, 1 => span()]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<usize>;
    prop_oneof![
        30 => delay().prop_map(|delay| Step::Insert { delay }),
        2 => span().prop_map(|by| Step::InsertPast { by }),
        1 => Just(Step::InsertNever),
        15 => pick().prop_map(|pick| Step::Cancel { pick }),
        3 => pick().prop_map(|pick| Step::CancelStale { pick }),
        8 => (pick(), delay()).prop_map(|(pick, delay)| Step::Reschedule { pick, delay }),
        8 => (0..2_000_000_000_u64).prop_map(|by| Step::Forward { by }),
        1 => span().prop_map(|by| Step::Forward { by }),
        1 => span().prop_map(|by| Step::Backward { by }),
        6 => Just(Step::ToNextDeadline),
        10 => (1..20_u8).prop_map(|times| Step::Poll { times }),
        5 => (1..20_u8, 0..40_usize).prop_map(|(times, moves)| Step::PollWithin { times, moves }),
        5 => Just(Step::PollUntilIdle),
    ]
}

/// What the wheel has to agree with: an ordered map, and the bookkeeping to name its entries.
struct Model {
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
    fn new(tick: Duration) -> Self {
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

    fn is_late(&self, tick: u128) -> bool {
        tick <= self.latest.as_nanos() / self.tick
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

    fn step(&mut self, step: Step) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    // 256 walks of 2,000 to 8,000 steps: more than a million.
    #[test]
    fn the_wheel_agrees_with_an_ordered_map(
        tick in prop_oneof![
            Just(TICK),
            Just(Duration::from_nanos(1)),
            Just(Duration::from_micros(977)),
            Just(Duration::from_secs(1)),
        ],
        steps in proptest::collection::vec(step(), 2_000..8_000),
    ) {
        let mut model = Model::new(tick);
        for step in steps {
            model.step(step);
        }
        // In the end a driver sees everything else on time.
        while model.poll() {}
        let mut wakes = 0;
        while let Some(next) = model.wheel.next_deadline() {
            model.now = next;
            wakes += 1;
            while model.poll() {}
        }
        prop_assert!(wakes <= 11 * model.next_id);
        prop_assert!(model.pending.keys().all(|(tick, _)| *tick >= u128::from(NEVER)));
    }
}
