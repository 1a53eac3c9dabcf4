//! The engine alone: facts go in, actions and answers come out, and time is a number.

use futures::{FutureExt, channel::oneshot};

use super::*;
use crate::{
    Clock, Limits, Manifest, Package, PackageId, Result, Timer,
    command::{Command, Reply, Request},
    record::{Head, Release, ReleaseEntry, Revision, Signed, Validity},
};

mod freshness;
mod random;

const UNIX: u64 = 2_000_000_000;

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(128);
    }
}

/// An engine with one peer in its routing table, and the time.
struct Lab {
    engine: Engine,
    shelf: Shelf,
    mono: Duration,
    tickets: u64,
}

impl Lab {
    fn new(config: Config) -> Self {
        let mut lab = Self::untouched(config);
        lab.learn(Fact::Routable { peer: PeerId::random() });
        lab.actions();
        lab
    }

    /// An engine that knows nobody yet.
    fn untouched(config: Config) -> Self {
        let keypair = Keypair::generate_ed25519();
        let shelf = Shelf::default();
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, UNIX);
        let mut engine = Engine::new(keypair, config, store, Box::new(NoEntropy), shelf.clone());
        let mono = Duration::from_secs(100);
        engine.start(Now { mono, unix: UNIX });
        Self { engine, shelf, mono, tickets: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, unix: UNIX }
    }

    /// What a caller is answered without the node.
    fn on_shelf(&self, id: &PackageId) -> Option<Package> {
        self.shelf.get(id, &Frozen(self.now()))
    }

    fn learn(&mut self, fact: Fact) {
        let now = self.now();
        self.engine.learn(now, fact);
    }

    fn ask<T>(
        &mut self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> (Ticket, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = Reply::channel();
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let (asked, command) = (self.mono, command(reply));
        let deadline = asked + Duration::from_secs(30);
        self.engine.command(self.now(), Request { ticket, asked, deadline, command });
        (ticket, answer)
    }

    fn get(&mut self, package: &PackageId) -> (Ticket, oneshot::Receiver<Result<Box<Package>>>) {
        self.get_as(package, Freshness::First)
    }

    fn get_as(
        &mut self,
        package: &PackageId,
        freshness: Freshness,
    ) -> (Ticket, oneshot::Receiver<Result<Box<Package>>>) {
        let package = package.clone();
        self.ask(|reply| Command::GetPackage { package, freshness, reply })
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.next_action()).collect()
    }

    /// The lookups that have been started since the last look.
    fn lookups(&mut self) -> Vec<QueryKey> {
        self.actions()
            .into_iter()
            .filter_map(|action| match action {
                Action::Get { query, .. } => Some(query),
                _ => None,
            })
            .collect()
    }

    fn advance(&mut self, by: Duration) {
        self.mono += by;
        let now = self.now();
        self.engine.begin(now);
        while self.engine.expire(now, 64) > 0 {}
    }

    fn end(&mut self, query: QueryKey, answered: u32) {
        self.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(answered) });
    }
}

/// A clock that shows one time.
#[derive(Debug)]
struct Frozen(Now);

impl Clock for Frozen {
    fn now(&self) -> Duration {
        self.0.mono
    }

    fn unix_time(&self) -> Duration {
        Duration::from_secs(self.0.unix)
    }

    fn timer(&self) -> Box<dyn Timer> {
        panic!("nobody waits by it")
    }
}

/// Somebody else's package, with its head.
fn published(name: &str, sequence: u64) -> (PackageId, Signed<Head>) {
    published_by(&Keypair::generate_ed25519(), name, sequence)
}

