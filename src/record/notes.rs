//! What an owner says of a package beside the list of its releases.

use std::cmp::Reverse;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{
    codec::{self, List, Text},
    delegation::Delegation,
    grant::behind,
    limits::{MAX_EXT_BYTES, MAX_LIFETIME_SECS},
    revision::Revision,
    wire::{self, NameText, RevisionWire, VersionText},
};
use crate::{
    error::{Error, Result},
    package::{Deprecation, PackageId, text::check_line},
};

/// The first byte of notes in an `ext`. Readers from before notes ignore what begins with it.
const TAG: u8 = 2;

/// What stands in the `ext` of a live head, behind the delegation where a publisher has signed it: why releases were
/// yanked, when what is said of them was said, and whether the package is deprecated.
///
/// Whether a release is yanked, its entry in the list says, to all readers. The notes say since which revision that has
/// been so, so that of two heads whose lists are united the later word counts, be it a yank or its end.
///
/// The owner and its publishers repeat each other's notes in every head that they sign, whoever was the first to say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// Whether the package is deprecated, if that was ever said.
    pub deprecation: Option<DeprecationNote>,
    /// What was said of releases, newest version first.
    pub releases: Vec<ReleaseNote>,
}

/// Since when a package is deprecated, or no longer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeprecationNote {
    /// The revision of the head that said so first.
    pub changed: Revision,
    /// What it says. `None` where it was taken back.
    pub deprecation: Option<Deprecation>,
}

/// Since when a release has been yanked, or no longer is: its entry in the list says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseNote {
    /// The release.
    pub version: Version,
    /// The revision of the head that said so first.
    pub changed: Revision,
    /// Why it is yanked; may be empty.
    pub reason: String,
}

impl Notes {
    /// The most releases of which something is said. Which of more it is, [`fitted`](Self::fitted) says.
    pub const MAX_RELEASES: usize = 32;
    /// The most bytes of what is signed here: whoever of the owner's publishers signs a head, it says the same.
    pub const MAX_BYTES: usize = MAX_EXT_BYTES - Delegation::MAX_EXT_BYTES;
    /// The longest reason for a yank, in bytes.
    pub const MAX_REASON_BYTES: usize = 100;

    /// Reads the notes that an `ext` carries, by themselves or behind a delegation. One that carries something else, or
    /// what cannot be read, carries none: it is no reason to refuse a head that others believe. What follows the notes
    /// is for later versions.
    #[must_use]
    pub fn in_ext(ext: &[u8]) -> Self {
        let [TAG, notes @ ..] = behind(ext) else { return Self::default() };
        let read = || {
            let (wire, _) = postcard::take_from_bytes::<NotesWire<'_>>(notes).ok()?;
            let notes = wire.into_notes()?;
            notes.validate().ok()?;
            Some(notes)
        };
        read().unwrap_or_default()
    }

    /// What a head has in its `ext` for this, behind the delegation if there is one: nothing where there is nothing to say.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a text or a successor out of its bounds. Whether it all fits into an
    /// `ext` is checked when the head is signed: see [`fitted`](Self::fitted).
    pub fn to_ext(&self) -> Result<Vec<u8>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        self.validate()?;
        Ok([&[TAG], &*codec::encode(&NotesWire::of(self)?)?].concat())
    }

    /// As said by a head of this revision, which is no earlier than what it says.
    pub(super) fn until(mut self, revision: Revision) -> Self {
        let releases = self.releases.iter_mut().map(|note| &mut note.changed);
        let changed = self.deprecation.iter_mut().map(|note| &mut note.changed).chain(releases);
        changed.for_each(|changed| *changed = revision.min(*changed));
        self
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deprecation.is_none() && self.releases.is_empty()
    }

    /// What is said of a release.
    #[must_use]
    pub fn of_release(&self, version: &Version) -> Option<&ReleaseNote> {
        self.releases.iter().find(|note| note.version == *version)
    }

    /// Why a release is yanked, if that is said.
    #[must_use]
    pub fn reason(&self, version: &Version) -> Option<&str> {
        self.of_release(version).map(|note| &*note.reason).filter(|reason| !reason.is_empty())
    }

    /// What is said of the package, where it is deprecated.
    #[must_use]
    pub fn deprecation(&self) -> Option<&Deprecation> {
        self.deprecation.as_ref()?.deprecation.as_ref()
    }

    /// As much of it as fits into [`MAX_BYTES`](Self::MAX_BYTES), in the one order that there is. The deprecation comes
    /// first, then the yanks that were taken back, and then the yanks, those with a reason before those without. Of each,
    /// what was said last comes first.
    ///
    /// A yank stands in the list as well: without its note it is as late as its head. A yank that was taken back stands
    /// nowhere else, and without its note any older head undoes it.
    ///
    /// What was taken back is left out once no head is believed any more that says otherwise; `unix` is the time in Unix
    /// seconds. `is_yanked` says whether the list says so of a release.
    #[must_use]
    pub fn fitted(mut self, unix: u64, is_yanked: impl Fn(&Version) -> bool) -> Self {
        // A sequence is the time at which it was signed, or soon after that.
        let is_recent =
            |changed: &Revision| changed.sequence.saturating_add(MAX_LIFETIME_SECS) >= unix;
        self.deprecation =
            self.deprecation.filter(|note| note.deprecation.is_some() || is_recent(&note.changed));
        for note in &mut self.releases {
            // Whoever has a publisher's key may have given one to a yank that was taken back, which nobody ever reads.
            if !is_yanked(&note.version) {
                note.reason.clear();
            }
        }
        self.releases.retain(|note| is_yanked(&note.version) || is_recent(&note.changed));
        self.releases.sort_by_cached_key(|note| {
            let worth = (!is_yanked(&note.version), !note.reason.is_empty());
            Reverse((worth, note.changed, note.version.clone()))
        });
        self.releases.truncate(Self::MAX_RELEASES);
        while !self.releases.is_empty() && !self.fits() {
            self.releases.pop();
        }
        self.releases.sort_by_cached_key(|note| Reverse(note.version.clone()));
        self
    }

    fn fits(&self) -> bool {
        let size = NotesWire::of(self).and_then(|wire| codec::size(&wire));
        // The first byte of an `ext` says what it carries.
        size.is_ok_and(|size| size < Self::MAX_BYTES)
    }

    fn validate(&self) -> Result<()> {
        if let Some(deprecation) = self.deprecation() {
            deprecation.validate()?;
        }
        let mut reasons = self.releases.iter().map(|note| &note.reason);
        reasons.try_for_each(|reason| check_reason(reason))
    }
}

