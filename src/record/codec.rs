//! Postcard, read strictly.
//!
//! Postcard by itself takes overlong varints and whatever follows a value. Here lengths are bounded
//! before anything is allocated, nothing may follow, and the caller compares what it has read, encoded
//! again, with what it was given.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::Rejected;
use crate::{Error, Result};

pub(super) fn encode(wire: &impl Serialize) -> Result<Vec<u8>> {
    // Wire types have no sequences of unknown length, nor anything else that postcard cannot write.
    postcard::to_stdvec(wire).map_err(|error| Error::invalid("record", error.to_string()))
}

pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Rejected> {
    match postcard::take_from_bytes(bytes) {
        Ok((wire, [])) => Ok(wire),
        Ok(_) => Err(Rejected::encoding("bytes follow the body")),
        Err(_) => Err(Rejected::encoding("the body does not decode")),
    }
}

/// Text of at most `MAX` bytes, borrowed from what it is read from.
#[derive(Debug)]
pub(super) struct Text<'a, const MAX: usize>(pub(super) Cow<'a, str>);

impl<'a, const MAX: usize> Text<'a, MAX> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(super) fn into_string(self) -> String {
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
pub(super) struct Bytes<'a, const MAX: usize>(pub(super) &'a [u8]);

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
#[derive(Debug)]
pub(super) struct List<T, const MAX: usize>(pub(super) Vec<T>);

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
