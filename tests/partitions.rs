//! Machines whose network changes under their nodes: an address that becomes another one, and a cable that is pulled.
//!
//! `PEERAGE_CUT_SECS=120 cargo test --test partitions -- --nocapture` leaves it pulled for two minutes.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::{
    env, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

#[path = "support/machines.rs"]
mod machines;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/process.rs"]
mod process;

use machines::{Machine, join, switch};
use namespace::{ip, is_inside};
use process::executable;

/// The longest that whoever has gone astray is not found: it takes 25 s to see that a host no longer answers, and whoever has
/// left is dialed within a minute.
const FOUND_AGAIN: Duration = Duration::from_secs(120);

/// Any call's deadline, and some for a slow machine.
const ANSWERED: Duration = Duration::from_secs(35);

/// How long the cable is pulled, unless `PEERAGE_CUT_SECS` says otherwise.
const CUT_SECS: u64 = 20;

/// How long whoever asks again waits before that.
const AGAIN: Duration = Duration::from_millis(250);

/// What a node answers, and how long that takes.
fn answer(machine: &mut Machine, mut request: Value) -> (Value, Duration) {
    let id = json!(machine.call());
    request["id"] = id.clone();
    let begun = Instant::now();
    machine.node.say(&request.to_string());
    let answer = machine.node.await_answer(&id);
    let taken = begun.elapsed();
    assert!(taken <= ANSWERED, "{request} took {taken:?}");
    (answer, taken)
}

/// What comes back under `ok`.
fn ask(machine: &mut Machine, request: Value) -> Value {
    let (answer, _) = answer(machine, request.clone());
    assert!(answer.get("error").is_none(), "{request} was answered with {answer}");
    answer["ok"].clone()
}

/// Publishes a package. Its identifier.
fn register(machine: &mut Machine, name: &str) -> String {
    let manifest = json!({"name": name, "version": "1.0.0"});
    let request = json!({"op": "register", "manifest": manifest});
    let (answer, taken) = answer(machine, request);
    assert!(answer.get("ok").is_some(), "{name}: {answer}");
    println!("{name} is published after {taken:?}: {}", answer["ok"]);
    format!("{}/{name}", machine.peer)
}

fn get(machine: &mut Machine, package: &str) -> Value {
    answer(machine, json!({"op": "get", "package": package})).0
}

/// Asks until the package is found.
fn find(machine: &mut Machine, package: &str, since: Instant) -> Duration {
    loop {
        let answer = get(machine, package);
        let taken = since.elapsed();
        if answer["ok"]["manifest"]["version"] == "1.0.0" {
            return taken;
        }
        assert!(taken < FOUND_AGAIN, "{package} is not found: {answer}");
        thread::sleep(AGAIN);
    }
}

/// Where a peer is, for another one that is connected with it.
fn seen_at(machine: &mut Machine, peer: &str) -> Option<String> {
    let peers = ask(machine, json!({"op": "peers"}));
    let mut peers = peers["peers"].as_array().unwrap().iter();
    let address = &peers.find(|other| other["peer"] == peer)?["address"];
    Some(address.as_str().unwrap().to_owned())
}

/// Waits until one is connected with a peer, which is at an address that begins so.
fn meet(machine: &mut Machine, peer: &str, prefix: &str, since: Instant) -> Duration {
    loop {
        let seen = seen_at(machine, peer);
        let taken = since.elapsed();
        if seen.as_ref().is_some_and(|address| address.starts_with(prefix)) {
            return taken;
        }
        assert!(taken < FOUND_AGAIN, "{peer} is not seen at {prefix} but {seen:?}");
        thread::sleep(AGAIN);
    }
}

/// A network of machines, each plugged into one of these switches. All but the first know the first, and all of them are
/// connected with each other.
fn network(switches: &[&str]) -> Vec<Machine> {
    let begun = Instant::now();
    let mut machines: Vec<Machine> = Vec::new();
    for (at, switch) in switches.iter().enumerate() {
        let first = machines.first().map(Machine::dialed_at);
        let bootstrap: Vec<&str> = first.iter().map(String::as_str).collect();
        let mut machine = Machine::start(switch, &format!("10.7.0.{}", at + 1), &bootstrap);
        if at > 0 {
            ask(&mut machine, json!({"op": "bootstrap"}));
        }
        machines.push(machine);
    }
    let places: Vec<_> = machines.iter().map(|it| (it.peer.clone(), it.prefix())).collect();
    for machine in &mut machines {
        for (peer, prefix) in &places {
            if *peer != machine.peer {
                meet(machine, peer, prefix, begun);
            }
        }
    }
    machines
}

