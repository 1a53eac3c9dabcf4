//! What a node counts, as its application sees it: every call once, however it ended.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use futures::{
    FutureExt, StreamExt,
    executor::block_on,
    future::{join, join_all},
};
use peerage::{
    CallCounters, Counters, Error, Freshness, Handle, Limits, Manifest, Node, OutcomeCounters,
    ProtocolCounters, Query, Registry, TransportConfig, identity::Keypair, net::transport,
};
use support::{Executor, Peer, bare, loopback, manifest, name, network, owned, version, within};

async fn calls(handle: &Handle) -> CallCounters {
    handle.metadata().await.expect("metadata").counters.calls
}

fn outcomes(change: impl FnOnce(&mut OutcomeCounters)) -> OutcomeCounters {
    let mut outcomes = OutcomeCounters::default();
    change(&mut outcomes);
    outcomes
}

/// Runs a call on a node that nobody else polls.
fn run<T>(node: &mut Node, call: impl Future<Output = T>) -> T {
    let ended = async { while node.next().await.is_some() {} };
    block_on(async {
        futures::select_biased! {
            answer = std::pin::pin!(call.fuse()) => answer,
            () = std::pin::pin!(ended.fuse()) => panic!("the node ended"),
        }
    })
}

#[test]
fn answers_from_the_shelf_count_as_any_other() {
    let (mut node, handle) = Node::new(Keypair::generate_ed25519(), loopback()).expect("a node");
    run(&mut node, handle.register(manifest("mine", "1.0.0"))).expect("registered");
    for _ in 0..5 {
        // Nobody polls the node.
        let package = handle.get_package(bare("mine")).now_or_never();
        assert!(package.expect("at once").is_ok());
    }
    run(&mut node, handle.get_version(bare("mine"), version("1.0.0"))).expect("its own");
    let calls = run(&mut node, calls(&handle));
    assert_eq!(calls.get.outcomes, outcomes(|of| of.answered = 6));
    assert_eq!(calls.get.sources.own, 6);
    assert_eq!(calls.register, outcomes(|of| of.answered = 1));
    assert_eq!(calls.total().total(), 7);
}

#[test]
fn calls_that_never_reach_the_node_are_counted_too() {
    let config = loopback().with_command_capacity(2);
    let (mut node, handle) = Node::new(Keypair::generate_ed25519(), config).expect("a node");
    let own = handle.peer_id();
    block_on(async {
        let nameless =
            Manifest::new(name("tiny"), version("1.0.0")).with_homepage("x".repeat(9_999));
        assert!(handle.register(nameless).await.is_err());
        assert!(handle.search(Query::new().with_limit(0)).await.is_err());
        assert!(handle.search_peers(Query::new().with_limit(0)).await.is_err());
        assert!(handle.dial(own, Vec::new()).await.is_err());
        assert!(handle.dial_address("/memory/1".parse().expect("an address")).await.is_err());
        assert!(handle.announce("", vec![1]).await.is_err());
    });
    // Two find room in the queue, three wait before it. All are given up before the node is polled; one was never begun.
    let mut waiting: Vec<_> = (0..5).map(|_| handle.list_versions(owned(own, "tiny"))).collect();
    for call in &mut waiting {
        assert!(call.now_or_never().is_none());
    }
    waiting.push(handle.list_versions(owned(own, "tiny")));
    drop(waiting);
    let calls = run(&mut node, calls(&handle));
    assert_eq!(calls.register, outcomes(|of| of.refused = 1));
    assert_eq!(calls.search, outcomes(|of| of.refused = 2));
    assert_eq!(calls.dial, outcomes(|of| of.refused = 2));
    assert_eq!(calls.announce, outcomes(|of| of.refused = 1));
    assert_eq!(calls.versions.outcomes, outcomes(|of| of.cancelled = 5));
}

#[test]
fn a_network_of_peers_counts_what_each_has_done() {
    block_on(async {
        let peers = network(Executor::Smol, 3).await;
        let [publisher, replica, reader] = &peers[..] else { panic!("three peers") };
        let known = within("bootstrap", reader.handle.bootstrap()).await.expect("peers");
        publisher.handle.register(manifest("counted", "1.0.0")).await.expect("registered");

        let id = owned(publisher.id(), "counted");
        let fresh = reader.handle.with_freshness(Freshness::All);
        within("the package", fresh.get_package(id.clone())).await.expect("found");
        let missing = reader.handle.get_package(owned(publisher.id(), "missing")).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        let crowd = join_all((0..4).map(|_| fresh.list_versions(id.clone())));
        assert!(within("the lists", crowd).await.iter().all(Result::is_ok));

        let about = reader.handle.metadata().await.expect("metadata");
        assert_eq!(about.routing_table as usize, known);
        assert_eq!((about.peer_id, about.owner), (reader.id(), reader.id()));
        let calls = about.counters.calls;
        assert_eq!(calls.get.outcomes, outcomes(|of| (of.answered, of.not_found) = (1, 1)));
        assert_eq!(calls.get.sources.network, 1);
        assert_eq!(calls.versions.outcomes, outcomes(|of| of.answered = 4));
        assert_eq!(calls.bootstrap, outcomes(|of| of.answered = 2));
        let lookups = about.counters.queries.lookups;
        assert!(lookups.started >= 2, "{lookups:?}");
        assert!(about.counters.peers.connected >= 2);

        let (holder, publisher) =
            join(replica.handle.metadata(), publisher.handle.metadata()).await;
        let holder = holder.expect("metadata");
        assert!(holder.counters.records.stored >= 3, "head, claim and release: {holder:?}");
        assert_eq!(holder.counters.records.refused, 0);
        assert!(holder.record_bytes > 0);
        let publisher = publisher.expect("metadata").counters;
        assert_eq!(publisher.calls.register, outcomes(|of| of.answered = 1));
        assert!(publisher.queries.puts.finished >= 3);
    });
}

