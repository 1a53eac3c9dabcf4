//! Hostile peers against honest nodes, over the wire.
//!
//! The hostile side is raw libp2p: bare substreams that say whatever they like at full speed, and Kademlia with a
//! store that lies. The honest side is the crate's own nodes, as anybody would run them.
//!
//! `cargo test --release --test adversary -- --nocapture` runs every attack in full size and prints a line of
//! figures for each; without optimisation they are smaller. Attacks take turns, so that what one costs is not
//! blamed on another.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod elsewhere;
mod forge;
mod hostile;
mod replica;
mod report;
mod world;

mod ack_and_drop;
mod arrival_orders;
mod bad_gossip;
mod bad_records;
mod claim_flood;
mod comparisons;
mod connection_flood;
mod frame_flood;
mod hoarding;
mod lying_replies;
mod newcomers;
mod put_flood;
mod refusals;
mod rollback;
