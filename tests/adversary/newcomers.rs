//! Newcomers without end, each from an address of its own in one network, against a network of honest peers that fill
//! their places with one another.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures::{
    FutureExt, StreamExt,
    executor::block_on,
    future::{join, join_all},
    stream,
};
use libp2p::{Swarm, identify, swarm};
use peerage::{Config, Event, Limits, Multiaddr, Node, PeerId, Registry, identity::Keypair};

use crate::{
    elsewhere,
    hostile::Connection,
    report::{line, size, turn},
    support::{Executor, Peer, manifest, owned, within},
};

const HONEST: u8 = 30;

/// Connections that a node may have, so that all nodes together can be filled from one process.
const PLACES: u32 = 64;

/// Newcomers that dial at the same time.
const AT_ONCE: usize = 32;

/// Connections that each of those keeps: together more than there are places.
const KEPT: usize = 60;

/// They come for no shorter than this: some honest connections are looked at meanwhile that are above the target.
const LASTS: Duration = Duration::from_secs(30);

/// By when whoever has left has been dialed again, as it is a minute after it has left and a little more. Nobody looks
/// for it before, as libp2p-kad did with every newcomer.
const DIALED_AGAIN: Duration = Duration::from_secs(120);

fn limits() -> Limits {
    Limits::new()
        .with_connections(PLACES)
        .with_connection_target(40)
        .with_count_private_addresses(true)
}

/// An honest peer, on a host in a network of its own.
async fn honest(host: u8, known: &[Multiaddr]) -> (Peer, Multiaddr) {
    let host = Ipv4Addr::new(127, host, 0, 1);
    let listen: Multiaddr = format!("/ip4/{host}/tcp/0").parse().expect("an address");
    let config = Config::new()
        .with_listen([listen])
        .with_bootstrap(known.iter().take(3).cloned())
        .with_limits(limits());
    let keypair = Keypair::generate_ed25519();
    let transport = elsewhere::from(host, &keypair, &limits());
    let (node, handle) =
        Node::builder(keypair, config).with_transport(transport).build().expect("a node");
    let mut peer = Peer::run(Executor::Smol, node, handle);
    let address = peer.address().await;
    (peer, address)
}

/// The honest peers that one of them is connected with.
async fn friends(peer: &Peer, honest: &BTreeSet<PeerId>) -> BTreeSet<PeerId> {
    let peers = within("peers", peer.handle.peers()).await.expect("peers");
    peers.iter().map(|connected| connected.peer).filter(|peer| honest.contains(peer)).collect()
}

