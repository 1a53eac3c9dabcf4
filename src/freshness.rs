//! How sure a reader wants to be that what it reads is the newest.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    package::Source,
    record::Record,
};

/// How many replicas a read waits for.
///
/// Records are signed, so that no peer can invent one; but a peer that was away may hold one that has been
/// replaced since. A reader who has to know waits for more than one answer: of all the copies that come, the newest
/// counts. It is chosen for each [`Handle`](crate::Handle::with_freshness) and concerns what can change, that is
/// heads; releases and pages are written once, and any valid copy will do. Claims to a name are always gathered
/// from all peers that the lookup reaches.
///
/// A read that waits for more than the first copy does ask: it is not answered from what was read or announced
/// a while ago. This node's own packages are answered by the node itself, whatever is asked for.
///
/// As text it reads `first`, `all`, or the number of a quorum:
///
/// ```
/// use peerage::Freshness;
///
/// assert_eq!("3".parse(), Ok(Freshness::Quorum(3)));
/// assert_eq!(Freshness::All.to_string(), "all");
/// ```
///
/// Whichever it is, replicas that turn out to lack the newest record, or to hold an older one, are sent it, once a
/// minute at the most and as far as the node finds time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Freshness {
    /// The first valid copy answers. The quickest, and the default.
    #[default]
    First,
    /// The newest of the copies of so many peers; where there are fewer, of those that there are. Zero is taken as
    /// one.
    Quorum(u8),
    /// The newest of all copies that the lookup finds on its way to the peers closest to the key.
    All,
}

impl Freshness {
    /// Whether this many valid copies are enough while the lookup goes on.
    pub(crate) fn is_satisfied(self, copies: usize) -> bool {
        match self {
            Self::First => copies >= 1,
            Self::Quorum(wanted) => copies >= usize::from(wanted).max(1),
            Self::All => false,
        }
    }

    /// Whether they are enough at its end, by which all peers that there are may have been heard. That is what bounds
    /// a quorum in a small network: a node knows how many peers there are only when it has asked.
    pub(crate) fn is_satisfied_at_end(self, copies: usize, all_heard: bool) -> bool {
        match self {
            Self::First => true,
            Self::Quorum(_) | Self::All => all_heard || self.is_satisfied(copies),
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.pad("first"),
            Self::Quorum(wanted) => fmt::Display::fmt(wanted, f),
            Self::All => f.pad("all"),
        }
    }
}

impl FromStr for Freshness {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "first" => Ok(Self::First),
            "all" => Ok(Self::All),
            number => number.parse().map(Self::Quorum).map_err(|_| {
                let accepted = "`first`, `all` or a number of peers up to 255";
                Error::invalid("freshness", format!("{text:?} is not {accepted}"))
            }),
        }
    }
}

/// A record that was read from the DHT, or is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The record. Its signature, key and validity have been verified.
    pub record: Record,
    /// Where it came from; [`Source::Partial`] where fewer peers than wanted have answered.
    pub source: Source,
}

impl crate::counters::Answer for Found {
    fn end(&self) -> crate::counters::CallEnd {
        crate::counters::CallEnd::Read(self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_never_nobody_and_never_more_than_there_are() {
        assert!(Freshness::Quorum(3).is_satisfied(3));
        assert!(!Freshness::Quorum(3).is_satisfied(2));
        assert!(!Freshness::Quorum(0).is_satisfied(0));
        assert!(Freshness::Quorum(0).is_satisfied(1));
        assert!(Freshness::Quorum(3).is_satisfied_at_end(2, true));
        assert!(!Freshness::Quorum(3).is_satisfied_at_end(2, false));
    }

    #[test]
    fn what_is_written_is_read_again_and_what_is_neither_word_nor_number_is_refused() {
        for freshness in [Freshness::First, Freshness::Quorum(20), Freshness::All] {
            assert_eq!(freshness.to_string().parse(), Ok(freshness));
        }
        for text in ["", "All", "256", "-1", "most"] {
            assert_eq!(text.parse::<Freshness>().unwrap_err().kind(), "invalid", "{text:?}");
        }
    }
}
