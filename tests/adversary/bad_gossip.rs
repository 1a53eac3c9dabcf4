//! Gossip that nobody should hear of, sent to a node that stands between the sender and others.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use async_io::Timer;
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
    executor::block_on,
    future::{self, Either},
};
use libp2p::{
    Swarm, gossipsub, identify,
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use peerage::{
    Digest, Limits, Multiaddr, NetworkName, PeerId, Registry,
    identity::Keypair,
    net::transport::{self, TransportConfig},
    record::{Message, Signed, Validity},
};

use crate::{
    forge::{self, Dice, Owner},
    hostile::{Connection, gossip_protocol, proto, topic},
    report::{line, size, turn},
    support::{Peer, manifest, within},
    world::{config, joined, server},
};

/// Messages of one sender: a good one, bad ones, and a good one.
fn chunk() -> usize {
    size(1_000, 500)
}

/// A good message is relayed within this, or its sender is not listened to any more.
const RELAYED_WITHIN: Duration = Duration::from_secs(2);

/// Of the observer.
const HEARTBEAT: Duration = Duration::from_millis(100);

const ANNOUNCEMENTS: &str = "announcements";
const CHAT: &str = "chat";

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    identify: identify::Behaviour,
    gossipsub: gossipsub::Behaviour,
}

/// A plain gossipsub peer, which knows nobody but the victim: what it hears, the victim has relayed.
struct Observer {
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
    bad: usize,
    good: HashSet<Vec<u8>>,
    /// The key of the honest publisher, and how many announcements of it were heard.
    publisher: Vec<u8>,
    honest: usize,
    _task: smol::Task<()>,
}

impl Observer {
    async fn of(victim: &Multiaddr, publisher: PeerId) -> Self {
        let keypair = Keypair::generate_ed25519();
        let network = NetworkName::default();
        // As peers of this registry are set up, but that everything is taken for valid.
        let settings = gossipsub::ConfigBuilder::default()
            .validation_mode(gossipsub::ValidationMode::Anonymous)
            .message_id_fn(|message| {
                let said = [message.topic.as_str().as_bytes(), &[0], &message.data].concat();
                Digest::of(said).as_bytes().to_vec().into()
            })
            // It joins the victim's mesh by itself, and soon.
            .heartbeat_initial_delay(HEARTBEAT)
            .heartbeat_interval(HEARTBEAT)
            .build()
            .expect("settings");
        let mut gossipsub: gossipsub::Behaviour =
            gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, settings)
                .expect("gossipsub");
        for name in [ANNOUNCEMENTS, CHAT] {
            let topic = gossipsub::IdentTopic::new(topic(name));
            gossipsub.subscribe(&topic).expect("subscribed");
        }
        let introduction = format!("/peerage/{network}/1.0.0");
        let introduction = identify::Config::new(introduction, keypair.public());
        let behaviour = Behaviour { identify: identify::Behaviour::new(introduction), gossipsub };
        let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())
            .expect("a transport");
        let config = swarm::Config::with_executor(|task| smol::spawn(task).detach());
        let peer = keypair.public().to_peer_id();
        let mut swarm = Swarm::new(transport, behaviour, peer, config);
        swarm.dial(victim.clone()).expect("dialed");
        let (sender, heard) = mpsc::unbounded();
        let (in_mesh, meshed) = oneshot::channel();
        let task = smol::spawn(async move {
            let mut in_mesh = Some(in_mesh);
            loop {
                // Joining a mesh is no event, so that it is looked at with every heartbeat.
                let event = match in_mesh {
                    Some(_) => {
                        let heartbeat = Timer::after(HEARTBEAT);
                        match future::select(swarm.next(), heartbeat).await {
                            Either::Left((event, _)) => event,
                            Either::Right(_) => None,
                        }
                    }
                    None => swarm.next().await,
                };
                let topic = gossipsub::IdentTopic::new(topic(ANNOUNCEMENTS)).hash();
                if swarm.behaviour().gossipsub.mesh_peers(&topic).next().is_some()
                    && let Some(in_mesh) = in_mesh.take()
                {
                    let _ = in_mesh.send(());
                }
                if let Some(SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(
                    gossipsub::Event::Message { message, .. },
                ))) = event
                {
                    let _ = sender.unbounded_send(message.data);
                }
            }
        });
        within("a mesh", meshed).await.expect("an observer");
        // The key is the last part of an identity.
        let publisher = publisher.to_bytes().split_off(6);
        Self { heard, bad: 0, good: HashSet::new(), publisher, honest: 0, _task: task }
    }

    /// Waits until a good message has been relayed, and counts the bad ones that come before.
    async fn hears(&mut self, wanted: &[u8]) {
        while let Some(data) = self.heard.next().await {
            if data == wanted {
                return;
            }
            self.judge(&data);
        }
    }

    /// Whether it hears this in time.
    async fn hears_in_time(&mut self, wanted: &[u8]) -> bool {
        let hearing = std::pin::pin!(self.hears(wanted));
        matches!(future::select(hearing, Timer::after(RELAYED_WITHIN)).await, Either::Left(_))
    }

    /// Waits until so many announcements of the honest publisher have been relayed.
    async fn hears_honest(&mut self, wanted: usize) {
        while self.honest < wanted {
            let Some(data) = self.heard.next().await else { return };
            self.judge(&data);
        }
    }

    fn judge(&mut self, data: &[u8]) {
        let signer = data.get(2..34).unwrap_or_default();
        if signer == self.publisher {
            self.honest += 1;
        } else if !self.good.contains(data) {
            self.bad += 1;
        }
    }

    /// A good message, to be relayed sooner or later.
    fn expects(&mut self, good: &[u8]) {
        self.good.insert(good.to_vec());
    }
}

