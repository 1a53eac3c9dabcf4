//! What a node lets a peer do that keeps to no rule: one built on Kademlia alone.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::collections::HashSet;

use futures::{StreamExt, executor::block_on, future::join};
use libp2p::{
    StreamProtocol, Swarm,
    swarm::{self, SwarmEvent},
};
use libp2p_kad as kad;
use libp2p_kad::store::MemoryStore;
use peerage::{
    Config, Limits, Multiaddr, Node, PeerId, Registry,
    identity::Keypair,
    net::transport::{TransportConfig, memory},
    record::{NetworkName, Record, RecordKey, Release, Signed},
};

mod support;

use support::{Executor, Peer, manifest, within};

/// A node within this process, and its address.
async fn node(limits: Limits) -> (Peer, Multiaddr) {
    let keypair = Keypair::generate_ed25519();
    let config =
        Config::new().with_listen(["/memory/0".parse().expect("an address")]).with_limits(limits);
    let transport = memory(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    let (node, handle) =
        Node::builder(keypair, config).with_transport(transport).build().expect("a node");
    let mut peer = Peer::run(Executor::Smol, node, handle);
    let address = peer.address().await;
    (peer, address)
}

/// A peer with Kademlia and nothing else, which has dialed a node.
struct Raw {
    swarm: Swarm<kad::Behaviour<MemoryStore>>,
    node: PeerId,
    address: Multiaddr,
}

impl Raw {
    async fn dial(node: PeerId, address: &Multiaddr) -> Self {
        let keypair = Keypair::generate_ed25519();
        let id = keypair.public().to_peer_id();
        let protocol = format!("/peerage/{}/kad/1.0.0", NetworkName::default());
        let mut settings =
            kad::Config::new(StreamProtocol::try_from_owned(protocol).expect("a protocol"));
        settings.set_max_packet_size(64 * 1024).set_replication_interval(None);
        let kad = kad::Behaviour::with_config(id, MemoryStore::new(id), settings);
        let transport =
            memory(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
        let config = swarm::Config::without_executor();
        let mut raw =
            Self { swarm: Swarm::new(transport, kad, id, config), node, address: address.clone() };
        raw.connect().await;
        raw
    }

    async fn connect(&mut self) {
        self.swarm.dial(self.address.clone()).expect("a dial");
        self.until("a connection", |event| {
            matches!(event, SwarmEvent::ConnectionEstablished { .. }).then_some(())
        })
        .await;
    }

    async fn until<T>(
        &mut self,
        what: &str,
        mut choose: impl FnMut(SwarmEvent<kad::Event>) -> Option<T>,
    ) -> T {
        within(what, async {
            loop {
                if let Some(found) = choose(self.swarm.select_next_some().await) {
                    return found;
                }
            }
        })
        .await
    }

    fn begin_put(&mut self, key: &RecordKey, value: Vec<u8>) -> kad::QueryId {
        let record = kad::Record {
            key: kad::RecordKey::new(&key.as_bytes()),
            value,
            publisher: None,
            expires: None,
        };
        let node = std::iter::once(self.node);
        self.swarm.behaviour_mut().put_record_to(record, node, kad::Quorum::One)
    }

    /// Puts records, all at once, and answers how many the node has taken. Of those that it refuses, Kademlia tells
    /// only when it no longer waits for an answer, which is ten seconds.
    async fn put(&mut self, records: &[(RecordKey, Vec<u8>)]) -> usize {
        let begin = |(key, value): &(RecordKey, Vec<u8>)| self.begin_put(key, value.clone());
        let mut begun: HashSet<_> = records.iter().map(begin).collect();
        let mut taken = 0;
        self.until("the end of all puts", |event| {
            if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::PutRecord(result),
                ..
            }) = event
                && begun.remove(&id)
            {
                taken += usize::from(result.is_ok());
            }
            begun.is_empty().then_some(())
        })
        .await;
        taken
    }
}

/// Releases of packages with these numbers, signed by a new owner.
fn releases(count: usize) -> Vec<(RecordKey, Vec<u8>)> {
    let keypair = Keypair::generate_ed25519();
    let owner = keypair.public().to_peer_id();
    (0..count)
        .map(|i| {
            let manifest = manifest(&format!("package-{i}"), "1.0.0");
            let release = Release::new(NetworkName::default(), owner, manifest);
            let release = Record::Release(Signed::sign(&keypair, release).expect("signed"));
            (release.key(), release.to_bytes().to_vec())
        })
        .collect()
}

