//! Which releases of a package will do, as people write it.

use std::{fmt, str::FromStr};

use semver::{Comparator, Op, Version, VersionReq};

use super::{
    Manifest, Package, PackageId, VersionInfo, Versions, serde_as_string,
    text::{check_line, is_same_release},
};
use crate::error::{Error, Result};

/// Which releases of a package will do: one version exactly, or every version in a range.
///
/// | text | what matches |
/// |--|--|
/// | `1.2.3`, `=1.2.3` | this release and no other, even if it is yanked or a pre-release |
/// | `^1.2.3` | `>=1.2.3, <2.0.0`; of `0.x` the first number that is not zero stays as it is |
/// | `1`, `1.2` | `^1`, `^1.2` |
/// | `~1.2.3`, `~1.2` | `>=1.2.3, <1.3.0`, `>=1.2.0, <1.3.0` |
/// | `>=1, <3`, `>=1 <3` | all of these hold; a comma or a space stands between them |
/// | `1.2 - 2.3` | `>=1.2, <=2.3` |
/// | `1.*`, `1.x`, `=1` | every `1.y.z` |
/// | `*`, `latest` | every release |
///
/// The rules are those of semantic versioning as cargo and npm have them. A pre-release only matches where a part of
/// the requirement names a pre-release of the same `x.y.z`: `^1.2.3-beta.2` takes `1.2.3-beta.4`, and not
/// `1.2.4-beta.1`. A release that is yanked only matches where it is named exactly. Build metadata tells no releases
/// apart.
///
/// **A complete version by itself is that version.** In the [`Dependency`](super::Dependency) of a manifest it is a
/// caret requirement, as in cargo: there `1.2.3` is read as a [`VersionReq`], and written as `^1.2.3`. As text, a
/// requirement always has its sign, so that it means the same in both places.
///
/// ```
/// use peerage::package::Requirement;
///
/// let requirement: Requirement = "^1.2".parse()?;
/// assert!(requirement.matches(&"1.4.0".parse().unwrap()));
/// assert!(!requirement.matches(&"2.0.0".parse().unwrap()));
/// assert_eq!("1.2.3".parse::<Requirement>()?.to_string(), "=1.2.3");
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Requirement(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Exact(Version),
    Range(VersionReq),
}

impl Requirement {
    /// The longest text that is read, in bytes: as it is given, and as it is written with all of its signs (`1,2` is
    /// `^1, ^2`).
    pub const MAX_BYTES: usize = Manifest::MAX_REQUIREMENT_BYTES;

    /// Every release: `*`, which is also what `latest` means.
    pub const ANY: Self = Self(Kind::Range(VersionReq::STAR));

    /// This release and no other.
    #[must_use]
    pub fn exactly(version: Version) -> Self {
        Self(Kind::Exact(version))
    }

    /// The version that is named exactly, if one is.
    #[must_use]
    pub fn exact(&self) -> Option<&Version> {
        match &self.0 {
            Kind::Exact(version) => Some(version),
            Kind::Range(_) => None,
        }
    }

    /// Whether a release of this version matches, unless it is yanked.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        match &self.0 {
            Kind::Exact(wanted) => is_same_release(wanted, version),
            Kind::Range(range) => range.matches(version),
        }
    }

    /// Whether a release will do: it matches, and is not yanked unless it is named exactly.
    #[must_use]
    pub fn accepts(&self, version: &Version, yanked: bool) -> bool {
        self.matches(version) && (!yanked || self.exact().is_some())
    }

    /// Whether the newest release of a package is the one that is meant, whatever others there are. The newest is the
    /// highest that is neither yanked nor a pre-release, so that no release beats it which the requirement takes.
    pub(crate) fn is_met_by_newest(&self, newest: &Package) -> bool {
        self.is_met_by_latest(&newest.manifest.version) && !newest.yanked
    }

    /// As [`is_met_by_newest`](Self::is_met_by_newest), of one that is not yanked.
    pub(crate) fn is_met_by_latest(&self, latest: &Version) -> bool {
        match &self.0 {
            Kind::Exact(version) => version == latest,
            Kind::Range(range) => {
                let names_none = range.comparators.iter().all(|one| one.pre.is_empty());
                names_none && range.matches(latest)
            }
        }
    }
}

impl Requirement {
    /// Whether no release matches that is older than one of this version: a list in falling order need not be read on.
    pub(crate) fn is_past(&self, version: &Version) -> bool {
        let triple = |version: &Version| (version.major, version.minor, version.patch);
        match &self.0 {
            Kind::Exact(wanted) => version.cmp_precedence(wanted).is_lt(),
            // A pre-release is older than its triple, and another part of the requirement may name one.
            Kind::Range(range) => {
                range.comparators.iter().filter_map(floor).any(|floor| triple(version) < floor)
            }
        }
    }
}

/// The triple below which a comparator takes nothing, where there is one.
fn floor(comparator: &Comparator) -> Option<(u64, u64, u64)> {
    let Comparator { op, major, minor, patch, .. } = comparator;
    match op {
        Op::Exact | Op::Greater | Op::GreaterEq | Op::Tilde | Op::Caret | Op::Wildcard => {
            Some((*major, minor.unwrap_or_default(), patch.unwrap_or_default()))
        }
        _ => None,
    }
}

