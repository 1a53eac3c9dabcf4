//! What has been seen of each peer's conduct, and what follows from it.
//!
//! | file | what it knows |
//! |--|--|
//! | `reputation/conduct.rs` | what was seen of one peer, and how it fades |
//! | `reputation/remembered.rs` | the conduct of a bounded number of peers |
//! | `reputation/kept.rs` | what of it outlives the process |
//! | `reputation/consequences.rs` | what is to be done about it |

mod conduct;
mod consequences;
mod kept;
mod remembered;

#[cfg(test)]
mod tests;

pub(in crate::engine) use consequences::Consequence;
pub(in crate::engine) use remembered::Reputations;
