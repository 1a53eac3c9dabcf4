//! When what has changed is written to the node's storage, and which callers wait for that.
//!
//! ```text
//! change ─▶ dirty rows ─┬─ a caller waits: at once ──┬─▶ commit ─┬─ written ─▶ callers are answered
//!                       └─ nobody does: in a second ─┘     ▲     └─ failed ──▶ callers hear of it
//!                                                          └─ again, after a pause ◀┘
//! ```
//!
//! One commit runs at a time. What changes meanwhile goes into the next one, so that many callers share the time that a
//! disk takes to make data durable.
//!
//! A caller is answered only after the commit of what its call has changed, whether or not the network has heard of it
//! before. Should the process end in between, then the network knows more than the file, which is read from it after the
//! restart as if another device had published it.

use std::{fmt, time::Duration};

use crate::{
    command::Reply,
    counters::{Answer, CallEnd, CallKind, EndedCall},
    error::{Error, Result},
    storage::{Change, StorageError, StorageReport},
};

/// Changes for which nobody waits are written after this time.
const WRITE_BEHIND: Duration = Duration::from_secs(1);

/// After a commit has failed, the next one is tried after so long, and after twice as long each time, up to the longest.
/// A caller who waits has it tried at once, but no sooner than after the first of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(60)];

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
    /// Of what callers have changed: own records, pins, announcements.
    pub(in crate::engine) own: usize,
    /// Of all else.
    pub(in crate::engine) others: usize,
}

/// The room of answers that wait until they are true on disk.
#[derive(Debug)]
pub(in crate::engine) struct Saving {
    state: State,
    /// Since when rows wait for which no caller does.
    dirty_since: Option<Duration>,
    /// Answers that go with the next commit.
    waiting: Vec<Owed>,
    /// Answers that go with the commit that runs.
    leaving: Vec<Owed>,
    /// Rows that were read and mean nothing any more.
    obsolete: Vec<Change>,
    /// The same, which are being removed.
    removing: Vec<Change>,
    /// How many rows the commit that runs has.
    rows: usize,
    report: StorageReport,
}

/// An answer that is owed to a caller.
struct Owed {
    /// When the caller is told in any case.
    latest: Duration,
    answer: Box<dyn FnOnce(Result<()>) -> Option<EndedCall> + Send>,
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed").field("latest", &self.latest).finish_non_exhaustive()
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
    /// The first one that has succeeded after that.
    Good,
}

