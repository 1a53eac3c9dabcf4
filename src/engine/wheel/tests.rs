use std::{collections::BTreeMap, rc::Rc};

use super::*;
use crate::engine::pages;

mod model;

const TICK: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Polls until nothing is due.
fn drain<T>(wheel: &mut Wheel<T>, now: Duration) -> Vec<T> {
    let mut expired = Vec::new();
    loop {
        match wheel.poll(now) {
            Expiry::Expired(value) => expired.push(value),
            Expiry::More => {}
            Expiry::Idle => return expired,
        }
    }
}

/// How many entries wait in the opened slot.
fn opened<T>(wheel: &mut Wheel<T>) -> usize {
    let mut index = wheel.slots.head(Slot::OPENED);
    let mut count = 0;
    while let Some(links) = wheel.entries.links_mut(index) {
        index = links.next;
        count += 1;
    }
    count
}

#[test]
fn a_deadline_is_never_early_and_at_most_one_tick_late() {
    for deadline in [0, 1, 9, 10, 11, 639, 640, 641, 40_959, 40_960, 40_961, 2_621_440, 9_999_999] {
        let mut wheel = Wheel::new(TICK);
        wheel.insert(ms(deadline), ());
        if deadline > 0 {
            assert_eq!(wheel.poll(ms(deadline - 1)), Expiry::Idle, "{deadline} ms, early");
        }
        let due = ms(deadline.div_ceil(10) * 10);
        assert_eq!(drain(&mut wheel, due).len(), 1, "{deadline} ms, late");
    }
}

#[test]
fn polling_exactly_at_a_deadline_between_ticks_waits_for_the_tick() {
    let mut wheel = Wheel::new(TICK);
    wheel.insert(ms(15), ());
    assert_eq!(wheel.poll(ms(15)), Expiry::Idle);
    assert_eq!(wheel.next_deadline(), Some(ms(20)));
    assert_eq!(wheel.poll(ms(20)), Expiry::Expired(()));
}

#[test]
fn a_deadline_in_the_past_expires_on_the_next_poll() {
    let mut wheel = Wheel::new(TICK);
    assert_eq!(wheel.poll(DAY), Expiry::Idle);
    wheel.insert(Duration::ZERO, "past");
    wheel.insert(DAY, "now");
    assert!(wheel.next_deadline().is_some_and(|at| at <= DAY));
    let mut expired = drain(&mut wheel, DAY);
    expired.sort_unstable();
    assert_eq!(expired, ["now", "past"]);
}

#[test]
fn endless_deadlines_in_the_past_starve_nobody() {
    let mut wheel = Wheel::new(TICK);
    assert_eq!(wheel.poll(ms(1_000)), Expiry::Idle);
    wheel.insert(ms(1_010), "patient");
    wheel.insert(ms(0), "waited first");
    wheel.insert(ms(0), "greedy");
    let mut seen = Vec::new();
    for _ in 0..6 {
        match wheel.poll(ms(1_010)) {
            Expiry::Expired("greedy") => {
                wheel.insert(ms(0), "greedy");
            }
            Expiry::Expired(value) => seen.push(value),
            Expiry::More | Expiry::Idle => {}
        }
    }
    assert_eq!(seen, ["patient", "waited first"]);
}

#[test]
fn there_is_no_horizon() {
    let mut wheel = Wheel::new(TICK);
    let years = |n| DAY * 365 * n;
    wheel.insert(years(10), 10);
    wheel.insert(years(10_000), 10_000);
    wheel.insert(years(1_000_000), 1_000_000);
    wheel.insert(Duration::from_secs(u64::MAX / 128), 0);
    assert_eq!(drain(&mut wheel, years(10) - TICK), [0; 0]);
    assert_eq!(drain(&mut wheel, years(10)), [10]);
    assert_eq!(drain(&mut wheel, years(10_000) - TICK), [0; 0]);
    assert_eq!(drain(&mut wheel, years(10_000)), [10_000]);
    assert_eq!(drain(&mut wheel, years(2_000_000)), [1_000_000]);
    assert_eq!(wheel.next_deadline(), Some(Duration::from_secs(u64::MAX / 128)));
    assert_eq!(drain(&mut wheel, Duration::from_secs(u64::MAX / 128)), [0]);
}