pub(super) fn published_by(
    keypair: &Keypair,
    name: &str,
    sequence: u64,
) -> (PackageId, Signed<Head>) {
    let owner = keypair.public().to_peer_id();
    let network = crate::NetworkName::default();
    let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
    let release = Release::new(network.clone(), owner, manifest.clone());
    let entry = ReleaseEntry::of(&Signed::sign(keypair, release).unwrap());
    let head = Head::live(
        network,
        owner,
        Revision::new(0, sequence),
        Validity::starting(UNIX - 60, 3600),
        manifest.clone(),
        vec![entry],
        None,
    );
    (PackageId::owned(owner, manifest.name), Signed::sign(keypair, head).unwrap())
}

fn copy(query: QueryKey, head: &Signed<Head>) -> Fact {
    Fact::Copy { query, from: Some(PeerId::random()), bytes: head.bytes().to_vec() }
}

fn answer<T>(receiver: oneshot::Receiver<Result<T>>) -> Option<Result<T>> {
    receiver.now_or_never().map(|answer| answer.expect("not dropped"))
}

#[test]
fn the_first_valid_copy_answers_and_the_lookup_is_finished() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.learn(copy(query, &head));
    assert_eq!(answer(waiting).unwrap().unwrap().manifest.version, "1.0.0".parse().unwrap());
    assert!(matches!(lab.actions()[..], [Action::Finish { query: finished }] if finished == query));
    // A copy that was on its way changes nothing, and the end frees the place.
    lab.learn(copy(query, &head));
    lab.end(query, 2);
    assert!(lab.engine.is_at_rest());
    // From now on it is answered without asking.
    let (_, cached) = lab.get(&id);
    assert_eq!(answer(cached).unwrap().unwrap().source, Source::Cache);
}

#[test]
fn callers_who_want_the_same_share_one_lookup_and_each_has_its_own_deadline() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, early) = lab.get(&id);
    lab.advance(Duration::from_secs(20));
    let (_, late) = lab.get(&id);
    let lookups = lab.lookups();
    let [query] = lookups[..] else { panic!("{lookups:?}") };
    lab.advance(Duration::from_secs(10));
    assert!(matches!(answer(early), Some(Err(crate::Error::Timeout { .. }))));
    assert!(lab.actions().is_empty(), "the other one still waits");
    lab.learn(copy(query, &head));
    assert!(answer(late).unwrap().is_ok());
    lab.end(query, 1);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn ten_thousand_callers_of_one_package_ask_the_network_once() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let waiting: Vec<_> = (0..10_000).map(|_| lab.get(&id)).collect();
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.learn(copy(query, &head));
    for (_, waiting) in waiting {
        assert_eq!(answer(waiting).unwrap().unwrap().sequence, 1);
    }
    lab.end(query, 1);
    assert!(lab.engine.is_at_rest());
    assert!(lab.lookups().is_empty());
}

