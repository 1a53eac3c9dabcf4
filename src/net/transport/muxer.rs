//! yamux with limits.
//!
//! `libp2p-yamux` passes one setting on, the number of streams, and leaves the total receive window of a
//! connection at 1 GiB. This is the same adapter between the crate `yamux` and libp2p, with both settings.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io, iter,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};
use yamux::{Connection, ConnectionError, Mode};

use super::{TransportConfig, appetite::Ration, line::Line, liveness::Patience};
use crate::Limits;

/// Turns a byte stream into a [`Muxer`].
#[derive(Debug, Clone)]
pub(super) struct Upgrade {
    config: yamux::Config,
    dialer: Patience,
    listener: Patience,
    ration: Ration,
}

impl Upgrade {
    pub(super) fn new(transport: &TransportConfig, limits: &Limits) -> Self {
        let (interval, timeout) = (transport.ping_interval(), transport.ping_timeout());
        let mut config = yamux::Config::default();
        // Each setter panics unless its value fits the other one's, so the default has to go first.
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(limits.allowed_streams());
        config.set_max_connection_receive_window(Some(limits.granted_window()));
        let dialer = Patience::of_dialer(interval, timeout);
        let listener = Patience::of_listener(interval, timeout);
        Self { config, dialer, listener, ration: Ration::new(limits) }
    }

    fn apply<C>(self, socket: C, mode: Mode) -> Muxer<C>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let patience = match mode {
            Mode::Client => self.dialer,
            Mode::Server => self.listener,
        };
        Muxer {
            connection: Connection::new(
                Line::new(socket, patience, self.ration),
                self.config,
                mode,
            ),
            inbound: VecDeque::new(),
            waiting: None,
        }
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Upgrade
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.apply(socket, Mode::Server)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Upgrade
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.apply(socket, Mode::Client)))
    }
}

/// A connection that is divided into streams.
#[derive(Debug)]
pub(super) struct Muxer<C> {
    connection: Connection<Line<C>>,
    /// Streams that the peer has opened and nobody has taken. yamux moves its streams only when it is
    /// asked for a new one, while libp2p asks for one only when it wants it. The number of streams
    /// bounds the queue, because those in it count.
    inbound: VecDeque<yamux::Stream>,
    /// Who found `inbound` empty.
    waiting: Option<Waker>,
}

impl<C> Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, Error>> {
        match ready!(self.connection.poll_next_inbound(cx)) {
            Some(next) => Poll::Ready(next.map_err(Error)),
            None => Poll::Ready(Err(Error(ConnectionError::Closed))),
        }
    }
}

impl<C> StreamMuxer for Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Substream = yamux::Stream;
    type Error = Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<yamux::Stream, Error>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.poll_connection(cx);
        if next.is_pending() {
            self.waiting = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<yamux::Stream, Error>> {
        self.connection.poll_new_outbound(cx).map_err(Error)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.connection.poll_close(cx).map_err(Error)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Error>> {
        let stream = ready!(self.poll_connection(cx))?;
        self.inbound.push_back(stream);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        // One stream a turn: there may be more, and others want their turn as well.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Error(ConnectionError);

impl From<Error> for io::Error {
    fn from(Error(error): Error) -> Self {
        match error {
            ConnectionError::Io(error) => error,
            other => Self::other(other),
        }
    }
}
