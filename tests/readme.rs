//! What the README and the guide promise besides their examples, which are documentation tests.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use peerage::{Error, NetworkName, PackageId, record::ClaimSet, storage::StorageError};

const README: &str = include_str!("../README.md");
const GUIDE: &str = include_str!("../src/guide.rs");
const ERRORS: &str = include_str!("../src/guide/errors.md");
const SECURITY: &str = include_str!("../src/guide/security.md");

/// The chapters of the guide by their names.
fn chapters() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let files = fs::read_dir(folder).expect("the guide").map(|file| file.expect("a file").path());
    let chapter = |path: &Path| {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        (name, fs::read_to_string(path).expect("a chapter"))
    };
    files.map(|path| chapter(&path)).collect()
}

/// The targets of a page's links, those defined apart among them.
fn links(page: &str) -> Vec<&str> {
    let inline = page.split("](").skip(1).map(|rest| rest.split(')').next().expect("a link ends"));
    let defined = page.lines().filter(|line| line.starts_with('['));
    let defined = defined.filter_map(|line| Some(line.split_once("]: ")?.1));
    inline.chain(defined).collect()
}

/// Whether a page has a heading that this anchor leads to.
fn has_section(page: &str, anchor: &str) -> bool {
    let titles = page.lines().filter(|line| line.starts_with('#'));
    let mut anchors = titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title.replace(' ', "-").replace(',', "")
    });
    anchors.any(|title| title == anchor)
}

/// The first cells of the rows of the table of a page that begins with this line.
fn first_column<'a>(page: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let (_, table) = page.split_once(heading).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("a first cell in backticks")).collect()
}

/// One of each variant.
fn errors() -> Vec<Error> {
    let name: peerage::PackageName = "name".parse().expect("a name");
    let id = PackageId::named(name.clone());
    let address = "/memory/1".parse().expect("an address");
    vec![
        Error::not_found(""),
        Error::no_match("", Vec::new(), 0),
        Error::ambiguous(name, Vec::new()),
        Error::withdrawn(id),
        Error::timeout(Duration::ZERO),
        Error::NoPeers,
        Error::no_room(3, 3),
        Error::busy("pins"),
        Error::ShuttingDown,
        Error::invalid("field", ""),
        Error::too_large("what", 2, 1),
        Error::conflict(""),
        Error::other_network(address, None, NetworkName::default()),
        Error::storage(&StorageError::Full),
        Error::transport(""),
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
    let documented: BTreeSet<String> = first_column(ERRORS, "| variant | what happened |")
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, real);
}

#[test]
fn the_two_commands_stand_on_lines_of_their_own() {
    for command in ["cargo run --release --example marketplace", "cargo test"] {
        assert!(README.lines().any(|line| line == command), "`{command}` is missing");
    }
}

#[test]
fn the_readme_is_an_introduction() {
    let lines = README.lines().count();
    assert!(lines <= 250, "{lines} lines: what is more belongs in a chapter of the guide");
}

#[test]
fn the_readme_and_the_guide_list_every_chapter() {
    let chapters = chapters();
    assert!(chapters.len() >= 6, "only {} chapters were found", chapters.len());
    for chapter in chapters.keys() {
        let included =
            format!("#[doc = include_str!(\"guide/{chapter}.md\")]\npub mod {chapter} {{}}");
        assert!(GUIDE.contains(&included), "{chapter} is not part of the guide");
        assert!(links(GUIDE).contains(&chapter.as_str()), "{chapter} is not in the guide's table");
        let file = format!("src/guide/{chapter}.md");
        assert!(links(README).contains(&file.as_str()), "{chapter} is not in the README");
    }
}

#[test]
fn numbers_that_the_code_decides_are_the_codes() {
    let claims = format!("bounded at {}", ClaimSet::MAX_CLAIMS);
    let rust = format!("**Rust {}**", env!("CARGO_PKG_RUST_VERSION"));
    for (page, promise) in [(SECURITY, claims), (README, rust)] {
        assert!(page.contains(&promise), "{promise}");
    }
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for page in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root.join(page)).expect(page);
        for target in links(&text).into_iter().filter(|target| !target.contains("://")) {
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let file = root.join(if file.is_empty() { page } else { file });
            assert!(file.exists(), "{page}: {target}");
            let text = fs::read_to_string(file).expect(target);
            assert!(section.is_empty() || has_section(&text, section), "{page}: {target}");
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} links were found");
}

/// That there is such a chapter rustdoc checks, and not whether it has such a section.
#[test]
fn links_between_sections_of_the_guide_lead_somewhere() {
    let chapters = chapters();
    let mut checked = 0;
    for (name, text) in &chapters {
        for target in links(text) {
            let Some((page, section)) = target.split_once('#') else { continue };
            let page = match page.strip_prefix("crate::guide::") {
                Some(chapter) => &chapters[chapter],
                None if page.is_empty() => text,
                None => continue,
            };
            assert!(has_section(page, section), "{name}: {target}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} links were found");
}
