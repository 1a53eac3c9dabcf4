//! Lookups that wait: a node and a bare Kademlia, each with many of them pending to peers that have said who
//! they are and never answer.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::{
    future::Future,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake as _, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::FuturesUnordered,
    task::{AtomicWaker, noop_waker},
};
use libp2p::{
    Swarm, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
    swarm,
};
use libp2p_kad as kad;
use peerage::{
    BoxedTransport, Clock, Config, DhtMode, Handle, Limits, Multiaddr, Node, Package, PackageId,
    PeerId, Registry as _, Timer,
    identity::Keypair,
    net::transport::{self, TransportConfig},
    record::RecordKey,
};

use crate::{
    dispatch::{ByHand, Outcome, Woken},
    raw::{self, Behaviour, Over, RawClient},
};

/// Lookups that wait in the node, as many as it takes in.
pub(crate) const IN_NODE: usize = 10_000;
/// Lookups that wait in Kademlia.
pub(crate) const IN_KAD: usize = 4_000;

/// As many peers as a lookup begins with.
const CLOSEST: usize = 20;

/// A peer that falls silent: it is polled until it is known, and then no more.
fn mute() -> Outcome<(Swarm<Behaviour>, Multiaddr)> {
    let (swarm, address) = raw::server(&Over::Memory, swarm::Config::without_executor(), 1)?;
    let peer = *swarm.local_peer_id();
    let address = address.with_p2p(peer).map_err(|_| "an address of another peer")?;
    Ok((swarm, address))
}

/// So many of them, and where they are.
fn mutes(count: usize) -> Outcome<(Vec<Swarm<Behaviour>>, Vec<Multiaddr>)> {
    let mutes: Vec<_> = (0..count).map(|_| mute()).collect::<Outcome<_>>()?;
    Ok(mutes.into_iter().unzip())
}

fn drain(swarms: &mut [Swarm<Behaviour>], cx: &mut Context<'_>) {
    for swarm in swarms {
        while swarm.poll_next_unpin(cx).is_ready() {}
    }
}

/// Distinct packages.
fn wanted(count: usize) -> Outcome<Vec<PackageId>> {
    let owner = Keypair::generate_ed25519().public().to_peer_id();
    (0..count).map(|n| Ok(PackageId::owned(owner, format!("package-{n}").parse()?))).collect()
}

/// A node with lookups that wait in it.
pub(crate) struct WaitingNode {
    node: Node,
    waker: Waker,
    bell: Arc<AtomicWaker>,
    callers: FuturesUnordered<BoxFuture<'static, peerage::Result<Package>>>,
    /// What the lookups have made the node allocate, in bytes.
    pub(crate) bytes: usize,
    _mutes: Vec<Swarm<Behaviour>>,
}

impl WaitingNode {
    /// As many as this for one peer, and what `allocated` says to that.
    pub(crate) fn new(lookups: usize, allocated: impl Fn() -> usize) -> Outcome<Self> {
        Self::with(lookups, mutes(1)?, Limits::new(), allocated)
    }

    /// As many as this, all of which run, with as many peers as a lookup begins with.
    pub(crate) fn running(lookups: usize, allocated: impl Fn() -> usize) -> Outcome<Self> {
        let limits = Limits::new().with_running_queries(lookups);
        Self::with(lookups, mutes(CLOSEST)?, limits, allocated)
    }

