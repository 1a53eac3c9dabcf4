//! How many connections there may be: in all, from others, with one peer, and being set up.
//!
//! As `libp2p-connection-limits` does it, but that one keeps an entry for each peer that has ever been connected.
//! Identities are free: what is remembered here ends with the connection.
//!
//! Where places get scarce, a peer keeps one connection and its others are closed. Rooms that choose who stays count
//! peers, and a few peers with several connections each would fill the node where nobody has to go.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
};

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    swarm::{ConnectionDenied, ConnectionId},
};

use super::gate::{Gate, Rule};
use crate::{config::Limits, event::Direction};

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {most} connections {what} are allowed")]
pub(crate) struct Exceeded {
    most: u32,
    what: Counted,
}

/// The connections that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    InAll,
    FromOthers,
    WithOnePeer,
    BeingDialed,
    BeingAccepted,
}

impl Exceeded {
    /// Of which connections there are too many.
    pub(crate) fn what(&self) -> Counted {
        self.what
    }

    /// Whether there is room for one more.
    fn check(taken: usize, most: u32, what: Counted) -> Result<(), ConnectionDenied> {
        if taken < most as usize {
            return Ok(());
        }
        Err(ConnectionDenied::new(Self { most, what }))
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InAll => "in all",
            Self::FromOthers => "from others",
            Self::WithOnePeer => "with one peer",
            Self::BeingDialed => "that are being dialed",
            Self::BeingAccepted => "that others are setting up",
        })
    }
}

/// A connection that stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    peer: PeerId,
    /// Who has dialed.
    direction: Direction,
    stage: Stage,
}

/// How far the life of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// It is to be closed, and the Swarm has yet to say that it is.
    Closing,
}

impl Standing {
    /// Of several connections with a peer the one stays that the lesser of the two has dialed, and of these the first. Where
    /// the two have dialed each other, both ends come to the same, and do not close one each.
    fn rank(&self, local: PeerId, id: ConnectionId) -> (bool, ConnectionId) {
        (self.is_incoming() != (self.peer < local), id)
    }

    fn is_incoming(&self) -> bool {
        self.direction == Direction::Inbound
    }
}

/// Refuses connections above the bounds, and closes those that peers have beside another one where places get scarce.
pub(crate) type Behaviour = Gate<Counts>;

/// The connections that stand or are being set up, and their bounds.
#[derive(Debug)]
pub(crate) struct Counts {
    incoming: HashSet<ConnectionId>,
    outgoing: HashSet<ConnectionId>,
    standing: HashMap<ConnectionId, Standing>,
    /// Connections that are about to be closed.
    surplus: VecDeque<(PeerId, ConnectionId)>,
    local: PeerId,
    most: u32,
    most_incoming: u32,
    per_peer: u32,
    pending: u32,
    /// Fewer places than that are scarce.
    scarce: u32,
}

impl Behaviour {
    pub(crate) fn new(local: PeerId, limits: &Limits) -> Self {
        let rule = Counts {
            incoming: HashSet::new(),
            outgoing: HashSet::new(),
            standing: HashMap::new(),
            surplus: VecDeque::new(),
            local,
            most: limits.connections,
            most_incoming: limits.incoming_connections(),
            per_peer: limits.connections_per_peer,
            pending: limits.pending_connections,
            scarce: limits.scarce_places(),
        };
        Self { rule }
    }
}

impl Counts {
    // A walk over all connections, whose number is limited.
    fn check_standing(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        let with_peer = self.standing.values().filter(|standing| standing.peer == *peer).count();
        Exceeded::check(with_peer, self.per_peer, Counted::WithOnePeer)?;
        Exceeded::check(self.standing.len(), self.most, Counted::InAll)
    }

    fn incoming_len(&self) -> usize {
        self.standing.values().filter(|standing| standing.is_incoming()).count()
    }

    /// Closes a connection that is not the only one with its peer, if places are scarce.
    fn spare(&mut self) {
        let has_places = |taken: usize, most: u32| taken + self.scarce as usize <= most as usize;
        let is_full = !has_places(self.standing.len(), self.most);
        if !is_full && has_places(self.incoming_len(), self.most_incoming) {
            return;
        }
        let mut kept: HashMap<PeerId, (bool, ConnectionId)> = HashMap::new();
        let is_open = |standing: &Standing| standing.stage == Stage::Open;
        for (&id, standing) in self.standing.iter().filter(|(_, standing)| is_open(standing)) {
            let rank = standing.rank(self.local, id);
            let kept = kept.entry(standing.peer).or_insert(rank);
            *kept = rank.min(*kept);
        }
        let is_surplus = |id: ConnectionId, standing: &Standing| {
            is_open(standing)
                && (is_full || standing.is_incoming())
                && kept.get(&standing.peer).is_some_and(|(_, kept)| *kept != id)
        };
        let surplus = self.standing.iter_mut().filter(|(id, standing)| is_surplus(**id, standing));
        // The newest one goes.
        if let Some((&id, standing)) = surplus.max_by_key(|(id, _)| **id) {
            standing.stage = Stage::Closing;
            self.surplus.push_back((standing.peer, id));
        }
    }
}

