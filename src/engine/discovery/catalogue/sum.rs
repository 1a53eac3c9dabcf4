//! A set of digests in 32 bytes.

use crate::package::Digest;

/// The sum of digests, as four numbers of 64 bits each, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DigestSum([u64; 4]);

impl DigestSum {
    pub(super) fn add(&mut self, digest: &Digest) {
        self.combine(digest, u64::wrapping_add);
    }

    pub(super) fn take(&mut self, digest: &Digest) {
        self.combine(digest, u64::wrapping_sub);
    }

    fn combine(&mut self, digest: &Digest, with: impl Fn(u64, u64) -> u64) {
        let (lanes, _) = digest.as_bytes().as_chunks::<8>();
        for (sum, lane) in self.0.iter_mut().zip(lanes) {
            *sum = with(*sum, u64::from_le_bytes(*lane));
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (lanes, _) = bytes.as_chunks_mut::<8>();
        for (lane, sum) in lanes.iter_mut().zip(self.0) {
            *lane = sum.to_le_bytes();
        }
        bytes
    }
}
