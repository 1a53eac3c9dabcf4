//! How an entry of a snapshot and a row of a storage are written: both say the same in the same way.

use std::sync::Arc;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{high_water::Remembered, quota::Account};
use crate::{
    error::{Error, Result},
    package::PackageName,
    record::{MAX_RECORD_BYTES, Rank},
};

/// An announcement that nobody had heard. What was read from a file is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unheard {
    pub(crate) topic: String,
    pub(crate) data: Vec<u8>,
    /// The own package whose head it is; none for a message of the application.
    pub(crate) package: Option<PackageName>,
    /// The number of its row, where it was read from one.
    pub(crate) number: Option<u64>,
}

/// A record that was held. What was read from a file is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) bytes: Arc<[u8]>,
    pub(super) until: u64,
    pub(super) putter: Option<Account>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecordWire<'a> {
    bytes: &'a [u8],
    until: u64,
    /// The account of whoever has put it. Schema 1 has the peer's id.
    #[serde(borrow)]
    putter: Option<&'a [u8]>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MarkWire<'a> {
    owner: [u8; 32],
    name: &'a str,
    epoch: u32,
    sequence: u64,
    withdrawn: bool,
    equivocated: bool,
    wanted: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PinWire<'a> {
    name: &'a str,
    owner: &'a [u8],
}

#[derive(Serialize, Deserialize)]
pub(super) struct EpochWire<'a> {
    owner: &'a [u8],
    epoch: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct UnheardWire<'a> {
    topic: &'a str,
    data: &'a [u8],
    package: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct HeadWire<'a> {
    bytes: &'a [u8],
}

impl Kept {
    pub(super) fn encode(&self) -> Vec<u8> {
        let putter = self.putter.as_ref().map(Account::bytes);
        encode(&RecordWire { bytes: &self.bytes, until: self.until, putter })
    }
}

impl RecordWire<'_> {
    pub(super) fn read(self) -> Result<Kept> {
        let putter = self.putter.map(account).transpose()?;
        Ok(Kept { bytes: record(self.bytes)?, until: self.until, putter })
    }
}

impl Remembered {
    /// The key of its row: the owner's key, and the name.
    pub(super) fn row(&self) -> Vec<u8> {
        [&self.owner, self.name.as_str().as_bytes()].concat()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        encode(&MarkWire {
            owner: self.owner,
            name: self.name.as_str(),
            epoch: self.rank.epoch,
            sequence: self.rank.sequence,
            withdrawn: self.rank.withdrawn,
            equivocated: self.equivocated,
            wanted: self.wanted,
        })
    }
}

impl MarkWire<'_> {
    pub(super) fn read(self) -> Result<Remembered> {
        let Self { owner, epoch, sequence, withdrawn, equivocated, wanted, .. } = self;
        let rank = Rank { epoch, withdrawn, sequence };
        Ok(Remembered { owner, name: name(self.name)?, rank, equivocated, wanted })
    }
}

pub(super) fn encode_pin(name: &PackageName, owner: &PeerId) -> Vec<u8> {
    encode(&PinWire { name: name.as_str(), owner: &owner.to_bytes() })
}

impl PinWire<'_> {
    pub(super) fn read(self) -> Result<(PackageName, PeerId)> {
        Ok((name(self.name)?, peer(self.owner)?))
    }
}

pub(super) fn encode_epoch(owner: &PeerId, epoch: u32) -> Vec<u8> {
    encode(&EpochWire { owner: &owner.to_bytes(), epoch })
}

impl EpochWire<'_> {
    pub(super) fn read(self) -> Result<(PeerId, u32)> {
        Ok((peer(self.owner)?, self.epoch))
    }
}

impl Unheard {
    pub(super) fn encode(&self) -> Vec<u8> {
        let package = self.package.as_ref().map(PackageName::as_str);
        encode(&UnheardWire { topic: &self.topic, data: &self.data, package })
    }
}

impl UnheardWire<'_> {
    pub(super) fn read(self) -> Result<Unheard> {
        let package = self.package.map(name).transpose()?;
        let (topic, data) = (self.topic.to_owned(), self.data.to_vec());
        Ok(Unheard { topic, data, package, number: None })
    }
}

pub(super) fn encode_head(bytes: &[u8]) -> Vec<u8> {
    encode(&HeadWire { bytes })
}

impl HeadWire<'_> {
    pub(super) fn read(self) -> Result<Arc<[u8]>> {
        record(self.bytes)
    }
}

/// What postcard writes, which for these types always succeeds.
fn encode(wire: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(wire).unwrap_or_default()
}

pub(super) fn append(bytes: &mut Vec<u8>, wire: &impl Serialize) {
    bytes.extend(encode(wire));
}

pub(super) fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8])> {
    postcard::take_from_bytes(bytes).map_err(|_| malformed())
}

fn record(bytes: &[u8]) -> Result<Arc<[u8]>> {
    if bytes.len() > MAX_RECORD_BYTES { Err(malformed()) } else { Ok(bytes.into()) }
}

fn name(text: &str) -> Result<PackageName> {
    text.parse().map_err(|_| malformed())
}

fn account(bytes: &[u8]) -> Result<Account> {
    match bytes.try_into() {
        Ok(account) => Ok(Account::from_bytes(account)),
        Err(_) => Ok(Account::of(&peer(bytes)?)),
    }
}

fn peer(bytes: &[u8]) -> Result<PeerId> {
    PeerId::from_bytes(bytes).map_err(|_| malformed())
}

pub(super) fn malformed() -> Error {
    invalid("is malformed")
}

pub(super) fn invalid(reason: &str) -> Error {
    Error::invalid("snapshot", reason)
}
