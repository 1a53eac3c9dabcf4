use libp2p::PeerId;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::{
    Manifest,
    license::{fold_license, license_terms},
    text::{check_count, check_line, check_some_line},
    validate::{check_keyword, validate_keywords, validate_requirement},
};
use crate::error::{Error, Result};

/// What to search for. Each part narrows the search; a query without any matches every package.
///
/// # How text is found
///
/// Words are sequences of letters and digits, as Unicode's UAX #29 cuts them and at each sign besides, compared without
/// regard to case and accents. In scripts without spaces between words (Chinese, Japanese, Thai, Khmer and others) each
/// pair of neighbouring characters counts as a word, and a character by itself as one: any part of a text finds it. A
/// query with several words finds the packages that have them all, or, with [`Match::Any`], those that have at least
/// one. A word is found in the name, the keywords and the description, either whole or, from two letters on, as the
/// beginning of a longer one. All words written together are found as a name, too: `serde json` finds `serde-json` and
/// `serdejson` alike. Where a word is nowhere, or all words are nowhere together, typing errors are forgiven: one
/// letter that is missing, superfluous, another, or exchanged with its neighbour in words from four letters on, two in
/// those from eight letters on.
///
/// ```
/// use peerage::package::{Match, Query, Sort};
///
/// let query = Query::new().with_text("http server").with_keyword("async").with_limit(10);
/// query.validate()?;
///
/// // Alternatives, under a licence, at a version; the next page of them, by name.
/// let query = Query::new()
///     .with_text("toml yaml")
///     .with_matching(Match::Any)
///     .with_license("MIT")
///     .with_version(">=1.0".parse::<semver::VersionReq>()?)
///     .with_sort(Sort::Name)
///     .with_offset(20);
/// query.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Query {
    /// Words to find in the name, the keywords or the description: at most 256 bytes. Of more than
    /// [`MAX_WORDS`](Self::MAX_WORDS) different words the first ones count, and the answer says that it is truncated. Of a
    /// text without spaces, twice as many characters count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether all words are wanted or any of them. All by default.
    #[serde(skip_serializing_if = "is_default")]
    pub matching: Match,
    /// Keywords that the package must all have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Whose packages to search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<PeerId>,
    /// The licence: an expression such as `MIT` or `MIT OR Apache-2.0`, which is the whole licence of a package or a part
    /// of it. Neither case nor the order of alternatives matters. Of up to five licences that one operator joins, however
    /// they are grouped, any several are a part; of six to eight, any two; of more, none but all. At most 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The versions of which one must be there. It is looked for among the releases that the head of a package lists
    /// itself, the newest 24, and that are not yanked; where the list continues, older ones are not looked at. As
    /// cargo does, a pre-release only satisfies a requirement that names one of the same version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionReq>,
    /// The order of the results. By relevance by default.
    #[serde(skip_serializing_if = "is_default")]
    pub sort: Sort,
    /// How many of the first results to pass over: 0 by default, at most 10,000.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: usize,
    /// The most results wanted: 1 to 100, 20 by default.
    pub limit: usize,
}

/// Which words of a text must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Match {
    /// Every word.
    #[default]
    All,
    /// At least one word: the words are alternatives. Packages that have more of them, or have them in better places,
    /// come first.
    Any,
}

/// In which order results come. The order is total, and the same whatever the order in which packages became known:
/// where the rule below leaves a tie, names decide, and then owners. In each of them, what is deprecated comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sort {
    /// What fits the text best first: first the package of that very name, then words in names, in keywords, in
    /// descriptions; in each of them a whole word before the beginning of one. What was only found by forgiving typing
    /// errors comes last. Where places are alike, rare words and short texts count more.
    #[default]
    Relevance,
    /// By name.
    Name,
    /// The package whose newest head was issued last first. Heads are also issued when nothing changes, to keep a
    /// package from expiring.
    Updated,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Query {
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
            limit: Self::DEFAULT_LIMIT,
        }
    }
}

