//! Five peers, five ways to poll them.
//!
//! The library has no executor of its own: each of these takes the node, which is a `Stream`, and polls it.
//! What the node tells is passed on, with the moment in which it was told.

use std::{
    fmt, io,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::Instant,
};

use futures::{StreamExt, channel::mpsc};
use peerage::{Config, Event, Handle, Node, identity::Keypair};

use crate::watch::Watch;

/// Something told, and when.
pub(crate) type Told = (Instant, Event);

/// What polls a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Executor {
    Smol,
    TokioWorker,
    TokioHere,
    Futures,
    ByHand,
}

impl Executor {
    pub(crate) const ALL: [Self; 5] =
        [Self::Smol, Self::TokioWorker, Self::TokioHere, Self::Futures, Self::ByHand];

    /// Polls the node until it has shut down.
    fn run(self, node: Node, told: mpsc::UnboundedSender<Told>) -> io::Result<()> {
        match self {
            Self::Smol => smol::block_on(smol::spawn(relay(node, told))),
            // Of neither runtime are tokio's timers and sockets enabled.
            Self::TokioWorker => {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
                runtime.block_on(runtime.spawn(relay(node, told))).map_err(io::Error::other)?;
            }
            Self::TokioHere => {
                let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                runtime.block_on(relay(node, told));
            }
            Self::Futures => futures::executor::block_on(relay(node, told)),
            Self::ByHand => by_hand(node, &told),
        }
        Ok(())
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Smol => "smol",
            Self::TokioWorker => "tokio",
            Self::TokioHere => "tokio, one thread",
            Self::Futures => "futures::executor",
            Self::ByHand => "a loop by hand",
        })
    }
}

async fn relay(mut node: Node, told: mpsc::UnboundedSender<Told>) {
    while let Some(event) = node.next().await {
        // Nobody listens any longer once the program is ending; the node is polled to its end all the same.
        let _ = told.unbounded_send((Instant::now(), event));
    }
}

/// The least that an executor can be: poll, sleep until woken, poll again.
fn by_hand(mut node: Node, told: &mpsc::UnboundedSender<Told>) {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match node.poll_next_unpin(&mut context) {
            Poll::Ready(Some(event)) => {
                let _ = told.unbounded_send((Instant::now(), event));
            }
            Poll::Ready(None) => return,
            // A wake between the poll and here is not lost: `park` then returns at once.
            Poll::Pending => thread::park(),
        }
    }
}

/// A running peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) executor: Executor,
    pub(crate) handle: Handle,
    thread: JoinHandle<io::Result<()>>,
}

impl Peer {
    /// Starts a peer on a thread of its own. Its events are told to the watch.
    pub(crate) fn start(executor: Executor, config: Config) -> io::Result<(Self, Watch)> {
        let (node, handle) =
            Node::new(Keypair::generate_ed25519(), config).map_err(io::Error::other)?;
        // Without a bound: it is read while calls are made, and each call causes a bounded number of events.
        let (sender, told) = mpsc::unbounded();
        let thread = thread::Builder::new()
            .name(executor.to_string())
            .spawn(move || executor.run(node, sender))?;
        Ok((Self { executor, handle, thread }, Watch::new(told)))
    }

    /// Shuts the peer down and waits until its executor has let go of it.
    pub(crate) fn stop(self) -> io::Result<()> {
        futures::executor::block_on(self.handle.shutdown()).map_err(io::Error::other)?;
        self.thread.join().map_err(|_| io::Error::other("the thread of a peer panicked"))?
    }
}
