//! What decides: a seed, or the bytes of an input.

use libp2p::PeerId;

/// Dice, and how many peers they have brought up.
pub(super) struct Dice {
    /// Of SplitMix64 (Steele, Lea and Flood, 2014): a seed is all that is needed to see a failure again.
    seed: u64,
    /// What decides before the seed does.
    bytes: Option<std::vec::IntoIter<u8>>,
    peers: u64,
}

impl Dice {
    pub(super) fn of_seed(seed: u64) -> Self {
        Self { seed, bytes: None, peers: 0 }
    }

    #[cfg(fuzzing)]
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self { seed: 0, bytes: Some(bytes.to_vec().into_iter()), peers: 0 }
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        let number = match self.byte() {
            Some(low) if sides <= 256 => u64::from(low),
            Some(low) => u64::from(u16::from_le_bytes([low, self.byte().unwrap_or(0)])),
            None => self.number(),
        };
        usize::try_from(number % sides as u64).unwrap()
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.roll(from.len())]) }
    }

    /// A peer that has not been seen before.
    pub(super) fn peer(&mut self) -> PeerId {
        self.peers += 1;
        // An identity multihash of 32 bytes, as `PeerId::random` makes it.
        let digest = crate::package::Digest::of(self.peers.to_le_bytes());
        PeerId::from_bytes(&[&[0, 32], &digest.as_bytes()[..]].concat()).unwrap()
    }

    /// How many steps to take: fewer than `most`, or as many as the bytes are good for.
    pub(super) fn steps(&mut self, most: usize) -> usize {
        if self.bytes.is_some() { most } else { self.roll(most) }
    }

    /// Whether there were bytes to decide, and all of them have.
    pub(super) fn is_spent(&self) -> bool {
        self.bytes.as_ref().is_some_and(|bytes| bytes.len() == 0)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes.as_mut()?.next()
    }

    fn number(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
