//! Every call is answered exactly once, with an error that says what to do, and in time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use futures::{
    FutureExt, StreamExt,
    executor::block_on,
    future::{join_all, poll_fn},
    stream::FuturesUnordered,
};
use peerage::{
    Announcement, Config, Error, Event, Limits, Node, Query, Registry, identity::Keypair,
};

mod support;

use support::{
    Executor, PATIENCE, Peer, bare, loopback, manifest, name, network, owned, version, within,
};

#[test]
fn an_unknown_package_is_not_found_as_soon_as_everybody_was_asked() {
    block_on(async {
        let peers = network(Executor::Smol, 3).await;
        let asked = Instant::now();
        for id in [bare("nothing-here"), owned(peers[0].id(), "nothing-here")] {
            let error = peers[1].handle.get_package(id).await.expect_err("unknown");
            assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        }
        let error = peers[2].handle.list_versions(bare("nothing-here")).await.expect_err("unknown");
        assert_eq!(error.kind(), "not_found");
        assert!(asked.elapsed() < Config::new().query_timeout, "it waited for the deadline");
    });
}

#[test]
fn an_unknown_version_of_a_known_package_is_not_found() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        peers[0].handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let missing = peers[1].handle.get_version(bare("tool"), version("9.9.9")).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    });
}

#[test]
fn a_question_to_a_host_that_accepts_and_never_speaks_times_out_on_time() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
    let timeout = Duration::from_millis(400);
    let config = loopback().with_bootstrap([address]).with_query_timeout(timeout);
    let peer = Peer::start(Executor::Futures, config);
    block_on(async {
        let asked = Instant::now();
        let error = peer.handle.get_package(bare("anything")).await.expect_err("silence");
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(asked.elapsed() >= timeout);
        assert!(asked.elapsed() < PATIENCE / 4, "{:?}", asked.elapsed());
    });
}

#[test]
fn a_question_to_a_peer_that_is_no_longer_polled_times_out_on_time() {
    block_on(async {
        let (mut stalled, handle) =
            Node::new(Keypair::generate_ed25519(), loopback()).expect("a node");
        let address = loop {
            if let Some(Event::Listening { address }) = stalled.next().await {
                break address;
            }
        };
        let timeout = Duration::from_millis(400);
        let config = loopback().with_bootstrap([address]).with_query_timeout(timeout);
        let peer = Peer::start(Executor::Smol, config);
        // Both are polled until the peer has joined, and only the peer from then on.
        let mut joined = peer.handle.bootstrap().boxed();
        poll_fn(|cx| {
            while stalled.poll_next_unpin(cx).is_ready() {}
            joined.poll_unpin(cx)
        })
        .await
        .expect("joined");
        drop(joined);

        let asked = Instant::now();
        let calls = join_all((0..50).map(|n| {
            let id = owned(handle.peer_id(), &format!("package-{n}"));
            peer.handle.get_package(id)
        }));
        for answer in calls.await {
            let error = answer.expect_err("silence");
            assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        }
        assert!(asked.elapsed() >= timeout);
        assert!(asked.elapsed() < PATIENCE / 4, "{:?}", asked.elapsed());
    });
}

#[test]
fn a_lone_node_registers_and_knows_its_own_packages() {
    block_on(async {
        let peer = Peer::start(Executor::Smol, loopback());
        let receipt = peer.handle.register(manifest("alone", "1.0.0")).await.expect("registered");
        assert_eq!(receipt.replicas, 0);
        assert_eq!(receipt.announcement, Announcement::Queued);
        let package = peer.handle.get_package(bare("alone")).await.expect("its own");
        assert_eq!(package.manifest, manifest("alone", "1.0.0"));
        assert_eq!(peer.handle.get_package(bare("other")).await, Err(Error::NoPeers));
        assert_eq!(peer.handle.bootstrap().await, Err(Error::NoPeers));
        peer.handle.unregister(name("alone")).await.expect("withdrawn");
        let error = peer.handle.get_package(bare("alone")).await.expect_err("withdrawn");
        // By its bare name nobody publishes it any longer; by its full one it is known to be withdrawn.
        assert!(matches!(error, Error::Withdrawn { .. } | Error::NoPeers), "{error:?}");
        let error =
            peer.handle.get_package(owned(peer.id(), "alone")).await.expect_err("withdrawn");
        assert!(matches!(error, Error::Withdrawn { .. }), "{error:?}");
    });
}

