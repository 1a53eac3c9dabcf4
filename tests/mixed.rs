//! Networks of several implementations, over real sockets: nodes of ours beside rust-libp2p's Kademlia, and beside servers
//! that treat their streams in other ways. Each finds, puts and serves what the others hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_io::Timer;
use futures::executor::block_on;
use peerage::{
    Config, DhtMode, Error, Freshness, Limits, Multiaddr, NetworkName, PeerId, Registry, Source,
    identity::Keypair,
    record::{Head, Record, RecordKey, Release, ReleaseEntry, Revision, Signed, Validity},
};

#[path = "mixed/foreign.rs"]
mod foreign;
#[path = "mixed/moody.rs"]
mod moody;
#[path = "support/proto.rs"]
mod proto;
mod support;

use foreign::{Foreign, Mode};
use moody::{Mood, Moody};
use support::{Executor, PATIENCE, Peer, bare, loopback, manifest, name, owned, version, within};

/// A call that a peer would hinder takes longer: peers that do not answer are given at least half a second, one after the
/// other.
const UNHINDERED: Duration = Duration::from_secs(2);

fn start(config: Config) -> Peer {
    Peer::start(Executor::Smol, config)
}

/// A first node, and where it is, with its name.
async fn first(config: Config) -> (Peer, Multiaddr) {
    let mut peer = start(config);
    let address = peer.address().await;
    let address = address.with_p2p(peer.id()).expect("its own name");
    (peer, address)
}

async fn joined(config: Config) -> Peer {
    let peer = start(config);
    within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
    peer
}

/// Holds nothing for others, and keeps nothing that it has read.
fn client() -> Config {
    loopback()
        .with_mode(DhtMode::Client)
        .with_absence_ttl(Duration::ZERO)
        .with_limits(Limits::new().with_cache_records(0))
}

fn head_key(owner: PeerId, package: &str) -> RecordKey {
    RecordKey::head(&NetworkName::default(), &owner, &name(package))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Whether these are the bytes of the head of somebody's package.
fn is_head(key: &RecordKey, bytes: &[u8]) -> bool {
    let record = Record::verify(&NetworkName::default(), key, bytes, now(), ());
    matches!(record, Ok(Record::Head(_)))
}

/// The head of a package that nobody has put anywhere: its key, and its bytes.
fn unpublished(package: &str) -> (PeerId, RecordKey, Vec<u8>) {
    let key = Keypair::generate_ed25519();
    let owner = key.public().to_peer_id();
    let manifest = manifest(package, "1.0.0");
    let release = Release::new(NetworkName::default(), owner, manifest.clone());
    let entry = ReleaseEntry::of(&Signed::sign(&key, release).expect("signed"));
    let (revision, validity) = (Revision::new(0, now()), Validity::starting(now(), 3600));
    let network = NetworkName::default();
    let head = Head::live(network, owner, revision, validity, manifest, vec![entry], None);
    let signed = Signed::sign(&key, head).expect("signed");
    (owner, head_key(owner, package), signed.bytes().to_vec())
}

/// Waits until a node has so many peers in its routing table.
async fn knows(peer: &Peer, count: usize) {
    let count = u32::try_from(count).expect("a small number");
    eventually("the routing table", async || {
        peer.handle.metadata().await.expect("metadata").routing_table >= count
    })
    .await;
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "still waiting for {what}");
        Timer::after(Duration::from_millis(50)).await;
    }
}

/// The node and the foreign peers that know it.
async fn with_servers(count: usize) -> (Peer, Multiaddr, Vec<Foreign>) {
    let (node, address) = first(loopback()).await;
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Foreign::start(Mode::Server, Some(&address)).await);
    }
    knows(&node, count).await;
    (node, address, servers)
}

#[test]
fn a_foreign_server_and_a_foreign_client_find_what_a_node_has_published() {
    block_on(async {
        let (node, address, servers) = with_servers(2).await;
        let owner = joined(loopback().with_bootstrap([address.clone()])).await;
        let receipt = within("a receipt", owner.handle.register(manifest("tool", "1.0.0"))).await;
        assert_eq!(receipt.expect("registered").replicas, 3, "the node and both servers");

        let key = head_key(owner.id(), "tool");
        let late = Foreign::start(Mode::Server, Some(&address)).await;
        let client = Foreign::start(Mode::Client, Some(&address)).await;
        for reader in [&late, &client] {
            eventually("a peer", async || !reader.known().await.is_empty()).await;
            let bytes = reader.get(&key).await.expect("found");
            assert!(is_head(&key, &bytes));
        }
        // And none of them keeps something else than what was put.
        for server in &servers {
            let held = server.held(&key).await.expect("it was given a copy");
            assert!(is_head(&key, &held));
        }
        drop(node);
    });
}

