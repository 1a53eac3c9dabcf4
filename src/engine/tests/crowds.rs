//! Many callers at once: shared lookups, the window, the line, and the bounds.

use super::*;
use crate::{engine::reading::waiting::Call, record::Record};

#[test]
fn callers_who_want_the_same_share_one_lookup_and_each_has_its_own_deadline() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, early) = lab.get(&id);
    lab.advance(Duration::from_secs(20));
    let (_, late) = lab.get(&id);
    let lookups = lab.lookups();
    let [query] = lookups[..] else { panic!("{lookups:?}") };
    lab.advance(Duration::from_secs(10));
    assert!(matches!(answer(early), Some(Err(crate::error::Error::Timeout { .. }))));
    assert!(lab.actions().is_empty(), "the other one still waits");
    lab.learn(copy(query, &head));
    assert!(answer(late).unwrap().is_ok());
    lab.end(query, 1);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn ten_thousand_callers_of_one_package_ask_the_network_once() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let waiting: Vec<_> = (0..10_000).map(|_| lab.get(&id)).collect();
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.learn(copy(query, &head));
    for (_, waiting) in waiting {
        assert_eq!(answer(waiting).unwrap().unwrap().sequence, 1);
    }
    lab.end(query, 1);
    assert!(lab.engine.is_at_rest());
    assert!(lab.lookups().is_empty());
}

#[test]
fn a_caller_that_goes_away_frees_its_place_and_the_last_one_the_lookup() {
    let mut lab = Lab::new(Config::new());
    let (id, _) = published("tool", 1);
    let before = lab.engine.out.wheel.len();
    let (first, first_waiting) = lab.get(&id);
    let (second, second_waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    drop((first_waiting, second_waiting));
    lab.engine.cancel(first);
    assert!(lab.actions().is_empty(), "the other one still waits");
    lab.engine.cancel(second);
    assert!(matches!(lab.actions()[..], [Action::Finish { query: finished }] if finished == query));
    assert_eq!(lab.engine.out.wheel.len(), before);
    lab.end(query, 0);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_window_of_lookups_runs_and_the_others_wait_their_turn() {
    let limits = Limits::new().with_running_queries(2);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let packages: Vec<_> = (0..5).map(|n| published(&format!("package-{n}"), 1).0).collect();
    let waiting: Vec<_> = packages.iter().map(|id| lab.get(id)).collect();
    let mut running = lab.lookups();
    assert_eq!(running.len(), 2);
    // One that leaves the line before its turn is never started.
    lab.engine.cancel(waiting[4].0);
    let mut started = 2;
    while let Some(query) = running.pop() {
        lab.end(query, 1);
        let next = lab.lookups();
        started += next.len();
        running.extend(next);
    }
    assert_eq!(started, 4);
    assert!(lab.engine.is_at_rest());
    for (_, waiting) in waiting.into_iter().take(4) {
        assert!(matches!(answer(waiting), Some(Err(crate::error::Error::NotFound { .. }))));
    }
}

#[test]
fn a_burst_of_lookups_does_not_stand_in_the_way_of_publishing_and_bootstrap() {
    let limits = Limits::new().with_running_queries(1);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let _lookups: Vec<_> =
        (0..1000).map(|n| lab.get(&published(&format!("package-{n}"), 1).0)).collect();
    let record = Record::Head(published("mirrored", 1).1);
    let (_, _put) = lab.ask(|reply| Command::PutRecord { record: Box::new(record), reply });
    let (_, _bootstrap) = lab.ask(|reply| Command::Bootstrap { reply });
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let [action] = &lab.actions()[..] else { panic!("one at a time") };
        let query = match action {
            Action::Get { query, .. } => (*query, "lookup"),
            Action::Put { query, .. } => (*query, "put"),
            Action::Bootstrap { query } => (*query, "bootstrap"),
            other => panic!("{other:?}"),
        };
        kinds.push(query.1);
        lab.end(query.0, 1);
    }
    assert_eq!(kinds, ["lookup", "put", "bootstrap", "lookup"]);
}

#[test]
fn above_the_bound_on_waiting_calls_a_call_is_busy_at_once() {
    let mut lab = Lab::new(Config::new().with_limits(Limits::new().with_waiting_calls(3)));
    let waiting: Vec<_> =
        (0..3).map(|n| lab.get(&published(&format!("package-{n}"), 1).0)).collect();
    let (_, refused) = lab.get(&published("one-too-many", 1).0);
    let busy = crate::error::Error::Busy { what: "waiting_calls".into() };
    assert_eq!(answer(refused), Some(Err(busy)));
    // What needs no waiting is answered all the same.
    let (_, metadata) = lab.ask(|reply| Command::Metadata { reply });
    assert!(answer(metadata).unwrap().is_ok());
    lab.engine.cancel(waiting[0].0);
    let (_, accepted) = lab.get(&published("fits", 1).0);
    assert_eq!(answer(accepted), None);
}

#[test]
fn a_shutdown_answers_everybody_and_nothing_is_begun_after_it() {
    let mut lab = Lab::new(Config::new());
    let waiting: Vec<_> =
        (0..100).map(|n| lab.get(&published(&format!("package-{n}"), 1).0)).collect();
    lab.engine.shut_down();
    for (_, waiting) in waiting {
        assert_eq!(answer(waiting), Some(Err(crate::error::Error::ShuttingDown)));
    }
    let (_, late) = lab.get(&published("late", 1).0);
    assert_eq!(answer(late), Some(Err(crate::error::Error::ShuttingDown)));
    assert!(lab.actions().is_empty());
}

#[test]
fn a_hundred_thousand_callers_wait_and_each_is_answered_on_time_a_few_a_poll() {
    const CROWD: u32 = 100_000;
    const BUDGET: usize = 64;
    let limits = Limits::new().with_waiting_calls(CROWD as usize);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let mut waiting: Vec<_> = (0..CROWD)
        .map(|n| {
            let mut key = [7; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            let owner = crate::package::owner_from_key(&key).unwrap();
            lab.get(&PackageId::owned(owner, "tool".parse().unwrap())).1
        })
        .collect();
    let started = lab.lookups();
    assert_eq!(started.len(), lab.engine.cx.config.limits.running_queries);
    let (_, refused) = lab.get(&published("tool", 1).0);
    assert_eq!(answer(refused).unwrap().unwrap_err(), crate::error::Error::busy("waiting_calls"));
    // The network falls silent. Nobody is answered before the deadline, and all are at it.
    let due = lab.mono + Duration::from_secs(30);
    lab.advance(Duration::from_millis(29_980));
    assert!(waiting.iter_mut().all(|waiting| waiting.try_recv() == Ok(None)));
    lab.mono = due;
    let (now, mut polls) = (lab.now(), 0);
    while lab.engine.expire(now, BUDGET) > 0 {
        polls += 1;
    }
    assert!(polls <= 2 * CROWD as usize / BUDGET + 64, "{polls} polls");
    for waiting in waiting {
        assert!(matches!(answer(waiting), Some(Err(crate::error::Error::Timeout { .. }))));
    }
    for query in started.into_iter().chain(lab.lookups()) {
        lab.end(query, 0);
    }
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_lookup_that_waits_takes_no_more_than_three_hundred_bytes() {
    // The call and its place in the table of calls, its lookup, its deadline.
    let call = size_of::<Call>() + size_of::<(Ticket, Box<Call>)>() + 1;
    let deadline = size_of::<Deadline>() + 24;
    let bytes = call + queries::BYTES_IN_LINE + deadline;
    assert!(bytes <= 300, "{bytes} bytes");
}
