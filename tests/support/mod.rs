//! What the scenarios share: peers on loopback TCP, driven by an executor of choice, and waiting for events
//! instead of sleeping.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{future::Future, sync::LazyLock, thread, time::Duration};

use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
    future::{self, Either},
};
use peerage::{
    Config, Event, Handle, Manifest, Multiaddr, Node, PackageId, PackageName, PeerId,
    identity::Keypair, semver::Version,
};

/// Nothing here takes longer, however slow the machine; what does has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Who polls the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Executor {
    Smol,
    Tokio,
    AsyncStd,
    Futures,
}

static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
});

impl Executor {
    /// Runs a future in the background.
    pub(crate) fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Smol => smol::spawn(task).detach(),
            Self::Tokio => drop(TOKIO.spawn(task)),
            Self::AsyncStd => drop(async_std::task::spawn(task)),
            Self::Futures => drop(thread::spawn(|| futures::executor::block_on(task))),
        }
    }
}

/// A running peer: how to ask it, and what it has told.
pub(crate) struct Peer {
    pub(crate) handle: Handle,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) ended: oneshot::Receiver<()>,
}

impl Peer {
    /// Starts a peer that is read as a stream of events.
    pub(crate) fn start(executor: Executor, config: Config) -> Self {
        Self::start_as(executor, Keypair::generate_ed25519(), config)
    }

    pub(crate) fn start_as(executor: Executor, keypair: Keypair, config: Config) -> Self {
        let (node, handle) = Node::new(keypair, config).expect("a node");
        Self::run(executor, node, handle)
    }

    pub(crate) fn run(executor: Executor, mut node: Node, handle: Handle) -> Self {
        let (sender, events) = mpsc::unbounded();
        let (end, ended) = oneshot::channel();
        executor.spawn(async move {
            while let Some(event) = node.next().await {
                // A test that has seen enough no longer listens.
                let _ = sender.unbounded_send(event);
            }
            let _ = end.send(());
        });
        Self { handle, events, ended }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.handle.peer_id()
    }

    /// Waits for an event that `choose` likes.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        mut choose: impl FnMut(Event) -> Option<T>,
    ) -> T {
        let found = async {
            while let Some(event) = self.events.next().await {
                if let Some(found) = choose(event) {
                    return found;
                }
            }
            panic!("the node ended while waiting for {what}");
        };
        within(what, found).await
    }

    /// The first address that it listens on.
    pub(crate) async fn address(&mut self) -> Multiaddr {
        self.wait_for("an address", |event| match event {
            Event::Listening { address } => Some(address),
            _ => None,
        })
        .await
    }
}

/// Fails loudly instead of hanging.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let deadline = async_io::Timer::after(PATIENCE);
    match future::select(std::pin::pin!(future), deadline).await {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("still waiting for {what} after {PATIENCE:?}"),
    }
}

/// A configuration for tests: loopback only, on any free port.
pub(crate) fn loopback() -> Config {
    Config::new().with_listen(["/ip4/127.0.0.1/tcp/0".parse().expect("an address")])
}

/// Starts a peer and others that bootstrap from it, and waits until each has all the others in its routing table.
pub(crate) async fn network(executor: Executor, size: usize) -> Vec<Peer> {
    let mut first = Peer::start(executor, loopback());
    let address = first.address().await;
    let mut peers = vec![first];
    for _ in 1..size {
        let peer = Peer::start(executor, loopback().with_bootstrap([address.clone()]));
        within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
        peers.push(peer);
    }
    peers
}

pub(crate) fn name(name: &str) -> PackageName {
    name.parse().expect("a name")
}

pub(crate) fn version(version: &str) -> Version {
    version.parse().expect("a version")
}

pub(crate) fn manifest(package: &str, release: &str) -> Manifest {
    Manifest::new(name(package), version(release))
        .with_description(format!("The {package} package"))
        .with_keywords(["test"])
}

pub(crate) fn owned(owner: PeerId, package: &str) -> PackageId {
    PackageId::owned(owner, name(package))
}

pub(crate) fn bare(package: &str) -> PackageId {
    PackageId::named(name(package))
}

/// Waits until a peer has been told of so many packages that are new to it.
pub(crate) async fn discovers(peer: &mut Peer, count: usize) {
    let mut found = 0;
    peer.wait_for("the packages", |event| {
        found += usize::from(matches!(event, Event::Discovered { .. }));
        (found >= count).then_some(())
    })
    .await;
}
