//! Which addresses a name leads to, as a machine: it says what to look up next, is told the answers, and gives addresses.
//!
//! Names can lead to names: a `/dnsaddr` to a list of addresses that hold names themselves. What one dial may cost is
//! therefore bounded in depth and in lookups, whatever the servers answer.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::place::{begins_with_name, named_peer};

/// How many names may lead from one to the next, the one that is dialed included.
pub(super) const MAX_DEPTH: usize = 4;
/// Questions that one dial may ask.
pub(super) const MAX_LOOKUPS: usize = 32;
/// Questions of one dial that may be under way at a time.
pub(super) const MAX_LOOKUPS_AT_ONCE: usize = 4;
/// Entries that one answer may add.
pub(super) const MAX_ENTRIES: usize = 64;
/// Reasons that are remembered for whoever dials.
const MAX_REASONS: usize = 4;

/// What is asked of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) records: Records,
    /// What follows the name in the address.
    rest: Multiaddr,
    depth: usize,
}

/// Of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// IPv4 addresses. `only` if no others would do.
    V4 { only: bool },
    /// IPv6 addresses.
    V6 { only: bool },
    /// Whole addresses, as text.
    Text,
}

/// What a server has answered: one of the two is empty.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) ips: Vec<IpAddr>,
    pub(super) texts: Vec<Vec<u8>>,
}

/// Which addresses can be dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Those of TCP and nothing else. Lists name addresses of many transports: others are not looked up and take nobody's
    /// place.
    Tcp,
    /// Perhaps all.
    Any,
}

/// Addresses that cannot be dialed.
#[derive(Debug, Default)]
struct PassedOver {
    /// Why, of the first one.
    reason: Option<String>,
    /// Whether one of them was of somebody else.
    others: bool,
}

/// One search.
#[derive(Debug)]
pub(super) struct Search {
    local: PeerId,
    shape: Shape,
    passed_over: PassedOver,
    waiting: VecDeque<Question>,
    asked: usize,
    /// Addresses with names in them, each of which is followed once.
    seen: HashSet<Multiaddr>,
    reasons: Vec<String>,
}

impl Search {
    /// For where this address leads, for the node with this identity.
    pub(super) fn new(address: &Multiaddr, local: PeerId, shape: Shape) -> Self {
        let mut search = Self {
            local,
            shape,
            passed_over: PassedOver::default(),
            waiting: VecDeque::new(),
            asked: 0,
            seen: HashSet::new(),
            reasons: Vec::new(),
        };
        if search.can_dial(address) {
            search.follow(address, 0);
        }
        search
    }

    /// Whether an address, or what it may lead to, can be dialed.
    fn can_dial(&mut self, address: &Multiaddr) -> bool {
        let can_dial = match self.shape {
            Shape::Any => true,
            Shape::Tcp => is_tcp(address),
        };
        if !can_dial {
            self.passed_over.others |= named_peer(address) != Some(self.local);
            self.passed_over.reason.get_or_insert_with(|| format!("{address} is not one of TCP"));
        }
        can_dial
    }

    /// What is to be looked up next.
    pub(super) fn next(&mut self) -> Option<Question> {
        let question = self.waiting.pop_front()?;
        if self.asked == MAX_LOOKUPS {
            self.waiting.clear();
            self.fails(format!("{}: more than {MAX_LOOKUPS} lookups", question.name));
            return None;
        }
        self.asked += 1;
        Some(question)
    }

    /// Whether there is nothing to look up.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A question has been answered. The addresses without names that this has led to.
    pub(super) fn answered(&mut self, question: &Question, answer: Answer) -> Vec<Multiaddr> {
        let ips = answer.ips.into_iter().take(MAX_ENTRIES);
        let mut found: Vec<Multiaddr> =
            ips.map(|ip| Multiaddr::from(ip).into_iter().chain(&question.rest).collect()).collect();
        if question.records == Records::Text {
            found.extend(self.read(question, &answer.texts));
        }
        found
    }

