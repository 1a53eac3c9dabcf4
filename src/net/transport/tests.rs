//! Two stacks, each polled by the test.

pub(super) mod endless;
mod silence;

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use async_io::Timer;
use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _,
    future::{Either, join, select},
};
use libp2p::{
    Multiaddr,
    core::{
        Endpoint,
        muxing::{StreamMuxerExt as _, SubstreamBox},
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
    multiaddr::Protocol,
};

use super::*;
use crate::net::testing::run;

const DIAL: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };

type Connection = io::Result<(PeerId, StreamMuxerBox)>;

/// Short limits, which are only ever reached by tests that wait for them.
fn hasty() -> TransportConfig {
    TransportConfig::new()
        .with_dial_timeout(Duration::from_millis(300))
        .with_upgrade_timeout(Duration::from_millis(300))
}

async fn listen(transport: &mut BoxedTransport, address: &str) -> (ListenerId, Multiaddr) {
    let id = ListenerId::next();
    transport.listen_on(id, address.parse().unwrap()).unwrap();
    let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await;
    (id, event.into_new_address().unwrap())
}

async fn accept(transport: &mut BoxedTransport) -> Connection {
    loop {
        let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await;
        if let TransportEvent::Incoming { upgrade, .. } = event {
            return upgrade.await;
        }
    }
}

