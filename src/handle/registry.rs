//! A handle as a registry.

use futures::{
    FutureExt, TryFutureExt,
    future::{BoxFuture, ready},
};
use semver::Version;

use super::Handle;
use crate::{
    counters::{Answer, CallKind, EndedCall},
    engine::command::Command,
    error::Result,
    freshness::Freshness,
    package::{
        Deprecation, Manifest, Package, PackageId, PackageName, Query, Receipt, Requirement,
        SearchResults, Versions,
    },
    record::check_reason,
    registry::{Registry, RegistryMetadata},
};

impl Handle {
    /// The newest release of a package, where it is known without asking the node, and will do. It counts as a call.
    fn at_hand(
        &self,
        package: &PackageId,
        will_do: impl FnOnce(&Package) -> bool,
    ) -> Option<Package> {
        if self.freshness != Freshness::First {
            return None;
        }
        let newest = self.shared.shelf.get(package, &*self.shared.clock)?;
        will_do(&newest).then(|| {
            self.shared.shelf.count(EndedCall(CallKind::Get, newest.end()));
            Package::clone(&newest)
        })
    }
}

impl Registry for Handle {
    fn register(&self, manifest: Manifest) -> BoxFuture<'_, Result<Receipt>> {
        async move {
            self.unless_refused(CallKind::Register, manifest.validate())?;
            let manifest = Box::new(manifest);
            let confirmation = self.confirmation;
            self.ask(|reply| Command::Register { manifest, confirmation, reply }).await
        }
        .boxed()
    }

    /// What this node publishes itself, or has read or heard announced a short while ago, is answered on the
    /// spot, without waiting for the node to be polled: by a handle whose [`Freshness`] is [`Freshness::First`].
    fn get_package(&self, package: PackageId) -> BoxFuture<'_, Result<Package>> {
        if let Some(newest) = self.at_hand(&package, |_| true) {
            return ready(Ok(newest)).boxed();
        }
        let freshness = self.freshness;
        self.ask(move |reply| Command::GetPackage { package, freshness, reply })
            .map_ok(|package| *package)
            .boxed()
    }

    fn get_version(&self, package: PackageId, version: Version) -> BoxFuture<'_, Result<Package>> {
        let (package, freshness) = (package.with_version(version), self.freshness);
        self.ask(move |reply| Command::GetPackage { package, freshness, reply })
            .map_ok(|package| *package)
            .boxed()
    }

    /// Where the newest release is what is required, and is at hand, it is answered on the spot, as
    /// [`get_package`](Self::get_package) is.
    fn resolve(
        &self,
        package: PackageId,
        requirement: Requirement,
    ) -> BoxFuture<'_, Result<Package>> {
        let (package, freshness) = (package.without_version(), self.freshness);
        if let Some(newest) = self.at_hand(&package, |newest| requirement.is_met_by_newest(newest))
        {
            return ready(Ok(newest)).boxed();
        }
        let asked = Box::new((package, requirement));
        self.ask(move |reply| Command::Resolve { asked, freshness, reply })
            .map_ok(|package| *package)
            .boxed()
    }

    fn list_versions(&self, package: PackageId) -> BoxFuture<'_, Result<Versions>> {
        let freshness = self.freshness;
        self.ask(move |reply| Command::ListVersions { package, freshness, reply }).boxed()
    }

    fn search(&self, query: Query) -> BoxFuture<'_, Result<SearchResults>> {
        async move {
            self.unless_refused(CallKind::Search, query.validate())?;
            let query = Box::new(query);
            self.ask(|reply| Command::Search { query, reply }).await
        }
        .boxed()
    }

    fn yank_with_reason(
        &self,
        package: PackageName,
        version: Version,
        reason: String,
    ) -> BoxFuture<'_, Result<Receipt>> {
        async move {
            self.unless_refused(CallKind::Yank, check_reason(&reason))?;
            let (of, confirmation) = (Box::new((package, version)), self.confirmation);
            self.ask(|reply| Command::Yank { of, reason, confirmation, reply }).await
        }
        .boxed()
    }

    fn unyank(&self, package: PackageName, version: Version) -> BoxFuture<'_, Result<Receipt>> {
        let (of, confirmation) = (Box::new((package, version)), self.confirmation);
        self.ask(move |reply| Command::Unyank { of, confirmation, reply }).boxed()
    }

    fn deprecate(
        &self,
        package: PackageName,
        deprecation: Deprecation,
    ) -> BoxFuture<'_, Result<Receipt>> {
        async move {
            self.unless_refused(CallKind::Deprecate, deprecation.validate())?;
            let (name, said) = (package, Some(Box::new(deprecation)));
            let confirmation = self.confirmation;
            self.ask(|reply| Command::Deprecate { name, said, confirmation, reply }).await
        }
        .boxed()
    }

    fn undeprecate(&self, package: PackageName) -> BoxFuture<'_, Result<Receipt>> {
        let (name, said, confirmation) = (package, None, self.confirmation);
        self.ask(move |reply| Command::Deprecate { name, said, confirmation, reply }).boxed()
    }

    fn unregister(&self, package: PackageName) -> BoxFuture<'_, Result<Receipt>> {
        let (name, confirmation) = (package, self.confirmation);
        self.ask(move |reply| Command::Unregister { name, confirmation, reply }).boxed()
    }

    fn metadata(&self) -> BoxFuture<'_, Result<RegistryMetadata>> {
        self.ask(|reply| Command::Metadata { reply }).boxed()
    }
}
