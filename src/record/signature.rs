//! Ed25519 signatures (RFC 8032), of which no key signs for everybody.

use libp2p::identity::{Keypair, ed25519};

use super::{network::NetworkName, rejected::Rejected};
use crate::error::{Error, Result};

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

pub(super) fn ed25519_of(keypair: &Keypair) -> Result<ed25519::Keypair> {
    keypair.clone().try_into_ed25519().map_err(|error| {
        Error::invalid("keypair", format!("is not an Ed25519 one, which is accepted ({error})"))
    })
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
