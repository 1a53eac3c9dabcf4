use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::engine::seeded::Random;

const NOBODY: [u8; 0] = [];

/// The peer that lies so far from the target: its number is its distance.
fn peer(distance: u8) -> PeerId {
    let mut bytes = [distance; 34];
    [bytes[0], bytes[1]] = [0, 32];
    PeerId::from_bytes(&bytes).unwrap()
}

fn key(distance: u8) -> Key {
    let mut bits = [0; 32];
    bits[0] = distance;
    Key::from_bits(bits)
}

fn distance(peer: &PeerId) -> u8 {
    peer.to_bytes()[2]
}

fn contact(distance: u8) -> (Key, Contact) {
    (key(distance), Contact { peer: peer(distance), addresses: Vec::new() })
}

fn known(expectation: Expectation, distances: impl IntoIterator<Item = u8>) -> Vec<Seed> {
    let known = |distance| Seed { peer: peer(distance), key: key(distance), expectation };
    distances.into_iter().map(known).collect()
}

fn whole(paths: u8) -> Aim {
    Aim::Whole { paths: NonZeroU8::new(paths).unwrap() }
}

fn nodes(most: u8) -> Aim {
    Aim::Nodes { most: NonZeroU8::new(most).unwrap() }
}

fn lookup(aim: Aim, known: impl IntoIterator<Item = Seed>) -> Lookup {
    Lookup::new(key(0), aim, known)
}

impl Lookup {
    /// Everybody that it asks now, by distance from the target.
    fn asks(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.next()).map(|contact| distance(&contact.peer)).collect()
    }

    fn hears(&mut self, from: u8, heard: Heard, closer: impl IntoIterator<Item = u8>) {
        let told = closer.into_iter().map(contact);
        let told = told.map(|(key, contact)| (key, Expectation::Unconnected, contact));
        self.answered(&peer(from), heard, told);
    }

    /// Everybody that it asks answers that it knows nobody else. Who was asked, in turn.
    fn hears_all(&mut self) -> Vec<u8> {
        let mut asked = Vec::new();
        while let Some(contact) = self.next() {
            asked.push(distance(&contact.peer));
            self.answered(&contact.peer, Heard::Empty, []);
        }
        asked
    }
}

fn distances(peers: &[PeerId]) -> Vec<u8> {
    peers.iter().map(distance).collect()
}

#[test]
fn who_knows_nobody_has_nobody_to_ask() {
    for aim in [Aim::First, whole(1), whole(3), nodes(4)] {
        let mut lookup = lookup(aim, []);
        assert!(lookup.is_finished());
        assert_eq!(lookup.asks(), NOBODY);
        assert_eq!(distances(&lookup.end().closest), NOBODY);
    }
}

#[test]
fn a_get_asks_the_nearest_connected_peer_and_nobody_else() {
    let others = known(Expectation::Unconnected, 1..5);
    let mut lookup =
        lookup(Aim::First, others.into_iter().chain(known(Expectation::Connected, 5..9)));
    assert_eq!(lookup.asks(), [5]);
    lookup.hears(5, Heard::Copy, []);
    // Should the copy not be enough, one more is asked.
    assert_eq!(lookup.asks(), [6]);
    lookup.finish();
    assert_eq!(lookup.asks(), NOBODY);
    let end = lookup.end();
    assert_eq!((end.answered, end.unheard), (1, 1));
    assert_eq!(distances(&end.closest), [5]);
    assert_eq!(distances(&end.without), NOBODY);
}

