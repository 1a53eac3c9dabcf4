//! How lookups and puts go on with what peers answer.

use std::time::Duration;

use libp2p::PeerId;

use super::{
    Answer, Deadline, Dht, Effect, Errand, Running, Task,
    dials::Wanted,
    filling::{REFRESH_INTERVAL, Step},
    lookup::{Aim, Expectation, Heard, Lookup, Seed},
    message::{Contact, Failure, Request, RequestId, Response, Value},
    most, probing,
    requests::{GIVEN_UP, Kind, Patience, Waiting},
    round_trip::RoundTrip,
    table::{ENOUGH, Entry},
    work::{Goal, Put, Search, Work},
};
use crate::{
    engine::interface::{Fact, QueryEnd},
    keyspace::{Key, REPLICAS},
    record::RecordKey,
};

/// When the next peer is sent a record beside one that has not acknowledged it, unless that is as far away.
const SLOW_PUT: Duration = Duration::from_millis(250);
/// When a copy is not waited for any more, of a peer that is quick and of one that is slow.
const LEAST_PUT_PATIENCE: Duration = Duration::from_millis(500);
const MOST_PUT_PATIENCE: Duration = Duration::from_secs(1);

/// A record as it goes over the wire.
pub(super) fn value(key: &RecordKey, bytes: &[u8]) -> Value {
    Value { key: key.as_bytes().into(), bytes: bytes.into() }
}

impl Dht {
    /// A lookup that begins with whom the table knows.
    pub(super) fn lookup(&mut self, now: Duration, target: &Key, aim: Aim) -> Lookup {
        self.table.used(now, target);
        // Beside those who are likely to answer, whoever is in doubt: they come last.
        let nearest = self.table.closest(target, 3 * REPLICAS);
        let (doubtful, likely): (Vec<_>, Vec<_>) =
            nearest.into_iter().partition(|entry| entry.standing.is_tried_last());
        let known = [likely, doubtful].into_iter().flat_map(|some| some.into_iter().take(REPLICAS));
        let known = known.map(|entry| Seed {
            peer: entry.peer,
            key: entry.key,
            expectation: expected(entry),
        });
        Lookup::new(*target, aim, known)
    }

    /// Asks whoever is to be asked now, and ends what has ended.
    pub(super) fn go_on(&mut self, now: Duration, task: Task) {
        while let Some((kind, contact)) = self.work(task).and_then(Work::next) {
            self.reach(now, (task, kind), contact);
        }
        if self.work(task).is_some_and(|work| work.is_finished()) {
            self.end(now, task, End::Complete);
        }
    }

    /// Asks a peer, or dials it first.
    fn reach(&mut self, now: Duration, errand: Errand, contact: Contact) {
        let Contact { peer, addresses: told } = contact;
        if self.connected.contains_key(&peer) {
            return self.ask(now, errand, peer);
        }
        let mut addresses = self.table.addresses(&peer).to_vec();
        addresses.extend(told);
        let wanted = match addresses.is_empty() && !self.dials.has(&peer) {
            true => Wanted::Refused,
            false => self.dial(now, peer, addresses, Some(errand)),
        };
        let (task, kind) = errand;
        let Some(work) = self.work(task) else { return };
        match wanted {
            Wanted::Now | Wanted::Waits => {}
            Wanted::Late => work.overdue(kind, &peer),
            Wanted::Refused => work.unreachable(kind, &peer),
        }
    }

    /// Sends a connected peer what a task asks.
    pub(super) fn ask(&mut self, now: Duration, (task, kind): Errand, peer: PeerId) {
        let Some(work) = self.work(task) else { return };
        if !work.wants(kind) {
            return;
        }
        let message = work.request(kind);
        self.send(now, (task, kind), peer, message);
    }

    pub(super) fn send(
        &mut self,
        now: Duration,
        (task, kind): Errand,
        peer: PeerId,
        message: Request,
    ) {
        let round_trip = self.round_trip(&peer);
        let time = match kind {
            Kind::Question => round_trip.hedge_after(),
            Kind::Put => round_trip.hedge_after().max(SLOW_PUT),
        };
        let request = self.requests.name();
        let timer = self.wheel.insert(now.saturating_add(time), Deadline::Request(request));
        let patience = Patience::Usual;
        let waiting = Waiting { peer, task, kind, sent: now, patience, timer };
        self.requests.open(request, waiting);
        if let Some(running) = self.running.get_mut(&task) {
            running.requests.push(request);
        }
        self.effects.push_back(Effect::Ask { request, peer, message });
    }

