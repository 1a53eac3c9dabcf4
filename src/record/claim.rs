use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    body::sealed::{Common, Placed, Succession, Wire},
    key::RecordKey,
    kind::Kind,
    limits::SizeLimit,
    network::NetworkName,
    rejected::Rejected,
    revision::{Rank, Revision},
    validity::Validity,
    wire::StartWire,
};
use crate::{
    error::Result,
    package::{Digest, Origin, PackageName},
};

/// One owner's word that it publishes a package of a name, so that a bare name can be resolved.
///
/// It travels in the [`ClaimSet`](super::ClaimSet) of its name.
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

/// What a claim has of its own, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClaimFields<'a> {
    #[serde(borrow)]
    start: StartWire<'a>,
    #[serde(with = "StatusWire")]
    status: ClaimStatus,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClaimStatus")]
enum StatusWire {
    Active,
    Withdrawn,
}

impl Wire for Claim {
    const KIND: Kind = Kind::Claim;
    const SIZE: SizeLimit = SizeLimit { what: "claim", max: Self::MAX_BYTES };

    type Fields<'a> = ClaimFields<'a>;

    fn common(&self) -> Common<'_> {
        Common { network: &self.network, owner: &self.owner, ext: &self.ext }
    }

    fn to_fields(&self) -> Result<ClaimFields<'_>> {
        let start = StartWire::of(&self.name, self.revision, self.validity);
        Ok(ClaimFields { start, status: self.status })
    }

    fn from_fields(common: Common<'_>, fields: ClaimFields<'_>) -> Result<Self, Rejected> {
        let ClaimFields { start: StartWire { name, revision, validity }, status } = fields;
        let (name, (network, owner, ext)) = (name.0.parse()?, common.owned());
        Ok(Self { network, owner, name, revision, validity, status, ext })
    }

    /// Names and numbers are in bounds by themselves.
    fn validate(&self, _origin: Origin) -> Result<()> {
        Ok(())
    }

    fn succession(&self) -> Option<Succession<'_>> {
        Some(Succession { name: &self.name, rank: self.rank(), validity: self.validity })
    }
}

/// The key of a claim is that of the set it belongs to.
impl Placed for Claim {
    fn key(&self, _digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::claims(&self.network, &self.name)
    }
}
