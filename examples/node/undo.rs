//! Words about yanks and deprecation: the commands of the prompt, and what is printed of them.

use peerage::{Deprecation, Event, Package, Result, VersionInfo};

use crate::ops::{Request, invalid, one_version, parse_package, parse_version};

/// Reads `NAME VERSION` or `NAME@VERSION`, and what follows `--reason`.
pub(crate) fn yank(words: &[&str]) -> Result<Request> {
    let (words, reason) = match words.iter().position(|word| *word == "--reason") {
        Some(at) => {
            let (words, reason) = words.split_at(at);
            let reason = reason.get(1..).unwrap_or_default().join(" ");
            if reason.is_empty() {
                return Err(invalid("reason", "is missing after `--reason`"));
            }
            (words, reason)
        }
        None => (words, String::new()),
    };
    let (package, version) = release(words)?;
    Ok(Request::Yank { package, version, reason })
}

pub(crate) fn unyank(words: &[&str]) -> Result<Request> {
    let (package, version) = release(words)?;
    Ok(Request::Unyank { package, version })
}

fn release(words: &[&str]) -> Result<(peerage::PackageId, peerage::semver::Version)> {
    let (package, rest) = words.split_first().ok_or_else(|| invalid("package", "is missing"))?;
    let package = parse_package("package", package)?;
    let version = match rest {
        [] => None,
        [version] => Some(parse_version("version", version)?),
        _ => return Err(invalid("version", format!("`{}` is more than one", rest.join(" ")))),
    };
    let version = one_version(&package, version)?;
    Ok((package, version.ok_or_else(|| invalid("version", "is missing"))?))
}

/// Reads `NAME [--successor OWNER/NAME] TEXT…`.
pub(crate) fn deprecate(package: &str, words: &[&str]) -> Result<Request> {
    let (successor, text) = match words {
        ["--successor", successor, text @ ..] => {
            (Some(parse_package("successor", successor)?), text)
        }
        text => (None, text),
    };
    let mut deprecation = Deprecation::new(text.join(" "));
    deprecation.successor = successor;
    Ok(Request::Deprecate { package: parse_package("package", package)?, deprecation })
}

/// Whether a release is still recommended, after its name.
pub(crate) fn mark(package: &Package) -> String {
    let Package { yanked, yank_reason, deprecated, .. } = package;
    let yanked = if *yanked { "  YANKED" } else { "" };
    let because = yank_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let deprecated = if deprecated.is_some() { "  DEPRECATED" } else { "" };
    format!("{yanked}{because}{deprecated}")
}

/// What to do instead of using a package that is deprecated.
pub(crate) fn instead(deprecation: &Deprecation) -> String {
    match &deprecation.successor {
        Some(successor) => format!("{}; use {successor}", deprecation.text),
        None => deprecation.text.clone(),
    }
}

/// What stands behind a release in a list.
pub(crate) fn mark_listed(info: &VersionInfo) -> String {
    match (info.yanked, &info.yank_reason) {
        (true, Some(reason)) => format!("  yanked: {reason}"),
        (true, None) => "  yanked".to_owned(),
        (false, _) => String::new(),
    }
}

/// What is printed when others hear of it.
pub(crate) fn event(event: &Event) -> Option<String> {
    Some(match event {
        Event::Yanked { id, reason: Some(reason) } => format!("* yanked: {id}: {reason}\n"),
        Event::Yanked { id, reason: None } => format!("* yanked: {id}\n"),
        Event::Unyanked { id } => format!("* no longer yanked: {id}\n"),
        Event::Deprecated { id, deprecation } => {
            format!("* deprecated: {id}: {}\n", instead(deprecation))
        }
        Event::Undeprecated { id } => format!("* no longer deprecated: {id}\n"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    #[test]
    fn a_reason_and_a_successor_are_read_from_the_words() {
        let version = || "1.0.0".parse().unwrap();
        let tiny = |text: &str| text.parse().unwrap();
        let reason = "leaks memory".to_owned();
        assert_eq!(
            yank(&["tiny", "1.0.0", "--reason", "leaks", "memory"]),
            Ok(Request::Yank { package: tiny("tiny"), version: version(), reason })
        );
        assert_eq!(
            unyank(&["tiny@1.0.0"]),
            Ok(Request::Unyank { package: tiny("tiny@1.0.0"), version: version() })
        );
        let mut deprecation = Deprecation::new("use the other");
        let asked = deprecate("tiny", &["use", "the", "other"]);
        let expected =
            Request::Deprecate { package: tiny("tiny"), deprecation: deprecation.clone() };
        assert_eq!(asked, Ok(expected));
        let successor = format!("{PEER}/other");
        deprecation.successor = Some(tiny(&successor));
        let asked = deprecate("tiny", &["--successor", &successor, "use", "the", "other"]);
        assert_eq!(asked, Ok(Request::Deprecate { package: tiny("tiny"), deprecation }));
        for words in [&["tiny"][..], &["tiny", "1.0.0", "--reason"], &["tiny", "1", "2"]] {
            assert_eq!(yank(words).unwrap_err().kind(), "invalid", "{words:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_package_is_printed_with_it() {
        let id = || format!("{PEER}/tiny").parse().unwrap();
        let deprecation = Deprecation::new("unmaintained")
            .with_successor(PEER.parse().unwrap(), "other".parse().unwrap());
        let text = event(&Event::Deprecated { id: id(), deprecation }).unwrap();
        assert_eq!(text, format!("* deprecated: {PEER}/tiny: unmaintained; use {PEER}/other\n"));
        let reason = Some("leaks memory".to_owned());
        let text = event(&Event::Yanked { id: id(), reason }).unwrap();
        assert_eq!(text, format!("* yanked: {PEER}/tiny: leaks memory\n"));
        let package: Package = serde_json::from_value(serde_json::json!({
            "id": id().to_string(), "owner": PEER, "sequence": 1, "source": "own",
            "manifest": { "name": "tiny", "version": "1.0.0" },
            "yanked": true, "yank_reason": "leaks memory", "deprecated": { "text": "old" },
        }))
        .unwrap();
        assert_eq!(mark(&package), "  YANKED: leaks memory  DEPRECATED");
        let versions = serde_json::from_value(serde_json::json!({
            "owner": PEER, "name": "tiny", "sequence": 1, "source": "own", "releases": [],
            "deprecated": { "text": "old", "successor": format!("{PEER}/other") },
        }));
        let listed = Ok(crate::ops::Answer::Versions(versions.unwrap()));
        let text = crate::prompt::answer(&serde_json::Value::Null, &listed);
        assert_eq!(text, format!("deprecated: old; use {PEER}/other\n"));
    }
}
