//! A peer that has proved who it is, and then sends frames that mean nothing, as fast as they leave.

use std::{
    future::poll_fn,
    io, iter,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use async_io::Timer;
use futures::{
    AsyncRead, AsyncWrite, StreamExt,
    channel::mpsc,
    executor::block_on,
    future::{Either, Ready, ready, select},
    io::Cursor,
};
use libp2p::{
    Transport,
    core::{
        Endpoint, StreamMuxer, UpgradeInfo,
        muxing::{StreamMuxerBox, StreamMuxerEvent, StreamMuxerExt},
        transport::{Boxed, DialOpts, PortUse},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, Version},
    },
    multiaddr::Protocol,
    noise,
};
use peerage::{
    DhtMode, Event, Freshness, Multiaddr, Node, PeerId, Registry, identity::Keypair, net::tcp,
};

use crate::{
    report::{line, size, turn},
    support::{Executor, Peer, loopback, manifest, owned, within},
    world::joined,
};

/// Who was cut off dials again after so long, as somebody else.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What is sent without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// Nothing at all: what is compared with, since the connection itself has its cost.
    Silence,
    /// Data for a stream that there is none, and none of it.
    Empty,
    /// A ping, which is answered.
    Ping,
    /// A stream that begins and is reset.
    Stream,
}

impl Frame {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Silence => &[],
            Self::Empty => &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
            Self::Ping => &[0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7],
            Self::Stream => {
                &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0]
            }
        }
    }
}

/// In the place of a muxer: whenever it is polled it writes frames until nothing more leaves.
struct Flooder<C> {
    io: C,
    chunk: Vec<u8>,
    sent: usize,
}

/// Makes flooders of connections, which the other end takes for yamux.
#[derive(Clone)]
struct Upgrade(Frame);

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Flooder<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Flooder<C>>>;

    fn upgrade_outbound(self, io: C, _: &'static str) -> Self::Future {
        ready(Ok(Flooder { io, chunk: self.0.bytes().repeat(1000), sent: 0 }))
    }
}

impl<C> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Flooder<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Flooder<C>>>;

    fn upgrade_inbound(self, _: C, _: &'static str) -> Self::Future {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Flooder<C> {
    type Substream = Cursor<Vec<u8>>;
    type Error = io::Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<Cursor<Vec<u8>>>> {
        Poll::Pending
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<io::Result<Cursor<Vec<u8>>>> {
        Poll::Pending
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let this = &mut *self;
        // Whatever comes back is read, so that the victim can go on writing.
        let mut answers = [0; 4096];
        while let Poll::Ready(read) = Pin::new(&mut this.io).poll_read(cx, &mut answers) {
            if read? == 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        if this.chunk.is_empty() {
            return Poll::Pending;
        }
        for _ in 0..100 {
            let start = this.sent % this.chunk.len();
            match Pin::new(&mut this.io).poll_write(cx, &this.chunk[start..]) {
                Poll::Ready(Ok(written)) => this.sent += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn transport(identity: &Keypair, frame: Frame) -> Boxed<(PeerId, StreamMuxerBox)> {
    tcp::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(identity).expect("a key"))
        .multiplex(Upgrade(frame))
        .boxed()
}

/// Connects to the victim and floods it until it has had enough, or until told to stop. Says whether it has had enough.
async fn flood(address: &Multiaddr, frame: Frame, stop: &AtomicBool) -> bool {
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let address = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    let identity = Keypair::generate_ed25519();
    let dial = transport(&identity, frame).dial(address, options).expect("an address");
    let Ok((_, mut muxer)) = within("a dial", dial).await else { return false };
    let flood = poll_fn(|cx| muxer.poll_unpin(cx));
    let stopped = async {
        let most = Instant::now() + Duration::from_secs(60);
        while Instant::now() < most && !(frame == Frame::Silence && stop.load(Ordering::Relaxed)) {
            Timer::after(AGAIN_AFTER).await;
        }
    };
    matches!(select(flood, pin!(stopped)).await, Either::Left((Err(_), _)))
}

/// Floods the victim, as one peer after the other, for as long as something is measured.
struct Flooding {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<bool>>,
}

impl Flooding {
    fn start(address: &Multiaddr, frame: Frame) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (address.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut ends = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                ends.push(block_on(flood(&address, frame, &stopped)));
                // What connections cost is another attack's business.
                thread::sleep(AGAIN_AFTER);
            }
            ends
        });
        Self { stop, thread }
    }

    /// Whether each of the peers was cut off.
    fn end(self) -> Vec<bool> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flooder's thread")
    }
}

/// How long this thread has worked. What others do with the machine meanwhile is not the poll's.
#[cfg(unix)]
fn worked() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("no thread works for less than nothing")
}

