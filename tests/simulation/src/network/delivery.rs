//! What is on its way between two hosts, and what becomes of it.

use std::{cmp::Reverse, io::ErrorKind, task::Waker, time::Duration};

use super::{
    cities,
    connection::{Packet, Side, Stage},
    state::{Happening, State, now},
};
use crate::trace::{self, What};

/// How long a packet that was lost takes to be sent again, beside a round trip.
const RETRANSMISSION: Duration = Duration::from_millis(200);

impl State {
    pub(super) fn send(&mut self, id: u64, side: Side, packet: Packet) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (from, to) = connection.path(side);
        let (Some(sender), Some(receiver)) = (self.hosts.get(from), self.hosts.get(to)) else {
            return;
        };
        let way = cities::one_way(sender.city, receiver.city);
        let size = 40 + if let Packet::Data(bytes) = &packet { bytes.len() as u64 } else { 0 };
        let line = Duration::from_nanos(size * 1_000_000_000 / self.conditions.bandwidth);
        let sender = &mut self.hosts[from];
        sender.line_free = sender.line_free.max(now()) + line;
        sender.traffic.packets_out += 1;
        sender.traffic.bytes_out += size;
        let mut arrival =
            sender.line_free + way + way.mul_f64(self.conditions.jitter * self.random.unit());
        if self.random.happens(self.conditions.loss) {
            arrival += RETRANSMISSION + way * 2;
        }
        let end = connection.end(side);
        arrival = arrival.max(end.last_arrival);
        end.last_arrival = arrival;
        self.schedule(arrival, id, side, Happening::Arrives(packet));
    }

    pub(super) fn schedule(&mut self, at: Duration, id: u64, side: Side, what: Happening) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pending += 1;
            self.count += 1;
            self.events.push(Reverse((at, self.count, id, side, what)));
        }
    }

    pub(super) fn arrive(&mut self, id: u64, side: Side, packet: Packet) -> Vec<Waker> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let (from, to) = connection.path(side);
        let holds_back = connection.is_severed || !connection.end(side).stalled.is_empty();
        if !self.is_open(from, to) || holds_back {
            return self.hold_back(id, side, packet);
        }
        if matches!(packet, Packet::Data(_)) && self.random.happens(self.conditions.resets) {
            return self.reset(id);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        match packet {
            Packet::Syn => self.arrive_syn(id),
            Packet::SynAck => {
                connection.stage = Stage::Open;
                connection.dialer.reader.take().into_iter().collect()
            }
            Packet::Reset => {
                trace::note(What::Connection, [id, 3, side as u64]);
                let refused = connection.stage == Stage::Dialing;
                let why =
                    if refused { ErrorKind::ConnectionRefused } else { ErrorKind::ConnectionReset };
                connection.end(side.other()).fail(why)
            }
            Packet::Data(bytes) => self.arrive_data(id, side, bytes),
            Packet::Fin => {
                let end = connection.end(side.other());
                end.is_ended = true;
                end.reader.take().into_iter().collect()
            }
        }
    }

    fn arrive_syn(&mut self, id: u64) -> Vec<Waker> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        match self.listening.get_mut(&connection.to) {
            Some(listening) => {
                connection.listener.is_dropped = false;
                listening.incoming.push_back(id);
                let wakers = listening.waker.take().into_iter().collect();
                self.send(id, Side::Listener, Packet::SynAck);
                wakers
            }
            None => {
                self.send(id, Side::Listener, Packet::Reset);
                Vec::new()
            }
        }
    }

    fn arrive_data(&mut self, id: u64, side: Side, bytes: Vec<u8>) -> Vec<Waker> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let (_, to) = connection.path(side);
        trace::note(
            What::Arrived,
            [id << 1 | side as u64, bytes.len() as u64, trace::digest(&bytes)],
        );
        self.hosts[to].traffic.bytes_in += bytes.len() as u64;
        let end = connection.end(side.other());
        if end.is_gone() {
            self.send(id, side.other(), Packet::Reset);
            return Vec::new();
        }
        end.inbox.push_back(bytes);
        end.reader.take().into_iter().collect()
    }

    /// The path is cut: the sender keeps what it has sent until the path is free, or until it gives up.
    fn hold_back(&mut self, id: u64, side: Side, packet: Packet) -> Vec<Waker> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let end = connection.end(side);
        // Who dials tries again by itself. A host that is gone sends nothing again.
        if packet == Packet::Syn
            || end.is_gone() && !matches!(packet, Packet::Fin | Packet::Data(_))
        {
            return Vec::new();
        }
        let is_first = end.stalled.is_empty();
        end.stalled.push_back(packet);
        let stall = end.stall;
        if is_first {
            let patience = self.conditions.patience.mul_f64(0.8 + 0.4 * self.random.unit());
            self.schedule(now() + patience, id, side, Happening::GivesUp(stall));
        }
        Vec::new()
    }

    pub(super) fn give_up(&mut self, id: u64, side: Side, stall: u64) -> Vec<Waker> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let end = connection.end(side);
        if end.stall != stall || end.stalled.is_empty() {
            return Vec::new();
        }
        trace::note(What::Connection, [id, 4, side as u64]);
        end.fail(ErrorKind::TimedOut)
    }
}
