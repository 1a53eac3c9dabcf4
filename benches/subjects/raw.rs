//! A Swarm with nothing but `kad::Behaviour` and what it needs to find peers: what a program has that hands
//! its lookups straight to Kademlia.
//!
//! It is set up as the node sets up its own where that costs anything, over the same transport. Connections
//! are polled by the Swarm itself, on the thread that asks, as the node's are by the node.
//!
//! Where both sides ask the same servers, the transport is that within the process: over loopback TCP both spend most of
//! their time in the same system calls, and what differs between them would be measured through that. Where each side has
//! servers of its own kind, it is libp2p's, on tokio, as programs that use Kademlia have it.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    collections::HashMap,
    pin::pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, executor::block_on, future::select};
use libp2p::{
    StreamProtocol, Swarm, connection_limits,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade},
    identify,
    identity::Keypair,
    noise,
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use libp2p::{Transport as _, core::upgrade::Version};
use libp2p_kad as kad;
use libp2p_kad::store::{MemoryStore, MemoryStoreConfig};
use peerage::{
    Limits, Multiaddr, NetworkName, PeerId,
    net::transport::{self, TransportConfig},
};

use crate::{
    dispatch::{Outcome, listen},
    network::Network,
};

/// What the node allows.
const MAX_PACKET_BYTES: usize = 64 * 1024;

/// How long after joining Kademlia may still want to fill its table by itself (500 ms after a peer came).
pub(crate) const SETTLING: Duration = Duration::from_millis(800);

/// What connections go over, and who runs what goes on with them.
#[derive(Debug, Clone)]
pub(crate) enum Over {
    /// The process.
    Memory,
    /// Loopback.
    Tcp(tokio::runtime::Handle),
}

impl Over {
    fn transport(&self, keypair: &Keypair) -> Outcome<Boxed<(PeerId, StreamMuxerBox)>> {
        Ok(match self {
            Self::Memory => transport::memory(keypair, &TransportConfig::new(), &Limits::new())?,
            Self::Tcp(_) => libp2p_tcp::tokio::Transport::new(libp2p_tcp::Config::default())
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(keypair)?)
                .multiplex(libp2p_yamux::Config::default())
                .boxed(),
        })
    }

    fn listen(&self) -> Outcome<Multiaddr> {
        match self {
            Self::Memory => listen(),
            Self::Tcp(_) => Ok("/ip4/127.0.0.1/tcp/0".parse()?),
        }
    }

    fn asker(&self) -> swarm::Config {
        match self {
            Self::Memory => swarm::Config::without_executor(),
            Self::Tcp(runtime) => on_tokio(runtime),
        }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Self::Memory => block_on(future),
            Self::Tcp(runtime) => runtime.block_on(future),
        }
    }
}

/// Connections are tasks of the runtime.
pub(crate) fn on_tokio(runtime: &tokio::runtime::Handle) -> swarm::Config {
    let runtime = runtime.clone();
    swarm::Config::with_executor(move |task| drop(runtime.spawn(task)))
}

/// What one that asks has put.
const OWN_RECORDS: usize = 1024;

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
}

fn swarm(
    over: &Over,
    mode: kad::Mode,
    limits: connection_limits::ConnectionLimits,
    config: swarm::Config,
    records: usize,
) -> Outcome<Swarm<Behaviour>> {
    let keypair = Keypair::generate_ed25519();
    let peer_id = keypair.public().to_peer_id();
    let network = NetworkName::default();
    let protocol = StreamProtocol::try_from_owned(format!("/peerage/{network}/kad/1.0.0"))?;
    let mut settings = kad::Config::new(protocol.clone());
    settings
        .set_record_ttl(None)
        .set_provider_record_ttl(None)
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_periodic_bootstrap_interval(None)
        .set_caching(kad::Caching::Disabled)
        .set_max_packet_size(MAX_PACKET_BYTES);
    let max_records = records.max(1);
    let store = MemoryStoreConfig { max_records, ..MemoryStoreConfig::default() };
    let store = MemoryStore::with_config(peer_id, store);
    let mut kad = kad::Behaviour::with_config(peer_id, store, settings);
    kad.set_mode(Some(mode));
    let introduction = identify::Config::new(format!("/peerage/{network}/1.0.0"), keypair.public());
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(introduction),
        kad,
    };
    let transport = over.transport(&keypair)?;
    let config = config.with_substream_upgrade_protocol_override(upgrade::Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, peer_id, config))
}

