//! Which heads one of two nodes has and the other lacks, without telling all of them: range-based set reconciliation
//! (Meyer, "Range-Based Set Reconciliation", 2022, arXiv 2212.13567). A machine: no network, no clock.
//!
//! Both sides have [`Items`] in the same order. The initiator, a [`Session`], tells fingerprints of ranges that
//! together cover everything; the responder ([`answer()`]) confirms those that are the same for it, and cuts the others
//! into smaller ones, with its own fingerprints. So it goes on with what differs, until ranges are so small that
//! their items are listed. The responder keeps nothing: questions are complete in themselves.
//!
//! | file | what it has |
//! |--|--|
//! | `items.rs` | the list that is compared, and the fingerprints of its ranges |
//! | `tree.rs` | the hashes that fingerprints are made of |
//! | `wire.rs` | the two messages |
//! | `session.rs` | the initiator: what is still open, what has been found, and the bounds |
//! | `answer.rs` | the responder |
//! | `fetching.rs` | getting what was found to be missing |
//!
//! # Bounds
//!
//! A message has at most [`MAX_MESSAGE_BYTES`]. A session ends after [`MAX_ROUNDS`] questions, or once either side has
//! sent more than [`budget`](session::budget) for what the two hold, whatever the peer answers; a reply can only narrow what has been
//! asked, so that what is settled stays settled, and what was found by then counts. It finds at most [`MAX_FOUND`] items of either sort, and keeps
//! [`MAX_OPEN`] ranges open. What is left over is found by the next session, since what this one has found is then
//! no longer missing.
//!
//! What a peer says that it has, or lacks, is its word only: what comes of it is a digest to ask for, and a head that
//! is verified as any other.

mod answer;
mod fetching;
mod items;
mod session;
mod tree;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use answer::{Answered, answer};
pub(crate) use fetching::{Fetching, Taken};
pub(crate) use items::{Item, Items};
pub(crate) use session::{Failure, Session, Step};
pub(crate) use tree::Blocks;

/// The most bytes of a message, either way.
pub(crate) use crate::exchange::MAX_COMPARISON_BYTES as MAX_MESSAGE_BYTES;
/// The most questions of a session.
pub(crate) const MAX_ROUNDS: usize = 64;
/// The most digests that a session finds to be missing here, and the most that it finds to be missing there.
pub(crate) const MAX_FOUND: usize = 16 * 1024;
/// The most ranges that are known to differ and wait for their turn.
pub(crate) const MAX_OPEN: usize = 16 * 1024;
/// How many items of a range are listed rather than divided.
const SMALL: usize = 8;
/// Into how many parts a range is divided at most.
const FAN_OUT: usize = 16;

/// A message that no implementation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of a comparison is malformed")]
pub(crate) struct Malformed;
