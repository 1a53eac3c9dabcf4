//! Who is dialed again once everybody or somebody has left.

use super::*;
use crate::{engine::peers::MOST_LOST, event::Direction, keyspace::Key};

const UNNAMED: &str = "/ip4/192.0.2.1/tcp/4001";

/// A node with bootstrap addresses, and whoever is connected with it.
struct Scene {
    lab: Lab,
    started: Duration,
}

/// Whom a node dials by itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dialed {
    bootstrap: Vec<Multiaddr>,
    lost: Vec<PeerId>,
}

impl Scene {
    fn new(addresses: &[String]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let lab = Lab::untouched(Config::new().with_bootstrap(addresses));
        Self { started: lab.mono, lab }
    }

    /// Whom the node has dialed since the last look.
    fn all_dialed(&mut self) -> Dialed {
        let mut dialed = Dialed::default();
        for action in self.lab.actions() {
            match action {
                Action::DialBootstrap { address } => dialed.bootstrap.push(address),
                Action::Redial { peer, addresses } => {
                    assert_eq!(addresses, [whereabouts()]);
                    dialed.lost.push(peer);
                }
                _ => {}
            }
        }
        dialed
    }

    /// The bootstrap addresses among them.
    fn dialed(&mut self) -> Vec<Multiaddr> {
        self.all_dialed().bootstrap
    }

    fn come(&mut self, peer: PeerId) {
        let address = "/ip4/192.0.2.9/tcp/9".parse().unwrap();
        self.lab.learn(Fact::Connected { peer, address, direction: Direction::Outbound });
        self.lab.learn(Fact::Routable { peer });
        self.lab.learn(introduced(peer));
    }

    /// It keeps its seat in the routing table.
    fn go(&mut self, peer: PeerId) {
        self.lab.learn(Fact::Leaving { peer, addresses: vec![whereabouts()] });
        self.lab.learn(Fact::Disconnected { peer, reason: None });
    }

    fn dial_ends(&mut self, address: &str, end: Result<PeerId, String>) {
        self.lab.learn(Fact::BootstrapDialed { address: address.parse().unwrap(), end });
    }

    fn seconds(&self) -> u64 {
        (self.lab.mono - self.started).as_secs()
    }

    /// When the next dial comes, in seconds after the last one or the start of the wait; `None` if not within this time.
    fn next_dial(&mut self, within: u64) -> Option<u64> {
        let begun = self.seconds();
        while self.seconds() - begun < within {
            self.lab.advance(Duration::from_secs(1));
            if !self.dialed().is_empty() {
                return Some(self.seconds() - begun);
            }
        }
        None
    }

    /// A node with many peers of its own, which has found `peer` behind the one address.
    fn joined(address: &str, peer: PeerId) -> Self {
        let mut scene = Self::new(&[address.to_owned()]);
        assert_eq!(scene.dialed().len(), 1);
        for _ in 0..40 {
            scene.come(PeerId::random());
        }
        scene.come(peer);
        scene.dial_ends(address, Ok(peer));
        scene
    }
}

/// Whether it is this pause, as it is spread by the randomness of a [`Lab`].
fn is_about(waited: u64, pause: u64) -> bool {
    let least = if pause == 60 { pause } else { pause * 3 / 4 };
    (least..=pause * 9 / 8 + 1).contains(&waited)
}

fn whereabouts() -> Multiaddr {
    "/ip4/192.0.2.9/tcp/4001".parse().unwrap()
}

fn refused() -> Result<PeerId, String> {
    Err("refused".to_owned())
}

#[test]
fn a_bootstrap_peer_that_leaves_others_behind_is_dialed_again_less_and_less_often() {
    let peer = PeerId::random();
    for address in [UNNAMED.to_owned(), format!("{UNNAMED}/p2p/{peer}")] {
        let mut scene = Scene::joined(&address, peer);
        assert_eq!(scene.next_dial(3600), None, "it is connected");
        scene.go(peer);
        for pause in [60, 120, 240, 480, 480, 480] {
            let waited = scene.next_dial(1000).expect("dialed again");
            assert!(is_about(waited, pause), "{waited} s, not {pause}");
            assert_eq!(scene.next_dial(100), None, "one dial at a time");
            scene.dial_ends(&address, refused());
        }
    }
}

