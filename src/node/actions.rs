//! What the engine and the DHT decide, carried out on the Swarm.

use libp2p::PeerId;

use super::{fetches::Waiting, link::Link};
use crate::{
    engine::{Action, Breadth, Fact, Now, QueryKey, dht::Effect},
    record::RecordKey,
};

impl Link {
    /// Carries out every action that the engine has decided, and what the DHT wants done. What is known at once goes back
    /// as a fact. Tells whether there were any.
    ///
    /// The engine's actions come first: an answer that it is told may end a lookup that would ask more peers.
    pub(super) fn carry_out(&mut self, now: Now) -> bool {
        let mut acted = false;
        loop {
            if let Some(action) = self.engine.next_action() {
                self.perform(now, action);
            } else if let Some(effect) = self.dht.next_effect(now.mono) {
                self.affect(now, effect);
            } else {
                return acted;
            }
            // Behaviours rely on being polled after they were touched.
            self.bell.keep_rung();
            acted = true;
        }
    }

    fn perform(&mut self, now: Now, action: Action) {
        match action {
            Action::Get { query, key, breadth } => {
                self.look_up(now, query, key, breadth);
            }
            Action::Approach { key } => self.dht.approach(now.mono, &key),
            Action::Put { query, key, bytes } => self.dht.put(now.mono, query, &key, &bytes),
            Action::Repair { query, key, bytes, peers } => {
                self.dht.put_to(now.mono, query, &key, &bytes, peers);
            }
            Action::Bootstrap { query } => self.dht.bootstrap(now.mono, query),
            Action::Finish { query } => self.finish(now, query),
            Action::Publish { id, topic, data } => {
                let outcome = self.publish(&topic, data);
                self.engine.learn(now, Fact::Published { id, outcome });
            }
            Action::Subscribe { topic } => self.subscribe(&topic),
            Action::Unsubscribe { topic } => self.unsubscribe(&topic),
            Action::Dial { ticket, peer, addresses } => {
                self.dial_for_caller(now, ticket, peer, addresses);
            }
            Action::DialBootstrap { address } => self.dial_bootstrap(now, address),
            Action::Redial { peer, addresses } => self.redial(now, peer, addresses),
            Action::DialTold { peer, addresses, over } => {
                self.dial_told(now, peer, addresses, &over);
            }
            Action::DialDiscovered { peer, addresses } => {
                self.dial_discovered(now, peer, addresses);
            }
            Action::Ask { question, peer, request } => self.ask(now, question, peer, request),
            Action::Answer { asked, response } => self.answer(asked, response),
            Action::Goodbye { question, peer, farewell } => {
                self.say_goodbye(now, question, peer, farewell);
            }
            Action::TellMesh => self.engine.learn(now, Fact::Mesh { peers: self.mesh() }),
            Action::Disconnect { peer } => self.disconnect(peer),
            Action::Mute { peer } => self.mute(peer),
            Action::Block { peer } => self.block(peer),
            Action::Unblock { peer } => self.unblock(peer),
            Action::Score { peer, score } => {
                self.swarm.behaviour_mut().set_application_score(&peer, score);
            }
        }
    }

    /// Carries out what the DHT wants done.
    fn affect(&mut self, now: Now, effect: Effect) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        match effect {
            Effect::Ask { request, peer, message } => kad.ask(request, peer, message),
            Effect::Cancel { request } => kad.cancel(request),
            Effect::Dial { peer, addresses } => self.dial_for_dht(now, peer, addresses),
            Effect::Tell(fact) => self.engine.learn(now, fact),
        }
    }

    fn look_up(&mut self, now: Now, query: QueryKey, key: RecordKey, breadth: Breadth) {
        if self.store.awaits_sequence_of(&key) {
            // What it would find could not be judged.
            self.fetches.hold_back(Waiting::Lookup { query, key, breadth });
            return;
        }
        if !self.store.is_away(&key) {
            return self.begin_lookup(now, query, &key, breadth);
        }
        let waiting = Waiting::Lookup { query, key, breadth };
        if self.fetches.wait(key.digest(), waiting).is_some() {
            self.begin_lookup(now, query, &key, breadth);
        }
    }

    /// A lookup begins with what this node holds itself.
    fn begin_lookup(&mut self, now: Now, query: QueryKey, key: &RecordKey, breadth: Breadth) {
        if let Some((bytes, _)) = self.store.bytes(key) {
            self.engine.learn(now, Fact::Copy { query, from: None, bytes });
        }
        self.dht.get(now.mono, query, key, breadth);
    }

    fn finish(&mut self, now: Now, query: QueryKey) {
        self.fetches.forget(query);
        self.dht.finish(now.mono, query);
    }

    /// Goes on with what has waited for a record from the storage, which lies in memory now if it is there.
    pub(super) fn resume(&mut self, now: Now, waiting: Vec<Waiting>) {
        for waiting in waiting {
            match waiting {
                Waiting::Peer { asked, peer, request } => self.serve(asked, peer, request),
                Waiting::Lookup { query, key, breadth } => {
                    self.begin_lookup(now, query, &key, breadth);
                }
            }
            self.bell.keep_rung();
        }
    }

    /// Goes on with some of what has waited for the sequences, if they have been read. Tells whether there was any.
    pub(super) fn resume_judging(&mut self, now: Now) -> bool {
        if self.store.awaits_sequences() {
            return false;
        }
        let held_back = self.fetches.take_held_back();
        let is_any = !held_back.is_empty();
        for waiting in held_back {
            match waiting {
                Waiting::Peer { asked, peer, request } => self.serve_in_time(asked, peer, request),
                Waiting::Lookup { query, key, breadth } => self.look_up(now, query, key, breadth),
            }
            self.bell.keep_rung();
        }
        is_any
    }

    /// Hears nothing more of a peer that is about to be blocked.
    fn mute(&mut self, peer: PeerId) {
        if self.swarm.is_connected(&peer) {
            self.wiring.muted.insert(peer);
        }
        self.dht.unseat(&peer);
    }

    fn block(&mut self, peer: PeerId) {
        // Its connections are closed with that.
        self.swarm.behaviour_mut().blocked.block_peer(peer);
        self.dht.unseat(&peer);
    }

    fn unblock(&mut self, peer: PeerId) {
        self.swarm.behaviour_mut().blocked.unblock_peer(peer);
    }
}
