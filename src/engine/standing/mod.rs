//! The conduct of peers and owners, and what follows from it.
//!
//! This room judges. What is done about a peer is the business of others: they are told by a [`Consequence`].

use std::time::Duration;

use libp2p::PeerId;

use crate::{
    config::Limits,
    engine::context::Context,
    record::{EquivocationProof, Head, Rejected, Signed},
    reputation::Reputation,
    storage::{Change, Row},
};

use equivocations::Equivocations;
use gossip_budget::{GossipBudget, Intake};
use reputation::Reputations;

pub(in crate::engine) mod equivocations;
pub(in crate::engine) mod gossip_budget;
pub(in crate::engine) mod reputation;

pub(in crate::engine) use reputation::Consequence;

/// The room of conduct.
#[derive(Debug)]
pub(in crate::engine) struct Standing {
    reputations: Reputations,
    equivocations: Equivocations,
    gossip_budget: GossipBudget,
}

impl Standing {
    pub(in crate::engine) fn new(limits: &Limits) -> Self {
        Self {
            reputations: Reputations::new(limits.remembered_peers),
            equivocations: Equivocations::default(),
            gossip_budget: GossipBudget::new(limits),
        }
    }

    /// From here on it is this late, on the monotonic scale.
    pub(in crate::engine) fn set_time(&mut self, now: Duration) {
        self.reputations.set_time(now);
    }

    pub(in crate::engine) fn note_changes(&mut self) {
        self.reputations.note_changes();
    }

    /// Takes the rows that are to be written now: they go along with others.
    pub(in crate::engine) fn take_changes(&mut self, cx: &Context, changes: &mut Vec<Change>) {
        self.reputations.take_changes(cx.now(), changes);
    }

    pub(in crate::engine) fn settle_changes(&mut self, is_written: bool) {
        self.reputations.settle_changes(is_written);
    }

    /// Takes in what an earlier life has seen of peers. Tells which rows mean nothing.
    pub(in crate::engine) fn restore(&mut self, cx: &Context, rows: &[Row]) -> Vec<Change> {
        self.reputations.restore(cx.now(), rows)
    }

    /// A connection stands: gossip is told how the peer stands, if it would not guess.
    pub(in crate::engine) fn connected(&mut self, peer: &PeerId) {
        self.reputations.retell(peer, true);
    }

    /// A peer has served, or handed over, what no honest peer does.
    pub(in crate::engine) fn invalid(&mut self, peer: PeerId) {
        self.reputations.invalid(peer);
    }

    /// A peer has sent what is refused. Where an honest one may send it, too, it says nothing of its conduct.
    pub(in crate::engine) fn hold_against(&mut self, peer: PeerId, rejected: &Rejected) {
        if !rejected.is_excusable() {
            self.invalid(peer);
        }
    }

    /// A peer could not be reached, or did not have what it had acknowledged.
    pub(in crate::engine) fn failed(&mut self, peer: PeerId) {
        self.reputations.failed(peer);
    }

    pub(in crate::engine) fn reputation(&self, peer: &PeerId) -> Reputation {
        self.reputations.get(peer)
    }

    /// How a peer stands, from 0 to 100.
    pub(in crate::engine) fn score(&self, peer: &PeerId) -> u8 {
        self.reputations.score(peer)
    }

    /// Puts those in the best standing first. Equals keep their order.
    pub(in crate::engine) fn rank(&self, peers: &mut [PeerId]) {
        self.reputations.rank(peers);
    }

    /// A peer has forwarded a message that is not known yet.
    pub(in crate::engine) fn forwarded(&mut self, now: Duration, by: PeerId) -> Intake {
        self.gossip_budget.forwarded(now, by)
    }

    /// Whether a verified message of this author is believed and relayed.
    pub(in crate::engine) fn said(&mut self, now: Duration, author: PeerId, is_new: bool) -> bool {
        self.gossip_budget.said(now, author, is_new)
    }

    /// A head has come of a package. What it settles of proofs stands no longer.
    pub(in crate::engine) fn supersede(&mut self, head: &Signed<Head>) {
        self.equivocations.supersede(head);
    }

    /// The proofs that stand.
    pub(in crate::engine) fn proofs(&self) -> Vec<EquivocationProof> {
        self.equivocations.list()
    }
}

#[cfg(test)]
impl Standing {
    pub(in crate::engine) fn reputations(&self) -> &Reputations {
        &self.reputations
    }

    pub(in crate::engine) fn reputations_mut(&mut self) -> &mut Reputations {
        &mut self.reputations
    }

    pub(in crate::engine) fn equivocations(&self) -> &Equivocations {
        &self.equivocations
    }
}
