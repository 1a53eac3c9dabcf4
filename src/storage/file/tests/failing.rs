//! A disk that refuses what it is told to, at any moment of a commit.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

use super::*;

type Lock<T> = std::result::Result<T, BackendError>;

/// Which of the coming operations of the disk fail.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// How many more go well first.
    good: AtomicU64,
    /// How many fail then.
    bad: AtomicU64,
    /// Whether for want of room.
    is_full: AtomicU32,
    failed: AtomicU64,
}

impl Failures {
    pub(crate) fn over(&'static self, file: FileBackend) -> Failing {
        Failing { file, failures: self }
    }

    fn fail(&self, good: u64, bad: u64, is_full: bool) {
        self.failed.store(0, Ordering::SeqCst);
        self.is_full.store(u32::from(is_full), Ordering::SeqCst);
        self.bad.store(bad, Ordering::SeqCst);
        self.good.store(good, Ordering::SeqCst);
    }

    fn next(&self) -> io::Result<()> {
        let take = |count: &AtomicU64| {
            count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
        };
        if take(&self.good) || !take(&self.bad) {
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        Err(if self.is_full.load(Ordering::SeqCst) == 1 {
            io::ErrorKind::StorageFull.into()
        } else {
            io::Error::other("the disk does not answer")
        })
    }
}

/// A file on such a disk. Reading always works.
pub(crate) struct Failing {
    file: FileBackend,
    failures: &'static Failures,
}

impl fmt::Debug for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failing")
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.failures.next()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.failures.next()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.failures.next()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Lock<bool> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Lock<bool> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Lock<()> {
        self.file.unlock_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Lock<()> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Lock<()> {
        self.file.lock_shared_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Lock<bool> {
        self.file.query_lock_range(start, end)
    }
}

fn batch(number: u32) -> Vec<Change> {
    let value = number.to_be_bytes().repeat(40);
    // Rows of their own, and rows that each batch writes.
    let own = (0..10_u32).map(|row| [number.to_be_bytes(), row.to_be_bytes()].concat());
    let all = own.chain((0..10_u32).map(|row| row.to_be_bytes().to_vec()));
    all.map(|key| put(Table::Held, &key, &value)).collect()
}

fn open() -> (TempDir, PathBuf, File, &'static Failures) {
    let (folder, path) = place();
    let failures: &'static Failures = Box::leak(Box::default());
    let options = FileOptions { failures: Some(failures), ..FileOptions::default() };
    let file = options.open(&path).unwrap();
    (folder, path, file, failures)
}

fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: Vec<Change>) {
    model.extend(batch.into_iter().map(|row| (row.key, row.value.unwrap())));
}

/// One operation of the disk fails, each of them once: the first of a commit up to the last.
#[test]
fn whatever_fails_in_a_commit_it_is_there_or_an_error() {
    let (_folder, path, file, failures) = open();
    let mut model = BTreeMap::new();
    let (mut errors, mut settled, mut number) = (0, 0, 0);
    loop {
        let batch = batch(number);
        failures.fail(u64::from(number), 1, number % 2 == 0);
        let committed = file.commit(&batch);
        let has_failed = failures.failed.load(Ordering::SeqCst) == 1;
        failures.fail(0, 0, false);
        settled += u32::from(has_failed && committed.is_ok());
        match committed {
            Ok(()) => apply(&mut model, batch),
            Err(error) => {
                assert_eq!(error == StorageError::Full, number % 2 == 0, "{error}");
                errors += 1;
            }
        }
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(rows(&file, Table::Held, 100), expected, "operation {number}");
        // What a crash at this moment would leave.
        let copy = path.with_file_name("copy.redb");
        fs::copy(&path, &copy).unwrap();
        let crashed = File::open(&copy).unwrap();
        assert_eq!(crashed.set_aside(), None);
        assert_eq!(rows(&crashed, Table::Held, 100), expected, "operation {number}");
        if !has_failed {
            break;
        }
        number += 1;
    }
    assert!(errors > 3, "{errors} errors");
    assert!(settled > 0, "the last sync is one of them");
    drop(file);
    assert_eq!(rows(&File::open(&path).unwrap(), Table::Held, 100).len(), model.len());
}

/// There is no room for the file that would take its place.
#[test]
fn a_damaged_file_on_a_disk_that_fails_is_set_aside_when_the_disk_works_again() {
    let (_folder, path, file, failures) = open();
    drop(file);
    let options = FileOptions { failures: Some(failures), ..FileOptions::default() };
    fs::write(&path, b"damaged").unwrap();
    for good in 0..4 {
        failures.fail(good, u64::MAX, true);
        assert_eq!(options.open(&path).unwrap_err(), StorageError::Full);
    }
    failures.fail(0, 0, false);
    let file = options.open(&path).unwrap();
    assert_eq!(fs::read(file.set_aside().expect("it was damaged")).unwrap(), b"damaged");
}

/// The disk fails for a while, and works again.
#[test]
fn a_disk_that_fails_for_a_while_costs_only_the_commits_of_that_time() {
    let (_folder, path, file, failures) = open();
    file.commit(&batch(0)).unwrap();
    failures.fail(3, u64::MAX, true);
    for number in 1..5 {
        assert_eq!(file.commit(&batch(number)).unwrap_err(), StorageError::Full);
    }
    failures.fail(0, 0, false);
    assert_eq!(file.len(Table::Held).unwrap(), 20);
    file.commit(&batch(5)).unwrap();
    assert_eq!(file.len(Table::Held).unwrap(), 30);
    drop(file);
    let file = File::open(&path).unwrap();
    assert_eq!(file.set_aside(), None);
    assert_eq!(file.len(Table::Held).unwrap(), 30);
}

#[test]
fn whatever_fails_while_a_file_is_compacted_costs_no_row() {
    let (folder, path, file, failures) = open();
    let key = |row: u32| row.wrapping_mul(0x9e37_79b1).to_be_bytes();
    let all: Vec<_> = (0..12_000).map(|row| put(Table::Held, &key(row), &[1; 600])).collect();
    file.commit(&all).unwrap();
    let gone: Vec<_> = (2_000..12_000).map(|row| remove(Table::Held, &key(row))).collect();
    file.commit(&gone).unwrap();
    let expected = rows(&file, Table::Held, 500);
    assert_eq!(expected.len(), 2_000);

    let (mut errors, mut good) = (0, 0);
    loop {
        failures.fail(good, u64::MAX, true);
        let compacted = file.compact();
        failures.fail(0, 0, false);
        assert_eq!(rows(&file, Table::Held, 500), expected, "after {good} operations");
        assert_eq!(names(folder.path()), ["node.redb", "node.redb.lock"]);
        file.commit(&[put(Table::Own, b"good", &good.to_be_bytes())]).unwrap();
        match compacted {
            Ok(is_smaller) => {
                assert!(is_smaller);
                break;
            }
            Err(error) => assert_eq!(error, StorageError::Full),
        }
        errors += 1;
        good = good * 3 / 2 + 1;
    }
    assert!(errors > 5, "{errors} errors");
    drop(file);
    let file = File::open(&path).unwrap();
    assert_eq!(file.set_aside(), None);
    assert_eq!(rows(&file, Table::Held, 500), expected);
    assert_eq!(file.get(Table::Own, b"good").unwrap(), Some(good.to_be_bytes().to_vec()));
}
