//! What somebody may do to bytes that were right.

use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// A change at a place, which is taken modulo the length.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Mutation<'a> {
    /// One bit is another.
    Flip { at: u16, bit: u8 },
    /// One byte is another.
    Set { at: u16, to: u8 },
    /// A byte more.
    Insert { at: u16, byte: u8 },
    /// A byte less.
    Remove { at: u16 },
    /// No more from here on.
    Truncate { at: u16 },
    /// If a varint ends here, a longer one that means the same.
    Overlong { at: u16 },
    /// A part comes twice.
    Repeat { at: u16, length: u8 },
    /// Something follows.
    Append(&'a [u8]),
}

/// Changes the bytes, one mutation after the other.
pub fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for mutation in mutations.iter().take(8) {
        let place = |at: &u16| usize::from(*at).checked_rem(bytes.len());
        match mutation {
            Mutation::Flip { at, bit } => {
                if let Some(at) = place(at) {
                    bytes[at] ^= 1 << (bit % 8);
                }
            }
            Mutation::Set { at, to } => {
                if let Some(at) = place(at) {
                    bytes[at] = *to;
                }
            }
            Mutation::Insert { at, byte } => bytes.insert(place(at).unwrap_or(0), *byte),
            Mutation::Remove { at } => {
                if let Some(at) = place(at) {
                    bytes.remove(at);
                }
            }
            Mutation::Truncate { at } => bytes.truncate(place(at).unwrap_or(0)),
            Mutation::Overlong { at } => {
                if let Some(at) = place(at)
                    && bytes[at] < 0x80
                {
                    bytes[at] |= 0x80;
                    bytes.insert(at + 1, 0);
                }
            }
            Mutation::Repeat { at, length } => {
                if let Some(at) = place(at) {
                    let end = bytes.len().min(at + usize::from(*length));
                    let part = bytes[at..end].to_vec();
                    bytes.splice(end..end, part);
                }
            }
            Mutation::Append(more) => bytes.extend_from_slice(more),
        }
    }
}
