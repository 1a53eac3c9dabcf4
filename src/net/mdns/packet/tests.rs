use proptest::prelude::*;

use super::*;

const NAME: &str = "vlr2cg0rh6mmtxnnwzzzyb4zqhyh6l4s";
const TTL: Duration = Duration::from_secs(360);

fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn read_back(packets: &[Vec<u8>]) -> Vec<Told> {
    let mut all = Vec::new();
    for packet in packets {
        match read(packet) {
            Some(Packet::Answer(told)) => all.extend(told),
            other => panic!("{other:?}"),
        }
    }
    all
}

#[test]
fn a_question_for_peers_is_understood() {
    let read = read(&query(7).unwrap());
    assert_eq!(read, Some(Packet::Query { id: 7, asked: Asked::Peers }));
}

#[test]
fn a_tool_that_asks_for_services_and_peers_gets_both() {
    let mut packet = Dns::new_query(0);
    for (name, kind) in [(SERVICES, QTYPE::TYPE(TYPE::PTR)), ("_P2P._udp.LOCAL", QTYPE::ANY)] {
        let question = Question::new(Name::new_unchecked(name), kind, CLASS::IN.into(), true);
        packet.questions.push(question);
    }
    let asked = read(&packet.build_bytes_vec().unwrap());
    assert_eq!(asked, Some(Packet::Query { id: 0, asked: Asked::Both }));

    let peer = PeerId::random();
    let packets = answer(Asked::Both, NAME, peer, &addresses(&["/ip4/10.0.0.1/tcp/1"]), TTL);
    let packet = Dns::parse(&packets[0]).unwrap();
    let names: Vec<String> = packet.answers.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, [SERVICES, SERVICE]);
    assert_eq!(read_back(&packets)[0].peer, peer);
}

#[test]
fn a_question_for_something_else_is_nobodys() {
    for (name, kind) in [("_http._tcp.local", TYPE::PTR), (SERVICE, TYPE::SRV)] {
        let mut packet = Dns::new_query(0);
        let (kind, class) = (kind.into(), CLASS::IN.into());
        packet.questions.push(Question::new(Name::new_unchecked(name), kind, class, false));
        assert_eq!(read(&packet.build_bytes_vec().unwrap()), None, "{name}");
    }
}

/// As the specification has it: a pointer in the answer, and the addresses behind it.
#[test]
fn an_answer_says_who_is_where_and_for_how_long() {
    let peer = PeerId::random();
    let addresses = addresses(&["/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/tcp/4001"]);
    let packets = answer(Asked::Peers, NAME, peer, &addresses, TTL);
    assert_eq!(read_back(&packets), [Told { peer, addresses: addresses.clone(), ttl: TTL }]);
    let packet = Dns::parse(&packets[0]).unwrap();
    assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
    let full = format!("{NAME}.{SERVICE}");
    assert!(packet.additional_records.iter().all(|record| record.name.to_string() == full));
    let text = format!("dnsaddr={}/p2p/{peer}", addresses[0]);
    assert_eq!(
        packet.additional_records[0].rdata,
        RData::TXT(TXT::new().with_string(&text).unwrap())
    );
}

#[test]
fn without_an_address_there_is_nothing_to_say() {
    assert!(answer(Asked::Peers, NAME, PeerId::random(), &[], TTL).is_empty());
    let long = format!("/dns4/{}.example/tcp/1", "a".repeat(250));
    assert!(answer(Asked::Peers, NAME, PeerId::random(), &addresses(&[&long]), TTL).is_empty());
}

/// go-libp2p writes all addresses as strings of one TXT record.
#[test]
fn addresses_may_stand_in_one_record_with_other_strings() {
    let [peer, other] = [(); 2].map(|()| PeerId::random());
    let strings = [
        "txtvers=1".to_owned(),
        format!("dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/{peer}"),
        format!("DNSADDR=/ip4/10.0.0.2/tcp/2/p2p/{peer}"),
        format!("dnsaddr=/ip4/10.0.0.3/tcp/3/p2p/{other}"),
        "dnsaddr=/ip4/10.0.0.4/tcp/4".to_owned(),
        format!("dnsaddr=/p2p/{peer}"),
        "dnsaddr=nonsense".to_owned(),
        "dnsaddr".to_owned(),
    ];
    let mut txt = TXT::new();
    strings.iter().for_each(|string| txt.add_string(string).unwrap());
    let full = format!("{NAME}.{SERVICE}");
    let name = Name::new(&full).unwrap();
    let mut packet = Dns::new_reply(0);
    let pointer = RData::PTR(PTR(name.clone()));
    packet.answers.push(ResourceRecord::new(Name::new_unchecked(SERVICE), CLASS::IN, 100, pointer));
    packet.additional_records.push(ResourceRecord::new(name, CLASS::IN, 50, RData::TXT(txt)));
    let told = read_back(&[packet.build_bytes_vec().unwrap()]);
    let expected = addresses(&["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/2"]);
    let ttl = Duration::from_secs(50);
    assert_eq!(
        told,
        [Told { peer, addresses: expected, ttl }],
        "of one peer, for the shorter time"
    );
}

