//! What stays when more comes in than there is room for, by accident or on purpose.

use super::*;

const IDENTITIES: u32 = 100_000;
const PACKAGES: usize = 8_000;

fn small() -> Catalogue {
    Catalogue::new(Load { packages: PACKAGES, bytes: 1 << 30 }, Coverage::All)
}

/// Pins, uses and honest peers' packages, some of which two of them provide. The flood is numbered from 1,000,000 on.
fn settled(honest_peers: u32, each: u32) -> Catalogue {
    let mut catalogue = small();
    for number in 0..1000 {
        let interest = if number % 2 == 0 { Interest::Pinned } else { Interest::Used };
        assert_eq!(catalogue.list(listing(number), because(interest)).outcome, Admission::New);
    }
    for honest in 0..honest_peers {
        for number in 0..each {
            let number = 10_000 + honest * each + number;
            assert_eq!(catalogue.hear(listing(number), 100 + honest), Admission::New);
        }
    }
    catalogue
}

fn flood(catalogue: &mut Catalogue, peers: u32) {
    for number in 0..IDENTITIES {
        // As fresh as a head can be made, so that it would be the last to go.
        let fresh = Listing { issued: UNIX + 300, ..listing(1_000_000 + number) };
        let outcome = catalogue.hear(fresh, 1000 + number % peers);
        assert!(matches!(outcome, Admission::New | Admission::Full), "{outcome:?}");
    }
    catalogue.check();
}

#[test]
fn a_hundred_thousand_identities_push_out_nothing_that_is_pinned_or_used() {
    for peers in [1, 3, 50] {
        let mut catalogue = settled(0, 0);
        flood(&mut catalogue, peers);
        assert!((0..1000).all(|number| catalogue.lists(&listing(number))), "{peers} peers");
        assert_eq!(catalogue.len(), PACKAGES);
    }
}

#[test]
fn whoever_floods_the_catalogue_floods_its_own_part() {
    for peers in [1, 3, 50] {
        // 7,000 places for what is heard, of which five honest peers fill what is theirs.
        let (honest, room) = (5, 7000);
        let each = room / (honest + peers);
        let mut catalogue = settled(honest, each);
        flood(&mut catalogue, peers);
        let mine = 10_000..10_000 + honest * each;
        let lost = mine.filter(|number| !catalogue.lists(&listing(*number))).count();
        assert_eq!(lost, 0, "{peers} peers, {each} packages each");
    }
}

#[test]
fn honest_peers_with_more_than_their_part_lose_no_more_than_what_is_above_it() {
    for peers in [1, 3, 50] {
        let (honest, room, each) = (5, 7000, 1400);
        let mut catalogue = settled(honest, each);
        flood(&mut catalogue, peers);
        for number in 0..honest {
            let mine = 10_000 + number * each..10_000 + (number + 1) * each;
            let kept = mine.filter(|number| catalogue.lists(&listing(*number))).count();
            assert!(kept >= (room / (honest + peers)) as usize, "{kept} of {peers} peers");
        }
    }
}

#[test]
fn large_heads_are_held_to_the_bytes_as_many_small_ones_are_to_the_places() {
    let bytes = 1_000_000;
    let mut catalogue = Catalogue::new(Load { packages: 1_000_000, bytes }, Coverage::All);
    for number in 0..500 {
        catalogue.hear(listing(number), 1);
    }
    for number in 0..10_000 {
        let large = Listing { bytes: vec![0; 8192].into(), ..listing(1_000_000 + number) };
        catalogue.hear(large, 2);
        assert!(catalogue.bytes() <= bytes);
    }
    assert!((0..500).all(|number| catalogue.lists(&listing(number))));
    catalogue.check();
}

#[test]
fn what_an_honest_peer_provides_too_is_not_lost_with_the_loud_one_that_brought_it_first() {
    let mut catalogue = small();
    for number in 0..1000 {
        // The loud one was faster.
        catalogue.hear(listing(number), 1);
        catalogue.hear(listing(number), 2);
    }
    for number in 0..IDENTITIES {
        catalogue.hear(listing(1_000_000 + number), 1);
    }
    let lost = (0..1000).filter(|number| !catalogue.lists(&listing(*number))).count();
    // Of every nine at most one, when they go one after the other; the honest peer brings it again.
    assert!(lost <= 1000 / 9 + 1, "{lost}");
    for number in 0..1000 {
        catalogue.hear(listing(number), 2);
    }
    for number in 0..IDENTITIES {
        catalogue.hear(listing(2_000_000 + number), 1);
    }
    assert!((0..1000).all(|number| catalogue.lists(&listing(number))));
    catalogue.check();
}