#[test]
fn the_longest_duration_never_expires_and_can_be_cancelled() {
    for tick in [Duration::ZERO, ms(1), TICK] {
        let mut wheel = Wheel::new(tick);
        let never = wheel.insert(Duration::MAX, "never");
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.poll(Duration::MAX), Expiry::Idle);
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.cancel(never), Some("never"));
        assert!(wheel.is_empty());
    }
}

#[test]
fn a_clock_beyond_the_last_tick_finds_what_came_before_it_and_nothing_else() {
    let last = Duration::from_nanos(u64::MAX);
    for clock in [last, last + ms(1), 2 * last, Duration::MAX] {
        let mut wheel = Wheel::new(Duration::ZERO);
        wheel.insert(last - Duration::from_nanos(1), "the last that can be told");
        let never = [last, last + ms(1), clock].map(|deadline| wheel.insert(deadline, "never"));
        assert_eq!(drain(&mut wheel, clock), ["the last that can be told"]);
        assert_eq!(wheel.next_deadline(), None, "at {clock:?}");
        assert!(never.into_iter().all(|key| wheel.cancel(key).is_some()));
    }
}

#[test]
fn a_retry_is_cancelled_and_the_timeout_still_comes() {
    let mut wheel = Wheel::new(TICK);
    let retry = wheel.insert(ms(250), "retry");
    wheel.insert(ms(30_000), "give up");
    assert_eq!(wheel.next_deadline(), Some(ms(250)));
    assert_eq!(wheel.cancel(retry), Some("retry"));
    assert_eq!(wheel.cancel(retry), None);
    assert_eq!(wheel.poll(ms(29_990)), Expiry::Idle);
    assert_eq!(wheel.poll(ms(30_000)), Expiry::Expired("give up"));
    assert!(wheel.is_empty());
}

#[test]
fn a_clock_that_goes_backwards_stands_still() {
    let mut wheel = Wheel::new(TICK);
    assert_eq!(wheel.poll(ms(5_000)), Expiry::Idle);
    wheel.insert(ms(5_100), "soon");
    assert_eq!(wheel.poll(ms(10)), Expiry::Idle);
    assert_eq!(wheel.next_deadline(), Some(ms(5_100)));
    wheel.insert(ms(20), "past");
    assert_eq!(wheel.poll(ms(15)), Expiry::Expired("past"));
    assert_eq!(wheel.poll(ms(5_090)), Expiry::Idle);
    assert_eq!(wheel.poll(ms(5_100)), Expiry::Expired("soon"));
}

#[test]
fn entries_come_in_the_order_of_their_ticks_across_a_far_jump() {
    let mut wheel = Wheel::new(TICK);
    let mut time = 1;
    let mut deadlines = Vec::new();
    while time < 300_000_000_000 {
        for near in 0..100 {
            deadlines.push(ms(time + near * 7));
        }
        time *= 3;
    }
    for deadline in deadlines.iter().rev() {
        wheel.insert(*deadline, deadline.as_millis().div_ceil(10));
    }
    let expired = drain(&mut wheel, DAY * 3650);
    assert_eq!(expired.len(), deadlines.len());
    assert!(expired.is_sorted());
}

#[test]
fn a_far_jump_over_a_few_entries_takes_a_few_polls() {
    let mut wheel = Wheel::new(TICK);
    for day in 1..=100 {
        wheel.insert(DAY * day * 36, day);
    }
    let mut polls = 0;
    while wheel.poll(DAY * 3650) != Expiry::Idle {
        polls += 1;
    }
    assert!(wheel.is_empty());
    assert!(polls <= 100 + 100 * 10 / MOVES_PER_POLL, "{polls} polls");
}

#[test]
fn no_poll_moves_more_than_its_share() {
    let mut wheel = Wheel::new(TICK);
    // One slot of the third level, opened by its first deadline.
    for n in 0..100_000 {
        wheel.insert(ms(50_000 + n % 30_000), n);
    }
    let mut left = 100_000;
    let mut polls = 0;
    let mut moves = 0;
    loop {
        let before = opened(&mut wheel);
        let expiry = wheel.poll(ms(80_000));
        let after = opened(&mut wheel);
        moves += before.saturating_sub(after);
        assert!(before.saturating_sub(after) <= MOVES_PER_POLL);
        polls += 1;
        match expiry {
            Expiry::Expired(_) => left -= 1,
            // Enough to show it, and counting the opened slot is slow.
            Expiry::More if polls > 500 => break,
            Expiry::More => {}
            Expiry::Idle => break,
        }
    }
    assert!(moves > 10_000, "{moves} moves in {polls} polls: no slot was ever shared out");
    assert_eq!(drain(&mut wheel, ms(80_000)).len(), left);
}

