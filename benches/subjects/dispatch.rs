//! Ways to bring a question from a caller to an answer that is known locally, to compare.
//!
//! Every subject holds the same package under the same identifier and answers with a copy of it, so that
//! what differs is the way there. Those that are driven [by hand](Driven) are polled by the calling thread,
//! the caller and the task only when their own waker was woken, which is the least that an executor does.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures::{
    SinkExt as _, StreamExt as _,
    channel::{mpsc, oneshot},
};
use peerage::{
    Config, Handle, Limits, Manifest, Multiaddr, Node, Package, PackageId, Registry as _,
    identity::Keypair,
    net::transport::{self, TransportConfig},
    package::Dependency,
};

#[path = "classic.rs"]
pub(crate) mod classic;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The calls that may stand between callers and task, in every subject.
pub(crate) const CAPACITY: usize = 100;

/// A package as they are published: some texts, some dependencies.
pub(crate) fn manifest(name: &str) -> Outcome<Manifest> {
    Ok(Manifest::new(name.parse()?, "1.2.0".parse()?)
        .with_description("A small HTTP server that fits into any program")
        .with_license("MIT OR Apache-2.0")
        .with_keywords(["http", "server"])
        .with_repository("https://example.org/tiny-http")
        .with_dependency(Dependency::new("bytes".parse()?, "^1.4".parse()?))
        .with_dependency(Dependency::new("log".parse()?, "^0.4".parse()?)))
}

/// Where the peers of the benchmark listen: within the process.
pub(crate) fn listen() -> Outcome<Multiaddr> {
    Ok("/memory/0".parse()?)
}

/// A node that knows a package of its own, the way to ask it, and the package.
pub(crate) fn node() -> Outcome<(Node, Handle, Package)> {
    let keypair = Keypair::generate_ed25519();
    let config = Config::new().with_listen([listen()?]).with_command_capacity(CAPACITY);
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())?;
    let (mut node, handle) = Node::builder(keypair, config).with_transport(transport).build()?;
    let manifest = manifest("tiny-http")?;
    let name = manifest.name.clone();
    let mut by_hand = ByHand::default();
    let mut polling = |cx: &mut Context<'_>| {
        let _ = Pin::new(&mut node).poll(cx);
    };
    // A lone node gives up asking the network by itself; nobody has to be waited for.
    by_hand.wait(handle.register(manifest), &mut polling)?;
    let package = by_hand.wait(handle.get_package(PackageId::named(name)), &mut polling)?;
    Ok((node, handle, package))
}

/// Who is asked for: its owner is named, so that nobody has to find out who it is, and its version, so that
/// the node itself is asked. Without one a caller need not wait for it.
pub(crate) fn wanted(package: &Package) -> PackageId {
    PackageId::owned(package.owner, package.id.name().clone())
        .with_version(package.manifest.version.clone())
}

/// What an executor remembers of a task.
#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Woken {
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// The smallest executor: one caller, one task, one thread.
pub(crate) struct ByHand {
    caller: Arc<Woken>,
    task: Arc<Woken>,
    wakers: [Waker; 2],
}

impl Default for ByHand {
    fn default() -> Self {
        // A task is polled once when it is spawned, so that it can wait for something.
        let (caller, task) = (Arc::default(), Arc::new(Woken(AtomicBool::new(true))));
        let wakers = [&caller, &task].map(|woken: &Arc<Woken>| Waker::from(Arc::clone(woken)));
        Self { caller, task, wakers }
    }
}

