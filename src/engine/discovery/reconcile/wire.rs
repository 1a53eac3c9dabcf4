//! The two messages of a comparison, as they are written.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    MAX_MESSAGE_BYTES, Malformed,
    items::{Fingerprint, Item},
};
use crate::{
    package::Digest,
    record::codec::{self, List},
};

/// The most segments of a question, and so the most replies.
pub(super) const MAX_SEGMENTS: usize = 4096;
/// The most digests of one list: what a message holds.
const MAX_LISTED: usize = MAX_MESSAGE_BYTES / 32;

/// What the initiator sends: segments that follow each other, from the first position on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) salt: u64,
    pub(super) segments: List<Segment, MAX_SEGMENTS>,
}

/// A range from where the segment before it ends.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Segment {
    /// Nothing is asked of it.
    Skip(Bound),
    /// What the initiator's items in it amount to.
    Print(Bound, Fingerprint),
    /// The initiator's items in it.
    List(Bound, Digests),
}

/// What the responder sends: a reply to each segment that is not skipped, in order, and as many as fit.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) replies: List<Reply, MAX_SEGMENTS>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The fingerprint is the responder's as well.
    Same,
    /// What the responder has in the segment, which the parts cover from its beginning on. Where they do not reach
    /// its end, the rest did not fit.
    Parts(List<Part, MAX_SEGMENTS>),
    /// To a list: which of it the responder lacks, a bit for each, lowest first, and what else it has.
    Difference { lacks: List<u8, { MAX_LISTED / 8 + 1 }>, more: Digests },
}

/// A range from where the part before it ends.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Print(Bound, Fingerprint),
    List(Bound, Digests),
}

pub(super) type Digests = List<[u8; 32], MAX_LISTED>;

/// Where a range ends: how many seconds after the bound before it, and as much of a digest as is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    after: u64,
    prefix: Prefix,
}

impl Bound {
    /// `lower` is not above `upper`.
    pub(super) fn of(lower: &Item, upper: &Item) -> Self {
        let after = upper.issued.saturating_sub(lower.issued);
        Self { after, prefix: Prefix(*upper.digest.as_bytes()) }
    }

    /// Where it is, which is above `lower`.
    pub(super) fn upper(&self, lower: &Item) -> Result<Item, Malformed> {
        let issued = lower.issued.checked_add(self.after).ok_or(Malformed)?;
        let upper = Item::new(issued, Digest::from_bytes(self.prefix.0));
        if upper <= *lower || upper > Item::END { Err(Malformed) } else { Ok(upper) }
    }
}

/// A digest of which the zeros at the end are not written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Prefix([u8; 32]);

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let length = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1);
        serializer.serialize_bytes(self.0.get(..length).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        if bytes.len() > 32 || bytes.last() == Some(&0) {
            return Err(D::Error::custom("not the beginning of a digest"));
        }
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Ok(Self(digest))
    }
}

pub(super) fn decode<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<T, Malformed> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Malformed);
    }
    codec::decode_strict(bytes).map_err(|_| Malformed)
}

pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    // There is nothing in a message that postcard cannot write.
    codec::encode(message).unwrap_or_default()
}

pub(super) fn size(part: &impl Serialize) -> usize {
    codec::size(part).unwrap_or(MAX_MESSAGE_BYTES)
}

pub(super) fn digests(items: &[Item]) -> Digests {
    List(items.iter().map(|item| *item.digest.as_bytes()).collect())
}
