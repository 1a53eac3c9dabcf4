use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    error::{Error, Result},
    package::serde_as_string,
};

/// The name of a network: 1 to 32 bytes out of `a-z 0-9 -`, `main` by default.
///
/// It is part of what is signed and of every key, so that the records of one network mean nothing in
/// another. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(Arc<str>);

impl NetworkName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 32;

    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NetworkName {
    fn default() -> Self {
        Self("main".into())
    }
}

impl FromStr for NetworkName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let accepted = |c| matches!(c, 'a'..='z' | '0'..='9' | '-');
        if !(1..=Self::MAX_BYTES).contains(&text.len()) {
            let reason = format!("is {} bytes; 1 to {} are accepted", text.len(), Self::MAX_BYTES);
            return Err(Error::invalid("network", reason));
        }
        if let Some(c) = text.chars().find(|c| !accepted(*c)) {
            let reason = format!("has {c:?}; `a-z`, `0-9` and `-` are accepted");
            return Err(Error::invalid("network", reason));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<&str> for NetworkName {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl AsRef<str> for NetworkName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

serde_as_string!(NetworkName);
