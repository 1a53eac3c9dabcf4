//! What two nodes say to each other directly: one request, one response, over a stream of its own.
//!
//! | file | what it has |
//! |--|--|
//! | `request.rs` | what is asked, and what is answered, as values |
//! | `goodbye.rs` | the goodbye, and the other peers that it tells of |
//! | `search.rs` | the search that is asked of a peer |
//! | `wire.rs` | both as they are written |
//!
//! A frame is the format version, one byte, and a message as [postcard](https://postcard.jamesmunns.com/wire-format)
//! has it, read as strictly as records are: lists, texts and bytes are bounded before anything is allocated, nothing
//! may follow, and what was read must encode to the same bytes again. Nothing here is signed; what counts is: a hello
//! and heads are records, and are verified as such by who receives them ([`Signed::verify_hello`] and
//! [`Signed::verify_announcement`]).
//!
//! [`Signed::verify_hello`]: crate::record::Signed::verify_hello
//! [`Signed::verify_announcement`]: crate::record::Signed::verify_announcement

mod goodbye;
mod request;
mod search;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use goodbye::Other;
pub(crate) use request::{Request, Response};
pub(crate) use search::Search;

/// The format that is written, the only one that is read.
pub(crate) const FORMAT: u8 = 1;
/// The most bytes of a request.
pub(crate) const MAX_REQUEST_BYTES: usize = 96 * 1024;
/// The most bytes of a response.
pub(crate) const MAX_RESPONSE_BYTES: usize = 288 * 1024;
/// The most heads that can be asked for at a time.
pub(crate) const MAX_FETCHED: usize = 1024;
/// The most heads that can be offered at a time.
pub(crate) const MAX_OFFERED: usize = 2048;
/// The most records of which the refusal can be asked about at a time.
pub(crate) const MAX_EXPLAINED: usize = 16;
/// The most other peers that a goodbye tells of, and the most addresses of each.
pub(crate) const MAX_OTHERS: usize = 8;
pub(crate) const MAX_OTHER_ADDRESSES: usize = 4;
/// The longest address that a node keeps or tells of, in bytes: those of the twenty peers in a reply to a lookup fit into
/// it beside a record.
pub(crate) const MAX_ADDRESS_BYTES: usize = 128;
/// The most bytes of either message of a comparison.
pub(crate) const MAX_COMPARISON_BYTES: usize = 60 * 1024;
