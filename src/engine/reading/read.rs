//! Reading a package: whose is it (`claimants.rs`), what does its head say, which release is meant (`which.rs`).
//!
//! ```text
//!  Claims ──one owner──▶ Head ──newest is meant─────────────────▶ answer
//!                          │ ──a listed version is meant──▶ Release ──▶ answer
//!                          └──the list goes on──▶ Pages ──▶ (Release) ──▶ answer
//! ```

use libp2p::PeerId;

use self::{
    claimants::only_owner,
    which::{Choice, no_match},
};
use crate::{
    counters::{CallKind, EndedCall},
    engine::{command::Reply, packages::package_of},
    error::{Error, Result},
    freshness::Freshness,
    package::{
        Package, PackageId, PackageName, SimilarName, Source, Versions, owner_from_key, owner_key,
    },
    record::{ClaimSet, Head, NetworkName, Record, RecordKey, ReleaseEntry, ReleaseList, Signed},
};

pub(in crate::engine) use self::which::Which;

mod claimants;
mod which;

/// What the caller wants to know of the package.
#[derive(Debug)]
pub(in crate::engine) enum Goal {
    /// One release.
    Package(Reply<Box<Package>>),
    /// The whole list.
    Versions(Reply<Versions>),
}

/// A read under way. It asks for one record after the other; whence they come is the engine's business.
#[derive(Debug)]
pub(in crate::engine) struct Read {
    wanted: Wanted,
    stage: Stage,
}

/// What is read. Thousands of these may wait, so an owner is kept as the bare key.
#[derive(Debug)]
struct Wanted {
    name: PackageName,
    which: Which,
    whose: Whose,
    freshness: Freshness,
    /// Where the head came from. What was partial once makes the answer partial, and an owner whom the catalogue alone
    /// has named makes it the catalogue's.
    source: Source,
    /// Names that may have been meant, once it is known that this one is not there.
    #[expect(clippy::box_collection, reason = "most reads have none, and thousands may wait")]
    similar: Option<Box<Vec<SimilarName>>>,
}

/// Whose package is read.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// The caller named the owner.
    Named([u8; 32]),
    /// The bare name means this owner's.
    Resolved([u8; 32]),
    /// Nobody else's package of that name is known, though nobody was found to claim it.
    Listed([u8; 32]),
    /// That is to be found out.
    Unknown,
}

#[derive(Debug)]
enum Stage {
    Claims(Goal),
    Head(Goal),
    Pages(Box<Pages>),
    Release(Box<Release>),
}

/// A head, and a list that goes on.
#[derive(Debug)]
struct Pages {
    goal: Goal,
    head: Signed<Head>,
    list: ReleaseList,
    next: RecordKey,
}

/// A head, and the release in its list that is meant.
#[derive(Debug)]
struct Release {
    reply: Reply<Box<Package>>,
    head: Signed<Head>,
    entry: ReleaseEntry,
}

/// How a read goes on after a record.
#[derive(Debug)]
pub(in crate::engine) enum Progress {
    /// It needs another record.
    More(Read),
    /// Its caller has been answered.
    Answered(EndedCall),
}

impl Read {
    /// A read of a package, and what a bare name is known to mean. Answers at once where the owner's identity is
    /// none that can own packages.
    pub(in crate::engine) fn begin(
        package: PackageId,
        which: Which,
        known_owner: Option<PeerId>,
        freshness: Freshness,
        goal: Goal,
    ) -> Progress {
        let (named, name, _) = package.into_parts();
        let whose = match (named, known_owner) {
            (Some(owner), _) => owner_key(&owner).map(Whose::Named),
            (None, Some(owner)) => owner_key(&owner).map(Whose::Resolved),
            (None, None) => Some(Whose::Unknown),
        };
        let Some(whose) = whose else {
            let reason = "only Ed25519 keys (`12D3KooW…`) own packages";
            return Progress::Answered(goal.fail(Error::invalid("owner", reason)));
        };
        let stage = match whose {
            Whose::Named(_) | Whose::Resolved(_) | Whose::Listed(_) => Stage::Head(goal),
            Whose::Unknown => Stage::Claims(goal),
        };
        let wanted = Wanted { name, which, whose, freshness, source: Source::Own, similar: None };
        wanted.go_on(stage)
    }

