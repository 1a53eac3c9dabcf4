//! Whose matter each thing under way in the Swarm is: dials, questions, topics, listeners.

use std::collections::{HashMap, HashSet};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::transport::ListenerId,
    gossipsub,
    request_response::{OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, DialError},
};

use super::{
    ends::Ends,
    failures::{nobody_is_there, reason},
};
use crate::{
    config::Config,
    engine::{AskedId, Fact, QuestionId},
    error::Result,
    net::{Behaviour, Resolved, Subscriptions, dht_protocol, topic_name},
    record::NetworkName,
    ticket::Ticket,
};

/// Which engine's matter each thing under way in the Swarm is.
#[derive(Debug)]
pub(super) struct Wiring {
    network: NetworkName,
    protocol: StreamProtocol,
    dials: HashMap<ConnectionId, DialFor>,
    pub(super) ends: Ends,
    listeners: Vec<ListenerId>,
    subscriptions: Subscriptions,
    /// Connected peers that are about to be blocked: nothing that they ask of the DHT is carried out.
    pub(super) muted: HashSet<PeerId>,
    pub(super) addresses_per_peer: usize,
    pub(super) count_private: bool,
    pub(super) exchanges: Exchanges,
    /// Where those are that were dialed by name.
    pub(super) resolved: Resolved,
}

/// On whose behalf a dial was made.
#[derive(Debug)]
pub(super) enum DialFor {
    Caller(Ticket),
    Bootstrap(Multiaddr),
    /// To see whether a peer that has left is back.
    Lost,
    /// To see whether a peer has room of which one without room has told.
    Told(PeerId),
    /// To see whether a peer that was discovered on the local network is of this one.
    Discovered(PeerId),
    /// To ask it something, or to see whether it still needs its seat.
    Dht(PeerId),
}

impl DialFor {
    /// The dial has led to this peer.
    pub(super) fn succeeded(self, peer: PeerId) -> Option<Fact> {
        match self {
            Self::Caller(ticket) => Some(Fact::Dialed { ticket, failure: None }),
            Self::Bootstrap(address) => Some(Fact::BootstrapDialed { address, end: Ok(peer) }),
            Self::Told(peer) => Some(Fact::ToldDialed { peer }),
            Self::Discovered(peer) => Some(Fact::DiscoveredDialed { peer }),
            Self::Lost | Self::Dht(_) => None,
        }
    }

    /// The dial has made no connection. `found` is who is at the address all the same.
    pub(super) fn failed(self, error: &DialError, found: Option<PeerId>) -> Option<Fact> {
        match self {
            Self::Caller(ticket) => Some(Fact::Dialed { ticket, failure: Some(reason(error)) }),
            Self::Bootstrap(address) => {
                let end = found.ok_or_else(|| reason(error));
                Some(Fact::BootstrapDialed { address, end })
            }
            Self::Told(peer) => Some(Fact::ToldDialed { peer }),
            Self::Discovered(peer) => Some(Fact::DiscoveredDialed { peer }),
            Self::Dht(peer) => nobody_is_there(error).then_some(Fact::Left { peer }),
            Self::Lost => None,
        }
    }
}

impl Wiring {
    pub(super) fn new(
        config: &Config,
        listeners: Vec<ListenerId>,
        subscriptions: Subscriptions,
        resolved: Resolved,
    ) -> Result<Self> {
        Ok(Self {
            network: config.network.clone(),
            protocol: dht_protocol(&config.network)?,
            dials: HashMap::new(),
            ends: Ends::default(),
            listeners,
            subscriptions,
            muted: HashSet::new(),
            addresses_per_peer: config.limits.addresses_per_peer,
            count_private: config.limits.count_private_addresses,
            exchanges: Exchanges::default(),
            resolved,
        })
    }

    pub(super) fn network(&self) -> &NetworkName {
        &self.network
    }

    /// The name under which peers of this network speak the DHT protocol.
    pub(super) fn protocol(&self) -> &StreamProtocol {
        &self.protocol
    }

    pub(super) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    pub(super) fn dialing(&mut self, connection: ConnectionId, purpose: DialFor) {
        self.dials.insert(connection, purpose);
    }

    /// On whose behalf a dial was made that has come to an end.
    pub(super) fn take_dial(&mut self, connection: ConnectionId) -> Option<DialFor> {
        self.dials.remove(&connection)
    }

    /// Nobody new is let in.
    pub(super) fn stop_listening(&mut self, swarm: &mut Swarm<Behaviour>) {
        for listener in self.listeners.drain(..) {
            swarm.remove_listener(listener);
        }
    }

    /// The application's name of a topic, if it belongs to this network.
    pub(super) fn topic(&self, hash: &gossipsub::TopicHash) -> Option<String> {
        let prefix = topic_name(&self.network, "").hash();
        hash.as_str().strip_prefix(prefix.as_str()).map(str::to_owned)
    }
}

/// What is under way, by the names that the Swarm gives and by those that the engine gives.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// Bounded by what the engine asks at a time.
    asking: HashMap<OutboundRequestId, QuestionId>,
    /// Channels of the requests whose answer is being made up, which takes no longer than the fact that tells of them.
    answering: HashMap<AskedId, ResponseChannel<Vec<u8>>>,
    next: u64,
}

impl Exchanges {
    pub(super) fn asking(&mut self, request: OutboundRequestId, question: QuestionId) {
        self.asking.insert(request, question);
    }

    /// The question that has come to an end. None if it is nobody's any more.
    pub(super) fn take_question(&mut self, request: OutboundRequestId) -> Option<QuestionId> {
        self.asking.remove(&request)
    }

    /// Where the answer to a question goes. None if it was given, or the peer has gone.
    pub(super) fn take_channel(&mut self, asked: AskedId) -> Option<ResponseChannel<Vec<u8>>> {
        self.answering.remove(&asked)
    }

    /// The name of a request that has come, and whose answer goes there.
    pub(super) fn asked(&mut self, channel: ResponseChannel<Vec<u8>>) -> AskedId {
        let asked = AskedId(self.next);
        self.next += 1;
        self.answering.insert(asked, channel);
        asked
    }
}
