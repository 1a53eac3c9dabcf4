//! Processes whose users confuse names.

use super::*;

#[test]
fn who_misspells_a_name_is_told_which_one_was_meant_and_who_takes_a_look_alike_is_warned() {
    let mut alice = Node::start(&[]);
    let (alice_id, address) = started_and_listening(&mut alice);
    let bootstrap = ["--bootstrap", address.as_str()];
    let (mut bob, mut carol) = (Node::start(&bootstrap), Node::start(&bootstrap));
    for node in [&mut bob, &mut carol] {
        started_and_listening(node);
        node.ask(json!({"id": "b", "op": "bootstrap"}));
    }
    let register = |id: u64, name: &str, confirm: u8| {
        let manifest = json!({"name": name, "version": "1.0.0"});
        json!({"id": id, "op": "register", "manifest": manifest, "confirm": confirm})
    };
    assert_eq!(alice.ask(register(1, "yt_dlp", 2))["look_alikes"], json!([]));
    bob.await_line("the package", |line| line["package"]["manifest"]["name"] == "yt_dlp");

    let meant = json!([{"name": "yt_dlp", "owners": [alice_id]}]);
    // A look-alike, and a slip of the finger.
    for (id, wanted) in [(1, "yt-dlp"), (2, "yt_dpl")] {
        let error = bob.ask_in_vain(json!({"id": id, "op": "get", "package": wanted}));
        assert_eq!((&error["kind"], &error["similar"]), (&json!("not_found"), &meant), "{wanted}");
        let message = format!("not found: `{wanted}`; did you mean `yt_dlp`?");
        assert_eq!(error["message"], json!(message));
    }
    assert_eq!(carol.ask(register(1, "yt-dlp", 0))["look_alikes"], meant);
    // Who has just come has heard of nothing yet.
    let mut dave = Node::start(&bootstrap);
    started_and_listening(&mut dave);
    dave.ask(json!({"id": "b", "op": "bootstrap"}));
    let told = dave.ask(register(1, "yt.dlp", 0))["look_alikes"].clone();
    let told: Vec<_> = told.as_array().into_iter().flatten().map(|alike| &alike["name"]).collect();
    assert!([json!("yt_dlp"), json!("yt-dlp")].iter().all(|name| told.contains(&name)), "{told:?}");
    let unstorable = carol.ask_in_vain(register(2, "com1", 0));
    assert_eq!((&unstorable["kind"], &unstorable["field"]), (&json!("invalid"), &json!("name")));
}
