//! Kademlia: who is where, who holds what, and how a record gets to those who are to hold it.
//!
//! A machine without sockets, clock or entropy of its own: what happens comes in by methods that take the time, and what
//! is to be done leaves as an [`Effect`]. It knows peers and keys, and nothing of packages.
//!
//! It follows [Kademlia], with buckets of 20 as libp2p has them. Peers that do not answer are the normal case: no lookup
//! and no put waits for one peer while others can still answer.
//!
//! | file | what it knows |
//! |--|--|
//! | `message.rs` | what peers ask each other, as values |
//! | `table.rs` | the routing table: who is known, where, and how they have answered |
//! | `round_trip.rs` | how long a peer takes to answer, and when it is overdue |
//! | `lookup.rs` | one lookup: whom to ask next, and when it has ended |
//! | `storing.rs` | one record on its way to those who are to keep it |
//! | `work.rs` | what is under way: lookups and puts |
//! | `search.rs` | how they go on with what peers answer |
//! | `seats.rs` | who comes and goes, and who has a seat |
//! | `requests.rs`, `dials.rs` | what is on the wire, and how long it is waited for |
//! | `recent.rs` | who was closest to keys that were looked up a moment ago |
//! | `filling.rs`, `probing.rs` | how the table is kept full, and peers that were silent found again |
//! | `server.rs` | what others ask |
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU8,
    sync::Arc,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

use self::{
    dials::Dials,
    filling::{Filling, REFRESH_INTERVAL},
    lookup::{Aim, Heard, SETTLED},
    message::{Contact, Request, RequestId, Told},
    probing::Probing,
    recent::Neighbourhoods,
    requests::{Kind, Requests},
    search::End,
    table::Table,
    work::{Put, Work},
};
use super::{
    interface::{Breadth, Fact, KnownPeer, QueryEnd},
    wheel::{self, Expiry, Wheel},
};
use crate::{
    config::Config,
    engine::interface::QueryKey,
    event::Direction,
    keyspace::{Key, REPLICAS},
    record::RecordKey,
};

mod dials;
mod filling;
mod lookup;
pub(crate) mod message;
mod probing;
mod recent;
mod requests;
mod round_trip;
mod search;
mod seats;
mod server;
mod storing;
mod table;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use server::Records;

/// Paths of a lookup that no single peer is to decide ([S/Kademlia], section 4.4).
///
/// [S/Kademlia]: https://doi.org/10.1109/ICPADS.2007.4447808
const DISJOINT_PATHS: usize = 3;

/// How many have to say who is closest before a record is put, where nobody is near enough for certain: more than somebody
/// has who has made a few identities near its key.
const UNSURE: usize = 8;

/// How likely a peer is one of the closest that is sent a record before the lookup has told. How many peers there are is known
/// to a quarter or so: with 90 %, every seventh put among 96 made more copies than there are to be, and up to ten.
const CERTAIN: f64 = 0.99;

/// A deadline is late by this at the most.
const TICK: Duration = Duration::from_millis(4);

/// Something to do on the network, or to tell the registry.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Ask a connected peer.
    Ask { request: RequestId, peer: PeerId, message: Request },
    /// Nobody wants the answer to this any more.
    Cancel { request: RequestId },
    /// Dial a peer. What becomes of it is told by [`Dht::connected`] or [`Dht::unreachable`].
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    /// Something has become known.
    Tell(Fact),
}

/// Names something under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Query(QueryKey),
    /// The routing table is filled.
    Filling,
    /// Peers that were silent are asked whether they are there.
    Probing,
}

/// What is to be asked of somebody, and for whom.
type Errand = (Task, Kind);