    /// Whether the caller did not say whose package is meant, and claims or a pin have: what is merely listed decides
    /// for this once.
    pub(in crate::engine) fn is_claimed(&self) -> bool {
        match self.wanted.whose {
            Whose::Named(_) | Whose::Listed(_) => false,
            Whose::Resolved(_) | Whose::Unknown => true,
        }
    }

    /// The package whose head it needs next.
    pub(in crate::engine) fn subject(&self) -> Option<(PackageName, PeerId)> {
        match &self.stage {
            Stage::Head(_) => Some((self.wanted.name.clone(), self.wanted.owner()?)),
            Stage::Claims(_) | Stage::Pages(_) | Stage::Release(_) => None,
        }
    }

    /// The name of which it needs the claims next.
    pub(in crate::engine) fn claims_wanted(&self) -> Option<&PackageName> {
        matches!(self.stage, Stage::Claims(_)).then_some(&self.wanted.name)
    }

    /// The name of the package.
    pub(in crate::engine) fn name(&self) -> &PackageName {
        &self.wanted.name
    }

    /// Whose package is read, where the caller has said so.
    pub(in crate::engine) fn named_owner(&self) -> Option<PeerId> {
        match self.wanted.whose {
            Whose::Named(_) => self.wanted.owner(),
            Whose::Resolved(_) | Whose::Listed(_) | Whose::Unknown => None,
        }
    }

    /// What may have been meant, should it not be found.
    pub(in crate::engine) fn suggest(&mut self, similar: Vec<SimilarName>) {
        self.wanted.similar = (!similar.is_empty()).then(|| Box::new(similar));
    }

    /// Whether these claims name nobody whose package of that name there is, and nobody's is listed either.
    pub(in crate::engine) fn is_in_vain(&self, claims: &ClaimSet, listed: &[PeerId]) -> bool {
        listed.is_empty() && claims.active_owners(&self.wanted.name).is_empty()
    }

    /// Whether the answer will be no more than a part.
    pub(in crate::engine) fn is_partial(&self) -> bool {
        self.wanted.source == Source::Partial
    }

    /// Its time is up: it is content with whatever is known from here on, and says so.
    pub(in crate::engine) fn make_do(&mut self) {
        self.wanted.freshness = Freshness::First;
        self.wanted.source = Source::Partial;
    }

    /// The record that it needs next.
    pub(in crate::engine) fn wants(&self, network: &NetworkName) -> RecordKey {
        let name = &self.wanted.name;
        match (&self.stage, self.wanted.owner()) {
            (Stage::Pages(pages), _) => pages.next,
            (Stage::Release(release), _) => {
                let Release { head, entry, .. } = &**release;
                RecordKey::release(network, &head.owner, name, &entry.version)
            }
            (Stage::Head(_), Some(owner)) => RecordKey::head(network, &owner, name),
            // A head is only read once it is known whose.
            (Stage::Claims(_) | Stage::Head(_), _) => RecordKey::claims(network, name),
        }
    }

    /// How many replicas of that record are to be heard. What is written once is the same in all of them.
    pub(in crate::engine) fn freshness(&self) -> Freshness {
        match self.stage {
            Stage::Claims(_) | Stage::Head(_) => self.wanted.freshness,
            Stage::Pages(_) | Stage::Release(_) => Freshness::First,
        }
    }

    /// Whether a record is the one that it needs: a mirror may not mix another release into a list.
    pub(in crate::engine) fn accepts(&self, record: &Record) -> bool {
        match (&self.stage, record) {
            (Stage::Claims(_), Record::Claims { .. })
            | (Stage::Head(_), Record::Head(_))
            // A page's key is made of its digest, so it can be no other.
            | (Stage::Pages(_), Record::Page(_)) => true,
            (Stage::Release(wanted), Record::Release(release)) => wanted.entry.is_of(release),
            _ => false,
        }
    }

    /// Goes on with the record that it needed.
    pub(in crate::engine) fn take(self, record: &Record, source: Source) -> Progress {
        let Self { wanted, stage } = self;
        match (stage, record) {
            (Stage::Claims(goal), Record::Claims { set, .. }) => {
                wanted.take_claims(goal, Some(set), &[], source)
            }
            (Stage::Head(goal), Record::Head(head)) => wanted.take_head(goal, head, source),
            (Stage::Pages(mut pages), Record::Page(page)) => match pages.list.accept(page) {
                Ok(()) => {
                    let Pages { goal, head, list, .. } = *pages;
                    wanted.follow(goal, &head, list)
                }
                Err(_) => {
                    let read = Self { wanted, stage: Stage::Pages(pages) };
                    Progress::Answered(read.not_found())
                }
            },
            (Stage::Release(listed), Record::Release(release)) if listed.entry.is_of(release) => {
                let Release { reply, head, entry } = *listed;
                let manifest = release.manifest.clone();
                let package = package_of(&head, manifest, entry.yanked, wanted.source);
                answer_with(reply, Ok(package))
            }
            // Not the release that the head lists, or (against its key) not the kind that was asked for.
            (stage, _) => Progress::Answered(Self { wanted, stage }.not_found()),
        }
    }

