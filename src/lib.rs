//! A peer-to-peer package registry that any Rust program can embed.
#![forbid(unsafe_code)]

mod clock;
mod command;
mod config;
pub mod engine;
mod error;
mod event;
mod handle;
pub mod net;
mod node;
pub mod package;
mod queue;
pub mod record;
mod registry;

pub use libp2p::{Multiaddr, PeerId, identity};
pub use semver;

pub use clock::{Clock, Entropy, SystemClock, SystemEntropy, Timer};
pub use config::{Config, DhtMode, Limits};
pub use engine::{ConnectedPeer, Reputation};
pub use error::{Error, Result};
pub use event::{Direction, Event};
pub use handle::Handle;
pub use net::{
    ConnectionTask,
    transport::{BoxedTransport, TransportConfig},
};
pub use node::{Node, NodeBuilder};
pub use package::{
    Announcement, Artifact, Dependency, Digest, GeoLocation, Manifest, Package, PackageId,
    PackageName, Query, Receipt, Source, VersionInfo,
};
pub use record::NetworkName;
pub use registry::{Registry, RegistryMetadata};
