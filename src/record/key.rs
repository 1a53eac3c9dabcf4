use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use libp2p::PeerId;
use semver::Version;
use sha2::{Digest as _, Sha256};

use super::{kind::Kind, network::NetworkName, rejected::Rejected};
use crate::{
    error::{Error, Result},
    package::{Digest, PackageName, serde_as_string},
};

const PREFIX: &[u8] = b"/pg/";
const DOMAIN: &[u8] = b"peerage-key-v1";

/// Where in the DHT a record belongs: `/pg/` and the unpadded base64url of a SHA-256, 47 bytes.
///
/// The hash is over parts, each with its length before it (4 bytes, big-endian): the domain
/// `peerage-key-v1`, the network, the [`Kind`] as one byte, and then, for
///
/// - a head: the owner (peer id as bytes), the name;
/// - a release: the owner, the name, the version as text;
/// - a page: the owner, the name, the body's SHA-256;
/// - a set of claims: the name, [folded](PackageName::folded). So look-alikes are found together.
///
/// The form, a namespace and at most 50 bytes of ASCII, is one that the libp2p implementations in
/// other languages can validate by namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey([u8; RecordKey::LENGTH]);

impl RecordKey {
    /// The length of every key, in bytes.
    pub const LENGTH: usize = 47;

    /// Where the head of this package belongs.
    #[must_use]
    pub fn head(network: &NetworkName, owner: &PeerId, name: &PackageName) -> Self {
        Self::hash(network, Kind::Head, &[&owner.to_bytes(), name.as_str().as_bytes()])
    }

    /// Where this release of a package belongs.
    #[must_use]
    pub fn release(
        network: &NetworkName,
        owner: &PeerId,
        name: &PackageName,
        version: &Version,
    ) -> Self {
        let version = version.to_string();
        let parts = [&*owner.to_bytes(), name.as_str().as_bytes(), version.as_bytes()];
        Self::hash(network, Kind::Release, &parts)
    }

    /// Where the page with this body of a package's list of releases belongs.
    #[must_use]
    pub fn page(network: &NetworkName, owner: &PeerId, name: &PackageName, page: &Digest) -> Self {
        let parts = [&*owner.to_bytes(), name.as_str().as_bytes(), page.as_bytes()];
        Self::hash(network, Kind::Page, &parts)
    }

    /// Where the claims to this name belong, and to its look-alikes.
    #[must_use]
    pub fn claims(network: &NetworkName, name: &PackageName) -> Self {
        Self::hash(network, Kind::ClaimSet, &[name.folded().as_str().as_bytes()])
    }

    /// The key as a DHT knows it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // A key is ASCII however it was made, so that nothing is ever lost here.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The hash by itself, which is all that a key has to say.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        if let Some(hash) = self.0.strip_prefix(PREFIX) {
            // However a key was made, its hash can be read.
            let _ = BASE64URL_NOPAD.decode_mut(hash, &mut digest);
        }
        digest
    }

    /// The key with this hash.
    pub(crate) fn of_digest(digest: &[u8; 32]) -> Self {
        let mut key = [0; Self::LENGTH];
        let (prefix, hash) = key.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        BASE64URL_NOPAD.encode_mut(digest, hash);
        Self(key)
    }

    fn hash(network: &NetworkName, kind: Kind, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        let head = [DOMAIN, network.as_str().as_bytes(), &[kind as u8]];
        for part in head.iter().chain(parts) {
            // Without lengths, parts could be cut differently and hash the same.
            hasher.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            hasher.update(part);
        }
        Self::of_digest(&hasher.finalize().into())
    }
}

impl TryFrom<&[u8]> for RecordKey {
    type Error = Rejected;

    /// Accepts the bytes of a key of this form; whether anything belongs there is not looked at.
    fn try_from(bytes: &[u8]) -> Result<Self, Rejected> {
        let key: [u8; Self::LENGTH] = bytes.try_into().map_err(|_| Rejected::NotOurs)?;
        let hash = key.strip_prefix(PREFIX).ok_or(Rejected::NotOurs)?;
        // The decoder refuses bits that stand for nothing, so that a hash has one spelling.
        BASE64URL_NOPAD.decode(hash).map_err(|_| Rejected::NotOurs)?;
        Ok(Self(key))
    }
}

impl FromStr for RecordKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::try_from(text.as_bytes()).map_err(|_| {
            let accepted = "`/pg/` and 43 characters of unpadded base64url";
            Error::invalid("key", format!("{text:?} is not {accepted}"))
        })
    }
}

impl AsRef<[u8]> for RecordKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

serde_as_string!(RecordKey);
