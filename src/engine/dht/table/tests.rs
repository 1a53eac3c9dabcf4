use std::time::Duration;

use libp2p::{Multiaddr, PeerId, multihash::Multihash};
use proptest::prelude::*;

use super::{
    entry::{Dialable, Link},
    *,
};
use crate::place::Place;

mod figures;
mod histories;

/// The peer of this number. Its key is as good as random.
pub(in crate::engine::dht) fn peer(number: u64) -> PeerId {
    PeerId::from_multihash(Multihash::wrap(0, &number.to_be_bytes()).unwrap()).unwrap()
}

fn address(host: &str) -> Multiaddr {
    format!("/ip4/{host}/tcp/4001").parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A peer that has come from this host.
fn from(number: u64, host: &str) -> Newcomer {
    let place = Place::of(&address(host), false);
    let addresses = vec![address(host)];
    Newcomer { peer: peer(number), direction: Direction::Inbound, place, addresses }
}

/// A peer whose place is not counted.
fn near(number: u64) -> Newcomer {
    from(number, "127.0.0.1")
}

fn local() -> Key {
    Key::of_bytes(b"this node")
}

fn table(k: usize) -> Table {
    Table::new(local(), &Limits::new(), k)
}

/// A table that knows the peers of these numbers.
fn knowing(numbers: impl IntoIterator<Item = u64>) -> Table {
    let mut table = table(K);
    for number in numbers {
        table.seat(Duration::ZERO, near(number));
    }
    table
}

fn keys(entries: &[&Entry]) -> Vec<Key> {
    entries.iter().map(|entry| entry.key).collect()
}

fn sorted(table: &Table, target: &Key) -> Vec<Key> {
    let mut all: Vec<Key> = table.iter().map(|entry| entry.key).collect();
    all.sort_by_key(|key| key.distance(target));
    all
}

/// Peers in this node's farthest bucket, in which every second one stands.
fn far() -> impl Iterator<Item = u64> {
    (0..).filter(|number| local().distance(&Key::of_peer(&peer(*number))).bucket() == Some(255))
}

proptest! {
    #[test]
    fn the_closest_are_those_that_a_look_at_everybody_finds(
        numbers in prop::collection::vec(any::<u64>(), 0..400),
        target: [u8; 32],
        shared in 0_usize..256,
        most in 0_usize..50,
    ) {
        let table = knowing(numbers);
        // Also keys near to this node, and its own.
        for target in [Key::from_bits(target), table.key_in(shared, target), local()] {
            let mut expected = sorted(&table, &target);
            expected.truncate(most);
            prop_assert_eq!(keys(&table.closest(&target, most)), expected);
        }
    }

    #[test]
    fn those_who_ask_are_told_of_peers_that_can_be_dialed_and_of_silent_ones_last(
        peers in prop::collection::vec((any::<u64>(), 0_u8..4), 0..200),
        target: [u8; 32],
        most in 0_usize..50,
    ) {
        let mut table = knowing(peers.iter().map(|(number, _)| *number));
        for (number, fate) in &peers {
            match fate {
                0 => {}
                1 => table.silent(&peer(*number)),
                2 => table.unreachable(&peer(*number)),
                _ => {
                    table.disconnected(secs(1), &peer(*number));
                    table.unreachable(&peer(*number));
                }
            }
        }
        let asker = peers.first().map_or(peer(0), |(number, _)| peer(*number));
        let target = Key::from_bits(target);
        let mut expected: Vec<&Entry> = table
            .iter()
            .filter(|entry| entry.standing.dialable != Dialable::Refused && entry.peer != asker)
            .collect();
        expected.sort_by_key(|entry| (entry.standing.is_tried_last(), entry.key.distance(&target)));
        expected.truncate(most);
        prop_assert_eq!(keys(&table.handed_out(&target, most, &asker)), keys(&expected));
    }
}

#[test]
fn keys_that_differ_only_far_down_are_told_apart() {
    let mut table = table(K);
    table.buckets.push(Bucket::default());
    let key = |last: u8| {
        let mut bits = [7; 32];
        bits[31] = last;
        table.key_in(255, bits)
    };
    let made = [5, 1, 4, 2, 3].map(key);
    let target = key(0);
    for (number, key) in (0..).zip(made) {
        table.enter(0, Entry::new(Duration::ZERO, key, 16, near(number)));
    }
    assert_eq!(keys(&table.closest(&target, 5)), sorted(&table, &target));
}

#[test]
fn a_peer_that_comes_gets_a_seat_and_can_be_found() {
    let mut table = table(K);
    assert!(table.is_empty());
    assert_eq!(table.seat(secs(1), from(1, "9.9.9.9")), Seat::Entered);
    assert_eq!(table.seat(secs(2), from(1, "9.9.9.9")), Seat::Known);
    assert_eq!((table.len(), table.is_empty()), (1, false));
    assert_eq!(table.addresses(&peer(1)), [address("9.9.9.9")]);
    let entry = table.get(&peer(1)).unwrap();
    assert_eq!((entry.standing.link, entry.standing.seen), (Link::Inbound, secs(2)));
    assert_eq!(entry.standing.dialable, Dialable::Told);
    assert_eq!(table.remove(&peer(1)), Change { left: Some(peer(1)), entered: vec![] });
    assert!(!table.is_seated(&peer(1)) && table.addresses(&peer(1)).is_empty());
    assert_eq!(table.remove(&peer(1)), Change::default());
}

#[test]
fn who_says_nowhere_to_be_found_gets_no_seat_and_neither_does_this_node() {
    let mut table = Table::new(Key::of_peer(&peer(1)), &Limits::new(), K);
    assert_eq!(table.seat(secs(1), near(1)), Seat::Declined);
    assert_eq!(table.seat(secs(1), Newcomer { addresses: vec![], ..near(2) }), Seat::Declined);
    assert!(table.is_empty());
    // One that has a seat keeps it, and the addresses that it said.
    table.seat(secs(1), near(2));
    assert_eq!(table.seat(secs(1), Newcomer { addresses: vec![], ..near(2) }), Seat::Known);
    assert_eq!(table.addresses(&peer(2)).len(), 1);
}

#[test]
fn the_newest_addresses_of_a_peer_are_kept_and_few() {
    let limits = Limits::new().with_addresses_per_peer(3);
    let mut table = Table::new(local(), &limits, K);
    let mut tell = |hosts: std::ops::Range<u8>| {
        let addresses = hosts.map(|host| address(&format!("9.9.9.{host}"))).collect();
        table.seat(secs(1), Newcomer { addresses, ..from(1, "9.9.9.9") });
        let known = table.addresses(&peer(1)).iter();
        known
            .map(|known| (0..100).find(|i| *known == address(&format!("9.9.9.{i}"))).unwrap())
            .collect::<Vec<u8>>()
    };
    assert_eq!(tell(0..20), [0, 1, 2]);
    assert_eq!(tell(7..8), [1, 2, 7]);
    assert_eq!(tell(1..2), [2, 7, 1], "what is said again is new again");
    assert_eq!(tell(8..10), [1, 8, 9]);
    assert_eq!(tell(20..40), [20, 21, 22]);
}

#[test]
fn a_newcomer_gets_the_seat_of_the_one_seen_least_recently_if_that_does_not_answer() {
    let mut table = table(3);
    let numbers: Vec<u64> = far().take(5).collect();
    for (at, number) in (1..).zip(&numbers[..3]) {
        assert_eq!(table.seat(secs(at), near(*number)), Seat::Entered);
    }
    assert_eq!(table.seat(secs(9), near(numbers[3])), Seat::Waits { challenge: None });
    // The second was seen before the first left.
    table.disconnected(secs(11), &peer(numbers[0]));
    table.disconnected(secs(10), &peer(numbers[1]));
    let challenge = Some(peer(numbers[1]));
    assert_eq!(table.seat(secs(12), near(numbers[3])), Seat::Waits { challenge });
    assert_eq!(table.seat(secs(12), near(numbers[3])), Seat::Waits { challenge: None }, "one seat");
    let other = Some(peer(numbers[0]));
    assert_eq!(table.seat(secs(13), near(numbers[4])), Seat::Waits { challenge: other });
    let change = table.challenge_failed(&peer(numbers[1]));
    assert_eq!(change, Change { left: challenge, entered: vec![peer(numbers[3])] });
    // The other one is back in time.
    table.connected(secs(14), &peer(numbers[0]), Direction::Inbound);
    assert_eq!(table.challenge_failed(&peer(numbers[0])), Change::default());
    assert!(table.is_seated(&peer(numbers[0])) && !table.is_seated(&peer(numbers[4])));
}

#[test]
fn whoever_shows_itself_in_any_way_keeps_its_seat() {
    let [seated, newcomer] = [0, 1].map(|at| far().nth(at).unwrap());
    let signs: [fn(&mut Table, u64); 4] = [
        |table, seated| table.connected(secs(4), &peer(seated), Direction::Inbound),
        |table, seated| table.answered(secs(4), &peer(seated), secs(1)),
        |table, seated| assert_eq!(table.seat(secs(4), near(seated)), Seat::Known),
        |table, seated| table.challenge_met(&peer(seated)),
    ];
    for sign in signs {
        let mut table = table(1);
        table.seat(secs(1), near(seated));
        table.disconnected(secs(2), &peer(seated));
        let challenge = Some(peer(seated));
        assert_eq!(table.seat(secs(3), near(newcomer)), Seat::Waits { challenge });
        sign(&mut table, seated);
        assert_eq!(table.challenge_failed(&peer(seated)), Change::default());
        assert!(table.is_seated(&peer(seated)));
    }
}

#[test]
fn who_was_dialed_in_vain_keeps_the_seat_if_nobody_needs_it_any_longer() {
    let mut table = table(1);
    let numbers: Vec<u64> = far().take(2).collect();
    table.seat(secs(1), near(numbers[0]));
    table.disconnected(secs(2), &peer(numbers[0]));
    let challenge = Some(peer(numbers[0]));
    assert_eq!(table.seat(secs(3), near(numbers[1])), Seat::Waits { challenge });
    table.disconnected(secs(4), &peer(numbers[1]));
    assert_eq!(table.challenge_failed(&peer(numbers[0])), Change::default());
    assert!(table.get(&peer(numbers[0])).unwrap().standing.is_tried_last());
    assert_eq!(table.seat(secs(5), near(numbers[1])), Seat::Waits { challenge });
}

#[test]
fn whoever_leaves_is_replaced_by_the_one_who_waits_and_was_seen_last() {
    let mut table = table(1);
    let numbers: Vec<u64> = far().take(4).collect();
    for (at, number) in (1..).zip(&numbers) {
        table.seat(secs(at), near(*number));
    }
    table.answered(secs(9), &peer(numbers[2]), secs(1));
    // The last has gone meanwhile, and so it does not come back.
    table.answered(secs(10), &peer(numbers[3]), secs(1));
    table.disconnected(secs(11), &peer(numbers[3]));
    let change = table.remove(&peer(numbers[0]));
    assert_eq!(change, Change { left: Some(peer(numbers[0])), entered: vec![peer(numbers[2])] });
    let time = table.get(&peer(numbers[2])).unwrap().standing.round_trip;
    assert_eq!(time.smoothed(), Some(secs(1)), "what was learned of it while it waited is kept");
}

#[test]
fn a_household_whose_node_starts_anew_with_other_identities_is_not_locked_out() {
    let limits = Limits::new().with_routing_peers_per_ip(2);
    let mut table = Table::new(local(), &limits, K);
    for number in 0..2 {
        assert_eq!(table.seat(secs(number), from(number, "9.9.9.9")), Seat::Entered);
    }
    assert_eq!(table.seat(secs(3), from(2, "9.9.9.9")), Seat::Waits { challenge: None });
    assert_eq!(table.seat(secs(3), from(3, "9.9.9.8")), Seat::Entered, "its neighbour has room");
    table.disconnected(secs(5), &peer(0));
    let challenge = Some(peer(0));
    assert_eq!(table.seat(secs(6), from(2, "9.9.9.9")), Seat::Waits { challenge });
    let change = table.challenge_failed(&peer(0));
    assert_eq!(change, Change { left: challenge, entered: vec![peer(2)] });
}

#[test]
fn one_network_takes_no_more_than_its_share_and_gives_it_back() {
    let limits = Limits::new().with_routing_peers_per_subnet(3);
    let mut table = Table::new(local(), &limits, K);
    for number in 0..3 {
        assert_eq!(table.seat(secs(1), from(number, &format!("9.9.{number}.1"))), Seat::Entered);
    }
    assert_eq!(table.seat(secs(1), from(3, "9.9.3.1")), Seat::Waits { challenge: None });
    assert_eq!(table.seat(secs(1), from(4, "9.8.3.1")), Seat::Entered);
    assert_eq!(table.remove(&peer(1)).entered, [peer(3)]);
    // It has moved, and pays where the seat was given.
    assert_eq!(table.seat(secs(1), from(0, "9.7.0.1")), Seat::Known);
    assert_eq!(table.seat(secs(1), from(5, "9.9.5.1")), Seat::Waits { challenge: None });
}

#[test]
fn a_dial_puts_into_question_only_a_seat_in_which_the_newcomer_could_sit() {
    let limits = Limits::new().with_routing_peers_per_ip(1);
    let mut table = Table::new(local(), &limits, 1);
    let far: Vec<u64> = far().take(2).collect();
    let close = (0..).find(|number| {
        !far.contains(number) && {
            local().distance(&Key::of_peer(&peer(*number))).bucket() == Some(254)
        }
    });
    let close = close.unwrap();
    table.seat(secs(1), from(far[0], "9.9.9.8"));
    table.seat(secs(1), from(close, "9.9.9.9"));
    table.disconnected(secs(2), &peer(far[0]));
    table.disconnected(secs(2), &peer(close));
    // Its bucket is taken by one, and its host by the other: neither alone makes room.
    assert_eq!(table.seat(secs(3), from(far[1], "9.9.9.9")), Seat::Waits { challenge: None });
    assert_eq!(table.remove(&peer(close)).entered, []);
    let challenge = Some(peer(far[0]));
    assert_eq!(table.seat(secs(3), from(far[1], "9.9.9.9")), Seat::Waits { challenge });
}

#[test]
fn no_more_than_sixteen_seats_are_in_question_at_a_time() {
    let mut table = table(K);
    let numbers: Vec<u64> = far().take(40).collect();
    for number in &numbers[..20] {
        table.seat(secs(1), near(*number));
        table.disconnected(secs(2), &peer(*number));
    }
    let mut challenged = Vec::new();
    for number in &numbers[20..] {
        let Seat::Waits { challenge } = table.seat(secs(3), near(*number)) else { panic!() };
        challenged.extend(challenge);
    }
    assert_eq!(challenged.len(), 16);
    table.challenge_met(&challenged[0]);
    assert!(matches!(table.seat(secs(4), near(99_999_999)), Seat::Entered | Seat::Waits { .. }));
}

#[test]
fn a_stranger_with_many_identities_does_not_drive_others_out_of_the_line() {
    let limits = Limits::new().with_routing_peers_per_ip(2);
    let mut table = Table::new(local(), &limits, 1);
    let numbers: Vec<u64> = far().take(102).collect();
    table.seat(secs(1), near(numbers[0]));
    table.seat(secs(2), from(numbers[1], "9.9.9.9"));
    for number in &numbers[2..] {
        table.seat(secs(3), from(*number, "6.6.6.6"));
    }
    let waiting = &table.buckets[0].waiting;
    assert_eq!(waiting.len(), 3);
    assert!(waiting.iter().any(|entry| entry.peer == peer(numbers[1])));
}

#[test]
fn a_silent_peer_is_tried_last_until_it_has_answered() {
    let mut table = knowing([1]);
    let standing = |table: &Table| table.get(&peer(1)).unwrap().standing;
    table.silent(&peer(1));
    assert!(standing(&table).is_tried_last());
    table.connected(secs(2), &peer(1), Direction::Outbound);
    assert!(standing(&table).is_tried_last(), "a connection is no answer");
    table.answered(secs(3), &peer(1), Duration::from_millis(7));
    assert!(!standing(&table).is_tried_last());
    assert_eq!(standing(&table).round_trip.smoothed(), Some(Duration::from_millis(7)));
}

#[test]
fn a_peer_that_cannot_be_dialed_keeps_its_seat_and_is_tried_last_until_it_is_back() {
    let mut table = knowing([1]);
    let standing = |table: &Table| table.get(&peer(1)).unwrap().standing;
    table.disconnected(secs(1), &peer(1));
    assert!(!standing(&table).is_tried_last());
    table.unreachable(&peer(1));
    table.unreachable(&peer(1));
    assert_eq!(standing(&table).failed_dials, 2);
    assert!(standing(&table).is_tried_last());
    table.connected(secs(2), &peer(1), Direction::Inbound);
    assert_eq!((standing(&table).failed_dials, standing(&table).dialable), (0, Dialable::Told));
    assert!(!standing(&table).is_tried_last());
}

#[test]
fn a_peer_behind_a_nat_is_reachable_through_this_node_and_handed_out_to_nobody() {
    let mut table = knowing([1, 2]);
    let standing = |table: &Table| table.get(&peer(1)).unwrap().standing;
    let told = |table: &Table| table.handed_out(&local(), 9, &peer(9)).len();
    assert_eq!(told(&table), 2);
    // It is here, and was dialed where it says that it is.
    table.unreachable(&peer(1));
    assert_eq!(standing(&table).dialable, Dialable::Refused);
    assert!(!standing(&table).is_tried_last(), "this node can ask it");
    assert_eq!((told(&table), table.closest(&local(), 9).len()), (1, 2));
    table.seat(secs(3), near(1));
    assert_eq!(told(&table), 1, "it says the same as before");
    table.disconnected(secs(4), &peer(1));
    assert!(standing(&table).is_tried_last());
    table.connected(secs(5), &peer(1), Direction::Outbound);
    assert_eq!((standing(&table).dialable, told(&table)), (Dialable::Proven, 2));
    table.connected(secs(5), &peer(1), Direction::Inbound);
    table.unreachable(&peer(1));
    assert_eq!(standing(&table).dialable, Dialable::Proven, "it was reached");
    // It may have another address by now.
    table.disconnected(secs(6), &peer(1));
    table.connected(secs(7), &peer(1), Direction::Inbound);
    table.unreachable(&peer(1));
    assert_eq!(told(&table), 1);
    table.seat(secs(8), from(1, "9.9.9.9"));
    assert_eq!((standing(&table).dialable, told(&table)), (Dialable::Told, 2));
}

#[test]
fn buckets_that_are_thin_or_were_long_not_used_are_looked_up_again() {
    let hour = secs(3_600);
    let mut table = table(K);
    assert!(table.is_neighbourhood_stale(secs(1), hour));
    table.used(secs(1), &local());
    assert!(!table.is_neighbourhood_stale(secs(2), hour));
    assert!(table.is_neighbourhood_stale(secs(3_601), hour));
    // Of few peers, everybody is known.
    (0..10).for_each(|number| assert_eq!(table.seat(secs(2), near(number)), Seat::Entered));
    assert!(table.stale(secs(9_999), hour).is_empty());
    (10..1_000).for_each(|number| {
        table.seat(secs(2), near(number));
    });
    assert!(table.stale(secs(3), hour).is_empty(), "who has just come need not be looked for");
    let due = table.stale(secs(3_602), hour);
    assert!(due.starts_with(&[255, 254, 253, 252]) && due.iter().all(|bucket| *bucket > 247));
    table.used(secs(3_602), &table.key_in(254, [7; 32]));
    assert!(!table.stale(secs(3_603), hour).contains(&254));

    let far: Vec<PeerId> = table.buckets[0].seated.iter().map(|entry| entry.peer).collect();
    far.iter().skip(3).for_each(|peer| {
        table.remove(peer);
    });
    // Those who wait take the seats of others; then nobody is left.
    while table.buckets[0].seated.len() > 3 {
        let peer = table.buckets[0].seated[0].peer;
        table.remove(&peer);
    }
    assert_eq!(table.stale(secs(3), hour), [255], "it is thin");
    table.used(secs(3), &table.key_in(255, [7; 32]));
    assert!(table.stale(secs(4), hour).is_empty());
    assert_eq!(table.stale(secs(303), hour), [255]);
}
