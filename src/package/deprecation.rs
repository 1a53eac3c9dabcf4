use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{PackageId, PackageName, owner_key, text::check_some_line};
use crate::error::{Error, Result};

/// That a package should not be used any more, though it stays: what its owner says of it, and what to use instead.
///
/// ```
/// use peerage::package::Deprecation;
///
/// let deprecation = Deprecation::new("no longer maintained");
/// assert_eq!(deprecation.successor, None);
/// deprecation.validate()?;
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Deprecation {
    /// Why, and what to do: 1 to 140 bytes on one line.
    pub text: String,
    /// The package to use instead: `owner/name`, without a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<PackageId>,
}

impl Deprecation {
    /// The longest text, in bytes.
    pub const MAX_TEXT_BYTES: usize = 140;

    /// A deprecation with this text, and without a successor.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), successor: None }
    }

    /// Names the package to use instead.
    #[must_use]
    pub fn with_successor(self, owner: PeerId, name: PackageName) -> Self {
        Self { successor: Some(PackageId::owned(owner, name)), ..self }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the text or the successor, with what is wrong and what is accepted.
    pub fn validate(&self) -> Result<()> {
        check_some_line(|| "text".into(), &self.text, Self::MAX_TEXT_BYTES)?;
        let Some(successor) = &self.successor else { return Ok(()) };
        let invalid = |why: &str| {
            let reason = format!("`{successor}` {why}; `owner/name` is accepted");
            Err(Error::invalid("successor", reason))
        };
        match successor.owner() {
            // Whoever claims a bare name next would be the successor.
            None => invalid("names no owner"),
            Some(owner) if owner_key(owner).is_none() => {
                invalid("has no owner with an Ed25519 key")
            }
            Some(_) if successor.version().is_some() => invalid("names a version"),
            Some(_) => Ok(()),
        }
    }
}
