//! The guide: what this crate does and promises, a chapter for each part.
//!
//! | chapter | what it is about |
//! |--|--|
//! | [Embedding](embedding) | tokio, async-std, your own loop |
//! | [Threads and clocks](threads) | what runs where, deadlines, a machine that sleeps, how a node ends |
//! | [Configuration](configuration) | every field with its default |
//! | [Limits and memory](limits) | every bound, and the most memory that a node can take |
//! | [Names and owners](names) | who owns a name, pins, names that look alike |
//! | [Releases](releases) | records, yanking, deprecating, withdrawing, several devices, requirements |
//! | [Delegation](delegation) | publishing without the owner's key, replacing a publisher's key |
//! | [Freshness and receipts](freshness) | how new an answer is, silent peers, what a receipt says |
//! | [Storage](storage) | what is kept where and for how long, restarts, backups, snapshots |
//! | [Discovery and search](discovery) | the catalogue, search, announcements |
//! | [Connections](connections) | which peers a node stays connected with, peers on the local network, the wire |
//! | [Errors](errors) | what each error means and what to do |
//! | [Monitoring](monitoring) | metadata, counters, Prometheus |
//! | [Security](security) | what holds, what does not, the reputation of peers |
//! | [Under attack](attacks) | attacks on a test network, and their results |
//! | [Performance](performance) | ratios, and what a large network costs one node |
//!
//! These modules hold documentation only.

#[doc = include_str!("guide/attacks.md")]
pub mod attacks {}

#[doc = include_str!("guide/configuration.md")]
pub mod configuration {}

#[doc = include_str!("guide/connections.md")]
pub mod connections {}

#[doc = include_str!("guide/delegation.md")]
pub mod delegation {}

#[doc = include_str!("guide/discovery.md")]
pub mod discovery {}

#[doc = include_str!("guide/embedding.md")]
pub mod embedding {}

#[doc = include_str!("guide/errors.md")]
pub mod errors {}

#[doc = include_str!("guide/freshness.md")]
pub mod freshness {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/monitoring.md")]
pub mod monitoring {}

#[doc = include_str!("guide/names.md")]
pub mod names {}

#[doc = include_str!("guide/performance.md")]
pub mod performance {}

#[doc = include_str!("guide/releases.md")]
pub mod releases {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/storage.md")]
pub mod storage {}

#[doc = include_str!("guide/threads.md")]
pub mod threads {}
