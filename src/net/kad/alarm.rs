//! The one timer of a connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_io::Timer;

/// How long streams may stay as they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For a stream of this node between two requests. js-libp2p closes it after ten seconds.
    pub(super) idle: Duration,
    /// For a stream of the peer between two requests.
    pub(super) idle_inbound: Duration,
    /// For a request of the peer to arrive in full, to be answered, and for the answer to leave.
    pub(super) request: Duration,
}

impl Times {
    pub(super) const DEFAULT: Self = Self {
        idle: Duration::from_secs(8),
        idle_inbound: Duration::from_secs(60),
        request: Duration::from_secs(10),
    };
}

/// Goes off when a stream may have been as it is for too long.
///
/// To set a timer wakes a thread. So it is set to when the first stream is due, and stays set although that stream is used
/// meanwhile: when it goes off, the streams are looked at, and it is set anew. That is once in several seconds, however
/// many requests go over a connection, and once more after the last stream has gone.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<(Instant, Timer)>);

impl Alarm {
    /// Whether it has gone off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((_, timer)) = &mut self.0 else { return Poll::Pending };
        let poll = Future::poll(Pin::new(timer), cx).map(|_| ());
        if poll.is_ready() {
            self.0 = None;
        }
        poll
    }

    /// Sees to it that it goes off by then. It is to be polled afterwards.
    pub(super) fn set_by(&mut self, due: Instant) {
        match &mut self.0 {
            Some((set, _)) if *set <= due => {}
            Some((set, timer)) => {
                *set = due;
                timer.set_at(due);
            }
            None => self.0 = Some((due, Timer::at(due))),
        }
    }
}
