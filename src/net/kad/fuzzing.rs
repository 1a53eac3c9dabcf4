//! What the fuzz target of the wire drives.

use std::sync::Arc;

use libp2p::PeerId;

use super::codec::{
    Asked, MAX_MESSAGE_BYTES, bounds, decode_request, decode_response, encode_request,
    encode_response,
};
use crate::engine::dht::message::{Contact, Request, Response, Value};

/// More than what is written besides what was read: how this node knows each contact, and a key that stands twice.
const SLACK: usize = 256;

/// Reads bytes as either side would: what is accepted says the same when it is written and read again.
pub(crate) fn message(bytes: &[u8]) {
    if let Ok(Some((start, end))) = bounds(bytes) {
        assert!(start <= 3 && end <= start + MAX_MESSAGE_BYTES);
        if let Some(message) = bytes.get(start..end) {
            body(message);
        }
    }
    body(bytes);
}

fn body(message: &[u8]) {
    if message.len() > MAX_MESSAGE_BYTES - SLACK {
        return;
    }
    if let Ok(Some(request)) = decode_request(message) {
        let frame = encode_request(&request);
        assert_eq!(decode_request(content(&frame)), Ok(Some(request.clone())), "a request");
        answer(message, &request);
    }
    for (_, request) in messages() {
        answer(message, &request);
    }
}

fn answer(message: &[u8], request: &Request) {
    if let Ok(response) = decode_response(message, request) {
        let frame = encode_response(&response, Asked::of(request));
        assert_eq!(decode_response(content(&frame), request), Ok(response), "an answer");
    }
}

fn content(frame: &[u8]) -> &[u8] {
    let bounds = bounds(frame).expect("a length").expect("all of the length");
    assert_eq!(bounds.1, frame.len());
    &frame[bounds.0..]
}

/// What is said in a network, as frames.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let pairs = messages();
    let requests = pairs.iter().map(|(_, request)| encode_request(request));
    let responses =
        pairs.iter().map(|(response, request)| encode_response(response, Asked::of(request)));
    requests.chain(responses).collect()
}

/// The same without their lengths.
pub(crate) fn bodies() -> Vec<Vec<u8>> {
    frames().iter().map(|frame| content(frame).to_vec()).collect()
}

fn messages() -> [(Response, Request); 6] {
    let key: Arc<[u8]> = Arc::from(&b"/pg/key"[..]);
    let value = Value { key: Arc::clone(&key), bytes: Arc::from(&b"a record"[..]) };
    let contact = |seed: u8, addresses: &[&str]| Contact {
        // The identity multihash of a key of Ed25519.
        peer: PeerId::from_bytes(&[&[0, 36, 8, 1, 18, 32][..], &[seed; 32]].concat())
            .expect("an identity"),
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
    };
    let peers = vec![
        contact(1, &["/ip4/8.8.8.8/tcp/4001", "/dns4/example.org/tcp/1"]),
        contact(2, &["/ip6/2606:4700::1/udp/1/quic-v1"]),
    ];
    let closer = || Response::Closer { peers: peers.clone().into() };
    let found = |value| Response::Found { value, closer: peers.clone().into() };
    [
        (closer(), Request::FindNode { key: Arc::clone(&key) }),
        (found(Some(value.clone())), Request::GetValue { key: Arc::clone(&key) }),
        (Response::Kept(Some(value.clone())), Request::PutValue(value.clone())),
        (Response::Kept(None), Request::PutValue(value)),
        (closer(), Request::GetProviders { key }),
        (Response::Pong, Request::Ping),
    ]
}