/// A bad message, and the topic it is sent on.
type Bad = (String, Vec<u8>);

/// A package that the victim has heard of at its fifth head.
fn bad_message(known: &Owner, dice: &mut Dice) -> Bad {
    let right = topic(ANNOUNCEMENTS);
    match dice.roll(8) {
        0 => {
            let mut forged = known.head(6 + dice.roll(100) as u64).bytes().to_vec();
            let at = dice.roll(forged.len());
            forged[at] ^= 1 << dice.roll(8);
            (right, forged)
        }
        // A head where people talk, and talk where packages are announced.
        1 => (topic(CHAT), Owner::new("elsewhere").head(1).bytes().to_vec()),
        2 => (right, message(NetworkName::default(), CHAT, dice)),
        // Said on another topic, or on one that nobody has subscribed.
        3 => (topic(CHAT), message(NetworkName::default(), "tea", dice)),
        4 => (topic("tea"), message(NetworkName::default(), "tea", dice)),
        5 => {
            let length = 1 + dice.roll(4000);
            (right, dice.bytes(length))
        }
        // Older than what was announced, or over.
        6 => {
            // Signed at a time of its own, so that it is no duplicate.
            let validity = Validity::starting(forge::now() - dice.roll(3000) as u64, 3600);
            (right, known.head_at(1 + dice.roll(4) as u64, validity).bytes().to_vec())
        }
        _ => {
            let validity = Validity::starting(forge::now() - 1000 - dice.roll(100_000) as u64, 900);
            (right, known.head_at(9, validity).bytes().to_vec())
        }
    }
}

fn message(network: NetworkName, topic: &str, dice: &mut Dice) -> Vec<u8> {
    let author = Keypair::generate_ed25519();
    let id = author.public().to_peer_id();
    let nonce = dice.roll(1 << 30) as u64;
    let message = Message::new(network, id, topic, nonce, forge::now(), b"hello".to_vec());
    Signed::sign(&author, message).expect("signed").bytes().to_vec()
}

/// The victim, an honest publisher, and whoever listens to the victim. The victim relays already.
async fn scene() -> (Peer, Multiaddr, Peer, Observer) {
    let (victim, address) = server(config()).await;
    let (publisher, _) = server(config().with_bootstrap([address.clone()])).await;
    joined(&publisher, 1).await;
    victim.handle.subscribe(CHAT).await.expect("subscribed");
    let mut observer = Observer::of(&address, publisher.id()).await;
    // The victim has heard of it when it relays.
    let identity = Keypair::generate_ed25519();
    let attacker = Connection::dial(&identity, &address).await.expect("dialed");
    let mut stream = attacker.speak(gossip_protocol()).await.expect("a stream");
    let relaying = async {
        loop {
            let good = Owner::new("first").head(1);
            observer.expects(good.bytes());
            let frame = proto::publication(&topic(ANNOUNCEMENTS), good.bytes());
            stream.tell(&frame).await.expect("sent");
            if observer.hears_in_time(good.bytes()).await {
                break;
            }
        }
    };
    within("a mesh", relaying).await;
    (victim, address, publisher, observer)
}

