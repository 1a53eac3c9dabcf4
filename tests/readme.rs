//! What the README promises besides its examples, which are documentation tests.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::{collections::BTreeSet, path::Path, time::Duration};

use peerage::{Error, NetworkName, PackageId, record::ClaimSet};

const README: &str = include_str!("../README.md");

/// The first cells of the rows of the table that begins with this line.
fn first_column(heading: &str) -> BTreeSet<&'static str> {
    let (_, table) = README.split_once(heading).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("a first cell in backticks")).collect()
}

/// One of each variant.
fn errors() -> Vec<Error> {
    let name: peerage::PackageName = "name".parse().expect("a name");
    let id = PackageId::named(name.clone());
    let reason = String::new();
    vec![
        Error::NotFound { what: String::new(), similar: Vec::new() },
        Error::NoMatch { what: String::new(), versions: Vec::new(), total: 0 },
        Error::Ambiguous { name, claimants: Vec::new() },
        Error::Withdrawn { id },
        Error::Timeout { after: Duration::ZERO },
        Error::NoPeers,
        Error::NoRoom { full: 3, of: 3 },
        Error::Busy { what: "pins".into() },
        Error::ShuttingDown,
        Error::Invalid { field: "field".into(), reason: reason.clone() },
        Error::TooLarge { what: "what".into(), size: 2, max: 1 },
        Error::Conflict { reason: reason.clone() },
        Error::OtherNetwork {
            address: "/memory/1".parse().expect("an address"),
            found: None,
            own: NetworkName::default(),
        },
        Error::Transport { reason },
    ]
}

/// `NotFound` for `not_found`.
fn camel_case(kind: &str) -> String {
    let words = kind.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect()
}

#[test]
fn the_errors_table_has_every_variant_and_no_other() {
    let real: BTreeSet<String> = errors().iter().map(|error| camel_case(error.kind())).collect();
    let documented: BTreeSet<String> =
        first_column("| variant | what happened |").into_iter().map(str::to_owned).collect();
    assert_eq!(documented, real);
}

#[test]
fn the_two_commands_stand_on_lines_of_their_own() {
    for command in ["cargo run --release --example marketplace", "cargo test"] {
        assert!(README.lines().any(|line| line == command), "`{command}` is missing");
    }
}

#[test]
fn numbers_that_the_code_decides_are_the_codes() {
    let claims = format!("bounded at {}", ClaimSet::MAX_CLAIMS);
    let rust = format!("**Rust {}**", env!("CARGO_PKG_RUST_VERSION"));
    for promise in [claims, rust] {
        assert!(README.contains(&promise), "{promise}");
    }
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    let mut checked = 0;
    for (_, rest) in README.match_indices("](").map(|(at, link)| README.split_at(at + link.len())) {
        let (target, _) = rest.split_once(')').expect("a link ends");
        if let Some(section) = target.strip_prefix('#') {
            let title = |line: &str| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                title.replace(' ', "-").replace(',', "")
            };
            let mut titles = README.lines().filter(|line| line.starts_with('#')).map(title);
            assert!(titles.any(|title| title == section), "#{section}");
        } else if !target.contains("://") {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
            assert!(file.exists(), "{target}");
        } else {
            continue;
        }
        checked += 1;
    }
    assert!(checked >= 4, "only {checked} links were found");
}
