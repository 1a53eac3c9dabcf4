//! One lookup: whom to ask next, and when it has ended.
//!
//! It is [Kademlia]'s node lookup (section 2.3): of the candidates that are known, the closest ones are asked for
//! closer ones, until the `k` closest have answered. Finding peers, reading a record and the search before a put are
//! the same lookup; only what is asked differs, and that is the caller's.
//!
//! - *Approach.* Few requests are in flight while answers still bring closer peers, since most of what would be asked
//!   is soon too far away. When an answer brings none, the rest of the closest are asked at once.
//! - *Silence.* The caller measures. It says when a peer is slower than usual ([`Lookup::hedge`]) and when it is not
//!   waited for any more ([`Lookup::overdue`]). Peers that were silent lately are asked last.
//! - *Disjoint paths* ([S/Kademlia], section 4.4). Each peer is asked by one path, its answer helps only this path, and
//!   each path has to hear the closest peers that it knows of. So a peer can mislead the path that asked it, and no
//!   other. A peer that several paths know of is heard for all of them, so that paths cost little where they meet.
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf
//! [S/Kademlia]: https://doi.org/10.1109/ICPADS.2007.4447808

mod candidate;
mod path;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::num::NonZeroU8;

use libp2p::PeerId;

pub(crate) use self::candidate::Expectation;
use self::{
    candidate::{Candidate, Id, State},
    path::{Flight, Path, Phase, View, closest, trim},
};
use super::message::Contact;
use crate::keyspace::{Key, REPLICAS};

/// How many of the closest peers hold a record, and so how many have to be heard: `k`.
pub(crate) const CLOSEST: u8 = REPLICAS as u8;

/// The most contacts read from one answer: nobody has more to tell.
const CONTACTS: usize = CLOSEST as usize;

/// The most candidates that a path keeps. Some of the closest do not answer, and then the next ones are needed.
const CANDIDATES: usize = 64;

/// The most requests of a lookup. One that nobody misleads, where half of the peers are silent, needs about 60.
const REQUESTS: u8 = 100;

/// The most requests in flight.
const IN_FLIGHT: usize = 10;

/// How many of the closest have to answer before it counts as known who is closest.
pub(crate) const SETTLED: usize = 3;

/// The most disjoint paths.
const PATHS: usize = 8;

/// What a lookup is to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The caller is likely to be content with the first copy.
    First,
    /// The closest peers are to be heard, on this many disjoint paths (8 at most).
    Whole { paths: NonZeroU8 },
    /// This many peers are to be found (20 at most).
    Nodes { most: NonZeroU8 },
    /// It is to be known who is closest. So many answers are enough, three of the closest among them: each tells of the
    /// twenty that it finds closest, and to ask the rest would bring little.
    Neighbours { enough: NonZeroU8 },
}

impl Aim {
    /// How many of the closest have to be heard.
    fn closest(self) -> usize {
        match self {
            Self::First | Self::Whole { .. } | Self::Neighbours { .. } => CLOSEST.into(),
            Self::Nodes { most } => most.get().min(CLOSEST).into(),
        }
    }

    fn paths(self) -> u8 {
        match self {
            Self::First | Self::Nodes { .. } | Self::Neighbours { .. } => 1,
            Self::Whole { paths } => paths.get().min(PATHS as u8),
        }
    }

    /// How many answers are enough, where it only is to be known who is closest.
    fn enough(self) -> Option<usize> {
        match self {
            Self::Neighbours { enough } => Some(enough.get().into()),
            Self::First | Self::Whole { .. } | Self::Nodes { .. } => None,
        }
    }
}

/// A peer of the routing table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    pub(crate) peer: PeerId,
    pub(crate) key: Key,
    pub(crate) expectation: Expectation,
}

/// What a peer has answered, beside the peers that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Empty,
    Copy,
}

