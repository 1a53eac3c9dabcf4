//! Peers that were discovered on the local network, for a node that has few others.
//!
//! Whoever says so may have made them up. So each is on the account of a sender: one sender's peers are dialed one at a
//! time, those of a sender of whom few were dialed come first, and where there is no room, the one with the most gives way.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

use super::Peering;
use crate::{
    engine::{context::Context, deadlines::Backoff, effects::Effects, interface::Action},
    fair::place_for,
};

/// So many are dialed at a time.
const AT_A_TIME: usize = 3;

/// So many wait to be dialed. Those that are left out are discovered again.
const MOST_WAITING: usize = 64;

/// Of so many it is known when they were dialed.
const MOST_TRIED: usize = 256;

/// For so long it is known, unless a sender of few peers takes the place of another's: that many of them in this time. So a
/// flood of made-up peers is dialed no faster, however many senders there are.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Pauses before the same peer is dialed again. The first is short, since an interface that has just come may not lead
/// anywhere yet. They grow, since a peer that is there may belong to another network.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(3600));

/// Peers nearby that may be of this network.
#[derive(Debug, Default)]
pub(super) struct Nearby {
    waiting: VecDeque<Waiting>,
    dialing: BTreeMap<PeerId, IpAddr>,
    /// By the account as well: what one sender says of a peer keeps nobody from believing another.
    tried: BTreeMap<(PeerId, IpAddr), Tried>,
    handed_over: HandedOver,
}

/// How many places of those that were tried have been handed over, and since when they are counted.
#[derive(Debug, Default)]
struct HandedOver {
    since: Duration,
    places: usize,
}

impl HandedOver {
    /// Whether there may be one more.
    fn one_more(&mut self, now: Duration) -> bool {
        if now >= self.since.saturating_add(REMEMBERED) {
            *self = Self { since: now, places: 0 };
        }
        let may = self.places < MOST_TRIED;
        self.places += usize::from(may);
        may
    }
}

#[derive(Debug)]
struct Waiting {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    by: IpAddr,
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
    fn hear(&mut self, by: IpAddr, peer: PeerId, addresses: Vec<Multiaddr>) {
        let heard = Waiting { peer, addresses, by };
        if let Some(known) = self.waiting.iter_mut().find(|waiting| waiting.peer == peer) {
            *known = heard;
            return;
        }
        if self.waiting.len() >= MOST_WAITING {
            // Those that have come last were heard of last.
            let places = self.waiting.iter().enumerate();
            let places = places.map(|(place, waiting)| (waiting.by, Duration::ZERO, place));
            let Some(gone) = place_for(by, places) else { return };
            self.waiting.remove(gone);
        }
        self.waiting.push_back(heard);
    }

    /// The next one to dial, if there may be one more.
    fn next(&mut self, now: Duration) -> Option<(PeerId, Vec<Multiaddr>)> {
        while self.dialing.len() < AT_A_TIME {
            let Waiting { peer, addresses, by } = self.waiting.remove(self.next_place()?)?;
            if !self.dialing.contains_key(&peer) && self.may_try(now, by, peer) {
                self.dialing.insert(peer, by);
                return Some((peer, addresses));
            }
        }
        None
    }

    /// Whose turn it is of those that wait.
    fn next_place(&self) -> Option<usize> {
        let is_free = |by: &IpAddr| self.dialing.values().all(|dialing| dialing != by);
        let tried = |by: &IpAddr| self.tried.keys().filter(|(_, tried)| tried == by).count();
        let waiting = self.waiting.iter().enumerate().filter(|(_, it)| is_free(&it.by));
        let next = waiting.min_by_key(|(_, waiting)| tried(&waiting.by));
        next.map(|(place, _)| place)
    }

    /// Whether a peer may be dialed now. If so, it may not be for a while.
    fn may_try(&mut self, now: Duration, by: IpAddr, peer: PeerId) -> bool {
        if let Some(tried) = self.tried.get_mut(&(peer, by)) {
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
        if self.tried.len() >= MOST_TRIED {
            let places = self.tried.iter().map(|(key, tried)| (key.1, tried.until, *key));
            let Some(gone) = place_for(by, places) else { return false };
            if !self.handed_over.one_more(now) {
                return false;
            }
            self.tried.remove(&gone);
        }
        let mut pauses = PAUSES;
        let until = now.saturating_add(pauses.pause());
        self.tried.insert((peer, by), Tried { pauses, until, dialed: now });
        true
    }
}

impl Peering {
    /// A peer was discovered on the local network, as this sender says. It is dialed like a bootstrap peer, as long as this
    /// node has few peers. No call waits for that: whoever lies about peers nearby must not have callers wait for nobody.
    pub(in crate::engine) fn discovered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        by: IpAddr,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        if peer != cx.local && !self.peers.is_connected(&peer) {
            self.nearby.hear(by, peer, addresses);
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
