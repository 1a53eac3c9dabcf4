//! What whoever polls a node may rely on.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{FusedStream, FuturesUnordered},
};
use futures_test::task::{AwokenCount, new_count_waker, noop_context};
use libp2p::Transport;
use peerage::{
    Config, Error, Event, Handle, Limits, Node, Registry, RegistryMetadata, Result,
    identity::Keypair,
};

#[path = "support/stalled.rs"]
mod stalled;
mod support;
#[path = "support/virtual_time.rs"]
mod virtual_time;

use stalled::Stalled;
use support::{bare, loopback, manifest};
use virtual_time::VirtualClock;

/// A node whose every dial hangs, under virtual time, with its waker counted.
struct Bench {
    node: Node,
    handle: Handle,
    clock: VirtualClock,
    network: Stalled,
}

impl Bench {
    fn new(config: Config) -> Self {
        let (clock, network) = (VirtualClock::default(), Stalled::default());
        let (node, handle) = Node::builder(Keypair::generate_ed25519(), config.with_listen([]))
            .with_transport(network.clone().boxed())
            .with_clock(Arc::new(clock.clone()))
            .build()
            .expect("a node");
        Self { node, handle, clock, network }
    }

    /// A node that has somebody to ask, who never answers.
    fn asking(config: Config) -> Self {
        Self::new(config.with_bootstrap(["/memory/1".parse().expect("an address")]))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.node).poll_next(cx)
    }

    /// Polls for as long as the node wakes itself, and tells how often that was.
    fn settle(&mut self, cx: &mut Context<'_>, wakes: &AwokenCount) -> usize {
        let mut polls = 0;
        loop {
            let before = wakes.get();
            polls += 1;
            assert!(polls < 1000, "it spins");
            if self.poll(cx).is_pending() && wakes.get() == before {
                return polls;
            }
        }
    }
}

fn metadata_calls(
    handle: &Handle,
    count: usize,
) -> FuturesUnordered<BoxFuture<'_, Result<RegistryMetadata>>> {
    let mut calls: FuturesUnordered<_> = (0..count).map(|_| handle.metadata()).collect();
    assert!(calls.next().now_or_never().is_none());
    calls
}

