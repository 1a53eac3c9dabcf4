use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{
    Transport as _,
    core::Endpoint,
    core::transport::{DialOpts, ListenerId, PortUse, TransportEvent},
};

use super::{socket::Socket, transport::SimulatedTransport, *};

const DIALING: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };

/// Two hosts in Dallas and Sydney, which are 93 ms apart.
fn network(conditions: Conditions) -> Network {
    process::begin(1);
    let network = Network::new(Random::new(1), conditions);
    assert_eq!([network.add_host(0), network.add_host(7)], [0, 1]);
    network
}

fn steady() -> Conditions {
    Conditions {
        jitter: 0.0,
        loss: 0.0,
        bandwidth: u64::MAX / 2_000_000_000,
        ..Conditions::default()
    }
}

/// Lets time go on until nothing is on its way any more, or this has passed.
fn run(network: &Network, time: Duration) {
    let end = process::now().expect("a simulation") + time;
    while let Some(at) = network.next_event().filter(|at| *at <= end) {
        process::advance(at);
        network.run_due();
    }
    process::advance(end);
}

/// The second host listens, and the first one dials it.
fn connected(network: &Network) -> (Socket, Socket, SimulatedTransport) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut there = SimulatedTransport::new(network.clone(), 1);
    there.listen_on(ListenerId::next(), network.address(1)).expect("listening");
    let mut here = SimulatedTransport::new(network.clone(), 0);
    let mut dial = pin!(here.dial(network.address(1), DIALING).expect("a dial"));
    assert!(dial.as_mut().poll(&mut cx).is_pending());
    let before = process::now().expect("a simulation");
    run(network, Duration::from_millis(187));
    assert!(process::now().expect("a simulation") - before <= Duration::from_millis(187));
    let Poll::Ready(Ok(dialed)) = dial.poll(&mut cx) else {
        panic!("not connected in a round trip")
    };
    loop {
        match Pin::new(&mut there).poll(&mut cx) {
            Poll::Ready(TransportEvent::Incoming { upgrade, .. }) => {
                let accepted = upgrade.into_inner().expect("a connection");
                return (dialed, accepted, there);
            }
            Poll::Ready(_) => {}
            Poll::Pending => panic!("nobody has come"),
        }
    }
}

use std::{future::Future as _, pin::Pin};

fn write(socket: &mut Socket, bytes: &[u8]) {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = pin!(socket.write_all(bytes)).poll(&mut cx) else {
        panic!("not written")
    };
}

/// What has come by now: bytes, or an end or an error, or nothing.
fn read(socket: &mut Socket) -> Option<std::io::Result<Vec<u8>>> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = [0; 1000];
    let poll = pin!(socket.read(&mut buffer)).poll(&mut cx);
    match poll {
        Poll::Ready(count) => Some(count.map(|count| buffer[..count].to_vec())),
        Poll::Pending => None,
    }
}

#[test]
fn bytes_take_as_long_as_the_way_is() {
    let network = network(steady());
    let (mut here, mut there, _listener) = connected(&network);
    write(&mut here, b"hello");
    run(&network, Duration::from_millis(92));
    assert!(read(&mut there).is_none());
    run(&network, Duration::from_millis(2));
    assert_eq!(read(&mut there).expect("bytes").expect("no error"), b"hello");
}

#[test]
fn the_order_is_kept_whatever_is_lost() {
    let network = network(Conditions { loss: 0.3, jitter: 1.0, ..steady() });
    let (mut here, mut there, _listener) = connected_lossy(&network);
    (0..100u8).for_each(|byte| write(&mut here, &[byte]));
    run(&network, Duration::from_secs(60));
    let mut read_bytes = Vec::new();
    while let Some(Ok(bytes)) = read(&mut there) {
        read_bytes.extend(bytes);
    }
    assert_eq!(read_bytes, (0..100).collect::<Vec<u8>>());
}

fn connected_lossy(network: &Network) -> (Socket, Socket, SimulatedTransport) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut there = SimulatedTransport::new(network.clone(), 1);
    there.listen_on(ListenerId::next(), network.address(1)).expect("listening");
    let mut here = SimulatedTransport::new(network.clone(), 0);
    let mut dial = pin!(here.dial(network.address(1), DIALING).expect("a dial"));
    run(network, Duration::from_secs(10));
    let Poll::Ready(Ok(dialed)) = dial.as_mut().poll(&mut cx) else { panic!("not connected") };
    loop {
        if let Poll::Ready(TransportEvent::Incoming { upgrade, .. }) =
            Pin::new(&mut there).poll(&mut cx)
        {
            return (dialed, upgrade.into_inner().expect("a connection"), there);
        }
    }
}

#[test]
fn what_a_cut_holds_back_comes_when_it_heals() {
    let network = network(steady());
    let (mut here, mut there, _listener) = connected(&network);
    network.cut([(0, 1)], true);
    write(&mut here, b"late");
    write(&mut there, b"in time");
    run(&network, Duration::from_secs(20));
    assert!(read(&mut there).is_none());
    assert_eq!(read(&mut here).expect("the way back is free").expect("no error"), b"in time");
    network.cut([(0, 1)], false);
    run(&network, Duration::from_secs(5));
    assert_eq!(read(&mut there).expect("bytes").expect("no error"), b"late");
}

#[test]
fn who_sends_into_a_cut_gives_up_and_the_other_end_hears_of_it_when_it_sends() {
    let network = network(steady());
    let (mut here, mut there, _listener) = connected(&network);
    network.unplug(1, true);
    write(&mut here, b"lost");
    run(&network, Duration::from_secs(80));
    assert!(
        matches!(read(&mut here), Some(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut)
    );
    network.unplug(1, false);
    run(&network, Duration::from_secs(80));
    assert!(read(&mut there).is_none(), "it is half-open");
    write(&mut there, b"are you there?");
    run(&network, Duration::from_secs(1));
    assert!(
        matches!(read(&mut there), Some(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset)
    );
    drop((here, there));
    run(&network, Duration::from_secs(100));
    assert_eq!(network.connections(), 0);
}

#[test]
fn a_host_without_power_says_nothing() {
    let network = network(steady());
    let (mut here, there, listener) = connected(&network);
    network.power_off(1);
    drop((there, listener));
    run(&network, Duration::from_secs(1000));
    assert!(read(&mut here).is_none());
    network.unplug(1, false);
    write(&mut here, b"are you there?");
    run(&network, Duration::from_secs(1));
    assert!(matches!(read(&mut here), Some(Err(_))));
}

#[test]
fn who_dials_a_host_on_which_nobody_listens_is_refused_in_a_round_trip() {
    let network = network(steady());
    let mut cx = Context::from_waker(Waker::noop());
    let mut here = SimulatedTransport::new(network.clone(), 0);
    let mut dial = pin!(here.dial(network.address(1), DIALING).expect("a dial"));
    run(&network, Duration::from_millis(190));
    assert!(matches!(dial.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
}