#[test]
fn a_driver_that_sleeps_until_the_next_deadline_is_always_on_time() {
    let mut wheel = Wheel::new(TICK);
    let mut due = BTreeMap::new();
    let mut cancelled = Vec::new();
    for n in 0_u64..20_000 {
        // A spread of spans, from tens of milliseconds to weeks.
        let deadline = ms(1 + (n * 7_919) % (10 << (n % 28)));
        let key = wheel.insert(deadline, deadline);
        if n % 3 == 0 {
            cancelled.push(key);
        } else {
            let tick = deadline.as_millis().div_ceil(10);
            *due.entry(tick).or_insert(0) += 1;
        }
    }
    for key in cancelled {
        assert!(wheel.cancel(key).is_some());
    }
    let ticks = due.len();
    let pending = wheel.len();
    let mut wakes = 0;
    let mut last = Duration::ZERO;
    while let Some(now) = wheel.next_deadline() {
        assert!(wakes == 0 || now > last, "the driver spins at {now:?}");
        last = now;
        wakes += 1;
        for deadline in drain(&mut wheel, now) {
            assert!(deadline <= now && now < deadline + TICK, "{deadline:?} at {now:?}");
            let tick = now.as_millis() / 10;
            *due.get_mut(&tick).unwrap() -= 1;
        }
    }
    assert!(wheel.is_empty());
    assert!(due.values().all(|left| *left == 0));
    // Far below the bound of ten for an entry: an idle wake sorts a whole slot.
    assert!(wakes >= ticks && wakes < ticks + pending / 10, "{wakes} wakes for {ticks} ticks");
}

