//! Fields of a message in [protobuf's encoding], as far as Kademlia uses it. What is read is borrowed.
//!
//! [protobuf's encoding]: https://protobuf.dev/programming-guides/encoding/

/// These bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Kademlia message")]
pub(crate) struct Malformed;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Varint(u64),
    /// Bytes, a text, or a message.
    Bytes(&'a [u8]),
    /// Four or eight bytes, of which no field of this protocol is made.
    Fixed,
}

/// The fields of a message, in the order in which they stand. After an error there are no more.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<(u64, Field<'a>), Malformed> {
        let tag = self.varint()?;
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 0 || tag > u64::from(u32::MAX) {
            return Err(Malformed);
        }
        let field = match wire_type {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.take(usize::try_from(len).map_err(|_| Malformed)?)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            // Groups, which proto3 does not have.
            _ => return Err(Malformed),
        };
        Ok((number, field))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// At most ten bytes, of which the tenth has the highest bit. More bytes than are needed are allowed here.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            if shift == 63 && *byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// How many bytes a number takes.
pub(super) fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// How many bytes a field of that many bytes takes, if its number is below 16.
pub(super) fn field_len(bytes: usize) -> usize {
    1 + varint_len(bytes) + bytes
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number, under a field number below 16.
pub(super) fn put_number(out: &mut Vec<u8>, number: u8, value: u8) {
    out.push(number << 3);
    put_varint(out, usize::from(value));
}

/// Begins a field of that many bytes, under a field number below 16.
pub(super) fn put_header(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    put_varint(out, len);
}

/// How many bytes [`put_bytes`] writes.
pub(super) fn bytes_len(bytes: &[u8]) -> usize {
    match bytes {
        [] => 0,
        bytes => field_len(bytes.len()),
    }
}

/// A field with these bytes. Without any it goes without saying.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_header(out, number, bytes.len());
        out.extend_from_slice(bytes);
    }
}
