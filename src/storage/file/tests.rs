//! What a file promises, one file for each kind of promise.

use std::{fs, path::Path};

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::{
    super::{
        Storage, StorageError, Table,
        contract::{batches, holds_what_a_map_holds, keeps_to_the_contract, put, remove, rows},
    },
    *,
};

mod crash;
mod damage;
pub(super) mod failing;
#[cfg(target_os = "linux")]
mod full;
mod room;

/// A folder of its own, and a file's path in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("node.redb");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_keeps_to_the_contract() {
    let (_folder, path) = place();
    keeps_to_the_contract(&File::open(path).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_file_holds_what_a_map_holds(batches in batches()) {
        let (_folder, path) = place();
        let file = File::open(&path).unwrap();
        holds_what_a_map_holds(file, batches, |file| {
            drop(file);
            File::open(&path).unwrap()
        });
    }
}

#[test]
fn a_file_that_is_open_is_in_use_until_it_is_closed() {
    let (folder, path) = place();
    let file = File::open(&path).unwrap();
    let error = File::open(&path).unwrap_err();
    assert_eq!(error, StorageError::InUse { path: path.clone() });
    file.commit(&[put(Table::Own, b"a", b"1")]).unwrap();
    drop(file);
    File::open(&path).unwrap();
    assert_eq!(names(folder.path()), ["node.redb", "node.redb.lock"]);
}

#[cfg(unix)]
#[test]
fn in_a_folder_that_cannot_be_written_a_file_cannot_be_opened() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(inner.join("probe"), b"").is_ok() {
        println!("skipped: whoever runs this test can write everywhere");
        return;
    }
    let error = File::open(inner.join("node.redb")).unwrap_err();
    assert!(matches!(error, StorageError::ReadOnly { ref path, .. } if *path == inner), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_and_its_folder_are_created_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let path = folder.path().join("alice/data/node.redb");
    File::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("alice/data")), 0o700);
    assert_eq!(mode(&folder.path().join("alice")), 0o700);
}

#[test]
fn a_folder_in_the_place_of_the_file_is_an_error_that_names_it() {
    let (folder, path) = place();
    fs::create_dir(&path).unwrap();
    let error = File::open(&path).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(path.is_dir(), "{:?}", names(folder.path()));
}

#[test]
fn rows_that_are_too_long_are_refused_with_their_whole_batch() {
    let (_folder, path) = place();
    let file = File::open(path).unwrap();
    let long = [put(Table::Own, &[0; 257], b""), put(Table::Own, b"b", &[0; 64 * 1024 + 1])];
    for long in long {
        file.commit(&[put(Table::Own, b"a", b"1"), long]).unwrap_err();
        assert!(rows(&file, Table::Own, 10).is_empty());
    }
}

#[test]
fn a_file_of_a_later_layout_is_an_error_and_stays_as_it_is() {
    let (folder, path) = place();
    File::open(&path).unwrap();
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let file = redb::TableDefinition::<&str, u64>::new("file");
    transaction.open_table(file).unwrap().insert("format", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = File::open(&path).unwrap_err();
    assert_eq!(error, StorageError::Newer { found: 7, known: 1 });
    assert_eq!(names(folder.path()), ["node.redb", "node.redb.lock"]);
}
