//! The initiator.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{
    MAX_FOUND, MAX_MESSAGE_BYTES, MAX_OPEN, MAX_ROUNDS, Malformed, SMALL,
    answer::HEADER_BYTES,
    items::{Fingerprint, Item, Items},
    tree::Blocks,
    wire::{self, Answer, Bound, Digests, MAX_SEGMENTS, Part, Question, Reply, Segment},
};
use crate::{package::Digest, record::codec::List};

/// How many ranges are asked about at a time to begin with. It follows how many are answered at a time.
const FIRST_WINDOW: usize = 512;
const LEAST_WINDOW: usize = 16;

/// How many bytes each side may send in a session: what a comparison of this many items here and there takes at
/// worst, when all of them differ, twice over, and [`MAX_MESSAGE_BYTES`] besides.
pub(crate) fn budget(ours: u64, theirs: u64) -> usize {
    let items = usize::try_from(ours.saturating_add(theirs)).unwrap_or(usize::MAX);
    let most = MAX_ROUNDS * MAX_MESSAGE_BYTES;
    items.saturating_mul(96).saturating_add(MAX_MESSAGE_BYTES).min(most)
}

/// A comparison with one peer.
#[derive(Debug)]
pub(crate) struct Session {
    items: Arc<Items>,
    salt: u64,
    /// What the last question was about, in order.
    asked: Vec<Range>,
    /// What is to be asked about, in order and after all of `asked`.
    open: VecDeque<Range>,
    window: usize,
    rounds: usize,
    sent: usize,
    received: usize,
    budget: usize,
    found: Found,
}

/// A range that may differ.
#[derive(Debug, Clone, Copy)]
struct Range {
    lower: Item,
    upper: Item,
    ask: Ask,
}

/// How a range is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// By the fingerprints of its parts, or a list where it is small: it is known to differ.
    Parts,
    /// By its fingerprint.
    Print,
    /// By a list.
    List,
}

#[derive(Debug, Default)]
struct Found {
    need: Vec<Digest>,
    needed: HashSet<[u8; 32]>,
    have: Vec<Digest>,
    /// Whether something has been left for the next session.
    left: bool,
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This is to be asked next.
    Ask(Vec<u8>),
    /// The comparison is over.
    Done {
        /// What only the peer has, each once, in the order in which it was found; at most [`MAX_FOUND`].
        need: Vec<Digest>,
        /// What only we have, in the order in which it was found; at most [`MAX_FOUND`].
        have: Vec<Digest>,
        /// Whether that is all. If not, another session finds more, once these have been exchanged.
        complete: bool,
    },
    /// The comparison has come to nothing.
    Failed(Failure),
}

