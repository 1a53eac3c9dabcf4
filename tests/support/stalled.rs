//! A transport on which nothing ever happens: every dial hangs. It counts how often it is polled.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::Pending;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Stalled {
    polls: Arc<AtomicUsize>,
}

impl Stalled {
    /// How often the network has been polled, as seen from below.
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }
}

type Connection = (PeerId, StreamMuxerBox);

impl Transport for Stalled {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = Pending<Result<Connection, io::Error>>;
    type Dial = Pending<Result<Connection, io::Error>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, _: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Ok(futures::future::pending())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        Poll::Pending
    }
}
