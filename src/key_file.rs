//! The key file: who a peer is, across restarts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use libp2p::identity::{KeyType, Keypair};

#[cfg(test)]
mod tests;

/// Longer files are not keys; an Ed25519 key takes 68 bytes.
const MAX_FILE_BYTES: u64 = 4096;

/// Whatever the mode says for others than the owner.
#[cfg(unix)]
const OF_OTHERS: u32 = 0o077;

/// A file with a peer's key pair, which is its identity.
///
/// The file has the key in libp2p's protobuf encoding (libp2p specification, ["Peer Ids and Keys"][spec]), in which other
/// libp2p programs read and write it too. Whoever can read the file can publish in this peer's name. So it is created for
/// its owner only (on Unix: mode 0600), and a file that others can read or write is refused there.
///
/// The methods block, for as long as the disk takes.
///
/// # Example
///
/// ```
/// use peerage::KeyFile;
///
/// let folder = tempfile::tempdir()?;
/// let file = KeyFile::new(folder.path().join("alice.key"));
/// let created = file.load_or_create()?;
/// let loaded = file.load_or_create()?;
/// assert_eq!(created.public(), loaded.public());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// [spec]: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#keys
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
    may_others_read: bool,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read the key file {}: {cause}", path.display())]
    #[non_exhaustive]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file cannot be created.
    #[error("cannot create the key file {}: {cause}", path.display())]
    #[non_exhaustive]
    Uncreatable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is not a key file, or is damaged. It stays as it is.
    #[error(
        "{} is not a key file: {reason}; put a copy of the key there, or name another file, and one will be created",
        path.display()
    )]
    #[non_exhaustive]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Others than its owner can read or write the file: the key may be known to them.
    #[error(
        "others can read or write the key file {}: its mode is {mode:o}; `chmod 600` keeps it yours",
        path.display()
    )]
    #[non_exhaustive]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions on Unix.
        mode: u32,
    },
}

impl KeyFile {
    /// The key file at this path, whether it is there already or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), may_others_read: false }
    }

    /// Takes the file also if others than its owner can read or write it, as where a container gets its secrets from a
    /// mounted volume.
    #[must_use]
    pub const fn allow_readable_by_others(mut self) -> Self {
        self.may_others_read = true;
        self
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key in the file, or none where there is no file.
    ///
    /// # Errors
    /// [`KeyFileError::Exposed`] if others can read the file, [`KeyFileError::NoKey`] if it is empty, damaged or
    /// something else, or has a key of another type than Ed25519, and [`KeyFileError::Unreadable`] if the system refuses.
    pub fn load(&self) -> Result<Option<Keypair>, KeyFileError> {
        // Before it is opened: a pipe would keep the caller waiting.
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(self.no_key("it is not a file")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.unreadable(cause)),
        }
        let file = File::open(&self.path).map_err(|cause| self.unreadable(cause))?;
        self.refuse_exposed(&file)?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|cause| self.unreadable(cause))?;
        self.key_in(&bytes).map(Some)
    }

    /// The key in the file, or a new one in a new file.
    ///
    /// The file appears as a whole: of two processes that create it at once, both get the same key, and a crash leaves the
    /// whole file or none. On a file system without hard links, a crash may leave an incomplete one, which is an error
    /// later. A file that is there is never overwritten.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`KeyFileError::Uncreatable`] if the file cannot be written, for example since its
    /// directory does not exist.
    pub fn load_or_create(&self) -> Result<Keypair, KeyFileError> {
        match self.load()? {
            Some(keypair) => Ok(keypair),
            None => self.create(),
        }
    }

    fn create(&self) -> Result<Keypair, KeyFileError> {
        let keypair = Keypair::generate_ed25519();
        let encoded = keypair.to_protobuf_encoding();
        let bytes = encoded.map_err(|error| self.uncreatable(io::Error::other(error)))?;
        match self.write(&bytes) {
            Ok(()) => Ok(keypair),
            // Somebody else has been faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match self.load()? {
                Some(keypair) => Ok(keypair),
                None => Err(self.uncreatable(error)),
            },
            Err(cause) => Err(self.uncreatable(cause)),
        }
    }

    /// Writes another file, and links it into place once it is durable.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let mut draft = self.path.as_os_str().to_owned();
        draft.push(format!(".{random:016x}.new"));
        let draft = PathBuf::from(draft);
        let written = write_private(&draft, bytes).and_then(|()| fs::hard_link(&draft, &self.path));
        let removed = fs::remove_file(&draft);
        match written {
            Err(error) if removed.is_ok() && has_no_links(&error) => {
                write_private(&self.path, bytes)?;
            }
            written => written?,
        }
        sync_directory_of(&self.path)
    }

    fn key_in(&self, bytes: &[u8]) -> Result<Keypair, KeyFileError> {
        if bytes.is_empty() {
            return Err(self.no_key("it is empty"));
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(self.no_key(format!("it is longer than {MAX_FILE_BYTES} bytes")));
        }
        let keypair = Keypair::from_protobuf_encoding(bytes)
            .map_err(|error| self.no_key(format!("it holds no libp2p key pair ({error})")))?;
        match keypair.key_type() {
            KeyType::Ed25519 => Ok(keypair),
            other => Err(self.no_key(format!("it holds a key of type {other:?}, not Ed25519"))),
        }
    }

    #[cfg(unix)]
    fn refuse_exposed(&self, file: &File) -> Result<(), KeyFileError> {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|cause| self.unreadable(cause))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & OF_OTHERS != 0 && !self.may_others_read {
            return Err(KeyFileError::Exposed { path: self.path.clone(), mode });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn refuse_exposed(&self, _: &File) -> Result<(), KeyFileError> {
        Ok(())
    }

    fn no_key(&self, reason: impl Into<String>) -> KeyFileError {
        KeyFileError::NoKey { path: self.path.clone(), reason: reason.into() }
    }

    fn unreadable(&self, cause: io::Error) -> KeyFileError {
        KeyFileError::Unreadable { path: self.path.clone(), cause }
    }

    fn uncreatable(&self, cause: io::Error) -> KeyFileError {
        KeyFileError::Uncreatable { path: self.path.clone(), cause }
    }
}

/// Whether the file system knows no hard links, as FAT and some that are mounted from elsewhere.
fn has_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Makes the new name durable.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Elsewhere a directory cannot be opened as a file, and its changes are durable by themselves.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
