//! The messages, held against another implementation of protobuf.

use proptest::prelude::*;
use prost::Message as _;

use super::{
    super::{
        codec::{
            Asked, MAX_ADDRESSES, MAX_CONTACTS, MAX_KEY_BYTES, MAX_MESSAGE_BYTES, bounds,
            decode_request, decode_response, encode_request, encode_response,
        },
        framed::Framed,
        protobuf::Malformed,
    },
    *,
};
use crate::exchange::MAX_ADDRESS_BYTES;

/// `Message` of the specification, with the fields that rust-libp2p adds.
#[derive(Clone, PartialEq, prost::Message)]
struct Proto {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    record: Option<ProtoRecord>,
    #[prost(message, repeated, tag = "8")]
    closer: Vec<ProtoPeer>,
    #[prost(message, repeated, tag = "9")]
    providers: Vec<ProtoPeer>,
    #[prost(int32, tag = "10")]
    level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoRecord {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(string, tag = "5")]
    received: String,
    #[prost(bytes = "vec", tag = "666")]
    publisher: Vec<u8>,
    #[prost(uint32, tag = "777")]
    ttl: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoPeer {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
    #[prost(int32, tag = "3")]
    connection: i32,
}

fn proto_peer(contact: &Contact) -> ProtoPeer {
    let addresses = contact.addresses.iter().map(Multiaddr::to_vec).collect();
    ProtoPeer { id: contact.peer.to_bytes(), addresses, connection: 2 }
}

fn proto_record(value: &Value) -> ProtoRecord {
    let (key, value) = (value.key.to_vec(), value.bytes.to_vec());
    ProtoRecord { key, value, ..ProtoRecord::default() }
}

/// As another implementation writes an answer.
fn proto_of(response: &Response, request: &Request) -> Proto {
    let kind = match request {
        Request::PutValue(_) => 0,
        Request::GetValue { .. } => 1,
        Request::GetProviders { .. } => 3,
        Request::FindNode { .. } => 4,
        Request::Ping => 5,
    };
    let mut proto = Proto { kind, ..Proto::default() };
    match response {
        Response::Closer { peers } => proto.closer = peers.read().iter().map(proto_peer).collect(),
        Response::Found { value, closer } => {
            proto.record = value.as_ref().map(proto_record);
            proto.closer = closer.read().iter().map(proto_peer).collect();
        }
        Response::Kept(value) => {
            proto.key = value.as_ref().map(|value| value.key.to_vec()).unwrap_or_default();
            proto.record = value.as_ref().map(proto_record);
        }
        Response::Pong => {}
    }
    proto
}

fn content(frame: &[u8]) -> &[u8] {
    let (start, end) = bounds(frame).unwrap().unwrap();
    assert_eq!(end, frame.len());
    &frame[start..]
}

fn any_key() -> impl Strategy<Value = Arc<[u8]>> {
    prop::collection::vec(any::<u8>(), 1..=MAX_KEY_BYTES).prop_map(Arc::from)
}

fn any_value() -> impl Strategy<Value = Value> {
    (any_key(), prop::collection::vec(any::<u8>(), 0..2000))
        .prop_map(|(key, bytes)| Value { key, bytes: bytes.into() })
}

fn any_contact() -> impl Strategy<Value = Contact> {
    let address = prop_oneof![
        (any::<u32>(), 1..u16::MAX)
            .prop_map(|(ip, port)| format!("/ip4/{}/tcp/{port}", std::net::Ipv4Addr::from(ip))),
        (any::<u128>(), 1..u16::MAX).prop_map(|(ip, port)| format!(
            "/ip6/{}/udp/{port}/quic-v1",
            std::net::Ipv6Addr::from(ip)
        )),
        "[a-z]{1,90}".prop_map(|name| format!("/dns4/{name}/tcp/1")),
    ];
    let address = address.prop_map(|text| text.parse().unwrap());
    (any::<[u8; 32]>(), prop::collection::vec(address, 0..=MAX_ADDRESSES)).prop_map(
        |(seed, addresses)| {
            let peer = PeerId::from_bytes(&[&[0x12, 32][..], &seed].concat()).unwrap();
            Contact { peer, addresses }
        },
    )
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any_key().prop_map(|key| Request::FindNode { key }),
        any_key().prop_map(|key| Request::GetValue { key }),
        any_key().prop_map(|key| Request::GetProviders { key }),
        any_value().prop_map(Request::PutValue),
        Just(Request::Ping),
    ]
}

