//! Whom to ask first: by conduct, then by the time that a message takes, then by declared distance.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use crate::engine::{
    ConnectedPeer, Engine, Now,
    neighbours::{Greeting, declared_distance},
    peers::KeptFor,
};
use crate::{Coverage, GeoLocation, PackageName};

/// A peer that was seen providing a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provider {
    /// The peer.
    pub peer: PeerId,
    /// When it was last seen with the package, in Unix seconds. For whoever signed the newest head, and was not seen
    /// otherwise, that is when it was issued.
    pub seen: u64,
    /// Whether a connection with it stands.
    pub connected: bool,
}

/// Peers whose scores lie within one of these steps stand equal.
const SCORE_STEP: u8 = 10;

impl Engine {
    /// Puts peers in the order in which they are asked.
    ///
    /// Reputations are compared in steps of ten, and round trips by powers of two, so that small differences leave a say
    /// to what comes after. Where no round trip was measured, or no place declared, others come first. A declared place
    /// is a hint: it comes last, and decides nothing but the order.
    pub(in crate::engine) fn rank_by_nearness(&self, peers: &mut [PeerId]) {
        peers.sort_by_cached_key(|peer| {
            let neighbour = self.discovery.neighbours.get(peer);
            let step = self.standing.reputations.score(peer) / SCORE_STEP;
            let round_trip = neighbour.and_then(|neighbour| neighbour.round_trip);
            let hello = neighbour.and_then(|neighbour| neighbour.hello());
            let kilometres = declared_distance(self.cx.config.location, hello);
            (
                Reverse(step),
                magnitude(round_trip),
                kilometres.map_or(u32::MAX, |km| km as u32),
                *peer,
            )
        });
    }

    /// Who was seen providing a package, whom to ask first coming first.
    pub(in crate::engine) fn providers(
        &self,
        now: Now,
        owner: &PeerId,
        name: &PackageName,
    ) -> Vec<Provider> {
        let seen = self.discovery.catalogue.providers(name, owner, now.unix);
        let provider = |(peer, seen): (PeerId, u64)| Provider {
            peer,
            seen,
            connected: self.peers.peers.is_connected(&peer),
        };
        let (mut near, far): (Vec<Provider>, Vec<Provider>) =
            seen.into_iter().map(provider).partition(|provider| provider.connected);
        let mut order: Vec<PeerId> = near.iter().map(|provider| provider.peer).collect();
        self.rank_by_nearness(&mut order);
        near.sort_by_key(|provider| order.iter().position(|peer| *peer == provider.peer));
        near.extend(far);
        near
    }

    /// The peers with which a connection stands, with what they have said of themselves.
    pub(in crate::engine) fn connected_peers(&self, now: Now) -> Vec<ConnectedPeer> {
        let mut peers = self.peers.peers.list(now.mono);
        let candidates = self.candidates(now).into_iter();
        let kept_for: HashMap<PeerId, KeptFor> =
            candidates.map(|candidate| (candidate.peer, candidate.kept_for)).collect();
        for shown in &mut peers {
            // Those that are being let go are kept for nothing.
            shown.kept_for = kept_for.get(&shown.peer).copied().unwrap_or_default();
            let Some(neighbour) = self.discovery.neighbours.get(&shown.peer) else { continue };
            shown.round_trip = neighbour.round_trip;
            let Some(hello) = neighbour.said() else { continue };
            shown.location = hello.location.and_then(|place| GeoLocation::try_from(place).ok());
            shown.coverage = Some(hello.coverage.clone());
            shown.catalogue = Some(hello.packages);
        }
        peers
    }

    /// The connected peers that a search asks, in their order, and how many others there are.
    pub(in crate::engine) fn search_targets(&self, most: usize) -> (Vec<PeerId>, u32) {
        let knows = |greeting: &Greeting| match greeting {
            // It may not have had the time to say so.
            Greeting::Due | Greeting::Apart(_) => true,
            // Who keeps nothing of others may publish something itself.
            Greeting::Known(hello) => hello.coverage != Coverage::None || hello.packages > 0,
            Greeting::Silent => false,
        };
        let mut peers: Vec<PeerId> = self
            .discovery
            .neighbours
            .iter()
            .filter(|(peer, neighbour)| knows(&neighbour.greeting) && !self.is_blocked(peer))
            .map(|(peer, _)| *peer)
            .collect();
        self.rank_by_nearness(&mut peers);
        let unasked = peers.len().saturating_sub(most);
        peers.truncate(most);
        (peers, u32::try_from(unasked).unwrap_or(u32::MAX))
    }
}

/// The power of two that a time in milliseconds is less than.
fn magnitude(round_trip: Option<Duration>) -> u32 {
    round_trip.map_or(u32::MAX, |time| u128::BITS - time.as_millis().leading_zeros())
}
