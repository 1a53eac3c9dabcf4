//! A peer that keeps to no rules: authenticated connections, and on them substreams on which it writes what it
//! likes. The protocols are spoken by hand, so that nothing honest stands between an attack and the wire.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll},
};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::poll_fn,
};
use libp2p::{
    Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, PortUse},
    },
    multiaddr::Protocol,
};
use peerage::{
    Limits, Multiaddr, NetworkName, PeerId,
    identity::Keypair,
    net::transport::{self, BoxedTransport, TransportConfig},
};

use crate::support::within;

const MULTISTREAM: &str = "/multistream/1.0.0";

/// The name of the DHT protocol.
pub(crate) fn kad_protocol() -> String {
    format!("/peerage/{}/kad/1.0.0", NetworkName::default())
}

/// The name of the gossip protocol.
pub(crate) fn gossip_protocol() -> String {
    "/meshsub/1.1.0".to_owned()
}

/// The name of the protocol in which nodes ask each other directly.
pub(crate) fn exchange_protocol() -> String {
    format!("/peerage/{}/exchange/1.0.0", NetworkName::default())
}

/// The name of a topic on the wire.
pub(crate) fn topic(name: &str) -> String {
    format!("peerage/{}/{name}", NetworkName::default())
}

/// A connection. It ends when this is dropped, or when the victim has had enough.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    streams: mpsc::UnboundedSender<oneshot::Sender<SubstreamBox>>,
}

impl Connection {
    /// Connects with this identity, over TCP or within the process, as the address says.
    pub(crate) async fn dial(identity: &Keypair, address: &Multiaddr) -> io::Result<Self> {
        // As many streams as there can be: what bounds them is to be the victim.
        let config = TransportConfig::new();
        let limits = Limits::new().with_streams_per_connection(Limits::MAX_STREAMS);
        let transport = match address.iter().next() {
            Some(Protocol::Memory(_)) => transport::memory(identity, &config, &limits),
            _ => transport::tcp(identity, &config, &limits),
        };
        Self::over(transport.expect("a transport"), address).await
    }

    /// Connects as whoever the transport was made for.
    pub(crate) async fn over(
        mut transport: BoxedTransport,
        address: &Multiaddr,
    ) -> io::Result<Self> {
        let address: Multiaddr =
            address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dial = transport.dial(address, options).expect("an address that can be dialed");
        let (_, muxer) = within("a dial", dial).await?;
        let (streams, requests) = mpsc::unbounded();
        smol::spawn(drive(muxer, requests)).detach();
        Ok(Self { streams })
    }

    /// Opens a substream. Nothing is said on it yet.
    pub(crate) async fn open(&self) -> io::Result<SubstreamBox> {
        let (reply, stream) = oneshot::channel();
        let _ = self.streams.unbounded_send(reply);
        within("a substream", stream).await.map_err(|_| io::ErrorKind::NotConnected.into())
    }

    /// Opens a substream for a protocol.
    pub(crate) async fn speak(&self, protocol: String) -> io::Result<Stream> {
        Ok(Stream::new(self.open().await?, Some(protocol)))
    }

    /// Puts records, each on a substream of its own, and says what became of each.
    ///
    /// What cannot be read as a request at all is answered by silence. So a question is asked behind them, on the same
    /// connection: what has not been acknowledged when it is answered was refused.
    pub(crate) async fn offer(&self, offers: &[Offer]) -> Vec<Put> {
        let mut streams = Vec::with_capacity(offers.len());
        for offer in offers {
            streams.push(self.send(offer).await);
        }
        let cut_off = self.get(b"what else?").await.is_err();
        let outcome = |stream: io::Result<Stream>| {
            // What is too long is cut off while it is being sent, which ends its substream alone.
            match stream.ok().and_then(|mut stream| stream.answer().now_or_never()) {
                Some(Ok(answer)) if proto::acknowledges(&answer) => Put::Acknowledged,
                _ if cut_off => Put::CutOff,
                _ => Put::Refused,
            }
        };
        streams.into_iter().map(outcome).collect()
    }

    /// Puts one record.
    pub(crate) async fn put(&self, key: &[u8], value: &[u8]) -> Put {
        let offer = Offer { key: key.to_vec(), value: value.to_vec(), publisher: None };
        self.offer(&[offer]).await[0]
    }

    /// Puts one record, and does not wait.
    pub(crate) async fn send(&self, offer: &Offer) -> io::Result<Stream> {
        let mut stream = self.speak(kad_protocol()).await?;
        stream.tell(&proto::put(&offer.key, &offer.value, offer.publisher)).await?;
        Ok(stream)
    }

    /// What the victim says that it holds under a key.
    pub(crate) async fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut stream = self.speak(kad_protocol()).await?;
        let reply = stream.ask(&proto::get(key)).await?;
        Ok(proto::field(&reply, 3).map(|record| proto::field(record, 2).unwrap_or(&[]).to_vec()))
    }
}

/// A record, and the key under which it is put.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// Whose record it is said to be.
    pub(crate) publisher: Option<PeerId>,
}

impl From<(Vec<u8>, Vec<u8>)> for Offer {
    fn from((key, value): (Vec<u8>, Vec<u8>)) -> Self {
        Self { key, value, publisher: None }
    }
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// The victim says that it has stored it.
    Acknowledged,
    /// It has not.
    Refused,
    /// The connection is gone.
    CutOff,
}

