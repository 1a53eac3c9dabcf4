use libp2p::PeerId;
use semver::VersionReq;

use crate::{
    error::{Error, Result},
    package::{Bounded, Match, Query, Sort},
};

/// What is searched for, and which page of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    /// Words to look for, at most 256 bytes on one line.
    pub(crate) text: Option<String>,
    /// Whether all of the words have to be found.
    pub(crate) matching: Match,
    /// Keywords that the package must all have, at most 16.
    pub(crate) keywords: Vec<String>,
    /// Whose packages to search.
    pub(crate) owner: Option<PeerId>,
    /// The licence, 1 to 128 bytes.
    pub(crate) license: Option<String>,
    /// What some release must satisfy: a requirement as semver shows it, at most 128 bytes.
    pub(crate) version: Option<String>,
    /// In which order.
    pub(crate) sort: Sort,
    /// How many of the first ones to leave out, at most 10,000.
    pub(crate) offset: u32,
    /// How many are wanted, 1 to 100.
    pub(crate) limit: u32,
}

impl Default for Search {
    /// Everything, from the first on.
    fn default() -> Self {
        Self::of(&Query::new(), 0, Query::DEFAULT_LIMIT)
    }
}

impl Search {
    /// What a query asks of one peer: from which of its results on, and how many.
    pub(crate) fn of(query: &Query, offset: usize, limit: usize) -> Self {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            text: query.text.clone(),
            matching: query.matching,
            keywords: query.keywords.clone(),
            owner: query.owner,
            license: query.license.clone(),
            version: query.version.as_ref().map(ToString::to_string),
            sort: query.sort,
            offset: number(offset),
            limit: number(limit),
        }
    }

    /// Checks that it is a query, written as queries are.
    pub(crate) fn validate(&self) -> Result<()> {
        self.read_version().map(drop)
    }

    /// The requirement, once everything has been found to be within its bounds.
    fn read_version(&self) -> Result<Option<VersionReq>> {
        let version = self.version.as_deref().map(requirement).transpose()?;
        let bounded = Bounded {
            text: self.text.as_deref(),
            keywords: &self.keywords,
            license: self.license.as_deref(),
            version: version.as_ref(),
            offset: number(self.offset),
            limit: number(self.limit),
        };
        bounded.check_sent()?;
        Ok(version)
    }
}

impl TryFrom<Search> for Query {
    type Error = Error;

    fn try_from(search: Search) -> Result<Self> {
        let version = search.read_version()?;
        Ok(Self {
            text: search.text,
            matching: search.matching,
            keywords: search.keywords,
            owner: search.owner,
            license: search.license,
            version,
            sort: search.sort,
            offset: number(search.offset),
            limit: number(search.limit),
        })
    }
}

fn number(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Of several spellings of a requirement, the one that it is shown as.
fn requirement(text: &str) -> Result<VersionReq> {
    let read: Option<VersionReq> = text.parse().ok();
    read.filter(|read| read.to_string() == text)
        .ok_or_else(|| Error::invalid("version", "is not a requirement as semver shows it"))
}
