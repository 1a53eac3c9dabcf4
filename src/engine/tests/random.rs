//! Whatever callers, peers and clocks do: every call is answered exactly once, none later than its deadline
//! and a tick, and at the end nothing is retained.
//!
//! What they do is decided by dice: thrown from a seed in the test, and by the bytes of an input under the fuzzer.

use crate::engine::interface::QueryEnd;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::{
    event::Direction,
    exchange,
    freshness::Freshness,
    package::Query,
    record::{Record, RecordKey},
    search::Findings,
};

use dice::Dice;
use talk::Question;
use waiting::Waiting;
use world::{HOLDINGS, IDENTITIES, WORLD};

#[cfg(test)]
use std::panic::{AssertUnwindSafe, catch_unwind};

mod dice;
mod talk;
mod waiting;
mod world;

/// Cases in an ordinary run. `PEERAGE_CASES` asks for more.
const CASES: u64 = 2_000;
const STEPS: usize = 200;
const TICK: Duration = Duration::from_millis(10);

/// How many calls ended how, as their callers know it.
type Tally = BTreeMap<(&'static str, &'static str), u64>;

/// The newest sequences that the node was told of, by whatever way.
type Seen = HashMap<(PeerId, PackageName), u64>;

struct Asked {
    deadline: Duration,
    waiting: Waiting,
    seen: Seen,
}

#[derive(Debug, Clone, Copy)]
enum Running {
    Lookup(RecordKey),
    Put,
    Bootstrap,
}

/// The network as the engine sees it, decided by dice.
struct Chaos {
    lab: Lab,
    dice: Dice,
    waiting: BTreeMap<Ticket, Asked>,
    ended: Tally,
    running: BTreeMap<QueryKey, Running>,
    dials: Vec<(Ticket, PeerId)>,
    bootstrap_dials: usize,
    told_dials: Vec<PeerId>,
    peers: Vec<PeerId>,
    own: Vec<(RecordKey, Vec<u8>)>,
    seen: Seen,
    voters: Vec<PeerId>,
    /// Those who serve what is broken.
    liars: Vec<PeerId>,
    /// What the node has asked peers, and how many questions they have asked it.
    questions: Vec<Question>,
    asked: u64,
}

impl Chaos {
    fn valid_copies(&self, key: &RecordKey) -> Vec<Vec<u8>> {
        let all = HOLDINGS.iter().flat_map(|holding| &holding.records).chain(&self.own);
        all.filter(|(of, _)| of == key).map(|(_, bytes)| bytes.clone()).collect()
    }

    fn any_record(&mut self) -> (RecordKey, Vec<u8>) {
        let holding = &HOLDINGS[self.dice.roll(HOLDINGS.len())];
        holding.records[self.dice.roll(holding.records.len())].clone()
    }

    fn saw(&mut self, key: &RecordKey, bytes: &[u8]) {
        let now = self.lab.now();
        let network = crate::record::NetworkName::default();
        if let Ok(Record::Head(head)) = Record::verify(&network, key, bytes, now.unix, ()) {
            let seen = self.seen.entry((head.owner, head.name.clone())).or_default();
            *seen = (*seen).max(head.revision.sequence);
        }
    }

    fn new(mut dice: Dice) -> Self {
        let limits = Limits::new()
            .with_running_queries(1 + dice.roll(4))
            .with_waiting_calls(4 + dice.roll(40))
            .with_cache_records(dice.roll(8))
            .with_queued_announcements(dice.roll(4))
            .with_own_packages(2);
        let bootstrap = (0..dice.roll(3)).map(|n| format!("/memory/{}", n + 1).parse().unwrap());
        let config = Config::new()
            .with_limits(limits)
            .with_cache_ttl(Duration::from_secs(5))
            .with_sweep_granularity(TICK)
            .with_bootstrap(bootstrap);
        let identity = &IDENTITIES[dice.roll(IDENTITIES.len())];
        Self {
            lab: Setup::of(identity.keypair.clone())
                .with_config(config)
                .with_hearers_as_told()
                .start(),
            own: identity.records.clone(),
            seen: HashMap::new(),
            voters: (0..8).map(|_| dice.peer()).collect(),
            liars: (0..2).map(|_| dice.peer()).collect(),
            dice,
            waiting: BTreeMap::new(),
            ended: Tally::new(),
            running: BTreeMap::new(),
            dials: Vec::new(),
            bootstrap_dials: 0,
            told_dials: Vec::new(),
            peers: Vec::new(),
            questions: Vec::new(),
            asked: 0,
        }
    }