async fn records(node: &Peer) -> u32 {
    node.handle.metadata().await.expect("metadata").records
}

#[test]
fn a_peer_s_share_of_the_store_is_its_own_over_every_connection() {
    block_on(async {
        let limits = Limits::new().with_store_records_per_peer(3);
        let (node, address) = node(limits).await;
        let mut greedy = Raw::dial(node.id(), &address).await;
        let all = releases(12);
        let (first, then) = all.split_at(2);
        assert_eq!(greedy.put(first).await, 2);
        greedy.swarm.disconnect_peer_id(node.id()).expect("connected");
        greedy
            .until("the end of the connection", |event| {
                matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(())
            })
            .await;
        greedy.connect().await;
        assert!(greedy.put(then).await >= 1);
        assert_eq!(records(&node).await, 3);

        let mut modest = Raw::dial(node.id(), &address).await;
        assert_eq!(modest.put(&releases(3)).await, 3, "another peer's share is untouched");
        assert_eq!(records(&node).await, 6);
    });
}

#[test]
fn forged_records_are_refused_and_lower_their_sender_s_standing_and_nobody_else_s() {
    block_on(async {
        let (node, address) = node(Limits::new()).await;
        let (mut liar, mut honest) =
            (Raw::dial(node.id(), &address).await, Raw::dial(node.id(), &address).await);
        let good = releases(5);
        let mut forged = good.clone();
        forged.iter_mut().for_each(|(_, value)| *value.last_mut().expect("bytes") ^= 1);
        assert_eq!(join(honest.put(&good), liar.put(&forged)).await, (5, 0));
        let conduct = |peer| node.handle.reputation(peer);
        let of_liar = conduct(*liar.swarm.local_peer_id()).await.expect("reputation");
        let of_honest = conduct(*honest.swarm.local_peer_id()).await.expect("reputation");
        assert_eq!((of_liar.invalid, of_honest.invalid), (5, 0));
        assert_eq!(records(&node).await, 5);
    });
}

#[test]
fn who_floods_is_disconnected_and_honest_peers_are_served_all_the_while() {
    block_on(async {
        let limits = Limits::new().with_requests_per_second(20).with_request_burst(60);
        let (node, address) = node(limits).await;
        let mut flood = Raw::dial(node.id(), &address).await;
        // From its first answer on, the node is in the other's routing table.
        assert_eq!(flood.put(&releases(1)).await, 1);
        let key = kad::RecordKey::new(&releases(1)[0].0.as_bytes());
        let mut begun = 0;
        let closed = async {
            loop {
                // As many at a time as Kademlia runs, and as many anew as have ended.
                while begun < 32 {
                    begun += 1;
                    flood.swarm.behaviour_mut().get_record(key.clone());
                }
                let ended =
                    flood.until("a lookup or the end", |event| match event {
                        SwarmEvent::ConnectionClosed { .. } => Some(false),
                        SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                            step, ..
                        }) if step.last => Some(true),
                        _ => None,
                    });
                match ended.await {
                    true => begun -= 1,
                    false => return,
                }
            }
        };
        let honest = async {
            let mut honest = Raw::dial(node.id(), &address).await;
            assert_eq!(honest.put(&releases(5)).await, 5, "an honest peer is served");
        };
        join(closed, honest).await;
        // It is not forgiven for coming back.
        flood.connect().await;
        flood.swarm.behaviour_mut().get_record(key);
        flood
            .until("the end of the second connection", |event| {
                matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(())
            })
            .await;
        assert_eq!(records(&node).await, 6);
    });
}

#[test]
fn whoever_has_many_records_refused_is_told_so_and_still_served() {
    block_on(async {
        // Nobody is blocked for what was refused.
        let (node, address) = node(Limits::new().with_blocked_peers(0)).await;
        let mut late = Raw::dial(node.id(), &address).await;
        let (key, mut forged) = releases(1).remove(0);
        let good = [(key, forged.clone())];
        *forged.last_mut().expect("bytes") ^= 1;
        // More than the places that a connection has for questions.
        let bad: Vec<_> = (0..40).map(|_| (key, forged.clone())).collect();
        assert_eq!(late.put(&bad).await, 0);
        assert_eq!(late.put(&good).await, 1);
    });
}
