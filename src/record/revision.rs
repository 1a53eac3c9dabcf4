use std::fmt;

use crate::error::{Error, Result};

/// Which of an owner's records on a package is the newer one: the epoch decides, then the sequence.
///
/// The sequence rises from record to record: a node signs the Unix time in seconds, or one more than the highest
/// sequence that it has seen, whichever is more. The epoch is raised when keys are rotated, so that whoever holds an
/// old publisher key cannot outbid the owner by a high sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    // The order of the fields is the order of comparison.
    /// The epoch, compared first.
    pub epoch: u32,
    /// The sequence within the epoch.
    pub sequence: u64,
}

impl Revision {
    /// The revision of this epoch and sequence.
    #[must_use]
    pub const fn new(epoch: u32, sequence: u64) -> Self {
        Self { epoch, sequence }
    }

    /// The revision after this one, in the same epoch. Where there is none, the owner goes on with the first
    /// of the next epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the epoch has no further sequence.
    pub fn next(self) -> Result<Self> {
        let exhausted = || Error::Conflict { reason: format!("epoch {} is used up", self.epoch) };
        let sequence = self.sequence.checked_add(1).ok_or_else(exhausted)?;
        Ok(Self { sequence, ..self })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

/// What orders the heads of a package, wherever and in whatever order they arrive: the epoch decides, then whether it is
/// the end, then the sequence.
///
/// So the end of a package is the end: once its owner has withdrawn it, no sequence leads past that. Only another epoch
/// does, which only the owner's own key can begin: were a publisher's key stolen, whoever has it could else end packages
/// for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rank {
    // The order of the fields is the order of comparison.
    /// The epoch, compared first.
    pub epoch: u32,
    /// Whether the package is withdrawn by it.
    pub withdrawn: bool,
    /// The sequence within the epoch.
    pub sequence: u64,
}

impl Rank {
    /// Its epoch and sequence.
    #[must_use]
    pub const fn revision(self) -> Revision {
        Revision::new(self.epoch, self.sequence)
    }
}

/// That of a record which withdraws nothing.
impl From<Revision> for Rank {
    fn from(revision: Revision) -> Self {
        Self { epoch: revision.epoch, withdrawn: false, sequence: revision.sequence }
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.revision().fmt(f)?;
        f.write_str(if self.withdrawn { " (withdrawn)" } else { "" })
    }
}