#[test]
fn a_caller_that_goes_away_frees_its_place_and_the_last_one_the_lookup() {
    let mut lab = Lab::new(Config::new());
    let (id, _) = published("tool", 1);
    let before = lab.engine.wheel.len();
    let (first, first_waiting) = lab.get(&id);
    let (second, second_waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    drop((first_waiting, second_waiting));
    lab.engine.cancel(first);
    assert!(lab.actions().is_empty(), "the other one still waits");
    lab.engine.cancel(second);
    assert!(matches!(lab.actions()[..], [Action::Finish { query: finished }] if finished == query));
    assert_eq!(lab.engine.wheel.len(), before);
    lab.end(query, 0);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_window_of_lookups_runs_and_the_others_wait_their_turn() {
    let limits = Limits::new().with_running_queries(2);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let packages: Vec<_> = (0..5).map(|n| published(&format!("package-{n}"), 1).0).collect();
    let waiting: Vec<_> = packages.iter().map(|id| lab.get(id)).collect();
    let mut running = lab.lookups();
    assert_eq!(running.len(), 2);
    // One that leaves the line before its turn is never started.
    lab.engine.cancel(waiting[4].0);
    let mut started = 2;
    while let Some(query) = running.pop() {
        lab.end(query, 1);
        let next = lab.lookups();
        started += next.len();
        running.extend(next);
    }
    assert_eq!(started, 4);
    assert!(lab.engine.is_at_rest());
    for (_, waiting) in waiting.into_iter().take(4) {
        assert!(matches!(answer(waiting), Some(Err(crate::Error::NotFound { .. }))));
    }
}

#[test]
fn a_burst_of_lookups_does_not_stand_in_the_way_of_publishing_and_bootstrap() {
    let limits = Limits::new().with_running_queries(1);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let _lookups: Vec<_> =
        (0..1000).map(|n| lab.get(&published(&format!("package-{n}"), 1).0)).collect();
    let record = Record::Head(published("mirrored", 1).1);
    let (_, _put) = lab.ask(|reply| Command::PutRecord { record: Box::new(record), reply });
    let (_, _bootstrap) = lab.ask(|reply| Command::Bootstrap { reply });
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let [action] = &lab.actions()[..] else { panic!("one at a time") };
        let query = match action {
            Action::Get { query, .. } => (*query, "lookup"),
            Action::Put { query, .. } => (*query, "put"),
            Action::Bootstrap { query } => (*query, "bootstrap"),
            other => panic!("{other:?}"),
        };
        kinds.push(query.1);
        lab.end(query.0, 1);
    }
    assert_eq!(kinds, ["lookup", "put", "bootstrap", "lookup"]);
}

#[test]
fn who_serves_what_is_not_valid_loses_its_good_name_and_answers_nobody() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, other) = published("tool", 1);
    let liar = PeerId::random();
    let (_, waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    let mut forged = head.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for bytes in [forged, other.bytes().to_vec(), b"\x01nonsense".to_vec(), Vec::new()] {
        lab.learn(Fact::Copy { query, from: Some(liar), bytes });
    }
    assert_eq!(lab.engine.reputations.get(&liar).invalid, 4);
    lab.end(query, 1);
    assert!(matches!(answer(waiting), Some(Err(crate::Error::NotFound { .. }))));
}

#[test]
fn nobody_answered_is_not_the_same_as_not_found() {
    let mut lab = Lab::new(Config::new());
    let (id, _) = published("tool", 1);
    for (answered, expected) in [(0, "no_peers"), (3, "not_found")] {
        let (_, waiting) = lab.get(&id);
        let [query] = lab.lookups()[..] else { panic!("one lookup") };
        lab.end(query, answered);
        assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), expected);
    }
}

#[test]
fn a_peer_that_never_introduces_itself_holds_questions_up_for_a_while_only() {
    let mut lab = Lab::untouched(Config::new());
    let (gone, mute) = (PeerId::random(), PeerId::random());
    lab.learn(Fact::Routable { peer: gone });
    let address = "/memory/1".parse().unwrap();
    let direction = crate::Direction::Inbound;
    lab.learn(Fact::Connected { peer: mute, address, direction });
    lab.learn(Fact::Unroutable { peer: gone });
    lab.actions();
    let (_, _waiting) = lab.get(&published("tool", 1).0);
    assert!(lab.lookups().is_empty());
    lab.advance(INTRODUCTION_TIME);
    assert_eq!(lab.lookups().len(), 1);
}

#[test]
fn once_a_newer_head_was_seen_no_older_one_is_believed() {
    let mut lab = Lab::new(Config::new().with_cache_ttl(Duration::from_secs(1)));
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, "tool", 1);
    let (_, new) = published_by(&keypair, "tool", 2);
    let now = lab.now();
    assert_eq!(lab.engine.hear(now, "announcements", new.bytes()), Verdict::Accept);
    assert_eq!(lab.engine.hear(now, "announcements", old.bytes()), Verdict::Ignore);
    lab.advance(Duration::from_secs(2));
    let (_, waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.learn(copy(query, &old));
    lab.learn(copy(query, &new));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
}

