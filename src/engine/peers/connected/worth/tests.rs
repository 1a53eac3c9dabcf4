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
        distance: Distance::default(),
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
        let here = Key::of_peer(&node);
        let all = came.iter().enumerate().map(|(second, peer)| Candidate {
            peer: *peer,
            distance: here.distance(&Key::of_peer(peer)),
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
    let crowd = |age| Candidate { subnet: Some(Subnet::V4(7)), ..candidate(KeptFor::Grace, age) };
    let crowd = [3, 9, 5].map(crowd);
    let known = [candidate(KeptFor::Nothing, 3600), candidate(KeptFor::Mesh, 3600)];
    let newcomer = candidate(KeptFor::Grace, 15);
    let dialed = Candidate { direction: Direction::Outbound, ..candidate(KeptFor::Grace, 19) };
    let all = [&known[..], &crowd, &[newcomer, dialed]].concat();
    assert_eq!(for_newcomer(&all), Some(crowd[1].peer), "who has had most time");
}

#[test]
fn who_was_here_before_stays_however_many_come_from_there() {
    let town = |age| Candidate { subnet: Some(Subnet::V4(7)), ..candidate(KeptFor::Nothing, age) };
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
    let mut all: Vec<Candidate> = kept.into_iter().flat_map(|kept| candidates(kept, 1)).collect();
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
    (kept_for, 0..=100_u8, 0..19_u64, any::<bool>()).prop_map(|(kept_for, score, age, is_new)| {
        let is_new = kept_for == KeptFor::Grace || (is_new && kept_for != KeptFor::Nothing);
        let age = Duration::from_secs(if is_new { age } else { 20 + age * age });
        Candidate { kept_for, score, age, ..candidate(KeptFor::Grace, 1) }
    })
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
