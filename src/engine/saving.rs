//! When what has changed is written to the node's storage, and which callers wait for that.
//!
//! ```text
//! change ─▶ dirty rows ─┬─ own, or a caller waits: at once ──┬─▶ commit ─┬─ written ─▶ callers are answered
//!                       └─ of others: in a second ───────────┘     ▲     └─ failed ──▶ callers hear of it
//!                                                                  └─ again, after a pause ◀┘
//! ```
//!
//! One commit runs at a time. What changes meanwhile goes into the next one, so that many callers share the time that a
//! disk takes to make data durable.
//!
//! Commits have numbers. Each holds all own rows that had changed when it began, so that whoever changes something knows
//! the [number](Saving::next_commit) of the one that holds it. The commit of an own package begins when it is signed,
//! beside the puts: after them, it is mostly done.
//!
//! A caller is answered only after the commit of what its call has changed, whether or not the network has heard of it
//! before. Should the process end in between, then the network knows more than the file, which is read from it after the
//! restart as if another device had published it.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    counters::{Answer, CallEnd, CallKind, EndedCall},
    engine::command::Reply,
    error::{Error, Result},
    storage::{Change, StorageError, StorageReport},
};

/// Changes for which nobody waits are written after this time.
const WRITE_BEHIND: Duration = Duration::from_secs(1);

/// After a commit has failed, the next one is tried after so long, and after twice as long each time, up to the longest.
/// A caller who waits has it tried at once, but no sooner than after the first of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(60)];

/// A caller whose answer comes when its time is up, or soon will be, waits so long for the storage all the same: what it
/// asked for is done, and the disk mostly needs less than that.
const GRACE: Duration = Duration::from_millis(250);

/// The number of a commit, from one on. What needs none is in number zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct CommitNumber(u64);

/// What the storage is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is none.
    Off,
    Idle(Health),
    /// A commit runs.
    Writing(Health),
}

/// How the last commit has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// It has failed at this time, and the next one is tried after the pause.
    Failing {
        since: Duration,
        pause: Duration,
    },
}

/// How many rows wait to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine) struct Unsaved {
    /// Of what must not be lost: own records and pins.
    pub(in crate::engine) own: usize,
    /// Of announcements. Those that a caller waits for are as urgent as the caller; the others have been heard, and go.
    pub(in crate::engine) announcements: usize,
    /// Of all else.
    pub(in crate::engine) others: usize,
}

impl Unsaved {
    fn all(self) -> usize {
        self.own + self.announcements + self.others
    }
}

/// How soon a commit is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// Nobody waits for it.
    Behind,
    /// As soon as the storage takes it: peers are being told of what it holds.
    Soon,
    /// A caller waits, or the node stops.
    Awaited,
    /// The node stops, and has not tried since: also a disk that fails is tried once more.
    Last,
}

/// The room of answers that wait until they are true on disk.
#[derive(Debug)]
pub(in crate::engine) struct Saving {
    state: State,
    /// Since when rows wait for which no caller does.
    dirty_since: Option<Duration>,
    urgency: Urgency,
    /// The commit that has begun last.
    begun: CommitNumber,
    /// The last one that was written.
    written: CommitNumber,
    /// Answers that have come since the callers were looked at.
    arriving: Vec<Owed>,
    /// Answers that wait, by when the caller is told in any case, and by which came first.
    waiting: BTreeMap<(Duration, u64), Owed>,
    /// How many have come to wait.
    arrived: u64,
    /// Rows that were read and mean nothing any more.
    obsolete: Vec<Change>,
    /// The same, which are being removed.
    removing: Vec<Change>,
    /// How many rows the commit that runs has.
    rows: usize,
    /// More rows had changed than the commit that began last could hold.
    has_more: bool,
    /// The application has been told that the storage fails, and not that it has recovered.
    is_troubled: bool,
    /// A commit has begun since the node stops.
    has_tried_last: bool,
    report: StorageReport,
}

/// An answer that is owed to a caller.
struct Owed {
    /// When the caller's time is up.
    latest: Duration,
    /// The commit that holds what its call has changed.
    commit: CommitNumber,
    answer: Box<dyn FnOnce(Result<()>) -> Option<EndedCall> + Send>,
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut owed = f.debug_struct("Owed");
        owed.field("latest", &self.latest).field("commit", &self.commit).finish_non_exhaustive()
    }
}

/// An answer to the caller of something that is to be durable first.
#[derive(Debug)]
#[must_use]
pub(in crate::engine) struct Durable<T> {
    pub(in crate::engine) reply: Reply<T>,
    pub(in crate::engine) answer: Result<T>,
    /// How the call is counted, if it is.
    pub(in crate::engine) kind: Option<CallKind>,
    /// When the caller's time is up, on the monotonic scale.
    pub(in crate::engine) latest: Duration,
    /// The commit that holds what the call has changed.
    pub(in crate::engine) commit: CommitNumber,
}