/// A server that listens, with room for so many records, and its address. It only answers: it dials nobody,
/// so that all it does is done for those who ask.
pub(crate) fn server(
    over: &Over,
    config: swarm::Config,
    records: usize,
) -> Outcome<(Swarm<Behaviour>, Multiaddr)> {
    let limits = connection_limits::ConnectionLimits::default().with_max_pending_outgoing(Some(0));
    let mut swarm = swarm(over, kad::Mode::Server, limits, config, records)?;
    swarm.listen_on(over.listen()?)?;
    match over.run(swarm.select_next_some()) {
        SwarmEvent::NewListenAddr { address, .. } => Ok((swarm, address)),
        other => Err(format!("whoever listens says so first, not {other:?}").into()),
    }
}

/// One that asks.
pub(crate) struct RawClient {
    over: Over,
    swarm: Swarm<Behaviour>,
}

impl RawClient {
    /// One that has dialed these peers.
    pub(crate) fn new(over: Over, peers: &[Multiaddr]) -> Outcome<Self> {
        let limits = connection_limits::ConnectionLimits::default();
        let mut swarm =
            over.run(async { swarm(&over, kad::Mode::Client, limits, over.asker(), OWN_RECORDS) })?;
        for peer in peers {
            swarm.dial(peer.clone())?;
        }
        Ok(Self { over, swarm })
    }

    /// One that has joined the network and filled its routing table.
    pub(crate) fn join(network: &Network) -> Outcome<Self> {
        let mut client = Self::new(network.over(), network.bootstrap())?;
        while client.known_peers() < network.bootstrap().len() {
            client.next();
        }
        client.swarm.behaviour_mut().kad.bootstrap()?;
        client.rest(SETTLING);
        Ok(client)
    }

    /// Lets what is still under way come to its end, so that nothing is measured in the wake of what was before.
    pub(crate) fn rest(&mut self, time: Duration) {
        self.over.clone().run(async {
            let rest = async { while self.event().await.is_some() {} };
            select(pin!(rest), smol::Timer::after(time)).await;
        });
    }

    /// How many peers stand in its routing table.
    pub(crate) fn known_peers(&mut self) -> usize {
        self.swarm.behaviour_mut().kad.kbuckets().map(|bucket| bucket.num_entries()).sum()
    }

    /// How many queries Kademlia runs.
    pub(crate) fn running(&self) -> usize {
        self.swarm.behaviour().kad.iter_queries().count()
    }

