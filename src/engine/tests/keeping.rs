//! Which connections a node keeps, and whom it lets go.

use std::collections::HashSet;

use libp2p::identity::Keypair;

use super::*;
use crate::{
    config::Limits,
    connections::KeptFor,
    counters::LetGoCounters,
    coverage::Coverage,
    event::Direction,
    exchange,
    record::{Hello, NetworkName, Signed},
};

fn lab(limits: Limits) -> Lab {
    let mut lab = Lab::untouched(Config::new().with_limits(limits));
    lab.actions();
    lab
}

/// A peer of this subnet has come, and is one of those who can be asked.
fn come(lab: &mut Lab, subnet: u8, direction: Direction) -> PeerId {
    come_as(lab, PeerId::random(), subnet, direction)
}

fn come_as(lab: &mut Lab, peer: PeerId, subnet: u8, direction: Direction) -> PeerId {
    let address = format!("/ip4/198.{subnet}.100.7/tcp/4001").parse().unwrap();
    lab.learn(Fact::Connected { peer, address, direction });
    let agent = Some("peerage".to_owned());
    lab.learn(Fact::Introduced { peer, agent, affiliation: Affiliation::Same });
    peer
}

fn visitors(lab: &mut Lab, count: u8) -> Vec<PeerId> {
    (0..count).map(|subnet| come(lab, subnet, Direction::Inbound)).collect()
}

/// Carries out what the engine wants, by gossip with this mesh. Those who are let go leave.
fn let_go(lab: &mut Lab, mesh: &[PeerId]) -> HashSet<PeerId> {
    let mut gone = HashSet::new();
    loop {
        let actions = lab.actions();
        if actions.is_empty() {
            return gone;
        }
        for action in actions {
            match action {
                Action::TellMesh => {
                    lab.learn(Fact::Mesh { peers: mesh.iter().copied().collect() });
                }
                Action::Goodbye { question, farewell, .. } => {
                    assert_eq!(farewell, crate::farewell::Farewell::NoRoom);
                    lab.learn(Fact::Unanswered { question, why: Unanswered::Unsupported });
                }
                // Where many come at once it may be said twice.
                Action::Disconnect { peer } if gone.insert(peer) => {
                    lab.learn(Fact::Leaving { peer, addresses: Vec::new() });
                    lab.learn(Fact::Disconnected { peer, reason: None });
                }
                _ => {}
            }
        }
    }
}

/// Time passes in which greetings are not answered, and whoever asked has gone its way.
fn pass(lab: &mut Lab, seconds: u64) {
    for _ in 0..seconds {
        lab.advance(Duration::from_secs(1));
        let asked: Vec<QuestionId> = lab
            .engine
            .out
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Ask { question, .. } => Some(*question),
                _ => None,
            })
            .collect();
        for question in asked {
            lab.learn(Fact::Unanswered { question, why: Unanswered::Unsupported });
        }
    }
}

fn kept_for(lab: &mut Lab, peer: PeerId) -> KeptFor {
    let peers = lab.engine.connected_peers();
    peers.into_iter().find(|shown| shown.peer == peer).unwrap().kept_for
}

#[test]
fn a_peer_is_shown_where_it_is_now() {
    let mut lab = lab(Limits::new());
    let peer = come(&mut lab, 1, Direction::Inbound);
    let address: Multiaddr = "/ip4/198.2.100.7/tcp/4001".parse().unwrap();
    let direction = Direction::Outbound;
    lab.learn(Fact::Moved { peer, address: address.clone(), direction });
    let peers = lab.engine.connected_peers();
    assert_eq!(peers.len(), 1);
    assert_eq!((&peers[0].address, peers[0].direction), (&address, direction));
    assert_eq!(lab.engine.connection_with(&peer), Some((&address, direction)));
}

