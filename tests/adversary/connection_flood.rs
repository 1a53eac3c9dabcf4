//! Strangers that dial without end, and fill connections with streams.

use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use async_io::Timer;
use futures::{
    AsyncWriteExt, StreamExt,
    executor::block_on,
    future::{Either, join, join_all, select},
    stream,
};
use libp2p::multiaddr::Protocol;
use peerage::{DhtMode, Freshness, Multiaddr, Registry, identity::Keypair};
use smol::net::TcpStream;

use crate::{
    hostile::{Connection, Stream, kad_protocol, proto},
    report::{Growth, line, mebibytes, median_and_worst, size, turn},
    support::{Executor, Peer, loopback, manifest, owned, within},
    world::joined,
};

/// Strangers that dial at the same time.
const AT_ONCE: usize = 32;

/// Connections that each of them keeps: together more than the victim takes.
const KEPT: usize = 20;

/// An answer that takes longer was not served.
const SERVED_WITHIN: Duration = Duration::from_secs(20);

/// How dials ended.
#[derive(Default)]
struct Dials {
    established: AtomicUsize,
    refused: AtomicUsize,
    silent: AtomicUsize,
}

/// Dials as whoever it likes to be, and keeps what it is given for as long as it can.
async fn dial(address: &Multiaddr, socket: (&str, u16), count: usize, dials: &Dials) {
    let mut kept = VecDeque::new();
    let mut silent = VecDeque::new();
    for number in 0..count {
        // One in four says nothing, or nothing that makes sense.
        if number % 4 == 3 {
            if let Ok(mut stream) = TcpStream::connect(socket).await {
                if number % 8 == 3 {
                    let _ = stream.write_all(&[0x13; 64]).await;
                }
                silent.push_back(stream);
            }
            dials.silent.fetch_add(1, Ordering::Relaxed);
        } else {
            match Connection::dial(&Keypair::generate_ed25519(), address).await {
                Ok(connection) => {
                    dials.established.fetch_add(1, Ordering::Relaxed);
                    kept.push_back(connection);
                }
                Err(_) => drop(dials.refused.fetch_add(1, Ordering::Relaxed)),
            }
        }
        if kept.len() > KEPT {
            kept.pop_front();
        }
        if silent.len() > KEPT {
            silent.pop_front();
        }
    }
}

/// Reads one package after the other for as long as the flood lasts.
pub(crate) async fn be_served(
    reader: &Peer,
    owner: peerage::PeerId,
    over: &AtomicBool,
) -> Vec<Duration> {
    let sure = reader.handle.with_freshness(Freshness::All);
    let mut latencies = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let read = sure.get_package(owned(owner, "wanted"));
        let package = match select(read, Timer::after(SERVED_WITHIN)).await {
            Either::Left((package, _)) => package.expect("an honest peer is served"),
            Either::Right(_) => panic!("an honest peer was not served within {SERVED_WITHIN:?}"),
        };
        assert_eq!(package.owner, owner);
        latencies.push(start.elapsed());
    }
    latencies
}

/// The most peers that the victim has been connected to.
async fn watch(victim: &Peer, over: &AtomicBool, growth: &mut Growth) -> usize {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        most = most.max(victim.handle.peers().await.expect("peers").len());
        growth.sample();
    }
    most
}

/// The victim, an honest reader, and where the victim listens.
async fn scene() -> (Peer, Peer, Multiaddr) {
    let config = || loopback().with_cache_ttl(Duration::from_millis(1));
    let mut victim = Peer::start(Executor::Futures, config());
    let address = victim.address().await;
    victim.handle.register(manifest("wanted", "1.0.0")).await.expect("registered");
    let config = config().with_mode(DhtMode::Client).with_bootstrap([address.clone()]);
    let reader = Peer::start(Executor::Futures, config);
    joined(&reader, 1).await;
    (victim, reader, address)
}

pub(crate) fn port(address: &Multiaddr) -> u16 {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    port.expect("a TCP address")
}