/// Why a comparison has come to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The peer has sent what no implementation sends.
    #[error("an answer is malformed, or answers what was not asked")]
    Malformed,
    /// The peer has answered, and nothing is settled by it.
    #[error("an answer settles nothing")]
    NoProgress,
    /// There is still something open after all the questions, or bytes, that a session may take, and nothing has been
    /// found. An honest peer may get here only by changing its catalogue all the time.
    #[error("the comparison does not come to an end")]
    Endless,
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Session {
    /// Begins a comparison with a peer that says it has so many items, and gives the first question.
    ///
    /// The salt should be random, so that nobody can prepare two different ranges that have one fingerprint.
    pub(crate) fn open(items: Arc<Items>, theirs: u64, salt: u64) -> (Self, Vec<u8>) {
        let all = Range { lower: Item::START, upper: Item::END, ask: Ask::Parts };
        let budget = budget(items.len() as u64, theirs);
        let mut session = Self {
            items,
            salt,
            asked: Vec::new(),
            open: VecDeque::from([all]),
            window: FIRST_WINDOW,
            rounds: 0,
            sent: 0,
            received: 0,
            budget,
            found: Found::default(),
        };
        let question = session.question();
        (session, question)
    }

    /// How many bytes have been sent and received.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.sent, self.received)
    }

    /// How many questions have been asked.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    #[cfg(test)]
    pub(super) fn open_ranges(&self) -> usize {
        self.open.len()
    }

    /// Takes the peer's answer to the last question.
    pub(crate) fn take(&mut self, answer: &[u8]) -> Step {
        self.received = self.received.saturating_add(answer.len());
        match self.narrow(answer) {
            Err(failure) => Step::Failed(failure),
            Ok(()) if !self.is_over() => Step::Ask(self.question()),
            Ok(()) if !self.open.is_empty() && self.found.is_empty() => {
                Step::Failed(Failure::Endless)
            }
            Ok(()) => {
                let found = std::mem::take(&mut self.found);
                let complete = self.open.is_empty() && !found.left;
                Step::Done { need: found.need, have: found.have, complete }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() || self.found.need.len() >= MAX_FOUND || self.is_exhausted()
    }

    fn is_exhausted(&self) -> bool {
        self.rounds >= MAX_ROUNDS || self.sent.max(self.received) > self.budget
    }

    /// Asks about the first of what is open.
    fn question(&mut self) -> Vec<u8> {
        let mut room = MAX_MESSAGE_BYTES - HEADER_BYTES;
        let (mut segments, mut at, mut full) = (Vec::new(), Item::START, false);
        while !full && self.asked.len() < self.window {
            let Some(open) = self.open.pop_front() else { break };
            // What has no room is put back in the order in which it was.
            let mut back = Vec::new();
            for range in self.parts(open) {
                let skip = (range.lower > at).then(|| Segment::Skip(Bound::of(&at, &range.lower)));
                let segment = self.segment(&range);
                let size = skip.as_ref().map_or(0, wire::size) + wire::size(&segment);
                full |= size > room || segments.len() + 2 > MAX_SEGMENTS;
                if full {
                    back.push(range);
                    continue;
                }
                room -= size;
                segments.extend(skip);
                segments.push(segment);
                self.asked.push(range);
                at = range.upper;
            }
            for range in back.into_iter().rev() {
                self.open.push_front(range);
            }
        }
        let question = wire::encode(&Question { salt: self.salt, segments: List(segments) });
        self.rounds += 1;
        self.sent = self.sent.saturating_add(question.len());
        question
    }

    fn parts(&self, range: Range) -> Vec<Range> {
        let Range { mut lower, upper, ask } = range;
        if ask != Ask::Parts {
            return vec![range];
        }
        let places = self.items.between(&lower, &upper);
        if places.len() <= SMALL {
            return vec![Range { ask: Ask::List, ..range }];
        }
        let part = |(upper, _)| {
            let part = Range { lower, upper, ask: Ask::Print };
            lower = upper;
            part
        };
        self.items.cuts(&places, upper).into_iter().map(part).collect()
    }

    fn fingerprint(&self, places: &std::ops::Range<usize>) -> Fingerprint {
        self.items.fingerprint(self.salt, places, &mut Blocks::default())
    }

    fn segment(&self, range: &Range) -> Segment {
        let places = self.items.between(&range.lower, &range.upper);
        let bound = Bound::of(&range.lower, &range.upper);
        match range.ask {
            Ask::List => Segment::List(bound, wire::digests(self.items.at(&places))),
            Ask::Print | Ask::Parts => Segment::Print(bound, self.fingerprint(&places)),
        }
    }

    /// Settles what the answer settles.
    fn narrow(&mut self, answer: &[u8]) -> Result<(), Failure> {
        let Answer { replies } = wire::decode(answer)?;
        let (answered, asked) = (replies.0.len(), std::mem::take(&mut self.asked));
        if answered > asked.len() {
            return Err(Failure::Malformed);
        }
        if answered == 0 {
            return Err(Failure::NoProgress);
        }
        self.window = if answered == asked.len() {
            self.window.saturating_mul(2).min(MAX_SEGMENTS)
        } else {
            answered.max(LEAST_WINDOW)
        };
        let mut open = Vec::new();
        let mut replies = replies.0.into_iter();
        for range in asked {
            match replies.next() {
                Some(reply) => self.settle(range, reply, &mut open)?,
                None => open.push(range),
            }
        }
        for range in open.into_iter().rev() {
            self.open.push_front(range);
        }
        if self.open.len() > MAX_OPEN {
            self.open.truncate(MAX_OPEN);
            self.found.left = true;
        }
        Ok(())
    }

    fn settle(&mut self, range: Range, reply: Reply, open: &mut Vec<Range>) -> Result<(), Failure> {
        match (range.ask, reply) {
            (Ask::Print, Reply::Same) => Ok(()),
            (_, Reply::Parts(parts)) => self.refine(range, parts.0, open),
            (Ask::List, Reply::Difference { lacks, more }) => {
                self.differ(range, &lacks.0, &more).map_err(Failure::from)
            }
            _ => Err(Failure::Malformed),
        }
    }

    /// The peer's parts of a range that differs, beside ours.
    fn refine(
        &mut self,
        range: Range,
        parts: Vec<Part>,
        open: &mut Vec<Range>,
    ) -> Result<(), Failure> {
        let mut lower = range.lower;
        for part in parts {
            let (Part::Print(bound, _) | Part::List(bound, _)) = &part;
            let upper = bound.upper(&lower)?;
            if upper > range.upper {
                return Err(Failure::Malformed);
            }
            let places = self.items.between(&lower, &upper);
            match part {
                // The same question again.
                Part::Print(..) if lower == range.lower && upper == range.upper => {
                    return Err(Failure::NoProgress);
                }
                Part::Print(_, print) if print == self.fingerprint(&places) => {}
                Part::Print(..) => open.push(Range { lower, upper, ask: Ask::Parts }),
                Part::List(_, theirs) => self.found.compare(self.items.at(&places), &theirs),
            }
            lower = upper;
        }
        if lower == range.lower {
            return Err(Failure::NoProgress);
        }
        if lower < range.upper {
            open.push(Range { lower, upper: range.upper, ask: Ask::Parts });
        }
        Ok(())
    }

    /// How the peer differs from what we have listed.
    fn differ(&mut self, range: Range, lacks: &[u8], more: &Digests) -> Result<(), Malformed> {
        let places = self.items.between(&range.lower, &range.upper);
        let listed = self.items.at(&places);
        if lacks.len() != listed.len().div_ceil(8) {
            return Err(Malformed);
        }
        for (byte, eight) in lacks.iter().zip(listed.chunks(8)) {
            if u32::from(*byte) >> eight.len() != 0 {
                return Err(Malformed);
            }
            let lacking = eight.iter().enumerate().filter(|(bit, _)| byte >> bit & 1 == 1);
            lacking.for_each(|(_, item)| self.found.have(item));
        }
        for digest in &more.0 {
            if listed.iter().any(|item| item.digest.as_bytes() == digest) {
                return Err(Malformed);
            }
            self.found.need(digest);
        }
        Ok(())
    }
}

impl Found {
    fn is_empty(&self) -> bool {
        self.need.is_empty() && self.have.is_empty()
    }

    /// All that each side has in a range.
    fn compare(&mut self, ours: &[Item], theirs: &Digests) {
        let theirs_set: HashSet<&[u8; 32]> = theirs.0.iter().collect();
        let mut both = HashSet::new();
        for item in ours {
            match theirs_set.get(item.digest.as_bytes()) {
                Some(known) => {
                    both.insert(*known);
                }
                None => self.have(item),
            }
        }
        for digest in theirs.0.iter().filter(|digest| !both.contains(digest)) {
            self.need(digest);
        }
    }

    fn have(&mut self, item: &Item) {
        if self.have.len() < MAX_FOUND {
            self.have.push(item.digest);
        } else {
            self.left = true;
        }
    }

    fn need(&mut self, digest: &[u8; 32]) {
        if self.need.len() >= MAX_FOUND {
            self.left = true;
        } else if self.needed.insert(*digest) {
            self.need.push(Digest::from_bytes(*digest));
        }
    }
}
