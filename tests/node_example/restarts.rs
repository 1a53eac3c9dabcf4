//! What outlives the process, and what its user is told of it.

use std::fs;

use super::*;

/// A folder with a key file that is yet to be created.
fn key() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("alice.key").to_str().unwrap().to_owned();
    (folder, key)
}

/// A node that has just started, and what it says of its data.
fn start(address: &str, arguments: &[&str]) -> (Node, Value) {
    let mut node = Node::start_at(address, arguments);
    let started = node.next_line();
    assert_eq!(started["event"], "started");
    node.await_event("listening");
    (node, started)
}

/// As `kill -9` does it.
fn kill(mut node: Node) {
    node.process.kill().unwrap();
    node.process.wait().unwrap();
}

/// What a node says that does not start.
fn refused(arguments: &[&str]) -> String {
    let output = command(ANY_PORT).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

fn register(node: &mut Node, name: &str, version: &str) -> Value {
    let manifest = json!({"name": name, "version": version});
    node.ask(json!({"id": format!("{name}@{version}"), "op": "register", "manifest": manifest}))
}

fn get(node: &mut Node, package: &str) -> Value {
    node.ask(json!({"id": package, "op": "get", "package": package}))
}

#[test]
fn a_node_that_is_killed_serves_what_it_has_acknowledged() {
    let (folder, key) = key();
    let (mut alice, started) = start(ANY_PORT, &["--key", &key]);
    let data = &started["data"];
    assert_eq!(data["path"], json!(folder.path().join("alice.peerage")));
    assert_eq!((&data["own"], &data["held"], &data["listed"]), (&json!(0), &json!(0), &json!(0)));
    register(&mut alice, "tool", "1.0.0");
    alice.ask(json!({"id": 1, "op": "yank", "package": "tool@1.0.0"}));
    register(&mut alice, "tool", "1.1.0");
    kill(alice);

    let (mut alice, started) = start(ANY_PORT, &["--key", &key]);
    let id = started["peer"].as_str().unwrap().to_owned();
    assert!(started["data"]["own"].as_u64() >= Some(3), "{started}");
    // Nobody else is there.
    assert_eq!(get(&mut alice, "tool")["manifest"]["version"], "1.1.0");
    let address = alice.ask(json!({"id": 2, "op": "metadata"}))["addresses"][0].clone();
    let mut bob = Node::start(&["--bootstrap", address.as_str().unwrap()]);
    started_and_listening(&mut bob);
    bob.ask(json!({"id": 1, "op": "bootstrap"}));
    let tool = format!("{id}/tool");
    assert_eq!(get(&mut bob, &tool)["manifest"]["version"], "1.1.0");
    let versions = bob.ask(json!({"id": 3, "op": "versions", "package": tool}));
    assert_eq!(versions["releases"][1]["yanked"], true, "{versions}");
}

#[test]
fn without_a_key_or_with_memory_alone_nothing_is_kept() {
    let (folder, key) = key();
    for arguments in [&[][..], &["--key", &key, "--memory"]] {
        let (mut node, started) = start(ANY_PORT, arguments);
        assert_eq!(started["data"], Value::Null);
        register(&mut node, "tool", "1.0.0");
        kill(node);
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the key alone: {left:?}");
    let output = command(ANY_PORT).args(["--data", &key]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`--key FILE`"));
}

#[test]
fn the_second_node_with_a_key_is_told_that_its_data_is_in_use() {
    let (folder, key) = key();
    let (first, _) = start(ANY_PORT, &["--key", &key]);
    let errors = refused(&["--key", &key]);
    assert!(errors.contains("in use by another process"), "{errors}");
    assert!(errors.contains("`--data DIR`") && errors.contains("`--memory`"), "{errors}");
    let other = folder.path().join("other");
    let (second, _) = start(ANY_PORT, &["--key", &key, "--data", other.to_str().unwrap()]);
    assert!(second.end().success());
    assert!(first.end().success());
    let (again, _) = start(ANY_PORT, &["--key", &key]);
    assert!(again.end().success());
}

#[test]
fn data_of_another_key_or_network_is_left_alone_and_damaged_data_is_set_aside() {
    let (folder, key) = key();
    let data = folder.path().join("alice.peerage");
    let (mut node, _) = start(ANY_PORT, &["--key", &key]);
    register(&mut node, "tool", "1.0.0");
    assert!(node.end().success());
    let (bob, data_of_alice) = (folder.path().join("bob.key"), data.to_str().unwrap());
    let errors = refused(&["--key", bob.to_str().unwrap(), "--data", data_of_alice]);
    assert!(errors.contains("belongs to owner") && errors.contains("`--data DIR`"), "{errors}");
    let errors = refused(&["--key", &key, "--network", "other"]);
    assert!(errors.contains("belongs to network `main`"), "{errors}");
    let (mut node, _) = start(ANY_PORT, &["--key", &key]);
    get(&mut node, "tool");
    assert!(node.end().success());

    fs::write(data.join("node.redb"), "something else").unwrap();
    let (node, started) = start(ANY_PORT, &["--key", &key]);
    let aside = started["data"]["set_aside"].as_str().unwrap();
    assert_eq!(fs::read(aside).unwrap(), b"something else");
    assert_eq!(started["data"]["own"], 0);
    assert!(node.end().success());
}

#[test]
fn a_snapshot_takes_a_node_s_packages_into_other_data() {
    let (folder, key) = key();
    let (mut node, _) = start(ANY_PORT, &["--key", &key]);
    register(&mut node, "one", "1.0.0");
    register(&mut node, "two", "1.0.0");
    let file = folder.path().join("alice.snapshot");
    let name = file.to_str().unwrap();
    let exported = node.ask(json!({"id": 1, "op": "export", "file": name}));
    assert_eq!(exported, json!({"file": name, "bytes": fs::metadata(&file).unwrap().len()}));
    let nowhere = folder.path().join("nowhere/file");
    let error = node.ask_in_vain(json!({"id": 2, "op": "export", "file": nowhere}));
    assert_eq!((&error["kind"], &error["field"]), (&json!("invalid"), &json!("file")), "{error}");
    assert!(node.end().success());

    let fresh = folder.path().join("fresh");
    let with_fresh = ["--key", &key, "--data", fresh.to_str().unwrap()];
    let (mut node, started) = start(ANY_PORT, &[&with_fresh[..], &["--import", name]].concat());
    assert_eq!(started["data"]["own"], 0, "it is told of what was kept: {started}");
    get(&mut node, "one");
    assert!(node.end().success());
    // It has taken in what was imported. Until it has signed these anew, they are as records of others.
    let (mut node, started) = start(ANY_PORT, &with_fresh);
    let records = ["own", "held"].map(|what| started["data"][what].as_u64().unwrap());
    assert!(records.iter().sum::<u64>() >= 4, "{started}");
    get(&mut node, "two");
    assert!(node.end().success());

    fs::write(&file, "something else").unwrap();
    let errors = refused(&["--key", &key, "--import", name]);
    assert!(errors.contains("cannot import") && errors.contains("alice.snapshot"), "{errors}");
}

/// Each of these nodes with its identity, its key file and its address.
struct Member {
    node: Node,
    id: String,
    key: String,
    place: String,
}

/// A network of so many nodes. Each has two packages.
fn network(folder: &Path, size: usize) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for number in 0..size {
        let key = folder.join(format!("{number}.key")).to_str().unwrap().to_owned();
        let bootstrap = members.first().map(|first| format!("{}/p2p/{}", first.place, first.id));
        let bootstrap: Vec<&str> =
            bootstrap.iter().flat_map(|address| ["--bootstrap", address.as_str()]).collect();
        let mut node = Node::start(&[&["--key", &key], &bootstrap[..]].concat());
        let (id, address) = started_and_listening(&mut node);
        let (place, _) = address.split_once("/p2p/").unwrap();
        if number > 0 {
            node.ask(json!({"id": "b", "op": "bootstrap"}));
        }
        for package in ["one", "two"] {
            register(&mut node, &format!("{package}-of-{number}"), "1.0.0");
        }
        members.push(Member { node, id, key, place: place.to_owned() });
    }
    members
}

/// Waits until each of them has this many others in its routing table.
fn meet(members: &mut [Member], others: usize) {
    let begun = Instant::now();
    for Member { node, .. } in members {
        while node.ask(json!({"id": "m", "op": "metadata"}))["routing_table"] != json!(others) {
            assert!(begun.elapsed() < PATIENCE, "they have not met");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_network_that_was_killed_finds_itself_again_without_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut members = network(folder.path(), 8);
    meet(&mut members, 7);
    // What nobody waits for is written a second later, and they have looked at whom they know within a second.
    thread::sleep(Duration::from_secs(3));
    let members = members.into_iter().map(|Member { node, id, key, place }| {
        kill(node);
        (id, key, place)
    });
    let members: Vec<_> = members.collect();

    let members = members.into_iter().map(|(id, key, place)| {
        let (node, started) = start(&place, &["--key", &key]);
        assert!(started["data"]["own"].as_u64() >= Some(4), "{started}");
        Member { node, id, key, place }
    });
    let mut members: Vec<Member> = members.collect();
    meet(&mut members, 7);
    // What is new can only come from the network.
    for (number, Member { node, .. }) in members.iter_mut().enumerate() {
        register(node, &format!("two-of-{number}"), "2.0.0");
    }
    let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
    for Member { node, .. } in &mut members {
        for (number, id) in ids.iter().enumerate() {
            get(node, &format!("{id}/one-of-{number}@1.0.0"));
            get(node, &format!("{id}/two-of-{number}@2.0.0"));
        }
    }
}
