//! Numbers, times, texts and owners, each of a byte or a few: the first value of each is one that is accepted, so that
//! an input of zeros is a valid record, and mostly there are few steps from a valid one to its neighbours.

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use peerage::record::{MAX_CLOCK_SKEW_SECS, MAX_LIFETIME_SECS, Message};

use crate::{NOW, PUBLIC_KEYS};

/// A number: small, at one of the edges, or any.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub u64);

impl<'a> Arbitrary<'a> for Number {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const EDGES: [u64; 6] =
            [u32::MAX as u64, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];
        Ok(Self(match u.arbitrary::<u8>()? {
            small @ ..240 => small.into(),
            edge @ 240..246 => EDGES[usize::from(edge - 240)],
            246..250 => u.arbitrary::<u16>()?.into(),
            _ => u.arbitrary()?,
        }))
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (1, Some(9))
    }
}

/// A time in Unix seconds, or the one that suits.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub Option<u64>);

impl Time {
    /// The time, where this one suits.
    pub fn or(self, suitable: u64) -> u64 {
        self.0.unwrap_or(suitable)
    }
}

impl<'a> Arbitrary<'a> for Time {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const EDGES: [u64; 15] = [
            NOW,
            NOW - 1,
            NOW + 1,
            NOW + MAX_CLOCK_SKEW_SECS,
            NOW + MAX_CLOCK_SKEW_SECS + 1,
            NOW + MAX_LIFETIME_SECS,
            NOW + MAX_LIFETIME_SECS + 1,
            NOW - MAX_LIFETIME_SECS,
            NOW - Message::MAX_AGE_SECS,
            NOW - Message::MAX_AGE_SECS + 1,
            0,
            1,
            i64::MAX as u64,
            u64::MAX - 1,
            u64::MAX,
        ];
        Ok(Self(match u.arbitrary::<u8>()? {
            0 => None,
            edge @ 1..16 => EDGES.get(usize::from(edge - 1)).copied(),
            16..128 => Some(NOW.saturating_add_signed(u.arbitrary::<i16>()?.into())),
            128..192 => Some(NOW.saturating_add_signed(u.arbitrary::<i32>()?.into())),
            _ => Some(u.arbitrary()?),
        }))
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (1, Some(9))
    }
}

/// A text: one of those that suit the place, one of some length, or any bytes.
#[derive(Debug, Clone, Copy)]
pub enum Word<'a> {
    /// By its place among those that suit.
    Known(u8),
    /// The same letter so many times: the bounds are in bytes.
    Long(u16),
    /// Text or not.
    Any(&'a [u8]),
}

impl Word<'_> {
    /// The bytes of the text, given those that suit, of which there is at least one.
    pub fn bytes(&self, known: &[&str]) -> Vec<u8> {
        match *self {
            Self::Known(place) => known[usize::from(place) % known.len()].into(),
            Self::Long(length) => vec![b'a'; length.into()],
            Self::Any(bytes) => bytes.to_vec(),
        }
    }
}

impl<'a> Arbitrary<'a> for Word<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            place @ ..128 => Self::Known(place),
            128..192 => Self::Long(u.arbitrary::<u16>()? % 1100),
            _ => {
                let length = u.arbitrary::<u8>()?;
                let length = usize::from(length).min(u.len());
                Self::Any(u.bytes(length)?)
            }
        })
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (1, None)
    }
}

/// Whose key.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// That of [`KEYPAIRS`](crate::KEYPAIRS) at this place.
    Ours(usize),
    /// A key that is nobody's: of small order, not canonical, no point, or any bytes.
    Bytes([u8; 32]),
}

impl Who {
    /// The public key.
    pub fn key(&self) -> [u8; 32] {
        match *self {
            Self::Ours(place) => PUBLIC_KEYS[place],
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> Arbitrary<'a> for Who {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            place @ ..240 => Self::Ours(usize::from(place) % PUBLIC_KEYS.len()),
            // y is 0 or 1, and either sign of x.
            weak @ 240..244 => {
                let mut key = [0; 32];
                key[0] = weak % 2;
                key[31] = if weak >= 242 { 0x80 } else { 0 };
                Self::Bytes(key)
            }
            // y is -1, and those around it that are not canonical.
            weak @ 244..250 => {
                let mut key = [0xff; 32];
                key[0] = 0xec + (weak - 244);
                key[31] = 0x7f;
                Self::Bytes(key)
            }
            _ => Self::Bytes(u.arbitrary()?),
        })
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (1, Some(33))
    }
}
