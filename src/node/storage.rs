//! The node's storage: what is read from it at the start, and what is written behind.
//!
//! Nothing here blocks but [`Disk::open`], which runs before the first poll. Whatever blocks later runs on a thread of the
//! [`blocking`] crate, and wakes the node when it is done. One thing at a time is written, and one is read.

use std::{
    any::Any,
    collections::HashSet,
    fmt,
    future::{Future, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::PeerId;

use super::fetches::{Fetches, Waiting};
use crate::{
    engine::{Engine, Now, Rows},
    error::{Error, Result},
    package::owner_key,
    record::NetworkName,
    storage::{self, Change, Storage, StorageError, Table},
};

/// The schema of the rows that this version writes, and the latest that it reads.
///
/// | schema | what it says of who has put a held record |
/// |--|--|
/// | 1 | the peer's id |
/// | 2 | a short digest of that |
///
/// Rows of an earlier schema are read as they are, and are in this one once they are written again.
const SCHEMA: u32 = 2;

/// What a node reads before its first poll, besides the first of the sequences and those of its own packages: little beside
/// what it holds for others.
const FIRST: [Table; 6] =
    [Table::Epochs, Table::Pins, Table::Own, Table::Outbox, Table::Peers, Table::Reputations];

/// What it reads while it runs already. The sequences come first: the rest is judged by them.
const LATER: [Table; 3] = [Table::Sequences, Table::Catalogue, Table::Held];

/// Rows that are read at once before the first poll.
const FIRST_ROWS: usize = 4096;

/// Rows that are read at once later on, which are taken in within one poll: some milliseconds' work. Records are verified.
const fn rows_at_once(table: Table) -> usize {
    match table {
        Table::Sequences => 512,
        _ => 64,
    }
}

/// Own sequences that are read at once. Most nodes have fewer packages.
const OWN_ROWS: usize = 64;

/// Which of the sequences are read before the first poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// As many as are read at once, and those of the node's own packages.
    Own,
    All,
}

/// The digest of a record's key, and the value of its row, if there is one.
type Fetched = ([u8; 32], Option<Vec<u8>>);

/// Where a row lies.
type RowKey = (Table, Vec<u8>);

/// What runs on another thread, or is done already.
type Work<T> = Pin<Box<dyn Future<Output = storage::Result<T>> + Send>>;

/// The storage of a node, and what is under way with it.
pub(super) struct Disk {
    storage: Arc<dyn Storage>,
    commit: Option<Work<u64>>,
    /// How many bytes the storage took when that was last known.
    bytes: u64,
    /// The rows that the commit writes.
    writing: Vec<RowKey>,
    load: Load,
    /// Whether the last page could be read.
    page_health: Health,
    fetch: Option<Reading<Vec<Fetched>>>,
    /// Whether the last fetch could.
    fetch_health: Health,
    /// When the routing table is looked at next.
    table_due: Duration,
}

/// So often some of the routing table is kept: peers of which nobody knows are lost with the process. What has not changed
/// is not written again.
const TABLE_INTERVAL: Duration = Duration::from_secs(1);

/// So many commits end in one poll. One may have run before it, and a storage in memory ends the next at once.
const COMMITS_PER_POLL: usize = 2;

/// What an earlier life has left, as far as it is read before the first poll.
pub(super) struct Kept {
    /// How many bytes the storage takes.
    pub(super) bytes: u64,
    pub(super) rows: Vec<Rows>,
    /// Sequences of others' packages are read later.
    pub(super) are_sequences_left: bool,
}

/// Something is read.
struct Reading<T> {
    work: Work<T>,
    /// Rows of the commits that have ended since it began: what was read of them may be out of date.
    outdated: HashSet<RowKey>,
}

/// Whether something could be read when it was last tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

impl Health {
    /// It was tried again. That it fails is told once.
    fn note(&mut self, engine: &mut Engine, error: Option<&StorageError>) {
        let now = if error.is_some() { Self::Failing } else { Self::Good };
        let before = std::mem::replace(self, now);
        if let (Self::Good, Some(error)) = (before, error) {
            engine.cannot_read(error);
        }
    }
}

/// How far the tables are read that may be large.
enum Load {
    /// The next rows are those of this table after this key.
    Next(Cursor),
    /// The same, but not before this time: the storage could not be read.
    Later(Cursor, Duration),
    Reading(Cursor, Reading<Vec<storage::Row>>),
    Done,
}

/// After the storage could not be read, it is tried again after so long.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// A place in the tables that are read later.
#[derive(Debug, Clone)]
struct Cursor {
    table: Table,
    after: Option<Vec<u8>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("storage", &self.storage).finish_non_exhaustive()
    }
}

