//! The house keeps its shape: who may name whom, and how large a room may become. See `ARCHITECTURE.md`.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Rooms of the engine: none names another. All look at the store, which has its own bounds and rules.
const ROOMS: [&str; 6] = ["dht", "discovery", "peers", "publishing", "reading", "standing"];

/// Modules from the bottom to the top, and what each may never name.
const FORBIDDEN: [(&str, &[&str]); 7] = [
    ("storage", &["config", "engine", "exchange", "handle", "net", "node", "record"]),
    ("package", &["config", "engine", "exchange", "handle", "net", "node", "record"]),
    ("record", &["config", "engine", "exchange", "handle", "net", "node"]),
    ("exchange", &["config", "engine", "handle", "net", "node"]),
    ("engine", &["handle", "net", "node"]),
    ("handle", &["net", "node"]),
    ("net", &["engine", "handle", "node", "storage"]),
];

/// Errors carry names and versions out of these modules, where a name that cannot be parsed is an error. No other modules
/// at the top name each other.
const CARRIED_BY_ERRORS: [&str; 2] = ["package", "record"];

/// Fields of the switchboard.
const MOST_FIELDS: usize = 12;
/// Lines of a file.
const MOST_LINES: usize = 550;

/// A file of the crate that is no test.
struct Source {
    path: PathBuf,
    /// The modules that it lies in, from the crate's root.
    module: Vec<String>,
    text: String,
}

impl Source {
    fn is_in(&self, module: &[&str]) -> bool {
        self.module.iter().zip(module).filter(|(have, want)| have == want).count() == module.len()
    }

    /// The paths that start at the crate's root, of imports and in the text.
    fn names(&self) -> BTreeSet<Vec<String>> {
        let mut names = BTreeSet::new();
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find("crate::") {
            let (before, after) = rest.split_at(at + "crate::".len());
            // `$crate::` and `my_crate::` are others.
            if !before
                .trim_end_matches("crate::")
                .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
            {
                tree(after, &mut Vec::new(), &mut names);
            }
            rest = after;
        }
        names
    }
}

/// Reads one path or tree of paths, and tells what is left behind it.
fn tree<'a>(text: &'a str, prefix: &mut Vec<String>, names: &mut BTreeSet<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            if let Some(behind) = rest.strip_prefix(',') {
                rest = behind;
                continue;
            }
            let behind = tree(rest, &mut prefix.clone(), names);
            if behind.len() == rest.len() {
                return rest;
            }
            rest = behind;
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.is_empty() {
        return rest;
    }
    prefix.push(word.to_owned());
    match rest.strip_prefix("::") {
        Some(deeper)
            if deeper.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') =>
        {
            tree(deeper, prefix, names)
        }
        _ => {
            names.insert(prefix.clone());
            rest
        }
    }
}

/// Without comments, and without tests that stand in the file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn is_test(path: &Path) -> bool {
    let mut parts = path.iter().filter_map(|part| part.to_str());
    parts.any(|part| part.trim_end_matches(".rs").ends_with("tests"))
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the crate") {
            let path = entry.expect("an entry").path();
            if is_test(path.strip_prefix(&root).expect("a path below src")) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).expect("a path below src").with_extension("");
                let mut module: Vec<String> =
                    below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                    module.pop();
                }
                let text = code(&fs::read_to_string(&path).expect("a file of the crate"));
                sources.push(Source { path, module, text });
            }
        }
    }
    assert!(sources.len() > 100, "{} files", sources.len());
    sources
}

#[test]
fn what_lies_below_never_names_what_lies_above() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (module, forbidden) in FORBIDDEN {
            if !source.is_in(&[module]) {
                continue;
            }
            for name in source.names() {
                // The words of the DHT are the engine's, and the wire writes them down.
                let is_of_dht =
                    module == "net" && name.starts_with(&["engine".into(), "dht".into()]);
                let is_forbidden = forbidden.iter().any(|forbidden| name[0] == *forbidden);
                if is_forbidden && !is_of_dht {
                    wrong.push(format!("{}: {}", source.path.display(), name.join("::")));
                }
            }
        }
        if source.is_in(&["engine"]) && !source.is_in(&["engine", "dht"]) {
            for word in ["Swarm", "Instant::now", "std::net", "async_io"] {
                if source.text.contains(word) {
                    wrong.push(format!("{}: {word}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn modules_at_the_top_never_name_each_other_not_even_by_way_of_others() {
    let sources = sources();
    let modules: BTreeSet<&String> =
        sources.iter().filter_map(|source| source.module.first()).collect();
    // Who names whom, with a place where that is so.
    let mut named: BTreeMap<(&str, String), &Path> = BTreeMap::new();
    for source in &sources {
        let Some(module) = source.module.first() else { continue };
        for name in source.names() {
            let other = &name[0];
            let is_carried = module == "error" && CARRIED_BY_ERRORS.contains(&other.as_str());
            if modules.contains(other) && other != module && !is_carried {
                named.insert((module, other.clone()), &source.path);
            }
        }
    }
    assert!(named.len() > 100, "{} pairs", named.len());
    // Whoever names nobody, or is named by nobody, is in no circle. Without them others are not either.
    loop {
        let naming: BTreeSet<String> = named.keys().map(|(module, _)| (*module).into()).collect();
        let others: BTreeSet<String> = named.keys().map(|(_, other)| other.clone()).collect();
        let before = named.len();
        named.retain(|(module, other), _| naming.contains(other) && others.contains(*module));
        if named.len() == before {
            break;
        }
    }
    assert!(named.is_empty(), "{named:#?}");
}

#[test]
fn a_room_of_the_engine_never_names_another_nor_the_switchboard() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(room) = ROOMS.into_iter().find(|room| source.is_in(&["engine", room])) else {
            continue;
        };
        for name in source.names() {
            let is_other = name.len() > 1
                && name[0] == "engine"
                && (name[1] == "Engine"
                    || ROOMS.iter().any(|other| name[1] == *other && *other != room));
            if is_other {
                wrong.push(format!("{}: {}", source.path.display(), name.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_imported_from_the_root_of_the_crate_that_lives_elsewhere() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.module.is_empty()) {
        for name in source.names() {
            // Types and traits all live in a module.
            if name.len() == 1 && name[0].starts_with(|c: char| c.is_uppercase()) {
                wrong.push(format!("{}: {}", source.path.display(), name.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_switchboard_lies_in_no_room() {
    let in_room = |source: &Source| ROOMS.iter().any(|room| source.is_in(&["engine", room]));
    let sources = sources();
    let mut wrong =
        sources.iter().filter(|source| in_room(source) && source.text.contains("impl Engine"));
    assert!(wrong.next().is_none(), "what takes more than one room is a flow");
}

#[test]
fn the_switchboard_stays_small() {
    let sources = sources();
    let engine = sources.iter().find(|source| source.module == ["engine"]).expect("engine/mod.rs");
    let (_, fields) = engine.text.split_once("pub(crate) struct Engine {").expect("the struct");
    let (fields, _) = fields.split_once("\n}").expect("its end");
    let fields = fields.lines().filter(|line| line.trim_end().ends_with(',')).count();
    assert!((1..=MOST_FIELDS).contains(&fields), "{fields} fields");
}

#[test]
fn no_file_is_longer_than_one_reads_in_a_sitting() {
    let lengths: BTreeMap<_, _> = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(lengths.is_empty(), "{lengths:#?}");
}
