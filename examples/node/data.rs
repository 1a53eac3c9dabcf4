//! Where a node keeps what it knows, what was found there, and snapshots in files.

use std::{
    error::Error,
    fmt::Display,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use peerage::{
    Result, Snapshot,
    storage::{self, File, Storage, Table},
};
use serde::Serialize;

use crate::ops::invalid;

/// The database in the folder.
const FILE: &str = "node.redb";

/// A smaller database is not compacted at the start: what it could give back is not worth the time.
const COMPACT_FROM_BYTES: u64 = 16 * 1024 * 1024;

/// What a node finds when it starts.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// The folder.
    pub(crate) path: String,
    /// What the database takes on disk.
    pub(crate) bytes: u64,
    /// Records of the node's own packages.
    pub(crate) own: u64,
    /// Records that it holds for others.
    pub(crate) held: u64,
    /// Packages in its catalogue.
    pub(crate) listed: u64,
    /// Most of the database was free space, which the disk has back: so many bytes it took before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compacted_from: Option<u64>,
    /// A damaged database was found: this is its name now, and a new one took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) set_aside: Option<String>,
}

/// The folder of a key: `alice.peerage` beside `alice.key`.
pub(crate) fn beside(key: &Path) -> PathBuf {
    let folder = key.with_extension("peerage");
    if folder == key { key.with_extension("peerage.peerage") } else { folder }
}

/// Opens the database in this folder, and creates both where they are missing. Tells what is there.
pub(crate) fn open(folder: &Path) -> std::result::Result<(File, Found), Box<dyn Error>> {
    let file = File::open(folder.join(FILE)).map_err(|error| cannot_keep(folder, error))?;
    let compacted_from = compact(&file);
    let found = count(folder, &file).map_err(|error| cannot_keep(folder, error))?;
    Ok((file, Found { compacted_from, ..found }))
}

/// Gives back what was removed from the database, if that is most of it. Tells how large it was. This is a good time: nobody
/// waits for a commit yet.
fn compact(file: &File) -> Option<u64> {
    let compacted = file.size().and_then(|before| {
        let is_mostly_free = before > COMPACT_FROM_BYTES && file.free_bytes()? > before / 2;
        Ok((is_mostly_free && file.compact()?).then_some(before))
    });
    compacted.unwrap_or_else(|error| {
        // For example because the disk is full. The node can do without.
        tracing::warn!(%error, "cannot compact the database");
        None
    })
}

fn count(folder: &Path, file: &File) -> storage::Result<Found> {
    Ok(Found {
        path: folder.display().to_string(),
        bytes: file.size()?,
        own: file.len(Table::Own)?,
        held: file.len(Table::Held)?,
        listed: file.len(Table::Catalogue)?,
        compacted_from: None,
        set_aside: file.set_aside().map(|path| path.display().to_string()),
    })
}

/// Why a node cannot keep its data in this folder, and what to do about it.
pub(crate) fn cannot_keep(folder: &Path, reason: impl Display) -> Box<dyn Error> {
    let folder = folder.display();
    format!(
        "cannot keep data in {folder}: {reason} (`--data DIR` names another folder, and `--memory` keeps nothing)"
    )
    .into()
}

/// Reads the snapshot in this file.
pub(crate) fn import(file: &Path) -> std::result::Result<Snapshot, Box<dyn Error>> {
    let name = file.display();
    let bytes =
        fs::read(file).map_err(|error| format!("cannot read the snapshot {name}: {error}"))?;
    let snapshot = Snapshot::from_bytes(&bytes);
    Ok(snapshot.map_err(|error| format!("cannot import {name}: {error}"))?)
}

