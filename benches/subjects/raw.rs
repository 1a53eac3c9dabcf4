//! A Swarm with nothing but `kad::Behaviour` and what it needs to find peers: what a program has that hands
//! its lookups straight to Kademlia.
//!
//! It is set up as the node sets up its own where that costs anything, over the same transport. Connections
//! are polled by the Swarm itself, on the thread that asks, as the node's are by the node.
//!
//! The transport is that within the process. Over loopback TCP both sides spend most of their time in the same
//! system calls, and what differs between them would be measured through that.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    collections::HashMap,
    pin::pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, executor::block_on, future::select};
use libp2p::{
    StreamProtocol, Swarm, connection_limits,
    core::upgrade,
    identify,
    identity::Keypair,
    kad::{
        self,
        store::{MemoryStore, MemoryStoreConfig},
    },
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use peerage::{
    Limits, Multiaddr, NetworkName,
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

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
}

fn swarm(
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
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())?;
    let config = config.with_substream_upgrade_protocol_override(upgrade::Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, peer_id, config))
}

/// A server that listens, with room for so many records, and its address. It only answers: it dials nobody,
/// so that all it does is done for those who ask.
pub(crate) fn server(
    config: swarm::Config,
    records: usize,
) -> Outcome<(Swarm<Behaviour>, Multiaddr)> {
    let limits = connection_limits::ConnectionLimits::default().with_max_pending_outgoing(Some(0));
    let mut swarm = swarm(kad::Mode::Server, limits, config, records)?;
    swarm.listen_on(listen()?)?;
    match swarm.select_next_some().now_or_never() {
        Some(SwarmEvent::NewListenAddr { address, .. }) => Ok((swarm, address)),
        other => {
            Err(format!("a listener within the process listens at once, not {other:?}").into())
        }
    }
}

/// One that asks.
pub(crate) struct RawClient {
    swarm: Swarm<Behaviour>,
}

impl RawClient {
    /// One that has dialed these peers.
    pub(crate) fn new(peers: &[Multiaddr]) -> Outcome<Self> {
        let limits = connection_limits::ConnectionLimits::default();
        let mut swarm = swarm(kad::Mode::Client, limits, swarm::Config::without_executor(), 1)?;
        for peer in peers {
            swarm.dial(peer.clone())?;
        }
        Ok(Self { swarm })
    }

    /// One that has joined the network and filled its routing table.
    pub(crate) fn join(network: &Network) -> Outcome<Self> {
        let mut client = Self::new(network.bootstrap())?;
        while client.known_peers() < network.bootstrap().len() {
            client.next();
        }
        client.swarm.behaviour_mut().kad.bootstrap()?;
        client.rest(SETTLING);
        Ok(client)
    }

    /// Lets what is still under way come to its end, so that nothing is measured in the wake of what was before.
    pub(crate) fn rest(&mut self, time: Duration) {
        block_on(async {
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
        block_on(self.event())
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
}
