//! One TCP connection as an asynchronous byte stream.

use std::{
    io::{self, Read as _},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_io::Async;
use futures::io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};

use crate::bell::Bell;

/// A connected TCP socket.
///
/// Its readiness comes from the reactor of `async-io`, which is the same for every executor. Closing it
/// ends the writing half (`FIN`, [RFC 9293 section 3.6]) so that the peer reads an end of file; what the
/// peer still sends can be read. Dropping it closes both halves.
///
/// [RFC 9293 section 3.6]: https://www.rfc-editor.org/rfc/rfc9293#section-3.6
pub struct TcpStream {
    socket: Async<std::net::TcpStream>,
    /// Rung when there may be something to read. The task of a connection is polled for many reasons, each of which ends in
    /// an attempt to read: to ask the system each time would cost a call for each of them.
    bell: Bell,
    has: Has,
    /// How often the system was asked for what has come.
    #[cfg(test)]
    asked: usize,
}

/// What is known of what there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// There may be something.
    Unknown,
    /// The last read has brought less than there was room for: that was all. The reactor tells what comes after it, since
    /// it looks at the socket anew when it is asked to watch it.
    Nothing,
}

impl TcpStream {
    pub(super) fn new(socket: Async<std::net::TcpStream>) -> Self {
        Self {
            socket,
            bell: Bell::new(Arc::default()),
            has: Has::Unknown,
            #[cfg(test)]
            asked: 0,
        }
    }

    /// Has the reactor ring when something comes, or has come since the last read.
    ///
    /// That it says "ready" is no reason to look: it is about what was read, where it is the first word, and the socket is
    /// only watched by the second. Nor is "not ready" a reason not to look once it has rung: where the reactor waits in
    /// another thread, it says so of all that comes during the wait in which it was asked.
    fn watch(&mut self) -> Poll<io::Result<()>> {
        let mut cx = self.bell.context();
        ready!(self.socket.poll_readable(&mut cx))?;
        self.socket.poll_readable(&mut cx)
    }

    /// Reads into so much room, if there may be anything.
    fn poll_system(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        mut read: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.bell.attach(cx.waker());
        if !self.bell.answer() {
            return Poll::Pending;
        }
        let outcome = loop {
            if self.has == Has::Nothing {
                // Whatever rings from here on is a reason to look.
                self.has = Has::Unknown;
                match self.watch() {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => break Err(error),
                }
            }
            #[cfg(test)]
            {
                self.asked += 1;
            }
            match read(self.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.has = Has::Nothing,
                Ok(len) => {
                    let is_all = 0 < len && len < room;
                    self.has = if is_all { Has::Nothing } else { Has::Unknown };
                    break Ok(len);
                }
                Err(error) => break Err(error),
            }
        };
        // Nobody rings for what is there already.
        self.bell.keep_rung();
        Poll::Ready(outcome)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// What the operating system says, such as when the connection is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// What the operating system says, such as when the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    #[cfg(test)]
    pub(super) fn std(&self) -> &std::net::TcpStream {
        self.socket.get_ref()
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_system(cx, buf.len(), |mut socket| socket.read(buf))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_system(cx, room, |mut socket| socket.read_vectored(bufs))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        Poll::Ready(match self.socket.get_ref().shutdown(Shutdown::Write) {
            // The peer was quicker: there is nothing left to end.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures::{AsyncReadExt as _, future::poll_fn};
    use futures_test::task::new_count_waker;

    use super::*;

    /// The end that is read from, and the other.
    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        (TcpStream::new(Async::new(near).unwrap()), far)
    }

    #[test]
    fn the_system_is_asked_when_something_has_come_and_not_at_each_poll() {
        let (mut near, mut far) = pair();
        let mut buf = [0; 64];
        for round in 1..=3 {
            let (waker, _) = new_count_waker();
            let mut cx = Context::from_waker(&waker);
            for _ in 0..100 {
                assert!(Pin::new(&mut near).poll_read(&mut cx, &mut buf).is_pending());
            }
            far.write_all(b"something").unwrap();
            let read = smol::block_on(near.read(&mut buf)).unwrap();
            assert_eq!(&buf[..read], b"something");
            // Once to find nothing at the start, and once or twice for each message.
            assert!(near.asked <= 1 + 2 * round, "{} times", near.asked);
        }
    }

    /// Where the reactor has a thread of its own, it waits while the socket is handed to it.
    #[test]
    fn one_ring_is_enough_wherever_the_reactor_waits() {
        const MESSAGES: usize = 200;
        let (mut near, mut far) = pair();
        let mut buf = [0; 64];
        let mut polls = 0;
        for _ in 0..MESSAGES {
            let mut is_sent = false;
            futures::executor::block_on(poll_fn(|cx| {
                polls += 1;
                let poll = Pin::new(&mut near).poll_read(cx, &mut buf);
                if !std::mem::replace(&mut is_sent, true) {
                    assert!(poll.is_pending());
                    far.write_all(b"something").unwrap();
                }
                poll
            }))
            .unwrap();
        }
        assert!(polls <= 2 * MESSAGES + 10, "{polls} polls for {MESSAGES} messages");
    }

    #[test]
    fn the_task_that_polled_last_is_woken() {
        let (mut near, mut far) = pair();
        let mut buf = [0; 64];
        let (waker, first) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut near).poll_read(&mut cx, &mut buf).is_pending());
        let (waker, last) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut near).poll_read(&mut cx, &mut buf).is_pending());
        far.write_all(b"something").unwrap();
        while last.get() == 0 {
            smol::block_on(smol::Timer::after(std::time::Duration::from_millis(1)));
        }
        assert_eq!(first.get(), 0);
    }

    #[test]
    fn all_that_comes_is_read_however_little_room_there_is_and_so_is_the_end() {
        let (mut near, far) = pair();
        let sent: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let (mut writer, bytes) = (far, sent.clone());
        let writing = std::thread::spawn(move || writer.write_all(&bytes));
        let received = smol::block_on(async {
            let mut received = Vec::new();
            for room in (1..=700).cycle() {
                let mut buf = vec![0; room];
                match poll_fn(|cx| Pin::new(&mut near).poll_read(cx, &mut buf)).await.unwrap() {
                    0 => break,
                    read => received.extend_from_slice(&buf[..read]),
                }
            }
            received
        });
        assert!(received == sent);
        writing.join().unwrap().unwrap();
    }
}