#[test]
fn what_a_lone_node_registered_is_put_and_announced_when_peers_appear() {
    block_on(async {
        let mut early = Peer::start(Executor::Smol, loopback());
        let address = early.address().await;
        early.handle.register(manifest("early", "1.0.0")).await.expect("registered");

        let mut late = Peer::start(Executor::Tokio, loopback().with_bootstrap([address]));
        let replicas = early
            .wait_for("replication", |event| match event {
                Event::Replicated { id, replicas } if id.name() == &name("early") => Some(replicas),
                _ => None,
            })
            .await;
        assert_eq!(replicas, 1);
        late.wait_for("the announcement", |event| match event {
            Event::Discovered { package } => Some(package),
            _ => None,
        })
        .await;
        let found = late.handle.search(Query::new().with_text("early")).await.expect("searched");
        assert_eq!(found.packages.len(), 1);
        let package = late.handle.get_package(bare("early")).await.expect("found");
        assert_eq!(package.owner, early.id());
    });
}

#[test]
fn a_package_with_a_thousand_releases_can_be_listed_and_read() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let releases: Vec<String> =
            (0..1000).map(|n| format!("{}.{}.0", n / 100, n % 100)).collect();
        for release in &releases {
            peers[0].handle.register(manifest("busy", release)).await.expect("registered");
        }
        // The announcements have told the reader of the newest heads; the pages it reads from the DHT.
        let listed = peers[1].handle.list_versions(bare("busy")).await.expect("listed");
        let listed: Vec<String> =
            listed.releases.iter().map(|info| info.version.to_string()).collect();
        assert!(listed.iter().eq(releases.iter().rev()));
        for release in ["0.0.0", "4.2.0", "9.98.0"] {
            let package =
                peers[1].handle.get_version(bare("busy"), version(release)).await.expect("found");
            assert_eq!(package.manifest, manifest("busy", release));
        }
    });
}

#[test]
fn a_name_with_several_owners_is_ambiguous_until_one_is_named_or_pinned() {
    block_on(async {
        let peers = network(Executor::Smol, 4).await;
        for owner in &peers[..2] {
            let manifest = manifest("contested", "1.0.0").with_description(owner.id().to_string());
            owner.handle.register(manifest).await.expect("registered");
        }
        let reader = &peers[3].handle;
        let mut owners = [peers[0].id(), peers[1].id()];
        owners.sort_unstable();
        match reader.get_package(bare("contested")).await {
            Err(Error::Ambiguous { name: claimed, claimants, .. }) => {
                assert_eq!(claimed, name("contested"));
                assert_eq!(claimants, owners);
            }
            other => panic!("{other:?}"),
        }
        for owner in owners {
            let package = reader.get_package(owned(owner, "contested")).await.expect("found");
            assert_eq!(package.manifest.description, owner.to_string());
            reader.pin(name("contested"), owner).await.expect("pinned");
            let package = reader.get_package(bare("contested")).await.expect("pinned");
            assert_eq!(package.owner, owner);
        }
        assert_eq!(reader.unpin(name("contested")).await, Ok(Some(owners[1])));
        // To its own publisher, the bare name means its own.
        let package = peers[0].handle.get_package(bare("contested")).await.expect("its own");
        assert_eq!(package.owner, peers[0].id());
    });
}

