//! Kademlia's messages as bytes: [libp2p's `Message`], with the length as an [unsigned varint] in front.
//!
//! One message serves for requests and answers; its type says which fields count. Where a peer lists others, what cannot
//! be read is left out, so that a new kind of address spoils no answer. Everything else is as the specification has it, or
//! the message is refused. A record's `timeReceived`, and the `publisher` and `ttl` of rust-libp2p, are the word of
//! whoever sends it: nobody here asks for them.
//!
//! [libp2p's `Message`]: https://github.com/libp2p/specs/blob/master/kad-dht/README.md#rpc-messages
//! [unsigned varint]: https://github.com/multiformats/unsigned-varint

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::protobuf::{
    Field, Fields, Malformed, bytes_len, field_len, put_bytes, put_header, put_number, put_varint,
    varint_len,
};
use crate::{
    engine::dht::message::{Contact, Request, Response, Told, Value},
    exchange::MAX_ADDRESS_BYTES,
};

/// A message without the length in front. It is enough for a record of 20 KiB with twenty contacts of sixteen addresses.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Keys of records have 47 bytes here. Others look up peers, by identities of up to 66 bytes.
pub(super) const MAX_KEY_BYTES: usize = 128;

/// As many contacts as there are copies of a record.
pub(super) const MAX_CONTACTS: usize = 20;
pub(super) const MAX_ADDRESSES: usize = 16;

// `Message.MessageType`
const PUT_VALUE: u8 = 0;
const GET_VALUE: u8 = 1;
const ADD_PROVIDER: u8 = 2;
const GET_PROVIDERS: u8 = 3;
const FIND_NODE: u8 = 4;
const PING: u8 = 5;

/// `Message.ConnectionType`: that the sender was connected with the peer not long ago. That is how a contact gets into the
/// table. Readers do nothing with it.
const CAN_CONNECT: u8 = 2;

/// The fields of a message that count, to be written.
#[derive(Debug, Clone, Copy)]
struct Draft<'a> {
    kind: u8,
    key: &'a [u8],
    record: Option<&'a Value>,
    closer: &'a [Contact],
}

/// A request, and the length in front.
pub(super) fn encode_request(request: &Request) -> Vec<u8> {
    let draft = |kind, key| Draft { kind, key, record: None, closer: &[] };
    match request {
        Request::FindNode { key } => draft(FIND_NODE, key),
        Request::GetValue { key } => draft(GET_VALUE, key),
        Request::PutValue(value) => Draft { record: Some(value), ..draft(PUT_VALUE, &value.key) },
        Request::GetProviders { key } => draft(GET_PROVIDERS, key),
        Request::Ping => draft(PING, &[]),
    }
    .frame()
}

/// The answer to a request, and the length in front. Contacts that do not fit are left out, the last ones first.
pub(super) fn encode_response(response: &Response, asked: Asked) -> Vec<u8> {
    let draft = Draft { kind: asked.0, key: &[], record: None, closer: &[] };
    match response {
        Response::Closer { peers } => Draft { closer: &peers.read(), ..draft }.frame(),
        Response::Found { value, closer } => {
            Draft { record: value.as_ref(), closer: &closer.read(), ..draft }.frame()
        }
        Response::Kept(None) | Response::Pong => draft.frame(),
        Response::Kept(Some(value)) => {
            Draft { key: &value.key, record: Some(value), ..draft }.frame()
        }
    }
}

/// The type of a request, which is also that of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(u8);

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        Self(match request {
            Request::FindNode { .. } => FIND_NODE,
            Request::GetValue { .. } => GET_VALUE,
            Request::PutValue(_) => PUT_VALUE,
            Request::GetProviders { .. } => GET_PROVIDERS,
            Request::Ping => PING,
        })
    }
}

