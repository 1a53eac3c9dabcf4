//! A transport on which nothing ever happens: every dial hangs.

use std::{
    io,
    pin::Pin,
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

#[derive(Debug, Default)]
pub(crate) struct Stalled;

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
        Poll::Pending
    }
}
