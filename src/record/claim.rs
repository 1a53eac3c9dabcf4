use libp2p::PeerId;

use super::{
    ClaimSet, Kind, NetworkName, Rank, RecordKey, Rejected, Revision, Validity,
    codec::{self, Bytes},
    envelope,
    signed::sealed::{Placed, Wire},
    wire::{self, ClaimWire, NameText, NetworkText, StatusWire},
};
use crate::{
    Error, Result,
    package::{Digest, Origin, PackageName},
};

/// One owner's word that it publishes a package of a name, so that a bare name can be resolved.
///
/// It travels in the [`ClaimSet`] of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who publishes the package.
    pub owner: PeerId,
    /// The name that is claimed.
    pub name: PackageName,
    /// What orders the claims of one owner to one name.
    pub revision: Revision,
    /// When it holds.
    pub validity: Validity,
    /// What it says.
    pub status: ClaimStatus,
    /// What the owner delegates, or what later versions sign: as much as a claim's bounds leave, of at
    /// most 512 bytes. See the [module](super).
    pub ext: Vec<u8>,
}

/// What a claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClaimStatus {
    /// The owner publishes under the name.
    Active,
    /// The owner no longer does.
    Withdrawn,
}

impl Claim {
    /// The most bytes of a claim, envelope and all: so that a full set always fits into a record,
    /// whichever claims are in it. The longest names leave room for a delegation in `ext`, whatever epoch
    /// and sequence, as long as times are below 2⁴² (seconds, from 1970).
    pub const MAX_BYTES: usize = 339;

    /// A claim to a name.
    #[must_use]
    pub fn new(
        network: NetworkName,
        owner: PeerId,
        name: PackageName,
        revision: Revision,
        validity: Validity,
        status: ClaimStatus,
    ) -> Self {
        Self { network, owner, name, revision, validity, status, ext: Vec::new() }
    }

    /// Where it stands among its owner's claims to the name, as the head that goes with it does among the heads.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { withdrawn: self.status == ClaimStatus::Withdrawn, ..self.revision.into() }
    }
}

impl Wire for Claim {
    const KIND: Kind = Kind::Claim;

    fn network(&self) -> &NetworkName {
        &self.network
    }

    fn owner(&self) -> &PeerId {
        &self.owner
    }

    fn ext(&self) -> &[u8] {
        &self.ext
    }

    /// Names and numbers are in bounds by themselves, and the size is looked at before and after.
    fn validate(&self, _origin: Origin) -> Result<()> {
        Ok(())
    }

    fn validate_size(&self) -> Result<()> {
        check_size(self.encode()?.len())
    }

    fn validity(&self) -> Option<Validity> {
        Some(self.validity)
    }

    fn rank(&self) -> Option<(Rank, &PackageName)> {
        Some((Claim::rank(self), &self.name))
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(&ClaimWire {
            network: NetworkText::of(self.network.as_str()),
            owner: wire::key_of(&self.owner)?,
            name: NameText::of(self.name.as_str()),
            epoch: self.revision.epoch,
            sequence: self.revision.sequence,
            issued: self.validity.issued,
            expires: self.validity.expires,
            status: match self.status {
                ClaimStatus::Active => StatusWire::Active,
                ClaimStatus::Withdrawn => StatusWire::Withdrawn,
            },
            ext: Bytes(&self.ext),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        check_size(bytes.len())?;
        let wire: ClaimWire<'_> = codec::decode_strict(bytes)?;
        Ok(Self {
            network: wire.network.0.parse()?,
            owner: wire::owner_of(&wire.owner)?,
            name: wire.name.0.parse()?,
            revision: Revision::new(wire.epoch, wire.sequence),
            validity: Validity { issued: wire.issued, expires: wire.expires },
            status: match wire.status {
                StatusWire::Active => ClaimStatus::Active,
                StatusWire::Withdrawn => ClaimStatus::Withdrawn,
            },
            ext: wire.ext.0.to_vec(),
        })
    }
}

/// The bound on a claim of so many bytes, to which the envelope adds.
fn check_size(body: usize) -> Result<()> {
    let (size, max) = (body.saturating_add(envelope::OVERHEAD), Claim::MAX_BYTES);
    if size > max {
        return Err(Error::TooLarge { what: "claim".into(), size, max });
    }
    Ok(())
}

/// The key of a claim is that of the set it belongs to.
impl Placed for Claim {
    fn key(&self, _digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::claims(&self.network, &self.name)
    }
}

// What makes the merging of sets independent of their order: no set is too large to be written.
const _: () = assert!(
    3 + ClaimSet::MAX_CLAIMS * (2 + Claim::MAX_BYTES) <= envelope::MAX_RECORD_BYTES,
    "a full set of the largest claims must fit into a record"
);
