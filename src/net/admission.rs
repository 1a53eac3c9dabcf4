//! Who may connect, beyond the plain counts: no more than a few from one host, and
//! nobody while the process uses more memory than it may.
//!
//! A limit for each peer keeps nobody out, since identities are free; one for each host does. It holds from the
//! first byte on, so that one host cannot take all places for connections that are being set up either, by
//! connecting and then saying nothing.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionDenied, ConnectionId},
};

use super::{
    Resolved,
    gate::{Gate, Rule},
};
use crate::{
    config::Limits,
    place::{Host, Place},
};

/// For how long a reading of the process's memory is good enough. One costs a system call and a line to parse.
const READING_TIME: Duration = Duration::from_millis(100);

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("at most {0} connections with one host are allowed")]
    Crowded(u32),
    #[error("the process uses {used} of {allowed} bytes of memory that it may use")]
    Memory { used: u64, allowed: u64 },
}

/// Refuses connections. It has nothing to say on those that stand.
pub(crate) type Behaviour = Gate<Admission>;

/// What is known of the connections, and what they are held against.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Where the far end is of each connection that stands or is being set up from there.
    hosts: HashMap<ConnectionId, Host>,
    per_host: u32,
    count_private: bool,
    memory: Option<Memory>,
    /// Where those are that were dialed by name.
    resolved: Resolved,
}

impl Behaviour {
    pub(crate) fn new(limits: &Limits) -> Self {
        let rule = Admission {
            hosts: HashMap::new(),
            per_host: limits.connections_per_ip,
            count_private: limits.count_private_addresses,
            memory: limits.process_memory.map(|allowed| Memory::new(allowed, resident)),
            resolved: Resolved::default(),
        };
        Self { rule }
    }

    /// Counts those that are dialed by name where the name has led.
    pub(super) fn with_resolved(mut self, resolved: Resolved) -> Self {
        self.rule.resolved = resolved;
        self
    }
}

impl Admission {
    /// Counts a connection, if its host has a place left.
    fn take_place(&mut self, id: ConnectionId, address: &Multiaddr) -> Result<(), Refused> {
        let place = Place::of(address, self.count_private);
        let Some(host) = place.and_then(|place| place.host) else { return Ok(()) };
        // A walk over all connections, of which there are few: their number is limited, too.
        let taken = self.hosts.values().filter(|&&other| other == host).count();
        if taken >= self.per_host as usize {
            return Err(Refused::Crowded(self.per_host));
        }
        self.hosts.insert(id, host);
        Ok(())
    }

    fn check_memory(&mut self) -> Result<(), Refused> {
        self.memory.as_mut().map_or(Ok(()), |memory| memory.check(Instant::now()))
    }
}

/// The bound on the process's memory.
#[derive(Debug)]
struct Memory {
    allowed: u64,
    read: fn() -> Option<u64>,
    reading: Option<(Instant, u64)>,
}

impl Memory {
    fn new(allowed: u64, read: fn() -> Option<u64>) -> Self {
        Self { allowed, read, reading: None }
    }

    fn check(&mut self, now: Instant) -> Result<(), Refused> {
        let used = match self.reading {
            Some((at, used)) if now.saturating_duration_since(at) < READING_TIME => used,
            _ => {
                // Where the system does not tell, there is nothing to hold against it.
                let Some(used) = (self.read)() else {
                    tracing::warn!("the operating system does not tell how much memory is in use");
                    return Ok(());
                };
                self.reading = Some((now, used));
                used
            }
        };
        if used > self.allowed {
            return Err(Refused::Memory { used, allowed: self.allowed });
        }
        Ok(())
    }
}

/// The bytes of physical memory that this process takes.
fn resident() -> Option<u64> {
    u64::try_from(memory_stats::memory_stats()?.physical_mem).ok()
}

impl Rule for Admission {
    fn accept(&mut self, id: ConnectionId, from: &Multiaddr) -> Result<(), ConnectionDenied> {
        self.check_memory().map_err(ConnectionDenied::new)?;
        // From now on: it keeps its place once it has proved who it is.
        self.take_place(id, from).map_err(ConnectionDenied::new)
    }

    fn dial(&mut self, _: ConnectionId) -> Result<(), ConnectionDenied> {
        self.check_memory().map_err(ConnectionDenied::new)
    }

    fn reach(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        at: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        // Only now is it known which of its addresses answered.
        let at = self.resolved.real(at, peer);
        self.take_place(id, &at).map_err(ConnectionDenied::new)
    }

