//! Sockets, of which there are none.

use std::{
    convert::Infallible,
    future::Future,
    io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

/// A socket. Nobody has one.
#[derive(Debug)]
pub struct Async<T> {
    nobody: Infallible,
    socket: PhantomData<T>,
}

impl<T> Unpin for Async<T> {}

impl<T> Async<T> {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: T) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a simulation has no sockets"))
    }

    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn new_nonblocking(socket: T) -> io::Result<Self> {
        Self::new(socket)
    }

    /// The socket.
    #[must_use]
    pub fn get_ref(&self) -> &T {
        match self.nobody {}
    }

    /// The socket.
    ///
    /// # Safety
    /// As for the published one: the socket must not be dropped by way of this.
    pub unsafe fn get_mut(&mut self) -> &mut T {
        match self.nobody {}
    }

    /// Whether it can be read.
    pub fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.nobody {}
    }

    /// Whether it can be written.
    pub fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.nobody {}
    }

    /// Ready when it can be written.
    ///
    /// # Errors
    /// None, since there is no socket.
    #[allow(clippy::unused_async, reason = "the published one is")]
    pub async fn writable(&self) -> io::Result<()> {
        match self.nobody {}
    }
}

impl<T: AsRawFd> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        match self.nobody {}
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.nobody {}
    }
}

impl<T> AsyncRead for Async<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.nobody {}
    }
}

impl<T> AsyncWrite for Async<T> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.nobody {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.nobody {}
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.nobody {}
    }
}

/// Runs a future, for code that has threads of its own. A simulation has none.
///
/// # Panics
/// Always.
pub fn block_on<T>(_: impl Future<Output = T>) -> T {
    panic!("a simulation blocks no thread")
}
