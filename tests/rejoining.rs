//! A network that has come apart is one again: what others have seen of it, in the time that they have seen pass.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::executor::block_on;
use peerage::{Config, Event, Multiaddr, Node, PeerId, Registry, identity::Keypair};

#[path = "support/divided.rs"]
mod divided;
mod support;
#[path = "support/virtual_time.rs"]
#[allow(dead_code, reason = "nobody asks here how often the timer was set")]
mod virtual_time;

use divided::{Divided, side};
use support::{Executor, Peer, manifest, owned, within};
use virtual_time::VirtualClock;

/// Peers of one network, and the time that all of them see.
struct Stage {
    network: Divided,
    first_port: u64,
    keypairs: Vec<Keypair>,
    peers: Vec<Peer>,
    clocks: Vec<VirtualClock>,
    passed: Duration,
}

impl Stage {
    /// So many peers, of which the first has nobody configured and the others only the first. Each other one is on the
    /// other side.
    async fn new(first_port: u64, size: u64) -> Self {
        let network = Divided::default();
        let keypairs: Vec<Keypair> = (0..size).map(|_| Keypair::generate_ed25519()).collect();
        let (peers, clocks) = (Vec::new(), Vec::new());
        let mut stage =
            Self { network, first_port, keypairs, peers, clocks, passed: Duration::ZERO };
        for at in 0..stage.keypairs.len() {
            let bootstrap = (at > 0).then(|| stage.address(0));
            let (peer, clock) = stage.start(at, bootstrap).await;
            stage.peers.push(peer);
            stage.clocks.push(clock);
        }
        // They tell each other where they are, and each dials the others. Time stands still, so that nobody looks around
        // without being told to.
        for peer in &stage.peers {
            let all = async { while peer.handle.bootstrap().await != Ok(stage.peers.len() - 1) {} };
            within("everybody's addresses", all).await;
        }
        for at in 0..stage.peers.len() {
            stage.await_all(at, "everybody").await;
        }
        stage
    }

    fn address(&self, at: usize) -> Multiaddr {
        format!("/memory/{}", self.first_port + at as u64).parse().expect("an address")
    }

    async fn start(&self, at: usize, bootstrap: Option<Multiaddr>) -> (Peer, VirtualClock) {
        let (listen, keypair) = (self.address(at), self.keypairs[at].clone());
        let clock = VirtualClock::default();
        clock.advance(self.passed);
        let transport = self.network.transport(&keypair, side(&listen) == Some(true));
        let config = Config::new().with_listen([listen]).with_bootstrap(bootstrap);
        let (node, handle) = Node::builder(keypair, config)
            .with_transport(transport)
            .with_clock(Arc::new(clock.clone()))
            .build()
            .expect("a node");
        let mut peer = Peer::run(Executor::Smol, node, handle);
        peer.address().await;
        (peer, clock)
    }

    /// A peer ends, and lives again after ten minutes with the same key and address. It knows nobody.
    async fn start_anew(&mut self, at: usize) {
        let id = self.peers[at].id();
        within("the end", self.peers[at].handle.shutdown()).await.expect("shut down");
        within("the end", &mut self.peers[at].ended).await.expect("ended");
        for (other, peer) in self.peers.iter_mut().enumerate() {
            if other != at {
                let gone = |event| matches!(event, Event::Disconnected { peer, .. } if peer == id);
                peer.wait_for("its end", |event| gone(event).then_some(())).await;
            }
        }
        self.pass(600).await;
        (self.peers[at], self.clocks[at]) = self.start(at, None).await;
    }

    async fn connected(&self, at: usize) -> BTreeSet<PeerId> {
        let peers = within("peers", self.peers[at].handle.peers()).await.expect("peers");
        peers.into_iter().map(|peer| peer.peer).collect()
    }

    /// Waits until one is connected with all others.
    async fn await_all(&mut self, at: usize, what: &str) {
        let all: BTreeSet<PeerId> = self.peers.iter().map(Peer::id).collect();
        let own = self.peers[at].id();
        loop {
            let mut connected = self.connected(at).await;
            connected.insert(own);
            if connected.is_superset(&all) {
                return;
            }
            self.peers[at].wait_for(what, |event| is_change(&event).then_some(())).await;
        }
    }

    /// Lets time pass for everybody. Dials and what comes of them take real time, of which there is a little after each
    /// step.
    async fn pass(&mut self, seconds: u64) {
        const STEP: u64 = 10;
        for _ in 0..seconds / STEP {
            self.passed += Duration::from_secs(STEP);
            self.clocks.iter().for_each(|clock| clock.advance(Duration::from_secs(STEP)));
            async_io::Timer::after(Duration::from_millis(20)).await;
        }
    }
}

fn is_change(event: &Event) -> bool {
    matches!(event, Event::Connected { .. } | Event::Disconnected { .. })
}

#[test]
fn a_network_that_was_cut_in_two_is_one_within_two_minutes_after_it_has_healed() {
    block_on(async {
        let mut stage = Stage::new(70_000, 6).await;
        stage.network.cut();
        for at in 0..6 {
            let other_side = at % 2 == 0;
            let others: Vec<PeerId> = (0..6)
                .filter(|other| (other % 2 == 1) == other_side)
                .map(|other| stage.peers[other].id())
                .collect();
            while stage.connected(at).await.iter().any(|peer| others.contains(peer)) {
                let peer = &mut stage.peers[at];
                peer.wait_for("the cut", |event| is_change(&event).then_some(())).await;
            }
        }
        stage.pass(1800).await;
        for (at, release) in [(1, "1.0.0"), (2, "1.0.0")] {
            let publisher = &stage.peers[at];
            let package = manifest(&format!("of-{at}"), release);
            within("register", publisher.handle.register(package)).await.expect("published");
        }
        for at in 0..6 {
            let here = stage.connected(at).await;
            assert_eq!(here.len(), 2, "{at} sees its own side");
        }
        stage.network.heal();
        stage.pass(120).await;
        for (reader, publisher) in [(5, 2), (3, 2), (4, 1), (0, 1)] {
            let package = owned(stage.peers[publisher].id(), &format!("of-{publisher}"));
            let found = within("get", stage.peers[reader].handle.get_package(package)).await;
            assert!(found.is_ok(), "{reader} sees what {publisher} has published: {found:?}");
        }
        for at in 0..6 {
            stage.await_all(at, "everybody again").await;
        }
    });
}

#[test]
fn whoever_starts_anew_and_knows_nobody_is_found_by_those_who_knew_it() {
    block_on(async {
        // The one whom the others have configured, and one whom nobody has.
        for (at, first_port) in [(0, 71_000), (3, 72_000)] {
            let mut stage = Stage::new(first_port, 4).await;
            stage.start_anew(at).await;
            stage.pass(120).await;
            for at in 0..4 {
                stage.await_all(at, "everybody again").await;
            }
        }
    });
}

/// Who has nobody else does not wait for two minutes.
#[test]
fn two_that_have_only_each_other_find_each_other_within_a_minute() {
    block_on(async {
        for (at, first_port) in [(0, 73_000), (1, 74_000)] {
            let mut stage = Stage::new(first_port, 2).await;
            stage.start_anew(at).await;
            stage.pass(70).await;
            for at in 0..2 {
                stage.await_all(at, "the other").await;
            }
        }
    });
}