/// Checks the reason for a yank: one line, which may be empty.
pub(crate) fn check_reason(reason: &str) -> Result<()> {
    check_line(|| "reason".into(), reason, Notes::MAX_REASON_BYTES)
}

#[derive(Debug, Serialize, Deserialize)]
struct NotesWire<'a> {
    #[serde(borrow)]
    deprecation: Option<DeprecationWire<'a>>,
    #[serde(borrow)]
    releases: List<ReleaseNoteWire<'a>, { Notes::MAX_RELEASES }>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeprecationWire<'a> {
    #[serde(with = "RevisionWire")]
    changed: Revision,
    #[serde(borrow)]
    said: Option<SaidWire<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SaidWire<'a> {
    #[serde(borrow)]
    text: Text<'a, { Deprecation::MAX_TEXT_BYTES }>,
    #[serde(borrow)]
    successor: Option<([u8; 32], NameText<'a>)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReleaseNoteWire<'a> {
    #[serde(borrow)]
    version: VersionText<'a>,
    #[serde(with = "RevisionWire")]
    changed: Revision,
    #[serde(borrow)]
    reason: Text<'a, { Notes::MAX_REASON_BYTES }>,
}

impl<'a> NotesWire<'a> {
    fn of(notes: &'a Notes) -> Result<Self> {
        let said = |deprecation: &'a Deprecation| {
            let successor = deprecation.successor.as_ref();
            let successor = successor.and_then(|id| Some((id.owner()?, id.name())));
            let successor = successor.map(|(owner, name)| {
                Ok::<_, Error>((wire::key_of(owner)?, NameText::of(name.as_str())))
            });
            let text = Text::of(&deprecation.text);
            Ok::<_, Error>(SaidWire { text, successor: successor.transpose()? })
        };
        let deprecation = notes.deprecation.as_ref().map(|note| {
            let said = note.deprecation.as_ref().map(said).transpose()?;
            Ok::<_, Error>(DeprecationWire { changed: note.changed, said })
        });
        let release = |note: &'a ReleaseNote| ReleaseNoteWire {
            version: Text(note.version.to_string().into()),
            changed: note.changed,
            reason: Text::of(&note.reason),
        };
        let releases = List(notes.releases.iter().map(release).collect());
        Ok(Self { deprecation: deprecation.transpose()?, releases })
    }

    fn into_notes(self) -> Option<Notes> {
        let said = |wire: SaidWire<'_>| {
            let deprecation = Deprecation::new(wire.text.into_string());
            Some(match wire.successor {
                Some((owner, name)) => {
                    let owner = wire::owner_of(&owner).ok()?;
                    deprecation.with_successor(owner, name.0.parse().ok()?)
                }
                None => deprecation,
            })
        };
        let deprecation = match self.deprecation {
            Some(wire) => {
                let changed = wire.changed;
                let deprecation = match wire.said {
                    Some(wire) => Some(said(wire)?),
                    None => None,
                };
                Some(DeprecationNote { changed, deprecation })
            }
            None => None,
        };
        let release = |wire: ReleaseNoteWire<'_>| {
            Some(ReleaseNote {
                version: wire.version.0.parse().ok()?,
                changed: wire.changed,
                reason: wire.reason.into_string(),
            })
        };
        let releases = self.releases.0.into_iter().map(release).collect::<Option<_>>()?;
        Some(Notes { deprecation, releases })
    }
}

/// Checks that a package is not its own successor.
pub(crate) fn check_successor(deprecation: &Deprecation, package: &PackageId) -> Result<()> {
    if deprecation.successor.as_ref() == Some(package) {
        let reason = "is the package itself; another one is accepted";
        return Err(Error::invalid("successor", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