#[test]
fn one_owner_makes_room_for_its_own_once_it_has_a_sixteenth() {
    let mut catalogue = small();
    for number in 0..PACKAGES as u32 {
        catalogue.hear(listing(number), 1);
    }
    // Each newer than the one before.
    for number in 0..2000 {
        let next = Listing { issued: UNIX + u64::from(number), ..listing_of(77_777, number, 1) };
        assert_eq!(catalogue.hear(next, 1), Admission::New);
    }
    let theirs = |listed: &Listed<'_>| listed.listing.key == listing_of(77_777, 0, 1).key;
    assert!(!catalogue.iter(UNIX).any(|listed| theirs(&listed)), "its oldest has gone");
    let share = catalogue.by_package.keys().filter(|key| key.owner == listing(77_777).key.owner);
    assert_eq!(share.count(), PACKAGES / 16);
    assert_eq!(catalogue.len(), PACKAGES);
}

#[test]
fn a_large_owner_has_all_the_room_that_nobody_else_needs() {
    let mut catalogue = small();
    for number in 0..PACKAGES as u32 {
        assert_eq!(catalogue.hear(listing_of(1, number, 1), 1), Admission::New);
    }
    assert_eq!(catalogue.len(), PACKAGES);
}

#[test]
fn what_has_just_gone_for_want_of_room_does_not_come_back_to_push_out_another() {
    let mut catalogue = small();
    let dated = |number: u32| Listing { issued: UNIX - u64::from(number), ..listing(number) };
    for number in 0..PACKAGES as u32 {
        catalogue.hear(dated(number), 1);
    }
    let generation = catalogue.generation();
    let inserted = catalogue.list(dated(9000), heard_from(1));
    assert_eq!(inserted, Insertion { outcome: Admission::Full, gone: vec![] });
    assert!(catalogue.generation() > generation);
    let newer = Listing { issued: UNIX, ..listing(9001) };
    let oldest = PACKAGES as u32 - 1;
    assert_eq!(
        catalogue.list(newer, heard_from(1)),
        Insertion { outcome: Admission::New, gone: vec![(name(oldest), peer(oldest))] }
    );
}

#[test]
fn what_was_used_longest_ago_falls_back_among_the_others_and_what_is_pinned_never_does() {
    let mut catalogue = Catalogue::new(Load { packages: 100, bytes: 1 << 20 }, Coverage::All);
    for number in 0..75 {
        let interest = if number < 25 { Interest::Pinned } else { Interest::Used };
        let _ = catalogue.list(listing(number), because(interest));
    }
    // The one used longest ago is used again, so that the next one falls.
    assert!(catalogue.promote(&name(25), &peer(25), Interest::Used).is_empty());
    let _ = catalogue.list(listing(75), because(Interest::Used));
    let fresh = |number| Listing { issued: UNIX, ..listing(number) };
    for number in 100..1100 {
        catalogue.hear(fresh(number), 1);
    }
    // It counts for whoever brought it, who has brought less than the flooder.
    assert!((0..76).all(|number| catalogue.lists(&listing(number))));
    for number in 1100..1125 {
        catalogue.hear(fresh(number), 0);
    }
    let lost = (0..76).filter(|number| !catalogue.lists(&listing(*number)));
    assert_eq!(lost.collect::<Vec<u32>>(), [26]);
    // A pin that is taken back leaves a package that was used.
    assert!(catalogue.unpin(&name(0), &peer(0)).is_empty());
    for number in 2000..2080 {
        let _ = catalogue.list(listing(number), because(Interest::Used));
    }
    assert!((1..25).all(|number| catalogue.lists(&listing(number))));
    catalogue.check();
}

#[test]
fn expired_entries_make_room_before_any_other() {
    let mut catalogue = Catalogue::new(Load { packages: 4, bytes: 1 << 20 }, Coverage::All);
    catalogue.hear(Listing { expires: UNIX + 10, issued: UNIX, ..listing(0) }, 1);
    for number in 1..4 {
        catalogue.hear(listing(number), 2);
    }
    let later = Arrival { unix: UNIX + 10, ..heard_from(2) };
    let inserted = catalogue.list(listing(4), later);
    assert_eq!(inserted, Insertion { outcome: Admission::New, gone: vec![(name(0), peer(0))] });
}

#[test]
fn a_bound_of_nothing_lists_nothing() {
    for bounds in [Load { packages: 0, bytes: 1000 }, Load { packages: 10, bytes: 0 }] {
        for interest in [Interest::Heard, Interest::Used, Interest::Pinned] {
            let mut catalogue = Catalogue::new(bounds, Coverage::All);
            let inserted = catalogue.list(listing(1), because(interest));
            assert_eq!(inserted, Insertion { outcome: Admission::Full, gone: vec![] });
            assert_eq!(catalogue.len(), 0);
        }
    }
}

#[test]
fn a_small_catalogue_that_is_full_takes_what_is_newer_too() {
    let mut catalogue = Catalogue::new(Load { packages: 8, bytes: 1 << 20 }, Coverage::All);
    for number in 0..8 {
        assert_eq!(catalogue.hear(listing(number), 1), Admission::New);
    }
    let newer = Listing { issued: UNIX, ..listing(8) };
    assert_eq!(catalogue.hear(newer, 2), Admission::New);
    assert_eq!(catalogue.len(), 8);
}
