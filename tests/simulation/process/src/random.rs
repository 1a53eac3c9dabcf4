//! Randomness from a seed.

use std::cell::RefCell;

/// Xoshiro256++ (Blackman, Vigna: "Scrambled linear pseudorandom number generators", 2021). It is no secret to anybody, and
/// need not be one.
#[derive(Debug, Clone)]
pub struct Random([u64; 4]);

impl Random {
    /// Each seed has a sequence of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        Self([(); 4].map(|()| split_mix(&mut mixer)))
    }

    /// The next number of the sequence.
    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// One of the numbers below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high bits of the product: even enough for any `end` that is far from 2^64.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// From 0 to 1, the latter excluded.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that has this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A sequence of its own for something, which no other draw moves.
    #[must_use]
    pub fn branch(&mut self) -> Self {
        Self::new(self.next())
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

thread_local! {
    static RANDOM: RefCell<Random> = const { RefCell::new(Random([0; 4])) };
}

pub(crate) fn seed(seed: u64) {
    RANDOM.set(Random::new(seed));
}

/// What the simulated operating system gives as randomness. Answers whether a simulation runs on this thread.
pub fn fill(bytes: &mut [u8]) -> bool {
    let is_simulated = crate::now().is_some();
    if is_simulated {
        RANDOM.with_borrow_mut(|random| random.fill(bytes));
    }
    is_simulated
}
