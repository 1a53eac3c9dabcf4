//! How packages are written down: signed records, their strict encoding, their keys in the DHT, and
//! which of two records is kept.
//!
//! This is the low level, public for those who write tools or other implementations, and so that it
//! can be fuzzed from outside. Bytes from the network become values in few places only:
//! [`Record::verify`] for what the DHT holds, and [`Signed::verify_announcement`] (or
//! [`Signed::verify_message`]) for what gossip carries, beside [`Signed::verify_hello`] for what a peer tells of
//! itself; a [`Verifier`] does both, and remembers what it has verified. A [`Signed`] value has been verified, or was
//! signed here; there is no third way to come by one. (An [`EquivocationProof`] is verified like what it is made of.)
//!
//! # Format 1
//!
//! An envelope has no lengths, so that it has one form:
//!
//! ```text
//! format u8 = 1 · kind u8 · signer's Ed25519 key, 32 bytes · body · signature, 64 bytes
//! ```
//!
//! The signature (RFC 8032) is over the following, where the lengths are 4 bytes, big-endian:
//!
//! ```text
//! length · "peerage-record-v1" · length · network · kind u8 · body, as it was received
//! ```
//!
//! A body is [postcard](https://postcard.jamesmunns.com/wire-format), read strictly: lists and texts
//! are bounded, nothing may follow, and what was read must encode to the same bytes again. Its
//! SHA-256 identifies it. A body begins with its network (text) and its owner (32 bytes of key), and ends
//! with `ext`, at most 512 bytes that are signed with it:
//!
//! ```text
//! (nothing)                                                     the signer is the owner
//! 1 · epoch · issued · expires · the owner's signature, 64 bytes    the signer is a publisher
//! 1 · epoch · issued · expires · signature · 2 · notes              of a live head; the signer is a publisher
//! 2 · notes                                                     of a live head; the signer is the owner
//! anything that begins with another byte                        ignored: for later versions; the signer is the owner
//! ```
//!
//! The second form is a [`Delegation`], its three numbers as postcard has them, and is read as strictly as the
//! body. Behind it may stand what may stand in an `ext` without one, but no other delegation. The owner's signature is
//! over the following, numbers big-endian, of 4, 8 and 8 bytes:
//!
//! ```text
//! length · "peerage-delegation-v1" · length · network · owner's key · publisher's key · epoch · issued · expires
//! ```
//!
//! The third and the fourth form have [`Notes`], as postcard has them: why releases are yanked, and whether the package
//! is deprecated. They are no part of what makes a head valid: readers ignore notes that they cannot read.
//!
//! A head or a claim under a delegation has the delegation's epoch, does not outlive it, and is believed only while
//! the delegation holds and no higher epoch of the owner has been seen. Of a release or a page, which are found by a
//! digest that stands in a head, only the signatures count. A message's author signs it itself: its `ext` is ignored.
//!
//! A key in the DHT is `/pg/` and the unpadded base64url of a SHA-256, 47 bytes in all: see
//! [`RecordKey`].
//!
//! # Where things are
//!
//! A module imports from those before it in this table, and from no other module of this one.
//!
//! | modules | what they know |
//! |--|--|
//! | `limits` `network` `revision` `rejected` `validity` | bounds, the network's name, what orders records, when one holds, why one is refused |
//! | `codec` `wire` `manifest` | postcard, read strictly; the parts that several kinds are written with |
//! | `kind` `key` | the two bytes that everything begins with, the place in the DHT |
//! | `signature` `recent` `proven` `envelope` | signatures, those that were verified before, what is signed |
//! | `grant` `delegation` `notes` | what an `ext` carries |
//! | `body` | what a signed record is: what each kind says of itself, and what is the same for all |
//! | `seen` `checks` `signed` `unproven` | the checks in their order, and the value that has passed them |
//! | `release` `entry` `page` `head` `claim` `message` `hello` | the kinds, each with its fields, how they are written, and their bounds |
//! | `claim_set` `select` `equivocation` `paginate` | what several records are together |
//! | `verify` `verifier` | the ways in |
//!
//! A new kind is a module with a body that implements `Wire`, and `Placed` where the DHT holds it; a number in [`Kind`];
//! and a way in.

mod body;
mod checks;
mod claim;
mod claim_set;
pub(crate) mod codec;
mod delegation;
mod entry;
mod envelope;
mod equivocation;
mod grant;
mod head;
mod hello;
mod key;
mod kind;
mod limits;
mod manifest;
mod message;
mod network;
mod notes;
mod page;
mod paginate;
mod proven;
mod recent;
mod rejected;
mod release;
mod revision;
mod seen;
mod select;
mod signature;
mod signed;
mod unproven;
mod validity;
mod verifier;
mod verify;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

pub use body::{Body, Stored};
pub use claim::{Claim, ClaimStatus};
pub use claim_set::ClaimSet;
pub use delegation::Delegation;
pub use entry::{PageLink, ReleaseEntry};
pub use equivocation::EquivocationProof;
pub use head::{Head, HeadState};
pub use hello::{Hello, Location};
pub use key::RecordKey;
pub use kind::{FORMAT, Kind};
pub use limits::{
    MAX_CLOCK_SKEW_SECS, MAX_DELEGATION_SECS, MAX_EXT_BYTES, MAX_LIFETIME_SECS, MAX_MANIFEST_BYTES,
    MAX_RECORD_BYTES, MAX_RELEASES,
};
pub use manifest::{check_manifest, manifest_bytes};
pub use message::Message;
pub use network::NetworkName;
pub use notes::{DeprecationNote, Notes, ReleaseNote};
pub(crate) use notes::{check_reason, check_successor};
pub use page::Page;
pub use paginate::{Pagination, ReleaseList, paginate, paginate_delegated};
pub use rejected::Rejected;
pub use release::Release;
pub use revision::{Rank, Revision};
pub use seen::Seen;
pub(crate) use select::kept;
pub use select::{Selection, Side, latest, select};
pub use signed::Signed;
pub use validity::{END_MARGIN_SECS, Validity};
pub(crate) use verifier::ANNOUNCEMENTS;
pub use verifier::Verifier;
pub use verify::Record;
