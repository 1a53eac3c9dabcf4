//! What a connection is worth, and which ones go where there are too many.
//!
//! Connections are chosen, as go-libp2p's [connection manager] does it: above a target those go that are worth least, after
//! a time of grace. What they are worth follows from what they are for, in the order of [`KeptFor`].
//!
//! [connection manager]: https://github.com/libp2p/go-libp2p/tree/master/p2p/net/connmgr

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use libp2p::PeerId;

use super::{GRACE, Introduction, Peers};
use crate::{
    connections::KeptFor,
    event::Direction,
    keyspace::{Distance, Key},
    place::Subnet,
};

/// The peers closest to this node's key that it stays connected with: as many as a record has replicas.
const CLOSEST: usize = 20;

/// A connected peer, as far as it matters for whether it stays.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Candidate {
    pub(in crate::engine) peer: PeerId,
    pub(in crate::engine) kept_for: KeptFor,
    /// From 0 to 100.
    pub(in crate::engine) score: u8,
    /// For how long it has been connected.
    pub(in crate::engine) age: Duration,
    /// How far its key is from this node's.
    pub(in crate::engine) distance: Distance,
    pub(in crate::engine) direction: Direction,
    /// Whether it has not said what it is, or is of another network, and has not come this very moment.
    pub(in crate::engine) is_mute: bool,
    /// The network that it comes from, where that is counted.
    pub(in crate::engine) subnet: Option<Subnet>,
}

/// A connected peer of the routing table.
#[derive(Debug, Clone, Copy)]
struct Member {
    distance: Distance,
    peer: PeerId,
    score: u8,
    age: Duration,
}

/// Of those at one distance, to the power of two, the one with the best score, and of several the oldest.
fn best_at_each_distance(members: &[Member]) -> impl Iterator<Item = PeerId> {
    let mut best: BTreeMap<Option<usize>, (u8, Duration, PeerId)> = BTreeMap::new();
    for member in members {
        let candidate = (member.score, member.age, member.peer);
        let best = best.entry(member.distance.bucket()).or_insert(candidate);
        *best = candidate.max(*best);
    }
    best.into_values().map(|(.., peer)| peer)
}

impl Candidate {
    /// Whether it has not been there for long enough to be judged, whatever it is kept for.
    pub(in crate::engine) fn is_new(&self) -> bool {
        self.age < GRACE
    }

    /// Those that came within one doubling of time are equally old. Were the very newest one always worth the least, every
    /// node would let go of the same peers: those that were the last to join.
    fn seniority(&self) -> u32 {
        self.age.as_secs().checked_ilog2().map_or(0, |doublings| doublings + 1)
    }
}

impl Peers {
    /// All that are connected and not being let go, as far as this room knows what they are for. Of the best at a distance,
    /// `score` decides, from 0 to 100, and then who has been here for longest.
    pub(in crate::engine) fn candidates(
        &self,
        local: PeerId,
        now: Duration,
        score: impl Fn(&PeerId) -> u8,
    ) -> Vec<Candidate> {
        let here = Key::of_peer(&local);
        let mut members: Vec<Member> = self
            .staying()
            .filter_map(|(peer, connection)| {
                let distance = here.distance(self.routable.get(peer)?);
                let age = now.saturating_sub(connection.since);
                Some(Member { distance, peer: *peer, score: score(peer), age })
            })
            .collect();
        members.sort_unstable_by_key(|member| member.distance);
        // Whoever is new takes no place from those that are not: it may be gone in a moment.
        let old: Vec<Member> = members.iter().filter(|it| it.age >= GRACE).copied().collect();
        let (mut closest, mut distant) = (HashSet::new(), HashSet::new());
        for members in [&old, &members] {
            let (close, far) = members.split_at(members.len().min(CLOSEST));
            closest.extend(close.iter().map(|member| member.peer));
            distant.extend(best_at_each_distance(far));
        }
        self.staying()
            .map(|(peer, connection)| {
                let age = now.saturating_sub(connection.since);
                let kept_for = if connection.is_wanted {
                    KeptFor::Application
                } else if self.mesh.contains(peer) {
                    KeptFor::Mesh
                } else if closest.contains(peer) {
                    KeptFor::Neighbour
                } else if distant.contains(peer) {
                    KeptFor::Distance
                } else if age < GRACE {
                    KeptFor::Grace
                } else {
                    KeptFor::Nothing
                };
                Candidate {
                    peer: *peer,
                    kept_for,
                    score: score(peer),
                    age,
                    distance: match self.routable.get(peer) {
                        Some(key) => here.distance(key),
                        None => here.distance(&Key::of_peer(peer)),
                    },
                    direction: connection.shown.direction,
                    is_mute: connection.introduction != Introduction::Made
                        && connection.since < now,
                    subnet: connection.subnet,
                }
            })
            .collect()
    }
}

