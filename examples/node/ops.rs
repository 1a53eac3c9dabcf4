//! What can be asked of this peer, and what it answers, whichever form the question came in.

use std::path::PathBuf;

use peerage::{
    Announcement, ConnectedPeer, Deprecation, Error, Freshness, Handle, Manifest, Multiaddr,
    Package, PackageId, PackageName, PeerId, Query, Receipt, Registry, RegistryMetadata,
    Reputation, Requirement, Result, SearchReport, Versions, semver::Version,
};
use serde::Serialize;

use crate::data;

/// One call of the library.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// Read back from so many peers, if any.
    Register {
        manifest: Box<Manifest>,
        confirm: u8,
    },
    /// The newest release, or the newest that will do.
    Get {
        package: PackageId,
        requirement: Option<Requirement>,
        freshness: Freshness,
    },
    Versions(PackageId),
    Search(Query),
    /// Without a reason, if it is empty.
    Yank {
        package: PackageId,
        version: Version,
        reason: String,
    },
    Unyank {
        package: PackageId,
        version: Version,
    },
    Deprecate {
        package: PackageId,
        deprecation: Deprecation,
    },
    Undeprecate(PackageId),
    Unregister(PackageId),
    Metadata,
    Peers,
    Dial {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    },
    Bootstrap,
    Subscribe(String),
    Unsubscribe(String),
    Announce {
        topic: String,
        text: String,
    },
    Pin {
        name: PackageName,
        owner: PeerId,
    },
    Unpin(PackageName),
    Reputation(PeerId),
    /// To this file.
    Export(PathBuf),
    Shutdown,
}

/// What came of it. As JSON always an object: the library's own type where it is one, else an object of
/// one field.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Receipt(Receipt),
    Package(Box<Package>),
    Versions(Versions),
    Packages {
        packages: Vec<Package>,
        /// How much of the network has answered.
        coverage: SearchReport,
    },
    Metadata(Box<RegistryMetadata>),
    Peers {
        peers: Vec<ConnectedPeer>,
    },
    Dialed {
        peer: PeerId,
    },
    Bootstrapped {
        /// Peers in the routing table.
        known_peers: usize,
    },
    Subscribed {
        /// Whether the subscription is new.
        subscribed: bool,
    },
    Unsubscribed {
        /// Whether there was a subscription.
        unsubscribed: bool,
    },
    Announced {
        announcement: Announcement,
    },
    Pinned {
        /// The owner that was pinned before.
        previous: Option<PeerId>,
    },
    Reputation {
        #[serde(flatten)]
        seen: Reputation,
        /// From 0 to 100.
        score: u8,
    },
    Exported {
        /// The file.
        file: String,
        bytes: usize,
    },
    Stopped {},
}

impl Request {
    /// Asks the node, and waits for its answer.
    pub(crate) async fn ask(self, handle: &Handle) -> Result<Answer> {
        Ok(match self {
            Self::Register { manifest, confirm } => {
                let handle = handle.with_confirmation(confirm);
                Answer::Receipt(handle.register(*manifest).await?)
            }
            Self::Get { package, requirement, freshness } => {
                let handle = handle.with_freshness(freshness);
                let package = match requirement {
                    Some(requirement) => handle.resolve(package, requirement).await?,
                    None => handle.get_package(package).await?,
                };
                Answer::Package(Box::new(package))
            }
            Self::Versions(package) => Answer::Versions(handle.list_versions(package).await?),
            Self::Search(query) => {
                let (packages, coverage) = handle.search_peers(query).await?.finish().await?;
                Answer::Packages { packages, coverage }
            }
            Self::Yank { package, version, reason } => {
                let package = own(handle, package)?;
                Answer::Receipt(handle.yank_with_reason(package, version, reason).await?)
            }
            Self::Unyank { package, version } => {
                Answer::Receipt(handle.unyank(own(handle, package)?, version).await?)
            }
            Self::Deprecate { package, deprecation } => {
                Answer::Receipt(handle.deprecate(own(handle, package)?, deprecation).await?)
            }
            Self::Undeprecate(package) => {
                Answer::Receipt(handle.undeprecate(own(handle, package)?).await?)
            }
            Self::Unregister(package) => {
                Answer::Receipt(handle.unregister(own(handle, package)?).await?)
            }
            Self::Metadata => Answer::Metadata(Box::new(handle.metadata().await?)),
            Self::Peers => Answer::Peers { peers: handle.peers().await? },
            Self::Dial { peer, addresses } => {
                handle.dial(peer, addresses).await?;
                Answer::Dialed { peer }
            }
            Self::Bootstrap => Answer::Bootstrapped { known_peers: handle.bootstrap().await? },
            Self::Subscribe(topic) => {
                Answer::Subscribed { subscribed: handle.subscribe(&topic).await? }
            }
            Self::Unsubscribe(topic) => {
                Answer::Unsubscribed { unsubscribed: handle.unsubscribe(&topic).await? }
            }
            Self::Announce { topic, text } => {
                let announcement = handle.announce(&topic, text.into_bytes()).await?;
                Answer::Announced { announcement }
            }
            Self::Pin { name, owner } => {
                Answer::Pinned { previous: handle.pin(name, owner).await? }
            }
            Self::Unpin(name) => Answer::Pinned { previous: handle.unpin(name).await? },
            Self::Reputation(peer) => {
                let seen = handle.reputation(peer).await?;
                Answer::Reputation { seen, score: seen.score() }
            }
            Self::Export(file) => {
                let snapshot = handle.snapshot().await?;
                let name = file.display().to_string();
                // The disk may take its time.
                let bytes = smol::unblock(move || data::export(&snapshot, &file)).await?;
                Answer::Exported { file: name, bytes }
            }
            Self::Shutdown => {
                handle.shutdown().await?;
                Answer::Stopped {}
            }
        })
    }
}

