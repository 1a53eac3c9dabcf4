//! A storage in memory whose every use a test can delay, count or fail.

use std::{fmt::Debug, sync::Arc};

use peerage::storage::{Change, Memory, Result, Row, Storage, Table};

/// What happens before a storage does what it is asked for. It may take its time, and may fail it.
pub(crate) trait Hindrance: Debug + Default + Send + Sync + 'static {
    fn before_get(&self, _: Table) {}

    /// After this key of a table's.
    fn before_scan(&self, _: Table, _after: Option<&[u8]>) {}

    fn before_commit(&self) -> Result<()> {
        Ok(())
    }

    fn before_size(&self) -> Result<()> {
        Ok(())
    }
}

/// The storage. Its clones are the same.
#[derive(Debug, Default)]
pub(crate) struct Hindered<H> {
    pub(crate) memory: Memory,
    pub(crate) by: Arc<H>,
}

// A derived one would ask the same of what hinders.
impl<H> Clone for Hindered<H> {
    fn clone(&self) -> Self {
        Self { memory: self.memory.clone(), by: Arc::clone(&self.by) }
    }
}

impl<H: Hindrance> Storage for Hindered<H> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.by.before_get(table);
        self.memory.get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>> {
        self.by.before_scan(table, after);
        self.memory.scan(table, after, limit)
    }

    fn len(&self, table: Table) -> Result<u64> {
        self.memory.len(table)
    }

    fn commit(&self, changes: &[Change]) -> Result<()> {
        self.by.before_commit()?;
        self.memory.commit(changes)
    }

    fn size(&self) -> Result<u64> {
        self.by.before_size()?;
        self.memory.size()
    }
}
