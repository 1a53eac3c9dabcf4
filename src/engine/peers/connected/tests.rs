use super::*;
use crate::engine::wheel::Wheel;

fn connect(peers: &mut Peers) -> PeerId {
    let peer = PeerId::random();
    let deadline = Wheel::new(Duration::from_millis(10)).insert(Duration::ZERO, ());
    let (direction, since) = (Direction::Outbound, Duration::ZERO);
    peers.connected(peer, Multiaddr::empty(), direction, None, since, deadline);
    peer
}

#[test]
fn a_node_that_has_dialed_nobody_is_isolated() {
    assert_eq!(Peers::default().reach(), Reach::Isolated);
}

#[test]
fn questions_wait_while_a_bootstrap_dial_is_under_way_and_no_longer() {
    let mut peers = Peers::default();
    peers.dial_started();
    assert_eq!(peers.reach(), Reach::Joining);
    peers.dial_ended();
    assert_eq!(peers.reach(), Reach::Isolated);
}

#[test]
fn a_connection_counts_once_it_stands_in_the_routing_table() {
    let mut peers = Peers::default();
    let peer = connect(&mut peers);
    assert_eq!(peers.reach(), Reach::Joining);
    peers.routable(peer);
    peers.introduced(&peer, Some("peerage".to_owned()), Affiliation::Same);
    assert_eq!(peers.reach(), Reach::Joined);
}

#[test]
fn whether_a_peer_is_one_of_the_closest_is_told_without_putting_all_in_order() {
    let mut peers = Peers::default();
    for _ in 0..60 {
        peers.routable(PeerId::random());
    }
    let known: Vec<PeerId> = peers.routable.keys().copied().collect();
    for peer in known.into_iter().chain((0..60).map(|_| PeerId::random())) {
        let key = RecordKey::claims(&NetworkName::default(), &"tool".parse().unwrap());
        let expected = peers.closest(&key, &[peer], 20).contains(&peer);
        assert_eq!(peers.is_among_closest(&key, &peer, 20), expected);
    }
}

#[test]
fn a_peer_that_has_left_may_be_asked_and_is_no_company() {
    let mut peers = Peers::default();
    let peer = connect(&mut peers);
    assert_eq!(peers.company(), Company::Expected);
    peers.routable(peer);
    assert_eq!(peers.company(), Company::Members(1));
    peers.disconnected(&peer);
    assert_eq!((peers.reach(), peers.company()), (Reach::Joined, Company::Nobody));
}

#[test]
fn a_peer_that_speaks_no_dht_leaves_the_node_isolated() {
    let mut peers = Peers::default();
    let peer = connect(&mut peers);
    peers.introduced(&peer, Some("something else".to_owned()), Affiliation::Unknown);
    assert_eq!(peers.reach(), Reach::Isolated);
}