/// One of three machines, as given, gets another address.
fn one_moves(mover: usize) {
    switch("lan");
    let mut machines = network(&["lan"; 3]);
    let before = register(&mut machines[mover], "before");
    let moved = Instant::now();
    machines[mover].move_to("10.7.0.77");
    let while_away = register(&mut machines[mover], "while-away");
    let (peer, prefix) = (machines[mover].peer.clone(), machines[mover].prefix());
    let others: Vec<usize> = (0..3).filter(|at| *at != mover).collect();
    for at in &others {
        let taken = meet(&mut machines[*at], &peer, &prefix, moved);
        println!("{at} sees {mover} at its new address after {taken:?}");
    }

    // It has heard nothing of it, and is told by another where the one is that has moved.
    let known = machines[others[0]].dialed_at();
    let mut newcomer = Machine::start("lan", "10.7.0.9", &[&known]);
    ask(&mut newcomer, json!({"op": "bootstrap"}));
    let asked = Instant::now();
    for package in [&before, &while_away] {
        // Whatever it has been told by now, it asks those who hold it.
        let get = json!({"op": "get", "package": package, "freshness": "all"});
        let (answer, taken) = answer(&mut newcomer, get);
        assert_eq!(answer["ok"]["manifest"]["version"], "1.0.0", "{package}: {answer}");
        println!("a newcomer has {package} after {taken:?}");
    }
    let taken = meet(&mut newcomer, &peer, &prefix, asked);
    println!("it is connected with {mover} after {taken:?}");

    let published = Instant::now();
    let after = register(&mut machines[mover], "after");
    for at in others {
        let taken = find(&mut machines[at], &while_away, moved);
        println!("{at} has what was published while {mover} was away {taken:?} after it has moved");
        let taken = find(&mut machines[at], &after, published);
        println!("{at} has what {mover} publishes now after {taken:?}");
    }
}

#[test]
fn a_machine_that_gets_another_address_is_found_again() {
    executable();
    if is_inside("a_machine_that_gets_another_address_is_found_again") {
        one_moves(2);
    }
}

/// The address that the others have in their configuration is nobody's any more.
#[test]
fn the_machine_that_all_know_gets_another_address_and_is_found_again() {
    executable();
    if is_inside("the_machine_that_all_know_gets_another_address_and_is_found_again") {
        one_moves(0);
    }
}

/// One on each side publishes. Their packages.
fn both_sides_publish(machines: &mut [Machine], when: &str) -> [String; 2] {
    [(1, "left"), (2, "right")]
        .map(|(at, side)| register(&mut machines[at], &format!("{side}-{when}")))
}

#[test]
fn two_halves_go_on_without_each_other_and_become_one_again() {
    executable();
    if !is_inside("two_halves_go_on_without_each_other_and_become_one_again") {
        return;
    }
    let seconds = env::var("PEERAGE_CUT_SECS").map(|text| text.parse().expect("a number"));
    let seconds = Duration::from_secs(seconds.unwrap_or(CUT_SECS));
    switch("left");
    switch("right");
    join("trunk", ["left", "right"]);
    // Both of the right half know one of the left half.
    let mut machines = network(&["left", "left", "right", "right"]);

    let cut = Instant::now();
    ip("link set trunk down");
    let early = both_sides_publish(&mut machines, "early");
    // Nothing gets through.
    for (reader, package) in [(3, &early[0]), (0, &early[1])] {
        let (answer, taken) =
            answer(&mut machines[reader], json!({"op": "get", "package": package}));
        assert!(answer.get("error").is_some(), "the cable is pulled: {answer}");
        println!("{reader} does not get {package}: {} after {taken:?}", answer["error"]["kind"]);
    }
    thread::sleep(seconds.saturating_sub(cut.elapsed()));
    let late = both_sides_publish(&mut machines, "late");
    // Each half has what is its own.
    for (reader, package) in [(0, &late[0]), (3, &late[1])] {
        find(&mut machines[reader], package, Instant::now());
    }

    ip("link set trunk up");
    let healed = Instant::now();
    println!("the cable was pulled for {:?}", cut.elapsed());
    for (readers, other) in [([2, 3], 0), ([0, 1], 1)] {
        for reader in readers {
            for package in [&early[other], &late[other]] {
                let taken = find(&mut machines[reader], package, healed);
                println!("{reader} has {package} {taken:?} after the cable is back");
            }
        }
    }
    let after = both_sides_publish(&mut machines, "after");
    for (reader, package) in [(3, &after[0]), (0, &after[1])] {
        find(&mut machines[reader], package, healed);
    }
}
