//! Who comes and goes, and who has a seat in the routing table.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use super::{
    Dht,
    dials::Wanted,
    filling::SOON,
    table::{Change, Newcomer, Seat},
};
use crate::{
    engine::interface::Fact,
    event::Direction,
    keyspace::{Key, REPLICAS},
    place::Place,
};

impl Dht {
    /// A connection with a peer stands: what waits for it is sent.
    pub(crate) fn connected(&mut self, now: Duration, peer: PeerId, direction: Direction) {
        self.connected.insert(peer, direction);
        self.table.connected(now, &peer, direction);
        if self.table.get(&peer).is_some_and(|entry| entry.standing.silent) {
            // It is back, perhaps: it is used again once it has answered.
            self.ask_whether_there(now, peer);
        }
        for errand in self.dial_ended(&peer) {
            self.ask(now, errand, peer);
        }
    }

    /// The last connection with a peer has ended. Requests that wait for it are told to have failed by whoever carries
    /// them.
    pub(crate) fn disconnected(&mut self, now: Duration, peer: &PeerId) {
        self.connected.remove(peer);
        self.table.disconnected(now, peer);
        let _ = self.probing.remove(peer);
    }

    /// A dial has made no connection. `is_gone` if that tells that the peer is not there, and not that this node could
    /// not look.
    pub(crate) fn unreachable(&mut self, peer: &PeerId, is_gone: bool) {
        if is_gone {
            self.table.unreachable(peer);
        }
        if self.connected.contains_key(peer) {
            return;
        }
        if is_gone {
            let change = self.table.challenge_failed(peer);
            self.tell_change(change);
        } else {
            self.table.challenge_met(peer);
        }
        let errands = self.dial_ended(peer);
        if is_gone && !errands.is_empty() {
            self.tell(Fact::Unreachable { peer: *peer });
        }
        for (task, kind) in errands {
            if let Some(work) = self.work(task) {
                work.unreachable(kind, peer);
            }
            self.ready.push_back(task);
        }
    }

    /// A peer that serves the DHT, and where it can be found. `place` is where it really is.
    pub(crate) fn seat(
        &mut self,
        now: Duration,
        peer: PeerId,
        place: Option<Place>,
        addresses: Vec<Multiaddr>,
    ) {
        // It has gone meanwhile, and will introduce itself when it comes back.
        let Some(&direction) = self.connected.get(&peer) else { return };
        match self.table.seat(now, Newcomer { peer, direction, place, addresses }) {
            Seat::Entered => self.entered(now, peer),
            Seat::Declined => {}
            Seat::Known => self.tell(Fact::Routable { peer }),
            Seat::Waits { challenge } => {
                tracing::debug!(%peer, "the routing table has enough peers from there");
                if let Some(seated) = challenge {
                    let addresses = self.table.addresses(&seated).to_vec();
                    if self.dial(now, seated, addresses, None) == Wanted::Refused {
                        self.table.challenge_met(&seated);
                    }
                }
            }
        }
    }

    fn entered(&mut self, now: Duration, peer: PeerId) {
        self.tell(Fact::Routable { peer });
        if self.table.len() < REPLICAS {
            self.refresh_at(now, SOON);
        }
    }

    /// Takes a peer out of the table: it is not to be asked any more.
    pub(crate) fn unseat(&mut self, peer: &PeerId) {
        let change = self.table.remove(peer);
        self.tell_change(change);
    }

    fn tell_change(&mut self, change: Change) {
        let left = change.left.map(|peer| Fact::Unroutable { peer });
        let entered = change.entered.into_iter().map(|peer| Fact::Routable { peer });
        for fact in left.into_iter().chain(entered) {
            self.tell(fact);
        }
    }

    /// Whether a peer has a seat.
    pub(crate) fn is_seated(&self, peer: &PeerId) -> bool {
        self.table.is_seated(peer)
    }

    /// Where a peer that has a seat can be found.
    pub(crate) fn addresses(&self, peer: &PeerId) -> &[Multiaddr] {
        self.table.addresses(peer)
    }

    /// To which place the seat of a peer is charged.
    pub(crate) fn place(&self, peer: &PeerId) -> Option<Place> {
        self.table.get(peer)?.place
    }

    /// Peers that may be reached by a peer that looks for others: those that are connected first, of which it is known that
    /// they are there, and then those that are closest to it.
    pub(crate) fn others_for(&self, newcomer: &PeerId) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let closest = self.table.handed_out(&Key::of_peer(newcomer), usize::MAX, newcomer);
        let (connected, away): (Vec<_>, Vec<_>) = closest
            .into_iter()
            .partition(|entry| entry.standing.is_connected() && !entry.standing.silent);
        let others = connected.into_iter().chain(away);
        others.map(|entry| (entry.peer, entry.addresses.clone())).collect()
    }
}