/// What a lookup has brought.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// How many peers have answered.
    pub(crate) answered: u32,
    /// How many were asked and have not.
    pub(crate) unheard: u32,
    /// The closest of those that have answered, the closest first. Of several paths, each has a share.
    pub(crate) closest: Vec<PeerId>,
    /// Those of the closest that have no copy.
    pub(crate) without: Vec<PeerId>,
}

/// Who is closest to a key, as far as a lookup knows, the closest first. Those that were not asked are as others told.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) likely: Vec<Contact>,
    /// They were silent or unreachable lately.
    pub(crate) doubtful: Vec<Contact>,
}

/// Whether a lookup goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Ended,
}

/// A lookup that runs. It is told what happens, and asked what to do next.
#[derive(Debug)]
pub(crate) struct Lookup {
    target: Key,
    aim: Aim,
    stage: Stage,
    paths: [Path; PATHS],
    /// The closest first. Those that were asked stay, so that nobody is asked twice.
    candidates: Vec<Candidate>,
}

impl Lookup {
    /// A lookup of this key, from the peers of the routing table that are closest to it. This node is not one of them,
    /// and has no place in answers either.
    pub(crate) fn new(target: Key, aim: Aim, known: impl IntoIterator<Item = Seed>) -> Self {
        let phase = if aim == Aim::First { Phase::Narrow } else { Phase::Approach };
        let mut candidates: Vec<_> = known
            .into_iter()
            .take(CANDIDATES)
            .filter_map(|known| {
                let id = Id::of(&known.peer)?;
                let distance = target.distance(&known.key).high();
                Some(Candidate::new(distance, id, known.expectation, 0))
            })
            .collect();
        candidates.sort_unstable_by(|one, other| one.order(other.distance(), other.id()));
        candidates.dedup_by(|one, other| one.id() == other.id());
        candidates.shrink_to_fit();
        // Each path starts from peers of its own: what one of them says reaches one path. Those in doubt are dealt last, or
        // a path may have nobody else.
        let mut numbers = (0..aim.paths()).cycle();
        for is_doubtful in [false, true] {
            let dealt =
                |one: &&mut Candidate| (one.expectation == Expectation::Doubtful) == is_doubtful;
            for (one, path) in candidates.iter_mut().filter(dealt).zip(&mut numbers) {
                one.deal_to(path);
            }
        }
        let paths = [Path::new(phase); PATHS];
        let mut lookup = Self { target, aim, stage: Stage::Running, paths, candidates };
        lookup.settle();
        lookup
    }

    /// What is looked up.
    pub(crate) fn target(&self) -> &Key {
        &self.target
    }

    /// The closest that have answered, on whatever path, the closest first.
    pub(crate) fn nearest_heard(&self) -> Vec<PeerId> {
        let heard = self.candidates.iter().filter(|one| one.has_answered());
        heard.filter_map(Candidate::peer).take(CLOSEST.into()).collect()
    }

    /// A peer to ask now, with its addresses where only others know of it. None while the lookup waits, and once it has
    /// ended.
    pub(crate) fn next(&mut self) -> Option<Contact> {
        if self.is_finished() {
            return None;
        }
        let room = Flight::of(self.candidates.iter()).room(IN_FLIGHT)?;
        // The path with the fewest requests so far comes first.
        let (_, number, at) = self
            .paths()
            .filter(|(_, path)| path.may_ask(self.aim.paths()))
            .filter_map(|(number, path)| {
                let own = self.candidates.iter().filter(|one| one.asked_by == number);
                let own = Flight::of(own).room(path.width(self.aim.paths()).min(self.wanted()))?;
                let view = self.view(number);
                // Without these it is not known who is closest, whoever else answers.
                let needed = self.aim.enough().and_then(|_| view.pick_nearest(SETTLED));
                Some((path.asked, number, needed.or_else(|| view.pick(room.min(own)))?))
            })
            .min()?;
        let candidate = self.candidates.get_mut(at)?;
        let peer = candidate.peer()?;
        candidate.state = State::Asked;
        candidate.asked_by = number;
        let addresses = candidate.try_addresses();
        if let Some(path) = self.paths.get_mut(usize::from(number)) {
            path.asked = path.asked.saturating_add(1);
        }
        Some(Contact { peer, addresses })
    }

