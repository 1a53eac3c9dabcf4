use libp2p::{identify::Info, identity::Keypair, swarm::ConnectionId};

use super::*;

fn introduction(keypair: &Keypair, node: &Node, addresses: Vec<Multiaddr>) -> identify::Event {
    identify::Event::Received {
        connection_id: ConnectionId::new_unchecked(0),
        peer_id: keypair.public().to_peer_id(),
        info: Info {
            public_key: keypair.public(),
            protocol_version: String::new(),
            agent_version: String::new(),
            listen_addrs: addresses,
            protocols: vec![node.wiring.protocol.clone()],
            observed_addr: Multiaddr::empty(),
            signed_peer_record: None,
        },
    }
}

fn known(node: &mut Node, peer: PeerId) -> Vec<String> {
    let bucket = node.swarm.behaviour_mut().kad.kbucket(peer).expect("another peer's");
    let entry = bucket.iter().find(|entry| *entry.node.key.preimage() == peer);
    entry
        .map(|entry| entry.node.value.iter().map(Multiaddr::to_string).collect())
        .unwrap_or_default()
}

#[test]
fn however_often_a_peer_introduces_itself_its_newest_addresses_are_kept_and_few() {
    let config = Config::new().with_listen([]);
    let (mut node, _handle) = Node::new(Keypair::generate_ed25519(), config).unwrap();
    let now = Now { mono: std::time::Duration::ZERO, unix: 0 };
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let address = |i: usize| format!("/ip4/198.51.100.{i}/tcp/4001").parse::<Multiaddr>().unwrap();
    for round in 0..10 {
        let addresses = (0..20).map(|i| address(20 * round + i)).collect();
        let event = introduction(&keypair, &node, addresses);
        node.learn_introduction(now, event);
    }
    let expected: Vec<String> = (180..196).map(|i| format!("{}/p2p/{peer}", address(i))).collect();
    assert_eq!(known(&mut node, peer), expected);
}

#[test]
fn addresses_that_would_not_fit_into_replies_are_left_out() {
    let config = Config::new().with_listen([]);
    let (mut node, _handle) = Node::new(Keypair::generate_ed25519(), config).unwrap();
    let now = Now { mono: std::time::Duration::ZERO, unix: 0 };
    let keypair = Keypair::generate_ed25519();
    let long = format!("/dns4/{}.example/tcp/4001", "a".repeat(200)).parse().unwrap();
    let event = introduction(&keypair, &node, vec![long]);
    node.learn_introduction(now, event);
    assert_eq!(known(&mut node, keypair.public().to_peer_id()), [""; 0]);
}
