//! What travels from a handle to its node: the command, its deadline, where the answer goes, and the word
//! that nobody waits for it any longer.

use std::{fmt, time::Duration};

use futures::channel::oneshot;
use libp2p::{Multiaddr, PeerId};
use semver::Version;

use crate::{
    connections::ConnectedPeer,
    counters::{Answer, CallEnd, CallKind, EndedCall},
    engine::store::Snapshot,
    error::{Error, Result},
    freshness::{Found, Freshness},
    package::{
        Announcement, Deprecation, Manifest, Package, PackageId, PackageName, Query, Receipt,
        Requirement, SearchResults, Versions,
    },
    provider::Provider,
    record::{EquivocationProof, Record, RecordKey},
    registry::RegistryMetadata,
    reputation::Reputation,
    search::Findings,
    ticket::Ticket,
};

/// A call on its way into the node.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) ticket: Ticket,
    /// When the call was made, on the node's clock.
    pub(crate) asked: Duration,
    /// When it must have been answered.
    pub(crate) deadline: Duration,
    pub(crate) command: Command,
}

/// What is said of a package that is deprecated. `None` takes it back.
pub(crate) type Said = Option<Box<Deprecation>>;

/// A package, and what is required of its release.
pub(crate) type Required = (PackageId, Requirement);

/// What a caller may ask. Each variant carries the place for its one answer.
#[derive(Debug)]
pub(crate) enum Command {
    GetPackage {
        package: PackageId,
        freshness: Freshness,
        reply: Reply<Box<Package>>,
    },
    Resolve {
        asked: Box<Required>,
        freshness: Freshness,
        reply: Reply<Box<Package>>,
    },
    ListVersions {
        package: PackageId,
        freshness: Freshness,
        reply: Reply<Versions>,
    },
    Register {
        manifest: Box<Manifest>,
        confirmation: u8,
        reply: Reply<Receipt>,
    },
    Yank {
        of: Box<(PackageName, Version)>,
        reason: String,
        confirmation: u8,
        reply: Reply<Receipt>,
    },
    Unyank {
        of: Box<(PackageName, Version)>,
        confirmation: u8,
        reply: Reply<Receipt>,
    },
    Deprecate {
        name: PackageName,
        said: Said,
        confirmation: u8,
        reply: Reply<Receipt>,
    },
    Unregister {
        name: PackageName,
        confirmation: u8,
        reply: Reply<Receipt>,
    },
    Search {
        query: Box<Query>,
        reply: Reply<SearchResults>,
    },
    SearchPeers {
        query: Box<Query>,
        findings: Findings,
    },
    Metadata {
        reply: Reply<RegistryMetadata>,
    },
    GetRecord {
        key: RecordKey,
        freshness: Freshness,
        reply: Reply<Found>,
    },
    PutRecord {
        record: Box<Record>,
        reply: Reply<u32>,
    },
    Announce {
        topic: String,
        data: Vec<u8>,
        reply: Reply<Announcement>,
    },
    Bootstrap {
        reply: Reply<usize>,
    },
    Subscribe {
        topic: String,
        reply: Reply<bool>,
    },
    Unsubscribe {
        topic: String,
        reply: Reply<bool>,
    },
    Dial {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Reply<()>,
    },
    Peers {
        reply: Reply<Vec<ConnectedPeer>>,
    },
    Providers {
        owner: PeerId,
        name: PackageName,
        reply: Reply<Vec<Provider>>,
    },
    Equivocations {
        reply: Reply<Vec<EquivocationProof>>,
    },
    Reputation {
        peer: PeerId,
        reply: Reply<Reputation>,
    },
    Pin {
        name: PackageName,
        owner: Option<PeerId>,
        reply: Reply<Option<PeerId>>,
    },
    Snapshot {
        reply: Reply<Box<Snapshot>>,
    },
    Shutdown {
        reply: Reply<()>,
    },
}

impl Command {
    /// What it asks for, if that is counted.
    pub(crate) fn kind(&self) -> Option<CallKind> {
        match self {
            Self::GetPackage { .. } | Self::Resolve { .. } => Some(CallKind::Get),
            Self::ListVersions { .. } => Some(CallKind::Versions),
            Self::Register { .. } => Some(CallKind::Register),
            Self::Yank { .. } | Self::Unyank { .. } => Some(CallKind::Yank),
            Self::Deprecate { .. } => Some(CallKind::Deprecate),
            Self::Unregister { .. } => Some(CallKind::Unregister),
            Self::Search { .. } | Self::SearchPeers { .. } => Some(CallKind::Search),
            Self::GetRecord { .. } => Some(CallKind::GetRecord),
            Self::PutRecord { .. } => Some(CallKind::PutRecord),
            Self::Announce { .. } => Some(CallKind::Announce),
            Self::Bootstrap { .. } => Some(CallKind::Bootstrap),
            Self::Dial { .. } => Some(CallKind::Dial),
            Self::Metadata { .. }
            | Self::Subscribe { .. }
            | Self::Unsubscribe { .. }
            | Self::Peers { .. }
            | Self::Providers { .. }
            | Self::Equivocations { .. }
            | Self::Reputation { .. }
            | Self::Pin { .. }
            | Self::Snapshot { .. }
            | Self::Shutdown { .. } => None,
        }
    }