    /// A peer has answered, and names closer ones. It counts when it was overdue, and does not when it was not asked.
    /// What comes after the end changes nothing.
    pub(crate) fn answered(
        &mut self,
        peer: &PeerId,
        heard: Heard,
        closer: impl IntoIterator<Item = (Key, Expectation, Contact)>,
    ) {
        let Some(one) = self.asked(peer) else { return };
        one.state = State::Answered(heard);
        let number = one.asked_by;
        let brought_closer = self.learn(number, closer);
        if let Some(path) = self.paths.get_mut(usize::from(number)) {
            path.phase = match (path.phase, heard) {
                (Phase::Narrow, Heard::Copy) => Phase::Narrow,
                _ if brought_closer => Phase::Approach,
                _ => Phase::Converged,
            };
        }
        self.settle();
    }

    /// A peer takes longer than usual. It is still waited for, and one more is asked beside it.
    pub(crate) fn hedge(&mut self, peer: &PeerId) {
        if let Some(one) = self.asked(peer)
            && one.state == State::Asked
        {
            one.state = State::Slow;
        }
    }

    /// A peer is overtaken: its answer counts if it comes, and is not waited for.
    pub(crate) fn overdue(&mut self, peer: &PeerId) {
        self.miss(peer, State::Overdue);
    }

    /// A peer has sent what is no answer.
    pub(crate) fn failed(&mut self, peer: &PeerId) {
        self.miss(peer, State::Failed);
    }

    /// Nobody was reached where a peer is said to be. If others say that it is elsewhere, it is tried there.
    pub(crate) fn unreachable(&mut self, peer: &PeerId) {
        let is_elsewhere = self.asked(peer).is_some_and(|one| one.is_elsewhere());
        self.miss(peer, if is_elsewhere { State::Unasked } else { State::Unreachable });
    }

    /// The caller has what it wants.
    #[cfg(test)]
    pub(crate) fn finish(&mut self) {
        self.stage = Stage::Ended;
    }

