//! Peers that have no room: whom a node dials that has nobody else, when it dials them again, and what its callers hear.

use super::{
    goodbyes::{
        SECOND, WHEREABOUTS, come, goes, lab_with, others, said_when_gone, says_goodbye, someone,
    },
    *,
};
use crate::engine::interface::QueryEnd;
use crate::{event::Direction, farewell::Farewell};

fn contact(number: usize) -> String {
    format!("/ip4/192.0.2.{number}/tcp/4001")
}

/// Whom the node dials: bootstrap addresses, those who have left, and those it was told of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dialed {
    bootstrap: usize,
    lost: Vec<PeerId>,
    told: Vec<PeerId>,
}

fn dialed(lab: &mut Lab) -> Dialed {
    let mut dialed = Dialed::default();
    for action in lab.actions() {
        match action {
            Action::DialBootstrap { .. } => dialed.bootstrap += 1,
            Action::Redial { peer, .. } => dialed.lost.push(peer),
            Action::DialTold { peer, over, .. } => {
                assert_eq!(over.to_string(), WHEREABOUTS);
                dialed.told.push(peer);
            }
            _ => {}
        }
    }
    dialed
}

/// A node whose only bootstrap peer has been reached.
fn joining() -> (Lab, PeerId) {
    let mut lab = Lab::untouched(Config::new().with_bootstrap([contact(1).parse().unwrap()]));
    lab.actions();
    let peer = someone();
    reach(&mut lab, 1, peer);
    lab.actions();
    (lab, peer)
}

/// A dial to a bootstrap address has led to this peer.
fn reach(lab: &mut Lab, number: usize, peer: PeerId) {
    let address = WHEREABOUTS.parse().unwrap();
    lab.learn(Fact::Connected { peer, address, direction: Direction::Outbound });
    lab.learn(Fact::BootstrapDialed { address: contact(number).parse().unwrap(), end: Ok(peer) });
}

#[test]
fn a_bootstrap_peer_without_room_tells_of_others_and_three_at_a_time_are_dialed() {
    let (mut lab, contact) = joining();
    let others = others(5);
    let peers: Vec<PeerId> = others.iter().map(|other| other.peer).collect();
    says_goodbye(&mut lab, contact, 1, others);
    assert_eq!(dialed(&mut lab).told, peers[..3]);
    goes(&mut lab, contact);
    assert_eq!(dialed(&mut lab), Dialed::default());
    lab.learn(Fact::ToldDialed { peer: peers[1] });
    assert_eq!(dialed(&mut lab).told, peers[3..4]);
    // Once there is somebody, nobody else is dialed.
    come(&mut lab, peers[0], Direction::Outbound);
    for peer in [peers[0], peers[2], peers[3]] {
        lab.learn(Fact::ToldDialed { peer });
    }
    lab.advance(Duration::from_secs(100));
    assert_eq!(dialed(&mut lab).told, []);
}

#[test]
fn what_is_told_by_those_who_have_come_by_themselves_or_to_a_node_with_peers_is_not_dialed() {
    let mut lab = Lab::untouched(Config::new());
    let visitor = someone();
    come(&mut lab, visitor, Direction::Inbound);
    says_goodbye(&mut lab, visitor, 1, others(8));
    goes(&mut lab, visitor);
    assert_eq!(dialed(&mut lab).told, []);

    let (mut lab, contact) = joining();
    come(&mut lab, someone(), Direction::Outbound);
    says_goodbye(&mut lab, contact, 1, others(8));
    goes(&mut lab, contact);
    assert_eq!(dialed(&mut lab).told, []);

    // Who has another reason knows nobody who has room.
    let (mut lab, contact) = joining();
    says_goodbye(&mut lab, contact, 2, others(8));
    goes(&mut lab, contact);
    assert_eq!(dialed(&mut lab).told, []);
}

/// How long it takes until somebody is dialed, in seconds.
fn next_dial(lab: &mut Lab) -> (u64, Dialed) {
    for second in 1..=4000 {
        lab.advance(SECOND);
        let dialed = dialed(lab);
        if dialed != Dialed::default() {
            return (second, dialed);
        }
    }
    panic!("nobody is dialed");
}