#[test]
fn above_the_bound_on_waiting_calls_a_call_is_busy_at_once() {
    let mut lab = Lab::new(Config::new().with_limits(Limits::new().with_waiting_calls(3)));
    let waiting: Vec<_> =
        (0..3).map(|n| lab.get(&published(&format!("package-{n}"), 1).0)).collect();
    let (_, refused) = lab.get(&published("one-too-many", 1).0);
    let busy = crate::Error::Busy { what: "waiting_calls".into() };
    assert_eq!(answer(refused), Some(Err(busy)));
    // What needs no waiting is answered all the same.
    let (_, metadata) = lab.ask(|reply| Command::Metadata { reply });
    assert!(answer(metadata).unwrap().is_ok());
    lab.engine.cancel(waiting[0].0);
    let (_, accepted) = lab.get(&published("fits", 1).0);
    assert_eq!(answer(accepted), None);
}

#[test]
fn a_shutdown_answers_everybody_and_nothing_is_begun_after_it() {
    let mut lab = Lab::new(Config::new());
    let waiting: Vec<_> =
        (0..100).map(|n| lab.get(&published(&format!("package-{n}"), 1).0)).collect();
    lab.engine.shut_down();
    for (_, waiting) in waiting {
        assert_eq!(answer(waiting), Some(Err(crate::Error::ShuttingDown)));
    }
    let (_, late) = lab.get(&published("late", 1).0);
    assert_eq!(answer(late), Some(Err(crate::Error::ShuttingDown)));
    assert!(lab.actions().is_empty());
}

#[test]
fn a_change_is_signed_once_and_answered_when_every_put_has_ended() {
    let mut lab = Lab::new(Config::new());
    let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
    let (_, mut waiting) =
        lab.ask(|reply| Command::Register { manifest: Box::new(manifest), reply });
    // What an earlier life of this node may have published is looked up first.
    let [recall] = lab.lookups()[..] else { panic!("one lookup") };
    lab.end(recall, 5);
    let puts: Vec<QueryKey> = lab
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Put { query, .. } => Some(query),
            _ => None,
        })
        .collect();
    assert_eq!(puts.len(), 3, "the release, the claim and the head");
    for (query, replicas) in puts.iter().zip([7, 4, 9]) {
        assert!((&mut waiting).now_or_never().is_none());
        let end = QueryEnd::Stored { replicas };
        lab.learn(Fact::QueryEnded { query: *query, end });
    }
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.sequence, receipt.replicas), (1, 4));
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_change_that_is_signed_stands_when_its_time_is_up_or_its_caller_gone() {
    let mut lab = Lab::new(Config::new());
    for (name, cancelled) in [("kept", false), ("dropped", true)] {
        let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
        let (ticket, waiting) =
            lab.ask(|reply| Command::Register { manifest: Box::new(manifest), reply });
        let [recall] = lab.lookups()[..] else { panic!("one lookup") };
        lab.end(recall, 1);
        if cancelled {
            drop(waiting);
            lab.engine.cancel(ticket);
        } else {
            lab.advance(Duration::from_secs(30));
            let receipt = answer(waiting).unwrap().unwrap();
            assert_eq!((receipt.sequence, receipt.replicas), (1, 0));
        }
        let (_, package) = lab.get(&PackageId::named(name.parse().unwrap()));
        assert_eq!(answer(package).unwrap().unwrap().source, Source::Own);
    }
}

#[test]
fn what_is_read_or_announced_can_be_read_without_the_node_until_it_lapses() {
    let mut lab = Lab::new(Config::new().with_cache_ttl(Duration::from_secs(5)));
    let (id, head) = published("tool", 1);
    assert_eq!(lab.on_shelf(&id), None);
    let now = lab.now();
    lab.engine.hear(now, "announcements", head.bytes());
    assert_eq!(lab.on_shelf(&id).unwrap().source, Source::Cache);
    assert_eq!(lab.on_shelf(&id.clone().with_version("1.0.0".parse().unwrap())), None);
    // Nobody polls the engine meanwhile.
    lab.mono += Duration::from_secs(5);
    assert_eq!(lab.on_shelf(&id), None);
}