/// Writes a snapshot to this file, in the place of an earlier one: for its owner only, and as a whole or not at all.
/// Blocks. Tells how many bytes it has.
pub(crate) fn export(snapshot: &Snapshot, file: &Path) -> Result<usize> {
    let bytes = snapshot.to_bytes();
    let name = file.display();
    let written = replace(file, &bytes);
    written.map_err(|error| invalid("file", format!("`{name}` cannot be written: {error}")))?;
    Ok(bytes.len())
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Only its owner can read it, and it is removed unless it is persisted.
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(file)?;
    // Elsewhere a directory cannot be opened as a file, and its changes are durable by themselves.
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What was found, in words.
pub(crate) fn words(found: Option<&Found>) -> String {
    let Some(Found { path, bytes, own, held, listed, compacted_from, set_aside }) = found else {
        return "nothing is kept when it ends\n".to_owned();
    };
    let counts =
        format!("{own} records of its own packages, {held} for others, {listed} packages listed");
    let mut words = format!("its data is in {path} ({bytes} bytes): {counts}\n");
    if let Some(before) = compacted_from {
        let free = "most of it was free space, which the disk has back";
        words += &format!("the database took {before} bytes before: {free}\n");
    }
    if let Some(aside) = set_aside {
        words += &format!("the database was damaged and is {aside} now; this is a new one\n");
    }
    words
}

#[cfg(test)]
mod tests {
    use futures::{
        executor::block_on,
        future::{Either, select},
    };
    use peerage::{Config, Node, identity::Keypair};

    use super::*;

    #[test]
    fn data_is_kept_beside_the_key() {
        for (key, folder) in [
            ("alice.key", "alice.peerage"),
            ("keys/bob", "keys/bob.peerage"),
            ("a.b.key", "a.b.peerage"),
            ("odd.peerage", "odd.peerage.peerage"),
        ] {
            assert_eq!(beside(Path::new(key)), Path::new(folder));
        }
    }

    #[test]
    fn a_new_folder_has_nothing_and_is_told_of_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("alice.peerage");
        let (file, found) = open(&folder).unwrap();
        assert_eq!((found.own, found.held, found.listed, &found.set_aside), (0, 0, 0, &None));
        assert!(found.bytes > 0);
        let said = words(Some(&found));
        assert!(said.contains("alice.peerage") && said.contains("0 packages listed"), "{said}");
        let error = open(&folder).unwrap_err().to_string();
        assert!(error.contains("in use by another process"), "{error}");
        assert!(error.contains("`--data DIR`") && error.contains("`--memory`"), "{error}");
        drop(file);
    }

    #[test]
    fn a_damaged_database_is_set_aside_and_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "no database").unwrap();
        let (_file, found) = open(folder.path()).unwrap();
        let aside = found.set_aside.clone().unwrap();
        assert!(aside.contains(".corrupted-"), "{aside}");
        assert!(words(Some(&found)).contains(&aside));
    }

    #[test]
    fn a_database_that_is_mostly_free_space_is_compacted_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let (file, found) = open(folder.path()).unwrap();
        assert_eq!(found.compacted_from, None);
        let rows = 400_u32;
        let change = |row: u32, value: Option<&Vec<u8>>| storage::Change {
            table: Table::Held,
            key: row.to_be_bytes().to_vec(),
            value: value.cloned(),
        };
        let value = vec![7; 60_000];
        for from in (0..rows).step_by(100) {
            let batch: Vec<_> = (from..from + 100).map(|row| change(row, Some(&value))).collect();
            file.commit(&batch).unwrap();
        }
        drop(file);
        let (file, found) = open(folder.path()).unwrap();
        assert_eq!(found.compacted_from, None, "it is full");

        // What stays lies all over the file: free space at its end is given back by itself.
        let goes = |row: &u32| !row.is_multiple_of(4);
        let removed: Vec<_> = (0..rows).filter(goes).map(|row| change(row, None)).collect();
        file.commit(&removed).unwrap();
        drop(file);
        let (file, found) = open(folder.path()).unwrap();
        let before = found.compacted_from.unwrap();
        assert!(before > COMPACT_FROM_BYTES && found.bytes < before / 2, "{found:?}");
        assert_eq!((found.held, file.len(Table::Held)), (100, Ok(100)));
        let said = words(Some(&found));
        assert!(said.contains(&format!("took {before} bytes before")), "{said}");
        drop(file);
        let (_file, found) = open(folder.path()).unwrap();
        assert_eq!(found.compacted_from, None);
        assert!(!words(Some(&found)).contains("before"));
    }

    #[test]
    fn a_snapshot_comes_back_from_its_file_and_replaces_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a snapshot");
        let config = Config::new().with_listen(["/ip4/127.0.0.1/tcp/0".parse().unwrap()]);
        let (node, handle) = Node::new(Keypair::generate_ed25519(), config).unwrap();
        let asked = Box::pin(async move { handle.snapshot().await });
        let Either::Left((snapshot, _)) = block_on(select(asked, node)) else { panic!("it ended") };
        let snapshot = snapshot.unwrap();
        for _ in 0..2 {
            let bytes = export(&snapshot, &file).unwrap();
            assert_eq!(bytes as u64, fs::metadata(&file).unwrap().len());
        }
        assert_eq!(import(&file).unwrap(), snapshot);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        let nowhere = folder.path().join("nowhere/snapshot");
        let error = export(&snapshot, &nowhere).unwrap_err().to_string();
        assert!(error.contains("nowhere/snapshot` cannot be written"), "{error}");
        fs::write(&file, "something else").unwrap();
        let error = import(&file).unwrap_err().to_string();
        assert!(error.contains("a snapshot") && error.contains("too short"), "{error}");
    }
}
