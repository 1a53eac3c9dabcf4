use libp2p::PeerId;

use super::{
    Kind, NetworkName, Rejected,
    codec::{self, Bytes, Text},
    revision::{MAX_CLOCK_SKEW_SECS, check_issued},
    signed::sealed::Wire,
    wire::{self, MessageWire, NetworkText},
};
use crate::{
    Error, Result,
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
        self.issued.saturating_add(Self::MAX_AGE_SECS)
    }
}

impl Wire for Message {
    const KIND: Kind = Kind::Message;

    fn network(&self) -> &NetworkName {
        &self.network
    }

    /// What an author says it signs itself: nobody speaks for another.
    const DELEGABLE: bool = false;

    fn owner(&self) -> &PeerId {
        &self.author
    }

    fn ext(&self) -> &[u8] {
        &self.ext
    }

    fn validate(&self, _origin: Origin) -> Result<()> {
        check_some_line(|| "topic".into(), &self.topic, Self::MAX_TOPIC_BYTES)?;
        let (size, max) = (self.data.len(), Self::MAX_DATA_BYTES);
        if size > max {
            return Err(Error::TooLarge { what: "data".into(), size, max });
        }
        Ok(())
    }

    fn check_time(&self, now: u64) -> Result<(), Rejected> {
        const { assert!(Self::MAX_AGE_SECS > MAX_CLOCK_SKEW_SECS) };
        check_issued(self.issued, now)?;
        let expires = self.expires();
        if now >= expires {
            return Err(Rejected::Expired { expires, now });
        }
        Ok(())
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(&MessageWire {
            network: NetworkText::of(self.network.as_str()),
            author: wire::key_of(&self.author)?,
            topic: Text::of(&self.topic),
            nonce: self.nonce,
            issued: self.issued,
            data: Bytes(&self.data),
            ext: Bytes(&self.ext),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let wire: MessageWire<'_> = codec::decode_strict(bytes)?;
        Ok(Self {
            network: wire.network.0.parse()?,
            author: wire::owner_of(&wire.author)?,
            topic: wire.topic.into_string(),
            nonce: wire.nonce,
            issued: wire.issued,
            data: wire.data.0.to_vec(),
            ext: wire.ext.0.to_vec(),
        })
    }
}
