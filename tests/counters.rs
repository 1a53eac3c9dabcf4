//! What a node counts, as its application sees it: every call once, however it ended.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use futures::{
    FutureExt, StreamExt,
    executor::block_on,
    future::{join, join_all},
};
use peerage::{
    CallCounters, Error, Freshness, Handle, Manifest, Node, OutcomeCounters, Query, Registry,
    identity::Keypair,
};
use support::{Executor, bare, loopback, manifest, name, network, owned, version, within};

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
