use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use super::serde_as_string;
use crate::error::{Error, Result};

/// The name of a package: 1 to 64 ASCII bytes out of `a-z 0-9 - _ .`, the first a letter or a digit.
///
/// The alphabet leaves no two letters that look alike on a screen, and nothing that a file system or a URL would take for
/// something else. Names that differ in `-`, `_` and `.` alone are [look-alikes](Self::folded). A name alone says
/// nothing about who publishes it: see [`PackageId`](super::PackageId). Cloning is cheap.
///
/// ```
/// use peerage::package::PackageName;
///
/// let name: PackageName = "tiny-http".parse()?;
/// assert_eq!(name.as_ref(), "tiny-http");
/// assert!("Tiny HTTP".parse::<PackageName>().is_err());
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Arc<str>);

impl PackageName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that stands for this one and for all that people confuse with it: each run of `-`, `_` and `.` is one
    /// `-`, as in [PEP 503]. Two names with the same one are look-alikes.
    ///
    /// ```
    /// use peerage::package::PackageName;
    ///
    /// let [dash, underscore] = ["yt-dlp", "yt_dlp"].map(|name| name.parse::<PackageName>());
    /// assert_eq!(dash?.folded(), underscore?.folded());
    /// # Ok::<(), peerage::Error>(())
    /// ```
    ///
    /// [PEP 503]: https://peps.python.org/pep-0503/
    #[must_use]
    pub fn folded(&self) -> Self {
        let is_separator = |c| matches!(c, '-' | '_' | '.');
        let mut folded = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            match is_separator(c) {
                true if folded.ends_with('-') => {}
                true => folded.push('-'),
                false => folded.push(c),
            }
        }
        if *folded == *self.0 { self.clone() } else { Self(folded.into()) }
    }

    /// Why some file system cannot store something of this name, if one cannot: [Windows] keeps some names for devices,
    /// whatever follows them after a dot, and no name ends with a dot there.
    ///
    /// [Windows]: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
    pub(crate) fn unstorable(&self) -> Option<String> {
        let stem = self.0.split('.').next().unwrap_or_default();
        let is_device = match stem {
            "con" | "prn" | "aux" | "nul" => true,
            _ => ["com", "lpt"].iter().any(|kind| {
                stem.strip_prefix(kind)
                    .is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
            }),
        };
        if is_device {
            return Some(format!(
                "`{self}` is a device on Windows, which cannot store it; choose another"
            ));
        }
        let ends = self.0.ends_with('.');
        ends.then(|| format!("`{self}` ends with a dot, which Windows cannot store; leave it out"))
    }

    fn check(text: &str) -> Result<()> {
        const ACCEPTED: &str = "`a-z`, `0-9`, `-`, `_` and `.` are accepted";
        let invalid = |reason| Err(Error::invalid("name", reason));
        if text.len() > Self::MAX_BYTES {
            return invalid(format!("is {} of at most {} bytes", text.len(), Self::MAX_BYTES));
        }
        let Some(first) = text.chars().next() else {
            return invalid(format!("is empty; 1 to {} bytes are accepted", Self::MAX_BYTES));
        };
        let accepted = |c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
        if let Some(c) = text.chars().find(|c| !accepted(*c)) {
            return invalid(format!("has {c:?}; {ACCEPTED}"));
        }
        if matches!(first, '-' | '_' | '.') {
            return invalid(format!(
                "starts with {first:?}; a letter or a digit is accepted there"
            ));
        }
        Ok(())
    }
}

impl FromStr for PackageName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<&str> for PackageName {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl TryFrom<String> for PackageName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::check(&text)?;
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for PackageName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PackageName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

serde_as_string!(PackageName);
