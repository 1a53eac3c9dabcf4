use libp2p::PeerId;

use crate::{
    Error, Result,
    package::{
        Manifest, Match, Query, Sort,
        text::{check_count, check_line, check_some_line},
        validate::check_keyword,
    },
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
        Self {
            text: None,
            matching: Match::All,
            keywords: Vec::new(),
            owner: None,
            license: None,
            version: None,
            sort: Sort::Relevance,
            offset: 0,
            limit: 20,
        }
    }
}

impl Search {
    /// The largest offset.
    pub(crate) const MAX_OFFSET: u32 = 10_000;
    /// The most results of a page.
    pub(crate) const MAX_LIMIT: u32 = 100;

    /// Checks the bounds.
    pub(crate) fn validate(&self) -> Result<()> {
        if let Some(text) = &self.text {
            check_line(|| "text".into(), text, Query::MAX_TEXT_BYTES)?;
        }
        check_count("keywords", self.keywords.len(), Manifest::MAX_KEYWORDS)?;
        for (i, keyword) in self.keywords.iter().enumerate() {
            check_keyword(|| format!("keywords[{i}]"), keyword)?;
        }
        if let Some(license) = &self.license {
            check_some_line(|| "license".into(), license, Manifest::MAX_LICENSE_BYTES)?;
        }
        if let Some(version) = &self.version {
            check_line(|| "version".into(), version, Manifest::MAX_REQUIREMENT_BYTES)?;
            let read: Option<semver::VersionReq> = version.parse().ok();
            // Of several spellings, the one that it is shown as.
            if read.is_none_or(|read| read.to_string() != *version) {
                return Err(Error::invalid("version", "is not a requirement as semver shows it"));
            }
        }
        if self.offset > Self::MAX_OFFSET {
            let reason = format!("is {}; 0 to {} are accepted", self.offset, Self::MAX_OFFSET);
            return Err(Error::invalid("offset", reason));
        }
        if !(1..=Self::MAX_LIMIT).contains(&self.limit) {
            let reason = format!("is {}; 1 to {} are accepted", self.limit, Self::MAX_LIMIT);
            return Err(Error::invalid("limit", reason));
        }
        Ok(())
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
}

impl TryFrom<Search> for Query {
    type Error = Error;

    fn try_from(search: Search) -> Result<Self> {
        search.validate()?;
        let version = search.version.map(|version| version.parse()).transpose();
        let version = version.map_err(|_| Error::invalid("version", "is no requirement"))?;
        Ok(Self {
            text: search.text,
            matching: search.matching,
            keywords: search.keywords,
            owner: search.owner,
            license: search.license,
            version,
            sort: search.sort,
            offset: search.offset as usize,
            limit: search.limit as usize,
        })
    }
}
