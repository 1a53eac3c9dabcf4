//! What requirements match: the tables of semver.org and of npm's documentation.

use libp2p::identity::Keypair;
use proptest::prelude::*;

use super::*;
use crate::package::{Digest, Source};

fn requirement(text: &str) -> Requirement {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// Each requirement, versions that match it, and versions that do not.
fn check(table: &[(&str, &[&str], &[&str])]) {
    for (text, good, bad) in table {
        let requirement = requirement(text);
        for good in *good {
            assert!(requirement.matches(&version(good)), "{text} takes {good}");
        }
        for bad in *bad {
            assert!(!requirement.matches(&version(bad)), "{text} does not take {bad}");
        }
    }
}

#[test]
fn what_people_type_matches_as_they_expect() {
    check(&[
        ("^1.2", &["1.2.0", "1.9.9"], &["1.1.9", "2.0.0", "2.0.0-rc.1"]),
        ("~1.2", &["1.2.0", "1.2.9"], &["1.1.9", "1.3.0"]),
        (">=1, <3", &["1.0.0", "2.9.9"], &["0.9.9", "3.0.0", "3.0.0-rc.1"]),
        (">=1 <3", &["1.0.0", "2.9.9"], &["0.9.9", "3.0.0"]),
        (">= 1 , < 3", &["1.0.0", "2.9.9"], &["0.9.9", "3.0.0"]),
        ("1", &["1.0.0", "1.9.9"], &["0.9.9", "2.0.0"]),
        ("1.2", &["1.2.0", "1.9.9"], &["1.1.9", "2.0.0"]),
        ("1.*", &["1.0.0", "1.9.9"], &["0.9.9", "2.0.0"]),
        ("*", &["0.0.0", "1.0.0", "99.0.0"], &["1.0.0-rc.1"]),
        ("latest", &["0.0.0", "1.0.0", "99.0.0"], &["1.0.0-rc.1"]),
        ("1.2.3", &["1.2.3", "1.2.3+build.5"], &["1.2.4", "1.3.0", "1.2.3-rc.1"]),
        ("=1.2.3", &["1.2.3"], &["1.2.4", "1.3.0"]),
        ("=1.2", &["1.2.0", "1.2.9"], &["1.1.9", "1.3.0"]),
        ("v1.2.3", &["1.2.3"], &["1.2.4"]),
        ("=v1.2.3", &["1.2.3"], &["1.2.4"]),
        ("^v1.2", &["1.2.0", "1.9.9"], &["2.0.0"]),
    ]);
}

/// <https://docs.npmjs.com/cli/v6/using-npm/semver#advanced-range-syntax>, case by case.
#[test]
fn ranges_are_as_npm_documents_them() {
    check(&[
        // Comparators and their intersection.
        (">=1.2.7", &["1.2.7", "1.2.8", "2.5.3", "1.3.9"], &["1.2.6", "1.1.0"]),
        (">=1.2.7 <1.3.0", &["1.2.7", "1.2.8", "1.2.99"], &["1.2.6", "1.3.0", "1.1.0"]),
        // Hyphen ranges.
        ("1.2.3 - 2.3.4", &["1.2.3", "2.3.4"], &["1.2.2", "2.3.5"]),
        ("1.2 - 2.3.4", &["1.2.0", "2.3.4"], &["1.1.9", "2.3.5"]),
        ("1.2.3 - 2.3", &["1.2.3", "2.3.99"], &["1.2.2", "2.4.0"]),
        ("1.2.3 - 2", &["1.2.3", "2.99.0"], &["1.2.2", "3.0.0"]),
        // X-ranges.
        ("x", &["0.0.0", "3.2.1"], &["3.2.1-rc.1"]),
        ("1.x", &["1.0.0", "1.9.9"], &["2.0.0", "2.0.0-0"]),
        ("1.2.x", &["1.2.0", "1.2.9"], &["1.3.0"]),
        ("1.x.x", &["1.0.0", "1.9.9"], &["2.0.0"]),
        // Tilde ranges.
        ("~1.2.3", &["1.2.3", "1.2.9"], &["1.2.2", "1.3.0"]),
        ("~1", &["1.0.0", "1.9.9"], &["0.9.9", "2.0.0"]),
        ("~0.2.3", &["0.2.3", "0.2.9"], &["0.2.2", "0.3.0"]),
        ("~0.2", &["0.2.0", "0.2.9"], &["0.1.9", "0.3.0"]),
        ("~0", &["0.0.0", "0.9.9"], &["1.0.0"]),
        // Caret ranges.
        ("^1.2.3", &["1.2.3", "1.9.9"], &["1.2.2", "2.0.0"]),
        ("^0.2.3", &["0.2.3", "0.2.9"], &["0.2.2", "0.3.0"]),
        ("^0.0.3", &["0.0.3"], &["0.0.2", "0.0.4", "0.1.0"]),
        ("^1.2.x", &["1.2.0", "1.9.9"], &["1.1.9", "2.0.0"]),
        ("^0.0.x", &["0.0.0", "0.0.9"], &["0.1.0"]),
        ("^0.0", &["0.0.0", "0.0.9"], &["0.1.0"]),
        ("^1.x", &["1.0.0", "1.9.9"], &["2.0.0"]),
        ("^0.x", &["0.0.0", "0.9.9"], &["1.0.0"]),
    ]);
}

/// The section "Prerelease Tags" of npm's documentation, and its cases of carets and tildes with pre-releases.
#[test]
fn a_pre_release_matches_only_where_one_of_the_same_version_is_named() {
    check(&[
        (
            ">1.2.3-alpha.3",
            &["1.2.3-alpha.7", "3.4.5", "1.2.3"],
            &["1.2.3-alpha.3", "1.2.3-alpha.2", "3.4.5-alpha.9"],
        ),
        (
            "^1.2.3-beta.2",
            &["1.2.3-beta.2", "1.2.3-beta.4", "1.2.3", "1.9.0"],
            &["1.2.3-beta.1", "1.2.4-beta.2", "2.0.0"],
        ),
        ("~1.2.3-beta.2", &["1.2.3-beta.4", "1.2.9"], &["1.2.4-beta.2", "1.3.0"]),
        ("^0.0.3-beta", &["0.0.3-beta", "0.0.3-pr.2", "0.0.3"], &["0.0.4"]),
        (">=1.0.0-rc.1, <2", &["1.0.0-rc.1", "1.0.0", "1.5.0"], &["1.5.0-rc.1", "2.0.0"]),
        ("1.0.0-rc.1", &["1.0.0-rc.1"], &["1.0.0-rc.2", "1.0.0"]),
        ("^1", &["1.0.0"], &["1.0.0-rc.1", "1.1.0-rc.1"]),
    ]);
}

/// Item 11 of the specification: 1.0.0-alpha < 1.0.0-alpha.1 < … < 1.0.0.
#[test]
fn versions_are_in_the_order_of_the_specification() {
    let rising = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "2.0.0",
        "2.1.0",
        "2.1.1",
    ];
    for (place, text) in rising.iter().enumerate() {
        let at_least = requirement(&format!(">={text}"));
        for (other_place, other) in rising.iter().enumerate() {
            let is_taken = at_least.matches(&version(other));
            assert_eq!(is_taken, other_place >= place, "{other} >= {text}");
        }
    }
}