/// A newcomer that stays for as long as it is let.
enum Newcomer {
    /// It says nothing after the handshake.
    Mute(#[expect(dead_code, reason = "it is kept")] Connection),
    /// It has said what it is.
    Introduced(#[expect(dead_code, reason = "it is kept")] Box<Swarm<identify::Behaviour>>),
}

impl Newcomer {
    async fn come(number: usize, address: &Multiaddr) -> Option<Self> {
        let [.., third, fourth] = u32::try_from(number).expect("a number").to_be_bytes();
        let host = Ipv4Addr::new(127, 66, third, fourth);
        let keypair = Keypair::generate_ed25519();
        let transport = elsewhere::from(host, &keypair, &Limits::new());
        if !number.is_multiple_of(4) {
            return Connection::over(transport, address).await.ok().map(Self::Mute);
        }
        let introduction =
            identify::Config::new("/peerage/main/1.0.0".to_owned(), keypair.public());
        let mut swarm = Swarm::new(
            transport,
            identify::Behaviour::new(introduction),
            keypair.public().to_peer_id(),
            swarm::Config::with_executor(|task| smol::spawn(task).detach()),
        );
        swarm.dial(address.clone()).expect("a dial");
        while let Some(event) = swarm.next().await {
            match event {
                swarm::SwarmEvent::Behaviour(identify::Event::Sent { .. }) => break,
                swarm::SwarmEvent::ConnectionClosed { .. }
                | swarm::SwarmEvent::OutgoingConnectionError { .. } => return None,
                _ => {}
            }
        }
        Some(Self::Introduced(Box::new(swarm)))
    }
}

/// How newcomers fared.
#[derive(Default)]
struct Arrivals {
    next: AtomicUsize,
    came: AtomicUsize,
    refused: AtomicUsize,
}

/// Dials one honest peer after the other, each time as somebody else from somewhere else.
async fn flood(addresses: &[Multiaddr], total: usize, start: Instant, arrivals: &Arrivals) {
    let mut kept = VecDeque::new();
    loop {
        let number = arrivals.next.fetch_add(1, Relaxed);
        if number >= total && start.elapsed() >= LASTS {
            return;
        }
        match Newcomer::come(number, &addresses[number % addresses.len()]).await {
            Some(newcomer) => {
                arrivals.came.fetch_add(1, Relaxed);
                kept.push_back(newcomer);
            }
            None => drop(arrivals.refused.fetch_add(1, Relaxed)),
        }
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

/// The most peers that one of the honest has been connected with.
async fn fullest(peers: &[Peer], over: &AtomicBool) -> usize {
    let mut most = 0;
    while !over.load(Relaxed) {
        for peer in peers {
            let peers = within("peers", peer.handle.peers()).await.expect("peers");
            most = most.max(peers.len());
        }
        async_io::Timer::after(Duration::from_millis(50)).await;
    }
    most
}

#[test]
fn ten_thousand_newcomers_of_one_network_cost_no_honest_pair_its_connection() {
    let _turn = turn();
    block_on(async {
        let (mut peers, mut addresses) = (Vec::new(), Vec::new());
        for host in 1..=HONEST {
            let (peer, address) = honest(host, &addresses).await;
            peers.push(peer);
            addresses.push(address);
        }
        let joining = join_all(peers[1..].iter().map(|peer| peer.handle.bootstrap()));
        for joined in within("everybody to join", joining).await {
            joined.expect("joined");
        }
        let honest_ids: BTreeSet<PeerId> = peers.iter().map(Peer::id).collect();
        let mut before = HashMap::new();
        for peer in &peers {
            before.insert(peer.id(), friends(peer, &honest_ids).await);
        }
        let pairs = before.values().map(BTreeSet::len).sum::<usize>() / 2;

        let (arrivals, over) = (Arrivals::default(), AtomicBool::new(false));
        let total = size(10_000, 1_500);
        let start = Instant::now();
        let coming = async {
            let floods = (0..AT_ONCE).map(|_| flood(&addresses, total, start, &arrivals));
            stream::iter(floods).buffer_unordered(AT_ONCE).collect::<()>().await;
            over.store(true, Relaxed);
            start.elapsed()
        };
        // Somebody honest comes in the middle of it.
        let joining = async {
            while arrivals.came.load(Relaxed) < total / 2 || start.elapsed() < LASTS / 2 {
                async_io::Timer::after(Duration::from_millis(20)).await;
            }
            let start = Instant::now();
            let (late, _) = honest(HONEST + 1, &addresses).await;
            // Where newcomers come by the hundred, room may be gone before it is used.
            let known =
                async { while late.handle.bootstrap().await.is_ok_and(|known| known < 10) {} };
            within("somebody honest to join", known).await;
            let joined = start.elapsed();
            let registered = late.handle.register(manifest("late", "1.0.0"));
            let receipt = within("a receipt", registered).await.expect("registered");
            // Some may have no room at that moment; they are put to again later.
            assert!(receipt.replicas >= 10, "{receipt:?}");
            let found = peers[7].handle.get_package(owned(late.id(), "late"));
            within("a package", found).await.expect("found");
            (late, joined, receipt)
        };
        let (elapsed, ((late, joined, receipt), most)) =
            join(coming, join(joining, fullest(&peers, &over))).await;

        assert!(most <= PLACES as usize, "{most} of {PLACES} connections");
        let mut ended = 0;
        for peer in &mut peers {
            while let Some(Some(event)) = peer.events.next().now_or_never() {
                let of_honest = |peer: &PeerId| honest_ids.contains(peer);
                ended += usize::from(
                    matches!(event, Event::Disconnected { peer, .. } if of_honest(&peer)),
                );
            }
        }
        assert!(ended / 2 <= pairs / 4, "{} of {pairs} honest connections ended", ended / 2);
        let over = Instant::now();
        for peer in &peers {
            while !before[&peer.id()].is_subset(&friends(peer, &honest_ids).await) {
                assert!(over.elapsed() < DIALED_AGAIN, "an honest pair is not connected again");
                async_io::Timer::after(Duration::from_millis(100)).await;
            }
        }
        let healed = over.elapsed();
        drop(late);
        line(
            "newcomers",
            format_args!(
                "{} of one /16 in {:.1} s ({} came, {} were refused): {pairs} honest pairs, {} connections \
                 between them ended, all back {healed:.1?} later; at most {most} of {PLACES} connections; an honest newcomer \
                 joined in {joined:.1?} and has {} replicas",
                arrivals.came.load(Relaxed) + arrivals.refused.load(Relaxed),
                elapsed.as_secs_f64(),
                arrivals.came.load(Relaxed),
                arrivals.refused.load(Relaxed),
                ended / 2,
                receipt.replicas,
            ),
        );
    });
}