#[test]
fn a_foreign_server_keeps_what_a_node_puts_and_it_is_read_there_when_the_owner_has_gone() {
    block_on(async {
        let server = Foreign::start(Mode::Server, None).await;
        let address = server.address.clone().with_p2p(server.id).expect("its own name");
        let owner = joined(loopback().with_bootstrap([address.clone()])).await;
        knows(&owner, 1).await;
        let owner_id = owner.id();
        let receipt = within("a receipt", owner.handle.register(manifest("tool", "1.0.0"))).await;
        assert_eq!(receipt.expect("registered").replicas, 1);
        owner.handle.shutdown().await.expect("acknowledged");
        within("the end", owner.ended).await.expect("ended");

        let reader = joined(client().with_bootstrap([address])).await;
        for package in [owned(owner_id, "tool"), bare("tool")] {
            let found = within("the package", reader.handle.get_package(package)).await;
            let found = found.expect("found");
            assert_eq!((found.owner, found.source), (owner_id, Source::Network));
            assert_eq!(found.manifest, manifest("tool", "1.0.0"));
        }
    });
}

#[test]
fn what_a_foreign_peer_puts_or_keeps_a_node_finds_and_serves() {
    block_on(async {
        let (_node, address, servers) = with_servers(3).await;
        let foreign_client = Foreign::start(Mode::Client, Some(&address)).await;
        eventually("a peer", async || foreign_client.known().await.len() >= 4).await;
        let reader = joined(client().with_bootstrap([address])).await;

        // Put by a server and by a client, and kept by a single server.
        let (put, put_key, bytes) = unpublished("put");
        assert!(servers[0].put(&put_key, bytes).await);
        let (client_s, client_s_key, bytes) = unpublished("of-a-client");
        assert!(foreign_client.put(&client_s_key, bytes).await);
        let (kept, kept_key, bytes) = unpublished("kept");
        servers[2].keep(&kept_key, bytes).await;

        for (owner, package) in [(put, "put"), (client_s, "of-a-client"), (kept, "kept")] {
            for freshness in [Freshness::First, Freshness::All] {
                let handle = reader.handle.with_freshness(freshness);
                let found = within("it", handle.get_package(owned(owner, package))).await;
                let found = found.unwrap_or_else(|error| panic!("{package}: {error}"));
                assert_eq!(found.manifest, manifest(package, "1.0.0"));
            }
        }
        let error = reader.handle.get_package(owned(put, "absent")).await.expect_err("absent");
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    });
}

#[test]
fn nodes_and_foreign_servers_find_each_other_by_the_first() {
    block_on(async {
        let (node, address, servers) = with_servers(3).await;
        let mut nodes = vec![node];
        for _ in 0..3 {
            nodes.push(joined(loopback().with_bootstrap([address.clone()])).await);
        }
        let others = nodes.len() + servers.len() - 1;
        for node in &nodes {
            knows(node, others).await;
        }
        let key = head_key(nodes[0].id(), "tool");
        for server in &servers {
            eventually("all peers", async || server.closest(&key).await.len() >= others).await;
        }
    });
}

#[test]
fn a_foreign_client_has_what_it_asks_for_and_is_never_given_anything_to_hold() {
    block_on(async {
        let (node, address, servers) = with_servers(2).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            let client = Foreign::start(Mode::Client, Some(&address)).await;
            eventually("the servers", async || client.known().await.len() >= 3).await;
            clients.push(client);
        }
        let owner = joined(loopback().with_bootstrap([address])).await;
        knows(&owner, 3).await;
        for number in 0..4 {
            let package = format!("tool-{number}");
            let receipt = within("a receipt", owner.handle.register(manifest(&package, "1.0.0")));
            assert_eq!(receipt.await.expect("registered").replicas, 3, "the servers there are");
            let key = head_key(owner.id(), &package);
            for client in &clients {
                assert!(client.held(&key).await.is_none());
                assert!(is_head(&key, &client.get(&key).await.expect("found")));
                let closest = client.closest(&key).await;
                assert!(clients.iter().all(|client| !closest.contains(&client.id)));
            }
        }
        for peer in [&node, &owner] {
            let known = peer.handle.metadata().await.expect("metadata").routing_table;
            assert_eq!(known, 3, "a client has no seat");
        }
        drop(servers);
    });
}

