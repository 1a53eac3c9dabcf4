//! The connections that requests go over.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, ToSwarm, behaviour::ConnectionEstablished,
    },
};

use super::{
    alarm::Times,
    handler::{Command, Handler, Notice},
    inbound::Serial,
};
use crate::{
    config::DhtMode,
    engine::dht::message::{Failure, Request, RequestId, Response},
    net::scope::Scope,
};

/// Names a request of a peer for as long as it waits for the answer. Afterwards it names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct InboundId {
    peer: PeerId,
    connection: ConnectionId,
    serial: Serial,
}

/// What has come over the wire. A request ends in one [`Answered`](Self::Answered) or [`Failed`](Self::Failed), unless it is
/// cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A peer has answered: what it was asked, in the form that the request demands, and nothing else of it is checked.
    Answered { request: RequestId, peer: PeerId, response: Response },
    /// There is no answer.
    Failed { request: RequestId, peer: PeerId, why: Failure },
    /// A peer asks. There are at most 32 of these to be answered per connection, and each has ten seconds.
    Asked { asked: InboundId, peer: PeerId, request: Request },
    /// A peer has sent so many messages that want no answer, and were dropped.
    Dropped { peer: PeerId, messages: u32 },
}

/// Carries requests to peers, and theirs to this node.
///
/// It goes over the connections that there are, and says nothing by itself. It sets no limit to how long an answer may take:
/// whoever asks knows when it is overdue, and [cancels](Self::cancel).
#[derive(Debug)]
pub(crate) struct Behaviour {
    protocol: StreamProtocol,
    mode: DhtMode,
    times: Times,
    /// Those of each peer, the oldest first.
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    waiting: HashMap<RequestId, Waiting>,
    events: VecDeque<ToSwarm<Event, Command>>,
}

/// A request that has gone out, to be sent again if its connection ends and another is there.
#[derive(Debug)]
struct Waiting {
    peer: PeerId,
    connection: ConnectionId,
    request: Request,
}

impl Behaviour {
    /// A client asks, and is not asked.
    pub(crate) fn new(protocol: StreamProtocol, mode: DhtMode) -> Self {
        Self {
            protocol,
            mode,
            times: Times::DEFAULT,
            connections: HashMap::new(),
            waiting: HashMap::new(),
            events: VecDeque::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    // The Swarm is polled after any of these, by the contract of the node's poll loop: nothing needs to be woken.

    /// Asks a peer, over a connection that there is. Requests to a peer leave in the order in which they come here.
    pub(crate) fn ask(&mut self, id: RequestId, peer: PeerId, request: Request) {
        let Some(connection) = self.connection_with(&peer) else {
            self.fail(id, peer, Failure::Gone);
            return;
        };
        self.notify(peer, connection, Command::Ask(id, request.clone()));
        self.waiting.insert(id, Waiting { peer, connection, request });
    }

    /// Forgets a request. Nothing more is heard of it.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        if let Some(Waiting { peer, connection, .. }) = self.waiting.remove(&id) {
            self.notify(peer, connection, Command::Cancel(id));
            // Nothing may come over it any more, although it has not ended: the next request tries another, if there is one.
            if let Some(connections) = self.connections.get_mut(&peer)
                && connections.first() == Some(&connection)
            {
                connections.rotate_left(1);
            }
            return;
        }
        // It may have ended, and nobody has heard of it yet.
        self.events
            .retain(|event| !matches!(event, ToSwarm::GenerateEvent(event) if event.ends(id)));
    }

    /// Answers a peer. If it does not wait any more, nothing happens.
    pub(crate) fn answer(&mut self, asked: InboundId, response: Response) {
        self.notify(asked.peer, asked.connection, Command::Answer(asked.serial, response));
    }

    pub(super) fn connection_with(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.connections.get(peer)?.first().copied()
    }

    fn notify(&mut self, peer_id: PeerId, connection: ConnectionId, event: Command) {
        let handler = NotifyHandler::One(connection);
        self.events.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
    }

    fn fail(&mut self, request: RequestId, peer: PeerId, why: Failure) {
        self.events.push_back(ToSwarm::GenerateEvent(Event::Failed { request, peer, why }));
    }

    fn handler(&self, remote: &Multiaddr) -> Handler {
        Handler::new(self.protocol.clone(), self.mode, self.times, Scope::of(remote))
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(connections) = self.connections.get_mut(&peer) {
            connections.retain(|open| *open != connection);
            if connections.is_empty() {
                self.connections.remove(&peer);
            }
        }
        let lost = self.waiting.extract_if(|_, waiting| waiting.connection == connection);
        let mut lost: Vec<(RequestId, Waiting)> = lost.collect();
        // In the order in which they were asked.
        lost.sort_unstable_by_key(|(id, _)| *id);
        for (id, waiting) in lost {
            self.ask(id, peer, waiting.request);
        }
    }
}

impl Event {
    fn ends(&self, id: RequestId) -> bool {
        match self {
            Self::Answered { request, .. } | Self::Failed { request, .. } => *request == id,
            Self::Asked { .. } | Self::Dropped { .. } => false,
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(remote))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            }) => self.connections.entry(peer_id).or_default().push(connection_id),
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.closed(peer_id, connection_id);
            }
            // It dials nobody and offers no addresses.
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        notice: Notice,
    ) {
        let event = match notice {
            Notice::Asked(serial, request) => {
                let asked = InboundId { peer, connection, serial };
                Event::Asked { asked, peer, request }
            }
            Notice::Dropped(messages) => Event::Dropped { peer, messages },
            Notice::Ended((request, outcome)) => {
                // One that was cancelled meanwhile is not heard of.
                if self.waiting.remove(&request).is_none() {
                    return;
                }
                match outcome {
                    Ok(response) => Event::Answered { request, peer, response },
                    Err(why) => Event::Failed { request, peer, why },
                }
            }
        };
        self.events.push_back(ToSwarm::GenerateEvent(event));
    }

    // The Swarm polls once more after it has handed over a handler's event.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, Command>> {
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}