/// Of peers that know of the same packages so many are kept, whatever else they are kept for.
const CATALOGUES: usize = 4;

/// Keeps some of those that `shares` says know of the same packages, the best and longest known first. Those that are new
/// have to wait.
pub(in crate::engine) fn keep_catalogues(all: &mut [Candidate], shares: impl Fn(&PeerId) -> bool) {
    let mut sharing: Vec<&mut Candidate> =
        all.iter_mut().filter(|it| !it.is_new() && shares(&it.peer)).collect();
    sharing.sort_by_key(|candidate| {
        (candidate.kept_for, Reverse(candidate.score), Reverse(candidate.age))
    });
    for candidate in sharing.into_iter().take(CATALOGUES) {
        if candidate.kept_for == KeptFor::Nothing {
            candidate.kept_for = KeptFor::Catalogue;
        }
    }
}

/// Those that go, where there are more than the target. Below the target by an eighth, so that the next one to come
/// does not set all of it going again; but what is kept for something goes for the target alone, and half of the target
/// is left to it however many the application has asked for.
///
/// Those that are new are not counted. They cannot go yet, and a burst of them would cost the place of those that are of
/// use, before anybody knows whether it lasts.
pub(in crate::engine) fn above_target(mut all: Vec<Candidate>, target: usize) -> Vec<PeerId> {
    all.retain(|candidate| !candidate.is_new());
    let count = all.len();
    if count <= target {
        return Vec::new();
    }
    let beyond_low = count - (target - target / 8);
    // The least useful first. Who has been here for long will be; of those who came together, each node keeps others.
    all.sort_by_key(|candidate| {
        let Candidate { kept_for, score, distance, .. } = candidate;
        (Reverse(*kept_for), *score, candidate.seniority(), Reverse(*distance))
    });
    let of_no_use = all.iter().filter(|candidate| candidate.kept_for == KeptFor::Nothing);
    let mut gone: Vec<PeerId> =
        of_no_use.take(beyond_low).map(|candidate| candidate.peer).collect();
    let of_some_use: Vec<&Candidate> = all
        .iter()
        .filter(|candidate| (KeptFor::Mesh..=KeptFor::Catalogue).contains(&candidate.kept_for))
        .collect();
    let left = (count - target).saturating_sub(gone.len());
    let left = left.min(of_some_use.len().saturating_sub(target / 2));
    gone.extend(of_some_use.into_iter().take(left).map(|candidate| candidate.peer));
    gone
}

/// The one that goes for a newcomer, where there is no room left at all: one that is new itself, or of no use. First go
/// those that others have dialed. Of these the new ones go, so that they push out nobody who was here before; then those
/// of the network that has most of them, so that whoever comes by the hundred takes places from itself; and then those
/// that have not said what they are. Of several new ones it is the one that has had most time, and of several others the
/// one that has had least.
pub(in crate::engine) fn for_newcomer(all: &[Candidate]) -> Option<PeerId> {
    let mut crowds: HashMap<Subnet, usize> = HashMap::new();
    for subnet in all.iter().filter_map(|candidate| candidate.subnet) {
        *crowds.entry(subnet).or_default() += 1;
    }
    let crowd = |candidate: &Candidate| {
        // One is no crowd.
        candidate.subnet.and_then(|subnet| crowds.get(&subnet)).copied().unwrap_or_default().max(1)
    };
    let order = |candidate: &&Candidate| {
        let is_outbound = candidate.direction == Direction::Outbound;
        let time_left = match candidate.kept_for {
            KeptFor::Grace => GRACE.saturating_sub(candidate.age),
            _ => candidate.age,
        };
        let crowd = Reverse(crowd(candidate));
        (is_outbound, candidate.kept_for, crowd, !candidate.is_mute, time_left)
    };
    let may_go = |candidate: &&Candidate| candidate.kept_for >= KeptFor::Grace;
    all.iter().filter(may_go).min_by_key(order).map(|candidate| candidate.peer)
}

#[cfg(test)]
mod tests;
