//! The envelope around a body, and its signature.

use libp2p::identity::{Keypair, ed25519};

use super::{NetworkName, Rejected, proven::Proven};
use crate::{Error, Result, package::Digest};

/// The most bytes of a record, envelope and all.
pub const MAX_RECORD_BYTES: usize = 8192;

/// The format that is written, the only one that is read.
pub const FORMAT: u8 = 1;

/// What an envelope adds to a body, in bytes.
pub(super) const OVERHEAD: usize = 1 + 1 + 32 + 64;

/// The most bytes of a body.
pub(super) const MAX_BODY_BYTES: usize = MAX_RECORD_BYTES - OVERHEAD;

const DOMAIN: &[u8] = b"peerage-record-v1";

/// What a record is: the second byte of its bytes, and part of what is signed and of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// The head of a package: [`Head`](super::Head).
    Head = 1,
    /// A release: [`Release`](super::Release).
    Release = 2,
    /// A page of a list of releases: [`Page`](super::Page).
    Page = 3,
    /// One owner's claim to a name: [`Claim`](super::Claim). The DHT holds sets of them.
    Claim = 4,
    /// A message of an application: [`Message`](super::Message). It is never in the DHT.
    Message = 5,
    /// What a peer tells of itself to whom it is connected to: [`Hello`](super::Hello). It is never in the DHT.
    Hello = 6,
    /// The claims to a name, which are signed each by itself: [`ClaimSet`](super::ClaimSet).
    ClaimSet = 0x40,
}

impl Kind {
    /// Reads the format and the kind from the first two bytes of a record.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Rejected> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Rejected::TooLarge { size: bytes.len() });
        }
        match *bytes {
            [FORMAT, found, ..] => match found {
                1 => Ok(Self::Head),
                2 => Ok(Self::Release),
                3 => Ok(Self::Page),
                4 => Ok(Self::Claim),
                5 => Ok(Self::Message),
                6 => Ok(Self::Hello),
                0x40 => Ok(Self::ClaimSet),
                _ => Err(Rejected::Kind { found }),
            },
            [found, _, ..] => Err(Rejected::Format { found }),
            _ => Err(Rejected::encoding("too few bytes for a record")),
        }
    }
}

/// The parts of an envelope, of which nothing has been proven.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) signer: &'a [u8; 32],
    pub(super) body: &'a [u8],
    signature: &'a [u8; 64],
}

impl<'a> Envelope<'a> {
    /// Takes apart the bytes of a record of this kind.
    pub(super) fn parse(kind: Kind, bytes: &'a [u8]) -> Result<Self, Rejected> {
        let found = Kind::of(bytes)?;
        if found != kind {
            return Err(Rejected::kind(found));
        }
        bytes
            .split_first_chunk::<2>()
            .and_then(|(_, rest)| rest.split_first_chunk::<32>())
            .and_then(|(signer, rest)| {
                let (body, signature) = rest.split_last_chunk::<64>()?;
                Some(Self { signer, body, signature })
            })
            .ok_or(Rejected::encoding("too few bytes for an envelope"))
    }

    /// Verifies the signature: the last check, since it is the most costly one. `digest` is the body's, and
    /// `network` is what the body names.
    pub(super) fn prove(
        &self,
        network: &NetworkName,
        kind: Kind,
        digest: &Digest,
        proven: Option<&mut Proven>,
    ) -> Result<(), Rejected> {
        let message = || to_be_signed(network, kind, self.body);
        match proven {
            Some(proven) => {
                let parts = [&[kind as u8], &self.signer[..], self.signature, digest.as_bytes()];
                proven.verify(&parts, self.signer, message, self.signature)
            }
            None => verify(&key_of(self.signer)?, &message(), self.signature),
        }
    }
}

/// Verifies a signature.
///
/// The verification below, that of ed25519-dalek without its `legacy_compatibility`, recomputes R and compares
/// its bytes, and refuses an S that is not reduced: a signature cannot be altered into another valid one (RFC 8032,
/// section 5.1.7). What it lets through, since it is not the strict variant, are public keys of small order and keys
/// whose encoding is not canonical. With the former anybody can sign anything, so [`key_of`] refuses both.
pub(super) fn verify(
    key: &ed25519::PublicKey,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), Rejected> {
    if !key.verify(message, signature) {
        return Err(Rejected::Signature);
    }
    Ok(())
}

/// A key to [`verify`] with, unless it is none, or one that anybody can sign with.
pub(super) fn key_of(bytes: &[u8; 32]) -> Result<ed25519::PublicKey, Rejected> {
    if is_weak_key(bytes) {
        return Err(Rejected::Signer);
    }
    ed25519::PublicKey::try_from_bytes(bytes).map_err(|_| Rejected::Signer)
}

/// Signs with a key pair, which must be Ed25519.
pub(super) fn sign(keypair: &Keypair, message: &[u8]) -> Result<[u8; 64]> {
    let signature = ed25519_of(keypair)?.sign(message);
    signature.try_into().map_err(|_| Error::invalid("keypair", "makes no signatures of 64 bytes"))
}

fn ed25519_of(keypair: &Keypair) -> Result<ed25519::Keypair> {
    keypair.clone().try_into_ed25519().map_err(|error| {
        Error::invalid("keypair", format!("is not an Ed25519 one, which is accepted ({error})"))
    })
}

/// Signs a body and puts it into its envelope.
pub(super) fn seal(
    keypair: &Keypair,
    network: &NetworkName,
    kind: Kind,
    body: &[u8],
) -> Result<Vec<u8>> {
    let keypair = ed25519_of(keypair)?;
    let signature = keypair.sign(&to_be_signed(network, kind, body));
    Ok([&[FORMAT, kind as u8], &keypair.public().to_bytes()[..], body, &signature].concat())
}

fn to_be_signed(network: &NetworkName, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut message = domain(DOMAIN, network, 1 + body.len());
    message.push(kind as u8);
    message.extend(body);
    message
}

/// What everything begins with that is signed here: domain and network, each with its length before it, so that
/// neither runs into what follows. There is room for `more` bytes.
pub(super) fn domain(domain: &[u8], network: &NetworkName, more: usize) -> Vec<u8> {
    let network = network.as_str().as_bytes();
    let mut message = Vec::with_capacity(8 + domain.len() + network.len() + more);
    for part in [domain, network] {
        message.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        message.extend(part);
    }
    message
}

/// The y coordinates, little-endian, of the eight points whose order divides 8.
pub(super) const WEAK_Y: [[u8; 32]; 5] = {
    let mut one = [0; 32];
    one[0] = 1;
    // 2²⁵⁵ - 20, which is -1.
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [
        [0; 32],
        one,
        minus_one,
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

/// Whether the key is of small order, or has a y coordinate of 2²⁵⁵ - 19 or more. The top bit is the
/// sign of x, which makes no difference to either.
fn is_weak_key(key: &[u8; 32]) -> bool {
    let mut y = *key;
    y[31] &= 0x7f;
    let [first, middle @ .., last] = y;
    let not_canonical = first >= 0xed && last == 0x7f && middle == [0xff; 30];
    not_canonical || WEAK_Y.contains(&y)
}
