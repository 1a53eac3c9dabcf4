//! What stands in the packets of multicast DNS (RFC 6762) that the libp2p specification of mDNS discovery describes.
//!
//! These functions only read and write. A packet comes from anybody on the network: whatever is no such packet, or has more
//! in it than the bounds below, reads as nothing.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use simple_dns::{
    CLASS, Name, OPCODE, Packet as Dns, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord,
    TYPE,
    rdata::{PTR, RData, TXT},
};

use crate::place::named_peer;

#[cfg(test)]
mod tests;

/// Peers answer for this service.
const SERVICE: &str = "_p2p._udp.local";

/// The service of which all services are instances (RFC 6763, section 9): administrators' tools ask for it.
const SERVICES: &str = "_services._dns-sd._udp.local";

/// The key of a TXT string that holds an address.
const ADDRESS_KEY: &str = "dnsaddr";

/// No packet may be longer (RFC 6762, section 17).
pub(crate) const MAX_PACKET_BYTES: usize = 9000;

/// A packet with more questions and records in all is not read.
pub(crate) const MAX_RECORDS: u32 = 128;

/// So many peers are read from one packet. A peer answers for itself alone.
pub(crate) const MAX_PEERS: usize = 4;

/// So many addresses of a peer are read from one packet, and so many are written.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// A packet that is written fits into one frame of Ethernet, behind the headers of IPv6 and UDP.
pub(crate) const MAX_WRITTEN_BYTES: usize = 1452;

/// As long as a string of a TXT record may be.
const MAX_TEXT_BYTES: usize = 255;

/// What an answer takes beside its addresses: the header, both pointers, and the longest peer name.
const ANSWER_BYTES: usize = 200;

/// What an address takes beside its text: a compressed name, type, class, time to live and two lengths.
const ADDRESS_OVERHEAD: usize = 13;

/// What a packet says, as far as it is about peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// Somebody asks.
    Query { id: u16, asked: Asked },
    /// Somebody says where peers are.
    Answer(Vec<Told>),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Peers.
    Peers,
    /// The services of the network, of which peers are one.
    Services,
    Both,
}

impl Asked {
    /// What is asked for by two questions.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// Where a peer says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) peer: PeerId,
    /// Without the peer at their end. At least one.
    pub(crate) addresses: Vec<Multiaddr>,
    /// For how long that holds, in whole seconds. Zero takes it back.
    pub(crate) ttl: Duration,
}

/// Reads a packet. `None` if it is not one, is too large, or is about other things.
pub(crate) fn read(bytes: &[u8]) -> Option<Packet> {
    if bytes.len() > MAX_PACKET_BYTES || records(bytes)? > MAX_RECORDS {
        return None;
    }
    let packet = Dns::parse(bytes).ok()?;
    // RFC 6762, sections 18.3 and 18.11.
    if packet.opcode() != OPCODE::StandardQuery || packet.rcode() != RCODE::NoError {
        return None;
    }
    if packet.has_flags(PacketFlag::RESPONSE) {
        let told = read_answer(&packet);
        return (!told.is_empty()).then_some(Packet::Answer(told));
    }
    let asked = packet.questions.iter().filter_map(asked_by).reduce(Asked::and)?;
    Some(Packet::Query { id: packet.id(), asked })
}

/// How many questions and records the header announces. Room is set aside for all of them before they are read.
fn records(bytes: &[u8]) -> Option<u32> {
    let (counts, _) = bytes.get(4..12)?.as_chunks();
    Some(counts.iter().map(|count| u32::from(u16::from_be_bytes(*count))).sum())
}

fn asked_by(question: &Question<'_>) -> Option<Asked> {
    let is_pointer = matches!(question.qtype, QTYPE::TYPE(TYPE::PTR) | QTYPE::ANY);
    let is_internet = matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY);
    if !is_pointer || !is_internet {
        None
    } else if question.qname == Name::new_unchecked(SERVICE) {
        Some(Asked::Peers)
    } else if question.qname == Name::new_unchecked(SERVICES) {
        Some(Asked::Services)
    } else {
        None
    }
}

fn read_answer(packet: &Dns<'_>) -> Vec<Told> {
    let service = Name::new_unchecked(SERVICE);
    let pointers = packet.answers.iter().filter(|record| record.name == service);
    let pointers = pointers.filter_map(|record| match &record.rdata {
        RData::PTR(PTR(name)) => Some((name, record.ttl)),
        _ => None,
    });
    pointers.take(MAX_PEERS).filter_map(|(name, ttl)| read_peer(packet, name, ttl)).collect()
}

