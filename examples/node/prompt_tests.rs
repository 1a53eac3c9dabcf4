use peerage::{Error, PackageId};

use super::*;

const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

fn request(text: &str) -> Request {
    match parse(Line::Text(text.to_owned())) {
        Some(Input::Asked { request, .. }) => request,
        other => panic!("{text}: {other:?}"),
    }
}

fn refusal(text: &str) -> String {
    match parse(Line::Text(text.to_owned())) {
        Some(Input::Refused { error, .. }) => error.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

/// Of a package that reads so, with what is required of it.
fn get(text: &str, freshness: Freshness) -> Request {
    let (package, requirement) = PackageId::split_requirement(text).unwrap();
    Request::Get { package, requirement, freshness }
}

fn package(text: &str) -> PackageId {
    text.parse().unwrap()
}

#[test]
fn commands_read_as_the_help_says() {
    assert_eq!(request("get tiny"), get("tiny", Freshness::First));
    let owned = format!("{PEER}/tiny@1.0.0");
    assert_eq!(request(&format!("  get  {owned} ")), get(&owned, Freshness::First));
    assert_eq!(request("get tiny all"), get("tiny", Freshness::All));
    assert_eq!(request("get tiny 3"), get("tiny", Freshness::Quorum(3)));
    assert!(refusal("get tiny most").contains("freshness"));
    for (typed, wanted) in [
        ("get tiny@^1.2", "^1.2"),
        ("get tiny@latest", "*"),
        ("get tiny@>=1, <3", ">=1, <3"),
        ("get tiny@>=1 <3", ">=1, <3"),
        ("get tiny@>= 1 , < 3", ">=1, <3"),
        ("get tiny@1.2 - 2.3", ">=1.2, <=2.3"),
    ] {
        let wanted = format!("tiny@{wanted}");
        assert_eq!(request(typed), get(&wanted, Freshness::First), "{typed}");
        let typed = format!("{typed} 3");
        assert_eq!(request(&typed), get(&wanted, Freshness::Quorum(3)), "{typed}");
    }
    assert!(refusal("get tiny@one").contains("requirement"));
    assert!(refusal("get tiny@^1 all all").contains("get [OWNER/]NAME"));
    assert_eq!(
        request("search http #async server"),
        Request::Search(Query::new().with_text("http server").with_keyword("async"))
    );
    assert_eq!(request("search"), Request::Search(Query::new()));
    assert_eq!(
        request(&format!(
            "search a b:c owner:{PEER} license:MIT version:^1 match:any sort:name limit:5"
        )),
        Request::Search(
            Query::new()
                .with_text("a b:c")
                .with_owner(PEER.parse().unwrap())
                .with_license("MIT")
                .with_version("^1".parse().unwrap())
                .with_matching(Match::Any)
                .with_sort(Sort::Name)
                .with_limit(5)
        )
    );
    assert!(refusal("search owner:me").contains("owner"));
    assert!(refusal("search sort:size").contains("sort"));
    let yank = |named: &str, reason: &str| {
        let (version, reason) = ("1.0.0".parse().unwrap(), reason.to_owned());
        Request::Yank { package: package(named), version, reason }
    };
    assert_eq!(request("yank tiny 1.0.0"), yank("tiny", ""));
    assert_eq!(request("yank tiny@1.0.0"), yank("tiny@1.0.0", ""));
    assert_eq!(request("yank tiny 1.0.0 --reason it leaks"), yank("tiny", "it leaks"));
    assert!(matches!(request("unyank tiny 1.0.0"), Request::Unyank { .. }));
    assert!(matches!(request("deprecate tiny use the other"), Request::Deprecate { .. }));
    assert!(matches!(request("undeprecate tiny"), Request::Undeprecate(_)));
    assert!(matches!(request(&format!("pin tiny {PEER}")), Request::Pin { .. }));
    assert!(matches!(
        request(&format!("dial /ip4/127.0.0.1/tcp/1/p2p/{PEER}")),
        Request::Dial { .. }
    ));
    assert_eq!(
        request("announce news it is out"),
        Request::Announce { topic: "news".to_owned(), text: "it is out".to_owned() }
    );
    assert_eq!(request("metadata"), Request::Metadata);
    assert_eq!(request("info"), Request::Metadata);
    assert_eq!(request("quit"), Request::Shutdown);
    assert_eq!(parse(Line::Text("help".to_owned())), Some(Input::Help));
    assert_eq!(parse(Line::Text(String::new())), None);
}

#[test]
fn a_manifest_is_read_from_a_file_whose_name_may_hold_spaces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my manifest.json");
    std::fs::write(&file, r#"{"name":"tiny","version":"1.2.0"}"#).unwrap();
    let expected = Manifest::new("tiny".parse().unwrap(), "1.2.0".parse().unwrap());
    let expected = |confirm| Request::Register { manifest: Box::new(expected.clone()), confirm };
    assert_eq!(request(&format!("register {}", file.display())), expected(0));
    assert_eq!(request(&format!("register {} confirm 3", file.display())), expected(3));
    std::fs::write(&file, r#"{"name":"tiny","version":"1.2.0","licence":"MIT"}"#).unwrap();
    assert!(refusal(&format!("register {}", file.display())).contains("manifest.licence"));
    std::fs::write(&file, "no JSON").unwrap();
    assert!(refusal(&format!("register {}", file.display())).contains("my manifest.json"));
    assert!(refusal("register missing.json").contains("missing.json"));
}

#[test]
fn a_command_that_cannot_be_used_says_how_it_could() {
    assert!(refusal("conquer").contains("`help` lists"));
    assert!(refusal("get").contains("get [OWNER/]NAME"));
    assert!(refusal("yank").contains("yank NAME VERSION"));
    assert!(refusal("yank tiny 1.0.0 2.0.0").contains("more than one"));
    assert!(refusal("deprecate tiny").contains("deprecate NAME"));
    assert!(refusal("unpin").contains("unpin NAME"));
    assert!(refusal("yank tiny").contains("version"));
    assert!(refusal("get Tiny").contains("package"));
    assert!(refusal("dial /ip4/127.0.0.1/tcp/1").contains("/p2p/"));
}

#[test]
fn an_error_says_what_it_is_about() {
    let id = Value::String("get tiny".to_owned());
    let text = answer(&id, &Err(Error::NoPeers));
    assert!(text.starts_with("get tiny: no peers"), "{text}");
    assert!(text.ends_with('\n'));
    let similar = serde_json::json!({"name": "yt_dlp", "owners": [PEER]});
    let similar = vec![serde_json::from_value(similar).unwrap()];
    let what = "`yt-dlp`".to_owned();
    let text = answer(&id, &Err(Error::not_found(what).with_similar(similar)));
    assert!(text.contains("not found: `yt-dlp`; did you mean `yt_dlp`?"), "{text}");
}

#[test]
fn a_receipt_says_what_went_wrong_and_only_that() {
    let receipt = |refusals: Value, clock: Value| {
        let receipt = serde_json::json!({
            "id": format!("{PEER}/tiny@1.0.0"),
            "sequence": 7,
            "replicas": 0,
            "confirmed": 0,
            "confirmation": 0,
            "announcement": "sent",
            "refusals": refusals,
            "clock": clock,
        });
        told(receipt)
    };
    let text = receipt(
        serde_json::json!([{"reason": "future", "peers": 5}, {"reason": "unknown", "peers": 1}]),
        serde_json::json!({"seconds": 600, "peers": 6}),
    );
    assert!(
        text.contains("\n    not stored by 5: issued in the future by their clocks\n"),
        "{text}"
    );
    assert!(text.contains("\n    not stored by 1: they have not said why\n"), "{text}");
    assert!(
        text.contains("\n    this peer's clock is 10 min ahead of 6 peers: set it right\n"),
        "{text}"
    );
    assert!(text.contains("nobody else is known to hold it: this peer tries again by itself"));
    let text = receipt(
        serde_json::json!([{"reason": "rate", "peers": 1}, {"reason": "full", "peers": 2}]),
        Value::Null,
    );
    assert!(text.contains("not stored by 2: their stores are full\n"), "{text}");
    assert!(text.contains("not stored by 1: too much was asked of them at once\n"), "{text}");
    let text = receipt(serde_json::json!([]), Value::Null);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn a_receipt_warns_of_another_owners_look_alike() {
    let text = told(serde_json::json!({
        "id": format!("{PEER}/yt-dlp@1.0.0"),
        "sequence": 7,
        "replicas": 2,
        "confirmed": 0,
        "confirmation": 0,
        "announcement": "sent",
        "look_alikes": [{"name": "yt_dlp", "owners": [PEER]}],
    }));
    assert!(text.contains(&format!("\n    looks like `yt_dlp` of {PEER}\n")), "{text}");
}

/// A receipt in words.
fn told(receipt: Value) -> String {
    let receipt = serde_json::from_value(receipt).unwrap();
    answer(&Value::Null, &Ok(Answer::Receipt(receipt)))
}

#[test]
fn a_clock_that_is_wrong_is_told_of_in_words() {
    let told = |seconds| {
        let offset = serde_json::json!({"seconds": seconds, "peers": 3});
        let event = if seconds == 0 { "clock_agrees" } else { "clock_disagrees" };
        serde_json::from_value(serde_json::json!({"event": event, "offset": offset})).unwrap()
    };
    let text = event(&told(-600));
    assert_eq!(text, "* this peer's clock is 10 min behind 3 peers: unless it is right, set it\n");
    assert_eq!(event(&told(0)), "* this peer's clock is right again: in step with 3 peers\n");
}

#[test]
fn what_other_peers_say_cannot_move_the_cursor() {
    let message = Event::Message {
        topic: "news".to_owned(),
        author: PEER.parse().unwrap(),
        data: b"\x1b[2J\nhello".to_vec(),
    };
    let text = event(&message);
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_clock_that_has_moved_is_told_in_words() {
    let slept = event(&Event::ClockChanged { by: 216_000, unix: 2_000_000_000 });
    assert_eq!(slept, "* this machine's clock has moved forward by 216000 s, or it has slept\n");
    let back = event(&Event::ClockChanged { by: -60, unix: 2_000_000_000 });
    assert_eq!(back, "* this machine's clock has moved back by 60 s\n");
}

#[test]
fn a_disk_that_fails_is_told_in_words() {
    let failed = event(&Event::StorageFailed { reason: "no space is left on the disk".to_owned() });
    assert!(failed.contains("cannot be kept: no space is left on the disk; "), "{failed}");
    assert_eq!(event(&Event::StorageRecovered), "* all that has changed is kept again\n");
    assert_eq!(request("export my file"), Request::Export("my file".into()));
    assert!(refusal("export").contains("export FILE"));
}

#[test]
fn what_was_found_is_listed_with_what_is_yanked_and_who_has_not_answered() {
    let id = format!("{PEER}/tiny@1.0.0");
    let package: Package = serde_json::from_value(serde_json::json!({
        "id": id,
        "owner": PEER,
        "manifest": { "name": "tiny", "version": "1.0.0", "description": "A server\nand more" },
        "yanked": true,
        "sequence": 2,
        "source": "network",
    }))
    .unwrap();
    let peers = vec![package.owner];
    let mut coverage = SearchReport::default();
    (coverage.asked, coverage.timed_out) = (peers.clone(), peers.clone());
    let found = |packages: &[&Package], coverage: &SearchReport| {
        let packages = packages.iter().copied().cloned().collect();
        let found = Answer::Packages { packages, coverage: coverage.clone() };
        answer(&Value::String("search".to_owned()), &Ok(found))
    };
    let late = found(&[&package], &coverage);
    let expected = format!(
        "tiny 1.0.0  YANKED  A server\n    of {PEER}\n  \
         0 of 1 peers answered, 1 not in time; there may be more\n"
    );
    assert_eq!(late, expected);

    (coverage.answered, coverage.timed_out) = (peers, Vec::new());
    assert_eq!(found(&[], &coverage), "nothing found\n  1 of 1 peers answered: complete\n");
    let alone = found(&[], &SearchReport::default());
    assert_eq!(alone, "nothing found\n  no other peer could be asked; there may be more\n");
}
