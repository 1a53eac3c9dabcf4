//! As much of the protocol buffers as peers need that speak by hand.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use peerage::{Multiaddr, PeerId};

/// Kademlia's types of messages, as far as they are told apart.
pub(crate) const PUT_VALUE: u8 = 0;
/// See [`PUT_VALUE`].
pub(crate) const GET_VALUE: u8 = 1;

pub(crate) fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn bytes(message: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(message, field << 3 | 2);
    varint(message, value.len() as u64);
    message.extend(value);
}

fn number(message: &mut Vec<u8>, field: u64, value: u64) {
    varint(message, field << 3);
    varint(message, value);
}

/// Whether this answer to a request to store something says what was stored. A refusal names nothing.
pub(crate) fn acknowledges(answer: &[u8]) -> bool {
    field(answer, 3).is_some()
}

/// Kademlia's `PUT_VALUE`.
pub(crate) fn put(key: &[u8], value: &[u8], publisher: Option<PeerId>) -> Vec<u8> {
    let mut record = Vec::with_capacity(value.len() + key.len() + 64);
    bytes(&mut record, 1, key);
    bytes(&mut record, 2, value);
    if let Some(publisher) = publisher {
        bytes(&mut record, 666, &publisher.to_bytes());
    }
    let mut message = Vec::with_capacity(record.len() + key.len() + 16);
    number(&mut message, 1, PUT_VALUE.into());
    bytes(&mut message, 2, key);
    bytes(&mut message, 3, &record);
    message
}

/// Kademlia's `GET_VALUE`.
pub(crate) fn get(key: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    number(&mut message, 1, GET_VALUE.into());
    bytes(&mut message, 2, key);
    message
}

/// What is answered to `GET_VALUE` and `FIND_NODE`: a record, and where somebody is who is closer.
pub(crate) fn answer(
    kind: u8,
    record: Option<(&[u8], &[u8])>,
    closer: Option<&(PeerId, Multiaddr)>,
) -> Vec<u8> {
    let mut message = Vec::new();
    number(&mut message, 1, kind.into());
    if let Some((key, value)) = record {
        let mut record = Vec::new();
        bytes(&mut record, 1, key);
        bytes(&mut record, 2, value);
        bytes(&mut message, 3, &record);
    }
    if let Some((peer, address)) = closer {
        let mut contact = Vec::new();
        bytes(&mut contact, 1, &peer.to_bytes());
        bytes(&mut contact, 2, &address.to_vec());
        bytes(&mut message, 8, &contact);
    }
    message
}

/// A gossip frame that subscribes to a topic.
pub(crate) fn subscription(topic: &str) -> Vec<u8> {
    let (mut option, mut frame) = (Vec::new(), Vec::new());
    number(&mut option, 1, 1);
    bytes(&mut option, 2, topic.as_bytes());
    bytes(&mut frame, 1, &option);
    frame
}

/// A gossip frame that carries a message.
pub(crate) fn publication(topic: &str, data: &[u8]) -> Vec<u8> {
    let (mut message, mut frame) = (Vec::new(), Vec::new());
    bytes(&mut message, 2, data);
    bytes(&mut message, 4, topic.as_bytes());
    bytes(&mut frame, 2, &message);
    frame
}

/// The first field of this number in a message that an honest peer has written, if it holds bytes.
pub(crate) fn field(message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        match tag & 7 {
            0 => drop(read_varint(&mut rest)?),
            2 => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                let (value, after) = rest.split_at_checked(length)?;
                if tag >> 3 == wanted {
                    return Some(value);
                }
                rest = after;
            }
            _ => return None,
        }
    }
    None
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
