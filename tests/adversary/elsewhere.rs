//! TCP from a loopback address of choice: so one machine holds hosts and networks that differ.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use async_io::Async;
use futures::{AsyncRead, AsyncWrite, TryFutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use peerage::{
    Limits,
    identity::Keypair,
    net::{
        tcp,
        transport::{self, BoxedTransport, TransportConfig},
    },
};
use socket2::{Domain, Socket, Type};

/// What nodes and strangers send bytes over.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// The stack that nodes speak, from this address.
pub(crate) fn from(host: Ipv4Addr, keypair: &Keypair, limits: &Limits) -> BoxedTransport {
    let config = TransportConfig::new();
    let tcp = From { host, listening: tcp::Transport::new(config.tcp().clone()) };
    transport::upgraded(tcp, keypair, &config, limits).expect("a transport")
}

/// Listens as anybody does, and dials from `host`.
struct From {
    host: Ipv4Addr,
    listening: tcp::Transport,
}

impl Transport for From {
    type Output = Box<dyn Bytes>;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.listening.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listening.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let mut parts = address.iter();
        let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next())
        else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        Ok(Box::pin(connect(self.host, SocketAddr::new(IpAddr::V4(ip), port))))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.listening).poll(cx).map(|event| {
            event.map_upgrade(|upgrade| -> Self::ListenerUpgrade {
                Box::pin(upgrade.map_ok(|stream| Box::new(stream) as Box<dyn Bytes>))
            })
        })
    }
}

async fn connect(host: Ipv4Addr, to: SocketAddr) -> io::Result<Box<dyn Bytes>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(host), 0).into())?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // What fails comes to light as soon as it can be written to.
    let _ = socket.connect(&to.into());
    let stream = Async::new_nonblocking(std::net::TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(Box::new(stream)),
    }
}