    fn with(
        lookups: usize,
        (mut mutes, addresses): (Vec<Swarm<Behaviour>>, Vec<Multiaddr>),
        limits: Limits,
        allocated: impl Fn() -> usize,
    ) -> Outcome<Self> {
        let keypair = Keypair::generate_ed25519();
        let peers = mutes.len();
        let config = Config::new()
            .with_mode(DhtMode::Client)
            .with_listen([])
            .with_bootstrap(addresses)
            .with_command_capacity(lookups)
            .with_limits(limits);
        let bell = Arc::new(AtomicWaker::new());
        let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())?;
        let transport = Ringing { transport, bell: Arc::clone(&bell) }.boxed();
        let (mut node, handle) = Node::builder(keypair, config)
            .with_clock(Arc::new(Still))
            .with_transport(transport)
            .build()?;
        let mut by_hand = ByHand::default();
        while by_hand.wait(handle.bootstrap(), |cx| {
            drain(&mut mutes, cx);
            let _ = Pin::new(&mut node).poll(cx);
        })? < peers
        {}

        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        // Callers exist before they are polled for the first time: what they take is theirs.
        let handle: &'static Handle = Box::leak(Box::new(handle));
        let callers: FuturesUnordered<_> =
            wanted(lookups)?.into_iter().map(|package| handle.get_package(package)).collect();
        let mut waiting = Self { node, waker, bell, callers, bytes: 0, _mutes: mutes };
        while woken.take() {
            waiting.poll();
        }
        let before = allocated();
        waiting.assert_waiting(lookups);
        // Until it has taken in all of them, and told the network of as many as it does at once.
        woken.wake_by_ref();
        while woken.take() {
            waiting.poll();
        }
        waiting.bytes = allocated().saturating_sub(before);
        Ok(waiting)
    }

    /// One poll.
    pub(crate) fn poll(&mut self) {
        let polled = Pin::new(&mut self.node).poll(&mut Context::from_waker(&self.waker));
        assert!(polled.is_pending());
    }

    /// One poll in which it looks at the network, as when something has arrived.
    pub(crate) fn poll_rung(&mut self) {
        self.bell.wake();
        self.poll();
    }

    /// Fails unless so many callers wait.
    pub(crate) fn assert_waiting(&mut self, lookups: usize) {
        let answer = self.callers.poll_next_unpin(&mut Context::from_waker(&noop_waker()));
        assert!(answer.is_pending() && self.callers.len() == lookups, "somebody was answered");
    }
}

/// Kademlia with lookups that wait in it.
pub(crate) struct WaitingRaw {
    client: RawClient,
    /// What the lookups have made it allocate, in bytes.
    pub(crate) bytes: usize,
    _mutes: Vec<Swarm<Behaviour>>,
}

impl WaitingRaw {
    /// As many as this for one peer, and what `allocated` says to that.
    pub(crate) fn new(lookups: usize, allocated: impl Fn() -> usize) -> Outcome<Self> {
        Self::with(lookups, mutes(1)?, allocated)
    }

    /// As many as this, with as many peers as a lookup begins with.
    pub(crate) fn running(lookups: usize, allocated: impl Fn() -> usize) -> Outcome<Self> {
        Self::with(lookups, mutes(CLOSEST)?, allocated)
    }

    fn with(
        lookups: usize,
        (mut mutes, addresses): (Vec<Swarm<Behaviour>>, Vec<Multiaddr>),
        allocated: impl Fn() -> usize,
    ) -> Outcome<Self> {
        let mut client = RawClient::new(Over::Memory, &addresses)?;
        let waker = noop_waker();
        while client.known_peers() < mutes.len() {
            drain(&mut mutes, &mut Context::from_waker(&waker));
            client.poll(&mut Context::from_waker(&waker));
        }
        let network = peerage::NetworkName::default();
        let keys: Vec<kad::RecordKey> = wanted(lookups)?
            .iter()
            .filter_map(|id| Some(RecordKey::head(&network, id.owner()?, id.name())))
            .map(|key| kad::RecordKey::new(&key.as_bytes()))
            .collect();
        let before = allocated();
        for key in &keys {
            client.ask(key);
        }
        let mut waiting = Self { client, bytes: 0, _mutes: mutes };
        waiting.poll();
        waiting.bytes = allocated().saturating_sub(before);
        Ok(waiting)
    }

    /// One poll.
    pub(crate) fn poll(&mut self) {
        self.client.poll(&mut Context::from_waker(&noop_waker()));
    }

    /// Fails unless so many queries run.
    pub(crate) fn assert_waiting(&self, lookups: usize) {
        assert!(self.client.running() >= lookups, "a query has ended");
    }
}

/// A clock that is read and stands still, so that lookups wait: a node gives a silent peer up within a second.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Duration {
        black_box(Instant::now());
        Duration::from_secs(1)
    }

    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Self)
    }
}

impl Timer for Still {
    fn poll_at(&mut self, deadline: Duration, _: &mut Context<'_>) -> Poll<()> {
        if deadline <= self.now() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A transport that wakes whoever polls it when it is told to, as bytes that arrive do.
struct Ringing {
    transport: BoxedTransport,
    bell: Arc<AtomicWaker>,
}

type Connection = (PeerId, StreamMuxerBox);

impl Transport for Ringing {
    type Output = Connection;
    type Error = std::io::Error;
    type ListenerUpgrade = <Boxed<Connection> as Transport>::ListenerUpgrade;
    type Dial = <Boxed<Connection> as Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.transport.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.transport.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.transport.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        self.bell.register(cx.waker());
        Pin::new(&mut self.transport).poll(cx)
    }
}
