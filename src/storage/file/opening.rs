//! Opening and creating the file, and setting aside one that is damaged.

use std::{
    fs::{self, DirBuilder, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use redb::{Database, backends::FileBackend};

use super::{
    super::{Result, StorageError},
    FileOptions, beside, directory, guarded, layout, sync_directory,
    trouble::{Trouble, of_disk},
};

/// How many damaged files are kept beside the one in use.
const KEPT_ASIDE: usize = 2;

/// Behind the name of a file that was set aside, before the time.
const ASIDE: &str = ".corrupted-";
/// Behind the name of an empty file: damage was found while the file was in use.
const DAMAGED: &str = ".damaged";
/// Behind the name of a file that is being made.
const DRAFT: &str = ".new";
/// Behind the name of the file that is locked.
const LOCK: &str = ".lock";

/// Where a header of the database says the version of its format, once for each of its two commits.
const VERSIONS_AT: [usize; 2] = [64, 192];
/// The format of the database that is read and written here.
const VERSION: u8 = 3;

/// An open database.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) set_aside: Option<PathBuf>,
}

/// The file is this process's own for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone leaves it locked while a process that is being started still has what this one had open.
        let _ = self.0.unlock();
    }
}

/// Takes the file for this process.
pub(super) fn lock(path: &Path) -> Result<Lock> {
    let directory = directory(path);
    create_directory(directory).map_err(|error| of_disk(directory, &error))?;
    let name = beside(path, LOCK);
    let file = private(OpenOptions::new().read(true).write(true).create(true)).open(&name);
    let file = file.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => of_disk(directory, &error),
        _ => of_disk(&name, &error),
    })?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse { path: path.to_owned() }),
        // A file system without such locks. The database tries a lock of its own.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Lock(file)),
        Err(TryLockError::Error(error)) => Err(of_disk(&name, &error)),
    }
}

/// Opens the file, creates it where there is none, and sets it aside where it is damaged.
pub(super) fn open(path: &Path, options: FileOptions) -> Result<Opened> {
    let outside = |trouble| outside(path, trouble);
    // Of a process that was killed while it made it.
    let _ = fs::remove_file(beside(path, DRAFT));
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let database = create(path, options).map_err(outside)?;
            return Ok(Opened { database, set_aside: None });
        }
        Err(error) => return Err(of_disk(path, &error)),
        Ok(metadata) if !metadata.is_file() => {
            return Err(StorageError::other(format!("{} is not a file", path.display())));
        }
        Ok(metadata) => metadata,
    };
    let is_marked = beside(path, DAMAGED).exists();
    let checked = is_marked || found.len() <= options.check_up_to;
    let mut opened = open_checked(path, options, checked, is_marked);
    if !checked && matches!(opened, Err(Trouble::Damage(_))) {
        // Perhaps no more than what speeds up opening.
        opened = open_checked(path, options, true, true);
    }
    match opened {
        Ok(database) => {
            let _ = fs::remove_file(beside(path, DAMAGED));
            Ok(Opened { database, set_aside: None })
        }
        Err(Trouble::Damage(reason)) => {
            refuse_other_versions(path)?;
            let (database, aside) = replace(path, options).map_err(outside)?;
            let _ = fs::remove_file(beside(path, DAMAGED));
            tracing::error!(%reason, "{} is damaged: it is {} now", path.display(), aside.display());
            Ok(Opened { database, set_aside: Some(aside) })
        }
        Err(trouble) => Err(outside(trouble)),
    }
}

/// Opens a file again that this process has had open.
pub(super) fn reopen(path: &Path, options: FileOptions) -> std::result::Result<Database, Trouble> {
    // The file may be one that was rebuilt just now. No commit may count before its name is durable.
    sync_directory(directory(path)).map_err(Trouble::Disk)?;
    open_checked(path, options, false, false)
}

fn open_checked(
    path: &Path,
    options: FileOptions,
    pages: bool,
    rows: bool,
) -> std::result::Result<Database, Trouble> {
    guarded(|| {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(Trouble::Disk)?;
        if file.metadata().map_err(Trouble::Disk)?.len() == 0 {
            // The database would start anew in it.
            return Err(Trouble::Damage("it is empty".to_owned()));
        }
        let database = database(file, options, pages)?;
        layout::check_format(&database, pages)?;
        if rows {
            layout::check_rows(&database)?;
        }
        Ok(database)
    })
}

fn create(path: &Path, options: FileOptions) -> std::result::Result<Database, Trouble> {
    build(path, options, layout::create)
}

/// Sets the file aside, once there is an empty one to take its place. Where there cannot be one, the next one to open the
/// file finds the damage again.
fn replace(path: &Path, options: FileOptions) -> std::result::Result<(Database, PathBuf), Trouble> {
    let mut aside = None;
    let built = build(path, options, |to| {
        layout::create(to)?;
        aside = Some(set_aside(path).map_err(Trouble::Disk)?);
        Ok(())
    });
    match (built, aside) {
        (Ok(database), Some(aside)) => Ok((database, aside)),
        (Ok(_), None) => Err(Trouble::Damage("it could not be set aside".to_owned())),
        (Err(trouble), aside) => {
            // Unless the new one has come into its place already.
            if let Some(aside) = aside.filter(|_| !path.exists()) {
                let _ = fs::rename(aside, path);
            }
            Err(trouble)
        }
    }
}