#[test]
fn one_far_deadline_takes_one_wake() {
    let mut wheel = Wheel::new(TICK);
    wheel.insert(DAY * 100, ());
    assert_eq!(wheel.next_deadline(), Some(DAY * 100));
    assert_eq!(wheel.poll(DAY * 50), Expiry::Idle);
    assert_eq!(wheel.next_deadline(), Some(DAY * 100));
    assert_eq!(wheel.poll(DAY * 100), Expiry::Expired(()));
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn a_far_deadline_does_not_blur_near_ones() {
    let mut wheel = Wheel::new(TICK);
    wheel.insert(DAY * 100, ());
    assert_eq!(wheel.poll(DAY * 50), Expiry::Idle);
    let first = wheel.insert(DAY * 50 + ms(20), ());
    wheel.insert(DAY * 50 + ms(30), ());
    assert!(wheel.cancel(first).is_some());
    assert_eq!(wheel.next_deadline(), Some(DAY * 50 + ms(30)));
}

#[test]
fn a_deadline_that_is_pushed_back_again_and_again_takes_no_wake() {
    let mut wheel = Wheel::new(TICK);
    let key = wheel.insert(ms(30_000), ());
    for now in (0..1_000_000).step_by(100) {
        assert_eq!(wheel.poll(ms(now)), Expiry::Idle);
        assert!(wheel.reschedule(key, ms(now + 30_000)));
        assert_eq!(wheel.next_deadline(), Some(ms(now + 30_000)));
    }
}

#[test]
fn a_rescheduled_entry_keeps_its_key() {
    let mut wheel = Wheel::new(TICK);
    let key = wheel.insert(ms(100), "x");
    assert!(wheel.reschedule(key, ms(5_000)));
    assert_eq!(wheel.poll(ms(4_000)), Expiry::Idle);
    assert!(wheel.reschedule(key, ms(4_500)));
    assert_eq!(wheel.poll(ms(4_490)), Expiry::Idle);
    assert!(wheel.reschedule(key, ms(0)));
    assert_eq!(wheel.poll(ms(4_490)), Expiry::Expired("x"));
    assert!(!wheel.reschedule(key, ms(9_000)));
    assert!(wheel.is_empty());
}

#[test]
fn a_stale_key_is_harmless() {
    let mut wheel = Wheel::new(TICK);
    let cancelled = wheel.insert(ms(100), 1);
    assert_eq!(wheel.cancel(cancelled), Some(1));
    let expired = wheel.insert(ms(10), 2);
    assert_eq!(wheel.poll(ms(10)), Expiry::Expired(2));
    // The same memory, used again.
    let alive = wheel.insert(ms(500), 3);
    assert_eq!(alive.index, cancelled.index);
    for stale in [cancelled, expired] {
        assert_eq!(wheel.cancel(stale), None);
        assert!(!wheel.reschedule(stale, ms(20)));
    }
    assert_eq!(wheel.next_deadline(), Some(ms(500)));
    assert_eq!(wheel.cancel(alive), Some(3));
}

#[test]
fn a_key_is_stale_also_after_its_page_was_given_back() {
    let mut wheel = Wheel::new(TICK);
    let keys: Vec<_> = (0..5_000).map(|n| wheel.insert(ms(n), n)).collect();
    assert_eq!(drain(&mut wheel, ms(5_000)).len(), 5_000);
    let alive: Vec<_> = (0..5_000).map(|n| wheel.insert(ms(6_000 + n), n)).collect();
    assert!(keys.into_iter().all(|key| wheel.cancel(key).is_none()));
    assert!(alive.into_iter().all(|key| wheel.cancel(key).is_some()));
}

#[test]
fn a_burst_gives_its_memory_back() {
    for by_cancelling in [false, true] {
        let mut wheel = Wheel::new(TICK);
        let keys: Vec<_> = (0..100_000).map(|n| wheel.insert(ms(n), n)).collect();
        assert!(wheel.entries.capacity() >= 100_000);
        assert!(wheel.entries.capacity() < 100_000 + pages::PAGE);
        if by_cancelling {
            for key in keys.iter().rev() {
                wheel.cancel(*key);
            }
        } else {
            drain(&mut wheel, ms(100_000));
        }
        assert!(wheel.is_empty());
        assert!(wheel.entries.capacity() <= pages::PAGE);
        // And is fit for use again.
        for n in 0..10_000 {
            wheel.insert(ms(200_000 + n), n);
        }
        assert!(wheel.entries.capacity() < 10_000 + 2 * pages::PAGE);
        assert_eq!(drain(&mut wheel, DAY).len(), 10_000);
    }
}

#[test]
fn freed_places_are_used_again() {
    let mut wheel = Wheel::new(TICK);
    for n in 0..100_000 {
        let key = wheel.insert(ms(n + 1_000), n);
        if n % 2 == 0 {
            wheel.cancel(key);
        } else {
            drain(&mut wheel, ms(n));
        }
    }
    assert!(wheel.entries.capacity() <= pages::PAGE);
}

#[test]
fn places_in_full_pages_are_used_again() {
    let mut wheel = Wheel::new(TICK);
    let pending = 10 * pages::PAGE;
    let mut keys: Vec<_> = (0..pending).map(|n| wheel.insert(DAY, n)).collect();
    for n in 0..100_000 {
        let place = n * 7_919 % pending;
        assert!(wheel.cancel(keys[place]).is_some());
        keys[place] = wheel.insert(DAY, place);
    }
    assert_eq!(wheel.entries.capacity(), pending);
}

#[test]
fn values_are_dropped_when_they_leave_and_with_the_wheel() {
    let value = Rc::new(());
    let mut wheel = Wheel::new(TICK);
    let key = wheel.insert(ms(10), Rc::clone(&value));
    wheel.insert(ms(20), Rc::clone(&value));
    wheel.insert(ms(3_000), Rc::clone(&value));
    drop(wheel.cancel(key));
    assert_eq!(Rc::strong_count(&value), 3);
    drop(drain(&mut wheel, ms(20)));
    assert_eq!(Rc::strong_count(&value), 2);
    drop(wheel);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn an_entry_is_compact() {
    assert_eq!(pages::node_size::<Entry<u64>>(), size_of::<u64>() + 24);
    assert_eq!(pages::node_size::<Entry<[u64; 4]>>(), size_of::<[u64; 4]>() + 24);
    assert_eq!(size_of::<Option<Key>>(), 16);
}
