//! An owner's word that another key publishes for it, so that the owner's own key can stay offline.

use libp2p::{PeerId, identity::Keypair};
use serde::{Deserialize, Serialize};

use super::{
    FORMAT, NetworkName, Rejected, Revision, Validity, codec, envelope,
    proven::Proven,
    revision::check_issued,
    wire::{self, NetworkText},
};
use crate::{
    Error, Result,
    package::{owner_from_key, owner_key},
};

/// The longest time that a delegation may hold for, in seconds: 366 days, so that a year always fits.
pub const MAX_DELEGATION_SECS: u64 = 366 * 24 * 60 * 60;

const DOMAIN: &[u8] = b"peerage-delegation-v1";

/// The first byte of an `ext` that carries a delegation. What begins with another byte, later versions read.
const TAG: u8 = 1;

/// The second byte of a delegation by itself, where a record has its kind. No record is of this kind.
const KIND: u8 = 0x42;

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
        let message =
            to_be_signed(network, &key_of(&owner_id)?, &key_of(&publisher)?, epoch, validity);
        let signature = envelope::sign(owner, &message)?;
        let grant = Grant { epoch, validity, signature };
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
        let encoded = self.wire().and_then(|wire| codec::encode(&wire));
        // Both keys were Ed25519 keys when this was made; were one not, all would refuse the frame alone.
        [&[FORMAT, KIND], &*encoded.unwrap_or_default()].concat()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, strictly. The signature is for
    /// [`verify`](Self::verify) to look at.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the bytes are not the encoding of a delegation, or when it cannot hold whatever the time.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Rejected> {
        let body = match bytes {
            [FORMAT, KIND, body @ ..] => body,
            [FORMAT, found, ..] => return Err(Rejected::Kind { found: *found }),
            [found, _, ..] => return Err(Rejected::Format { found: *found }),
            _ => return Err(Rejected::encoding("too few bytes for a delegation")),
        };
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
        self.grant.prove(&self.network, &key(&self.owner)?, &key(&self.publisher)?, None)
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

/// What a record carries of a delegation: whose it is and for whom, the record says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    epoch: u32,
    validity: Validity,
    signature: [u8; 64],
}

impl Grant {
    /// Reads the delegation that an `ext` carries, if it carries one. What follows it is what stands in an `ext` where the
    /// owner itself signs: it is no part of the delegation, and there is no second one.
    pub(super) fn in_ext(ext: &[u8]) -> Result<Option<Self>, Rejected> {
        let [TAG, grant @ ..] = ext else { return Ok(None) };
        let end = grant.len().saturating_sub(behind(ext).len());
        let grant = grant.get(..end).unwrap_or(grant);
        let grant = codec::decode_strict::<GrantWire>(grant)?.into_grant()?;
        if let [TAG, ..] = behind(ext) {
            return Err(Rejected::delegation("another one follows it"));
        }
        Ok(Some(grant))
    }

    fn to_ext(self) -> Vec<u8> {
        // Numbers and fixed bytes always encode; were they not to, nobody would take the tag alone.
        [&[TAG], &*codec::encode(&GrantWire::of(&self)).unwrap_or_default()].concat()
    }

    /// Checks what a record of this revision and validity may be signed with, whatever the time.
    pub(super) fn check_record(
        &self,
        revision: Option<Revision>,
        validity: Option<Validity>,
    ) -> Result<(), Rejected> {
        if revision.is_some_and(|revision| revision.epoch != self.epoch) {
            return Err(Rejected::delegation("the record's epoch is not the delegation's"));
        }
        if validity.is_some_and(|validity| validity.expires > self.validity.expires) {
            return Err(Rejected::delegation("the record outlives the delegation"));
        }
        Ok(())
    }

    pub(super) fn check_time(&self, now: u64) -> Result<(), Rejected> {
        let Validity { issued, expires } = self.validity;
        if self.validity.is_expired(now) {
            return Err(Rejected::Expired { expires, now });
        }
        check_issued(issued, now)
    }

    /// Verifies that the owner has signed it for this publisher.
    pub(super) fn prove(
        &self,
        network: &NetworkName,
        owner: &[u8; 32],
        publisher: &[u8; 32],
        proven: Option<&mut Proven>,
    ) -> Result<(), Rejected> {
        let message = to_be_signed(network, owner, publisher, self.epoch, self.validity);
        match proven {
            Some(proven) => {
                let parts = [&[KIND], &self.signature[..], &message];
                proven.verify(&parts, owner, || &message[..], &self.signature)
            }
            None => envelope::verify(&envelope::key_of(owner)?, &message, &self.signature),
        }
    }
}

/// What an `ext` carries behind a delegation, or all of it where it carries none. Of a delegation that cannot be read,
/// nothing.
pub(super) fn behind(ext: &[u8]) -> &[u8] {
    match ext {
        [TAG, grant @ ..] => {
            postcard::take_from_bytes::<GrantWire>(grant).map_or(&[], |(_, rest)| rest)
        }
        _ => ext,
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct GrantWire {
    epoch: u32,
    issued: u64,
    expires: u64,
    /// The halves of the signature, R and S: there is no telling serde of 64 bytes.
    signature: ([u8; 32], [u8; 32]),
}

impl GrantWire {
    fn of(grant: &Grant) -> Self {
        let Grant { epoch, validity: Validity { issued, expires }, signature } = *grant;
        let mut halves = ([0; 32], [0; 32]);
        let (r, s) = signature.split_at(32);
        halves.0.copy_from_slice(r);
        halves.1.copy_from_slice(s);
        Self { epoch, issued, expires, signature: halves }
    }

    fn into_grant(self) -> Result<Grant, Rejected> {
        let Self { epoch, issued, expires, signature: (r, s) } = self;
        let validity = Validity { issued, expires };
        if !validity.is_within(MAX_DELEGATION_SECS) {
            return Err(Rejected::delegation("it holds for no time at all, or for too long"));
        }
        let mut signature = [0; 64];
        let (first, last) = signature.split_at_mut(32);
        first.copy_from_slice(&r);
        last.copy_from_slice(&s);
        Ok(Grant { epoch, validity, signature })
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

/// What the owner signs: two texts with their lengths before them, and then fields of fixed length, big-endian.
fn to_be_signed(
    network: &NetworkName,
    owner: &[u8; 32],
    publisher: &[u8; 32],
    epoch: u32,
    validity: Validity,
) -> Vec<u8> {
    let mut message = envelope::domain(DOMAIN, network, 32 + 32 + 4 + 8 + 8);
    message.extend(owner);
    message.extend(publisher);
    message.extend(epoch.to_be_bytes());
    message.extend(validity.issued.to_be_bytes());
    message.extend(validity.expires.to_be_bytes());
    message
}

fn key_of(peer: &PeerId) -> Result<[u8; 32]> {
    owner_key(peer).ok_or_else(|| {
        Error::invalid("publisher", format!("`{peer}` is not the peer id of an Ed25519 key"))
    })
}
