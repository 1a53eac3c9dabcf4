//! Peers of another implementation: rust-libp2p's Kademlia as it comes, under the names of this network. It knows no
//! packages, and keeps whatever it is given.

use futures::{
    FutureExt as _, StreamExt as _,
    channel::{mpsc, oneshot},
};
use libp2p::{
    StreamProtocol, Swarm, identify,
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use libp2p_kad as kad;
use libp2p_kad::{
    GetRecordOk, QueryId, QueryResult,
    store::{MemoryStore, RecordStore as _},
};
use peerage::{
    Limits, Multiaddr, NetworkName, PeerId,
    identity::Keypair,
    net::transport::{self, TransportConfig},
    record::RecordKey,
};

use crate::support::within;

pub(crate) use libp2p_kad::Mode;

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

/// A running peer. It is gone when this is dropped.
pub(crate) struct Foreign {
    pub(crate) id: PeerId,
    pub(crate) address: Multiaddr,
    requests: mpsc::UnboundedSender<Request>,
}

/// What it is to do, and where the answer goes.
enum Request {
    /// Look a record up in the network.
    Get(kad::RecordKey, oneshot::Sender<Option<Vec<u8>>>),
    /// Put one to the network. Whether anybody has acknowledged it.
    Put(kad::Record, oneshot::Sender<bool>),
    /// Look up the peers closest to a key.
    Closest(kad::RecordKey, oneshot::Sender<Vec<PeerId>>),
    /// What it keeps itself.
    Held(kad::RecordKey, oneshot::Sender<Option<Vec<u8>>>),
    /// Keep a record, and tell nobody.
    Keep(kad::Record, oneshot::Sender<()>),
    /// Whom it knows.
    Known(oneshot::Sender<Vec<PeerId>>),
}

/// A query under way, and who waits for it.
enum Waiting {
    Get(oneshot::Sender<Option<Vec<u8>>>),
    Put(oneshot::Sender<bool>),
    Closest(oneshot::Sender<Vec<PeerId>>),
}

impl Foreign {
    /// Starts one that dials this address, if it is given one.
    pub(crate) async fn start(mode: Mode, bootstrap: Option<&Multiaddr>) -> Self {
        let mut swarm = swarm(mode);
        let id = *swarm.local_peer_id();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("listening");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        swarm.add_external_address(address.clone());
        if let Some(bootstrap) = bootstrap {
            swarm.dial(bootstrap.clone()).expect("a dial");
        }
        let (requests, asked) = mpsc::unbounded();
        smol::spawn(run(swarm, asked)).detach();
        Self { id, address, requests }
    }

    pub(crate) async fn get(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.ask(|reply| Request::Get(name(key), reply)).await
    }

    pub(crate) async fn put(&self, key: &RecordKey, bytes: Vec<u8>) -> bool {
        self.ask(|reply| Request::Put(record(key, bytes), reply)).await
    }

    pub(crate) async fn closest(&self, key: &RecordKey) -> Vec<PeerId> {
        self.ask(|reply| Request::Closest(name(key), reply)).await
    }

    pub(crate) async fn held(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.ask(|reply| Request::Held(name(key), reply)).await
    }

    pub(crate) async fn keep(&self, key: &RecordKey, bytes: Vec<u8>) {
        self.ask(|reply| Request::Keep(record(key, bytes), reply)).await;
    }

    pub(crate) async fn known(&self) -> Vec<PeerId> {
        self.ask(Request::Known).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (reply, answer) = oneshot::channel();
        self.requests.unbounded_send(request(reply)).expect("it runs");
        within("a foreign peer's answer", answer).await.expect("an answer")
    }
}

fn name(key: &RecordKey) -> kad::RecordKey {
    kad::RecordKey::new(&key.as_bytes())
}

fn record(key: &RecordKey, bytes: Vec<u8>) -> kad::Record {
    kad::Record::new(key.as_bytes().to_vec(), bytes)
}

fn swarm(mode: Mode) -> Swarm<Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let id = keypair.public().to_peer_id();
    let network = NetworkName::default();
    let protocol = StreamProtocol::try_from_owned(format!("/peerage/{network}/kad/1.0.0"));
    let settings = kad::Config::new(protocol.expect("a protocol"));
    let mut kad = kad::Behaviour::with_config(id, MemoryStore::new(id), settings);
    kad.set_mode(Some(mode));
    let introduction = identify::Config::new(format!("/peerage/{network}/1.0.0"), keypair.public());
    let behaviour = Behaviour { identify: identify::Behaviour::new(introduction), kad };
    let transport =
        transport::tcp(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    let config = swarm::Config::with_executor(|task| smol::spawn(task).detach());
    Swarm::new(transport, behaviour, id, config)
}

async fn run(mut swarm: Swarm<Behaviour>, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut queries = Vec::new();
    loop {
        futures::select! {
            event = swarm.select_next_some() => take(&mut swarm, event, &mut queries),
            request = requests.next().fuse() => match request {
                Some(request) => begin(&mut swarm, request, &mut queries),
                None => return,
            },
        }
    }
}

fn begin(swarm: &mut Swarm<Behaviour>, request: Request, queries: &mut Vec<(QueryId, Waiting)>) {
    let kad = &mut swarm.behaviour_mut().kad;
    // Nobody may wait any more for any of these.
    match request {
        Request::Get(key, reply) => queries.push((kad.get_record(key), Waiting::Get(reply))),
        Request::Put(record, reply) => {
            let query = kad.put_record(record, kad::Quorum::One).expect("room");
            queries.push((query, Waiting::Put(reply)));
        }
        Request::Closest(key, reply) => {
            queries.push((kad.get_closest_peers(key.to_vec()), Waiting::Closest(reply)));
        }
        Request::Held(key, reply) => {
            let held = kad.store_mut().get(&key).map(|record| record.value.clone());
            let _ = reply.send(held);
        }
        Request::Keep(record, reply) => {
            kad.store_mut().put(record).expect("room");
            let _ = reply.send(());
        }
        Request::Known(reply) => {
            let known = kad.kbuckets().flat_map(|bucket| {
                bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>()
            });
            let known = known.collect();
            let _ = reply.send(known);
        }
    }
}

fn take(
    swarm: &mut Swarm<Behaviour>,
    event: SwarmEvent<BehaviourEvent>,
    queries: &mut Vec<(QueryId, Waiting)>,
) {
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) => {
            for address in info.listen_addrs {
                swarm.behaviour_mut().kad.add_address(&peer_id, address);
            }
        }
        SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
            id,
            result,
            step,
            ..
        })) => {
            let is_first =
                matches!(&result, QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(_))));
            if !step.last && !is_first {
                return;
            }
            let Some(at) = queries.iter().position(|(query, _)| *query == id) else { return };
            answer(queries.swap_remove(at).1, result);
        }
        _ => {}
    }
}

fn answer(waiting: Waiting, result: QueryResult) {
    match (waiting, result) {
        (Waiting::Get(reply), QueryResult::GetRecord(result)) => {
            let found = match result {
                Ok(GetRecordOk::FoundRecord(found)) => Some(found.record.value),
                _ => None,
            };
            let _ = reply.send(found);
        }
        (Waiting::Put(reply), QueryResult::PutRecord(result)) => {
            let _ = reply.send(result.is_ok());
        }
        (Waiting::Closest(reply), QueryResult::GetClosestPeers(result)) => {
            let closest = result.map(|found| found.peers).unwrap_or_default();
            let _ = reply.send(closest.into_iter().map(|peer| peer.peer_id).collect());
        }
        (_, result) => panic!("not what was asked for: {result:?}"),
    }
}
