use libp2p::PeerId;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::{Artifact, PackageId, PackageName};

/// What a release of a package is: everything its publisher says about it.
///
/// As JSON it reads as its fields do; what is optional may be left out, and an unknown field is an
/// error, so that a misspelt one does not vanish. The bounds below are checked by
/// [`validate`](Self::validate), before anything is signed and whenever a record is received.
/// Together they allow more than a record holds: written down, a manifest takes at most
/// [`MAX_MANIFEST_BYTES`](crate::record::MAX_MANIFEST_BYTES).
///
/// ```
/// use peerage::package::{Artifact, Manifest};
///
/// let manifest = Manifest::new("tiny-http".parse()?, semver::Version::new(1, 2, 0))
///     .with_description("A small HTTP server")
///     .with_license("MIT")
///     .with_keywords(["http", "server"])
///     .with_artifact(Artifact::of("tiny-http-1.2.0.tar.gz", b"...", "application/gzip"));
/// manifest.validate()?;
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The package's name.
    pub name: PackageName,
    /// The release's version.
    pub version: Version,
    /// What the package is, in plain text; may have several lines.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The licence, as an SPDX expression such as `MIT OR Apache-2.0`, or `LicenseRef-…` where SPDX has no identifier for
    /// it. What others have published may have other text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Who wrote it, such as `Ada <ada@example.org>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Words to find it by, of `a-z 0-9 -`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// A web page about it: an `http` or `https` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Where its source is: an `http`, `https`, `git` or `ssh` URL, or `git+https` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The packages it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// The files it consists of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
}

impl Manifest {
    /// The longest version, in bytes.
    pub const MAX_VERSION_BYTES: usize = 128;
    /// The longest description, in bytes.
    pub const MAX_DESCRIPTION_BYTES: usize = 1024;
    /// The longest licence, in bytes.
    pub const MAX_LICENSE_BYTES: usize = 128;
    /// The most authors.
    pub const MAX_AUTHORS: usize = 16;
    /// The longest author, in bytes.
    pub const MAX_AUTHOR_BYTES: usize = 128;
    /// The most keywords.
    pub const MAX_KEYWORDS: usize = 16;
    /// The longest keyword, in bytes.
    pub const MAX_KEYWORD_BYTES: usize = 32;
    /// The longest homepage or repository URL, in bytes.
    pub const MAX_URL_BYTES: usize = 256;
    /// The most dependencies.
    pub const MAX_DEPENDENCIES: usize = 64;
    /// The longest version requirement, in bytes.
    pub const MAX_REQUIREMENT_BYTES: usize = 128;
    /// The most artifacts.
    pub const MAX_ARTIFACTS: usize = 32;

    /// The manifest of this release, with everything else empty.
    #[must_use]
    pub fn new(name: PackageName, version: Version) -> Self {
        Self {
            name,
            version,
            description: String::new(),
            license: None,
            authors: Vec::new(),
            keywords: Vec::new(),
            homepage: None,
            repository: None,
            dependencies: Vec::new(),
            artifacts: Vec::new(),
        }
    }

    /// Sets the description: at most 1,024 bytes of plain text.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Sets the licence: an SPDX expression of at most 128 bytes.
    #[must_use]
    pub fn with_license(self, license: impl Into<String>) -> Self {
        Self { license: Some(license.into()), ..self }
    }

    /// Sets the authors: at most 16, of at most 128 bytes each.
    #[must_use]
    pub fn with_authors(self, authors: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { authors: authors.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the keywords: at most 16, of at most 32 bytes out of `a-z 0-9 -` each.
    #[must_use]
    pub fn with_keywords(self, keywords: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { keywords: keywords.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the homepage: an `http` or `https` URL of at most 256 bytes.
    #[must_use]
    pub fn with_homepage(self, homepage: impl Into<String>) -> Self {
        Self { homepage: Some(homepage.into()), ..self }
    }

    /// Sets the repository: an `http`, `https`, `git` or `ssh` URL of at most 256 bytes.
    #[must_use]
    pub fn with_repository(self, repository: impl Into<String>) -> Self {
        Self { repository: Some(repository.into()), ..self }
    }

    /// Adds a dependency; at most 64, each on another package.
    #[must_use]
    pub fn with_dependency(mut self, dependency: Dependency) -> Self {
        self.dependencies.push(dependency);
        self
    }

    /// Adds an artifact; at most 32, each of another name.
    #[must_use]
    pub fn with_artifact(mut self, artifact: Artifact) -> Self {
        self.artifacts.push(artifact);
        self
    }
}

/// A package that a release needs.
///
/// Its bounds are checked by [`Manifest::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Dependency {
    /// The name of the package needed.
    pub name: PackageName,
    /// Whose package is meant. Without it the name is resolved as any bare name is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PeerId>,
    /// The versions that will do, such as `^1.2` or `>=1.2, <3`. A version without a sign is a caret requirement, as in
    /// cargo: `1.2.3` means `^1.2.3`.
    pub requirement: VersionReq,
}

impl Dependency {
    /// Any owner's package of this name, at a version that satisfies the requirement.
    #[must_use]
    pub fn new(name: PackageName, requirement: VersionReq) -> Self {
        Self { name, owner: None, requirement }
    }

    /// Only the package of this owner.
    #[must_use]
    pub fn with_owner(self, owner: PeerId) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// The package needed: of its owner, where one is named.
    #[must_use]
    pub fn package(&self) -> PackageId {
        let id = PackageId::named(self.name.clone());
        match self.owner {
            Some(owner) => id.with_owner(owner),
            None => id,
        }
    }
}
