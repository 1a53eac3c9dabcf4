//! A storage in one file on disk.

use std::{
    cell::Cell,
    fs, io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use redb::{Database, ReadableTableMetadata};

use self::{layout::Rows, opening::Opened, trouble::Trouble};
use super::{Change, MAX_KEY_BYTES, MAX_VALUE_BYTES, Result, Row, Storage, StorageError, Table};

mod layout;
mod opening;
mod options;
mod row;
mod trouble;

#[cfg(test)]
mod tests;

#[cfg(test)]
use tests::failing::Failures;

pub use options::FileOptions;

/// Smaller files are never compacted: what they could give back is not worth the writes.
const COMPACT_FROM_BYTES: u64 = 4 * 1024 * 1024;

/// A file that was just rebuilt takes this part of its rows more than they do.
const REBUILT_OVERHEAD: u64 = 8;

/// What a file takes with so many bytes of rows, and nothing else in it.
const fn rebuilt_size(stored: u64) -> u64 {
    stored.saturating_add(stored / REBUILT_OVERHEAD)
}

/// A [`Storage`] in one file on disk, a [`redb`] database.
///
/// A commit is durable when it returns: its pages are written and synced before the one byte that makes them count is
/// written and synced. So a crash, or `kill -9`, loses only what no commit has acknowledged, and a batch is there as a
/// whole or not at all. Opening takes no longer after a crash than after a clean end.
///
/// One `File` at a time has a file open; the next one, of this or another process, is refused with
/// [`StorageError::InUse`]. A second, empty file with `.lock` behind its name sees to that.
///
/// # Damage
///
/// A file that is found damaged when it is opened is set aside, with `.corrupted-` and the time (Unix seconds) behind its
/// name, and a new, empty one takes its place: see [`set_aside`](Self::set_aside). The newest two of those are kept. Damage
/// that is only found later makes every call fail with [`StorageError::Corrupted`], until the file is opened again and
/// set aside. A file of up to [`FileOptions::check_up_to`] is checked as a whole when it is opened; in any file, each row
/// that is read is checked against a checksum of its own.
///
/// # Errors of the disk
///
/// After an error of the disk, for example because it is full, the file is closed, and the next call opens it again. What
/// was committed before is there, and nothing of the commit that has failed. One case is beyond that: where the last sync of
/// a commit fails, and the disk goes on to fail while it is found out what became of it, the commit is an error and may be
/// there later.
///
/// # Example
///
/// ```
/// use peerage::storage::{Change, File, Storage, Table};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("node.redb");
/// let row = Change { table: Table::Meta, key: b"greeting".to_vec(), value: Some(b"hello".to_vec()) };
/// {
///     let file = File::open(&path)?;
///     assert!(file.set_aside().is_none());
///     file.commit(&[row])?;
/// }
/// let file = File::open(&path)?;
/// assert_eq!(file.get(Table::Meta, b"greeting")?, Some(b"hello".to_vec()));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    options: FileOptions,
    set_aside: Option<PathBuf>,
    state: RwLock<State>,
    /// Held by whoever commits, until it is known what became of the commit.
    commits: Mutex<()>,
    /// Held as long as this value lives, also while the database is closed in between, and let go of after it.
    _lock: opening::Lock,
}

/// What there is to read and write.
enum State {
    Open(Database),
    /// An error of the disk has ended the database's trust in the file. Opening it again restores it.
    Closed,
    Damaged {
        reason: String,
    },
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(_) => f.write_str("Open"),
            Self::Closed => f.write_str("Closed"),
            Self::Damaged { reason } => f.debug_struct("Damaged").field("reason", reason).finish(),
        }
    }
}

