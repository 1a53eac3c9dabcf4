//! When to ask and to answer, and what was found: without sockets and without a clock.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use if_watch::IpNet;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::{
    Interface,
    found::{Found, Whereabouts},
    packet::{self, Asked, Packet, Told},
};
use crate::{clock::Entropy, config::MdnsConfig, net::scope::Scope};

#[cfg(test)]
mod tests;

/// The node speaks on so many interfaces. Further ones are left alone.
pub(super) const MOST_INTERFACES: usize = 64;

/// The pause between the first question and the second. Each further pause is twice as long (RFC 6762, section 5.2).
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Questions at the start and answers wait for a time between these, so that not everybody speaks at once (RFC 6762,
/// sections 5.2 and 6).
pub(super) const DELAYS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(120)];

/// On each interface there is at most one answer in this time (RFC 6762, section 6).
pub(super) const ANSWER_PAUSE: Duration = Duration::from_secs(1);

/// So many packets a second are read on each interface. More stay with the operating system, which drops them.
pub(super) const PACKETS_PER_SECOND: u32 = 256;

/// Characters of the name under which this node answers. It is random and says nothing of who the node is: the
/// specification wants 32 to 63.
const NAME_CHARACTERS: usize = 32;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this packet to everybody on the interface.
    Send { on: Interface, packet: Vec<u8> },
    /// A peer is there. Its addresses do not name it. It is on the account of this sender.
    Found { peer: PeerId, addresses: Vec<Multiaddr>, by: IpAddr },
}

/// What this node knows of its local networks, and has to say there.
pub(super) struct Machine {
    local: PeerId,
    name: String,
    ttl: Duration,
    longest_pause: Duration,
    entropy: Box<dyn Entropy>,
    listening: Vec<Multiaddr>,
    interfaces: BTreeMap<Interface, State>,
    found: Found,
    /// The identifiers of the last questions, the newest first: they come back.
    asked: [Option<u16>; 4],
    outputs: VecDeque<Output>,
}

/// What is known of an interface.
#[derive(Debug)]
struct State {
    networks: Vec<IpNet>,
    query: Query,
    answer: Answer,
    heard: Heard,
}

/// The next question.
#[derive(Debug)]
struct Query {
    due: Duration,
    /// The pause after it.
    pause: Duration,
}

/// The next answer.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// Nobody waits for one. There is none before this time.
    Quiet {
        until: Duration,
    },
    Due {
        at: Duration,
        asked: Asked,
    },
}

