//! What goes to peers and comes from them.

use serde::{Deserialize, Serialize};

/// What the streams with all peers have carried, by protocol, over whichever transport.
///
/// A stream belongs to the protocol that whoever opens it proposes first. Bytes are all that it carries, the negotiation of
/// its protocol included; what multiplexing, encryption and the operating system add is not among them. They count when
/// they are handed to the connection or read from it, and messages when all of their bytes have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrafficCounters {
    /// Kademlia: looking up and storing records, finding peers.
    pub dht: ProtocolCounters,
    /// gossipsub: announcements, and who listens to what.
    pub gossip: ProtocolCounters,
    /// What two nodes ask of each other: searches, comparisons of catalogues, greetings, goodbyes. A question is a message,
    /// and so is its answer.
    pub exchange: ProtocolCounters,
    /// What peers say of themselves when they connect, or when that changes.
    pub identify: ProtocolCounters,
    /// Streams of no protocol of this network, whatever strangers open. Of these bytes alone are counted: nobody knows
    /// where a message begins.
    pub other: ProtocolCounters,
}

/// What one protocol has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProtocolCounters {
    /// Messages that came from peers.
    pub messages_in: u64,
    /// Messages that went to peers.
    pub messages_out: u64,
    /// Bytes that came from peers.
    pub bytes_in: u64,
    /// Bytes that went to peers.
    pub bytes_out: u64,
}

impl TrafficCounters {
    /// Each protocol by its name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, ProtocolCounters); 5] {
        [
            ("dht", self.dht),
            ("gossip", self.gossip),
            ("exchange", self.exchange),
            ("identify", self.identify),
            ("other", self.other),
        ]
    }

    /// All protocols together.
    #[must_use]
    pub fn total(&self) -> ProtocolCounters {
        self.each().iter().fold(ProtocolCounters::default(), |sum, (_, of)| ProtocolCounters {
            messages_in: sum.messages_in + of.messages_in,
            messages_out: sum.messages_out + of.messages_out,
            bytes_in: sum.bytes_in + of.bytes_in,
            bytes_out: sum.bytes_out + of.bytes_out,
        })
    }
}

impl ProtocolCounters {
    /// Messages, by which way they went.
    #[must_use]
    pub fn messages(&self) -> [(&'static str, u64); 2] {
        [("in", self.messages_in), ("out", self.messages_out)]
    }

    /// Bytes, by which way they went.
    #[must_use]
    pub fn bytes(&self) -> [(&'static str, u64); 2] {
        [("in", self.bytes_in), ("out", self.bytes_out)]
    }
}
