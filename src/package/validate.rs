//! The bounds of a manifest. Every error names the field, what is wrong, and what is accepted.

use std::{collections::HashSet, hash::Hash};

use semver::VersionReq;

use super::{
    Artifact, Dependency, Manifest,
    license::check_license,
    owner_key,
    text::{check_count, check_line, check_lines, check_some_line, version_len},
};
use crate::error::{Error, Result};

/// Where a manifest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody has put it together.
    Made,
    /// It was read from its encoding: each requirement was parsed from a text within its bound, and is shown as that
    /// same text.
    Read,
}

impl Manifest {
    /// Checks everything that a manifest must be to be published, but the size of the whole, which is known once it is
    /// written down.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the path of the first field at fault, such as
    /// `artifacts[2].media_type`, what is wrong with it, and what would be accepted.
    pub fn validate(&self) -> Result<()> {
        self.validate_from(Origin::Made)?;
        self.license.as_deref().map_or(Ok(()), check_license)
    }

    /// Checks every bound, but for what is known by where it comes from. A licence need not be one that this version
    /// knows: what is published under a newer one is read, and signed anew, all the same.
    pub(crate) fn validate_from(&self, origin: Origin) -> Result<()> {
        let (size, max) = (version_len(&self.version), Self::MAX_VERSION_BYTES);
        if size > max {
            return Err(Error::invalid("version", format!("is {size} of at most {max} bytes")));
        }
        let description = || "description".into();
        check_lines(description, &self.description, Self::MAX_DESCRIPTION_BYTES)?;
        if let Some(license) = &self.license {
            check_some_line(|| "license".into(), license, Self::MAX_LICENSE_BYTES)?;
        }
        self.validate_authors()?;
        validate_keywords(&self.keywords)?;
        if let Some(url) = &self.homepage {
            validate_url("homepage", url, &["https", "http"])?;
        }
        if let Some(url) = &self.repository {
            let schemes = ["https", "http", "git", "ssh", "git+https", "git+http", "git+ssh"];
            validate_url("repository", url, &schemes)?;
        }
        self.validate_dependencies(origin)?;
        self.validate_artifacts()
    }

    fn validate_authors(&self) -> Result<()> {
        check_count("authors", self.authors.len(), Self::MAX_AUTHORS)?;
        let mut seen = Seen::new();
        for (i, author) in self.authors.iter().enumerate() {
            let field = || format!("authors[{i}]");
            check_some_line(field, author, Self::MAX_AUTHOR_BYTES)?;
            distinct(&mut seen, author.as_str(), field, author)?;
        }
        Ok(())
    }

    fn validate_dependencies(&self, origin: Origin) -> Result<()> {
        check_count("dependencies", self.dependencies.len(), Self::MAX_DEPENDENCIES)?;
        let mut seen = Seen::new();
        for (i, Dependency { name, owner, requirement }) in self.dependencies.iter().enumerate() {
            if *name == self.name && owner.is_none() {
                let reason = "is the package itself; another package, or another owner's of that \
                              name, is accepted";
                return Err(Error::invalid(format!("dependencies[{i}].name"), reason));
            }
            if let Some(owner) = owner
                && owner_key(owner).is_none()
            {
                let reason = format!("`{owner}` is not the peer id of an Ed25519 key");
                return Err(Error::invalid(format!("dependencies[{i}].owner"), reason));
            }
            if origin == Origin::Made {
                validate_requirement(|| format!("dependencies[{i}].requirement"), requirement)?;
            }
            let field = || format!("dependencies[{i}].name");
            distinct(&mut seen, (name, owner), field, name.as_str())?;
        }
        Ok(())
    }

    fn validate_artifacts(&self) -> Result<()> {
        check_count("artifacts", self.artifacts.len(), Self::MAX_ARTIFACTS)?;
        let mut seen = Seen::new();
        for (i, Artifact { name, media_type, .. }) in self.artifacts.iter().enumerate() {
            let field = || format!("artifacts[{i}].name");
            check_some_line(field, name, Artifact::MAX_NAME_BYTES)?;
            if name.contains(['/', '\\']) || name == "." || name == ".." {
                let reason = format!("`{name}` is a path; a file's name is accepted");
                return Err(Error::invalid(field(), reason));
            }
            distinct(&mut seen, name.as_str(), field, name)?;
            validate_media_type(|| format!("artifacts[{i}].media_type"), media_type)?;
        }
        Ok(())
    }
}