#[derive(Debug)]
enum Deadline {
    Request(RequestId),
    Dial(Box<PeerId>),
    Task(Task),
    Refresh,
    Probe,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Dht {
    local: PeerId,
    key: Key,
    table: Table,
    connected: HashMap<PeerId, Direction>,
    running: HashMap<Task, Running>,
    /// What is to go on, now that somebody has answered.
    ready: VecDeque<Task>,
    requests: Requests,
    dials: Dials,
    filling: Filling,
    probing: Probing,
    recent: Neighbourhoods,
    wheel: Wheel<Deadline>,
    /// When the table is filled again.
    refresh: Option<(Duration, wheel::Key)>,
    /// How long anything may take.
    patience: Duration,
    effects: VecDeque<Effect>,
}

/// Something under way, and when it is ended at the latest.
#[derive(Debug)]
struct Running {
    work: Work,
    timer: wheel::Key,
    /// Those that were sent for it. Some of them have ended.
    requests: Vec<RequestId>,
    /// What has come of them, to be read when it goes on. The registry sees a copy before that, and mostly wants no more.
    answers: Vec<Answer>,
}

/// What a peer knows of a key.
#[derive(Debug)]
struct Answer {
    peer: PeerId,
    heard: Heard,
    closer: Told,
}

impl Dht {
    /// An empty table, and nothing under way. Names that are looked up to fill the table are made from `seed`.
    pub(crate) fn new(now: Duration, local: PeerId, config: &Config, seed: [u8; 32]) -> Self {
        let key = Key::of_peer(&local);
        let limits = &config.limits;
        let mut dht = Self {
            local,
            key,
            table: Table::new(key, limits, REPLICAS),
            connected: HashMap::new(),
            running: HashMap::new(),
            ready: VecDeque::new(),
            requests: Requests::default(),
            // Half of those that may be are left to others.
            dials: Dials::new(limits.pending_connections as usize / 2),
            filling: Filling::new(seed),
            probing: Probing::default(),
            recent: Neighbourhoods::default(),
            wheel: Wheel::new(TICK),
            refresh: None,
            patience: config.query_timeout,
            effects: VecDeque::new(),
        };
        dht.refresh_at(now, dht.refresh_interval());
        dht
    }

    /// Looks a record up. Each copy is told, and then the end.
    pub(crate) fn get(
        &mut self,
        now: Duration,
        query: QueryKey,
        key: &RecordKey,
        breadth: Breadth,
    ) {
        let key: Arc<[u8]> = key.as_bytes().into();
        let aim = match breadth {
            Breadth::Narrow => Aim::First,
            Breadth::Wide => Aim::Whole { paths: NonZeroU8::MIN },
            Breadth::Disjoint => Aim::Whole { paths: most(DISJOINT_PATHS) },
        };
        let lookup = self.lookup(now, &Key::of_bytes(&key), aim);
        self.begin(now, Task::Query(query), Work::get(lookup, key));
    }

    /// Puts a record to the peers closest to its key. Those who keep it are told, and then the end.
    pub(crate) fn put(&mut self, now: Duration, query: QueryKey, key: &RecordKey, bytes: &[u8]) {
        let value = search::value(key, bytes);
        let target = Key::of_bytes(&value.key);
        let put = match self.closest_lately(now, &target) {
            Some(peers) => Put::known(value, peers, REPLICAS),
            None => {
                let near = self.near_enough(&target);
                // The fewer are sure, the more have to say so.
                let unsure = REPLICAS.saturating_sub(near.len());
                let enough = most((UNSURE * unsure / REPLICAS).max(SETTLED));
                let lookup = self.lookup(now, &target, Aim::Neighbours { enough });
                Put::located(lookup, value, near, REPLICAS)
            }
        };
        self.begin(now, Task::Query(query), Work::Put(put));
    }

    /// Who is closest to a key, where that was heard a moment ago and all of them are still there; and those to whom a record
    /// goes should one of them not take it.
    fn closest_lately(&self, now: Duration, target: &Key) -> Option<Vec<Contact>> {
        let heard = self.recent.get(now, target)?;
        let is_there = |peer: &PeerId| {
            let is_doubtful =
                self.table.get(peer).is_some_and(|entry| entry.standing.is_tried_last());
            self.connected.contains_key(peer) && !is_doubtful
        };
        if heard.len() < REPLICAS.min(self.table.len()) || !heard.iter().all(is_there) {
            return None;
        }
        let next = self.table.closest(target, 2 * REPLICAS).into_iter();
        let next =
            next.filter(|entry| !entry.standing.is_tried_last() && !heard.contains(&entry.peer));
        let peers = heard.iter().copied().chain(next.map(|entry| entry.peer));
        Some(peers.map(Contact::seated).collect())
    }

    /// Connected peers that are among the closest to a key, almost for certain, by how many there are in all.
    fn near_enough(&self, target: &Key) -> Vec<Contact> {
        let Some(size) = self.table.size_estimate() else { return Vec::new() };
        let closest = self.table.closest(target, REPLICAS).into_iter();
        let near = closest.filter(|entry| {
            let distance = entry.key.distance(target);
            entry.standing.is_connected()
                && !entry.standing.is_tried_last()
                && size.likelihood(&distance, REPLICAS) >= CERTAIN
        });
        near.map(|entry| Contact::seated(entry.peer)).collect()
    }

    /// Puts a record to these peers.
    pub(crate) fn put_to(
        &mut self,
        now: Duration,
        query: QueryKey,
        key: &RecordKey,
        bytes: &[u8],
        peers: Vec<PeerId>,
    ) {
        let peers: Vec<_> = peers.into_iter().map(Contact::seated).collect();
        let most = peers.len();
        let put = Put::known(search::value(key, bytes), peers, most);
        self.begin(now, Task::Query(query), Work::Put(put));
    }

