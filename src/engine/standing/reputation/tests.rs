use std::time::Duration;

use libp2p::PeerId;
use proptest::prelude::*;

use super::{
    Reputations,
    conduct::{Conduct, Nearness},
    remembered::Judgement,
};
use crate::reputation::Reputation;

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(100);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn honest(deliveries: usize) -> Conduct {
    let mut conduct = Conduct::default();
    (0..deliveries).for_each(|_| conduct.delivered(at(0), SOON, Nearness::Unknown));
    conduct
}

fn liar(lies: usize) -> Conduct {
    let mut conduct = Conduct::default();
    (0..lies).for_each(|_| conduct.lied(at(0)));
    conduct
}

fn score(conduct: &Conduct, now: Duration) -> u8 {
    conduct.reputation(now).score()
}

#[test]
fn the_weights_make_one() {
    let weights = [
        Reputation::SUCCESS_WEIGHT,
        Reputation::AVAILABILITY_WEIGHT,
        Reputation::RESPONSE_TIME_WEIGHT,
        Reputation::RECENCY_WEIGHT,
        Reputation::NEARNESS_WEIGHT,
    ];
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn a_stranger_stands_in_the_middle_and_conduct_moves_it() {
    assert_eq!(score(&Conduct::default(), at(0)), 50);
    assert!(score(&honest(1), at(0)) > 60);
    assert!(score(&honest(9), at(0)) > 85);
    assert!(score(&liar(1), at(0)) < 25);
    let mut slow = Conduct::default();
    slow.delivered(at(0), at(30), Nearness::Unknown);
    assert!(score(&slow, at(0)) < score(&honest(1), at(0)));
    let mut near = Conduct::default();
    near.delivered(at(0), SOON, Nearness::Loopback);
    assert!(score(&near, at(0)) > score(&honest(1), at(0)));
}

#[test]
fn conduct_is_forgotten_by_half_and_in_the_end_wholly() {
    for conduct in [honest(20), liar(20)] {
        let distance = |after| (conduct.reputation(after).success - 0.5).abs();
        assert!(distance(at(0)) > distance(HOUR * 6));
        assert!(distance(HOUR * 6) > distance(HOUR * 24));
        assert_eq!(score(&conduct, HOUR * 24 * 30), 50);
    }
    let recency = liar(1).reputation(HOUR).recency;
    assert!((recency - 0.25).abs() < 1e-9, "half of the way back in an hour: {recency}");
    let recency = honest(1).reputation(HOUR).recency;
    assert!((recency - 0.75).abs() < 1e-9, "{recency}");
}

#[test]
fn a_long_good_conduct_does_not_outweigh_lies_for_ever() {
    for deliveries in [20, 1_000_000] {
        let mut conduct = honest(deliveries);
        (0..20).for_each(|_| conduct.lied(at(0)));
        assert!(conduct.is_unbearable(at(0)), "{:?}", conduct.reputation(at(0)));
    }
}

#[test]
fn nobody_is_unbearable_for_a_few_bad_copies_or_one_among_many() {
    assert!(!liar(4).is_unbearable(at(0)));
    assert!(liar(5).is_unbearable(at(0)));
    assert!(!liar(5).is_unbearable(HOUR * 6));
    let mut mostly = honest(19);
    mostly.lied(at(0));
    assert!(!mostly.is_unbearable(at(0)));
}

#[test]
fn one_invalid_copy_of_two_is_too_much_even_from_the_next_room() {
    let mut conduct = Conduct::default();
    for _ in 0..10 {
        conduct.delivered(at(0), Duration::ZERO, Nearness::Loopback);
        conduct.lied(at(0));
    }
    assert!(conduct.is_unbearable(at(0)), "{:?}", conduct.reputation(at(0)));
}

#[test]
fn nearness_is_read_from_the_address() {
    for (address, nearness) in [
        ("/ip4/127.0.0.1/tcp/1", Nearness::Loopback),
        ("/ip6/::1/tcp/1", Nearness::Loopback),
        ("/memory/1", Nearness::Loopback),
        ("/ip4/192.168.1.2/tcp/1", Nearness::Private),
        ("/ip4/169.254.0.1/tcp/1", Nearness::Private),
        ("/ip6/fd00::1/tcp/1", Nearness::Private),
        ("/ip6/fe80::1/tcp/1", Nearness::Private),
        ("/ip4/198.51.100.1/tcp/1", Nearness::Unknown),
        ("/ip6/2001:db8::1/tcp/1", Nearness::Unknown),
        ("/dns4/example.org/tcp/1", Nearness::Unknown),
    ] {
        assert_eq!(Nearness::of(&address.parse().unwrap()), nearness, "{address}");
    }
}

#[derive(Debug, Clone)]
enum Seen {
    Delivery(Duration),
    Lie,
    Failure,
    Time(Duration),
}

fn seen() -> impl Strategy<Value = Seen> {
    let duration = || {
        prop_oneof![
            (0u64..100_000).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_secs),
        ]
    };
    prop_oneof![
        duration().prop_map(Seen::Delivery),
        Just(Seen::Lie),
        Just(Seen::Failure),
        duration().prop_map(Seen::Time),
    ]
}

