//! What outlives the process: a few tables of bytes, and how a node reads and writes them.
//!
//! A node keeps nothing on disk by itself. Hand it a [`Storage`] by
//! [`NodeBuilder::with_storage`](crate::NodeBuilder::with_storage), and it comes back after a restart with its packages,
//! the records that it holds for others, the sequences that it has seen, its catalogue, its pins, the conduct of peers,
//! and the addresses of those that have answered.
//!
//! [`Memory`] is for tests. The feature `redb` brings [`File`], one file on disk. An application that has a database of
//! its own implements [`Storage`] for it: five methods, all of them blocking. The node calls them on the threads of the
//! [`blocking`] crate, never within a poll.

use std::{fmt, sync::Arc};

#[cfg(test)]
mod contract;
mod error;
#[cfg(test)]
#[allow(dead_code, reason = "some of it is for the tests of one feature alone")]
pub(crate) mod faulty;
#[cfg(test)]
mod faulty_tests;
#[cfg(feature = "redb")]
mod file;
mod memory;
mod report;

pub use error::StorageError;
#[cfg(feature = "redb")]
pub use file::{File, FileOptions};
pub use memory::Memory;
pub use report::StorageReport;

/// What a storage returns.
pub type Result<T> = std::result::Result<T, StorageError>;

/// The most bytes of a key.
pub const MAX_KEY_BYTES: usize = 256;

/// The most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A table of a [`Storage`]. Later versions may have more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Whose data this is, and in which schema.
    Meta,
    /// The packages that this node publishes.
    Own,
    /// The records that it holds for others.
    Held,
    /// The highest sequence seen of each package.
    Sequences,
    /// The highest epoch seen of each owner.
    Epochs,
    /// Whom bare names mean.
    Pins,
    /// Announcements that nobody has heard yet.
    Outbox,
    /// The newest head of each package that the catalogue lists.
    Catalogue,
    /// The conduct of peers.
    Reputations,
    /// The addresses of peers that have answered.
    Peers,
}

impl Table {
    /// All tables, each once.
    pub const ALL: [Self; 10] = [
        Self::Meta,
        Self::Own,
        Self::Held,
        Self::Sequences,
        Self::Epochs,
        Self::Pins,
        Self::Outbox,
        Self::Catalogue,
        Self::Reputations,
        Self::Peers,
    ];

    /// A name for a table of a database: lower-case letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Own => "own",
            Self::Held => "held",
            Self::Sequences => "sequences",
            Self::Epochs => "epochs",
            Self::Pins => "pins",
            Self::Outbox => "outbox",
            Self::Catalogue => "catalogue",
            Self::Reputations => "reputations",
            Self::Peers => "peers",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row that is to be written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table of the row.
    pub table: Table,
    /// At most [`MAX_KEY_BYTES`].
    pub key: Vec<u8>,
    /// At most [`MAX_VALUE_BYTES`]. None removes the row, and is no error where there is none.
    pub value: Option<Vec<u8>>,
}

/// A row as it was read: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Tables of bytes that outlive the process. See the [module](self).
///
/// All methods block. A node calls [`commit`](Self::commit) from one thread at a time, and the others from any thread,
/// also while a commit runs.
///
/// A commit that has begun runs to its end, even where its node has been dropped or has shut down meanwhile. Whoever then
/// starts another node with the same storage sees to it that the two do not meet: its commits may come while that one still
/// runs, and what it reads at the start may be from before it. A storage that has one handle for each node, as a file that
/// is opened anew, is free of that: it is in use until the last commit has ended.
///
/// A method that panics is taken for one that has failed, with an error that says so. Where a program is compiled with
/// `panic = "abort"`, nothing can catch a panic, and the process ends.
///
/// A node answers a caller, for example of [`register`](crate::Registry::register), only after the commit of what the
/// call has changed. So a commit must be durable when it returns.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// The value of a row, if there is one.
    ///
    /// # Errors
    /// If the storage cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The rows of a table in the order of their keys: those after this key, or the first ones. At most `limit`; fewer
    /// only at the end of the table.
    ///
    /// # Errors
    /// If the storage cannot be read.
    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>>;

    /// How many rows a table has.
    ///
    /// # Errors
    /// If the storage cannot be read.
    fn len(&self, table: Table) -> Result<u64>;

    /// Writes all changes or none of them, in their order, and returns once they are durable. After an error none of
    /// them may be visible, neither now nor after a restart; the node tries again later.
    ///
    /// # Errors
    /// If the changes cannot be written, for example because the disk is full.
    fn commit(&self, changes: &[Change]) -> Result<()>;

    /// How many bytes the storage takes on disk, or in memory where it has no disk.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn size(&self) -> Result<u64>;

    /// Whether its methods may block, so that they are called on another thread. One that is in memory need not.
    fn blocks(&self) -> bool {
        true
    }
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        (**self).get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>> {
        (**self).scan(table, after, limit)
    }

    fn len(&self, table: Table) -> Result<u64> {
        (**self).len(table)
    }

    fn commit(&self, changes: &[Change]) -> Result<()> {
        (**self).commit(changes)
    }

    fn size(&self) -> Result<u64> {
        (**self).size()
    }

    fn blocks(&self) -> bool {
        (**self).blocks()
    }
}
