use super::*;

fn v6(number: u16) -> Multiaddr {
    format!("/ip6/2001:db8::{number:x}/tcp/1").parse().unwrap()
}

fn v4(number: u8) -> Multiaddr {
    format!("/ip4/192.0.2.{number}/tcp/1").parse().unwrap()
}

/// A race in which all of these are known.
fn with(now: Instant, addresses: impl IntoIterator<Item = Multiaddr>) -> Race {
    let mut race = Race::default();
    for address in addresses {
        race.add(now, address, false);
    }
    race.is_complete(now);
    race
}

#[test]
fn families_take_turns_and_the_newer_one_begins() {
    let mut now = Instant::now();
    let mut race = with(now, [v4(1), v4(2), v4(3), v6(1), v6(2)]);
    let mut order = Vec::new();
    while let Some(due) = race.due() {
        now = due;
        order.push(race.next(now).unwrap());
    }
    assert_eq!(order, [v6(1), v4(1), v6(2), v4(2), v4(3)]);
}

#[test]
fn each_has_its_start_on_the_next_unless_it_fails() {
    let now = Instant::now();
    let mut race = with(now, [v4(1), v4(2), v4(3)]);
    assert_eq!(race.next(now), Some(v4(1)));
    assert_eq!(race.next(now), None);
    assert_eq!(race.due(), Some(now + HEAD_START));
    assert_eq!(race.next(now + HEAD_START), Some(v4(2)));
    race.failed(now + HEAD_START);
    assert_eq!(race.next(now + HEAD_START), Some(v4(3)));
    assert_eq!(race.due(), None);
}

#[test]
fn ipv4_waits_a_moment_for_ipv6_and_no_longer_than_it_must() {
    let now = Instant::now();
    let mut race = Race::default();
    race.add(now, v4(1), false);
    assert_eq!(race.next(now), None);
    assert_eq!(race.due(), Some(now + RESOLUTION_DELAY));
    race.add(now, v6(1), false);
    assert_eq!(race.next(now), Some(v6(1)));

    let mut race = Race::default();
    race.add(now, v4(1), true);
    assert_eq!(race.next(now), Some(v4(1)));

    let mut race = Race::default();
    race.add(now, v4(1), false);
    race.is_complete(now);
    assert_eq!(race.next(now), Some(v4(1)));
}

#[test]
fn an_address_that_comes_late_is_dialed_after_those_before_it() {
    let now = Instant::now();
    let mut race = with(now, [v6(1)]);
    assert_eq!(race.next(now), Some(v6(1)));
    let late = now + HEAD_START * 4;
    race.add(late, v4(1), true);
    assert_eq!(race.next(late), Some(v4(1)));
    race.add(late, v4(1), true);
    assert_eq!(race.due(), None, "it is dialed once");
}

#[test]
fn no_more_than_sixteen_are_dialed_and_those_that_cannot_be_do_not_count() {
    let now = Instant::now();
    let mut race = with(now, (0..200).map(v4));
    assert_eq!(race.v4.len(), MAX_KNOWN);
    for _ in 0..10 {
        assert!(race.next(now).is_some());
        race.not_dialed(now);
    }
    for _ in 0..MAX_DIALED {
        assert!(race.next(now).is_some());
        race.failed(now);
    }
    assert_eq!((race.next(now), race.due()), (None, None));
}
