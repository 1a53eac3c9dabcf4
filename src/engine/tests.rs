//! The engine alone: facts go in, actions and answers come out, and time is a number.
//!
//! The random calls and facts of [`random`] are the fuzz target `engine` as well, and what they need is compiled for it.
#![cfg_attr(fuzzing, allow(dead_code, reason = "most helpers are for the tests alone"))]

use std::{collections::BTreeSet, time::Duration};

use futures::{
    FutureExt,
    channel::{mpsc, oneshot},
};
use libp2p::{PeerId, identity::Keypair};

use super::*;
use crate::{
    clock::{Clock, Timer},
    command::{Command, Reply, Request},
    config::Limits,
    counters::Counters,
    engine::interface::{AnnouncementId, QueryEnd},
    error::Result,
    freshness::Freshness,
    package::{Manifest, Package, PackageId, PackageName},
    record::{
        Claim, ClaimSet, ClaimStatus, Head, NetworkName, Release, ReleaseEntry, Revision, Signed,
        Validity,
    },
    ticket::Ticket,
};

#[cfg(test)]
use crate::{
    engine::discovery::catalogue::{Catalogue, Load},
    error::Error,
    package::Digest,
};
#[cfg(test)]
use libp2p::Multiaddr;

#[cfg(test)]
mod announcing;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod conduct;
#[cfg(test)]
mod confirming;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod dialing;
#[cfg(test)]
mod equivocations;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod goodbyes;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod listed;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod look_alikes;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod nearby;
#[cfg(test)]
mod nearness;
#[cfg(test)]
mod news;
#[cfg(test)]
mod no_room;
#[cfg(test)]
mod owners;
pub(crate) mod random;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rejoining;
#[cfg(test)]
mod repairs;
#[cfg(test)]
mod requirements;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod said;
#[cfg(test)]
mod saving;
#[cfg(test)]
mod searches;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shelf;
#[cfg(test)]
mod sleep;
#[cfg(test)]
mod sleepers;
#[cfg(test)]
mod taken_back;
#[cfg(test)]
mod wrong_starts;

const UNIX: u64 = 2_000_000_000;

/// The monotonic time at which the calendar shows [`UNIX`].
const STARTED: Duration = Duration::from_secs(100);

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
    /// By how many seconds the calendar has left the monotonic clock.
    drift: i64,
    tickets: u64,
    hearers: Hearers,
}

/// Who hears of packages. As a node does, a lab says at once what became of an announcement.
enum Hearers {
    /// Nobody, as was said of these.
    Nobody(BTreeSet<AnnouncementId>),
    /// That is for the test to say.
    AsTold,
}

