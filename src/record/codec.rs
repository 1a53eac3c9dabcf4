//! Postcard, read strictly.
//!
//! Postcard by itself takes overlong varints and whatever follows a value. Here lengths are bounded
//! before anything is allocated, nothing may follow, and what was read, encoded again, is compared with
//! what was given.

use std::{borrow::Cow, fmt, marker::PhantomData};

use postcard::ser_flavors::{Flavor, Size};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::rejected::Rejected;
use crate::error::{Error, Result};

pub(crate) fn encode(wire: &impl Serialize) -> Result<Vec<u8>> {
    // Wire types have no sequences of unknown length, nor anything else that postcard cannot write.
    postcard::to_stdvec(wire).map_err(|error| Error::invalid("record", error.to_string()))
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Rejected> {
    match postcard::take_from_bytes(bytes) {
        Ok((wire, [])) => Ok(wire),
        Ok(_) => Err(Rejected::encoding("bytes follow the body")),
        Err(_) => Err(Rejected::encoding("the body does not decode")),
    }
}

/// As [`decode`], and there is no other encoding of the value than these bytes.
pub(crate) fn decode_strict<'a, T>(bytes: &'a [u8]) -> Result<T, Rejected>
where
    T: Deserialize<'a> + Serialize,
{
    let wire = decode(bytes)?;
    if !is_encoding_of(&wire, bytes) {
        return Err(Rejected::encoding("the body is not encoded canonically"));
    }
    Ok(wire)
}

/// Whether the value is encoded as these bytes. They are compared as they would be written.
pub(crate) fn is_encoding_of(wire: &impl Serialize, bytes: &[u8]) -> bool {
    matches!(postcard::serialize_with_flavor(wire, Comparison(bytes)), Ok([]))
}

/// The bytes that a value takes.
pub(crate) fn size(wire: &impl Serialize) -> Result<usize> {
    postcard::serialize_with_flavor(wire, Size::default())
        .map_err(|error| Error::invalid("record", error.to_string()))
}

/// Whether a value is shown as this text, which is all that its encoding is.
pub(crate) fn is_shown_as(value: &impl fmt::Display, text: &str) -> bool {
    struct Rest<'a>(&'a str);

    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    let mut rest = Rest(text);
    fmt::Write::write_fmt(&mut rest, format_args!("{value}")).is_ok() && rest.0.is_empty()
}

/// What is still to be written, if all goes on as it began.
struct Comparison<'a>(&'a [u8]);

impl<'a> Flavor for Comparison<'a> {
    type Output = &'a [u8];

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        match *self.0 {
            [expected, ref rest @ ..] if expected == byte => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // Most numbers are one byte.
        if let [byte] = *bytes {
            return self.try_push(byte);
        }
        self.0 = self.0.strip_prefix(bytes).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(self.0)
    }
}

/// Text of at most `MAX` bytes, borrowed from what it is read from.
#[derive(Debug)]
pub(crate) struct Text<'a, const MAX: usize>(pub(crate) Cow<'a, str>);

impl<'a, const MAX: usize> Text<'a, MAX> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(crate) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl<const MAX: usize> Serialize for Text<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Text<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        if text.len() > MAX {
            return Err(D::Error::custom("a text is too long"));
        }
        Ok(Self(Cow::Borrowed(text)))
    }
}

/// At most `MAX` bytes, borrowed from what they are read from.
#[derive(Debug)]
pub(crate) struct Bytes<'a, const MAX: usize>(pub(crate) &'a [u8]);

impl<const MAX: usize> Serialize for Bytes<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Bytes<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        if bytes.len() > MAX {
            return Err(D::Error::custom("there are too many bytes"));
        }
        Ok(Self(bytes))
    }
}

/// At most `MAX` items, none of which may be encoded as nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct List<T, const MAX: usize>(pub(crate) Vec<T>);

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        // Postcard gives the length as a hint, or none where fewer bytes than items are left.
        let Some(length) = seq.size_hint().filter(|length| *length <= MAX) else {
            return Err(A::Error::custom("a list is too long"));
        };
        let mut items = Vec::with_capacity(length);
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(List(items))
    }
}