#[test]
fn a_first_owner_can_be_trusted_from_then_on() {
    block_on(async {
        let mut first = Peer::start(Executor::Smol, loopback());
        let address = first.address().await;
        first.handle.register(manifest("mine", "1.0.0")).await.expect("registered");
        let trusting = Config::with_pin_on_first_use(loopback(), true);
        let reader = Peer::start(Executor::Smol, trusting.with_bootstrap([address.clone()]));
        let package = within("the package", async {
            loop {
                // The claim is put again a moment after the reader has appeared.
                match reader.handle.get_package(bare("mine")).await {
                    Ok(package) => break package,
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
        .await;
        assert_eq!(package.owner, first.id());
        let squatter = Peer::start(Executor::Smol, loopback().with_bootstrap([address]));
        squatter.handle.bootstrap().await.expect("joined");
        squatter.handle.register(manifest("mine", "9.0.0")).await.expect("registered");
        let package = reader.handle.get_package(bare("mine")).await.expect("the first owner's");
        assert_eq!(package.owner, first.id());
    });
}

#[test]
fn bad_input_gets_a_clear_error_and_changes_nothing() {
    block_on(async {
        let peer = Peer::start(Executor::Smol, loopback());
        let handle = &peer.handle;
        let bad = manifest("tool", "1.0.0").with_homepage("not a url");
        match handle.register(bad).await {
            Err(Error::Invalid { field, .. }) => assert_eq!(field, "homepage"),
            other => panic!("{other:?}"),
        }
        let error = handle.yank(name("tool"), version("1.0.0")).await.expect_err("unknown");
        assert_eq!(error.kind(), "not_found");
        let error = handle.unregister(name("tool")).await.expect_err("unknown");
        assert_eq!(error.kind(), "not_found");
        let error = handle.announce("announcements", Vec::new()).await.expect_err("reserved");
        assert_eq!(error.kind(), "invalid");
        let error = handle.announce("chat", vec![0; 7 * 1024]).await.expect_err("too much");
        assert_eq!(error.kind(), "too_large", "{error:?}");
        let error = handle.dial(peer.id(), vec![]).await.expect_err("no address");
        assert_eq!(error.kind(), "invalid");
        let metadata = handle.metadata().await.expect("metadata");
        assert_eq!((metadata.own_packages, metadata.records), (0, 0));

        // What is withdrawn stays so, and what is written is not written over.
        let first = handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let again = handle.register(manifest("tool", "1.0.0")).await.expect("the same again");
        assert_eq!(again.sequence, first.sequence);
        let other = manifest("tool", "1.0.0").with_description("something else");
        let error = handle.register(other).await.expect_err("written once");
        assert_eq!(error.kind(), "conflict");
        handle.unregister(name("tool")).await.expect("withdrawn");
        let error = handle.register(manifest("tool", "2.0.0")).await.expect_err("final");
        assert_eq!(error.kind(), "withdrawn");
    });
}

#[test]
fn above_its_bounds_a_node_says_busy() {
    block_on(async {
        let limits = Limits::new().with_own_packages(1).with_topics(1).with_queued_announcements(2);
        let peer = Peer::start(Executor::Smol, loopback().with_limits(limits));
        let handle = &peer.handle;
        handle.register(manifest("one", "1.0.0")).await.expect("registered");
        let error = handle.register(manifest("two", "1.0.0")).await.expect_err("one too many");
        assert_eq!(error, Error::busy("own_packages"));
        handle.register(manifest("one", "1.1.0")).await.expect("the same package");
        assert_eq!(handle.subscribe("chat").await, Ok(true));
        assert_eq!(handle.subscribe("chat").await, Ok(false));
        let error = handle.subscribe("news").await.expect_err("one too many");
        assert_eq!(error, Error::busy("topics"));
        // A head that was signed with nobody to ask is not announced yet.
        assert_eq!(handle.announce("chat", vec![1]).await, Ok(Announcement::Queued));
        assert_eq!(handle.announce("chat", vec![2]).await, Ok(Announcement::Queued));
        let error = handle.announce("chat", vec![3]).await.expect_err("one too many");
        assert_eq!(error, Error::busy("queued_announcements"));
    });
}

#[test]
fn callers_in_front_of_a_full_queue_are_answered_too() {
    let capacity = 4;
    let config = loopback().with_command_capacity(capacity);
    let (node, handle) = Node::new(Keypair::generate_ed25519(), config).expect("a node");
    block_on(async {
        // Nobody polls the node yet, so that the queue fills and the others wait in front of it.
        let mut calls: FuturesUnordered<_> = (0..200).map(|_| handle.metadata()).collect();
        assert!(calls.next().now_or_never().is_none());
        Executor::Futures.spawn(node);
        let answers: Vec<_> = within("the answers", calls.collect()).await;
        assert_eq!(answers.len(), 200);
        assert!(answers.iter().all(Result::is_ok));
    });
}

#[test]
fn the_deadline_of_a_call_runs_while_it_waits_for_the_node() {
    let timeout = Duration::from_millis(50);
    let config = loopback().with_command_capacity(1).with_query_timeout(timeout);
    let (node, handle) = Node::new(Keypair::generate_ed25519(), config).expect("a node");
    block_on(async {
        let mut calls: FuturesUnordered<_> = (0..20).map(|_| handle.metadata()).collect();
        assert!(calls.next().now_or_never().is_none());
        async_io::Timer::after(timeout * 2).await;
        Executor::Futures.spawn(node);
        let answers: Vec<_> = within("the answers", calls.collect()).await;
        assert_eq!(answers.len(), 20);
        for answer in answers {
            assert!(
                matches!(answer, Err(Error::Timeout { after, .. }) if after >= timeout),
                "{answer:?}"
            );
        }
    });
}

#[test]
fn a_shutdown_answers_a_thousand_waiting_callers_and_then_its_own() {
    // A bootstrap address that never speaks keeps the callers waiting.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
    let peer = Peer::start(Executor::Futures, loopback().with_bootstrap([address]));
    block_on(async {
        let mut calls: FuturesUnordered<_> =
            (0..1000).map(|n| peer.handle.get_package(bare(&format!("package-{n}")))).collect();
        assert!(calls.next().now_or_never().is_none());
        // All are inside the node once a later command has been answered.
        peer.handle.metadata().await.expect("metadata");
        peer.handle.shutdown().await.expect("acknowledged");
        let answers: Vec<_> = within("the answers", calls.collect()).await;
        assert_eq!(answers.len(), 1000);
        assert!(answers.iter().all(|answer| *answer == Err(Error::ShuttingDown)));
        within("the end", peer.ended).await.expect("ended");
    });
}

#[test]
fn a_node_ends_when_its_last_handle_is_dropped() {
    block_on(async {
        let peer = Peer::start(Executor::Smol, loopback());
        let second = peer.handle.clone();
        drop(peer.handle);
        second.metadata().await.expect("still there");
        drop(second);
        within("the end", peer.ended).await.expect("ended");
    });
}

#[test]
fn a_node_that_is_dropped_answers_whoever_waits() {
    block_on(async {
        let (node, handle) = Node::new(Keypair::generate_ed25519(), loopback()).expect("a node");
        let mut calls: FuturesUnordered<_> = (0..300).map(|_| handle.metadata()).collect();
        assert!(calls.next().now_or_never().is_none());
        drop(node);
        let answers: Vec<_> = within("the answers", calls.collect()).await;
        assert!(answers.iter().all(|answer| *answer == Err(Error::ShuttingDown)));
        assert_eq!(answers.len(), 300);
    });
}

#[test]
fn a_dial_succeeds_or_says_why_not() {
    block_on(async {
        let one = Peer::start(Executor::Smol, loopback());
        let mut other = Peer::start(Executor::Smol, loopback());
        let address = other.address().await;

        // Somebody else answers at that address.
        let stranger = Keypair::generate_ed25519().public().to_peer_id();
        let bare_address: peerage::Multiaddr = address.iter().take(2).collect();
        let error =
            one.handle.dial(stranger, vec![bare_address.clone()]).await.expect_err("not it");
        match error {
            Error::Transport { reason, .. } => {
                assert!(reason.contains(&other.id().to_string()), "{reason}")
            }
            other => panic!("{other:?}"),
        }
        let error = one.handle.dial(stranger, vec![address.clone()]).await.expect_err("named");
        assert_eq!(error.kind(), "invalid");
        let error = one.handle.dial_address(bare_address).await.expect_err("nobody named");
        assert_eq!(error.kind(), "invalid");

        // Nobody answers there.
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = closed.local_addr().expect("an address").port();
        drop(closed);
        let nobody = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
        let error = one.handle.dial(stranger, vec![nobody]).await.expect_err("closed");
        assert!(matches!(error, Error::Transport { .. }), "{error:?}");

        // The right one does, and once is enough.
        assert_eq!(one.handle.dial_address(address.clone()).await, Ok(other.id()));
        assert_eq!(one.handle.dial_address(address).await, Ok(other.id()));
        let peers = one.handle.peers().await.expect("peers");
        assert_eq!(peers.iter().map(|peer| peer.peer).collect::<Vec<_>>(), [other.id()]);
        assert_eq!(one.handle.reputation(other.id()).await.expect("known").score(), 50);
    });
}

#[test]
fn messages_reach_the_subscribers_of_a_topic_and_nobody_else() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let mut listener = peers.pop().expect("three");
        let speaker = peers.pop().expect("three");
        assert_eq!(
            speaker.handle.announce("chat", b"first".to_vec()).await,
            Ok(Announcement::Queued)
        );
        assert_eq!(listener.handle.subscribe("chat").await, Ok(true));
        // What nobody heard is kept for the first who listens.
        for expected in [b"first".to_vec(), b"second".to_vec()] {
            let heard = listener.wait_for("the message", message).await;
            assert_eq!(heard, ("chat".to_owned(), speaker.id(), expected));
            if heard.2 == b"first" {
                let second = speaker.handle.announce("chat", b"second".to_vec()).await;
                assert_eq!(second, Ok(Announcement::Sent));
            }
        }
        assert_eq!(listener.handle.unsubscribe("chat").await, Ok(true));
        assert_eq!(listener.handle.unsubscribe("chat").await, Ok(false));
    });
}

fn message(event: Event) -> Option<(String, peerage::PeerId, Vec<u8>)> {
    match event {
        Event::Message { topic, author, data } => Some((topic, author, data)),
        _ => None,
    }
}

#[test]
fn two_networks_never_mix() {
    block_on(async {
        let mut one = Peer::start(Executor::Smol, loopback());
        let address = one.address().await;
        one.handle.register(manifest("secret", "1.0.0")).await.expect("registered");
        let other = Peer::start(
            Executor::Smol,
            loopback()
                .with_network("other".parse().expect("a name"))
                .with_query_timeout(Duration::from_secs(20)),
        );
        let error = other.handle.dial_address(address).await.expect_err("it is of another network");
        assert_eq!(error.kind(), "other_network");
        let answer = other.handle.get_package(owned(one.id(), "secret")).await;
        assert_eq!(answer, Err(Error::NoPeers));
        assert_eq!(one.handle.get_package(owned(other.id(), "secret")).await, Err(Error::NoPeers));
    });
}

#[test]
fn a_verified_record_can_be_read_and_put_by_anybody() {
    use peerage::record::{Record, RecordKey};
    block_on(async {
        let peers = network(Executor::Smol, 3).await;
        peers[0].handle.register(manifest("mirrored", "1.0.0")).await.expect("registered");
        let key = RecordKey::head(peers[0].handle.network(), &peers[0].id(), &name("mirrored"));
        let record = peers[2].handle.get_record(key).await.expect("found").record;
        match &record {
            Record::Head(head) => assert_eq!(head.owner, peers[0].id()),
            other => panic!("{other:?}"),
        }
        assert!(peers[2].handle.put_record(record.clone()).await.expect("put") >= 1);

        // An older one is refused once a newer one is known.
        peers[0].handle.register(manifest("mirrored", "2.0.0")).await.expect("registered");
        let error = peers[0].handle.put_record(record).await.expect_err("overtaken");
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
        let nowhere = RecordKey::head(peers[0].handle.network(), &peers[0].id(), &name("nothing"));
        let error = peers[1].handle.get_record(nowhere).await.expect_err("unknown");
        assert_eq!(error.kind(), "not_found");
    });
}
