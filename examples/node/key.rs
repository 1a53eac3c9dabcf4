//! The key file: who this peer is, across restarts.
//!
//! It holds the key pair in libp2p's protobuf encoding (libp2p specification, "Peer Ids and Keys"), the
//! form in which other libp2p programs read and write it too. Whoever can read the file can publish in
//! this peer's name, so it is created readable by its owner only.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use peerage::identity::{KeyType, Keypair};

/// Longer files are not keys; an Ed25519 key takes 68 bytes.
const MAX_FILE_BYTES: u64 = 4096;

/// Where an identity came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Created,
    Read,
}

/// Why there is no identity.
#[derive(Debug)]
pub(crate) enum KeyError {
    Unreadable { path: PathBuf, cause: io::Error },
    Uncreatable { path: PathBuf, cause: io::Error },
    NoKey { path: PathBuf, reason: String },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, cause } => {
                write!(f, "cannot read the key file {}: {cause}", path.display())
            }
            Self::Uncreatable { path, cause } => {
                write!(f, "cannot create the key file {}: {cause}", path.display())
            }
            Self::NoKey { path, reason } => write!(
                f,
                "{} is not a key file: {reason}; name another file, and one will be created",
                path.display()
            ),
        }
    }
}

impl std::error::Error for KeyError {}

/// Reads the key pair in this file, or creates both where there is no file.
pub(crate) fn load_or_create(path: &Path) -> Result<(Keypair, Origin), KeyError> {
    match File::open(path) {
        Ok(file) => Ok((read(path, file)?, Origin::Read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(cause) => Err(KeyError::Unreadable { path: path.to_owned(), cause }),
    }
}

fn read(path: &Path, file: File) -> Result<Keypair, KeyError> {
    let unreadable = |cause| KeyError::Unreadable { path: path.to_owned(), cause };
    let no_key = |reason| KeyError::NoKey { path: path.to_owned(), reason };
    warn_if_others_can_read(path, &file.metadata().map_err(unreadable)?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(no_key("it is empty".to_owned()));
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(no_key(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    let keypair = Keypair::from_protobuf_encoding(&bytes)
        .map_err(|error| no_key(format!("it holds no libp2p key pair ({error})")))?;
    match keypair.key_type() {
        KeyType::Ed25519 => Ok(keypair),
        other => Err(no_key(format!("it holds a key of type {other:?}, not Ed25519"))),
    }
}

/// Creates the file under another name and then links it into place: whoever finds it finds all of it,
/// and of two peers that start at once with one key file, the second reads what the first created.
fn create(path: &Path) -> Result<(Keypair, Origin), KeyError> {
    let uncreatable = |cause| KeyError::Uncreatable { path: path.to_owned(), cause };
    let keypair = Keypair::generate_ed25519();
    let bytes = keypair
        .to_protobuf_encoding()
        .map_err(|error| uncreatable(io::Error::other(error.to_string())))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = write_private(&draft, &bytes).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => Ok((keypair, Origin::Created)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => {
            let file = File::open(path)
                .map_err(|cause| KeyError::Unreadable { path: path.to_owned(), cause })?;
            Ok((read(path, file)?, Origin::Read))
        }
        Err(cause) => Err(uncreatable(cause)),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            "others may read the key file {}: its mode is {:o}, `chmod 600` keeps it yours",
            path.display(),
            mode & 0o777
        );
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &Path, _: &fs::Metadata) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_file_is_created_and_gives_the_same_identity_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.key");
        let (first, origin) = load_or_create(&path).unwrap();
        assert_eq!(origin, Origin::Created);
        let (second, origin) = load_or_create(&path).unwrap();
        assert_eq!(origin, Origin::Read);
        assert_eq!(first.public(), second.public());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing but the key file is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_created_key_file_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.key");
        load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for content in [&b""[..], b"remember the milk", &[7; 5000]] {
            fs::write(&path, content).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyError::NoKey { .. }), "{error}");
            assert!(error.to_string().contains("notes.txt"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_folder_in_the_place_of_the_key_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = load_or_create(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_key_file_in_a_missing_folder_cannot_be_created() {
        let folder = tempfile::tempdir().unwrap();
        let error = load_or_create(&folder.path().join("missing/peer.key")).unwrap_err();
        assert!(matches!(error, KeyError::Uncreatable { .. }), "{error}");
    }

    #[test]
    fn of_two_peers_that_create_one_key_file_both_get_the_same_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.key");
        // The second found no file when it looked, and finds one when it comes to link its own.
        let (first, _) = create(&path).unwrap();
        let (second, origin) = create(&path).unwrap();
        assert_eq!(origin, Origin::Read);
        assert_eq!(first.public(), second.public());
    }
}
