use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a node ends its connection with a peer. It tells the peer first.
///
/// Nothing proves what a peer says of its reasons. Nothing follows from it but how long it is before the peer is dialed
/// again, and what [`Event::Disconnected`](crate::Event::Disconnected) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Farewell {
    /// It has as many connections as it wants, and others are of more use to it. The peer is told of others.
    NoRoom,
    /// It shuts down.
    GoingAway,
    /// It has blocked the peer: see [`Reputation`](crate::Reputation).
    Blocked,
}

impl Farewell {
    /// All that a peer can say, in the order of their codes on the wire, which count from one.
    const SAID: [Self; 3] = [Self::NoRoom, Self::GoingAway, Self::Blocked];

    /// What stands for it on the wire.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::NoRoom => 1,
            Self::GoingAway => 2,
            Self::Blocked => 3,
        }
    }

    /// What a peer says by this code. `None` for what this version does not know: later ones may have other reasons.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::SAID.into_iter().find(|said| said.code() == code)
    }
}

/// What the peer that has said it does, to follow its name.
impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "it has no room",
            Self::GoingAway => "it is going away",
            Self::Blocked => "it has blocked this node",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_code_for_good() {
        assert_eq!(Farewell::SAID.map(Farewell::code), [1, 2, 3]);
        for said in Farewell::SAID {
            assert_eq!(Farewell::of_code(said.code()), Some(said));
        }
    }

    #[test]
    fn what_a_later_version_says_is_not_known_and_no_error() {
        for code in [0, 4, u8::MAX] {
            assert_eq!(Farewell::of_code(code), None);
        }
    }
}