#[test]
fn a_bootstrap_peer_without_room_is_dialed_again_after_five_minutes_and_then_later() {
    for others_are_there in [false, true] {
        let (mut lab, contact) = joining();
        if others_are_there {
            (0..40).for_each(|_| come(&mut lab, PeerId::random(), Direction::Inbound));
        }
        let mut waits = Vec::new();
        for _ in 0..3 {
            says_goodbye(&mut lab, contact, 1, vec![]);
            goes(&mut lab, contact);
            let (waited, dialed) = next_dial(&mut lab);
            assert_eq!(dialed, Dialed { bootstrap: 1, ..Dialed::default() });
            waits.push(waited);
            reach(&mut lab, 1, contact);
        }
        assert!((300..=375).contains(&waits[0]), "{waits:?}");
        // Among few the pauses do not grow so much, as ever.
        let most = if others_are_there { 2400 } else { 570 };
        assert!(waits.iter().all(|wait| (220..=most).contains(wait)), "{waits:?}");
        assert!(!others_are_there || waits[2] > 2 * waits[0], "{waits:?}");
        // One that goes at once, without a word, has no more room than before.
        goes(&mut lab, contact);
        assert!(next_dial(&mut lab).0 >= 220);
        // Once it has kept a connection, and has gone for another reason, it may have room.
        reach(&mut lab, 1, contact);
        lab.advance(3 * SECOND);
        goes(&mut lab, contact);
        assert!(next_dial(&mut lab).0 <= 75);
    }
}

#[test]
fn a_neighbour_without_room_is_looked_for_later_than_one_that_has_left() {
    for (code, soonest, latest) in [(1, 300, 375), (2, 60, 75)] {
        let (mut lab, peers) = lab_with::<8>();
        says_goodbye(&mut lab, peers[0], code, vec![]);
        lab.actions();
        goes(&mut lab, peers[0]);
        let (waited, dialed) = next_dial(&mut lab);
        assert_eq!(dialed.lost, [peers[0]]);
        assert!((soonest..=latest).contains(&waited), "{waited}");
    }
    // Nor is one that is there looked for by a node that has many others.
    let (mut lab, peers) = lab_with::<30>();
    says_goodbye(&mut lab, peers[0], 1, vec![]);
    lab.actions();
    goes(&mut lab, peers[0]);
    for _ in 0..4000 {
        lab.advance(SECOND);
        assert_eq!(dialed(&mut lab), Dialed::default());
    }
    // One for which there is no room here is not looked for at all.
    let (mut lab, peers) = lab_with::<8>();
    lab.engine.let_go(peers[0], Farewell::NoRoom);
    lab.actions();
    goes(&mut lab, peers[0]);
    assert_eq!(said_when_gone(&mut lab), [Some("this node has no room".to_owned())]);
    for _ in 0..4000 {
        lab.advance(SECOND);
        assert_eq!(dialed(&mut lab), Dialed::default());
    }
}

fn bootstrap(lab: &mut Lab) -> oneshot::Receiver<Result<usize>> {
    lab.ask(|reply| Command::Bootstrap { reply }).1
}

/// Ends what fills the routing table, if it has begun.
fn end_bootstrap(lab: &mut Lab) -> bool {
    let begun = lab.actions().into_iter().find_map(|action| match action {
        Action::Bootstrap { query } => Some(query),
        _ => None,
    });
    if let Some(query) = begun {
        lab.learn(Fact::QueryEnded { query, end: QueryEnd::Bootstrapped });
    }
    begun.is_some()
}

#[test]
fn whoever_joins_through_bootstrap_peers_without_room_is_told_so() {
    let contacts = (1..=3).map(|number| contact(number).parse().unwrap());
    let mut lab = Lab::untouched(Config::new().with_bootstrap(contacts));
    let waiting = bootstrap(&mut lab);
    for number in 1..=3 {
        let peer = someone();
        reach(&mut lab, number, peer);
        // One of them has introduced itself before.
        if number == 2 {
            lab.learn(Fact::Routable { peer });
            lab.learn(introduced(peer));
        }
        says_goodbye(&mut lab, peer, 1, vec![]);
        goes(&mut lab, peer);
    }
    while end_bootstrap(&mut lab) {}
    let error = answer(waiting).unwrap().unwrap_err();
    assert_eq!(error, Error::NoRoom { full: 3, of: 3 });
    assert_eq!(error.to_string(), "3 of 3 bootstrap peers have no room");

    // Nor can anything else be asked of them.
    let (_, waiting) = lab.get(&published("tool", 1).0);
    let query = only_lookup(&mut lab);
    lab.end(query, 0);
    assert_eq!(answer(waiting).unwrap().unwrap_err(), error);

    // Whoever joins anew dials them anew.
    let waiting = bootstrap(&mut lab);
    assert_eq!(dialed(&mut lab).bootstrap, 3);
    for number in 1..=2 {
        let end = Err("refused".to_owned());
        lab.learn(Fact::BootstrapDialed { address: contact(number).parse().unwrap(), end });
    }
    let peer = someone();
    reach(&mut lab, 3, peer);
    says_goodbye(&mut lab, peer, 1, vec![]);
    goes(&mut lab, peer);
    while end_bootstrap(&mut lab) {}
    assert_eq!(answer(waiting), Some(Err(Error::NoRoom { full: 1, of: 3 })));
}

