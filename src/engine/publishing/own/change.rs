//! The changes that an owner makes, and what each does to what is known of the package.

use semver::Version;

use super::{base::Base, said::Said};
use crate::{
    counters::CallKind,
    engine::signer::Signer,
    error::{Error, Result},
    package::{Deprecation, Manifest, PackageId, PackageName},
    record::{DeprecationNote, Notes, Release, ReleaseEntry, Signed, check_successor},
};

/// A change that the owner makes.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Change {
    Register(Box<Manifest>),
    Yank {
        name: PackageName,
        version: Version,
        reason: String,
    },
    Unyank {
        name: PackageName,
        version: Version,
    },
    /// `None` takes it back.
    Deprecate {
        name: PackageName,
        deprecation: Option<Box<Deprecation>>,
    },
    Unregister {
        name: PackageName,
    },
    /// Nothing changes, but what stands is put again, and signed anew before it expires.
    Renew {
        name: PackageName,
    },
    /// What was heard of the package is taken in. Only what is new by that is put: another device with a long list of
    /// releases would else make this one put all of them with each head that it signs.
    Merge {
        name: PackageName,
    },
}

impl Change {
    pub(in crate::engine) fn name(&self) -> &PackageName {
        match self {
            Self::Register(manifest) => &manifest.name,
            Self::Yank { name, .. }
            | Self::Unyank { name, .. }
            | Self::Deprecate { name, .. }
            | Self::Unregister { name }
            | Self::Renew { name }
            | Self::Merge { name } => name,
        }
    }

    /// Whether the node does it by itself.
    pub(in crate::engine) fn is_upkeep(&self) -> bool {
        matches!(self, Self::Renew { .. } | Self::Merge { .. })
    }

    /// What its caller has asked for.
    pub(in crate::engine) fn kind(&self) -> Option<CallKind> {
        match self {
            Self::Register(_) => Some(CallKind::Register),
            Self::Yank { .. } | Self::Unyank { .. } => Some(CallKind::Yank),
            Self::Deprecate { .. } => Some(CallKind::Deprecate),
            Self::Unregister { .. } => Some(CallKind::Unregister),
            Self::Renew { .. } | Self::Merge { .. } => None,
        }
    }

    fn version(&self) -> Option<&Version> {
        match self {
            Self::Register(manifest) => Some(&manifest.version),
            Self::Yank { version, .. } | Self::Unyank { version, .. } => Some(version),
            Self::Deprecate { .. }
            | Self::Unregister { .. }
            | Self::Renew { .. }
            | Self::Merge { .. } => None,
        }
    }

    /// Makes the change to what is known of the package.
    pub(super) fn make(&self, base: &mut Base, signer: &Signer<'_>) -> Result<Made> {
        let id = PackageId::owned(signer.owner(), self.name().clone());
        let id = match self.version() {
            Some(version) => id.with_version(version.clone()),
            None => id,
        };
        if base.withdrawn {
            return match self {
                Self::Unregister { .. } | Self::Renew { .. } | Self::Merge { .. } => {
                    Ok(Made::of(id, false))
                }
                _ => Err(Error::Withdrawn { id: id.without_version() }),
            };
        }
        match self {
            Self::Register(manifest) => register(base, id, manifest, signer),
            _ if base.releases.is_empty() => Err(unknown(&id)),
            Self::Yank { version, reason, .. } => yank(base, id, version, reason, signer),
            Self::Unyank { version, .. } => unyank(base, id, version, signer),
            Self::Deprecate { deprecation, .. } => {
                deprecate(base, id, deprecation.as_deref(), signer)
            }
            Self::Unregister { .. } => {
                signer.check_end(base.is_endless)?;
                base.withdrawn = true;
                Ok(Made::of(id, true))
            }
            Self::Renew { .. } | Self::Merge { .. } => Ok(Made::of(id, false)),
        }
    }
}

/// A change that was made.
pub(super) struct Made {
    /// What was changed.
    pub(super) id: PackageId,
    /// Whether anything is different by that.
    pub(super) changes: bool,
    /// The release that it publishes.
    pub(super) fresh: Option<Signed<Release>>,
}