impl ByHand {
    /// Polls caller and task in turn until the caller has its answer, each only when it was woken.
    fn answer<T>(
        &mut self,
        caller: impl Future<Output = T>,
        mut task: impl FnMut(&mut Context<'_>),
    ) -> T {
        let mut caller = pin!(caller);
        let [caller_waker, task_waker] = &self.wakers;
        let mut caller_cx = Context::from_waker(caller_waker);
        let mut task_cx = Context::from_waker(task_waker);
        loop {
            if let Poll::Ready(answer) = caller.as_mut().poll(&mut caller_cx) {
                return answer;
            }
            while !self.caller.take() {
                assert!(self.task.take(), "a wake-up was lost");
                task(&mut task_cx);
            }
        }
    }

    /// As [`answer`](Self::answer), for what may also have to wait for time to pass.
    pub(crate) fn wait<T>(
        &mut self,
        caller: impl Future<Output = T>,
        mut task: impl FnMut(&mut Context<'_>),
    ) -> T {
        let mut caller = pin!(caller);
        let [caller_waker, task_waker] = &self.wakers;
        loop {
            if let Poll::Ready(answer) =
                caller.as_mut().poll(&mut Context::from_waker(caller_waker))
            {
                return answer;
            }
            task(&mut Context::from_waker(task_waker));
            std::thread::yield_now();
        }
    }
}

/// Something that answers calls and is driven by the calling thread.
pub(crate) trait Driven {
    /// One call, from the command to its answer in the caller's hands.
    fn call(&mut self) -> bool;

    /// How long `calls` calls take, one after the other.
    fn run(&mut self, calls: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            assert!(black_box(self.call()));
        }
        start.elapsed()
    }
}

/// The node, polled whole.
pub(crate) struct WholeNode {
    node: Node,
    handle: Handle,
    wanted: PackageId,
    by_hand: ByHand,
}

impl WholeNode {
    pub(crate) fn new() -> Outcome<Self> {
        let (node, handle, package) = node()?;
        Ok(Self { node, handle, wanted: wanted(&package), by_hand: ByHand::default() })
    }
}

impl Driven for WholeNode {
    fn call(&mut self) -> bool {
        let Self { node, handle, wanted, by_hand } = self;
        let call = handle.get_package(wanted.clone());
        let answer = by_hand.answer(call, |cx| {
            assert!(Pin::new(&mut *node).poll(cx).is_pending());
        });
        black_box(answer).is_ok()
    }
}

struct Question {
    package: PackageId,
    reply: oneshot::Sender<Option<Package>>,
}

/// The least that a dispatch can be: a channel there, a map, a channel back. No deadline, no cancellation,
/// no network beside it.
pub(crate) struct Bare {
    questions: mpsc::Sender<Question>,
    asked: mpsc::Receiver<Question>,
    packages: HashMap<PackageId, Package>,
    wanted: PackageId,
    by_hand: ByHand,
}

impl Bare {
    pub(crate) fn new() -> Outcome<Self> {
        let (_, _, package) = node()?;
        let wanted = wanted(&package);
        let (questions, asked) = mpsc::channel(CAPACITY);
        let packages = HashMap::from([(wanted.clone(), package)]);
        Ok(Self { questions, asked, packages, wanted, by_hand: ByHand::default() })
    }
}

impl Driven for Bare {
    fn call(&mut self) -> bool {
        let Self { questions, asked, packages, wanted, by_hand } = self;
        let package = wanted.clone();
        let call = async {
            let (reply, answer) = oneshot::channel();
            questions.send(Question { package, reply }).await.ok()?;
            answer.await.ok()?
        };
        let answer = by_hand.answer(call, |cx| {
            while let Poll::Ready(Some(Question { package, reply })) = asked.poll_next_unpin(cx) {
                drop(reply.send(packages.get(&package).cloned()));
            }
        });
        black_box(answer).is_some()
    }
}

/// Subjects that run as a task on a tokio runtime of one thread, and are asked from beside it.
pub(crate) fn on_tokio() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The node as a task on a tokio runtime: the classic design's home ground.
pub(crate) struct NodeOnTokio {
    runtime: tokio::runtime::Runtime,
    handle: Handle,
    wanted: PackageId,
}

impl NodeOnTokio {
    pub(crate) fn new() -> Outcome<Self> {
        let runtime = on_tokio()?;
        let (node, handle, package) = node()?;
        drop(runtime.spawn(node));
        Ok(Self { runtime, handle, wanted: wanted(&package) })
    }
}

impl Driven for NodeOnTokio {
    fn call(&mut self) -> bool {
        let call = self.handle.get_package(self.wanted.clone());
        black_box(self.runtime.block_on(call)).is_ok()
    }

    fn run(&mut self, calls: u64) -> Duration {
        let Self { runtime, handle, wanted } = self;
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..calls {
                let answer = handle.get_package(wanted.clone()).await;
                assert!(black_box(answer).is_ok());
            }
            start.elapsed()
        })
    }
}
