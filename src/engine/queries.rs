//! The table of DHT queries: which run, which wait for a place, and which calls wait for them.
//!
//! libp2p's Kademlia walks over every running query on each poll and keeps more than ten kilobytes for each,
//! so only a bounded window of them is inside it at any time. Lookups of one key share one query.

use std::collections::{HashMap, VecDeque};

use crate::{
    command::Ticket,
    record::{Record, RecordKey},
};

/// Names one query for as long as it lives. Never reused within a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueryKey(u64);

/// What the DHT is asked to do.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    Get(RecordKey),
    Put(Box<Record>),
    Bootstrap,
}

/// The kinds of task, each with a line of its own: a burst of one never stands in the way of another.
const KINDS: usize = 3;
const GET: usize = 0;
const PUT: usize = 1;
const BOOTSTRAP: usize = 2;

impl Task {
    fn kind(&self) -> usize {
        match self {
            Self::Get(_) => GET,
            Self::Put(_) => PUT,
            Self::Bootstrap => BOOTSTRAP,
        }
    }
}

/// How a query ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// A valid record: the first, or for claims the union of all.
    Found(Box<Record>),
    /// Peers answered, and none held a valid record.
    NotFound,
    /// No peer answered at all.
    NoPeers,
    /// libp2p ended the lookup for want of time.
    TimedOut,
    /// So many peers acknowledged that they stored the record.
    Stored(u32),
    /// The routing table has been filled.
    Bootstrapped,
}

impl Outcome {
    /// How many peers stored the record, if it was a put.
    pub(crate) fn replicas(&self) -> u32 {
        match self {
            Self::Stored(replicas) => *replicas,
            Self::Found(_)
            | Self::NotFound
            | Self::NoPeers
            | Self::TimedOut
            | Self::Bootstrapped => 0,
        }
    }
}

#[derive(Debug)]
enum State {
    /// In line for a place in the window.
    Queued,
    /// Inside libp2p.
    Running,
    /// Nobody waits for it any longer, but libp2p has yet to report its end. It still takes a place in
    /// the window.
    Ending,
}

#[derive(Debug)]
struct Query {
    task: Task,
    state: State,
    waiting: Vec<Ticket>,
    best: Option<Box<Record>>,
}

/// All queries that have not ended.
#[derive(Debug)]
pub(crate) struct Queries {
    next: u64,
    queries: HashMap<QueryKey, Query>,
    lookups: HashMap<RecordKey, QueryKey>,
    lines: [VecDeque<QueryKey>; KINDS],
    /// Whose turn it is to take the next free place.
    turn: usize,
    /// How many of each kind are inside libp2p.
    inside: [usize; KINDS],
    window: usize,
}

impl Queries {
    pub(crate) fn new(window: usize) -> Self {
        Self {
            next: 0,
            queries: HashMap::new(),
            lookups: HashMap::new(),
            lines: Default::default(),
            turn: 0,
            inside: [0; KINDS],
            window,
        }
    }

    /// Joins the lookup of this key if there is one, else puts one in line.
    pub(crate) fn get(&mut self, key: RecordKey, caller: Ticket) -> QueryKey {
        if let Some((&id, query)) =
            self.lookups.get(&key).and_then(|id| Some((id, self.queries.get_mut(id)?)))
        {
            query.waiting.push(caller);
            return id;
        }
        let id = self.enqueue(Task::Get(key), Some(caller));
        self.lookups.insert(key, id);
        id
    }

    /// Puts a record in line to be stored. It is carried out even if its caller goes away.
    pub(crate) fn put(&mut self, record: Record, caller: Option<Ticket>) -> QueryKey {
        self.enqueue(Task::Put(Box::new(record)), caller)
    }

    /// Joins the bootstrap that is in line or running, else puts one in line.
    pub(crate) fn bootstrap(&mut self, caller: Ticket) -> QueryKey {
        let running = self.queries.iter_mut().find(|(_, query)| {
            matches!(query.task, Task::Bootstrap) && !matches!(query.state, State::Ending)
        });
        if let Some((&id, query)) = running {
            query.waiting.push(caller);
            return id;
        }
        self.enqueue(Task::Bootstrap, Some(caller))
    }

    fn enqueue(&mut self, task: Task, caller: Option<Ticket>) -> QueryKey {
        let id = QueryKey(self.next);
        self.next += 1;
        if let Some(line) = self.lines.get_mut(task.kind()) {
            line.push_back(id);
        }
        let waiting = caller.into_iter().collect();
        self.queries.insert(id, Query { task, state: State::Queued, waiting, best: None });
        id
    }

