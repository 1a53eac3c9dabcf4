//! What callers and whoever polls a node may rely on while its disk is slow or broken.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, Stream, executor::block_on};
use futures_test::task::{AwokenCount, new_count_waker};
use libp2p::Transport;
use peerage::{
    Announcement, Config, Error, Event, Handle, Node, Registry,
    identity::Keypair,
    storage::{Result, Storage as _, StorageError, Table},
};

#[path = "support/hindered.rs"]
mod hindered;
#[allow(dead_code, reason = "of these, only what stalls is needed")]
#[path = "support/stalled.rs"]
mod stalled;
mod support;
#[allow(dead_code, reason = "nobody looks at the timer")]
#[path = "support/virtual_time.rs"]
mod virtual_time;

use hindered::{Hindered, Hindrance};
use stalled::Stalled;
use support::{manifest, name, within};
use virtual_time::VirtualClock;

/// A disk that does what the test says.
#[derive(Debug, Default)]
struct Disk(Mutex<State>, Condvar);

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    /// A commit hangs until the test lets it go on.
    hangs: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    /// The code of the application has a bug.
    Panics,
    /// It writes what it is to write, and cannot say how large it is.
    Unmeasured,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    fn hang(&self, hangs: bool) {
        self.state().hangs = hangs;
        self.1.notify_all();
    }

    fn is(&self, mood: Mood) {
        self.state().mood = mood;
    }
}

impl Hindrance for Disk {
    fn before_commit(&self) -> Result<()> {
        let state = self.1.wait_while(self.state(), |state| state.hangs).expect("not poisoned");
        let mood = state.mood;
        drop(state);
        match mood {
            Mood::Well | Mood::Unmeasured => Ok(()),
            Mood::Panics => panic!("a bug of the storage"),
        }
    }

    fn before_size(&self) -> Result<()> {
        match self.state().mood {
            Mood::Unmeasured => Err(StorageError::other("nobody knows")),
            Mood::Well | Mood::Panics => Ok(()),
        }
    }
}

/// A node that nobody hears, under virtual time, with its waker counted.
struct Bench {
    node: Node,
    handle: Handle,
    clock: VirtualClock,
    disk: Hindered<Disk>,
}

impl Bench {
    fn new() -> Self {
        let (clock, disk) = (VirtualClock::default(), Hindered::<Disk>::default());
        let config = Config::new().with_listen([]);
        let (node, handle) = Node::builder(Keypair::generate_ed25519(), config)
            .with_transport(Stalled::default().boxed())
            .with_clock(Arc::new(clock.clone()))
            .with_storage(disk.clone())
            .build()
            .expect("a node");
        Self { node, handle, clock, disk }
    }

    /// Polls for as long as the node wakes itself, and tells how often that was.
    fn settle(&mut self, cx: &mut Context<'_>, wakes: &AwokenCount) -> usize {
        let mut polls = 0;
        loop {
            let before = wakes.get();
            polls += 1;
            assert!(polls < 1000, "it spins");
            let polled = Pin::new(&mut self.node).poll_next(cx);
            if polled.is_pending() && wakes.get() == before {
                return polls;
            }
        }
    }

    /// Lets time pass second by second, and tells how often the node was polled.
    fn pass(&mut self, cx: &mut Context<'_>, wakes: &AwokenCount, seconds: u64) -> usize {
        let second = |_| {
            self.clock.advance(Duration::from_secs(1));
            self.settle(cx, wakes)
        };
        (0..seconds).map(second).sum()
    }

    /// Drives the node until this has come to something. Tells of its events meanwhile.
    fn drive<T>(&mut self, what: impl Future<Output = T>) -> (T, Vec<Event>) {
        let (mut what, mut events) = (pin!(what), Vec::new());
        let driven = poll_fn(|cx| {
            while let Poll::Ready(Some(event)) = Pin::new(&mut self.node).poll_next(cx) {
                events.push(event);
            }
            what.as_mut().poll(cx)
        });
        (block_on(within("an answer", driven)), events)
    }
}

