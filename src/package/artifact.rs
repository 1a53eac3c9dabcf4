use serde::{Deserialize, Serialize};

use super::Digest;

/// A file of a release: where its bytes travel is not the registry's business, but which bytes they
/// must be is.
///
/// Its bounds are checked by [`Manifest::validate`](super::Manifest::validate).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Artifact {
    /// The file's name, without a path; unique within its manifest.
    pub name: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// The file's size in bytes.
    pub size: u64,
    /// What the file is: a media type without parameters, such as `application/gzip` (RFC 6838).
    pub media_type: String,
}

impl Artifact {
    /// The longest file name, in bytes.
    pub const MAX_NAME_BYTES: usize = 128;
    /// The longest media type, in bytes.
    pub const MAX_MEDIA_TYPE_BYTES: usize = 127;

    /// Describes a file by the digest and the size of its bytes.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        digest: Digest,
        size: u64,
        media_type: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), digest, size, media_type: media_type.into() }
    }

    /// Describes a file by its bytes, which are hashed and measured, not kept.
    #[must_use]
    pub fn of(name: impl Into<String>, bytes: &[u8], media_type: impl Into<String>) -> Self {
        Self::new(name, Digest::of(bytes), bytes.len() as u64, media_type)
    }
}
