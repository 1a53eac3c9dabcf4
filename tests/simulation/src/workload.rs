//! What the people at the machines do.

use std::time::Duration;

use process::Random;

use crate::{faults::moments, plan::Span};

/// Something that somebody does. Of which package, and at which version, is decided when it is done: by the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deed {
    pub(crate) machine: usize,
    pub(crate) what: What,
    pub(crate) number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A package that is new.
    Publish,
    /// A new version of an own one.
    Release,
    Yank,
    Unyank,
    Withdraw,
    /// Reads a package of anybody: by its full name or by the bare one.
    Get,
    GetQuorum,
    GetAll,
    Versions,
    /// Reads what nobody publishes.
    GetAbsent,
    Search,
    /// Asks the node about itself.
    Metadata,
    Bootstrap,
}

/// How often which is done.
const SHARES: [(What, u64); 13] = [
    (What::Publish, 10),
    (What::Release, 14),
    (What::Yank, 4),
    (What::Unyank, 2),
    (What::Withdraw, 2),
    (What::Get, 30),
    (What::GetQuorum, 8),
    (What::GetAll, 8),
    (What::Versions, 6),
    (What::GetAbsent, 4),
    (What::Search, 6),
    (What::Metadata, 5),
    (What::Bootstrap, 1),
];

/// All that is done within this time, with so many deeds in an hour at each machine.
pub(crate) fn draw(
    random: &mut Random,
    per_hour: f64,
    machines: usize,
    span: Span,
) -> Vec<(Duration, Deed)> {
    let total: u64 = SHARES.iter().map(|(_, share)| share).sum();
    let mut deeds = Vec::new();
    for at in moments(random, per_hour * machines as f64, span) {
        let mut drawn = random.below(total);
        let what = SHARES.iter().find(|(_, share)| {
            let is_it = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            is_it
        });
        let machine = random.below(machines as u64) as usize;
        let what = what.map_or(What::Get, |(what, _)| *what);
        deeds.push((at, Deed { machine, what, number: random.next() }));
    }
    deeds
}