impl<T: Answer> Durable<T> {
    fn send(self) -> Option<EndedCall> {
        let end = self.reply.send(self.answer);
        ended(self.kind, end)
    }
}

fn ended(kind: Option<CallKind>, end: CallEnd) -> Option<EndedCall> {
    kind.map(|kind| EndedCall(kind, end))
}

/// What a commit has come to, for those who read the node's events.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) enum Turned {
    /// The first one that has failed.
    Bad(StorageError),
    /// One that has succeeded after that, and left nothing over.
    Good,
}

impl Saving {
    pub(in crate::engine) fn new() -> Self {
        Self {
            state: State::Off,
            dirty_since: None,
            urgency: Urgency::Behind,
            begun: CommitNumber::default(),
            written: CommitNumber::default(),
            arriving: Vec::new(),
            waiting: BTreeMap::new(),
            arrived: 0,
            obsolete: Vec::new(),
            removing: Vec::new(),
            rows: 0,
            has_more: false,
            is_troubled: false,
            has_tried_last: false,
            report: StorageReport::default(),
        }
    }

    /// There is a storage, which takes so many bytes.
    pub(in crate::engine) fn turn_on(&mut self, bytes: u64) {
        self.state = State::Idle(Health::Good);
        self.report.bytes = bytes;
    }

    /// All is read that an earlier life has left.
    pub(in crate::engine) fn restored(&mut self) {
        self.report.is_restored = true;
    }

    /// What is known of the storage, if there is one.
    pub(in crate::engine) fn report(&self, rows: Unsaved) -> Option<StorageReport> {
        let health = match self.state {
            State::Off => return None,
            State::Idle(health) | State::Writing(health) => health,
        };
        let writing = if let State::Writing(_) = self.state { self.rows } else { 0 };
        let unsaved = rows.all() + self.obsolete.len() + writing;
        Some(StorageReport {
            unsaved: u64::try_from(unsaved).unwrap_or(u64::MAX),
            is_failing: health != Health::Good,
            ..self.report
        })
    }

    pub(in crate::engine) fn is_on(&self) -> bool {
        self.state != State::Off
    }

    /// These rows were read, and are to go.
    pub(in crate::engine) fn remove(&mut self, rows: impl IntoIterator<Item = Change>) {
        self.obsolete.extend(rows);
    }

    /// The commit that holds what is changed now.
    pub(in crate::engine) fn next_commit(&self) -> CommitNumber {
        CommitNumber(self.begun.0 + 1)
    }

