//! Whom to ask first.

use super::*;
use crate::{
    engine::discovery::neighbours::Greeting,
    event::Direction,
    package::GeoLocation,
    record::{Hello, Location, Record},
};

const PARIS: (f64, f64) = (48.86, 2.35);
const LYON: (f64, f64) = (45.76, 4.84);
const SYDNEY: (f64, f64) = (-33.87, 151.21);

/// A connected peer of which this is known.
fn peer(lab: &mut Lab, millis: Option<u64>, place: Option<(f64, f64)>) -> PeerId {
    let peer = PeerId::random();
    let address = "/memory/5".parse().unwrap();
    lab.learn(Fact::Connected { peer, address, direction: Direction::Inbound });
    let neighbour = lab.engine.discovery.neighbours().get_mut(&peer).unwrap();
    neighbour.round_trip = millis.map(Duration::from_millis);
    let mut hello = Hello::new(NetworkName::default(), peer, UNIX);
    let place = place.map(|(north, east)| GeoLocation::new(north, east).unwrap());
    hello.location = place.map(Location::from);
    neighbour.greeting = Greeting::Known(Box::new(hello));
    peer
}

fn lab() -> Lab {
    let here = GeoLocation::new(PARIS.0, PARIS.1).unwrap();
    Lab::untouched(Config::new().with_location(here))
}

/// It has served what this node has looked up.
fn serves_well(lab: &mut Lab, peer: PeerId) {
    for _ in 0..20 {
        let record = Record::Head(published("tool", 1).1);
        lab.engine.credit(peer, &record, Duration::from_millis(10));
    }
}

fn rank(lab: &Lab, peers: &mut [PeerId]) {
    let score = |peer: &PeerId| lab.engine.standing.score(peer);
    lab.engine.discovery.rank_by_nearness(&lab.engine.cx, peers, score);
}

#[test]
fn conduct_comes_before_round_trip_and_that_before_declared_distance() {
    let mut lab = lab();
    // In the order that is expected, and each better than the one before it in what decides nothing between the two.
    let proven = peer(&mut lab, Some(900), Some(SYDNEY));
    serves_well(&mut lab, proven);
    let quick = peer(&mut lab, Some(5), Some(SYDNEY));
    // Between 16 and 32 ms all are equally quick.
    let [close, far, nowhere] = [(30, Some(LYON)), (20, Some(SYDNEY)), (17, None)]
        .map(|(millis, place)| peer(&mut lab, Some(millis), place));
    let unmeasured = peer(&mut lab, None, Some(PARIS));
    let bad = peer(&mut lab, Some(1), Some(PARIS));
    lab.engine.standing.reputations_mut().invalid(bad);

    let expected = [proven, quick, close, far, nowhere, unmeasured, bad];
    let mut ranked = expected;
    ranked.sort();
    rank(&lab, &mut ranked);
    assert_eq!(ranked, expected);
    assert_eq!(lab.engine.search_targets(16), (expected.to_vec(), 0));
    assert_eq!(lab.engine.search_targets(2), (vec![proven, quick], 5));
}

#[test]
fn providers_that_are_connected_come_first_by_the_same_order() {
    let mut lab = lab();
    let slow = peer(&mut lab, Some(300), Some(PARIS));
    let far = peer(&mut lab, Some(20), Some(SYDNEY));
    let close = peer(&mut lab, Some(30), Some(LYON));
    let (id, head) = published("tool", 1);
    for from in [slow, far, close] {
        let verdict = lab.hears_from(from, &head);
        assert_eq!(verdict, Verdict::Accept);
    }
    let owner = *id.owner().unwrap();
    let providers = lab.engine.providers(&owner, id.name());
    let order: Vec<PeerId> = providers.iter().map(|provider| provider.peer).collect();
    assert_eq!(order, [close, far, slow, owner]);
    assert!(providers.iter().all(|provider| provider.connected == (provider.peer != owner)));
}

#[test]
fn a_declared_place_says_nothing_to_a_node_that_declares_none() {
    let mut lab = Lab::untouched(Config::new());
    let mut peers = [Some(SYDNEY), None, Some(PARIS)].map(|place| peer(&mut lab, Some(20), place));
    rank(&lab, &mut peers);
    assert!(peers.is_sorted(), "all stand equal");
}