#[test]
fn a_yanked_release_is_only_taken_by_its_exact_version() {
    for (text, takes) in
        [("1.2.3", true), ("=1.2.3", true), ("^1.2.3", false), ("=1.2", false), ("*", false)]
    {
        let requirement = requirement(text);
        assert!(requirement.accepts(&version("1.2.3"), false), "{text}");
        assert_eq!(requirement.accepts(&version("1.2.3"), true), takes, "{text}");
    }
    // As a manifest has it.
    let range: VersionReq = "=1.2.3".parse().unwrap();
    assert!(Requirement::from(range).accepts(&version("1.2.3"), true));
    let range: VersionReq = "1.2.3".parse().unwrap();
    assert!(Requirement::from(range).accepts(&version("1.9.0"), false), "a caret, as in cargo");
}

#[test]
fn the_newest_that_will_do_is_chosen_from_a_list() {
    let owner = Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id();
    let info = |(text, yanked): &(&str, bool)| VersionInfo {
        version: version(text),
        digest: Digest::of(text),
        yanked: *yanked,
        yank_reason: None,
    };
    let releases = [
        ("3.0.0-rc.1", false),
        ("2.1.0", true),
        ("2.0.0+b", false),
        ("2.0.0+a", false),
        ("1.0.0", false),
        ("0.9.0", true),
    ];
    let versions = Versions {
        owner,
        name: "tiny".parse().unwrap(),
        releases: releases.iter().map(info).collect(),
        deprecated: None,
        sequence: 1,
        source: Source::Network,
    };
    for (text, chosen) in [
        ("*", Some("2.0.0+b")),
        ("latest", Some("2.0.0+b")),
        ("2.0.0", Some("2.0.0+b")),
        ("2.0.0+a", Some("2.0.0+a")),
        ("^1", Some("1.0.0")),
        ("2.1", None),
        ("2.1.0", Some("2.1.0")),
        ("^3", None),
        (">=3.0.0-alpha", Some("3.0.0-rc.1")),
        ("<1", None),
        ("0.9.0", Some("0.9.0")),
    ] {
        let newest = versions.newest_of(&requirement(text));
        assert_eq!(newest.map(|info| info.version.to_string()).as_deref(), chosen, "{text}");
    }
}

