use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{SystemTime, UNIX_EPOCH},
};

use futures::Stream;
use libp2p::{Swarm, gossipsub, identity::Keypair, swarm};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{
    config::{Config, Limits},
    engine::dht::{Records as _, message::Value},
    event::Event,
    net::{
        topic_name,
        transport::{self, TransportConfig},
    },
    node::{Node, dht::Kept},
    package::{Digest, Manifest},
    record::{Head, NetworkName, ReleaseEntry, Revision, Signed, Validity},
};

/// gossipsub and nothing else, as libp2p has it: no scores, and whatever it is told is sent.
struct Raw {
    swarm: Swarm<gossipsub::Behaviour>,
    heard: Vec<Vec<u8>>,
}

impl Raw {
    fn dial(address: &Multiaddr, topic: &gossipsub::IdentTopic) -> Self {
        let keypair = Keypair::generate_ed25519();
        let config = gossipsub::ConfigBuilder::default()
            .validation_mode(gossipsub::ValidationMode::Anonymous)
            .message_id_fn(|message| {
                let said = [message.topic.as_str().as_bytes(), &[0], &message.data].concat();
                Sha256::digest(said).to_vec().into()
            })
            .build()
            .unwrap();
        let authenticity = gossipsub::MessageAuthenticity::Anonymous;
        let mut behaviour: gossipsub::Behaviour =
            gossipsub::Behaviour::new(authenticity, config).unwrap();
        behaviour.subscribe(topic).unwrap();
        let transport =
            transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
        let peer = keypair.public().to_peer_id();
        let config = swarm::Config::without_executor();
        let mut swarm = Swarm::new(transport, behaviour, peer, config);
        swarm.dial(address.clone()).unwrap();
        Self { swarm, heard: Vec::new() }
    }

    fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    fn publish(&mut self, topic: &gossipsub::IdentTopic, data: impl Into<Vec<u8>>) {
        self.swarm.behaviour_mut().publish(topic.clone(), data).unwrap();
    }
}

/// A node and its neighbours, all polled by one loop.
struct Neighbourhood {
    node: Node,
    discovered: usize,
    raw: Vec<Raw>,
}

impl Neighbourhood {
    /// A node and two neighbours who listen to its announcements.
    fn new(topic: &gossipsub::IdentTopic) -> Self {
        let keypair = Keypair::generate_ed25519();
        let transport =
            transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
        let config = Config::new().with_listen(["/memory/0".parse().unwrap()]);
        let (node, handle) =
            Node::builder(keypair, config).with_transport(transport).build().unwrap();
        // The node would end with its last handle.
        std::mem::forget(handle);
        let mut all = Self { node, discovered: 0, raw: Vec::new() };
        all.settle();
        let address = all.node.link.swarm.listeners().next().unwrap().clone();
        all.raw = (0..2).map(|_| Raw::dial(&address, topic)).collect();
        // Identify asks when a timer of another thread says so. Whoever does not know what a peer is says goodbye first.
        while !all.raw.iter().all(|raw| all.node.link.engine.is_introduced(&raw.id())) {
            all.settle();
        }
        all.settle();
        all
    }

    /// Polls all of them until nobody has anything to do any more.
    fn settle(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut quiet_for = 0;
        while quiet_for < 200 {
            quiet_for += 1;
            while let Poll::Ready(Some(event)) = Pin::new(&mut self.node).poll_next(&mut cx) {
                quiet_for = 0;
                self.discovered += usize::from(matches!(event, Event::Discovered { .. }));
            }
            for raw in &mut self.raw {
                while let Poll::Ready(Some(event)) = Pin::new(&mut raw.swarm).poll_next(&mut cx) {
                    quiet_for = 0;
                    if let SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) = event
                    {
                        raw.heard.push(message.data);
                    }
                }
            }
        }
    }

    fn score(&self, peer: PeerId) -> f64 {
        self.node.link.swarm.behaviour().gossipsub.peer_score(&peer).unwrap()
    }
}