impl Query {
    /// The longest text, in bytes.
    pub const MAX_TEXT_BYTES: usize = 256;
    /// How many different words of a text count.
    pub const MAX_WORDS: usize = 16;
    /// How many results can be passed over.
    pub const MAX_OFFSET: usize = 10_000;
    /// How many results are wanted unless it is said.
    pub const DEFAULT_LIMIT: usize = 20;
    /// The most results that can be wanted.
    pub const MAX_LIMIT: usize = 100;

    /// A query that matches every package, for 20 results.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants these words in the name, the keywords or the description.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    /// Wants all words of the text, or any of them.
    #[must_use]
    pub fn with_matching(self, matching: Match) -> Self {
        Self { matching, ..self }
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

    /// Wants packages under this licence only, or with this licence among those that can be chosen.
    #[must_use]
    pub fn with_license(self, license: impl Into<String>) -> Self {
        Self { license: Some(license.into()), ..self }
    }

    /// Wants packages that have a release of such a version.
    #[must_use]
    pub fn with_version(self, version: VersionReq) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Wants the results in this order.
    #[must_use]
    pub fn with_sort(self, sort: Sort) -> Self {
        Self { sort, ..self }
    }

    /// Passes over so many of the first results: at most 10,000.
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
        let Self { text, keywords, license, version, offset, limit, .. } = self;
        let (text, license) = (text.as_deref(), license.as_deref());
        let bounded = Bounded {
            text,
            keywords,
            license,
            version: version.as_ref(),
            offset: *offset,
            limit: *limit,
        };
        bounded.check(validate_keywords)
    }

    /// Whether a package passes everything that the query says besides its text: whose it is, its keywords, its
    /// licence, and whether one of these releases is of a version that is wanted. Those that are yanked are left out by
    /// the caller.
    #[must_use]
    pub fn accepts<'a>(
        &self,
        manifest: &Manifest,
        owner: &PeerId,
        releases: impl IntoIterator<Item = &'a Version>,
    ) -> bool {
        let wants = |license: &String| {
            let has = manifest.license.as_deref().unwrap_or_default();
            license_terms(has).contains(&fold_license(license))
        };
        self.owner.is_none_or(|wanted| wanted == *owner)
            && self.keywords.iter().all(|keyword| manifest.keywords.contains(keyword))
            && self.license.as_ref().is_none_or(wants)
            && self
                .version
                .as_ref()
                .is_none_or(|wanted| releases.into_iter().any(|version| wanted.matches(version)))
    }
}

/// What of a query has bounds, wherever it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounded<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) keywords: &'a [String],
    pub(crate) license: Option<&'a str>,
    pub(crate) version: Option<&'a VersionReq>,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl Bounded<'_> {
    /// Checks what another node has sent. Which of its keywords repeat each other is the same to whoever answers it.
    pub(crate) fn check_sent(&self) -> Result<()> {
        self.check(|keywords| {
            check_count("keywords", keywords.len(), Manifest::MAX_KEYWORDS)?;
            let mut keywords = keywords.iter().enumerate();
            keywords
                .try_for_each(|(i, keyword)| check_keyword(|| format!("keywords[{i}]"), keyword))
        })
    }

    fn check(&self, check_keywords: impl Fn(&[String]) -> Result<()>) -> Result<()> {
        if let Some(text) = self.text {
            check_line(|| "text".into(), text, Query::MAX_TEXT_BYTES)?;
        }
        check_keywords(self.keywords)?;
        if let Some(license) = self.license {
            check_some_line(|| "license".into(), license, Manifest::MAX_LICENSE_BYTES)?;
        }
        if let Some(version) = self.version {
            validate_requirement(|| "version".into(), version)?;
        }
        if self.offset > Query::MAX_OFFSET {
            let reason = format!("is {}; at most {} is accepted", self.offset, Query::MAX_OFFSET);
            return Err(Error::invalid("offset", reason));
        }
        if !(1..=Query::MAX_LIMIT).contains(&self.limit) {
            let reason = format!("is {}; 1 to {} are accepted", self.limit, Query::MAX_LIMIT);
            return Err(Error::invalid("limit", reason));
        }
        Ok(())
    }
}
