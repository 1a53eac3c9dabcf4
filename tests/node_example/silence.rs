//! A process that stands still: its machine acknowledges whatever comes, and nobody reads it.

use super::{process::send, *};

/// By when whoever was connected with it knows, on an idle machine.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

/// What a loaded machine may add.
const SLACK: Duration = Duration::from_secs(15);

#[test]
fn a_frozen_process_is_given_up_within_half_a_minute_by_those_it_dialed_and_those_who_dialed_it() {
    let mut dialed = Node::start(&[]);
    let (dialed_id, address) = started_and_listening(&mut dialed);
    let mut frozen = Node::start(&["--bootstrap", &address]);
    let (frozen_id, address) = started_and_listening(&mut frozen);
    assert_eq!(frozen.await_event("connected")["peer"], json!(dialed_id));
    let mut dialing = Node::start(&["--bootstrap", &address]);
    started_and_listening(&mut dialing);
    let mut others = [dialed, dialing];
    let is_it =
        |line: &Value, event: &str| line["event"] == event && line["peer"] == json!(frozen_id);
    for node in &mut others {
        node.await_line("the connection", |line| is_it(line, "connected"));
    }

    send("STOP", &frozen.process);
    let begun = Instant::now();
    for node in &mut others {
        let end = node.await_line("its end", |line| is_it(line, "disconnected"));
        assert!(begun.elapsed() < KNOWN_WITHIN + SLACK, "after {:?}", begun.elapsed());
        let reason = end["reason"].as_str().unwrap();
        assert!(reason.contains("did not answer a ping"), "{reason}");
        let peers = node.ask(json!({"id": 1, "op": "peers"}));
        assert!(!peers.to_string().contains(&frozen_id), "it has no place any more: {peers}");
    }
    for node in others {
        assert!(node.end().success());
    }
}
