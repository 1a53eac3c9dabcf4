//! Processes whose clocks are wrong, and what their users are told.

use super::*;

/// A node whose clock is wrong by this much.
fn start_wrong(offset: &str, arguments: &[&str]) -> Node {
    let mut command = command(ANY_PORT);
    command.args(arguments).env("NODE_CLOCK_OFFSET", offset);
    Node::of(&mut command)
}

/// Two nodes whose clocks are right, and one that has joined them and is wrong. They do not know each other by other
/// means, and have all met.
fn network_with(offset: &str) -> ([Node; 2], Node) {
    let mut first = Node::start(&[]);
    let (_, address) = started_and_listening(&mut first);
    let bootstrap = ["--bootstrap", address.as_str()];
    let mut second = Node::start(&bootstrap);
    started_and_listening(&mut second);
    second.ask(json!({"id": "s", "op": "bootstrap"}));
    let mut wrong = start_wrong(offset, &bootstrap);
    started_and_listening(&mut wrong);
    wrong.ask(json!({"id": "w", "op": "bootstrap"}));
    ([first, second], wrong)
}

fn is_about(seconds: &Value, expected: i64) -> bool {
    // Whole seconds on either side, and a machine that is busy.
    seconds.as_i64().is_some_and(|seconds| (seconds - expected).abs() <= 10)
}

fn manifest(name: &str) -> Value {
    json!({"name": name, "version": "1.0.0"})
}

#[test]
fn a_node_that_is_ten_minutes_ahead_learns_why_nobody_takes_what_it_publishes() {
    let ([mut right, _second], mut wrong) = network_with("10min");
    let told = wrong.await_event("clock_disagrees");
    assert!(is_about(&told["offset"]["seconds"], 600), "{told}");
    let receipt = wrong.ask(json!({"id": 1, "op": "register", "manifest": manifest("early")}));
    assert_eq!(receipt["replicas"], 0, "{receipt}");
    assert!(is_about(&receipt["clock"]["seconds"], 600), "{receipt}");
    let about = wrong.ask(json!({"id": 2, "op": "metadata"}));
    assert!(is_about(&about["clock"]["seconds"], 600), "{about}");
    // Of two clocks that differ one is wrong, and the others know which.
    let about = right.ask(json!({"id": 1, "op": "metadata"}));
    assert!(is_about(&about["clock"]["seconds"], 0), "{about}");
}

#[test]
fn a_node_that_is_ten_minutes_behind_learns_why_it_finds_nothing() {
    let ([mut right, _second], mut wrong) = network_with("-10min");
    let told = wrong.await_event("clock_disagrees");
    assert!(is_about(&told["offset"]["seconds"], -600), "{told}");
    let receipt = right.ask(json!({"id": 1, "op": "register", "manifest": manifest("late")}));
    let package = receipt["id"].as_str().unwrap().split('@').next().unwrap();
    let error = wrong.ask_in_vain(json!({"id": 1, "op": "get", "package": package}));
    assert_eq!(error["kind"], "not_found", "{error}");
    let text = error["message"].as_str().unwrap();
    assert!(text.contains("issued in the future: this node's clock is 10 min behind"), "{text}");
}

#[test]
fn a_node_that_is_days_or_a_year_off_is_told_so_in_words() {
    for (offset, text) in [("3days", "3 days ahead of"), ("-365days", "365 days behind")] {
        let mut right = Node::start(&[]);
        let (_, address) = started_and_listening(&mut right);
        let mut command = Command::new(executable());
        command.args(["--listen", ANY_PORT, "--bootstrap", &address]);
        command.env("NODE_CLOCK_OFFSET", offset).stdin(Stdio::piped()).stdout(Stdio::piped());
        let wrong = Node::of(&mut command);
        let expected = format!("* this peer's clock is {text}");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let line = wrong.lines.recv_timeout(PATIENCE).expect("a line in time");
            if line.starts_with(&expected) {
                break;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "it has not been told that {expected}");
    }
}
