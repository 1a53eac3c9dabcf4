//! Turns at a socket, below everything that reads it.
//!
//! Negotiation and encryption read for as long as something comes: whoever proposes one protocol after the other, or sends
//! one empty message after the other, would keep the task at it for as long as it likes. So the socket says now and then
//! that nothing has come, and has the task woken for the rest.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::io::{AsyncRead, AsyncWrite};

/// What one turn may take. multistream-select reads lengths byte by byte, and an empty message of noise has 18 bytes.
const READS_A_TURN: u32 = 64;
const BYTES_A_TURN: usize = 32 * 1024;

/// A byte stream that is read in turns.
#[derive(Debug)]
pub(super) struct Turns<C> {
    io: C,
    reads: u32,
    bytes: usize,
}

impl<C> Turns<C> {
    pub(super) fn new(io: C) -> Self {
        Self { io, reads: READS_A_TURN, bytes: BYTES_A_TURN }
    }

    fn renew(&mut self) {
        self.reads = READS_A_TURN;
        self.bytes = BYTES_A_TURN;
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Turns<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.reads == 0 || this.bytes == 0 {
            this.renew();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(read)) => {
                this.reads = this.reads.saturating_sub(1);
                this.bytes = this.bytes.saturating_sub(*read);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => this.renew(),
        }
        polled
    }
}

/// Writes to the stream `io` within: those who only look at what is read have nothing to add.
macro_rules! write_through {
    ($outer:ident) => {
        impl<C: AsyncWrite + Unpin> AsyncWrite for $outer<C> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.io).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.io).poll_flush(cx)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.io).poll_close(cx)
            }
        }
    };
}

pub(super) use write_through;

write_through!(Turns);

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt as _, io::Cursor};
    use futures_test::task::new_count_waker;

    use super::{super::tests::endless::Endless, *};

    #[test]
    fn a_turn_ends_with_its_reads_or_its_bytes_and_is_followed_by_another() {
        for (most, reads) in [(1, 64), (1024, 32), (1 << 20, 1)] {
            let mut turns = Turns::new(Endless::new(vec![7]));
            let (waker, woken) = new_count_waker();
            let mut cx = Context::from_waker(&waker);
            let mut buf = vec![0; most];
            for turn in 1..=10 {
                for _ in 0..reads {
                    assert!(Pin::new(&mut turns).poll_read(&mut cx, &mut buf).is_ready());
                }
                assert!(Pin::new(&mut turns).poll_read(&mut cx, &mut buf).is_pending());
                assert_eq!(woken.get(), turn);
            }
        }
    }

    #[test]
    fn nothing_is_lost_between_two_turns() {
        let sent: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let mut read = Vec::new();
        let mut turns = Turns::new(Cursor::new(sent.clone()));
        futures::executor::block_on(turns.read_to_end(&mut read)).unwrap();
        assert!(read == sent);
    }
}