/// The name of a package that this peer may change. The whole identifier, as receipts print it, will do.
fn own(handle: &Handle, package: PackageId) -> Result<PackageName> {
    match package.owner() {
        Some(owner) if *owner != handle.owner() => Err(invalid(
            "package",
            format!("`{package}` belongs to another owner; only its owner can change it"),
        )),
        _ => Ok(package.name().clone()),
    }
}

/// The error for input that cannot be used.
pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::invalid(field.into(), reason)
}

/// Reads a package, and puts the library's word about a part of it under the name of the field that was
/// given.
pub(crate) fn parse_package(field: &str, text: &str) -> Result<PackageId> {
    text.parse().map_err(|error| match error {
        Error::Invalid { field: part, reason, .. } => {
            invalid(field, format!("the {part} {reason}"))
        }
        other => other,
    })
}

/// Reads a package and, after an `@`, what is required of its release.
pub(crate) fn parse_required(field: &str, text: &str) -> Result<(PackageId, Option<Requirement>)> {
    PackageId::split_requirement(text).map_err(|error| match error {
        Error::Invalid { field: part, reason, .. } => {
            invalid(field, format!("the {part} {reason}"))
        }
        other => other,
    })
}

pub(crate) fn parse_name(field: &str, text: &str) -> Result<PackageName> {
    let package = parse_package(field, text)?;
    if package.owner().is_some() || package.version().is_some() {
        return Err(invalid(field, format!("`{text}` is more than a name; a bare name is wanted")));
    }
    Ok(package.name().clone())
}

pub(crate) fn parse_version(field: &str, text: &str) -> Result<Version> {
    text.parse().map_err(|error| {
        invalid(field, format!("`{text}` is not a semantic version such as `1.2.0` ({error})"))
    })
}

pub(crate) fn parse_peer(field: &str, text: &str) -> Result<PeerId> {
    text.parse().map_err(|error| {
        invalid(field, format!("`{text}` is not a peer id such as `12D3KooW…` ({error})"))
    })
}

pub(crate) fn parse_address(field: &str, text: &str) -> Result<Multiaddr> {
    text.parse().map_err(|error| {
        invalid(
            field,
            format!("`{text}` is not an address such as `/ip4/127.0.0.1/tcp/4001` ({error})"),
        )
    })
}

/// The version that is meant, whether it was given after the name or on its own.
pub(crate) fn one_version(
    package: &PackageId,
    version: Option<Version>,
) -> Result<Option<Version>> {
    match (package.version(), version) {
        (Some(one), Some(other)) if *one != other => {
            Err(invalid("version", format!("`{other}` contradicts `{package}`")))
        }
        (one, other) => Ok(one.cloned().or(other)),
    }
}

/// Whom to dial: the peer that is named, else the one that all the addresses name.
pub(crate) fn whom_to_dial(peer: Option<PeerId>, addresses: &[Multiaddr]) -> Result<PeerId> {
    use libp2p::multiaddr::Protocol;
    let named = addresses.iter().find_map(|address| match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    });
    peer.or(named).ok_or_else(|| {
        invalid(
            "addresses",
            "an address must end in `/p2p/<peer>`, so that the peer can be checked",
        )
    })
}
