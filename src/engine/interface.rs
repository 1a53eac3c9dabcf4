//! What enters the engine and what leaves it, as values.

use std::{collections::HashSet, net::IpAddr, num::NonZeroU64, time::Duration};

use libp2p::{Multiaddr, PeerId};

use crate::{
    counters::TrafficCounters,
    event::Direction,
    farewell::Farewell,
    record::{NetworkName, RecordKey},
    ticket::Ticket,
};

/// The time of the current poll, on both scales.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Monotonic, for deadlines.
    pub(crate) mono: Duration,
    /// Unix seconds, for the validity of records.
    pub(crate) unix: u64,
}

/// Names one query for as long as it lives. Never reused within a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueryKey(pub(in crate::engine) NonZeroU64);

#[cfg(test)]
impl QueryKey {
    /// A name of the test's own.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }
}

/// Names a question that this node has asked a peer, for as long as it waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QuestionId(pub(crate) u64);

/// Names a question that a peer has asked, until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AskedId(pub(crate) u64);

/// Something to do on the network.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask the DHT for a record. Copies and then the end are reported under the query's key.
    Get {
        query: QueryKey,
        key: RecordKey,
        breadth: Breadth,
    },
    /// Connect with the peers closest to this key of whom is known: they will be asked, or sent something.
    Approach {
        key: RecordKey,
    },
    /// Put a record to the peers closest to its key.
    Put {
        query: QueryKey,
        key: RecordKey,
        bytes: Vec<u8>,
    },
    /// Put a record to these peers, which lack it.
    Repair {
        query: QueryKey,
        key: RecordKey,
        bytes: Vec<u8>,
        peers: Vec<PeerId>,
    },
    /// Fill the routing table.
    Bootstrap {
        query: QueryKey,
    },
    /// End a query early. Its end is still reported.
    Finish {
        query: QueryKey,
    },
    /// Announce to whoever is subscribed. What became of it is reported at once.
    Publish {
        id: AnnouncementId,
        topic: String,
        data: Vec<u8>,
    },
    Subscribe {
        topic: String,
    },
    Unsubscribe {
        topic: String,
    },
    /// Dial a peer for a caller.
    Dial {
        ticket: Ticket,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    },
    /// Dial a configured bootstrap address.
    DialBootstrap {
        address: Multiaddr,
    },
    /// Dial a peer that has left. What becomes of it is told by whether a connection stands.
    Redial {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    },
    /// Ask a connected peer something. The answer, or that there is none, is reported under this name.
    Ask {
        question: QuestionId,
        peer: PeerId,
        request: Vec<u8>,
    },
    /// Dial a peer of which another has told, over a connection with that address. What is of no use over such a
    /// connection is left out. The end is reported.
    DialTold {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        over: Multiaddr,
    },
    /// Dial a peer that was discovered on the local network. The end is reported.
    DialDiscovered {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    },
    /// Tell a connected peer why it is let go, and of others if there is no room. The answer is that to a question.
    Goodbye {
        question: QuestionId,
        peer: PeerId,
        farewell: Farewell,
    },
    /// Answer what a peer has asked.
    Answer {
        asked: AskedId,
        response: Vec<u8>,
    },
    /// Say who is in the mesh of a topic.
    TellMesh,
    /// End the connections with a peer. It may come back.
    Disconnect {
        peer: PeerId,
    },
    /// Take a connected peer out of the routing table, believe nothing that it answers, and carry out nothing that it asks
    /// of the DHT. It is about to be blocked.
    Mute {
        peer: PeerId,
    },
    /// End the connections with a peer, make no new ones, and ask it nothing.
    Block {
        peer: PeerId,
    },
    /// Connections with this peer are allowed again.
    Unblock {
        peer: PeerId,
    },
    /// Tell gossip how a connected peer stands: from -1 (everything that it has served is invalid) to 1, with 0 for
    /// one of whom nothing is known.
    Score {
        peer: PeerId,
        score: f64,
    },
}

/// Whether the DHT can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// At least one peer stands in the routing table.
    Joined,
    /// Nobody yet, but a dial or an introduction is under way: questions wait for how it ends.
    Joining,
    /// Nobody, and nothing under way.
    Isolated,
}

/// Which places there are too few of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lacking {
    Nothing,
    /// Those for peers that dial this node.
    Inbound,
    Any,
}

/// Names one announcement for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AnnouncementId(pub(in crate::engine) u64);

/// What the network made of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// At least one subscribed peer was handed it, now or before.
    Sent,
    /// Nobody is subscribed, or every peer's queue is full.
    Unheard,
    /// It can never be sent.
    Impossible,
}

/// How many peers a lookup is likely to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// The first copy will do.
    Narrow,
    /// Everybody who may have one is to be heard.
    Wide,
    /// The same, on paths that have no peer in common: no single peer is to decide what is found.
    Disjoint,
}

/// A peer of the routing table that others can reach.
#[derive(Debug, Clone)]
pub(crate) struct KnownPeer {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
    /// When it was last known to be there, on the monotonic scale.
    pub(crate) seen: Duration,
}

