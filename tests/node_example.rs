//! The `node` example as somebody would run it: two processes that talk JSON over pipes and find each
//! other's packages over TCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test's helpers, too, a panic is how they say that something does not hold"
)]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};

#[path = "node_example/clocks.rs"]
mod clocks;
#[path = "dns/server.rs"]
#[allow(dead_code, reason = "nobody lies here")]
mod dns_server;
#[path = "node_example/look_alikes.rs"]
mod look_alikes;
#[cfg(target_os = "linux")]
#[path = "node_example/mdns.rs"]
mod mdns;
#[path = "node_example/names.rs"]
mod names;
#[cfg(target_os = "linux")]
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/process.rs"]
mod process;
#[path = "node_example/restarts.rs"]
mod restarts;
#[cfg(unix)]
#[path = "node_example/signals.rs"]
mod signals;
#[cfg(unix)]
#[path = "node_example/silence.rs"]
mod silence;
#[cfg(target_os = "linux")]
#[path = "node_example/small_disk.rs"]
mod small_disk;

use process::{ANY_PORT, Node, PATIENCE, command, executable, started_and_listening};

#[test]
fn two_processes_find_each_others_packages() {
    let mut alice = Node::start(&["--executor", "smol"]);
    let (alice_id, address) = started_and_listening(&mut alice);
    assert!(address.ends_with(&format!("/p2p/{alice_id}")), "{address}");
    let mut bob = Node::start(&["--executor", "futures", "--bootstrap", &address]);
    let (bob_id, _) = started_and_listening(&mut bob);
    assert_eq!(bob.await_event("connected")["peer"], json!(alice_id));
    assert_eq!(alice.await_event("connected")["peer"], json!(bob_id));
    bob.ask(json!({"id": "b", "op": "bootstrap"}));

    let manifest = json!({"name": "tiny", "version": "1.0.0", "description": "a tiny package"});
    let register = json!({"id": 1, "op": "register", "manifest": manifest, "confirm": 1});
    let receipt = alice.ask(register);
    assert_eq!(receipt["id"], json!(format!("{alice_id}/tiny@1.0.0")));
    assert_eq!((&receipt["confirmed"], &receipt["confirmation"]), (&json!(1), &json!(1)));
    let reputation = alice.ask(json!({"id": 9, "op": "reputation", "peer": bob_id}));
    assert!(
        reputation["score"].as_u64() > Some(50),
        "it has served what it was given: {reputation}"
    );
    assert!(reputation["success"].as_f64() > Some(0.5), "{reputation}");

    let package = bob.ask(json!({"id": 1, "op": "get", "package": "tiny"}));
    assert_eq!(package["owner"], json!(alice_id));
    assert_eq!(package["manifest"]["description"], "a tiny package");
    let owned = format!("{alice_id}/tiny");
    let package = bob.ask(json!({"id": 2, "op": "get", "package": owned, "version": "1.0.0"}));
    assert_eq!(package["yanked"], false);
    for (id, wanted) in [(10, "tiny@^1"), (11, "tiny@latest"), (12, "tiny@1.0.0")] {
        let package = bob.ask(json!({"id": id, "op": "get", "package": wanted}));
        assert_eq!(package["manifest"]["version"], "1.0.0", "{wanted}");
    }
    let error = bob.ask_in_vain(json!({"id": 13, "op": "get", "package": "tiny@^1.2"}));
    assert_eq!(
        (&error["kind"], &error["versions"][0]["version"], &error["total"]),
        (&json!("no_match"), &json!("1.0.0"), &json!(1))
    );
    let message = "`tiny@^1.2` matches none of 1 releases: 1.0.0";
    assert_eq!(error["message"], json!(message));
    let versions = bob.ask(json!({"id": 3, "op": "versions", "package": owned}));
    assert_eq!(versions["releases"][0]["version"], "1.0.0");
    let discovered = bob.await_event("discovered");
    assert_eq!(discovered["package"]["manifest"]["name"], "tiny");
    let found = bob.ask(json!({"id": 4, "op": "search", "text": "tiny"}));
    assert_eq!(found["packages"][0]["owner"], json!(alice_id));

    assert_eq!(
        bob.ask_in_vain(json!({"id": 5, "op": "get", "package": "huge"}))["kind"],
        "not_found"
    );
    let foreign = bob.ask_in_vain(json!({"id": 6, "op": "unregister", "package": owned}));
    assert_eq!((&foreign["kind"], &foreign["field"]), (&json!("invalid"), &json!("package")));

    alice.ask(json!({"id": 2, "op": "unregister", "package": "tiny"}));
    assert_eq!(bob.await_event("withdrawn")["id"], json!(owned));
    assert_eq!(
        bob.ask_in_vain(json!({"id": 7, "op": "get", "package": owned}))["kind"],
        "withdrawn"
    );

    assert_eq!(bob.ask(json!({"id": 8, "op": "shutdown"})), json!({}));
    assert!(bob.end().success());
    assert_eq!(alice.await_event("disconnected")["peer"], json!(bob_id));
    assert!(alice.end().success(), "the end of its input ends a node as well");
}