impl Made {
    fn of(id: PackageId, changes: bool) -> Self {
        Self { id, changes, fresh: None }
    }
}

fn unknown(id: &PackageId) -> Error {
    Error::not_found(format!("`{id}` among this node's own packages"))
}

/// The notes of a head are full of what has to stay in them.
fn no_room(what: &'static str, remedy: &str) -> Error {
    let reason = format!(
        "has no room beside the deprecation and the yanks that were taken back within 30 days: a head says it \
         of {} releases at the most, and in {} bytes; {remedy}",
        Notes::MAX_RELEASES,
        Notes::MAX_BYTES,
    );
    Error::invalid(what, reason)
}

fn register(
    base: &mut Base,
    id: PackageId,
    manifest: &Manifest,
    signer: &Signer<'_>,
) -> Result<Made> {
    let release = signer.release(manifest.clone())?;
    match base.entry(&manifest.version) {
        Some(entry) if entry.is_of(&release) => {
            base.records.insert(manifest.version.clone(), release);
            Ok(Made::of(id, false))
        }
        Some(entry) => {
            // It was signed by another key, or under another delegation, and says the same.
            let known = base.records.get(&manifest.version);
            if known.is_some_and(|known| known.manifest == *manifest) {
                return Ok(Made::of(id, false));
            }
            let reason = if entry.version == manifest.version {
                format!(
                    "`{id}` is published with another content; releases are written once, publish \
                     a new version"
                )
            } else {
                format!(
                    "`{id}` is the release that is published as {}: build metadata makes no other \
                     release, publish a new version",
                    entry.version
                )
            };
            Err(Error::Conflict { reason })
        }
        None => {
            if base.releases.is_empty()
                && let Some(reason) = manifest.name.unstorable()
            {
                return Err(Error::invalid("name", reason));
            }
            base.releases.push(ReleaseEntry::of(&release));
            base.releases.sort_unstable_by(|a, b| b.version.cmp(&a.version));
            base.records.insert(manifest.version.clone(), release.clone());
            Ok(Made { id, changes: true, fresh: Some(release) })
        }
    }
}

fn yank(
    base: &mut Base,
    id: PackageId,
    version: &Version,
    reason: &str,
    signer: &Signer<'_>,
) -> Result<Made> {
    let version = base.entry(version).ok_or_else(|| unknown(&id))?.version.clone();
    let changes = !base.said(&version).is_some_and(|said| said.is_yanked_for(reason));
    if changes {
        let revision = signer.revision_after(base.revision)?;
        base.say(&version, Said::now(revision, true, reason));
        if !base.gives_reason(&version, reason, signer.unix) {
            return Err(no_room("reason", "give a shorter reason, or none"));
        }
    }
    Ok(Made::of(id.with_version(version), changes))
}

fn unyank(base: &mut Base, id: PackageId, version: &Version, signer: &Signer<'_>) -> Result<Made> {
    let entry = base.entry(version).ok_or_else(|| unknown(&id))?;
    let (version, changes) = (entry.version.clone(), entry.yanked);
    if changes {
        let (revision, forgotten) =
            (signer.revision_after(base.revision)?, base.forgotten(signer.unix));
        base.say(&version, Said::now(revision, false, ""));
        if base.forgotten(signer.unix) > forgotten {
            let remedy = "wait until the first of them is 30 days old, or publish a new version";
            return Err(no_room("unyank", remedy));
        }
    }
    Ok(Made::of(id.with_version(version), changes))
}

fn deprecate(
    base: &mut Base,
    id: PackageId,
    deprecation: Option<&Deprecation>,
    signer: &Signer<'_>,
) -> Result<Made> {
    deprecation.map_or(Ok(()), |deprecation| check_successor(deprecation, &id))?;
    let known = base.deprecation.as_ref().and_then(|note| note.deprecation.as_ref());
    let changes = known != deprecation;
    if changes {
        let (changed, forgotten) =
            (signer.revision_after(base.revision)?, base.forgotten(signer.unix));
        base.deprecation = Some(DeprecationNote { changed, deprecation: deprecation.cloned() });
        if base.forgotten(signer.unix) > forgotten {
            return Err(no_room("deprecation", "write a shorter text"));
        }
    }
    Ok(Made::of(id, changes))
}
