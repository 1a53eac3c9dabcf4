//! What a connection is worth, and which ones go where there are too many.
//!
//! Connections are chosen, as go-libp2p's [connection manager] does it: above a target those go that are worth least, after
//! a time of grace. What they are worth follows from what they are for, in the order of [`KeptFor`].
//!
//! [connection manager]: https://github.com/libp2p/go-libp2p/tree/master/p2p/net/connmgr

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use libp2p::{PeerId, kad::KBucketKey};
use serde::{Deserialize, Serialize};

use super::{GRACE, Introduction, Peers};
use crate::{Direction, place::Subnet};

/// The peers closest to this node's key that it stays connected with: as many as a record has replicas.
const CLOSEST: usize = 20;

/// What a connection is kept for: the first of these that holds. The further up it stands, the more it is worth.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeptFor {
    /// A question of this node is under way there.
    InUse,
    /// The application has dialed the peer, or names it in [`Config::bootstrap`](crate::Config::bootstrap).
    Application,
    /// The peer is in the mesh of a topic: announcements come and go through it.
    Mesh,
    /// It is one of the twenty closest to this node's own key.
    Neighbour,
    /// It is the best of those at its distance, by which far keys are found.
    Distance,
    /// It is no longer new, and one of four that know of the same packages: catalogues are compared with it.
    Catalogue,
    /// It has not been there for long enough to be judged: twenty seconds.
    Grace,
    /// Nothing: it goes first, or is about to.
    #[default]
    Nothing,
}

impl KeptFor {
    /// A word for it, as in the JSON of the `node` example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Application => "application",
            Self::Mesh => "mesh",
            Self::Neighbour => "neighbour",
            Self::Distance => "distance",
            Self::Catalogue => "catalogue",
            Self::Grace => "grace",
            Self::Nothing => "nothing",
        }
    }
}

/// Connected peers, by what their connections are kept for: see [`KeptFor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeptConnections {
    /// [`KeptFor::InUse`].
    pub in_use: u32,
    /// [`KeptFor::Application`].
    pub application: u32,
    /// [`KeptFor::Mesh`].
    pub mesh: u32,
    /// [`KeptFor::Neighbour`].
    pub neighbour: u32,
    /// [`KeptFor::Distance`].
    pub distance: u32,
    /// [`KeptFor::Catalogue`].
    pub catalogue: u32,
    /// [`KeptFor::Grace`].
    pub grace: u32,
    /// [`KeptFor::Nothing`].
    pub nothing: u32,
}

impl KeptConnections {
    /// Each reason by its name, the one that is worth most first.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u32); 8] {
        [
            (KeptFor::InUse.as_str(), self.in_use),
            (KeptFor::Application.as_str(), self.application),
            (KeptFor::Mesh.as_str(), self.mesh),
            (KeptFor::Neighbour.as_str(), self.neighbour),
            (KeptFor::Distance.as_str(), self.distance),
            (KeptFor::Catalogue.as_str(), self.catalogue),
            (KeptFor::Grace.as_str(), self.grace),
            (KeptFor::Nothing.as_str(), self.nothing),
        ]
    }

    /// Each of these is kept for that.
    pub(in crate::engine) fn of(all: impl IntoIterator<Item = KeptFor>) -> Self {
        let mut kept = Self::default();
        for kept_for in all {
            *match kept_for {
                KeptFor::InUse => &mut kept.in_use,
                KeptFor::Application => &mut kept.application,
                KeptFor::Mesh => &mut kept.mesh,
                KeptFor::Neighbour => &mut kept.neighbour,
                KeptFor::Distance => &mut kept.distance,
                KeptFor::Catalogue => &mut kept.catalogue,
                KeptFor::Grace => &mut kept.grace,
                KeptFor::Nothing => &mut kept.nothing,
            } += 1;
        }
        kept
    }
}

