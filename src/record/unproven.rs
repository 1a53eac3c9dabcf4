//! The way of bytes to a [`Signed`] value: each check takes them on to the next, the cheapest first.

use std::cell::OnceCell;

use super::{
    body::{Body, Stored},
    checks::{self, Against},
    envelope::Envelope,
    grant::Grant,
    key::RecordKey,
    network::NetworkName,
    proven::Proven,
    rejected::Rejected,
    seen::Seen,
    signed::Signed,
};
use crate::package::{Digest, Origin, owner_key};

/// Verifies what was found under a key, or is to be stored there.
pub(super) fn found<T: Stored>(
    asked: &RecordKey,
    bytes: &[u8],
    against: &Against<'_, impl Seen>,
    proven: Option<&mut Proven>,
) -> Result<Signed<T>, Rejected> {
    let unproven = Unproven::open(bytes)?.check_network(against.network)?.check_key(asked)?;
    unproven.check_all_else(against, proven)
}

/// Verifies what was not asked for under any key.
pub(super) fn unasked<T: Body>(
    bytes: &[u8],
    against: &Against<'_, impl Seen>,
    proven: Option<&mut Proven>,
) -> Result<Signed<T>, Rejected> {
    Unproven::open(bytes)?.check_network(against.network)?.check_all_else(against, proven)
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
        let grant = checks::grant_of(&body)?;
        Ok(Self { body, grant, digest: OnceCell::new(), bytes, envelope })
    }

    /// The body's digest. It is computed when it is first needed, since most of what is refused is refused before.
    pub(super) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.envelope.body))
    }

    pub(super) fn check_network(self, network: &NetworkName) -> Result<Self, Rejected> {
        checks::network(&self.body, network)?;
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
        let is_owner = owner_key(self.body.common().owner) == Some(*self.envelope.signer);
        match &self.grant {
            None if is_owner => {}
            Some(grant) if !is_owner => checks::allowed(&self.body, grant)?,
            None | Some(_) => return Err(Rejected::Signer),
        }
        Ok(self)
    }

    pub(super) fn check_time(self, now: u64) -> Result<Self, Rejected> {
        checks::time(&self.body, self.grant.as_ref(), now)?;
        Ok(self)
    }

    /// The lifetime is one that a record may have, whatever the time.
    pub(super) fn check_lifetime(self) -> Result<Self, Rejected> {
        if let Some(this) = self.body.succession() {
            this.validity.check_lifetime()?;
        }
        Ok(self)
    }

    /// Not below what has been seen: the highest revision ever, and where it is delegated the owner's highest epoch.
    pub(super) fn check_revision(self, seen: &impl Seen) -> Result<Self, Rejected> {
        checks::revision(&self.body, self.grant.as_ref(), seen)?;
        Ok(self)
    }

    /// Verifies the signatures: the last check, since it is the most costly one.
    /// [`check_signer`](Self::check_signer) comes before it.
    pub(super) fn prove(self, mut proven: Option<&mut Proven>) -> Result<Signed<T>, Rejected> {
        let (digest, network) = (self.digest(), self.body.common().network);
        self.envelope.prove(network, T::KIND, &digest, proven.as_deref_mut())?;
        if let Some(grant) = &self.grant {
            let owner = owner_key(self.body.common().owner).ok_or(Rejected::Signer)?;
            grant.prove(network, (&owner, self.envelope.signer), proven)?;
        }
        Ok(Signed::new(self.body, digest, self.bytes.into()))
    }

    /// What is checked of all, once it is known to be what was asked for.
    fn check_all_else(
        self,
        against: &Against<'_, impl Seen>,
        proven: Option<&mut Proven>,
    ) -> Result<Signed<T>, Rejected> {
        self.check_signer()?.check_time(against.now)?.check_revision(against.seen)?.prove(proven)
    }
}
