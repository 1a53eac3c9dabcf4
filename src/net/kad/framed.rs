//! A stream of messages.

use std::{
    fmt, io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};

use super::codec::bounds;

/// A stream of messages, one at a time in each direction. It holds memory only for a message that is on its way.
///
/// A stream that has failed is not to be used again.
pub(super) struct Framed<S> {
    stream: S,
    received: Received,
    sending: Sending,
}

#[derive(Debug)]
enum Sending {
    Nothing,
    /// A message with its length, and how much of it has left.
    Message {
        bytes: Vec<u8>,
        sent: usize,
    },
    /// All of it has left, and perhaps waits in a buffer below.
    Flush,
}

impl<S> fmt::Debug for Framed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("received", &self.received.rest().len())
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}

impl<S> Framed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, received: Received::default(), sending: Sending::Nothing }
    }

    /// Whether something has come that was not read as a message.
    pub(super) fn has_partial(&self) -> bool {
        !self.received.rest().is_empty()
    }

    /// Takes a message to be sent, with its length in front.
    pub(super) fn start_send(&mut self, bytes: Vec<u8>) {
        self.sending = Sending::Message { bytes, sent: 0 };
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    /// Lets the message leave, in one write if the stream takes it.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.sending {
                Sending::Nothing => return Poll::Ready(Ok(())),
                Sending::Message { bytes, sent } => {
                    let rest = bytes.get(*sent..).unwrap_or_default();
                    if rest.is_empty() {
                        self.sending = Sending::Flush;
                        continue;
                    }
                    match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        written => *sent = sent.saturating_add(written),
                    }
                }
                Sending::Flush => {
                    ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                    self.sending = Sending::Nothing;
                }
            }
        }
    }

    /// Waits for a message, and reads it with `read`. The stream may end between two of them. What comes goes by way of
    /// `scratch`, and most messages no further.
    pub(super) fn poll_message<T>(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        loop {
            if let Some((message, end)) = first(self.received.rest())? {
                let value = read(message);
                self.received.skip(end);
                return Poll::Ready(Ok(Some(value)));
            }
            let len = ready!(Pin::new(&mut self.stream).poll_read(cx, scratch))?;
            let come = scratch.get(..len).unwrap_or_default();
            if come.is_empty() {
                return Poll::Ready(match self.has_partial() {
                    true => Err(io::ErrorKind::UnexpectedEof.into()),
                    false => Ok(None),
                });
            }
            if !self.has_partial()
                && let Some((message, end)) = first(come)?
            {
                self.received.add(come.get(end..).unwrap_or_default());
                return Poll::Ready(Ok(Some(read(message))));
            }
            self.received.add(come);
        }
    }

    /// Says that nothing more is sent, as far as that goes at once, and lets go of the stream. To drop it is to break it
    /// off.
    pub(super) fn close(mut self, cx: &mut Context<'_>) {
        let closed = Pin::new(&mut self.stream).poll_close(cx);
        if !matches!(closed, Poll::Ready(Ok(()))) {
            tracing::trace!(?closed, "a stream is broken off");
        }
        mem::drop(self);
    }
}

/// What has come of the next message, and perhaps of those after it.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    /// How many of these were read.
    read: usize,
}

impl Received {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read.min(self.bytes.len()));
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    fn skip(&mut self, len: usize) {
        self.read = self.read.saturating_add(len);
        if self.read >= self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// The first message in what has come, if it is all there, and where it ends.
fn first(received: &[u8]) -> io::Result<Option<(&[u8], usize)>> {
    let invalid = |malformed| io::Error::new(io::ErrorKind::InvalidData, malformed);
    let Some((start, end)) = bounds(received).map_err(invalid)? else { return Ok(None) };
    Ok(received.get(start..end).map(|message| (message, end)))
}
