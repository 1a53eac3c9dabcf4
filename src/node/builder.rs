//! What a node is made of: identity, configuration, and the seams to the world around it.

use std::{fmt, sync::Arc};

use futures::task::AtomicWaker;
use libp2p::{
    PeerId, Swarm,
    core::{transport::ListenerId, upgrade},
    identity::Keypair,
    swarm,
};

use super::{
    failures::innermost,
    fetches::Fetches,
    link::Link,
    metrics::Metrics,
    poll::{Budgets, Node, Phase},
    storage::{Ahead, Disk, Kept},
    watch::Watch,
    wiring::Wiring,
};
use crate::{
    bell::Bell,
    clock::{Clock, Entropy, SystemClock, SystemEntropy},
    config::Config,
    engine::{Authority, Engine, Identity, Now, SharedStore, Snapshot, dht::Dht},
    error::{Error, Result},
    handle::{Facts, Handle},
    net::{
        self, Behaviour, ConnectionTask, ConnectionTasks, Resolved, Spawner, Subscriptions,
        Traffic, transport::BoxedTransport,
    },
    queue,
    record::Delegation,
    shelf::Shelf,
    storage::Storage,
    ticket::Cancels,
};

/// As many as the DHT serves at a time.
const MAX_NEGOTIATING_STREAMS: usize = 32;