/// What was done with the storage in a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Yes,
    No,
}

impl Disk {
    /// Reads what a node must know before it does anything. Blocks.
    ///
    /// # Errors
    /// [`Error::Storage`] where the data cannot be read, or belongs to another owner or network.
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        network: &NetworkName,
        owner: &PeerId,
        ahead: Ahead,
    ) -> Result<(Self, Kept)> {
        let failed = |error: StorageError| Error::storage(&error);
        claim(&*storage, network, owner).map_err(failed)?;
        let (sequences, left) = read_sequences(&*storage, owner, ahead).map_err(failed)?;
        let rows = FIRST.map(|table| read_all(&*storage, table));
        let rows = [Ok(sequences)].into_iter().chain(rows).collect::<storage::Result<_>>();
        let rows = rows.map_err(failed)?;
        let bytes = storage.size().map_err(failed)?;
        let are_sequences_left = left.is_some();
        let load = left.map_or_else(|| next_table(Table::Sequences), Load::Next);
        let disk = Self {
            storage,
            commit: None,
            bytes,
            writing: Vec::new(),
            load,
            page_health: Health::Good,
            fetch: None,
            fetch_health: Health::Good,
            table_due: Duration::ZERO,
        };
        Ok((disk, Kept { bytes, rows, are_sequences_left }))
    }

    /// Writes what has changed, and reads on what is left from an earlier life.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Now, engine: &mut Engine) -> Moved {
        let mut moved = Moved::No;
        for round in 0..COMMITS_PER_POLL {
            if self.poll_commit(cx, now, engine) == Moved::No {
                break;
            }
            moved = Moved::Yes;
            if round + 1 == COMMITS_PER_POLL {
                cx.waker().wake_by_ref();
            }
        }
        // After the commit: what is durable by now is not late.
        engine.release(now);
        if self.poll_load(cx, now, engine) == Moved::Yes {
            moved = Moved::Yes;
        }
        moved
    }

    /// Whether it is time to look at the routing table. It is, once in a while.
    pub(super) fn takes_table(&mut self, now: Now) -> bool {
        let is_due = self.table_due <= now.mono;
        if is_due {
            self.table_due = now.mono.saturating_add(TABLE_INTERVAL);
        }
        is_due
    }

    fn poll_commit(&mut self, cx: &mut Context<'_>, now: Now, engine: &mut Engine) -> Moved {
        if self.commit.is_none()
            && let Some(changes) = engine.save(now)
        {
            let bytes = self.bytes;
            self.writing = rows_of(&changes);
            self.commit = Some(self.run(move |storage| commit(storage, &changes, bytes)));
        }
        let Some(commit) = &mut self.commit else { return Moved::No };
        let Poll::Ready(outcome) = commit.as_mut().poll(cx) else { return Moved::No };
        self.commit = None;
        let written = std::mem::take(&mut self.writing);
        if let Some(fetch) = &mut self.fetch {
            fetch.outdated.extend(written.iter().cloned());
        }
        if let Load::Reading(_, page) = &mut self.load {
            page.outdated.extend(written);
        }
        self.bytes = outcome.as_ref().map_or(self.bytes, |bytes| *bytes);
        engine.saved(now, &outcome);
        Moved::Yes
    }

    /// Reads the records that somebody waits for. Tells what goes on with them.
    pub(super) fn poll_fetch(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        engine: &mut Engine,
        fetches: &mut Fetches,
    ) -> Poll<Vec<Waiting>> {
        if self.fetch.is_none() {
            let digests = fetches.begin(std::iter::from_fn(|| engine.next_wanted()));
            if digests.is_empty() {
                return Poll::Pending;
            }
            self.fetch = Some(self.read(move |storage| fetch(storage, digests)));
        }
        let Some(reading) = &mut self.fetch else { return Poll::Pending };
        let Poll::Ready(outcome) = reading.work.as_mut().poll(cx) else { return Poll::Pending };
        let outdated = std::mem::take(&mut reading.outdated);
        self.fetch = None;
        self.fetch_health.note(engine, outcome.as_ref().err());
        let rows = match outcome {
            Ok(rows) => rows,
            Err(_) => {
                return Poll::Ready(fetches.end_all());
            }
        };
        let mut waiting = Vec::new();
        for (digest, value) in rows {
            if outdated.contains(&(Table::Held, digest.to_vec())) {
                fetches.again(digest);
            } else {
                engine.fetched(now, digest, value);
                waiting.extend(fetches.end(&digest));
            }
        }
        Poll::Ready(waiting)
    }

    fn poll_load(&mut self, cx: &mut Context<'_>, now: Now, engine: &mut Engine) -> Moved {
        match std::mem::replace(&mut self.load, Load::Done) {
            Load::Done => return Moved::No,
            // What was read last is still being verified. That is nothing to the sequences, for which lookups wait.
            Load::Next(cursor) if cursor.table != Table::Sequences && engine.is_restoring() => {
                self.load = Load::Next(cursor);
                return Moved::No;
            }
            Load::Later(cursor, due) if now.mono < due => {
                self.load = Load::Later(cursor, due);
                return Moved::No;
            }
            Load::Next(cursor) | Load::Later(cursor, _) => {
                let Cursor { table, after } = cursor.clone();
                let limit = rows_at_once(table);
                let scan = self.read(move |storage| storage.scan(table, after.as_deref(), limit));
                self.load = Load::Reading(cursor, scan);
            }
            reading @ Load::Reading(..) => self.load = reading,
        }
        let Load::Reading(cursor, page) = &mut self.load else { return Moved::No };
        let Poll::Ready(rows) = page.work.as_mut().poll(cx) else { return Moved::No };
        let (cursor, outdated) = (cursor.clone(), std::mem::take(&mut page.outdated));
        let table = cursor.table;
        self.page_health.note(engine, rows.as_ref().err());
        let is_outdated = |(key, _): &storage::Row| outdated.contains(&(table, key.clone()));
        match rows {
            Ok(rows) if rows.iter().any(is_outdated) => self.load = Load::Next(cursor),
            Ok(rows) => {
                self.load = match (rows.len() == rows_at_once(table), rows.last()) {
                    (true, Some((last, _))) => {
                        Load::Next(Cursor { table, after: Some(last.clone()) })
                    }
                    _ => next_table(table),
                };
                engine.restore_more(now, &Rows { table, rows });
            }
            Err(_) => {
                self.load = Load::Later(cursor, now.mono.saturating_add(READ_AGAIN));
                return Moved::Yes;
            }
        }
        match (table, &self.load) {
            (Table::Sequences, Load::Next(Cursor { table: Table::Catalogue, .. })) => {
                engine.sequences_read(now);
            }
            (Table::Catalogue, Load::Next(Cursor { table: Table::Held, .. })) => {
                engine.catalogue_read(now);
            }
            (_, Load::Done) => engine.all_read(),
            _ => {}
        }
        // Others come first, and the next rows after them.
        cx.waker().wake_by_ref();
        Moved::Yes
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Storage) -> storage::Result<T> + Send + 'static,
    ) -> Reading<T> {
        Reading { work: self.run(work), outdated: HashSet::new() }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Storage) -> storage::Result<T> + Send + 'static,
    ) -> Work<T> {
        if !self.storage.blocks() {
            return Box::pin(ready(caught(|| work(&*self.storage))));
        }
        let storage = Arc::clone(&self.storage);
        Box::pin(blocking::unblock(move || caught(|| work(&*storage))))
    }
}

