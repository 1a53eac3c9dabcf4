//! How a manifest is written inside of a record, and how large it may be there.

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    codec::{self, List, Text, is_shown_as},
    limits::{MAX_MANIFEST_BYTES, SizeLimit},
    rejected::Rejected,
    wire::{self, KeywordText, NameText, VersionText},
};
use crate::{
    error::{Error, Result},
    package::{Artifact, Dependency, Digest, Manifest, Origin, PackageName},
};

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
    SizeLimit::MANIFEST.check(manifest_bytes(manifest)?)
}

/// As [`check_manifest`] but for its size, and that the package does not depend on itself, now that
/// its owner is known.
pub(super) fn check_owned_manifest(
    manifest: &Manifest,
    owner: &PeerId,
    origin: Origin,
) -> Result<()> {
    manifest.validate_from(origin)?;
    let itself = |dependency: &Dependency| {
        dependency.name == manifest.name && dependency.owner.as_ref() == Some(owner)
    };
    if let Some(i) = manifest.dependencies.iter().position(itself) {
        let reason = "is the package itself; another package is accepted";
        return Err(Error::invalid(format!("dependencies[{i}]"), reason));
    }
    Ok(())
}

/// A manifest without its name, which the record around it has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ManifestWire<'a> {
    #[serde(borrow)]
    version: VersionText<'a>,
    #[serde(borrow)]
    description: Text<'a, { Manifest::MAX_DESCRIPTION_BYTES }>,
    #[serde(borrow)]
    license: Option<Text<'a, { Manifest::MAX_LICENSE_BYTES }>>,
    #[serde(borrow)]
    authors: List<Text<'a, { Manifest::MAX_AUTHOR_BYTES }>, { Manifest::MAX_AUTHORS }>,
    #[serde(borrow)]
    keywords: List<KeywordText<'a>, { Manifest::MAX_KEYWORDS }>,
    #[serde(borrow)]
    homepage: Option<Text<'a, { Manifest::MAX_URL_BYTES }>>,
    #[serde(borrow)]
    repository: Option<Text<'a, { Manifest::MAX_URL_BYTES }>>,
    #[serde(borrow)]
    dependencies: List<DependencyWire<'a>, { Manifest::MAX_DEPENDENCIES }>,
    #[serde(borrow)]
    artifacts: List<ArtifactWire<'a>, { Manifest::MAX_ARTIFACTS }>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DependencyWire<'a> {
    #[serde(borrow)]
    name: NameText<'a>,
    owner: Option<[u8; 32]>,
    #[serde(borrow)]
    requirement: Text<'a, { Manifest::MAX_REQUIREMENT_BYTES }>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ArtifactWire<'a> {
    #[serde(borrow)]
    name: Text<'a, { Artifact::MAX_NAME_BYTES }>,
    digest: [u8; 32],
    size: u64,
    #[serde(borrow)]
    media_type: Text<'a, { Artifact::MAX_MEDIA_TYPE_BYTES }>,
}

impl<'a> ManifestWire<'a> {
    pub(super) fn of(manifest: &'a Manifest) -> Result<Self> {
        let dependency = |dependency: &'a Dependency| {
            Ok(DependencyWire {
                name: Text::of(dependency.name.as_str()),
                owner: dependency.owner.as_ref().map(wire::key_of).transpose()?,
                requirement: Text(dependency.requirement.to_string().into()),
            })
        };
        let artifact = |artifact: &'a Artifact| ArtifactWire {
            name: Text::of(&artifact.name),
            digest: *artifact.digest.as_bytes(),
            size: artifact.size,
            media_type: Text::of(&artifact.media_type),
        };
        Ok(Self {
            version: Text(manifest.version.to_string().into()),
            description: Text::of(&manifest.description),
            license: manifest.license.as_deref().map(Text::of),
            authors: List(manifest.authors.iter().map(|author| Text::of(author)).collect()),
            keywords: List(manifest.keywords.iter().map(|keyword| Text::of(keyword)).collect()),
            homepage: manifest.homepage.as_deref().map(Text::of),
            repository: manifest.repository.as_deref().map(Text::of),
            dependencies: List(
                manifest.dependencies.iter().map(dependency).collect::<Result<_>>()?,
            ),
            artifacts: List(manifest.artifacts.iter().map(artifact).collect()),
        })
    }

    /// Checks that it is no larger than a manifest may be, in a body of so many bytes.
    pub(super) fn check_size(&self, body: usize) -> Result<()> {
        if body <= MAX_MANIFEST_BYTES {
            Ok(())
        } else {
            SizeLimit::MANIFEST.check(codec::size(self)?)
        }
    }

    pub(super) fn into_manifest(self, name: PackageName) -> Result<Manifest, Rejected> {
        let dependency = |wire: DependencyWire<'_>| {
            let name = wire.name.0.parse()?;
            let requirement = requirement_of(&wire.requirement.0)?;
            let dependency = Dependency::new(name, requirement);
            Ok(match &wire.owner {
                Some(key) => dependency.with_owner(wire::owner_of(key)?),
                None => dependency,
            })
        };
        let artifact = |wire: ArtifactWire<'_>| {
            let digest = Digest::from_bytes(wire.digest);
            Artifact::new(wire.name.0, digest, wire.size, wire.media_type.0)
        };
        let mut manifest = Manifest::new(name, wire::version_of(&self.version)?)
            .with_description(self.description.0)
            .with_authors(self.authors.0.into_iter().map(Text::into_string))
            .with_keywords(self.keywords.0.into_iter().map(Text::into_string));
        manifest.license = self.license.map(Text::into_string);
        manifest.homepage = self.homepage.map(Text::into_string);
        manifest.repository = self.repository.map(Text::into_string);
        manifest.dependencies =
            self.dependencies.0.into_iter().map(dependency).collect::<Result<_, Rejected>>()?;
        manifest.artifacts = self.artifacts.0.into_iter().map(artifact).collect();
        Ok(manifest)
    }
}

/// A requirement, of whose spellings (`>=1,<2`) the one that it is shown as is accepted.
fn requirement_of(text: &str) -> Result<semver::VersionReq, Rejected> {
    let requirement = text.parse().map_err(|_| Rejected::encoding("not a requirement"))?;
    if !is_shown_as(&requirement, text) {
        return Err(Rejected::encoding("the body is not encoded canonically"));
    }
    Ok(requirement)
}
