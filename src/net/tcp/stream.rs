//! One TCP connection as an asynchronous byte stream.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_io::Async;
use futures::io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};

/// A connected TCP socket.
///
/// Its readiness comes from the reactor of `async-io`, which is the same for every executor. Closing it
/// ends the writing half (`FIN`, [RFC 9293 section 3.6]) so that the peer reads an end of file; what the
/// peer still sends can be read. Dropping it closes both halves.
///
/// [RFC 9293 section 3.6]: https://www.rfc-editor.org/rfc/rfc9293#section-3.6
pub struct TcpStream {
    socket: Async<std::net::TcpStream>,
}

impl TcpStream {
    pub(super) fn new(socket: Async<std::net::TcpStream>) -> Self {
        Self { socket }
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
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_read_vectored(cx, bufs)
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