fn next_table(table: Table) -> Load {
    let mut following = LATER.into_iter().skip_while(|other| *other != table).skip(1);
    following.next().map_or(Load::Done, |table| Load::Next(Cursor { table, after: None }))
}

/// The rows of these changes in the tables that are read while the node runs.
fn rows_of(changes: &[Change]) -> Vec<RowKey> {
    let row = |change: &Change| (change.table, change.key.clone());
    changes.iter().filter(|change| LATER.contains(&change.table)).map(row).collect()
}

fn fetch(storage: &dyn Storage, digests: Vec<[u8; 32]>) -> storage::Result<Vec<Fetched>> {
    let row = |digest: [u8; 32]| {
        let held = storage.get(Table::Held, &digest)?;
        Ok((digest, held))
    };
    digests.into_iter().map(row).collect()
}

/// Tells the size after that. What is durable stays so where the size cannot be found out: it is as it was before.
fn commit(storage: &dyn Storage, changes: &[Change], before: u64) -> storage::Result<u64> {
    storage.commit(changes)?;
    Ok(caught(|| storage.size()).unwrap_or(before))
}

/// A panic in the application's code is a failure of the storage. [`blocking`] would go on with it in the node's poll, and
/// the node would end with it.
fn caught<T>(work: impl FnOnce() -> storage::Result<T>) -> storage::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(StorageError::other(format!("the storage has panicked: {}", words(&*panic))))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("it does not say why")
}

