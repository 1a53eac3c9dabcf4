use libp2p::PeerId;
use semver::Version;

use super::{
    Kind, NetworkName, RecordKey, Rejected,
    codec::{self, Bytes},
    signed::sealed::{Placed, Wire},
    wire::{self, ManifestWire, NameText, NetworkText, ReleaseWire},
};
use crate::{
    Error, Result,
    package::{Digest, Manifest, Origin, PackageName},
};

/// The most bytes that a manifest takes in a record.
pub const MAX_MANIFEST_BYTES: usize = 5120;

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

impl Wire for Release {
    const KIND: Kind = Kind::Release;

    fn network(&self) -> &NetworkName {
        &self.network
    }

    fn owner(&self) -> &PeerId {
        &self.owner
    }

    fn ext(&self) -> &[u8] {
        &self.ext
    }

    fn validate(&self, origin: Origin) -> Result<()> {
        check_owned_manifest(&self.manifest, &self.owner, origin)
    }

    fn validate_size(&self) -> Result<()> {
        check_manifest_size(manifest_bytes(&self.manifest)?)
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(&ReleaseWire {
            network: NetworkText::of(self.network.as_str()),
            owner: wire::key_of(&self.owner)?,
            name: NameText::of(self.name().as_str()),
            manifest: ManifestWire::of(&self.manifest)?,
            ext: Bytes(&self.ext),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let wire: ReleaseWire<'_> = codec::decode_strict(bytes)?;
        wire.manifest.check_size(bytes.len())?;
        Ok(Self {
            network: wire.network.0.parse()?,
            owner: wire::owner_of(&wire.owner)?,
            manifest: wire.manifest.into_manifest(wire.name.0.parse()?)?,
            ext: wire.ext.0.to_vec(),
        })
    }
}

impl Placed for Release {
    fn key(&self, _digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::release(&self.network, &self.owner, self.name(), self.version())
    }
}

/// The bytes that a manifest takes in a record: at most [`MAX_MANIFEST_BYTES`] do.
///
/// # Errors
///
/// [`Error::Invalid`] when it cannot be written, for an owner without an Ed25519 key.
pub fn manifest_bytes(manifest: &Manifest) -> Result<usize> {
    codec::size(&ManifestWire::of(manifest)?)
}

/// Checks everything that a manifest must be to be published: its bounds and its size.
///
/// # Errors
///
/// [`Error::Invalid`] as [`Manifest::validate`] gives it, [`Error::TooLarge`] when it takes more than
/// [`MAX_MANIFEST_BYTES`].
pub fn check_manifest(manifest: &Manifest) -> Result<()> {
    manifest.validate()?;
    check_manifest_size(manifest_bytes(manifest)?)
}

pub(super) fn check_manifest_size(size: usize) -> Result<()> {
    if size > MAX_MANIFEST_BYTES {
        return Err(Error::TooLarge { what: "manifest".into(), size, max: MAX_MANIFEST_BYTES });
    }
    Ok(())
}

/// As [`check_manifest`] but for its size, and that the package does not depend on itself, now that
/// its owner is known.
pub(super) fn check_owned_manifest(
    manifest: &Manifest,
    owner: &PeerId,
    origin: Origin,
) -> Result<()> {
    manifest.validate_from(origin)?;
    let itself = |dependency: &crate::package::Dependency| {
        dependency.name == manifest.name && dependency.owner.as_ref() == Some(owner)
    };
    if let Some(i) = manifest.dependencies.iter().position(itself) {
        let reason = "is the package itself; another package is accepted";
        return Err(Error::invalid(format!("dependencies[{i}]"), reason));
    }
    Ok(())
}

/// The bounds of an `ext`; what it carries is read apart from that.
pub(super) fn check_ext(ext: &[u8]) -> Result<()> {
    if ext.len() > super::MAX_EXT_BYTES {
        let max = super::MAX_EXT_BYTES;
        return Err(Error::invalid("ext", format!("is {} of at most {max} bytes", ext.len())));
    }
    Ok(())
}
