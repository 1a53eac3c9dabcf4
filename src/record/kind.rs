//! The two bytes that everything begins with: its format, and what it is.

use serde::Serialize;

use super::{codec, limits::MAX_RECORD_BYTES, rejected::Rejected};

/// The format that is written, the only one that is read.
pub const FORMAT: u8 = 1;

/// What a record is: the second byte of its bytes, and part of what is signed and of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// The head of a package: [`Head`](super::Head).
    Head = 1,
    /// A release: [`Release`](super::Release).
    Release = 2,
    /// A page of a list of releases: [`Page`](super::Page).
    Page = 3,
    /// One owner's claim to a name: [`Claim`](super::Claim). The DHT holds sets of them.
    Claim = 4,
    /// A message of an application: [`Message`](super::Message). It is never in the DHT.
    Message = 5,
    /// What a peer tells of itself to whom it is connected to: [`Hello`](super::Hello). It is never in the DHT.
    Hello = 6,
    /// The claims to a name, which are signed each by itself: [`ClaimSet`](super::ClaimSet).
    ClaimSet = 0x40,
}

impl Kind {
    /// Why something of this kind is refused where another one belongs.
    pub(super) const fn misplaced(self) -> Rejected {
        Rejected::Kind { found: self as u8 }
    }

    /// Reads the format and the kind from the first two bytes of a record.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Rejected> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Rejected::TooLarge { size: bytes.len() });
        }
        match *bytes {
            [FORMAT, found, ..] => match found {
                1 => Ok(Self::Head),
                2 => Ok(Self::Release),
                3 => Ok(Self::Page),
                4 => Ok(Self::Claim),
                5 => Ok(Self::Message),
                6 => Ok(Self::Hello),
                0x40 => Ok(Self::ClaimSet),
                _ => Err(Rejected::Kind { found }),
            },
            [found, _, ..] => Err(Rejected::Format { found }),
            _ => Err(Rejected::encoding("too few bytes for a record")),
        }
    }
}

/// Takes off the two bytes of what is no record but has a format and a kind of its own, such as a proof.
pub(super) fn unframed<'a>(
    kind: u8,
    bytes: &'a [u8],
    too_few: &'static str,
) -> Result<&'a [u8], Rejected> {
    match *bytes {
        [FORMAT, found, ref body @ ..] if found == kind => Ok(body),
        [FORMAT, found, ..] => Err(Rejected::Kind { found }),
        [found, _, ..] => Err(Rejected::Format { found }),
        _ => Err(Rejected::encoding(too_few)),
    }
}

/// Writes it behind the two bytes. What has keys, numbers and bounded lists of bytes always encodes; were it not to, all
/// would refuse the two bytes alone.
pub(super) fn framed(kind: u8, wire: Option<impl Serialize>) -> Vec<u8> {
    let body = wire.and_then(|wire| codec::encode(&wire).ok()).unwrap_or_default();
    [&[FORMAT, kind], &*body].concat()
}
