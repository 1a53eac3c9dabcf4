//! The table of DHT queries: which run, which wait for a place, and which calls wait for them.
//!
//! A running query takes a few kilobytes and places on the wire, so only a bounded window of them runs at any time: one
//! that waits takes a hundred bytes. Lookups of one key share one query.

use crate::engine::interface::QueryKey;
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU64,
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    counters::{QueryCounters, TaskCounters},
    engine::interface::Breadth,
    freshness::Freshness,
    record::{Record, RecordKey},
    ticket::Ticket,
};

use table::Lookups;

mod replies;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use replies::{Extent, Replies};
#[cfg(test)]
pub(crate) use table::BYTES_IN_LINE;
pub(crate) use table::{Waiter, Wants};

/// What the DHT is asked to do.
#[derive(Debug)]
pub(crate) enum Task {
    Get(RecordKey),
    /// Put a record to the peers closest to its key.
    Put(Box<Record>),
    /// Put a record to these peers, which lack it.
    Repair(Box<Repair>),
    Bootstrap,
}

/// A record, and the replicas that lack it.
#[derive(Debug)]
pub(crate) struct Repair {
    pub(crate) record: Arc<Record>,
    pub(crate) peers: Vec<PeerId>,
}

/// The kinds of task, each with a line of its own: a burst of one never stands in the way of another.
const KINDS: usize = 4;
const GET: usize = 0;
const PUT: usize = 1;
const BOOTSTRAP: usize = 2;
const REPAIR: usize = 3;

/// Repairs in line. Every node that reads repairs, and what nobody repairs now the next reader does.
pub(in crate::engine) const MAX_REPAIRS: usize = 256;

/// A record on its way out, in line, and who waits for it.
#[derive(Debug)]
struct Put {
    record: Box<Record>,
    caller: Option<Ticket>,
}

/// A query that runs. It takes a place in the window until the DHT reports its end.
#[derive(Debug)]
enum Running {
    /// Whether anybody still waits for it is the lookup table's to know.
    Lookup {
        key: RecordKey,
        replies: Replies,
        /// When it was handed to the DHT, on the monotonic scale.
        begun: Duration,
    },
    Put {
        key: RecordKey,
        caller: Option<Ticket>,
    },
    Bootstrap {
        callers: Vec<Ticket>,
    },
    Repair,
}

impl Running {
    fn kind(&self) -> usize {
        match self {
            Self::Lookup { .. } => GET,
            Self::Put { .. } => PUT,
            Self::Bootstrap { .. } => BOOTSTRAP,
            Self::Repair => REPAIR,
        }
    }

    fn bootstrap_callers(&mut self) -> Option<&mut Vec<Ticket>> {
        match self {
            Self::Bootstrap { callers } => Some(callers),
            Self::Lookup { .. } | Self::Put { .. } | Self::Repair => None,
        }
    }
}

/// A query that has ended, and who waits for what it came to.
#[derive(Debug)]
pub(crate) enum Ended {
    Lookup {
        key: RecordKey,
        /// Nobody where it was answered, or left by everybody, before its end.
        waiting: Vec<Waiter>,
        replies: Replies,
    },
    Put {
        key: RecordKey,
        caller: Option<Ticket>,
    },
    Bootstrap {
        callers: Vec<Ticket>,
    },
    Repair,
}

/// All queries that have not ended.
#[derive(Debug)]
pub(crate) struct Queries {
    next: NonZeroU64,
    lookups: Lookups,
    puts: VecDeque<Put>,
    repairs: VecDeque<Box<Repair>>,
    /// Who waits for the bootstrap that is in line, if one is.
    bootstrap: Option<Vec<Ticket>>,
    running: HashMap<QueryKey, Running>,
    /// Whose turn it is to take the next free place.
    turn: usize,
    /// How many of each kind run.
    inside: [usize; KINDS],
    /// How many of each kind have been there, or are.
    started: [u64; KINDS],
    window: usize,
}

impl Queries {
    pub(crate) fn new(window: usize) -> Self {
        Self {
            next: NonZeroU64::MIN,
            lookups: Lookups::new(),
            puts: VecDeque::new(),
            repairs: VecDeque::new(),
            bootstrap: None,
            running: HashMap::new(),
            turn: 0,
            inside: [0; KINDS],
            started: [0; KINDS],
            window,
        }
    }

    /// Joins the lookup of this key if there is one, else puts one in line.
    pub(crate) fn get(&mut self, key: RecordKey, caller: Waiter) {
        self.lookups.join(key, caller);
    }

    /// Puts a record in line to be stored. It is carried out even if its caller goes away.
    pub(crate) fn put(&mut self, record: Record, caller: Option<Ticket>) {
        self.puts.push_back(Put { record: Box::new(record), caller });
    }