impl Saving {
    pub(in crate::engine) fn new() -> Self {
        Self {
            state: State::Off,
            dirty_since: None,
            waiting: Vec::new(),
            leaving: Vec::new(),
            obsolete: Vec::new(),
            removing: Vec::new(),
            rows: 0,
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
        let unsaved = rows.own + rows.others + self.obsolete.len();
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

    /// Answers a caller, once what it is told is durable. An error is told at once.
    pub(in crate::engine) fn answer<T: Answer + Send + 'static>(
        &mut self,
        durable: Durable<T>,
    ) -> Option<EndedCall> {
        if self.state == State::Off || durable.answer.is_err() {
            return durable.send();
        }
        let latest = durable.latest;
        let answer = Box::new(move |saved: Result<()>| {
            let Durable { reply, answer, kind, latest } = durable;
            Durable { reply, answer: saved.and(answer), kind, latest }.send()
        });
        self.waiting.push(Owed { latest, answer });
        None
    }

    /// Whether a commit is to begin now. One that nobody waits for may wait for others.
    pub(in crate::engine) fn is_due(
        &mut self,
        mono: Duration,
        rows: Unsaved,
        closed: bool,
    ) -> bool {
        if rows.own + rows.others + self.obsolete.len() == 0 {
            self.dirty_since = None;
            return false;
        }
        self.dirty_since.get_or_insert(mono);
        let is_urgent = closed || !self.waiting.is_empty();
        self.due(is_urgent).is_some_and(|due| due <= mono)
    }

    /// When the next commit begins, if rows wait and none runs.
    fn due(&self, is_urgent: bool) -> Option<Duration> {
        let dirty_since = self.dirty_since?;
        match self.state {
            State::Off | State::Writing(_) => None,
            State::Idle(Health::Good) if is_urgent => Some(dirty_since),
            State::Idle(Health::Good) => Some(dirty_since.saturating_add(WRITE_BEHIND)),
            State::Idle(Health::Failing { since, pause }) => {
                let pause = if is_urgent { PAUSES[0] } else { pause };
                Some(since.saturating_add(pause))
            }
        }
    }

    /// A commit of so many rows is complete, and begins.
    pub(in crate::engine) fn begun(&mut self, rows: usize) {
        self.rows = rows;
    }

    /// A commit is put together. Tells which rows are to go besides what has changed.
    pub(in crate::engine) fn begin(&mut self) -> Vec<Change> {
        if let State::Idle(health) = self.state {
            self.state = State::Writing(health);
        }
        self.dirty_since = None;
        self.leaving.append(&mut self.waiting);
        self.removing = std::mem::take(&mut self.obsolete);
        self.removing.clone()
    }

    /// The commit has ended: answers those whose call was part of it.
    pub(in crate::engine) fn end(
        &mut self,
        mono: Duration,
        outcome: &std::result::Result<u64, StorageError>,
    ) -> (Vec<EndedCall>, Option<Turned>) {
        let State::Writing(before) = self.state else { return (Vec::new(), None) };
        let removed = std::mem::take(&mut self.removing);
        let (health, turned) = match (outcome, before) {
            (Ok(_), Health::Good) => (Health::Good, None),
            (Ok(_), Health::Failing { .. }) => (Health::Good, Some(Turned::Good)),
            (Err(error), before) => {
                self.obsolete.extend(removed);
                let (pause, turned) = match before {
                    Health::Good => (PAUSES[0], Some(Turned::Bad(error.clone()))),
                    Health::Failing { pause, .. } => ((2 * pause).min(PAUSES[1]), None),
                };
                (Health::Failing { since: mono, pause }, turned)
            }
        };
        self.state = State::Idle(health);
        match outcome {
            Ok(bytes) => {
                self.report.bytes = *bytes;
                self.report.commits += 1;
                self.report.rows += self.rows as u64;
            }
            Err(_) => self.report.failures += 1,
        }
        let saved = outcome.clone().map(drop).map_err(|error| Error::storage(&error));
        (send(self.leaving.drain(..), &saved), turned)
    }

    /// Answers those whose change has been written before, and those whose time is up.
    pub(in crate::engine) fn release(&mut self, mono: Duration, rows: Unsaved) -> Vec<EndedCall> {
        if matches!(self.state, State::Idle(_)) && rows.own == 0 {
            return send(self.waiting.drain(..), &Ok(()));
        }
        let late = |owed: &mut Owed| owed.latest <= mono;
        let late = self.waiting.extract_if(.., late).chain(self.leaving.extract_if(.., late));
        send(late, &Err(Error::unsaved()))
    }

    /// How many callers wait.
    pub(in crate::engine) fn callers(&self) -> usize {
        self.waiting.len() + self.leaving.len()
    }

    /// When the next commit begins, or a caller's time is up.
    pub(in crate::engine) fn next_deadline(&self) -> Option<Duration> {
        let callers = self.waiting.iter().chain(&self.leaving).map(|owed| owed.latest).min();
        callers.into_iter().chain(self.due(!self.waiting.is_empty())).min()
    }

    /// Whether a commit runs, or has to.
    pub(in crate::engine) fn is_busy(&self, rows: Unsaved) -> bool {
        match self.state {
            State::Off | State::Idle(Health::Failing { .. }) => false,
            State::Idle(Health::Good) => rows.own + rows.others + self.obsolete.len() > 0,
            State::Writing(_) => true,
        }
    }
}

fn send(owed: impl Iterator<Item = Owed>, saved: &Result<()>) -> Vec<EndedCall> {
    owed.filter_map(|owed| (owed.answer)(saved.clone())).collect()
}