impl File {
    /// Opens this file with the default [`FileOptions`], and creates it where there is none, with its directory. Both
    /// are for their owner only (on Unix: modes 0600 and 0700).
    ///
    /// # Errors
    /// [`StorageError::InUse`] if it is open already, [`StorageError::ReadOnly`] if it or its directory cannot be
    /// written, [`StorageError::Full`] if there is no room for it, [`StorageError::Newer`] if a later version of this
    /// crate has written it, and [`StorageError::Other`] if it is the database of another program, and for what else the
    /// system says. A damaged file is no error.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        FileOptions::default().open(path)
    }

    fn open_with(path: PathBuf, options: FileOptions) -> Result<Self> {
        let lock = opening::lock(&path)?;
        let Opened { database, set_aside } = opening::open(&path, options)?;
        let state = RwLock::new(State::Open(database));
        Ok(Self { path, options, set_aside, state, commits: Mutex::default(), _lock: lock })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file that was found here went, if it was damaged: this one started empty in its place.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// About how many bytes [`compact`](Self::compact) can give back, judged by some rows of each table. Unlike that, this
    /// reads little of the file, however large it is.
    ///
    /// ```
    /// # use peerage::storage::{self, File, Storage};
    /// # fn open(file: &File) -> storage::Result<()> {
    /// // At the start of the program.
    /// if file.free_bytes()? > file.size()? / 2 {
    ///     file.compact()?;
    /// }
    /// # Ok(())
    /// # }
    /// # let folder = tempfile::tempdir()?;
    /// # open(&File::open(folder.path().join("node.redb"))?)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn free_bytes(&self) -> Result<u64> {
        let stored = self.with(layout::estimated_bytes)?;
        Ok(self.size()?.saturating_sub(rebuilt_size(stored)))
    }

    /// Gives back to the disk what was removed, if the file is larger than 4 MiB and would be less than half as large
    /// without it. True if the file is smaller now.
    ///
    /// This reads the whole file, and may write a new one beside it with all its rows, which then takes its place. A crash
    /// leaves one of the two. Commits wait meanwhile; others read on. Call it now and then, from a thread that may block.
    /// Without it, the file gives back only free space at its end, and the rest is used again.
    ///
    /// # Errors
    /// As those of [`commit`](Storage::commit): [`StorageError::Full`] if there is no room for the new file. Nothing is
    /// lost by an error.
    pub fn compact(&self) -> Result<bool> {
        let before = self.size()?;
        if before <= COMPACT_FROM_BYTES {
            return Ok(false);
        }
        let _commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.with(layout::stored_bytes)?;
        if rebuilt_size(stored) > before / 2 || !self.with(layout::is_known)? {
            return Ok(false);
        }
        let rebuilt = self.with(|database| opening::rebuild(&self.path, self.options, database))?;
        self.leave(State::Open(rebuilt));
        Ok(self.size()? < before)
    }

    /// Runs this on the database, opening it again if an error of the disk has closed it.
    fn with<T>(&self, run: impl Fn(&Database) -> std::result::Result<T, Trouble>) -> Result<T> {
        // Another caller may have met the error of the disk that ends this one's attempt.
        for _ in 0..2 {
            let state = self.opened()?;
            let State::Open(database) = &*state else { continue };
            match guarded(|| run(database)) {
                Ok(value) => return Ok(value),
                Err(trouble) => {
                    drop(state);
                    let retry = matches!(trouble, Trouble::Stale);
                    let error = self.failed(trouble);
                    if !retry {
                        return Err(error);
                    }
                }
            }
        }
        Err(StorageError::other(format!("{} cannot be read or written", self.path.display())))
    }

    fn opened(&self) -> Result<RwLockReadGuard<'_, State>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(_) => return Ok(state),
            State::Damaged { reason } => return Err(self.corrupted(reason)),
            State::Closed => drop(state),
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Closed = &*state {
            match opening::reopen(&self.path, self.options) {
                Ok(database) => *state = State::Open(database),
                Err(trouble) => {
                    drop(state);
                    return Err(self.failed(trouble));
                }
            }
        }
        drop(state);
        Ok(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the trouble means for later calls, and the error for this one.
    fn failed(&self, trouble: Trouble) -> StorageError {
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::InUse => StorageError::InUse { path: self.path.clone() },
            Trouble::Disk(error) => {
                self.leave(State::Closed);
                trouble::of_disk(&self.path, &error)
            }
            Trouble::Stale => {
                self.leave(State::Closed);
                StorageError::other("the disk has failed before")
            }
            Trouble::Damage(reason) => {
                // The next to open it checks all of it, however large it is.
                opening::mark_damaged(&self.path);
                let error = self.corrupted(&reason);
                self.leave(State::Damaged { reason });
                error
            }
        }
    }

    fn leave(&self, next: State) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Damaged { .. } = &*state {
            return;
        }
        let last = std::mem::replace(&mut *state, next);
        // Closing is the database's last chance to find its own state wrong.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(last)));
    }

    fn corrupted(&self, reason: &str) -> StorageError {
        StorageError::Corrupted { path: self.path.clone(), reason: reason.to_owned() }
    }

    /// Decides about a commit that has failed: it can be seen all the same if the error was of the very last sync. Then it
    /// is done once more, with pages of its own, since those that a failed sync has left behind may never reach the disk.
    fn settle(
        &self,
        changes: &[Change],
        number: &Cell<Option<u64>>,
        error: StorageError,
    ) -> Result<()> {
        match number.get() {
            Some(number) if self.with(layout::last_commit) == Ok(number) => {
                self.with(|database| layout::commit(database, changes, &Cell::default()))
            }
            _ => Err(error),
        }
    }
}