/// Puts a file in the place of this one that has its rows and nothing else.
pub(super) fn rebuild(
    path: &Path,
    options: FileOptions,
    from: &Database,
) -> std::result::Result<Database, Trouble> {
    build(path, options, |to| layout::copy(from, to))
}

/// Makes the file under another name first: whoever finds it finds a whole one.
fn build(
    path: &Path,
    options: FileOptions,
    fill: impl FnOnce(&Database) -> std::result::Result<(), Trouble>,
) -> std::result::Result<Database, Trouble> {
    let draft = beside(path, DRAFT);
    let built = guarded(|| {
        let mut create = OpenOptions::new();
        let file = private(create.read(true).write(true).create(true).truncate(true))
            .open(&draft)
            .map_err(Trouble::Disk)?;
        let database = database(file, options, false)?;
        fill(&database)?;
        fs::rename(&draft, path).map_err(Trouble::Disk)?;
        sync_directory(directory(path)).map_err(Trouble::Disk)?;
        Ok(database)
    });
    if built.is_err() {
        let _ = fs::remove_file(&draft);
    }
    built
}

fn database(
    file: fs::File,
    options: FileOptions,
    is_checked: bool,
) -> std::result::Result<Database, Trouble> {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache).set_check_integrity_on_open(is_checked);
    let backend = FileBackend::new(file)?;
    #[cfg(test)]
    if let Some(failures) = options.failures {
        return Ok(builder.create_with_backend(failures.over(backend))?);
    }
    Ok(builder.create_with_backend(backend)?)
}

fn outside(path: &Path, trouble: Trouble) -> StorageError {
    match trouble {
        Trouble::Refused(StorageError::Other { reason }) => {
            StorageError::other(format!("{}: {reason}", path.display()))
        }
        Trouble::Refused(error) => error,
        Trouble::InUse => StorageError::InUse { path: path.to_owned() },
        Trouble::Disk(error) => of_disk(path, &error),
        Trouble::Stale => StorageError::other(format!("{}: the disk has failed", path.display())),
        Trouble::Damage(reason) => StorageError::Corrupted { path: path.to_owned(), reason },
    }
}

/// Another version of the database is no damage: a later one may be of a later version of this crate, and an earlier one is
/// another program's. Both commits of a file say the version.
fn refuse_other_versions(path: &Path) -> Result<()> {
    let mut header = [0; 320];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    if read.is_err() || !header.starts_with(b"redb") {
        return Ok(());
    }
    match VERSIONS_AT.map(|at| header.get(at).copied().unwrap_or_default()) {
        [one, other] if one == other && one != VERSION && one > 0 => {
            let advice = if one > VERSION { "update it, or choose" } else { "choose" };
            Err(StorageError::other(format!(
                "{} has version {one} of the database's format, and this version knows {VERSION}: {advice} another \
                 file",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Leaves word for the next one to open the file. If that fails too, its own check still may find the damage.
pub(super) fn mark_damaged(path: &Path) {
    let mark = private(OpenOptions::new().write(true).create(true)).open(beside(path, DAMAGED));
    if let Err(error) = mark {
        tracing::warn!(%error, "cannot note that {} is damaged", path.display());
    }
}

/// Gives the file another name, later than those of all that were set aside before. The oldest of them go, if they can.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let before = those_aside(path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Also where the clock has been put back, or has not moved on.
    let last = before.iter().map(|(seconds, _)| *seconds).max().unwrap_or_default();
    let aside = beside(path, &format!("{ASIDE}{}", now.max(last.saturating_add(1))));
    fs::rename(path, &aside)?;
    for (_, old) in before.iter().rev().skip(KEPT_ASIDE - 1) {
        if let Err(error) = fs::remove_file(old) {
            tracing::warn!(%error, "cannot remove {}", old.display());
        }
    }
    Ok(aside)
}

/// The files set aside, oldest first, with the times in their names.
fn those_aside(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let prefix = [name.as_encoded_bytes(), ASIDE.as_bytes()].concat();
    let mut aside = Vec::new();
    for entry in fs::read_dir(directory(path))? {
        let entry = entry?;
        let found = entry.file_name();
        let seconds = found.as_encoded_bytes().strip_prefix(prefix.as_slice());
        let seconds = seconds.and_then(|seconds| std::str::from_utf8(seconds).ok());
        if let Some(seconds) = seconds.and_then(|seconds| seconds.parse::<u64>().ok()) {
            aside.push((seconds, entry.path()));
        }
    }
    aside.sort_unstable();
    Ok(aside)
}

fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// For the owner only, where the file is created.
fn private(options: &mut OpenOptions) -> &OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