    fn read(&mut self, question: &Question, texts: &[Vec<u8>]) -> Vec<Multiaddr> {
        let mut found = Vec::new();
        let (mut entries, mut others, mut passed_over) = (0, 0, 0);
        for address in texts.iter().filter_map(|text| entry(text)) {
            if !address.ends_with(&question.rest) {
                others += 1;
                continue;
            }
            if !self.can_dial(&address) {
                passed_over += 1;
                continue;
            }
            entries += 1;
            if entries > MAX_ENTRIES {
                break;
            }
            if begins_with_name(&address) {
                self.follow(&address, question.depth + 1);
            } else {
                found.push(address);
            }
        }
        if entries == 0 && passed_over == 0 {
            let (name, rest) = (&question.name, &question.rest);
            self.fails(match others {
                0 => format!("{name} lists no address"),
                others => format!("none of the {others} addresses of {name} ends in {rest}"),
            });
        }
        found
    }

    /// A question has no answer, for this reason.
    pub(super) fn fails(&mut self, reason: String) {
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Whether a question had no answer, or one that leads nowhere.
    pub(super) fn has_failed(&self) -> bool {
        !self.reasons.is_empty() || self.passed_over.others
    }

    /// Nothing more is looked up.
    pub(super) fn stop(&mut self) {
        self.waiting.clear();
    }

    /// Why there are no more addresses.
    pub(super) fn into_reasons(mut self) -> Vec<String> {
        if let Some(reason) = self.passed_over.reason.take()
            && (self.reasons.is_empty() || self.passed_over.others)
        {
            self.fails(reason);
        }
        self.reasons
    }

    fn follow(&mut self, address: &Multiaddr, depth: usize) {
        let mut parts = address.iter();
        let (name, records) = match parts.next() {
            Some(Protocol::Dns(name)) => {
                (name, &[Records::V6 { only: false }, Records::V4 { only: false }][..])
            }
            Some(Protocol::Dns4(name)) => (name, &[Records::V4 { only: true }][..]),
            Some(Protocol::Dns6(name)) => (name, &[Records::V6 { only: true }][..]),
            Some(Protocol::Dnsaddr(name)) => (name, &[Records::Text][..]),
            Some(_) | None => return,
        };
        // Whoever leads in a circle comes by here again.
        if !self.seen.insert(address.clone()) {
            return self.fails(format!("{name} leads in a circle"));
        }
        if depth == MAX_DEPTH {
            return self.fails(format!("{name} is more than {MAX_DEPTH} names away"));
        }
        let rest: Multiaddr = parts.collect();
        // More would never be asked.
        for &records in records.iter().take((MAX_LOOKUPS + 1).saturating_sub(self.waiting.len())) {
            let (name, rest) = (name.clone().into_owned(), rest.clone());
            self.waiting.push_back(Question { name, records, rest, depth });
        }
    }
}

/// Whether this is an address of TCP, with or without a peer behind it, or may lead to one.
fn is_tcp(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    match parts.next() {
        Some(Protocol::Dnsaddr(_)) => return true,
        Some(
            Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_)
            | Protocol::Ip4(_)
            | Protocol::Ip6(_),
        ) => {}
        Some(_) | None => return false,
    }
    let is_tcp = matches!(parts.next(), Some(Protocol::Tcp(_)));
    let behind = (parts.next(), parts.next());
    is_tcp && matches!(behind, (None, _) | (Some(Protocol::P2p(_)), None))
}

/// Reads an entry of a `/dnsaddr`, as the [specification] writes it. Others may stand beside it and are passed over.
///
/// [specification]: https://github.com/libp2p/specs/blob/master/addressing/README.md#dnsaddr-links
fn entry(text: &[u8]) -> Option<Multiaddr> {
    std::str::from_utf8(text).ok()?.strip_prefix("dnsaddr=")?.parse().ok()
}

#[cfg(test)]
mod tests;
