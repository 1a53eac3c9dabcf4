//! The design that examples of libp2p lead to: a tokio task with `select!` over the Swarm, a channel of
//! commands and a sleep after which stale queries are swept out of a map of one-shot channels.

use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use libp2p::{
    Swarm, connection_limits, gossipsub, identify,
    identity::Keypair,
    swarm::{self, NetworkBehaviour},
};
use libp2p_kad as kad;
use libp2p_kad::store::MemoryStore;
use peerage::{
    Limits, Package, PackageId,
    net::transport::{self, TransportConfig},
};
use tokio::sync::{mpsc, oneshot};

use super::{CAPACITY, Driven, Outcome, listen, node, on_tokio, wanted};

/// How long it sleeps between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How often records held for others are handed on, as the node does.
const REPLICATION_INTERVAL: Duration = Duration::from_secs(3600);

/// The same protocols as the node speaks, set up in the same way where that costs anything.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    gossipsub: gossipsub::Behaviour,
}

fn swarm() -> Outcome<Swarm<Behaviour>> {
    let keypair = Keypair::generate_ed25519();
    let peer_id = keypair.public().to_peer_id();
    let protocol = libp2p::StreamProtocol::new("/classic/kad/1.0.0");
    let store = MemoryStore::new(peer_id);
    let mut settings = kad::Config::new(protocol);
    settings
        .set_record_ttl(None)
        .set_provider_record_ttl(None)
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(Some(REPLICATION_INTERVAL));
    let mut kad = kad::Behaviour::with_config(peer_id, store, settings);
    kad.set_mode(Some(kad::Mode::Server));
    let settings = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .build()?;
    let mut gossipsub =
        gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, settings)?;
    gossipsub.subscribe(&gossipsub::IdentTopic::new("announcements"))?;
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits::ConnectionLimits::default()),
        identify: identify::Behaviour::new(identify::Config::new(
            "/classic/1.0.0".to_owned(),
            keypair.public(),
        )),
        kad,
        gossipsub,
    };
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())?;
    let config = swarm::Config::with_executor(|task| drop(tokio::spawn(task)));
    let mut swarm = Swarm::new(transport, behaviour, peer_id, config);
    swarm.listen_on(listen()?)?;
    Ok(swarm)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct QueryId(u64);

struct Question {
    package: PackageId,
    reply: oneshot::Sender<Option<Package>>,
}

async fn serve(
    mut swarm: Swarm<Behaviour>,
    mut questions: mpsc::Receiver<Question>,
    packages: HashMap<PackageId, Package>,
) {
    let mut pending: HashMap<QueryId, oneshot::Sender<Option<Package>>> = HashMap::new();
    let mut next = 0;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => drop(black_box(event)),
            question = questions.recv() => {
                let Some(Question { package, reply }) = question else { return };
                let id = QueryId(next);
                next += 1;
                // Every query is on the books, whether its answer is at hand or comes from the network.
                pending.insert(id, reply);
                if let Some(package) = packages.get(&package)
                    && let Some(reply) = pending.remove(&id)
                {
                    drop(reply.send(Some(package.clone())));
                }
            }
            () = tokio::time::sleep(SWEEP_INTERVAL) => pending.retain(|_, reply| !reply.is_closed()),
        }
    }
}

/// A running classic, and the way to ask it.
pub(crate) struct Classic {
    runtime: tokio::runtime::Runtime,
    questions: mpsc::Sender<Question>,
    wanted: PackageId,
}

impl Classic {
    pub(crate) fn new() -> Outcome<Self> {
        let runtime = on_tokio()?;
        let (_, _, package) = node()?;
        let wanted = wanted(&package);
        let packages = HashMap::from([(wanted.clone(), package)]);
        let (questions, asked) = mpsc::channel(CAPACITY);
        let swarm = {
            let _entered = runtime.enter();
            swarm()?
        };
        drop(runtime.spawn(serve(swarm, asked, packages)));
        Ok(Self { runtime, questions, wanted })
    }
}

async fn ask(questions: &mpsc::Sender<Question>, package: PackageId) -> Option<Package> {
    let (reply, answer) = oneshot::channel();
    questions.send(Question { package, reply }).await.ok()?;
    answer.await.ok()?
}

impl Driven for Classic {
    fn call(&mut self) -> bool {
        let Self { runtime, questions, wanted } = self;
        black_box(runtime.block_on(ask(questions, wanted.clone()))).is_some()
    }

    fn run(&mut self, calls: u64) -> Duration {
        let Self { runtime, questions, wanted } = self;
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..calls {
                assert!(black_box(ask(questions, wanted.clone()).await).is_some());
            }
            start.elapsed()
        })
    }
}
