//! A network in memory that can be cut in two, and healed.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, task::AtomicWaker};
use libp2p::{
    Multiaddr, Transport,
    core::{ConnectedPoint, transport::MemoryTransport},
    identity::Keypair,
    multiaddr::Protocol,
};
use peerage::{
    BoxedTransport, Limits,
    net::transport::{TransportConfig, upgraded},
};

/// Which of its two parts a node is in: that of even or of odd addresses.
pub(crate) fn side(address: &Multiaddr) -> Option<bool> {
    match address.iter().next() {
        Some(Protocol::Memory(port)) => Some(port % 2 == 1),
        _ => None,
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Divided(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    /// Who reads from a connection that crosses.
    readers: Mutex<Vec<Arc<AtomicWaker>>>,
}

impl Divided {
    /// Ends what crosses, and lets nothing cross from now on.
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
        let mut readers = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.drain(..).for_each(|reader| reader.wake());
    }

    pub(crate) fn heal(&self) {
        self.0.is_cut.store(false, Ordering::SeqCst);
    }

    /// The transport of a node on this side.
    pub(crate) fn transport(&self, keypair: &Keypair, side_here: bool) -> BoxedTransport {
        let network = self.clone();
        let wires = MemoryTransport::new().map(move |channel, point| {
            let crosses = match point {
                ConnectedPoint::Dialer { address, .. } => side(&address) != Some(side_here),
                // Whoever has dialed knows where both are, and its end is the end of both.
                ConnectedPoint::Listener { .. } => false,
            };
            network.wire(channel, crosses)
        });
        upgraded(wires, keypair, &TransportConfig::new(), &Limits::default()).expect("a transport")
    }

    fn wire<C>(&self, channel: C, crosses: bool) -> Wire<C> {
        let reader = Arc::new(AtomicWaker::new());
        if crosses {
            let mut readers = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.push(Arc::clone(&reader));
        }
        Wire { channel, crossing: crosses.then(|| Arc::clone(&self.0)), reader, is_broken: false }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Wire<C> {
    channel: C,
    crossing: Option<Arc<State>>,
    reader: Arc<AtomicWaker>,
    is_broken: bool,
}

impl<C> Wire<C> {
    fn check(&mut self) -> io::Result<()> {
        let is_cut = |network: &Arc<State>| network.is_cut.load(Ordering::SeqCst);
        self.is_broken |= self.crossing.as_ref().is_some_and(is_cut);
        if self.is_broken { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Wire<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader.register(cx.waker());
        self.check()?;
        Pin::new(&mut self.channel).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Wire<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.channel).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_close(cx)
    }
}
