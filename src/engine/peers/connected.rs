//! Who is connected, and whether there is anybody to ask.

mod worth;

use crate::engine::interface::Reach;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

use crate::{
    buckets::Buckets,
    connections::{ConnectedPeer, KeptFor},
    engine::{interface::Affiliation, wheel},
    error::of_network,
    event::Direction,
    keyspace::Key,
    place::Subnet,
    record::{NetworkName, RecordKey},
};

pub(in crate::engine) use worth::{Candidate, above_target, for_newcomer, keep_catalogues};

/// Somebody is let go for a newcomer so often, and so many times at once. Whoever comes more often than that finds the
/// node full, and pushes out nobody but those who came like that.
const ROOM_INTERVAL: Duration = Duration::from_micros(62_500);
const ROOM_BURST: u32 = 8;

/// How long a connection stays whatever it is for.
pub(in crate::engine) const GRACE: Duration = Duration::from_secs(20);

/// Whether somebody is connected who can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// So many peers of the routing table.
    Members(usize),
    /// A dial or an introduction is under way.
    Expected,
    /// The routing table may still name peers, but none of them is here.
    Nobody,
}

#[derive(Debug)]
struct Connection {
    shown: ConnectedPeer,
    introduction: Introduction,
    /// When it came to stand, on the monotonic scale.
    since: Duration,
    subnet: Option<Subnet>,
    /// Whether the application has dialed the peer.
    is_wanted: bool,
    /// It is being let go, and counts no more.
    is_going: bool,
    /// It has not answered in time when it was last asked.
    is_silent: bool,
    /// It has been counted among those that are let go.
    is_counted: bool,
}

impl Connection {
    fn is_inbound(&self) -> bool {
        self.shown.direction == Direction::Inbound
    }
}

/// Whether a peer has said what it is and speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// Not yet; it is waited for until this deadline.
    Awaited(wheel::Key),
    /// It has, and is of this network.
    Made,
    /// It has, and is of another network, or of none. A visitor has until the deadline to go by itself.
    Foreign { network: Option<NetworkName>, leave: Option<wheel::Key> },
    /// It has taken too long, and may still come.
    Late,
}

impl Introduction {
    /// The deadline in the wheel of what is waited for, if anything is.
    pub(crate) fn deadline(self) -> Option<wheel::Key> {
        match self {
            Self::Awaited(deadline) => Some(deadline),
            Self::Foreign { leave, .. } => leave,
            Self::Made | Self::Late => None,
        }
    }

    /// Why a connection with this peer is of no use.
    pub(crate) fn fault(&self) -> Option<String> {
        match self {
            Self::Foreign { network, .. } => Some(of_network(network.as_ref())),
            Self::Awaited(_) | Self::Made | Self::Late => None,
        }
    }
}

/// Connected peers, the routing table's members, and the dials that may lead to either.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    connected: BTreeMap<PeerId, Connection>,
    /// With their keys, each of which is a hash.
    routable: HashMap<PeerId, Key>,
    /// Dials to bootstrap addresses that have neither succeeded nor failed.
    dialing: usize,
    /// Those that were in the mesh of a topic when the node last looked.
    mesh: HashSet<PeerId>,
    /// When gossip has last told of them, or was asked to.
    mesh_told: Option<Duration>,
    room: Room,
    /// Whether there are too many connections, and a timer is set for when the next of them may go.
    waits_to_trim: bool,
}

/// How many may be let go for newcomers.
#[derive(Debug)]
struct Room(Buckets<()>);

impl Default for Room {
    fn default() -> Self {
        Self(Buckets::new(ROOM_BURST, ROOM_INTERVAL, 1))
    }
}

impl Peers {
    pub(crate) fn reach(&self) -> Reach {
        if !self.routable.is_empty() {
            Reach::Joined
        } else if self.is_expecting() {
            Reach::Joining
        } else {
            Reach::Isolated
        }
    }

    /// Who is here. Unlike [`reach`](Self::reach) it does not count those who have left and still have a seat.
    pub(crate) fn company(&self) -> Company {
        let members = self.members().count();
        if members > 0 {
            Company::Members(members)
        } else if self.is_expecting() {
            Company::Expected
        } else {
            Company::Nobody
        }
    }

    /// Peers of the routing table that are connected, and stay.
    fn members(&self) -> impl Iterator<Item = &PeerId> {
        self.staying().map(|(peer, _)| peer).filter(|peer| self.is_routable(peer))
    }

    /// Whether there is such a peer among them.
    pub(crate) fn any_member(&self, is_such: impl Fn(&PeerId) -> bool) -> bool {
        self.members().any(is_such)
    }

    /// Whether a dial or an introduction is under way.
    pub(crate) fn is_expecting(&self) -> bool {
        let is_awaited = |peer: &Connection| matches!(peer.introduction, Introduction::Awaited(_));
        self.dialing > 0 || self.staying().any(|(_, connection)| is_awaited(connection))
    }