#[test]
fn the_pauses_are_short_again_once_a_connection_has_stood_for_a_while() {
    let peer = PeerId::random();
    let mut scene = Scene::joined(UNNAMED, peer);
    scene.lab.advance(Duration::from_secs(60));
    scene.go(peer);
    for pause in [60, 120] {
        assert!(scene.next_dial(1000).is_some_and(|waited| is_about(waited, pause)));
        scene.dial_ends(UNNAMED, refused());
    }
    assert!(scene.next_dial(1000).is_some_and(|waited| is_about(waited, 240)));
    // It is there, and has no room.
    scene.come(peer);
    scene.dial_ends(UNNAMED, Ok(peer));
    scene.go(peer);
    assert!(
        scene.next_dial(1000).is_some_and(|waited| is_about(waited, 480)),
        "it has ended at once"
    );
    scene.come(peer);
    scene.dial_ends(UNNAMED, Ok(peer));
    assert_eq!(scene.next_dial(3600), None);
    scene.go(peer);
    assert!(scene.next_dial(1000).is_some_and(|waited| is_about(waited, 60)));
}

#[test]
fn a_bootstrap_peer_that_comes_by_itself_is_not_dialed() {
    let peer = PeerId::random();
    let mut scene = Scene::joined(UNNAMED, peer);
    scene.go(peer);
    scene.lab.advance(Duration::from_secs(30));
    scene.come(peer);
    assert_eq!(scene.next_dial(3600), None);
    // Nor is it while a dial is under way, which then fails.
    scene.go(peer);
    assert!(scene.next_dial(100).is_some());
    scene.come(peer);
    scene.dial_ends(UNNAMED, refused());
    assert_eq!(scene.next_dial(3600), None);
}

#[test]
fn one_that_starts_again_with_another_key_is_known_by_the_new_one() {
    let (old, new) = (PeerId::random(), PeerId::random());
    let mut scene = Scene::joined(UNNAMED, old);
    scene.go(old);
    assert!(scene.next_dial(100).is_some());
    scene.come(new);
    scene.dial_ends(UNNAMED, Ok(new));
    assert_eq!(scene.next_dial(3600), None);
    scene.go(new);
    assert!(scene.next_dial(100).is_some());
}

#[test]
fn one_that_was_never_there_is_dialed_although_others_are() {
    let (peer, absent) = (PeerId::random(), "/ip4/192.0.2.2/tcp/4001");
    let mut scene = Scene::new(&[UNNAMED.to_owned(), absent.to_owned()]);
    assert_eq!(scene.dialed().len(), 2);
    scene.dial_ends(absent, refused());
    scene.come(peer);
    scene.dial_ends(UNNAMED, Ok(peer));
    for pause in [60, 90, 90, 90] {
        let waited = scene.next_dial(120).expect("dialed again");
        assert!(is_about(waited, pause), "{waited} s, not {pause}");
        scene.dial_ends(absent, refused());
    }
}

/// Kademlia keeps their seats, and the configuration names none of them.
#[test]
fn peers_that_leave_are_looked_for_and_all_at_once_by_whoever_is_alone() {
    let mut scene = Scene::new(&[]);
    let [first, second] = [(); 2].map(|()| PeerId::random());
    scene.come(first);
    scene.come(second);
    scene.lab.advance(Duration::from_secs(600));
    scene.go(first);
    scene.lab.advance(Duration::from_secs(59));
    assert_eq!(scene.all_dialed(), Dialed::default());
    scene.lab.advance(Duration::from_secs(17));
    assert_eq!(scene.all_dialed().lost, [first]);
    scene.go(second);
    scene.lab.advance(Duration::from_secs(2));
    let both = BTreeSet::from([first, second]);
    assert_eq!(BTreeSet::from_iter(scene.all_dialed().lost), both, "it is alone");
    for _ in 0..10 {
        scene.lab.advance(Duration::from_secs(67));
        let dialed = BTreeSet::from_iter(scene.all_dialed().lost);
        assert_eq!(dialed, both, "as long as it takes");
    }
    scene.come(first);
    scene.come(second);
    scene.lab.advance(Duration::from_secs(3600));
    assert_eq!(scene.all_dialed(), Dialed::default(), "they are back");
}

