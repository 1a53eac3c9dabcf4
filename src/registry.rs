//! The registry as an application sees it, whatever stands behind it.

use std::time::Duration;

use futures::future::BoxFuture;
use libp2p::{Multiaddr, PeerId};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    clock_offset::ClockOffset,
    config::DhtMode,
    connections::KeptConnections,
    counters::Counters,
    coverage::Coverage,
    error::Result,
    package::{
        Deprecation, GeoLocation, Manifest, Package, PackageId, PackageName, Query, Receipt,
        Requirement, SearchResults, Versions,
    },
    record::NetworkName,
    storage::StorageReport,
};

/// A package registry. [`Handle`](crate::Handle) implements it over the peer-to-peer network; an application
/// holds it as `Arc<dyn Registry>` and may put its own in its place (a mirror, a fake for tests). A method that is added
/// later comes with a default, so that such a registry goes on compiling.
///
/// Every method answers exactly once, at the latest one tick after the query deadline
/// ([`Config::query_timeout`](crate::Config::query_timeout)). The time begins with the call, or when the future is first
/// polled, where there is something to check before; so do not keep a future for later. Dropping it cancels the call: its
/// place is freed, and a lookup that nobody else waits for ends. A publishing call that has already signed its change is
/// not undone by that.
///
/// A [`PackageId`] without an owner is a question ("whose?"): it resolves to this node's own package of that
/// name, else the pinned owner, else the only owner who claims the name or whose package of that name is in the
/// catalogue, else [`Error::Ambiguous`](crate::Error::Ambiguous).
pub trait Registry: Send + Sync {
    /// Publishes a release for this node's owner, which is itself unless another one has delegated it: validates,
    /// signs, stores locally, puts the records into the DHT, and announces once peers hold them.
    ///
    /// Publishing the same manifest again is not an error: it puts and announces it anew.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) or [`TooLarge`](crate::Error::TooLarge) for a manifest that cannot
    /// be published, [`Conflict`](crate::Error::Conflict) where the version exists with another content, or with other
    /// build metadata, [`Withdrawn`](crate::Error::Withdrawn) where the package was withdrawn, which is final.
    fn register(&self, manifest: Manifest) -> BoxFuture<'_, Result<Receipt>>;

    /// The newest release: the highest version that is neither yanked nor a pre-release, else the highest
    /// that is not yanked, else the highest. Where the identifier names a version, that release.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) once the lookup is exhausted,
    /// [`Withdrawn`](crate::Error::Withdrawn), [`Ambiguous`](crate::Error::Ambiguous),
    /// [`NoPeers`](crate::Error::NoPeers) or [`NoRoom`](crate::Error::NoRoom) where nobody could be asked.
    fn get_package(&self, package: PackageId) -> BoxFuture<'_, Result<Package>>;

    /// One release by its version, yanked or not. Build metadata tells no releases apart: `1.0.0` finds `1.0.0+linux`.
    ///
    /// # Errors
    /// As [`get_package`](Self::get_package).
    fn get_version(&self, package: PackageId, version: Version) -> BoxFuture<'_, Result<Package>>;

    /// The newest release that a [`Requirement`] takes: `^1.2`, `>=1, <3`, `*`. A pre-release is only taken where the
    /// requirement names one of the same version, and a yanked release only by its exact version. A version in the
    /// identifier is passed over.
    ///
    /// It costs what [`get_version`](Self::get_version) costs: one lookup of the head where that tells all, one of the
    /// release where that is not the newest, and one of each page of the list between the head and the place where the
    /// release stands or would stand. A requirement without a lower bound that nothing meets reads all pages.
    ///
    /// ```
    /// use peerage::{Package, Registry, Result};
    ///
    /// async fn install(registry: &dyn Registry) -> Result<Package> {
    ///     registry.resolve("tiny-http".parse()?, "^1.2".parse()?).await
    /// }
    ///
    /// // What a release needs, as its manifest says.
    /// async fn dependencies(registry: &dyn Registry, package: &Package) -> Result<Vec<Package>> {
    ///     let mut needed = Vec::new();
    ///     for dependency in &package.manifest.dependencies {
    ///         let requirement = dependency.requirement.clone().into();
    ///         needed.push(registry.resolve(dependency.package(), requirement).await?);
    ///     }
    ///     Ok(needed)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NoMatch`](crate::Error::NoMatch), with the releases that there are, where none will do; else as
    /// [`get_package`](Self::get_package).
    fn resolve(
        &self,
        package: PackageId,
        requirement: Requirement,
    ) -> BoxFuture<'_, Result<Package>>;

    /// All releases of a package, newest version first.
    ///
    /// # Errors
    /// As [`get_package`](Self::get_package).
    fn list_versions(&self, package: PackageId) -> BoxFuture<'_, Result<Versions>>;

    /// Packages that match, in the order that is wanted: this node's own, and those in its catalogue, which it has heard
    /// announced, read, or learnt from the catalogues of others. The answer says how many there are, and whether any
    /// were left out. See [`Handle::search_peers`](crate::Handle::search_peers) for those that connected peers know of.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) for a query that cannot match anything.
    fn search(&self, query: Query) -> BoxFuture<'_, Result<SearchResults>>;

