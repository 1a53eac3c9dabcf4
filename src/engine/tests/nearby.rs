//! Who is dialed of those that were discovered on the local network.

use super::*;
use crate::event::Direction;

fn whereabouts(last: u8) -> Vec<Multiaddr> {
    vec![format!("/ip4/192.168.1.{last}/tcp/4001").parse().unwrap()]
}

fn discover(lab: &mut Lab, peer: PeerId) {
    lab.learn(Fact::Discovered { peer, addresses: whereabouts(7) });
}

/// Who is dialed because it was discovered.
fn dialed(lab: &mut Lab) -> Vec<PeerId> {
    let actions = lab.actions().into_iter();
    let dialed = actions.filter_map(|action| match action {
        Action::DialDiscovered { peer, addresses } => {
            assert_eq!(addresses, whereabouts(7));
            Some(peer)
        }
        _ => None,
    });
    dialed.collect()
}

fn dial_ends(lab: &mut Lab, peer: PeerId) {
    lab.learn(Fact::DiscoveredDialed { peer });
}

fn come(lab: &mut Lab, peer: PeerId) {
    let address = whereabouts(7).remove(0);
    lab.learn(Fact::Connected { peer, address, direction: Direction::Outbound });
    lab.learn(Fact::Routable { peer });
    lab.learn(introduced(peer));
}

fn peers<const N: usize>() -> [PeerId; N] {
    [(); N].map(|()| PeerId::random())
}

#[test]
fn a_node_that_knows_nobody_dials_who_is_discovered_a_few_at_a_time() {
    let mut lab = Lab::untouched(Config::new());
    let all: [PeerId; 5] = peers();
    all.iter().for_each(|peer| discover(&mut lab, *peer));
    assert_eq!(dialed(&mut lab), all[..3]);
    dial_ends(&mut lab, all[1]);
    assert_eq!(dialed(&mut lab), all[3..4]);
    dial_ends(&mut lab, all[0]);
    assert_eq!(dialed(&mut lab), all[4..]);
}

#[test]
fn one_that_is_there_and_of_another_network_is_dialed_less_and_less_often() {
    let mut lab = Lab::untouched(Config::new());
    let [peer] = peers();
    let mut dials = Vec::new();
    for second in 0..4000_u64 {
        lab.advance(Duration::from_secs(1));
        discover(&mut lab, peer);
        for peer in dialed(&mut lab) {
            dials.push(second);
            dial_ends(&mut lab, peer);
        }
    }
    let pauses: Vec<u64> = dials.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280]);
}

#[test]
fn who_is_here_is_blocked_or_is_this_node_itself_is_not_dialed() {
    let mut lab = Lab::untouched(Config::new());
    let [here] = peers();
    come(&mut lab, here);
    let local = lab.engine.cx.local;
    for peer in [here, local] {
        discover(&mut lab, peer);
    }
    assert_eq!(dialed(&mut lab), []);
}

/// It has others to ask, and its places are for those who look for it.
#[test]
fn a_node_with_many_peers_dials_nobody_nearby_until_they_have_left() {
    let mut lab = Lab::untouched(Config::new());
    let many: [PeerId; 24] = peers();
    many.iter().for_each(|peer| come(&mut lab, *peer));
    let [peer] = peers();
    discover(&mut lab, peer);
    assert_eq!(dialed(&mut lab), []);
    lab.learn(Fact::Disconnected { peer: many[0], reason: None });
    assert_eq!(dialed(&mut lab), [], "what was heard while there was no need is forgotten");
    discover(&mut lab, peer);
    assert_eq!(dialed(&mut lab), [peer]);
}

/// Somebody on the network makes up peers without end, and none of them is there.
#[test]
fn a_flood_of_made_up_peers_is_dialed_to_a_bound_and_nobody_waits_for_them() {
    let mut lab = Lab::untouched(Config::new());
    let mut dials = 0;
    for _ in 0..2000 {
        lab.advance(Duration::from_millis(20));
        discover(&mut lab, PeerId::random());
        for peer in dialed(&mut lab) {
            dials += 1;
            dial_ends(&mut lab, peer);
        }
    }
    assert_eq!(dials, 256, "in forty seconds");
    assert_eq!(lab.engine.peers.reach(), crate::engine::interface::Reach::Isolated);
}

#[test]
fn a_closed_node_dials_nobody_nearby() {
    let mut lab = Lab::untouched(Config::new());
    let [first, second] = peers();
    discover(&mut lab, first);
    lab.engine.shut_down();
    lab.actions();
    discover(&mut lab, second);
    dial_ends(&mut lab, first);
    assert_eq!(dialed(&mut lab), []);
}
