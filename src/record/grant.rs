//! What a record carries of a delegation.

use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};

use super::{
    codec,
    limits::MAX_DELEGATION_SECS,
    network::NetworkName,
    proven::{self, Proven},
    rejected::Rejected,
    signature::{self, domain},
    validity::Validity,
    wire::ValidityWire,
};
use crate::error::Result;

const DOMAIN: &[u8] = b"peerage-delegation-v1";

/// The first byte of an `ext` that carries a delegation. What begins with another byte, later versions read.
const TAG: u8 = 1;

/// The second byte of a delegation by itself, where a record has its kind: no record is of this kind, so that it also
/// tells the signatures apart that are remembered.
pub(super) const KIND: u8 = 0x42;

/// The keys of the owner and of the publisher.
type Parties<'a> = (&'a [u8; 32], &'a [u8; 32]);

/// What a record carries of a delegation: whose it is and for whom, the record says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) epoch: u32,
    pub(super) validity: Validity,
    signature: [u8; 64],
}

impl Grant {
    /// Signs it with the owner's key pair, for the keys of both.
    pub(super) fn sign(
        keypair: &Keypair,
        network: &NetworkName,
        parties: Parties<'_>,
        epoch: u32,
        validity: Validity,
    ) -> Result<Self> {
        let message = to_be_signed(network, parties, epoch, validity);
        Ok(Self { epoch, validity, signature: signature::sign(keypair, &message)? })
    }

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

    pub(super) fn to_ext(self) -> Vec<u8> {
        // Numbers and fixed bytes always encode; were they not to, nobody would take the tag alone.
        [&[TAG], &*codec::encode(&GrantWire::of(&self)).unwrap_or_default()].concat()
    }

    /// Whether a record of this epoch and validity may be signed with it, whatever the time.
    pub(super) fn check_record(&self, epoch: u32, validity: Validity) -> Result<(), Rejected> {
        if epoch != self.epoch {
            return Err(Rejected::delegation("the record's epoch is not the delegation's"));
        }
        if validity.expires > self.validity.expires {
            return Err(Rejected::delegation("the record outlives the delegation"));
        }
        Ok(())
    }

    pub(super) fn check_time(&self, now: u64) -> Result<(), Rejected> {
        self.validity.check_now(now)
    }

    /// Verifies that the owner has signed it for this publisher.
    pub(super) fn prove(
        &self,
        network: &NetworkName,
        parties: Parties<'_>,
        proven: Option<&mut Proven>,
    ) -> Result<(), Rejected> {
        let message = to_be_signed(network, parties, self.epoch, self.validity);
        let parts = [&[KIND], &self.signature[..], &message];
        proven::verify(proven, &parts, parties.0, || &message[..], &self.signature)
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
pub(super) struct GrantWire {
    epoch: u32,
    #[serde(with = "ValidityWire")]
    validity: Validity,
    /// The halves of the signature, R and S: there is no telling serde of 64 bytes.
    signature: ([u8; 32], [u8; 32]),
}

impl GrantWire {
    pub(super) fn of(grant: &Grant) -> Self {
        let Grant { epoch, validity, signature } = *grant;
        let mut halves = ([0; 32], [0; 32]);
        let (r, s) = signature.split_at(32);
        halves.0.copy_from_slice(r);
        halves.1.copy_from_slice(s);
        Self { epoch, validity, signature: halves }
    }

    pub(super) fn into_grant(self) -> Result<Grant, Rejected> {
        let Self { epoch, validity, signature: (r, s) } = self;
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

/// What the owner signs: two texts with their lengths before them, and then fields of fixed length, big-endian.
fn to_be_signed(
    network: &NetworkName,
    (owner, publisher): Parties<'_>,
    epoch: u32,
    validity: Validity,
) -> Vec<u8> {
    let mut message = domain(DOMAIN, network, 32 + 32 + 4 + 8 + 8);
    message.extend(owner);
    message.extend(publisher);
    message.extend(epoch.to_be_bytes());
    message.extend(validity.issued.to_be_bytes());
    message.extend(validity.expires.to_be_bytes());
    message
}
