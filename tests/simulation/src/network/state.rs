//! All connections, and what is on its way.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    io::{self, ErrorKind},
    net::SocketAddrV4,
    task::{Context, Poll, Waker},
    time::Duration,
};

use process::Random;

use super::{
    Conditions, PORT, Traffic,
    connection::{Connection, End, Packet, Side, Stage, WINDOW},
    ip,
};
use crate::trace::{self, What};

/// When a path that was cut is free again, how long it takes at the most until a sender tries it.
const NEXT_TRY: Duration = Duration::from_secs(4);

/// The most bytes that are one packet here.
const MAX_PACKET: usize = 64 * 1024;

/// What is to happen: at which time, the number of it, and what.
type Event = (Duration, u64, u64, Side, Happening);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    Arrives(Packet),
    /// The sender has no more patience, unless its path has been free since that stall.
    GivesUp(u64),
}

// The number of each event is another, so what happens is never compared.
impl PartialOrd for Happening {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Happening {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) city: usize,
    address: SocketAddrV4,
    is_unplugged: bool,
    /// When it has sent what it has to send by now.
    pub(super) line_free: Duration,
    pub(super) traffic: Traffic,
    next_port: u16,
}

#[derive(Debug, Default)]
pub(super) struct Listening {
    pub(super) incoming: VecDeque<u64>,
    pub(super) waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) hosts: Vec<Host>,
    pub(super) listening: BTreeMap<SocketAddrV4, Listening>,
    pub(super) connections: BTreeMap<u64, Connection>,
    /// In the order of their times.
    pub(super) events: BinaryHeap<Reverse<Event>>,
    pub(super) count: u64,
    /// Between which hosts nothing passes, and how many reasons there are for it.
    cuts: BTreeMap<(usize, usize), u32>,
    pub(super) conditions: Conditions,
    pub(super) random: Random,
}

impl State {
    pub(super) fn new(random: Random, conditions: Conditions) -> Self {
        Self {
            hosts: Vec::new(),
            listening: BTreeMap::new(),
            connections: BTreeMap::new(),
            events: BinaryHeap::new(),
            count: 0,
            cuts: BTreeMap::new(),
            conditions,
            random,
        }
    }

    pub(super) fn add_host(&mut self, city: usize) -> usize {
        let number = self.hosts.len();
        self.hosts.push(Host {
            city,
            address: SocketAddrV4::new(ip(city, number), PORT),
            is_unplugged: false,
            line_free: Duration::ZERO,
            traffic: Traffic::default(),
            next_port: 40_000,
        });
        number
    }

    pub(super) fn address(&self, host: usize) -> SocketAddrV4 {
        self.hosts[host].address
    }

    /// Answers with who has to know.
    pub(super) fn move_host(&mut self, host: usize) -> Option<Waker> {
        self.count += 1;
        let number = 1_000 + host + self.count as usize % 60_000;
        let moved = &mut self.hosts[host];
        let before = moved.address;
        moved.address = SocketAddrV4::new(ip(moved.city, number), PORT);
        let of_host = |connection: &&mut Connection| {
            [connection.dialer.host, connection.listener.host].contains(&host)
        };
        self.connections
            .values_mut()
            .filter(of_host)
            .for_each(|connection| connection.is_severed = true);
        self.listening.get_mut(&before).and_then(|listening| listening.waker.take())
    }

    /// Who listens at an address that its host no longer has does so at the one that it has.
    pub(super) fn follow(&mut self, host: usize, address: SocketAddrV4) -> Option<SocketAddrV4> {
        let current = self.hosts[host].address;
        if *current.ip() == *address.ip() {
            return None;
        }
        let listening = self.listening.remove(&address)?;
        self.listening.insert(current, listening);
        Some(current)
    }