    /// Answers a caller, once what it is told is durable. An error is told at once.
    pub(in crate::engine) fn answer<T: Answer + Send + 'static>(
        &mut self,
        durable: Durable<T>,
    ) -> Option<EndedCall> {
        let is_durable = self.state == State::Off || durable.commit <= self.written;
        if is_durable || durable.answer.is_err() {
            return durable.send();
        }
        let (latest, commit) = (durable.latest, durable.commit);
        let answer = Box::new(move |saved: Result<()>| {
            let answer = saved.and(durable.answer);
            Durable { answer, ..durable }.send()
        });
        self.arriving.push(Owed { latest, commit, answer });
        None
    }

    /// Whether a commit is to begin now. One that nobody waits for may wait for others.
    pub(in crate::engine) fn is_due(
        &mut self,
        mono: Duration,
        rows: Unsaved,
        closed: bool,
    ) -> bool {
        if rows.all() + self.obsolete.len() == 0 {
            self.dirty_since = None;
            return false;
        }
        self.dirty_since.get_or_insert(mono);
        self.urgency = if closed && !self.has_tried_last {
            Urgency::Last
        } else if closed || self.callers() > 0 {
            Urgency::Awaited
        } else if rows.own > 0 || self.has_more {
            Urgency::Soon
        } else {
            Urgency::Behind
        };
        self.due().is_some_and(|due| due <= mono)
    }

    /// When the next commit begins, if rows wait and none runs.
    fn due(&self) -> Option<Duration> {
        let dirty_since = self.dirty_since?;
        match (self.state, self.urgency) {
            (State::Off | State::Writing(_), _) => None,
            (State::Idle(Health::Good), Urgency::Behind) => {
                Some(dirty_since.saturating_add(WRITE_BEHIND))
            }
            (State::Idle(Health::Good), _) | (State::Idle(_), Urgency::Last) => Some(dirty_since),
            (State::Idle(Health::Failing { since, pause }), Urgency::Behind | Urgency::Soon) => {
                Some(since.saturating_add(pause))
            }
            (State::Idle(Health::Failing { since, .. }), Urgency::Awaited) => {
                Some(since.saturating_add(PAUSES[0]))
            }
        }
    }

    /// A commit of so many rows is complete, and begins. These are left for the next one.
    pub(in crate::engine) fn begun(&mut self, rows: usize, left: Unsaved) {
        self.rows = rows;
        self.has_more = left.all() > 0;
    }

    /// A commit is put together. Tells which rows are to go besides what has changed.
    pub(in crate::engine) fn begin(&mut self) -> Vec<Change> {
        if let State::Idle(health) = self.state {
            self.state = State::Writing(health);
        }
        self.dirty_since = None;
        self.has_tried_last |= self.urgency == Urgency::Last;
        self.begun = self.next_commit();
        self.removing = std::mem::take(&mut self.obsolete);
        self.removing.clone()
    }

    /// The commit has ended: answers those of whose changes it was the first chance, or one more.
    pub(in crate::engine) fn end(
        &mut self,
        mono: Duration,
        outcome: &std::result::Result<u64, StorageError>,
    ) -> (Vec<EndedCall>, Option<Turned>) {
        let State::Writing(before) = self.state else { return (Vec::new(), None) };
        let removed = std::mem::take(&mut self.removing);
        let (health, turned) = match outcome {
            Ok(bytes) => {
                self.written = self.begun;
                self.report.bytes = *bytes;
                self.report.commits += 1;
                self.report.rows += self.rows as u64;
                // What could not be written before may take several commits.
                let is_over = self.is_troubled && !self.has_more;
                self.is_troubled &= !is_over;
                (Health::Good, is_over.then_some(Turned::Good))
            }
            Err(error) => {
                self.obsolete.extend(removed);
                self.report.failures += 1;
                let pause = match before {
                    Health::Good => PAUSES[0],
                    Health::Failing { pause, .. } => (2 * pause).min(PAUSES[1]),
                };
                let is_new = !std::mem::replace(&mut self.is_troubled, true);
                let turned = is_new.then(|| Turned::Bad(error.clone()));
                (Health::Failing { since: mono, pause }, turned)
            }
        };
        self.state = State::Idle(health);
        let saved = outcome.as_ref().map(drop).map_err(Error::storage);
        (send(self.take(|owed, begun| owed.commit <= begun), &saved), turned)
    }

    /// Takes the answers out of which this is true, of them and of the commit that has begun last.
    fn take(&mut self, is_to_go: impl Fn(&Owed, CommitNumber) -> bool) -> Vec<Owed> {
        let begun = self.begun;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (taken, left) = waiting.partition(|(_, owed)| is_to_go(owed, begun));
        self.waiting = left;
        let arrived = self.arriving.extract_if(.., |owed| is_to_go(owed, begun));
        BTreeMap::into_values(taken).chain(arrived).collect()
    }

    /// Answers those whose time is up, and all where nothing is left that could be written for them.
    pub(in crate::engine) fn release(&mut self, mono: Duration, rows: Unsaved) -> Vec<EndedCall> {
        if matches!(self.state, State::Idle(_)) && rows.own + rows.announcements == 0 {
            return send(self.take(|_, _| true), &Ok(()));
        }
        for owed in self.arriving.drain(..) {
            let until = owed.latest.max(mono.saturating_add(GRACE));
            self.waiting.insert((until, self.arrived), owed);
            self.arrived += 1;
        }
        let left = self.waiting.split_off(&(mono, u64::MAX));
        let late = std::mem::replace(&mut self.waiting, left);
        send(late.into_values(), &Err(Error::unsaved()))
    }

    /// How many callers wait.
    pub(in crate::engine) fn callers(&self) -> usize {
        self.arriving.len() + self.waiting.len()
    }

    /// When the next commit begins, or a caller's time is up.
    pub(in crate::engine) fn next_deadline(&self) -> Option<Duration> {
        let arriving = self.arriving.iter().map(|owed| owed.latest).min();
        let waiting = self.waiting.keys().next().map(|(until, _)| *until);
        arriving.into_iter().chain(waiting).chain(self.due()).min()
    }

    /// The node ends. Those who still wait hear that it was not written in their time.
    pub(in crate::engine) fn give_up(&mut self) -> Vec<EndedCall> {
        send(self.take(|_, _| true), &Err(Error::unsaved()))
    }

    /// Whether a commit runs, or has to before a node that stops has ended. A disk that fails is tried once.
    pub(in crate::engine) fn is_busy(&self, rows: Unsaved) -> bool {
        let has_rows = rows.all() + self.obsolete.len() > 0;
        match self.state {
            State::Off => false,
            State::Idle(Health::Failing { .. }) => has_rows && !self.has_tried_last,
            State::Idle(Health::Good) => has_rows,
            State::Writing(_) => true,
        }
    }
}

fn send(owed: impl IntoIterator<Item = Owed>, saved: &Result<()>) -> Vec<EndedCall> {
    owed.into_iter().filter_map(|owed| (owed.answer)(saved.clone())).collect()
}