#[test]
fn what_one_process_takes_back_another_reads_so() {
    let mut alice = Node::start(&["--executor", "smol"]);
    let (alice_id, address) = started_and_listening(&mut alice);
    let mut bob = Node::start(&["--executor", "smol", "--bootstrap", &address]);
    started_and_listening(&mut bob);
    bob.ask(json!({"id": "b", "op": "bootstrap"}));
    for version in ["1.0.0", "1.1.0"] {
        publish(&mut alice, version, 1);
    }
    bob.await_line("the package", |line| line["package"]["manifest"]["version"] == "1.1.0");

    let release = format!("{alice_id}/tool@1.1.0");
    alice.ask(json!({"id": 1, "op": "yank", "package": "tool@1.1.0", "reason": "leaks memory"}));
    let event = bob.await_event("yanked");
    assert_eq!((&event["id"], &event["reason"]), (&json!(release), &json!("leaks memory")));
    let get = |id: u64, package: &str| json!({"id": id, "op": "get", "package": package});
    let package = bob.ask(get(1, "tool@1.1.0"));
    assert_eq!(
        (&package["yanked"], &package["yank_reason"]),
        (&json!(true), &json!("leaks memory"))
    );
    assert_eq!(bob.ask(get(2, "tool@^1"))["manifest"]["version"], "1.0.0");
    let error = bob.ask_in_vain(get(3, "tool@^1.1"));
    assert_eq!(error["versions"][0]["yank_reason"], "leaks memory");
    alice.ask(json!({"id": 2, "op": "unyank", "package": "tool", "version": "1.1.0"}));
    assert_eq!(bob.await_event("unyanked")["id"], json!(release));
    assert_eq!(bob.ask(get(4, "tool@^1"))["manifest"]["version"], "1.1.0");

    let successor = format!("{alice_id}/next");
    let text = "renamed";
    let deprecate = json!({"id": 3, "op": "deprecate", "package": "tool", "text": text, "successor": successor});
    alice.ask(deprecate);
    let said = json!({"text": text, "successor": successor});
    assert_eq!(bob.await_event("deprecated")["deprecation"], said);
    assert_eq!(bob.ask(get(5, "tool"))["deprecated"], said);
    let found = bob.ask(json!({"id": 6, "op": "search", "text": "tool"}));
    assert_eq!(found["packages"][0]["deprecated"], said);
    alice.ask(json!({"id": 4, "op": "undeprecate", "package": "tool"}));
    bob.await_event("undeprecated");
    assert_eq!(bob.ask(get(7, "tool"))["deprecated"], Value::Null);
    let foreign = json!({"id": 8, "op": "unyank", "package": release});
    assert_eq!(bob.ask_in_vain(foreign)["field"], "package");
}

/// The four have each other, and would have no need of it.
#[test]
fn a_bootstrap_node_that_is_killed_and_starts_anew_is_in_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("bootstrap.key");
    let identity = ["--key", key.to_str().unwrap(), "--memory"];
    let mut bootstrap = Node::start(&identity);
    let (id, address) = started_and_listening(&mut bootstrap);
    let (place, _) = address.split_once("/p2p/").unwrap();
    let mut owners = Vec::new();
    for number in 0..4 {
        let arguments = ["--bootstrap", &address, "--rejoin-interval", "2s"];
        let mut node = Node::start(&arguments);
        let owner = started_and_listening(&mut node).0;
        node.ask(json!({"id": 1, "op": "bootstrap"}));
        let manifest = json!({"name": format!("of-{number}"), "version": "1.0.0"});
        node.ask(json!({"id": 2, "op": "register", "manifest": manifest}));
        owners.push((node, owner));
    }
    let is_it = |line: &Value, event: &str| line["event"] == event && line["peer"] == json!(id);
    for (node, _) in &mut owners {
        node.await_line("the bootstrap node", |line| is_it(line, "connected"));
    }
    bootstrap.process.kill().unwrap();
    drop(bootstrap);
    for (node, _) in &mut owners {
        node.await_line("its end", |line| is_it(line, "disconnected"));
        node.await_event("bootstrap_unreachable");
    }

    let mut bootstrap = Node::start_at(place, &identity);
    assert_eq!(started_and_listening(&mut bootstrap), (id.clone(), address.clone()));
    for (node, _) in &mut owners {
        node.await_line("the bootstrap node again", |line| is_it(line, "connected"));
    }
    let mut newcomer = Node::start(&["--bootstrap", &address]);
    started_and_listening(&mut newcomer);
    newcomer.ask(json!({"id": 0, "op": "bootstrap"}));
    for (number, (_, owner)) in owners.iter().enumerate() {
        let package = format!("{owner}/of-{number}");
        let found = newcomer.ask(json!({"id": number + 1, "op": "get", "package": package}));
        assert_eq!(found["owner"], json!(owner));
    }
}