/// How many packets were read in the second that began then.
#[derive(Debug)]
struct Heard {
    since: Duration,
    packets: u32,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("name", &self.name)
            .field("interfaces", &self.interfaces)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl Machine {
    pub(super) fn new(local: PeerId, config: &MdnsConfig, mut entropy: Box<dyn Entropy>) -> Self {
        Self {
            local,
            name: name(&mut *entropy),
            ttl: config.ttl(),
            longest_pause: config.query_interval(),
            entropy,
            listening: Vec::new(),
            interfaces: BTreeMap::new(),
            found: Found::default(),
            asked: [None; 4],
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub(super) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// This node listens there, and nowhere else.
    pub(super) fn listen(&mut self, now: Duration, addresses: Vec<Multiaddr>) {
        self.listening = addresses;
        let interfaces: Vec<Interface> = self.interfaces.keys().copied().collect();
        for interface in interfaces {
            self.announce(now, interface);
        }
    }

    /// An interface is up, or is in other networks than before. This node asks who is there, and says that it is.
    pub(super) fn up(&mut self, now: Duration, interface: Interface, networks: Vec<IpNet>) {
        if self.interfaces.get(&interface).is_some_and(|known| known.networks == networks) {
            return;
        }
        if self.interfaces.len() >= MOST_INTERFACES && !self.interfaces.contains_key(&interface) {
            return;
        }
        let query = Query { due: now.saturating_add(self.delay()), pause: FIRST_PAUSE };
        let answer = match self.interfaces.get(&interface) {
            Some(known) => known.answer,
            None => Answer::Quiet { until: now },
        };
        let heard = Heard { since: now, packets: 0 };
        self.interfaces.insert(interface, State { networks, query, answer, heard });
        self.announce(now, interface);
    }

    /// An interface has gone.
    pub(super) fn down(&mut self, interface: Interface) {
        self.interfaces.remove(&interface);
    }

    /// Those that are up.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = Interface> {
        self.interfaces.keys().copied()
    }

    /// When the next packet of an interface may be read. `None` if it is not up.
    pub(super) fn may_read(&self, now: Duration, interface: Interface) -> Option<Duration> {
        let heard = &self.interfaces.get(&interface)?.heard;
        let next = heard.since.saturating_add(Duration::from_secs(1));
        Some(if heard.packets < PACKETS_PER_SECOND { now } else { next.max(now) })
    }

    /// A packet could not be read.
    pub(super) fn missed(&mut self, now: Duration, on: Interface) {
        if let Some(state) = self.interfaces.get_mut(&on) {
            state.heard.count(now);
        }
    }

    /// A packet has come.
    pub(super) fn hear(&mut self, now: Duration, on: Interface, from: IpAddr, bytes: &[u8]) {
        let Some(state) = self.interfaces.get_mut(&on) else { return };
        state.heard.count(now);
        // Only what was sent from a network of the interface comes from a neighbour (RFC 6762, section 11).
        if !state.is_in(from.to_canonical()) && !is_link_local(from) {
            return;
        }
        match packet::read(bytes) {
            // It is this node's own, and has come back.
            Some(Packet::Query { id, .. }) if self.asked.contains(&Some(id)) => {}
            Some(Packet::Query { asked, .. }) => self.answer_later(now, on, asked),
            Some(Packet::Answer(told)) => {
                told.into_iter().for_each(|told| self.hear_of(now, on, from.to_canonical(), told));
            }
            None => {}
        }
    }

    /// A packet has said that a peer is there. Only addresses that a neighbour can have are believed: nobody on the local
    /// network is to send this node to a host elsewhere.
    fn hear_of(&mut self, now: Duration, on: Interface, from: IpAddr, told: Told) {
        let Some(state) = self.interfaces.get(&on) else { return };
        if told.peer == self.local {
            return;
        }
        let addresses = told.addresses.into_iter().filter(|address| state.has_neighbour(address));
        let (peer, addresses) = (told.peer, addresses.collect());
        if let Some(Whereabouts { addresses, by }) =
            self.found.hear(now, from, peer, addresses, told.ttl)
        {
            self.outputs.push_back(Output::Found { peer, addresses, by });
        }
    }

    /// Asks and answers where it is time.
    pub(super) fn expire(&mut self, now: Duration) {
        let mut id = None;
        let interfaces: Vec<Interface> = self.interfaces.keys().copied().collect();
        for interface in interfaces {
            if self.is_query_due(now, interface) {
                // One identifier for all: where sockets hear of each other's interfaces it is known, too.
                let id = *id.get_or_insert_with(|| self.next_id());
                let packet = packet::query(id);
                self.send(interface, packet);
            }
            if let Some(asked) = self.take_answer(now, interface) {
                let addresses = self.addresses_on(interface);
                let packets = packet::answer(asked, &self.name, self.local, &addresses, self.ttl);
                self.send(interface, packets);
            }
        }
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let due = self.interfaces.values().map(|state| match state.answer {
            Answer::Due { at, .. } => at.min(state.query.due),
            Answer::Quiet { .. } => state.query.due,
        });
        due.min()
    }

    /// Says without being asked that this node is there, if it can be reached on this interface.
    fn announce(&mut self, now: Duration, interface: Interface) {
        if !self.addresses_on(interface).is_empty() {
            self.answer_later(now, interface, Asked::Peers);
        }
    }

    fn answer_later(&mut self, now: Duration, interface: Interface, asked: Asked) {
        let delay = self.delay();
        if let Some(state) = self.interfaces.get_mut(&interface) {
            state.answer = match state.answer {
                Answer::Quiet { until } => {
                    Answer::Due { at: now.saturating_add(delay).max(until), asked }
                }
                Answer::Due { at, asked: before } => Answer::Due { at, asked: before.and(asked) },
            };
        }
    }

    /// What is to be answered now.
    fn take_answer(&mut self, now: Duration, interface: Interface) -> Option<Asked> {
        let state = self.interfaces.get_mut(&interface)?;
        match state.answer {
            Answer::Due { at, asked } if at <= now => {
                state.answer = Answer::Quiet { until: now.saturating_add(ANSWER_PAUSE) };
                Some(asked)
            }
            Answer::Due { .. } | Answer::Quiet { .. } => None,
        }
    }

    /// Whether it is time to ask. If so, the next time is set.
    fn is_query_due(&mut self, now: Duration, interface: Interface) -> bool {
        let longest = self.longest_pause;
        let Some(state) = self.interfaces.get_mut(&interface) else { return false };
        let is_due = state.query.due <= now;
        if is_due {
            let pause = state.query.pause.min(longest);
            state.query = Query { due: now.saturating_add(pause), pause: pause * 2 };
        }
        is_due
    }

    fn send(&mut self, on: Interface, packets: impl IntoIterator<Item = Vec<u8>>) {
        let packets = packets.into_iter().map(|packet| Output::Send { on, packet });
        self.outputs.extend(packets);
    }

    /// Where this node can be reached by a neighbour on this interface.
    fn addresses_on(&self, interface: Interface) -> Vec<Multiaddr> {
        let Some(state) = self.interfaces.get(&interface) else { return Vec::new() };
        self.listening.iter().filter(|address| state.has_neighbour(address)).cloned().collect()
    }

    fn next_id(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.entropy.fill(&mut bytes);
        let id = u16::from_be_bytes(bytes);
        let [first, second, third, _] = self.asked;
        self.asked = [Some(id), first, second, third];
        id
    }

    fn delay(&mut self) -> Duration {
        let [least, most] = DELAYS;
        let mut byte = [0];
        self.entropy.fill(&mut byte);
        let [byte] = byte;
        least + (most - least) * u32::from(byte) / u32::from(u8::MAX)
    }
}

impl State {
    fn is_in(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// Whether it is the address of a neighbour: on this interface's networks, also where those are a part of the whole
    /// internet. An IPv6 address of the link is of no use, since it says nothing of the interface.
    fn has_neighbour(&self, address: &Multiaddr) -> bool {
        let scope = Scope::of(address);
        let can_be_local =
            matches!(scope, Scope::Link | Scope::Loopback | Scope::Private | Scope::Global);
        let ip = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
            Some(Protocol::Ip6(ip)) => ip.to_canonical(),
            _ => return false,
        };
        can_be_local && self.is_in(ip)
    }
}

impl Heard {
    fn count(&mut self, now: Duration) {
        if now >= self.since.saturating_add(Duration::from_secs(1)) {
            *self = Self { since: now, packets: 0 };
        }
        self.packets = self.packets.saturating_add(1);
    }
}

/// Whether it comes from the same link by the address itself.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// A random name of letters and digits.
fn name(entropy: &mut dyn Entropy) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; NAME_CHARACTERS];
    entropy.fill(&mut bytes);
    let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    letters.map(|letter| char::from(*letter)).collect()
}