/// A request and an answer to it.
fn any_exchange() -> impl Strategy<Value = (Request, Response)> {
    let peers = || prop::collection::vec(any_contact(), 0..=MAX_CONTACTS);
    prop_oneof![
        (any_key(), peers()).prop_map(|(key, peers)| (
            Request::FindNode { key },
            Response::Closer { peers: peers.into() }
        )),
        (any_key(), peers()).prop_map(|(key, peers)| (
            Request::GetProviders { key },
            Response::Closer { peers: peers.into() }
        )),
        (any_value(), any::<bool>(), peers()).prop_map(|(value, is_there, closer)| {
            let request = Request::GetValue { key: Arc::clone(&value.key) };
            (request, Response::Found { value: is_there.then_some(value), closer: closer.into() })
        }),
        (any_value(), any::<bool>()).prop_map(|(value, is_kept)| {
            (Request::PutValue(value.clone()), Response::Kept(is_kept.then_some(value)))
        }),
        Just((Request::Ping, Response::Pong)),
    ]
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(request in any_request()) {
        let frame = encode_request(&request);
        prop_assert_eq!(decode_request(content(&frame)), Ok(Some(request.clone())));
        let mut proto = Proto::decode(content(&frame)).unwrap();
        if proto.kind != 0 || proto.record.is_some() {
            prop_assert_eq!(&proto.encode_length_delimited_to_vec(), &frame);
        }
        // What others add changes nothing.
        proto.level = 10;
        if let Some(record) = &mut proto.record {
            record.publisher = vec![1; 300];
            record.ttl = 77;
            record.received = "now".to_owned();
        }
        prop_assert_eq!(decode_request(&proto.encode_to_vec()), Ok(Some(request)));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written((request, response) in any_exchange()) {
        let frame = encode_response(&response, Asked::of(&request));
        prop_assert_eq!(decode_response(content(&frame), &request), Ok(response.clone()));
        let proto = proto_of(&response, &request);
        prop_assert_eq!(&Proto::decode(content(&frame)).unwrap(), &proto);
        if response != Response::Kept(None) {
            prop_assert_eq!(&proto.encode_length_delimited_to_vec(), &frame);
        }
        // Others do not tell what they know of each, or tell it otherwise.
        let mut proto = Proto { level: 9, ..proto };
        for peer in &mut proto.closer {
            peer.connection = 77;
        }
        proto.providers = proto.closer.clone();
        prop_assert_eq!(decode_response(&proto.encode_to_vec(), &request), Ok(response));
    }

    #[test]
    fn no_part_of_a_message_is_taken_for_all_of_it(
        (request, response) in any_exchange(),
        at in any::<prop::sample::Index>(),
    ) {
        let frame = encode_response(&response, Asked::of(&request));
        let part = &frame[..at.index(frame.len())];
        if let Some((_, end)) = bounds(part).unwrap() {
            prop_assert!(end > part.len());
        }
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..300), request in any_request()) {
        let _ = decode_request(&bytes);
        let _ = decode_response(&bytes, &request);
        let _ = bounds(&bytes);
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut(
        requests in prop::collection::vec(any_request(), 1..8),
        cut in 1..400_usize,
    ) {
        let written: Vec<u8> = requests.iter().flat_map(encode_request).collect();
        let stream = futures::io::Cursor::new(written);
        let mut framed = Framed::new(stream);
        let mut scratch = vec![0; cut];
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for request in requests {
            let message = framed.poll_message(&mut cx, &mut scratch, decode_request);
            let std::task::Poll::Ready(Ok(Some(read))) = message else { panic!("nothing") };
            prop_assert_eq!(read, Ok(Some(request)));
        }
        prop_assert!(!framed.has_partial());
    }
}

#[test]
fn what_cannot_be_read_in_a_list_is_left_out() {
    let good = contact(&["/ip4/8.8.8.8/tcp/1"]);
    let mut odd = proto_peer(&good);
    odd.addresses.insert(0, vec![0xff, 0xff]);
    odd.addresses.insert(0, vec![]);
    let no_peer = ProtoPeer { id: vec![1, 2, 3], ..proto_peer(&good) };
    let closer = vec![no_peer, odd, ProtoPeer::default()];
    let proto = Proto { kind: 4, closer, ..Proto::default() };
    let response = decode_response(&proto.encode_to_vec(), &find(1));
    assert_eq!(response, Ok(Response::Closer { peers: vec![good].into() }));
}

#[test]
fn an_address_is_the_same_whether_or_not_it_names_its_peer() {
    let good = contact(&["/ip4/8.8.8.8/tcp/1"]);
    let address = &good.addresses[0];
    let named = address.clone().with_p2p(good.peer).unwrap();
    let other = address.clone().with_p2p(PeerId::random()).unwrap();
    let addresses = vec![named.to_vec(), other.to_vec()];
    let closer = vec![ProtoPeer { addresses, ..proto_peer(&good) }];
    let proto = Proto { kind: 4, closer, ..Proto::default() };
    let response = decode_response(&proto.encode_to_vec(), &find(1));
    assert_eq!(response, Ok(Response::Closer { peers: vec![good].into() }));
}

#[test]
fn lists_and_addresses_have_their_bounds() {
    let long: Multiaddr = format!("/dns4/{}/tcp/1", "a".repeat(MAX_ADDRESS_BYTES)).parse().unwrap();
    let mut many = contact(&["/ip4/8.8.8.8/tcp/1"]);
    many.addresses = std::iter::once(long)
        .chain(std::iter::repeat_n(many.addresses[0].clone(), MAX_ADDRESSES + 5))
        .collect();
    let contacts = vec![many; MAX_CONTACTS + 5];
    let proto =
        Proto { kind: 4, closer: contacts.iter().map(proto_peer).collect(), ..Proto::default() };
    let told = Response::Closer { peers: contacts.into() };
    for message in
        [proto.encode_to_vec(), content(&encode_response(&told, Asked::of(&find(1)))).to_vec()]
    {
        let Ok(Response::Closer { peers }) = decode_response(&message, &find(1)) else { panic!() };
        let peers = peers.read();
        assert_eq!(peers.len(), MAX_CONTACTS);
        for peer in &*peers {
            assert_eq!(peer.addresses.len(), MAX_ADDRESSES);
            assert!(peer.addresses.iter().all(|address| address.len() <= MAX_ADDRESS_BYTES));
        }
    }
}

#[test]
fn an_answer_leaves_out_contacts_before_it_is_too_long() {
    let value = Value { key: key(1), bytes: vec![1; MAX_MESSAGE_BYTES - 100].into() };
    let closer = vec![contact(&["/ip4/8.8.8.8/tcp/1"]); MAX_CONTACTS];
    let response = Response::Found { value: Some(value.clone()), closer: closer.into() };
    let frame = encode_response(&response, Asked::of(&get(1)));
    let Ok(Response::Found { value: found, closer }) = decode_response(content(&frame), &get(1))
    else {
        panic!()
    };
    assert_eq!((found, closer.read().len()), (Some(value), 1));
}

#[test]
fn keys_have_their_bounds() {
    for (len, is_read) in [(0, false), (1, true), (MAX_KEY_BYTES, true), (MAX_KEY_BYTES + 1, false)]
    {
        for kind in [1, 3, 4] {
            let proto = Proto { kind, key: vec![7; len], ..Proto::default() };
            assert_eq!(decode_request(&proto.encode_to_vec()).is_ok(), is_read, "{len} {kind}");
        }
        let record = Some(ProtoRecord { key: vec![7; len], ..ProtoRecord::default() });
        let put = Proto { record, ..Proto::default() };
        assert_eq!(decode_request(&put.encode_to_vec()).is_ok(), is_read, "{len}");
    }
}

#[test]
fn what_the_specification_does_not_have_is_refused() {
    let put = Proto { key: vec![1], record: Some(proto_record(&value(1))), ..Proto::default() };
    assert_eq!(decode_request(&put.encode_to_vec()), Err(Malformed), "two keys");
    for message in [
        // Without a record, and of a type that nobody knows.
        &[][..],
        &[8, 6],
        &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        // Cut off, longer than a number can be, and larger.
        &[8],
        &[8, 0x84, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
        &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        &[0x12, 5, 1, 2],
        // The type as bytes, a group, and the field number zero.
        &[0x0a, 1, 1],
        &[0x0b, 8, 5, 0x0c],
        &[0, 5, 8, 5],
    ] {
        assert_eq!(decode_request(message), Err(Malformed), "{message:?}");
    }
    // A longer number than need be means the same, and what is new is skipped.
    assert_eq!(decode_request(&[8, 0x85, 0]), Ok(Some(Request::Ping)));
    assert_eq!(
        decode_request(&[0x7d, 1, 2, 3, 4, 8, 5, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 1, 9]),
        Ok(Some(Request::Ping))
    );
    assert_eq!(decode_request(&[8, 2]), Ok(None), "no answer is wanted");
}

#[test]
fn lengths_have_their_bounds() {
    for (written, read) in [
        (&[][..], Ok(None)),
        (&[0x80], Ok(None)),
        (&[0], Ok(Some((1, 1)))),
        (&[5], Ok(Some((1, 6)))),
        (&[0x80, 1], Ok(Some((2, 130)))),
        (&[0x80, 0x80, 4], Ok(Some((3, 3 + MAX_MESSAGE_BYTES)))),
        (&[0x81, 0x80, 4], Err(Malformed)),
        (&[0x80, 0], Err(Malformed)),
        (&[0x80, 0x80, 0x80, 1], Err(Malformed)),
        (&[0x80, 0x80, 0x80], Err(Malformed)),
    ] {
        assert_eq!(bounds(written), read, "{written:?}");
    }
}
