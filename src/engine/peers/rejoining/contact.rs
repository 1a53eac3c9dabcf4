//! One bootstrap address: whether somebody is behind it, and when it is dialed next.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use super::Pauses;
use crate::{clock::Entropy, place::named_peer};

/// A bootstrap peer that had no room is believed to have some once a connection with it has lasted for so long.
const SETTLING: Duration = Duration::from_secs(3);

/// A bootstrap address, with what is known of whoever is behind it.
#[derive(Debug)]
pub(super) struct Contact {
    /// Who is behind the address: named by it, or whoever has answered last.
    peer: Option<PeerId>,
    pauses: Pauses,
    /// Those while it has no room.
    full: Pauses,
    /// When it has said that it has no room, if it was not seen to have some since.
    turned_away: Option<Duration>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not connected. Dialed at this time.
    Away {
        due: Duration,
    },
    Dialing,
    /// Connected since then.
    Here {
        since: Duration,
    },
    /// This node's own address.
    Itself,
}

/// What a dial to the address has come to.
pub(super) enum Dialed {
    /// This node itself.
    Itself,
    /// A peer that is of no use.
    Useless,
    /// A peer that is connected.
    Here,
    /// Nobody, or a peer that has left at once.
    Nobody,
}

impl Contact {
    pub(super) fn new(address: &Multiaddr, pauses: Pauses, full: Pauses) -> Self {
        let state = State::Away { due: Duration::ZERO };
        Self { peer: named_peer(address), pauses, full, turned_away: None, state }
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        self.peer
    }

    pub(super) fn is_itself(&self) -> bool {
        self.state == State::Itself
    }

    pub(super) fn is_full(&self) -> bool {
        self.turned_away.is_some()
    }

    pub(super) fn is_here(&self) -> bool {
        matches!(self.state, State::Here { .. })
    }

    /// When it is dialed, unless somebody is there or being dialed.
    pub(super) fn due(&self) -> Option<Duration> {
        match self.state {
            State::Away { due } => Some(due),
            State::Dialing | State::Here { .. } | State::Itself => None,
        }
    }

    /// When a peer that had no room will be believed to have some.
    pub(super) fn settles(&self) -> Option<Duration> {
        match self.state {
            // Not by the connection over which it has said so.
            State::Here { since } if self.turned_away? <= since => {
                Some(since.saturating_add(SETTLING))
            }
            State::Away { .. } | State::Dialing | State::Here { .. } | State::Itself => None,
        }
    }

    /// A peer that had no room, and has kept a connection for long enough, has room.
    pub(super) fn settle(&mut self, now: Duration) {
        if self.settles().is_some_and(|due| due <= now) {
            self.turned_away = None;
        }
    }

    /// The peer has no room.
    pub(super) fn turned_away(&mut self, now: Duration) {
        self.turned_away = Some(now);
    }

    /// It is dialed by this time, if it is to be dialed at all.
    pub(super) fn hurry(&mut self, soon: Duration) {
        if let State::Away { due } = &mut self.state {
            *due = soon.min(*due);
        }
    }

    /// Marks it as being dialed, if nobody is connected behind it and it is due by this time; by the other one, where there
    /// was no room.
    pub(super) fn begin(&mut self, [by, full_by]: [Duration; 2]) -> bool {
        let by = if self.is_full() { full_by } else { by };
        let is_due = self.due().is_some_and(|due| due <= by);
        if is_due {
            self.state = State::Dialing;
        }
        is_due
    }

    /// A first connection stands with the peer, whoever has dialed.
    pub(super) fn connected(&mut self, now: Duration) {
        // What has been dialed is known when the dial ends.
        if let State::Away { .. } = self.state {
            self.state = State::Here { since: now };
        }
    }

    /// Whoever is there is of no use. It is dialed again after a pause, since somebody else may be there by then.
    pub(super) fn misled(&mut self, now: Duration, members: usize, entropy: &mut dyn Entropy) {
        self.state = State::Away { due: self.pauses.next(now, members, entropy) };
    }

    /// The last connection with the peer has ended. The peer may have said that it has no room.
    pub(super) fn left(
        &mut self,
        now: Duration,
        is_full: bool,
        members: usize,
        entropy: &mut dyn Entropy,
    ) {
        let State::Here { since } = self.state else { return };
        // One that ends at once has not told why: the other had no time for that, and no more room than before.
        let is_over = now.saturating_sub(since) < SETTLING;
        self.turned_away = self.turned_away.filter(|_| is_full || is_over);
        let pauses = if self.is_full() { &mut self.full } else { &mut self.pauses };
        pauses.ended(now, since);
        self.state = State::Away { due: pauses.next(now, members, entropy) };
    }

    /// A dial has led to this peer, if to any. Tells who is behind the address as far as it is known.
    pub(super) fn answered(&mut self, peer: Option<PeerId>) -> Option<PeerId> {
        self.peer = peer.or(self.peer);
        self.peer
    }

    /// A dial has ended.
    pub(super) fn dialed(
        &mut self,
        now: Duration,
        end: &Dialed,
        members: usize,
        entropy: &mut dyn Entropy,
    ) {
        self.state = match end {
            Dialed::Itself => State::Itself,
            Dialed::Here => State::Here { since: now },
            Dialed::Useless => State::Away { due: self.pauses.next(now, members, entropy) },
            Dialed::Nobody => {
                // How long the pauses are while nobody is there is another matter.
                if members == 0 {
                    self.pauses.reset();
                }
                State::Away { due: self.pauses.next(now, members, entropy) }
            }
        };
    }

    /// The peer may have room: it is not connected any more.
    pub(super) fn gone(&mut self) {
        self.turned_away = None;
    }
}
