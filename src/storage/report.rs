//! What a node says of its storage.

use serde::{Deserialize, Serialize};

/// What a node says of its storage, in [`RegistryMetadata`](crate::RegistryMetadata).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StorageReport {
    /// The bytes that it took on disk after the last commit.
    pub bytes: u64,
    /// Rows that the storage does not have yet: those that wait, and those that are being written.
    pub unsaved: u64,
    /// Whether all is read that an earlier life has left.
    pub is_restored: bool,
    /// Whether the last commit has failed.
    pub is_failing: bool,
    /// Commits that have succeeded since the node started.
    pub commits: u64,
    /// Rows that they have written or removed.
    pub rows: u64,
    /// Commits that have failed since the node started.
    pub failures: u64,
}
