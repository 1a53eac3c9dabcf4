//! Who may be asked in a lookup, in few bytes: thousands of lookups run at once, each with dozens of candidates.

use std::cmp::Ordering;

use libp2p::{Multiaddr, PeerId};

use super::Heard;

/// The most addresses kept of a peer that only others know.
const ADDRESSES: usize = 8;

/// The most bytes of addresses kept of such a peer.
const ADDRESS_BYTES: usize = 512;

/// A peer's identity as it is on the wire. A [`PeerId`] takes 80 bytes, for hashes that no peer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id([u8; 44]);

impl Id {
    /// None for an identity that no key has: a key is inlined up to 42 bytes, and hashed to 32 otherwise ([Peer IDs]).
    ///
    /// [Peer IDs]: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
    pub(super) fn of(peer: &PeerId) -> Option<Self> {
        let hash = peer.as_ref();
        let mut bytes = [0; 44];
        let [code, length, digest @ ..] = &mut bytes;
        *code = u8::try_from(hash.code()).ok()?;
        *length = hash.size();
        digest.get_mut(..hash.digest().len())?.copy_from_slice(hash.digest());
        Some(Self(bytes))
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        let [_, length, ..] = self.0;
        PeerId::from_bytes(self.0.get(..2 + usize::from(length))?).ok()
    }
}

/// What is expected of a peer before it is asked. Those that stand first are asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expectation {
    /// It can be asked without a dial.
    Connected,
    Unconnected,
    /// It was silent or unreachable lately.
    Doubtful,
}

/// What has become of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unasked,
    Asked,
    /// It takes longer than usual. Still waited for, but another may be asked beside it.
    Slow,
    /// It is waited for no more. A late answer counts.
    Overdue,
    /// Nobody was reached where it is said to be.
    Unreachable,
    Failed,
    Answered(Heard),
}

/// The paths that know a candidate: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Paths(u8);

impl Paths {
    fn only(path: u8) -> Self {
        Self(1 << path)
    }

    fn has(self, path: u8) -> bool {
        self.0 & (1 << path) != 0
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }

    fn add(&mut self, path: u8) {
        self.0 |= 1 << path;
    }

    fn remove(&mut self, path: u8) {
        self.0 &= !(1 << path);
    }
}

/// Where others say that a peer is.
#[derive(Debug, Default)]
struct Addresses {
    all: Vec<Multiaddr>,
    /// How many of them it was dialed at.
    tried: usize,
}

/// A peer that may be asked, is asked, or was asked.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The first 64 bits of its distance. Which of two peers with equal ones comes first does not matter, as long as
    /// it is always the same one.
    distance: u64,
    addresses: Option<Box<Addresses>>,
    id: Id,
    pub(super) expectation: Expectation,
    pub(super) state: State,
    known_to: Paths,
    /// The path that has asked it. It means nothing before.
    pub(super) asked_by: u8,
}

impl Candidate {
    pub(super) fn new(distance: u64, id: Id, expectation: Expectation, path: u8) -> Self {
        Self {
            distance,
            addresses: None,
            id,
            expectation,
            state: State::Unasked,
            known_to: Paths::only(path),
            asked_by: path,
        }
    }

    /// Somebody says where it is. As much is kept as is worth it. One that could not be reached may be asked again, if this
    /// is somewhere else.
    pub(super) fn learn(&mut self, addresses: Vec<Multiaddr>) {
        if addresses.is_empty() {
            return;
        }
        let known = self.addresses.get_or_insert_default();
        let mut left = ADDRESS_BYTES.saturating_sub(known.all.iter().map(Multiaddr::len).sum());
        for address in addresses {
            if known.all.len() < ADDRESSES && !known.all.contains(&address) && address.len() <= left
            {
                left -= address.len();
                known.all.push(address);
            }
        }
        known.all.shrink_to_fit();
        if self.state == State::Unreachable && self.is_elsewhere() {
            self.state = State::Unasked;
        }
    }

    /// Whether somebody says that it is where nobody has looked.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.addresses.as_ref().is_some_and(|known| known.tried < known.all.len())
    }

    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        self.id.peer()
    }

    pub(super) fn distance(&self) -> u64 {
        self.distance
    }

    /// Where it is to be dialed: where nobody has looked.
    pub(super) fn try_addresses(&mut self) -> Vec<Multiaddr> {
        let Some(known) = &mut self.addresses else { return Vec::new() };
        let untried = known.all.get(known.tried..).unwrap_or_default().to_vec();
        known.tried = known.all.len();
        untried
    }

    /// Where it is said to be.
    pub(super) fn take_addresses(&mut self) -> Vec<Multiaddr> {
        self.addresses.take().map(|known| known.all).unwrap_or_default()
    }

    /// The closest comes first.
    pub(super) fn order(&self, distance: u64, id: &Id) -> Ordering {
        self.distance.cmp(&distance).then_with(|| self.id.cmp(id))
    }

    pub(super) fn has_answered(&self) -> bool {
        matches!(self.state, State::Answered(_))
    }

    /// Whether it has no part in the end of the lookup any more.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.state, State::Overdue | State::Unreachable | State::Failed)
    }

    /// Whether it takes one of the places of the closest. One that is slow or in doubt does so only by an answer: its
    /// place goes to the next.
    pub(super) fn takes_place(&self) -> bool {
        match self.state {
            State::Unasked | State::Asked => self.expectation != Expectation::Doubtful,
            State::Answered(_) => true,
            State::Slow | State::Overdue | State::Unreachable | State::Failed => false,
        }
    }

    /// Whether an answer of it would count.
    pub(super) fn may_answer(&self) -> bool {
        matches!(self.state, State::Asked | State::Slow | State::Overdue)
    }

    pub(super) fn is_known_to(&self, path: u8) -> bool {
        self.known_to.has(path)
    }

    /// Whether a path did not know of it before.
    pub(super) fn becomes_known_to(&mut self, path: u8) -> bool {
        let is_new = !self.known_to.has(path);
        self.known_to.add(path);
        is_new
    }

    /// Whether no path knows of it any more.
    pub(super) fn is_forgotten_by(&mut self, path: u8) -> bool {
        self.known_to.remove(path);
        self.known_to.is_none()
    }

    /// Makes it the start of one path.
    pub(super) fn deal_to(&mut self, path: u8) {
        self.known_to = Paths::only(path);
    }
}
