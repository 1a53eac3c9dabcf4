//! Which signatures have been verified before.

use libp2p::identity::ed25519;
use sha2::{Digest as _, Sha256};

use super::{recent::Recent, rejected::Rejected, signature};

/// Keys that are kept ready to verify with, of 192 bytes each: to read one takes a tenth of the time that it takes to
/// verify with it.
const KEYS: usize = 256;

/// Digests of everything that a signature's check depends on, of those that have passed it. What failed is never among
/// them.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    known: Recent<[u8; 32], ()>,
    /// Those that something has been verified with.
    keys: Recent<[u8; 32], ed25519::PublicKey>,
    verified: u64,
}

impl Proven {
    pub(super) fn new(capacity: usize) -> Self {
        let keys = Recent::new(capacity.min(KEYS));
        Self { known: Recent::new(capacity), keys, verified: 0 }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many signatures were verified, rather than remembered.
    pub(super) fn verified(&self) -> u64 {
        self.verified
    }

    fn verify_with(
        &mut self,
        signer: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), Rejected> {
        self.verified += 1;
        if let Some(key) = self.keys.get(signer) {
            return signature::verify(key, message, signature);
        }
        let key = signature::key_of(signer)?;
        signature::verify(&key, message, signature)?;
        self.keys.insert(*signer, key);
        Ok(())
    }
}

/// Verifies a signature, unless it is known that the same one was verified before. `parts` must be all that the check
/// depends on, and either of fixed length each or told apart by what they begin with.
pub(super) fn verify<M: AsRef<[u8]>>(
    proven: Option<&mut Proven>,
    parts: &[&[u8]],
    signer: &[u8; 32],
    message: impl FnOnce() -> M,
    signature: &[u8; 64],
) -> Result<(), Rejected> {
    let Some(proven) = proven else {
        return signature::verify(&signature::key_of(signer)?, message().as_ref(), signature);
    };
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let mark: [u8; 32] = hasher.finalize().into();
    if proven.known.get(&mark).is_none() {
        proven.verify_with(signer, message().as_ref(), signature)?;
        proven.known.insert(mark, ());
    }
    Ok(())
}
