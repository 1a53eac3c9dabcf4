//! What is seen of the conduct of peers and owners, and what is done about it.

use std::time::Duration;

use libp2p::PeerId;

use crate::{
    engine::{Engine, standing::Consequence},
    event::Event,
    farewell::Farewell,
    record::{EquivocationProof, Head, Record, RecordKey, Signed},
};

impl Engine {
    /// A peer has answered a lookup with a valid copy, so long after the lookup began.
    pub(in crate::engine) fn credit(&mut self, peer: PeerId, record: &Record, after: Duration) {
        let address = self.peers.connection(&peer).map(|(address, _)| address);
        self.standing.credit(peer, address, record, after);
    }

    /// Draws the conclusions from what has been seen since the last time.
    pub(in crate::engine) fn judge(&mut self) {
        while let Some(consequence) = self.standing.next_consequence() {
            match consequence {
                Consequence::Tell { peer, score } => {
                    self.peers.tell_score(&mut self.out, peer, score);
                }
                Consequence::Block { peer, score, until } => self.block(peer, score, until),
            }
        }
    }

    /// What the passing of time has changed, gossip is told for those who are connected.
    pub(in crate::engine) fn retell_reputations(&mut self) {
        self.standing.retell(&self.peers.ids());
        self.judge();
    }

    /// Ends the connections with a peer, and refuses new ones for a while.
    fn block(&mut self, peer: PeerId, score: u8, until: Duration) {
        if self.peers.block(&self.cx, &mut self.out, peer, until) {
            tracing::debug!(%peer, score, "blocked");
            self.let_go(peer, Farewell::Blocked);
            self.out.events.push_back(Event::PeerBlocked { peer, score });
        }
    }

    /// Tells of a proof that an owner has signed two histories, unless it is known or settled.
    pub(in crate::engine) fn expose(&mut self, proof: EquivocationProof) {
        let own = self.publishing.head_in_force(proof.name());
        self.standing.expose(&mut self.out, proof, own);
    }

    /// Holds a head that has been verified against another one of its package.
    pub(in crate::engine) fn confront(&mut self, known: &Signed<Head>, head: &Signed<Head>) {
        let own = self.publishing.head_in_force(&head.name);
        self.standing.confront(&self.cx, &mut self.out, known, head, own);
    }

    /// Holds a head that has been verified against those that are known of its package here.
    pub(in crate::engine) fn confront_known(&mut self, key: &RecordKey, head: &Signed<Head>) {
        let own = self.publishing.head_in_force(&head.name);
        let cached = self.reading.cached_head(self.cx.now(), key);
        self.standing.confront_known(&self.cx, &mut self.out, key, head, own, cached);
    }
}
