//! Which connections stay: those that are worth most, as many as are wanted.

use std::{collections::HashSet, time::Duration};

use libp2p::PeerId;

use crate::{
    Direction, Farewell,
    counters::LetGo,
    engine::{
        Action, Context, Deadline, Effects, Engine, Now, Peering,
        peers::{
            Candidate, GRACE, KeptConnections, KeptFor, above_target, for_newcomer, keep_catalogues,
        },
    },
};

/// Where some may go soon, or places get scarce, gossip is asked again after this time who is of use to it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Which places there are too few of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lacking {
    Nothing,
    /// Those for peers that dial this node.
    Inbound,
    Any,
}

impl Peering {
    /// Somebody has come, or something has changed. Once there are too many, some are let go when all of them have had
    /// their time.
    pub(in crate::engine) fn trim_later(&mut self, cx: &Context, out: &mut Effects, now: Now) {
        // Not before: who came a moment ago may be the one that is worth most.
        self.trim_after(cx, out, now, GRACE);
    }

    fn trim_after(&mut self, cx: &Context, out: &mut Effects, now: Now, pause: Duration) {
        if cx.closed || self.peers.waits_to_trim() || !self.is_above_target(cx) {
            return;
        }
        out.wheel.insert(now.mono.saturating_add(pause), Deadline::Trim);
        self.peers.set_waiting_to_trim(true);
    }

    fn is_above_target(&self, cx: &Context) -> bool {
        self.peers.staying_len() > cx.connection_target()
    }

    /// It is time to have fewer. Gossip is asked first who is of use to it.
    pub(in crate::engine) fn trim(&mut self, cx: &Context, out: &mut Effects) {
        self.peers.set_waiting_to_trim(false);
        if !cx.closed && self.is_above_target(cx) {
            out.actions.push_back(Action::TellMesh);
        }
    }

    /// Where newcomers come faster than goodbyes are heard, those that are being let go have no time to hear theirs.
    fn hurry_goodbyes(&mut self, cx: &Context, out: &mut Effects) {
        let (all, inbound) = (self.peers.len(), self.peers.inbound_len());
        if !cx.has_places(all, inbound, 2) {
            for peer in self.peers.going() {
                out.actions.push_back(Action::Disconnect { peer });
            }
        }
    }

    /// Which places there are not, beside those that stay, for so many others.
    fn lacking(&self, cx: &Context, others: u32) -> Lacking {
        let (all, inbound) = (self.peers.staying_len(), self.peers.staying_inbound_len());
        if !cx.has_places(all, 0, others) {
            Lacking::Any
        } else if !cx.has_places(all, inbound, others) {
            Lacking::Inbound
        } else {
            Lacking::Nothing
        }
    }
}

impl Context {
    pub(in crate::engine) fn connection_target(&self) -> usize {
        self.config.limits.granted_target() as usize
    }

    /// Whether beside so many connections, and so many of them inbound, there is room for so many others of either kind.
    fn has_places(&self, all: usize, inbound: usize, others: u32) -> bool {
        let (limits, others) = (&self.config.limits, others as usize);
        all + others <= limits.connections as usize
            && inbound + others <= limits.incoming_connections() as usize
    }
}

impl Engine {
    /// Gossip has said who is of use to it.
    pub(in crate::engine) fn mesh_told(&mut self, now: Now, mesh: HashSet<PeerId>) {
        self.peers.peers.in_mesh(now.mono, mesh);
        let all = self.candidates(now);
        // These may go once they have had their time, or the answer has come. All others stay until somebody comes.
        let may_go_later = |it: &Candidate| it.is_new() || it.kept_for == KeptFor::InUse;
        let is_over = !all.iter().any(may_go_later);
        for peer in above_target(all, self.cx.connection_target()) {
            self.let_go_of(peer, LetGo::AboveTarget);
        }
        if !is_over {
            self.peers.trim_after(&self.cx, &mut self.out, now, LOOK_AGAIN);
        }
    }

    /// Somebody has come, or was turned away: lets the one go that is worth least, where nobody else could come otherwise.
    pub(in crate::engine) fn make_room(&mut self, lacking: Lacking) {
        let now = Now { mono: self.cx.mono, unix: self.cx.unix };
        self.peers.hurry_goodbyes(&self.cx, &mut self.out);
        let free = self.cx.config.limits.scarce_places();
        if self.peers.lacking(&self.cx, 2 * free) != Lacking::Nothing
            && self.peers.peers.asks_for_mesh(now.mono, LOOK_AGAIN)
        {
            self.out.actions.push_back(Action::TellMesh);
        }
        let lacking = lacking.max(self.peers.lacking(&self.cx, free));
        if lacking == Lacking::Nothing || !self.peers.peers.may_make_room(now.mono) {
            return;
        }
        let mut all = self.candidates(now);
        if lacking == Lacking::Inbound {
            // Nobody else takes such a place.
            all.retain(|candidate| candidate.direction == Direction::Inbound);
        }
        if let Some(peer) = for_newcomer(&all) {
            self.let_go_of(peer, LetGo::ForNewcomer);
            self.peers.hurry_goodbyes(&self.cx, &mut self.out);
        }
    }

    fn let_go_of(&mut self, peer: PeerId, why: LetGo) {
        tracing::debug!(%peer, ?why, "is let go: other connections are worth more");
        self.peers.count_let_go(&mut self.out, &peer, why);
        self.let_go(peer, Farewell::NoRoom);
    }

    /// What the connections are kept for. Those that are about to end are kept for nothing.
    pub(in crate::engine) fn kept_connections(&self, now: Now) -> KeptConnections {
        let staying = self.candidates(now);
        let going = self.peers.peers.len().saturating_sub(staying.len());
        let staying = staying.into_iter().map(|candidate| candidate.kept_for);
        KeptConnections::of(staying.chain(std::iter::repeat_n(KeptFor::Nothing, going)))
    }

    /// What each connection is worth, with what other rooms know of it.
    pub(in crate::engine) fn candidates(&self, now: Now) -> Vec<Candidate> {
        let score = |peer: &PeerId| self.standing.reputations.get(peer).score();
        let mut all = self.peers.peers.candidates(self.cx.local, now.mono, score);
        keep_catalogues(&mut all, |peer| self.discovery.is_of_use(&self.cx, peer));
        let session = self.discovery.session_peer();
        for candidate in &mut all {
            let peer = &candidate.peer;
            let is_in_use = self.out.questions.is_asked(peer) || session == Some(*peer);
            if is_in_use || self.peers.dials.is_awaited(peer) {
                candidate.kept_for = KeptFor::InUse;
            } else if self.peers.rejoining.is_contact(peer)
                && candidate.direction == Direction::Outbound
            {
                candidate.kept_for = candidate.kept_for.min(KeptFor::Application);
            }
        }
        all
    }
}