    fn wait<T>(
        &mut self,
        command: impl FnOnce(Reply<T>) -> Command,
        waiting: impl FnOnce(oneshot::Receiver<Result<T>>) -> Waiting,
    ) {
        let (ticket, receiver) = self.lab.ask(command);
        self.awaits(ticket, waiting(receiver));
    }

    fn awaits(&mut self, ticket: Ticket, waiting: Waiting) {
        let deadline = self.lab.mono + Duration::from_secs(30);
        let seen = self.seen.clone();
        self.waiting.insert(ticket, Asked { deadline, waiting, seen });
    }

    fn package(&mut self) -> PackageId {
        if self.dice.roll(2) == 0 {
            let n = self.dice.roll(HOLDINGS.len());
            let id = PackageId::owned(
                HOLDINGS[n].keypair.public().to_peer_id(),
                format!("held-{}", n % 3).parse().unwrap(),
            );
            return match self.dice.roll(4) {
                0 => PackageId::named(id.name().clone()),
                1 => id.with_version("0.9.0".parse().unwrap()),
                2 => PackageId::named(id.name().clone()).with_version("0.9.0".parse().unwrap()),
                _ => id,
            };
        }
        let (id, _) = &WORLD[self.dice.roll(WORLD.len())];
        match self.dice.roll(3) {
            0 => PackageId::named(id.name().clone()),
            1 => id.clone().with_version("1.0.0".parse().unwrap()),
            _ => id.clone(),
        }
    }

    fn head(&mut self) -> Signed<Head> {
        WORLD[self.dice.roll(WORLD.len())].1[self.dice.roll(2)].clone()
    }

    fn freshness(&mut self) -> Freshness {
        match self.dice.roll(6) {
            0 => Freshness::All,
            1 => Freshness::Quorum(u8::try_from(self.dice.roll(4)).unwrap()),
            _ => Freshness::First,
        }
    }

    fn call(&mut self) {
        let name: PackageName = format!("own-{}", self.dice.roll(3)).parse().unwrap();
        let version: semver::Version = format!("1.{}.0", self.dice.roll(3)).parse().unwrap();
        let confirmation = if self.dice.roll(2) == 0 { 0 } else { self.dice.roll(4) as u8 };
        match self.dice.roll(14) {
            0..3 => {
                let (package, freshness) = (self.package(), self.freshness());
                let command = |reply| Command::GetPackage { package, freshness, reply };
                self.wait(command, Waiting::Package);
            }
            3 => {
                let (package, freshness) = (self.package(), self.freshness());
                let command = |reply| Command::ListVersions { package, freshness, reply };
                self.wait(command, Waiting::Versions);
            }
            4 => {
                let manifest = Box::new(Manifest::new(name, version));
                self.wait(
                    |reply| Command::Register { manifest, confirmation, reply },
                    Waiting::Receipt,
                );
            }
            5 => self.change_what_is_said(name, version, confirmation),
            6 => self
                .wait(|reply| Command::Unregister { name, confirmation, reply }, Waiting::Receipt),
            7 => {
                let (key, freshness) = (self.head().key(), self.freshness());
                let command = |reply| Command::GetRecord { key, freshness, reply };
                self.wait(command, Waiting::Record);
            }
            8 => {
                let record = Box::new(Record::Head(self.head()));
                self.wait(|reply| Command::PutRecord { record, reply }, Waiting::Replicas);
            }
            9 => self.wait(|reply| Command::Bootstrap { reply }, Waiting::Known),
            10 => {
                let peer = self.dice.peer();
                let addresses = vec!["/memory/9".parse().unwrap()];
                self.wait(|reply| Command::Dial { peer, addresses, reply }, Waiting::Dialed);
            }
            11 | 12 => {
                let (findings, found) = Findings::channel();
                let text = ["package", "held", ""][self.dice.roll(3)];
                let query = Box::new(Query::new().with_text(text).with_limit(4));
                let ticket = self.lab.send(Command::SearchPeers { query, findings });
                self.awaits(ticket, Waiting::Search(found));
            }
            _ => {
                let topic = format!("topic-{}", self.dice.roll(2));
                let data = vec![0; 8];
                self.wait(|reply| Command::Announce { topic, data, reply }, Waiting::Announced);
            }
        }
    }

