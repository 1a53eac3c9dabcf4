use libp2p::PeerId;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{
    body::sealed::{Common, Placed, Wire},
    key::RecordKey,
    kind::Kind,
    manifest::{ManifestWire, check_owned_manifest},
    network::NetworkName,
    rejected::Rejected,
    wire::NameText,
};
use crate::{
    error::Result,
    package::{Digest, Manifest, Origin, PackageName},
};

/// A release of a package: written once, it says what a version is.
///
/// It never expires, and it is not proof that the release still stands: that is for the head, or one
/// of its pages, whose entry of that version has this record's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who publishes the package.
    pub owner: PeerId,
    /// What the release is; the name and the version are the release's.
    pub manifest: Manifest,
    /// What the owner delegates, or what later versions sign; at most 512 bytes. See the
    /// [module](super).
    pub ext: Vec<u8>,
}

impl Release {
    /// A release with this manifest.
    #[must_use]
    pub fn new(network: NetworkName, owner: PeerId, manifest: Manifest) -> Self {
        Self { network, owner, manifest, ext: Vec::new() }
    }

    /// The package's name.
    #[must_use]
    pub fn name(&self) -> &PackageName {
        &self.manifest.name
    }

    /// The release's version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.manifest.version
    }
}

/// What a release has of its own, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReleaseFields<'a> {
    #[serde(borrow)]
    name: NameText<'a>,
    #[serde(borrow)]
    manifest: ManifestWire<'a>,
}

impl Wire for Release {
    const KIND: Kind = Kind::Release;

    type Fields<'a> = ReleaseFields<'a>;

    fn common(&self) -> Common<'_> {
        Common { network: &self.network, owner: &self.owner, ext: &self.ext }
    }

    fn to_fields(&self) -> Result<ReleaseFields<'_>> {
        let name = NameText::of(self.name().as_str());
        Ok(ReleaseFields { name, manifest: ManifestWire::of(&self.manifest)? })
    }

    fn from_fields(common: Common<'_>, fields: ReleaseFields<'_>) -> Result<Self, Rejected> {
        let manifest = fields.manifest.into_manifest(fields.name.0.parse()?)?;
        let (network, owner, ext) = common.owned();
        Ok(Self { network, owner, manifest, ext })
    }

    fn validate(&self, origin: Origin) -> Result<()> {
        check_owned_manifest(&self.manifest, &self.owner, origin)
    }

    fn check_written(fields: &ReleaseFields<'_>, body: usize) -> Result<()> {
        fields.manifest.check_size(body)
    }
}

impl Placed for Release {
    fn key(&self, _digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::release(&self.network, &self.owner, self.name(), self.version())
    }
}
