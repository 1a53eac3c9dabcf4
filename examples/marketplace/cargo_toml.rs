//! From a `Cargo.toml` to a manifest of this registry.

use peerage::{Dependency, Manifest, PackageName, semver::VersionReq};
use toml::{Table, Value};

/// Why a file gives no manifest, in words that many files can share, so that they can be counted.
pub(crate) type Reason = String;

/// Converts the text of a `Cargo.toml`.
pub(crate) fn convert(text: &str) -> Result<Manifest, Reason> {
    let file: Table = text.parse().map_err(|_| "is not TOML")?;
    let package = file.get("package").and_then(Value::as_table).ok_or("describes no package")?;
    let text = |field: &str| package.get(field).and_then(Value::as_str);
    let name = name(text("name").ok_or("has no name")?)?;
    let version = text("version").ok_or("takes its version from elsewhere")?;
    let version = version.parse().map_err(|_| "has no semantic version")?;

    let mut manifest = Manifest::new(name, version);
    if let Some(description) = text("description") {
        manifest = manifest.with_description(description.replace('\r', "").trim());
    }
    if let Some(license) = text("license") {
        // A slash is how expressions were once written.
        let license = license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
        manifest = manifest.with_license(license);
    }
    if let Some(homepage) = text("homepage").filter(|url| !url.is_empty()) {
        manifest = manifest.with_homepage(homepage);
    }
    if let Some(repository) = text("repository").filter(|url| !url.is_empty()) {
        manifest = manifest.with_repository(repository);
    }
    manifest = manifest
        .with_authors(distinct(texts(package, "authors").map(str::to_owned)))
        .with_keywords(distinct(texts(package, "keywords").map(keyword)));
    for dependency in dependencies(&file)? {
        // A crate may depend on an older version of itself; a package of this registry may not.
        if dependency.name != manifest.name {
            manifest = manifest.with_dependency(dependency);
        }
    }
    manifest.validate().map_err(|error| match error {
        peerage::Error::Invalid { field, .. } => {
            format!("has {} that the registry refuses", field.split('[').next().unwrap_or_default())
        }
        other => other.to_string(),
    })?;
    Ok(manifest)
}

fn name(text: &str) -> Result<PackageName, Reason> {
    text.parse().map_err(|_| "has a name, or needs one, that the registry refuses".to_owned())
}

fn texts<'a>(package: &'a Table, field: &str) -> impl Iterator<Item = &'a str> {
    package.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Keywords of this registry are lower case, and hyphenated where crates.io takes more.
fn keyword(text: &str) -> String {
    let accepted = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    text.to_lowercase().chars().map(accepted).collect()
}

/// Each once, in their order.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// What it needs at run time, on any platform; each package once, with the first requirement.
fn dependencies(file: &Table) -> Result<Vec<Dependency>, Reason> {
    let targets = file.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut all: Vec<Dependency> = Vec::new();
    for table in std::iter::once(file).chain(targets) {
        let Some(needed) = table.get("dependencies").and_then(Value::as_table) else { continue };
        for (key, needed) in needed {
            let (renamed, requirement) = match needed {
                Value::String(requirement) => (None, Some(requirement.as_str())),
                Value::Table(table) => (
                    table.get("package").and_then(Value::as_str),
                    table.get("version").and_then(Value::as_str),
                ),
                _ => (None, None),
            };
            let name = name(renamed.unwrap_or(key))?;
            // A path or a workspace says no version: then any will do.
            let requirement = requirement.map_or(Ok(VersionReq::STAR), str::parse);
            let requirement = requirement.map_err(|_| "has a requirement that is not semantic")?;
            if all.iter().all(|known| known.name != name) {
                all.push(Dependency::new(name, requirement));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_the_file_says() {
        let manifest = convert(
            r#"
            [package]
            name = "tiny-http"
            version = "1.2.0"
            description = "A small HTTP server"
            license = "MIT/Apache-2.0"
            authors = ["Ada <ada@example.org>", "Ada <ada@example.org>"]
            keywords = ["HTTP", "web_server"]
            repository = "https://example.org/tiny-http"
            [dependencies]
            log = "0.4"
            socket = { package = "socket2", version = "0.6", optional = true }
            sibling = { path = "../sibling" }
            [target.'cfg(windows)'.dependencies]
            windows-sys = ">=0.52, <0.62"
            log = "0.3"
            [dev-dependencies]
            criterion = "0.8"
            "#,
        )
        .unwrap();
        let needs = |name: &str, requirement: &str| {
            Dependency::new(name.parse().unwrap(), requirement.parse().unwrap())
        };
        let expected = Manifest::new("tiny-http".parse().unwrap(), "1.2.0".parse().unwrap())
            .with_description("A small HTTP server")
            .with_license("MIT OR Apache-2.0")
            .with_authors(["Ada <ada@example.org>"])
            .with_keywords(["http", "web-server"])
            .with_repository("https://example.org/tiny-http")
            .with_dependency(needs("log", "0.4"))
            .with_dependency(needs("sibling", "*"))
            .with_dependency(needs("socket2", "0.6"))
            .with_dependency(needs("windows-sys", ">=0.52, <0.62"));
        let mut manifest = manifest;
        manifest.dependencies.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(manifest, expected);
    }

    #[test]
    fn what_gives_no_manifest_says_why() {
        assert_eq!(convert("]"), Err("is not TOML".to_owned()));
        assert_eq!(convert("[workspace]"), Err("describes no package".to_owned()));
        let inherits = "[package]\nname = \"a\"\nversion.workspace = true";
        assert_eq!(convert(inherits), Err("takes its version from elsewhere".to_owned()));
        let upper = "[package]\nname = \"Inflector\"\nversion = \"1.0.0\"";
        assert!(convert(upper).unwrap_err().contains("a name"));
        let url = "[package]\nname = \"a\"\nversion = \"1.0.0\"\nhomepage = \"nowhere\"";
        assert_eq!(convert(url), Err("has homepage that the registry refuses".to_owned()));
    }
}
