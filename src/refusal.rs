use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a peer has refused to store a record, as it says itself.
///
/// Nothing proves what a peer says of its reasons; they are for a person to read. They are ordered by how much whoever
/// publishes can do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// It was issued in the future, by the peer's clock: one of the two clocks is wrong.
    Future,
    /// It has expired, by the peer's clock.
    Expired,
    /// The peer holds a newer one, or has seen one.
    Older,
    /// Its signer's delegation has been revoked by a higher epoch of the owner.
    Revoked,
    /// It is part of a package that was withdrawn.
    Withdrawn,
    /// Whoever put it has asked for too much at once.
    Rate,
    /// The owner's share of the peer's store is used up.
    OwnerQuota,
    /// What whoever put it may keep at this peer is used up.
    PeerQuota,
    /// The peer's store is full of records that belong there more.
    Full,
    /// It is not a record that the peer takes for valid.
    Invalid,
    /// The peer has not acknowledged the record and has not said why: it is slow or silent, or its version cannot say.
    Unknown,
}

impl Refusal {
    /// All that a peer can say, in the order of their codes on the wire, which count from one.
    const SAID: [Self; 10] = [
        Self::Future,
        Self::Expired,
        Self::Older,
        Self::Revoked,
        Self::Withdrawn,
        Self::Rate,
        Self::OwnerQuota,
        Self::PeerQuota,
        Self::Full,
        Self::Invalid,
    ];

    /// What stands for it on the wire. Zero stands for no refusal.
    pub(crate) fn code(self) -> u8 {
        let place = Self::SAID.iter().position(|said| *said == self);
        place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(u8::MAX)
    }

    /// What a peer says by this code. Later versions may know of more reasons.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        let place = usize::from(code).checked_sub(1)?;
        Some(Self::SAID.get(place).copied().unwrap_or(Self::Unknown))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Future => "issued in the future by their clocks",
            Self::Expired => "expired by their clocks",
            Self::Older => "they know a newer one",
            Self::Revoked => "the delegation is revoked",
            Self::Withdrawn => "the package is withdrawn",
            Self::Rate => "too much was asked of them at once",
            Self::OwnerQuota => "the owner's share of their stores is used up",
            Self::PeerQuota => "this peer's share of their stores is used up",
            Self::Full => "their stores are full",
            Self::Invalid => "not valid",
            Self::Unknown => "they have not said why",
        })
    }
}

/// How many peers have refused a change for one reason: a line of a [`Receipt`](crate::Receipt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusalCount {
    /// Why.
    pub reason: Refusal,
    /// How many peers. Who has refused several records of the change for the same reason counts once.
    pub peers: u32,
}

impl RefusalCount {
    pub(crate) const fn new(reason: Refusal, peers: u32) -> Self {
        Self { reason, peers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_code_for_good() {
        let codes: Vec<u8> = Refusal::SAID.iter().map(|said| said.code()).collect();
        assert_eq!(codes, (1..=10).collect::<Vec<u8>>());
        assert_eq!(Refusal::Future.code(), 1);
        assert_eq!(Refusal::Full.code(), 9);
        assert_eq!(Refusal::Invalid.code(), 10);
        for said in Refusal::SAID {
            assert_eq!(Refusal::of_code(said.code()), Some(said));
        }
    }

    #[test]
    fn what_a_later_version_says_is_not_known_and_no_error() {
        assert_eq!(Refusal::of_code(0), None);
        for code in [11, 200, u8::MAX] {
            assert_eq!(Refusal::of_code(code), Some(Refusal::Unknown));
        }
    }
}
