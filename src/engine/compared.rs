//! Two catalogues, compared within one process, for what measures it. No part of the interface.

use std::sync::Arc;

use crate::{
    engine::discovery::reconcile::{Item, Items, Session, Step, answer},
    package::Digest,
};

/// What one side of a comparison holds.
#[derive(Debug, Clone)]
pub struct Side(Arc<Items>);

/// What a comparison has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What only the other side has.
    pub need: Vec<Digest>,
    /// What only this side has.
    pub have: Vec<Digest>,
    /// Whether that is all.
    pub complete: bool,
    /// The bytes of all messages, both ways.
    pub bytes: usize,
    /// How many questions were asked.
    pub rounds: usize,
}

impl Side {
    /// A side that holds these: when each was issued, in Unix seconds, and its digest.
    pub fn new(items: impl IntoIterator<Item = (u64, Digest)>) -> Self {
        let item = |(issued, digest)| Item::new(issued, digest);
        Self(Arc::new(items.into_iter().map(item).collect()))
    }

    /// Compares this side, which asks, with another one. `None` where it comes to nothing.
    #[must_use]
    pub fn compare(&self, other: &Self, salt: u64) -> Option<Compared> {
        let theirs = u64::try_from(other.0.len()).unwrap_or(u64::MAX);
        let (mut session, mut question) = Session::open(Arc::clone(&self.0), theirs, salt);
        loop {
            match session.take(&answer(&other.0, &question).ok()?.message) {
                Step::Ask(next) => question = next,
                Step::Done { need, have, complete } => {
                    let (sent, received) = session.bytes();
                    let rounds = session.rounds();
                    return Some(Compared { need, have, complete, bytes: sent + received, rounds });
                }
                Step::Failed(_) => return None,
            }
        }
    }
}
