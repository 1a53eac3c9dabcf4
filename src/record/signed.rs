use std::{fmt, ops::Deref, sync::Arc};

use libp2p::{PeerId, identity::Keypair};

use super::{
    Kind, MAX_RECORD_BYTES, NetworkName, RecordKey, Rejected, Revision, Validity,
    envelope::{self, Envelope},
};
use crate::{
    Error, Result,
    package::{Digest, PackageName},
};

/// What can be signed: a [`Head`](super::Head), a [`Release`](super::Release), a
/// [`Page`](super::Page), a [`Claim`](super::Claim) or a [`Message`](super::Message).
pub trait Body: sealed::Wire {}

impl<T: sealed::Wire> Body for T {}

/// What belongs under a key of the DHT.
pub trait Stored: Body + sealed::Placed {}

impl<T: Body + sealed::Placed> Stored for T {}

pub(super) mod sealed {
    use super::*;

    /// How a body is written, and what must hold of it.
    pub trait Wire: Sized {
        /// Its kind.
        const KIND: Kind;

        /// The network that it belongs to.
        fn network(&self) -> &NetworkName;

        /// Who must have signed it. In format 1 the owner: a delegation would be looked up in `ext`.
        fn signer(&self) -> &PeerId;

        /// Checks the bounds of its fields: of what is signed here as of what is received, so that
        /// nobody signs what others refuse.
        fn validate(&self) -> Result<()>;

        /// When it holds, for those that expire.
        fn validity(&self) -> Option<Validity> {
            None
        }

        /// Checks that it holds at this time.
        fn check_time(&self, now: u64) -> Result<(), Rejected> {
            self.validity().map_or(Ok(()), |validity| validity.check(now))
        }

        /// What orders it among its owner's records, for those that replace each other.
        fn revision(&self) -> Option<(Revision, &PackageName)> {
            None
        }

        /// Writes it.
        fn encode(&self) -> Result<Vec<u8>>;

        /// Reads it. What comes back is neither validated nor known to be canonical.
        fn decode(bytes: &[u8]) -> Result<Self, Rejected>;
    }

    /// A body with a place in the DHT.
    pub trait Placed {
        /// The key it belongs under.
        fn key(&self, digest: &Digest) -> RecordKey;
    }
}

/// A body and the signature over it, which has been verified or was made here.
///
/// It reads as its body does. Cloning is cheap.
pub struct Signed<T>(Arc<Inner<T>>);

struct Inner<T> {
    body: T,
    digest: Digest,
    bytes: Arc<[u8]>,
}

impl<T: Body> Signed<T> {
    /// Signs a body with its owner's key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the key pair is not Ed25519 or not the owner's, or when the body is
    /// out of its bounds; [`Error::TooLarge`] when it does not fit into a record.
    pub fn sign(keypair: &Keypair, body: T) -> Result<Self> {
        if keypair.public().to_peer_id() != *body.signer() {
            let reason = format!("`{}` is not whose key pair signs", body.signer());
            return Err(Error::invalid("owner", reason));
        }
        body.validate()?;
        if let Some(validity) = body.validity() {
            validity.validate()?;
        }
        let encoded = body.encode()?;
        let size = encoded.len().saturating_add(envelope::OVERHEAD);
        if size > MAX_RECORD_BYTES {
            return Err(Error::TooLarge { what: "record".into(), size, max: MAX_RECORD_BYTES });
        }
        let bytes = envelope::seal(keypair, body.network(), T::KIND, &encoded)?;
        Ok(Self::new(body, Digest::of(&encoded), bytes.into()))
    }

    fn new(body: T, digest: Digest, bytes: Arc<[u8]>) -> Self {
        Self(Arc::new(Inner { body, digest, bytes }))
    }
}

impl<T> Signed<T> {
    /// The body.
    #[must_use]
    pub fn body(&self) -> &T {
        &self.0.body
    }

    /// The whole record, as it is stored and sent.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.0.bytes
    }

    /// The SHA-256 of the body's bytes, which identifies it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl<T: Body> Signed<T> {
    /// Whose it is: the owner of a record, the author of a message.
    #[must_use]
    pub fn owner(&self) -> &PeerId {
        self.0.body.signer()
    }
}

impl<T: Stored> Signed<T> {
    /// The key of the DHT that it belongs under.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        self.0.body.key(&self.0.digest)
    }
}

impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.body
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Two are equal when all of their bytes are.
impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl<T> Eq for Signed<T> {}

impl<T: fmt::Debug> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("digest", &self.0.digest)
            .field("body", &self.0.body)
            .finish_non_exhaustive()
    }
}

/// A body that has been read, and of which nothing is proven: each check takes it on to the next.
pub(super) struct Unproven<'a, T> {
    pub(super) body: T,
    pub(super) digest: Digest,
    bytes: &'a [u8],
    envelope: Envelope<'a>,
}

impl<'a, T: Body> Unproven<'a, T> {
    /// Reads bytes of the body's kind, strictly, whatever their network.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Rejected> {
        let envelope = Envelope::parse(T::KIND, bytes)?;
        let body = T::decode(envelope.body)?;
        body.validate()?;
        // One body has one encoding: what reads the same must have been the same.
        if body.encode()? != envelope.body {
            return Err(Rejected::encoding("the body is not encoded canonically"));
        }
        Ok(Self { body, digest: Digest::of(envelope.body), bytes, envelope })
    }

    pub(super) fn check_network(self, network: &NetworkName) -> Result<Self, Rejected> {
        if self.body.network() != network {
            return Err(Rejected::Network);
        }
        Ok(self)
    }

    pub(super) fn check_key(self, asked: &RecordKey) -> Result<Self, Rejected>
    where
        T: Stored,
    {
        if self.body.key(&self.digest) != *asked {
            return Err(Rejected::Key);
        }
        Ok(self)
    }

    pub(super) fn check_time(self, now: u64) -> Result<Self, Rejected> {
        self.body.check_time(now)?;
        Ok(self)
    }

    /// Not below the highest revision ever seen, which `high_water` knows.
    pub(super) fn check_revision(
        self,
        high_water: impl Fn(Kind, &PeerId, &PackageName) -> Option<Revision>,
    ) -> Result<Self, Rejected> {
        if let Some((found, name)) = self.body.revision()
            && let Some(known) = high_water(T::KIND, self.body.signer(), name)
            && found < known
        {
            return Err(Rejected::Stale { known, found });
        }
        Ok(self)
    }

    /// Verifies that the signer is the right one, and the signature last.
    pub(super) fn prove(self) -> Result<Signed<T>, Rejected> {
        if crate::package::owner_key(self.body.signer()) != Some(*self.envelope.signer) {
            return Err(Rejected::Signer);
        }
        self.envelope.prove(self.body.network(), T::KIND)?;
        Ok(Signed::new(self.body, self.digest, self.bytes.into()))
    }
}
