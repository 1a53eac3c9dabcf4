//! What the example does when it is told to end by a signal.

use std::{net::TcpListener, os::unix::process::ExitStatusExt, process::ChildStderr};

use super::{process::send, *};

/// A node says that it leaves, and ends by itself, well within this time: it waits 2 s for connections that do not
/// close, and 2 s for a reader that does not read.
const LEAVING: Duration = Duration::from_secs(20);

/// What a peer is told of a connection that was closed at the other end. That of a process which just ended is
/// reset.
const GOODBYE: &str = "it is going away";

const BOTH: [(&str, i32); 2] = [("TERM", 15), ("INT", 2)];

/// Waits for a process that has been told to end.
fn ended(process: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    while begun.elapsed() < LEAVING {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it has not ended after {LEAVING:?}");
}

/// Two nodes, each of which has heard of the other.
fn pair() -> (Node, String, Node, String) {
    let mut alice = Node::start(&[]);
    let (alice_id, address) = started_and_listening(&mut alice);
    let mut bob = Node::start(&["--bootstrap", &address]);
    let (bob_id, _) = started_and_listening(&mut bob);
    bob.await_event("connected");
    alice.await_event("connected");
    (alice, alice_id, bob, bob_id)
}

#[test]
fn an_idle_node_leaves_at_a_signal() {
    for (signal, _) in BOTH {
        let mut node = Node::start(&[]);
        started_and_listening(&mut node);
        send(signal, &node.process);
        assert_eq!(ended(&mut node.process).code(), Some(0), "{signal}");
    }
}

#[test]
fn a_node_that_is_just_starting_leaves_at_a_signal() {
    let mut node = Node::start(&[]);
    // The first line comes before it listens.
    assert_eq!(node.next_line()["event"], "started");
    send("TERM", &node.process);
    assert_eq!(ended(&mut node.process).code(), Some(0));
}

#[test]
fn a_peer_hears_the_goodbye() {
    for (signal, _) in BOTH {
        let (mut alice, alice_id, mut bob, _) = pair();
        send(signal, &alice.process);
        let goodbye = bob.await_event("disconnected");
        assert_eq!(goodbye["peer"], json!(alice_id));
        assert_eq!(goodbye["reason"], GOODBYE, "{signal}");
        assert_eq!(ended(&mut alice.process).code(), Some(0), "{signal}");
        assert!(bob.end().success());
    }
}

#[test]
fn a_call_that_is_under_way_is_answered_and_not_waited_for() {
    for (signal, _) in BOTH {
        let (mut alice, alice_id, mut bob, _) = pair();
        alice.ask(json!({"id": "b", "op": "bootstrap"}));
        // Nobody answers alice's question.
        send("STOP", &bob.process);
        alice.say(
            &json!({"id": 1, "op": "get", "package": "absent", "freshness": "all"}).to_string(),
        );
        alice.ask(json!({"id": 2, "op": "peers"}));
        send(signal, &alice.process);
        assert_eq!(alice.await_answer(&json!(1))["error"]["kind"], "shutting_down", "{signal}");
        assert_eq!(ended(&mut alice.process).code(), Some(0), "{signal}");
        // The goodbye has arrived for when the peer goes on.
        send("CONT", &bob.process);
        assert_eq!(bob.await_event("disconnected")["peer"], json!(alice_id));
        assert!(bob.end().success());
    }
}

/// A node whose output nobody reads, and which has more to write than the pipe holds.
fn unread() -> (Child, BufReader<ChildStderr>, ChildStdin) {
    let mut process = command(ANY_PORT).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let errors = BufReader::new(process.stderr.take().unwrap());
    // Each is answered with far more than 100 bytes, and a pipe holds 64 KiB.
    for id in 0..700 {
        writeln!(input, "{}", json!({"id": id, "op": "metadata"})).unwrap();
    }
    // It has answered them, but for 64 at the most, when it comes to this.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let nobody = peerage::PeerId::random();
    let address = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{nobody}");
    writeln!(input, "{}", json!({"id": "d", "op": "dial", "addresses": [address]})).unwrap();
    listener.accept().unwrap();
    (process, errors, input)
}

/// Waits until the process says that it has heard the first signal.
fn heard(errors: &mut impl BufRead, signal: &str) {
    let mut line = String::new();
    while !line.contains("leaving") {
        line.clear();
        assert_ne!(errors.read_line(&mut line).unwrap(), 0, "it ended without a word");
    }
    assert!(line.contains(signal), "{line}");
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody_from_leaving() {
    let (mut process, mut errors, _input) = unread();
    send("TERM", &process);
    heard(&mut errors, "TERM");
    assert_eq!(ended(&mut process).code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(BOTH[0], BOTH[0]), (BOTH[1], BOTH[1]), (BOTH[1], BOTH[0])] {
        let (mut process, mut errors, _input) = unread();
        send(first.0, &process);
        heard(&mut errors, first.0);
        let begun = Instant::now();
        // One that comes within a tenth of a second counts as the same.
        thread::sleep(Duration::from_millis(150));
        send(second.0, &process);
        assert_eq!(ended(&mut process).signal(), Some(second.1), "by {first:?} and {second:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_signal_that_comes_twice_at_one_time_is_one() {
    let (mut alice, _, mut bob, _) = pair();
    let process = alice.process.id().to_string();
    // As `timeout` does: to the process, and to its group.
    let both = Command::new("kill").args(["-TERM", &process, &process]).status();
    assert!(both.unwrap().success());
    assert_eq!(bob.await_event("disconnected")["reason"], GOODBYE);
    assert_eq!(ended(&mut alice.process).code(), Some(0));
    assert!(bob.end().success());
}
