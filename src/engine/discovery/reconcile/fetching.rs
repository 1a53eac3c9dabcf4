//! Getting what a comparison has found to be missing.

use std::collections::VecDeque;

use crate::package::Digest;

/// The most digests that are asked for at a time.
const BATCH: usize = 256;

/// Fetches heads from one peer, by their digests: one batch after the other, in order.
///
/// A response holds as many heads as fit, in the order asked for. So what is absent before the last head that came is
/// not to be had, and what is behind it is asked for again; a response without any ends it all. Each response but the
/// last brings a head at least: there are no more batches than digests.
#[derive(Debug)]
pub(crate) struct Fetching {
    waiting: VecDeque<Digest>,
    asked: Vec<Digest>,
}

/// What a response amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// These have come, of those that were asked for.
    Delivered(Vec<Digest>),
    /// Nothing has come: the peer is given up. It may have lost what it had, or never had it.
    Nothing,
    /// A head has come that was not asked for, or one twice: misconduct, and the peer is given up.
    Unasked(Digest),
}

impl Fetching {
    /// What is to be fetched, at most [`MAX_FOUND`](super::MAX_FOUND) of it.
    pub(crate) fn new(need: impl IntoIterator<Item = Digest>) -> Self {
        Self { waiting: need.into_iter().take(super::MAX_FOUND).collect(), asked: Vec::new() }
    }

    /// The next batch to ask for. There is none while one is outstanding, nor once all has been asked for.
    /// `wanted` tells what has not been learnt meanwhile from somebody else.
    pub(crate) fn batch(&mut self, mut wanted: impl FnMut(&Digest) -> bool) -> Option<Vec<Digest>> {
        if !self.asked.is_empty() {
            return None;
        }
        while self.asked.len() < BATCH
            && let Some(digest) = self.waiting.pop_front()
        {
            if wanted(&digest) {
                self.asked.push(digest);
            }
        }
        (!self.asked.is_empty()).then(|| self.asked.clone())
    }

    /// Takes the digests of the heads that a response holds, in their order, each of which has been verified. One that
    /// failed is not among them, and is the caller's to hold against the peer.
    pub(crate) fn take(&mut self, heads: impl IntoIterator<Item = Digest>) -> Taken {
        let asked = std::mem::take(&mut self.asked);
        let mut places: std::collections::HashMap<Digest, usize> =
            asked.iter().enumerate().map(|(place, digest)| (*digest, place)).collect();
        let (mut delivered, mut rest) = (Vec::new(), 0);
        for digest in heads {
            let Some(place) = places.remove(&digest) else {
                self.waiting.clear();
                return Taken::Unasked(digest);
            };
            rest = rest.max(place + 1);
            delivered.push(digest);
        }
        if delivered.is_empty() {
            self.waiting.clear();
            return Taken::Nothing;
        }
        for digest in asked.get(rest..).unwrap_or_default().iter().rev() {
            self.waiting.push_front(*digest);
        }
        Taken::Delivered(delivered)
    }

    /// Whether nothing is left to ask for, nor outstanding.
    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.asked.is_empty() && self.waiting.is_empty()
    }
}