    /// Puts a record in line for those of its replicas that lack it. False where the line is too long.
    pub(crate) fn repair(&mut self, record: Arc<Record>, peers: Vec<PeerId>) -> bool {
        let room = self.repairs.len() < MAX_REPAIRS;
        if room {
            self.repairs.push_back(Box::new(Repair { record, peers }));
        }
        room
    }

    /// Joins the bootstrap that is in line or running, else puts one in line.
    pub(crate) fn bootstrap(&mut self, caller: Ticket) {
        let running = self.running.values_mut().find_map(Running::bootstrap_callers);
        running.unwrap_or_else(|| self.bootstrap.get_or_insert_default()).push(caller);
    }

    /// The next query to start, at this time, while the window has a free place. The kinds take turns.
    /// A bootstrap waits unless `joins`.
    pub(crate) fn admit(&mut self, begun: Duration, joins: bool) -> Option<(QueryKey, Task)> {
        if self.inside.iter().sum::<usize>() >= self.window {
            return None;
        }
        let kind = (0..KINDS)
            .map(|step| (self.turn + step) % KINDS)
            .filter(|&kind| joins || kind != BOOTSTRAP)
            .find(|&kind| self.has_line(kind) && self.has_place(kind))?;
        self.turn = (kind + 1) % KINDS;
        let id = QueryKey(self.next);
        self.next = self.next.saturating_add(1);
        let (running, task) = match kind {
            GET => {
                let key = self.lookups.start(id)?;
                (Running::Lookup { key, replies: Replies::default(), begun }, Task::Get(key))
            }
            PUT => {
                let Put { record, caller } = self.puts.pop_front()?;
                (Running::Put { key: record.key(), caller }, Task::Put(record))
            }
            REPAIR => (Running::Repair, Task::Repair(self.repairs.pop_front()?)),
            _ => {
                let callers = self.bootstrap.take()?;
                (Running::Bootstrap { callers }, Task::Bootstrap)
            }
        };
        if let (Some(inside), Some(started)) =
            (self.inside.get_mut(kind), self.started.get_mut(kind))
        {
            *inside += 1;
            *started += 1;
        }
        self.running.insert(id, running);
        Some((id, task))
    }

    /// How many have been started and have ended, and how many run and wait now. It takes a look at each that runs.
    pub(crate) fn counters(&self) -> QueryCounters {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut tasks = [TaskCounters::default(); KINDS];
        for ((task, started), inside) in tasks.iter_mut().zip(self.started).zip(self.inside) {
            *task = TaskCounters { started, finished: started.saturating_sub(count(inside)) };
        }
        let [lookups, puts, bootstraps, repairs] = tasks;
        let asked = self.running.keys().filter(|&&query| self.wanted(query).is_some()).count();
        let in_line = self.lookups.len().saturating_sub(asked)
            + self.puts.len()
            + self.repairs.len()
            + usize::from(self.bootstrap.is_some());
        let (running, waiting) = (count(self.running.len()), count(in_line));
        QueryCounters { lookups, puts, repairs, bootstraps, running, waiting }
    }

    /// How many puts have not ended, without repairs.
    pub(crate) fn puts(&self) -> usize {
        let [_, inside, ..] = self.inside;
        self.puts.len() + inside
    }

    fn has_line(&self, kind: usize) -> bool {
        match kind {
            GET => self.lookups.has_line(),
            PUT => !self.puts.is_empty(),
            REPAIR => !self.repairs.is_empty(),
            _ => self.bootstrap.is_some(),
        }
    }

    /// Whether one more of a kind may run. Puts take no more than half of the window, and repairs an eighth: nobody
    /// waits for most of them, and to a peer that has gone silent each takes as long as it may.
    fn has_place(&self, kind: usize) -> bool {
        let share = match kind {
            PUT => (self.window / 2).max(1),
            REPAIR => (self.window / 8).max(1),
            _ => self.window,
        };
        self.inside.get(kind).is_some_and(|&inside| inside < share)
    }

    /// The key that a lookup asks for and what it has heard, until the DHT has reported its end. Copies that come
    /// after it was answered tell which replicas lack what.
    pub(crate) fn lookup(&mut self, query: QueryKey) -> Option<(RecordKey, &mut Replies)> {
        match self.running.get_mut(&query)? {
            Running::Lookup { key, replies, .. } => Some((*key, replies)),
            Running::Put { .. } | Running::Bootstrap { .. } | Running::Repair => None,
        }
    }