/// Builds a [`Node`]. Whatever is not set has the default of [`Node::new`].
///
/// ```no_run
/// use peerage::{Config, Node, identity::Keypair};
///
/// // Connections run on the application's own executor instead of in the node's poll.
/// let (node, handle) = Node::builder(Keypair::generate_ed25519(), Config::new())
///     .with_executor(|task| smol::spawn(task).detach())
///     .build()?;
/// # Ok::<_, peerage::Error>(())
/// ```
#[must_use]
pub struct NodeBuilder {
    keypair: Keypair,
    config: Config,
    transport: Option<BoxedTransport>,
    clock: Arc<dyn Clock>,
    entropy: Box<dyn Entropy>,
    spawner: Option<Spawner>,
    snapshot: Option<Snapshot>,
    storage: Option<Arc<dyn Storage>>,
    delegation: Option<Delegation>,
    epoch: Option<u32>,
    metrics: Metrics,
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("peer_id", &self.keypair.public().to_peer_id())
            .field("config", &self.config)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl NodeBuilder {
    pub(super) fn new(keypair: Keypair, config: Config) -> Self {
        Self {
            keypair,
            config,
            transport: None,
            clock: Arc::new(SystemClock::new()),
            entropy: Box::new(SystemEntropy),
            spawner: None,
            snapshot: None,
            storage: None,
            delegation: None,
            epoch: None,
            metrics: Metrics::default(),
        }
    }

    /// Moves bytes with this transport instead of TCP: [`transport::memory`](crate::net::transport::memory) for
    /// tests, or one of the caller's own. It must authenticate the peer and time out dials and upgrades by
    /// itself. Its type is of the `libp2p` that this crate is built with:
    /// [see there](crate::net::transport#whose-traits-these-are).
    pub fn with_transport(mut self, transport: BoxedTransport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Reads time from this clock instead of the operating system's.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes randomness from this source instead of the operating system's.
    pub fn with_entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Box::new(entropy);
        self
    }

    /// Runs connections by this closure, one task for each, instead of in the node's own poll. For an
    /// application with processors to spare: encryption then takes place on its executor's threads.
    ///
    /// The closure must see to it that each task is polled until it ends.
    pub fn with_executor(mut self, spawn: impl Fn(ConnectionTask) + Send + Sync + 'static) -> Self {
        self.spawner = Some(Box::new(spawn));
        self
    }

    /// Starts from what an earlier node knew: see [`Snapshot`]. What it held is verified anew, 100 to 200 µs
    /// a record, and what is out of date by now is dropped. Pins of the configuration come before those in it.
    pub fn with_snapshot(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Keeps what it knows in this storage, and starts from what is there: see [`storage`](crate::storage).
    ///
    /// [`build`](Self::build) then reads what the node has published, the sequences that it has seen, and pins. It blocks
    /// for that: some milliseconds, and about 0.1 ms for each record of the node's own, since a change is built on all of
    /// them. The rest is read while the node runs. A snapshot, if there is one as well, is taken in besides.
    ///
    /// ```
    /// use peerage::{Config, Node, identity::Keypair, storage::Memory};
    ///
    /// let keypair = Keypair::generate_ed25519();
    /// let storage = Memory::new();
    /// let (node, handle) =
    ///     Node::builder(keypair, Config::new()).with_storage(storage.clone()).build()?;
    /// # drop((node, handle));
    /// # Ok::<_, peerage::Error>(())
    /// ```
    pub fn with_storage(mut self, storage: impl Storage) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Publishes for another owner, who has delegated it to this node's key: the node's packages are then the
    /// owner's ([`Handle::owner`]), whose own key stays where it is. Messages are still signed in the node's own name.
    ///
    /// What is published holds for no longer than the delegation. Once that has ended, or a higher epoch of the owner
    /// has been seen, the node publishes nothing more, and says so; it reads as before.
    pub fn with_delegation(mut self, delegation: Delegation) -> Self {
        self.delegation = Some(delegation);
        self
    }

    /// Signs in this epoch, or in a higher one where that has been seen: for the owner's own key, which revokes by it
    /// every delegation of a lower epoch. Default: 0, or that of the delegation.
    pub fn with_epoch(mut self, epoch: u32) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Shows the node's [`Counters`](crate::Counters) and the numbers of its
    /// [`RegistryMetadata`](crate::RegistryMetadata) in a registry of [`prometheus_client`], which the application encodes
    /// whenever it is asked for them. [`metrics`](crate::metrics) lists them.
    ///
    /// They are as of the node's last heartbeat, thus up to a second old, and brought up to date by each call of
    /// [`metadata`](crate::Registry::metadata). Of a node that is not polled they stand still, and the last ones remain
    /// after it has ended.
    ///
    /// ```
    /// use peerage::{Config, Node, identity::Keypair, metrics::prometheus_client};
    /// use prometheus_client::{encoding::text::encode, registry::Registry};
    ///
    /// let mut registry = Registry::default();
    /// let config = Config::new().with_listen(["/ip4/127.0.0.1/tcp/0".parse()?]);
    /// let (node, handle) =
    ///     Node::builder(Keypair::generate_ed25519(), config).with_metrics(&mut registry).build()?;
    ///
    /// // What is answered to `GET /metrics`.
    /// let mut text = String::new();
    /// encode(&mut text, &registry)?;
    /// assert!(text.contains("peerage_calls_total{operation=\"get\",outcome=\"answered\"} 0\n"));
    /// # drop((node, handle));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "prometheus")]
    pub fn with_metrics(
        mut self,
        registry: &mut crate::metrics::prometheus_client::registry::Registry,
    ) -> Self {
        self.metrics.register(registry);
        self
    }

    /// Puts the node together and begins to listen.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a configuration, key, delegation or snapshot that cannot be used, [`Error::Transport`]
    /// where not one of the configured addresses can be listened on, [`Error::Storage`] for a storage that cannot be
    /// read or belongs to another owner or network.
    pub fn build(mut self) -> Result<(Node, Handle)> {
        self.config.validate()?;
        let identity = self.identity()?;
        let (disk, kept) = self.disk(&identity)?;
        let resolved = Resolved::default();
        let transport = self.transport(&resolved)?;
        let traffic = Arc::new(Traffic::new(&self.config.network)?);
        let transport = net::metered(transport, Arc::clone(&traffic));
        let watch = Watch::new(Arc::clone(&self.clock));
        let now = watch.last();
        let store = SharedStore::new(self.peer_id(), &self.config, now.unix);
        let subscriptions = Subscriptions::new(&self.config.limits);
        let (tasks, executor) = ConnectionTasks::new(self.spawner.take());
        let mut swarm = self.swarm(transport, executor, &subscriptions, resolved.clone())?;
        let listeners = listen(&mut swarm, &self.config)?;
        for address in &self.config.external_addresses {
            swarm.add_external_address(address.clone());
        }

        let (sender, commands) = queue::bounded(self.config.command_capacity);
        // One place for the task that polls the node, and everybody who wakes it.
        let task = Arc::new(AtomicWaker::new());
        let cancels = Cancels::new(Arc::clone(&task));
        let shelf = Shelf::default();
        let (clock, facts) = (Arc::clone(&self.clock), self.facts(&identity));
        let handle = Handle::new(sender, cancels.clone(), clock, shelf.clone(), facts);
        let mut node = Node {
            budgets: Budgets::new(&self.config.limits),
            tasks,
            commands,
            cancels,
            timer: self.clock.timer(),
            watch,
            heartbeat: now.mono,
            armed: None,
            phase: Phase::Running,
            metrics: std::mem::take(&mut self.metrics),
            disk,
            link: Link {
                wiring: Wiring::new(&self.config, listeners, subscriptions, resolved)?,
                swarm,
                bell: Bell::new(task),
                dht: self.dht(now),
                engine: self.engine(now, identity, store.clone(), shelf, kept)?,
                store,
                fetches: Fetches::default(),
                traffic,
            },
        };
        node.metrics.show(&node.link.engine);
        Ok((node, handle))
    }

    fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// Who the node is, and by what right it is to publish.
    fn identity(&mut self) -> Result<Identity> {
        if self.keypair.clone().try_into_ed25519().is_err() {
            return Err(Error::invalid("keypair", "must be an Ed25519 key: it signs records"));
        }
        let authority = match self.delegation.take() {
            Some(delegation) => self.delegated(delegation)?,
            None => Authority::Owner { epoch: self.epoch.unwrap_or_default() },
        };
        Ok(Identity::new(self.keypair.clone(), authority))
    }

    fn delegated(&self, delegation: Delegation) -> Result<Authority> {
        let invalid = |reason: String| Err(Error::invalid("delegation", reason));
        let peer_id = self.peer_id();
        if delegation.publisher() != peer_id {
            let publisher = delegation.publisher();
            return invalid(format!(
                "is for `{publisher}`; one for this node, `{peer_id}`, is accepted"
            ));
        }
        if *delegation.network() != self.config.network {
            let (other, network) = (delegation.network(), &self.config.network);
            return invalid(format!("is for network `{other}`; one for `{network}` is accepted"));
        }
        if let Err(rejected) = delegation.verify() {
            return invalid(format!("is not the owner's: {rejected}"));
        }
        if self.epoch.is_some_and(|epoch| epoch != delegation.epoch()) {
            let epoch = delegation.epoch();
            return Err(Error::invalid("epoch", format!("is {epoch} by the delegation")));
        }
        Ok(Authority::Delegate(Box::new(delegation)))
    }

    fn transport(&mut self, resolved: &Resolved) -> Result<BoxedTransport> {
        let Config { transport, limits, .. } = &self.config;
        match self.transport.take() {
            Some(transport) => Ok(transport),
            None => net::transport::telling(&self.keypair, transport, limits, resolved),
        }
    }

    fn swarm(
        &self,
        transport: BoxedTransport,
        executor: Spawner,
        subscriptions: &Subscriptions,
        resolved: Resolved,
    ) -> Result<Swarm<Behaviour>> {
        let behaviour = Behaviour::new(&self.keypair, &self.config, subscriptions, resolved)?;
        let config = swarm::Config::with_executor(executor)
            // A dialed substream names one protocol: the first bytes may follow without waiting for the
            // other side to agree, which saves a round trip.
            .with_substream_upgrade_protocol_override(upgrade::Version::V1Lazy)
            // Streams of a peer that have not said what they are for. Each has ten seconds; more wait unseen, within
            // what the connection may have in all.
            .with_max_negotiating_inbound_streams(MAX_NEGOTIATING_STREAMS);
        Ok(Swarm::new(transport, behaviour, self.peer_id(), config))
    }

    /// The storage, and what was read from it.
    fn disk(&mut self, identity: &Identity) -> Result<(Option<Disk>, Option<Kept>)> {
        let Some(storage) = self.storage.take() else { return Ok((None, None)) };
        // A snapshot is taken in before the first poll, and judged by all sequences.
        let ahead = if self.snapshot.is_some() { Ahead::All } else { Ahead::Own };
        let (disk, kept) = Disk::open(storage, &self.config.network, &identity.owner(), ahead)?;
        Ok((Some(disk), Some(kept)))
    }

    /// What a handle knows without asking.
    fn facts(&self, identity: &Identity) -> Facts {
        Facts {
            peer_id: self.peer_id(),
            owner: identity.owner(),
            network: self.config.network.clone(),
            query_timeout: self.config.query_timeout,
            announce_timeout: self.config.announce_timeout,
        }
    }

    fn dht(&mut self, now: Now) -> Dht {
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        Dht::new(now.mono, self.peer_id(), &self.config, seed)
    }

    /// The engine, with what an earlier one knew.
    fn engine(
        self,
        now: Now,
        identity: Identity,
        store: SharedStore,
        shelf: Shelf,
        kept: Option<Kept>,
    ) -> Result<Engine> {
        let mut engine = Engine::new(identity, self.config, store, self.entropy, shelf);
        if let Some(kept) = &kept {
            engine.note_changes(kept.bytes);
            if kept.are_sequences_left {
                engine.await_sequences();
            }
            engine.restore_first(now, &kept.rows)?;
        }
        if let Some(snapshot) = &self.snapshot {
            engine.restore(now, snapshot)?;
        }
        engine.start(now);
        Ok(engine)
    }
}

impl Node {
    /// A node with this identity over TCP, and a handle to ask it. It listens and dials from its first poll
    /// on. The identity must be an Ed25519 key: it signs what the node publishes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a configuration or key that cannot be used, [`Error::Transport`] where not one
    /// of the configured addresses can be listened on.
    pub fn new(keypair: Keypair, config: Config) -> Result<(Self, Handle)> {
        Self::builder(keypair, config).build()
    }

    /// A node with a transport, clock, randomness or executor of the caller's own.
    pub fn builder(keypair: Keypair, config: Config) -> NodeBuilder {
        NodeBuilder::new(keypair, config)
    }
}

/// Listens on every configured address that can be listened on. One that cannot is told in the log, unless
/// all of them fail: a node that was told to listen and cannot be reached by anybody is an error.
fn listen(swarm: &mut Swarm<Behaviour>, config: &Config) -> Result<Vec<ListenerId>> {
    let mut listeners = Vec::new();
    let mut failures = Vec::new();
    for address in &config.listen {
        match swarm.listen_on(address.clone()) {
            Ok(listener) => listeners.push(listener),
            Err(error) => failures.push(format!("{address}: {}", innermost(&error))),
        }
    }
    if failures.is_empty() {
        return Ok(listeners);
    }
    let reason = format!("cannot listen on {}", failures.join("; "));
    if listeners.is_empty() {
        return Err(Error::Transport { reason });
    }
    tracing::warn!("{reason}");
    Ok(listeners)
}