    /// Answers with an error whatever was asked.
    pub(crate) fn refuse(self, error: Error) -> Option<EndedCall> {
        let kind = self.kind();
        let end = match self {
            Self::GetPackage { reply, .. } | Self::Resolve { reply, .. } => reply.send(Err(error)),
            Self::ListVersions { reply, .. } => reply.send(Err(error)),
            Self::Register { reply, .. }
            | Self::Yank { reply, .. }
            | Self::Unyank { reply, .. }
            | Self::Deprecate { reply, .. }
            | Self::Unregister { reply, .. } => reply.send(Err(error)),
            Self::Search { reply, .. } => reply.send(Err(error)),
            Self::SearchPeers { findings, .. } => findings.fail(error),
            Self::Metadata { reply } => reply.send(Err(error)),
            Self::GetRecord { reply, .. } => reply.send(Err(error)),
            Self::PutRecord { reply, .. } => reply.send(Err(error)),
            Self::Announce { reply, .. } => reply.send(Err(error)),
            Self::Bootstrap { reply } => reply.send(Err(error)),
            Self::Subscribe { reply, .. } | Self::Unsubscribe { reply, .. } => {
                reply.send(Err(error))
            }
            Self::Dial { reply, .. } | Self::Shutdown { reply } => reply.send(Err(error)),
            Self::Peers { reply } => reply.send(Err(error)),
            Self::Providers { reply, .. } => reply.send(Err(error)),
            Self::Equivocations { reply } => reply.send(Err(error)),
            Self::Reputation { reply, .. } => reply.send(Err(error)),
            Self::Pin { reply, .. } => reply.send(Err(error)),
            Self::Snapshot { reply } => reply.send(Err(error)),
        };
        kind.map(|kind| EndedCall(kind, end))
    }

    /// Whether the caller has gone away.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::GetPackage { reply, .. } | Self::Resolve { reply, .. } => reply.is_abandoned(),
            Self::ListVersions { reply, .. } => reply.is_abandoned(),
            Self::Register { reply, .. }
            | Self::Yank { reply, .. }
            | Self::Unyank { reply, .. }
            | Self::Deprecate { reply, .. }
            | Self::Unregister { reply, .. } => reply.is_abandoned(),
            Self::Search { reply, .. } => reply.is_abandoned(),
            Self::SearchPeers { findings, .. } => findings.is_abandoned(),
            Self::Metadata { reply } => reply.is_abandoned(),
            Self::GetRecord { reply, .. } => reply.is_abandoned(),
            Self::PutRecord { reply, .. } => reply.is_abandoned(),
            Self::Announce { reply, .. } => reply.is_abandoned(),
            Self::Bootstrap { reply } => reply.is_abandoned(),
            Self::Subscribe { reply, .. } | Self::Unsubscribe { reply, .. } => reply.is_abandoned(),
            Self::Dial { reply, .. } => reply.is_abandoned(),
            Self::Peers { reply } => reply.is_abandoned(),
            Self::Providers { reply, .. } => reply.is_abandoned(),
            Self::Equivocations { reply } => reply.is_abandoned(),
            Self::Reputation { reply, .. } => reply.is_abandoned(),
            Self::Pin { reply, .. } => reply.is_abandoned(),
            Self::Snapshot { reply } => reply.is_abandoned(),
            // A node that was told to stop stops, whether or not anybody waits to hear of it.
            Self::Shutdown { .. } => false,
        }
    }
}

/// The place for one answer. Consumed by answering, so that no call is answered twice; dropped unanswered
/// (with the node itself), the caller hears [`Error::ShuttingDown`].
pub(crate) struct Reply<T>(oneshot::Sender<Result<T>>);

impl<T> Reply<T> {
    pub(crate) fn channel() -> (Self, oneshot::Receiver<Result<T>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers, and tells how the call has ended by that.
    pub(crate) fn send(self, answer: Result<T>) -> CallEnd
    where
        T: Answer,
    {
        let end = match &answer {
            Ok(answer) => answer.end(),
            Err(error) => CallEnd::of(error),
        };
        // The caller may have gone away in this very moment; then there is nobody to tell.
        self.0.send(answer).map_or(CallEnd::Cancelled, |()| end)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_canceled()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is moved into the queue, out of it and into the engine: what is large and rare is boxed.
    #[test]
    fn a_request_is_cheap_to_move() {
        assert!(size_of::<Request>() <= 176, "{} bytes", size_of::<Request>());
    }
}