    fn ended(&mut self, id: ConnectionId) {
        self.hosts.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use libp2p::{
        core::{Endpoint, transport::PortUse},
        swarm::{FromSwarm, ListenError, ListenFailure, NetworkBehaviour as _},
    };

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn knock(gate: &mut Behaviour, from: &str) -> (ConnectionId, bool) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = ConnectionId::new_unchecked(NEXT.fetch_add(1, Ordering::Relaxed));
        let let_in =
            gate.handle_pending_inbound_connection(id, &Multiaddr::empty(), &address(from)).is_ok();
        (id, let_in)
    }

    fn give_up(gate: &mut Behaviour, id: ConnectionId) {
        let error = ListenError::Aborted;
        gate.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &Multiaddr::empty(),
            send_back_addr: &Multiaddr::empty(),
            error: &error,
            connection_id: id,
            peer_id: None,
        }));
    }

    #[test]
    fn one_host_that_says_nothing_does_not_keep_others_out() {
        let mut gate = Behaviour::new(&Limits::new().with_connections_per_ip(2));
        let (first, let_in) = knock(&mut gate, "/ip4/198.51.100.1/tcp/1");
        assert!(let_in);
        assert!(knock(&mut gate, "/ip4/198.51.100.1/tcp/2").1);
        assert!(!knock(&mut gate, "/ip4/198.51.100.1/tcp/3").1);
        assert!(knock(&mut gate, "/ip4/198.51.100.2/tcp/1").1);
        give_up(&mut gate, first);
        assert!(knock(&mut gate, "/ip4/198.51.100.1/tcp/4").1);
    }

    #[test]
    fn whom_this_node_dials_counts_too() {
        let mut gate = Behaviour::new(&Limits::new().with_connections_per_ip(1));
        let mut dial = |id| {
            let id = ConnectionId::new_unchecked(id);
            let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
            let to = address("/ip4/198.51.100.1/tcp/1");
            gate.handle_established_outbound_connection(id, PeerId::random(), &to, role, port)
                .is_ok()
        };
        assert!(dial(1));
        assert!(!dial(2));
    }

    #[test]
    fn whom_this_node_dials_by_name_counts_where_the_name_has_led() {
        let resolved = Resolved::default();
        let limits = Limits::new().with_connections_per_ip(1);
        let mut gate = Behaviour::new(&limits).with_resolved(resolved.clone());
        let mut dial = |id, name: &str, found: &str| {
            let (id, peer) = (ConnectionId::new_unchecked(id), PeerId::random());
            resolved.found(address(name), peer, address(found));
            let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
            gate.handle_established_outbound_connection(id, peer, &address(name), role, port)
                .is_ok()
        };
        assert!(dial(1, "/dns4/a.example/tcp/1", "/ip4/198.51.100.1/tcp/1"));
        assert!(!dial(2, "/dns4/b.example/tcp/1", "/ip4/198.51.100.1/tcp/1"));
        assert!(dial(3, "/dns4/a.example/tcp/1", "/ip4/198.51.100.2/tcp/1"));
    }

    #[test]
    fn machines_nearby_may_connect_as_often_as_they_like() {
        let mut gate = Behaviour::new(&Limits::new().with_connections_per_ip(1));
        for _ in 0..10 {
            assert!(knock(&mut gate, "/ip4/127.0.0.1/tcp/1").1);
        }
        assert!(gate.rule.hosts.is_empty());
        let limits = Limits::new().with_connections_per_ip(1).with_count_private_addresses(true);
        let mut gate = Behaviour::new(&limits);
        assert!(knock(&mut gate, "/ip4/127.0.0.1/tcp/1").1);
        assert!(!knock(&mut gate, "/ip4/127.0.0.1/tcp/1").1);
    }

    #[test]
    fn nobody_connects_while_the_process_uses_too_much_memory() {
        static USED: AtomicU64 = AtomicU64::new(0);
        let mut memory = Memory::new(100, || Some(USED.load(Ordering::Relaxed)));
        let start = Instant::now();
        assert_eq!(memory.check(start), Ok(()));
        USED.store(101, Ordering::Relaxed);
        assert_eq!(memory.check(start), Ok(()), "the reading is still fresh");
        let later = start + READING_TIME;
        assert_eq!(memory.check(later), Err(Refused::Memory { used: 101, allowed: 100 }));
        USED.store(100, Ordering::Relaxed);
        assert_eq!(memory.check(later + READING_TIME), Ok(()));
    }

    #[test]
    fn a_process_reads_its_own_memory_and_refuses_by_it() {
        assert!(resident().is_some_and(|bytes| bytes > 100_000));
        let mut gate = Behaviour::new(&Limits::new().with_process_memory(1));
        assert!(!knock(&mut gate, "/ip4/127.0.0.1/tcp/1").1);
        let peer = Some(PeerId::random());
        let id = ConnectionId::new_unchecked(1);
        assert!(gate.handle_pending_outbound_connection(id, peer, &[], Endpoint::Dialer).is_err());
    }
}
