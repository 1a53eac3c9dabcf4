//! An owner's word that another key publishes for it, so that the owner's own key can stay offline.

use libp2p::{PeerId, identity::Keypair};
use serde::{Deserialize, Serialize};

use super::{
    codec,
    grant::{Grant, GrantWire, KIND},
    kind::{framed, unframed},
    limits::MAX_DELEGATION_SECS,
    network::NetworkName,
    rejected::Rejected,
    validity::Validity,
    wire::{self, NetworkText},
};
use crate::{
    error::{Error, Result},
    package::{owner_from_key, owner_key},
};

/// An owner's word that a publisher's key signs its records: of one network, with one epoch, for a time.
///
/// The owner signs it where its own key is, and hands [`to_bytes`](Self::to_bytes) to the publisher, who signs
/// records with its own key and puts [`to_ext`](Self::to_ext) into each of them. Whoever verifies such a record
/// needs nothing else.
///
/// Keys are rotated by delegating a higher epoch, to the same publisher or to another one: whoever has seen it
/// believes no delegated record of a lower one. Two publishers must not share an epoch unless they sign different
/// packages, or what they sign may look like an [`EquivocationProof`](super::EquivocationProof) of the owner.
///
/// ```
/// use peerage::{NetworkName, identity::Keypair, record::{Delegation, Validity}};
///
/// let (owner, publisher) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
/// // Where the owner's key is:
/// let half_a_year = Validity::starting(1_800_000_000, 180 * 24 * 60 * 60);
/// let network = NetworkName::default();
/// let signed =
///     Delegation::sign(&owner, &network, publisher.public().to_peer_id(), 1, half_a_year)?;
/// let bytes = signed.to_bytes();
///
/// // Where packages are published:
/// let delegation = Delegation::from_bytes(&bytes)?;
/// delegation.verify()?;
/// assert_eq!(delegation.owner(), owner.public().to_peer_id());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    network: NetworkName,
    owner: PeerId,
    publisher: PeerId,
    grant: Grant,
}

impl Delegation {
    /// The most bytes of what a record carries of it: the first byte, three numbers and a signature.
    pub const MAX_EXT_BYTES: usize = 1 + 5 + 10 + 10 + 64;

    /// Signs a delegation with the owner's key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a key is not Ed25519, when publisher and owner are the same, or when the validity
    /// is empty or longer than [`MAX_DELEGATION_SECS`].
    pub fn sign(
        owner: &Keypair,
        network: &NetworkName,
        publisher: PeerId,
        epoch: u32,
        validity: Validity,
    ) -> Result<Self> {
        let owner_id = owner.public().to_peer_id();
        if publisher == owner_id {
            let reason = "is the owner itself, which needs none; another key's is accepted";
            return Err(Error::invalid("publisher", reason));
        }
        validity.validate_within(MAX_DELEGATION_SECS)?;
        let parties = (&key_of(&owner_id)?, &key_of(&publisher)?);
        let grant = Grant::sign(owner, network, parties, epoch, validity)?;
        Ok(Self { network: network.clone(), owner: owner_id, publisher, grant })
    }

    /// What the body of a record that the publisher signs has in its `ext`.
    #[must_use]
    pub fn to_ext(&self) -> Vec<u8> {
        self.grant.to_ext()
    }

    /// The delegation by itself, to be handed to the publisher: `format u8 = 1 · 0x42`, and then as postcard the
    /// network (text), the owner's key (32 bytes), the publisher's key (32 bytes), epoch, issued, expires and the
    /// signature (64 bytes).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Both keys were Ed25519 keys when this was made.
        framed(KIND, self.wire().ok())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, strictly. The signature is for
    /// [`verify`](Self::verify) to look at.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the bytes are not the encoding of a delegation, or when it cannot hold whatever the time.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Rejected> {
        let body = unframed(KIND, bytes, "too few bytes for a delegation")?;
        let DelegationWire { network, owner, publisher, grant } = codec::decode_strict(body)?;
        if owner == publisher {
            return Err(Rejected::delegation("its owner is its publisher"));
        }
        Ok(Self {
            network: network.0.parse()?,
            owner: wire::owner_of(&owner)?,
            publisher: wire::owner_of(&publisher)?,
            grant: grant.into_grant()?,
        })
    }

    /// Verifies the owner's signature. Whether it holds at this time is for [`check_time`](Self::check_time).
    ///
    /// # Errors
    ///
    /// [`Rejected::Signature`], or [`Rejected::Signer`] for a key that anybody can sign with.
    pub fn verify(&self) -> Result<(), Rejected> {
        let key = |peer: &PeerId| owner_key(peer).ok_or(Rejected::Signer);
        let parties = (&key(&self.owner)?, &key(&self.publisher)?);
        self.grant.prove(&self.network, parties, None)
    }

    /// Checks that it holds at `now`, in Unix seconds: a clock that is up to
    /// [`MAX_CLOCK_SKEW_SECS`](super::MAX_CLOCK_SKEW_SECS) behind the owner's does no harm.
    ///
    /// # Errors
    ///
    /// [`Rejected::Expired`] and [`Rejected::Future`].
    pub fn check_time(&self, now: u64) -> Result<(), Rejected> {
        self.grant.check_time(now)
    }

    /// The network that it is for.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        &self.network
    }

    /// Whose packages are published.
    #[must_use]
    pub fn owner(&self) -> PeerId {
        self.owner
    }

    /// Whose key signs their records.
    #[must_use]
    pub fn publisher(&self) -> PeerId {
        self.publisher
    }

    /// The epoch of all heads and claims that are signed under it.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.grant.epoch
    }

    /// When it holds. No head and no claim that is signed under it holds for longer.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.grant.validity
    }

    /// The delegation by which a record is signed.
    pub(super) fn carried(
        network: &NetworkName,
        owner: &PeerId,
        signer: &[u8; 32],
        grant: Grant,
    ) -> Option<Self> {
        let publisher = owner_from_key(signer)?;
        Some(Self { network: network.clone(), owner: *owner, publisher, grant })
    }

    fn wire(&self) -> Result<DelegationWire<'_>> {
        Ok(DelegationWire {
            network: NetworkText::of(self.network.as_str()),
            owner: key_of(&self.owner)?,
            publisher: key_of(&self.publisher)?,
            grant: GrantWire::of(&self.grant),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct DelegationWire<'a> {
    #[serde(borrow)]
    network: NetworkText<'a>,
    owner: [u8; 32],
    publisher: [u8; 32],
    grant: GrantWire,
}

fn key_of(peer: &PeerId) -> Result<[u8; 32]> {
    owner_key(peer).ok_or_else(|| {
        Error::invalid("publisher", format!("`{peer}` is not the peer id of an Ed25519 key"))
    })
}