#[test]
fn a_commit_that_hangs_keeps_no_caller_beyond_its_time_and_no_processor_busy() {
    let mut bench = Bench::new();
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    bench.settle(&mut cx, &wakes);
    bench.disk.by.hang(true);
    let handle = bench.handle.clone();
    let mut announced = Box::pin(handle.announce("news", b"hello".to_vec()));
    let mut registered = Box::pin(handle.register(manifest("tool", "1.0.0")));
    assert!((&mut announced).now_or_never().is_none());
    assert!((&mut registered).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);
    assert!((&mut announced).now_or_never().is_none(), "it is not durable");
    let polls = bench.pass(&mut cx, &wakes, 6);
    let Some(Err(Error::Storage { .. })) = announced.now_or_never() else {
        panic!("not answered in its time");
    };
    let polls = polls + bench.pass(&mut cx, &wakes, 54);
    let Some(Err(Error::Storage { .. })) = registered.now_or_never() else {
        panic!("not answered in its time");
    };
    // A heartbeat a second, and libp2p's own, which run on the real clock.
    assert!(polls < 60 * 20, "{polls} polls in a minute");

    bench.disk.by.hang(false);
    let (pinned, _) = bench.drive(handle.pin(name("tool"), handle.peer_id()));
    assert_eq!(pinned, Ok(None));
}

fn failures(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::StorageFailed { .. })).count()
}

#[test]
fn a_storage_whose_code_panics_is_one_that_fails_and_the_node_goes_on() {
    let mut bench = Bench::new();
    let handle = bench.handle.clone();
    bench.disk.by.is(Mood::Panics);
    let (announced, events) = bench.drive(handle.announce("news", b"hello".to_vec()));
    let Err(Error::Storage { reason, .. }) = announced else { panic!("{announced:?}") };
    assert!(reason.contains("panicked: a bug of the storage"), "{reason}");
    assert_eq!(failures(&events), 1);

    bench.disk.by.is(Mood::Well);
    bench.clock.advance(Duration::from_secs(1));
    let (announced, _) = bench.drive(handle.announce("news", b"again".to_vec()));
    assert_eq!(announced, Ok(Announcement::Queued));
}

#[test]
fn what_is_durable_is_so_where_the_size_of_the_storage_cannot_be_found_out() {
    let mut bench = Bench::new();
    let handle = bench.handle.clone();
    bench.disk.by.is(Mood::Unmeasured);
    let (announced, events) = bench.drive(handle.announce("news", b"hello".to_vec()));
    assert_eq!(announced, Ok(Announcement::Queued));
    assert_eq!(failures(&events), 0);
    assert_eq!(bench.disk.memory.len(Table::Outbox), Ok(1));
}

#[test]
fn a_node_that_stops_while_a_commit_hangs_ends_in_its_time_and_says_so_to_those_who_wait() {
    let mut bench = Bench::new();
    let (waker, wakes) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    let handle = bench.handle.clone();
    bench.disk.by.hang(true);
    let mut pinned = Box::pin(handle.pin(name("tool"), handle.peer_id()));
    assert!((&mut pinned).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);
    let mut stopped = Box::pin(handle.shutdown());
    assert!((&mut stopped).now_or_never().is_none());
    bench.settle(&mut cx, &wakes);
    assert_eq!(stopped.now_or_never(), Some(Ok(())));
    assert!((&mut pinned).now_or_never().is_none(), "it may be written in time");
    bench.pass(&mut cx, &wakes, 2);
    bench.clock.advance(Duration::from_secs(2));
    let ended = poll_fn(|cx| Pin::new(&mut bench.node).poll_next(cx));
    assert!(block_on(within("the end", ended)).is_none());
    assert!(matches!(pinned.now_or_never(), Some(Err(Error::Storage { .. }))));
    bench.disk.by.hang(false);
}