/// Something that happened on the network.
#[derive(Debug)]
pub(crate) enum Fact {
    Listening {
        address: Multiaddr,
    },
    ListeningEnded {
        address: Multiaddr,
        reason: Option<String>,
    },
    /// The first connection with a peer stands.
    Connected {
        peer: PeerId,
        address: Multiaddr,
        direction: Direction,
    },
    /// The connection by which a peer was known has ended, and by another one it is here.
    Moved {
        peer: PeerId,
        address: Multiaddr,
        direction: Direction,
    },
    /// These peers of the routing table can be reached by others.
    Known {
        peers: Vec<KnownPeer>,
    },
    /// These peers are in the mesh of a topic, as was asked: those of no use may go.
    Mesh {
        peers: HashSet<PeerId>,
    },
    /// How the network stands, as far as nothing else tells it. Told whenever somebody is about to see it.
    Seen {
        /// These peers are in the mesh of a topic.
        mesh: HashSet<PeerId>,
        /// All that streams have carried so far.
        traffic: Box<TrafficCounters>,
    },
    /// Somebody has dialed this node and was refused for want of room.
    TurnedAway {
        /// Which connections there are too many of; none, where it was refused for another bound.
        lacking: Lacking,
    },
    /// A peer of the routing table has gone, and can be found here if it comes back. Told before
    /// [`Disconnected`](Self::Disconnected).
    Leaving {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    },
    /// The last connection with a peer has ended.
    Disconnected {
        peer: PeerId,
        reason: Option<String>,
    },
    /// A peer has said what it is, or that it does not say so. If it can be asked and there is room for it, it has
    /// entered the routing table before.
    Introduced {
        peer: PeerId,
        /// What it runs.
        agent: Option<String>,
        affiliation: Affiliation,
    },
    /// A peer has entered the routing table.
    Routable {
        peer: PeerId,
    },
    /// A peer has left the routing table.
    Unroutable {
        peer: PeerId,
    },
    /// Nothing listens at any of the addresses under which a peer was looked for, as it is known at once: it has left, and
    /// is not merely silent.
    Left {
        peer: PeerId,
    },
    /// A connected peer has not answered the DHT in time, and nobody waits for it until it has.
    Silent {
        peer: PeerId,
    },
    /// A peer that was silent has answered.
    Awake {
        peer: PeerId,
    },
    /// A peer that the DHT wanted to ask could not be reached.
    Unreachable {
        peer: PeerId,
    },
    /// A dial for a caller has ended: with a connection, or with the reason why there is none.
    Dialed {
        ticket: Ticket,
        failure: Option<String>,
    },
    /// A dial to a bootstrap address has ended: with the peer that is there, which may be this node itself, or with
    /// the reason why none is.
    BootstrapDialed {
        address: Multiaddr,
        end: Result<PeerId, String>,
    },
    /// A dial to a peer of which another has told has ended, with a connection or without.
    ToldDialed {
        peer: PeerId,
    },
    /// Somebody on the local network says that a peer is there, at addresses of that network. It may belong to any network.
    #[cfg_attr(
        not(any(feature = "mdns", test)),
        allow(dead_code, reason = "nothing else discovers peers there")
    )]
    Discovered {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        /// Who says so.
        by: IpAddr,
    },
    /// A dial to a discovered peer has ended, with a connection or without.
    DiscoveredDialed {
        peer: PeerId,
    },
    /// A lookup was answered with a copy of the record, by a peer or by this node's own store.
    Copy {
        query: QueryKey,
        from: Option<PeerId>,
        bytes: Vec<u8>,
    },
    /// These peers acknowledged what was put. Told before the end of the query, where it is known.
    Acknowledged {
        query: QueryKey,
        peers: Vec<PeerId>,
    },
    QueryEnded {
        query: QueryKey,
        end: QueryEnd,
    },
    Published {
        id: AnnouncementId,
        outcome: Published,
    },
    /// A peer has subscribed a topic.
    Hearer {
        topic: String,
    },
    /// A peer asks something, and waits for [`Action::Answer`].
    Asked {
        asked: AskedId,
        peer: PeerId,
        request: Vec<u8>,
    },
    /// A peer has answered.
    Answered {
        question: QuestionId,
        response: Vec<u8>,
    },
    /// A peer will not answer.
    Unanswered {
        question: QuestionId,
        why: Unanswered,
    },
}

/// To which network a peer belongs, as far as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Affiliation {
    /// To this one.
    Same,
    /// To this other one.
    Other(NetworkName),
    /// To none.
    Unknown,
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The peer does not speak this protocol.
    Unsupported,
    /// The peer has gone, or is not there.
    Gone,
    /// The peer took too long.
    TimedOut,
    /// The peer broke off, or sent something that is no message.
    Failed,
}

/// How a DHT query ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueryEnd {
    /// The lookup went all the way, or was finished before.
    Lookup {
        /// So many peers answered.
        answered: u32,
        /// So many were asked, and did not.
        unheard: u32,
        /// Those that had no copy, the closest to the key first.
        without: Vec<PeerId>,
    },
    /// The lookup ran out of time.
    LookupCutShort,
    /// So many peers acknowledged that they stored the record.
    Stored { replicas: u32 },
    /// The routing table has been filled as far as possible.
    Bootstrapped,
}

#[cfg(any(test, fuzzing))]
impl QueryEnd {
    /// The end of a lookup that so many peers have answered, which is all that there are.
    pub(crate) fn answered_by(peers: u32) -> Self {
        Self::Lookup { answered: peers, unheard: 0, without: Vec::new() }
    }
}

/// What is to become of a message that a peer forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Valid: forward it.
    Accept,
    /// Of no use here, but no fault of anybody's.
    Ignore,
    /// Invalid: do not forward it.
    Reject,
}
