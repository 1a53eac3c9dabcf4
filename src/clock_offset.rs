use std::fmt;

use serde::{Deserialize, Serialize};

/// By how much a node's calendar differs from those of its peers: the median of what connected peers say the time is.
///
/// A clock that is wrong makes a node's records worthless to others, or theirs to it: a record holds from when it was
/// issued, five minutes of difference are forgiven, until it expires. Nothing is judged by this number. It is a hint to
/// the person who can set the clock, and a peer can lie about its time.
///
/// Written out it says how the node's clock stands: `10 min ahead of 5 peers`, `3 days behind 1 peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClockOffset {
    /// By how many seconds this node's clock is ahead of its peers'; negative where it is behind. Correct to about a
    /// second and half of a round trip.
    pub seconds: i64,
    /// How many connected peers have said what time it is.
    pub peers: u32,
}

impl ClockOffset {
    /// Clocks that differ by more than so many seconds are told of: see
    /// [`Event::ClockDisagrees`](crate::Event::ClockDisagrees).
    pub const LARGE_SECS: u64 = 60;

    pub(crate) const fn new(seconds: i64, peers: u32) -> Self {
        Self { seconds, peers }
    }

    /// Whether the clocks differ by more than a [minute](Self::LARGE_SECS).
    #[must_use]
    pub const fn is_large(&self) -> bool {
        self.seconds.unsigned_abs() > Self::LARGE_SECS
    }
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers = match self.peers {
            1 => "1 peer".to_owned(),
            peers => format!("{peers} peers"),
        };
        let time = rounded(self.seconds.unsigned_abs());
        match self.seconds {
            0 => write!(f, "in step with {peers}"),
            1.. => write!(f, "{time} ahead of {peers}"),
            _ => write!(f, "{time} behind {peers}"),
        }
    }
}

/// In the largest unit of which there are two or more: whoever has to set a clock needs no more.
fn rounded(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(24 * 3600, "days"), (3600, "h"), (60, "min")];
    let fitting = UNITS.iter().find(|(unit, _)| seconds >= 2 * unit);
    let (unit, name) = fitting.copied().unwrap_or((1, "s"));
    let count = seconds / unit + u64::from(seconds % unit * 2 >= unit && unit > 1);
    format!("{count} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_what_is_wrong_with_the_clock() {
        for (seconds, peers, text) in [
            (600, 5, "10 min ahead of 5 peers"),
            (-599, 1, "10 min behind 1 peer"),
            (3 * 24 * 3600 + 5, 2, "3 days ahead of 2 peers"),
            (-365 * 24 * 3600, 3, "365 days behind 3 peers"),
            (7200, 3, "2 h ahead of 3 peers"),
            (90, 2, "90 s ahead of 2 peers"),
            (0, 4, "in step with 4 peers"),
        ] {
            assert_eq!(ClockOffset::new(seconds, peers).to_string(), text);
        }
        assert!(!ClockOffset::new(i64::MIN, 1).to_string().is_empty());
    }

    #[test]
    fn more_than_a_minute_is_large() {
        for (seconds, is_large) in [(0, false), (60, false), (-60, false), (61, true), (-61, true)]
        {
            assert_eq!(ClockOffset::new(seconds, 1).is_large(), is_large, "{seconds}");
        }
        assert!(ClockOffset::new(i64::MIN, 1).is_large());
    }
}
