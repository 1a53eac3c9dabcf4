//! One listening socket: its addresses, and the connections it accepts.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_io::{Async, Timer};
use futures::future::Future as _;
use libp2p::core::transport::ListenerId;
use socket2::SockRef;

use super::{
    Config,
    dial::{new_socket, set_options, share_port},
    interfaces::{InterfaceEvent, Interfaces},
    stream::TcpStream,
};
use crate::bell::Bell;

/// How many attempts to accept one poll may take before other listeners have their turn.
const ACCEPT_BUDGET: usize = 16;

/// The first pause after the system has run out of something, and the longest. It doubles in between.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    id: ListenerId,
    socket: Async<TcpListener>,
    local: SocketAddr,
    shares_port: bool,
    reach: Reach,
    accepting: Accepting,
    config: Config,
    /// Rung by the socket, the interfaces and the pause. Whoever polls the transport does so for many reasons, and to ask
    /// the system each time would cost a call for each of them.
    bell: Bell,
    /// How often the system was asked, for a connection or for news of the interfaces.
    #[cfg(test)]
    asked: usize,
}

/// Where the listener can be reached.
#[derive(Debug)]
enum Reach {
    /// At the one address that it is bound to, which has not been announced yet.
    Unannounced,
    /// At the one address that it is bound to.
    Announced,
    /// At every address of the interfaces.
    Interfaces(Interfaces),
}

/// Whether connections are taken.
#[derive(Debug)]
enum Accepting {
    /// They are.
    Open,
    /// The system is short of something, such as descriptors. Until the timer fires nothing is tried:
    /// the connections keep waiting in the backlog, so the socket stays readable, and to try at once
    /// would be to spin.
    Paused { until: Timer, pause: Duration },
    /// The pause is over, and it is not known yet whether the shortage is.
    Retrying { pause: Duration },
}

/// What a listener has to say.
#[derive(Debug)]
pub(super) enum ListenerEvent {
    NewAddress(SocketAddr),
    AddressExpired(SocketAddr),
    Incoming {
        /// The connection, or why it cannot be used although it was accepted.
        stream: io::Result<TcpStream>,
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// Something went wrong; the listener goes on.
    Error(io::Error),
    /// The socket cannot accept any more.
    Failed(io::Error),
}

/// What an error of `accept` is about.
#[derive(Debug, PartialEq, Eq)]
enum AcceptError {
    /// The one connection that would have been accepted, which is gone now.
    Connection,
    /// The listening socket itself.
    Listener,
    /// What the process or the system has left.
    Shortage,
}

impl Listener {
    /// Binds to `addr` and listens there.
    ///
    /// The port is held exclusively against other listeners, although dials may share it: sockets may
    /// share a port only if *all* of them allow it, and this one begins to allow it when it already
    /// listens. Otherwise a second process, started by mistake with the same configuration, would get
    /// every other connection instead of an error.
    pub(super) fn bind(id: ListenerId, addr: SocketAddr, config: Config) -> io::Result<Self> {
        let socket = new_socket(addr)?;
        // After a restart, connections in TIME-WAIT must not keep the port. On Windows they do not, and
        // the option means something else.
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(config.listen_backlog()).unwrap_or(i32::MAX))?;
        let shares_port = config.port_reuse()
            && match share_port(SockRef::from(&socket)) {
                Ok(()) => true,
                Err(error) => {
                    tracing::debug!(%addr, %error, "dials cannot leave from this listening port");
                    false
                }
            };

        let socket = Async::new_nonblocking(TcpListener::from(socket))?;
        let local = socket.get_ref().local_addr()?;
        let reach = if local.ip().is_unspecified() {
            Reach::Interfaces(Interfaces::new(local.ip()))
        } else {
            Reach::Unannounced
        };
        Ok(Self {
            id,
            socket,
            local,
            shares_port,
            reach,
            accepting: Accepting::Open,
            bell: Bell::new(Arc::default()),
            config,
            #[cfg(test)]
            asked: 0,
        })
    }

