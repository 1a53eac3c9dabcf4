//! A peer that speaks the exchange protocol and says what it likes.

use std::io;

use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _, channel::oneshot,
};
use libp2p::{
    StreamProtocol, Swarm,
    identity::Keypair,
    request_response::{self, Codec, Event, Message, ProtocolSupport},
    swarm::{self, SwarmEvent},
};
use peerage::{
    Limits, Multiaddr,
    net::transport::{self, TransportConfig},
};

use super::support::Executor;

/// Bytes as they are, to the end of the stream.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes)
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
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.write_request(protocol, io, bytes).await
    }
}

/// A hostile peer that runs until this is dropped.
pub(crate) struct Hostile {
    /// Comes with the first question that it is asked.
    pub(crate) asked: oneshot::Receiver<()>,
}

impl Hostile {
    /// Dials a node, tells it something, and answers each of its questions by `lie`; with nothing where that is nothing.
    pub(crate) async fn start(
        target: Multiaddr,
        opening: Vec<u8>,
        lie: fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Self {
        let keypair = Keypair::generate_ed25519();
        let protocol = StreamProtocol::new("/peerage/main/exchange/1.0.0");
        let behaviour = request_response::Behaviour::<Raw>::new(
            [(protocol, ProtocolSupport::Full)],
            request_response::Config::default(),
        );
        let transport =
            transport::tcp(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
        let config = swarm::Config::with_executor(|task| smol::spawn(task).detach());
        let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
        swarm.dial(target).expect("a dial");
        let (told, asked) = oneshot::channel();
        let mut told = Some(told);
        Executor::Smol.spawn(async move {
            let mut unanswered = Vec::new();
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        swarm.behaviour_mut().send_request(&peer_id, opening.clone());
                    }
                    SwarmEvent::Behaviour(Event::Message {
                        message: Message::Request { request, channel, .. },
                        ..
                    }) => {
                        match lie(&request) {
                            Some(answer) => {
                                let _ = swarm.behaviour_mut().send_response(channel, answer);
                            }
                            None => unanswered.push(channel),
                        }
                        if let Some(told) = told.take() {
                            let _ = told.send(());
                        }
                    }
                    SwarmEvent::ConnectionClosed { .. } => return,
                    _ => {}
                }
            }
        });
        Self { asked }
    }
}
