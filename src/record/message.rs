use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    body::sealed::{Common, Wire},
    codec::{Bytes, Text},
    kind::Kind,
    limits::{MAX_CLOCK_SKEW_SECS, SizeLimit},
    network::NetworkName,
    rejected::Rejected,
    validity::Validity,
};
use crate::{
    error::Result,
    package::{Origin, text::check_some_line},
};

/// What an application says to whoever listens to a topic: signed, carried by gossip, not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who says it.
    pub author: PeerId,
    /// What it is about: 1 to 128 bytes of text on one line.
    pub topic: String,
    /// What tells it from others that the author sends with the same data in the same second.
    pub nonce: u64,
    /// When it was signed, in Unix seconds.
    pub issued: u64,
    /// What it says: at most 6,144 bytes, whose meaning is the application's.
    pub data: Vec<u8>,
    /// What later versions sign; at most 512 bytes.
    pub ext: Vec<u8>,
}

impl Message {
    /// The longest topic, in bytes.
    pub const MAX_TOPIC_BYTES: usize = 128;
    /// The most bytes of data.
    pub const MAX_DATA_BYTES: usize = 6 * 1024;
    /// From which age on a message is refused, in seconds: time to travel, and for the clocks of
    /// author and listener to differ.
    pub const MAX_AGE_SECS: u64 = 10 * 60;

    /// A message on a topic.
    #[must_use]
    pub fn new(
        network: NetworkName,
        author: PeerId,
        topic: impl Into<String>,
        nonce: u64,
        issued: u64,
        data: impl Into<Vec<u8>>,
    ) -> Self {
        let (topic, data) = (topic.into(), data.into());
        Self { network, author, topic, nonce, issued, data, ext: Vec::new() }
    }

    /// Unix seconds from which on everybody refuses it.
    pub(crate) fn expires(&self) -> u64 {
        self.age().expires
    }

    /// While it is believed.
    fn age(&self) -> Validity {
        const { assert!(Self::MAX_AGE_SECS > MAX_CLOCK_SKEW_SECS) };
        Validity::starting(self.issued, Self::MAX_AGE_SECS)
    }
}

/// What a message has of its own, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct MessageFields<'a> {
    #[serde(borrow)]
    topic: Text<'a, { Message::MAX_TOPIC_BYTES }>,
    nonce: u64,
    issued: u64,
    #[serde(borrow)]
    data: Bytes<'a, { Message::MAX_DATA_BYTES }>,
}

impl Wire for Message {
    const KIND: Kind = Kind::Message;

    /// What an author says it signs itself: nobody speaks for another.
    const DELEGABLE: bool = false;

    type Fields<'a> = MessageFields<'a>;

    fn common(&self) -> Common<'_> {
        Common { network: &self.network, owner: &self.author, ext: &self.ext }
    }

    fn to_fields(&self) -> Result<MessageFields<'_>> {
        let (topic, data) = (Text::of(&self.topic), Bytes(&self.data));
        Ok(MessageFields { topic, nonce: self.nonce, issued: self.issued, data })
    }

    fn from_fields(common: Common<'_>, fields: MessageFields<'_>) -> Result<Self, Rejected> {
        let MessageFields { topic, nonce, issued, data } = fields;
        let (network, author, ext) = common.owned();
        let (topic, data) = (topic.into_string(), data.0.to_vec());
        Ok(Self { network, author, topic, nonce, issued, data, ext })
    }

    fn validate(&self, _origin: Origin) -> Result<()> {
        check_some_line(|| "topic".into(), &self.topic, Self::MAX_TOPIC_BYTES)?;
        SizeLimit { what: "data", max: Self::MAX_DATA_BYTES }.check(self.data.len())
    }

    fn check_time(&self, now: u64) -> Result<(), Rejected> {
        self.age().check_now(now)
    }
}
