//! What goes wrong with a file, and what it is called outside.

use std::{any::Any, io, path::Path};

use super::super::StorageError;

/// Why the database could not do something.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The disk or the system. The database takes no more writes until it is opened again.
    Disk(io::Error),
    /// The disk has failed in an earlier call.
    Stale,
    /// The file is not what was written.
    Damage(String),
    /// Another program has it open.
    InUse,
    /// Nothing is wrong with the file itself.
    Refused(StorageError),
}

impl Trouble {
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Self::Damage(format!("the database did not expect what it found: {said}"))
    }
}

impl From<redb::Error> for Trouble {
    fn from(error: redb::Error) -> Self {
        use redb::Error;
        match error {
            // The end of the file comes too early, or its first bytes are of something else.
            Error::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                Self::Damage(error.to_string())
            }
            Error::Io(error) => Self::Disk(error),
            Error::PreviousIo | Error::DatabaseClosed | Error::LockPoisoned(_) => Self::Stale,
            // Formats older than any that this crate has written, and tables of other types than it has written.
            error @ (Error::Corrupted(_)
            | Error::UpgradeRequired(_)
            | Error::TableTypeMismatch { .. }
            | Error::TableIsMultimap(_)
            | Error::TypeDefinitionChanged { .. }) => Self::Damage(error.to_string()),
            // Some program that has this database open as such, without the lock file of this crate.
            Error::DatabaseAlreadyOpen => Self::InUse,
            error => Self::Refused(StorageError::other(error)),
        }
    }
}

/// Errors of the database's operations go the way of its common error.
macro_rules! by_common_error {
    ($($error:ty),*) => {
        $(impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

by_common_error!(
    redb::StorageError,
    redb::TableError,
    redb::DatabaseError,
    redb::TransactionError,
    redb::CommitError,
    redb::CompactionError
);

/// What an error of the system means for the file at this path, or for its directory.
pub(super) fn of_disk(path: &Path, error: &io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StorageError::Full
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StorageError::ReadOnly { path: path.to_owned(), reason: error.to_string() }
        }
        _ => StorageError::other(format!("{}: {error}", path.display())),
    }
}