#[test]
fn a_packet_that_announces_more_records_than_the_bound_is_not_read() {
    let mut packet = query(1).unwrap();
    // 65,535 answers, none of which is there.
    packet[6..8].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(read(&packet), None);
    let service = Name::new_unchecked(SERVICE);
    for (count, is_read) in [(MAX_RECORDS, true), (MAX_RECORDS + 1, false)] {
        let mut packet = Dns::new_query(1);
        let question = Question::new(service.clone(), TYPE::PTR.into(), CLASS::IN.into(), false);
        packet.questions = vec![question; count as usize];
        assert_eq!(read(&packet.build_bytes_vec().unwrap()).is_some(), is_read, "{count}");
    }
}

#[test]
fn a_packet_with_peers_without_end_tells_of_a_few() {
    let mut packet = Dns::new_reply(0);
    let texts: Vec<_> = (0..20)
        .map(|n| {
            (
                format!("peer{n}.{SERVICE}"),
                format!("dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/{}", PeerId::random()),
            )
        })
        .collect();
    for (name, text) in &texts {
        let name = Name::new(name).unwrap();
        let pointer = RData::PTR(PTR(name.clone()));
        packet.answers.push(ResourceRecord::new(
            Name::new_unchecked(SERVICE),
            CLASS::IN,
            9,
            pointer,
        ));
        let txt = RData::TXT(TXT::new().with_string(text).unwrap());
        packet.additional_records.push(ResourceRecord::new(name, CLASS::IN, 9, txt));
    }
    assert_eq!(read_back(&[packet.build_bytes_vec().unwrap()]).len(), MAX_PEERS);
}

/// A name that points at itself, or back and forth, could be followed for ever.
#[test]
fn names_that_point_in_circles_are_refused() {
    for name in [[0xc0, 12], [0xc0, 13], [0xc0, 14]] {
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(name);
        bytes.extend([0xc0, 12, 0, 12, 0, 1]);
        assert_eq!(read(&bytes), None);
    }
}

fn any_address() -> impl Strategy<Value = Multiaddr> {
    let v4 = (any::<[u8; 4]>(), 1..u16::MAX)
        .prop_map(|(ip, port)| format!("/ip4/{}/tcp/{port}", std::net::Ipv4Addr::from(ip)));
    let v6 = (any::<u128>(), 1..u16::MAX)
        .prop_map(|(ip, port)| format!("/ip6/{}/udp/{port}/quic-v1", std::net::Ipv6Addr::from(ip)));
    prop_oneof![v4, v6].prop_map(|text| text.parse().unwrap())
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same_and_fits_into_a_frame(
        addresses in prop::collection::btree_set(any_address(), 1..40),
        name in "[a-z0-9]{32,63}",
        ttl in 0..5000_u64,
    ) {
        let (peer, ttl) = (PeerId::random(), Duration::from_secs(ttl));
        let addresses: Vec<Multiaddr> = addresses.into_iter().collect();
        let packets = answer(Asked::Both, &name, peer, &addresses, ttl);
        prop_assert!(packets.iter().all(|packet| packet.len() <= MAX_WRITTEN_BYTES));
        let told = read_back(&packets);
        prop_assert!(told.iter().all(|told| told.peer == peer && told.ttl == ttl));
        let read: Vec<Multiaddr> = told.into_iter().flat_map(|told| told.addresses).collect();
        prop_assert_eq!(&read[..], &addresses[..addresses.len().min(MAX_ADDRESSES)]);
    }

    #[test]
    fn junk_brings_nobody_down(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_packet_with_changes_brings_nobody_down_and_keeps_to_the_bounds(
        addresses in prop::collection::vec(any_address(), 1..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for mut packet in answer(Asked::Both, NAME, PeerId::random(), &addresses, TTL) {
            for (at, byte) in &changes {
                let at = at.index(packet.len());
                packet[at] = *byte;
            }
            if let Some(Packet::Answer(told)) = read(&packet) {
                prop_assert!(told.len() <= MAX_PEERS);
                let bounded = 1..=MAX_ADDRESSES;
                prop_assert!(told.iter().all(|told| bounded.contains(&told.addresses.len())));
            }
        }
    }
}