impl Hearers {
    fn nobody() -> Self {
        Self::Nobody(BTreeSet::new())
    }
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
        Self::of(Keypair::generate_ed25519(), config)
    }

    /// An engine with this key pair, which knows nobody yet.
    fn of(keypair: Keypair, config: Config) -> Self {
        let shelf = Shelf::default();
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, UNIX);
        let mut engine = Engine::new(keypair, config, store, Box::new(NoEntropy), shelf.clone());
        let mono = STARTED;
        engine.start(Now { mono, unix: UNIX });
        Self { engine, shelf, mono, drift: 0, tickets: 0, hearers: Hearers::nobody() }
    }

    fn now(&self) -> Now {
        let since = self.mono.saturating_sub(STARTED).as_secs();
        Now { mono: self.mono, unix: (UNIX + since).saturating_add_signed(self.drift) }
    }

    /// Sets the calendar, or has the machine sleep, which is the same: the monotonic clock stands still.
    fn set_calendar(&mut self, by: i64) {
        self.drift += by;
        let now = self.now();
        self.engine.begin(now);
    }

    /// What a caller is answered without the node.
    fn on_shelf(&self, id: &PackageId) -> Option<Package> {
        self.shelf.get(id, &Frozen(self.now())).map(|package| Package::clone(&package))
    }

    fn learn(&mut self, fact: Fact) {
        let now = self.now();
        self.engine.learn(now, fact);
        self.tell_unheard();
    }

    fn tell_unheard(&mut self) {
        let now = self.now();
        let Hearers::Nobody(said) = &mut self.hearers else { return };
        let topic = &self.engine.cx.config.announcements_topic;
        let heads = self.engine.out.actions.iter().filter_map(|action| match action {
            Action::Publish { id, topic: on, .. } if on == topic => Some(*id),
            _ => None,
        });
        let heads: Vec<AnnouncementId> = heads.filter(|id| said.insert(*id)).collect();
        for id in heads {
            self.engine.learn(now, Fact::Published { id, outcome: Published::Unheard });
        }
    }

    /// A peer has dialed this node.
    fn visited_by(&mut self, peer: PeerId) {
        let address = "/ip4/198.51.100.7/tcp/4001".parse().unwrap();
        let direction = crate::event::Direction::Inbound;
        self.learn(Fact::Connected { peer, address, direction });
    }

    fn ask<T>(
        &mut self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> (Ticket, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = Reply::channel();
        (self.send(command(reply)), answer)
    }

    fn send(&mut self, command: Command) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let asked = self.mono;
        let deadline = asked + Duration::from_secs(30);
        self.engine.command(self.now(), Request { ticket, asked, deadline, command });
        self.tell_unheard();
        ticket
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
        self.engine.begin_network(now);
        while self.engine.expire(now, 64) > 0 {}
        self.tell_unheard();
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
    let network = crate::record::NetworkName::default();
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

/// A peer of this network has said what it is.
fn introduced(peer: PeerId) -> Fact {
    let agent = Some("peerage".to_owned());
    Fact::Introduced { peer, agent, affiliation: Affiliation::Same }
}

fn copy(query: QueryKey, head: &Signed<Head>) -> Fact {
    Fact::Copy { query, from: Some(PeerId::random()), bytes: head.bytes().to_vec() }
}

fn answer<T>(receiver: oneshot::Receiver<Result<T>>) -> Option<Result<T>> {
    receiver.now_or_never().map(|answer| answer.expect("not dropped"))
}

fn only_lookup(lab: &mut Lab) -> QueryKey {
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    query
}

/// The lookup by which a package that is new here is recalled. Nobody claims its name.
fn only_recall(lab: &mut Lab) -> QueryKey {
    let [recall, claims] = lab.lookups()[..] else { panic!("of its head and of its claims") };
    lab.end(claims, 1);
    recall
}

/// A plain reader has read this head, so that it is remembered.
fn read_once(lab: &mut Lab, id: &PackageId, head: &Signed<Head>) {
    let (_, waiting) = lab.get(id);
    let query = only_lookup(lab);
    lab.learn(copy(query, head));
    lab.end(query, 1);
    assert!(answer(waiting).unwrap().is_ok());
}

fn two_heads(name: &str) -> (PackageId, [Signed<Head>; 2]) {
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, name, 1);
    (id, [old, published_by(&keypair, name, 2).1])
}

fn tombstone(keypair: &Keypair, id: &PackageId, sequence: u64) -> Signed<Head> {
    let head = Head::withdrawn(
        NetworkName::default(),
        *id.owner().unwrap(),
        id.name().clone(),
        Revision::new(0, sequence),
        Validity::starting(UNIX - 60, 3600),
        "gone",
    );
    Signed::sign(keypair, head).unwrap()
}

fn claims(keypairs: &[&Keypair], name: &str) -> ClaimSet {
    let network = NetworkName::default();
    let mut set = ClaimSet::empty(network.clone(), name.parse().unwrap());
    for keypair in keypairs {
        let claim = Claim::new(
            network.clone(),
            keypair.public().to_peer_id(),
            name.parse().unwrap(),
            Revision::new(0, 1),
            Validity::starting(UNIX - 60, 3600),
            ClaimStatus::Active,
        );
        set = set.with(Signed::sign(keypair, claim).unwrap(), UNIX);
    }
    set
}

fn bytes_of(query: QueryKey, bytes: Vec<u8>) -> Fact {
    Fact::Copy { query, from: Some(PeerId::random()), bytes }
}

/// The sequence that a plain reader is told, from the shelf or by the node; `None` if the network is asked.
fn told_now(lab: &mut Lab, id: &PackageId) -> Option<u64> {
    if let Some(package) = lab.on_shelf(id) {
        return Some(package.sequence);
    }
    let (_, waiting) = lab.get(id);
    match answer(waiting) {
        Some(Ok(package)) => Some(package.sequence),
        Some(Err(_)) | None => None,
    }
}
