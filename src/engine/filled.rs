//! An engine without a node, which a test fills up to its bounds. No part of the interface.

use std::{fmt, time::Duration};

use libp2p::{PeerId, identity::Keypair};

use super::Engine;
use crate::{
    clock::Entropy,
    config::Config,
    engine::{
        interface::{Now, Verdict},
        store::SharedStore,
    },
    record::RecordKey,
    shelf::Shelf,
};

/// An engine to fill, at a time that stands still.
pub struct Filled {
    engine: Engine,
    store: SharedStore,
    now: Now,
}

impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filled").field("now", &self.now).finish_non_exhaustive()
    }
}

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(128);
    }
}

impl Filled {
    /// An engine that is empty, at this time in Unix seconds.
    #[must_use]
    pub fn new(config: Config, unix: u64) -> Self {
        let keypair = Keypair::generate_ed25519();
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, unix);
        let entropy = Box::new(NoEntropy);
        let engine = Engine::new(keypair, config, store.clone(), entropy, Shelf::default());
        let now = Now { mono: Duration::from_secs(100), unix };
        Self { engine, store, now }
    }

    /// Hears an announcement. Tells whether it would be relayed.
    pub fn hear(&mut self, topic: &str, data: &[u8]) -> bool {
        let relayed = self.engine.hear(self.now, topic, data) == Verdict::Accept;
        self.settle();
        relayed
    }

    /// As [`hear`](Self::hear), of an announcement that this peer forwarded.
    pub fn hear_from(&mut self, peer: PeerId, topic: &str, data: &[u8]) -> bool {
        let from = Some(peer);
        let relayed = self.engine.hear_from(self.now, from, topic, data) == Verdict::Accept;
        self.settle();
        relayed
    }

    /// Is sent a record. Tells whether it is held.
    pub fn put(&mut self, key: &RecordKey, bytes: &[u8]) -> bool {
        let held = self.store.insert(key, bytes).is_ok();
        self.engine.learn_stored();
        self.settle();
        held
    }

    /// As [`put`](Self::put), of a record that this peer sends.
    pub fn put_by(&mut self, peer: PeerId, key: &RecordKey, bytes: &[u8]) -> bool {
        self.store.request(peer);
        self.store.speak(peer);
        let held = self.store.offer(key.as_ref(), bytes).is_ok();
        self.store.fall_silent();
        self.engine.learn_stored();
        self.settle();
        held
    }

    /// Whoever polls the node has taken what came of it.
    fn settle(&mut self) {
        while self.engine.next_event().is_some() {}
        while self.engine.next_action().is_some() {}
    }
}
