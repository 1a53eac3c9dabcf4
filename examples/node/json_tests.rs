use peerage::{Freshness, Match, PackageName, Sort};
use serde_json::json;

use super::*;

const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

fn parse_text(text: &str) -> Input {
    parse(Line::Text(text.to_owned())).unwrap()
}

fn request(text: &str) -> Request {
    match parse_text(text) {
        Input::Asked { request, .. } => request,
        other => panic!("{text}: {other:?}"),
    }
}

/// The id and the field at fault.
fn refusal(text: &str) -> (Value, String) {
    match parse_text(text) {
        Input::Refused { id, error: Error::Invalid { field, .. } } => (id, field.into_owned()),
        other => panic!("{text}: {other:?}"),
    }
}

fn get(package: PackageId, freshness: Freshness) -> Request {
    let requirement = package.version().cloned().map(Requirement::exactly);
    Request::Get { package: package.without_version(), requirement, freshness }
}

fn name(text: &str) -> PackageName {
    text.parse().unwrap()
}

#[test]
fn every_documented_op_reads() {
    let peer: PeerId = PEER.parse().unwrap();
    let tiny = PackageId::named(name("tiny"));
    let version = || "1.2.0".parse::<Version>().unwrap();
    let release = tiny.clone().with_version(version());
    assert_eq!(request(r#"{"op":"get","package":"tiny"}"#), get(tiny.clone(), Freshness::First));
    assert_eq!(
        request(&format!(r#"{{"op":"get","package":"{PEER}/tiny","version":"1.2.0"}}"#)),
        get(
            PackageId::owned(peer, name("tiny")).with_version("1.2.0".parse().unwrap()),
            Freshness::First
        )
    );
    assert_eq!(
        request(r#"{"op":"get","package":"tiny","freshness":"all"}"#),
        get(tiny.clone(), Freshness::All)
    );
    let wanted = "^1.2".parse().unwrap();
    let wanted = Request::Get {
        package: tiny.clone(),
        requirement: Some(wanted),
        freshness: Freshness::First,
    };
    for line in [
        r#"{"op":"get","package":"tiny@^1.2"}"#,
        r#"{"op":"get","package":"tiny","version":"^1.2"}"#,
        r#"{"op":"get","package":"tiny@^1.2","version":"^1.2"}"#,
    ] {
        assert_eq!(request(line), wanted, "{line}");
    }
    assert_eq!(request(r#"{"op":"versions","package":"tiny"}"#), Request::Versions(tiny.clone()));
    assert_eq!(
        request(r#"{"op":"search","text":"http server","keywords":["async"],"limit":5}"#),
        Request::Search(Query::new().with_text("http server").with_keyword("async").with_limit(5))
    );
    assert_eq!(
        request(r#"{"op":"search","license":"MIT","version":"^1","matching":"any","sort":"name"}"#),
        Request::Search(
            Query::new()
                .with_license("MIT")
                .with_version("^1".parse().unwrap())
                .with_matching(Match::Any)
                .with_sort(Sort::Name)
        )
    );
    assert_eq!(request(r#"{"op":"search","owner":null}"#), Request::Search(Query::new()));
    assert_eq!(
        request(r#"{"op":"yank","package":"tiny","version":"1.2.0"}"#),
        Request::Yank { package: release.clone(), version: version(), reason: String::new() }
    );
    assert_eq!(
        request(r#"{"op":"yank","package":"tiny@1.2.0","reason":"leaks memory"}"#),
        Request::Yank {
            package: release.clone(),
            version: version(),
            reason: "leaks memory".to_owned()
        }
    );
    assert_eq!(
        request(r#"{"op":"unyank","package":"tiny","version":"1.2.0"}"#),
        Request::Unyank { package: release, version: version() }
    );
    let deprecation = Deprecation::new("old").with_successor(peer, name("other"));
    assert_eq!(
        request(&format!(
            r#"{{"op":"deprecate","package":"tiny","text":"old","successor":"{PEER}/other"}}"#
        )),
        Request::Deprecate { package: tiny.clone(), deprecation }
    );
    assert_eq!(
        request(r#"{"op":"undeprecate","package":"tiny"}"#),
        Request::Undeprecate(tiny.clone())
    );
    assert_eq!(request(r#"{"op":"unregister","package":"tiny"}"#), Request::Unregister(tiny));
    assert_eq!(request(r#"{"op":"metadata"}"#), Request::Metadata);
    assert_eq!(request(r#"{"op":"peers"}"#), Request::Peers);
    assert_eq!(request(r#"{"op":"bootstrap"}"#), Request::Bootstrap);
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{PEER}").parse().unwrap();
    assert_eq!(
        request(&format!(r#"{{"op":"dial","addresses":["{address}"]}}"#)),
        Request::Dial { peer, addresses: vec![address] }
    );
    assert_eq!(
        request(&format!(
            r#"{{"op":"dial","peer":"{PEER}","addresses":["/ip4/127.0.0.1/tcp/1"]}}"#
        )),
        Request::Dial { peer, addresses: vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()] }
    );
    assert_eq!(
        request(r#"{"op":"subscribe","topic":"news"}"#),
        Request::Subscribe("news".to_owned())
    );
    assert_eq!(
        request(r#"{"op":"unsubscribe","topic":"news"}"#),
        Request::Unsubscribe("news".to_owned())
    );
    assert_eq!(
        request(&format!(r#"{{"op":"pin","package":"tiny","peer":"{PEER}"}}"#)),
        Request::Pin { name: name("tiny"), owner: peer }
    );
    assert_eq!(
        request(&format!(r#"{{"op":"reputation","peer":"{PEER}"}}"#)),
        Request::Reputation(peer)
    );
    assert_eq!(request(r#"{"op":"shutdown"}"#), Request::Shutdown);
}

#[test]
fn a_manifest_reads_as_the_library_writes_it() {
    let manifest = Manifest::new(name("tiny"), "1.2.0".parse().unwrap())
        .with_description("small")
        .with_keywords(["http"]);
    let manifest = Box::new(manifest);
    let line = json!({"id": 1, "op": "register", "manifest": manifest}).to_string();
    let register = |confirm| Request::Register { manifest: manifest.clone(), confirm };
    assert_eq!(request(&line), register(0));
    let line = json!({"op": "register", "manifest": manifest, "confirm": 3}).to_string();
    assert_eq!(request(&line), register(3));
}

#[test]
fn an_id_is_a_number_or_a_string_and_comes_back_as_it_was() {
    for id in [json!(1), json!(-2.5), json!("seven"), json!(null)] {
        let line = json!({"id": id, "op": "peers"}).to_string();
        assert_eq!(parse_text(&line), Input::Asked { id, request: Request::Peers });
    }
    assert_eq!(refusal(r#"{"id":[1],"op":"peers"}"#), (Value::Null, "id".to_owned()));
}

#[test]
fn what_cannot_be_used_is_refused_under_its_id_with_the_field_at_fault() {
    let cases = [
        (r#"{"id":1}"#, "op"),
        (r#"{"id":1,"op":7}"#, "op"),
        (r#"{"id":1,"op":"conquer"}"#, "op"),
        (r#"{"id":1,"op":"get"}"#, "package"),
        (r#"{"id":1,"op":"get","package":null}"#, "package"),
        (r#"{"id":1,"op":"get","package":"Tiny HTTP"}"#, "package"),
        (r#"{"id":1,"op":"get","package":"nobody/tiny"}"#, "package"),
        (r#"{"id":1,"op":"get","package":"tiny","version":"one"}"#, "version"),
        (r#"{"id":1,"op":"get","package":"tiny@1.0.0","version":"2.0.0"}"#, "version"),
        (r#"{"id":1,"op":"get","package":"tiny@^1","version":"^2"}"#, "version"),
        (r#"{"id":1,"op":"get","package":"tiny@one"}"#, "package"),
        (r#"{"id":1,"op":"get","package":"tiny","verison":"1.0.0"}"#, "verison"),
        (r#"{"id":1,"op":"yank","package":"tiny"}"#, "version"),
        (r#"{"id":1,"op":"unyank","package":"tiny"}"#, "version"),
        (r#"{"id":1,"op":"deprecate","package":"tiny"}"#, "text"),
        (r#"{"id":1,"op":"deprecate","package":"tiny","text":"a","successor":"b/c"}"#, "successor"),
        (r#"{"id":1,"op":"search","limit":"many"}"#, "limit"),
        (r#"{"id":1,"op":"search","limit":-1}"#, "limit"),
        (r#"{"id":1,"op":"search","keywords":["a",2]}"#, "keywords[1]"),
        (r#"{"id":1,"op":"search","version":"one"}"#, "version"),
        (r#"{"id":1,"op":"search","txet":"http"}"#, "txet"),
        (r#"{"id":1,"op":"pin","package":"tiny@1.0.0","peer":"x"}"#, "package"),
        (r#"{"id":1,"op":"pin","package":"tiny"}"#, "peer"),
        (r#"{"id":1,"op":"dial"}"#, "addresses"),
        (r#"{"id":1,"op":"dial","addresses":"/ip4/127.0.0.1/tcp/1"}"#, "addresses"),
        (r#"{"id":1,"op":"dial","addresses":["/ip4/127.0.0.1/tcp/1"]}"#, "addresses"),
        (r#"{"id":1,"op":"dial","addresses":["localhost"]}"#, "addresses[0]"),
        (r#"{"id":1,"op":"register"}"#, "manifest"),
        (r#"{"id":1,"op":"register","manifest":[]}"#, "manifest"),
        (
            r#"{"id":1,"op":"register","manifest":{"name":"a","version":"1.0.0"},"confirm":256}"#,
            "confirm",
        ),
        (r#"{"id":1,"op":"register","manifest":{"version":"1.0.0"}}"#, "manifest.name"),
        (r#"{"id":1,"op":"register","manifest":{"name":"a","version":"1"}}"#, "manifest.version"),
        (
            r#"{"id":1,"op":"register","manifest":{"name":"a","version":"1.0.0","keywords":"b"}}"#,
            "manifest.keywords",
        ),
        (
            r#"{"id":1,"op":"register","manifest":{"name":"a","version":"1.0.0","licence":"MIT"}}"#,
            "manifest.licence",
        ),
    ];
    for (line, field) in cases {
        assert_eq!(refusal(line), (json!(1), field.to_owned()), "{line}");
    }
}

#[test]
fn a_line_that_is_no_request_at_all_is_refused_without_an_id() {
    for line in ["{", "7", "[]", "hello", r#"{"id":1}{"id":2}"#] {
        assert_eq!(refusal(line), (Value::Null, "line".to_owned()), "{line}");
    }
    for line in [Line::TooLong, Line::NotUtf8] {
        assert!(matches!(parse(line), Some(Input::Refused { id: Value::Null, .. })));
    }
    assert_eq!(parse(Line::Text("  ".to_owned())), None);
}

fn read(line: &str) -> Value {
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line, and the whole of it: {line:?}");
    serde_json::from_str(line).unwrap()
}

#[test]
fn answers_and_errors_carry_the_id_and_say_one_thing() {
    let ok = answer(&json!(7), &Ok(Answer::Subscribed { subscribed: true }));
    assert_eq!(read(&ok), json!({"id": 7, "ok": {"subscribed": true}}));
    let ok = answer(&json!("a"), &Ok(Answer::Stopped {}));
    assert_eq!(read(&ok), json!({"id": "a", "ok": {}}));
    let error = answer(&json!(8), &Err(Error::not_found("tiny\nhttp")));
    assert_eq!(
        read(&error),
        json!({"id": 8, "error": {"kind": "not_found", "message": "not found: tiny\nhttp"}})
    );
}

#[test]
fn errors_name_the_field_or_the_claimants_where_there_are_any() {
    let error = answer(&Value::Null, &Err(invalid("limit", "must be a whole number")));
    assert_eq!(read(&error)["error"]["field"], "limit");
    let claimants = vec![PEER.parse().unwrap()];
    let error = answer(&json!(1), &Err(Error::ambiguous(name("tiny"), claimants)));
    assert_eq!(read(&error)["error"]["kind"], "ambiguous");
    assert_eq!(read(&error)["error"]["claimants"], json!([PEER]));
    let what = "tiny@^9".to_owned();
    let error = answer(&json!(2), &Err(Error::no_match(what, vec![], 40)));
    let error = &read(&error)["error"];
    assert_eq!((&error["versions"], &error["total"]), (&json!([]), &json!(40)));
}

#[test]
fn the_first_line_says_who_speaks() {
    let started =
        |data: Option<&Found>| read(&started(PEER.parse().unwrap(), &NetworkName::default(), data));
    let mut expected = json!({"event": "started", "peer": PEER, "network": "main", "data": null});
    assert_eq!(started(None), expected);
    let path = "alice.peerage".to_owned();
    let (compacted_from, set_aside) = (None, None);
    let mut found = Found { path, bytes: 9, own: 3, held: 4, listed: 5, compacted_from, set_aside };
    expected["data"] =
        json!({"path": "alice.peerage", "bytes": 9, "own": 3, "held": 4, "listed": 5});
    assert_eq!(started(Some(&found)), expected);
    found.set_aside = Some("old".to_owned());
    expected["data"]["set_aside"] = json!("old");
    found.compacted_from = Some(20);
    expected["data"]["compacted_from"] = json!(20);
    assert_eq!(started(Some(&found)), expected);
}

#[test]
fn events_are_lines_under_their_name() {
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{PEER}").parse().unwrap();
    let line = event(&Event::Listening { address: address.clone() });
    assert_eq!(read(&line), json!({"event": "listening", "address": address.to_string()}));
}