impl Versions {
    /// The newest release that will do, if there is one. Of releases that differ in nothing but build metadata it is
    /// the one that is spelled as the requirement is, else the highest.
    #[must_use]
    pub fn newest_of(&self, requirement: &Requirement) -> Option<&VersionInfo> {
        let spelled = |info: &VersionInfo| requirement.exact() == Some(&info.version);
        let accepted =
            self.releases.iter().filter(|info| requirement.accepts(&info.version, info.yanked));
        accepted.max_by_key(|info| (spelled(info), &info.version))
    }
}

impl PackageId {
    /// Parses `[owner/]name[@requirement]`, as people type it: `tiny-http@^1.2`. The identifier that comes back has
    /// no version.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the part at fault: `owner`, `name` or `requirement`.
    pub fn split_requirement(text: &str) -> Result<(Self, Option<Requirement>)> {
        let (id, requirement) = match text.split_once('@') {
            Some((id, requirement)) => (id, Some(requirement.parse()?)),
            None => (text, None),
        };
        Ok((id.parse()?, requirement))
    }
}

impl From<Version> for Requirement {
    fn from(version: Version) -> Self {
        Self::exactly(version)
    }
}

impl From<VersionReq> for Requirement {
    /// A single `=x.y.z` names that release exactly.
    fn from(range: VersionReq) -> Self {
        match range.comparators.as_slice() {
            [one] if one.op == Op::Exact => match (one.minor, one.patch) {
                (Some(minor), Some(patch)) => {
                    let version = Version::new(one.major, minor, patch);
                    Self::exactly(Version { pre: one.pre.clone(), ..version })
                }
                _ => Self(Kind::Range(range)),
            },
            _ => Self(Kind::Range(range)),
        }
    }
}

impl FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = |text: &str| check_line(|| "requirement".into(), text, Self::MAX_BYTES);
        fits(text)?;
        let requirement = parse(text.trim()).map_err(|why| {
            let accepted = "`1.2.3`, `^1.2`, `~1.2`, `>=1, <3`, `1.*`, `*` or `latest` is accepted";
            Error::invalid("requirement", format!("{text:?} {why}; one such as {accepted}"))
        })?;
        // It is written with every sign and space, and what is written must read again.
        fits(&requirement.to_string())?;
        Ok(requirement)
    }
}

fn parse(text: &str) -> Result<Requirement, String> {
    if text == "latest" {
        return Ok(Requirement::ANY);
    }
    if text.contains('|') {
        return Err("has alternatives; ask for each by itself".to_owned());
    }
    let mut comparators = Vec::new();
    for part in text.split(',') {
        let words: Vec<&str> = part.split_whitespace().collect();
        match words.as_slice() {
            [] => return Err("is empty, or has an empty part".to_owned()),
            [from, "-", to] => {
                let bound = |text: &str| {
                    let bare = without_v(text);
                    let is_version = bare.starts_with(|c: char| c.is_ascii_digit());
                    is_version.then(|| bare.to_owned())
                };
                let both = bound(from).zip(bound(to));
                let (from, to) = both.ok_or("has a `-` that is not between two versions")?;
                comparators.extend([format!(">={from}"), format!("<={to}")]);
            }
            words => comparators.extend(with_their_signs(words)),
        }
    }
    if let [one] = comparators.as_slice()
        && let Some(version) = one.strip_prefix('=')
        && let Ok(version) = version.parse()
    {
        return Ok(Requirement::exactly(version));
    }
    let range: VersionReq =
        comparators.join(", ").parse().map_err(|error| format!("does not parse ({error})"))?;
    Ok(range.into())
}

/// Words as comparators: a sign that stands by itself belongs to the word after it.
fn with_their_signs(words: &[&str]) -> Vec<String> {
    let mut comparators = Vec::new();
    let mut sign = String::new();
    for word in words {
        sign += word;
        if !word.ends_with(['<', '>', '=', '~', '^']) {
            comparators.push(comparator(&std::mem::take(&mut sign)));
        }
    }
    if !sign.is_empty() {
        comparators.push(sign);
    }
    comparators
}

/// One comparator: without a `v` before its version, and a complete version that has no sign with its `=`.
fn comparator(text: &str) -> String {
    let version = text.trim_start_matches(['<', '>', '=', '~', '^']);
    let (sign, _) = text.split_at(text.len() - version.len());
    let version = without_v(version);
    match sign {
        "" if version.parse::<Version>().is_ok() => format!("={version}"),
        sign => format!("{sign}{version}"),
    }
}

/// A version without the `v` that people write before it.
fn without_v(text: &str) -> &str {
    match text.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => text,
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exact(version) => write!(f, "={version}"),
            Kind::Range(range) => fmt::Display::fmt(range, f),
        }
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({self})")
    }
}

serde_as_string!(Requirement);

#[cfg(test)]
mod tests;