    /// Goes on with the claims to a name, if there are any, and the owners whose packages of that name are listed.
    pub(in crate::engine) fn take_claims(
        self,
        claims: Option<&ClaimSet>,
        listed: &[PeerId],
        source: Source,
    ) -> Progress {
        match self.stage {
            Stage::Claims(goal) => self.wanted.take_claims(goal, claims, listed, source),
            stage => Progress::More(Self { wanted: self.wanted, stage }),
        }
    }

    /// As [`take`](Self::take), with a head that need not be wrapped up as a record.
    pub(in crate::engine) fn take_head(self, head: &Signed<Head>, source: Source) -> Progress {
        match self.stage {
            Stage::Head(goal) => self.wanted.take_head(goal, head, source),
            stage => Progress::More(Self { wanted: self.wanted, stage }),
        }
    }

    /// Nobody holds the record that it needs.
    pub(in crate::engine) fn not_found(self) -> EndedCall {
        self.not_found_because(None)
    }

    /// Nobody holds the record that it needs, and this is known of the reason.
    pub(in crate::engine) fn not_found_because(self, reason: Option<String>) -> EndedCall {
        let id = self.wanted.called();
        let error = match &self.stage {
            Stage::Claims(_) | Stage::Head(_) => self.wanted.not_found(),
            Stage::Pages(_) => Error::not_found(format!(
                "`{id}`: no reachable peer holds all its list of releases"
            )),
            Stage::Release(_) => {
                Error::not_found(format!("`{id}`: listed, but no reachable peer holds the release"))
            }
        };
        self.fail(error.because(reason))
    }

    /// What its caller has asked for.
    pub(in crate::engine) fn kind(&self) -> CallKind {
        match &self.stage {
            Stage::Claims(goal) | Stage::Head(goal) => goal.kind(),
            Stage::Pages(pages) => pages.goal.kind(),
            Stage::Release(_) => CallKind::Get,
        }
    }

    /// Answers with an error.
    pub(in crate::engine) fn fail(self, error: Error) -> EndedCall {
        match self.stage {
            Stage::Claims(goal) | Stage::Head(goal) => goal.fail(error),
            Stage::Pages(pages) => pages.goal.fail(error),
            Stage::Release(release) => Goal::Package(release.reply).fail(error),
        }
    }
}

impl Wanted {
    fn go_on(self, stage: Stage) -> Progress {
        Progress::More(Read { wanted: self, stage })
    }

    fn owner(&self) -> Option<PeerId> {
        match &self.whose {
            Whose::Named(key) | Whose::Resolved(key) | Whose::Listed(key) => owner_from_key(key),
            Whose::Unknown => None,
        }
    }

    /// The package and what of it is wanted, as the caller named them.
    fn called(&self) -> String {
        let id = PackageId::named(self.name.clone());
        let id = match (self.whose, self.owner()) {
            (Whose::Named(_), Some(owner)) => id.with_owner(owner),
            _ => id,
        };
        format!("{id}{}", self.which)
    }

    fn not_found(&self) -> Error {
        let similar = self.similar.as_deref().cloned().unwrap_or_default();
        Error::NotFound { what: format!("`{}`", self.called()), similar }
    }

    fn came_from(&mut self, source: Source) {
        self.source = match (self.source, source) {
            (Source::Partial, _) | (_, Source::Partial) => Source::Partial,
            // Whoever holds the head, that this owner is meant is what the catalogue alone says.
            _ if matches!(self.whose, Whose::Listed(_)) => Source::Catalogue,
            (_, source) => source,
        };
    }

