//! Over real sockets, all of them on loopback.

mod ports;
mod wildcards;

use std::{
    future::poll_fn,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU8,
    time::Duration,
};

use async_io::Timer;
use futures::{
    future::{Either, join, select},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use futures_test::task::{new_count_waker, noop_context};
use libp2p::core::{Endpoint, transport::Transport as _};

use super::{interfaces::Interfaces, *};
use crate::net::testing::run;

type Event = TransportEvent<Accepted, io::Error>;

const V4: &str = "/ip4/127.0.0.1/tcp/0";
const V6: &str = "/ip6/::1/tcp/0";

const REUSE: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
const NEW: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };

/// Whether this machine has an IPv6 loopback address.
fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        eprintln!("skipped: no ::1 on this machine");
    }
    has
}

fn transport() -> Transport {
    Transport::default()
}

fn multiaddr(addr: impl Into<SocketAddr>) -> Multiaddr {
    to_multiaddr(addr.into())
}

fn socket_addr(address: &Multiaddr) -> SocketAddr {
    to_socket_addr(address).unwrap()
}

async fn next(transport: &mut Transport) -> Event {
    poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await
}

/// Everything there is to say for now.
fn drain(transport: &mut Transport) -> Vec<Event> {
    let mut cx = noop_context();
    std::iter::from_fn(|| match Pin::new(&mut *transport).poll(&mut cx) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    })
    .collect()
}

/// Listens, and waits for the first address.
async fn listen(transport: &mut Transport, address: &str) -> (ListenerId, Multiaddr) {
    let id = ListenerId::next();
    transport.listen_on(id, address.parse().unwrap()).unwrap();
    loop {
        if let TransportEvent::NewAddress { listener_id, listen_addr } = next(transport).await
            && listener_id == id
        {
            return (id, listen_addr);
        }
    }
}

async fn accept(transport: &mut Transport) -> io::Result<TcpStream> {
    loop {
        if let TransportEvent::Incoming { upgrade, .. } = next(transport).await {
            return upgrade.await;
        }
    }
}

/// Both ends of a new connection: the dialing one, and the accepting one.
async fn connect(
    dialer: &mut Transport,
    opts: DialOpts,
    listener: &mut Transport,
    address: &Multiaddr,
) -> (TcpStream, TcpStream) {
    let dial = dialer.dial(address.clone(), opts).unwrap();
    let (dialed, accepted) = join(dial, accept(listener)).await;
    (dialed.unwrap(), accepted.unwrap())
}

