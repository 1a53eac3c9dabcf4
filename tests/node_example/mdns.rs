//! Processes on one network that nobody has told of each other.

use serde_json::json;

use super::{
    namespace::{is_inside, loopback_up},
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