/// Lets a connection move until it ends.
async fn drive(muxer: &mut StreamMuxerBox) -> io::Error {
    poll_fn(|cx| match muxer.poll_unpin(cx) {
        Poll::Ready(Ok(event)) => panic!("{event:?}"),
        Poll::Ready(Err(error)) => Poll::Ready(error),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Lets a connection move until `future` is done.
async fn while_driving<T>(muxer: &mut StreamMuxerBox, future: impl Future<Output = T>) -> T {
    match select(Box::pin(future), Box::pin(drive(muxer))).await {
        Either::Left((value, _)) => value,
        Either::Right((error, _)) => panic!("the connection ended: {error}"),
    }
}

async fn open(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await
}

async fn take(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|cx| match muxer.poll_unpin(cx)? {
        Poll::Ready(event) => panic!("{event:?}"),
        Poll::Pending => muxer.poll_inbound_unpin(cx),
    })
    .await
}

/// Connects two stacks and passes a question and an answer through a stream.
async fn converse(
    stack: fn(&Keypair, &TransportConfig, &Limits) -> crate::error::Result<BoxedTransport>,
    address: &str,
) {
    let (alice, bob) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let config = TransportConfig::new();
    let mut here = stack(&alice, &config, &Limits::new()).unwrap();
    let mut there = stack(&bob, &config, &Limits::new()).unwrap();
    let (id, address) = listen(&mut there, address).await;

    let dial = here.dial(address, DIAL).unwrap();
    let ask = async {
        let (peer, mut muxer) = dial.await.unwrap();
        let mut stream = open(&mut muxer).await.unwrap();
        let answer = while_driving(&mut muxer, async {
            stream.write_all(b"who?").await.unwrap();
            stream.close().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        })
        .await;
        poll_fn(|cx| muxer.poll_close_unpin(cx)).await.unwrap();
        (peer, answer)
    };
    let answer = async {
        let (peer, mut muxer) = accept(&mut there).await.unwrap();
        let mut stream = take(&mut muxer).await.unwrap();
        while_driving(&mut muxer, async {
            let mut question = String::new();
            stream.read_to_string(&mut question).await.unwrap();
            assert_eq!(question, "who?");
            stream.write_all(b"me").await.unwrap();
            stream.close().await.unwrap();
        })
        .await;
        drive(&mut muxer).await;
        peer
    };
    let ((seen_by_alice, answer), seen_by_bob) = join(ask, answer).await;
    assert_eq!(seen_by_alice, bob.public().to_peer_id());
    assert_eq!(seen_by_bob, alice.public().to_peer_id());
    assert_eq!(answer, "me");
    there.remove_listener(id);
}

#[test]
fn each_end_of_a_tcp_connection_learns_who_the_other_is() {
    run(converse(tcp, "/ip4/127.0.0.1/tcp/0"));
}

#[test]
fn each_end_of_a_memory_connection_learns_who_the_other_is() {
    run(converse(memory, "/memory/0"));
}

#[test]
fn a_connection_on_which_nothing_is_said_is_set_up_all_the_same() {
    run(async {
        let mut here = tcp_stack(&TransportConfig::new());
        let mut there = tcp_stack(&TransportConfig::new());
        let (_, address) = listen(&mut there, "/ip4/127.0.0.1/tcp/0").await;
        let dial = here.dial(address, DIAL).unwrap();
        let idle = async { drive(&mut dial.await.unwrap().1).await };
        match select(Box::pin(accept(&mut there)), Box::pin(idle)).await {
            Either::Left((accepted, _)) => drop(accepted.unwrap()),
            Either::Right((error, _)) => panic!("{error}"),
        }
    });
}

fn tcp_stack(config: &TransportConfig) -> BoxedTransport {
    limited_stack(config, &Limits::new())
}

fn limited_stack(config: &TransportConfig, limits: &Limits) -> BoxedTransport {
    tcp(&Keypair::generate_ed25519(), config, limits).unwrap()
}

fn timed_out(outcome: Connection, start: Instant) {
    let Err(error) = outcome else { panic!("connected") };
    assert!(error.to_string().contains("Timeout"), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(300), "too early: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "too late: {:?}", start.elapsed());
}

#[test]
fn a_host_that_answers_and_never_speaks_is_given_up() {
    run(async {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
        let start = Instant::now();
        let outcome = tcp_stack(&hasty()).dial(address.parse().unwrap(), DIAL).unwrap().await;
        timed_out(outcome, start);
    });
}

#[test]
fn a_host_that_dials_and_never_speaks_is_given_up() {
    run(async {
        let mut there = tcp_stack(&hasty());
        let (_, address) = listen(&mut there, "/ip4/127.0.0.1/tcp/0").await;
        let Some(Protocol::Tcp(port)) = address.iter().nth(1) else { panic!("{address}") };
        let _silent = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let start = Instant::now();
        timed_out(accept(&mut there).await, start);
    });
}

/// Linux drops what comes when a backlog is full, as a host does that is not there.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_does_not_answer_is_given_up_before_the_upgrade_is_due() {
    run(async {
        let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(1).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let mut crowd = Vec::new();
        while let Ok(stream) =
            std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(100))
        {
            crowd.push(stream);
        }

        let config = hasty().with_upgrade_timeout(Duration::from_secs(3600));
        let address = format!("/ip4/127.0.0.1/tcp/{}", addr.port());
        let start = Instant::now();
        let outcome = tcp_stack(&config).dial(address.parse().unwrap(), DIAL).unwrap().await;
        timed_out(outcome, start);
    });
}

#[test]
fn somebody_who_speaks_another_protocol_is_refused() {
    run(async {
        let mut there = tcp_stack(&TransportConfig::new());
        let (_, address) = listen(&mut there, "/ip4/127.0.0.1/tcp/0").await;
        let Some(Protocol::Tcp(port)) = address.iter().nth(1) else { panic!("{address}") };
        let start = Instant::now();
        let mut stranger = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        // The first letter is read as a length, 71, so there has to be that much.
        let request =
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: {}\r\n\r\n", "*/*,".repeat(20));
        io::Write::write_all(&mut stranger, request.as_bytes()).unwrap();
        accept(&mut there).await.map(|(peer, _)| peer).expect_err("not a peer");
        assert!(start.elapsed() < Duration::from_secs(5), "refused at once, not by a time limit");
    });
}

/// The muxers of a connection between two stacks with these limits.
async fn connected(dialing: &Limits, accepting: &Limits) -> (StreamMuxerBox, StreamMuxerBox) {
    let config = TransportConfig::new();
    connected_by(limited_stack(&config, dialing), limited_stack(&config, accepting)).await
}

async fn connected_by(
    mut here: BoxedTransport,
    mut there: BoxedTransport,
) -> (StreamMuxerBox, StreamMuxerBox) {
    let (_, address) = listen(&mut there, "/ip4/127.0.0.1/tcp/0").await;
    let dial = here.dial(address, DIAL).unwrap();
    // The dialer proposes the multiplexer together with what it sends first, so it has to send.
    let dialed = async {
        let (_, mut muxer) = dial.await.unwrap();
        let mut stream = open(&mut muxer).await.unwrap();
        while_driving(&mut muxer, async {
            stream.write_all(b"first").await.unwrap();
            stream.close().await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        })
        .await;
        muxer
    };
    let accepted = async {
        let (_, mut muxer) = accept(&mut there).await.unwrap();
        let mut stream = take(&mut muxer).await.unwrap();
        while_driving(&mut muxer, async {
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            stream.close().await.unwrap();
        })
        .await;
        // The stream stops counting when the connection next moves.
        drop(stream);
        let _ = drive(&mut muxer).now_or_never();
        muxer
    };
    join(dialed, accepted).await
}

/// Opens streams, each with a byte in it, until the connection ends. Returns how many arrived.
async fn flood(mut here: StreamMuxerBox, mut there: StreamMuxerBox) -> usize {
    let mut streams = Vec::new();
    let mut arrived = Vec::new();
    let flood = poll_fn(|cx| {
        loop {
            if here.poll_unpin(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut stream = match ready!(here.poll_outbound_unpin(cx)) {
                Ok(stream) => stream,
                Err(_) => return Poll::Ready(()),
            };
            let _ = Pin::new(&mut stream).poll_write(cx, b"x");
            streams.push(stream);
        }
    });
    let count = async {
        while let Ok(stream) = take(&mut there).await {
            arrived.push(stream);
        }
    };
    join(flood, count).await;
    arrived.len()
}

#[test]
fn a_peer_that_opens_too_many_streams_loses_the_connection() {
    run(async {
        let greedy = Limits::new().with_streams_per_connection(Limits::MAX_STREAMS);
        let (here, there) = connected(&greedy, &Limits::new()).await;
        assert_eq!(flood(here, there).await, 96);

        let modest = Limits::new().with_streams_per_connection(3);
        let (here, there) = connected(&greedy, &modest).await;
        assert_eq!(flood(here, there).await, 3);
    });
}

#[test]
fn a_peer_whose_data_is_not_read_can_send_no_more_than_the_window() {
    run(async {
        let limits = Limits::new().with_streams_per_connection(4).with_receive_window(0);
        // With room for more streams, so that it is the other end that sets the limit.
        let (mut here, mut there) = connected(&Limits::new(), &limits).await;
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(open(&mut here).await.unwrap());
        }

        let chunk = [0; 16 * 1024];
        let mut sent = 0;
        let mut tick = Timer::interval(Duration::from_millis(100));
        // Until neither end has had anything to do for a while.
        let mut quiet_for = 0;
        poll_fn(|cx| {
            assert!(here.poll_unpin(cx).is_pending() && there.poll_unpin(cx).is_pending());
            for stream in &mut streams {
                while let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, &chunk) {
                    sent += written.unwrap();
                    quiet_for = 0;
                }
                let _ = Pin::new(&mut *stream).poll_flush(cx).map(Result::unwrap);
            }
            while futures::Stream::poll_next(Pin::new(&mut tick), cx).is_ready() {
                quiet_for += 1;
            }
            if quiet_for < 5 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!(sent, 1024 * 1024);
    });
}

#[test]
fn the_defaults_are_bounded() {
    let config = TransportConfig::default();
    assert_eq!(config.dial_timeout(), Duration::from_secs(10));
    assert_eq!(config.upgrade_timeout(), Duration::from_secs(10));
    assert!(config.tcp().nodelay());
}

#[test]
fn limits_out_of_range_are_brought_into_it() {
    run(async {
        for streams in [0, usize::MAX] {
            for window in [0, usize::MAX] {
                let config = TransportConfig::new()
                    .with_dial_timeout(Duration::MAX)
                    .with_upgrade_timeout(Duration::MAX);
                let limits =
                    Limits::new().with_streams_per_connection(streams).with_receive_window(window);
                let stack = || limited_stack(&config, &limits);
                connected_by(stack(), stack()).await;
            }
        }
    });
}

/// A stranger that proposes one protocol after the other, all unknown, and reads what it is told, for some seconds.
fn propose_without_end(address: &Multiaddr) -> std::thread::JoinHandle<()> {
    use std::io::{Read as _, Write as _};
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port.unwrap())).unwrap();
    let mut answers = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut room = [0; 4096];
        while answers.read(&mut room).is_ok_and(|read| read > 0) {}
    });
    std::thread::spawn(move || {
        let proposals = b"\x02/\n".repeat(1000);
        let end = Instant::now() + Duration::from_secs(5);
        let mut sent = socket.write_all(b"\x13/multistream/1.0.0\n");
        while sent.is_ok() && Instant::now() < end {
            sent = socket.write_all(&proposals);
        }
    })
}

#[test]
fn a_stranger_that_proposes_without_end_has_one_turn_at_a_time_and_runs_out_of_time() {
    let limits = Limits::new();
    let mut here = tcp(&Keypair::generate_ed25519(), &hasty(), &limits).unwrap();
    run(async {
        let (_, address) = listen(&mut here, "/ip4/127.0.0.1/tcp/0").await;
        let stranger = propose_without_end(&address);
        let start = Instant::now();
        let mut polls = 0;
        let upgrade = loop {
            let event = poll_fn(|cx| Pin::new(&mut here).poll(cx)).await;
            if let TransportEvent::Incoming { upgrade, .. } = event {
                break upgrade;
            }
        };
        let mut upgrade = Box::pin(upgrade);
        let ended = poll_fn(|cx| {
            polls += 1;
            upgrade.as_mut().poll(cx)
        });
        assert!(ended.await.is_err());
        let took = start.elapsed();
        assert!(took < Duration::from_secs(3), "{took:?} and {polls} polls");
        assert!(polls > 20, "{polls} polls in {took:?}");
        drop(upgrade);
        stranger.join().unwrap();
    });
}

#[test]
fn the_documentation_names_the_libp2p_that_an_application_needs() {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    let version = manifest["dependencies"]["libp2p"]["version"].as_str().unwrap();
    let documented = format!("what `libp2p` {version} says");
    assert!(include_str!("../transport.rs").contains(&documented), "{documented}");
}
