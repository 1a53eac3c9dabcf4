//! A node that asks a network, on the thread of those who call it.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use peerage::{
    Config, DhtMode, Handle, Limits, Node,
    identity::Keypair,
    net::transport::{self, TransportConfig},
};

use crate::{dispatch::Outcome, network::Network, raw::SETTLING};

/// A task, as an executor of one thread sees it: it is polled when it was woken, and the thread sleeps while
/// none was.
struct Woken {
    task: AtomicBool,
    thread: Thread,
}

impl Woken {
    /// A task is polled once when it is spawned.
    fn spawned() -> Arc<Self> {
        Arc::new(Self { task: AtomicBool::new(true), thread: thread::current() })
    }

    fn take(&self) -> bool {
        self.task.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.task.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

/// A node and a way to ask it.
pub(crate) struct Client {
    node: Node,
    pub(crate) handle: Handle,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Client {
    /// One that has joined the network and filled its routing table.
    pub(crate) fn join(network: &Network, config: Config) -> Outcome<Self> {
        let config = config
            .with_mode(DhtMode::Client)
            .with_listen([])
            .with_bootstrap(network.bootstrap().iter().cloned());
        let keypair = Keypair::generate_ed25519();
        let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())?;
        let (node, handle) = Node::builder(keypair, config).with_transport(transport).build()?;
        let woken = Woken::spawned();
        let waker = Waker::from(Arc::clone(&woken));
        let mut client = Self { node, handle: handle.clone(), woken, waker };
        client.run(handle.bootstrap())?;
        client.rest(SETTLING);
        Ok(client)
    }

    /// Lets what is still under way come to its end, so that nothing is measured in the wake of what was before.
    pub(crate) fn rest(&mut self, time: Duration) {
        self.run(smol::Timer::after(time));
    }

    /// Polls the callers and the node, each when it was woken, until the callers are done.
    pub(crate) fn run<T>(&mut self, callers: impl Future<Output = T>) -> T {
        let mut callers = pin!(callers);
        let woken = Woken::spawned();
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            if woken.take()
                && let Poll::Ready(answers) =
                    callers.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return answers;
            }
            if self.woken.take() {
                let polled = Pin::new(&mut self.node).poll(&mut Context::from_waker(&self.waker));
                assert!(polled.is_pending(), "nobody told it to stop");
            }
            while !woken.task.load(Ordering::Acquire) && !self.woken.task.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}
