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

use libp2p::{
    PeerId,
    kad::{KBucketDistance, KBucketKey},
};
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
    /// A question of this node is under way there. Requests of the DHT are none: where one is cut short by a goodbye, its
    /// lookup goes on with others.
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
    /// For how long it has been connected.
    pub(in crate::engine) age: Duration,
    /// How far its key is from this node's.
    pub(in crate::engine) distance: KBucketDistance,
    pub(in crate::engine) direction: Direction,
    /// Whether it has not said what it is, or is of another network, and has not come this very moment.
    pub(in crate::engine) is_mute: bool,
    /// The network that it comes from, where that is counted.
    pub(in crate::engine) subnet: Option<Subnet>,
}

/// A connected peer of the routing table.
#[derive(Debug, Clone, Copy)]
struct Member {
    distance: KBucketDistance,
    peer: PeerId,
    score: u8,
    age: Duration,
}

/// Of those at one distance, to the power of two, the one with the best score, and of several the oldest.
fn best_at_each_distance(members: &[Member]) -> impl Iterator<Item = PeerId> {
    let mut best: BTreeMap<Option<u32>, (u8, Duration, PeerId)> = BTreeMap::new();
    for member in members {
        let candidate = (member.score, member.age, member.peer);
        let best = best.entry(member.distance.ilog2()).or_insert(candidate);
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
        let here = KBucketKey::from(local);
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
                    distance: here.distance(&KBucketKey::from(*peer)),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One that has been connected for so many seconds; or that is new, where it is kept for its grace.
    fn candidate(kept_for: KeptFor, age: u64) -> Candidate {
        let age = Duration::from_secs(age);
        assert_eq!(age < GRACE, kept_for == KeptFor::Grace, "{kept_for:?} {age:?}");
        Candidate {
            peer: PeerId::random(),
            kept_for,
            score: 50,
            age,
            distance: KBucketDistance::default(),
            direction: Direction::Inbound,
            is_mute: false,
            subnet: None,
        }
    }

    fn candidates(kept_for: KeptFor, count: u64) -> Vec<Candidate> {
        let youngest = if kept_for == KeptFor::Grace { 1 } else { 3600 };
        (0..count).map(|n| candidate(kept_for, youngest + n % 19)).collect()
    }

    fn peers<'a>(all: impl IntoIterator<Item = &'a Candidate>) -> Vec<PeerId> {
        all.into_iter().map(|candidate| candidate.peer).collect()
    }

    #[test]
    fn up_to_the_target_everybody_stays() {
        assert_eq!(above_target(candidates(KeptFor::Nothing, 48), 48), []);
    }

    #[test]
    fn above_it_those_of_no_use_go_the_newest_first_and_some_more_than_have_to() {
        let old = candidates(KeptFor::Nothing, 42);
        let new: Vec<Candidate> = (0..7).map(|n| candidate(KeptFor::Nothing, 63 - n)).collect();
        let expected: HashSet<PeerId> = peers(&new).into_iter().collect();
        let all = old.into_iter().chain(new).collect();
        assert_eq!(above_target(all, 48).into_iter().collect::<HashSet<_>>(), expected);
    }

    #[test]
    fn of_those_that_came_together_each_node_keeps_others() {
        let came: Vec<PeerId> = (0..60).map(|_| PeerId::random()).collect();
        let stays_at = |node: PeerId| {
            let here = KBucketKey::from(node);
            let all = came.iter().enumerate().map(|(second, peer)| Candidate {
                peer: *peer,
                distance: here.distance(&KBucketKey::from(*peer)),
                ..candidate(KeptFor::Nothing, 127 - second as u64)
            });
            let gone = above_target(all.collect(), 24);
            came.iter().copied().filter(|peer| !gone.contains(peer)).collect::<HashSet<_>>()
        };
        let somewhere: HashSet<PeerId> = (0..20).flat_map(|_| stays_at(PeerId::random())).collect();
        assert!(somewhere.len() > 50, "{} of 60 are connected with anybody", somewhere.len());
    }

    #[test]
    fn what_is_of_use_goes_only_where_nothing_else_is_left_and_what_is_in_use_never() {
        let kinds = [KeptFor::InUse, KeptFor::Mesh, KeptFor::Distance, KeptFor::Nothing];
        let counts = [4, 5, 3, 1];
        let [in_use, mesh, distance, nothing] =
            std::array::from_fn(|kind| candidates(kinds[kind], counts[kind]));
        let all = [in_use, mesh.clone(), distance.clone(), nothing.clone()].concat();
        assert_eq!(above_target(all.clone(), 12), peers(&nothing));
        let gone = above_target(all.clone(), 9);
        assert_eq!(gone[0], nothing[0].peer);
        assert!(gone[1..].iter().all(|peer| peers(&distance).contains(peer)));
        assert_eq!(gone.len(), 4);
        let gone = above_target(all, 8);
        assert_eq!(gone.len(), 5);
        assert!(peers(&mesh).contains(&gone[4]));
    }

    #[test]
    fn half_of_the_target_is_left_to_what_is_of_use_whatever_the_application_has_dialed() {
        let (dialed, mesh) = (candidates(KeptFor::Application, 90), candidates(KeptFor::Mesh, 8));
        let neighbours = candidates(KeptFor::Neighbour, 20);
        let gone = above_target([dialed, mesh, neighbours.clone()].concat(), 48);
        assert_eq!(gone.len(), 4);
        assert!(gone.iter().all(|peer| peers(&neighbours).contains(peer)));
    }

    #[test]
    fn a_burst_of_newcomers_costs_nobody_of_use_the_place() {
        let useful = candidates(KeptFor::Mesh, 40);
        assert_eq!(above_target([useful, candidates(KeptFor::Grace, 100)].concat(), 48), []);
    }

    #[test]
    fn nobody_goes_who_is_new_whatever_for() {
        let young = |kept_for| Candidate { kept_for, ..candidate(KeptFor::Grace, 3) };
        let all: Vec<Candidate> =
            [KeptFor::Mesh, KeptFor::Neighbour].into_iter().map(young).cycle().take(60).collect();
        assert_eq!(above_target(all, 48), []);
    }

    #[test]
    fn a_crowd_from_one_network_makes_room_for_newcomers_out_of_itself() {
        let crowd =
            |age| Candidate { subnet: Some(Subnet::V4(7)), ..candidate(KeptFor::Grace, age) };
        let crowd = [3, 9, 5].map(crowd);
        let known = [candidate(KeptFor::Nothing, 3600), candidate(KeptFor::Mesh, 3600)];
        let newcomer = candidate(KeptFor::Grace, 15);
        let dialed = Candidate { direction: Direction::Outbound, ..candidate(KeptFor::Grace, 19) };
        let all = [&known[..], &crowd, &[newcomer, dialed]].concat();
        assert_eq!(for_newcomer(&all), Some(crowd[1].peer), "who has had most time");
    }

    #[test]
    fn who_was_here_before_stays_however_many_come_from_there() {
        let town =
            |age| Candidate { subnet: Some(Subnet::V4(7)), ..candidate(KeptFor::Nothing, age) };
        let town = [3600, 1800, 7200].map(town);
        let newcomer = candidate(KeptFor::Grace, 3);
        let all = [&town[..], std::slice::from_ref(&newcomer)].concat();
        assert_eq!(for_newcomer(&all), Some(newcomer.peer));
        assert_eq!(for_newcomer(&town), Some(town[1].peer), "then the one that came last");
        let mute = Candidate { is_mute: true, ..candidate(KeptFor::Grace, 1) };
        let all = [newcomer, mute.clone()];
        assert_eq!(for_newcomer(&all), Some(mute.peer), "who says nothing goes before");
        assert_eq!(for_newcomer(&[candidate(KeptFor::Mesh, 3600)]), None);
    }

    #[test]
    fn four_that_know_of_the_same_packages_are_kept_and_no_newcomer_takes_their_place() {
        let kept = [KeptFor::Mesh, KeptFor::Grace, KeptFor::Nothing, KeptFor::Nothing];
        let mut all: Vec<Candidate> =
            kept.into_iter().flat_map(|kept| candidates(kept, 1)).collect();
        all.extend([candidate(KeptFor::Nothing, 60), candidate(KeptFor::Nothing, 9000)]);
        all.push(candidate(KeptFor::Nothing, 30));
        let strangers = [all[4].peer];
        keep_catalogues(&mut all, |peer| !strangers.contains(peer));
        let kept: Vec<KeptFor> = all.iter().map(|candidate| candidate.kept_for).collect();
        let (catalogue, nothing) = (KeptFor::Catalogue, KeptFor::Nothing);
        assert_eq!(kept[..2], [KeptFor::Mesh, KeptFor::Grace]);
        assert_eq!(kept[2..], [catalogue, catalogue, nothing, catalogue, nothing]);
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
        (kept_for, 0..=100_u8, 0..19_u64, any::<bool>()).prop_map(
            |(kept_for, score, age, is_new)| {
                let is_new = kept_for == KeptFor::Grace || (is_new && kept_for != KeptFor::Nothing);
                let age = Duration::from_secs(if is_new { age } else { 20 + age * age });
                Candidate { kept_for, score, age, ..candidate(KeptFor::Grace, 1) }
            },
        )
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
            let is_useful = |it: &&&Candidate| (KeptFor::Mesh..=KeptFor::Catalogue).contains(&it.kept_for);
            let may_go = |it: &&&Candidate| {
                !it.is_new() && (it.kept_for == KeptFor::Nothing || is_useful(it))
            };
            prop_assert!(gone.iter().all(|it| may_go(&it)));
            let worst = stay.iter().filter(may_go).map(|it| it.kept_for).max();
            prop_assert!(gone.iter().all(|it| Some(it.kept_for) >= worst));
            // Those that are judged and stay are no more than the target, or may not go.
            let judged = stay.iter().filter(|it| !it.is_new());
            let must_stay = judged.clone().filter(|it| !may_go(it)).count();
            let useful = stay.iter().filter(may_go).filter(is_useful).count();
            prop_assert!(judged.count() <= target.max(must_stay + useful.min(target / 2)));
            let judged = all.iter().filter(|it| !it.is_new()).count();
            prop_assert!(gone.is_empty() || judged > target);
        }
    }
}
