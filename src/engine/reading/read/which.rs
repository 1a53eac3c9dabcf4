//! Which release of a package is meant, as far as its list is known.

use std::fmt;

use semver::Version;

use crate::{
    error::Error,
    package::{PackageId, Requirement},
    record::{Head, Notes, ReleaseEntry, ReleaseList},
};

/// How many releases an error names.
const NAMED_RELEASES: usize = 16;

/// Which release is wanted.
#[derive(Debug)]
pub(in crate::engine) enum Which {
    /// The one that the head recommends.
    Newest,
    /// The one of this version, whatever was said of it since.
    Named(Box<Version>),
    /// The newest that will do.
    Matching(Box<Requirement>),
}

/// Where the wanted release is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// In the head itself.
    Latest { yanked: bool },
    /// In a record of its own.
    Listed(&'a ReleaseEntry),
}

impl Which {
    /// The package that an identifier names, and which release of it.
    pub(in crate::engine) fn of(id: PackageId) -> (PackageId, Self) {
        let which =
            id.version().map_or(Self::Newest, |version| Self::Named(version.clone().into()));
        (id.without_version(), which)
    }

    /// Whether nothing is meant that is older than a release of this version. A list is in falling order.
    fn is_past(&self, version: &Version) -> bool {
        match self {
            Self::Newest => false,
            Self::Named(named) => version.cmp_precedence(named).is_lt(),
            Self::Matching(requirement) => requirement.is_past(version),
        }
    }

    /// Whether a list has been read as far as it matters.
    pub(super) fn is_read(&self, list: &ReleaseList) -> bool {
        let last = list.releases().last();
        list.awaits().is_none() || last.is_some_and(|last| self.is_past(&last.version))
    }

    /// Chooses among the releases that a list begins with, newest first. `None` where it is none of these: then it may
    /// be further down the list, unless that `is_read` as far as it matters.
    pub(super) fn choose<'a>(
        &self,
        head: &Head,
        listed: &'a [ReleaseEntry],
        is_read: bool,
    ) -> Option<Choice<'a>> {
        let latest = &head.latest()?.version;
        let entry = match self {
            Self::Newest => listed.iter().find(|entry| entry.version == *latest),
            Self::Named(version) => named(listed, version, is_read),
            Self::Matching(requirement) => match requirement.exact() {
                Some(version) => named(listed, version, is_read),
                // Since the list is in order, the first one is the newest.
                None => {
                    listed.iter().find(|entry| requirement.accepts(&entry.version, entry.yanked))
                }
            },
        };
        match entry {
            Some(entry) if entry.version == *latest => {
                Some(Choice::Latest { yanked: entry.yanked })
            }
            Some(entry) => Some(Choice::Listed(entry)),
            // A release that is not among those in the head itself was passed over only if they are all yanked or
            // pre-releases, and then it is neither.
            None => {
                let is_unlisted = || listed.iter().all(|entry| entry.version != *latest);
                (self.is_met_by(latest) && is_unlisted())
                    .then_some(Choice::Latest { yanked: false })
            }
        }
    }

    /// Whether the latest release is meant, which is further down the list than all that are yanked or pre-releases.
    fn is_met_by(&self, latest: &Version) -> bool {
        match self {
            Self::Newest => true,
            Self::Named(version) => **version == *latest,
            Self::Matching(requirement) => requirement.is_met_by_latest(latest),
        }
    }
}

/// The release of a version: the one that is spelled like that, else one that differs in nothing but build metadata. The
/// former may come after the latter, so that it takes a list that `is_read` to tell.
fn named<'a>(
    listed: &'a [ReleaseEntry],
    version: &Version,
    is_read: bool,
) -> Option<&'a ReleaseEntry> {
    let spelled = listed.iter().find(|entry| entry.version == *version);
    let other = || listed.iter().find(|entry| is_read && entry.is_same_release(version));
    spelled.or_else(other)
}

/// None of these releases will do.
pub(super) fn no_match(what: String, notes: &Notes, list: ReleaseList) -> Error {
    let (total, releases) = (list.total(), list.into_releases());
    let named = releases.into_iter().take(NAMED_RELEASES);
    Error::NoMatch { what, versions: named.map(|entry| entry.into_info(notes)).collect(), total }
}

/// What stands after the package's name.
impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => Ok(()),
            Self::Named(version) => write!(f, "@{version}"),
            Self::Matching(requirement) => write!(f, "@{requirement}"),
        }
    }
}
