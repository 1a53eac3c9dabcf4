//! How a file is opened.

use std::path::PathBuf;

use super::{super::Result, File};

/// How a [`File`] is opened.
///
/// ```
/// use peerage::storage::FileOptions;
///
/// let folder = tempfile::tempdir()?;
/// let file = FileOptions::default().cache(64 * 1024 * 1024).open(folder.path().join("node.redb"))?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    pub(super) cache: usize,
    pub(super) check_up_to: u64,
    /// What the disk of a test refuses.
    #[cfg(test)]
    pub(super) failures: Option<&'static super::Failures>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            cache: 8 * 1024 * 1024,
            check_up_to: 32 * 1024 * 1024,
            #[cfg(test)]
            failures: None,
        }
    }
}

impl FileOptions {
    /// The most bytes of memory for pages of the file, those read and those to be written. By default 8 MiB: the
    /// operating system caches the file as well.
    #[must_use]
    pub const fn cache(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// A file of at most this many bytes is read and checked as a whole when it is opened. By default 32 MiB. In a
    /// larger file, damage is found once the rows that it has hit are read. A damaged index may hide rows from being
    /// found there, and only a whole check tells.
    #[must_use]
    pub const fn check_up_to(mut self, bytes: u64) -> Self {
        self.check_up_to = bytes;
        self
    }

    /// Opens this file, or creates it.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn open(self, path: impl Into<PathBuf>) -> Result<File> {
        File::open_with(path.into(), self)
    }
}
