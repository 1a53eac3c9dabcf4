//! What is in the database: a table of its own for each [`Table`], and one for what belongs to the file.

use std::cell::Cell;

use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, TableError, TableHandle, WriteTransaction,
};

use super::{
    super::{Change, StorageError, Table},
    row,
    trouble::Trouble,
};

/// The layout of the file that is described here. A later version raises it when an older one could not read what it
/// writes.
const FORMAT: u64 = 1;

/// No [`Table`] has this name.
const FILE: TableDefinition<'_, &str, u64> = TableDefinition::new("file");
const FORMAT_KEY: &str = "format";
/// How many commits there have been. By it, it is known after an error whether a commit has reached the disk.
const COMMITS_KEY: &str = "commits";

/// So many rows of a table tell how large all of them are.
const ESTIMATED_FROM_ROWS: usize = 512;

pub(super) type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

/// Begins a transaction whose commit is synced before it counts, and synced again. It leaves with the file what a
/// database needs to open it after a crash without reading all of it.
fn begin(database: &Database) -> Result<WriteTransaction, Trouble> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Writes what every file has.
pub(super) fn create(database: &Database) -> Result<(), Trouble> {
    let transaction = begin(database)?;
    {
        let mut file = transaction.open_table(FILE)?;
        file.insert(FORMAT_KEY, FORMAT)?;
        file.insert(COMMITS_KEY, 0)?;
    }
    Ok(transaction.commit()?)
}

/// Refuses files of later versions, and those that are not ours. A file of ours has its format before it has its name: where
/// every page is as it was written, and there is none, the database is another program's.
pub(super) fn check_format(database: &Database, is_sound: bool) -> Result<(), Trouble> {
    match number(database, FORMAT_KEY)? {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(Trouble::Refused(StorageError::Newer {
            found: u32::try_from(found).unwrap_or(u32::MAX),
            known: FORMAT as u32,
        })),
        _ if is_sound && has_tables(database)? => Err(Trouble::Refused(StorageError::other(
            "it is the database of another program: choose another file",
        ))),
        _ => Err(Trouble::Damage("it has no format number of this crate".to_owned())),
    }
}

/// Whether there is anything in the database.
fn has_tables(database: &Database) -> Result<bool, Trouble> {
    let transaction = database.begin_read()?;
    let has_tables = transaction.list_tables()?.next().is_some();
    Ok(has_tables || transaction.list_multimap_tables()?.next().is_some())
}

fn number(database: &Database, key: &str) -> Result<Option<u64>, Trouble> {
    match database.begin_read()?.open_table(FILE) {
        Ok(file) => Ok(file.get(key)?.map(|number| number.value())),
        // Others may have a table of this name as well.
        Err(
            TableError::TableDoesNotExist(_)
            | TableError::TableTypeMismatch { .. }
            | TableError::TableIsMultimap(_)
            | TableError::TypeDefinitionChanged { .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The number of the last commit.
pub(super) fn last_commit(database: &Database) -> Result<u64, Trouble> {
    Ok(number(database, COMMITS_KEY)?.unwrap_or_default())
}

/// The rows of a table, if anything was ever written to it.
pub(super) fn rows(database: &Database, table: Table) -> Result<Option<Rows>, Trouble> {
    match database.begin_read()?.open_table(definition(table)) {
        Ok(rows) => Ok(Some(rows)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes these changes, and tells the commit's number before it can have happened.
pub(super) fn commit(
    database: &Database,
    changes: &[Change],
    number: &Cell<Option<u64>>,
) -> Result<(), Trouble> {
    let transaction = begin(database)?;
    // A table is opened once for all that follow each other in it.
    for changes in changes.chunk_by(|one, other| one.table == other.table) {
        let Some(Change { table, .. }) = changes.first() else { continue };
        let mut rows = transaction.open_table(definition(*table))?;
        for Change { key, value, .. } in changes {
            match value {
                Some(value) => {
                    let stored = row::stored(*table, key, value);
                    rows.insert(key.as_slice(), stored.as_slice())?;
                }
                None => {
                    rows.remove(key.as_slice())?;
                }
            }
        }
    }
    {
        let mut file = transaction.open_table(FILE)?;
        let last = file.get(COMMITS_KEY)?.map_or(0, |last| last.value());
        let next = last.wrapping_add(1);
        file.insert(COMMITS_KEY, next)?;
        number.set(Some(next));
    }
    Ok(transaction.commit()?)
}

/// The bytes of all keys and values.
pub(super) fn stored_bytes(database: &Database) -> Result<u64, Trouble> {
    let transaction = database.begin_write()?;
    let bytes = transaction.stats()?.stored_bytes();
    transaction.abort()?;
    Ok(bytes)
}

/// About as much, from the first rows of each table. Most keys are hashes, so that the first rows are as any others.
pub(super) fn estimated_bytes(database: &Database) -> Result<u64, Trouble> {
    let mut bytes = 0_u64;
    for table in Table::ALL {
        let Some(rows) = rows(database, table)? else { continue };
        let (mut looked_at, mut their_bytes) = (0_u64, 0_u64);
        for stored in rows.iter()?.take(ESTIMATED_FROM_ROWS) {
            let (key, stored) = stored?;
            looked_at += 1;
            their_bytes += (key.value().len() + stored.value().len()) as u64;
        }
        let all = their_bytes.saturating_mul(rows.len()?).checked_div(looked_at);
        bytes = bytes.saturating_add(all.unwrap_or_default());
    }
    Ok(bytes)
}

/// Whether the database has no tables but those that are known here: others would be lost with a copy.
pub(super) fn is_known(database: &Database) -> Result<bool, Trouble> {
    let is_known =
        |name: &str| name == FILE.name() || Table::ALL.iter().any(|table| table.name() == name);
    Ok(database.begin_read()?.list_tables()?.all(|table| is_known(table.name())))
}

/// Writes all that is in one database to another, which is empty. In the order of their keys, rows fill their pages.
pub(super) fn copy(from: &Database, to: &Database) -> Result<(), Trouble> {
    let transaction = begin(to)?;
    for table in Table::ALL {
        let Some(rows) = rows(from, table)? else { continue };
        let mut copies = transaction.open_table(definition(table))?;
        for stored in rows.iter()? {
            let (key, stored) = stored?;
            row::value(table, key.value(), stored.value())?;
            copies.insert(key.value(), stored.value())?;
        }
    }
    {
        let mut file = transaction.open_table(FILE)?;
        file.insert(FORMAT_KEY, FORMAT)?;
        file.insert(COMMITS_KEY, last_commit(from)?)?;
    }
    Ok(transaction.commit()?)
}

/// Reads every row, each of which is checked by that.
pub(super) fn check_rows(database: &Database) -> Result<(), Trouble> {
    for table in Table::ALL {
        let Some(rows) = rows(database, table)? else { continue };
        for stored in rows.iter()? {
            let (key, stored) = stored?;
            row::value(table, key.value(), stored.value())?;
        }
    }
    Ok(())
}
