//! Which connections stay: those that are worth most, as many as are wanted.

use crate::engine::Lacking;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::PeerId;

use super::{Candidate, GRACE, above_target, for_newcomer, keep_catalogues};
use crate::{
    connections::{ConnectedPeer, KeptConnections, KeptFor},
    engine::{
        context::Context, deadlines::Deadline, effects::Effects, interface::Action, peers::Peering,
    },
    event::Direction,
};

/// Where some may go soon, or places get scarce, gossip is asked again after this time who is of use to it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What other rooms know of a connected peer, as far as its connection is worth more or less for it.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Regard {
    /// How it stands, from 0 to 100.
    pub(in crate::engine) score: u8,
    /// Whether it knows of packages that matter here.
    pub(in crate::engine) shares_catalogue: bool,
    /// Whether the catalogue is being compared with its own.
    pub(in crate::engine) is_compared: bool,
}

/// That of everybody who is connected.
pub(in crate::engine) type Regards = HashMap<PeerId, Regard>;

/// Who goes where there are more connections than are wanted.
#[derive(Debug)]
#[must_use]
pub(in crate::engine) struct Surplus {
    pub(in crate::engine) gone: Vec<PeerId>,
    /// Whether others may go once they have had their time, or the answer that is waited for has come. If not, all of them
    /// stay until somebody comes.
    pub(in crate::engine) may_go_on: bool,
}

impl Peering {
    /// Somebody has come, or something has changed. Once there are too many, some are let go when all of them have had
    /// their time.
    pub(in crate::engine) fn trim_later(&mut self, cx: &Context, out: &mut Effects) {
        // Not before: who came a moment ago may be the one that is worth most.
        self.trim_after(cx, out, GRACE);
    }

    /// Some may go soon.
    pub(in crate::engine) fn trim_again(&mut self, cx: &Context, out: &mut Effects) {
        self.trim_after(cx, out, LOOK_AGAIN);
    }

    fn trim_after(&mut self, cx: &Context, out: &mut Effects, pause: Duration) {
        if cx.closed || self.peers.waits_to_trim() || !self.is_above_target(cx) {
            return;
        }
        out.wheel.insert(cx.now().mono.saturating_add(pause), Deadline::Trim);
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

    /// Gossip has said who is of use to it.
    pub(in crate::engine) fn surplus(
        &mut self,
        cx: &Context,
        out: &Effects,
        mesh: HashSet<PeerId>,
        regards: &Regards,
    ) -> Surplus {
        self.peers.in_mesh(cx.now().mono, mesh);
        let all = self.candidates(cx, out, regards);
        let may_go_later = |it: &Candidate| it.is_new() || it.kept_for == KeptFor::InUse;
        let may_go_on = all.iter().any(may_go_later);
        Surplus { gone: above_target(all, cx.connection_target()), may_go_on }
    }

    /// Somebody has come, or was turned away for want of such places. Of which there are too few, if somebody is to go for
    /// that.
    pub(in crate::engine) fn seek_room(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        lacking: Lacking,
    ) -> Option<Lacking> {
        let now = cx.now();
        self.hurry_goodbyes(cx, out);
        let free = cx.config.limits.scarce_places();
        if self.lacking(cx, 2 * free) != Lacking::Nothing
            && self.peers.asks_for_mesh(now.mono, LOOK_AGAIN)
        {
            out.actions.push_back(Action::TellMesh);
        }
        let lacking = lacking.max(self.lacking(cx, free));
        (lacking != Lacking::Nothing && self.peers.may_make_room(now.mono)).then_some(lacking)
    }

    /// The one that is worth least, where nobody else could come otherwise.
    pub(in crate::engine) fn for_newcomer(
        &self,
        cx: &Context,
        out: &Effects,
        lacking: Lacking,
        regards: &Regards,
    ) -> Option<PeerId> {
        let mut all = self.candidates(cx, out, regards);
        if lacking == Lacking::Inbound {
            // Nobody else takes such a place.
            all.retain(|candidate| candidate.direction == Direction::Inbound);
        }
        for_newcomer(&all)
    }

    /// What the connections are kept for. Those that are about to end are kept for nothing.
    pub(in crate::engine) fn kept_connections(
        &self,
        cx: &Context,
        out: &Effects,
        regards: &Regards,
    ) -> KeptConnections {
        let staying = self.candidates(cx, out, regards);
        let going = self.peers.len().saturating_sub(staying.len());
        let staying = staying.into_iter().map(|candidate| candidate.kept_for);
        KeptConnections::of(staying.chain(std::iter::repeat_n(KeptFor::Nothing, going)))
    }

    /// Everybody who is connected, whether they stay or not, and what for.
    pub(in crate::engine) fn list(
        &self,
        cx: &Context,
        out: &Effects,
        regards: &Regards,
    ) -> Vec<ConnectedPeer> {
        let mut peers = self.peers.list(cx.now().mono);
        let candidates = self.candidates(cx, out, regards).into_iter();
        let kept_for: HashMap<PeerId, KeptFor> =
            candidates.map(|candidate| (candidate.peer, candidate.kept_for)).collect();
        for shown in &mut peers {
            // Those that are being let go are kept for nothing.
            shown.kept_for = kept_for.get(&shown.peer).copied().unwrap_or_default();
        }
        peers
    }

    /// What each connection is worth that is not about to end.
    fn candidates(&self, cx: &Context, out: &Effects, regards: &Regards) -> Vec<Candidate> {
        let score = |peer: &PeerId| regards.get(peer).map_or(0, |regard| regard.score);
        let mut all = self.peers.candidates(cx.local, cx.now().mono, score);
        keep_catalogues(&mut all, |peer| {
            regards.get(peer).is_some_and(|regard| regard.shares_catalogue)
        });
        for candidate in &mut all {
            let peer = &candidate.peer;
            let is_compared = regards.get(peer).is_some_and(|regard| regard.is_compared);
            if is_compared || out.questions.is_asked(peer) || self.dials.is_awaited(peer) {
                candidate.kept_for = KeptFor::InUse;
            } else if self.rejoining.is_contact(peer) && candidate.direction == Direction::Outbound
            {
                candidate.kept_for = candidate.kept_for.min(KeptFor::Application);
            }
        }
        all
    }

    /// Where newcomers come faster than goodbyes are heard, those that are being let go have no time to hear theirs.
    pub(in crate::engine) fn hurry_goodbyes(&mut self, cx: &Context, out: &mut Effects) {
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