/// Keywords of a manifest or a query: a bounded number of distinct words of `a-z 0-9 -`.
/// Checks one keyword: 1 to 32 bytes of `a-z`, `0-9` and `-`.
pub(crate) fn check_keyword(field: impl Fn() -> String, keyword: &str) -> Result<()> {
    check_some_line(&field, keyword, Manifest::MAX_KEYWORD_BYTES)?;
    let accepted = |c| matches!(c, 'a'..='z' | '0'..='9' | '-');
    if let Some(c) = keyword.chars().find(|c| !accepted(*c)) {
        let reason = format!("has {c:?}; `a-z`, `0-9` and `-` are accepted");
        return Err(Error::invalid(field(), reason));
    }
    Ok(())
}

pub(super) fn validate_keywords(keywords: &[String]) -> Result<()> {
    check_count("keywords", keywords.len(), Manifest::MAX_KEYWORDS)?;
    let mut seen = Seen::new();
    for (i, keyword) in keywords.iter().enumerate() {
        let field = || format!("keywords[{i}]");
        check_keyword(field, keyword)?;
        distinct(&mut seen, keyword.as_str(), field, keyword)?;
    }
    Ok(())
}

/// Items that were seen, of which there are mostly few: those are found faster than they are hashed.
struct Seen<T> {
    first: Vec<T>,
    others: HashSet<T>,
}

impl<T: Hash + Eq> Seen<T> {
    const FEW: usize = 16;

    fn new() -> Self {
        Self { first: Vec::new(), others: HashSet::new() }
    }

    /// False if it was seen before.
    fn insert(&mut self, item: T) -> bool {
        if self.first.contains(&item) {
            return false;
        }
        if self.first.len() < Self::FEW {
            self.first.push(item);
            return true;
        }
        self.others.insert(item)
    }
}

fn distinct<T: Hash + Eq>(
    seen: &mut Seen<T>,
    item: T,
    field: impl Fn() -> String,
    shown: &str,
) -> Result<()> {
    if seen.insert(item) {
        return Ok(());
    }
    Err(Error::invalid(field(), format!("repeats `{shown}`; each is accepted once")))
}

/// The shape `scheme://host…`, without white space: enough that a link goes where it seems to.
fn validate_url(field: &'static str, url: &str, schemes: &[&str]) -> Result<()> {
    check_line(|| field.into(), url, Manifest::MAX_URL_BYTES)?;
    let rest = url.split_once("://").filter(|(scheme, _)| schemes.contains(scheme));
    let host = rest.map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if host.is_none_or(str::is_empty) || url.contains(char::is_whitespace) {
        let accepted = format!("a URL `scheme://host…` of the schemes {}", schemes.join(", "));
        return Err(Error::invalid(field, format!("{url:?} is not {accepted}")));
    }
    Ok(())
}

/// The shape `type/subtype` of restricted names (RFC 6838, section 4.2).
fn validate_media_type(field: impl Fn() -> String, media_type: &str) -> Result<()> {
    check_line(&field, media_type, Artifact::MAX_MEDIA_TYPE_BYTES)?;
    let restricted = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    match media_type.split_once('/') {
        Some((kind, subtype)) if restricted(kind) && restricted(subtype) => Ok(()),
        _ => {
            let accepted = "`type/subtype` without parameters, such as `application/gzip`";
            Err(Error::invalid(field(), format!("{media_type:?} is not {accepted}")))
        }
    }
}

/// A requirement that reads back as what was written. One that was put together by hand, rather
/// than parsed, need not: it may have more comparators than the parser takes.
pub(super) fn validate_requirement(
    field: impl Fn() -> String,
    requirement: &VersionReq,
) -> Result<()> {
    let text = requirement.to_string();
    check_line(&field, &text, Manifest::MAX_REQUIREMENT_BYTES)?;
    match text.parse::<VersionReq>() {
        Ok(parsed) if parsed == *requirement => Ok(()),
        _ => {
            let reason = format!("`{text}` does not parse; one such as `^1.2` is accepted");
            Err(Error::invalid(field(), reason))
        }
    }
}
