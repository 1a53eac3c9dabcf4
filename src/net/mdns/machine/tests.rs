use proptest::prelude::*;

use super::{
    super::{found::MOST_PEERS, fuzzing},
    *,
};

/// Randomness that always says the same.
struct Same(u8);

impl Entropy for Same {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// Randomness that never does.
struct Count(u8);

impl Entropy for Count {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
    }
}

const HERE: Interface = Interface::V4(std::net::Ipv4Addr::new(192, 168, 1, 2));

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A node on one network, and what it does there.
struct Scene {
    machine: Machine,
    now: Duration,
}

impl Scene {
    fn new() -> Self {
        let mut machine = Machine::new(PeerId::random(), &MdnsConfig::new(), Box::new(Count(0)));
        machine.listen(ms(0), vec![address("/ip4/192.168.1.2/tcp/4001")]);
        let mut scene = Self { machine, now: ms(1000) };
        scene.up(HERE, &["192.168.1.2/24"]);
        scene
    }

    /// A node that has said at its start what it had to say.
    fn settled() -> Self {
        let mut scene = Self::new();
        scene.wait(ms(1500));
        scene
    }

    fn up(&mut self, interface: Interface, networks: &[&str]) {
        let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
        self.machine.up(self.now, interface, networks);
    }

    fn hear(&mut self, from: &str, packet: &[u8]) {
        self.machine.hear(self.now, HERE, ip(from), packet);
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.next_output()).collect()
    }

    fn found(&mut self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let found = self.outputs().into_iter().filter_map(|output| match output {
            Output::Found { peer, addresses, .. } => Some((peer, addresses)),
            Output::Send { .. } => None,
        });
        found.collect()
    }

    /// Lets time go by, deadline for deadline. What was sent, and when.
    fn wait(&mut self, time: Duration) -> Vec<(Duration, Vec<u8>)> {
        let until = self.now + time;
        let mut sent = Vec::new();
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.machine.expire(self.now);
            for output in self.outputs() {
                if let Output::Send { on, packet } = output {
                    assert_eq!(on, HERE);
                    sent.push((self.now, packet));
                }
            }
        }
        self.now = until;
        sent
    }
}

fn is_query(packet: &[u8]) -> bool {
    matches!(packet::read(packet), Some(Packet::Query { .. }))
}