#[test]
fn of_those_who_have_left_the_closest_are_looked_for_and_nobody_for_ever() {
    let mut scene = Scene::new(&[]);
    scene.come(PeerId::random());
    let mut peers: Vec<PeerId> = (0..3 * MOST_LOST).map(|_| PeerId::random()).collect();
    peers.iter().for_each(|peer| scene.come(*peer));
    peers.iter().for_each(|peer| scene.go(*peer));
    let local = Key::of_peer(&scene.lab.engine.cx.local);
    peers.sort_by_key(|peer| local.distance(&Key::of_peer(peer)));
    peers.truncate(MOST_LOST);
    scene.lab.advance(Duration::from_secs(76));
    let dialed = BTreeSet::from_iter(scene.all_dialed().lost);
    assert_eq!(dialed, BTreeSet::from_iter(peers));
    scene.lab.advance(Duration::from_secs(24 * 3600));
    scene.all_dialed();
    scene.lab.advance(Duration::from_secs(3600));
    assert_eq!(scene.all_dialed(), Dialed::default());
}

#[test]
fn whoever_is_refused_or_named_by_the_configuration_is_not_looked_for_besides() {
    let [named, other] = [(); 2].map(|()| PeerId::random());
    let address = format!("{UNNAMED}/p2p/{named}");
    let mut scene = Scene::new(std::slice::from_ref(&address));
    scene.all_dialed();
    scene.come(named);
    scene.come(other);
    scene.dial_ends(&address, Ok(named));
    scene.go(named);
    scene.lab.advance(Duration::from_secs(76));
    let dialed = scene.all_dialed();
    assert_eq!((dialed.bootstrap.len(), dialed.lost), (1, vec![]));
}

/// Kademlia knows where those are that have left, so the node is never without anybody to ask; only nobody is there.
#[test]
fn a_call_to_join_dials_although_the_routing_table_is_not_empty() {
    let peer = PeerId::random();
    let mut scene = Scene::new(&[UNNAMED.to_owned()]);
    scene.come(peer);
    scene.dial_ends(UNNAMED, Ok(peer));
    scene.all_dialed();
    scene.go(peer);
    let (_, _waiting) = scene.lab.ask(|reply| Command::Bootstrap { reply });
    assert_eq!(scene.dialed().len(), 1);
}

/// A full bootstrap node answers each dial with a connection and ends it. Who knows it already would come back at once.
#[test]
fn a_bootstrap_node_that_ends_each_connection_at_once_is_dialed_less_and_less_often() {
    let peer = PeerId::random();
    let mut scene = Scene::new(&[UNNAMED.to_owned()]);
    scene.dialed();
    let mut waits = Vec::new();
    for _ in 0..8 {
        scene.come(peer);
        scene.dial_ends(UNNAMED, Ok(peer));
        scene.go(peer);
        waits.push(scene.next_dial(100).expect("dialed again"));
    }
    assert!(waits.is_sorted() && waits.last() > Some(&50), "{waits:?}");
}

#[test]
fn a_node_without_peers_dials_within_a_minute_for_as_long_as_it_takes() {
    let mut scene = Scene::new(&[UNNAMED.to_owned()]);
    assert_eq!(scene.dialed().len(), 1);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        scene.dial_ends(UNNAMED, refused());
        let waited = scene.next_dial(100).expect("dialed again");
        assert!((pause..=pause + pause / 10 + 1).contains(&waited), "{waited} s, not {pause}");
    }
    let peer = PeerId::random();
    scene.come(peer);
    scene.dial_ends(UNNAMED, Ok(peer));
    assert_eq!(scene.next_dial(3600), None);
    scene.go(peer);
    assert!(scene.next_dial(100).is_some_and(|waited| waited <= 2), "it is alone again");
}

