//! Where the manifests come from: the crates that this program was built with, or a folder.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use peerage::{Artifact, Manifest, PackageName, semver::Version};
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::cargo_toml::{self, Reason};

/// Larger files are not manifests.
const MAX_FILE_BYTES: u64 = 512 * 1024;

/// How deep a folder is searched.
const MAX_DEPTH: usize = 16;

/// What was found: manifests, each name and version once, and how many files were skipped, and why.
#[derive(Debug, Default)]
pub(crate) struct Found {
    manifests: BTreeMap<(PackageName, Version), Manifest>,
    pub(crate) skipped: BTreeMap<Reason, usize>,
}

impl Found {
    fn add(&mut self, manifest: Result<Manifest, Reason>) {
        match manifest {
            Ok(manifest) => {
                let key = (manifest.name.clone(), manifest.version.clone());
                if self.manifests.insert(key, manifest).is_some() {
                    self.skip("repeats a name and version".to_owned());
                }
            }
            Err(reason) => self.skip(reason),
        }
    }

    fn skip(&mut self, reason: Reason) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// The manifests, sorted by name and then by version.
    pub(crate) fn into_manifests(self) -> Vec<Manifest> {
        self.manifests.into_values().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.manifests.len()
    }
}

/// The crates in the lock file of the project that this program belongs to, as far as the local cargo
/// registry has them.
pub(crate) fn of_this_build() -> io::Result<Found> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let lock = read(&lock).map_err(|error| {
        let file = lock.display();
        io::Error::new(error.kind(), format!("{file}: {error}; name a folder of manifests instead"))
    })?;
    let lock: Table = lock.parse().map_err(io::Error::other)?;
    let registries = Registries::find()?;
    let mut found = Found::default();
    for package in lock.get("package").and_then(Value::as_array).into_iter().flatten() {
        let text = |field| package.get(field).and_then(Value::as_str);
        // What has no source is the project itself.
        if let (Some(name), Some(version), Some(_)) =
            (text("name"), text("version"), text("source"))
        {
            found.add(registries.manifest(name, version, text("checksum")));
        }
    }
    Ok(found)
}

/// The folders in which cargo keeps the crates it has fetched, one for each registry.
struct Registries {
    sources: Vec<PathBuf>,
    archives: Vec<PathBuf>,
}

impl Registries {
    fn find() -> io::Result<Self> {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
        let home = home.ok_or_else(|| io::Error::other("no home folder: set CARGO_HOME"))?;
        let folders = |kind: &str| -> Vec<PathBuf> {
            let entries = fs::read_dir(home.join("registry").join(kind));
            entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        Ok(Self { sources: folders("src"), archives: folders("cache") })
    }

    fn manifest(
        &self,
        name: &str,
        version: &str,
        checksum: Option<&str>,
    ) -> Result<Manifest, Reason> {
        let folder = format!("{name}-{version}");
        let mut files = self.sources.iter().map(|source| source.join(&folder).join("Cargo.toml"));
        let file = files.find(|file| file.is_file()).ok_or("is not in the local cargo registry")?;
        let manifest = cargo_toml::convert(&read(&file).map_err(|_| "cannot be read")?)?;
        Ok(match self.artifact(&folder, checksum) {
            Some(artifact) => manifest.with_artifact(artifact),
            None => manifest,
        })
    }

    /// The crate's archive: its digest is the checksum in the lock file.
    fn artifact(&self, folder: &str, checksum: Option<&str>) -> Option<Artifact> {
        let file = format!("{folder}.crate");
        let digest = checksum?.parse().ok()?;
        let size =
            self.archives.iter().find_map(|a| Some(fs::metadata(a.join(&file)).ok()?.len()))?;
        Some(Artifact::new(file, digest, size, "application/x-tar+gzip"))
    }
}

/// Every `Cargo.toml` below a folder, and every `*.json` file that holds a manifest in this registry's own
/// form.
pub(crate) fn of_folder(folder: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    // The folder itself must be readable; what lies below it is skipped and counted if it is not.
    let mut folders = vec![(folder.to_owned(), 0)];
    fs::read_dir(folder)?;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            found.skip("lies in a folder that cannot be read".to_owned());
            continue;
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            // Links are not followed: they may lead round in circles.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < MAX_DEPTH && !name.starts_with('.') && name != "target" {
                folders.push((path, depth + 1));
            } else if kind.is_file() && name == "Cargo.toml" {
                let text = read(&path).map_err(|_| "cannot be read".to_owned());
                found.add(text.and_then(|text| cargo_toml::convert(&text)));
            } else if kind.is_file() && name.ends_with(".json") {
                found.add(own_form(&path));
            }
        }
    }
    Ok(found)
}

fn own_form(path: &Path) -> Result<Manifest, Reason> {
    let text = read(path).map_err(|_| "cannot be read")?;
    let value: Json = serde_json::from_str(&text).map_err(|_| "is not JSON")?;
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|_| "is JSON, but no manifest")?;
    manifest.validate().map_err(|_| "is a manifest that the registry refuses")?;
    Ok(manifest)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_what_can_be_read_and_counts_what_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.0.0\"");
        write("again/Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.0.0\"");
        write("b/deep/b.json", r#"{"name":"b","version":"0.1.0"}"#);
        write("c/package.json", r#"{"name":"c","version":"0.1.0","scripts":{}}"#);
        write("target/Cargo.toml", "[package]\nname = \"t\"\nversion = \"1.0.0\"");
        let found = of_folder(folder.path()).unwrap();
        let skipped: Vec<_> = found.skipped.clone().into_iter().collect();
        assert_eq!(
            skipped,
            [
                ("is JSON, but no manifest".to_owned(), 1),
                ("repeats a name and version".to_owned(), 1)
            ]
        );
        let names: Vec<_> = found.into_manifests().iter().map(|m| m.name.to_string()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(of_folder(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_crate_of_this_build_has_its_archive_as_artifact() {
        let folder = tempfile::tempdir().unwrap();
        let (sources, archives) = (folder.path().join("src"), folder.path().join("cache"));
        fs::create_dir_all(sources.join("a-1.0.0")).unwrap();
        fs::create_dir_all(&archives).unwrap();
        let toml = "[package]\nname = \"a\"\nversion = \"1.0.0\"";
        fs::write(sources.join("a-1.0.0/Cargo.toml"), toml).unwrap();
        fs::write(archives.join("a-1.0.0.crate"), b"12345").unwrap();
        let registries = Registries { sources: vec![sources], archives: vec![archives] };
        let checksum = "0".repeat(64);
        let manifest = registries.manifest("a", "1.0.0", Some(&checksum)).unwrap();
        assert_eq!((manifest.artifacts.len(), manifest.artifacts[0].size), (1, 5));
        assert!(registries.manifest("b", "1.0.0", None).is_err());
    }
}
