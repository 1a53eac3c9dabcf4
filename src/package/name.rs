use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use super::serde_as_string;
use crate::{Error, Result};

/// The name of a package: 1 to 64 ASCII bytes out of `a-z 0-9 - _ .`, the first a letter or a digit.
///
/// The alphabet leaves no two names that look alike on a screen, and no name that a file system or
/// a URL would take for something else. A name alone says nothing about who publishes it: see
/// [`PackageId`](super::PackageId). Cloning is cheap.
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
