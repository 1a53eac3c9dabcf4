//! The proof that an owner has told two stories.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use libp2p::PeerId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    codec::{self, Bytes},
    head::Head,
    kind::{framed, unframed},
    limits::MAX_RECORD_BYTES,
    network::NetworkName,
    rejected::Rejected,
    revision::Revision,
    select::kept,
    signed::Signed,
    unproven::Unproven,
};
use crate::package::PackageName;

/// The second byte of a proof, where a record has its kind. No record is of this kind.
const KIND: u8 = 0x41;

/// Two different heads of one package and one revision, both validly signed: the proof, for anybody and at any time,
/// that their owner, or those whom it has delegated, signed two histories.
///
/// Written down, it is `format u8 = 1 · 0x41`, and then as postcard the two heads as bytes, that with the lower digest
/// first. As text, such as in the JSON of an event, it is that in unpadded base64url.
///
/// It does not say who is to blame: a thief of the key, a node that was restored from a backup and signed on, or two
/// nodes that publish one package with the same key.
#[derive(Clone, PartialEq, Eq)]
pub struct EquivocationProof {
    lower: Signed<Head>,
    higher: Signed<Head>,
}

type Envelope<'a> = Bytes<'a, MAX_RECORD_BYTES>;

#[derive(Debug, Serialize, Deserialize)]
struct ProofWire<'a> {
    #[serde(borrow)]
    lower: Envelope<'a>,
    #[serde(borrow)]
    higher: Envelope<'a>,
}

impl EquivocationProof {
    /// The most bytes of a proof.
    pub const MAX_BYTES: usize = 2 + 2 * (2 + MAX_RECORD_BYTES);

    /// The proof that these two heads are, in whichever order.
    ///
    /// # Errors
    ///
    /// [`Rejected::Proof`] when they are of different packages or revisions, or say the same.
    pub fn new(a: &Signed<Head>, b: &Signed<Head>) -> Result<Self, Rejected> {
        let rejected = |reason| Err(Rejected::Proof { reason });
        if (&a.network, &a.owner, &a.name) != (&b.network, &b.owner, &b.name) {
            return rejected("they are of different packages");
        }
        if a.revision != b.revision {
            return rejected("they are of different revisions");
        }
        let (lower, higher) = if a.digest() <= b.digest() { (a, b) } else { (b, a) };
        if lower.digest() == higher.digest() {
            return rejected("they say the same");
        }
        Ok(Self { lower: lower.clone(), higher: higher.clone() })
    }

    /// Verifies the bytes of a proof. They prove what they say whatever the time, and whatever has been seen: heads
    /// that have expired and publishers who have been replaced were signed all the same.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says which check failed: of the frame, of one of the heads, or of what the two are together.
    pub fn verify(network: &NetworkName, bytes: &[u8]) -> Result<Self, Rejected> {
        let [lower, higher] = Self::open(bytes)?;
        Self::prove(lower.check_network(network)?, higher.check_network(network)?)
    }

    /// As [`verify`](Self::verify), of whichever network.
    fn verify_any(bytes: &[u8]) -> Result<Self, Rejected> {
        let [lower, higher] = Self::open(bytes)?;
        Self::prove(lower, higher)
    }

    fn open(bytes: &[u8]) -> Result<[Unproven<'_, Head>; 2], Rejected> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(Rejected::TooLarge { size: bytes.len() });
        }
        let body = unframed(KIND, bytes, "too few bytes for a proof")?;
        let wire: ProofWire<'_> = codec::decode_strict(body)?;
        Ok([Unproven::open(wire.lower.0)?, Unproven::open(wire.higher.0)?])
    }

    fn prove(lower: Unproven<'_, Head>, higher: Unproven<'_, Head>) -> Result<Self, Rejected> {
        if lower.digest() >= higher.digest() {
            return Err(Rejected::Proof { reason: "they say the same, or are not in order" });
        }
        let prove = |head: Unproven<'_, Head>| head.check_lifetime()?.check_signer()?.prove(None);
        Self::new(&prove(lower)?, &prove(higher)?)
    }

    /// The proof as bytes, to be shown to others.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (lower, higher) = (Bytes(self.lower.bytes()), Bytes(self.higher.bytes()));
        framed(KIND, Some(ProofWire { lower, higher }))
    }

    /// Whose package it is.
    #[must_use]
    pub fn owner(&self) -> &PeerId {
        &self.lower.owner
    }

    /// The package's name.
    #[must_use]
    pub fn name(&self) -> &PackageName {
        &self.lower.name
    }

    /// The revision that both heads have.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.lower.revision
    }

    /// The head that everybody keeps: the one that [`select`](super::select) chooses. A tombstone is kept before a live
    /// head, and otherwise the lower digest decides.
    #[must_use]
    pub fn kept(&self) -> &Signed<Head> {
        kept(&self.lower, &self.higher)
    }

    /// The other head, which nobody keeps who has seen both.
    #[must_use]
    pub fn dropped(&self) -> &Signed<Head> {
        if self.kept().digest() == self.lower.digest() { &self.higher } else { &self.lower }
    }
}

impl fmt::Debug for EquivocationProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EquivocationProof")
            .field("owner", self.owner())
            .field("name", self.name())
            .field("revision", &self.revision())
            .field("digests", &[self.lower.digest(), self.higher.digest()])
            .finish()
    }
}

impl Serialize for EquivocationProof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64URL_NOPAD.encode_display(&self.to_bytes()))
    }
}

/// What is read has been verified.
impl<'de> Deserialize<'de> for EquivocationProof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        Self::verify_any(&bytes).map_err(D::Error::custom)
    }
}
