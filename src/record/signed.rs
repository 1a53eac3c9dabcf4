use std::{cell::OnceCell, fmt, ops::Deref, sync::Arc};

use libp2p::{PeerId, identity::Keypair};

use super::{
    Delegation, Kind, MAX_RECORD_BYTES, NetworkName, Rank, RecordKey, Rejected, Seen, Validity,
    delegation::Grant,
    envelope::{self, Envelope},
    proven::Proven,
    release::check_ext,
};
use crate::{
    Error, Result,
    package::{Digest, Origin, PackageName, owner_from_key, owner_key},
};

/// What can be signed: a [`Head`](super::Head), a [`Release`](super::Release), a
/// [`Page`](super::Page), a [`Claim`](super::Claim), a [`Message`](super::Message) or a [`Hello`](super::Hello).
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

        /// Whether its owner may have a publisher sign it.
        const DELEGABLE: bool = true;

        /// The network that it belongs to.
        fn network(&self) -> &NetworkName;

        /// Whose it is: who has signed it, or delegated whoever has.
        fn owner(&self) -> &PeerId;

        /// What is signed beside its fields.
        fn ext(&self) -> &[u8];

        /// Checks the bounds of its fields: of what is signed here as of what is received, so that
        /// nobody signs what others refuse.
        fn validate(&self, origin: Origin) -> Result<()>;

        /// Checks the bounds that are known once it is written down. What is read has been checked by
        /// [`decode`](Self::decode).
        fn validate_size(&self) -> Result<()> {
            Ok(())
        }

        /// When it holds, for those that expire.
        fn validity(&self) -> Option<Validity> {
            None
        }

        /// Checks that it holds at this time.
        fn check_time(&self, now: u64) -> Result<(), Rejected> {
            self.validity().map_or(Ok(()), |validity| validity.check(now))
        }

        /// What orders it among its owner's records, for those that replace each other.
        fn rank(&self) -> Option<(Rank, &PackageName)> {
            None
        }

        /// Writes it.
        fn encode(&self) -> Result<Vec<u8>>;

        /// Reads the one encoding of it. What comes back is not validated.
        fn decode(bytes: &[u8]) -> Result<Self, Rejected>;
    }

    /// A body with a place in the DHT.
    pub trait Placed {
        /// The key it belongs under. Of what is told by its digest, that is part of it.
        fn key(&self, digest: impl FnOnce() -> Digest) -> RecordKey;
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
    /// Signs a body with the key pair of its owner, or of a publisher: then `ext` carries the owner's
    /// [`Delegation`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the key pair is not Ed25519, when it is neither the owner's nor that of
    /// the publisher in the delegation, when the delegation does not allow the body, or when the body is
    /// out of its bounds; [`Error::TooLarge`] when it does not fit into a record.
    pub fn sign(keypair: &Keypair, body: T) -> Result<Self> {
        check_ext(body.ext())?;
        check_authority(&keypair.public().to_peer_id(), &body)?;
        body.validate(Origin::Made)?;
        body.validate_size()?;
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
        self.0.body.owner()
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
        Delegation::carried(body.network(), body.owner(), envelope.signer, grant_of(body).ok()??)
    }

    /// Whether a publisher has signed it, whom a higher epoch of the owner revokes.
    pub(crate) fn is_delegated(&self) -> bool {
        matches!(grant_of(&self.0.body), Ok(Some(_)))
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

    /// Verifies again what depends on the time and on what has been seen meanwhile. `network` is whose record it is
    /// asked to be.
    pub(super) fn check_again(
        &self,
        network: &NetworkName,
        now: u64,
        seen: &impl Seen,
    ) -> Result<(), Rejected> {
        let body = &self.0.body;
        let grant = grant_of(body)?;
        check_network(body, network)?;
        check_time(body, grant.as_ref(), now)?;
        check_revision(body, grant.as_ref(), seen)
    }
}

/// The delegation that a body carries.
fn grant_of<T: Body>(body: &T) -> Result<Option<Grant>, Rejected> {
    if T::DELEGABLE { Grant::in_ext(body.ext()) } else { Ok(None) }
}

/// Whether others will take this signer for one that may sign this body.
fn check_authority<T: Body>(signer: &PeerId, body: &T) -> Result<()> {
    let owner = body.owner();
    let refused = |rejected: Rejected| Error::invalid("ext", rejected.to_string());
    match grant_of(body).map_err(refused)? {
        None if signer == owner => Ok(()),
        None => {
            let reason = format!("`{owner}` is not whose key pair signs, nor is it delegated");
            Err(Error::invalid("owner", reason))
        }
        Some(_) if signer == owner => {
            Err(Error::invalid("ext", "carries a delegation, and the owner itself signs"))
        }
        Some(grant) => {
            let key = |peer| owner_key(peer).ok_or_else(|| refused(Rejected::Signer));
            check_record(body, &grant).map_err(refused)?;
            let (owner, signer) = (key(owner)?, key(signer)?);
            grant.prove(body.network(), &owner, &signer, None).map_err(refused)
        }
    }
}

/// What a delegation allows, whatever the time.
fn check_record<T: Body>(body: &T, grant: &Grant) -> Result<(), Rejected> {
    grant.check_record(body.rank().map(|(rank, _)| rank.revision()), body.validity())
}

fn check_network<T: Body>(body: &T, network: &NetworkName) -> Result<(), Rejected> {
    if body.network() != network {
        return Err(Rejected::Network);
    }
    Ok(())
}

/// What is written once counts for as long as a head speaks of it, and its delegation may have ended honestly.
fn check_time<T: Body>(body: &T, grant: Option<&Grant>, now: u64) -> Result<(), Rejected> {
    body.check_time(now)?;
    match grant {
        Some(grant) if body.validity().is_some() => grant.check_time(now),
        _ => Ok(()),
    }
}

fn check_revision<T: Body>(
    body: &T,
    grant: Option<&Grant>,
    seen: &impl Seen,
) -> Result<(), Rejected> {
    let Some((found, name)) = body.rank() else { return Ok(()) };
    if let Some(known) = seen.rank(T::KIND, body.owner(), name)
        && found < known
    {
        return Err(Rejected::Stale { known, found });
    }
    // The owner's own key is not revoked by any epoch.
    if grant.is_some() {
        let floor = seen.epoch(body.owner());
        if found.epoch < floor {
            return Err(Rejected::Revoked { epoch: found.epoch, floor });
        }
    }
    Ok(())
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

/// A body that has been read, and of which nothing is proven: each check takes it on to the next.
pub(super) struct Unproven<'a, T> {
    pub(super) body: T,
    grant: Option<Grant>,
    digest: OnceCell<Digest>,
    bytes: &'a [u8],
    envelope: Envelope<'a>,
}

impl<'a, T: Body> Unproven<'a, T> {
    /// Reads bytes of the body's kind, strictly, whatever their network.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Rejected> {
        let envelope = Envelope::parse(T::KIND, bytes)?;
        let body = T::decode(envelope.body)?;
        body.validate(Origin::Read)?;
        let grant = grant_of(&body)?;
        Ok(Self { body, grant, digest: OnceCell::new(), bytes, envelope })
    }

    /// The body's digest. It is computed when it is first needed, since most of what is refused is refused before.
    pub(super) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.envelope.body))
    }

    pub(super) fn check_network(self, network: &NetworkName) -> Result<Self, Rejected> {
        check_network(&self.body, network)?;
        Ok(self)
    }

    pub(super) fn check_key(self, asked: &RecordKey) -> Result<Self, Rejected>
    where
        T: Stored,
    {
        if self.key() != *asked {
            return Err(Rejected::Key);
        }
        Ok(self)
    }

    /// The key that the body belongs under.
    pub(super) fn key(&self) -> RecordKey
    where
        T: Stored,
    {
        self.body.key(|| self.digest())
    }

    /// The signer is the owner, or the body carries the owner's delegation, which allows the body. Whether the owner
    /// has signed that is proven last.
    pub(super) fn check_signer(self) -> Result<Self, Rejected> {
        let is_owner = owner_key(self.body.owner()) == Some(*self.envelope.signer);
        match &self.grant {
            None if is_owner => {}
            Some(grant) if !is_owner => check_record(&self.body, grant)?,
            None | Some(_) => return Err(Rejected::Signer),
        }
        Ok(self)
    }

    pub(super) fn check_time(self, now: u64) -> Result<Self, Rejected> {
        check_time(&self.body, self.grant.as_ref(), now)?;
        Ok(self)
    }

    /// The lifetime is one that a record may have, whatever the time.
    pub(super) fn check_lifetime(self) -> Result<Self, Rejected> {
        if let Some(validity) = self.body.validity() {
            validity.check_lifetime()?;
        }
        Ok(self)
    }

    /// Not below what has been seen: the highest revision ever, and where it is delegated the owner's highest epoch.
    pub(super) fn check_revision(self, seen: &impl Seen) -> Result<Self, Rejected> {
        check_revision(&self.body, self.grant.as_ref(), seen)?;
        Ok(self)
    }

    /// Verifies the signatures: the last check, since it is the most costly one.
    /// [`check_signer`](Self::check_signer) comes before it.
    pub(super) fn prove(self, mut proven: Option<&mut Proven>) -> Result<Signed<T>, Rejected> {
        let (digest, network) = (self.digest(), self.body.network());
        self.envelope.prove(network, T::KIND, &digest, proven.as_deref_mut())?;
        if let Some(grant) = &self.grant {
            let owner = owner_key(self.body.owner()).ok_or(Rejected::Signer)?;
            grant.prove(network, &owner, self.envelope.signer, proven)?;
        }
        Ok(Signed::new(self.body, digest, self.bytes.into()))
    }
}
