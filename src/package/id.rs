use std::{fmt, str::FromStr};

use libp2p::PeerId;
use semver::Version;

use super::{PackageName, owner_key, serde_as_string};
use crate::error::{Error, Result};

/// Which package is meant: a name, and where it matters whose, and which version.
///
/// It prints and parses as `name`, `owner/name`, `name@version` or `owner/name@version`. Without an
/// owner it is a question ("whose?") that the registry resolves; with one it is an identity.
///
/// ```
/// use peerage::package::PackageId;
///
/// let id: PackageId = "tiny-http@1.2.0".parse()?;
/// assert_eq!(id.name().as_str(), "tiny-http");
/// assert_eq!(id.version(), Some(&"1.2.0".parse().unwrap()));
/// assert_eq!(id.owner(), None);
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    name: PackageName,
    owner: Option<PeerId>,
    // Boxed because ids travel in errors, which should stay small to return.
    version: Option<Box<Version>>,
}

impl PackageId {
    /// The package of this name, whoever its owner.
    #[must_use]
    pub fn named(name: PackageName) -> Self {
        Self { name, owner: None, version: None }
    }

    /// The package of this name that this owner publishes.
    #[must_use]
    pub fn owned(owner: PeerId, name: PackageName) -> Self {
        Self { name, owner: Some(owner), version: None }
    }

    /// The same package, of this owner.
    #[must_use]
    pub fn with_owner(self, owner: PeerId) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// The same package, at this version.
    #[must_use]
    pub fn with_version(self, version: Version) -> Self {
        Self { version: Some(Box::new(version)), ..self }
    }

    /// The same package, at no version in particular.
    #[must_use]
    pub fn without_version(self) -> Self {
        Self { version: None, ..self }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// The owner, if one is meant.
    #[must_use]
    pub fn owner(&self) -> Option<&PeerId> {
        self.owner.as_ref()
    }

    pub(crate) fn into_parts(self) -> (Option<PeerId>, PackageName, Option<Box<Version>>) {
        (self.owner, self.name, self.version)
    }

    /// The version, if one is meant.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_deref()
    }
}

impl From<PackageName> for PackageId {
    fn from(name: PackageName) -> Self {
        Self::named(name)
    }
}

impl FromStr for PackageId {
    type Err = Error;

    /// Parses `[owner/]name[@version]`, where the owner is the peer id of an Ed25519 key.
    fn from_str(text: &str) -> Result<Self> {
        let (owner, rest) = match text.split_once('/') {
            Some((owner, rest)) => (Some(parse_owner(owner)?), rest),
            None => (None, text),
        };
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(parse_version(version)?)),
            None => (rest, None),
        };
        Ok(Self { name: name.parse()?, owner, version: version.map(Box::new) })
    }
}

fn parse_owner(text: &str) -> Result<PeerId> {
    let owner: PeerId = text.parse().map_err(|error| {
        Error::invalid("owner", format!("`{text}` is not a peer id such as `12D3KooW…` ({error})"))
    })?;
    if owner_key(&owner).is_none() {
        let reason = format!("`{text}` is not the peer id of an Ed25519 key (`12D3KooW…`)");
        return Err(Error::invalid("owner", reason));
    }
    Ok(owner)
}

fn parse_version(text: &str) -> Result<Version> {
    text.parse().map_err(|error| {
        let reason = format!("`{text}` is not a semantic version such as `1.2.0` ({error})");
        Error::invalid("version", reason)
    })
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{owner}/")?;
        }
        fmt::Display::fmt(self.name.as_str(), f)?;
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageId({self})")
    }
}

serde_as_string!(PackageId);