#[test]
fn strangers_who_dial_without_end_stay_within_the_caps_and_honest_peers_are_served() {
    let _turn = turn();
    block_on(async {
        let (victim, reader, address) = scene().await;
        let limits = peerage::Limits::new();
        let strangers = (limits.connections - limits.connections / 4) as usize;
        let total = size(10_000, 1_000);

        // One stranger has as many connections as one peer may have.
        let identity = Keypair::generate_ed25519();
        let mut of_one = Vec::new();
        for _ in 0..4 * limits.connections_per_peer {
            of_one.extend(Connection::dial(&identity, &address).await.ok());
        }
        let alive = join_all(of_one.iter().map(|connection| connection.get(b"alive?"))).await;
        let of_one = alive.iter().filter(|reply| reply.is_ok()).count();
        assert_eq!(of_one, limits.connections_per_peer as usize);

        let (dials, over) = (Dials::default(), AtomicBool::new(false));
        let socket = ("127.0.0.1", port(&address));
        let mut growth = Growth::begin();
        let start = Instant::now();
        let flood = async {
            let each = total.div_ceil(AT_ONCE);
            let flood = (0..AT_ONCE).map(|_| dial(&address, socket, each, &dials));
            stream::iter(flood).buffer_unordered(AT_ONCE).collect::<()>().await;
            over.store(true, Ordering::Relaxed);
            start.elapsed()
        };
        let honest =
            join(be_served(&reader, victim.id(), &over), watch(&victim, &over, &mut growth));
        let (elapsed, (mut latencies, most)) = join(flood, honest).await;
        assert!(most <= strangers, "{most} of {strangers} connections");
        assert!(!latencies.is_empty());
        let (median, worst) = median_and_worst(&mut latencies);
        let [established, refused, silent] = [&dials.established, &dials.refused, &dials.silent]
            .map(|counter| counter.load(Ordering::Relaxed));
        line(
            "dials",
            format_args!(
                "{} in {:.1} s ({established} handshakes, {refused} refused before, {silent} silent or garbage): at \
                 most {most} of {strangers} connections, {of_one} of one peer; {} honest reads, median {median:.1?}, \
                 worst {worst:.1?}; memory +{}",
                established + refused + silent,
                elapsed.as_secs_f64(),
                latencies.len(),
                growth.peak().map_or_else(|| "?".to_owned(), mebibytes),
            ),
        );
    });
}

/// What a stranger does with its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streams {
    /// It opens one after the other and says no more than a byte.
    Silent,
    /// It asks all but the last byte of a question.
    Unfinished,
    /// It asks and does not wait for the answer.
    Asking,
    /// Behind a record that is refused it sends as much as the victim lets it, which nobody reads.
    Stuffed,
}

/// As many as Kademlia answers at once.
const STUFFED: usize = 32;

/// Connections that are filled.
const STUFFED_CONNECTIONS: usize = 16;

impl Streams {
    async fn open(self, connection: &Connection) -> io::Result<Stream> {
        let mut stream = connection.speak(kad_protocol()).await?;
        match self {
            Self::Silent => stream.write(&[0x13]).await?,
            Self::Unfinished => stream.tell_partly(&proto::get(b"anything")).await?,
            Self::Asking => stream.tell(&proto::get(b"anything")).await?,
            Self::Stuffed => {
                stream.tell(&proto::put(b"anything", b"at all", None)).await?;
                stream.write(&[0; 200 * 1024]).await?;
            }
        }
        Ok(stream)
    }

    /// Opens so many streams, on as many connections as it takes. Answers with how many connections were lost, and
    /// with those that were not, and their streams.
    async fn flood(
        self,
        address: &Multiaddr,
        count: usize,
    ) -> (usize, Vec<(Connection, Vec<Stream>)>) {
        let (count, each) = match self {
            Self::Stuffed => (STUFFED * STUFFED_CONNECTIONS, STUFFED),
            _ => (count, count),
        };
        let (mut lost, mut kept, mut opened) = (0, Vec::new(), 0);
        while opened < count {
            let identity = Keypair::generate_ed25519();
            let connection = Connection::dial(&identity, address).await.expect("dialed");
            let mut streams = Vec::new();
            let mut is_open = true;
            while is_open && opened < count && streams.len() < each {
                opened += 1;
                match self.open(&connection).await {
                    Ok(stream) => streams.push(stream),
                    Err(_) => is_open = false,
                }
            }
            // What it was sent last may be more than it takes.
            if is_open && connection.get(b"still there?").await.is_ok() {
                kept.push((connection, streams));
            } else {
                lost += 1;
            }
        }
        (lost, kept)
    }
}

#[test]
fn streams_without_end_cost_their_sender_the_connection_and_honest_peers_are_served() {
    let _turn = turn();
    block_on(async {
        let (victim, reader, address) = scene().await;
        let total = size(10_000, 2_000);
        let over = AtomicBool::new(false);
        let mut growth = Growth::begin();
        let start = Instant::now();
        let kinds = [Streams::Silent, Streams::Unfinished, Streams::Asking, Streams::Stuffed];
        let flood = async {
            let each = total / kinds.len();
            let floods = join_all(kinds.iter().map(|kind| kind.flood(&address, each))).await;
            over.store(true, Ordering::Relaxed);
            (start.elapsed(), floods)
        };
        let honest =
            join(be_served(&reader, victim.id(), &over), watch(&victim, &over, &mut growth));
        let ((elapsed, floods), (mut latencies, _)) =
            within("the streams", join(flood, honest)).await;
        // The victim keeps no more streams of a connection than it says.
        let lost: Vec<usize> = floods.iter().map(|(lost, _)| *lost).collect();
        assert!(lost[0] > 0, "streams that say nothing are all kept: {lost:?}");
        let (median, worst) = median_and_worst(&mut latencies);
        line(
            "streams",
            format_args!(
                "{} each that are silent, unfinished or only ask, and {} stuffed, in {:.1} s: {lost:?} connections \
                 lost; {} honest reads, median {median:.1?}, worst {worst:.1?}; memory +{}",
                total / kinds.len(),
                STUFFED * STUFFED_CONNECTIONS,
                elapsed.as_secs_f64(),
                latencies.len(),
                growth.peak().map_or_else(|| "?".to_owned(), mebibytes),
            ),
        );
    });
}
