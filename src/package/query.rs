use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{Manifest, text::check_line, validate::validate_keywords};
use crate::{Error, Result};

/// What to search for. Each part narrows the search; a query without any matches every package.
///
/// ```
/// use peerage::package::Query;
///
/// let query = Query::new().with_text("http server").with_keyword("async").with_limit(10);
/// query.validate()?;
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Query {
    /// Words that must all occur in the name, the description or the keywords, whatever their case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Keywords that the package must all have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Whose packages to search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<PeerId>,
    /// The most results wanted: 1 to 100, 20 by default.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self { text: None, keywords: Vec::new(), owner: None, limit: Self::DEFAULT_LIMIT }
    }
}

impl Query {
    /// The longest text, in bytes.
    pub const MAX_TEXT_BYTES: usize = 256;
    /// How many results are wanted unless it is said.
    pub const DEFAULT_LIMIT: usize = 20;
    /// The most results that can be wanted.
    pub const MAX_LIMIT: usize = 100;

    /// A query that matches every package, for 20 results.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants all of these words in the name, the description or the keywords.
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
        if !(1..=Self::MAX_LIMIT).contains(&self.limit) {
            let reason = format!("is {}; 1 to {} are accepted", self.limit, Self::MAX_LIMIT);
            return Err(Error::invalid("limit", reason));
        }
        Ok(())
    }

    /// Whether this owner's package is among what is searched for.
    #[must_use]
    pub fn matches(&self, manifest: &Manifest, owner: &PeerId) -> bool {
        self.owner.is_none_or(|wanted| wanted == *owner)
            && self.keywords.iter().all(|keyword| manifest.keywords.contains(keyword))
            && self.places(manifest).all(|place| place.is_some())
    }

    /// How well the text fits: the higher the better, for putting results in order.
    ///
    /// The best place of any word decides: the whole name, the start of the name, within the name, a
    /// keyword, the description. Between equals, so do the places of all the words. A query without
    /// text scores 0 everywhere.
    #[must_use]
    pub fn score(&self, manifest: &Manifest) -> u32 {
        let (best, sum) = self
            .places(manifest)
            .flatten()
            .fold((0, 0_u32), |(best, sum), place| (place.max(best), sum.saturating_add(place)));
        // A valid text has at most 128 words, whose places sum to less than one step of the best.
        best * 1_000 + sum.min(999)
    }

    /// The best place of each word of the text, `None` where there is none.
    fn places(&self, manifest: &Manifest) -> impl Iterator<Item = Option<u32>> {
        let description = match &self.text {
            Some(_) => manifest.description.to_lowercase(),
            None => String::new(),
        };
        let words = self.text.as_deref().unwrap_or_default().split_whitespace();
        words.map(move |word| {
            let word = word.to_lowercase();
            let word = word.as_str();
            let name = manifest.name.as_str();
            if name == word {
                Some(5)
            } else if name.starts_with(word) {
                Some(4)
            } else if name.contains(word) {
                Some(3)
            } else if manifest.keywords.iter().any(|keyword| keyword.contains(word)) {
                Some(2)
            } else if description.contains(word) {
                Some(1)
            } else {
                None
            }
        })
    }
}