/// What a neighbour says of itself.
fn neighbour(peer: PeerId, addresses: &[&str]) -> Vec<u8> {
    let addresses: Vec<Multiaddr> = addresses.iter().map(|text| address(text)).collect();
    let ttl = Duration::from_secs(100);
    let mut packets = packet::answer(Asked::Peers, "neighbour", peer, &addresses, ttl);
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

#[test]
fn a_node_asks_at_the_start_and_then_less_and_less_often() {
    let mut scene = Scene::new();
    let started = scene.now;
    let sent = scene.wait(Duration::from_secs(3600));
    let asked: Vec<Duration> =
        sent.iter().filter(|(_, packet)| is_query(packet)).map(|(when, _)| *when).collect();
    let first = asked[0] - started;
    assert!((DELAYS[0]..=DELAYS[1]).contains(&first), "{first:?}");
    let pauses: Vec<u64> = asked.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert_eq!(pauses[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    assert!(pauses[10..].iter().all(|pause| *pause == 300), "{pauses:?}");
}

#[test]
fn it_says_at_the_start_and_when_it_has_a_new_address_that_it_is_there() {
    let mut scene = Scene::new();
    let sent = scene.wait(ms(500));
    let (answers, queries): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|(_, packet)| !is_query(packet));
    assert_eq!((answers.len(), queries.len()), (1, 1));
    let Some(Packet::Answer(told)) = packet::read(&answers[0].1) else { panic!("an answer") };
    assert_eq!(told[0].peer, scene.machine.local);
    assert_eq!(told[0].addresses, [address("/ip4/192.168.1.2/tcp/4001")]);

    let elsewhere = [address("/ip4/203.0.113.1/tcp/1"), address("/ip4/10.0.0.1/tcp/1")];
    scene.machine.listen(scene.now, elsewhere.to_vec());
    let sent = scene.wait(ms(5000));
    assert!(sent.iter().all(|(_, packet)| is_query(packet)), "not reachable here");
    scene.machine.listen(scene.now, vec![address("/ip4/192.168.1.9/tcp/2")]);
    assert!(scene.wait(ms(200)).iter().any(|(_, packet)| !is_query(packet)));
}

#[test]
fn a_question_is_answered_after_a_moment_and_a_crowd_of_them_once_a_second() {
    let mut scene = Scene::settled();
    scene.hear("192.168.1.7", &packet::query(7).unwrap());
    let begun = scene.now;
    let sent = scene.wait(ms(150));
    assert_eq!(sent.len(), 1);
    assert!((DELAYS[0]..=DELAYS[1]).contains(&(sent[0].0 - begun)));

    scene.wait(Duration::from_secs(3));
    let mut answers = Vec::new();
    for round in 0..100 {
        for _ in 0..10 {
            scene.hear("192.168.1.7", &packet::query(round).unwrap());
        }
        let sent = scene.wait(ms(100));
        answers.extend(sent.into_iter().filter(|(_, packet)| !is_query(packet)));
    }
    assert!((9..=11).contains(&answers.len()), "{} in ten seconds", answers.len());
    assert!(answers.windows(2).all(|two| two[1].0 - two[0].0 >= ANSWER_PAUSE));
}

#[test]
fn what_comes_back_of_its_own_is_no_question_and_no_peer() {
    let mut scene = Scene::new();
    let sent = scene.wait(ms(1500));
    assert!(sent.len() >= 3);
    for (_, packet) in &sent {
        scene.hear("192.168.1.2", packet);
    }
    assert_eq!(scene.found(), []);
    let due = scene.machine.next_deadline().unwrap();
    assert!(due > scene.now + ms(200), "nothing is answered");
    scene.hear("192.168.1.2", &packet::query(0xfefe).unwrap());
    assert!(scene.machine.next_deadline().unwrap() < due, "another process on this machine asks");
}

#[test]
fn a_neighbour_is_found_at_the_addresses_that_it_can_have() {
    let mut scene = Scene::settled();
    let peer = PeerId::random();
    let told = neighbour(
        peer,
        &[
            "/ip4/192.168.1.7/tcp/4001",
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/10.0.0.1/tcp/22",
            "/ip4/203.0.113.7/tcp/4001",
            "/ip6/fe80::7/tcp/4001",
            "/dns4/example.org/tcp/80",
        ],
    );
    scene.hear("192.168.1.7", &told);
    assert_eq!(scene.found(), [(peer, vec![address("/ip4/192.168.1.7/tcp/4001")])]);
    scene.hear("192.168.1.7", &told);
    assert_eq!(scene.found(), [], "said twice");
    let stranger = neighbour(PeerId::random(), &["/ip4/192.168.1.8/tcp/1"]);
    scene.hear("203.0.113.7", &stranger);
    assert_eq!(scene.found(), [], "it was not sent from here");
    scene.hear("fe80::7", &stranger);
    assert_eq!(scene.found().len(), 1);
    scene.machine.down(HERE);
    scene.hear("192.168.1.8", &neighbour(PeerId::random(), &["/ip4/192.168.1.8/tcp/1"]));
    assert_eq!((scene.found(), scene.machine.next_deadline()), (vec![], None));
}

/// A network with addresses of the whole internet, as universities have it.
#[test]
fn where_neighbours_have_public_addresses_they_find_each_other() {
    for (network, own, neighbours, from, elsewhere) in [
        (
            "131.1.2.3/24",
            "/ip4/131.1.2.3/tcp/1",
            "/ip4/131.1.2.9/tcp/1",
            "131.1.2.9",
            "/ip4/131.1.3.9/tcp/1",
        ),
        (
            "2a00:1:2:3::1/64",
            "/ip6/2a00:1:2:3::1/tcp/1",
            "/ip6/2a00:1:2:3::9/tcp/1",
            "fe80::9",
            "/ip6/2a00:1:2:4::9/tcp/1",
        ),
    ] {
        let mut scene = Scene::settled();
        scene.up(HERE, &[network]);
        scene.machine.listen(scene.now, vec![address(own), address(elsewhere)]);
        let sent = scene.wait(ms(5000));
        let told = sent.iter().find_map(|(_, packet)| match packet::read(packet) {
            Some(Packet::Answer(told)) => Some(told),
            _ => None,
        });
        assert_eq!(told.expect("it says where it is")[0].addresses, [address(own)]);
        let peer = PeerId::random();
        scene.hear(from, &neighbour(peer, &[neighbours, elsewhere]));
        assert_eq!(scene.found(), [(peer, vec![address(neighbours)])]);
    }
}

#[test]
fn an_interface_that_changes_its_network_is_asked_anew_and_one_that_does_not_is_not() {
    let mut scene = Scene::new();
    scene.wait(Duration::from_secs(1000));
    let due = scene.machine.next_deadline();
    scene.up(HERE, &["192.168.1.2/24"]);
    assert_eq!(scene.machine.next_deadline(), due);
    scene.up(HERE, &["192.168.1.2/16"]);
    assert!(scene.wait(ms(150)).iter().any(|(_, packet)| is_query(packet)));
}

#[test]
fn interfaces_without_end_are_followed_to_a_bound() {
    let mut machine = Machine::new(PeerId::random(), &MdnsConfig::new(), Box::new(Same(1)));
    for index in 0..200 {
        machine.up(ms(0), Interface::V6(index), vec!["fd00::1/64".parse().unwrap()]);
    }
    assert_eq!(machine.interfaces().count(), MOST_INTERFACES);
    machine.down(Interface::V6(0));
    machine.up(ms(0), Interface::V6(200), vec!["fd00::1/64".parse().unwrap()]);
    assert_eq!(machine.interfaces().count(), MOST_INTERFACES);
}

/// A crowd of made-up peers, as fast as they can be sent.
#[test]
fn a_flood_is_read_to_a_bound_a_second_and_remembered_to_a_bound() {
    let mut scene = Scene::settled();
    let (mut read, mut found) = (0, 0);
    for _ in 0..10_000 {
        if scene.machine.may_read(scene.now, HERE) == Some(scene.now) {
            read += 1;
            let packet = neighbour(PeerId::random(), &["/ip4/192.168.1.7/tcp/1"]);
            scene.hear("192.168.1.7", &packet);
            found += scene.found().len();
        }
        scene.now += Duration::from_micros(200);
    }
    assert_eq!(read, 2 * PACKETS_PER_SECOND);
    assert_eq!((found, scene.machine.found.len()), (MOST_PEERS, MOST_PEERS));
    scene.now += Duration::from_secs(1);
    assert_eq!(scene.machine.may_read(scene.now, HERE), Some(scene.now));
    let peer = PeerId::random();
    scene.hear("192.168.1.8", &neighbour(peer, &["/ip4/192.168.1.8/tcp/1"]));
    assert_eq!(
        scene.found(),
        [(peer, vec![address("/ip4/192.168.1.8/tcp/1")])],
        "another sender's"
    );
}

#[test]
fn names_are_random_and_say_nothing() {
    let name =
        |seed| Machine::new(PeerId::random(), &MdnsConfig::new(), Box::new(Count(seed))).name;
    assert_ne!(name(1), name(2));
    assert!((32..=63).contains(&name(3).len()));
    assert!(name(4).bytes().all(|byte| byte.is_ascii_alphanumeric()));
}

proptest! {
    #[test]
    fn junk_changes_nothing(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..50)) {
        let mut scene = Scene::settled();
        let due = scene.machine.next_deadline();
        for packet in packets {
            scene.hear("192.168.1.7", &packet);
        }
        prop_assert_eq!(scene.found(), []);
        prop_assert_eq!(scene.machine.next_deadline(), due);
    }
}

/// The fuzz target begins with these, and finds nothing wrong with them.
#[test]
fn what_is_said_on_a_network_keeps_to_the_bounds() {
    for packet in fuzzing::packets() {
        assert!(packet::read(&packet).is_some());
        fuzzing::packet(&packet);
    }
}