    /// Marks one of this node's own releases as not recommended. It stays readable by version, so that
    /// what already depends on it goes on working. Yanking it again changes nothing.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) where this node publishes no such release.
    fn yank(&self, package: PackageName, version: Version) -> BoxFuture<'_, Result<Receipt>> {
        self.yank_with_reason(package, version, String::new())
    }

    /// As [`yank`](Self::yank), and says why, to everybody who reads the release: one line of at most 100 bytes. Yanked
    /// again for another reason, the release has that one.
    ///
    /// # Errors
    /// As [`yank`](Self::yank), and [`Invalid`](crate::Error::Invalid) for a reason that is too long or has several lines,
    /// and for one that the head has no room for beside what was taken back in the last 30 days (see
    /// [`unyank`](Self::unyank)).
    fn yank_with_reason(
        &self,
        package: PackageName,
        version: Version,
        reason: String,
    ) -> BoxFuture<'_, Result<Receipt>>;

    /// Takes a yank back: the release is recommended again, with all that have heard of it, whenever they have heard of
    /// the yank. Where it is not yanked, nothing changes.
    ///
    /// For 30 days the package's head says since when that is so, lest an older head undo it. It has room for at least 12
    /// such releases of short versions, and for about 30 where the package is not deprecated.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) where this node publishes no such release, and
    /// [`Invalid`](crate::Error::Invalid) where the head has no room to say so.
    fn unyank(&self, package: PackageName, version: Version) -> BoxFuture<'_, Result<Receipt>>;

    /// Says of one of this node's own packages that it should not be used any more, and what to do instead. All of it
    /// stays: readers are told, and a search puts it last.
    ///
    /// ```
    /// use peerage::{Deprecation, Registry, Result};
    ///
    /// async fn retire(registry: &dyn Registry) -> Result<()> {
    ///     let deprecation = Deprecation::new("unmaintained: the standard library has it");
    ///     registry.deprecate("tiny-http".parse()?, deprecation).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) where this node publishes no such package, and
    /// [`Invalid`](crate::Error::Invalid) for a text or a successor that cannot be, or for one that the head has no room
    /// for beside the yanks that were taken back in the last 30 days (see [`unyank`](Self::unyank)).
    fn deprecate(
        &self,
        package: PackageName,
        deprecation: Deprecation,
    ) -> BoxFuture<'_, Result<Receipt>>;

    /// Takes a deprecation back. Where there is none, nothing changes.
    ///
    /// # Errors
    /// As [`deprecate`](Self::deprecate).
    fn undeprecate(&self, package: PackageName) -> BoxFuture<'_, Result<Receipt>>;

    /// Withdraws one of this node's own packages for good: publishes the tombstone, announces it, and purges
    /// every local trace but the tombstone itself.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) where this node publishes no such package, and
    /// [`Invalid`](crate::Error::Invalid) where its peers say that its clock is wrong, and the head of the package would
    /// outlive a tombstone that is signed by it.
    fn unregister(&self, package: PackageName) -> BoxFuture<'_, Result<Receipt>>;

    /// What this registry says of itself.
    ///
    /// # Errors
    /// Only [`ShuttingDown`](crate::Error::ShuttingDown) and [`Timeout`](crate::Error::Timeout).
    fn metadata(&self) -> BoxFuture<'_, Result<RegistryMetadata>>;
}

/// What a registry node says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RegistryMetadata {
    /// The node's identity: who it is to its peers.
    pub peer_id: PeerId,
    /// The owner of what it publishes: itself, or who has
    /// [delegated](crate::NodeBuilder::with_delegation) that to it.
    pub owner: PeerId,
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Whether it serves the DHT or only asks.
    pub mode: DhtMode,
    /// Where it listens now.
    pub addresses: Vec<Multiaddr>,
    /// Where it stands, if configured.
    pub location: Option<GeoLocation>,
    /// For how long it has been running, in whole seconds. As text such as `2h 5m 1s` where it is written down.
    #[serde(with = "humantime_serde")]
    pub uptime: Duration,
    /// By how much its clock differs from its peers', if any of those connected has said what time it is.
    pub clock: Option<ClockOffset>,
    /// Connected peers.
    pub peers: u32,
    /// What the connections with them are kept for.
    pub connections: KeptConnections,
    /// How many peers it stays connected with: [`Limits::connection_target`](crate::Limits::connection_target), or fewer
    /// where that would leave no room for newcomers.
    pub connection_target: u32,
    /// Peers in its routing table: those whom it can ask, connected or not.
    pub routing_table: u32,
    /// Packages of its own, withdrawn ones not counted.
    pub own_packages: u32,
    /// Packages of others in its catalogue: those that it has heard of, withdrawn ones not counted.
    pub known_packages: u32,
    /// The size of all heads in the catalogue, withdrawn and own ones among them, with their keywords, in bytes. But for
    /// its own, [`Limits::catalogue_bytes`](crate::Limits::catalogue_bytes) bounds it.
    pub catalogue_bytes: u64,
    /// Which packages of others the catalogue is about.
    pub coverage: Coverage,
    /// Records that it holds for the network, its own included.
    pub records: u32,
    /// The size of those that it holds for others, in bytes on the wire:
    /// [`Limits::store_bytes`](crate::Limits::store_bytes) bounds it.
    pub record_bytes: u64,
    /// What it says of its [storage](crate::storage), if it has one.
    pub storage: Option<StorageReport>,
    /// What it has done since it started.
    pub counters: Counters,
}

impl crate::counters::Answer for RegistryMetadata {}