fn read_all(storage: &dyn Storage, table: Table) -> storage::Result<Rows> {
    let mut rows: Vec<storage::Row> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.as_slice());
        let page = storage.scan(table, after, FIRST_ROWS)?;
        let is_last = page.len() < FIRST_ROWS;
        rows.extend(page);
        if is_last {
            return Ok(Rows { table, rows });
        }
    }
}

/// The sequences that are read before the first poll, and where those come that are not.
fn read_sequences(
    storage: &dyn Storage,
    owner: &PeerId,
    ahead: Ahead,
) -> storage::Result<(Rows, Option<Cursor>)> {
    let table = Table::Sequences;
    if ahead == Ahead::All {
        return Ok((read_all(storage, table)?, None));
    }
    let mut rows = storage.scan(table, None, FIRST_ROWS)?;
    let last = rows.last().filter(|_| rows.len() == FIRST_ROWS).map(|(key, _)| key.clone());
    let Some(after) = last else { return Ok((Rows { table, rows }, None)) };
    rows.extend(sequences_of(storage, owner)?);
    Ok((Rows { table, rows }, Some(Cursor { table, after: Some(after) })))
}

/// The rows of one owner's packages: their keys begin with the owner's.
fn sequences_of(storage: &dyn Storage, owner: &PeerId) -> storage::Result<Vec<storage::Row>> {
    let Some(owner) = owner_key(owner) else { return Ok(Vec::new()) };
    let (mut after, mut found) = (owner.to_vec(), Vec::new());
    loop {
        let page = storage.scan(Table::Sequences, Some(&after), OWN_ROWS)?;
        let before = found.len();
        found.extend(page.into_iter().take_while(|(key, _)| key.starts_with(&owner)));
        match found.last() {
            Some((last, _)) if found.len() == before + OWN_ROWS => after.clone_from(last),
            _ => return Ok(found),
        }
    }
}

/// Sees to it that the data is this owner's, of this network, and in a schema that this version reads. New data becomes so.
fn claim(storage: &dyn Storage, network: &NetworkName, owner: &PeerId) -> storage::Result<()> {
    let row = |key: &str, value: String| Change {
        table: Table::Meta,
        key: key.into(),
        value: Some(value.into()),
    };
    let read = |key: &str| -> storage::Result<Option<String>> {
        let value = storage.get(Table::Meta, key.as_bytes())?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    let Some(schema) = read("schema")? else {
        return storage.commit(&[
            row("schema", SCHEMA.to_string()),
            row("network", network.to_string()),
            row("owner", owner.to_string()),
        ]);
    };
    let found = match schema.parse() {
        Ok(found) if found > SCHEMA => {
            return Err(StorageError::Newer { found, known: SCHEMA });
        }
        Ok(found) => found,
        Err(_) => {
            return Err(StorageError::other(format!("the data has the unknown schema `{schema}`")));
        }
    };
    for (what, key, expected) in
        [("network", "network", network.to_string()), ("owner", "owner", owner.to_string())]
    {
        let found = read(key)?.unwrap_or_default();
        if found != expected {
            let (found, expected) = (format!("{what} `{found}`"), format!("{what} `{expected}`"));
            return Err(StorageError::NotOurs { found, expected });
        }
    }
    if found < SCHEMA {
        // Before any row is: an earlier version would take them for junk.
        storage.commit(&[row("schema", SCHEMA.to_string())])?;
    }
    Ok(())
}