    /// The next query to start, while the window has a free place. The kinds take turns.
    pub(crate) fn admit(&mut self) -> Option<(QueryKey, Task)> {
        while self.inside.iter().sum::<usize>() < self.window {
            let line = (0..KINDS).map(|step| (self.turn + step) % KINDS).find(|&kind| {
                self.has_place(kind) && self.lines.get(kind).is_some_and(|line| !line.is_empty())
            })?;
            self.turn = (line + 1) % KINDS;
            let id = self.lines.get_mut(line)?.pop_front()?;
            // A query that everybody left while it stood in line is no longer in the table.
            if let Some(query) = self.queries.get_mut(&id) {
                query.state = State::Running;
                if let Some(inside) = self.inside.get_mut(line) {
                    *inside += 1;
                }
                return Some((id, query.task.clone()));
            }
        }
        None
    }

    /// How many queries have not ended.
    pub(crate) fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether one more of a kind may run. Puts take no more than half of the window: nobody waits for most of
    /// them, and to a peer that has gone silent each takes as long as it may.
    fn has_place(&self, kind: usize) -> bool {
        let share = if kind == PUT { (self.window / 2).max(1) } else { self.window };
        self.inside.get(kind).is_some_and(|&inside| inside < share)
    }

    /// The key that a running lookup asked for.
    pub(crate) fn looked_up(&self, id: QueryKey) -> Option<RecordKey> {
        match self.queries.get(&id)? {
            Query { task: Task::Get(key), state: State::Running, .. } => Some(*key),
            _ => None,
        }
    }

    /// The best record that a lookup has found so far.
    pub(crate) fn best(&self, id: QueryKey) -> Option<&Record> {
        self.queries.get(&id)?.best.as_deref()
    }

    /// Remembers the best record of a lookup that goes on.
    pub(crate) fn set_best(&mut self, id: QueryKey, record: Record) {
        if let Some(query) = self.queries.get_mut(&id) {
            query.best = Some(Box::new(record));
        }
    }

    /// One caller no longer waits. True if that leaves a running lookup to nobody, so that it is to be
    /// finished.
    pub(crate) fn leave(&mut self, id: QueryKey, caller: Ticket) -> bool {
        let Some(query) = self.queries.get_mut(&id) else { return false };
        query.waiting.retain(|&waiting| waiting != caller);
        if !query.waiting.is_empty() || !matches!(query.task, Task::Get(_)) {
            return false;
        }
        self.abandon(id)
    }

    /// Answers a query before libp2p has reported its end: takes its callers away. The second value tells
    /// whether libp2p is to be told to finish it.
    pub(crate) fn settle(&mut self, id: QueryKey) -> (Vec<Ticket>, bool) {
        let Some(query) = self.queries.get_mut(&id) else { return (Vec::new(), false) };
        let waiting = std::mem::take(&mut query.waiting);
        (waiting, self.abandon(id))
    }

    fn abandon(&mut self, id: QueryKey) -> bool {
        let Some(query) = self.queries.get_mut(&id) else { return false };
        if let Task::Get(key) = &query.task
            && self.lookups.get(key) == Some(&id)
        {
            self.lookups.remove(key);
        }
        match query.state {
            State::Queued => {
                let kind = query.task.kind();
                self.queries.remove(&id);
                self.compact(kind);
                false
            }
            State::Running => {
                query.state = State::Ending;
                query.best = None;
                true
            }
            State::Ending => false,
        }
    }

    /// Places in line whose query is gone are skipped when their turn comes. Where they outnumber the
    /// others they are cleared out, so that a line is never longer than about twice what waits in it.
    fn compact(&mut self, kind: usize) {
        let queries = &self.queries;
        if let Some(line) = self.lines.get_mut(kind)
            && line.len() > 2 * queries.len() + 64
        {
            line.retain(|id| queries.contains_key(id));
        }
    }

    /// libp2p reports the end of a query: its place is free. Who waited for it, and the best it found.
    pub(crate) fn ended(&mut self, id: QueryKey) -> Option<(Vec<Ticket>, Option<Box<Record>>)> {
        let query = self.queries.remove(&id)?;
        if let Some(inside) = self.inside.get_mut(query.task.kind()) {
            *inside = inside.saturating_sub(1);
        }
        if let Task::Get(key) = &query.task
            && self.lookups.get(key) == Some(&id)
        {
            self.lookups.remove(key);
        }
        Some((query.waiting, query.best))
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.lookups.is_empty() && self.inside == [0; KINDS]
    }
}
