//! Processes on one network that nobody has told of each other.

use std::process::{Command, Stdio};

use serde_json::json;

use super::{
    namespace::{ip, is_inside, loopback_up},
    process::{Node, executable, started_and_listening},
};

#[test]
fn two_processes_without_addresses_find_each_other() {
    // Outside, so that nothing is built in there.
    executable();
    if !is_inside("mdns::two_processes_without_addresses_find_each_other") {
        return;
    }
    loopback_up();
    let mut alice = Node::start(&["--mdns"]);
    let mut bob = Node::start(&["--mdns"]);
    let [a, b] = [&mut alice, &mut bob].map(|node| started_and_listening(node).0);
    assert_eq!(alice.await_event("connected")["peer"], json!(b));
    assert_eq!(bob.await_event("connected")["peer"], json!(a));
    let manifest = json!({"name": "tiny", "version": "1.0.0"});
    alice.ask(json!({"id": 1, "op": "register", "manifest": manifest}));
    let package = bob.ask(json!({"id": 1, "op": "get", "package": format!("{a}/tiny")}));
    assert_eq!(package["owner"], json!(a));
    assert!(alice.end().success() && bob.end().success());
}

/// Each in a namespace of its own, with a cable between them that is plugged in when both have started.
#[test]
fn two_machines_find_each_other_once_there_is_a_network_between_them() {
    executable();
    if !is_inside("mdns::two_machines_find_each_other_once_there_is_a_network_between_them") {
        return;
    }
    let start = |machine: &mut Command| {
        machine.args(["--json", "--mdns"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut node = Node::of(machine);
        let started = node.next_line();
        assert_eq!(started["event"], "started");
        (node, started["peer"].clone())
    };
    let (mut alice, a) = start(&mut Command::new(executable()));
    let (mut bob, b) = start(Command::new("unshare").arg("--net").arg(executable()));

    let far = bob.process.id();
    let there = |arguments: &str| {
        let command = format!("--net --target {far} ip {arguments}");
        let status = Command::new("nsenter").args(command.split(' ')).status();
        assert!(status.unwrap().success(), "{command}");
    };
    ip("link add lan type veth peer name far");
    ip(&format!("link set far netns {far}"));
    ip("address add 192.168.7.1/24 dev lan");
    there("address add 192.168.7.2/24 dev far");
    ip("link set lan up");
    there("link set far up");

    let seen = alice.await_event("connected");
    assert_eq!(seen["peer"], b);
    assert!(seen["address"].as_str().unwrap().starts_with("/ip4/192.168.7.2/"), "{seen}");
    assert_eq!(bob.await_event("connected")["peer"], a);
    assert!(alice.end().success() && bob.end().success());
}
