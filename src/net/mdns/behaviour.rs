//! Discovery as a part of the Swarm.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_io::Timer;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, ListenAddresses, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

use super::{
    Interface,
    machine::{Machine, Output},
    packet::MAX_PACKET_BYTES,
    socket::Socket,
    watch::{Interfaces, Watch},
};
use crate::{bell::Bell, clock::SystemEntropy, config::MdnsConfig};

/// So many packets of an interface are read in one poll, before others have their turn.
const PACKETS_PER_POLL: usize = 32;

/// How long to wait before another attempt at an interface on which nothing could be joined.
const RETRY_JOIN: Duration = Duration::from_secs(60);

/// What was discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A sender says that a peer is at these addresses, which are of the local network and do not name it. It may be of any
    /// network.
    Found { peer: PeerId, addresses: Vec<Multiaddr>, by: IpAddr },
}

/// Looks for peers on the local network, and is found there.
///
/// It dials nobody. It keeps a timer of its own, as the parts of libp2p do: no call waits for it.
#[derive(Debug)]
pub(crate) struct Behaviour {
    machine: Machine,
    watch: Watch,
    sockets: BTreeMap<Interface, Membership>,
    listening: ListenAddresses,
    /// Rung by sockets, watcher and timer: what else wakes the Swarm is no reason to ask the operating system for packets.
    bell: Bell,
    origin: Instant,
    timer: Option<Timer>,
    buffer: Box<[u8]>,
    events: VecDeque<Event>,
}

/// How it stands with the group of an interface.
#[derive(Debug)]
enum Membership {
    Joined {
        socket: Socket,
        sending: Sending,
    },
    /// It could not be joined. There is another attempt at this time.
    Failed {
        retry: Duration,
    },
}

/// Whether packets leave. It is told once when they cease to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Works,
    Fails,
}

impl Behaviour {
    pub(crate) fn new(local: PeerId, config: &MdnsConfig) -> Self {
        Self {
            machine: Machine::new(local, config, Box::new(SystemEntropy)),
            watch: Watch::new(config.interfaces().to_vec()),
            sockets: BTreeMap::new(),
            listening: ListenAddresses::default(),
            bell: Bell::new(Arc::default()),
            origin: Instant::now(),
            timer: None,
            // One byte more than may be in a packet shows that there were too many.
            buffer: vec![0; MAX_PACKET_BYTES + 1].into(),
            events: VecDeque::new(),
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn work(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        while let Poll::Ready(interfaces) = self.watch.poll(cx) {
            self.follow(now, interfaces);
        }
        self.join_again(now);
        let has_more = self.receive(cx, now);
        self.machine.expire(now);
        self.carry_out();
        if has_more || self.arm(cx, now).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// These are the interfaces now.
    fn follow(&mut self, now: Duration, interfaces: Interfaces) {
        let gone: Vec<Interface> =
            self.machine.interfaces().filter(|it| !interfaces.contains_key(it)).collect();
        for interface in gone {
            self.machine.down(interface);
        }
        for (interface, networks) in interfaces {
            self.machine.up(now, interface, networks);
        }
        let up: Vec<Interface> = self.machine.interfaces().collect();
        self.sockets.retain(|interface, _| up.contains(interface));
        for interface in up {
            self.sockets.entry(interface).or_insert_with(|| {
                Membership::join(now, interface, |error| {
                    tracing::warn!(?interface, %error, "no peers are discovered on this interface");
                })
            });
        }
    }

    /// Joins where that has failed a while ago.
    fn join_again(&mut self, now: Duration) {
        for (interface, membership) in &mut self.sockets {
            if matches!(membership, Membership::Failed { retry } if *retry <= now) {
                *membership = Membership::join(now, *interface, |error| {
                    tracing::debug!(?interface, %error, "still not joined");
                });
            }
        }
    }

    /// Reads what has come. Tells whether there may be more that could be read at once.
    fn receive(&mut self, cx: &mut Context<'_>, now: Duration) -> bool {
        let mut has_more = false;
        for (interface, membership) in &mut self.sockets {
            let Membership::Joined { socket, .. } = membership else { continue };
            let mut packets = 0;
            while self.machine.may_read(now, *interface) == Some(now) {
                if packets == PACKETS_PER_POLL {
                    has_more = true;
                    break;
                }
                packets += 1;
                match socket.poll_receive(cx, &mut self.buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok((length, from))) => {
                        let bytes = self.buffer.get(..length).unwrap_or_default();
                        self.machine.hear(now, *interface, from.ip(), bytes);
                    }
                    // Something that was sent did not arrive, or the interface is going: its end is told otherwise. Nobody
                    // wakes this node before it has asked once more.
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(?interface, %error, "discovery: receiving failed");
                        self.machine.missed(now, *interface);
                    }
                }
            }
        }
        has_more
    }

    /// Does what the machine has decided.
    fn carry_out(&mut self) {
        while let Some(output) = self.machine.next_output() {
            match output {
                Output::Found { peer, addresses, by } => {
                    self.events.push_back(Event::Found { peer, addresses, by });
                }
                Output::Send { on, packet } => {
                    if let Some(membership) = self.sockets.get_mut(&on) {
                        membership.send(on, &packet);
                    }
                }
            }
        }
    }

    /// When there is something to do, if nothing comes before.
    fn alarm(&self, now: Duration) -> Option<Duration> {
        let waits = self.sockets.iter().filter_map(|(interface, membership)| match membership {
            Membership::Failed { retry } => Some(*retry),
            // It has been read as often as it may be for now.
            Membership::Joined { .. } => {
                self.machine.may_read(now, *interface).filter(|next| *next > now)
            }
        });
        waits.chain(self.machine.next_deadline()).min()
    }

    /// Sets the timer. Ready if it is time already.
    fn arm(&mut self, cx: &mut Context<'_>, now: Duration) -> Poll<()> {
        let Some(due) = self.alarm(now) else {
            self.timer = None;
            return Poll::Pending;
        };
        // No earlier than the timer's own resolution: it would fire before it is time.
        let due = self.origin + due + Duration::from_millis(1);
        let timer = self.timer.get_or_insert_with(Timer::never);
        timer.set_at(due);
        Future::poll(Pin::new(timer), cx).map(|_| ())
    }
}

impl Membership {
    fn join(now: Duration, interface: Interface, complain: impl FnOnce(io::Error)) -> Self {
        match Socket::join(interface) {
            Ok(socket) => Self::Joined { socket, sending: Sending::Works },
            Err(error) => {
                complain(error);
                Self::Failed { retry: now.saturating_add(RETRY_JOIN) }
            }
        }
    }

