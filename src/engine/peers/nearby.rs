//! Peers that were discovered on the local network, for a node that has few others.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

use super::Peering;
use crate::engine::{context::Context, deadlines::Backoff, effects::Effects, interface::Action};

/// So many are dialed at a time.
const AT_A_TIME: usize = 3;

/// So many wait to be dialed. Further ones are left out: they are discovered again.
const MOST_WAITING: usize = 64;

/// Of so many it is known when they were dialed. Nobody else is dialed until one of those may be dialed again.
const MOST_TRIED: usize = 256;

/// For so long it is known at the least, so that a flood of made-up peers is dialed no faster than `MOST_TRIED` in this time.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Pauses before the same peer is dialed again. The first is short, since an interface that has just come may not lead
/// anywhere yet. They grow, since a peer that is there may belong to another network.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(3600));

/// Peers nearby that may be of this network.
#[derive(Debug, Default)]
pub(super) struct Nearby {
    waiting: VecDeque<(PeerId, Vec<Multiaddr>)>,
    dialing: BTreeSet<PeerId>,
    tried: BTreeMap<PeerId, Tried>,
}

#[derive(Debug)]
struct Tried {
    pauses: Backoff,
    /// It is not dialed before this time.
    until: Duration,
    dialed: Duration,
}

impl Tried {
    fn is_over(&self, now: Duration) -> bool {
        self.until.max(self.dialed.saturating_add(REMEMBERED)) <= now
    }
}

impl Nearby {
    /// A peer was discovered at these addresses. What was heard last is what holds.
    fn hear(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if let Some((_, known)) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == peer) {
            *known = addresses;
        } else if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back((peer, addresses));
        }
    }

    /// The next one to dial, if there may be one more.
    fn next(&mut self, now: Duration) -> Option<(PeerId, Vec<Multiaddr>)> {
        while self.dialing.len() < AT_A_TIME {
            let (peer, addresses) = self.waiting.pop_front()?;
            if !self.dialing.contains(&peer) && self.may_try(now, peer) {
                self.dialing.insert(peer);
                return Some((peer, addresses));
            }
        }
        None
    }

    /// Whether a peer may be dialed now. If so, it may not be for a while.
    fn may_try(&mut self, now: Duration, peer: PeerId) -> bool {
        if let Some(tried) = self.tried.get_mut(&peer) {
            let may = tried.until <= now;
            if may {
                tried.until = now.saturating_add(tried.pauses.pause());
                tried.dialed = now;
            }
            return may;
        }
        if self.tried.len() >= MOST_TRIED {
            self.tried.retain(|_, tried| !tried.is_over(now));
        }
        let may = self.tried.len() < MOST_TRIED;
        if may {
            let mut pauses = PAUSES;
            let until = now.saturating_add(pauses.pause());
            self.tried.insert(peer, Tried { pauses, until, dialed: now });
        }
        may
    }
}

impl Peering {
    /// A peer was discovered on the local network. It is dialed like a bootstrap peer, as long as this node has few peers. No
    /// call waits for that: whoever lies about peers nearby must not have callers wait for nobody.
    pub(in crate::engine) fn discovered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        if peer != cx.local && !self.peers.is_connected(&peer) {
            self.nearby.hear(peer, addresses);
        }
        self.dial_nearby(cx, out);
    }

    /// A dial to such a peer has ended, with a connection or without.
    pub(in crate::engine) fn discovered_dialed(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: &PeerId,
    ) {
        self.nearby.dialing.remove(peer);
        self.dial_nearby(cx, out);
    }

    fn dial_nearby(&mut self, cx: &Context, out: &mut Effects) {
        let target = cx.connection_target();
        if cx.closed || self.members() >= target / 2 || self.len() >= target {
            return self.nearby.waiting.clear();
        }
        while let Some((peer, addresses)) = self.nearby.next(cx.now().mono) {
            if self.peers.is_connected(&peer) || self.is_blocked(&peer) {
                self.nearby.dialing.remove(&peer);
            } else {
                out.actions.push_back(Action::DialDiscovered { peer, addresses });
            }
        }
    }
}