    fn round_trip(&self, peer: &PeerId) -> RoundTrip {
        self.table.get(peer).map_or_else(RoundTrip::new, |entry| entry.standing.round_trip)
    }

    /// A peer has answered.
    pub(crate) fn answered(&mut self, now: Duration, request: RequestId, response: Response) {
        let Some(waiting) = self.requests.close(request) else { return };
        self.wheel.cancel(waiting.timer);
        let Waiting { peer, task, sent, .. } = waiting;
        self.table.answered(now, &peer, now.saturating_sub(sent));
        if self.probing.remove(&peer) {
            self.tell(Fact::Awake { peer });
        }
        let mut copy = None;
        match (self.running.get_mut(&task), response) {
            (Some(running), Response::Found { value, closer }) => {
                let heard = if value.is_some() { Heard::Copy } else { Heard::Empty };
                running.answers.push(Answer { peer, heard, closer });
                copy = value;
            }
            (Some(running), Response::Closer { peers: closer }) => {
                running.answers.push(Answer { peer, heard: Heard::Empty, closer });
            }
            (Some(running), Response::Kept(kept)) => running.work.kept(&peer, kept.is_some()),
            // It was only asked whether it is there.
            (Some(_), Response::Pong) | (None, _) => {}
        }
        if let (Some(value), Task::Query(query)) = (copy, task) {
            self.tell(Fact::Copy { query, from: Some(peer), bytes: value.bytes.to_vec() });
        }
        self.ready.push_back(task);
    }

    /// What a task is about, if it is still under way. It has gone through what peers have answered: that counts before
    /// whatever happens next.
    pub(super) fn work(&mut self, task: Task) -> Option<&mut Work> {
        let running = self.running.get_mut(&task)?;
        let (table, connected) = (&self.table, &self.connected);
        // Whoever has no seat may be connected all the same.
        let standing = |peer: &PeerId, key: &Key| match table.at(key) {
            Some(entry) => expected(entry),
            None if connected.contains_key(peer) => Expectation::Connected,
            None => Expectation::Unconnected,
        };
        for Answer { peer, heard, closer } in running.answers.drain(..) {
            running.work.heard(&self.local, &peer, heard, &closer, standing);
        }
        Some(&mut running.work)
    }

    /// A peer does not answer.
    pub(crate) fn failed(&mut self, now: Duration, request: RequestId, why: Failure) {
        let Some(waiting) = self.requests.close(request) else { return };
        self.wheel.cancel(waiting.timer);
        match (why, waiting.kind) {
            // Some say no to a record by breaking off. They are there all the same.
            (Failure::Gone, _) | (Failure::Broken, Kind::Put) => {}
            (Failure::Unsupported, _) | (Failure::Broken, Kind::Question) => {
                self.silent(now, waiting.peer);
            }
        }
        if let Some(work) = self.work(waiting.task) {
            work.failed(waiting.kind, &waiting.peer);
        }
        self.ready.push_back(waiting.task);
    }

    /// A request takes longer than usual, or longer than anybody waits.
    pub(super) fn late(&mut self, now: Duration, request: RequestId) {
        let Some(waiting) = self.requests.get_mut(request) else { return };
        let (peer, task, kind, sent) = (waiting.peer, waiting.task, waiting.kind, waiting.sent);
        let Some(patience) = waiting.patience.less() else { return self.give_up(request) };
        waiting.patience = patience;
        let next = match (patience, kind) {
            (Patience::Over, _) => {
                self.silent(now, peer);
                GIVEN_UP
            }
            (Patience::Usual | Patience::Slow, Kind::Question) => {
                self.round_trip(&peer).overdue_after()
            }
            (Patience::Usual | Patience::Slow, Kind::Put) => put_patience(self.round_trip(&peer)),
        };
        if let Some(work) = self.work(task) {
            match patience {
                Patience::Usual | Patience::Slow => work.hedge(kind, &peer),
                Patience::Over => work.overdue(kind, &peer),
            }
        }
        let timer = self.wheel.insert(sent.saturating_add(next), Deadline::Request(request));
        if let Some(waiting) = self.requests.get_mut(request) {
            waiting.timer = timer;
        }
        self.ready.push_back(task);
    }

    /// The answer is of no use any more.
    fn give_up(&mut self, request: RequestId) {
        let Some(waiting) = self.requests.close(request) else { return };
        self.effects.push_back(Effect::Cancel { request });
        if let Some(work) = self.work(waiting.task) {
            work.failed(waiting.kind, &waiting.peer);
        }
        self.ready.push_back(waiting.task);
    }