async fn counters(handle: &Handle) -> Counters {
    handle.metadata().await.expect("metadata").counters
}

/// Whether one of two peers has received what the other has sent.
fn has_arrived(sent: &ProtocolCounters, received: &ProtocolCounters) -> bool {
    sent.messages_out == received.messages_in && sent.bytes_out == received.bytes_in
}

/// Two peers that know nobody else do a little of everything.
async fn talk(peers: &[Peer; 2]) {
    let [publisher, reader] = peers;
    publisher.handle.register(manifest("seen", "1.0.0")).await.expect("registered");
    let fresh = reader.handle.with_freshness(Freshness::All);
    within("the package", fresh.get_package(owned(publisher.id(), "seen"))).await.expect("found");
    let search = reader.handle.search_peers(Query::new().with_text("seen")).await;
    let (found, _) = search.expect("begun").finish().await.expect("searched");
    assert_eq!(found.len(), 1);
}

#[test]
fn what_one_peer_sends_another_receives_by_protocol() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let peers = <[Peer; 2]>::try_from(peers).ok().expect("two peers");
        talk(&peers).await;
        // Some of it is on its way still.
        let looks = async {
            loop {
                let [one, two] = &peers;
                let (one, two) = join(counters(&one.handle), counters(&two.handle)).await;
                let pairs = one.traffic.each().into_iter().zip(two.traffic.each());
                let mut pairs = pairs.filter(|((name, _), _)| *name != "identify");
                let (a, b) = (one.traffic.identify, two.traffic.identify);
                // Whoever tells that its addresses have changed does not wait to hear whether that was understood.
                let is_introduced = a.messages_out == b.messages_in
                    && b.messages_out == a.messages_in
                    && a.bytes_out >= b.bytes_in
                    && b.bytes_out >= a.bytes_in;
                let is_quiet =
                    pairs.all(|((_, a), (_, b))| has_arrived(&a, &b) && has_arrived(&b, &a));
                if is_introduced && is_quiet {
                    break (one.traffic, two.traffic);
                }
            }
        };
        let (one, two) = within("what was sent", looks).await;
        for traffic in [one, two] {
            for (protocol, of) in &traffic.each()[..4] {
                for ((_, messages), (_, bytes)) in of.messages().into_iter().zip(of.bytes()) {
                    assert!(messages > 0 && bytes > 10 * messages, "{protocol}: {of:?}");
                }
            }
            assert_eq!(traffic.other, ProtocolCounters::default());
        }
        // A search is a question and an answer, and so is a greeting.
        assert!(one.exchange.messages_in >= 2, "{one:?}");
    });
}

#[test]
fn streams_are_counted_over_a_transport_of_the_application_too() {
    block_on(async {
        let start = |config| {
            let keypair = Keypair::generate_ed25519();
            let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new());
            let builder = Node::builder(keypair, config);
            let built = builder.with_transport(transport.expect("a transport")).build();
            let (node, handle) = built.expect("a node");
            Peer::run(Executor::Smol, node, handle)
        };
        let config = loopback().with_listen(["/memory/0".parse().expect("an address")]);
        let mut first = start(config.clone());
        let address = first.address().await;
        let second = start(config.with_bootstrap([address]));
        within("bootstrap", second.handle.bootstrap()).await.expect("joined");
        let peers = [first, second];
        talk(&peers).await;
        for peer in &peers {
            let traffic = counters(&peer.handle).await.traffic;
            for (protocol, of) in &traffic.each()[..4] {
                assert!(of.bytes_in > 0 && of.bytes_out > 0, "{protocol}: {of:?}");
            }
        }
    });
}

#[test]
fn whoever_finds_no_room_is_counted_where_it_has_knocked_and_not_as_connected() {
    block_on(async {
        let limits = Limits::new().with_connections_per_ip(1).with_count_private_addresses(true);
        let mut full = Peer::start(Executor::Smol, loopback().with_limits(limits));
        let address = full.address().await;
        let [first, second] = [(); 2].map(|()| Peer::start(Executor::Smol, loopback()));
        let dial = first.handle.dial_address(address.clone());
        within("a connection", dial).await.expect("there is room for one");
        let dial = second.handle.dial_address(address);
        let end = within("the end of a dial", dial).await;
        assert!(matches!(end, Err(Error::Transport { .. })), "{end:?}");
        let seen = async {
            loop {
                let peers = counters(&full.handle).await.peers;
                if peers.turned_away > 0 {
                    break peers;
                }
            }
        };
        let peers = within("the one that was turned away", seen).await;
        assert_eq!((peers.connected, peers.turned_away), (1, 1));
        assert_eq!(peers.let_go.total(), 0, "{peers:?}");
    });
}