/// A network of two, and a key file with which others join it.
fn two_and_a_key() -> ([Node; 2], String, tempfile::TempDir, String) {
    let mut first = Node::start(&[]);
    let (_, address) = started_and_listening(&mut first);
    let mut second = Node::start(&["--bootstrap", &address]);
    started_and_listening(&mut second);
    second.ask(json!({"id": "b", "op": "bootstrap"}));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("owner.key").to_str().unwrap().to_owned();
    ([first, second], address, folder, key)
}

fn publish(node: &mut Node, version: &str, confirm: u64) -> Value {
    let manifest = json!({"name": "tool", "version": version});
    node.ask(json!({"id": version, "op": "register", "manifest": manifest, "confirm": confirm}))
}

/// All of these can be resolved by a newcomer, and nobody has been told of two histories.
fn resolve(mut peers: Vec<Node>, address: &str, owner: &str, versions: &[&str]) {
    let mut reader = Node::start(&["--bootstrap", address]);
    started_and_listening(&mut reader);
    reader.ask(json!({"id": "b", "op": "bootstrap"}));
    let package = format!("{owner}/tool");
    let listed = reader.ask(json!({"id": "v", "op": "versions", "package": package}));
    let listed = listed["releases"].as_array().unwrap();
    let listed: Vec<&str> = listed.iter().map(|info| info["version"].as_str().unwrap()).collect();
    assert_eq!(listed, versions);
    for version in versions {
        let get = json!({"id": version, "op": "get", "package": package, "version": version});
        assert_eq!(reader.ask(get)["manifest"]["version"], json!(version));
    }
    peers.push(reader);
    for node in &mut peers {
        // Whatever it has to tell comes before the answer.
        node.ask(json!({"id": "m", "op": "metadata"}));
        let accuses = |line: &Value| line["event"] == "equivocation";
        assert!(!node.unread.iter().any(accuses), "{:#?}", node.unread);
    }
}

#[test]
fn an_owner_s_process_that_publishes_alone_and_joins_again_keeps_both_releases() {
    let (peers, address, _folder, key) = two_and_a_key();
    // It remembers neither what it has published nor whom it has met.
    let identity = ["--key", &key, "--memory"];
    let mut owner = Node::start(&[&identity[..], &["--bootstrap", &address]].concat());
    let (id, _) = started_and_listening(&mut owner);
    owner.ask(json!({"id": "b", "op": "bootstrap"}));
    let receipt = publish(&mut owner, "1.0.0", 2);
    assert_eq!(receipt["confirmed"], json!(2));
    assert!(owner.end().success());
    // Whoever publishes twice within a second, and does not know of it, does contradict itself.
    let unix = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    while unix() <= receipt["sequence"].as_u64().unwrap() {
        thread::sleep(Duration::from_millis(20));
    }

    let mut owner = Node::start(&identity);
    assert_eq!(started_and_listening(&mut owner).0, id);
    assert_eq!(publish(&mut owner, "1.1.0", 0)["replicas"], json!(0));
    owner.ask(json!({"id": "d", "op": "dial", "addresses": [address]}));
    owner.await_event("replicated");
    let mut peers = Vec::from(peers);
    peers.push(owner);
    resolve(peers, &address, &id, &["1.1.0", "1.0.0"]);
}

#[test]
fn processes_on_two_machines_with_one_key_lose_no_release() {
    let (peers, address, folder, key) = two_and_a_key();
    let mut devices = ["one", "other"].map(|machine| {
        let data = folder.path().join(machine);
        let data = ["--data", data.to_str().unwrap()];
        let arguments = ["--key", &key, "--bootstrap", &address];
        let mut device = Node::start(&[&arguments[..], &data].concat());
        let (id, _) = started_and_listening(&mut device);
        device.ask(json!({"id": "b", "op": "bootstrap"}));
        (device, id)
    });
    for (device, version) in [(0, "1.0.0"), (1, "1.0.1"), (0, "1.1.0")] {
        let receipt = publish(&mut devices[device].0, version, 2);
        assert_eq!(receipt["confirmed"], json!(2), "{receipt}");
    }
    let [(first, id), (second, other_id)] = devices;
    assert_eq!(id, other_id);
    let mut peers = Vec::from(peers);
    peers.extend([first, second]);
    resolve(peers, &address, &id, &["1.1.0", "1.0.1", "1.0.0"]);
}

