//! What the fuzz targets drive that is no part of the interface. It exists only where `cargo fuzz` builds.

pub mod exchange;
#[cfg(feature = "mdns")]
pub mod mdns;
pub mod wire;

use std::{fmt, time::Duration};

use libp2p::{PeerId, identity::Keypair};

use crate::{
    clock::Entropy,
    config::Config,
    engine::{
        Engine, Now, SharedStore, Verdict,
        command::{Command, Reply, Request},
        dht::{Records as _, message::Value},
        tests::random,
        wheel::model,
    },
    event::Event,
    node::dht::Kept,
    shelf::Shelf,
    ticket::Ticket,
};

/// Lets the bytes decide what callers, peers and clocks do to an engine, and panics where it breaks a promise: every
/// call is answered once and in time, with nothing older than was seen, and nothing is retained.
pub fn engine(bytes: &[u8]) {
    random::drive(bytes);
}

/// Lets the bytes decide what is done to a timer wheel, and panics where it disagrees with an ordered map.
pub fn wheel(mut bytes: &[u8]) {
    const TICKS: [u64; 4] = [10_000_000, 1, 977_000, 1_000_000_000];
    let Some((first, rest)) = bytes.split_first() else { return };
    bytes = rest;
    let tick = TICKS[usize::from(*first) % TICKS.len()];
    let mut model = model::Model::new(Duration::from_nanos(tick));
    while let Some(step) = model::Step::read(&mut bytes) {
        model.step(step);
    }
    model.finish();
}

/// The record store of a node as its peers reach it.
#[derive(Debug)]
pub struct Store {
    store: SharedStore,
}

impl Store {
    /// The store of a node of this identity. `now` is in Unix seconds.
    #[must_use]
    pub fn new(local: PeerId, config: &Config, now: u64) -> Self {
        Self { store: SharedStore::new(local, config, now) }
    }

    /// Whether what a peer puts under a key is kept.
    pub fn put(&mut self, peer: PeerId, key: &[u8], value: &[u8]) -> bool {
        let mut kept = Kept::new(self.store.clone());
        kept.hear(peer);
        kept.put(&Value { key: key.into(), bytes: value.into() })
    }

    /// What a peer is answered that asks for a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        Kept::new(self.store.clone()).get(key)
    }

    /// Lets it be this time, in Unix seconds.
    pub fn set_time(&self, now: u64) {
        self.store.set_time(now);
    }

    /// Does what a node does now and then: drops what has expired, and takes what is to be put to others again.
    pub fn sweep(&self) {
        self.store.sweep(usize::MAX);
        self.store.take_due(usize::MAX);
        while self.store.next_fact().is_some() {}
    }

    /// How many records it holds.
    #[must_use]
    pub fn records(&self) -> usize {
        self.store.len()
    }
}

/// What is to become of a message that a peer forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is valid, and relayed.
    Accepted,
    /// It is not relayed, and nobody is to blame.
    Ignored,
    /// It is not relayed, and whoever sent it is to blame.
    Rejected,
}

/// An engine that listens to announcements and to one topic.
pub struct Listener {
    engine: Engine,
    now: Now,
}

impl Listener {
    /// The topic that it listens to, besides announcements.
    pub const TOPIC: &str = "topic";

    /// An engine of this identity. `now` is in Unix seconds.
    #[must_use]
    pub fn new(keypair: Keypair, config: Config, now: u64) -> Self {
        let now = Now { mono: Duration::ZERO, unix: now };
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, now.unix);
        let mut engine = Engine::new(keypair, config, store, Box::new(NoEntropy), Shelf::default());
        engine.start(now);
        engine.begin(now);
        engine.begin_network(now);
        // Nobody waits for the answer, but who has gone away is not listened to.
        let (reply, _answer) = Reply::channel();
        let command = Command::Subscribe { topic: Self::TOPIC.to_owned(), reply };
        let (ticket, asked, deadline) = (Ticket(0), now.mono, Duration::MAX);
        engine.command(now, Request { ticket, asked, deadline, command });
        Self { engine, now }
    }

    /// What becomes of a head that is announced, and the events that it makes.
    pub fn announcement(&mut self, bytes: &[u8]) -> (Heard, Vec<Event>) {
        self.hear(&Config::new().announcements_topic, bytes)
    }

    /// What becomes of a message on the topic, and the events that it makes.
    pub fn message(&mut self, bytes: &[u8]) -> (Heard, Vec<Event>) {
        self.hear(Self::TOPIC, bytes)
    }

    fn hear(&mut self, topic: &str, bytes: &[u8]) -> (Heard, Vec<Event>) {
        let heard = match self.engine.hear(self.now, topic, bytes) {
            Verdict::Accept => Heard::Accepted,
            Verdict::Ignore => Heard::Ignored,
            Verdict::Reject => Heard::Rejected,
        };
        (heard, std::iter::from_fn(|| self.engine.next_event()).collect())
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("now", &self.now).finish_non_exhaustive()
    }
}

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(128);
    }
}
