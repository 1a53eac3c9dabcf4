//! Strangers that take as much of everything as they are given, and do nothing with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_io::Timer as Pause;
use futures::{
    AsyncReadExt,
    executor::block_on,
    future::{join, join_all},
};
use peerage::{
    Clock, DhtMode, Limits, Multiaddr, Node, Registry, SystemClock, Timer, identity::Keypair,
};
use smol::net::TcpStream;

use crate::{
    connection_flood::{be_served, port},
    hostile::{Connection, Stream, exchange_protocol, gossip_protocol, kad_protocol, proto, topic},
    report::{Growth, line, mebibytes, median_and_worst, size, turn},
    support::{Executor, Peer, loopback, manifest, owned, within},
    world::joined,
};

/// How many times faster the nodes' clock runs than the wall's. libp2p's own timers know nothing of it: it gives a
/// stranger ten seconds to say what a stream is for, and thirty to ask.
const HASTE: u32 = 100;

/// What the strangers do nothing for, by the nodes' clock.
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// Connections that say nothing at all: more than may be set up at a time.
const MUTE: usize = 160;

/// Streams of one connection, beside those that the victim opens itself.
const STREAMS: usize = 80;

/// What a stranger may have cost for each of its connections, both ends and all streams together.
const EACH: usize = 1024 * 1024;

/// A clock that is in a hurry.
#[derive(Debug, Clone)]
struct Hasty(SystemClock);

impl Clock for Hasty {
    fn now(&self) -> Duration {
        self.0.now() * HASTE
    }

    fn unix_time(&self) -> Duration {
        let began =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") - self.0.now();
        began + self.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(HastyTimer(self.0.timer()))
    }
}

struct HastyTimer(Box<dyn Timer>);

impl Timer for HastyTimer {
    fn poll_at(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_at(deadline / HASTE + Duration::from_nanos(1), cx)
    }
}

/// An honest node whose hours pass quickly. Its patience is that of others, by the wall's clock.
fn node(clock: &Hasty, config: peerage::Config) -> Peer {
    let config = config
        .with_query_timeout(Duration::from_secs(10) * HASTE)
        .with_cache_ttl(Duration::from_millis(1));
    let builder = Node::builder(Keypair::generate_ed25519(), config);
    let (node, handle) = builder.with_clock(Arc::new(clock.clone())).build().expect("a node");
    Peer::run(Executor::Futures, node, handle)
}

fn client(clock: &Hasty, address: &Multiaddr) -> Peer {
    node(clock, loopback().with_mode(DhtMode::Client).with_bootstrap([address.clone()]))
}

/// What is begun on a stream and not gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// Not even what it is for is said.
    Nothing,
    /// A question, but for its last byte.
    Question,
    /// A question, of which nobody reads the answer.
    Unread,
    /// A question to the node itself, which has an end only where it is closed.
    Exchange,
    /// An announcement.
    Announcement,
}

impl Begun {
    const ALL: [Self; 5] =
        [Self::Nothing, Self::Question, Self::Unread, Self::Exchange, Self::Announcement];

    /// Whether the victim gives it up by itself, within an hour by far.
    fn is_given_up(self) -> bool {
        matches!(self, Self::Nothing | Self::Exchange)
    }

    /// Begins it. What the victim does not take is no matter.
    async fn on(self, connection: &Connection) -> Option<Stream> {
        let protocol = match self {
            Self::Question | Self::Unread | Self::Nothing => kad_protocol(),
            Self::Exchange => exchange_protocol(),
            Self::Announcement => gossip_protocol(),
        };
        let mut stream = connection.speak(protocol).await.ok()?;
        let begun = match self {
            Self::Nothing => stream.write(b"\x13/multi").await,
            Self::Question => stream.tell_partly(&proto::get(b"anything")).await,
            Self::Unread => stream.tell(&proto::get(b"anything")).await,
            Self::Exchange => stream.begin(&[1]).await,
            Self::Announcement => {
                stream.tell_partly(&proto::subscription(&topic("announcements"))).await
            }
        };
        begun.ok().map(|()| stream)
    }
}

