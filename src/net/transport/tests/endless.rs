//! A peer that is made of bytes.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_io::Timer;
use futures::io::{AsyncRead, AsyncWrite};

/// How long somebody slow takes for one byte.
pub(in super::super) const A_WHILE: Duration = Duration::from_millis(40);

/// A peer that sends one thing again and again, so many bytes in all.
pub(in super::super) struct Endless {
    pub sent: Vec<u8>,
    pub at: usize,
    pub left: usize,
    pub reads: Reads,
}

impl Endless {
    /// One that never ends, and takes whatever it is sent.
    pub(in super::super) fn new(sent: Vec<u8>) -> Self {
        Self { sent, at: 0, left: usize::MAX, reads: Reads::Everything }
    }
}

/// What such a peer does with what is sent to it.
pub(in super::super) enum Reads {
    Everything,
    Nothing,
    /// It has closed its end.
    Gone,
    /// A byte, now and then.
    Slowly(Timer),
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = buf.len().min(self.left);
        for byte in &mut buf[..read] {
            *byte = self.sent[self.at];
            self.at = (self.at + 1) % self.sent.len();
        }
        self.left -= read;
        if read == 0 { Poll::Pending } else { Poll::Ready(Ok(read)) }
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.reads {
            Reads::Everything => Poll::Ready(Ok(buf.len())),
            Reads::Nothing => Poll::Pending,
            Reads::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Reads::Slowly(timer) => {
                ready!(Pin::new(&mut *timer).poll(cx));
                timer.set_after(A_WHILE);
                Poll::Ready(Ok(1))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