#[test]
fn what_is_replaced_or_withdrawn_leaves_the_shelf_at_once() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let (id, first) = published_by(&keypair, "tool", 1);
    let now = lab.now();
    lab.engine.hear(now, "announcements", first.bytes());
    for sequence in 2..4 {
        let (_, next) = published_by(&keypair, "tool", sequence);
        lab.engine.hear(now, "announcements", next.bytes());
        assert_eq!(lab.on_shelf(&id).unwrap().sequence, sequence);
    }
    // A newer one that a peer has put here is not what was read: it has to be asked for.
    let (_, stored) = published_by(&keypair, "tool", 4);
    lab.engine.store.insert(&stored.key(), stored.bytes()).unwrap();
    lab.engine.learn_stored();
    assert_eq!(lab.on_shelf(&id), None);

    let owner = keypair.public().to_peer_id();
    let (network, name) = (crate::NetworkName::default(), id.name().clone());
    let validity = Validity::starting(UNIX - 60, 3600);
    let (_, live) = published_by(&keypair, "tool", 5);
    lab.engine.hear(now, "announcements", live.bytes());
    assert!(lab.on_shelf(&id).is_some());
    let gone = Head::withdrawn(network, owner, name, Revision::new(0, 6), validity, "");
    let gone = Signed::sign(&keypair, gone).unwrap();
    lab.engine.hear(now, "announcements", gone.bytes());
    assert_eq!(lab.on_shelf(&id), None);
}

#[test]
fn own_packages_stand_on_the_shelf_by_both_names_until_they_are_withdrawn() {
    let mut lab = Lab::untouched(Config::new());
    let name: PackageName = "mine".parse().unwrap();
    let ids = [PackageId::named(name.clone()), PackageId::owned(lab.engine.local, name.clone())];
    let manifest = Manifest::new(name.clone(), "1.0.0".parse().unwrap());
    let (_, _receipt) = lab.ask(|reply| Command::Register { manifest: Box::new(manifest), reply });
    for id in &ids {
        assert_eq!(lab.on_shelf(id).unwrap().source, Source::Own);
    }
    let (_, _receipt) = lab.ask(|reply| Command::Unregister { name, reply });
    for id in &ids {
        assert_eq!(lab.on_shelf(id), None);
    }
    assert_eq!(lab.shelf.len(), 0);
}

#[test]
fn the_shelf_is_no_larger_than_what_the_engine_keeps_and_empty_when_it_ends() {
    let limits = Limits::new().with_cache_records(3);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let now = lab.now();
    for n in 0..20 {
        let (_, head) = published(&format!("package-{n}"), 1);
        lab.engine.hear(now, "announcements", head.bytes());
        assert!(lab.shelf.len() <= 3);
    }
    assert_eq!(lab.shelf.len(), 3);
    let Lab { engine, shelf, .. } = lab;
    drop(engine);
    assert_eq!(shelf.len(), 0);
}

#[test]
fn what_was_not_found_a_moment_ago_is_not_asked_for_again_unless_it_appears() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, first) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.end(query, 3);
    assert_eq!(answer(first).unwrap().unwrap_err().kind(), "not_found");
    let (_, again) = lab.get(&id);
    assert_eq!(answer(again).unwrap().unwrap_err().kind(), "not_found");
    assert!(lab.lookups().is_empty());

    // It is announced.
    let now = lab.now();
    lab.engine.hear(now, "announcements", head.bytes());
    let (_, found) = lab.get(&id);
    assert!(answer(found).unwrap().is_ok());

    // Or some time goes by.
    let (other, _) = published("other", 1);
    let (_, first) = lab.get(&other);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.end(query, 3);
    assert!(answer(first).unwrap().is_err());
    lab.advance(Duration::from_secs(2));
    let (_, _again) = lab.get(&other);
    assert_eq!(lab.lookups().len(), 1);
}