/// Keeps a connection going. Streams that the victim opens are answered as far as its protocols' handlers need it.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
) {
    let mut waiting = None;
    poll_fn(|cx| poll_muxer(&mut muxer, &mut requests, &mut waiting, cx)).await;
}

fn poll_muxer(
    muxer: &mut StreamMuxerBox,
    requests: &mut mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
    waiting: &mut Option<oneshot::Sender<SubstreamBox>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        match muxer.poll_unpin(cx) {
            Poll::Ready(Ok(_)) => continue,
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        match muxer.poll_inbound_unpin(cx) {
            Poll::Ready(Ok(stream)) => {
                smol::spawn(listen(stream)).detach();
                continue;
            }
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        if waiting.is_none() {
            match requests.poll_next_unpin(cx) {
                Poll::Ready(Some(reply)) => *waiting = Some(reply),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        match muxer.poll_outbound_unpin(cx) {
            Poll::Ready(Ok(stream)) => {
                if let Some(reply) = waiting.take() {
                    let _ = reply.send(stream);
                }
            }
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Lets the victim gossip into the void, and speaks nothing else that it proposes.
async fn listen(stream: SubstreamBox) {
    let mut stream = Stream::new(stream, None);
    let _: io::Result<()> = async {
        stream.line().await?;
        stream.write(&negotiation([MULTISTREAM])).await?;
        loop {
            let protocol = stream.line().await?;
            if protocol.contains("/meshsub/") {
                stream.write(&negotiation([&*protocol])).await?;
                break;
            }
            stream.write(&negotiation(["na"])).await?;
        }
        loop {
            stream.read.clear();
            stream.fill().await?;
        }
    }
    .await;
}

/// A substream on which a protocol is proposed together with the first message.
pub(crate) struct Stream {
    inner: SubstreamBox,
    /// What is to be proposed with the first message.
    protocol: Option<String>,
    /// Lines of the negotiation that are still to be read.
    unread_lines: usize,
    read: VecDeque<u8>,
}

impl Stream {
    fn new(inner: SubstreamBox, protocol: Option<String>) -> Self {
        Self { inner, protocol, unread_lines: 0, read: VecDeque::new() }
    }
}

impl Stream {
    /// Sends a message and waits for the one that answers it.
    pub(crate) async fn ask(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.tell(message).await?;
        within("an answer", self.answer()).await
    }

    /// The next message, however long it takes.
    async fn answer(&mut self) -> io::Result<Vec<u8>> {
        while self.unread_lines > 0 {
            self.line().await?;
            self.unread_lines -= 1;
        }
        let length = self.varint().await?;
        while self.read.len() < length {
            self.fill().await?;
        }
        Ok(self.read.drain(..length).collect())
    }

    /// Sends all of a message but its last byte.
    pub(crate) async fn tell_partly(&mut self, message: &[u8]) -> io::Result<()> {
        let bytes = self.framed(message);
        self.write(&bytes[..bytes.len() - 1]).await
    }

    /// Sends a message.
    pub(crate) async fn tell(&mut self, message: &[u8]) -> io::Result<()> {
        let bytes = self.framed(message);
        self.write(&bytes).await
    }

    /// Proposes the protocol, and sends the beginning of something.
    pub(crate) async fn begin(&mut self, beginning: &[u8]) -> io::Result<()> {
        let lines = self.protocol.take().map(|protocol| negotiation([MULTISTREAM, &*protocol]));
        let bytes = [lines.unwrap_or_default(), beginning.to_vec()].concat();
        self.write(&bytes).await
    }

    /// Asks on a stream of its own, which both sides close behind what they say.
    pub(crate) async fn exchange(mut self, question: &[u8]) -> io::Result<Vec<u8>> {
        self.begin(question).await?;
        within("the end of a question", self.inner.close()).await?;
        for _ in 0..2 {
            within("a line", self.line()).await?;
        }
        while within("an answer", self.fill()).await.is_ok() {}
        Ok(self.read.into())
    }

    /// Waits until the victim has let go of the stream.
    pub(crate) async fn ended(mut self) {
        while self.fill().await.is_ok() {
            self.read.clear();
        }
    }

    /// A message with its length, and with the negotiation that may have to come before.
    fn framed(&mut self, message: &[u8]) -> Vec<u8> {
        let mut bytes = match self.protocol.take() {
            Some(protocol) => {
                self.unread_lines = 2;
                negotiation([MULTISTREAM, &*protocol])
            }
            None => Vec::new(),
        };
        proto::varint(&mut bytes, message.len() as u64);
        bytes.extend(message);
        bytes
    }

    /// Sends bytes that need not be anything.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        within("room to write", async {
            self.inner.write_all(bytes).await?;
            self.inner.flush().await
        })
        .await
    }

    /// One line of the negotiation.
    async fn line(&mut self) -> io::Result<String> {
        let length = self.varint().await?;
        while self.read.len() < length {
            self.fill().await?;
        }
        let line: Vec<u8> = self.read.drain(..length).collect();
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn varint(&mut self) -> io::Result<usize> {
        let (mut value, mut shift) = (0, 0);
        loop {
            while self.read.is_empty() {
                self.fill().await?;
            }
            let byte = self.read.pop_front().unwrap_or_default();
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            if shift > 28 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        // Without a limit of its own: whoever asks a question has one, and whoever listens waits for the end.
        let count = self.inner.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend(&buffer[..count]);
        Ok(())
    }
}

/// Lines of multistream-select.
fn negotiation<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        proto::varint(&mut bytes, line.len() as u64 + 1);
        bytes.extend(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[path = "../support/proto.rs"]
pub(crate) mod proto;
