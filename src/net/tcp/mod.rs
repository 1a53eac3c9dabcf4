//! TCP on the reactor of `async-io`.
//!
//! `libp2p-tcp` is bound to one runtime. This [`Transport`] has the same place in the stack and belongs
//! to none: whoever polls it moves it, and nothing is spawned. It implements the trait of the `libp2p` that
//! [`net::transport`](crate::net::transport#whose-traits-these-are) names.
//!
//! # Addresses
//!
//! `/ip4/<ip>/tcp/<port>` and `/ip6/<ip>/tcp/<port>`, with or without a `/p2p/<peer>` behind, as in the
//! [libp2p addressing] specification. Names (`/dns4/…`) are another transport's business, that of `net::dns`. Port 0 asks for
//! a free port. A wildcard address (`0.0.0.0`, `::`) stands for every address that the interfaces have,
//! each of which is announced, also when it appears later, and expires when it goes. A socket serves one
//! family: to listen on both, listen on both wildcards, which can have the same port.
//!
//! # Ports
//!
//! A dial with [`PortUse::Reuse`] leaves, where it can, from the port of a listener that leads the same
//! way. The peer then sees the address at which this node can be dialed back, instead of a random port:
//! this is what `identify` reports as observed address, what makes a NAT keep one mapping for both
//! directions, and so what hole punching is built on ([RFC 5128 section 3.4], [RFC 5382]). Two peers that
//! dial each other in the same instant from their listening ports can meet in one connection
//! ([RFC 9293 section 3.5], "simultaneous open") in which both believe to be the dialer; authentication
//! fails then, and whoever dials again gets through.
//!
//! # Out of descriptors
//!
//! A listener does not close because `accept` fails for want of descriptors or memory. It reports the
//! error once, pauses (50 ms, doubling to 1 s) and tries again; meanwhile connections wait in the
//! backlog. The pause is a timer of `async-io`, read from the real clock: nothing above this transport
//! can see it other than as a late connection, so it takes no part in a simulation's virtual time.
//!
//! [libp2p addressing]: https://github.com/libp2p/specs/blob/master/addressing/README.md
//! [RFC 5128 section 3.4]: https://www.rfc-editor.org/rfc/rfc5128#section-3.4
//! [RFC 5382]: https://www.rfc-editor.org/rfc/rfc5382
//! [RFC 9293 section 3.5]: https://www.rfc-editor.org/rfc/rfc9293#section-3.5

mod address;
mod dial;
mod interfaces;
mod listener;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use libp2p::{
    Multiaddr,
    core::transport::{self, DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
};

pub use self::stream::TcpStream;
use self::{
    address::{to_multiaddr, to_remote_addr, to_socket_addr},
    listener::{Listener, ListenerEvent},
};
pub use crate::config::tcp::Config;

/// A connection that was accepted, which is all there is to do at this level.
type Accepted = future::Ready<io::Result<TcpStream>>;

/// Dials and listens over TCP; see the [module](self) for how.
///
/// A dial has no time limit of its own, and an operating system's can be minutes: wrap the transport in
/// a [`TransportTimeout`](transport::timeout::TransportTimeout), as [`net::transport`](crate::net::transport)
/// does. The number of connections is for the layers above to bound.
///
/// Dropping the transport closes its listeners and frees their ports. Connections live on.
///
/// ```
/// use futures::{FutureExt as _, StreamExt as _};
/// use libp2p::{core::transport::{ListenerId, Transport as _}, Multiaddr};
/// use peerage::net::tcp;
///
/// let mut transport = tcp::Transport::new(tcp::Config::default()).boxed();
/// transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse()?)?;
///
/// let event = futures::executor::block_on(transport.select_next_some());
/// let address: Multiaddr = event.into_new_address().expect("the address comes first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transport {
    config: Config,
    /// Whoever had something to say goes to the back.
    listeners: VecDeque<Listener>,
    /// Listeners that are gone, which their owners have not been told.
    closed: VecDeque<(ListenerId, io::Result<()>)>,
    /// Who to wake when a method has changed what a poll would find.
    waker: Option<Waker>,
}

impl Transport {
    /// A transport without listeners. It does nothing until it is asked to listen or to dial.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, listeners: VecDeque::new(), closed: VecDeque::new(), waker: None }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", &self.config)
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl transport::Transport for Transport {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = Accepted;
    type Dial = BoxFuture<'static, io::Result<TcpStream>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some(addr) = to_socket_addr(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener =
            Listener::bind(id, addr, self.config.clone()).map_err(TransportError::Other)?;
        self.listeners.push_back(listener);
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(index) = self.listeners.iter().position(|listener| listener.id() == id) else {
            return false;
        };
        // The port is free from here on, whenever the event is taken.
        self.listeners.remove(index);
        self.closed.push_back((id, Ok(())));
        self.wake();
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(remote) = to_remote_addr(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let shared_port = match opts.port_use {
            PortUse::New => None,
            PortUse::Reuse => self.listeners.iter().find_map(|it| it.port_for(remote)),
        };
        // Whether this end dials or listens in the handshakes above (`opts.role`) is the same to a socket.
        Ok(dial::dial(remote, shared_port, self.config.clone()).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Accepted, io::Error>> {
        let this = &mut *self;
        if let Some((listener_id, reason)) = this.closed.pop_front() {
            return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason });
        }
        // Every listener is asked at most once, beginning with the one that has waited longest, so that
        // a busy one delays another by one event and no more.
        for _ in 0..this.listeners.len() {
            let Some(mut listener) = this.listeners.pop_front() else { break };
            let listener_id = listener.id();
            let event = listener.poll(cx);
            if !matches!(event, Poll::Ready(ListenerEvent::Failed(_))) {
                this.listeners.push_back(listener);
            }
            if let Poll::Ready(event) = event {
                return Poll::Ready(report(listener_id, event));
            }
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn report(listener_id: ListenerId, event: ListenerEvent) -> TransportEvent<Accepted, io::Error> {
    match event {
        ListenerEvent::NewAddress(addr) => {
            TransportEvent::NewAddress { listener_id, listen_addr: to_multiaddr(addr) }
        }
        ListenerEvent::AddressExpired(addr) => {
            TransportEvent::AddressExpired { listener_id, listen_addr: to_multiaddr(addr) }
        }
        ListenerEvent::Incoming { stream, local, remote } => TransportEvent::Incoming {
            listener_id,
            upgrade: future::ready(stream),
            local_addr: to_multiaddr(local),
            send_back_addr: to_multiaddr(remote),
        },
        ListenerEvent::Error(error) => TransportEvent::ListenerError { listener_id, error },
        ListenerEvent::Failed(error) => {
            TransportEvent::ListenerClosed { listener_id, reason: Err(error) }
        }
    }
}
