//! Whom to ask first: by conduct, then by the time that a message takes, then by declared distance.

use std::{cmp::Reverse, time::Duration};

use libp2p::PeerId;

use crate::{
    coverage::Coverage,
    engine::{
        context::Context,
        discovery::{
            Discovery,
            neighbours::{Greeting, declared_distance},
        },
    },
    package::{GeoLocation, PackageName},
    provider::Provider,
};

/// Peers whose scores lie within one of these steps stand equal.
const SCORE_STEP: u8 = 10;

/// Where a peer stands in the order in which peers are asked: the least comes first.
///
/// Reputations are compared in steps of ten, and round trips by powers of two, so that small differences leave a say to
/// what comes after. Where no round trip was measured, or no place declared, others come first. A declared place is a
/// hint: it comes last, and decides nothing but the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Nearness {
    conduct: Reverse<u8>,
    round_trip: u32,
    kilometres: u32,
    peer: PeerId,
}

/// What a connected peer has said of itself, as callers are shown it, and how far away it is.
#[derive(Debug, Default)]
pub(in crate::engine) struct Portrait {
    pub(in crate::engine) round_trip: Option<Duration>,
    pub(in crate::engine) location: Option<GeoLocation>,
    pub(in crate::engine) coverage: Option<Coverage>,
    pub(in crate::engine) packages: Option<u64>,
}

impl Discovery {
    /// Puts peers in the order in which they are asked, each having the `score` that its conduct has earned.
    pub(in crate::engine) fn rank_by_nearness(
        &self,
        cx: &Context,
        peers: &mut [PeerId],
        score: impl Fn(&PeerId) -> u8,
    ) {
        peers.sort_by_cached_key(|peer| self.nearness(cx, peer, score(peer)));
    }

    /// Where a peer of this reputation stands.
    fn nearness(&self, cx: &Context, peer: &PeerId, score: u8) -> Nearness {
        let neighbour = self.neighbours.get(peer);
        let hello = neighbour.and_then(|neighbour| neighbour.hello());
        let kilometres = declared_distance(cx.config.location, hello);
        Nearness {
            conduct: Reverse(score / SCORE_STEP),
            round_trip: magnitude(neighbour.and_then(|neighbour| neighbour.round_trip)),
            kilometres: kilometres.map_or(u32::MAX, |km| km as u32),
            peer: *peer,
        }
    }

    /// The connected peers that a search asks, so many at the most, in their order; and how many others there are.
    pub(in crate::engine) fn search_targets(
        &self,
        cx: &Context,
        most: usize,
        may_be_asked: impl Fn(&PeerId) -> bool,
        score: impl Fn(&PeerId) -> u8,
    ) -> (Vec<PeerId>, u32) {
        let mut peers = self.searchable();
        peers.retain(may_be_asked);
        self.rank_by_nearness(cx, &mut peers, score);
        let unasked = peers.len().saturating_sub(most);
        peers.truncate(most);
        (peers, u32::try_from(unasked).unwrap_or(u32::MAX))
    }

    /// Who was seen providing a package, whom to ask first coming first. Who `is_connected`, and with which `score`, the
    /// caller knows.
    pub(in crate::engine) fn providers(
        &self,
        cx: &Context,
        owner: &PeerId,
        name: &PackageName,
        is_connected: impl Fn(&PeerId) -> bool,
        score: impl Fn(&PeerId) -> u8,
    ) -> Vec<Provider> {
        let seen = self.catalogue.providers(name, owner, cx.now().unix).into_iter();
        let seen = seen.map(|(peer, seen)| Provider { peer, seen, connected: is_connected(&peer) });
        let (mut near, far): (Vec<Provider>, Vec<Provider>) =
            seen.partition(|provider| provider.connected);
        near.sort_by_cached_key(|by| self.nearness(cx, &by.peer, score(&by.peer)));
        near.extend(far);
        near
    }

    pub(in crate::engine) fn portrait(&self, peer: &PeerId) -> Portrait {
        let Some(neighbour) = self.neighbours.get(peer) else { return Portrait::default() };
        let (round_trip, said) = (neighbour.round_trip, neighbour.said());
        let location = said.and_then(|hello| hello.location);
        Portrait {
            round_trip,
            location: location.and_then(|place| GeoLocation::try_from(place).ok()),
            coverage: said.map(|hello| hello.coverage.clone()),
            packages: said.map(|hello| hello.packages),
        }
    }

    /// The connected peers that may find something in a search.
    fn searchable(&self) -> Vec<PeerId> {
        let knows = |greeting: &Greeting| match greeting {
            // It may not have had the time to say so.
            Greeting::Due | Greeting::Apart(_) => true,
            // Who keeps nothing of others may publish something itself.
            Greeting::Known(hello) => hello.coverage != Coverage::None || hello.packages > 0,
            Greeting::Silent => false,
        };
        let all = self.neighbours.iter();
        all.filter(|(_, neighbour)| knows(&neighbour.greeting)).map(|(peer, _)| *peer).collect()
    }
}

/// The power of two that a time in milliseconds is less than.
fn magnitude(round_trip: Option<Duration>) -> u32 {
    round_trip.map_or(u32::MAX, |time| u128::BITS - time.as_millis().leading_zeros())
}