/// A connected peer, as far as it matters for whether it stays.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Candidate {
    pub(in crate::engine) peer: PeerId,
    pub(in crate::engine) kept_for: KeptFor,
    /// From 0 to 100.
    pub(in crate::engine) score: u8,
    /// Since when it is connected, on the monotonic scale.
    pub(in crate::engine) since: Duration,
    pub(in crate::engine) direction: Direction,
    /// Whether it has not said what it is, or is of another network, and has not come this very moment.
    pub(in crate::engine) is_mute: bool,
    /// The network that it comes from, where that is counted.
    pub(in crate::engine) subnet: Option<Subnet>,
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
        let here = KBucketKey::from(local);
        let mut members: Vec<_> = self
            .staying()
            .filter(|(peer, _)| self.is_routable(peer))
            .map(|(peer, connection)| {
                (here.distance(&KBucketKey::from(*peer)), *peer, score(peer), connection.since)
            })
            .collect();
        members.sort_unstable_by_key(|(distance, ..)| *distance);
        let far = members.split_off(members.len().min(CLOSEST));
        let closest: HashSet<PeerId> = members.into_iter().map(|(_, peer, ..)| peer).collect();
        let mut best: BTreeMap<Option<u32>, (u8, Reverse<Duration>, PeerId)> = BTreeMap::new();
        for (distance, peer, score, since) in far {
            let candidate = (score, Reverse(since), peer);
            let best = best.entry(distance.ilog2()).or_insert(candidate);
            *best = candidate.max(*best);
        }
        let distant: BTreeSet<PeerId> = best.into_values().map(|(.., peer)| peer).collect();
        self.staying()
            .map(|(peer, connection)| {
                let kept_for = if connection.is_wanted {
                    KeptFor::Application
                } else if self.mesh.contains(peer) {
                    KeptFor::Mesh
                } else if closest.contains(peer) {
                    KeptFor::Neighbour
                } else if distant.contains(peer) {
                    KeptFor::Distance
                } else if now.saturating_sub(connection.since) < GRACE {
                    KeptFor::Grace
                } else {
                    KeptFor::Nothing
                };
                Candidate {
                    peer: *peer,
                    kept_for,
                    score: score(peer),
                    since: connection.since,
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

/// Keeps some of those that `shares` says know of the same packages, the best and longest known first.
pub(in crate::engine) fn keep_catalogues(all: &mut [Candidate], shares: impl Fn(&PeerId) -> bool) {
    let mut sharing: Vec<&mut Candidate> =
        all.iter_mut().filter(|candidate| shares(&candidate.peer)).collect();
    sharing
        .sort_by_key(|candidate| (candidate.kept_for, Reverse(candidate.score), candidate.since));
    for candidate in sharing.into_iter().take(CATALOGUES) {
        if candidate.kept_for == KeptFor::Nothing {
            candidate.kept_for = KeptFor::Catalogue;
        }
    }
}

/// Those that go, where there are more than the target. Below the target by an eighth, so that the next one to come
/// does not set all of it going again; but what is kept for something goes for the target alone.
pub(in crate::engine) fn above_target(mut all: Vec<Candidate>, target: usize) -> Vec<PeerId> {
    let count = all.len();
    if count <= target {
        return Vec::new();
    }
    let beyond_low = count - (target - target / 8);
    // The least useful first, and of those the newest: who has been here for long will be.
    all.sort_by_key(|candidate| {
        (Reverse(candidate.kept_for), candidate.score, Reverse(candidate.since))
    });
    let of_no_use = all.iter().filter(|candidate| candidate.kept_for == KeptFor::Nothing);
    let mut gone: Vec<PeerId> =
        of_no_use.take(beyond_low).map(|candidate| candidate.peer).collect();
    let of_some_use = all
        .iter()
        .filter(|candidate| (KeptFor::Mesh..=KeptFor::Catalogue).contains(&candidate.kept_for));
    let left = (count - target).saturating_sub(gone.len());
    gone.extend(of_some_use.take(left).map(|candidate| candidate.peer));
    gone
}

/// The one that goes for a newcomer, where there is no room left at all: one that is new itself, or of no use. First go
/// those that others have dialed; of these the ones of the network that has most of them, so that whoever comes by the
/// hundred takes places from itself; then those that have not said what they are, and then the new ones, so that they
/// push out nobody who was here before. Of several it is the one that has had most time.
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
        let crowd = Reverse(crowd(candidate));
        (is_outbound, crowd, !candidate.is_mute, candidate.kept_for, candidate.since)
    };
    let may_go = |candidate: &&Candidate| candidate.kept_for >= KeptFor::Grace;
    all.iter().filter(may_go).min_by_key(order).map(|candidate| candidate.peer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(kept_for: KeptFor, since: u64) -> Candidate {
        Candidate {
            peer: PeerId::random(),
            kept_for,
            score: 50,
            since: Duration::from_secs(since),
            direction: Direction::Inbound,
            is_mute: false,
            subnet: None,
        }
    }

    #[test]
    fn up_to_the_target_everybody_stays() {
        let all = (0..48).map(|n| candidate(KeptFor::Nothing, n)).collect();
        assert_eq!(above_target(all, 48), []);
    }

    #[test]
    fn above_it_those_of_no_use_go_the_newest_first_and_some_more_than_have_to() {
        let all: Vec<Candidate> = (0..49).map(|n| candidate(KeptFor::Nothing, n)).collect();
        let newest: Vec<PeerId> =
            all.iter().rev().take(7).map(|candidate| candidate.peer).collect();
        assert_eq!(above_target(all, 48), newest);
    }

    #[test]
    fn what_is_of_use_goes_only_where_nothing_else_is_left_and_what_is_in_use_never() {
        let mut all: Vec<Candidate> = (0..8).map(|n| candidate(KeptFor::InUse, n)).collect();
        all.extend((0..4).map(|n| candidate(KeptFor::Application, n)));
        all.extend((0..4).map(|n| candidate(KeptFor::Grace, n)));
        let [mesh, distance, nothing] =
            [KeptFor::Mesh, KeptFor::Distance, KeptFor::Nothing].map(|kept| candidate(kept, 0));
        all.extend([mesh.clone(), distance.clone(), nothing.clone()]);
        assert_eq!(above_target(all.clone(), 18), [nothing.peer]);
        assert_eq!(above_target(all.clone(), 17), [nothing.peer, distance.peer]);
        assert_eq!(above_target(all, 8), [nothing.peer, distance.peer, mesh.peer]);
    }

    #[test]
    fn a_crowd_from_one_network_makes_room_for_newcomers_out_of_itself() {
        let honest = candidate(KeptFor::Nothing, 0);
        let mut all = vec![honest, candidate(KeptFor::Mesh, 0)];
        let mut dialed = candidate(KeptFor::Grace, 0);
        dialed.direction = Direction::Outbound;
        all.push(dialed);
        let first = all.len();
        all.extend(
            (5..9)
                .map(|n| Candidate { subnet: Some(Subnet::V4(7)), ..candidate(KeptFor::Grace, n) }),
        );
        assert_eq!(for_newcomer(&all), Some(all[first].peer));
        assert_eq!(for_newcomer(&all[..2]), Some(all[0].peer));
        let newcomer = candidate(KeptFor::Grace, 3);
        let known = [all[0].clone(), newcomer.clone()];
        assert_eq!(for_newcomer(&known), Some(newcomer.peer), "who was here before stays");
        let mute = Candidate { is_mute: true, ..candidate(KeptFor::Grace, 9) };
        let known = [all[0].clone(), newcomer, mute.clone()];
        assert_eq!(for_newcomer(&known), Some(mute.peer), "who says nothing goes before");
        assert_eq!(for_newcomer(&all[1..2]), None);
    }

    #[test]
    fn four_that_know_of_the_same_packages_are_kept_whatever_they_are_kept_for() {
        let kept = [KeptFor::Mesh, KeptFor::Grace, KeptFor::Nothing, KeptFor::Nothing];
        let mut all: Vec<Candidate> = kept.into_iter().map(|kept| candidate(kept, 5)).collect();
        all.extend([candidate(KeptFor::Nothing, 6), candidate(KeptFor::Nothing, 1)]);
        let strangers = [all[5].peer];
        keep_catalogues(&mut all, |peer| !strangers.contains(peer));
        let kept: Vec<KeptFor> = all.iter().map(|candidate| candidate.kept_for).collect();
        let (catalogue, nothing) = (KeptFor::Catalogue, KeptFor::Nothing);
        assert_eq!(kept[..2], [KeptFor::Mesh, KeptFor::Grace]);
        assert_eq!(kept[2..], [catalogue, catalogue, nothing, nothing]);
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let kept_for = prop::sample::select(vec![
            KeptFor::InUse,
            KeptFor::Application,
            KeptFor::Mesh,
            KeptFor::Neighbour,
            KeptFor::Distance,
            KeptFor::Catalogue,
            KeptFor::Grace,
            KeptFor::Nothing,
        ]);
        (kept_for, 0..=100_u8, 0..50_u64)
            .prop_map(|(kept_for, score, since)| Candidate { score, ..candidate(kept_for, since) })
    }

    proptest! {
        #[test]
        fn whoever_goes_is_worth_no_more_than_whoever_stays(
            all in prop::collection::vec(any_candidate(), 0..80),
            target in 1..60_usize,
        ) {
            let gone = above_target(all.clone(), target);
            let (gone, stay): (Vec<_>, Vec<_>) =
                all.iter().partition(|candidate| gone.contains(&candidate.peer));
            let may_go = |kept_for| {
                kept_for == KeptFor::Nothing
                    || (KeptFor::Mesh..=KeptFor::Catalogue).contains(&kept_for)
            };
            prop_assert!(gone.iter().all(|candidate| may_go(candidate.kept_for)));
            let worst = stay.iter().filter(|it| may_go(it.kept_for)).map(|it| it.kept_for).max();
            prop_assert!(gone.iter().all(|candidate| Some(candidate.kept_for) >= worst));
            let must_stay = stay.iter().filter(|it| !may_go(it.kept_for)).count();
            prop_assert!(stay.len() <= target.max(must_stay));
            prop_assert!(gone.is_empty() || all.len() > target);
        }
    }
}
