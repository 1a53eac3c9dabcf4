//! What the streams of a node carry, by protocol: messages and bytes, each way.
//!
//! It is counted on the streams themselves, above multiplexing and encryption, whatever transport they come from. Streams
//! of all connections count in the same numbers, on whichever thread they are read and written: with additions that wait
//! for nobody.

mod frames;
mod names;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::{
    Transport as _,
    core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
};

use self::{
    frames::{End, Frames},
    names::{Names, Protocol},
};
use super::transport::BoxedTransport;
use crate::{
    counters::{ProtocolCounters, TrafficCounters},
    error::Result,
    record::NetworkName,
};

/// All that the streams of a node have carried.
#[derive(Debug)]
pub(crate) struct Traffic {
    names: Names,
    dht: Carried,
    gossip: Carried,
    exchange: Carried,
    identify: Carried,
    other: Carried,
}

/// What one protocol has carried.
#[derive(Debug, Default)]
struct Carried {
    inbound: Flow,
    outbound: Flow,
}

/// One direction of it.
#[derive(Debug, Default)]
struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// Nothing yet, in this network.
    pub(crate) fn new(network: &NetworkName) -> Result<Self> {
        Ok(Self {
            names: Names::new(network)?,
            dht: Carried::default(),
            gossip: Carried::default(),
            exchange: Carried::default(),
            identify: Carried::default(),
            other: Carried::default(),
        })
    }

    /// What has been carried so far.
    pub(crate) fn read(&self) -> TrafficCounters {
        let mut counters = TrafficCounters::default();
        for (carried, shown) in [
            (&self.dht, &mut counters.dht),
            (&self.gossip, &mut counters.gossip),
            (&self.exchange, &mut counters.exchange),
            (&self.identify, &mut counters.identify),
            (&self.other, &mut counters.other),
        ] {
            carried.show(shown);
        }
        counters
    }

    fn of(&self, protocol: Protocol) -> &Carried {
        match protocol {
            Protocol::Dht => &self.dht,
            Protocol::Gossip => &self.gossip,
            Protocol::Exchange => &self.exchange,
            Protocol::Identify => &self.identify,
            Protocol::Other => &self.other,
        }
    }
}

impl Carried {
    fn show(&self, shown: &mut ProtocolCounters) {
        (shown.messages_in, shown.bytes_in) = self.inbound.read();
        (shown.messages_out, shown.bytes_out) = self.outbound.read();
    }
}

impl Flow {
    fn add(&self, passed: Passed) {
        // Most of what passes ends no message, and much of it begins with bytes that were counted.
        for (counter, more) in [(&self.messages, passed.messages), (&self.bytes, passed.bytes)] {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    fn read(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Counts what the streams of all connections carry that this transport makes.
pub(crate) fn metered(transport: BoxedTransport, traffic: Arc<Traffic>) -> BoxedTransport {
    transport
        .map(move |(peer, muxer), _| {
            (peer, StreamMuxerBox::new(Muxer { connection: muxer, traffic }))
        })
        .boxed()
}

/// A connection whose streams are counted.
#[derive(Debug)]
struct Muxer {
    connection: StreamMuxerBox,
    traffic: Arc<Traffic>,
}

impl Muxer {
    fn counted(&self, stream: SubstreamBox, own: End) -> Metered<SubstreamBox> {
        Metered { io: stream, meter: Meter::new(Arc::clone(&self.traffic), own) }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Metered<SubstreamBox>;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let stream = ready!(Pin::new(&mut self.connection).poll_inbound(cx))?;
        Poll::Ready(Ok(self.counted(stream, End::Answerer)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let stream = ready!(Pin::new(&mut self.connection).poll_outbound(cx))?;
        Poll::Ready(Ok(self.counted(stream, End::Opener)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.connection).poll(cx)
    }
}

/// A stream that is counted.
#[derive(Debug)]
struct Metered<S> {
    io: S,
    meter: Meter,
}

/// Which way something goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    In,
    Out,
}

/// What has passed one way, and is not in the numbers of the node yet.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    messages: u64,
    bytes: u64,
}

/// One way of a stream.
#[derive(Debug)]
struct Lane {
    frames: Frames,
    passed: Passed,
}

/// What is counted of one stream.
#[derive(Debug)]
struct Meter {
    traffic: Arc<Traffic>,
    /// What it is for, once whoever has opened it has said so. What passes before waits until then.
    protocol: Option<Protocol>,
    inbound: Lane,
    outbound: Lane,
}

impl Meter {
    /// For a stream of which this node is the given end.
    fn new(traffic: Arc<Traffic>, own: End) -> Self {
        let others = match own {
            End::Opener => End::Answerer,
            End::Answerer => End::Opener,
        };
        let lane = |end| Lane { frames: Frames::new(end), passed: Passed::default() };
        Self { traffic, protocol: None, inbound: lane(others), outbound: lane(own) }
    }

    fn pass(&mut self, way: Way, bytes: &[u8]) {
        let lane = match way {
            Way::In => &mut self.inbound,
            Way::Out => &mut self.outbound,
        };
        let messages = lane.frames.look(bytes, &self.traffic.names, &mut self.protocol);
        lane.passed.messages += messages;
        lane.passed.bytes += bytes.len() as u64;
        self.note();
    }

    /// Nothing more goes this way.
    fn end(&mut self, way: Way) {
        let lane = match way {
            Way::In => &mut self.inbound,
            Way::Out => &mut self.outbound,
        };
        lane.passed.messages += lane.frames.end();
        self.note();
    }

    /// Moves what has passed into the numbers of the node, if it is known where to.
    fn note(&mut self) {
        if let Some(protocol) = self.protocol {
            let carried = self.traffic.of(protocol);
            carried.inbound.add(std::mem::take(&mut self.inbound.passed));
            carried.outbound.add(std::mem::take(&mut self.outbound.passed));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Of a stream that ends before it was said what it is for.
        self.protocol.get_or_insert(Protocol::Other);
        self.note();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let read = ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        match buf.get(..read) {
            Some([]) if !buf.is_empty() => this.meter.end(Way::In),
            bytes => this.meter.pass(Way::In, bytes.unwrap_or_default()),
        }
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, buf))?;
        this.meter.pass(Way::Out, buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.io).poll_close(cx))?;
        this.meter.end(Way::Out);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