    fn change_what_is_said(
        &mut self,
        name: PackageName,
        version: semver::Version,
        confirmation: u8,
    ) {
        let (of, kind) = (Box::new((name.clone(), version)), self.dice.roll(4));
        let reason = ["", "broken"][kind % 2].to_owned();
        let said = (kind == 2).then(|| Box::new(crate::package::Deprecation::new("old")));
        let command = |reply| match kind {
            0 | 1 => Command::Yank { of, reason, confirmation, reply },
            _ if confirmation > 2 => Command::Unyank { of, confirmation, reply },
            _ => Command::Deprecate { name, said, confirmation, reply },
        };
        self.wait(command, Waiting::Receipt);
    }

    fn network(&mut self) {
        let queries: Vec<QueryKey> = self.running.keys().copied().collect();
        match self.dice.roll(15) {
            11..13 => self.end_question(),
            13 => self.ask_node(),
            10 => {
                // A peer hands a record over.
                let (key, bytes) = self.any_record();
                if self.lab.engine.cx.store.insert(&key, &bytes).is_ok() {
                    self.saw(&key, &bytes);
                }
                self.lab.engine.learn_stored();
            }
            0..3 => {
                if let Some(query) = self.dice.pick(&queries)
                    && let Some(&Running::Lookup(key)) = self.running.get(&query)
                    && self.dice.roll(4) > 0
                {
                    let copies = self.valid_copies(&key);
                    if !copies.is_empty() {
                        let bytes = copies[self.dice.roll(copies.len())].clone();
                        let voter = self.dice.roll(self.voters.len() + 1);
                        let from = self.voters.get(voter).copied();
                        self.saw(&key, &bytes);
                        self.lab.learn(Fact::Copy { query, from, bytes });
                    }
                } else if let Some(query) = self.dice.pick(&queries) {
                    let mut bytes = self.head().bytes().to_vec();
                    let mut from = self.dice.peer();
                    if self.dice.roll(4) == 0 {
                        let place = self.dice.roll(bytes.len());
                        bytes[place] ^= 1;
                        from = self.liars[self.dice.roll(self.liars.len())];
                    }
                    self.lab.learn(Fact::Copy { query, from: Some(from), bytes });
                }
            }
            3..6 => {
                if let Some(query) = self.dice.pick(&queries) {
                    self.end_query(query);
                }
            }
            6 => {
                let peer = match self.dice.roll(2) {
                    0 => self.dice.peer(),
                    _ => HOLDINGS[self.dice.roll(HOLDINGS.len())].keypair.public().to_peer_id(),
                };
                if self.peers.contains(&peer) {
                    return;
                }
                self.peers.push(peer);
                let address = "/memory/5".parse().unwrap();
                self.lab.learn(Fact::Connected { peer, address, direction: Direction::Inbound });
            }
            7 => {
                if let Some(peer) = self.dice.pick(&self.peers) {
                    let fact = match self.dice.roll(4) {
                        0 => self.introduction(peer),
                        1 => Fact::Routable { peer },
                        2 => Fact::Unroutable { peer },
                        _ => {
                            self.peers.retain(|other| *other != peer);
                            let addresses = vec!["/memory/1".parse().unwrap()];
                            self.lab.learn(Fact::Leaving { peer, addresses });
                            Fact::Disconnected { peer, reason: None }
                        }
                    };
                    self.lab.learn(fact);
                }
            }
            8 => {
                let head = self.head();
                self.lab.hears(&head);
            }
            _ => self.end_dials(),
        }
    }

