//! Which signatures have been verified before.

use std::collections::{HashMap, HashSet, VecDeque};

use libp2p::identity::ed25519;
use sha2::{Digest as _, Sha256};

use super::{Rejected, envelope};

/// Keys that are kept ready to verify with, of 192 bytes each: to read one takes a tenth of the time that it takes to
/// verify with it.
const KEYS: usize = 256;

/// Digests of everything that a signature's check depends on, of those that have passed it: bounded, the oldest goes
/// first. What failed is never among them.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    known: HashSet<[u8; 32]>,
    /// Oldest first.
    order: VecDeque<[u8; 32]>,
    capacity: usize,
    keys: Keys,
    verified: u64,
}

impl Proven {
    pub(super) fn new(capacity: usize) -> Self {
        let keys =
            Keys { read: HashMap::new(), order: VecDeque::new(), capacity: capacity.min(KEYS) };
        Self { known: HashSet::new(), order: VecDeque::new(), capacity, keys, verified: 0 }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many signatures were verified, rather than remembered.
    pub(super) fn verified(&self) -> u64 {
        self.verified
    }

    /// Verifies a signature, unless the same one was verified before. `parts` must be all that the check depends on,
    /// and either of fixed length each or told apart by what they begin with.
    pub(super) fn verify<M: AsRef<[u8]>>(
        &mut self,
        parts: &[&[u8]],
        signer: &[u8; 32],
        message: impl FnOnce() -> M,
        signature: &[u8; 64],
    ) -> Result<(), Rejected> {
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        let mark: [u8; 32] = hasher.finalize().into();
        if self.known.contains(&mark) {
            return Ok(());
        }
        self.verified += 1;
        self.keys.verify(signer, message().as_ref(), signature)?;
        if self.capacity == 0 {
            return Ok(());
        }
        while self.known.len() >= self.capacity {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
        self.known.insert(mark);
        self.order.push_back(mark);
        Ok(())
    }
}

/// Keys that something has been verified with.
#[derive(Debug, Clone)]
struct Keys {
    read: HashMap<[u8; 32], ed25519::PublicKey>,
    /// Oldest first.
    order: VecDeque<[u8; 32]>,
    capacity: usize,
}

impl Keys {
    fn verify(
        &mut self,
        signer: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), Rejected> {
        if let Some(key) = self.read.get(signer) {
            return envelope::verify(key, message, signature);
        }
        let key = envelope::key_of(signer)?;
        envelope::verify(&key, message, signature)?;
        if self.capacity == 0 {
            return Ok(());
        }
        while self.read.len() >= self.capacity {
            let Some(oldest) = self.order.pop_front() else { break };
            self.read.remove(&oldest);
        }
        self.read.insert(*signer, key);
        self.order.push_back(*signer);
        Ok(())
    }
}