impl Draft<'_> {
    fn frame(self) -> Vec<u8> {
        let (closer, len) = self.fitting();
        let mut out = Vec::with_capacity(varint_len(len) + len);
        put_varint(&mut out, len);
        if self.writes_kind() {
            put_number(&mut out, 1, self.kind);
        }
        put_bytes(&mut out, 2, self.key);
        if let Some(record) = self.record {
            put_header(&mut out, 3, record_len(record));
            put_bytes(&mut out, 1, &record.key);
            put_bytes(&mut out, 2, &record.bytes);
        }
        for contact in closer {
            put_header(&mut out, 8, contact_len(contact));
            put_contact(&mut out, contact);
        }
        out
    }

    /// A type of zero goes without saying, but a message of no bytes looks like the end of a stream to some.
    fn writes_kind(&self) -> bool {
        self.kind != PUT_VALUE || self.record.is_none()
    }

    /// The contacts that are written, and the length of the message with them.
    fn fitting(&self) -> (&[Contact], usize) {
        let mut len = if self.writes_kind() { 2 } else { 0 };
        len += bytes_len(self.key);
        len += self.record.map_or(0, |record| field_len(record_len(record)));
        let mut count = 0;
        for contact in self.closer.iter().take(MAX_CONTACTS) {
            let more = len + field_len(contact_len(contact));
            if more > MAX_MESSAGE_BYTES {
                break;
            }
            (count, len) = (count + 1, more);
        }
        (self.closer.get(..count).unwrap_or_default(), len)
    }
}

fn record_len(record: &Value) -> usize {
    bytes_len(&record.key) + bytes_len(&record.bytes)
}

/// The addresses of a contact that are written.
fn told(contact: &Contact) -> impl Iterator<Item = &Multiaddr> {
    let fits = |address: &&Multiaddr| (1..=MAX_ADDRESS_BYTES).contains(&address.len());
    contact.addresses.iter().filter(fits).take(MAX_ADDRESSES)
}

fn contact_len(contact: &Contact) -> usize {
    let addresses: usize = told(contact).map(|address| field_len(address.len())).sum();
    field_len(contact.peer.as_ref().encoded_len()) + addresses + 2
}

fn put_contact(out: &mut Vec<u8>, contact: &Contact) {
    let id = contact.peer.as_ref();
    put_header(out, 1, id.encoded_len());
    let written = id.write(&mut *out);
    debug_assert!(written.is_ok(), "memory takes every byte");
    for address in told(contact) {
        put_bytes(out, 2, address.as_ref());
    }
    put_number(out, 3, CAN_CONNECT);
}

/// The fields of a message that count, as they were read.
#[derive(Debug, Default)]
struct Parsed<'a> {
    kind: u64,
    key: &'a [u8],
    record: Option<Record<'a>>,
}

