//! One owner with several devices, or several lives: no release is lost, and nobody is called a liar for haste.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, StreamExt, executor::block_on};
use peerage::{Config, Event, Multiaddr, Node, PeerId, Registry, identity::Keypair};

#[path = "support/divided.rs"]
mod divided;
mod support;
#[path = "support/virtual_time.rs"]
#[allow(dead_code, reason = "nobody asks here how often the timer was set")]
mod virtual_time;

use divided::{Divided, side};
use support::{Executor, Peer, loopback, manifest, network, owned, version, within};
use virtual_time::VirtualClock;

async fn address_of(peer: &Peer) -> Multiaddr {
    peer.handle.metadata().await.expect("metadata").addresses[0].clone()
}

/// The releases that a newcomer can resolve, newest first.
async fn resolved(bootstrap: Multiaddr, owner: PeerId) -> Vec<String> {
    let reader = Peer::start(Executor::Smol, loopback().with_bootstrap([bootstrap]));
    within("bootstrap", reader.handle.bootstrap()).await.expect("bootstrapped");
    let package = owned(owner, "tool");
    let listed = within("versions", reader.handle.list_versions(package.clone())).await;
    let listed = listed.expect("listed").releases;
    let versions: Vec<String> = listed.iter().map(|info| info.version.to_string()).collect();
    for release in &versions {
        let wanted = package.clone().with_version(version(release));
        let found = within("a release", reader.handle.get_package(wanted)).await;
        assert_eq!(found.expect("found").manifest, manifest("tool", release));
    }
    within("the end", reader.handle.shutdown()).await.expect("shut down");
    versions
}

/// Waits for the second after the one in which a head was signed. Whoever publishes twice within a second, and does not
/// know of it, does contradict itself.
async fn later_than(sequence: u64) {
    let unix = || SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    while unix() <= sequence {
        async_io::Timer::after(Duration::from_millis(20)).await;
    }
}

/// Nobody has been told of two histories.
async fn nobody_is_accused(peers: &mut [Peer]) {
    for peer in peers {
        let proofs = within("proofs", peer.handle.equivocations()).await.expect("proofs");
        assert_eq!(proofs, []);
        while let Some(Some(event)) = peer.events.next().now_or_never() {
            assert!(!matches!(event, Event::Equivocation { .. }), "{event:?}");
        }
    }
}

#[test]
fn an_owner_that_publishes_alone_after_a_restart_and_joins_again_keeps_its_releases_and_its_name() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let address = address_of(&peers[0]).await;
        let key = Keypair::generate_ed25519();
        let config = loopback().with_bootstrap([address.clone()]);
        let first_life = Peer::start_as(Executor::Smol, key.clone(), config);
        let everywhere = first_life.handle.with_confirmation(2);
        let receipt = within("1.0.0", everywhere.register(manifest("tool", "1.0.0"))).await;
        later_than(receipt.expect("published").sequence).await;
        within("the end", first_life.handle.shutdown()).await.expect("shut down");
        within("the end", first_life.ended).await.expect("ended");

        let mut second_life = Peer::start_as(Executor::Smol, key, loopback());
        let alone = second_life.handle.register(manifest("tool", "1.1.0"));
        assert_eq!(within("1.1.0", alone).await.expect("signed").replicas, 0);
        let dialed = second_life.handle.dial(peers[0].id(), vec![address.clone()]);
        within("dial", dialed).await.expect("dialed");
        let replicated = |event| matches!(event, Event::Replicated { .. }).then_some(());
        second_life.wait_for("replication", replicated).await;

        assert_eq!(resolved(address, second_life.id()).await, ["1.1.0", "1.0.0"]);
        peers.push(second_life);
        nobody_is_accused(&mut peers).await;
    });
}

#[test]
fn two_devices_with_one_key_publish_in_turns_and_all_releases_resolve() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let address = address_of(&peers[0]).await;
        let key = Keypair::generate_ed25519();
        for _ in 0..2 {
            let config = loopback().with_bootstrap([address.clone()]);
            peers.push(Peer::start_as(Executor::Smol, key.clone(), config));
        }
        for (device, release) in [(3, "1.0.0"), (4, "1.0.1"), (3, "1.1.0"), (4, "1.2.0")] {
            let device = peers[device].handle.with_confirmation(2);
            let receipt = within(release, device.register(manifest("tool", release))).await;
            assert!(receipt.expect("published").is_confirmed());
        }
        let owner = key.public().to_peer_id();
        assert_eq!(resolved(address, owner).await, ["1.2.0", "1.1.0", "1.0.1", "1.0.0"]);
        nobody_is_accused(&mut peers).await;
    });
}

