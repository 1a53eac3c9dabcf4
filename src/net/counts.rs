//! How many connections there may be: in all, from others, with one peer, and being set up.
//!
//! As `libp2p-connection-limits` does it, but that one keeps an entry for each peer that has ever been connected.
//! Identities are free: what is remembered here ends with the connection.
//!
//! Where places get scarce, a peer keeps one connection and its others are closed. Rooms that choose who stays count
//! peers, and a few peers with several connections each would fill the node where nobody has to go.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::Limits;

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
    /// Whether the peer has dialed.
    incoming: bool,
    /// Whether it is being closed.
    is_closing: bool,
}

impl Standing {
    /// Of several connections with a peer the one stays that the lesser of the two has dialed, and of these the first. Where
    /// the two have dialed each other, both ends come to the same, and do not close one each.
    fn rank(&self, local: PeerId, id: ConnectionId) -> (bool, ConnectionId) {
        (self.incoming != (self.peer < local), id)
    }
}

/// Refuses connections above the bounds, and closes those that peers have beside another one where places get scarce.
#[derive(Debug)]
pub(crate) struct Behaviour {
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
        Self {
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
        }
    }

    // A walk over all connections, whose number is limited.
    fn check_standing(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        let with_peer = self.standing.values().filter(|standing| standing.peer == *peer).count();
        Exceeded::check(with_peer, self.per_peer, Counted::WithOnePeer)?;
        Exceeded::check(self.standing.len(), self.most, Counted::InAll)
    }

    fn incoming_len(&self) -> usize {
        self.standing.values().filter(|standing| standing.incoming).count()
    }

    /// Closes a connection that is not the only one with its peer, if places are scarce.
    fn spare(&mut self) {
        let has_places = |taken: usize, most: u32| taken + self.scarce as usize <= most as usize;
        let is_full = !has_places(self.standing.len(), self.most);
        if !is_full && has_places(self.incoming_len(), self.most_incoming) {
            return;
        }
        let mut kept: HashMap<PeerId, (bool, ConnectionId)> = HashMap::new();
        for (&id, standing) in self.standing.iter().filter(|(_, standing)| !standing.is_closing) {
            let rank = standing.rank(self.local, id);
            let kept = kept.entry(standing.peer).or_insert(rank);
            *kept = rank.min(*kept);
        }
        let is_surplus = |id: ConnectionId, standing: &Standing| {
            !standing.is_closing
                && (is_full || standing.incoming)
                && kept.get(&standing.peer).is_some_and(|(_, kept)| *kept != id)
        };
        let surplus = self.standing.iter_mut().filter(|(id, standing)| is_surplus(**id, standing));
        // The newest one goes.
        if let Some((&id, standing)) = surplus.max_by_key(|(id, _)| **id) {
            standing.is_closing = true;
            self.surplus.push_back((standing.peer, id));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        Exceeded::check(self.incoming.len(), self.pending, Counted::BeingAccepted)?;
        self.incoming.insert(id);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.incoming.remove(&id);
        Exceeded::check(self.incoming_len(), self.most_incoming, Counted::FromOthers)?;
        self.check_standing(&peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Exceeded::check(self.outgoing.len(), self.pending, Counted::BeingDialed)?;
        self.outgoing.insert(id);
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.outgoing.remove(&id);
        self.check_standing(&peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            // Told of each connection that nobody has refused, before there can be another.
            FromSwarm::ConnectionEstablished(established) => {
                let (peer, incoming) = (established.peer_id, established.endpoint.is_listener());
                let standing = Standing { peer, incoming, is_closing: false };
                self.standing.insert(established.connection_id, standing);
                self.spare();
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.standing.remove(&closed.connection_id);
            }
            // Each attempt that comes to nothing ends with one of these, whoever refused it.
            FromSwarm::ListenFailure(failure) => {
                self.incoming.remove(&failure.connection_id);
            }
            FromSwarm::DialFailure(failure) => {
                self.outgoing.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // They are found while the Swarm handles an event, and it polls its behaviours after that.
        self.surplus.pop_front().map_or(Poll::Pending, |(peer_id, id)| {
            let connection = CloseConnection::One(id);
            Poll::Ready(ToSwarm::CloseConnection { peer_id, connection })
        })
    }
}

#[cfg(test)]
mod tests {
    use libp2p::{
        core::ConnectedPoint,
        swarm::{
            ConnectionClosed, DialError, DialFailure, ListenError, ListenFailure,
            behaviour::ConnectionEstablished,
        },
    };

    use super::*;

    /// A gate, and the connections that have come to it.
    struct Gate {
        counts: Behaviour,
        next: usize,
    }

    impl Gate {
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
            let Behaviour { incoming, outgoing, standing, surplus, .. } = &self.counts;
            incoming.len() + outgoing.len() + standing.len() + surplus.len()
        }
    }

    #[test]
    fn strangers_leave_a_quarter_of_the_places_to_dial_from() {
        let mut gate = Gate::new(&Limits::new().with_connections(8));
        let mut come = |incoming| {
            let id = if incoming { gate.knock() } else { gate.dial() }.unwrap();
            gate.enter(id, PeerId::random(), incoming)
        };
        assert_eq!((0..8).filter(|_| come(true)).count(), 6);
        assert_eq!((0..8).filter(|_| come(false)).count(), 2);
    }

    #[test]
    fn one_peer_has_no_more_than_its_share_whoever_dials() {
        let mut gate = Gate::new(&Limits::new().with_connections_per_peer(2));
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
        let mut gate = Gate::new(&limits);
        let peers: Vec<PeerId> = (0..36).map(|_| PeerId::random()).collect();
        for peer in peers.iter().cycle().take(36 * 4) {
            let id = gate.knock().unwrap();
            assert!(gate.enter(id, *peer, true));
            gate.close_surplus();
        }
        let places = limits.incoming_connections() - limits.scarce_places();
        assert_eq!(gate.counts.incoming_len(), places as usize);
        let has_one =
            |peer: &PeerId| gate.counts.standing.values().any(|standing| standing.peer == *peer);
        assert!(peers.iter().all(has_one));
        // Whoever comes now takes the place of such a connection, until nobody has more than one.
        for _ in 0..90 {
            let id = gate.knock().unwrap();
            assert!(gate.enter(id, PeerId::random(), true));
            gate.close_surplus();
        }
        assert_eq!(gate.counts.incoming_len(), places as usize);
    }

    #[test]
    fn both_ends_keep_the_same_of_two_connections() {
        // They have dialed each other, and hear of the two connections in either order.
        for order in [[true, false], [false, true]] {
            let [here, there] = [PeerId::random(), PeerId::random()];
            let limits = Limits::new().with_connections(2);
            let ends = [(here, there, order), (there, here, [true, false])];
            let kept = ends.map(|(local, remote, order)| {
                let mut gate = Gate { counts: Behaviour::new(local, &limits), next: 0 };
                for incoming in order {
                    let id = if incoming { gate.knock() } else { gate.dial() }.unwrap();
                    assert!(gate.enter(id, remote, incoming));
                }
                gate.close_surplus();
                let dialed = gate.counts.standing.values().map(|standing| !standing.incoming);
                dialed.map(|by_local| if by_local { local } else { remote }).collect::<Vec<_>>()
            });
            assert_eq!(kept[0], kept[1]);
            assert_eq!(kept[0].len(), 1);
        }
    }

    #[test]
    fn what_is_being_set_up_is_bounded_in_each_direction_until_it_ends() {
        let mut gate = Gate::new(&Limits::new().with_pending_connections(2));
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
        let mut gate = Gate::new(&Limits::new());
        for _ in 0..10_000 {
            let (id, peer) = (gate.knock().unwrap(), PeerId::random());
            assert!(gate.enter(id, peer, true));
            gate.close(id, peer);
        }
        assert_eq!(gate.remembers(), 0);
    }
}