#[test]
fn a_node_of_another_network_is_named_and_let_go() {
    let mut other = Node::start(&["--network", "other"]);
    let (id, address) = started_and_listening(&mut other);
    let mut node = Node::start(&["--bootstrap", &address]);
    started_and_listening(&mut node);
    let report = node.await_event("bootstrap_unreachable");
    assert_eq!(report["address"], json!(address));
    assert_eq!(report["reason"], "a peer of the network `other`");
    let gone = node.await_event("disconnected");
    assert_eq!((&gone["peer"], &gone["reason"]), (&json!(id), &report["reason"]));

    let error = node.ask_in_vain(json!({"id": 1, "op": "dial", "addresses": [address]}));
    assert_eq!(error["kind"], "other_network");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with(": a peer of the network `other`, not of `main`"), "{message}");
    assert!(message.starts_with("/ip4/127.0.0.1/tcp/"), "{message}");
    assert!(node.end().success());
    assert!(other.end().success());
}

#[test]
fn lines_that_are_no_requests_are_answered_and_the_node_goes_on() {
    let mut node = Node::start(&["--executor", "tokio"]);
    let (id, _) = started_and_listening(&mut node);
    let long = format!(r#"{{"id":1,"op":"{}"}}"#, "x".repeat(100_000));
    for line in ["nonsense", "[]", r#"{"id":"#, &long] {
        node.say(line);
        let answer = node.await_answer(&Value::Null);
        assert_eq!(answer["error"]["kind"], "invalid", "{answer}");
        assert_eq!(answer["error"]["field"], "line", "{answer}");
    }
    let manifest = json!({"name": "Tiny", "version": "1.0.0"});
    for (request, field) in [
        (json!({"id": 1, "op": "conquer"}), "op"),
        (json!({"id": 2, "op": "get"}), "package"),
        (json!({"id": 3, "op": "get", "package": "tiny", "version": "one"}), "version"),
        (json!({"id": 4, "op": "register", "manifest": manifest}), "manifest.name"),
        (json!({"id": 5, "op": "search", "limit": 0}), "limit"),
        (json!({"id": 6, "op": "search", "offset": 20}), "offset"),
    ] {
        let error = node.ask_in_vain(request);
        assert_eq!((&error["kind"], &error["field"]), (&json!("invalid"), &json!(field)));
    }
    let about = node.ask(json!({"id": 7, "op": "metadata"}));
    assert_eq!((&about["peer_id"], &about["owner"]), (&json!(id), &json!(id)));
    assert_eq!(about["counters"]["calls"]["search"]["refused"], json!(2), "{about}");
    assert!(node.end().success());
}

#[test]
fn requests_that_were_made_before_the_input_ended_are_answered() {
    let mut node = Node::start(&["--executor", "smol"]);
    started_and_listening(&mut node);
    // More than the node takes at once, and than it keeps for a reader that is slow.
    let mut input = node.input.take().unwrap();
    let writer = thread::spawn(move || {
        for id in 0..3000 {
            writeln!(input, "{}", json!({"id": id, "op": "peers"})).unwrap();
        }
    });
    let mut waiting: BTreeSet<u64> = (0..3000).collect();
    while !waiting.is_empty() {
        let answer = node.await_line("an answer", |line| line.get("ok").is_some());
        assert_eq!(answer["ok"], json!({"peers": []}));
        assert!(waiting.remove(&answer["id"].as_u64().unwrap()), "{answer} came twice");
    }
    writer.join().unwrap();
    assert!(node.end().success());
}

#[test]
fn a_reader_that_leaves_ends_the_node_without_a_panic() {
    let mut process = command(ANY_PORT).stderr(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    let mut input = process.stdin.take().unwrap();
    // Whoever writes to nobody is told so, sooner or later: a child that another test is just starting may hold
    // a copy of this pipe for a moment. The node is asked until it has left.
    while writeln!(input, r#"{{"id":1,"op":"metadata"}}"#).is_ok() {}
    let output = process.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn an_identity_is_kept_in_its_key_file_and_a_file_without_a_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("peer.key");
    let arguments = ["--key", key.to_str().unwrap()];
    let mut identities = Vec::new();
    for _ in 0..2 {
        let mut node = Node::start(&arguments);
        identities.push(started_and_listening(&mut node).0);
        assert!(node.end().success());
    }
    assert_eq!(identities[0], identities[1]);
    let refused = |reason: &str| {
        let output = Command::new(executable()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("peer.key") && !errors.contains("panicked"), "{errors}");
        assert!(errors.contains(reason), "{errors}");
    };
    #[cfg(unix)]
    {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt};
        std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
        refused("others can read");
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(&key, "no key").unwrap();
    refused("not a key file");
}

#[test]
fn options_that_cannot_be_used_are_explained() {
    for arguments in [&["--listen", "localhost"][..], &["--executor", "magic"], &["--frobnicate"]] {
        let output = Command::new(executable()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--help"), "{arguments:?}");
    }
}