/// A network in memory, all of whose nodes see the same time.
struct Stage {
    network: Divided,
    peers: Vec<Peer>,
    clocks: Vec<VirtualClock>,
}

impl Stage {
    /// Starts a node on the side that its address tells.
    async fn start(&mut self, key: Keypair, port: u64, bootstrap: Option<u64>) {
        let memory =
            |port: u64| -> Multiaddr { format!("/memory/{port}").parse().expect("an address") };
        let listen = memory(port);
        let transport = self.network.transport(&key, side(&listen) == Some(true));
        let config = Config::new()
            .with_listen([listen])
            .with_bootstrap(bootstrap.map(memory))
            .with_reconcile_interval(Duration::from_secs(20));
        let clock = VirtualClock::default();
        let (node, handle) = Node::builder(key, config)
            .with_transport(transport)
            .with_clock(Arc::new(clock.clone()))
            .build()
            .expect("a node");
        let mut peer = Peer::run(Executor::Smol, node, handle);
        peer.address().await;
        if bootstrap.is_some() {
            within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
        }
        self.peers.push(peer);
        self.clocks.push(clock);
    }

    /// Lets time pass for everybody, and a little real time for what comes of it.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clocks.iter().for_each(|clock| clock.advance(Duration::from_secs(1)));
            async_io::Timer::after(Duration::from_millis(10)).await;
        }
    }

    /// The releases that a node reads, and how many contradictions stand against anybody there.
    async fn sees(&self, reader: usize, owner: PeerId) -> (Vec<String>, usize) {
        let handle = &self.peers[reader].handle;
        let listed = within("versions", handle.list_versions(owned(owner, "tool"))).await;
        let releases = listed.map(|listed| listed.releases).unwrap_or_default();
        let versions = releases.iter().map(|info| info.version.to_string()).collect();
        (versions, within("proofs", handle.equivocations()).await.expect("proofs").len())
    }
}

#[test]
fn the_same_second_on_both_sides_of_a_cut_heals_to_one_list_and_nobody_stays_accused() {
    block_on(async {
        let (network, peers, clocks) = (Divided::default(), Vec::new(), Vec::new());
        let mut stage = Stage { network, peers, clocks };
        stage.start(Keypair::generate_ed25519(), 80_000, None).await;
        stage.start(Keypair::generate_ed25519(), 80_001, Some(80_000)).await;
        stage.network.cut();
        for peer in &mut stage.peers {
            let gone = |event| matches!(event, Event::Disconnected { .. }).then_some(());
            peer.wait_for("the cut", gone).await;
        }
        let key = Keypair::generate_ed25519();
        stage.start(key.clone(), 80_002, Some(80_000)).await;
        stage.start(key.clone(), 80_003, Some(80_001)).await;
        let owner = key.public().to_peer_id();
        let mut sequences = Vec::new();
        for (device, release) in [(2, "1.1.0"), (3, "1.2.0")] {
            let device = stage.peers[device].handle.with_confirmation(1);
            let receipt = within(release, device.register(manifest("tool", release))).await;
            sequences.push(receipt.expect("published").sequence);
        }
        assert_eq!(sequences[0], sequences[1], "the time that both see stands still");

        stage.network.heal();
        let healed = (vec!["1.2.0".to_owned(), "1.1.0".to_owned()], 0);
        let mut passed = 0;
        while stage.sees(0, owner).await != healed || stage.sees(1, owner).await != healed {
            assert!(
                passed < 1200,
                "{:?} {:?}",
                stage.sees(0, owner).await,
                stage.sees(1, owner).await
            );
            stage.pass(10).await;
            passed += 10;
        }
        // An application of the owner's has been told, and so has everybody who saw both.
        let mut told = [false; 4];
        for (told, peer) in told.iter_mut().zip(&mut stage.peers) {
            while let Some(Some(event)) = peer.events.next().now_or_never() {
                *told |= matches!(event, Event::Equivocation { .. });
            }
        }
        assert!(told[2] || told[3], "{told:?}");
        for device in [2, 3] {
            let proofs = stage.peers[device].handle.equivocations();
            assert_eq!(within("proofs", proofs).await.expect("proofs"), []);
        }
    });
}