impl Rule for Counts {
    fn accept(&mut self, id: ConnectionId, _: &Multiaddr) -> Result<(), ConnectionDenied> {
        Exceeded::check(self.incoming.len(), self.pending, Counted::BeingAccepted)?;
        self.incoming.insert(id);
        Ok(())
    }

    fn let_in(&mut self, id: ConnectionId, peer: PeerId) -> Result<(), ConnectionDenied> {
        self.incoming.remove(&id);
        Exceeded::check(self.incoming_len(), self.most_incoming, Counted::FromOthers)?;
        self.check_standing(&peer)
    }

    fn dial(&mut self, id: ConnectionId) -> Result<(), ConnectionDenied> {
        Exceeded::check(self.outgoing.len(), self.pending, Counted::BeingDialed)?;
        self.outgoing.insert(id);
        Ok(())
    }

    fn reach(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.outgoing.remove(&id);
        self.check_standing(&peer)
    }

    fn stands(&mut self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        let direction =
            if endpoint.is_listener() { Direction::Inbound } else { Direction::Outbound };
        self.standing.insert(id, Standing { peer, direction, stage: Stage::Open });
        self.spare();
    }

    fn ended(&mut self, id: ConnectionId) {
        // It is in one of them.
        self.standing.remove(&id);
        self.incoming.remove(&id);
        self.outgoing.remove(&id);
    }

