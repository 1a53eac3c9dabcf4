//! The bodies as they are written: a struct for each, and the parts that several share.
//!
//! What stands here is format 1 for good. The order of fields and of variants is the format; new
//! fields come with a new format, or inside `ext`. There are no `usize`, floats, `char`s, maps,
//! recursive types or items that encode to nothing.

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    Head, MAX_EXT_BYTES, MAX_MANIFEST_BYTES, Message, NetworkName, Page, PageLink, Rejected,
    ReleaseEntry,
    codec::{self, Bytes, List, Text, is_shown_as},
    release::check_manifest_size,
};
use crate::{
    Coverage, Error, Result,
    package::{
        Artifact, Dependency, Digest, Manifest, PackageName, owner_from_key, owner_key,
        text::is_version,
    },
};

pub(super) type NetworkText<'a> = Text<'a, { NetworkName::MAX_BYTES }>;
pub(super) type NameText<'a> = Text<'a, { PackageName::MAX_BYTES }>;
pub(super) type VersionText<'a> = Text<'a, { Manifest::MAX_VERSION_BYTES }>;
type UrlText<'a> = Text<'a, { Manifest::MAX_URL_BYTES }>;
pub(super) type Ext<'a> = Bytes<'a, MAX_EXT_BYTES>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HeadWire<'a> {
    #[serde(borrow)]
    pub(super) network: NetworkText<'a>,
    pub(super) owner: [u8; 32],
    #[serde(borrow)]
    pub(super) name: NameText<'a>,
    pub(super) epoch: u32,
    pub(super) sequence: u64,
    pub(super) issued: u64,
    pub(super) expires: u64,
    #[serde(borrow)]
    pub(super) state: StateWire<'a>,
    #[serde(borrow)]
    pub(super) ext: Ext<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StateWire<'a> {
    Live {
        #[serde(borrow)]
        latest: Box<ManifestWire<'a>>,
        #[serde(borrow)]
        releases: List<EntryWire<'a>, { Head::MAX_INLINE_RELEASES }>,
        older: Option<LinkWire>,
    },
    Withdrawn {
        #[serde(borrow)]
        reason: Text<'a, { Head::MAX_REASON_BYTES }>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReleaseWire<'a> {
    #[serde(borrow)]
    pub(super) network: NetworkText<'a>,
    pub(super) owner: [u8; 32],
    #[serde(borrow)]
    pub(super) name: NameText<'a>,
    #[serde(borrow)]
    pub(super) manifest: ManifestWire<'a>,
    #[serde(borrow)]
    pub(super) ext: Ext<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PageWire<'a> {
    #[serde(borrow)]
    pub(super) network: NetworkText<'a>,
    pub(super) owner: [u8; 32],
    #[serde(borrow)]
    pub(super) name: NameText<'a>,
    #[serde(borrow)]
    pub(super) releases: List<EntryWire<'a>, { Page::MAX_RELEASES }>,
    pub(super) older: Option<LinkWire>,
    #[serde(borrow)]
    pub(super) ext: Ext<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClaimWire<'a> {
    #[serde(borrow)]
    pub(super) network: NetworkText<'a>,
    pub(super) owner: [u8; 32],
    #[serde(borrow)]
    pub(super) name: NameText<'a>,
    pub(super) epoch: u32,
    pub(super) sequence: u64,
    pub(super) issued: u64,
    pub(super) expires: u64,
    pub(super) status: StatusWire,
    #[serde(borrow)]
    pub(super) ext: Ext<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StatusWire {
    Active,
    Withdrawn,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MessageWire<'a> {
    #[serde(borrow)]
    pub(super) network: NetworkText<'a>,
    pub(super) author: [u8; 32],
    #[serde(borrow)]
    pub(super) topic: Text<'a, { Message::MAX_TOPIC_BYTES }>,
    pub(super) nonce: u64,
    pub(super) issued: u64,
    #[serde(borrow)]
    pub(super) data: Bytes<'a, { Message::MAX_DATA_BYTES }>,
    #[serde(borrow)]
    pub(super) ext: Ext<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HelloWire<'a> {
    #[serde(borrow)]
    pub(super) network: NetworkText<'a>,
    pub(super) peer: [u8; 32],
    pub(super) issued: u64,
    /// Latitude and longitude.
    pub(super) location: Option<(i32, i32)>,
    #[serde(borrow)]
    pub(super) coverage: CoverageWire<'a>,
    pub(super) packages: u64,
    pub(super) digest: [u8; 32],
    pub(super) features: u64,
    #[serde(borrow)]
    pub(super) ext: Ext<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CoverageWire<'a> {
    All,
    #[serde(borrow)]
    Keywords(List<Text<'a, { Manifest::MAX_KEYWORD_BYTES }>, { Coverage::MAX_KEYWORDS }>),
    None,
}

impl<'a> CoverageWire<'a> {
    pub(crate) fn of(coverage: &'a Coverage) -> Self {
        match coverage {
            Coverage::All => Self::All,
            Coverage::Keywords(keywords) => {
                Self::Keywords(List(keywords.iter().map(|keyword| Text::of(keyword)).collect()))
            }
            Coverage::None => Self::None,
        }
    }

    /// What comes back is not validated.
    /// Keywords come in order, each once: a coverage is written in one way.
    pub(crate) fn into_coverage(self) -> Result<Coverage, Rejected> {
        let coverage = match self {
            Self::All => Coverage::All,
            Self::None => Coverage::None,
            Self::Keywords(keywords) => {
                let keywords = keywords.0.into_iter().map(Text::into_string);
                let keywords: Vec<String> = keywords.collect();
                if !keywords.is_sorted_by(|a, b| a < b) {
                    return Err(Rejected::Encoding { reason: "keywords are out of order" });
                }
                Coverage::Keywords(keywords.into_iter().collect())
            }
        };
        coverage.validate()?;
        Ok(coverage)
    }
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
    keywords: List<Text<'a, { Manifest::MAX_KEYWORD_BYTES }>, { Manifest::MAX_KEYWORDS }>,
    #[serde(borrow)]
    homepage: Option<UrlText<'a>>,
    #[serde(borrow)]
    repository: Option<UrlText<'a>>,
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

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntryWire<'a> {
    #[serde(borrow)]
    version: VersionText<'a>,
    digest: [u8; 32],
    yanked: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LinkWire {
    digest: [u8; 32],
    count: u32,
}

impl<'a> ManifestWire<'a> {
    pub(super) fn of(manifest: &'a Manifest) -> Result<Self> {
        let dependency = |dependency: &'a Dependency| {
            Ok(DependencyWire {
                name: Text::of(dependency.name.as_str()),
                owner: dependency.owner.as_ref().map(key_of).transpose()?,
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
        if body <= MAX_MANIFEST_BYTES { Ok(()) } else { check_manifest_size(codec::size(self)?) }
    }

    pub(super) fn into_manifest(self, name: PackageName) -> Result<Manifest, Rejected> {
        let dependency = |wire: DependencyWire<'_>| {
            let name = wire.name.0.parse()?;
            let requirement = requirement_of(&wire.requirement.0)?;
            let dependency = Dependency::new(name, requirement);
            Ok(match &wire.owner {
                Some(key) => dependency.with_owner(owner_of(key)?),
                None => dependency,
            })
        };
        let artifact = |wire: ArtifactWire<'_>| {
            let digest = Digest::from_bytes(wire.digest);
            Artifact::new(wire.name.0, digest, wire.size, wire.media_type.0)
        };
        let mut manifest = Manifest::new(name, version_of(&self.version)?)
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

impl EntryWire<'_> {
    pub(super) fn of(entry: &ReleaseEntry) -> Self {
        let version = Text(entry.version.to_string().into());
        Self { version, digest: *entry.digest.as_bytes(), yanked: entry.yanked }
    }

    pub(super) fn into_entry(self) -> Result<ReleaseEntry, Rejected> {
        let digest = Digest::from_bytes(self.digest);
        Ok(ReleaseEntry { version: version_of(&self.version)?, digest, yanked: self.yanked })
    }
}

impl LinkWire {
    pub(super) fn of(link: &PageLink) -> Self {
        Self { digest: *link.digest.as_bytes(), count: link.count }
    }

    pub(super) fn into_link(self) -> PageLink {
        PageLink { digest: Digest::from_bytes(self.digest), count: self.count }
    }
}

pub(super) fn entries<const MAX: usize>(
    list: List<EntryWire<'_>, MAX>,
) -> Result<Vec<ReleaseEntry>, Rejected> {
    list.0.into_iter().map(EntryWire::into_entry).collect()
}

pub(crate) fn key_of(owner: &PeerId) -> Result<[u8; 32]> {
    owner_key(owner).ok_or_else(|| {
        Error::invalid("owner", format!("`{owner}` is not the peer id of an Ed25519 key"))
    })
}

pub(crate) fn owner_of(key: &[u8; 32]) -> Result<PeerId, Rejected> {
    owner_from_key(key).ok_or(Rejected::Signer)
}

fn version_of(text: &VersionText<'_>) -> Result<semver::Version, Rejected> {
    let version = text.0.parse().map_err(|_| Rejected::encoding("not a semantic version"))?;
    if !is_version(&text.0, &version) {
        return Err(Rejected::encoding("the body is not encoded canonically"));
    }
    Ok(version)
}

/// A requirement, of whose spellings (`>=1,<2`) the one that it is shown as is accepted.
fn requirement_of(text: &str) -> Result<semver::VersionReq, Rejected> {
    let requirement = text.parse().map_err(|_| Rejected::encoding("not a requirement"))?;
    if !is_shown_as(&requirement, text) {
        return Err(Rejected::encoding("the body is not encoded canonically"));
    }
    Ok(requirement)
}
