//! A network to ask: libp2p-kad servers that hold signed heads of packages.
//!
//! They are plain `kad::Behaviour`s, so that both sides of a row are served by the very same peers, and run on
//! threads of their own, so that serving is not measured. Records and routing tables are put there directly. Over TCP they
//! run on tokio, for a peer that has servers of its own kind.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, channel::oneshot, executor::block_on};
use libp2p::{
    Swarm,
    swarm::{self, SwarmEvent},
};
use libp2p_kad as kad;
use libp2p_kad::store::RecordStore as _;
use peerage::{
    Digest, Multiaddr, NetworkName, PackageId, PeerId,
    identity::Keypair,
    record::{Head, ReleaseEntry, Revision, Signed, Validity},
};
use tokio::runtime::Runtime;

use crate::{
    dispatch::{Outcome, manifest},
    raw::{self, Behaviour, BehaviourEvent, Over},
};

/// Threads that serve: with one, the busiest rows would measure how fast it is.
const THREADS: usize = 2;

/// How many peers a newcomer is told of.
const BOOTSTRAP_PEERS: usize = 3;

/// A package that the network knows.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) package: PackageId,
    pub(crate) key: kad::RecordKey,
}

/// A running network.
#[derive(Debug)]
pub(crate) struct Network {
    held: Vec<Held>,
    bootstrap: Vec<Multiaddr>,
    requests: Arc<AtomicUsize>,
    stop: Vec<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    tokio: Option<Runtime>,
}

impl Network {
    /// A network of so many servers, which holds so many packages: each at the twenty servers that are closest
    /// to its key.
    pub(crate) fn new(servers: usize, packages: usize) -> Outcome<Self> {
        let executor = Arc::new(smol::Executor::new());
        let tasks = Arc::downgrade(&executor);
        let mut servers = Servers::new(&Over::Memory, servers, packages, || {
            let tasks = tasks.clone();
            swarm::Config::with_executor(move |task| {
                if let Some(tasks) = tasks.upgrade() {
                    tasks.spawn(task).detach();
                }
            })
        })?;
        let owner = Keypair::generate_ed25519();
        let mut held = Vec::new();
        for number in 0..packages {
            held.push(servers.put(&head(&owner, number)?)?);
        }

        let requests = Arc::new(AtomicUsize::new(0));
        let bootstrap = servers.bootstrap()?;
        for (swarm, _) in servers.0 {
            executor.spawn(serve(swarm, Arc::clone(&requests))).detach();
        }
        let (mut stop, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..THREADS {
            let executor = Arc::clone(&executor);
            let (sender, stopped) = oneshot::channel();
            stop.push(sender);
            threads.push(thread::Builder::new().name("network".to_owned()).spawn(move || {
                // Ends when the network is dropped.
                let _ = block_on(executor.run(stopped));
            })?);
        }
        Ok(Self { held, bootstrap, requests, stop, threads, tokio: None })
    }

    /// The same over TCP, with these heads, and room for as many again.
    pub(crate) fn over_tcp(servers: usize, heads: &[Signed<Head>]) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()?;
        let over = Over::Tcp(runtime.handle().clone());
        let mut servers = {
            let _entered = runtime.enter();
            Servers::new(&over, servers, 2 * heads.len(), || raw::on_tokio(runtime.handle()))?
        };
        let held = heads.iter().map(|head| servers.put(head)).collect::<Outcome<_>>()?;
        let requests = Arc::new(AtomicUsize::new(0));
        let bootstrap = servers.bootstrap()?;
        for (swarm, _) in servers.0 {
            drop(runtime.spawn(serve(swarm, Arc::clone(&requests))));
        }
        let (stop, threads) = (Vec::new(), Vec::new());
        Ok(Self { held, bootstrap, requests, stop, threads, tokio: Some(runtime) })
    }

    /// What it is reached over.
    pub(crate) fn over(&self) -> Over {
        self.tokio.as_ref().map_or(Over::Memory, |runtime| Over::Tcp(runtime.handle().clone()))
    }

    /// The packages that it holds.
    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    /// Where to join.
    pub(crate) fn bootstrap(&self) -> &[Multiaddr] {
        &self.bootstrap
    }

    /// How many requests for a record there have been.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(runtime) = self.tokio.take() {
            runtime.shutdown_background();
        }
    }
}

/// Servers that do not run yet, and where they are.
struct Servers(Vec<(Swarm<Behaviour>, Multiaddr)>);

impl Servers {
    /// So many, each with room for so many records, that know each other.
    fn new(
        over: &Over,
        servers: usize,
        records: usize,
        config: impl Fn() -> swarm::Config,
    ) -> Outcome<Self> {
        let mut swarms = Vec::new();
        for _ in 0..servers {
            // Clients stay connected while it is not their turn.
            let config = config().with_idle_connection_timeout(Duration::from_secs(3600));
            swarms.push(raw::server(over, config, records)?);
        }
        let addresses: Vec<(PeerId, Multiaddr)> = swarms
            .iter()
            .map(|(swarm, address)| (*swarm.local_peer_id(), address.clone()))
            .collect();
        for (number, (swarm, _)) in swarms.iter_mut().enumerate() {
            // Each begins with another, so that what does not fit is not the same everywhere.
            for (peer, address) in addresses.iter().cycle().skip(number).take(servers) {
                swarm.behaviour_mut().kad.add_address(peer, address.clone());
            }
        }
        Ok(Self(swarms))
    }

    /// Where to join.
    fn bootstrap(&self) -> Outcome<Vec<Multiaddr>> {
        let first = self.0.iter().take(BOOTSTRAP_PEERS);
        let address = |(swarm, address): &(Swarm<Behaviour>, Multiaddr)| {
            address.clone().with_p2p(*swarm.local_peer_id())
        };
        Ok(first
            .map(address)
            .collect::<Result<_, _>>()
            .map_err(|_| "an address of another peer")?)
    }

    /// Puts a head where a put would bring it.
    fn put(&mut self, head: &Signed<Head>) -> Outcome<Held> {
        let key = kad::RecordKey::new(&head.key().as_bytes());
        let target = kad::KBucketKey::new(key.clone());
        self.0.sort_by_cached_key(|(swarm, _)| {
            kad::KBucketKey::from(*swarm.local_peer_id()).distance(&target)
        });
        for (swarm, _) in self.0.iter_mut().take(kad::K_VALUE.get()) {
            let record = kad::Record::new(key.clone(), head.bytes().to_vec());
            swarm.behaviour_mut().kad.store_mut().put(record)?;
        }
        Ok(Held { package: PackageId::owned(head.owner, head.name.clone()), key })
    }
}

async fn serve(mut swarm: Swarm<Behaviour>, requests: Arc<AtomicUsize>) {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::InboundRequest {
            request: kad::InboundRequest::GetRecord { .. },
        })) = swarm.select_next_some().await
        {
            requests.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The head of a package with one release, as its owner signs it.
pub(crate) fn head(owner: &Keypair, number: usize) -> Outcome<Signed<Head>> {
    let manifest = manifest(&format!("package-{number}"))?;
    let release = ReleaseEntry {
        version: manifest.version.clone(),
        digest: Digest::of(manifest.name.as_str()),
        yanked: false,
    };
    let issued = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let head = Head::live(
        NetworkName::default(),
        owner.public().to_peer_id(),
        Revision::new(0, 1),
        Validity::starting(issued, 48 * 3600),
        manifest,
        vec![release],
        None,
    );
    Ok(Signed::sign(owner, head)?)
}