#[test]
fn no_bad_message_is_relayed_and_good_ones_are() {
    let _turn = turn();
    block_on(async {
        let (_victim, address, publisher, mut observer) = scene().await;
        let total = size(10_000, 1_000);
        let mut dice = Dice::new(5);
        let known = Owner::new("known");
        let (mut sent, mut senders, mut ignored, mut good, mut announced) = (0, 0, 0, 1, 0);
        while sent < total {
            let identity = Keypair::generate_ed25519();
            let attacker = Connection::dial(&identity, &address).await.expect("dialed");
            let mut stream = attacker.speak(gossip_protocol()).await.expect("a stream");
            senders += 1;
            // What was announced comes first, so that what is older is known to be.
            let head = known.head(5);
            stream.tell(&proto::subscription(&topic("tea"))).await.expect("sent");
            stream
                .tell(&proto::publication(&topic(ANNOUNCEMENTS), head.bytes()))
                .await
                .expect("sent");
            observer.expects(head.bytes());
            for _ in 0..chunk() - 1 {
                let (topic, data) = bad_message(&known, &mut dice);
                // Cut off in the middle of it: enough was said.
                if stream.tell(&proto::publication(&topic, &data)).await.is_err() {
                    break;
                }
            }
            // And a good one behind them. Once it is relayed, all before it has been looked at.
            let fence = Owner::new("fence").head(1);
            observer.expects(fence.bytes());
            let frame = proto::publication(&topic(ANNOUNCEMENTS), fence.bytes());
            let relayed =
                stream.tell(&frame).await.is_ok() && observer.hears_in_time(fence.bytes()).await;
            good += usize::from(relayed);
            ignored += usize::from(!relayed);
            // The last one is longer than a message may be, and ends the stream.
            let frame = proto::publication(&topic(ANNOUNCEMENTS), &vec![0; 32 * 1024]);
            let _ = stream.tell(&frame).await;
            sent += chunk();

            // Honest announcements are relayed meanwhile.
            let name = format!("honest-{senders}");
            publisher.handle.register(manifest(&name, "1.0.0")).await.expect("registered");
            announced += 1;
        }
        within("the honest announcements", observer.hears_honest(announced)).await;
        assert_eq!(observer.bad, 0, "bad messages were relayed");
        // Nothing that comes after so many bad ones is relayed, good as it may be.
        assert_eq!(ignored, senders, "senders of bad messages were still listened to");
        line(
            "bad gossip",
            format_args!(
                "{sent} messages of {senders} senders in 9 classes: 0 relayed; {good} good ones among them were, and \
                 {announced} honest announcements; {ignored} senders graylisted",
            ),
        );
    });
}

#[test]
fn an_owner_who_announces_without_end_is_relayed_within_its_budget_and_its_forwarder_let_go() {
    let _turn = turn();
    block_on(async {
        let (_victim, address, publisher, mut observer) = scene().await;
        let owner = Owner::new("endless");
        let identity = Keypair::generate_ed25519();
        let attacker = Connection::dial(&identity, &address).await.expect("dialed");
        let mut stream = attacker.speak(gossip_protocol()).await.expect("a stream");
        let (began, mut sent) = (Instant::now(), 0);
        loop {
            let head = owner.head(sent + 1);
            let frame = proto::publication(&topic(ANNOUNCEMENTS), head.bytes());
            if stream.tell(&frame).await.is_err() {
                break;
            }
            sent += 1;
            assert!(sent < 200_000, "somebody who does not stop is still listened to");
        }
        let flooded = began.elapsed();
        publisher.handle.register(manifest("honest", "1.0.0")).await.expect("registered");
        within("an honest announcement", observer.hears_honest(1)).await;
        let limits = Limits::new();
        let seconds = began.elapsed().as_secs() + 1;
        let most = u64::from(limits.announcement_burst)
            + u64::from(limits.announcements_per_second) * seconds;
        let relayed = observer.bad as u64;
        line(
            "valid gossip",
            format_args!(
                "{sent} announcements of one owner in {:.1} s, until the connection was closed: {relayed} relayed of \
                 {most} that may be",
                flooded.as_secs_f64(),
            ),
        );
        assert!(relayed > 0 && relayed <= most, "{relayed} relayed of {most}");
    });
}

#[test]
fn an_announcement_that_was_sent_on_another_topic_first_is_no_duplicate() {
    let _turn = turn();
    block_on(async {
        let (_victim, address, _publisher, mut observer) = scene().await;
        let identity = Keypair::generate_ed25519();
        let attacker = Connection::dial(&identity, &address).await.expect("dialed");
        let mut bad = attacker.speak(gossip_protocol()).await.expect("a stream");
        let identity = Keypair::generate_ed25519();
        let honest = Connection::dial(&identity, &address).await.expect("dialed");
        let mut honest = honest.speak(gossip_protocol()).await.expect("a stream");

        let count = size(20, 5);
        let mut arrived = 0;
        for _ in 0..count {
            let (head, fence) = (Owner::new("censored").head(1), Owner::new("fence").head(1));
            // On a topic that the victim has not subscribed, so that not even the application looks at it.
            bad.tell(&proto::publication(&topic("nowhere"), head.bytes())).await.expect("sent");
            let frame = proto::publication(&topic(ANNOUNCEMENTS), fence.bytes());
            bad.tell(&frame).await.expect("sent");
            assert!(observer.hears_in_time(fence.bytes()).await);
            // Now its owner announces it.
            let after = Owner::new("after").head(1);
            for data in [head.bytes(), after.bytes()] {
                let frame = proto::publication(&topic(ANNOUNCEMENTS), data);
                honest.tell(&frame).await.expect("sent");
            }
            let wait = async {
                let mut heard = false;
                while let Some(data) = observer.heard.next().await {
                    heard |= data == **head.bytes();
                    if data == **after.bytes() {
                        break;
                    }
                }
                heard
            };
            arrived += usize::from(within("what was announced after it", wait).await);
        }
        assert_eq!(arrived, count);
        line(
            "censored gossip",
            format_args!("{count} announcements sent on another topic first: {arrived} relayed"),
        );
    });
}