    pub(super) fn id(&self) -> ListenerId {
        self.id
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &TcpListener {
        self.socket.get_ref()
    }

    #[cfg(test)]
    pub(super) fn set_interfaces(&mut self, interfaces: Interfaces) {
        self.reach = Reach::Interfaces(interfaces);
        self.bell.keep_rung();
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// The port that a dial to `remote` may leave from, so that `remote` sees where to reach this node.
    pub(super) fn port_for(&self, remote: SocketAddr) -> Option<u16> {
        let ip = self.local.ip();
        let leads_there = ip.is_ipv4() == remote.is_ipv4()
            && (ip.is_unspecified() || ip.is_loopback() == remote.ip().is_loopback());
        // From a port to itself TCP connects a socket to itself.
        let is_self = remote.port() == self.local.port()
            && (remote.ip().is_loopback() || self.is_reached_at(remote.ip()));
        (self.shares_port && leads_there && !is_self).then_some(self.local.port())
    }

    fn is_reached_at(&self, ip: IpAddr) -> bool {
        match &self.reach {
            Reach::Unannounced | Reach::Announced => self.local.ip() == ip,
            Reach::Interfaces(interfaces) => interfaces.contains(ip),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        self.bell.attach(cx.waker());
        if !self.bell.answer() {
            return Poll::Pending;
        }
        let waker = self.bell.context().waker().clone();
        let cx = &mut Context::from_waker(&waker);
        // Addresses first: a connection belongs to an address that was announced.
        let event = match self.poll_addresses(cx) {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => self.poll_accept(cx),
        };
        if event.is_ready() {
            // There may be more, and nobody will ring for what is there already.
            self.bell.keep_rung();
        }
        event
    }

    fn poll_addresses(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        #[cfg(test)]
        if matches!(self.reach, Reach::Interfaces(_)) {
            self.asked += 1;
        }
        let port = self.local.port();
        match &mut self.reach {
            Reach::Announced => Poll::Pending,
            Reach::Unannounced => {
                self.reach = Reach::Announced;
                Poll::Ready(ListenerEvent::NewAddress(self.local))
            }
            Reach::Interfaces(interfaces) => Poll::Ready(match ready!(interfaces.poll(cx)) {
                InterfaceEvent::Up(ip) => ListenerEvent::NewAddress(SocketAddr::new(ip, port)),
                InterfaceEvent::Down(ip) => {
                    ListenerEvent::AddressExpired(SocketAddr::new(ip, port))
                }
                InterfaceEvent::Failed(error) => {
                    tracing::warn!(
                        listener = %self.local, %error,
                        "cannot follow the network interfaces: only addresses known so far, at least \
                         loopback, are announced; listen on a concrete address to have it announced"
                    );
                    ListenerEvent::Error(error)
                }
            }),
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        if let Accepting::Paused { until, pause } = &mut self.accepting {
            ready!(Pin::new(until).poll(cx));
            self.accepting = Accepting::Retrying { pause: *pause };
        }
        let mut lost = None;
        for _ in 0..ACCEPT_BUDGET {
            #[cfg(test)]
            {
                self.asked += 1;
            }
            match self.socket.get_ref().accept() {
                Ok((stream, remote)) => {
                    self.accepting = Accepting::Open;
                    return Poll::Ready(self.accepted(stream, remote));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The reactor cannot watch the socket, for want of the same things.
                    if let Err(error) = ready!(self.socket.poll_readable(cx)) {
                        return self.pause(error, cx);
                    }
                }
                Err(error) => match classify(&error) {
                    AcceptError::Connection => {
                        tracing::debug!(listener = %self.local, %error, "lost before it was accepted");
                        lost = Some(error);
                    }
                    AcceptError::Listener => return Poll::Ready(ListenerEvent::Failed(error)),
                    AcceptError::Shortage => return self.pause(error, cx),
                },
            }
        }
        // Whoever can make connections fail this fast must not keep the node from everything else.
        if let Some(error) = lost {
            return self.pause(error, cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Stops accepting for a while. The error is reported when the shortage begins, not at each attempt.
    fn pause(&mut self, error: io::Error, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        let (pause, is_new) = match self.accepting {
            Accepting::Open => (MIN_PAUSE, true),
            Accepting::Paused { pause, .. } | Accepting::Retrying { pause } => {
                (MAX_PAUSE.min(pause.saturating_mul(2)), false)
            }
        };
        let mut until = Timer::after(pause);
        let fired = Pin::new(&mut until).poll(cx).is_ready();
        self.accepting = Accepting::Paused { until, pause };
        if is_new {
            return Poll::Ready(ListenerEvent::Error(error));
        }
        if fired {
            cx.waker().wake_by_ref();
        }
        tracing::debug!(listener = %self.local, %error, ?pause, "still cannot accept");
        Poll::Pending
    }

    fn accepted(&self, stream: std::net::TcpStream, remote: SocketAddr) -> ListenerEvent {
        // A peer that has already hung up can make each of these fail. It is the connection that fails
        // then, not the listener.
        let local = stream.local_addr().unwrap_or(self.local);
        let stream = set_options(SockRef::from(&stream), &self.config, remote.is_ipv6())
            .and_then(|()| Async::new(stream))
            .map(TcpStream::new);
        ListenerEvent::Incoming { stream, local, remote }
    }
}

/// Sorts the errors of `accept`.
///
/// What is not known for certain is taken for a shortage, because that is the safe side: at worst a
/// listener that cannot recover tries once a second, whereas one that was closed for a passing want
/// of descriptors would leave the node unreachable for good.
fn classify(error: &io::Error) -> AcceptError {
    use io::ErrorKind as Kind;
    match error.kind() {
        // Linux passes on what has already happened to the new connection.
        Kind::ConnectionAborted
        | Kind::ConnectionReset
        | Kind::ConnectionRefused
        | Kind::BrokenPipe
        | Kind::Interrupted
        | Kind::TimedOut
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown => AcceptError::Connection,
        // EINVAL: the socket does not listen (any more).
        Kind::InvalidInput => AcceptError::Listener,
        _ => AcceptError::Shortage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_not_a_lost_listener() {
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset] {
            assert_eq!(classify(&kind.into()), AcceptError::Connection);
        }
    }

    #[cfg(unix)]
    #[test]
    fn want_of_descriptors_or_memory_is_a_shortage() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(classify(&error), AcceptError::Shortage, "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_that_does_not_listen_ends_the_listener() {
        let error = io::Error::from_raw_os_error(libc::EINVAL);
        assert_eq!(classify(&error), AcceptError::Listener);
    }
}
