//! A network of more peers than each of them wants to be connected with: as a user of it would try it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{sync::Arc, time::Duration};

use futures::{executor::block_on, future::join_all};
use peerage::{Event, KeptFor, Limits, Multiaddr, Node, Registry, identity::Keypair};

mod support;
#[path = "support/virtual_time.rs"]
#[allow(dead_code, reason = "nobody asks here how often the timer was set")]
mod virtual_time;

use support::{Executor, Peer, loopback, manifest, owned, within};
use virtual_time::VirtualClock;

const SIZE: usize = 40;
const TARGET: u32 = 8;

/// Peers, and the time that all of them see.
struct Crowd {
    peers: Vec<Peer>,
    /// Where the first three are, of whom the others are told.
    known: Vec<Multiaddr>,
    clock: VirtualClocks,
}

/// One clock for each node, since each has one timer.
#[derive(Default)]
struct VirtualClocks {
    all: Vec<VirtualClock>,
    passed: Duration,
}

impl VirtualClocks {
    fn another(&mut self) -> VirtualClock {
        let clock = VirtualClock::default();
        clock.advance(self.passed);
        self.all.push(clock.clone());
        clock
    }

    fn advance(&mut self, by: Duration) {
        self.passed += by;
        self.all.iter().for_each(|clock| clock.advance(by));
    }
}

impl Crowd {
    /// So many peers, of which the first three are whom the others are told of.
    async fn new(size: usize) -> Self {
        let (peers, known) = (Vec::new(), Vec::new());
        let mut crowd = Self { peers, known, clock: VirtualClocks::default() };
        for _ in 0..size {
            let mut peer = crowd.start();
            if crowd.known.len() < 3 {
                crowd.known.push(peer.address().await);
            }
            crowd.peers.push(peer);
        }
        let all = crowd.peers[1..].iter().map(|peer| peer.handle.bootstrap());
        for known_peers in within("everybody to join", join_all(all)).await {
            assert!(known_peers.expect("joined") > 0);
        }
        crowd
    }

    fn start(&mut self) -> Peer {
        let keypair = Keypair::generate_ed25519();
        let config = loopback()
            .with_bootstrap(self.known.clone())
            .with_limits(Limits::new().with_connection_target(TARGET));
        let clock = Arc::new(self.clock.another());
        let (node, handle) =
            Node::builder(keypair, config).with_clock(clock).build().expect("a node");
        Peer::run(Executor::Smol, node, handle)
    }

    /// The number of connections of each.
    async fn connections(&self) -> Vec<usize> {
        let peers = join_all(self.peers.iter().map(|peer| peer.handle.peers()));
        let peers = within("peers", peers).await;
        peers.into_iter().map(|peers| peers.expect("peers").len()).collect()
    }

    /// Lets time pass until everybody has no more connections than it wants. What comes of it takes real time.
    async fn settle(&mut self) {
        let settled = async {
            loop {
                let connections = self.connections().await;
                if connections.iter().all(|count| *count <= TARGET as usize) {
                    return;
                }
                self.clock.advance(Duration::from_secs(5));
                async_io::Timer::after(Duration::from_millis(100)).await;
            }
        };
        within("everybody to be at rest", settled).await;
    }
}

#[test]
fn forty_peers_that_want_eight_connections_each_are_one_network() {
    block_on(async {
        let mut crowd = Crowd::new(SIZE).await;
        let most = crowd.connections().await.into_iter().max();
        assert!(most > Some(TARGET as usize), "there is something to choose from");
        crowd.settle().await;

        // Somebody new joins through whoever is full, and publishes.
        let newcomer = crowd.start();
        within("bootstrap", newcomer.handle.bootstrap()).await.expect("joined");
        let receipt = within("register", newcomer.handle.register(manifest("news", "1.0.0"))).await;
        let receipt = receipt.expect("published");
        assert!(receipt.replicas >= 20, "{receipt:?}");
        let (owner, package) = (newcomer.id(), owned(newcomer.id(), "news"));
        crowd.peers.push(newcomer);

        // Everybody hears of it, though nobody is connected with more than a few.
        for peer in &mut crowd.peers[..SIZE] {
            peer.wait_for("the announcement", |event| match event {
                Event::Discovered { package, .. } => (package.owner == owner).then_some(()),
                _ => None,
            })
            .await;
        }

        // And somebody newer finds it.
        let reader = crowd.start();
        within("bootstrap", reader.handle.bootstrap()).await.expect("joined");
        within("get", reader.handle.get_package(package)).await.expect("found");
        crowd.peers.push(reader);

        crowd.settle().await;
        for peer in &crowd.peers {
            let peers = within("peers", peer.handle.peers()).await.expect("peers");
            assert!(!peers.is_empty(), "nobody is left alone");
            let is_chosen = |kept_for: KeptFor| kept_for != KeptFor::Nothing;
            assert!(peers.iter().any(|peer| is_chosen(peer.kept_for)), "{peers:?}");
        }
    });
}