    /// A connected peer is being let go.
    pub(crate) fn set_aside(&mut self, peer: &PeerId) {
        if let Some(connection) = self.connected.get_mut(peer) {
            connection.is_going = true;
        }
    }

    /// A first connection stands. Its introduction is waited for until the deadline in the wheel.
    pub(crate) fn connected(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
        direction: Direction,
        subnet: Option<Subnet>,
        since: Duration,
        deadline: wheel::Key,
    ) {
        let shown = ConnectedPeer {
            peer,
            address,
            direction,
            agent: None,
            location: None,
            round_trip: None,
            coverage: None,
            catalogue: None,
            age: Duration::ZERO,
            kept_for: KeptFor::Nothing,
        };
        let introduction = Introduction::Awaited(deadline);
        let connection = Connection {
            shown,
            introduction,
            since,
            subnet,
            is_wanted: false,
            is_going: false,
            is_silent: false,
            is_counted: false,
        };
        self.connected.insert(peer, connection);
    }

    /// A connected peer is somewhere else than it was.
    pub(crate) fn moved(
        &mut self,
        peer: &PeerId,
        address: Multiaddr,
        direction: Direction,
        subnet: Option<Subnet>,
    ) {
        if let Some(connection) = self.connected.get_mut(peer) {
            connection.shown.address = address;
            connection.shown.direction = direction;
            connection.subnet = subnet;
        }
    }

    /// The application has dialed this peer, which is connected.
    pub(in crate::engine) fn wanted(&mut self, peer: &PeerId) {
        if let Some(connection) = self.connected.get_mut(peer) {
            connection.is_wanted = true;
        }
    }

    /// Whether a connected peer is let go for the first time since it has connected.
    pub(in crate::engine) fn is_first_to_let_go(&mut self, peer: &PeerId) -> bool {
        let connection = self.connected.get_mut(peer);
        connection.is_some_and(|connection| !std::mem::replace(&mut connection.is_counted, true))
    }

    /// Who is in the mesh of a topic.
    pub(in crate::engine) fn in_mesh(&mut self, now: Duration, mesh: HashSet<PeerId>) {
        self.mesh = mesh;
        self.mesh_told = Some(now);
    }

    /// Whether gossip is to be asked for its mesh, since it has not told of it for so long.
    pub(in crate::engine) fn asks_for_mesh(&mut self, now: Duration, age: Duration) -> bool {
        let is_old = self.mesh_told.is_none_or(|told| now.saturating_sub(told) >= age);
        if is_old {
            self.mesh_told = Some(now);
        }
        is_old
    }

    /// How many are not being let go.
    pub(in crate::engine) fn staying_len(&self) -> usize {
        self.staying().count()
    }

    /// Of these, those that have dialed.
    pub(in crate::engine) fn staying_inbound_len(&self) -> usize {
        self.staying().filter(|(_, connection)| connection.is_inbound()).count()
    }

    /// Whether somebody may be let go for a newcomer. If so, that is one less.
    pub(in crate::engine) fn may_make_room(&mut self, now: Duration) -> bool {
        self.room.0.take(now, ())
    }

    /// Those that have dialed, whether they stay or not.
    pub(in crate::engine) fn inbound_len(&self) -> usize {
        self.connected.values().filter(|connection| connection.is_inbound()).count()
    }

    /// Those that are being let go.
    pub(in crate::engine) fn going(&self) -> Vec<PeerId> {
        let going = self.connected.iter().filter(|(_, connection)| connection.is_going);
        going.map(|(peer, _)| *peer).collect()
    }

    fn staying(&self) -> impl Iterator<Item = (&PeerId, &Connection)> {
        self.connected.iter().filter(|(_, connection)| !connection.is_going)
    }

    /// Whether a timer is set for when some may go.
    pub(in crate::engine) fn waits_to_trim(&self) -> bool {
        self.waits_to_trim
    }

    pub(in crate::engine) fn set_waiting_to_trim(&mut self, waits: bool) {
        self.waits_to_trim = waits;
    }

    /// The last connection has ended. How far the peer had introduced itself.
    pub(crate) fn disconnected(&mut self, peer: &PeerId) -> Option<Introduction> {
        Some(self.connected.remove(peer)?.introduction)
    }

    /// Whether a connected peer has said what it is.
    pub(crate) fn introduction(&self, peer: &PeerId) -> Option<&Introduction> {
        Some(&self.connected.get(peer)?.introduction)
    }

    /// Whether a connected peer has not said what it is.
    pub(crate) fn is_unknown(&self, peer: &PeerId) -> bool {
        matches!(self.introduction(peer), Some(Introduction::Awaited(_) | Introduction::Late))
    }