#[test]
fn what_is_no_requirement_is_refused_with_what_is_accepted() {
    for (bad, why) in [
        ("", "is empty"),
        (" ", "is empty"),
        (">=1,", "empty part"),
        (", <3", "empty part"),
        ("^", "does not parse"),
        (">= <", "does not parse"),
        ("one", "does not parse"),
        ("1.2.3.4", "does not parse"),
        ("01.2", "does not parse"),
        ("1.2.7 || >=1.2.9 <2.0.0", "alternatives"),
        ("^1 - ^2", "`-`"),
        ("*, <3", "does not parse"),
        ("^1.2\u{202E}", "U+202E"),
        (&">=1, ".repeat(40), "of at most 128 bytes"),
    ] {
        match bad.parse::<Requirement>() {
            Err(Error::Invalid { field, reason }) => {
                assert_eq!(field, "requirement");
                assert!(reason.contains(why), "{bad:?}: {reason}");
            }
            other => panic!("{bad:?}: {other:?}"),
        }
    }
}

#[test]
fn a_package_reads_with_its_requirement() {
    let (id, required) = PackageId::split_requirement("tiny-http@^1.2").unwrap();
    assert_eq!((id.to_string().as_str(), required), ("tiny-http", Some(requirement("^1.2"))));
    let owner = Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id();
    let text = format!("{owner}/tiny-http@>=1, <3");
    let (id, required) = PackageId::split_requirement(&text).unwrap();
    assert_eq!(id, PackageId::owned(owner, "tiny-http".parse().unwrap()));
    assert_eq!(required, Some(requirement(">=1,<3")));
    assert_eq!(PackageId::split_requirement("tiny").unwrap().1, None);
    for (bad, at) in [("tiny@", "requirement"), ("Tiny@1", "name"), ("nobody/tiny@1", "owner")] {
        match PackageId::split_requirement(bad) {
            Err(Error::Invalid { field, .. }) => assert_eq!(field, at, "{bad}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn a_requirement_reads_as_it_prints(
        text in "(latest|\\*|[v=~^<>]?(0|[1-9][0-9]?)(\\.[0-9]){0,2}(\\.x)?( ?,? ?<=?[0-9](\\.[0-9]){0,2})?)",
        exact in "[0-9]\\.[0-9]\\.[0-9](-[a-z]{1,4})?(\\+[0-9a-z]{1,9})?",
    ) {
        for text in [text, exact] {
            if let Ok(requirement) = text.parse::<Requirement>() {
                let shown = requirement.to_string();
                prop_assert_eq!(shown.parse::<Requirement>(), Ok(requirement.clone()), "{}", shown);
                let json = serde_json::to_string(&requirement).unwrap();
                prop_assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}", signs in "[<>=~^v, 0-9.x*|-]{0,40}") {
        for text in [&text, &signs] {
            let _ = text.parse::<Requirement>();
            let _ = PackageId::split_requirement(text);
        }
    }

    #[test]
    fn what_a_manifest_requires_is_required_alike(
        text in "[~^<>=]{0,1}[0-9](\\.[0-9]){0,2}(, <[0-9])?", numbers in any::<[u8; 3]>(),
    ) {
        if let Ok(range) = text.parse::<VersionReq>() {
            let [major, minor, patch] = numbers.map(|n| u64::from(n % 4));
            let version = Version::new(major, minor, patch);
            let matches = range.matches(&version);
            prop_assert_eq!(Requirement::from(range).matches(&version), matches);
        }
    }
}

#[test]
fn a_list_is_read_down_to_where_a_requirement_takes_no_more() {
    for (text, above, past) in [
        ("1.2.3", "1.2.3+z", "1.2.3-rc.1"),
        ("1.2.3-rc.1", "1.2.3-rc.1", "1.2.3-beta"),
        ("^1.2", "1.2.0", "1.1.9"),
        ("~0.3.1", "0.3.1", "0.3.0"),
        (">=1, <3", "1.0.0-rc.1", "0.9.9"),
        ("1.*", "1.0.0", "0.9.9"),
        ("=1.2", "1.2.0", "1.1.9"),
    ] {
        let requirement = requirement(text);
        assert!(!requirement.is_past(&version(above)), "{text} at {above}");
        assert!(requirement.is_past(&version(past)), "{text} at {past}");
    }
    for endless in ["*", "<3", "<=2.1"] {
        assert!(!requirement(endless).is_past(&version("0.0.0")), "{endless}");
    }
}

proptest! {
    #[test]
    fn nothing_matches_that_is_older_than_where_a_requirement_ends(
        parts in proptest::collection::vec("(|[<>=~^]|>=|<=)[0-2](\\.[0-2](\\.[0-2](-[a1])?)?)?|[0-2]\\.\\*", 1..3),
        older in "[0-2]\\.[0-2]\\.[0-2](-[a1])?",
        newer in "[0-2]\\.[0-2]\\.[0-2](-[a1])?",
    ) {
        if let Ok(requirement) = parts.join(", ").parse::<Requirement>() {
            let (older, newer) = (version(&older), version(&newer));
            let is_past = older <= newer && requirement.is_past(&newer);
            prop_assert!(!(is_past && requirement.matches(&older)), "{requirement} {older} {newer}");
        }
    }
}

proptest! {
    #[test]
    fn a_long_requirement_is_refused_unless_it_reads_again_as_written(
        parts in proptest::collection::vec("(|v|V|=|>|<|~|\\^|>=|<=)[0-9]{1,2}(\\.[0-9x*]){0,2}|[0-9] - [0-9]", 1..60),
        comma in "[ ,]{1,2}",
    ) {
        let text = parts.join(&comma);
        match text.parse::<Requirement>() {
            Ok(requirement) => prop_assert_eq!(requirement.to_string().parse(), Ok(requirement)),
            Err(Error::Invalid { field, .. }) => prop_assert_eq!(field, "requirement"),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}

#[test]
fn a_requirement_that_is_too_long_with_its_signs_is_refused_by_its_length() {
    let fits = ["1"; 32].join(",");
    assert_eq!(requirement(&fits).to_string().len(), 126);
    let long = ["11"; 32].join(",");
    assert!(long.len() < Requirement::MAX_BYTES);
    let refused = long.parse::<Requirement>().unwrap_err().to_string();
    assert!(refused.contains("is 158 of at most 128 bytes"), "{refused}");
}
