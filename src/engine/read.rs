//! Reading a package: whose is it, what does its head say, which release is meant.
//!
//! ```text
//!  Claims ──one owner──▶ Head ──newest is meant─────────────────▶ answer
//!                          │ ──a listed version is meant──▶ Release ──▶ answer
//!                          └──the list goes on──▶ Pages ──▶ (Release) ──▶ answer
//! ```

use libp2p::PeerId;
use semver::Version;

use crate::{
    Error, NetworkName, Package, PackageId, PackageName, Result, Source, VersionInfo,
    command::Reply,
    record::{
        ClaimSet, ClaimStatus, Head, HeadState, Record, RecordKey, ReleaseEntry, ReleaseList,
        Signed,
    },
};

/// What the caller wants to know of the package.
#[derive(Debug)]
pub(super) enum Goal {
    /// One release: the one that the identifier names, or the newest.
    Package(Reply<Package>),
    /// The whole list.
    Versions(Reply<Vec<VersionInfo>>),
}

/// A read under way. It asks for one record after the other; whence they come is the engine's business.
#[derive(Debug)]
pub(super) struct Read {
    package: PackageId,
    stage: Stage,
    /// Where the head came from.
    source: Source,
}

#[derive(Debug)]
enum Stage {
    Claims { goal: Goal },
    Head { goal: Goal, owner: PeerId },
    Pages { goal: Goal, head: Signed<Head>, list: ReleaseList, next: RecordKey },
    Release { reply: Reply<Package>, head: Signed<Head>, entry: ReleaseEntry },
}

/// How a read goes on after a record.
#[derive(Debug)]
pub(super) enum Progress {
    /// It needs another record.
    More(Box<Read>),
    /// Its caller has been answered.
    Answered,
}

impl Read {
    /// A read of a package whose owner is known, or is to be found out.
    pub(super) fn new(package: PackageId, owner: Option<PeerId>, goal: Goal) -> Self {
        let stage = match owner {
            Some(owner) => Stage::Head { goal, owner },
            None => Stage::Claims { goal },
        };
        Self { package, stage, source: Source::Own }
    }

    /// The name of the package that is read.
    pub(super) fn name(&self) -> &PackageName {
        self.package.name()
    }

    /// Whether the caller did not say whose package is meant.
    pub(super) fn is_bare(&self) -> bool {
        self.package.owner().is_none()
    }

    /// The record that it needs next.
    pub(super) fn wants(&self, network: &NetworkName) -> RecordKey {
        let name = self.package.name();
        match &self.stage {
            Stage::Claims { .. } => RecordKey::claims(network, name),
            Stage::Head { owner, .. } => RecordKey::head(network, owner, name),
            Stage::Pages { next, .. } => *next,
            Stage::Release { head, entry, .. } => {
                RecordKey::release(network, &head.owner, name, &entry.version)
            }
        }
    }

    /// Whether a record is the one that it needs: a mirror may not mix another release into a list.
    pub(super) fn accepts(&self, record: &Record) -> bool {
        match (&self.stage, record) {
            (Stage::Claims { .. }, Record::Claims { .. })
            | (Stage::Head { .. }, Record::Head(_))
            // A page's key is made of its digest, so it can be no other.
            | (Stage::Pages { .. }, Record::Page(_)) => true,
            (Stage::Release { entry, .. }, Record::Release(release)) => entry.is_of(release),
            _ => false,
        }
    }

    /// Goes on with the record that it needed.
    pub(super) fn take(self, record: Record, source: Source) -> Progress {
        let Self { package, stage, source: head_source } = self;
        match (stage, record) {
            (Stage::Claims { goal }, Record::Claims { set, .. }) => match only_owner(&set) {
                Ok(owner) => Progress::More(Box::new(Self::new(package, Some(owner), goal))),
                Err(error) => goal.fail(error),
            },
            (Stage::Head { goal, .. }, Record::Head(head)) => {
                if head.is_withdrawn() {
                    let id = PackageId::owned(head.owner, head.name.clone());
                    return goal.fail(Error::Withdrawn { id });
                }
                let goal = match goal {
                    // The usual questions need no list.
                    Goal::Package(reply)
                        if package.version().is_none_or(|version| is_latest(&head, version)) =>
                    {
                        reply.send(newest(&head, source).ok_or_else(|| not_found(&package)));
                        return Progress::Answered;
                    }
                    goal => goal,
                };
                let list = ReleaseList::of(&head);
                Self::follow(package, goal, source, head, list)
            }
            (Stage::Pages { goal, head, mut list, next }, Record::Page(page)) => {
                match list.accept(&page) {
                    Ok(()) => Self::follow(package, goal, head_source, head, list),
                    Err(_) => {
                        let stage = Stage::Pages { goal, head, list, next };
                        Self { package, stage, source: head_source }.not_found()
                    }
                }
            }
            (Stage::Release { reply, head, entry }, Record::Release(release))
                if entry.is_of(&release) =>
            {
                let manifest = release.manifest.clone();
                reply.send(Ok(package_of(&head, manifest, entry.yanked, head_source)));
                Progress::Answered
            }
            // Not the release that the head lists, or (against its key) not the kind that was asked for.
            (stage, _) => Self { package, stage, source: head_source }.not_found(),
        }
    }