proptest! {
    #[test]
    fn whatever_is_seen_every_term_is_between_nothing_and_one(
        history in prop::collection::vec(seen(), 0..60),
    ) {
        let (mut conduct, mut now) = (Conduct::default(), Duration::ZERO);
        for seen in history {
            match seen {
                Seen::Delivery(after) => conduct.delivered(now, after, Nearness::Private),
                Seen::Lie => conduct.lied(now),
                Seen::Failure => conduct.failed(now),
                // A clock that goes backwards is none, but nothing comes to harm.
                Seen::Time(time) => now = time,
            }
            let Reputation { success, response_time, availability, recency, nearness, .. } =
                conduct.reputation(now);
            for term in [success, response_time, availability, recency, nearness] {
                prop_assert!((0.0..=1.0).contains(&term), "{:?}", conduct);
            }
            prop_assert!(score(&conduct, now) <= 100);
        }
    }

    #[test]
    fn who_serves_nothing_invalid_is_never_unbearable(
        history in prop::collection::vec(seen(), 0..200),
    ) {
        let (mut conduct, mut now) = (Conduct::default(), Duration::ZERO);
        for seen in history {
            match seen {
                Seen::Delivery(after) => conduct.delivered(now, after, Nearness::Unknown),
                Seen::Lie | Seen::Failure => conduct.failed(now),
                Seen::Time(time) => now = now.saturating_add(time),
            }
            prop_assert!(!conduct.is_unbearable(now));
            prop_assert!(score(&conduct, now) >= Reputation::FLOOR);
        }
    }
}

fn deliver(all: &mut Reputations, peer: PeerId, times: usize) {
    (0..times).for_each(|_| all.delivered(peer, SOON, Nearness::Unknown));
}

#[test]
fn a_flood_of_strangers_costs_bounded_memory_and_washes_nobody() {
    for bound in [1, 2, 3, 4, 5, 64] {
        let mut all = Reputations::new(bound);
        let (good, bad) = (PeerId::random(), PeerId::random());
        deliver(&mut all, good, 5);
        (0..5).for_each(|_| all.invalid(bad));
        let before = (all.get(&good), all.get(&bad));
        for _ in 0..10 * bound {
            all.invalid(PeerId::random());
            deliver(&mut all, PeerId::random(), 1);
            all.failed(PeerId::random());
            assert!(all.len() <= bound);
        }
        if bound >= 4 {
            assert_eq!((all.get(&good), all.get(&bad)), before, "of {bound}");
        }
    }
}

#[test]
fn a_flood_of_liars_does_not_wash_out_the_good() {
    let mut all = Reputations::new(64);
    let good: Vec<PeerId> = (0..32).map(|_| PeerId::random()).collect();
    good.iter().for_each(|peer| deliver(&mut all, *peer, 5));
    for _ in 0..1_000 {
        let liar = PeerId::random();
        (0..5).for_each(|_| all.invalid(liar));
    }
    assert!(good.iter().all(|peer| all.get(peer).valid == 5));
    assert_eq!(all.len(), 64);
}

#[test]
fn of_strangers_the_one_heard_of_longest_ago_is_forgotten() {
    let mut all = Reputations::new(8);
    let peers: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
    peers.iter().for_each(|peer| all.failed(*peer));
    all.failed(peers[0]);
    all.failed(PeerId::random());
    assert_eq!(all.get(&peers[0]).failed, 2);
    assert_eq!(all.get(&peers[1]), Reputation::default());
}

#[test]
fn nobody_is_remembered_where_there_is_no_room_at_all() {
    let mut all = Reputations::new(0);
    let peer = PeerId::random();
    (0..10).for_each(|_| all.invalid(peer));
    assert_eq!(all.get(&peer), Reputation::default());
    assert_eq!(all.next_judgement(), None);
}

#[test]
fn peers_are_ranked_by_their_scores_and_equals_keep_their_order() {
    let mut all = Reputations::new(64);
    let [good, bad, one, two] = [(); 4].map(|()| PeerId::random());
    deliver(&mut all, good, 3);
    all.invalid(bad);
    let mut peers = [bad, one, good, two];
    all.rank(&mut peers);
    assert_eq!(peers, [good, one, two, bad]);
}

#[test]
fn only_noticeable_changes_are_told() {
    let mut all = Reputations::new(64);
    let peer = PeerId::random();
    deliver(&mut all, peer, 1);
    let told = all.next_judgement();
    assert!(matches!(told, Some(Judgement::Changed { score: 55.., .. })), "{told:?}");
    deliver(&mut all, peer, 1_000);
    let rest = std::iter::from_fn(|| all.next_judgement()).count();
    assert!((1..10).contains(&rest), "{rest}");
    // Time alone is news as well.
    all.set_time(HOUR * 24 * 30);
    all.retell(&peer, false);
    assert_eq!(all.next_judgement(), Some(Judgement::Changed { peer, score: 50 }));
}
