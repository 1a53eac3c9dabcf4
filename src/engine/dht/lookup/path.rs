//! One path of a lookup: whom it asks next, and when it has heard enough.

use std::collections::BTreeSet;

use super::{
    CANDIDATES, IN_FLIGHT, REQUESTS,
    candidate::{Candidate, Expectation, State},
};

/// How wide a path asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// One request, as long as it may be all that is needed.
    Narrow,
    /// Answers still bring closer peers.
    Approach,
    /// The last answer brought none: the closest are known, and are to be heard.
    Converged,
}

/// How many requests a lookup has in flight while it approaches: `α`. Of several paths, each has 2 at least.
const APPROACH: usize = 3;

/// An answer is progress when it brings one of the closest of so many. With fewer, a lookup takes up to 60 % more
/// requests in the simulation, and with more it takes longer.
const PROGRESS: usize = 5;

/// How far a path has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) phase: Phase,
    /// How many requests it has made.
    pub(super) asked: u8,
}

impl Path {
    pub(super) fn new(phase: Phase) -> Self {
        Self { phase, asked: 0 }
    }

    /// How many requests it may have in flight, as one of so many paths. Where the closest are known, paths have mostly
    /// the same ones left to ask, and share the places of the lookup.
    pub(super) fn width(&self, paths: u8) -> usize {
        match self.phase {
            Phase::Narrow => 1,
            Phase::Approach => APPROACH.div_ceil(paths.into()).max(2),
            Phase::Converged => IN_FLIGHT,
        }
    }

    /// Whether it has a request left, as one of so many paths: one that is led astray leaves the others theirs.
    pub(super) fn may_ask(&self, paths: u8) -> bool {
        self.asked < REQUESTS.div_ceil(paths)
    }
}

/// The candidates as one path sees them, the closest first.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) candidates: &'a [Candidate],
    pub(super) path: u8,
    /// How many of the closest are to be heard.
    pub(super) closest: usize,
}

impl View<'_> {
    /// Whom to ask, by place among the candidates. Only one of the closest that can answer is asked.
    pub(super) fn pick(&self, last: Expectation) -> Option<usize> {
        self.closest()
            .filter(|(_, one)| one.state == State::Unasked && one.expectation <= last)
            .min_by_key(|(_, one)| one.expectation)
            .map(|(at, _)| at)
    }

    /// The closest of all, of those that take a place.
    pub(super) fn nearest(&self, count: usize) -> impl Iterator<Item = (usize, &Candidate)> {
        self.closest().filter(|(_, one)| one.takes_place()).take(count)
    }

    /// One of these that is to be asked.
    pub(super) fn pick_nearest(&self, count: usize) -> Option<usize> {
        self.nearest(count).find(|(_, one)| one.state == State::Unasked).map(|(at, _)| at)
    }

    /// Whether somebody is still to be asked or waited for.
    ///
    /// Peers in doubt are not waited for once somebody has answered, on whatever path. Where nobody has, what they have in
    /// common may be this end.
    pub(super) fn is_open(&self, may_ask: bool, is_heard: bool) -> bool {
        let mut is_doubtful = false;
        for (_, one) in self.closest() {
            match (one.state, one.expectation) {
                (State::Answered(_), _) => {}
                (State::Unasked, _) if !may_ask => {}
                (_, Expectation::Doubtful) => is_doubtful = true,
                _ => return true,
            }
        }
        is_doubtful && !is_heard
    }

    /// How close a newcomer has to be to be progress.
    pub(super) fn bar(&self) -> u64 {
        let mut placed = self.closest().filter(|(_, one)| one.takes_place());
        placed.nth(PROGRESS.min(self.closest) - 1).map_or(u64::MAX, |(_, one)| one.distance())
    }

    /// The closest that can answer, and between them those that may.
    pub(super) fn closest(&self) -> impl Iterator<Item = (usize, &Candidate)> {
        let mut left = self.closest;
        self.candidates
            .iter()
            .enumerate()
            .filter(|(_, one)| one.is_known_to(self.path) && !one.is_out())
            .take_while(move |(_, one)| {
                let has_room = left > 0;
                left = left.saturating_sub(one.takes_place().into());
                has_room
            })
    }
}

/// Requests in flight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flight {
    doubtful: usize,
    others: usize,
}

impl Flight {
    pub(super) fn of<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Self {
        let mut flight = Self::default();
        for one in candidates.filter(|one| one.state == State::Asked) {
            match one.expectation {
                Expectation::Doubtful => flight.doubtful += 1,
                Expectation::Connected | Expectation::Unconnected => flight.others += 1,
            }
        }
        flight
    }

    /// The last of those that may be asked, where this many may be in flight. A peer in doubt takes no place from
    /// others.
    pub(super) fn room(self, most: usize) -> Option<Expectation> {
        match self {
            Self { others, .. } if others >= most => None,
            Self { others, doubtful } if others + doubtful >= most => {
                Some(Expectation::Unconnected)
            }
            _ => Some(Expectation::Doubtful),
        }
    }
}

/// The closest that have answered, by place among the candidates. Each path names the closest that it knows of in its
/// turn, so that a path which was led astray fills its own share only.
pub(super) fn closest(candidates: &[Candidate], paths: u8, most: usize) -> BTreeSet<usize> {
    let of_path = |path| {
        let knows = move |one: &Candidate| one.has_answered() && one.is_known_to(path);
        candidates.iter().enumerate().filter(move |(_, one)| knows(one)).map(|(at, _)| at)
    };
    let mut paths: Vec<_> = (0..paths).map(of_path).collect();
    let mut closest = BTreeSet::new();
    loop {
        let before = closest.len();
        for path in &mut paths {
            if closest.len() < most {
                closest.extend(path.find(|at| !closest.contains(at)));
            }
        }
        if closest.len() == before {
            return closest;
        }
    }
}

/// Forgets whom a path has no use for: those that are not asked, and too far away.
pub(super) fn trim(candidates: &mut Vec<Candidate>, path: u8) {
    let mut left = CANDIDATES;
    candidates.retain_mut(|one| {
        if !one.is_known_to(path) || one.is_out() {
            return true;
        }
        if left == 0 && one.state == State::Unasked {
            return !one.is_forgotten_by(path);
        }
        left = left.saturating_sub(1);
        true
    });
}