    /// The key that a lookup asks for, if anybody still waits for what it finds. Another query may be asking for the
    /// key by now.
    pub(crate) fn wanted(&self, query: QueryKey) -> Option<RecordKey> {
        match self.running.get(&query)? {
            Running::Lookup { key, .. } => (self.lookups.query(key) == Some(query)).then_some(*key),
            Running::Put { .. } | Running::Bootstrap { .. } | Running::Repair => None,
        }
    }

    /// For how long a lookup has been under way.
    pub(crate) fn elapsed(&self, query: QueryKey, mono: Duration) -> Option<Duration> {
        match self.running.get(&query)? {
            Running::Lookup { begun, .. } => Some(mono.saturating_sub(*begun)),
            Running::Put { .. } | Running::Bootstrap { .. } | Running::Repair => None,
        }
    }

    /// The key under which a query puts a record, and who waits for that.
    pub(crate) fn put_for(&self, query: QueryKey) -> Option<(RecordKey, Ticket)> {
        match self.running.get(&query)? {
            Running::Put { key, caller } => Some((*key, (*caller)?)),
            Running::Lookup { .. } | Running::Bootstrap { .. } | Running::Repair => None,
        }
    }

    /// A peer has left. Nobody tells which lookups wanted it: those of keys to which it `is_close`.
    pub(crate) fn left(&mut self, peer: PeerId, is_close: impl Fn(&RecordKey) -> bool) {
        for running in self.running.values_mut() {
            if let Running::Lookup { key, replies, .. } = running
                && is_close(key)
            {
                replies.left(peer);
            }
        }
    }

    /// Who waits for what is found under a key.
    pub(crate) fn waiting(&self, key: &RecordKey) -> impl Iterator<Item = Ticket> {
        self.lookups.waiting(key)
    }

    /// Who wants to know which peers serve what this node has put under a key.
    pub(crate) fn read_backs(&self, key: &RecordKey) -> Vec<Ticket> {
        self.lookups.read_backs(key)
    }

    /// How many peers those who wait for this key are likely to need.
    pub(crate) fn breadth(&self, key: &RecordKey) -> Breadth {
        self.lookups.breadth(key)
    }

    /// What has been heard so far of a key that is being looked up.
    pub(crate) fn heard(&self, key: &RecordKey) -> Option<&Replies> {
        match self.running.get(&self.lookups.query(key)?)? {
            Running::Lookup { replies, .. } => Some(replies),
            Running::Put { .. } | Running::Bootstrap { .. } | Running::Repair => None,
        }
    }

    /// One caller no longer waits for a lookup. If nobody does any more, its query is to be finished: this one,
    /// if it runs.
    pub(crate) fn leave(&mut self, key: &RecordKey, caller: Ticket) -> Option<QueryKey> {
        self.lookups.leave(key, caller)
    }

    /// One caller no longer waits for the bootstrap, which is carried out all the same.
    pub(crate) fn leave_bootstrap(&mut self, caller: Ticket) {
        let running = self.running.values_mut().filter_map(Running::bootstrap_callers);
        for callers in running.chain(&mut self.bootstrap) {
            callers.retain(|&waiting| waiting != caller);
        }
    }

    /// Takes the callers of a lookup that what was heard so far is enough for. If nobody is left, its query is to
    /// be finished.
    pub(crate) fn answer(
        &mut self,
        query: QueryKey,
        enough: impl Fn(Freshness) -> bool,
    ) -> (Vec<Ticket>, Option<QueryKey>) {
        let Some(key) = self.wanted(query) else { return (Vec::new(), None) };
        let answered = self.lookups.answer(&key, enough);
        let finish = self.lookups.query(&key).is_none();
        (answered, finish.then_some(query))
    }

    /// The DHT reports the end of a query: its place is free.
    pub(crate) fn ended(&mut self, query: QueryKey) -> Option<Ended> {
        let wanted = self.wanted(query);
        let running = self.running.remove(&query)?;
        if let Some(inside) = self.inside.get_mut(running.kind()) {
            *inside = inside.saturating_sub(1);
        }
        Some(match running {
            Running::Lookup { key, replies, .. } => {
                let lookup = wanted.and_then(|key| self.lookups.remove(&key));
                let waiting = lookup.map(table::Lookup::into_waiting).unwrap_or_default();
                Ended::Lookup { key, waiting, replies }
            }
            Running::Put { key, caller } => Ended::Put { key, caller },
            Running::Bootstrap { callers } => Ended::Bootstrap { callers },
            Running::Repair => Ended::Repair,
        })
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_empty(&self) -> bool {
        self.lookups.len() == 0
            && self.puts.is_empty()
            && self.repairs.is_empty()
            && self.bootstrap.is_none()
            && self.running.is_empty()
            && self.inside == [0; KINDS]
    }
}
