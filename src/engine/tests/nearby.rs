//! Who is dialed of those that were discovered on the local network.

use super::*;
use crate::event::Direction;

fn whereabouts(last: u8) -> Vec<Multiaddr> {
    vec![format!("/ip4/192.168.1.{last}/tcp/4001").parse().unwrap()]
}

fn discover(lab: &mut Lab, peer: PeerId) {
    discover_by(lab, 7, peer);
}

/// It is this machine that says so.
fn discover_by(lab: &mut Lab, sender: u8, peer: PeerId) {
    let by = [192, 168, 1, sender].into();
    lab.learn(Fact::Discovered { peer, addresses: whereabouts(7), by });
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
    (1..).zip(&all).for_each(|(sender, peer)| discover_by(&mut lab, sender, *peer));
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

/// Dials to peers that are not there take their time.
#[test]
fn whoever_makes_up_peers_without_end_keeps_nobody_else_waiting() {
    let mut lab = Lab::untouched(Config::new());
    let [first, second, third] = peers();
    for _ in 0..200 {
        discover_by(&mut lab, 66, PeerId::random());
    }
    let made_up = dialed(&mut lab);
    assert_eq!(made_up.len(), 1, "one at a time");
    discover_by(&mut lab, 1, first);
    assert_eq!(dialed(&mut lab), [first]);
    dial_ends(&mut lab, first);
    dial_ends(&mut lab, made_up[0]);
    // More than can be remembered.
    for _ in 0..1000 {
        discover_by(&mut lab, 66, PeerId::random());
        for peer in dialed(&mut lab) {
            dial_ends(&mut lab, peer);
        }
    }
    discover_by(&mut lab, 2, second);
    assert_eq!(dialed(&mut lab), [second]);
    dial_ends(&mut lab, second);
    // The senders are many: whoever has said little comes first.
    for sender in [67, 68, 69, 67, 68, 69] {
        discover_by(&mut lab, sender, PeerId::random());
    }
    let made_up = dialed(&mut lab);
    assert_eq!(made_up.len(), 3);
    discover_by(&mut lab, 3, third);
    assert_eq!(dialed(&mut lab), []);
    dial_ends(&mut lab, made_up[2]);
    assert_eq!(dialed(&mut lab), [third]);
}

/// Whoever can send under any address can have this node dial a bounded number of places.
#[test]
fn a_flood_from_everywhere_is_dialed_to_a_bound() {
    let mut lab = Lab::untouched(Config::new());
    let mut dials = 0;
    for number in 0..2000_u32 {
        lab.advance(Duration::from_millis(20));
        let [.., high, low] = number.to_be_bytes();
        let (peer, by) = (PeerId::random(), [10, 0, high, low].into());
        lab.learn(Fact::Discovered { peer, addresses: whereabouts(7), by });
        for peer in dialed(&mut lab) {
            dials += 1;
            dial_ends(&mut lab, peer);
        }
    }
    assert_eq!(dials, 512, "in forty seconds");
}

/// It was said to be where it is not, before it came.
#[test]
fn what_one_says_of_a_peer_keeps_nobody_from_believing_another() {
    let mut lab = Lab::untouched(Config::new());
    let [peer] = peers();
    for _ in 0..1000 {
        lab.advance(Duration::from_secs(5));
        discover_by(&mut lab, 66, peer);
        dialed(&mut lab).into_iter().for_each(|peer| dial_ends(&mut lab, peer));
    }
    discover_by(&mut lab, 7, peer);
    assert_eq!(dialed(&mut lab), [peer]);
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
