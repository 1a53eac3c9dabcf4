//! Whom the node has broken with, for a while.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    counters::LetGo,
    engine::{
        context::Context, deadlines::Deadline, effects::Effects, interface::Action, peers::Peering,
        wheel,
    },
};

/// Peers with which no connection is made, each with the deadline that ends it.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    peers: HashMap<PeerId, wheel::Key>,
    /// In the order in which they were blocked.
    order: VecDeque<PeerId>,
}

impl Blocked {
    fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The one that has been blocked for longest.
    fn first(&self) -> Option<PeerId> {
        self.order.front().copied()
    }

    fn insert(&mut self, peer: PeerId, until: wheel::Key) {
        if self.peers.insert(peer, until).is_none() {
            self.order.push_back(peer);
        }
    }

    /// The deadline of a block that ends now.
    fn remove(&mut self, peer: &PeerId) -> Option<wheel::Key> {
        let until = self.peers.remove(peer)?;
        // Nearly always the first: all are blocked for the same time.
        self.order.retain(|blocked| blocked != peer);
        Some(until)
    }
}

impl Peering {
    /// Whether connections with this peer are refused at present.
    pub(in crate::engine) fn is_blocked(&self, peer: &PeerId) -> bool {
        self.blocked.contains(peer)
    }

    /// Refuses connections with a peer until then. True if that is new: one that is connected has to be let go yet.
    ///
    /// Those that the configuration names are kept: somebody has decided that, and without them the node may find nobody.
    pub(in crate::engine) fn block(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        until: Duration,
    ) -> bool {
        let most = cx.config.limits.blocked_peers;
        if cx.closed || most == 0 || self.is_blocked(&peer) || cx.is_bootstrap(&peer) {
            return false;
        }
        if self.blocked.len() >= most
            && let Some(first) = self.blocked.first()
        {
            self.pardon(out, &first);
        }
        let until = out.wheel.insert(until, Deadline::Pardon(Box::new(peer)));
        self.blocked.insert(peer, until);
        out.counters.peers.blocked += 1;
        if self.peers.is_connected(&peer) {
            // Nothing that it says is heard from now on, while it is told why.
            out.actions.push_back(Action::Mute { peer });
            self.count_let_go(out, &peer, LetGo::Blocked);
        } else {
            out.actions.push_back(Action::Block { peer });
        }
        true
    }

    /// Connections with this peer are possible again. How it stands is another matter.
    pub(in crate::engine) fn pardon(&mut self, out: &mut Effects, peer: &PeerId) {
        if let Some(until) = self.blocked.remove(peer) {
            out.wheel.cancel(until);
            out.actions.push_back(Action::Unblock { peer: *peer });
        }
    }
}
