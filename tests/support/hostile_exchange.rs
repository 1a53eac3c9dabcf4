//! A peer that speaks the exchange protocol and says what it likes.

use futures::{StreamExt as _, channel::oneshot};
use libp2p::{
    StreamProtocol, Swarm,
    identity::Keypair,
    request_response::{self, Event, Message, ProtocolSupport},
    swarm::{self, SwarmEvent},
};
use peerage::{
    Limits, Multiaddr,
    net::transport::{self, TransportConfig},
};

use super::{bytes::Bytes, support::Executor};

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
        let behaviour = request_response::Behaviour::<Bytes>::new(
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
