use std::{fmt, ops::Deref, sync::Arc};

use libp2p::{PeerId, identity::Keypair};

use super::{
    body::{Body, Stored},
    checks::{self, Against},
    delegation::Delegation,
    envelope::{self, Envelope},
    key::RecordKey,
    rejected::Rejected,
    seen::Seen,
};
use crate::{
    error::Result,
    package::{Digest, Origin, owner_from_key},
};

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
    /// Signs a body with the key pair of its owner, or of a publisher: then `ext` carries the owner's
    /// [`Delegation`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when the key pair is not Ed25519, when it is neither the owner's nor that of
    /// the publisher in the delegation, when the delegation does not allow the body, or when the body is
    /// out of its bounds; [`Error::TooLarge`](crate::Error::TooLarge) when it does not fit into a record.
    pub fn sign(keypair: &Keypair, body: T) -> Result<Self> {
        checks::ext(body.common().ext)?;
        checks::authority(&keypair.public().to_peer_id(), &body)?;
        body.validate(Origin::Made)?;
        let fields = body.to_fields()?;
        let encoded = body.common().encode(&fields)?;
        T::check_written(&fields, encoded.len())?;
        drop(fields);
        if let Some(this) = body.succession() {
            this.validity.validate()?;
        }
        T::SIZE.check(encoded.len().saturating_add(envelope::OVERHEAD))?;
        let bytes = envelope::seal(keypair, body.common().network, T::KIND, &encoded)?;
        Ok(Self::new(body, Digest::of(&encoded), bytes.into()))
    }

    pub(super) fn new(body: T, digest: Digest, bytes: Arc<[u8]>) -> Self {
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
        self.0.body.common().owner
    }

    /// Whose key has signed it: the owner's, or that of a publisher that the owner has
    /// [delegated](Self::delegation).
    #[must_use]
    pub fn signer(&self) -> PeerId {
        let envelope = Envelope::parse(T::KIND, &self.0.bytes).ok();
        // The bytes have been made or taken apart as an envelope before.
        envelope.and_then(|envelope| owner_from_key(envelope.signer)).unwrap_or(*self.owner())
    }

    /// By which delegation it is signed; `None` where the owner itself has signed it.
    #[must_use]
    pub fn delegation(&self) -> Option<Delegation> {
        let envelope = Envelope::parse(T::KIND, &self.0.bytes).ok()?;
        let body = &self.0.body;
        Delegation::carried(
            body.common().network,
            body.common().owner,
            envelope.signer,
            checks::grant_of(body).ok()??,
        )
    }

    /// Whether a publisher has signed it, whom a higher epoch of the owner revokes.
    pub(crate) fn is_delegated(&self) -> bool {
        matches!(checks::grant_of(&self.0.body), Ok(Some(_)))
    }

    /// Reads again what was verified before and has been kept as bytes since, with the digest that it had: a body that
    /// is kept as it is read takes many times as much memory.
    pub(crate) fn reopened(bytes: &Arc<[u8]>, digest: Digest) -> Result<Self, Rejected> {
        let envelope = Envelope::parse(T::KIND, bytes)?;
        Ok(Self::new(T::decode(envelope.body)?, digest, Arc::clone(bytes)))
    }

    /// As [`reopened`](Self::reopened), where the digest was not kept.
    pub(super) fn reopened_alone(bytes: &Arc<[u8]>) -> Result<Self, Rejected> {
        let digest = Digest::of(Envelope::parse(T::KIND, bytes)?.body);
        Self::reopened(bytes, digest)
    }

    /// Verifies again what depends on the time and on what has been seen meanwhile.
    pub(super) fn check_again(&self, against: &Against<'_, impl Seen>) -> Result<(), Rejected> {
        let body = &self.0.body;
        let grant = checks::grant_of(body)?;
        checks::network(body, against.network)?;
        checks::time(body, grant.as_ref(), against.now)?;
        checks::revision(body, grant.as_ref(), against.seen)
    }
}

impl<T: Stored> Signed<T> {
    /// The key of the DHT that it belongs under.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        self.0.body.key(|| self.0.digest)
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