    /// Polls it until it has no more to tell.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(event)) = self.swarm.poll_next_unpin(cx) {
            self.take(event);
        }
    }

    pub(crate) fn ask(&mut self, key: &kad::RecordKey) -> kad::QueryId {
        self.swarm.behaviour_mut().kad.get_record(key.clone())
    }

    /// The next event of Kademlia's. What peers say of themselves is taken into the routing table, as the node
    /// does.
    async fn event(&mut self) -> Option<kad::Event> {
        loop {
            let event = self.swarm.next().await?;
            if let Some(event) = self.take(event) {
                return Some(event);
            }
        }
    }

    fn take(&mut self, event: SwarmEvent<BehaviourEvent>) -> Option<kad::Event> {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => return Some(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                for address in info.listen_addrs {
                    self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
                }
            }
            _ => {}
        }
        None
    }

    fn next(&mut self) -> Option<kad::Event> {
        self.over.clone().run(self.event())
    }

    /// Asks for all of these at once. Each is answered by the first copy, upon which its query is finished; the
    /// time is that until the last answer.
    pub(crate) fn first_values(&mut self, keys: &[kad::RecordKey]) -> Duration {
        let (time, lost) = self.answers(keys, |swarm, id| {
            if let Some(mut query) = swarm.behaviour_mut().kad.query_mut(&id) {
                query.finish();
            }
        });
        assert!(lost == 0, "every record is there to be found");
        // The ends of the finished queries, too, before the next are begun.
        while self.running() > 0 {
            self.next();
        }
        time
    }

    /// Asks for one, until the first copy, upon which its query is finished.
    pub(crate) fn first_value(&mut self, key: &kad::RecordKey) -> Duration {
        self.first_values_of(std::slice::from_ref(key), 1).first().copied().unwrap_or_default()
    }

    /// Asks for all of these at once, and leaves the queries to Kademlia. The time is that until the last answer,
    /// or until Kademlia has given up the last one that found nothing in its time; how many those are is told.
    pub(crate) fn left_alone(mut self, keys: &[kad::RecordKey]) -> (Duration, usize) {
        self.answers(keys, |_, _| {})
    }

    fn answers(
        &mut self,
        keys: &[kad::RecordKey],
        answered: impl Fn(&mut Swarm<Behaviour>, kad::QueryId),
    ) -> (Duration, usize) {
        let start = Instant::now();
        let mut asked: HashMap<kad::QueryId, &kad::RecordKey> =
            keys.iter().map(|key| (self.ask(key), key)).collect();
        let mut lost = 0;
        while !asked.is_empty() {
            let Some((id, result, last)) = self.progress() else { continue };
            if let Ok(kad::GetRecordOk::FoundRecord(found)) = result
                && let Some(key) = asked.remove(&id)
            {
                assert!(found.record.key == *key && !found.record.value.is_empty());
                answered(&mut self.swarm, id);
            }
            if last && asked.remove(&id).is_some() {
                lost += 1;
            }
        }
        (start.elapsed(), lost)
    }

    /// Asks for one, and waits until Kademlia has asked everybody.
    pub(crate) fn whole_query(&mut self, key: &kad::RecordKey) -> Duration {
        let start = Instant::now();
        let asked = self.ask(key);
        let mut copies = 0;
        loop {
            let Some((id, result, last)) = self.progress() else { continue };
            if id != asked {
                continue;
            }
            copies += usize::from(matches!(result, Ok(kad::GetRecordOk::FoundRecord(_))));
            if last {
                break;
            }
        }
        let time = start.elapsed();
        assert!(copies > 0, "every record is there to be found");
        time
    }

    /// How far a lookup has come, if the next event is about one, and whether it has ended.
    fn progress(&mut self) -> Option<(kad::QueryId, kad::GetRecordResult, bool)> {
        match self.next()? {
            kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::GetRecord(result),
                step,
                ..
            } => Some((id, result, step.last)),
            _ => None,
        }
    }

    /// Asks for all of these, so many at a time. Each is answered by the first copy, upon which its query is finished, and
    /// the next one begins. What each took.
    pub(crate) fn first_values_of(
        &mut self,
        keys: &[kad::RecordKey],
        at_a_time: usize,
    ) -> Vec<Duration> {
        let over = self.over.clone();
        over.run(async {
            let mut rest = keys.iter();
            let mut asked = HashMap::new();
            let mut times = Vec::with_capacity(keys.len());
            while times.len() < keys.len() {
                for key in rest.by_ref().take(at_a_time - asked.len()) {
                    let now = Instant::now();
                    asked.insert(self.ask(key), now);
                }
                let Some(kad::Event::OutboundQueryProgressed { id, result, step, .. }) =
                    self.event().await
                else {
                    continue;
                };
                if let kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(_))) = result
                    && let Some(start) = asked.remove(&id)
                {
                    times.push(start.elapsed());
                    if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                        query.finish();
                    }
                }
                assert!(
                    !step.last || !asked.contains_key(&id),
                    "every record is there to be found"
                );
            }
            times
        })
    }

    /// Puts a record to those who are closest to its key, all of whom store it.
    pub(crate) fn put(&mut self, key: &kad::RecordKey, bytes: &[u8]) -> Duration {
        let record = kad::Record::new(key.clone(), bytes.to_vec());
        let over = self.over.clone();
        over.run(async {
            let start = Instant::now();
            let put = self.swarm.behaviour_mut().kad.put_record(record, kad::Quorum::All);
            assert!(put.is_ok(), "there is room here");
            loop {
                if let Some(kad::Event::OutboundQueryProgressed {
                    result: kad::QueryResult::PutRecord(result),
                    ..
                }) = self.event().await
                {
                    assert!(result.is_ok(), "{result:?}");
                    return start.elapsed();
                }
            }
        })
    }
}
