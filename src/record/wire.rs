//! The parts that bodies of several kinds are written with. What is a kind's own stands with the kind.
//!
//! What is written is format 1 for good. The order of fields and of variants is the format; new
//! fields come with a new format, or inside `ext`. There are no `usize`, floats, `char`s, maps,
//! recursive types or items that encode to nothing.

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    codec::{Bytes, List, Text},
    limits::MAX_EXT_BYTES,
    network::NetworkName,
    rejected::Rejected,
    revision::Revision,
    validity::Validity,
};
use crate::{
    coverage::Coverage,
    error::{Error, Result},
    package::{Manifest, PackageName, owner_from_key, owner_key, text::is_version},
};

pub(super) type NetworkText<'a> = Text<'a, { NetworkName::MAX_BYTES }>;
pub(super) type NameText<'a> = Text<'a, { PackageName::MAX_BYTES }>;
pub(super) type VersionText<'a> = Text<'a, { Manifest::MAX_VERSION_BYTES }>;
pub(super) type KeywordText<'a> = Text<'a, { Manifest::MAX_KEYWORD_BYTES }>;
pub(super) type Ext<'a> = Bytes<'a, MAX_EXT_BYTES>;

/// How a head and a claim begin.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartWire<'a> {
    #[serde(borrow)]
    pub(super) name: NameText<'a>,
    #[serde(with = "RevisionWire")]
    pub(super) revision: Revision,
    #[serde(with = "ValidityWire")]
    pub(super) validity: Validity,
}

impl<'a> StartWire<'a> {
    pub(super) fn of(name: &'a PackageName, revision: Revision, validity: Validity) -> Self {
        Self { name: NameText::of(name.as_str()), revision, validity }
    }
}

/// How a [`Revision`] is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Revision")]
pub(super) struct RevisionWire {
    epoch: u32,
    sequence: u64,
}

/// How a [`Validity`] is written. One that is read may be no lifetime at all.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Validity")]
pub(super) struct ValidityWire {
    issued: u64,
    expires: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CoverageWire<'a> {
    All,
    #[serde(borrow)]
    Keywords(List<KeywordText<'a>, { Coverage::MAX_KEYWORDS }>),
    None,
}

impl<'a> CoverageWire<'a> {
    pub(crate) fn of(coverage: &'a Coverage) -> Self {
        match coverage {
            Coverage::All => Self::All,
            Coverage::Keywords(keywords) => {
                Self::Keywords(List(keywords.iter().map(|keyword| Text::of(keyword)).collect()))
            }
            Coverage::None => Self::None,
        }
    }

    /// What comes back is not validated.
    /// Keywords come in order, each once: a coverage is written in one way.
    pub(crate) fn into_coverage(self) -> Result<Coverage, Rejected> {
        let coverage = match self {
            Self::All => Coverage::All,
            Self::None => Coverage::None,
            Self::Keywords(keywords) => {
                let keywords = keywords.0.into_iter().map(Text::into_string);
                let keywords: Vec<String> = keywords.collect();
                if !keywords.is_sorted_by(|a, b| a < b) {
                    return Err(Rejected::Encoding { reason: "keywords are out of order" });
                }
                Coverage::Keywords(keywords.into_iter().collect())
            }
        };
        coverage.validate()?;
        Ok(coverage)
    }
}

pub(crate) fn key_of(owner: &PeerId) -> Result<[u8; 32]> {
    owner_key(owner).ok_or_else(|| {
        Error::invalid("owner", format!("`{owner}` is not the peer id of an Ed25519 key"))
    })
}

pub(crate) fn owner_of(key: &[u8; 32]) -> Result<PeerId, Rejected> {
    owner_from_key(key).ok_or(Rejected::Signer)
}

pub(super) fn version_of(text: &VersionText<'_>) -> Result<semver::Version, Rejected> {
    let version = text.0.parse().map_err(|_| Rejected::encoding("not a semantic version"))?;
    if !is_version(&text.0, &version) {
        return Err(Rejected::encoding("the body is not encoded canonically"));
    }
    Ok(version)
}