#[test]
fn a_get_widens_when_it_has_nothing() {
    let start = || {
        let mut lookup = lookup(Aim::First, known(Expectation::Connected, 1..9));
        assert_eq!(lookup.asks(), [1]);
        lookup
    };
    let mut slow = start();
    slow.hedge(&peer(1));
    assert_eq!(slow.asks(), [2]);
    let mut overdue = start();
    overdue.overdue(&peer(1));
    assert_eq!(overdue.asks(), [2, 3, 4]);
    let mut failed = start();
    failed.failed(&peer(1));
    assert_eq!(failed.asks(), [2, 3, 4]);
    let mut empty = start();
    empty.hears(1, Heard::Empty, []);
    assert_eq!(empty.asks(), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn few_are_asked_while_answers_bring_closer_peers_and_then_the_rest_at_once() {
    let mut lookup = lookup(whole(1), known(Expectation::Unconnected, 100..120));
    assert_eq!(lookup.asks(), [100, 101, 102]);
    lookup.hears(100, Heard::Empty, 50..70);
    assert_eq!(lookup.asks(), [50]);
    lookup.hears(101, Heard::Empty, 10..30);
    assert_eq!(lookup.asks(), [10]);
    lookup.hears(10, Heard::Empty, 10..30);
    assert_eq!(lookup.asks(), [11, 12, 13, 14, 15, 16, 17, 18]);
    lookup.hears(50, Heard::Empty, 20..40);
    lookup.hears(11, Heard::Empty, []);
    assert_eq!(lookup.asks(), [19, 20]);
}

#[test]
fn a_lookup_ends_when_the_closest_20_have_answered() {
    let mut lookup = lookup(whole(1), known(Expectation::Unconnected, 1..50));
    assert_eq!(lookup.hears_all(), Vec::from_iter(1..=20));
    assert!(lookup.is_finished());
    let end = lookup.end();
    assert_eq!((end.answered, end.unheard), (20, 0));
    assert_eq!(distances(&end.closest), Vec::from_iter(1..=20));
    assert_eq!(end.closest, end.without);
}

#[test]
fn a_bucket_is_filled_with_as_few_as_it_wants() {
    let mut lookup = lookup(nodes(4), known(Expectation::Unconnected, 1..20));
    assert_eq!(lookup.hears_all(), [1, 2, 3, 4]);
    assert_eq!(distances(&lookup.end().closest), [1, 2, 3, 4]);
}

#[test]
fn a_silent_peer_is_not_waited_for() {
    let mut lookup = lookup(whole(1), known(Expectation::Connected, 1..6));
    assert_eq!(lookup.asks(), [1, 2, 3]);
    lookup.hears(2, Heard::Empty, []);
    assert_eq!(lookup.asks(), [4, 5]);
    for from in 3..6 {
        lookup.hears(from, Heard::Empty, []);
    }
    assert!(!lookup.is_finished());
    lookup.hedge(&peer(1));
    assert!(!lookup.is_finished());
    lookup.overdue(&peer(1));
    assert!(lookup.is_finished());
    let end = lookup.end();
    assert_eq!((end.answered, end.unheard), (4, 1));
    assert_eq!(distances(&end.closest), [2, 3, 4, 5]);
}

#[test]
fn the_next_takes_the_place_of_a_slow_one() {
    let mut lookup = lookup(nodes(2), known(Expectation::Connected, 1..5));
    assert_eq!(lookup.asks(), [1, 2]);
    lookup.hears(2, Heard::Empty, []);
    assert_eq!(lookup.asks(), NOBODY);
    lookup.hedge(&peer(1));
    assert_eq!(lookup.asks(), [3]);
    lookup.hears(3, Heard::Empty, []);
    assert!(!lookup.is_finished(), "it may still answer, and is closer");
    lookup.hears(1, Heard::Empty, []);
    assert!(lookup.is_finished());
    assert_eq!(distances(&lookup.end().closest), [1, 2]);
}

#[test]
fn a_late_answer_counts_as_long_as_the_lookup_runs() {
    let mut lookup = lookup(whole(1), known(Expectation::Connected, 10..13));
    assert_eq!(lookup.asks(), [10, 11, 12]);
    lookup.overdue(&peer(10));
    assert_eq!(lookup.asks(), NOBODY);
    lookup.hears(10, Heard::Copy, [1]);
    assert_eq!(lookup.asks(), [1]);
    for from in [1, 11, 12] {
        lookup.hears(from, Heard::Empty, []);
    }
    let end = lookup.end();
    assert_eq!(distances(&end.closest), [1, 10, 11, 12]);
    assert_eq!(distances(&end.without), [1, 11, 12]);
}

#[test]
fn a_peer_in_doubt_is_asked_last_and_not_waited_for() {
    let doubtful = known(Expectation::Doubtful, [1, 2]);
    let mut lookup =
        lookup(whole(1), doubtful.into_iter().chain(known(Expectation::Connected, 3..6)));
    assert_eq!(lookup.asks(), [3, 4, 5]);
    lookup.hears(3, Heard::Empty, []);
    assert_eq!(lookup.asks(), [1, 2]);
    lookup.hears(2, Heard::Empty, []);
    lookup.hears(4, Heard::Empty, []);
    assert!(!lookup.is_finished());
    lookup.hears(5, Heard::Empty, []);
    assert!(lookup.is_finished());
    let end = lookup.end();
    assert_eq!((end.answered, end.unheard), (4, 1));
    assert_eq!(distances(&end.closest), [2, 3, 4, 5]);
}

#[test]
fn peers_in_doubt_are_waited_for_where_nobody_else_has_answered() {
    let doubtful = known(Expectation::Doubtful, 1..4);
    let mut lookup =
        lookup(whole(1), doubtful.into_iter().chain(known(Expectation::Connected, [6])));
    assert_eq!(lookup.asks(), [6, 1, 2]);
    lookup.failed(&peer(6));
    assert_eq!(lookup.asks(), [3]);
    lookup.overdue(&peer(1));
    lookup.overdue(&peer(2));
    lookup.overdue(&peer(3));
    assert!(!lookup.is_finished(), "somebody may answer at last");
    lookup.hears(2, Heard::Empty, []);
    assert!(lookup.is_finished());
}

#[test]
fn who_is_closest_is_known_when_the_three_closest_and_some_more_have_answered() {
    let aim = Aim::Neighbours { enough: NonZeroU8::new(8).unwrap() };
    let mut lookup = lookup(aim, known(Expectation::Connected, 1..30));
    assert_eq!(lookup.asks(), [1, 2, 3]);
    lookup.hears(1, Heard::Empty, []);
    assert_eq!(lookup.asks(), [4, 5, 6, 7, 8], "as many as are needed, and no more");
    for at in [3, 4, 5, 6, 7, 8] {
        lookup.hears(at, Heard::Empty, []);
        assert!(!lookup.is_finished(), "the second has not answered");
    }
    lookup.hears(2, Heard::Empty, []);
    assert!(lookup.is_finished());
    let neighbours = lookup.neighbours();
    let likely: Vec<_> = neighbours.likely.iter().map(|one| distance(&one.peer)).collect();
    assert_eq!(likely[..20], (1..21).collect::<Vec<_>>());
}

#[test]
fn those_who_are_closest_are_asked_first_where_it_is_to_be_known_who_is_although_they_must_be_dialed()
 {
    let aim = Aim::Neighbours { enough: NonZeroU8::new(8).unwrap() };
    let apart = known(Expectation::Unconnected, 1..4);
    let mut lookup = lookup(aim, apart.into_iter().chain(known(Expectation::Connected, 4..21)));
    assert_eq!(lookup.asks(), [1, 2, 3]);
    lookup.hedge(&peer(1));
    assert_eq!(lookup.asks(), [4]);
    for at in 2..5 {
        lookup.hears(at, Heard::Empty, []);
    }
    assert_eq!(lookup.asks(), [5, 6, 7, 8, 9], "beside each other");
    for at in 5..10 {
        assert!(!lookup.is_finished());
        lookup.hears(at, Heard::Empty, []);
    }
    assert!(lookup.is_finished());
}

#[test]
fn a_path_that_knows_only_peers_in_doubt_is_not_waited_for() {
    let doubtful = known(Expectation::Doubtful, 1..4);
    let start = doubtful.into_iter().chain(known(Expectation::Connected, [4, 5]));
    let mut lookup = lookup(whole(3), start);
    let asked: BTreeSet<u8> = lookup.asks().into_iter().collect();
    assert!(asked.is_superset(&[4, 5].into()), "{asked:?}");
    lookup.hears(4, Heard::Empty, []);
    lookup.hears(5, Heard::Empty, []);
    assert!(lookup.is_finished());
}

#[test]
fn peers_in_doubt_take_no_place_from_others() {
    let mut lookup = lookup(whole(1), known(Expectation::Doubtful, 20..40));
    assert_eq!(lookup.asks(), [20, 21, 22]);
    lookup.hears(20, Heard::Empty, 1..10);
    assert_eq!(lookup.asks(), [1, 2, 3]);
}

#[test]
fn a_peer_that_was_not_asked_is_not_heard() {
    let mut lookup = lookup(whole(1), known(Expectation::Connected, 10..14));
    assert_eq!(lookup.asks(), [10, 11, 12]);
    lookup.hears(13, Heard::Copy, 1..5);
    lookup.hears(99, Heard::Copy, 1..5);
    lookup.failed(&peer(10));
    lookup.hears(10, Heard::Copy, 1..5);
    assert_eq!(lookup.asks(), [13]);
    assert_eq!(lookup.end().answered, 0);
}

#[test]
fn paths_cost_nothing_where_everybody_is_known() {
    for peers in [1, 2, 5, 19, 20] {
        for paths in [1, 2, 3, 8, 255] {
            let start = known(Expectation::Unconnected, 1..=peers);
            let mut lookup = lookup(whole(paths), start);
            let mut asked = BTreeSet::new();
            while let Some(contact) = lookup.next() {
                assert!(asked.insert(distance(&contact.peer)));
                lookup.hears(distance(&contact.peer), Heard::Empty, 1..=peers);
            }
            assert!(lookup.is_finished());
            assert_eq!(asked, BTreeSet::from_iter(1..=peers));
        }
    }
}

#[test]
fn a_liar_misleads_one_path() {
    let start = || known(Expectation::Unconnected, [100, 101, 102]);
    let run = |paths| {
        let mut lookup = lookup(whole(paths), start());
        let mut asked = BTreeSet::new();
        while let Some(contact) = lookup.next() {
            let from = distance(&contact.peer);
            asked.insert(from);
            // Those up to 40 are liars, and one of the three that are known at the start.
            let closer = if from <= 40 || from == 100 { 1..=20 } else { 50..=69 };
            lookup.hears(from, Heard::Empty, closer);
        }
        (asked, distances(&lookup.end().closest))
    };
    let (_, closest) = run(1);
    assert_eq!(closest, Vec::from_iter(1..=20));
    let (asked, closest) = run(3);
    assert!((50..=69).all(|honest| asked.contains(&honest)));
    assert_eq!(closest.iter().filter(|one| **one >= 50).count(), 13, "two paths of three");
}

#[test]
fn inventions_take_the_requests_of_one_path() {
    let mut lookup = lookup(whole(2), known(Expectation::Unconnected, [240, 241]));
    let mut asked = BTreeMap::<_, usize>::new();
    let mut invented = 200;
    while let Some(contact) = lookup.next() {
        match distance(&contact.peer) {
            241 => lookup.hears(241, Heard::Empty, [239]),
            239 => lookup.hears(239, Heard::Empty, []),
            from => {
                *asked.entry("invented").or_default() += 1;
                invented -= 1;
                lookup.hears(from, Heard::Empty, [invented]);
            }
        }
    }
    assert_eq!(asked["invented"], 50);
    assert!(distances(&lookup.end().closest).contains(&239));
}

#[test]
fn addresses_come_with_the_one_who_is_asked() {
    let addresses: Vec<libp2p::Multiaddr> =
        (0..20).map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect();
    let mut lookup = lookup(whole(1), known(Expectation::Connected, [9]));
    assert_eq!(lookup.next(), Some(Contact { peer: peer(9), addresses: Vec::new() }));
    let told = |at| {
        let contact = Contact { peer: peer(at), addresses: addresses.clone() };
        (key(at), Expectation::Unconnected, contact)
    };
    lookup.answered(&peer(9), Heard::Empty, [told(9), told(1)]);
    assert_eq!(lookup.next(), Some(Contact { peer: peer(1), addresses: addresses[..8].to_vec() }));
    let long = format!("/dns4/{}.example/tcp/1", "a".repeat(300)).parse().unwrap();
    let addresses = vec![long; 3];
    lookup.answered(
        &peer(1),
        Heard::Empty,
        [(key(2), Expectation::Unconnected, Contact { peer: peer(2), addresses })],
    );
    assert_eq!(lookup.next().unwrap().addresses.len(), 1);
}

#[test]
fn a_peer_that_a_liar_has_placed_elsewhere_is_found_where_others_say_that_it_is() {
    let address = |port: u16| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap();
    let told = |port| {
        let contact = Contact { peer: peer(1), addresses: vec![address(port)] };
        (key(1), Expectation::Unconnected, contact)
    };
    for is_told_in_time in [true, false] {
        let mut lookup = lookup(whole(1), known(Expectation::Connected, [8, 9]));
        assert_eq!(lookup.asks(), [8, 9]);
        lookup.answered(&peer(9), Heard::Empty, [told(1)]);
        assert_eq!(lookup.next().unwrap().addresses, [address(1)]);
        if is_told_in_time {
            lookup.answered(&peer(8), Heard::Empty, [told(1), told(2)]);
            assert_eq!(lookup.next(), None, "it is being dialed");
            lookup.unreachable(&peer(1));
        } else {
            lookup.unreachable(&peer(1));
            assert_eq!(lookup.next(), None);
            lookup.answered(&peer(8), Heard::Empty, [told(1), told(2)]);
        }
        assert_eq!(lookup.next().unwrap().addresses, [address(2)]);
        lookup.unreachable(&peer(1));
        assert!(lookup.is_finished());
    }
}

#[test]
fn a_running_lookup_is_small() {
    let lookup = lookup(whole(3), known(Expectation::Connected, 1..=20));
    assert!(lookup.bytes() <= 1_400, "{}", lookup.bytes());
}

/// What happens to a peer that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answers,
    Slow,
    Late,
    Silent,
    Fails,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    use Fate::{Answers, Fails, Late, Silent, Slow};
    let fate = prop_oneof![
        Just(Answers),
        Just(Answers),
        Just(Slow),
        Just(Late),
        Just(Silent),
        Just(Fails)
    ];
    vec(fate, 200)
}

fn start() -> impl Strategy<Value = Vec<Seed>> {
    let expectation = prop_oneof![
        Just(Expectation::Connected),
        Just(Expectation::Unconnected),
        Just(Expectation::Doubtful)
    ];
    vec((1..=200u8, expectation), 0..30).prop_map(|start| {
        let start: BTreeMap<_, _> = start.into_iter().collect();
        start.into_iter().flat_map(|(at, expectation)| known(expectation, [at])).collect()
    })
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![Just(Aim::First), (1..10u8).prop_map(whole), (1..25u8).prop_map(nodes)]
}

proptest! {
    #[test]
    fn every_lookup_ends_and_finds_the_closest_that_answered(
        aim in aim(), start in start(), fates in fates(), seed: u64,
    ) {
        let mut random = Random(seed);
        let mut lookup = lookup(aim, start);
        let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
        // With whom a request is open, and how often it was heard that it takes long.
        let mut open: Vec<(u8, usize)> = Vec::new();
        loop {
            while let Some(contact) = lookup.next() {
                let at = distance(&contact.peer);
                prop_assert!(asked.insert(at), "nobody is asked twice");
                open.push((at, 0));
            }
            let prompt = open.iter().filter(|(_, late)| *late == 0).count();
            prop_assert!(prompt < 2 * IN_FLIGHT);
            prop_assert!(asked.len() <= usize::from(REQUESTS) + PATHS);
            if lookup.is_finished() {
                break;
            }
            prop_assert!(!open.is_empty(), "it waits for somebody");
            let turn = random.below(open.len());
            let (at, late) = open.swap_remove(turn);
            match (fates[usize::from(at) - 1], late) {
                (Fate::Slow | Fate::Late | Fate::Silent, 0) => {
                    lookup.hedge(&peer(at));
                    open.push((at, 1));
                }
                (Fate::Late | Fate::Silent, 1) => {
                    lookup.overdue(&peer(at));
                    open.push((at, 2));
                }
                // It is given up in the end.
                (Fate::Silent, _) => lookup.failed(&peer(at)),
                (Fate::Fails, _) => lookup.failed(&peer(at)),
                (Fate::Answers | Fate::Slow | Fate::Late, _) => {
                    let closer: Vec<_> = (0..random.below(25)).map(|_| 1 + random.below(200) as u8).collect();
                    answered.insert(at);
                    lookup.hears(at, if at % 2 == 0 { Heard::Copy } else { Heard::Empty }, closer);
                }
            }
        }
        prop_assert_eq!(lookup.next(), None);
        let end = lookup.end();
        prop_assert_eq!(end.answered as usize, answered.len());
        prop_assert_eq!(end.unheard as usize, asked.len() - answered.len());
        let closest = distances(&end.closest);
        prop_assert!(closest.is_sorted());
        if aim.paths() == 1 {
            prop_assert_eq!(&closest, &answered.iter().copied().take(aim.closest()).collect::<Vec<_>>());
        } else {
            prop_assert_eq!(closest.len(), answered.len().min(aim.closest()));
            prop_assert_eq!(closest.first(), answered.first());
        }
        prop_assert!(distances(&end.without).iter().all(|at| at % 2 == 1 && closest.contains(at)));
    }

    #[test]
    fn identities_are_kept_in_few_bytes(digest in vec(any::<u8>(), 0..=42), hashed: [u8; 32]) {
        for bytes in [[&[0, digest.len() as u8], &digest[..]].concat(), [&[0x12, 32], &hashed[..]].concat()] {
            let peer = PeerId::from_bytes(&bytes).unwrap();
            prop_assert_eq!(Id::of(&peer).unwrap().peer(), Some(peer));
        }
    }
}