async fn exchange(address: &str) {
    let (mut here, mut there) = (transport(), transport());
    let (_, address) = listen(&mut there, address).await;
    let (mut dialed, mut accepted) = connect(&mut here, NEW, &mut there, &address).await;
    assert_eq!(dialed.peer_addr().unwrap(), socket_addr(&address));
    assert_eq!(accepted.peer_addr().unwrap(), dialed.local_addr().unwrap());

    // More than the buffers of both sockets hold, so that writing has to wait for reading.
    let question: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
    let ask = async {
        dialed.write_all(&question).await.unwrap();
        dialed.close().await.unwrap();
        let mut answer = String::new();
        dialed.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = async {
        let mut read = Vec::new();
        accepted.read_to_end(&mut read).await.unwrap();
        // The other half is still open.
        accepted.write_all(b"thanks").await.unwrap();
        accepted.close().await.unwrap();
        read
    };
    let (answer, read) = join(ask, answer).await;
    assert!(read == question);
    assert_eq!(answer, "thanks");
}

#[test]
fn peers_exchange_bytes_over_ipv4() {
    run(exchange(V4));
}

#[test]
fn peers_exchange_bytes_over_ipv6() {
    if has_ipv6() {
        run(exchange(V6));
    }
}

#[test]
fn the_transport_runs_on_any_executor() {
    smol::block_on(exchange(V4));
    async_std::task::block_on(exchange(V4));
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(exchange(V4));
}

#[test]
fn several_buffers_are_written_and_read_at_once() {
    run(async {
        let (mut here, mut there) = (transport(), transport());
        let (_, address) = listen(&mut there, V4).await;
        let (mut dialed, mut accepted) = connect(&mut here, NEW, &mut there, &address).await;
        let bufs = [io::IoSlice::new(b"peer"), io::IoSlice::new(b"age")];
        assert_eq!(dialed.write_vectored(&bufs).await.unwrap(), 7);
        let (mut left, mut right) = ([0; 3], [0; 4]);
        let mut bufs = [io::IoSliceMut::new(&mut left), io::IoSliceMut::new(&mut right)];
        assert_eq!(accepted.read_vectored(&mut bufs).await.unwrap(), 7);
        assert_eq!((&left, &right), (b"pee", b"rage"));
    });
}

#[test]
fn port_zero_is_announced_as_the_port_that_was_chosen() {
    run(async {
        let mut transport = transport();
        let (_, address) = listen(&mut transport, V4).await;
        let addr = socket_addr(&address);
        assert_eq!(addr.ip(), Ipv4Addr::LOCALHOST);
        assert_ne!(addr.port(), 0);
        assert!(drain(&mut transport).is_empty(), "a concrete address is announced once");
    });
}

#[test]
fn other_transports_addresses_are_given_back() {
    let mut transport = transport();
    for address in ["/ip4/127.0.0.1/udp/1", "/dns4/localhost/tcp/1", "/ip4/127.0.0.1/tcp/1/ws"] {
        let address: Multiaddr = address.parse().unwrap();
        let listened = transport.listen_on(ListenerId::next(), address.clone());
        assert!(matches!(listened, Err(TransportError::MultiaddrNotSupported(a)) if a == address));
        let dialed = transport.dial(address.clone(), NEW).map(drop);
        assert!(matches!(dialed, Err(TransportError::MultiaddrNotSupported(a)) if a == address));
    }
    for nowhere in [V4, "/ip4/0.0.0.0/tcp/1"] {
        let dialed = transport.dial(nowhere.parse().unwrap(), NEW).map(drop);
        assert!(matches!(dialed, Err(TransportError::MultiaddrNotSupported(_))), "{nowhere}");
    }
}

#[test]
fn the_peer_in_an_address_is_left_to_the_layers_above() {
    run(async {
        let mut there = transport();
        let (_, address) = listen(&mut there, V4).await;
        let address = address.with_p2p(libp2p::PeerId::random()).unwrap();
        connect(&mut transport(), NEW, &mut there, &address).await;
    });
}

#[test]
fn a_removed_listener_says_so_and_frees_its_port() {
    run(async {
        let mut there = transport();
        let (id, address) = listen(&mut there, V4).await;
        // A connection that lives on must not keep the port.
        let _connection = connect(&mut transport(), NEW, &mut there, &address).await;

        assert!(there.remove_listener(id));
        assert!(!there.remove_listener(id), "it is gone");
        std::net::TcpStream::connect(socket_addr(&address)).expect_err("nobody listens");
        match next(&mut there).await {
            TransportEvent::ListenerClosed { listener_id, reason: Ok(()) } => {
                assert_eq!(listener_id, id);
            }
            other => panic!("{other:?}"),
        }
        assert!(drain(&mut there).is_empty());
        listen(&mut there, &address.to_string()).await;
    });
}

#[test]
fn dropping_the_transport_frees_its_ports() {
    run(async {
        let mut there = transport();
        let (_, address) = listen(&mut there, V4).await;
        let _connection = connect(&mut transport(), NEW, &mut there, &address).await;
        drop(there);
        listen(&mut transport(), &address.to_string()).await;
    });
}

#[test]
fn a_dial_to_a_closed_port_fails_with_the_reason() {
    run(async {
        let mut there = transport();
        let (_, address) = listen(&mut there, V4).await;
        drop(there);
        let error = transport().dial(address, REUSE).unwrap().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn the_options_are_set_at_both_ends() {
    run(async {
        for nodelay in [true, false] {
            let ttl = NonZeroU8::new(7);
            let config = Config::new().with_nodelay(nodelay).with_ttl(ttl);
            let (mut here, mut there) = (Transport::new(config.clone()), Transport::new(config));
            let (_, address) = listen(&mut there, V4).await;
            let (dialed, accepted) = connect(&mut here, NEW, &mut there, &address).await;
            for stream in [&dialed, &accepted] {
                assert_eq!(stream.std().nodelay().unwrap(), nodelay);
                assert_eq!(stream.std().ttl().unwrap(), 7);
            }
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_gives_up_a_host_that_acknowledges_nothing_at_both_ends() {
    run(async {
        let twenty_five = Some(Duration::from_secs(25));
        let custom = Config::new().with_host_timeout(Some(Duration::from_secs(10)));
        for (config, expected) in [
            (Config::new(), Some((twenty_five, 15, 5))),
            (custom, Some((Some(Duration::from_secs(10)), 6, 2))),
            (Config::new().with_host_timeout(None), None),
        ] {
            let (mut here, mut there) = (Transport::new(config.clone()), Transport::new(config));
            let (_, address) = listen(&mut there, V4).await;
            let (dialed, accepted) = connect(&mut here, NEW, &mut there, &address).await;
            for stream in [&dialed, &accepted] {
                let socket = socket2::SockRef::from(stream.std());
                assert_eq!(socket.keepalive().unwrap(), expected.is_some());
                let Some((timeout, first, next)) = expected else { continue };
                assert_eq!(socket.tcp_user_timeout().unwrap(), timeout);
                assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), first);
                assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), next);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
            }
        }
    });
}

#[test]
fn busy_listeners_take_turns() {
    run(async {
        let mut there = transport();
        let (busy, busy_address) = listen(&mut there, V4).await;
        let (other, other_address) = listen(&mut there, V4).await;
        let dial = |address| std::net::TcpStream::connect(socket_addr(address)).unwrap();
        let _crowd: Vec<_> = (0..50).map(|_| dial(&busy_address)).collect();
        // It is the second one that is awake from the beginning; the other one learns from the reactor that it is.
        // Until it does, others go on coming to the one that is awake.
        let mut others: Vec<_> = (0..50).map(|_| dial(&other_address)).collect();

        let mut served = Vec::new();
        let mut both_since = None;
        while both_since.is_none_or(|since| served.len() < since + 6) {
            if let TransportEvent::Incoming { listener_id, .. } = next(&mut there).await {
                served.push(listener_id);
                if listener_id == other {
                    others.push(dial(&other_address));
                }
            }
            if both_since.is_none() && served.contains(&busy) && served.contains(&other) {
                both_since = Some(served.len());
            }
        }
        for turn in served[both_since.unwrap()..].chunks(2) {
            assert!(turn.contains(&busy) && turn.contains(&other), "{served:?}");
        }
    });
}

#[test]
fn a_peer_that_hangs_up_before_it_is_accepted_does_no_harm() {
    run(async {
        let mut there = transport();
        let (_, address) = listen(&mut there, V4).await;
        let rude = std::net::TcpStream::connect(socket_addr(&address)).unwrap();
        // With no time to linger, closing sends a reset.
        socket2::SockRef::from(&rude).set_linger(Some(Duration::ZERO)).unwrap();
        drop(rude);

        let mut polite = std::net::TcpStream::connect(socket_addr(&address)).unwrap();
        polite.write_all(b"hello").unwrap();
        loop {
            if let Ok(mut stream) = accept(&mut there).await
                && stream.peer_addr().ok() == polite.local_addr().ok()
            {
                let mut hello = [0; 5];
                stream.read_exact(&mut hello).await.unwrap();
                return;
            }
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_no_longer_listens_closes_its_listener_with_the_error() {
    run(async {
        let mut there = transport();
        let (id, _) = listen(&mut there, V4).await;
        let socket = socket2::SockRef::from(there.listeners[0].socket());
        socket.shutdown(std::net::Shutdown::Both).unwrap();
        match next(&mut there).await {
            TransportEvent::ListenerClosed { listener_id, reason: Err(error) } => {
                assert_eq!((listener_id, error.kind()), (id, io::ErrorKind::InvalidInput));
            }
            other => panic!("{other:?}"),
        }
        assert!(!there.remove_listener(id), "it is gone");
    });
}

#[test]
fn whoever_waits_is_woken_by_new_and_removed_listeners() {
    let mut transport = transport();
    let (waker, woken) = new_count_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut transport).poll(&mut cx).is_pending());
    assert_eq!(woken.get(), 0);

    let id = ListenerId::next();
    transport.listen_on(id, V4.parse().unwrap()).unwrap();
    assert_eq!(woken.get(), 1);
    assert!(Pin::new(&mut transport).poll(&mut cx).is_ready());
    assert!(Pin::new(&mut transport).poll(&mut cx).is_pending());
    assert_eq!(woken.get(), 1);

    transport.remove_listener(id);
    assert_eq!(woken.get(), 2);
    assert!(Pin::new(&mut transport).poll(&mut cx).is_ready());
    assert!(Pin::new(&mut transport).poll(&mut cx).is_pending());
}

#[test]
fn an_idle_transport_is_woken_by_a_connection_and_by_nothing_else() {
    run(async {
        let mut there = transport();
        let (_, address) = listen(&mut there, V4).await;
        let mut polls = 0;
        let dialed = Timer::after(Duration::from_millis(200));
        let dialed = async {
            dialed.await;
            std::net::TcpStream::connect(socket_addr(&address)).unwrap()
        };
        let accepted = poll_fn(|cx| {
            polls += 1;
            Pin::new(&mut there).poll(cx)
        });
        let (_, event) = join(Box::pin(dialed), accepted).await;
        assert!(event.is_upgrade());
        // `join` polls both for the sake of either: once at first, once for the timer, once for the
        // connection, and there may be a wake to spare.
        assert!(polls <= 5, "polled {polls} times");
    });
}

/// A node polls its listeners whenever anything happens at all.
#[test]
fn a_listener_asks_the_system_for_nothing_when_it_is_polled_for_the_sake_of_others() {
    run(async {
        for wildcard in [V4, "/ip4/0.0.0.0/tcp/0"] {
            let mut there = transport();
            let (_, address) = listen(&mut there, wildcard).await;
            let before = there.listeners[0].asked();
            for _ in 0..1000 {
                drain(&mut there);
            }
            // The list of interfaces is still to be read.
            let looked = there.listeners[0].asked() - before;
            assert!(looked < 100, "asked {looked} times in 1000 polls of {wildcard}");

            // What has come is taken all the same, however much of it there is and whoever was woken for it.
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, socket_addr(&address).port()));
            let _crowd: Vec<_> =
                (0..100).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
            for _ in 0..100 {
                accept(&mut there).await.unwrap();
            }
            let looked = there.listeners[0].asked() - before;
            assert!(looked < 600, "asked {looked} times for 100 connections");
        }
    });
}

/// Takes place in a process of its own, because descriptors belong to the process.
#[cfg(target_os = "linux")]
#[test]
fn want_of_descriptors_neither_closes_a_listener_nor_makes_it_spin() {
    const CHILD: &str = "PEERAGE_TEST_FEW_DESCRIPTORS";
    const NAME: &str = "want_of_descriptors_neither_closes_a_listener_nor_makes_it_spin";
    if std::env::var_os(CHILD).is_some() {
        return run(accept_without_descriptors());
    }
    let child = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$1\" --test-threads 1"])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("1 passed"), "{told}");
}

#[cfg(target_os = "linux")]
async fn accept_without_descriptors() {
    let mut there = transport();
    let (id, address) = listen(&mut there, V4).await;
    let client = std::net::TcpStream::connect(socket_addr(&address)).unwrap();
    let mut hoard: Vec<_> =
        std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).take(1000).collect();
    assert!(hoard.len() < 64, "the limit holds");

    match next(&mut there).await {
        TransportEvent::ListenerError { listener_id, error } => {
            assert_eq!((listener_id, error.raw_os_error()), (id, Some(libc::EMFILE)));
        }
        other => panic!("{other:?}"),
    }

    let mut polls = 0;
    let silence = poll_fn(|cx| {
        polls += 1;
        Pin::new(&mut there).poll(cx)
    });
    match select(silence, Timer::after(Duration::from_millis(500))).await {
        Either::Left((event, _)) => panic!("the error is reported once: {event:?}"),
        Either::Right(_) => assert!(polls < 20, "polled {polls} times"),
    }

    hoard.clear();
    let accepted = accept(&mut there).await.expect("the connection has waited");
    assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
}
