//! Peers whose streams the test reads and writes itself.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
};
use libp2p::{
    Stream,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NotifyHandler, SubstreamProtocol, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::{
    super::codec::{bounds, decode_request, encode_request, encode_response},
    *,
};

/// Hands over streams as they are.
pub(super) struct Raw {
    protocol: StreamProtocol,
    streams: UnboundedSender<Stream>,
    to_open: VecDeque<PeerId>,
}

impl Raw {
    pub(super) fn new(protocol: StreamProtocol) -> (Self, UnboundedReceiver<Stream>) {
        let (streams, receiver) = unbounded();
        (Self { protocol, streams, to_open: VecDeque::new() }, receiver)
    }

    pub(super) fn open(&mut self, peer: PeerId) {
        self.to_open.push_back(peer);
    }

    fn handler(&self) -> RawHandler {
        let (protocol, streams) = (self.protocol.clone(), self.streams.clone());
        RawHandler { protocol, streams, to_open: 0 }
    }
}

impl NetworkBehaviour for Raw {
    type ConnectionHandler = RawHandler;
    type ToSwarm = ();

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<RawHandler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<RawHandler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, (): ()) {}

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<(), ()>> {
        let Some(peer_id) = self.to_open.pop_front() else { return Poll::Pending };
        Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event: () })
    }
}

pub(super) struct RawHandler {
    protocol: StreamProtocol,
    streams: UnboundedSender<Stream>,
    to_open: usize,
}

impl ConnectionHandler for RawHandler {
    type FromBehaviour = ();
    type ToBehaviour = ();
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ())
    }

    fn on_behaviour_event(&mut self, (): ()) {
        self.to_open += 1;
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol, ..
        })
        | ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
            protocol, ..
        }) = event
        {
            let _ = self.streams.unbounded_send(protocol);
        }
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), ()>> {
        if self.to_open == 0 {
            return Poll::Pending;
        }
        self.to_open -= 1;
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
            protocol: self.listen_protocol(),
        })
    }
}

/// A peer that serves the streams that it is given like this, each with its number, from zero.
pub(super) async fn serve_raw<F>(
    spawner: &LocalSpawner,
    mut serve: impl FnMut(usize, Messages) -> F + 'static,
) -> Multiaddr
where
    F: Future<Output = Option<()>> + 'static,
{
    let (raw, mut streams) = Raw::new(PROTOCOL);
    let mut swarm = swarm(|_| raw);
    let address = listen(&mut swarm).await;
    drive(spawner, swarm);
    let tasks = spawner.clone();
    let accept = async move {
        let mut number = 0;
        while let Some(stream) = streams.next().await {
            let served = serve(number, Messages { stream });
            number += 1;
            tasks.spawn_local(async move { served.await.unwrap_or_default() }).unwrap();
        }
    };
    spawner.spawn_local(accept).unwrap();
    address
}

/// A peer with a number of streams to a server.
pub(super) async fn streams_to(
    spawner: &LocalSpawner,
    address: &Multiaddr,
    count: usize,
) -> Vec<Messages> {
    let (raw, mut streams) = Raw::new(PROTOCOL);
    let mut swarm = swarm(|_| raw);
    let peer = connect(&mut swarm, address).await;
    for _ in 0..count {
        swarm.behaviour_mut().open(peer);
    }
    drive(spawner, swarm);
    let mut opened = Vec::new();
    while opened.len() < count {
        opened.push(Messages { stream: streams.next().await.unwrap() });
    }
    opened
}

/// A stream, of which the test reads and writes messages.
pub(super) struct Messages {
    pub(super) stream: Stream,
}

impl Messages {
    /// The next message, with its length. Nothing, if the stream ends.
    pub(super) async fn frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        loop {
            if let Some((_, end)) = bounds(&frame).unwrap()
                && end == frame.len()
            {
                return Some(frame);
            }
            let mut byte = [0];
            self.stream.read_exact(&mut byte).await.ok()?;
            frame.push(byte[0]);
        }
    }

    pub(super) async fn request(&mut self) -> Option<Request> {
        let frame = self.frame().await?;
        let (start, _) = bounds(&frame).unwrap().unwrap();
        Some(decode_request(&frame[start..]).unwrap().unwrap())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()?;
        self.stream.flush().await.ok()
    }

    pub(super) async fn ask(&mut self, request: &Request) -> Option<()> {
        self.write(&encode_request(request)).await
    }

    /// Answers that there is nobody closer, or nothing there.
    pub(super) async fn answer(&mut self, request: &Request) -> Option<()> {
        self.write(&nothing(request)).await
    }

    /// How the stream ends, if nothing more comes on it.
    pub(super) async fn end(&mut self) -> End {
        match self.stream.read(&mut [0]).await {
            Ok(0) => {}
            Ok(_) => panic!("something comes"),
            Err(_) => return End::BrokenOff,
        }
        // To a reader both look the same.
        match self.stream.write(&[0]).await {
            Ok(_) => End::Closed,
            Err(_) => End::BrokenOff,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    BrokenOff,
}

/// An answer that has nothing to tell.
pub(super) fn nothing(request: &Request) -> Vec<u8> {
    encode_response(&no_answer(request), super::super::codec::Asked::of(request))
}

pub(super) fn no_answer(request: &Request) -> Response {
    match request {
        Request::FindNode { .. } | Request::GetProviders { .. } => {
            Response::Closer { peers: vec![].into() }
        }
        Request::GetValue { .. } => Response::Found { value: None, closer: vec![].into() },
        Request::PutValue(_) => Response::Kept(None),
        Request::Ping => Response::Pong,
    }
}
