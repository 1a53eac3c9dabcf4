//! Which packages a node keeps a catalogue of.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

use crate::{
    error::{Error, Result},
    package::{Manifest, validate::check_keyword},
};

/// Which packages of others a node keeps in its catalogue, so which part of all packages it can search by itself and
/// tell others of.
///
/// Whatever the coverage, a node keeps what it publishes, what it has pinned, and what its application has asked for,
/// within [`Limits`](crate::Limits). Two nodes tell each other of what is covered by both: of their
/// [intersection](Self::intersection).
///
/// A withdrawal has no manifest. It is covered as its package was, if the node knew that before; a node that covers
/// keywords and has not listed the package does not keep its withdrawal, and one that covers everything keeps each.
/// Without a catalogue, a package that is announced again after the cache has forgotten it is
/// [discovered](crate::Event::Discovered) again.
///
/// It reads and writes as `"all"`, as `"none"`, or as the list of keywords.
///
/// ```
/// use peerage::{Config, Coverage, Manifest};
///
/// let web = Coverage::of(["http", "tls"]);
/// let manifest = Manifest::new("tiny-http".parse()?, "1.0.0".parse().unwrap());
/// assert!(!web.covers(&manifest));
/// assert!(web.covers(&manifest.clone().with_keywords(["http"])));
/// assert!(Coverage::All.covers(&manifest));
/// Config::new().with_coverage(web).validate()?;
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Coverage {
    /// Every package.
    #[default]
    All,
    /// Packages with at least one of these keywords: 1 to [64](Coverage::MAX_KEYWORDS) of them.
    Keywords(BTreeSet<String>),
    /// No package: for a light client, which asks others when it searches.
    None,
}

impl Coverage {
    /// The most keywords that can be covered.
    pub const MAX_KEYWORDS: usize = 64;

    /// Packages with at least one of these keywords.
    #[must_use]
    pub fn of(keywords: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Keywords(keywords.into_iter().map(Into::into).collect())
    }

    /// Whether packages of this manifest are kept.
    #[must_use]
    pub fn covers(&self, manifest: &Manifest) -> bool {
        self.covers_any(manifest.keywords.iter().map(String::as_str))
    }

    /// Whether packages of these keywords are kept.
    pub(crate) fn covers_any<'a>(&self, mut keywords: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::All => true,
            Self::Keywords(covered) => keywords.any(|keyword| covered.contains(keyword)),
            Self::None => false,
        }
    }

    /// What both cover. Of two lists of keywords it is what stands in both: a package that each of them covers by
    /// another keyword is not part of it.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, covered) | (covered, Self::All) => covered.clone(),
            (Self::Keywords(left), Self::Keywords(right)) => {
                let both: BTreeSet<String> = left.intersection(right).cloned().collect();
                if both.is_empty() { Self::None } else { Self::Keywords(both) }
            }
        }
    }

    /// Checks the number of keywords and each of them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the field `coverage`, and what is accepted.
    pub fn validate(&self) -> Result<()> {
        let Self::Keywords(keywords) = self else { return Ok(()) };
        let (count, max) = (keywords.len(), Self::MAX_KEYWORDS);
        if !(1..=max).contains(&count) {
            let reason = format!("has {count} keywords; 1 to {max}, `all` or `none` are accepted");
            return Err(Error::invalid("coverage", reason));
        }
        keywords.iter().try_for_each(|keyword| check_keyword(|| "coverage".into(), keyword))
    }
}

impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Keywords(keywords) => keywords.serialize(serializer),
            Self::None => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for Coverage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CoverageVisitor)
    }
}

struct CoverageVisitor;

impl<'de> Visitor<'de> for CoverageVisitor {
    type Value = Coverage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`all`, `none` or a list of keywords")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Coverage, E> {
        match text {
            "all" => Ok(Coverage::All),
            "none" => Ok(Coverage::None),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Coverage, A::Error> {
        let mut keywords = BTreeSet::new();
        while let Some(keyword) = seq.next_element::<String>()? {
            if !keywords.insert(keyword) {
                return Err(A::Error::custom("a keyword is listed twice"));
            }
        }
        Ok(Coverage::Keywords(keywords))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> serde_json::Result<Coverage> {
        serde_json::from_str(text)
    }

    #[test]
    fn it_reads_as_it_is_written() {
        for (text, coverage) in [
            ("\"all\"", Coverage::All),
            ("\"none\"", Coverage::None),
            ("[\"http\",\"tls\"]", Coverage::of(["tls", "http"])),
        ] {
            assert_eq!(read(text).unwrap(), coverage);
            assert_eq!(serde_json::to_string(&coverage).unwrap(), text);
        }
        for refused in ["\"some\"", "[\"a\",\"a\"]", "3", "null", "{}"] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn keywords_are_those_that_a_package_may_have() {
        let many = Coverage::of((0..65).map(|i| format!("k{i}")));
        let none = Coverage::Keywords(BTreeSet::new());
        let refused =
            [many, none, Coverage::of(["Web"]), Coverage::of(["a b"]), Coverage::of([""])];
        for coverage in refused {
            let refused = coverage.validate();
            assert!(
                matches!(&refused, Err(Error::Invalid { field, .. }) if field == "coverage"),
                "{coverage:?}: {refused:?}"
            );
        }
        assert_eq!(Coverage::of((0..64).map(|i| format!("k{i}"))).validate(), Ok(()));
        assert_eq!(Coverage::None.validate(), Ok(()));
    }

    #[test]
    fn two_nodes_share_what_both_cover_whoever_is_asked() {
        let (web, tls) = (Coverage::of(["http", "tls"]), Coverage::of(["tls", "x509"]));
        for (left, right, both) in [
            (&Coverage::All, &web, web.clone()),
            (&Coverage::None, &Coverage::All, Coverage::None),
            (&Coverage::None, &web, Coverage::None),
            (&web, &tls, Coverage::of(["tls"])),
            (&web, &Coverage::of(["gui"]), Coverage::None),
            (&web, &web, web.clone()),
        ] {
            assert_eq!(left.intersection(right), both);
            assert_eq!(right.intersection(left), both);
        }
    }
}
