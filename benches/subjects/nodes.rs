//! A network of nodes over loopback TCP, as programs run them: on an executor of two threads.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, channel::oneshot, stream};
use peerage::{
    Config, DhtMode, Event, Freshness, Handle, Manifest, Multiaddr, Node, NodeBuilder,
    Registry as _,
    identity::Keypair,
    record::{Head, Record, RecordKey, Signed},
    storage::Storage,
};

use crate::{dispatch::Outcome, raw::SETTLING};

/// As many as those that serve the peer.
const THREADS: usize = 2;

/// How many peers a newcomer is told of.
const BOOTSTRAP_PEERS: usize = 3;

/// Records that are put at a time where the time does not count.
const PUTS: usize = 8;

/// A running network.
pub(crate) struct Nodes {
    bootstrap: Vec<Multiaddr>,
    /// A node runs as long as somebody can ask it.
    _handles: Vec<Handle>,
    stop: Vec<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Nodes {
    /// So many servers, which have found each other.
    pub(crate) fn new(servers: usize) -> Outcome<Self> {
        let executor = Arc::new(smol::Executor::new());
        let (mut stop, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..THREADS {
            let executor = Arc::clone(&executor);
            let (sender, stopped) = oneshot::channel();
            stop.push(sender);
            threads.push(thread::Builder::new().name("nodes".to_owned()).spawn(move || {
                // Ends when the network is dropped.
                let _ = smol::block_on(executor.run(stopped));
            })?);
        }
        let (mut bootstrap, mut handles) = (Vec::new(), Vec::new());
        for _ in 0..servers {
            let config = Config::new()
                .with_listen(["/ip4/127.0.0.1/tcp/0".parse()?])
                .with_bootstrap(bootstrap.iter().take(BOOTSTRAP_PEERS).cloned());
            let (mut node, handle) = Node::new(Keypair::generate_ed25519(), config)?;
            let address = smol::block_on(async {
                loop {
                    if let Some(Event::Listening { address }) = node.next().await {
                        break address;
                    }
                }
            });
            bootstrap.push(address.with_p2p(node.peer_id()).map_err(|_| "another's address")?);
            handles.push(handle);
            executor.spawn(node).detach();
        }
        // Twice: the first ones had nobody to find yet.
        for _ in 0..2 {
            for handle in handles.iter().skip(1) {
                smol::block_on(handle.bootstrap())?;
            }
        }
        bootstrap.truncate(BOOTSTRAP_PEERS);
        Ok(Self { bootstrap, _handles: handles, stop, threads })
    }

    pub(crate) fn bootstrap(&self) -> &[Multiaddr] {
        &self.bootstrap
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.stop.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A node that asks, and its callers, on one thread.
pub(crate) struct Asker {
    executor: smol::LocalExecutor<'static>,
    pub(crate) handle: Handle,
}

impl Asker {
    /// One that has joined the network and filled its routing table.
    pub(crate) fn join(network: &Nodes, config: Config) -> Outcome<Self> {
        let (keypair, config) = (Keypair::generate_ed25519(), Self::joining(network, config));
        Self::start(Node::builder(keypair, config))?.settle()
    }

    /// The same, keeping what it knows in this storage.
    pub(crate) fn join_with(
        network: &Nodes,
        config: Config,
        storage: impl Storage,
    ) -> Outcome<Self> {
        let (keypair, config) = (Keypair::generate_ed25519(), Self::joining(network, config));
        Self::start(Node::builder(keypair, config).with_storage(storage))?.settle()
    }

    /// A node as it was built, whether or not it knows of others.
    pub(crate) fn start(builder: NodeBuilder) -> Outcome<Self> {
        let (node, handle) = builder.build()?;
        let executor = smol::LocalExecutor::new();
        executor.spawn(node).detach();
        Ok(Self { executor, handle })
    }

    fn joining(network: &Nodes, config: Config) -> Config {
        config
            .with_mode(DhtMode::Client)
            .with_listen([])
            .with_bootstrap(network.bootstrap().iter().cloned())
    }

    fn settle(self) -> Outcome<Self> {
        self.run(self.handle.bootstrap())?;
        self.rest(SETTLING);
        Ok(self)
    }

    pub(crate) fn run<T>(&self, callers: impl Future<Output = T>) -> T {
        smol::block_on(self.executor.run(callers))
    }

    /// Lets what is still under way come to its end, so that nothing is measured in the wake of what was before.
    pub(crate) fn rest(&self, time: Duration) {
        self.run(smol::Timer::after(time));
    }

    /// Reads a record from the network.
    pub(crate) fn get(&self, key: &RecordKey, freshness: Freshness) -> Duration {
        let handle = self.handle.with_freshness(freshness);
        let start = Instant::now();
        let found = self.run(handle.get_record(*key));
        let time = start.elapsed();
        assert!(found.is_ok(), "every record is there to be found: {found:?}");
        time
    }

    /// Reads all of these, so many at a time. What each took.
    pub(crate) fn gets(&self, keys: &[RecordKey], at_a_time: usize) -> Vec<Duration> {
        let get = |key: &RecordKey| {
            let key = *key;
            async move {
                let start = Instant::now();
                let found = self.handle.get_record(key).await;
                assert!(found.is_ok(), "every record is there to be found: {found:?}");
                start.elapsed()
            }
        };
        self.run(stream::iter(keys).map(get).buffer_unordered(at_a_time).collect())
    }

    /// Puts a record to those who are closest to its key, all of whom have verified and stored it.
    pub(crate) fn put(&self, head: &Signed<Head>) -> Duration {
        let record = Record::Head(head.clone());
        let start = Instant::now();
        let put = self.run(self.handle.put_record(record));
        let time = start.elapsed();
        assert!(matches!(put, Ok(20..)), "{put:?}");
        time
    }

    /// Puts all of these.
    pub(crate) fn put_all(&self, heads: &[Signed<Head>]) {
        let put = |head: &Signed<Head>| {
            let head = head.clone();
            async move {
                // On a busy machine a server may take longer than anybody waits for one of twenty.
                for _ in 0..10 {
                    // Now and then one more is sent it early than the lookup finds to be of the closest.
                    let put = self.handle.put_record(Record::Head(head.clone())).await;
                    if put.is_ok_and(|copies| copies >= 20) {
                        return true;
                    }
                }
                false
            }
        };
        let puts: Vec<_> = self.run(stream::iter(heads).map(put).buffer_unordered(PUTS).collect());
        assert!(puts.iter().all(|is_whole| *is_whole), "a record has fewer than 20 copies");
    }

    /// Publishes a package.
    pub(crate) fn register(&self, manifest: Manifest) -> Duration {
        let start = Instant::now();
        let registered = self.run(self.handle.register(manifest));
        let time = start.elapsed();
        assert!(registered.is_ok(), "{registered:?}");
        time
    }
}
