//! The network as a transport of libp2p, for one host.

use std::{
    collections::VecDeque,
    future::{Future, Ready, ready},
    io,
    net::SocketAddrV4,
    pin::Pin,
    task::{Context, Poll, ready as ready_or_return},
};

use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

use super::{Network, connection::Side, multiaddr, socket::Socket};

type Happened = TransportEvent<Ready<io::Result<Socket>>, io::Error>;

pub(super) struct SimulatedTransport {
    network: Network,
    host: usize,
    listeners: Vec<(ListenerId, SocketAddrV4)>,
    /// What is still to be told.
    news: VecDeque<Happened>,
}

impl SimulatedTransport {
    pub(super) fn new(network: Network, host: usize) -> Self {
        Self { network, host, listeners: Vec::new(), news: VecDeque::new() }
    }
}

impl SimulatedTransport {
    /// Tells of another address, if the host has got one.
    fn follow_host(&mut self) {
        let Self { network, host, listeners, news } = self;
        for (listener_id, address) in listeners {
            let moved = network.state().follow(*host, *address);
            if let Some(current) = moved {
                let (before, now) = (multiaddr(*address), multiaddr(current));
                *address = current;
                let listener_id = *listener_id;
                news.push_back(TransportEvent::AddressExpired { listener_id, listen_addr: before });
                news.push_back(TransportEvent::NewAddress { listener_id, listen_addr: now });
            }
        }
    }
}

impl Transport for SimulatedTransport {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Socket>>;
    type Dial = Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some(address) = socket_address(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        self.network.state().listen(address).map_err(TransportError::Other)?;
        self.listeners.push((id, address));
        let listen_addr = multiaddr(address);
        self.news.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(index) = self.listeners.iter().position(|(listener, _)| *listener == id) else {
            return false;
        };
        let (listener_id, address) = self.listeners.remove(index);
        self.network.state().stop_listening(address);
        self.news.push_back(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) });
        true
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Dial, TransportError<io::Error>> {
        let Some(to) = socket_address(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let connection = self.network.state().dial(self.host, to);
        let network = self.network.clone();
        Ok(Dial(Some(Socket { network, connection, side: Side::Dialer })))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Happened> {
        self.follow_host();
        if let Some(news) = self.news.pop_front() {
            return Poll::Ready(news);
        }
        for &(listener_id, address) in &self.listeners {
            let accepted = self.network.state().accept(address, cx);
            if let Poll::Ready((connection, from)) = accepted {
                let network = self.network.clone();
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id,
                    upgrade: ready(Ok(Socket { network, connection, side: Side::Listener })),
                    local_addr: multiaddr(address),
                    send_back_addr: multiaddr(from),
                });
            }
        }
        Poll::Pending
    }
}

impl Drop for SimulatedTransport {
    fn drop(&mut self) {
        for (_, address) in self.listeners.drain(..) {
            self.network.state().stop_listening(address);
        }
    }
}

/// A connection that is to stand. Dropped before that, it ends.
pub(super) struct Dial(Option<Socket>);

impl Future for Dial {
    type Output = io::Result<Socket>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        let socket = self.0.as_ref().expect("a dial is not polled after its end");
        let outcome = socket.network.state().poll_dial(socket.connection, cx);
        let outcome = ready_or_return!(outcome);
        let socket = self.0.take().expect("it was there");
        Poll::Ready(outcome.map(|()| socket))
    }
}

/// `/ip4/<address>/tcp/<port>`, whoever is to be there.
fn socket_address(address: &Multiaddr) -> Option<SocketAddrV4> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_))) => {
            Some(SocketAddrV4::new(ip, port))
        }
        _ => None,
    }
}