    fn end_query(&mut self, query: QueryKey) {
        let Some(kind) = self.running.remove(&query) else { return };
        let end = match kind {
            Running::Lookup(_) if self.dice.roll(8) == 0 => QueryEnd::LookupCutShort,
            Running::Lookup(_) => QueryEnd::Lookup {
                answered: u32::from(self.dice.roll(3) > 0),
                unheard: u32::from(self.dice.roll(3) == 0),
                without: (0..self.dice.roll(4)).map(|_| self.dice.peer()).collect(),
            },
            Running::Put => QueryEnd::Stored { replicas: u32::from(self.dice.roll(3) > 0) },
            Running::Bootstrap => QueryEnd::Bootstrapped,
        };
        self.lab.learn(Fact::QueryEnded { query, end });
    }

    fn end_dials(&mut self) {
        if let Some((ticket, peer)) = self.dials.pop() {
            let failure = (self.dice.roll(2) == 0).then(|| "refused".to_owned());
            if failure.is_none() && !self.peers.contains(&peer) {
                self.peers.push(peer);
                let address = "/memory/5".parse().unwrap();
                self.lab.learn(Fact::Connected { peer, address, direction: Direction::Outbound });
            }
            self.lab.learn(Fact::Dialed { ticket, failure });
            // Others never introduce themselves.
            if self.peers.contains(&peer) && self.dice.roll(4) > 0 {
                let fact = self.introduction(peer);
                self.lab.learn(fact);
            }
        }
        if let Some(peer) = self.told_dials.pop() {
            self.lab.learn(Fact::ToldDialed { peer });
        }
        if self.bootstrap_dials > 0 {
            self.bootstrap_dials -= 1;
            let end = match self.dice.pick(&self.peers.clone()) {
                Some(peer) if self.dice.roll(2) == 0 => Ok(peer),
                _ => Err("refused".to_owned()),
            };
            let address = "/memory/1".parse().unwrap();
            self.lab.learn(Fact::BootstrapDialed { address, end });
        }
    }

    /// A peer says what it is, or that it does not.
    fn introduction(&mut self, peer: PeerId) -> Fact {
        let agent = Some("test".to_owned());
        match self.dice.roll(6) {
            0 => {
                let affiliation = Affiliation::Other("other".parse().unwrap());
                Fact::Introduced { peer, agent, affiliation }
            }
            1 => Fact::Introduced { peer, agent: None, affiliation: Affiliation::Unknown },
            _ => introduced(peer),
        }
    }

    fn cancel(&mut self) {
        let tickets: Vec<Ticket> = self.waiting.keys().copied().collect();
        if let Some(ticket) = self.dice.pick(&tickets) {
            let asked = self.waiting.remove(&ticket).expect("it waits");
            *self.ended.entry((asked.waiting.operation(), "cancelled")).or_default() += 1;
            drop(asked);
            self.lab.engine.cancel(ticket);
        }
    }

