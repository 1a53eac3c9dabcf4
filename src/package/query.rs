use libp2p::PeerId;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::{
    Manifest, Package,
    relevance::{NAME_AS_TYPED, relevance},
    text::{check_line, check_some_line},
    validate::validate_keywords,
};
use crate::{Error, Result};

/// What to search for. Each part narrows the search; a query without any matches every package.
///
/// # Text
///
/// Words are compared without regard to case, accents and punctuation: `Créme` finds `creme`, `serde json` finds
/// `serde_json`, and `serdejson` does too. A word also finds what begins with it, from two letters on, and what is one
/// typing error away, two from eight letters on; below four letters there is no room for errors. All words have to be
/// found, or with [`Matching::Any`] one of them.
///
/// The best come first: the package whose name was typed, then those that have the words in their names, among their
/// keywords, and in their descriptions; words that are the same before beginnings, and those before typing errors. A node
/// that searches its own catalogue gives more weight to rarer words.
///
/// ```
/// use peerage::package::{Matching, Query, Sort};
///
/// let query = Query::new()
///     .with_text("http server")
///     .with_keyword("async")
///     .with_license("MIT")
///     .with_version("^1.2".parse()?)
///     .with_limit(10);
/// query.validate()?;
/// let alternatives = Query::new().with_text("toml yaml json").with_matching(Matching::Any);
/// let newest = Query::new().with_sort(Sort::Updated).with_offset(20);
/// # alternatives.validate()?;
/// # newest.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Query {
    /// Words to find in the name, the description or the keywords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether all of the words have to be found. All of them, by default.
    pub matching: Matching,
    /// Keywords that the package must all have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Whose packages to search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<PeerId>,
    /// A licence under which the package is: a part of its licence expression, whatever the case. `MIT` finds
    /// `MIT OR Apache-2.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// What a release must satisfy that is not yanked. Of packages with many releases, the newest 24 are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionReq>,
    /// The order of the results. By relevance, by default.
    pub sort: Sort,
    /// How many of the first results to leave out: 0 to 10,000, 0 by default.
    pub offset: usize,
    /// The most results wanted: 1 to 100, 20 by default.
    pub limit: usize,
}

/// Whether all words of a query's text have to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// All of them.
    #[default]
    All,
    /// One of them: they are alternatives. The more of them are found, the better a package fits.
    Any,
}

/// The order of results. Between equals it is always that of names, then that of owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sort {
    /// The best first. Without a text, as [`Name`](Self::Name).
    #[default]
    Relevance,
    /// By name, in the order of its bytes.
    Name,
    /// The package whose head was issued last first. Heads are issued anew now and then, so that this tells apart what
    /// has changed of late from what has not for days, and little more.
    Updated,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: None,
            matching: Matching::All,
            keywords: Vec::new(),
            owner: None,
            license: None,
            version: None,
            sort: Sort::Relevance,
            offset: 0,
            limit: Self::DEFAULT_LIMIT,
        }
    }
}

impl Query {
    /// The longest text, in bytes.
    pub const MAX_TEXT_BYTES: usize = 256;
    /// How many results are wanted unless it is said.
    pub const DEFAULT_LIMIT: usize = 20;
    /// The most results that can be wanted.
    pub const MAX_LIMIT: usize = 100;
    /// The most results that can be left out.
    pub const MAX_OFFSET: usize = 10_000;

    /// A query that matches every package, for 20 results.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants these words in the name, the description or the keywords.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    /// Wants this keyword, in addition to those already wanted.
    #[must_use]
    pub fn with_keyword(mut self, keyword: impl Into<String>) -> Self {
        self.keywords.push(keyword.into());
        self
    }

    /// Wants packages of this owner only.
    #[must_use]
    pub fn with_owner(self, owner: PeerId) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// Wants all of the words, or one of them.
    #[must_use]
    pub fn with_matching(self, matching: Matching) -> Self {
        Self { matching, ..self }
    }

    /// Wants packages under this licence.
    #[must_use]
    pub fn with_license(self, license: impl Into<String>) -> Self {
        Self { license: Some(license.into()), ..self }
    }

    /// Wants packages with such a release.
    #[must_use]
    pub fn with_version(self, version: VersionReq) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Wants them in this order.
    #[must_use]
    pub fn with_sort(self, sort: Sort) -> Self {
        Self { sort, ..self }
    }

    /// Leaves out so many of the first results: 0 to 10,000.
    #[must_use]
    pub fn with_offset(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// Wants at most so many results: 1 to 100.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the field at fault, what is wrong with it, and what is accepted.
    pub fn validate(&self) -> Result<()> {
        if let Some(text) = &self.text {
            check_line(|| "text".into(), text, Self::MAX_TEXT_BYTES)?;
        }
        validate_keywords(&self.keywords)?;
        if let Some(license) = &self.license {
            check_some_line(|| "license".into(), license, Manifest::MAX_LICENSE_BYTES)?;
        }
        if let Some(version) = &self.version {
            let text = version.to_string();
            check_line(|| "version".into(), &text, Manifest::MAX_REQUIREMENT_BYTES)?;
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

    /// Whether this owner's package is among what is searched for, by the release that the manifest is of.
    #[must_use]
    pub fn matches(&self, manifest: &Manifest, owner: &PeerId) -> bool {
        self.admits(manifest, owner, [&manifest.version]) && relevance(self, manifest).is_some()
    }

    /// How well the text fits: the higher the better, for putting results in order, the same on every peer. 0 where it
    /// does not fit, and where there is no text.
    #[must_use]
    pub fn score(&self, manifest: &Manifest) -> u64 {
        relevance(self, manifest).unwrap_or_default()
    }

    /// Whether a package passes everything but the text. `releases` are those that are not yanked.
    pub(crate) fn admits<'a>(
        &self,
        manifest: &Manifest,
        owner: &PeerId,
        releases: impl IntoIterator<Item = &'a Version>,
    ) -> bool {
        self.owner.is_none_or(|wanted| wanted == *owner)
            && self.keywords.iter().all(|keyword| manifest.keywords.contains(keyword))
            && self.is_licensed(manifest.license.as_deref())
            && self.has_release(releases)
    }

    /// Whether a licence expression has what is wanted of it.
    pub(crate) fn is_licensed(&self, expression: Option<&str>) -> bool {
        let Some(wanted) = &self.license else { return true };
        let Some(expression) = expression else { return false };
        let is_between = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '/');
        expression.eq_ignore_ascii_case(wanted)
            || expression.split(is_between).any(|part| part.eq_ignore_ascii_case(wanted))
    }

    /// Whether one of these releases is wanted.
    pub(crate) fn has_release<'a>(&self, releases: impl IntoIterator<Item = &'a Version>) -> bool {
        let Some(wanted) = &self.version else { return true };
        releases.into_iter().any(|version| wanted.matches(version))
    }

    /// Puts packages of any origin in the order that is wanted. `Updated` is not known of packages alone: they keep the
    /// order in which they are.
    pub(crate) fn sort_packages(&self, packages: &mut [Package]) {
        let name = |package: &Package| (package.id.name().clone(), package.owner);
        match self.sort {
            Sort::Relevance => packages.sort_by_cached_key(|package| {
                (std::cmp::Reverse(self.score(&package.manifest)), name(package))
            }),
            Sort::Name => packages.sort_by_cached_key(name),
            Sort::Updated => {}
        }
    }
}

const _: () =
    assert!(NAME_AS_TYPED > 128 * 20_000, "no sum of words is above a name as it was typed");
