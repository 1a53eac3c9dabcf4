//! Keys, and how far they lie from each other.

use std::fmt;

use libp2p::PeerId;
use sha2::{Digest as _, Sha256};

use crate::record::RecordKey;

/// Bits of a key, which is also how many buckets a routing table has.
pub(crate) const KEY_BITS: usize = 256;

/// How many peers keep a record, at the most, and how many each bucket of a routing table holds: k in [Kademlia], section
/// 2.1, and 20 as with other implementations of libp2p's.
///
/// [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf
pub(crate) const REPLICAS: usize = 20;

/// A place in key space: the SHA-256 of a peer's identity, or of the name under which a record is kept ([libp2p's
/// Kademlia], "Distance").
///
/// [libp2p's Kademlia]: https://github.com/libp2p/specs/blob/master/kad-dht/README.md
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Where a peer lies.
    pub(crate) fn of_peer(peer: &PeerId) -> Self {
        Self::of_bytes(&peer.to_bytes())
    }

    /// Where a record lies.
    pub(crate) fn of_record(key: &RecordKey) -> Self {
        Self::of_bytes(key.as_bytes())
    }

    /// Where something lies by its name on the wire.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The key with these bits.
    #[cfg(test)]
    pub(crate) fn from_bits(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// A key in a bucket of the peer at this one, wherever in it these bits say.
    #[cfg(test)]
    pub(crate) fn in_bucket(&self, bucket: usize, mut bits: [u8; 32]) -> Self {
        for (at, (bit, own)) in bits.iter_mut().zip(self.0).enumerate() {
            // Of this byte, the bits above the bucket's, which are the peer's own, and the bucket's, which is not.
            let lowest = 8 * (31 - at);
            let above = match (bucket + 1).saturating_sub(lowest) {
                0 => u8::MAX,
                below @ 1..8 => u8::MAX << below,
                8.. => 0,
            };
            let differs = if bucket / 8 == 31 - at { 1 << (bucket % 8) } else { 0 };
            let drawn = !(above | differs);
            *bit = (*bit & drawn) | (own & above) | (!own & differs);
        }
        Self(bits)
    }

    /// Its bits.
    #[cfg(test)]
    pub(crate) fn bits(&self) -> [u8; 32] {
        self.0
    }

    /// How far two keys are from each other ([Kademlia], section 2.1).
    ///
    /// [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf
    pub(crate) fn distance(&self, other: &Self) -> Distance {
        let mut bits = self.0;
        for (bit, other) in bits.iter_mut().zip(other.0) {
            *bit ^= other;
        }
        Distance(bits)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// The XOR of two keys, as a number: the first byte counts most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Distance([u8; 32]);

impl Distance {
    /// The bucket in which a key at this distance stands: the number of the highest bit that differs, from 0 for the
    /// nearest to 255. None for no distance at all.
    pub(crate) fn bucket(&self) -> Option<usize> {
        let at = self.0.iter().position(|byte| *byte != 0)?;
        let byte = self.0.get(at)?;
        Some((31 - at) * 8 + 7 - byte.leading_zeros() as usize)
    }

    /// Whether it has this bit, of which 255 counts most.
    pub(crate) fn has_bit(&self, bit: usize) -> bool {
        let byte = self.0.iter().rev().nth(bit / 8);
        byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }

    /// As a share of all key space, from 0 to 1. Good to 53 bits, of which more are the same for no two peers.
    pub(crate) fn share(&self) -> f64 {
        self.high() as f64 / 2_f64.powi(64)
    }

    /// The first 64 bits.
    pub(crate) fn high(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use libp2p_kad::KBucketKey;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn distances_and_buckets_are_those_of_libp2p(seeds: [[u8; 7]; 2]) {
            let [ours, theirs] = [seeds.map(|seed| Key::of_bytes(&seed)), seeds.map(|seed| Key::of_bytes(&seed))];
            let raw = seeds.map(|seed| KBucketKey::new(seed.to_vec()));
            prop_assert_eq!(ours, theirs);
            let distance = ours[0].distance(&ours[1]);
            prop_assert_eq!(distance.bucket(), raw[0].distance(&raw[1]).ilog2().map(|bucket| bucket as usize));
            prop_assert_eq!(distance, ours[1].distance(&ours[0]));
        }
    }

    #[test]
    fn a_key_is_nowhere_in_its_own_buckets() {
        let key = Key::of_bytes(b"key");
        assert_eq!(key.distance(&key).bucket(), None);
        let peer = PeerId::random();
        assert_eq!(Key::of_peer(&peer), Key::of_bytes(&peer.to_bytes()));
    }
}