/// The timer is set whatever makes the node alone.
#[test]
fn a_node_whose_peers_are_of_no_use_is_as_good_as_alone() {
    let visitor = PeerId::random();
    let mut scene = Scene::new(&[UNNAMED.to_owned()]);
    let address = "/ip4/192.0.2.9/tcp/9".parse().unwrap();
    scene.lab.learn(Fact::Connected { peer: visitor, address, direction: Direction::Inbound });
    scene.dialed();
    scene.dial_ends(UNNAMED, refused());
    // It says nothing for ten seconds, and does not serve the network.
    assert!(scene.next_dial(20).is_some_and(|waited| waited >= 10));
    scene.dial_ends(UNNAMED, refused());
    assert!(scene.next_dial(20).is_some_and(|waited| waited <= 3));
    scene.dial_ends(UNNAMED, refused());
    // The only one in the routing table gives up its seat, and stays.
    scene.lab.learn(Fact::Routable { peer: visitor });
    assert_eq!(scene.next_dial(50), None);
    scene.lab.learn(Fact::Unroutable { peer: visitor });
    assert!(scene.next_dial(20).is_some_and(|waited| waited <= 10));
}

#[test]
fn an_own_address_among_them_is_dialed_once_and_told_once() {
    let mut scene = Scene::new(&[UNNAMED.to_owned()]);
    assert_eq!(scene.dialed().len(), 1);
    let local = scene.lab.engine.cx.local;
    scene.dial_ends(UNNAMED, Ok(local));
    let told = scene.lab.events().into_iter()
        .filter(|event| matches!(event, Event::BootstrapUnreachable { reason, .. } if reason == "is this node itself"));
    assert_eq!(told.count(), 1);
    assert_eq!(scene.next_dial(3600), None);
    scene.come(PeerId::random());
    assert_eq!(scene.next_dial(3600), None);
}

#[test]
fn a_call_dials_no_address_twice_and_a_closed_node_none() {
    let peer = PeerId::random();
    let mut scene = Scene::new(&[UNNAMED.to_owned()]);
    assert_eq!(scene.dialed().len(), 1);
    let (_, _waiting) = scene.lab.ask(|reply| Command::Bootstrap { reply });
    assert_eq!(scene.dialed(), [], "the first is under way");
    scene.dial_ends(UNNAMED, refused());
    let (_, _waiting) = scene.lab.ask(|reply| Command::Bootstrap { reply });
    assert_eq!(scene.dialed().len(), 1);
    scene.come(peer);
    scene.dial_ends(UNNAMED, Ok(peer));
    scene.go(peer);
    scene.lab.engine.shut_down();
    assert_eq!(scene.next_dial(3600), None);
}

#[test]
fn whoever_is_away_is_dialed_soon_once_an_interface_comes_or_the_machine_wakes() {
    let (peer, address) = (PeerId::random(), UNNAMED.to_owned());
    let scene = || {
        let mut scene = Scene::joined(&address, peer);
        scene.go(peer);
        for _ in 0..4 {
            assert!(scene.next_dial(1000).is_some());
            scene.dial_ends(&address, refused());
        }
        scene
    };
    let mut unchanged = scene();
    assert_eq!(unchanged.next_dial(60), None, "pauses have grown");
    let mut moved = scene();
    moved.lab.learn(Fact::Listening { address: "/ip4/192.0.2.7/tcp/4001".parse().unwrap() });
    assert!(moved.next_dial(2).is_some(), "another network");
    let mut woken = scene();
    woken.lab.set_calendar(3600);
    assert!(woken.next_dial(2).is_some(), "another place, perhaps");
}

#[test]
fn interfaces_that_come_and_go_have_nobody_dialed_all_the_time() {
    let (peer, address) = (PeerId::random(), UNNAMED.to_owned());
    let mut scene = Scene::joined(&address, peer);
    scene.go(peer);
    let mut dials = 0;
    for port in 0..60 {
        let listening = format!("/ip4/192.0.2.7/tcp/{}", 1 + port).parse().unwrap();
        scene.lab.learn(Fact::Listening { address: listening });
        if scene.next_dial(1).is_some() {
            dials += 1;
            scene.dial_ends(&address, refused());
        }
    }
    assert!(dials <= 7, "{dials} dials in a minute");
}