    /// Whether the closest that can answer have answered, or nobody is left to ask or to wait for.
    pub(crate) fn is_finished(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// How many answers are worth waiting for at once.
    fn wanted(&self) -> usize {
        let Some(enough) = self.aim.enough() else { return IN_FLIGHT };
        let nearest = self.view(0).nearest(SETTLED).filter(|(_, one)| !one.has_answered()).count();
        enough.saturating_sub(self.heard()).max(nearest).max(1)
    }

    /// How many have answered.
    fn heard(&self) -> usize {
        self.candidates.iter().filter(|one| one.has_answered()).count()
    }

    /// Whether it is known who is closest, where that is all that is wanted: those who are closest of all have answered and
    /// some more, and the last answer has brought nobody closer.
    fn has_settled(&self) -> bool {
        let Some(enough) = self.aim.enough() else { return false };
        let has_settled = |(number, path): (u8, &Path)| {
            let view = self.view(number);
            path.phase == Phase::Converged
                && view.nearest(SETTLED).all(|(_, one)| one.has_answered())
        };
        let answered = self.heard();
        // Who has not answered and still may.
        let is_open = |one: &Candidate| one.takes_place() && !one.has_answered();
        let is_enough = answered >= enough || !self.candidates.iter().any(is_open);
        answered > 0 && is_enough && self.paths().all(has_settled)
    }

    /// Who is closest, whether or not they were asked.
    pub(crate) fn neighbours(self) -> Neighbours {
        let mut neighbours = Neighbours::default();
        for mut one in self.candidates.into_iter().filter(|one| !one.is_out()) {
            let Some(peer) = one.peer() else { continue };
            let is_doubtful = one.expectation == Expectation::Doubtful && !one.has_answered();
            let contact = Contact { peer, addresses: one.take_addresses() };
            match is_doubtful {
                true => neighbours.doubtful.push(contact),
                false => neighbours.likely.push(contact),
            }
        }
        neighbours
    }

    /// What the lookup has brought so far.
    pub(crate) fn end(self) -> End {
        let most = self.aim.closest();
        let closest = closest(&self.candidates, self.aim.paths(), most);
        let mut end = End::default();
        for (at, one) in self.candidates.into_iter().enumerate() {
            let Some(peer) = one.peer() else { continue };
            match one.state {
                State::Unasked => {}
                State::Asked
                | State::Slow
                | State::Overdue
                | State::Unreachable
                | State::Failed => end.unheard += 1,
                State::Answered(heard) => {
                    end.answered += 1;
                    if closest.contains(&at) {
                        end.closest.push(peer);
                        end.without.extend((heard == Heard::Empty).then_some(peer));
                    }
                }
            }
        }
        end
    }

    /// Takes in whom a path was told of. Whether one of them is progress.
    fn learn(
        &mut self,
        path: u8,
        closer: impl IntoIterator<Item = (Key, Expectation, Contact)>,
    ) -> bool {
        let bar = self.view(path).bar();
        let mut is_progress = false;
        for (key, expectation, Contact { peer, addresses }) in closer.into_iter().take(CONTACTS) {
            let Some(id) = Id::of(&peer) else { continue };
            let distance = self.target.distance(&key).high();
            match self.candidates.binary_search_by(|one| one.order(distance, &id)) {
                Ok(at) => {
                    if let Some(one) = self.candidates.get_mut(at) {
                        let is_new = one.becomes_known_to(path);
                        one.learn(addresses);
                        is_progress |= is_new && distance < bar;
                    }
                }
                Err(at) => {
                    is_progress |= distance < bar;
                    if self.candidates.len() == self.candidates.capacity() {
                        self.candidates.reserve_exact(CONTACTS / 2);
                    }
                    let mut one = Candidate::new(distance, id, expectation, path);
                    one.learn(addresses);
                    self.candidates.insert(at, one);
                }
            }
        }
        trim(&mut self.candidates, path);
        is_progress
    }

    fn miss(&mut self, peer: &PeerId, state: State) {
        let Some(one) = self.asked(peer) else { return };
        one.state = state;
        let number = usize::from(one.asked_by);
        if let Some(path) = self.paths.get_mut(number)
            && path.phase == Phase::Narrow
        {
            path.phase = Phase::Approach;
        }
        self.settle();
    }

    /// The candidate with which a request is open, as long as the lookup runs.
    fn asked(&mut self, peer: &PeerId) -> Option<&mut Candidate> {
        if self.is_finished() {
            return None;
        }
        let id = Id::of(peer)?;
        self.candidates.iter_mut().find(|one| *one.id() == id && one.may_answer())
    }

    /// Ends the lookup when every path has heard enough. Where nobody has answered at all, it goes on as long as somebody
    /// may: everybody is slow, or this node was busy.
    fn settle(&mut self) {
        let is_overdue = |one: &Candidate| one.state == State::Overdue;
        if self.candidates.iter().any(is_overdue)
            && !self.candidates.iter().any(Candidate::has_answered)
        {
            return;
        }
        let paths = self.aim.paths();
        let is_heard = self.candidates.iter().any(Candidate::has_answered);
        let is_open =
            |(number, path): (u8, &Path)| self.view(number).is_open(path.may_ask(paths), is_heard);
        if !self.paths().any(is_open) || self.has_settled() {
            self.stage = Stage::Ended;
        }
    }

    /// How many bytes it takes, addresses aside.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.candidates.capacity() * size_of::<Candidate>()
    }

    fn paths(&self) -> impl Iterator<Item = (u8, &Path)> {
        (0..self.aim.paths()).zip(&self.paths)
    }

    fn view(&self, path: u8) -> View<'_> {
        View { candidates: &self.candidates, path, closest: self.aim.closest() }
    }
}