    /// Fills the table.
    pub(crate) fn bootstrap(&mut self, now: Duration, query: QueryKey) {
        self.fill(now, Some(query));
    }

    /// Ends a query early. Its end is told.
    pub(crate) fn finish(&mut self, now: Duration, query: QueryKey) {
        if self.filling.leave(query) {
            self.tell(Fact::QueryEnded { query, end: QueryEnd::Bootstrapped });
        } else {
            self.end(now, Task::Query(query), End::Early);
        }
    }

    /// Dials those of the peers closest to a key who are not connected, as far as there is room.
    pub(crate) fn approach(&mut self, now: Duration, key: &RecordKey) {
        let target = Key::of_bytes(key.as_bytes());
        let closest = self.table.closest(&target, REPLICAS).into_iter();
        let away = closest
            .filter(|entry| !entry.standing.is_connected() && !entry.standing.is_tried_last());
        let away: Vec<_> = away.map(|entry| (entry.peer, entry.addresses.clone())).collect();
        for (peer, addresses) in away {
            if self.dials.room() == 0 {
                break;
            }
            self.dial(now, peer, addresses, None);
        }
    }

    fn begin(&mut self, now: Duration, task: Task, work: Work) {
        let timer = self.wheel.insert(now.saturating_add(self.patience), Deadline::Task(task));
        self.running
            .insert(task, Running { work, timer, requests: Vec::new(), answers: Vec::new() });
        self.ready.push_back(task);
    }

    fn fill(&mut self, now: Duration, query: Option<QueryKey>) {
        if self.filling.begin(query) {
            self.fill_neighbourhood(now);
        }
    }

    fn fill_neighbourhood(&mut self, now: Duration) {
        let name: Arc<[u8]> = self.local.to_bytes().into();
        let key = self.key;
        let lookup = self.lookup(now, &key, Aim::Nodes { most: most(REPLICAS) });
        self.begin(now, Task::Filling, Work::fill(lookup, name));
    }

    /// Nodes that started together have different ones.
    fn refresh_interval(&self) -> Duration {
        let spread = self.key.distance(&Key::of_bytes(&[])).high() as f64 / u64::MAX as f64;
        REFRESH_INTERVAL.mul_f64(0.9 + 0.2 * spread)
    }

    /// The table is filled again after this time, or before.
    fn refresh_at(&mut self, now: Duration, after: Duration) {
        let at = now.saturating_add(after);
        match self.refresh {
            Some((sooner, _)) if sooner <= at => return,
            Some((_, timer)) => {
                self.wheel.cancel(timer);
            }
            None => {}
        }
        self.refresh = Some((at, self.wheel.insert(at, Deadline::Refresh)));
    }

    /// The next thing to do, where there is one. Whoever asks carries out what the registry wants before: what it is told
    /// may end a query that would go on otherwise.
    pub(crate) fn next_effect(&mut self, now: Duration) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            let task = self.ready.pop_front()?;
            self.go_on(now, task);
        }
    }

    /// The peers of the routing table that others can reach, as far as is known.
    pub(crate) fn known(&self) -> Vec<KnownPeer> {
        let entries = self.table.iter().filter(|entry| {
            let standing = &entry.standing;
            standing.is_dialable() && standing.failed_dials == 0 && !entry.addresses.is_empty()
        });
        let known = |entry: &table::Entry| KnownPeer {
            peer: entry.peer,
            addresses: entry.addresses.clone(),
            seen: entry.standing.seen,
        };
        entries.map(known).collect()
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.wheel.next_deadline()
    }

    /// Handles deadlines that are due, at most `budget` of them. Tells how many; all of the budget if there may be more.
    pub(crate) fn expire(&mut self, now: Duration, budget: usize) -> usize {
        let mut moves = budget;
        for done in 0..budget {
            match self.wheel.poll_within(now, &mut moves) {
                Expiry::Expired(Deadline::Request(request)) => self.late(now, request),
                Expiry::Expired(Deadline::Dial(peer)) => self.dial_late(now, &peer),
                Expiry::Expired(Deadline::Probe) => self.probe(now),
                Expiry::Expired(Deadline::Task(task)) => self.end(now, task, End::OutOfTime),
                Expiry::Expired(Deadline::Refresh) => {
                    self.refresh = None;
                    self.fill(now, None);
                    self.refresh_at(now, self.refresh_interval());
                }
                Expiry::More => return budget,
                Expiry::Idle => return done,
            }
        }
        budget
    }

    fn tell(&mut self, fact: Fact) {
        self.effects.push_back(Effect::Tell(fact));
    }
}

fn most(count: usize) -> NonZeroU8 {
    u8::try_from(count).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MAX)
}