#[test]
fn an_idle_node_goes_quiet_and_spurious_polls_change_nothing() {
    let mut bench = Bench::new(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    let (quiet, armed) = (wakes.get(), bench.clock.armed());
    for _ in 0..1000 {
        assert!(bench.poll(&mut cx).is_pending());
    }
    // libp2p's own heartbeat runs on the real clock and may come meanwhile, but nothing spins.
    assert!(wakes.get() - quiet < 10, "{} wakes", wakes.get() - quiet);
    assert_eq!(bench.clock.armed(), armed);
    assert!(armed.is_some(), "no alarm is set");
}

#[test]
fn ten_thousand_queued_commands_keep_no_network_event_waiting() {
    let config = Config::new().with_command_capacity(10_000);
    let mut bench = Bench::new(config);
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    let handle = bench.handle.clone();
    let mut calls = metadata_calls(&handle, 10_000);
    for _ in 0..10 {
        // Something arrives: it is looked at in the very next poll, whatever stands in the queue.
        let before = bench.network.polls();
        bench.network.talk(false);
        assert!(bench.poll(&mut cx).is_pending());
        assert!(bench.network.polls() > before);
    }
    let mut answered = 0;
    while let Some(Some(answer)) = calls.next().now_or_never() {
        answer.expect("answered");
        answered += 1;
    }
    let budget = Limits::new().commands_per_poll;
    assert_eq!(answered, 10 * budget, "more or less than the budget of ten polls");
}

#[test]
fn a_network_that_never_falls_silent_keeps_no_command_waiting() {
    let limits = Limits::new().with_network_events_per_poll(32);
    let mut bench = Bench::new(Config::new().with_limits(limits));
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    let handle = bench.handle.clone();
    bench.network.talk(true);
    for _ in 0..100 {
        let mut call = handle.metadata();
        assert!((&mut call).now_or_never().is_none());
        let (before, woken) = (bench.network.polls(), wakes.get());
        assert!(bench.poll(&mut cx).is_pending());
        assert!(matches!(call.now_or_never(), Some(Ok(_))), "the command had to wait");
        assert!(bench.network.polls() - before <= 32 + 1, "the budget was not kept");
        assert!(wakes.get() > woken, "work was left behind and nobody was woken");
    }
}

#[test]
fn what_is_answered_here_costs_neither_a_look_at_the_network_nor_a_setting_of_the_timer() {
    let mut bench = Bench::new(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    bench.settle(&mut cx, &wakes);
    let (looks, settings) = (bench.network.polls(), bench.clock.settings());
    for _ in 0..1000 {
        let mut call = handle.metadata();
        assert!((&mut call).now_or_never().is_none());
        bench.settle(&mut cx, &wakes);
        assert!(matches!(call.now_or_never(), Some(Ok(_))));
    }
    // libp2p's own heartbeats run on the real clock and may ask for a look meanwhile.
    let (looks, settings) = (bench.network.polls() - looks, bench.clock.settings() - settings);
    assert!(looks < 20, "{looks} looks");
    assert!(settings < 20, "{settings} settings");
}

#[test]
fn what_a_command_asks_of_the_network_is_begun_in_the_same_poll() {
    let mut bench = Bench::new(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    bench.settle(&mut cx, &wakes);
    let before = bench.network.polls();
    let mut call = Box::pin(handle.subscribe("chat"));
    assert!((&mut call).now_or_never().is_none());
    assert!(bench.poll(&mut cx).is_pending());
    assert!(bench.network.polls() > before, "the network was not polled after it was touched");
    assert_eq!(call.now_or_never(), Some(Ok(true)));
}

#[test]
fn the_network_is_polled_at_every_heartbeat_even_if_it_has_lost_its_wake_up() {
    let mut bench = Bench::new(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    for _ in 0..5 {
        let (before, woken) = (bench.network.polls(), wakes.get());
        bench.clock.advance(Duration::from_secs(1));
        assert!(wakes.get() > woken, "the alarm did not ring");
        bench.settle(&mut cx, &wakes);
        assert!(bench.network.polls() > before);
    }
}

#[test]
fn a_command_wakes_the_task_that_polled_last() {
    let mut bench = Bench::new(Config::new());
    let (old, old_wakes) = new_count_waker();
    let (new, new_wakes) = new_count_waker();
    bench.settle(&mut Context::from_waker(&old), &old_wakes);
    bench.settle(&mut Context::from_waker(&new), &new_wakes);
    let (old_before, new_before) = (old_wakes.get(), new_wakes.get());
    let handle = bench.handle.clone();
    let mut call = handle.metadata();
    assert!((&mut call).now_or_never().is_none());
    assert!(new_wakes.get() > new_before, "the new waker was not woken");
    assert_eq!(old_wakes.get(), old_before, "the old waker was woken");
    bench.settle(&mut Context::from_waker(&new), &new_wakes);
    assert!(matches!(call.now_or_never(), Some(Ok(_))));
}

#[test]
fn a_cancelled_call_wakes_the_node() {
    let mut bench = Bench::asking(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    let mut call = handle.get_package(bare("anything"));
    assert!((&mut call).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);
    let before = wakes.get();
    drop(call);
    assert_eq!(wakes.get(), before + 1);
    bench.settle(&mut cx, &wakes);
}

#[test]
fn work_in_one_poll_is_bounded_and_what_is_left_wakes() {
    let limits = Limits::new().with_commands_per_poll(3);
    let mut bench = Bench::new(Config::new().with_limits(limits));
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);

    let handle = bench.handle.clone();
    let mut calls = metadata_calls(&handle, 10);
    let mut answered = 0;
    for expected in [3, 6, 9, 10] {
        let before = wakes.get();
        assert!(bench.poll(&mut cx).is_pending());
        assert_eq!(wakes.get() > before, expected < 10 || wakes.get() > before);
        if expected < 10 {
            assert!(wakes.get() > before, "work was left behind and nobody was woken");
        }
        while let Some(Some(answer)) = calls.next().now_or_never() {
            answer.expect("answered");
            answered += 1;
        }
        assert_eq!(answered, expected);
    }
}

#[test]
fn an_answer_is_never_before_its_deadline_and_at_most_a_tick_after() {
    let tick = Duration::from_millis(10);
    let timeout = Duration::from_millis(12_345);
    let config = Config::new().with_query_timeout(timeout).with_sweep_granularity(tick);
    let mut bench = Bench::asking(config);
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    let handle = bench.handle.clone();
    let mut call = handle.get_package(bare("anything"));
    assert!((&mut call).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);

    // Only time passes, and only when the node has asked to be woken: no wake-up may be missing.
    let mut elapsed = Duration::ZERO;
    let error = loop {
        let step = Duration::from_millis(1);
        elapsed += step;
        bench.clock.advance(step);
        bench.settle(&mut cx, &wakes);
        if let Some(answer) = (&mut call).now_or_never() {
            break answer.expect_err("nobody answers");
        }
        assert!(elapsed <= timeout + tick, "late");
    };
    assert!(elapsed >= timeout, "early: {elapsed:?}");
    assert!(matches!(error, Error::Timeout { after, .. } if after == elapsed), "{error:?}");
}

#[test]
fn the_alarm_alone_wakes_the_node_for_a_deadline() {
    let timeout = Duration::from_millis(300);
    let mut bench = Bench::asking(Config::new().with_query_timeout(timeout));
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    let mut call = handle.list_versions(bare("anything"));
    assert!((&mut call).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);
    let armed = bench.clock.armed().expect("an alarm");
    assert!(armed <= timeout + Duration::from_millis(10), "{armed:?}");
    let before = wakes.get();
    bench.clock.advance(armed);
    assert!(wakes.get() > before, "the alarm woke nobody");
    bench.settle(&mut cx, &wakes);
    assert!(matches!(call.now_or_never(), Some(Err(Error::Timeout { .. }))));
}

#[test]
fn a_clock_that_jumps_by_a_year_answers_everybody() {
    let mut bench = Bench::asking(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    let mut calls: FuturesUnordered<_> =
        (0..500).map(|n| handle.get_package(bare(&format!("package-{n}")))).collect();
    for _ in 0..20 {
        assert!(calls.next().now_or_never().is_none());
        bench.settle(&mut cx, &wakes);
    }
    bench.clock.advance(Duration::from_secs(365 * 24 * 3600));
    let mut answered = 0;
    while answered < 500 {
        bench.settle(&mut cx, &wakes);
        while let Some(Some(answer)) = calls.next().now_or_never() {
            assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
            answered += 1;
        }
    }
}

#[test]
fn a_machine_that_has_slept_is_noticed_within_a_heartbeat_by_the_alarm_alone() {
    let mut bench = Bench::new(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    for by in [60 * 3600, -10 * 365 * 24 * 3600] {
        bench.clock.sleep(by);
        let (due, before) = (bench.clock.armed().expect("armed"), wakes.get());
        let until = due - peerage::Clock::now(&bench.clock);
        assert!(until <= Duration::from_secs(1), "{until:?}");
        bench.clock.advance(until);
        assert_eq!(wakes.get(), before + 1);
        match bench.poll(&mut cx) {
            Poll::Ready(Some(Event::ClockChanged { by: told, .. })) => assert_eq!(told, by),
            other => panic!("{other:?}"),
        }
        bench.settle(&mut cx, &wakes);
    }
}

#[test]
fn a_shutdown_is_acknowledged_after_everybody_in_the_queue_was_answered() {
    let limits = Limits::new().with_commands_per_poll(1);
    let mut bench = Bench::new(Config::new().with_limits(limits));
    let handle = bench.handle.clone();
    let mut shutdown = handle.shutdown().boxed();
    assert!((&mut shutdown).now_or_never().is_none());
    let mut behind = metadata_calls(&handle, 20);
    let mut cx = noop_context();
    while (&mut shutdown).now_or_never().is_none() {
        let _ = bench.poll(&mut cx);
    }
    for _ in 0..20 {
        assert_eq!(behind.next().now_or_never(), Some(Some(Err(Error::ShuttingDown))));
    }
}

#[test]
fn it_ends_once_for_ever_and_only_then_says_so() {
    let mut bench = Bench::asking(Config::new());
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    let mut waiting = handle.get_package(bare("anything"));
    assert!((&mut waiting).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);
    assert!(!bench.node.is_terminated());

    let mut stopping = Box::pin(handle.shutdown());
    assert!((&mut stopping).now_or_never().is_none());
    for _ in 0..100 {
        if let Poll::Ready(None) = bench.poll(&mut cx) {
            break;
        }
        assert!(!bench.node.is_terminated());
    }
    assert!(bench.node.is_terminated());
    assert_eq!(waiting.now_or_never(), Some(Err(Error::ShuttingDown)));
    assert_eq!(stopping.now_or_never(), Some(Ok(())));
    for _ in 0..3 {
        assert_eq!(bench.poll(&mut cx), Poll::Ready(None));
        assert!(Pin::new(&mut bench.node).poll_unpin_as_future(&mut cx).is_ready());
    }
    assert_eq!(handle.shutdown().now_or_never(), Some(Err(Error::ShuttingDown)));
}

/// `Node` is both a stream and a future, and both have a `poll` of their own.
trait PollAsFuture {
    fn poll_unpin_as_future(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl PollAsFuture for Pin<&mut Node> {
    fn poll_unpin_as_future(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.as_mut(), cx)
    }
}

#[test]
fn a_node_can_be_dropped_at_any_moment() {
    let (node, handle) = Node::new(Keypair::generate_ed25519(), loopback()).expect("a node");
    drop(node);
    assert_eq!(handle.metadata().now_or_never(), Some(Err(Error::ShuttingDown)));

    let (mut node, handle) = Node::new(Keypair::generate_ed25519(), loopback()).expect("a node");
    let mut call = handle.register(manifest("unheard", "1.0.0"));
    assert!((&mut call).now_or_never().is_none());
    let _ = node.poll_next_unpin(&mut noop_context());
    drop(node);
    // Answered or refused, but not forgotten.
    assert!(call.now_or_never().is_some());
}
