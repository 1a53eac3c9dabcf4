//! Why a storage cannot be opened, read or written.

use std::path::PathBuf;

/// What went wrong with a [`Storage`](super::Storage).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process has the file open. Give each node a file of its own.
    #[error("{} is in use by another process: give each node its own data", path.display())]
    #[non_exhaustive]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The data was written by a later version of this crate. Update, or choose another file.
    #[error(
        "the data has schema {found}, and this version knows schemas up to {known}: update it, or choose other data"
    )]
    #[non_exhaustive]
    Newer {
        /// The schema of the data.
        found: u32,
        /// The latest schema that this version knows.
        known: u32,
    },
    /// The data is of another node or another network.
    #[error("the data belongs to {found}, not to {expected}: choose other data")]
    #[non_exhaustive]
    NotOurs {
        /// Whose the data is.
        found: String,
        /// Whose it must be.
        expected: String,
    },
    /// There is no room left on the disk. The node tries again by itself.
    #[error("no space is left on the disk")]
    Full,
    /// The file or its directory cannot be written.
    #[error("{} cannot be written: {reason}", path.display())]
    #[non_exhaustive]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is damaged. It stays as it is until it is opened again: then it is set aside, and an empty one takes its
    /// place.
    #[error("{} is damaged: {reason}; it is set aside when it is opened the next time", path.display())]
    #[non_exhaustive]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Anything else: what the database or the system says.
    #[error("{reason}")]
    #[non_exhaustive]
    Other {
        /// What it says.
        reason: String,
    },
}

impl StorageError {
    /// An error that a storage of an application reports.
    pub fn other(reason: impl ToString) -> Self {
        Self::Other { reason: reason.to_string() }
    }
}
