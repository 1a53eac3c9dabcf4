//! What `hickory` needs of a runtime, from `async-io`: sockets, timers, and somebody who runs what it leaves behind.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_io::{Async, Timer};
use futures::{
    future::{self, BoxFuture, Either},
    io::{AsyncRead, AsyncWrite},
};
use hickory_resolver::net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};

use crate::net::tasks::Spawner;

/// How long a connection with a server may take where `hickory` names no time.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Opens sockets, and hands over what is to be run.
#[derive(Clone)]
pub(super) struct Runtime(Arc<Spawner>);

impl Runtime {
    /// What is to be run goes to `spawner`.
    pub(super) fn new(spawner: Spawner) -> Self {
        Self(Arc::new(spawner))
    }
}

impl Spawn for Runtime {
    fn spawn_bg(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        (self.0)(Box::pin(task));
    }
}

impl RuntimeProvider for Runtime {
    type Handle = Self;
    type Timer = RealTime;
    type Udp = Udp;
    type Tcp = Tcp;

    fn create_handle(&self) -> Self {
        self.clone()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        _from: Option<SocketAddr>,
        time: Option<Duration>,
    ) -> BoxFuture<'static, io::Result<Tcp>> {
        Box::pin(async move {
            let connecting = Async::<TcpStream>::connect(server);
            let stream = within(time.unwrap_or(CONNECT_TIME), connecting).await??;
            stream.get_ref().set_nodelay(true)?;
            Ok(Tcp(stream))
        })
    }

    fn bind_udp(&self, local: SocketAddr, _: SocketAddr) -> BoxFuture<'static, io::Result<Udp>> {
        Box::pin(future::ready(Async::<UdpSocket>::bind(local).map(Udp)))
    }
}

/// Waits for a future, for no longer than this.
async fn within<F: Future>(time: Duration, future: F) -> io::Result<F::Output> {
    match future::select(pin!(future), Timer::after(time)).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The real clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct RealTime;

// The trait is written with `async_trait`; this is what becomes of its methods.
impl Time for RealTime {
    fn delay_for<'a>(duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            Timer::after(duration).await;
        })
    }

    fn timeout<'a, F>(
        duration: Duration,
        future: F,
    ) -> Pin<Box<dyn Future<Output = io::Result<F::Output>> + Send + 'a>>
    where
        F: 'static + Future + Send + 'a,
    {
        Box::pin(within(duration, future))
    }
}

/// A socket for one question.
#[derive(Debug)]
pub(super) struct Udp(Async<UdpSocket>);

impl DnsUdpSocket for Udp {
    type Time = RealTime;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            match self.0.get_ref().recv_from(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
            ready!(self.0.poll_readable(cx))?;
        }
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().send_to(buf, target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
            ready!(self.0.poll_writable(cx))?;
        }
    }
}

/// A connection with a server, for answers that do not fit into a packet.
#[derive(Debug)]
pub(super) struct Tcp(Async<TcpStream>);

impl DnsTcpStream for Tcp {
    type Time = RealTime;
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