#[test]
fn above_the_target_those_of_no_use_go_once_they_have_had_their_time() {
    let mut lab = lab(Limits::new().with_connection_target(48));
    let all = visitors(&mut lab, 60);
    pass(&mut lab, 19);
    assert!(let_go(&mut lab, &[]).is_empty());
    pass(&mut lab, 2);
    let gone = let_go(&mut lab, &all[40..]);
    assert_eq!(gone.len(), 60 - 42, "an eighth below the target");
    assert!(all[40..].iter().all(|peer| !gone.contains(peer)), "the mesh stays");
    // It is at rest now.
    pass(&mut lab, 600);
    assert!(let_go(&mut lab, &[]).is_empty());
    assert_eq!(lab.engine.peers.connections().len(), 42);
    let expected = LetGoCounters { above_target: 18, ..LetGoCounters::default() };
    assert_eq!(lab.engine.counters().peers.let_go, expected);
}

#[test]
fn up_to_the_target_everybody_stays() {
    let mut lab = lab(Limits::new().with_connection_target(48));
    visitors(&mut lab, 48);
    pass(&mut lab, 600);
    assert!(let_go(&mut lab, &[]).is_empty());
}

#[test]
fn the_closest_and_one_at_each_distance_stay_before_the_others() {
    let mut lab = lab(Limits::new().with_connection_target(32));
    let all = visitors(&mut lab, 60);
    for peer in &all {
        lab.learn(Fact::Routable { peer: *peer });
    }
    pass(&mut lab, 21);
    let count = |lab: &mut Lab, wanted: KeptFor| {
        all.iter().filter(|peer| kept_for(lab, **peer) == wanted).count()
    };
    assert_eq!(count(&mut lab, KeptFor::Neighbour), 20);
    let distances = count(&mut lab, KeptFor::Distance);
    assert!((1..8).contains(&distances), "{distances}");
    assert_eq!(count(&mut lab, KeptFor::Nothing), 40 - distances);
    let neighbours: HashSet<PeerId> =
        all.iter().copied().filter(|peer| kept_for(&mut lab, *peer) < KeptFor::Grace).collect();
    let gone = let_go(&mut lab, &[]);
    assert_eq!(gone.len(), 60 - 28);
    assert!(gone.is_disjoint(&neighbours));
}

#[test]
fn whom_the_application_has_dialed_stays() {
    let mut lab = lab(Limits::new().with_connection_target(8));
    let wanted: Vec<PeerId> = (0..10)
        .map(|_| {
            let peer = PeerId::random();
            let addresses = vec!["/ip4/198.51.100.7/tcp/4001".parse().unwrap()];
            let (ticket, _) = lab.ask(|reply| Command::Dial { peer, addresses, reply });
            let address = "/ip4/198.51.100.7/tcp/4001".parse().unwrap();
            lab.learn(Fact::Connected { peer, address, direction: Direction::Outbound });
            lab.learn(Fact::Dialed { ticket, failure: None });
            peer
        })
        .collect();
    visitors(&mut lab, 10);
    pass(&mut lab, 30);
    let gone = let_go(&mut lab, &[]);
    assert_eq!(gone.len(), 10);
    assert!(wanted.iter().all(|peer| !gone.contains(peer)));
    assert_eq!(kept_for(&mut lab, wanted[0]), KeptFor::Application);
}

#[test]
fn at_a_full_node_there_is_room_for_a_newcomer_at_once() {
    let mut lab = lab(Limits::new().with_connections(64).with_connection_target(64));
    let first = visitors(&mut lab, 40);
    assert!(let_go(&mut lab, &[]).is_empty());
    pass(&mut lab, 1);
    // Of the 48 places of those who dial, five are kept free.
    let newcomers: Vec<PeerId> =
        (100..111).map(|subnet| come(&mut lab, subnet, Direction::Inbound)).collect();
    let gone = let_go(&mut lab, &[]);
    assert_eq!(gone.len(), 51 - 43);
    assert!(gone.iter().all(|peer| first.contains(peer)), "who has had most time goes first");
    assert!(lab.engine.peers.connections().is_connected(newcomers.last().unwrap()));
    let expected = LetGoCounters { for_newcomer: 8, ..LetGoCounters::default() };
    assert_eq!(lab.engine.counters().peers.let_go, expected);
    // No more at once than that.
    come(&mut lab, 111, Direction::Inbound);
    assert!(let_go(&mut lab, &[]).is_empty());
    pass(&mut lab, 1);
    come(&mut lab, 112, Direction::Inbound);
    assert_eq!(let_go(&mut lab, &[]).len(), 1);
}