    fn silent(&mut self, now: Duration, peer: PeerId) {
        tracing::debug!(%peer, "did not answer in time");
        self.table.silent(&peer);
        if !self.probing.has(&peer) {
            self.tell(Fact::Silent { peer });
        }
        if self.probing.add(peer) {
            self.wheel.insert(now.saturating_add(probing::INTERVAL), Deadline::Probe);
        }
    }

    /// Asks those who were silent whether they are there.
    pub(super) fn probe(&mut self, now: Duration) {
        let due = self.probing.due();
        for peer in &due {
            if self.connected.contains_key(peer) {
                self.ask_whether_there(now, *peer);
            } else {
                let _ = self.probing.remove(peer);
            }
        }
        if !due.is_empty() {
            self.wheel.insert(now.saturating_add(probing::INTERVAL), Deadline::Probe);
        }
    }

    /// Asks a peer something that every implementation answers.
    pub(super) fn ask_whether_there(&mut self, now: Duration, peer: PeerId) {
        let message = Request::FindNode { key: self.local.to_bytes().into() };
        self.send(now, (Task::Probing, Kind::Question), peer, message);
    }

    /// Something has ended. What it still waits for is taken back.
    pub(super) fn end(&mut self, now: Duration, task: Task, end: End) {
        let Some(running) = self.running.remove(&task) else { return };
        let Running { mut work, timer, requests, answers } = running;
        self.wheel.cancel(timer);
        // Whom these tell of is not asked any more.
        for Answer { peer, heard, .. } in answers {
            work.heard(&self.local, &peer, heard, &Vec::new().into(), |_, _| {
                Expectation::Unconnected
            });
        }
        for request in requests {
            if let Some(waiting) = self.requests.close(request) {
                self.wheel.cancel(waiting.timer);
                self.effects.push_back(Effect::Cancel { request });
            }
        }
        self.dials.leave(task);
        match (work, task) {
            (Work::Search(Search { lookup, goal: Goal::Copies, .. }), Task::Query(query)) => {
                if end == End::Complete {
                    self.recent.add(now, *lookup.target(), lookup.nearest_heard());
                }
                let found = lookup.end();
                let (answered, unheard, without) = (found.answered, found.unheard, found.without);
                let end = match end {
                    End::Complete | End::Early => QueryEnd::Lookup { answered, unheard, without },
                    End::OutOfTime => QueryEnd::LookupCutShort,
                };
                self.tell(Fact::QueryEnded { query, end });
            }
            (Work::Search(Search { goal: Goal::Fill, .. }), _) => self.filled(now),
            (Work::Put(Put { storing, .. }), Task::Query(query)) => {
                let peers: Vec<_> = storing.kept_by().collect();
                let replicas = u32::try_from(peers.len()).unwrap_or(u32::MAX);
                self.tell(Fact::Acknowledged { query, peers });
                self.tell(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas } });
            }
            // Nobody waits for records but a query.
            (Work::Search(_) | Work::Put(_), Task::Filling | Task::Probing) => {}
        }
    }

    /// A lookup that fills the table has ended: on to the next bucket.
    fn filled(&mut self, now: Duration) {
        let table = &self.table;
        match self.filling.go_on(&self.key, || table.stale(now, REFRESH_INTERVAL)) {
            Step::Bucket(name) => {
                let aim = Aim::Nodes { most: most(ENOUGH) };
                let lookup = self.lookup(now, &Key::of_bytes(&name), aim);
                self.begin(now, Task::Filling, Work::fill(lookup, name));
            }
            Step::Neighbourhood => self.fill_neighbourhood(now),
            Step::Filled(queries) => {
                for query in queries {
                    self.tell(Fact::QueryEnded { query, end: QueryEnd::Bootstrapped });
                }
            }
        }
    }
}

/// What is to be expected of a peer that has a seat.
fn expected(entry: &Entry) -> Expectation {
    match (entry.standing.is_tried_last(), entry.standing.is_connected()) {
        (true, _) => Expectation::Doubtful,
        (false, true) => Expectation::Connected,
        (false, false) => Expectation::Unconnected,
    }
}

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has gone all the way.
    Complete,
    /// Nobody wants more of it.
    Early,
    OutOfTime,
}

/// How long a copy is waited for. It takes a signature to be checked, and whoever is given up for a moment's delay is a
/// replica less. One that has not answered lately is given no more than a second, unless it is as far away as that: the
/// caller waits for it.
fn put_patience(round_trip: RoundTrip) -> Duration {
    let patience = 2 * round_trip.overdue_after();
    patience.clamp(LEAST_PUT_PATIENCE, MOST_PUT_PATIENCE).max(round_trip.usual_at_most())
}