    fn send(&mut self, on: Interface, packet: &[u8]) {
        let Self::Joined { socket, sending } = self else { return };
        *sending = match (socket.send(packet), *sending) {
            (Ok(()), _) => Sending::Works,
            (Err(error), Sending::Works) => {
                tracing::warn!(interface = ?on, %error, "this node is not discovered on this interface");
                Sending::Fails
            }
            (Err(_), Sending::Fails) => Sending::Fails,
        };
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    // The Swarm polls every behaviour after it has told them something.
    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if self.listening.on_swarm_event(&event) {
            let now = self.now();
            self.machine.listen(now, self.listening.iter().cloned().collect());
            self.bell.keep_rung();
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        self.bell.attach(cx.waker());
        if !self.bell.answer() {
            return Poll::Pending;
        }
        let waker = self.bell.context().waker().clone();
        self.work(&mut Context::from_waker(&waker));
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, UdpSocket},
        sync::mpsc::{self, Sender},
        task::{Wake, Waker},
    };

    use super::*;

    struct Woken(Sender<()>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }

    /// As after an interface that was down for a moment.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_comes_after_an_error_of_the_socket_is_heard_at_once() {
        let on = Interface::V4(Ipv4Addr::LOCALHOST);
        let mut behaviour = Behaviour::new(PeerId::random(), &MdnsConfig::new());
        let now = behaviour.now();
        behaviour.machine.up(now, on, vec!["127.0.0.1/8".parse().expect("a network")]);
        // Nobody is there any more, which the socket is told.
        let neighbour = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let at = neighbour.local_addr().expect("an address");
        drop(neighbour);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let here = socket.local_addr().expect("an address");
        socket.connect(at).expect("connected");
        socket.send(b"hello").expect("sent");
        let socket = Socket::over(socket);
        behaviour.sockets.insert(on, Membership::Joined { socket, sending: Sending::Works });

        let (sender, woken) = mpsc::channel();
        let waker = Waker::from(Arc::new(Woken(sender)));
        let mut cx = Context::from_waker(&waker);
        assert!(!behaviour.receive(&mut cx, now));
        let neighbour = UdpSocket::bind(at).expect("the same socket");
        neighbour.send_to(b"hello", here).expect("sent");
        woken.recv_timeout(Duration::from_secs(20)).expect("woken");
    }

    #[test]
    fn an_error_that_stays_is_asked_for_to_a_bound() {
        let on = Interface::V4(Ipv4Addr::LOCALHOST);
        let mut behaviour = Behaviour::new(PeerId::random(), &MdnsConfig::new());
        let now = behaviour.now();
        behaviour.machine.up(now, on, Vec::new());
        let mut reads = 0;
        while behaviour.machine.may_read(now, on) == Some(now) {
            behaviour.machine.missed(now, on);
            reads += 1;
        }
        assert!((1..1000).contains(&reads));
    }
}
