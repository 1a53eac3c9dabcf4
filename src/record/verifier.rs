//! Verification with a memory.

use super::{
    checks::Against, claim::Claim, head::Head, key::RecordKey, message::Message,
    network::NetworkName, proven::Proven, recent::Recent, rejected::Rejected, seen::Seen,
    signed::Signed, unproven::unasked, verify::Record,
};

/// Announcements that are remembered whole: as many as are on their way through a mesh at one time.
pub(crate) const ANNOUNCEMENTS: usize = 64;

/// Verifies records, and remembers whose signatures it has verified: the same bytes are not verified twice, and a set
/// of claims costs one signature for each claim that is new in it.
///
/// Only signatures are remembered. Key, network, time, revision and epoch are looked at each time, since they change;
/// what has failed is looked at anew. A signature is remembered by the SHA-256 of all that its check depends on: the
/// kind, the signer, the signature itself, and the digest of the body, in which network, owner and delegation stand.
/// Which of an owner's delegations have been verified is remembered likewise, and so are the last 256 keys, ready to
/// verify with.
///
/// What it takes is bounded: 32 bytes, and twice as much for order and place, of each signature; the keys; and the last
/// 64 announcements ([`verify_announcement`](Self::verify_announcement)) as they were read, so that those that arrive
/// from several peers are not even decoded again. The oldest goes first. Each step takes the same time however much is
/// remembered.
///
/// ```
/// use peerage::{NetworkName, identity::Keypair, record::*};
///
/// let owner = Keypair::generate_ed25519();
/// let head = Signed::sign(&owner, Head::withdrawn(
///     NetworkName::default(), owner.public().to_peer_id(), "tiny-http".parse()?,
///     Revision::new(0, 1), Validity::starting(0, 60), "renamed"))?;
///
/// let mut verifier = Verifier::default();
/// for now in [30, 31] {
///     verifier.verify(&NetworkName::default(), &head.key(), head.bytes(), now, ())?;
/// }
/// assert_eq!(verifier.signatures_verified(), 1);
/// // What time has overtaken is refused all the same.
/// assert!(verifier.verify(&NetworkName::default(), &head.key(), head.bytes(), 60, ()).is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Verifier {
    proven: Proven,
    /// The last heads that were announced, by their signatures, which are found without hashing the whole. A signature
    /// fits one body only; they are the same only if all of their bytes are.
    announcements: Recent<[u8; 64], Signed<Head>>,
}

impl Default for Verifier {
    /// One that remembers [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY) signatures.
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

impl Verifier {
    /// How many signatures are remembered by default.
    pub const DEFAULT_CAPACITY: usize = 4096;

    /// A verifier that remembers so many signatures. With 0 it remembers nothing, announcements included.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let announcements = Recent::new(capacity.min(ANNOUNCEMENTS));
        Self { proven: Proven::new(capacity), announcements }
    }

    /// As [`Record::verify`].
    ///
    /// # Errors
    ///
    /// As [`Record::verify`].
    pub fn verify(
        &mut self,
        network: &NetworkName,
        asked: &RecordKey,
        bytes: &[u8],
        now: u64,
        seen: impl Seen,
    ) -> Result<Record, Rejected> {
        let against = Against { network, now, seen: &seen };
        Record::verify_knowing(asked, bytes, &against, Some(&mut self.proven))
    }

    /// As [`Signed::verify_announcement`]. One that has arrived a moment ago is not decoded again either.
    ///
    /// # Errors
    ///
    /// As [`Signed::verify_announcement`].
    pub fn verify_announcement(
        &mut self,
        network: &NetworkName,
        bytes: &[u8],
        now: u64,
        seen: impl Seen,
    ) -> Result<Signed<Head>, Rejected> {
        let against = Against { network, now, seen: &seen };
        let signature = bytes.last_chunk::<64>();
        let known = signature.and_then(|signature| self.announcements.get(signature));
        if let Some(head) = known.filter(|head| **head.bytes() == *bytes) {
            head.check_again(&against)?;
            return Ok(head.clone());
        }
        let head = unasked::<Head>(bytes, &against, Some(&mut self.proven))?;
        if let Some(signature) = signature {
            self.announcements.insert(*signature, head.clone());
        }
        Ok(head)
    }

    /// As [`Signed::verify_claim`].
    ///
    /// # Errors
    ///
    /// As [`Signed::verify_claim`].
    pub fn verify_claim(
        &mut self,
        network: &NetworkName,
        bytes: &[u8],
        now: u64,
        seen: impl Seen,
    ) -> Result<Signed<Claim>, Rejected> {
        unasked(bytes, &Against { network, now, seen: &seen }, Some(&mut self.proven))
    }

    /// As [`Signed::verify_message`].
    ///
    /// # Errors
    ///
    /// As [`Signed::verify_message`].
    pub fn verify_message(
        &mut self,
        network: &NetworkName,
        bytes: &[u8],
        now: u64,
    ) -> Result<Signed<Message>, Rejected> {
        unasked(bytes, &Against { network, now, seen: &() }, Some(&mut self.proven))
    }

    /// How many signatures are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.proven.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many signatures have been verified in all, rather than remembered: good ones and bad ones.
    #[must_use]
    pub fn signatures_verified(&self) -> u64 {
        self.proven.verified()
    }
}
