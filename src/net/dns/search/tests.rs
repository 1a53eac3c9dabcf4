use libp2p::PeerId;
use proptest::prelude::*;

use super::*;

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn search(address: &Multiaddr) -> Search {
    Search::new(address, PeerId::random(), Shape::Tcp)
}

fn texts<T: ToString>(entries: impl IntoIterator<Item = T>) -> Answer {
    let texts = entries.into_iter().map(|entry| format!("dnsaddr={}", entry.to_string()).into());
    Answer { texts: texts.collect(), ..Answer::default() }
}

/// What a search asks, as names and kinds.
fn asked(search: &mut Search) -> Vec<(String, Records)> {
    std::iter::from_fn(|| search.next()).map(|asked| (asked.name, asked.records)).collect()
}

#[test]
fn each_kind_of_name_has_its_own_questions() {
    let [v4, v6] = [false, true].map(|only| (Records::V4 { only }, Records::V6 { only }));
    for (at, kinds) in [
        ("/dns4/a.example/tcp/1", vec![v6.0]),
        ("/dns6/a.example/tcp/1", vec![v6.1]),
        ("/dns/a.example/tcp/1", vec![v4.1, v4.0]),
        ("/dnsaddr/a.example", vec![Records::Text]),
        ("/ip4/192.0.2.1/tcp/1", vec![]),
    ] {
        let expected: Vec<_> = kinds.into_iter().map(|kind| ("a.example".into(), kind)).collect();
        assert_eq!(asked(&mut search(&address(at))), expected, "{at}");
    }
}

#[test]
fn an_address_keeps_what_follows_the_name() {
    let peer = PeerId::random();
    let mut search = search(&address(&format!("/dns4/a.example/tcp/1/p2p/{peer}")));
    let question = search.next().unwrap();
    let ips = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let found = search.answered(&question, Answer { ips, ..Answer::default() });
    let expected = ["192.0.2.1", "192.0.2.2"];
    assert_eq!(found, expected.map(|ip| address(&format!("/ip4/{ip}/tcp/1/p2p/{peer}"))));
}

#[test]
fn a_list_gives_what_ends_like_the_address_that_led_to_it() {
    let [peer, other] = [PeerId::random(), PeerId::random()];
    let mut search = search(&address(&format!("/dnsaddr/a.example/p2p/{peer}")));
    let question = search.next().unwrap();
    let right = format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}");
    let list = [
        format!("/ip4/192.0.2.1/tcp/1/p2p/{other}"),
        "/ip4/192.0.2.1/tcp/1".to_owned(),
        right.clone(),
        format!("/dnsaddr/b.example/p2p/{peer}"),
        format!("/dnsaddr/c.example/p2p/{other}"),
    ];
    assert_eq!(search.answered(&question, texts(list)), [address(&right)]);
    assert_eq!(asked(&mut search), [("b.example".to_owned(), Records::Text)]);
    assert!(!search.has_failed());
}

#[test]
fn what_is_no_entry_is_passed_over() {
    for text in ["", "dnsaddr", "dnsaddr=", "dnsaddr=x", "DNSADDR=/ip4/1.2.3.4", " dnsaddr=/tcp/1"]
    {
        let read = entry(text.as_bytes());
        assert!(read.is_none_or(|address| address.is_empty()), "{text}");
    }
    assert_eq!(entry(b"dnsaddr=/ip4/1.2.3.4"), Some(address("/ip4/1.2.3.4")));
    assert_eq!(entry(b"dnsaddr=/dns4/\xff/tcp/1"), None);
}

/// What large lists are mostly made of.
#[test]
fn addresses_of_other_transports_take_no_place() {
    let mut search = search(&address("/dnsaddr/list.example"));
    let question = search.next().unwrap();
    let others = (0..MAX_ENTRIES).flat_map(|number| {
        [
            format!("/dns4/{number}.example/udp/1/quic-v1"),
            format!("/dns/{number}.example/tcp/1/ws"),
            format!("/ip4/192.0.2.{number}/udp/1/quic-v1"),
            format!("/ip4/192.0.2.{number}/tcp/1/p2p/{}/p2p-circuit", PeerId::random()),
        ]
    });
    let last = ["/dns4/tcp.example/tcp/1".to_owned(), "/ip4/192.0.2.1/tcp/1".to_owned()];
    let found = search.answered(&question, texts(others.chain(last)));
    assert_eq!(found, [address("/ip4/192.0.2.1/tcp/1")]);
    assert_eq!(asked(&mut search), [("tcp.example".to_owned(), Records::V4 { only: true })]);
    assert!(search.has_failed());
    assert_eq!(search.into_reasons(), ["/dns4/0.example/udp/1/quic-v1 is not one of TCP"]);
}

#[test]
fn an_address_of_another_transport_is_not_looked_up_unless_it_might_be_dialed() {
    let quic = address("/dns4/a.example/udp/1/quic-v1");
    let mut search = self::search(&quic);
    assert_eq!(asked(&mut search), []);
    assert_eq!(search.into_reasons(), [format!("{quic} is not one of TCP")]);
    let mut search = Search::new(&quic, PeerId::random(), Shape::Any);
    assert_eq!(asked(&mut search).len(), 1);
}

/// It is at several addresses, of which one is enough.
#[test]
fn that_this_node_itself_cannot_be_dialed_somewhere_is_no_failure() {
    let local = PeerId::random();
    let mut search = Search::new(&address("/dnsaddr/list.example"), local, Shape::Tcp);
    let question = search.next().unwrap();
    let list = ["udp/1/quic-v1", "tcp/1"].map(|at| format!("/ip4/192.0.2.1/{at}/p2p/{local}"));
    assert_eq!(search.answered(&question, texts(list)).len(), 1);
    assert!(!search.has_failed());
}

/// What a server may list: names out of a few, so that they come again, and addresses.
fn listed() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..9u8).prop_map(|name| format!("/dnsaddr/{name}.example")),
        (0..9u8).prop_map(|name| format!("/dns/{name}.example/tcp/1")),
        any::<u32>().prop_map(|name| format!("/dnsaddr/{name}.example")),
        (0..9u8).prop_map(|last| format!("/ip4/192.0.2.{last}/tcp/1")),
        "[a-z/]{0,20}",
    ]
}

proptest! {
    #[test]
    fn whatever_is_answered_a_search_ends_within_its_bounds(
        lists in proptest::collection::vec(proptest::collection::vec(listed(), 0..100), 1..8),
    ) {
        let mut search = search(&address("/dnsaddr/0.example"));
        let (mut lookups, mut lists) = (0, lists.iter().cycle());
        while let Some(question) = search.next() {
            lookups += 1;
            prop_assert!(lookups <= MAX_LOOKUPS);
            prop_assert!(question.depth < MAX_DEPTH);
            let answer = match question.records {
                Records::Text => texts(lists.next().unwrap()),
                Records::V4 { .. } | Records::V6 { .. } => {
                    Answer { ips: vec!["192.0.2.1".parse().unwrap(); 200], ..Answer::default() }
                }
            };
            let found = search.answered(&question, answer);
            prop_assert!(found.len() <= MAX_ENTRIES);
            prop_assert!(!found.iter().any(begins_with_name));
            prop_assert!(search.waiting.len() <= MAX_LOOKUPS + 1);
        }
        prop_assert!(search.into_reasons().len() <= MAX_REASONS);
    }
}