/// What one stranger holds.
struct Hoard {
    connections: Vec<Connection>,
    streams: Vec<(Begun, Stream)>,
}

/// Opens all the connections that one peer may have, and all the streams that they may have.
async fn hoard(address: &Multiaddr) -> Hoard {
    let identity = Keypair::generate_ed25519();
    let (mut connections, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..Limits::new().connections_per_peer {
        let Ok(connection) = Connection::dial(&identity, address).await else { continue };
        for begun in Begun::ALL.iter().cycle().take(STREAMS) {
            streams.extend(begun.on(&connection).await.map(|stream| (*begun, stream)));
        }
        connections.push(connection);
    }
    Hoard { connections, streams }
}

/// Waits until the victim has closed a connection on which nothing was ever said.
async fn dropped(mut socket: TcpStream) {
    let mut byte = [0];
    while socket.read(&mut byte).await.is_ok_and(|count| count > 0) {}
}

#[test]
fn who_takes_all_it_is_given_and_does_nothing_for_an_hour_costs_little_and_keeps_nobody_out() {
    let _turn = turn();
    block_on(async {
        let clock = Hasty(SystemClock::new());
        let mut victim = node(&clock, loopback());
        let address = victim.address().await;
        victim.handle.register(manifest("wanted", "1.0.0")).await.expect("registered");
        let reader = client(&clock, &address);
        joined(&reader, 1).await;

        let mut growth = Growth::begin();
        let strangers = size(24, 8);
        let hoards = join_all((0..strangers).map(|_| hoard(&address))).await;
        let socket = ("127.0.0.1", port(&address));
        let mute = join_all((0..MUTE).map(|_| TcpStream::connect(socket))).await;
        let mute: Vec<TcpStream> = mute.into_iter().flatten().collect();
        growth.sample();
        let connections: usize = hoards.iter().map(|hoard| hoard.connections.len()).sum();
        let streams: usize = hoards.iter().map(|hoard| hoard.streams.len()).sum();
        assert!(connections >= strangers, "{connections} connections of {strangers} strangers");
        let opened = growth.peak();

        let over = AtomicBool::new(false);
        let hour = async {
            Pause::after(AN_HOUR / HASTE).await;
            over.store(true, Ordering::Relaxed);
        };
        let ((), mut latencies) = join(hour, be_served(&reader, victim.id(), &over)).await;
        growth.sample();
        let (median, worst) = median_and_worst(&mut latencies);

        // What waits for a first word is not waited for that long.
        let mutes = join_all(mute.into_iter().map(dropped));
        within("the end of connections that say nothing", mutes).await;
        let (mut given_up, mut connections_of) = (Vec::new(), Vec::new());
        for hoard in hoards {
            connections_of.push(hoard.connections);
            let streams = hoard.streams.into_iter().filter(|(begun, _)| begun.is_given_up());
            given_up.extend(streams.map(|(_, stream)| stream.ended()));
        }
        let let_go = given_up.len();
        within("the end of streams that say nothing", join_all(given_up)).await;

        // Whoever comes now is served as if nobody else were there.
        let newcomer = client(&clock, &address);
        joined(&newcomer, 1).await;
        let found = newcomer.handle.get_package(owned(victim.id(), "wanted"));
        assert_eq!(within("an answer", found).await.expect("found").owner, victim.id());

        let (opened, peak) = (opened.unwrap_or_default(), growth.peak().unwrap_or_default());
        line(
            "hoarding",
            format_args!(
                "{connections} connections, {streams} streams and {MUTE} mute sockets for an hour: {let_go} streams \
                 let go; {} honest reads, median {median:.1?}, worst {worst:.1?}; memory +{}, in the hour +{}",
                latencies.len(),
                mebibytes(opened),
                mebibytes(peak - opened),
            ),
        );
        assert!(opened <= connections * EACH, "{opened} bytes for {connections} connections");
        // By the hour, nothing grows.
        assert!(peak - opened <= connections * EACH / 8, "{} bytes more", peak - opened);
    });
}