/// Two nodes and three servers of a mood know each other, and then a newcomer comes.
async fn unhindered(mood: Mood) {
    let (first, address) = first(loopback()).await;
    let second = joined(loopback().with_bootstrap([address.clone()])).await;
    let mut moody = Vec::new();
    for _ in 0..3 {
        moody.push(Moody::start(mood, Some(&address), []).await);
    }
    knows(&first, 4).await;
    let there = if mood.answers() { 5 } else { 2 };

    let begun = Instant::now();
    let unhindered = |what: &str, since: Instant| {
        let took = since.elapsed();
        println!("{mood:?}: {what} after {took:?}");
        assert!(took < UNHINDERED, "{mood:?}: {what} took {took:?}");
    };
    let newcomer = joined(client().with_bootstrap([address])).await;
    unhindered("bootstrap", begun);

    for (number, release) in ["1.0.0", "1.1.0", "1.2.0"].into_iter().enumerate() {
        let package = format!("tool-{number}");
        let begun = Instant::now();
        let receipt = newcomer.handle.register(manifest(&package, release)).await;
        unhindered("register", begun);
        let replicas = receipt.expect("registered").replicas;
        assert!(replicas >= 2, "{replicas} of {there}");
        println!("{mood:?}: {replicas} replicas of {there}");
        if number > 0 {
            assert_eq!(replicas, there, "{mood:?}");
        }

        let (of_second, of_first) = (format!("second-{number}"), format!("first-{number}"));
        for (owner, package) in [(&second, &of_second), (&first, &of_first)] {
            owner.handle.register(manifest(package, release)).await.expect("registered");
            for freshness in [Freshness::First, Freshness::All] {
                let reader = newcomer.handle.with_freshness(freshness);
                let begun = Instant::now();
                let found = reader.get_package(owned(owner.id(), package)).await;
                unhindered("get", begun);
                assert_eq!(found.expect("found").manifest.version, version(release));
            }
        }
        let begun = Instant::now();
        let absent = newcomer.handle.get_package(bare(&format!("absent-{number}"))).await;
        unhindered("get of what is absent", begun);
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
    }
    drop(moody);
}

#[test]
fn servers_that_answer_once_a_stream_hinder_nobody_and_are_used() {
    block_on(unhindered(Mood::Once));
}

#[test]
fn servers_that_reset_streams_hinder_nobody() {
    block_on(unhindered(Mood::Resets));
}

#[test]
fn servers_that_break_off_in_the_middle_hinder_nobody() {
    block_on(unhindered(Mood::BreaksOff));
}

#[test]
fn servers_that_stall_in_the_middle_hinder_nobody() {
    block_on(unhindered(Mood::Stalls));
}

#[test]
fn servers_that_answer_the_last_question_first_hinder_nobody_and_are_used() {
    block_on(unhindered(Mood::LastFirst));
}

#[test]
fn servers_that_send_a_byte_at_a_time_hinder_nobody_and_are_used() {
    block_on(unhindered(Mood::ByteByByte));
}

#[test]
fn what_only_a_server_of_another_kind_keeps_is_found_there() {
    block_on(async {
        let (_node, address) = first(loopback()).await;
        let moods = [Mood::Once, Mood::LastFirst, Mood::ByteByByte];
        let mut moody = Vec::new();
        let mut packages = Vec::new();
        for (number, mood) in moods.into_iter().enumerate() {
            let package = format!("kept-{number}");
            let (owner, key, bytes) = unpublished(&package);
            let record = (key.as_bytes().to_vec(), bytes);
            moody.push(Moody::start(mood, Some(&address), [record]).await);
            packages.push(owned(owner, &package));
        }
        knows(&_node, 3).await;
        let reader = joined(client().with_bootstrap([address])).await;
        for package in packages {
            let found = within("it", reader.handle.get_package(package.clone())).await;
            assert_eq!(found.expect("found").source, Source::Network, "{package}");
        }
        // A node can join by one of them, too.
        let by = moody[0].address.clone().with_p2p(moody[0].id).expect("its own name");
        let reader = joined(client().with_bootstrap([by])).await;
        knows(&reader, 2).await;
    });
}
