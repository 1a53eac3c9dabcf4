//! The streams of one connection.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    option,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};

use super::{
    alarm::{Alarm, Times},
    inbound::{Inbound, Serial},
    outbound::{Outbound, Outcome},
};
use crate::{
    config::DhtMode,
    engine::dht::message::{Contact, Request, RequestId, Response, Told},
    net::scope::{Scope, of_use},
};

/// What is read from a stream at once. Most messages are shorter.
const SCRATCH_BYTES: usize = 4096;

/// What a connection is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    Ask(RequestId, Request),
    Cancel(RequestId),
    Answer(Serial, Response),
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A request has come to its end. There is one for each that is not cancelled, unless the connection ends before.
    Ended(Outcome),
    /// The peer asks.
    Asked(Serial, Request),
    /// The peer has sent so many messages that want no answer.
    Dropped(u32),
}

/// Carries requests over one connection, in both directions.
#[derive(Debug)]
pub(crate) struct Handler {
    protocol: StreamProtocol,
    mode: DhtMode,
    times: Times,
    /// From where the other end is.
    scope: Scope,
    outbound: Outbound,
    inbound: Inbound,
    outcomes: VecDeque<Outcome>,
    requests: VecDeque<(Serial, Request)>,
    alarm: Alarm,
}

impl Handler {
    pub(super) fn new(protocol: StreamProtocol, mode: DhtMode, times: Times, scope: Scope) -> Self {
        Self {
            protocol,
            mode,
            times,
            scope,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            outcomes: VecDeque::new(),
            requests: VecDeque::new(),
            alarm: Alarm::default(),
        }
    }

    /// What is to be told next.
    fn notice(&mut self) -> Option<Notice> {
        if let Some((id, outcome)) = self.outcomes.pop_front() {
            let outcome = outcome.map(|response| self.of_use(response));
            return Some(Notice::Ended((id, outcome)));
        }
        if let Some((serial, request)) = self.requests.pop_front() {
            return Some(Notice::Asked(serial, request));
        }
        let dropped = self.inbound.take_dropped();
        (dropped > 0).then_some(Notice::Dropped(dropped))
    }

    /// An answer, with those of its contacts that are of use over this connection.
    fn of_use(&self, response: Response) -> Response {
        let scope = self.scope;
        let among = |told: Told| told.map(move |contacts| reachable(contacts, scope));
        match response {
            Response::Closer { peers } => Response::Closer { peers: among(peers) },
            Response::Found { value, closer } => Response::Found { value, closer: among(closer) },
            Response::Kept(_) | Response::Pong => response,
        }
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        // A connection is polled for whatever goes over it, and mostly that is something else.
        if self.outbound.has_no_streams() && self.inbound.has_no_streams() {
            return;
        }
        let scratch = &mut [0; SCRATCH_BYTES];
        self.outbound.poll(cx, scratch, &mut self.outcomes);
        self.inbound.poll(cx, scratch, &mut self.requests);
    }

    /// Ends the streams that are due, and sees to it that the others are looked at when the first of them is.
    fn sweep(&mut self, cx: &mut Context<'_>) {
        loop {
            let due = [self.outbound.due(self.times.idle), self.inbound.due(&self.times)];
            if let Some(due) = due.into_iter().flatten().min() {
                self.alarm.set_by(due);
            }
            if self.alarm.poll(cx).is_pending() {
                return;
            }
            let now = Instant::now();
            self.outbound.sweep(cx, now, self.times.idle);
            self.inbound.sweep(now, &self.times);
        }
    }
}

/// Those of these contacts that can be reached by whoever is at the far end of a connection, or from there, at the addresses
/// at which they can.
fn reachable(mut contacts: Vec<Contact>, connection: Scope) -> Vec<Contact> {
    contacts.retain_mut(|contact: &mut Contact| {
        // Most are told of with one address, and there are twenty of them in an answer.
        if let [only] = contact.addresses.as_slice() {
            return Scope::of(only).is_of_use_over(connection);
        }
        contact.addresses = of_use(std::mem::take(&mut contact.addresses), connection);
        !contact.addresses.is_empty()
    });
    contacts
}

/// The protocol, if it is offered.
#[derive(Debug)]
pub(crate) struct Offer(Option<StreamProtocol>);

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = option::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Notice;
    type InboundProtocol = Offer;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let protocol = match self.mode {
            DhtMode::Server => Some(self.protocol.clone()),
            DhtMode::Client => None,
        };
        SubstreamProtocol::new(Offer(protocol), ())
    }

    /// Streams do not count: those that are idle keep no connection open.
    fn connection_keep_alive(&self) -> bool {
        self.outbound.is_busy() || self.inbound.is_busy()
    }

    // The Swarm polls a connection after it has told it something.
    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Ask(id, request) => {
                if let Err(why) = self.outbound.ask(id, request) {
                    self.outcomes.push_back((id, Err(why)));
                }
            }
            Command::Cancel(id) => self.outbound.cancel(id),
            Command::Answer(serial, response) => {
                let response = self.of_use(response);
                self.inbound.answer(serial, &response);
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => self.outbound.opened(stream),
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => self.inbound.opened(stream),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.outbound.not_opened(&error, &mut self.outcomes);
            }
            // How an address of the connection changes, and which protocols there are, is the business of others.
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Notice>> {
        if self.outcomes.is_empty() && self.requests.is_empty() {
            self.poll_streams(cx);
        }
        if let Some(notice) = self.notice() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(notice));
        }
        if self.outbound.opens_stream() {
            let upgrade = ReadyUpgrade::new(self.protocol.clone());
            let protocol = SubstreamProtocol::new(upgrade, ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.sweep(cx);
        Poll::Pending
    }
}
