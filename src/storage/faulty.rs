//! A storage for tests, with the faults of a bad disk. They follow from a seed, so that a run can be repeated.
//!
//! Tests outside the crate include this file by its path, in a module that has all of `peerage::storage`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{Change, Memory, Result, Row, Storage, StorageError, Table};

/// Which faults there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Of a thousand commits, how many find the disk full.
    pub(crate) full: u32,
    /// Of a thousand commits, how many fail with another error of the disk.
    pub(crate) errors: u32,
    /// The longest time that a commit takes. It blocks its thread for that, in real time.
    pub(crate) slow: Duration,
    /// How many of the last commits the disk may still hold back although it has called them durable. A crash loses some
    /// of them, the last ones first. None for a disk that keeps its word.
    pub(crate) held_back: usize,
}

/// A [`Storage`] over [`Memory`] whose disk has faults. Its clones are the same storage: one is for the node, and one for
/// the test, which lets it crash.
#[derive(Debug, Clone)]
pub(crate) struct Faulty(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct Disk {
    faults: Faults,
    random: u64,
    is_full: bool,
    /// What no crash loses.
    durable: Memory,
    /// Commits that a crash may lose, in their order.
    held_back: Vec<Vec<Change>>,
    /// What is read: all commits.
    seen: Memory,
    commits: u64,
}

impl Faulty {
    /// An empty one.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            faults,
            random: seed,
            is_full: false,
            durable: Memory::new(),
            held_back: Vec::new(),
            seen: Memory::new(),
            commits: 0,
        })))
    }

    /// From now on, no commit finds room, or each does as far as its faults let it.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.disk().is_full = is_full;
    }

    /// Has other faults from now on.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.disk().faults = faults;
    }

    /// How many commits have been acknowledged.
    pub(crate) fn commits(&self) -> u64 {
        self.disk().commits
    }

    /// What is there after a crash at this moment: all that is durable, and the first of the commits that were held back,
    /// each of them whole. This storage, which the crashed node may still have, takes no more commits.
    pub(crate) fn crash(&self) -> Self {
        let mut disk = self.disk();
        let held_back = disk.held_back.len() as u64;
        let kept = disk.below(held_back + 1) as usize;
        let seed = disk.next();
        let next = Self::new(seed, disk.faults);
        {
            let mut after = next.disk();
            after.seen = copy_of(&disk.durable);
            for changes in disk.held_back.iter().take(kept) {
                let _ = after.seen.commit(changes);
            }
            after.durable = copy_of(&after.seen);
        }
        disk.faults = Faults { errors: 1000, ..Faults::default() };
        next
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> Memory {
        self.disk().seen.clone()
    }
}

impl Disk {
    /// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn refuse(&mut self) -> Result<()> {
        let drawn = self.below(1000) as u32;
        if self.is_full || drawn < self.faults.full {
            return Err(StorageError::Full);
        }
        if drawn < self.faults.full.saturating_add(self.faults.errors) {
            return Err(StorageError::other("the disk does not answer"));
        }
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<()> {
        self.refuse()?;
        self.seen.commit(changes)?;
        self.held_back.push(changes.to_vec());
        while self.held_back.len() > self.faults.held_back {
            self.durable.commit(&self.held_back.remove(0))?;
        }
        self.commits += 1;
        Ok(())
    }
}

fn copy_of(memory: &Memory) -> Memory {
    let copy = Memory::new();
    for table in Table::ALL {
        let rows = memory.scan(table, None, usize::MAX).unwrap_or_default();
        let changes =
            rows.into_iter().map(|(key, value)| Change { table, key, value: Some(value) });
        let _ = copy.commit(&changes.collect::<Vec<_>>());
    }
    copy
}

impl Storage for Faulty {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.seen().get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>> {
        self.seen().scan(table, after, limit)
    }

    fn len(&self, table: Table) -> Result<u64> {
        self.seen().len(table)
    }

    fn commit(&self, changes: &[Change]) -> Result<()> {
        let takes = {
            let mut disk = self.disk();
            let longest = u64::try_from(disk.faults.slow.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(if longest == 0 { 0 } else { disk.below(longest) })
        };
        if !takes.is_zero() {
            thread::sleep(takes);
        }
        self.disk().write(changes)
    }

    fn size(&self) -> Result<u64> {
        self.seen().size()
    }

    fn blocks(&self) -> bool {
        !self.disk().faults.slow.is_zero()
    }
}