#[test]
fn whoever_comes_faster_than_room_is_made_pushes_out_only_those_who_came_like_that() {
    let mut lab = lab(Limits::new().with_connections(64).with_connection_target(64));
    let before = come(&mut lab, 1, Direction::Inbound);
    let mut gone = HashSet::new();
    // Nobody of them says what it is. A full node takes no more of them than it has places.
    for _ in 0..10 {
        lab.advance(Duration::from_secs(1));
        while lab.engine.peers.connections().inbound_len() < 48 {
            lab.advance(Duration::from_millis(1));
            let (peer, direction) = (PeerId::random(), Direction::Inbound);
            let address = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
            lab.learn(Fact::Connected { peer, address, direction });
        }
        gone.extend(let_go(&mut lab, &[]));
    }
    assert!(gone.len() > 40, "{}", gone.len());
    assert!(!gone.contains(&before));
}

#[test]
fn a_crowd_from_one_network_pushes_out_nobody_but_itself() {
    let mut lab = lab(Limits::new().with_connections(64).with_connection_target(24));
    let useful = visitors(&mut lab, 20);
    for peer in &useful {
        lab.learn(Fact::Routable { peer: *peer });
    }
    let dialed: Vec<PeerId> =
        (50..54).map(|subnet| come(&mut lab, subnet, Direction::Outbound)).collect();
    let mut crowd = HashSet::new();
    let mut gone = HashSet::new();
    for _ in 0..300 {
        lab.advance(Duration::from_millis(63));
        crowd.insert(come(&mut lab, 200, Direction::Inbound));
        gone.extend(let_go(&mut lab, &[]));
    }
    assert!(gone.len() > 250);
    assert!(gone.is_subset(&crowd));
    assert!(
        useful.iter().chain(&dialed).all(|peer| lab.engine.peers.connections().is_connected(peer))
    );
    // An honest newcomer is not taken for one of them.
    let honest = come(&mut lab, 60, Direction::Inbound);
    for _ in 0..10 {
        lab.advance(Duration::from_millis(63));
        come(&mut lab, 200, Direction::Inbound);
        assert!(!let_go(&mut lab, &[]).contains(&honest));
    }
}

#[test]
fn some_that_know_of_the_same_packages_stay() {
    let limits = Limits::new().with_connection_target(32);
    let config = Config::new().with_limits(limits).with_coverage(Coverage::of(["cli"]));
    let mut lab = Lab::untouched(config);
    lab.actions();
    let come_with = |lab: &mut Lab, coverage: Coverage| {
        let keypair = Keypair::generate_ed25519();
        let peer = come_as(lab, keypair.public().to_peer_id(), 1, Direction::Inbound);
        let mut hello = Hello::new(NetworkName::default(), peer, UNIX);
        hello.coverage = coverage;
        let hello = Signed::sign(&keypair, hello).unwrap().bytes().to_vec();
        let request = exchange::Request::Hello(hello).encode().unwrap();
        lab.learn(Fact::Asked { asked: AskedId(0), peer, request });
        peer
    };
    let sharing: Vec<PeerId> =
        (0..4).map(|_| come_with(&mut lab, Coverage::of(["cli", "web"]))).collect();
    for _ in 0..60 {
        come_with(&mut lab, Coverage::of(["maths"]));
    }
    pass(&mut lab, 21);
    assert!(sharing.iter().all(|peer| kept_for(&mut lab, *peer) == KeptFor::Catalogue));
    assert!(let_go(&mut lab, &[]).is_disjoint(&sharing.into_iter().collect()));
}

#[test]
fn whoever_is_turned_away_finds_room_when_it_comes_again() {
    let mut lab = lab(Limits::new().with_connections(64).with_connection_target(43));
    // More come at once than others are let go for.
    visitors(&mut lab, 56);
    assert_eq!(let_go(&mut lab, &[]).len(), 8);
    pass(&mut lab, 1);
    assert_eq!(let_go(&mut lab, &[]).len(), 0);
    lab.learn(Fact::TurnedAway { lacking: Lacking::Nothing });
    assert_eq!(let_go(&mut lab, &[]).len(), 1);
}

