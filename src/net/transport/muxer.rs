//! yamux with limits.
//!
//! `libp2p-yamux` passes one setting on, the number of streams, and leaves the total receive window of a
//! connection at 1 GiB. This is the same adapter between the crate `yamux` and libp2p, with both settings.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io, iter,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use async_io::Timer;
use futures::{
    future::Future as _,
    io::{AsyncRead, AsyncWrite},
};
use libp2p::core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};
use yamux::{Connection, ConnectionError, Mode};

use super::{TransportConfig, appetite::Ration, line::Line, liveness::Patience};
use crate::{bell::Bell, config::Limits};

/// Turns a byte stream into a [`Muxer`].
#[derive(Debug, Clone)]
pub(super) struct Upgrade {
    config: yamux::Config,
    dialer: Patience,
    listener: Patience,
    ration: Ration,
    closing_timeout: Duration,
}

impl Upgrade {
    pub(super) fn new(transport: &TransportConfig, limits: &Limits) -> Self {
        let (interval, timeout) = (transport.ping_interval(), transport.ping_timeout());
        let mut config = yamux::Config::default();
        // Each setter panics unless its value fits the other one's, so the default has to go first.
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(limits.allowed_streams());
        config.set_max_connection_receive_window(Some(limits.granted_window()));
        let dialer = Patience::of_dialer(interval, timeout).in_rounds(Instant::now());
        let listener = Patience::of_listener(interval, timeout);
        let ration = Ration::new(limits);
        Self { config, dialer, listener, ration, closing_timeout: timeout }
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
            bell: Bell::new(Arc::default()),
            is_over: false,
            closing: Closing::Not { timeout: self.closing_timeout },
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
    /// Rung during a poll of yamux, it says that there was more to do than one turn allows.
    bell: Bell,
    /// This turn is over, and the task was woken for the next one.
    is_over: bool,
    closing: Closing,
}

/// How far the end of a connection is.
#[derive(Debug)]
enum Closing {
    Not {
        timeout: Duration,
    },
    /// What is left to be sent goes out, and the other end's goodbye is awaited, until then.
    Until(Timer),
}

impl<C> Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    /// Lets yamux move until it has a stream, has nothing to do, or its turn is over.
    fn poll_yamux(&mut self, task: &Waker) -> Poll<Result<yamux::Stream, Error>> {
        self.bell.attach(task);
        self.bell.answer();
        let polled = self.connection.poll_next_inbound(&mut self.bell.context());
        // Who has found something has not come to the end of its turn, whatever else yamux has woken itself for.
        self.is_over = self.bell.answer() && polled.is_pending();
        match ready!(polled) {
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

    /// Takes what [`poll`](Self::poll) has found. libp2p goes back to the beginning, and so to another `poll`, for each
    /// stream that it is given. So the end of a turn is the end of the streams as well, until the task is polled again.
    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<yamux::Stream, Error>> {
        if !self.is_over
            && let Some(stream) = self.inbound.pop_front()
        {
            return Poll::Ready(Ok(stream));
        }
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<yamux::Stream, Error>> {
        self.connection.poll_new_outbound(cx).map_err(Error)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        if let Poll::Ready(closed) = this.connection.poll_close(cx) {
            return Poll::Ready(closed.map_err(Error));
        }
        if let Closing::Not { timeout } = this.closing {
            this.closing = Closing::Until(Timer::after(timeout));
        }
        if let Closing::Until(timer) = &mut this.closing {
            ready!(Pin::new(timer).poll(cx));
        }
        let error =
            io::Error::new(io::ErrorKind::TimedOut, "the peer does not let the connection end");
        Poll::Ready(Err(Error(ConnectionError::Io(error))))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Error>> {
        let stream = ready!(self.poll_yamux(cx.waker()))?;
        self.inbound.push_back(stream);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        // There may be more, and nobody may be there to take this one.
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

#[cfg(test)]
mod tests {
    use futures_test::task::new_count_waker;

    use super::{
        super::tests::endless::{Endless, Reads},
        *,
    };

    fn muxer(peer: Endless, config: &TransportConfig) -> Muxer<Endless> {
        Upgrade::new(config, &Limits::new()).apply(peer, Mode::Server)
    }

    /// A stream that begins, with so many bytes, and is reset.
    fn reset(bytes: u8) -> Vec<u8> {
        let mut frames = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, bytes];
        frames.resize(frames.len() + usize::from(bytes), 7);
        frames.extend([0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, bytes]);
        frames.resize(frames.len() + usize::from(bytes), 7);
        frames
    }

    /// What libp2p does whenever the task of a connection is polled: it begins again after each stream. Says how many
    /// there were.
    fn task_poll(muxer: &mut Muxer<Endless>, cx: &mut Context<'_>) -> Result<usize, Error> {
        let mut muxer = Pin::new(muxer);
        let mut taken = 0;
        while muxer.as_mut().poll(cx)?.is_pending() && muxer.as_mut().poll_inbound(cx)?.is_ready() {
            taken += 1;
            assert!(taken < 1000, "this poll does not end");
        }
        Ok(taken)
    }

    #[test]
    fn streams_that_are_opened_and_reset_without_end_have_one_turn_at_a_time() {
        for bytes in [0, 100] {
            let mut muxer = muxer(Endless::new(reset(bytes)), &TransportConfig::new());
            let (waker, woken) = new_count_waker();
            let mut cx = Context::from_waker(&waker);
            let mut taken = 0;
            for poll in 1..=100 {
                let streams = task_poll(&mut muxer, &mut cx).expect("no flood yet");
                assert!(streams <= 8, "{streams} streams in one poll");
                taken += streams;
                assert!(woken.get() >= poll, "it is woken for the next turn");
            }
            assert!(taken > 100, "{taken} streams");
        }
    }

    #[test]
    fn a_peer_that_takes_nothing_cannot_keep_a_connection_from_its_end() {
        let peer = Endless { left: 0, reads: Reads::Nothing, ..Endless::new(vec![7]) };
        let config = TransportConfig::new().with_ping_timeout(Duration::from_millis(50));
        let mut muxer = muxer(peer, &config);
        let closed = futures::executor::block_on(std::future::poll_fn(|cx| {
            Pin::new(&mut muxer).poll_close(cx)
        }));
        let error = io::Error::from(closed.expect_err("it never answers"));
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