    /// The address of the first connection with this peer, and who has dialed.
    pub(crate) fn connection(&self, peer: &PeerId) -> Option<(&Multiaddr, Direction)> {
        let shown = &self.connected.get(peer)?.shown;
        Some((&shown.address, shown.direction))
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.connected.contains_key(peer)
    }

    pub(crate) fn set_silent(&mut self, peer: &PeerId, is_silent: bool) {
        if let Some(connection) = self.connected.get_mut(peer) {
            connection.is_silent = is_silent;
        }
    }

    /// Whether a peer is connected and answers, as far as is known.
    pub(crate) fn is_answering(&self, peer: &PeerId) -> bool {
        self.connected.get(peer).is_some_and(|connection| !connection.is_silent)
    }

    /// The peer has said what it is and speaks. The deadline of that, if it was still awaited.
    pub(crate) fn introduced(
        &mut self,
        peer: &PeerId,
        agent: Option<String>,
        affiliation: Affiliation,
    ) -> Option<wheel::Key> {
        let connection = self.connected.get_mut(peer)?;
        connection.shown.agent = agent;
        let network = match affiliation {
            Affiliation::Same => {
                let before = std::mem::replace(&mut connection.introduction, Introduction::Made);
                return before.deadline();
            }
            Affiliation::Other(network) => Some(network),
            Affiliation::Unknown => None,
        };
        if let Introduction::Foreign { network: known, .. } = &mut connection.introduction {
            // Saying it again gives it no more time.
            *known = network;
            return None;
        }
        let introduction = Introduction::Foreign { network, leave: None };
        std::mem::replace(&mut connection.introduction, introduction).deadline()
    }

    /// A peer of another network has until then to go; `None`, if it has had its time.
    pub(crate) fn may_stay_until(&mut self, peer: &PeerId, deadline: Option<wheel::Key>) {
        if let Some(connection) = self.connected.get_mut(peer)
            && let Introduction::Foreign { leave, .. } = &mut connection.introduction
        {
            *leave = deadline;
        }
    }

    /// Stops waiting for an introduction that has not come.
    pub(crate) fn stop_waiting_for(&mut self, peer: &PeerId) {
        if let Some(connection) = self.connected.get_mut(peer) {
            connection.introduction = Introduction::Late;
        }
    }

    /// The peer stands in the routing table. True if that is new.
    pub(crate) fn routable(&mut self, peer: PeerId) -> bool {
        self.routable.insert(peer, Key::of_peer(&peer)).is_none()
    }

    pub(crate) fn is_routable(&self, peer: &PeerId) -> bool {
        self.routable.contains_key(peer)
    }

    /// The peers closest to a key, of those in the routing table and these others.
    pub(crate) fn closest(&self, key: &RecordKey, others: &[PeerId], count: usize) -> Vec<PeerId> {
        let target = Key::of_record(key);
        let known = self.routable.iter().map(|(peer, key)| (key.distance(&target), *peer));
        let others = others.iter().filter(|peer| !self.is_routable(peer));
        let others = others.map(|peer| (Key::of_peer(peer).distance(&target), *peer));
        let mut all: Vec<_> = known.chain(others).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().take(count).map(|(_, peer)| peer).collect()
    }

    /// Whether a peer is, or would be, one of so many that are closest to a key, beside those in the routing table.
    pub(crate) fn is_among_closest(&self, key: &RecordKey, peer: &PeerId, count: usize) -> bool {
        let target = Key::of_record(key);
        let limit = Key::of_peer(peer).distance(&target);
        self.routable.values().filter(|other| other.distance(&target) < limit).count() < count
    }

    pub(crate) fn unroutable(&mut self, peer: &PeerId) {
        self.routable.remove(peer);
    }

    pub(crate) fn dial_started(&mut self) {
        self.dialing += 1;
    }

    pub(crate) fn dial_ended(&mut self) {
        self.dialing = self.dialing.saturating_sub(1);
    }

    pub(crate) fn len(&self) -> usize {
        self.connected.len()
    }

    pub(crate) fn routing_table_len(&self) -> usize {
        self.routable.len()
    }

    /// Everybody who is connected.
    pub(crate) fn ids(&self) -> Vec<PeerId> {
        self.connected.keys().copied().collect()
    }

    /// How many of those connected have said what they are.
    #[cfg(test)]
    pub(crate) fn introduced_len(&self) -> usize {
        self.connected.values().filter(|peer| peer.shown.agent.is_some()).count()
    }

    /// All of them, whether they stay or not.
    pub(crate) fn list(&self, now: Duration) -> Vec<ConnectedPeer> {
        let shown = |connection: &Connection| ConnectedPeer {
            age: now.saturating_sub(connection.since),
            ..connection.shown.clone()
        };
        self.connected.values().map(shown).collect()
    }
}

#[cfg(test)]
mod tests;
