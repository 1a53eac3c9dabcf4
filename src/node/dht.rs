//! What the DHT's machine is told, and what it answers for this node.

use libp2p::PeerId;

use super::{fetches::Waiting, link::Link};
use crate::{
    engine::{
        Hearing, Now, SharedStore,
        dht::{
            Records,
            message::{Failure, Request, Value},
        },
    },
    event::Direction,
    net::kad,
    record::{MAX_RECORD_BYTES, RecordKey},
};

impl Link {
    pub(super) fn learn_dht(&mut self, now: Now, event: kad::Event) {
        match event {
            kad::Event::Asked { asked, peer, request } => self.hear(asked, peer, request),
            // It is about to be blocked.
            kad::Event::Answered { request, peer, .. } if self.wiring.muted.contains(&peer) => {
                self.dht.failed(now.mono, request, Failure::Gone);
            }
            kad::Event::Answered { request, peer, response } => {
                if !self.engine.is_introduced(&peer) && !self.dht.is_seated(&peer) {
                    self.seat_who_answered(now, peer);
                }
                self.dht.answered(now.mono, request, response);
            }
            kad::Event::Dropped { peer, messages } => {
                if self.store.charge(peer, messages) == Hearing::Closed {
                    self.let_go_of(peer);
                }
            }
            kad::Event::Failed { request, why, .. } => self.dht.failed(now.mono, request, why),
        }
    }

    /// A peer that was dialed and has answered can be found where it was reached, whether or not it introduces itself.
    fn seat_who_answered(&mut self, now: Now, peer: PeerId) {
        if let Some((address, Direction::Outbound)) = self.engine.connection_with(&peer)
            && !self.engine.is_blocked(&peer)
        {
            let address = address.clone();
            self.seat(now, peer, &address, vec![address.clone()]);
        }
    }

    /// A peer asks something. What it needs from the storage is read first.
    fn hear(&mut self, asked: kad::InboundId, peer: PeerId, request: Request) {
        if self.wiring.muted.contains(&peer) {
            return;
        }
        let request = match self.store.request(peer) {
            Hearing::Closed => return self.let_go_of(peer),
            Hearing::Unserved => request,
            Hearing::Served => return self.serve_in_time(asked, peer, request),
        };
        self.serve(asked, peer, request);
    }

    /// Serves a peer, once what its request needs has been read from the storage. If too many wait, it is served as if nothing
    /// could be read.
    pub(super) fn serve_in_time(&mut self, asked: kad::InboundId, peer: PeerId, request: Request) {
        let is_judged = matches!(request, Request::PutValue(_)) && self.store.awaits_sequences();
        let away = away(&self.store, &request);
        let waiting = Waiting::Peer { asked, peer, request };
        let ready = match away {
            _ if is_judged => self.fetches.hold_back(waiting),
            Some(digest) => self.fetches.wait(digest, waiting),
            None => Some(waiting),
        };
        if let Some(Waiting::Peer { asked, peer, request }) = ready {
            self.serve(asked, peer, request);
        }
    }

    /// Answers what a peer asks.
    pub(super) fn serve(&mut self, asked: kad::InboundId, peer: PeerId, request: Request) {
        if self.wiring.muted.contains(&peer) {
            return;
        }
        let mut records = Kept::new(self.store.clone());
        records.speak(peer);
        let response = self.dht.serve(&peer, request, &mut records);
        self.swarm.behaviour_mut().kad.answer(asked, response);
    }

    fn let_go_of(&mut self, peer: PeerId) {
        tracing::debug!(%peer, "sends too much");
        self.disconnect(peer);
    }
}

/// The digest of the key of the record that a request needs, if it lies in the storage alone.
fn away(store: &SharedStore, request: &Request) -> Option<[u8; 32]> {
    let key: &[u8] = match request {
        Request::GetValue { key } => key,
        // What is too large for a record is refused, whatever is held.
        Request::PutValue(value) if value.bytes.len() <= MAX_RECORD_BYTES => &value.key,
        Request::PutValue(_) => return None,
        Request::FindNode { .. } | Request::GetProviders { .. } | Request::Ping => return None,
    };
    let key = RecordKey::try_from(key).ok()?;
    store.is_away(&key).then(|| key.digest())
}

/// The engine's record store as peers reach it.
#[derive(Debug)]
pub(crate) struct Kept {
    store: SharedStore,
}

impl Kept {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store }
    }

    /// A peer speaks: what follows is on its account, until this is dropped.
    fn speak(&mut self, peer: PeerId) {
        self.store.speak(peer);
    }

    /// A peer asks something, which follows.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn hear(&mut self, peer: PeerId) -> Hearing {
        self.store.hear(peer)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.store.fall_silent();
    }
}

impl Records for Kept {
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let key = RecordKey::try_from(key).ok()?;
        if !self.store.serves() {
            return None;
        }
        let (bytes, _) = self.store.bytes(&key)?;
        Some(bytes)
    }

    fn put(&mut self, value: &Value) -> bool {
        self.store.offer(&value.key, &value.bytes).is_ok()
    }
}
