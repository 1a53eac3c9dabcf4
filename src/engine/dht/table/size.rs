//! How many peers there are, and whether one of them is near enough to a key to hold what is kept there.
//!
//! Keys are hashes, so peers are spread evenly over key space. If the k closest of n lie within the share D of it, then
//! (k - 1) / D is n on average; that is the estimator of [k minimum values] (Bar-Yossef et al. 2002; Beyer et al. 2007
//! show that it is unbiased). Its standard error is 1 / √(k - 2): 24 % for twenty. [Optimistic Provide] fits a line to the
//! distances that many lookups have met. In a single neighbourhood the farthest of them says all that the others say, and
//! somebody who makes identities near to this node moves a line or a median farther than this: ten of them at no distance
//! make it see twice as many peers, a line three times as many, and a median any number.
//!
//! How many others are closer to a key than a peer at distance d is then distributed as Poisson has it, with mean n·d.
//!
//! [k minimum values]: https://doi.org/10.1145/1247480.1247504
//! [Optimistic Provide]: https://tysong.github.io/files/INFOCOM24-IPFS.pdf

use crate::keyspace::Distance;

/// An estimate of how many peers serve a network, this node included.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct NetworkSize(f64);

impl NetworkSize {
    /// As many as are known, where they are fewer than would tell of others.
    pub(super) fn counted(others: usize) -> Self {
        Self(others as f64 + 1.0)
    }

    /// Of so many closest peers, the farthest has this distance.
    pub(super) fn estimated(closest: usize, farthest: &Distance) -> Self {
        Self(closest.saturating_sub(1) as f64 / farthest.share().max(f64::MIN_POSITIVE) + 1.0)
    }

    /// How many peers there are.
    #[cfg(test)]
    pub(crate) fn peers(self) -> f64 {
        self.0
    }

    /// How likely a peer at this distance from a key is one of the `k` closest to it, from 0 to 1.
    pub(crate) fn likelihood(self, distance: &Distance, k: usize) -> f64 {
        let closer = (self.0 - 1.0) * distance.share();
        // e^-x underflows only where the likelihood is nothing.
        let mut term = (-closer).exp();
        let mut sum = 0.0;
        for count in 0..k {
            sum += term;
            term *= closer / (count as f64 + 1.0);
        }
        sum.min(1.0)
    }
}