#[test]
fn bootstrap_peers_that_cannot_be_reached_have_not_said_that_they_have_no_room() {
    let mut lab = Lab::untouched(Config::new().with_bootstrap([contact(1).parse().unwrap()]));
    let waiting = bootstrap(&mut lab);
    let end = Err("refused".to_owned());
    lab.learn(Fact::BootstrapDialed { address: contact(1).parse().unwrap(), end });
    while end_bootstrap(&mut lab) {}
    assert_eq!(answer(waiting), Some(Err(Error::NoPeers)));
}

#[test]
fn whoever_joins_waits_for_those_of_whom_a_bootstrap_peer_without_room_has_told() {
    for has_room in [false, true] {
        let (mut lab, contact) = joining();
        lab.learn(Fact::Routable { peer: contact });
        lab.learn(introduced(contact));
        let mut waiting = bootstrap(&mut lab);
        let others = others(1);
        let other = others[0].peer;
        says_goodbye(&mut lab, contact, 1, others);
        // What had begun before ends with the connection.
        let actions = lab.actions();
        let begun = actions.iter().find_map(|action| match action {
            Action::Bootstrap { query } => Some(*query),
            _ => None,
        });
        goes(&mut lab, contact);
        lab.learn(Fact::QueryEnded { query: begun.unwrap(), end: QueryEnd::Bootstrapped });
        assert!(!end_bootstrap(&mut lab));
        assert_eq!(waiting.try_recv(), Ok(None));
        if has_room {
            come(&mut lab, other, Direction::Outbound);
        }
        lab.learn(Fact::ToldDialed { peer: other });
        assert!(end_bootstrap(&mut lab));
        let expected = if has_room { Ok(2) } else { Err(Error::NoRoom { full: 1, of: 1 }) };
        assert_eq!(answer(waiting), Some(expected));
    }
}

#[test]
fn a_bootstrap_peer_that_had_no_room_has_some_once_its_connection_lasts() {
    for has_room in [false, true] {
        let (mut lab, contact) = joining();
        says_goodbye(&mut lab, contact, 1, vec![]);
        goes(&mut lab, contact);
        lab.actions();
        // A question of the DHT has led to it anew.
        come(&mut lab, contact, Direction::Outbound);
        let mut waiting = bootstrap(&mut lab);
        lab.advance(SECOND);
        assert!(!end_bootstrap(&mut lab));
        assert_eq!(waiting.try_recv(), Ok(None));
        if has_room {
            lab.advance(3 * SECOND);
        } else {
            says_goodbye(&mut lab, contact, 1, vec![]);
        }
        assert!(end_bootstrap(&mut lab));
        let expected = if has_room { Ok(1) } else { Err(Error::NoRoom { full: 1, of: 1 }) };
        assert_eq!(answer(waiting), Some(expected));
    }
}

#[test]
fn a_bootstrap_peer_that_has_no_room_any_more_is_left_alone_for_five_minutes() {
    let (mut lab, contact) = joining();
    lab.learn(Fact::Routable { peer: contact });
    lab.learn(introduced(contact));
    lab.advance(Duration::from_secs(3600));
    lab.actions();
    says_goodbye(&mut lab, contact, 1, vec![]);
    lab.advance(SECOND / 2);
    goes(&mut lab, contact);
    let (waited, dialed) = next_dial(&mut lab);
    assert_eq!(dialed.bootstrap, 1);
    assert!(waited >= 300, "{waited}");
}