#[derive(Debug, Default)]
struct Record<'a> {
    key: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Shows what stands for a contact to `contact`.
    fn read(message: &'a [u8], mut contact: impl FnMut(&'a [u8])) -> Result<Self, Malformed> {
        let mut parsed = Self::default();
        // Of a field that stands there twice the last one counts, and parts of a message are put together.
        for field in Fields::of(message) {
            match field? {
                (1, Field::Varint(kind)) => parsed.kind = kind,
                (2, Field::Bytes(key)) => parsed.key = key,
                (3, Field::Bytes(record)) => parsed.record.get_or_insert_default().merge(record)?,
                (8, Field::Bytes(bytes)) => contact(bytes),
                (1..=3 | 8, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(parsed)
    }

    fn is(&self, kind: u8) -> bool {
        self.kind == u64::from(kind)
    }
}

impl<'a> Record<'a> {
    fn merge(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(key)) => self.key = key,
                (2, Field::Bytes(bytes)) => self.bytes = bytes,
                (1 | 2, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(())
    }

    fn is(&self, value: &Value) -> bool {
        self.key == &*value.key && self.bytes == &*value.bytes
    }
}

/// A key that somebody asks for.
fn key(bytes: &[u8]) -> Result<Arc<[u8]>, Malformed> {
    let fits = (1..=MAX_KEY_BYTES).contains(&bytes.len());
    fits.then(|| Arc::from(bytes)).ok_or(Malformed)
}

/// Reads a request, without the length. Of one that wants no answer nothing is left: somebody says that it provides a key.
pub(super) fn decode_request(message: &[u8]) -> Result<Option<Request>, Malformed> {
    let parsed = Parsed::read(message, |_| {})?;
    let kind = u8::try_from(parsed.kind).map_err(|_| Malformed)?;
    Ok(Some(match kind {
        PUT_VALUE => {
            let record = parsed.record.ok_or(Malformed)?;
            if !parsed.key.is_empty() && parsed.key != record.key {
                return Err(Malformed);
            }
            Request::PutValue(Value { key: key(record.key)?, bytes: record.bytes.into() })
        }
        GET_VALUE => Request::GetValue { key: key(parsed.key)? },
        GET_PROVIDERS => Request::GetProviders { key: key(parsed.key)? },
        FIND_NODE => Request::FindNode { key: key(parsed.key)? },
        PING => Request::Ping,
        ADD_PROVIDER => return Ok(None),
        _ => return Err(Malformed),
    }))
}

/// Reads the answer to a request, without the length. It is of the request's type, and about its key.
pub(super) fn decode_response(message: &[u8], request: &Request) -> Result<Response, Malformed> {
    let mut contacts = Vec::new();
    let parsed = Parsed::read(message, |bytes| {
        if contacts.is_empty() {
            // They are most of a message that has any.
            contacts.reserve_exact(message.len());
        }
        put_bytes(&mut contacts, 8, bytes);
    })?;
    let closer = Told::unread(move || read_contacts(&contacts));
    if !parsed.is(Asked::of(request).0) {
        return Err(Malformed);
    }
    Ok(match request {
        Request::FindNode { .. } | Request::GetProviders { .. } => {
            Response::Closer { peers: closer }
        }
        Request::GetValue { key } => Response::Found { value: found(parsed.record, key)?, closer },
        // What was kept is what was sent, or it is something else.
        Request::PutValue(sent) => {
            let is_kept = parsed.record.is_some_and(|record| record.is(sent));
            Response::Kept(is_kept.then(|| sent.clone()))
        }
        Request::Ping => Response::Pong,
    })
}

fn found(record: Option<Record<'_>>, asked: &Arc<[u8]>) -> Result<Option<Value>, Malformed> {
    match record {
        None | Some(Record { key: [], bytes: [] }) => Ok(None),
        Some(Record { key, bytes }) if *key == **asked => {
            Ok(Some(Value { key: Arc::clone(asked), bytes: bytes.into() }))
        }
        Some(_) => Err(Malformed),
    }
}

/// The first of these contacts that can be read.
fn read_contacts(fields: &[u8]) -> Vec<Contact> {
    let contacts = Fields::of(fields).filter_map(|field| match field {
        Ok((8, Field::Bytes(bytes))) => contact(bytes),
        _ => None,
    });
    contacts.take(MAX_CONTACTS).collect()
}

/// A contact in a list, if it can be read.
fn contact(message: &[u8]) -> Option<Contact> {
    let mut id = None;
    for field in Fields::of(message) {
        match field.ok()? {
            (1, Field::Bytes(bytes)) => id = Some(bytes),
            (1 | 2, Field::Varint(_) | Field::Fixed) => return None,
            _ => {}
        }
    }
    let peer = PeerId::from_bytes(id?).ok()?;
    let addresses = Fields::of(message).filter_map(|field| match field {
        Ok((2, Field::Bytes(bytes))) => address(bytes, peer),
        _ => None,
    });
    Some(Contact { peer, addresses: addresses.take(MAX_ADDRESSES).collect() })
}

/// Where a peer is, if it can be read. Some write whom one meets there, which is known: one address is one value, however
/// it was written.
fn address(bytes: &[u8], peer: PeerId) -> Option<Multiaddr> {
    // The identity at the end takes at most 70.
    if bytes.len() > 2 * MAX_ADDRESS_BYTES {
        return None;
    }
    let mut address = Multiaddr::try_from(bytes.to_vec()).ok()?;
    // To find the last part is to read all of them. Most addresses name nobody.
    while names_somebody(&address)
        && let Some(Protocol::P2p(named)) = address.iter().last()
    {
        if named != peer {
            return None;
        }
        address.pop();
    }
    (1..=MAX_ADDRESS_BYTES).contains(&address.len()).then_some(address)
}

/// Whether an address may have a part that says who is there: the code of such a part stands in it.
fn names_somebody(address: &Multiaddr) -> bool {
    const CODE_OF_P2P: [u8; 2] = [0xa5, 0x03];
    address.as_ref().windows(2).any(|two| two == CODE_OF_P2P)
}

/// Where the first message ends in what has come, and where it begins behind its length, if its length has come.
///
/// The length has as few bytes as can be, as the specification of unsigned varints demands.
pub(super) fn bounds(received: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut len = 0;
    for (index, byte) in received.iter().enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        let is_last = byte & 0x80 == 0;
        if len > MAX_MESSAGE_BYTES || (is_last && index > 0 && *byte == 0) {
            return Err(Malformed);
        }
        if is_last {
            let start = index + 1;
            return Ok(Some((start, start + len)));
        }
        if index == 2 {
            return Err(Malformed);
        }
    }
    Ok(None)
}