    fn next_surplus(&mut self) -> Option<(PeerId, ConnectionId)> {
        self.surplus.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use libp2p::{
        core::{Endpoint, transport::PortUse},
        swarm::{
            CloseConnection, ConnectionClosed, DialError, DialFailure, FromSwarm, ListenError,
            ListenFailure, NetworkBehaviour as _, ToSwarm, behaviour::ConnectionEstablished,
        },
    };

    use super::*;

    /// A gate, and the connections that have come to it.
    struct Door {
        counts: Behaviour,
        next: usize,
    }

    impl Door {
        fn new(limits: &Limits) -> Self {
            Self { counts: Behaviour::new(PeerId::random(), limits), next: 0 }
        }

        fn id(&mut self) -> ConnectionId {
            self.next += 1;
            ConnectionId::new_unchecked(self.next)
        }

        fn knock(&mut self) -> Option<ConnectionId> {
            let (id, anywhere) = (self.id(), Multiaddr::empty());
            let let_in = self.counts.handle_pending_inbound_connection(id, &anywhere, &anywhere);
            let_in.is_ok().then_some(id)
        }

        fn dial(&mut self) -> Option<ConnectionId> {
            let id = self.id();
            let role = Endpoint::Dialer;
            let allowed = self.counts.handle_pending_outbound_connection(id, None, &[], role);
            allowed.is_ok().then_some(id)
        }

        fn point(incoming: bool) -> ConnectedPoint {
            let (local_addr, send_back_addr) = (Multiaddr::empty(), Multiaddr::empty());
            if incoming {
                return ConnectedPoint::Listener { local_addr, send_back_addr };
            }
            ConnectedPoint::Dialer {
                address: Multiaddr::empty(),
                role_override: Endpoint::Dialer,
                port_use: PortUse::Reuse,
            }
        }

        /// It has proved who it is; whether it may stay.
        fn enter(&mut self, id: ConnectionId, peer: PeerId, incoming: bool) -> bool {
            let anywhere = Multiaddr::empty();
            let counts = &mut self.counts;
            let let_in = if incoming {
                counts.handle_established_inbound_connection(id, peer, &anywhere, &anywhere)
            } else {
                let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
                counts.handle_established_outbound_connection(id, peer, &anywhere, role, port)
            };
            if let_in.is_ok() {
                counts.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                    peer_id: peer,
                    connection_id: id,
                    endpoint: &Self::point(incoming),
                    failed_addresses: &[],
                    other_established: 0,
                }));
            }
            let_in.is_ok()
        }

        fn close(&mut self, id: ConnectionId, peer: PeerId) {
            self.counts.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id: peer,
                connection_id: id,
                endpoint: &Self::point(true),
                cause: None,
                remaining_established: 0,
            }));
        }

        /// What the Swarm is asked to close is closed.
        fn close_surplus(&mut self) {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            while let Poll::Ready(event) = self.counts.poll(&mut cx) {
                let ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) } =
                    event
                else {
                    panic!("{event:?}")
                };
                self.close(id, peer_id);
            }
        }

        fn remembers(&self) -> usize {
            let Counts { incoming, outgoing, standing, surplus, .. } = &self.counts.rule;
            incoming.len() + outgoing.len() + standing.len() + surplus.len()
        }
    }

    #[test]
    fn strangers_leave_a_quarter_of_the_places_to_dial_from() {
        let mut gate = Door::new(&Limits::new().with_connections(8));
        let mut come = |incoming| {
            let id = if incoming { gate.knock() } else { gate.dial() }.unwrap();
            gate.enter(id, PeerId::random(), incoming)
        };
        assert_eq!((0..8).filter(|_| come(true)).count(), 6);
        assert_eq!((0..8).filter(|_| come(false)).count(), 2);
    }

    #[test]
    fn one_peer_has_no_more_than_its_share_whoever_dials() {
        let mut gate = Door::new(&Limits::new().with_connections_per_peer(2));
        let peer = PeerId::random();
        let ids = [(); 3].map(|()| gate.knock().unwrap());
        assert_eq!(ids.map(|id| gate.enter(id, peer, true)), [true, true, false]);
        let id = gate.dial().unwrap();
        assert!(!gate.enter(id, peer, false));
        gate.close(ids[0], peer);
        let id = gate.dial().unwrap();
        assert!(gate.enter(id, peer, false));
    }

    #[test]
    fn a_few_peers_with_several_connections_each_do_not_fill_a_node() {
        let limits = Limits::new();
        let mut gate = Door::new(&limits);
        let peers: Vec<PeerId> = (0..36).map(|_| PeerId::random()).collect();
        for peer in peers.iter().cycle().take(36 * 4) {
            let id = gate.knock().unwrap();
            assert!(gate.enter(id, *peer, true));
            gate.close_surplus();
        }
        let places = limits.incoming_connections() - limits.scarce_places();
        assert_eq!(gate.counts.rule.incoming_len(), places as usize);
        let has_one = |peer: &PeerId| {
            gate.counts.rule.standing.values().any(|standing| standing.peer == *peer)
        };
        assert!(peers.iter().all(has_one));
        // Whoever comes now takes the place of such a connection, until nobody has more than one.
        for _ in 0..90 {
            let id = gate.knock().unwrap();
            assert!(gate.enter(id, PeerId::random(), true));
            gate.close_surplus();
        }
        assert_eq!(gate.counts.rule.incoming_len(), places as usize);
    }

    #[test]
    fn both_ends_keep_the_same_of_two_connections() {
        // They have dialed each other, and hear of the two connections in either order.
        for order in [[true, false], [false, true]] {
            let [here, there] = [PeerId::random(), PeerId::random()];
            let limits = Limits::new().with_connections(2);
            let ends = [(here, there, order), (there, here, [true, false])];
            let kept = ends.map(|(local, remote, order)| {
                let mut gate = Door { counts: Behaviour::new(local, &limits), next: 0 };
                for incoming in order {
                    let id = if incoming { gate.knock() } else { gate.dial() }.unwrap();
                    assert!(gate.enter(id, remote, incoming));
                }
                gate.close_surplus();
                let dialed =
                    gate.counts.rule.standing.values().map(|standing| !standing.is_incoming());
                dialed.map(|by_local| if by_local { local } else { remote }).collect::<Vec<_>>()
            });
            assert_eq!(kept[0], kept[1]);
            assert_eq!(kept[0].len(), 1);
        }
    }

    #[test]
    fn what_is_being_set_up_is_bounded_in_each_direction_until_it_ends() {
        let mut gate = Door::new(&Limits::new().with_pending_connections(2));
        let [incoming, _] = [(); 2].map(|()| gate.knock().unwrap());
        let [outgoing, _] = [(); 2].map(|()| gate.dial().unwrap());
        assert_eq!((gate.knock(), gate.dial()), (None, None));
        gate.counts.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &Multiaddr::empty(),
            send_back_addr: &Multiaddr::empty(),
            error: &ListenError::Aborted,
            connection_id: incoming,
            peer_id: None,
        }));
        gate.counts.on_swarm_event(FromSwarm::DialFailure(DialFailure {
            peer_id: None,
            error: &DialError::Aborted,
            connection_id: outgoing,
        }));
        assert!(gate.knock().is_some() && gate.dial().is_some());
    }

    #[test]
    fn of_ten_thousand_passers_by_nothing_is_kept() {
        let mut gate = Door::new(&Limits::new());
        for _ in 0..10_000 {
            let (id, peer) = (gate.knock().unwrap(), PeerId::random());
            assert!(gate.enter(id, peer, true));
            gate.close(id, peer);
        }
        assert_eq!(gate.remembers(), 0);
    }
}
