//! A peer-to-peer package registry that any Rust program can embed: no server, no runtime.
//!
//! Programs that embed this crate find each other with libp2p and keep a registry of packages together: who
//! publishes what, in which versions, with which content. There is no server to run. Every entry is signed by
//! its owner and checked by every reader, so nobody has to trust the peer that it came from.
//!
//! The [`guide`] explains all of it in chapters.
//!
//! # The picture
//!
//! - A **package** ([`Manifest`], [`PackageId`]) is what people publish. Its identity is its owner and its
//!   name, `owner/name`. A bare name is a question that the network answers. See [`package`].
//! - **Records** are how a package is written down: a signed head that lists the releases, a release for each of
//!   them, claims to the name. See [`record`].
//! - The **engine** knows what is published here, held for others, cached, announced and awaited. It has no
//!   sockets, reads no clock, and is not public.
//! - A **node** ([`Node`]) joins the engine to the network: a Kademlia DHT that holds the records, gossipsub
//!   that announces them, TCP, noise and yamux below. See [`net`].
//!
//! ```text
//!            your tasks                                 your executor
//!   ┌──────────────────────────┐              ┌──────────────────────────────┐
//!   │ Handle: register, get, … │              │ spawn(node), or node.next()  │
//!   └────────────┬─────────────┘              └──────────────┬───────────────┘
//!                │ commands, bounded                         │ poll
//!                ▼                                           ▼
//!   ┌─────────────────────────────── Node ───────────────────────────────────┐
//!   │  events out · deadlines due · commands in · network · arm the one timer │──▶ Event
//!   └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Who polls
//!
//! [`Node::new`] returns a [`Node`] and a [`Handle`]. The handle sends requests, from any thread and under any
//! executor. The node does the work, and only while it is polled. It is a `Stream` of [`Event`]s, and a
//! `Future` that ends when the node has shut down. Spawn it on an executor, or make it one arm of a `select!`.
//! It spawns no task and needs no runtime. [Threads and clocks](guide::threads) says exactly what that means.
//!
//! ```
//! use std::thread;
//!
//! use futures::{StreamExt, executor::block_on};
//! use peerage::{Config, Event, Manifest, Node, Registry, identity::Keypair};
//!
//! // A free port on this machine only; the default is every interface.
//! let config = Config::new().with_listen(["/ip4/127.0.0.1/tcp/0".parse()?]);
//!
//! // The first node is a stream until it says where it listens.
//! let (mut node, publisher) = Node::new(Keypair::generate_ed25519(), config.clone())?;
//! let address = block_on(async {
//!     loop {
//!         match node.next().await {
//!             Some(Event::Listening { address }) => break Some(address),
//!             Some(_) => {}
//!             None => break None,
//!         }
//!     }
//! });
//! // Then it is a future, polled on its own thread. Any executor would do.
//! let first = thread::spawn(move || block_on(node));
//!
//! // The second node knows the address of the first.
//! let (node, reader) =
//!     Node::new(Keypair::generate_ed25519(), config.with_bootstrap(address))?;
//! let second = thread::spawn(move || block_on(node));
//!
//! block_on(async {
//!     reader.bootstrap().await?;
//!
//!     // What one node publishes, the other finds by name.
//!     let manifest = Manifest::new("tiny-http".parse()?, "1.0.0".parse()?)
//!         .with_description("A small HTTP server");
//!     publisher.register(manifest.clone()).await?;
//!
//!     let package = reader.get_package("tiny-http".parse()?).await?;
//!     assert_eq!(package.owner, publisher.peer_id());
//!     assert_eq!(package.manifest, manifest);
//!
//!     // Or the newest release that meets a requirement.
//!     let package = reader.resolve("tiny-http".parse()?, "^1".parse()?).await?;
//!     assert_eq!(package.manifest.version, manifest.version);
//!
//!     publisher.shutdown().await?;
//!     reader.shutdown().await?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//! for node in [first, second] {
//!     node.join().expect("a node ends without panicking");
//! }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go on
//!
//! | | |
//! |--|--|
//! | [`guide`] | chapters: [names and owners](guide::names), [releases](guide::releases), [freshness and receipts](guide::freshness), [discovery and search](guide::discovery), [limits and memory](guide::limits), [security](guide::security), [performance](guide::performance) and more |
//! | [`Node`], [`NodeBuilder`] | what is polled, and how it is built |
//! | [`Handle`], [`Registry`] | all requests, and the trait that an application can hold as `Arc<dyn Registry>` |
//! | [`Config`], [`Coverage`], [`Limits`] | what can be configured, with the defaults |
//! | [`Event`], [`Error`] | what a node reports by itself; why a call failed, and what to do about it |
//! | [`Clock`], [`Entropy`] | how time and randomness are replaced, for tests and simulations |
//! | [`package`], [`record`], [`net`] | the parts, for code that builds on them |
#![forbid(unsafe_code)]

