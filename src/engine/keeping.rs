//! Which connections stay: those that are worth most, as many as are wanted.

use std::collections::HashSet;

use libp2p::PeerId;

use super::{
    Action, Deadline, Engine, Now,
    peers::{Candidate, GRACE, KeptFor, above_target, for_newcomer},
};
use crate::{Direction, Farewell};

/// Places that are kept free below the limit, for those who come while somebody is being let go. A sixteenth of them.
const FREE_PART: u32 = 16;

impl Engine {
    /// Somebody has come, or something has changed. Once there are too many, some are let go when the newest of them has
    /// had its time.
    pub(super) fn trim_later(&mut self, now: Now) {
        if self.closed || self.peers.waits_to_trim() || !self.is_above_target() {
            return;
        }
        let Some(newest) = self.peers.newest() else { return };
        // Not before: who came a moment ago may be the one that is worth most.
        let due = newest.max(now.mono).saturating_add(GRACE);
        let timer = self.wheel.insert(due, Deadline::Trim);
        self.peers.trim_at(Some(timer));
    }

    fn is_above_target(&self) -> bool {
        self.peers.staying_len() > self.config.limits.connection_target as usize
    }

    /// It is time to have fewer. Gossip is asked first who is of use to it.
    pub(super) fn trim(&mut self) {
        self.peers.trim_at(None);
        if !self.closed && self.is_above_target() {
            self.actions.push_back(Action::TellMesh);
        }
    }

    /// Gossip has said who is of use to it.
    pub(super) fn mesh_told(&mut self, now: Now, mesh: HashSet<PeerId>) {
        self.peers.in_mesh(mesh);
        let target = self.config.limits.connection_target as usize;
        for peer in above_target(self.candidates(now), target) {
            self.let_go_of(peer);
        }
        self.trim_later(now);
    }

    /// Lets the one go that is worth least, where nobody else could come otherwise.
    pub(super) fn make_room(&mut self) {
        let limits = &self.config.limits;
        let free = limits.connections / FREE_PART + 1;
        let (all, inbound) = (self.peers.staying_len(), self.peers.staying_inbound_len());
        let is_full = all + free as usize > limits.connections as usize
            || inbound + free as usize > limits.incoming_connections() as usize;
        if !is_full {
            return;
        }
        let now = Now { mono: self.mono, unix: self.unix };
        if !self.peers.may_make_room(now.mono) {
            return;
        }
        if let Some(peer) = for_newcomer(&self.candidates(now)) {
            self.counters.peers.made_room += 1;
            self.let_go_of(peer);
        }
        // Who comes faster than goodbyes are heard has none.
        let (all, inbound) = (self.peers.len(), self.peers.inbound_len());
        let limits = &self.config.limits;
        if all + 2 > limits.connections as usize
            || inbound + 2 > limits.incoming_connections() as usize
        {
            for peer in self.peers.going() {
                self.actions.push_back(Action::Disconnect { peer });
            }
        }
    }

    fn let_go_of(&mut self, peer: PeerId) {
        tracing::debug!(%peer, "is let go: other connections are worth more");
        self.counters.peers.let_go += 1;
        self.let_go(peer, Farewell::NoRoom);
    }

    /// What each connection is worth, with what other rooms know of it.
    pub(super) fn candidates(&self, now: Now) -> Vec<Candidate> {
        let score = |peer: &PeerId| self.reputations.get(peer).score();
        let mut all = self.peers.candidates(self.local, now.mono, score);
        let session = self.session_peer();
        for candidate in &mut all {
            let peer = &candidate.peer;
            let is_in_use = self.questions.is_asked(peer) || session == Some(*peer);
            if is_in_use || self.dials.is_awaited(peer) {
                candidate.kept_for = KeptFor::InUse;
            } else if self.rejoining.is_contact(peer) && candidate.direction == Direction::Outbound
            {
                candidate.kept_for = candidate.kept_for.min(KeptFor::Application);
            }
        }
        all
    }
}
