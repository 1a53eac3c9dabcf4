//! What the engine does about the conduct of peers.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::{Reputation, conduct::Nearness, remembered::Judgement};
use crate::{
    Event, Farewell,
    counters::LetGo,
    engine::{Action, Context, Deadline, Engine, Standing},
    record::Record,
};

impl Context {
    fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.config.bootstrap.iter().any(|address| named(address) == Some(*peer))
    }
}

impl Standing {
    /// The bootstrap addresses, those of peers in the best standing first.
    pub(in crate::engine) fn ranked_bootstrap(&self, cx: &Context) -> Vec<Multiaddr> {
        let mut addresses = cx.config.bootstrap.clone();
        addresses.sort_by_cached_key(|address| {
            let known = named(address).map(|peer| self.reputations.get(&peer));
            std::cmp::Reverse(known.unwrap_or_default().score())
        });
        addresses
    }
}

impl Engine {
    /// A peer has answered a lookup with a valid copy, so long after the lookup began.
    pub(in crate::engine) fn credit(&mut self, peer: PeerId, record: &Record, after: Duration) {
        if is_service(record, &peer) {
            let address = self.peers.peers.connection(&peer).map(|(address, _)| address);
            let nearness = address.map(Nearness::of).unwrap_or_default();
            self.standing.reputations.delivered(peer, after, nearness);
        }
    }

    /// Draws the conclusions from what has been seen since the last time.
    pub(in crate::engine) fn judge(&mut self) {
        while let Some(judgement) = self.standing.reputations.next_judgement() {
            match judgement {
                Judgement::Changed { peer, score } => {
                    if self.peers.peers.is_connected(&peer) {
                        let neutral = f64::from(Reputation::default().score());
                        let score = (f64::from(score) - neutral) / neutral;
                        self.out.actions.push_back(Action::Score { peer, score });
                    }
                }
                Judgement::Unbearable { peer, score } => self.block(peer, score),
            }
        }
    }

    /// What the passing of time has changed, gossip is told for those who are connected.
    pub(in crate::engine) fn retell_reputations(&mut self) {
        for peer in self.peers.peers.ids() {
            self.standing.reputations.retell(&peer, false);
        }
        self.judge();
    }

    /// Ends the connections with a peer, and refuses new ones for a while. Those that the configuration names are kept:
    /// somebody has decided that, and without them the node may find nobody.
    fn block(&mut self, peer: PeerId, score: u8) {
        let most = self.cx.config.limits.blocked_peers;
        if self.cx.closed
            || most == 0
            || self.peers.blocked.contains(&peer)
            || self.cx.is_bootstrap(&peer)
        {
            return;
        }
        if self.peers.blocked.len() >= most
            && let Some(first) = self.peers.blocked.first()
        {
            self.peers.pardon(&mut self.out, &first);
        }
        let until = self.standing.reputations.time().saturating_add(Reputation::BLOCK_TIME);
        let until = self.out.wheel.insert(until, Deadline::Pardon(Box::new(peer)));
        self.peers.blocked.insert(peer, until);
        self.out.counters.peers.blocked += 1;
        tracing::debug!(%peer, score, "blocked");
        if self.peers.peers.is_connected(&peer) {
            // Nothing that it says is heard from now on, while it is told why.
            self.out.actions.push_back(Action::Mute { peer });
            self.peers.count_let_go(&mut self.out, &peer, LetGo::Blocked);
            self.let_go(peer, Farewell::Blocked);
        } else {
            self.out.actions.push_back(Action::Block { peer });
        }
        self.out.events.push_back(Event::PeerBlocked { peer, score });
    }

    /// Whether connections with this peer are refused at present.
    pub(crate) fn is_blocked(&self, peer: &PeerId) -> bool {
        self.peers.blocked.contains(peer)
    }
}

/// Whether it is to a peer's credit that it serves this. What it has signed itself is no service to others, and claims
/// to a name anybody can make as many of as he likes.
fn is_service(record: &Record, peer: &PeerId) -> bool {
    match record {
        Record::Head(head) => head.owner != *peer && head.signer() != *peer,
        Record::Release(release) => release.owner != *peer && release.signer() != *peer,
        Record::Page(page) => page.owner != *peer && page.signer() != *peer,
        Record::Claims { .. } => false,
    }
}

/// The peer that an address names.
pub(in crate::engine) fn named(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}