    /// Carries out what the engine wants, and looks after the callers.
    fn settle(&mut self) {
        while let Some(action) = self.lab.engine.next_action() {
            match action {
                Action::Get { query, key, .. } => {
                    self.running.insert(query, Running::Lookup(key));
                }
                Action::Repair { peers, .. } if peers.is_empty() => panic!("nobody to repair"),
                Action::Put { query, key, bytes } => {
                    // Whoever took it may serve it later.
                    self.own.push((key, bytes));
                    self.running.insert(query, Running::Put);
                }
                Action::Repair { query, .. } => {
                    self.running.insert(query, Running::Put);
                }
                Action::Bootstrap { query } => {
                    self.running.insert(query, Running::Bootstrap);
                }
                Action::Finish { query } => {
                    assert!(self.running.contains_key(&query), "not running")
                }
                Action::Publish { id, .. } => {
                    let outcome = match self.dice.roll(3) {
                        0 => Published::Sent,
                        1 => Published::Impossible,
                        _ => Published::Unheard,
                    };
                    self.lab.learn(Fact::Published { id, outcome });
                }
                Action::Dial { ticket, peer, .. } => self.dials.push((ticket, peer)),
                Action::DialBootstrap { .. } => self.bootstrap_dials += 1,
                Action::Ask { question, peer, request } => {
                    self.heard_question(question, peer, request);
                }
                Action::TellMesh => self.lab.learn(Fact::Mesh { peers: HashSet::new() }),
                Action::DialTold { peer, .. } => self.told_dials.push(peer),
                Action::Goodbye { question, peer, farewell } => {
                    let request =
                        exchange::Request::Goodbye { reason: farewell.code(), others: Vec::new() };
                    self.heard_question(question, peer, request.encode().expect("in bounds"));
                }
                Action::Approach { .. }
                | Action::Answer { .. }
                | Action::Redial { .. }
                | Action::DialDiscovered { .. }
                | Action::Subscribe { .. }
                | Action::Unsubscribe { .. }
                | Action::Disconnect { .. }
                | Action::Mute { .. }
                | Action::Block { .. }
                | Action::Unblock { .. }
                | Action::Score { .. } => {}
            }
        }
        while self.lab.engine.next_event().is_some() {}
        let window = self.lab.engine.cx.config.limits.running_queries;
        assert!(self.running.len() <= window, "{} queries run", self.running.len());
        if !self.lab.engine.cx.closed {
            self.check_wheel();
        }
        let queries = self.lab.engine.reading.queries().counters();
        assert_eq!(queries.running, self.running.len() as u64, "{queries:?}");
        let now = self.lab.mono;
        self.waiting.retain(|_, Asked { deadline, waiting, seen }| {
            let answer = waiting.answer(seen);
            assert!(answer.is_some() || now < *deadline + TICK, "late");
            if let Some(outcome) = answer {
                *self.ended.entry((waiting.operation(), outcome)).or_default() += 1;
            }
            answer.is_none()
        });
    }

    /// Each call was counted once, as its caller knows that it ended.
    fn check_counters(&self) -> Counters {
        let counters = self.lab.engine.counters();
        let calls = counters.calls;
        let mut counted = Tally::new();
        for (operation, outcomes) in calls.outcomes() {
            let operation = match operation {
                "register" | "yank" | "deprecate" | "unregister" => "register, yank or unregister",
                operation => operation,
            };
            for (outcome, times) in outcomes.each().into_iter().filter(|(_, times)| *times > 0) {
                *counted.entry((operation, outcome)).or_default() += times;
            }
        }
        assert_eq!(counted, self.ended);
        for read in [calls.get, calls.versions, calls.get_record] {
            let from_somewhere: u64 = read.sources.each().iter().map(|(_, times)| times).sum();
            assert_eq!(from_somewhere, read.outcomes.answered);
        }
        counters
    }

    fn advance(&mut self) {
        let millis = [0, 1, 9, 10, 100, 1_000, 7_000, 31_000][self.dice.roll(8)];
        self.lab.advance(Duration::from_millis(millis));
    }

    /// Nothing waits in the wheel but what the node does by itself, and calls that have not been answered.
    fn check_wheel(&self) {
        let engine = &self.lab.engine;
        // The sweep and the next session are always due some time.
        let own = 2
            + engine.discovery.timers()
            + engine.publishing.timers()
            + engine.peers.timers()
            + engine.reading.waiting_calls()
            + usize::from(engine.cx.peer_clocks.is_settling());
        assert!(
            engine.out.wheel.len() <= own,
            "{} deadlines of at most {own}",
            engine.out.wheel.len()
        );
    }