/// A panic of the database is damage that it did not expect.
fn guarded<T>(
    run: impl FnOnce() -> std::result::Result<T, Trouble>,
) -> std::result::Result<T, Trouble> {
    // What a panic leaves behind is never used again: the database is closed.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(Trouble::panicked(&*panic)))
}

impl Storage for File {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with(|database| {
            let Some(rows) = layout::rows(database, table)? else { return Ok(None) };
            let Some(stored) = rows.get(key)? else { return Ok(None) };
            row::value(table, key, stored.value()).map(Some)
        })
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.with(|database| {
            let Some(rows) = layout::rows(database, table)? else { return Ok(Vec::new()) };
            let rows: Rows = rows;
            rows.range::<&[u8]>((from, Bound::Unbounded))?
                .take(limit)
                .map(|stored| {
                    let (key, stored) = stored?;
                    let value = row::value(table, key.value(), stored.value())?;
                    Ok((key.value().to_vec(), value))
                })
                .collect()
        })
    }

    fn len(&self, table: Table) -> Result<u64> {
        self.with(|database| Ok(layout::rows(database, table)?.map_or(Ok(0), |rows| rows.len())?))
    }

    fn commit(&self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        for Change { key, value, .. } in changes {
            if key.len() > MAX_KEY_BYTES {
                return Err(StorageError::other("a key is too long for a storage"));
            }
            if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
                return Err(StorageError::other("a value is too long for a storage"));
            }
        }
        let _commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let number = Cell::new(None);
        let committed = self.with(|database| layout::commit(database, changes, &number));
        committed.or_else(|error| self.settle(changes, &number, error))
    }

    /// What the system has allotted to the file. Its length may be more: a growing file is made longer in advance.
    fn size(&self) -> Result<u64> {
        let metadata = fs::metadata(&self.path);
        metadata
            .map(|metadata| allotted(&metadata))
            .map_err(|error| trouble::of_disk(&self.path, &error))
    }
}

#[cfg(unix)]
fn allotted(metadata: &fs::Metadata) -> u64 {
    // POSIX leaves the unit open; it is 512 bytes wherever Rust runs.
    let blocks = std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512);
    blocks.min(metadata.len())
}

#[cfg(not(unix))]
fn allotted(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The path with this behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes it durable that a file has come into this directory, or left it.
fn sync_directory(path: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file, and its changes are durable by themselves.
    if cfg!(unix) { fs::File::open(path)?.sync_all() } else { Ok(()) }
}
