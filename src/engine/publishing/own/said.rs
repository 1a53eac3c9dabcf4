//! What heads say of releases and of the package, and whose word counts.

use semver::Version;

use crate::record::{DeprecationNote, Head, Notes, ReleaseEntry, ReleaseNote, Revision};

/// What a head says of a release. Of two words the later one counts, and of two at once the yank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    // The order of the fields is the order of comparison.
    /// From which revision on.
    changed: Revision,
    pub(super) yanked: bool,
    /// Why it is yanked; may be empty.
    reason: String,
    /// Whether it stands in notes.
    is_noted: bool,
}

impl Said {
    /// A new word.
    pub(super) fn now(revision: Revision, yanked: bool, reason: &str) -> Self {
        Self { changed: revision, yanked, reason: reason.to_owned(), is_noted: true }
    }

    /// What a head with these notes says. A yank without a note is as late as its head, since it may be.
    pub(super) fn by(head: &Head, notes: &Notes, entry: &ReleaseEntry) -> Option<Self> {
        let yanked = entry.yanked;
        match notes.of_release(&entry.version) {
            // There is no reason for a yank that was taken back.
            Some(note) if yanked => Some(Self::now(note.changed, yanked, &note.reason)),
            Some(note) => Some(Self::now(note.changed, yanked, "")),
            None if yanked => {
                let (changed, reason) = (head.revision, String::new());
                Some(Self { changed, yanked, reason, is_noted: false })
            }
            None => None,
        }
    }

    /// Whether a yank for this reason would change anything. Without a reason, the one that was given stays.
    pub(super) fn is_yanked_for(&self, reason: &str) -> bool {
        self.yanked && (reason.is_empty() || self.reason == reason)
    }

    /// Whether it need not be replaced by another word: they say the same, or it is the later one.
    pub(super) fn settles(&self, other: &Self) -> bool {
        (self.yanked, &self.reason) == (other.yanked, &other.reason) || self >= other
    }

    /// What stands in notes of it.
    pub(super) fn note(&self, version: &Version) -> Option<ReleaseNote> {
        let (version, reason) = (version.clone(), self.reason.clone());
        self.is_noted.then_some(ReleaseNote { version, changed: self.changed, reason })
    }
}

/// The later one of two words on whether a package is deprecated.
pub(super) fn later(
    one: Option<DeprecationNote>,
    other: Option<DeprecationNote>,
) -> Option<DeprecationNote> {
    one.into_iter().chain(other).max_by_key(|note| {
        let said = note.deprecation.as_ref();
        (note.changed, said.map(|said| (said.text.clone(), said.successor.clone())))
    })
}
