//! What records say of a package, as callers are told it.

use crate::{
    package::{Manifest, Package, PackageId, Source},
    record::Head,
};

/// The release that a head recommends.
pub(super) fn newest(head: &Head, source: Source) -> Option<Package> {
    let latest = head.latest()?.clone();
    // One that is further down the list than what the head holds of it is not yanked: only those that are, and
    // pre-releases, are passed over.
    let listed = head.releases().iter().find(|entry| entry.version == latest.version);
    Some(package_of(head, latest, listed.is_some_and(|entry| entry.yanked), source))
}

/// The release of this manifest.
pub(super) fn package_of(head: &Head, manifest: Manifest, yanked: bool, source: Source) -> Package {
    let id = PackageId::owned(head.owner, head.name.clone()).with_version(manifest.version.clone());
    let (notes, sequence) = (head.notes(), head.revision.sequence);
    let yank_reason = notes.reason(&manifest.version).filter(|_| yanked).map(str::to_owned);
    let deprecated = notes.deprecation().cloned();
    Package { id, owner: head.owner, manifest, yanked, yank_reason, deprecated, sequence, source }
}