#[test]
fn a_target_that_leaves_no_room_for_newcomers_counts_as_one_that_does() {
    let mut lab = lab(Limits::new().with_connections(32).with_connection_target(48));
    visitors(&mut lab, 22);
    // One more than may stay was let go for whoever came last.
    let_go(&mut lab, &[]);
    visitors(&mut lab, 24);
    pass(&mut lab, 30);
    let_go(&mut lab, &[]);
    assert!(lab.engine.peers.connections().len() <= 21, "{}", lab.engine.peers.connections().len());
}

#[test]
fn a_peer_of_another_network_that_is_let_go_takes_no_place() {
    let mut lab = lab(Limits::new());
    let peer = PeerId::random();
    let address = "/ip4/198.51.100.7/tcp/4001".parse().unwrap();
    lab.learn(Fact::Connected { peer, address, direction: Direction::Inbound });
    let affiliation = Affiliation::Other("other".parse().unwrap());
    lab.learn(Fact::Introduced { peer, agent: None, affiliation });
    assert_eq!(lab.engine.peers.connections().staying_len(), 1);
    lab.engine.let_go(peer, crate::farewell::Farewell::NoRoom);
    assert_eq!(lab.engine.peers.connections().staying_len(), 0);
    // Nor does it keep one by connecting once more while the first connection is being closed.
    for _ in 0..3 {
        let ended = |action| matches!(action, Action::Disconnect { peer: ended } if ended == peer);
        assert!(lab.actions().into_iter().any(ended));
        lab.advance(Duration::from_millis(1100));
    }
}

#[test]
fn where_somebody_was_refused_room_is_made_whatever_was_counted() {
    // A peer that was dialed, and has dialed in turn, takes a place of those who dial.
    let mut lab = lab(Limits::new());
    visitors(&mut lab, 20);
    lab.learn(Fact::TurnedAway { lacking: Lacking::Nothing });
    assert_eq!(let_go(&mut lab, &[]).len(), 0);
    lab.learn(Fact::TurnedAway { lacking: Lacking::Inbound });
    assert_eq!(let_go(&mut lab, &[]).len(), 1);
}

#[test]
fn those_that_were_dialed_make_no_room_where_that_helps_nobody() {
    let mut lab = lab(Limits::new());
    let dialed = come(&mut lab, 1, Direction::Outbound);
    pass(&mut lab, 1);
    lab.learn(Fact::TurnedAway { lacking: Lacking::Inbound });
    assert_eq!(let_go(&mut lab, &[]).len(), 0);
    lab.learn(Fact::TurnedAway { lacking: Lacking::Any });
    assert_eq!(let_go(&mut lab, &[]), HashSet::from([dialed]));
}

#[test]
fn however_many_the_application_dials_the_mesh_stays_and_the_node_comes_to_rest() {
    let mut lab = lab(Limits::new().with_connection_target(48));
    for _ in 0..60 {
        let peer = come(&mut lab, 1, Direction::Outbound);
        lab.engine.peers.connections_mut().wanted(&peer);
    }
    let mesh = visitors(&mut lab, 8);
    let mut asked = 0;
    for _ in 0..600 {
        pass(&mut lab, 1);
        asked += lab.engine.out.actions.iter().filter(|it| matches!(it, Action::TellMesh)).count();
        assert!(let_go(&mut lab, &mesh).is_empty());
    }
    assert_eq!(asked, 1);
}

#[test]
fn gossip_is_asked_for_its_mesh_before_somebody_is_let_go_for_a_newcomer() {
    let mut lab = lab(Limits::new().with_connections(64).with_connection_target(43));
    let first = visitors(&mut lab, 40);
    let mut gone = let_go(&mut lab, &first[..8]);
    for subnet in 100..111 {
        come(&mut lab, subnet, Direction::Inbound);
        gone.extend(let_go(&mut lab, &first[..8]));
    }
    assert_eq!(gone.len(), 8);
    assert!(gone.is_disjoint(&first[..8].iter().copied().collect()));
}