    fn take_claims(
        mut self,
        goal: Goal,
        claims: Option<&ClaimSet>,
        listed: &[PeerId],
        source: Source,
    ) -> Progress {
        self.came_from(source);
        let owner = match only_owner(&self.name, claims, listed) {
            Ok(Some(owner)) => owner,
            Ok(None) => return Progress::Answered(goal.fail(self.not_found())),
            Err(error) => return Progress::Answered(goal.fail(error)),
        };
        // Nobody else can sign a claim or a head.
        let Some(key) = owner_key(&owner) else {
            return Progress::Answered(goal.fail(self.not_found()));
        };
        let is_claimed = claims.is_some_and(|claims| claims.of(&owner, &self.name).is_some());
        self.whose = if is_claimed { Whose::Resolved(key) } else { Whose::Listed(key) };
        self.go_on(Stage::Head(goal))
    }

    fn take_head(mut self, goal: Goal, head: &Signed<Head>, source: Source) -> Progress {
        self.came_from(source);
        if head.is_withdrawn() {
            let id = PackageId::owned(head.owner, head.name.clone());
            return Progress::Answered(goal.fail(Error::Withdrawn { id }));
        }
        match goal {
            // The usual questions need no list.
            Goal::Package(reply) => match self.which.choose(head, head.releases(), false) {
                Some(Choice::Latest { yanked }) => self.answer_latest(reply, head, yanked),
                _ => self.follow(Goal::Package(reply), head, ReleaseList::of(head)),
            },
            goal => self.follow(goal, head, ReleaseList::of(head)),
        }
    }

    fn answer_latest(
        self,
        reply: Reply<Box<Package>>,
        head: &Signed<Head>,
        yanked: bool,
    ) -> Progress {
        let latest = head.latest().ok_or_else(|| self.not_found());
        answer_with(
            reply,
            latest.map(|latest| package_of(head, latest.clone(), yanked, self.source)),
        )
    }

    /// With the head and as much of the list as is known: answers, or asks for what is missing.
    fn follow(self, goal: Goal, head: &Signed<Head>, list: ReleaseList) -> Progress {
        let next = list.awaits();
        let reply = match (goal, next) {
            (Goal::Versions(reply), None) => {
                let end = reply.send(Ok(versions_of(head, list, self.source)));
                return Progress::Answered(EndedCall(CallKind::Versions, end));
            }
            (goal @ Goal::Versions(_), Some(next)) => {
                let head = head.clone();
                return self.go_on(Stage::Pages(Box::new(Pages { goal, head, list, next })));
            }
            (Goal::Package(reply), _) => reply,
        };
        let is_read = self.which.is_read(&list);
        let next = next.filter(|_| !is_read);
        match (self.which.choose(head, list.releases(), is_read), next) {
            (Some(Choice::Latest { yanked }), _) => self.answer_latest(reply, head, yanked),
            (Some(Choice::Listed(entry)), _) => {
                let (head, entry) = (head.clone(), entry.clone());
                self.go_on(Stage::Release(Box::new(Release { reply, head, entry })))
            }
            (None, Some(next)) => {
                let (goal, head) = (Goal::Package(reply), head.clone());
                self.go_on(Stage::Pages(Box::new(Pages { goal, head, list, next })))
            }
            (None, None) => {
                let error = match &self.which {
                    Which::Matching(_) => no_match(self.called(), &head.notes(), list),
                    Which::Newest | Which::Named(_) => self.not_found(),
                };
                Progress::Answered(Goal::Package(reply).fail(error))
            }
        }
    }
}

impl Goal {
    fn kind(&self) -> CallKind {
        match self {
            Self::Package(_) => CallKind::Get,
            Self::Versions(_) => CallKind::Versions,
        }
    }

    fn fail(self, error: Error) -> EndedCall {
        let kind = self.kind();
        let end = match self {
            Self::Package(reply) => reply.send(Err(error)),
            Self::Versions(reply) => reply.send(Err(error)),
        };
        EndedCall(kind, end)
    }
}

/// Answers with the package that was asked for.
fn answer_with(reply: Reply<Box<Package>>, answer: Result<Package>) -> Progress {
    let end = reply.send(answer.map(Box::new));
    Progress::Answered(EndedCall(CallKind::Get, end))
}

/// The whole list of releases that a head begins.
fn versions_of(head: &Head, list: ReleaseList, source: Source) -> Versions {
    let notes = head.notes();
    let releases = list.into_releases().into_iter().map(|entry| entry.into_info(&notes));
    Versions {
        owner: head.owner,
        name: head.name.clone(),
        releases: releases.collect(),
        deprecated: notes.deprecation().cloned(),
        sequence: head.revision.sequence,
        source,
    }
}