    /// With the head and as much of the list as is known: answers, or asks for what is missing.
    fn follow(
        package: PackageId,
        goal: Goal,
        source: Source,
        head: Signed<Head>,
        list: ReleaseList,
    ) -> Progress {
        let stage = match (goal, list.awaits()) {
            (Goal::Versions(reply), None) => {
                reply.send(Ok(list.into_releases().into_iter().map(version_info).collect()));
                return Progress::Answered;
            }
            (goal @ Goal::Versions(_), Some(next)) => Stage::Pages { goal, head, list, next },
            (Goal::Package(reply), next) => {
                let Some(version) = package.version() else {
                    reply.send(newest(&head, source).ok_or_else(|| not_found(&package)));
                    return Progress::Answered;
                };
                let entry = list.releases().iter().find(|entry| entry.version == *version);
                match (entry.cloned(), head.latest(), next) {
                    (Some(entry), Some(latest), _) if latest.version == entry.version => {
                        let manifest = latest.clone();
                        reply.send(Ok(package_of(&head, manifest, entry.yanked, source)));
                        return Progress::Answered;
                    }
                    (Some(entry), _, _) => Stage::Release { reply, head, entry },
                    (None, _, Some(next)) => {
                        Stage::Pages { goal: Goal::Package(reply), head, list, next }
                    }
                    (None, _, None) => return Goal::Package(reply).fail(not_found(&package)),
                }
            }
        };
        Progress::More(Box::new(Self { package, stage, source }))
    }

    /// Nobody holds the record that it needs.
    pub(super) fn not_found(self) -> Progress {
        let error = match &self.stage {
            Stage::Claims { .. } | Stage::Head { .. } => not_found(&self.package),
            Stage::Pages { .. } => Error::NotFound {
                what: format!(
                    "`{}`: no reachable peer holds all its list of releases",
                    self.package
                ),
            },
            Stage::Release { .. } => Error::NotFound {
                what: format!(
                    "`{}`: listed, but no reachable peer holds the release",
                    self.package
                ),
            },
        };
        self.fail(error)
    }

    /// Answers with an error.
    pub(super) fn fail(self, error: Error) -> Progress {
        match self.stage {
            Stage::Claims { goal } | Stage::Head { goal, .. } | Stage::Pages { goal, .. } => {
                goal.fail(error)
            }
            Stage::Release { reply, .. } => {
                reply.send(Err(error));
                Progress::Answered
            }
        }
    }
}

impl Goal {
    fn fail(self, error: Error) -> Progress {
        match self {
            Self::Package(reply) => reply.send(Err(error)),
            Self::Versions(reply) => reply.send(Err(error)),
        }
        Progress::Answered
    }
}

fn version_info(entry: ReleaseEntry) -> VersionInfo {
    VersionInfo { version: entry.version, digest: entry.digest, yanked: entry.yanked }
}

/// The owner that a bare name means, if there is only one. Somebody who has withdrawn does not stand in the
/// way of somebody who has not.
fn only_owner(claims: &ClaimSet) -> Result<PeerId> {
    let active = claims.active_owners();
    let name = claims.name().clone();
    match active.as_slice() {
        [owner] => Ok(*owner),
        [] => {
            let mut withdrawn =
                claims.iter().filter(|claim| claim.status == ClaimStatus::Withdrawn);
            match (withdrawn.next(), withdrawn.next()) {
                // Its head says that it is withdrawn, which is the better answer.
                (Some(claim), None) => Ok(claim.owner),
                _ => Err(Error::NotFound { what: format!("`{name}`") }),
            }
        }
        _ => Err(Error::Ambiguous { name, claimants: active }),
    }
}

fn not_found(package: &PackageId) -> Error {
    Error::NotFound { what: format!("`{package}`") }
}

/// The release that a head recommends.
pub(super) fn newest(head: &Head, source: Source) -> Option<Package> {
    let HeadState::Live { latest, releases, .. } = &head.state else { return None };
    // A release that is not among those in the head itself was passed over only if they are all yanked or
    // pre-releases, and then it is neither.
    let yanked = releases
        .iter()
        .find(|entry| entry.version == latest.version)
        .is_some_and(|entry| entry.yanked);
    Some(package_of(head, (**latest).clone(), yanked, source))
}

fn is_latest(head: &Head, version: &Version) -> bool {
    head.latest().is_some_and(|latest| latest.version == *version)
}

fn package_of(head: &Head, manifest: crate::Manifest, yanked: bool, source: Source) -> Package {
    let id = release_id(head, manifest.version.clone());
    Package { id, owner: head.owner, manifest, yanked, sequence: head.revision.sequence, source }
}

fn release_id(head: &Head, version: Version) -> PackageId {
    PackageId::owned(head.owner, head.name.clone()).with_version(version)
}