mod bell;
mod buckets;
mod clock;
mod clock_offset;
mod config;
mod connections;
mod counters;
mod coverage;
mod engine;
mod error;
mod event;
mod exchange;
mod fair;
mod farewell;
mod freshness;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod guide;
mod handle;
mod key_file;
mod keyspace;
mod memory_ceiling;
#[cfg(feature = "prometheus")]
pub mod metrics;
pub mod net;
mod node;
pub mod package;
mod place;
mod provider;
mod queue;
pub mod record;
mod refusal;
mod registry;
mod reputation;
mod search;
mod shelf;
pub mod storage;
mod ticket;

pub use libp2p::{Multiaddr, PeerId, identity};
pub use semver;

pub use clock::{Clock, Entropy, SystemClock, SystemEntropy, Timer};
pub use clock_offset::ClockOffset;
#[cfg(feature = "mdns")]
pub use config::MdnsConfig;
pub use config::{Config, DhtMode, DnsConfig, Limits, TransportConfig};
pub use connections::{ConnectedPeer, KeptConnections, KeptFor};
pub use counters::{
    AnnouncementCounters, CallCounters, Counters, GoodbyeCounters, LetGoCounters, OutcomeCounters,
    PeerCounters, ProtocolCounters, QueryCounters, ReadCounters, ReconciliationCounters,
    RecordCounters, SourceCounters, TaskCounters, TrafficCounters,
};
pub use coverage::Coverage;
pub use engine::Snapshot;
pub use error::{Error, Result};
pub use event::{Direction, Event};
pub use farewell::Farewell;
pub use freshness::{Found, Freshness};
pub use handle::{Handle, Search};
pub use key_file::{KeyFile, KeyFileError};
pub use memory_ceiling::MemoryCeiling;
pub use net::{ConnectionTask, transport::BoxedTransport};
pub use node::{Node, NodeBuilder};
pub use package::{
    Announcement, Artifact, Dependency, Deprecation, Digest, GeoLocation, Manifest, Match, Package,
    PackageId, PackageName, Query, Receipt, Requirement, SearchResults, SimilarName, Sort, Source,
    VersionInfo, Versions,
};
pub use provider::Provider;
pub use record::NetworkName;
pub use refusal::{Refusal, RefusalCount};
pub use registry::{Registry, RegistryMetadata};
pub use reputation::Reputation;
pub use search::SearchReport;

/// The way past the interface for benchmarks, which measure parts of the engine beside other people's code, and for two
/// tests that fill or question one alone. What they use is named here, with the types that it answers in. It is no part of
/// the interface: it may change or go in any release.
#[doc(hidden)]
pub mod bench_support {
    /// Two catalogues, compared without a network.
    pub mod compared {
        pub use crate::engine::compared::{Compared, Side};
    }
    /// An engine without a node, filled up to its bounds.
    pub mod filled {
        pub use crate::engine::filled::Filled;
    }
    /// The search index, without a catalogue.
    pub mod index {
        pub use crate::engine::index::{Found, Hit, Index, Score, relevance};
    }
    /// The timer wheel.
    pub mod wheel {
        pub use crate::engine::wheel::{Expiry, Key, MOVES_PER_POLL, Wheel};
    }
}

/// The examples in the README are compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