/// Reads the peer of that name. Whoever has written the first address has written the others, so those of another peer are
/// left out.
fn read_peer(packet: &Dns<'_>, name: &Name<'_>, ttl: u32) -> Option<Told> {
    let records = packet.additional_records.iter().chain(&packet.answers);
    let mut told: Option<Told> = None;
    for record in records.filter(|record| record.name == *name) {
        let RData::TXT(txt) = &record.rdata else { continue };
        let ttl = Duration::from_secs(u64::from(ttl.min(record.ttl)));
        for (peer, address) in txt.iter_raw().filter_map(read_address) {
            let told = told.get_or_insert(Told { peer, addresses: Vec::new(), ttl });
            let has_room = told.addresses.len() < MAX_ADDRESSES;
            if told.peer == peer && has_room && !told.addresses.contains(&address) {
                told.addresses.push(address);
                told.ttl = told.ttl.min(ttl);
            }
        }
    }
    told
}

fn read_address((key, value): (&[u8], Option<&[u8]>)) -> Option<(PeerId, Multiaddr)> {
    if !key.eq_ignore_ascii_case(ADDRESS_KEY.as_bytes()) {
        return None;
    }
    let mut address: Multiaddr = str::from_utf8(value?).ok()?.parse().ok()?;
    let peer = named_peer(&address)?;
    address.pop();
    (!address.is_empty()).then_some((peer, address))
}

/// Asks for peers. `None` does not occur: what is written fits.
pub(crate) fn query(id: u16) -> Option<Vec<u8>> {
    let mut packet = Dns::new_query(id);
    let (qtype, qclass) = (TYPE::PTR.into(), CLASS::IN.into());
    packet.questions.push(Question::new(Name::new_unchecked(SERVICE), qtype, qclass, false));
    packet.build_bytes_vec().ok()
}

/// Says that a peer is there, under a name of one label. One packet, or more if the addresses do not fit into one. An
/// address whose text is longer than 255 bytes cannot be written and is left out; without any there is nothing to say.
pub(crate) fn answer(
    asked: Asked,
    name: &str,
    peer: PeerId,
    addresses: &[Multiaddr],
    ttl: Duration,
) -> Vec<Vec<u8>> {
    let texts = addresses.iter().map(|address| format!("{ADDRESS_KEY}={address}/p2p/{peer}"));
    let texts = texts.filter(|text| text.len() <= MAX_TEXT_BYTES).take(MAX_ADDRESSES);
    let texts: Vec<String> = texts.collect();
    let ttl = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
    let mut packets = Vec::new();
    let mut rest = texts.as_slice();
    while !rest.is_empty() {
        let (some, others) = rest.split_at(that_fit(rest));
        packets.extend(answer_with(asked, name, some, ttl));
        rest = others;
    }
    packets
}

/// How many of these texts fit into a packet: at least one, by its own bound.
fn that_fit(texts: &[String]) -> usize {
    let mut bytes = ANSWER_BYTES;
    let fit = texts.iter().take_while(|text| {
        bytes += text.len() + ADDRESS_OVERHEAD;
        bytes <= MAX_WRITTEN_BYTES
    });
    fit.count().max(1)
}

fn answer_with(asked: Asked, name: &str, texts: &[String], ttl: u32) -> Option<Vec<u8>> {
    let name = format!("{name}.{SERVICE}");
    let name = Name::new(&name).ok()?;
    let pointer = |from: &'static str, to: Name<'_>| {
        let to = RData::PTR(PTR(to.into_owned()));
        ResourceRecord::new(Name::new_unchecked(from), CLASS::IN, ttl, to)
    };
    let mut packet = Dns::new_reply(0);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    if asked != Asked::Peers {
        packet.answers.push(pointer(SERVICES, Name::new_unchecked(SERVICE)));
    }
    packet.answers.push(pointer(SERVICE, name.clone()));
    for text in texts {
        let txt = RData::TXT(TXT::new().with_string(text).ok()?);
        packet.additional_records.push(ResourceRecord::new(name.clone(), CLASS::IN, ttl, txt));
    }
    packet.build_bytes_vec_compressed().ok()
}
