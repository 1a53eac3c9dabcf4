//! Servers of the DHT that treat their streams as they like: each says what it is and where, keeps what it is given, and
//! answers in a way of its own.

use std::{collections::HashMap, io, time::Duration};

use async_io::Timer;
use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _, channel::oneshot,
};
use libp2p::{
    StreamProtocol, Swarm, identify,
    multiaddr::Protocol,
    request_response::{self, Codec, Event, Message, ProtocolSupport, ResponseChannel},
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use peerage::{
    Limits, Multiaddr, NetworkName, PeerId,
    identity::Keypair,
    net::transport::{self, TransportConfig},
};

use crate::proto;

/// How a peer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Once on each stream, which it then closes, as py-libp2p does.
    Once,
    /// It reads what it is asked, and resets the stream.
    Resets,
    /// It resets the stream in the middle of its answer.
    BreaksOff,
    /// It sends a half of its answer, and nothing more.
    Stalls,
    /// What came last is answered first.
    LastFirst,
    /// Each byte leaves by itself.
    ByteByByte,
}

impl Mood {
    /// Whether its answers arrive.
    pub(crate) fn answers(self) -> bool {
        !matches!(self, Self::Resets | Self::BreaksOff | Self::Stalls)
    }
}

/// For how long questions are collected of which the last is answered first.
const COLLECTED: Duration = Duration::from_millis(30);

/// The length of an answer, as it is in front of it.
fn framed(answer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    proto::varint(&mut bytes, answer.len() as u64);
    bytes.extend(answer);
    bytes
}

/// Kademlia's wire, a question a stream.
#[derive(Debug, Clone, Copy)]
struct Wire(Mood);

impl Codec for Wire {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let (mut length, mut shift, mut byte) = (0, 0, [0x80]);
        while byte[0] & 0x80 != 0 {
            io.read_exact(&mut byte).await?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
        }
        let mut message = vec![0; length];
        io.read_exact(&mut message).await?;
        if self.0 == Mood::Resets { Err(io::ErrorKind::Other.into()) } else { Ok(message) }
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        self.read_request(protocol, io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        question: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&framed(&question)).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Vec<u8>,
    ) -> io::Result<()> {
        let bytes = framed(&answer);
        match self.0 {
            Mood::ByteByByte => {
                for byte in bytes {
                    io.write_all(&[byte]).await?;
                    io.flush().await?;
                }
                Ok(())
            }
            Mood::BreaksOff => {
                io.write_all(&bytes[..bytes.len() / 2]).await?;
                io.flush().await?;
                Err(io::ErrorKind::Other.into())
            }
            Mood::Stalls => {
                io.write_all(&bytes[..bytes.len() / 2]).await?;
                io.flush().await?;
                futures::future::pending().await
            }
            Mood::Once | Mood::Resets | Mood::LastFirst => io.write_all(&bytes).await,
        }
    }
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    identify: identify::Behaviour,
    kad: request_response::Behaviour<Wire>,
}

/// A running peer. It is gone when this is dropped.
pub(crate) struct Moody {
    pub(crate) id: PeerId,
    pub(crate) address: Multiaddr,
    _running: oneshot::Sender<()>,
}

/// What it knows.
struct Knowledge {
    records: HashMap<Vec<u8>, Vec<u8>>,
    /// A peer that is closer to everything, and where it is.
    closer: Option<(PeerId, Multiaddr)>,
    mood: Mood,
    /// Of one that answers the last first.
    collected: Vec<(ResponseChannel<Vec<u8>>, Vec<u8>)>,
}

impl Moody {
    /// Starts one that dials this address, which names the peer there, and keeps these records.
    pub(crate) async fn start(
        mood: Mood,
        bootstrap: Option<&Multiaddr>,
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Self {
        let mut swarm = swarm(mood);
        let id = *swarm.local_peer_id();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("listening");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let closer = bootstrap.map(|bootstrap| {
            swarm.dial(bootstrap.clone()).expect("a dial");
            let mut place = bootstrap.clone();
            let Some(Protocol::P2p(peer)) = place.pop() else { panic!("{bootstrap} names nobody") };
            (peer, place)
        });
        let records = records.into_iter().collect();
        let knowledge = Knowledge { records, closer, mood, collected: Vec::new() };
        let (running, ended) = oneshot::channel();
        smol::spawn(run(swarm, knowledge, ended)).detach();
        Self { id, address, _running: running }
    }
}

fn swarm(mood: Mood) -> Swarm<Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let id = keypair.public().to_peer_id();
    let network = NetworkName::default();
    let protocol = StreamProtocol::try_from_owned(format!("/peerage/{network}/kad/1.0.0"));
    let protocols = [(protocol.expect("a protocol"), ProtocolSupport::Inbound)];
    let kad = request_response::Behaviour::with_codec(
        Wire(mood),
        protocols,
        request_response::Config::default(),
    );
    let introduction = identify::Config::new(format!("/peerage/{network}/1.0.0"), keypair.public());
    let behaviour = Behaviour { identify: identify::Behaviour::new(introduction), kad };
    let transport =
        transport::tcp(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    // As long as others have use for it.
    let config = swarm::Config::with_executor(|task| smol::spawn(task).detach())
        .with_idle_connection_timeout(Duration::from_secs(600));
    Swarm::new(transport, behaviour, id, config)
}

async fn run(mut swarm: Swarm<Behaviour>, mut knows: Knowledge, mut ended: oneshot::Receiver<()>) {
    let mut due = Timer::never();
    loop {
        futures::select! {
            event = swarm.select_next_some() => {
                let SwarmEvent::Behaviour(BehaviourEvent::Kad(Event::Message {
                    message: Message::Request { request, channel, .. },
                    ..
                })) = event else { continue };
                let answer = knows.answer(&request);
                if knows.mood != Mood::LastFirst {
                    // Whoever asked may have gone.
                    let _ = swarm.behaviour_mut().kad.send_response(channel, answer);
                    continue;
                }
                if knows.collected.is_empty() {
                    due.set_after(COLLECTED);
                }
                knows.collected.push((channel, answer));
            }
            _ = futures::FutureExt::fuse(&mut due) => {
                due = Timer::never();
                while let Some((channel, answer)) = knows.collected.pop() {
                    let _ = swarm.behaviour_mut().kad.send_response(channel, answer);
                }
            }
            _ = &mut ended => return,
        }
    }
}

impl Knowledge {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        // A type of zero need not be written.
        let kind = match request {
            [8, kind, ..] => *kind,
            _ => proto::PUT_VALUE,
        };
        let key = proto::field(request, 2).unwrap_or_default().to_vec();
        match kind {
            proto::PUT_VALUE => {
                let record = proto::field(request, 3).unwrap_or_default();
                let value = proto::field(record, 2).unwrap_or_default().to_vec();
                self.records.insert(key, value);
                request.to_vec()
            }
            proto::GET_VALUE => {
                let record = self.records.get(&key).map(|value| (&*key, &**value));
                proto::answer(kind, record, self.closer.as_ref())
            }
            _ => proto::answer(kind, None, self.closer.as_ref()),
        }
    }
}