/// A package as somebody announces it.
fn announcement(name: &str) -> Vec<u8> {
    let owner = Keypair::generate_ed25519();
    let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
    let release =
        ReleaseEntry { version: manifest.version.clone(), digest: Digest::of(name), yanked: false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let head = Head::live(
        NetworkName::default(),
        owner.public().to_peer_id(),
        Revision::new(0, 1),
        Validity::starting(now, 3600),
        manifest,
        vec![release],
        None,
    );
    Signed::sign(&owner, head).unwrap().bytes().to_vec()
}

fn garbage(number: u32) -> Vec<u8> {
    let mut bytes = announcement("tool");
    bytes.truncate(100);
    bytes.extend(number.to_be_bytes());
    bytes
}

#[test]
fn a_sender_of_bad_messages_is_graylisted_soon_and_none_of_them_is_relayed() {
    let topic = topic_name(&NetworkName::default(), "announcements");
    let mut all = Neighbourhood::new(&topic);
    let [attacker, honest] = [0, 1].map(|i| all.raw[i].id());
    for number in 0..200 {
        all.raw[0].publish(&topic, garbage(number));
        all.settle();
    }
    // Minus the square of their number: had all been looked at, it would be minus 40,000.
    let score = all.score(attacker);
    let most = f64::from(crate::net::GRAYLISTED_AFTER);
    assert!((-most * most - 1.0..crate::net::GRAYLIST_THRESHOLD).contains(&score), "{score}");
    assert_eq!(all.raw[1].heard, Vec::<Vec<u8>>::new());

    // It is not heard any more, whatever it has to say.
    all.raw[0].publish(&topic, announcement("tool"));
    all.settle();
    assert_eq!((all.discovered, all.raw[1].heard.len()), (0, 0));

    // Who has done nothing has lost nothing, and is heard.
    assert!(all.score(honest) > 0.0);
    all.raw[1].publish(&topic, announcement("tool"));
    all.settle();
    assert_eq!(all.discovered, 1);
}

#[test]
fn what_has_been_overtaken_costs_its_sender_nothing() {
    let topic = topic_name(&NetworkName::default(), "announcements");
    let mut all = Neighbourhood::new(&topic);
    let attacker = all.raw[0].id();
    let owner = Keypair::generate_ed25519();
    for number in 0..30_u64 {
        let name = format!("tool-{number}").parse().unwrap();
        let head = Head::withdrawn(
            NetworkName::default(),
            owner.public().to_peer_id(),
            name,
            Revision::new(0, 1),
            // In 2001.
            Validity::starting(1_000_000_000, 3600),
            "",
        );
        let expired = Signed::sign(&owner, head).unwrap();
        all.raw[0].publish(&topic, expired.bytes().to_vec());
    }
    all.settle();
    assert!(all.score(attacker) > 0.0);
    assert_eq!(all.raw[1].heard, Vec::<Vec<u8>>::new());
}

#[test]
fn messages_that_nobody_listens_to_are_dropped_and_cost_their_sender_nothing() {
    let announcements = topic_name(&NetworkName::default(), "announcements");
    let mut all = Neighbourhood::new(&announcements);
    let [subscribed, never] =
        ["news", "noise"].map(|topic| topic_name(&NetworkName::default(), topic));
    let gossipsub = &mut all.node.link.swarm.behaviour_mut().gossipsub;
    all.node.link.wiring.subscriptions().subscribe(gossipsub, &subscribed);
    all.settle();
    let sender = all.raw[0].id();
    all.node
        .link
        .wiring
        .subscriptions()
        .unsubscribe(&mut all.node.link.swarm.behaviour_mut().gossipsub, &subscribed);
    // What is on its way already when the topic is left.
    for topic in [&subscribed, &never] {
        all.raw[0].swarm.behaviour_mut().subscribe(topic).unwrap();
    }
    for number in 0..30 {
        all.raw[0].publish(&subscribed, garbage(number));
    }
    all.settle();
    assert!(all.score(sender) > 0.0, "{}", all.score(sender));
}

#[test]
fn a_peer_with_a_slow_link_loses_nothing_by_what_others_have_to_say() {
    let topic = topic_name(&NetworkName::default(), "announcements");
    let mut all = Neighbourhood::new(&topic);
    // It reads nothing any more, so that what is to be relayed to it piles up.
    let slow = all.raw.pop().unwrap();
    for round in 0..3 {
        for number in 0..500 {
            all.raw[0].publish(&topic, announcement(&format!("tool-{round}-{number}")));
        }
        all.settle();
        let score = all.score(slow.id());
        assert!(score > 0.0, "{score}");
    }
    assert_eq!(all.discovered, 1500);
}

#[test]
fn what_follows_from_refused_records_is_done_in_the_poll_that_learns_of_them() {
    let topic = topic_name(&NetworkName::default(), "announcements");
    let mut all = Neighbourhood::new(&topic);
    let attacker = all.raw[0].id();
    // The first few cost it standing, which gossipsub is told; the last have it blocked.
    for (records, blocked) in [(2, false), (100, true)] {
        // It sends records that nobody can have signed.
        for number in 0..records {
            let mut kept = Kept::new(all.node.link.store.clone());
            kept.hear(attacker);
            let value = Value { key: [7; 34].into(), bytes: [number].into() };
            assert!(!kept.put(&value));
        }
        all.node.link.bell.keep_rung();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = Pin::new(&mut all.node).poll_next(&mut cx);
        assert_eq!(
            (polled.is_ready(), all.node.link.engine.is_blocked(&attacker)),
            (blocked, blocked)
        );
        assert!(all.node.link.engine.next_action().is_none());
        let refused = all.node.link.swarm.behaviour().blocked.blocked_peers().contains(&attacker);
        assert_eq!(refused, blocked);
    }
}

#[test]
fn an_owner_who_signs_the_same_body_without_end_does_not_fill_the_network() {
    let topic = topic_name(&NetworkName::default(), "announcements");
    let mut all = Neighbourhood::new(&topic);
    let started = std::time::Instant::now();
    let owner = Keypair::generate_ed25519();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for sequence in 1..3_000 {
        let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
        let digest = Digest::of("tool");
        let release = ReleaseEntry { version: manifest.version.clone(), digest, yanked: false };
        let validity = Validity::starting(now, 3600);
        let revision = Revision::new(0, sequence);
        let (network, peer) = (NetworkName::default(), owner.public().to_peer_id());
        let head = Head::live(network, peer, revision, validity, manifest, vec![release], None);
        all.raw[0].publish(&topic, Signed::sign(&owner, head).unwrap().bytes().to_vec());
        if sequence % 100 == 0 {
            all.settle();
        }
    }
    all.settle();
    let limits = Limits::new();
    let earned = limits.announcements_per_second * (1 + started.elapsed().as_secs() as u32);
    let most = (limits.announcement_burst + earned) as usize;
    let relayed = all.raw[1].heard.len();
    assert!((limits.announcement_burst as usize..=most).contains(&relayed), "{relayed} of {most}");
    // Somebody else is heard.
    all.raw[1].publish(&topic, announcement("other"));
    all.settle();
    assert!(all.raw[0].heard.len() == 1);
}