#[cfg(not(unix))]
fn worked() -> Duration {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// A node whose polls are timed.
struct Timed {
    node: Node,
    longest: Arc<AtomicU64>,
    events: mpsc::UnboundedSender<Event>,
}

impl Timed {
    /// Runs a node on a thread of its own. The longest poll is in microseconds.
    fn run(identity: Keypair) -> (Peer, Arc<AtomicU64>) {
        let config = loopback().with_cache_ttl(Duration::from_millis(1));
        let (node, handle) = Node::new(identity, config).expect("a node");
        let longest = Arc::new(AtomicU64::new(0));
        let (sender, events) = mpsc::unbounded();
        let (end, ended) = futures::channel::oneshot::channel();
        let mut timed = Self { node, longest: Arc::clone(&longest), events: sender };
        thread::spawn(move || {
            block_on(poll_fn(|cx| timed.poll(cx)));
            let _ = end.send(());
        });
        (Peer { handle, events, ended }, longest)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let start = worked();
            let polled = self.node.poll_next_unpin(cx);
            let took = worked().saturating_sub(start);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.longest.fetch_max(micros, Ordering::Relaxed);
            match polled {
                Poll::Ready(Some(event)) => drop(self.events.unbounded_send(event)),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// What callers and the poll loop went through, in milliseconds.
#[derive(Debug, Default)]
struct Burden {
    longest_poll: Vec<f64>,
    p99: Vec<f64>,
}

impl Burden {
    /// One stretch of reads, and what the longest poll was meanwhile.
    async fn measure(&mut self, reader: &Peer, owner: PeerId, longest: &AtomicU64, reads: usize) {
        let sure = reader.handle.with_freshness(Freshness::All);
        let mut latencies = Vec::new();
        longest.store(0, Ordering::Relaxed);
        for _ in 0..reads {
            let start = Instant::now();
            let read = within("a read", sure.get_package(owned(owner, "wanted"))).await;
            read.expect("an honest peer is served");
            latencies.push(start.elapsed().as_secs_f64() * 1e3);
        }
        latencies.sort_by(f64::total_cmp);
        self.longest_poll.push(longest.load(Ordering::Relaxed) as f64 / 1e3);
        self.p99.push(latencies[latencies.len() * 99 / 100]);
    }

    /// The lower quartiles. A virtual machine loses a core for milliseconds now and then, in half of the stretches where
    /// its neighbours are busy, while a flood burdens each of its own.
    fn quartiles(&mut self) -> (f64, f64) {
        let quartile = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 4]
        };
        (quartile(&mut self.longest_poll), quartile(&mut self.p99))
    }
}

#[test]
fn a_peer_that_floods_with_tiny_frames_makes_no_poll_long_keeps_nobody_waiting_and_is_cut_off() {
    let _turn = turn();
    for frame in [Frame::Empty, Frame::Ping, Frame::Stream] {
        block_on(async {
            let (mut victim, longest) = Timed::run(Keypair::generate_ed25519());
            let address = victim.address().await;
            victim.handle.register(manifest("wanted", "1.0.0")).await.expect("registered");
            let config = loopback()
                .with_cache_ttl(Duration::from_millis(1))
                .with_mode(DhtMode::Client)
                .with_bootstrap([address.clone()]);
            let reader = Peer::start(Executor::Futures, config);
            joined(&reader, 1).await;

            let (rounds, reads) = (size(9, 3), size(1_000, 50));
            let (mut without, mut under) = (Burden::default(), Burden::default());
            let (mut floods, mut cut_off) = (0, 0);
            // By turns, so that what else the machine does burdens both alike.
            for _ in 0..rounds {
                let mute = Flooding::start(&address, Frame::Silence);
                without.measure(&reader, victim.id(), &longest, reads).await;
                mute.end();
                let flooding = Flooding::start(&address, frame);
                under.measure(&reader, victim.id(), &longest, reads).await;
                let ends = flooding.end();
                floods += ends.len();
                cut_off += ends.iter().filter(|cut_off| **cut_off).count();
            }
            let ((poll, p99), (poll_under, p99_under)) = (without.quartiles(), under.quartiles());
            line(
                "frame flood",
                format_args!(
                    "{frame:?}: longest poll {poll:.2} ms with a silent peer, {poll_under:.2} ms under it; p99 of \
                     a read {p99:.2} ms with a silent peer, {p99_under:.2} ms under it; {cut_off} of {floods} floods cut off"
                ),
            );
            assert_eq!(cut_off, floods, "each of them was cut off");
            assert!(floods >= rounds);
            if !cfg!(debug_assertions) {
                assert!(poll_under <= 2.0 * poll, "{poll_under} ms is more than twice {poll} ms");
                assert!(p99_under <= 2.0 * p99, "{p99_under} ms is more than twice {p99} ms");
            }
        });
    }
}
