//! A storage without a disk.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Change, Result, Row, Storage, Table};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A [`Storage`] in memory. Its clones share their rows, so that a test can end a node and start the next one from what
/// the first has left behind.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<RwLock<BTreeMap<Table, Rows>>>);

impl Memory {
    /// One without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read<T>(&self, table: Table, read: impl FnOnce(&Rows) -> T) -> T {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match tables.get(&table) {
            Some(rows) => read(rows),
            None => read(&Rows::new()),
        }
    }
}

impl Storage for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.read(table, |rows| rows.get(key).cloned()))
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.read(table, |rows| {
            let range = rows.range::<[u8], _>((from, Bound::Unbounded));
            range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
        }))
    }

    fn len(&self, table: Table) -> Result<u64> {
        Ok(self.read(table, |rows| rows.len() as u64))
    }

    fn commit(&self, changes: &[Change]) -> Result<()> {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Change { table, key, value } in changes {
            let rows = tables.entry(*table).or_default();
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(())
    }

    fn blocks(&self) -> bool {
        false
    }

    fn size(&self) -> Result<u64> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rows = tables.values().flatten();
        Ok(rows.map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}
