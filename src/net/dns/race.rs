//! In which order addresses are dialed, and when: [RFC 8305], "happy eyeballs".
//!
//! IPv6 and IPv4 take turns. Each address has a quarter of a second's start on the next, which begins earlier if one
//! fails. So a family that leads nowhere costs no more than that, and no address is dialed where an earlier one answers in
//! time. Addresses of a family keep the order in which they came; they are not sorted by the rules of [RFC 6724].
//!
//! [RFC 8305]: https://www.rfc-editor.org/rfc/rfc8305
//! [RFC 6724]: https://www.rfc-editor.org/rfc/rfc6724

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// Addresses that one dial may try.
pub(super) const MAX_DIALED: usize = 16;
/// Addresses that may wait for their turn.
pub(super) const MAX_KNOWN: usize = 64;
/// The start that an address has on the next ("Connection Attempt Delay", section 5).
pub(super) const HEAD_START: Duration = Duration::from_millis(250);
/// For how long IPv4 addresses wait for IPv6 addresses to be found ("Resolution Delay", section 3).
pub(super) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The addresses of one dial.
#[derive(Debug, Default)]
pub(super) struct Race {
    v6: VecDeque<Multiaddr>,
    v4: VecDeque<Multiaddr>,
    known: HashSet<Multiaddr>,
    v4_is_next: bool,
    dialed: usize,
    /// When the next may be dialed. `None` before the first is known.
    due: Option<Instant>,
}

impl Race {
    /// Another address is known. `is_last` if no others are looked for.
    pub(super) fn add(&mut self, now: Instant, address: Multiaddr, is_last: bool) {
        if self.known.len() == MAX_KNOWN || !self.known.insert(address.clone()) {
            return;
        }
        let is_v6 = matches!(address.iter().next(), Some(Protocol::Ip6(_)));
        if is_v6 { &mut self.v6 } else { &mut self.v4 }.push_back(address);
        if self.dialed == 0 {
            let due = if is_v6 || is_last { now } else { now + RESOLUTION_DELAY };
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// No others are looked for.
    pub(super) fn is_complete(&mut self, now: Instant) {
        if self.dialed == 0 && self.due.is_some() {
            self.due = Some(now);
        }
    }

    /// An address has failed: the next has its turn.
    pub(super) fn failed(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// The next address, if its time has come.
    pub(super) fn next(&mut self, now: Instant) -> Option<Multiaddr> {
        if self.due()? > now {
            return None;
        }
        let (first, second) = if self.v4_is_next {
            (&mut self.v4, &mut self.v6)
        } else {
            (&mut self.v6, &mut self.v4)
        };
        let address = first.pop_front().or_else(|| second.pop_front())?;
        self.v4_is_next = matches!(address.iter().next(), Some(Protocol::Ip6(_)));
        self.dialed += 1;
        self.due = Some(now + HEAD_START);
        Some(address)
    }

    /// The address that was taken last is of a kind that cannot be dialed: it does not count.
    pub(super) fn not_dialed(&mut self, now: Instant) {
        self.dialed = self.dialed.saturating_sub(1);
        self.due = Some(now);
    }

    /// When the next address is to be dialed. `None` if there is none.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_over = (self.v6.is_empty() && self.v4.is_empty()) || self.dialed == MAX_DIALED;
        if is_over { None } else { self.due }
    }
}

#[cfg(test)]
mod tests;
