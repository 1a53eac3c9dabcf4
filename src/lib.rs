//! A peer-to-peer package registry that any Rust program can embed: no server, no runtime.
//!
//! Programs that embed this crate find each other with libp2p and keep, between them, a registry of packages:
//! who publishes what, in which versions, with which content. There is nothing to run beside them. Every
//! entry is signed by its owner and checked by whoever reads it, so that nobody has to trust the peer that it
//! came from.
//!
//! # The picture
//!
//! - A **package** ([`Manifest`], [`PackageId`]) is what people publish. Its identity is its owner and its
//!   name, `owner/name`; a bare name is a question that the network answers. See [`package`].
//! - A **record** is a package written down: a signed head that lists the releases, a release for each of
//!   them, claims to the name. See [`record`].
//! - The **engine** knows what is published here, held for others, cached, announced and awaited. It has no
//!   sockets and reads no clock, and it is not part of the interface.
//! - A **node** ([`Node`]) joins the engine to the network: a Kademlia DHT that holds the records, gossipsub
//!   that announces them, TCP, noise and yamux below. See [`net`].
//!
//! ```text
//!            your tasks                                 whoever polls
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
//! [`Node::new`] gives a [`Node`] and a [`Handle`]. The handle asks, from any thread and under any executor;
//! the node does the work, and only while it is polled. It is a `Stream` of [`Event`]s and a `Future` that
//! ends when the node has shut down, both over one loop: hand it to an executor's spawn, or have it as one
//! arm of a `select!`. It spawns no task and needs no runtime. The README's section on threads and clocks
//! says exactly what that means.
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
//! // A first node, as a stream: until it has told where it listens.
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
//! // From here on it is a future, which a thread of its own polls. Any executor would do.
//! let first = thread::spawn(move || block_on(node));
//!
//! // A second node, which knows the first one's address.
//! let (node, reader) =
//!     Node::new(Keypair::generate_ed25519(), config.with_bootstrap(address))?;
//! let second = thread::spawn(move || block_on(node));
//!
//! block_on(async {
//!     reader.bootstrap().await?;
//!
//!     // What one publishes, the other finds by its name.
//!     let manifest = Manifest::new("tiny-http".parse()?, "1.0.0".parse()?)
//!         .with_description("A small HTTP server");
//!     publisher.register(manifest.clone()).await?;
//!
//!     let package = reader.get_package("tiny-http".parse()?).await?;
//!     assert_eq!(package.owner, publisher.peer_id());
//!     assert_eq!(package.manifest, manifest);
//!
//!     // Or the newest release that will do, as its dependents require it.
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
//! | [`Node`], [`NodeBuilder`] | what is polled, and what it can be built of |
//! | [`Handle`], [`Registry`] | what can be asked; the trait that an application can hold as `Arc<dyn Registry>` |
//! | [`Config`], [`Coverage`], [`Limits`] | what can be chosen, with its defaults |
//! | [`Event`], [`Error`] | what a node tells unasked; why a call failed, and what to do about it |
//! | [`Clock`], [`Entropy`] | how time and randomness enter, for tests and simulations |
//! | [`package`], [`record`], [`net`] | the parts, for those who build on them |
#![forbid(unsafe_code)]

mod bell;
mod buckets;
mod clock;
mod clock_offset;
mod command;
mod config;
mod counters;
mod coverage;
mod engine;
mod error;
mod event;
mod exchange;
mod farewell;
mod freshness;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handle;
mod keyspace;
#[cfg(feature = "prometheus")]
pub mod metrics;
pub mod net;
mod node;
pub mod package;
mod place;
mod queue;
pub mod record;
mod refusal;
mod registry;
mod search;
mod shelf;

pub use libp2p::{Multiaddr, PeerId, identity};
pub use semver;

pub use clock::{Clock, Entropy, SystemClock, SystemEntropy, Timer};
pub use clock_offset::ClockOffset;
pub use config::{Config, DhtMode, Limits, MemoryCeiling};
pub use counters::{
    AnnouncementCounters, CallCounters, Counters, GoodbyeCounters, LetGoCounters, OutcomeCounters,
    PeerCounters, ProtocolCounters, QueryCounters, ReadCounters, ReconciliationCounters,
    RecordCounters, SourceCounters, TaskCounters, TrafficCounters,
};
pub use coverage::Coverage;
pub use engine::{ConnectedPeer, KeptConnections, KeptFor, Provider, Reputation, Snapshot};
pub use error::{Error, Result};
pub use event::{Direction, Event};
pub use farewell::Farewell;
pub use freshness::{Found, Freshness};
pub use handle::Handle;
pub use net::{
    ConnectionTask,
    transport::{BoxedTransport, TransportConfig},
};
pub use node::{Node, NodeBuilder};
pub use package::{
    Announcement, Artifact, Dependency, Deprecation, Digest, GeoLocation, Manifest, Match, Package,
    PackageId, PackageName, Query, Receipt, Requirement, SearchResults, SimilarName, Sort, Source,
    VersionInfo, Versions,
};
pub use record::NetworkName;
pub use refusal::{Refusal, RefusalCount};
pub use registry::{Registry, RegistryMetadata};
pub use search::{Search, SearchReport};

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

/// The examples of the README are compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