    pub(super) fn traffic(&self, host: usize) -> Traffic {
        self.hosts[host].traffic
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn next_event(&self) -> Option<Duration> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets happen what is due first, if anything is. Answers with who has to know.
    pub(super) fn run_one(&mut self) -> Option<Vec<Waker>> {
        let now = now();
        if self.next_event().is_none_or(|at| at > now) {
            return None;
        }
        let Reverse((_, _, id, side, what)) = self.events.pop()?;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pending -= 1;
        }
        let wakers = match what {
            Happening::Arrives(packet) => self.arrive(id, side, packet),
            Happening::GivesUp(stall) => self.give_up(id, side, stall),
        };
        self.tidy(id);
        Some(wakers)
    }

    // What hosts do.

    pub(super) fn listen(&mut self, address: SocketAddrV4) -> io::Result<()> {
        if self.listening.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        self.listening.insert(address, Listening::default());
        Ok(())
    }

    pub(super) fn stop_listening(&mut self, address: SocketAddrV4) {
        let listening = self.listening.remove(&address).unwrap_or_default();
        for id in listening.incoming {
            self.drop_end(id, Side::Listener);
        }
    }

    /// The next connection that has come to this address, and where it comes from.
    pub(super) fn accept(
        &mut self,
        address: SocketAddrV4,
        cx: &Context<'_>,
    ) -> Poll<(u64, SocketAddrV4)> {
        let Some(listening) = self.listening.get_mut(&address) else { return Poll::Pending };
        while let Some(id) = listening.incoming.pop_front() {
            if let Some(connection) = self.connections.get(&id) {
                return Poll::Ready((id, connection.from));
            }
        }
        listening.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Begins to connect. Answers with the number of the connection.
    pub(super) fn dial(&mut self, host: usize, to: SocketAddrV4) -> u64 {
        self.count += 1;
        let id = self.count;
        let dialing = &mut self.hosts[host];
        dialing.next_port = dialing.next_port.checked_add(1).unwrap_or(40_000);
        let from = SocketAddrV4::new(*dialing.address.ip(), dialing.next_port);
        // Nobody may have that address. The packet then goes nowhere.
        let there = self.hosts.iter().position(|host| host.address == to).unwrap_or(usize::MAX);
        let connection = Connection {
            stage: Stage::Dialing,
            to,
            from,
            dialer: End { host, ..End::default() },
            // Not there yet.
            listener: End { host: there, is_dropped: true, ..End::default() },
            is_severed: false,
            pending: 0,
        };
        self.connections.insert(id, connection);
        trace::note(What::Connection, [id, 0, there as u64]);
        if there != usize::MAX {
            self.send(id, Side::Dialer, Packet::Syn);
        }
        id
    }

    pub(super) fn poll_dial(&mut self, id: u64, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::ConnectionRefused.into()));
        };
        if let Some(failure) = connection.dialer.failure {
            return Poll::Ready(Err(failure.into()));
        }
        if connection.stage == Stage::Open {
            return Poll::Ready(Ok(()));
        }
        connection.dialer.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_read(
        &mut self,
        id: u64,
        side: Side,
        buffer: &mut [u8],
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&id) else { return Poll::Ready(Ok(0)) };
        let end = connection.end(side);
        let Some(first) = end.inbox.front() else {
            if let Some(failure) = end.failure {
                return Poll::Ready(Err(failure.into()));
            }
            if end.is_ended {
                return Poll::Ready(Ok(0));
            }
            end.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let unread = &first[end.read..];
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        end.read += count;
        if end.read == first.len() {
            end.inbox.pop_front();
            end.read = 0;
        }
        let writer = connection.end(side.other());
        writer.unread = writer.unread.saturating_sub(count);
        if let Some(waker) = writer.writer.take() {
            waker.wake();
        }
        Poll::Ready(Ok(count))
    }

    pub(super) fn poll_write(
        &mut self,
        id: u64,
        side: Side,
        bytes: &[u8],
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let end = connection.end(side);
        if let Some(failure) = end.failure {
            return Poll::Ready(Err(failure.into()));
        }
        if end.has_closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(WINDOW.saturating_sub(end.unread)).min(MAX_PACKET);
        if count == 0 && !bytes.is_empty() {
            end.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        end.unread += count;
        self.send(id, side, Packet::Data(bytes[..count].to_vec()));
        Poll::Ready(Ok(count))
    }

    pub(super) fn close(&mut self, id: u64, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = connection.end(side);
            if !end.has_closed && end.failure.is_none() {
                end.has_closed = true;
                self.send(id, side, Packet::Fin);
            }
        }
    }

    /// Nobody holds this end any more.
    pub(super) fn drop_end(&mut self, id: u64, side: Side) {
        self.close(id, side);
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = connection.end(side);
            end.is_dropped = true;
            end.inbox.clear();
            trace::note(What::Connection, [id, 1, side as u64]);
        }
        self.tidy(id);
    }

    // What happens to hosts and paths.

    pub(super) fn cut(&mut self, from: usize, to: usize, is_cut: bool) {
        let reasons = self.cuts.entry((from, to)).or_default();
        *reasons = if is_cut { *reasons + 1 } else { reasons.saturating_sub(1) };
        if *reasons == 0 {
            self.cuts.remove(&(from, to));
        }
    }

    /// Paths may be free again: what was held back is sent once more.
    pub(super) fn heal(&mut self) {
        self.send_held_back();
    }

    pub(super) fn unplug(&mut self, host: usize, is_unplugged: bool) {
        let was = std::mem::replace(&mut self.hosts[host].is_unplugged, is_unplugged);
        if was && !is_unplugged {
            self.heal();
        }
    }

    pub(super) fn power_off(&mut self, host: usize) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            for side in [Side::Dialer, Side::Listener] {
                if let Some(connection) = self.connections.get_mut(&id)
                    && connection.end(side).host == host
                {
                    let end = connection.end(side);
                    // Nothing more is said for it.
                    end.has_closed = true;
                    end.is_dropped = true;
                    end.inbox.clear();
                    end.stalled.clear();
                }
            }
        }
        self.unplug(host, true);
    }

    pub(super) fn reset_one(&mut self, host: usize) -> Vec<Waker> {
        let of_host = |(id, connection): (&u64, &Connection)| {
            let hosts = [connection.dialer.host, connection.listener.host];
            (connection.stage == Stage::Open && hosts.contains(&host)).then_some(*id)
        };
        let ids: Vec<u64> = self.connections.iter().filter_map(of_host).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let id = ids[self.random.below(ids.len() as u64) as usize];
        self.reset(id)
    }

    pub(super) fn reset(&mut self, id: u64) -> Vec<Waker> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        trace::note(What::Connection, [id, 2, 0]);
        let mut wakers = connection.dialer.fail(ErrorKind::ConnectionReset);
        wakers.extend(connection.listener.fail(ErrorKind::ConnectionReset));
        wakers
    }

    fn send_held_back(&mut self) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            for side in [Side::Dialer, Side::Listener] {
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                let (from, to) = connection.path(side);
                let is_severed = connection.is_severed;
                if is_severed || connection.end(side).stalled.is_empty() || !self.is_open(from, to)
                {
                    continue;
                }
                let wait = NEXT_TRY.mul_f64(self.random.unit());
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                let end = connection.end(side);
                end.stall += 1;
                end.last_arrival = end.last_arrival.max(now() + wait);
                for packet in std::mem::take(&mut end.stalled) {
                    self.send(id, side, packet);
                }
            }
        }
    }

    pub(super) fn is_open(&self, from: usize, to: usize) -> bool {
        let is_plugged = |host: usize| self.hosts.get(host).is_some_and(|host| !host.is_unplugged);
        is_plugged(from) && is_plugged(to) && !self.cuts.contains_key(&(from, to))
    }

    fn tidy(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(Connection::is_over) {
            self.connections.remove(&id);
        }
    }
}

pub(super) fn now() -> Duration {
    process::now().unwrap_or_default()
}
