//! Files whose bytes are not what was written.

use std::io::{Seek, SeekFrom, Write};

use super::*;

const ROWS: u32 = 400;

fn key(row: u32) -> [u8; 4] {
    row.to_be_bytes()
}

fn value(row: u32) -> Vec<u8> {
    row.to_le_bytes().repeat(50)
}

/// A file with rows, closed.
fn filled(path: &Path) {
    let file = File::open(path).unwrap();
    for batch in 0..4 {
        let of_batch = (0..ROWS).filter(|row| row % 4 == batch);
        let batch: Vec<_> = of_batch.map(|row| put(Table::Held, &key(row), &value(row))).collect();
        file.commit(&batch).unwrap();
    }
}

/// Each way of reading gives rows that were written, or an error. Tells whether all rows were there.
fn nothing_wrong_is_read(file: &File) -> bool {
    let mut is_whole = true;
    for row in 0..ROWS {
        match file.get(Table::Held, &key(row)) {
            Ok(Some(found)) => assert_eq!(found, value(row)),
            Ok(None) => is_whole = false,
            Err(StorageError::Corrupted { .. }) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    match file.scan(Table::Held, None, usize::MAX) {
        Ok(rows) => {
            is_whole &= rows.len() == ROWS as usize;
            for (found, stored) in rows {
                let row = u32::from_be_bytes(found[..].try_into().unwrap());
                assert_eq!(stored, value(row));
            }
        }
        Err(StorageError::Corrupted { .. }) => return false,
        Err(error) => panic!("{error}"),
    }
    is_whole
}

fn set_aside_files(folder: &Path) -> usize {
    names(folder).iter().filter(|name| name.contains(".corrupted-")).count()
}

#[test]
fn files_of_other_programs_and_empty_ones_are_set_aside_as_they_were() {
    for content in [&b""[..], b"remember the milk", &[0; 10_000], b"redb\x1a\x0a\xa9\x0d\x0a"] {
        let (folder, path) = place();
        fs::write(&path, content).unwrap();
        let file = File::open(&path).unwrap();
        let aside = file.set_aside().unwrap();
        assert!(aside.to_str().unwrap().contains("node.redb.corrupted-"), "{aside:?}");
        assert_eq!(fs::read(aside).unwrap(), content);
        file.commit(&[put(Table::Own, b"a", b"1")]).unwrap();
        drop(file);
        let file = File::open(&path).unwrap();
        assert_eq!(file.set_aside(), None);
        assert_eq!(file.get(Table::Own, b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(set_aside_files(folder.path()), 1);
    }
}

#[test]
fn the_newest_two_damaged_files_are_kept() {
    let (folder, path) = place();
    for content in [b"1", b"2", b"3", b"4"] {
        fs::write(&path, content).unwrap();
        File::open(&path).unwrap();
    }
    let mut kept: Vec<_> = names(folder.path())
        .into_iter()
        .filter(|name| name.contains(".corrupted-"))
        .map(|name| fs::read(folder.path().join(name)).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, [b"3", b"4"]);
}

#[test]
fn damaged_files_that_cannot_be_removed_are_no_reason_to_fail() {
    let (folder, path) = place();
    for old in [3, 4, 5] {
        fs::create_dir(folder.path().join(format!("node.redb.corrupted-{old}"))).unwrap();
    }
    fs::write(&path, b"damaged").unwrap();
    let aside = File::open(&path).unwrap().set_aside().unwrap().to_owned();
    assert_eq!(fs::read(aside).unwrap(), b"damaged");
    assert_eq!(set_aside_files(folder.path()), 4);
}

/// Names are whatever the system allows.
#[cfg(target_os = "linux")]
#[test]
fn of_a_file_with_a_name_that_is_no_text_the_newest_two_are_kept() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"node\xff.redb"));
    for content in [b"1", b"2", b"3", b"4"] {
        fs::write(&path, content).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(fs::read(file.set_aside().unwrap()).unwrap(), content);
    }
    let files = fs::read_dir(folder.path()).unwrap();
    let contents = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    let mut kept: Vec<_> = contents.filter(|content| content.len() == 1).collect();
    kept.sort();
    assert_eq!(kept, [b"3", b"4"]);
}

#[test]
fn a_file_of_a_later_database_is_an_error_and_stays_as_it_is() {
    let (folder, path) = place();
    filled(&path);
    let mut bytes = fs::read(&path).unwrap();
    (bytes[64], bytes[192]) = (9, 9);
    fs::write(&path, &bytes).unwrap();
    let error = File::open(&path).unwrap_err();
    assert!(error.to_string().contains("version 9"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(set_aside_files(folder.path()), 0);
}

#[test]
fn the_database_of_another_program_is_an_error_and_stays_as_it_is() {
    use redb::{Database, MultimapTableDefinition, ReadableDatabase, TableDefinition};
    const USERS: TableDefinition<'_, &str, u64> = TableDefinition::new("users");
    const FILE: TableDefinition<'_, u64, u64> = TableDefinition::new("file");
    const TAGS: MultimapTableDefinition<'_, &str, &str> = MultimapTableDefinition::new("tags");
    for table in 0..3 {
        let (folder, path) = place();
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        match table {
            0 => drop(transaction.open_table(USERS).unwrap().insert("alice", 7).unwrap()),
            1 => drop(transaction.open_table(FILE).unwrap().insert(1, 7).unwrap()),
            _ => assert!(!transaction.open_multimap_table(TAGS).unwrap().insert("a", "b").unwrap()),
        }
        transaction.commit().unwrap();
        drop(database);
        for options in [FileOptions::default(), FileOptions::default().check_up_to(0)] {
            let error = options.open(&path).unwrap_err();
            assert!(error.to_string().contains("another program"), "{error}");
        }
        assert_eq!(set_aside_files(folder.path()), 0);
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_read().unwrap();
        match table {
            0 => {
                let users = transaction.open_table(USERS).unwrap();
                assert_eq!(users.get("alice").unwrap().unwrap().value(), 7);
            }
            1 => drop(transaction.open_table(FILE).unwrap()),
            _ => drop(transaction.open_multimap_table(TAGS).unwrap()),
        }
    }
}

/// Of a program that has not been updated since.
#[test]
fn a_file_of_an_earlier_database_is_an_error_and_stays_as_it_is() {
    let (folder, path) = place();
    filled(&path);
    let mut bytes = fs::read(&path).unwrap();
    (bytes[64], bytes[192]) = (2, 2);
    fs::write(&path, &bytes).unwrap();
    let error = File::open(&path).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    assert_eq!(set_aside_files(folder.path()), 0);
}

#[test]
fn damage_under_a_file_in_use_is_an_error_and_the_next_one_to_open_it_sets_it_aside() {
    let (folder, path) = place();
    filled(&path);
    let unchecked = FileOptions::default().cache(0).check_up_to(0);
    let file = unchecked.open(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // Every row that has this value, wherever copies of it are.
    let spoiled = value(77);
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(spoiled.len()).position(|found| found == spoiled) {
        at += found + 1;
        bytes[at] ^= 1;
    }
    assert!(at > 0);
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(&bytes).unwrap();

    assert_eq!(file.get(Table::Held, &key(300)).unwrap(), Some(value(300)));
    let error = file.get(Table::Held, &key(77)).unwrap_err();
    assert!(matches!(error, StorageError::Corrupted { .. }), "{error}");
    let error = file.commit(&[put(Table::Own, b"a", b"1")]).unwrap_err();
    assert!(matches!(error, StorageError::Corrupted { .. }), "{error}");
    drop(file);

    let file = unchecked.open(&path).unwrap();
    assert!(file.set_aside().is_some());
    assert_eq!(file.len(Table::Held).unwrap(), 0);
    drop(file);
    assert_eq!(unchecked.open(&path).unwrap().set_aside(), None);
    assert_eq!(set_aside_files(folder.path()), 1);
}

#[derive(Debug, Clone)]
enum Damage {
    Truncated(f64),
    Overwritten { at: f64, with: Vec<u8> },
    Zeroed { at: f64, pages: usize },
    Lengthened(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0.0..1.0;
    // The first pages are those with the most to go wrong.
    let early = prop_oneof![0.0..1.0, 0.0..0.01, 0.0..0.001];
    prop_oneof![
        at.clone().prop_map(Damage::Truncated),
        (early, proptest::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, with)| Damage::Overwritten { at, with }),
        (at, 1_usize..8).prop_map(|(at, pages)| Damage::Zeroed { at, pages }),
        (1_usize..10_000).prop_map(Damage::Lengthened),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a file")]
fn harm(path: &Path, damage: &Damage) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let place = |at: f64| (at * length as f64) as u64;
    match damage {
        Damage::Truncated(at) => file.set_len(place(*at)).unwrap(),
        Damage::Overwritten { at, with } => {
            file.seek(SeekFrom::Start(place(*at))).unwrap();
            file.write_all(with).unwrap();
        }
        Damage::Zeroed { at, pages } => {
            file.seek(SeekFrom::Start(place(*at) / 4096 * 4096)).unwrap();
            file.write_all(&vec![0; pages * 4096]).unwrap();
        }
        Damage::Lengthened(bytes) => {
            file.seek(SeekFrom::End(0)).unwrap();
            file.write_all(&vec![0xa5; *bytes]).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Checked as a whole when it is opened, a file has all its rows or is set aside. Otherwise rows may be missing where
    /// the index is damaged, but none is wrong.
    #[test]
    fn a_damaged_file_gives_no_wrong_rows(
        damages in proptest::collection::vec(damage(), 1..4),
        is_checked: bool,
    ) {
        let (_folder, path) = place();
        filled(&path);
        for damage in &damages {
            harm(&path, damage);
        }
        let options = FileOptions::default().check_up_to(if is_checked { u64::MAX } else { 0 });
        let file = options.open(&path).unwrap();
        let is_whole = nothing_wrong_is_read(&file);
        if is_checked {
            let rows = file.len(Table::Held).unwrap();
            assert_eq!(rows, if file.set_aside().is_some() { 0 } else { u64::from(ROWS) });
            assert_eq!(is_whole, file.set_aside().is_none());
        }
        let written = file.commit(&[put(Table::Own, b"a", b"1")]);
        assert!(!is_checked || written.is_ok(), "{written:?}");
        drop(file);
        // Whatever it was, in the end there is a file that works.
        let _ = options.open(&path).unwrap();
        let file = FileOptions::default().open(&path).unwrap();
        file.commit(&[put(Table::Own, b"b", b"2")]).unwrap();
        assert_eq!(file.get(Table::Own, b"b").unwrap(), Some(b"2".to_vec()));
    }
}
