//! What two nodes say to each other directly: one message asks, one answers, each on a stream of its own.
//!
//! This is the carrier: it bounds sizes, streams and time, and knows nothing of what the messages mean. Neither
//! message has a length in front of it; each ends where its writer closes the stream.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{self, Codec, ProtocolSupport},
};

use crate::{
    error::{Error, Result},
    exchange::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES},
    record::NetworkName,
};

/// The behaviour that carries them.
pub(crate) type Exchange = request_response::Behaviour<Messages>;

/// How long a question and its answer may be on their way: the largest answer at 10 KiB a second. Whoever asks has
/// a deadline of its own.
const TIME: Duration = Duration::from_secs(30);

/// Questions and answers that one connection carries at once, in both directions together.
const STREAMS: usize = 8;

/// The name under which peers of a network exchange them.
pub(super) fn protocol(network: &NetworkName) -> Result<StreamProtocol> {
    StreamProtocol::try_from_owned(format!("/peerage/{network}/exchange/1.0.0"))
        .map_err(|error| Error::invalid("network", error.to_string()))
}

pub(super) fn behaviour(network: &NetworkName) -> Result<Exchange> {
    let config = request_response::Config::default()
        .with_request_timeout(TIME)
        .with_max_concurrent_streams(STREAMS);
    Ok(Exchange::with_codec(Messages, [(protocol(network)?, ProtocolSupport::Full)], config))
}

/// Reads and writes messages as they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Messages;

impl Codec for Messages {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream, MAX_REQUEST_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream, MAX_RESPONSE_BYTES).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        stream.write_all(&request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        response: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        stream.write_all(&response).await
    }
}

/// Reads to the end, and no further than `max` bytes. Takes no more memory than has arrived, doubled.
async fn read(stream: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    // A byte more than is allowed tells one that is too long from one that just fits.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    stream.take(limit).read_to_end(&mut message).await?;
    if message.len() > max {
        let reason = format!("a message of more than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    #[test]
    fn the_longest_message_is_read_and_one_byte_more_is_not() {
        let longest = vec![7; 1000];
        assert_eq!(block_on(read(&mut Cursor::new(&longest), 1000)).unwrap(), longest);
        let error = block_on(read(&mut Cursor::new(&longest), 999)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