    /// What the node has counted by the end.
    fn run(mut self) -> Counters {
        self.settle();
        let most = self.dice.steps(STEPS);
        for _ in 0..most {
            if self.dice.is_spent() {
                break;
            }
            match self.dice.roll(10) {
                0..4 => self.call(),
                4..8 => self.network(),
                8 => self.cancel(),
                _ => self.advance(),
            }
            self.settle();
        }
        if self.dice.roll(4) == 0 {
            self.lab.engine.shut_down();
            self.settle();
            assert!(self.waiting.is_empty(), "a shutdown answers everybody");
            return self.check_counters();
        }
        // Time alone answers whoever still waits, and what libp2p then ends frees the rest.
        self.lab.advance(Duration::from_secs(31));
        self.settle();
        assert!(self.waiting.is_empty(), "{} are not answered", self.waiting.len());
        self.check_counters();
        for _ in 0..100_000 {
            if self.lab.engine.is_at_rest() {
                let queries = self.lab.engine.reading.queries().counters();
                assert_eq!(queries.waiting, 0);
                for (kind, tasks) in queries.each() {
                    assert_eq!(tasks.started, tasks.finished, "{kind}");
                }
                return self.check_counters();
            }
            while self.bootstrap_dials > 0 || !self.dials.is_empty() || !self.told_dials.is_empty()
            {
                self.end_dials();
            }
            self.lab.advance(Duration::from_secs(11));
            let queries: Vec<QueryKey> = self.running.keys().copied().collect();
            for query in queries {
                self.end_query(query);
            }
            self.settle();
        }
        panic!("something is retained: {:?}", self.lab.engine.reading.queries());
    }
}

/// What these bytes decide.
#[cfg(fuzzing)]
pub(crate) fn drive(bytes: &[u8]) {
    Chaos::new(Dice::of_bytes(bytes)).run();
}

/// Else the other tests here would hold whatever the engine does.
#[test]
fn the_dice_bring_about_everything_that_they_are_to() {
    let all = (0..800).map(|seed| Chaos::new(Dice::of_seed(seed)).run());
    let [mut compared, mut fetched, mut lost] = [0; 3];
    let mut calls = BTreeMap::<_, [u64; 2]>::new();
    for counters in all {
        compared += counters.reconciliation.sessions;
        fetched += counters.reconciliation.heads_fetched;
        lost += counters.reconciliation.failed;
        for (operation, outcomes) in counters.calls.outcomes() {
            let [answered, other] = calls.entry(operation).or_default();
            *answered += outcomes.answered;
            *other += outcomes.total() - outcomes.answered;
        }
    }
    assert!(compared > lost + 10 && fetched > 10 && lost > 10, "{compared} {fetched} {lost}");
    for (operation, [answered, other]) in calls {
        assert!(answered > 10 && other > 10, "{operation}: {answered} {other}");
    }
}

#[test]
fn every_call_is_answered_once_and_in_time_and_nothing_is_retained() {
    let cases = std::env::var("PEERAGE_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                for seed in (first as u64..cases).step_by(threads) {
                    let outcome =
                        catch_unwind(AssertUnwindSafe(|| Chaos::new(Dice::of_seed(seed)).run()));
                    assert!(outcome.is_ok(), "with seed {seed}");
                }
            });
        }
    });
}

#[test]
fn an_answer_that_was_never_given_is_noticed() {
    let (reply, receiver) = Reply::<Box<Package>>::channel();
    drop(reply);
    let noticed = catch_unwind(AssertUnwindSafe(|| Waiting::Package(receiver).is_answered()));
    assert!(noticed.is_err());
    let (reply, receiver) = Reply::<Box<Package>>::channel();
    let _ = reply.send(Err(crate::error::Error::NoPeers));
    assert!(Waiting::Package(receiver).is_answered());
}
