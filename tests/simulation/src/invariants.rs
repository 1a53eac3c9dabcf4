//! What must hold, whatever happens: what was published, who has seen what of it, and what contradicts that.

use std::collections::{BTreeMap, BTreeSet};

use peerage::{
    Error, Event, Limits, Manifest, Package, PackageId, PackageName, PeerId, Receipt,
    RegistryMetadata, Result, Source, Versions, semver::Version,
};

use crate::{
    book::Life,
    calls::{Answer, Call},
};

/// A package: whose, and its name.
pub(crate) type Key = (PeerId, PackageName);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Withdrawal {
    #[default]
    No,
    /// Its owner wanted it, and was not told that it is done.
    Asked,
    Done,
}

/// What its owner has done with a package.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// What was tried to be published.
    pub(crate) tried: BTreeMap<Version, Vec<Manifest>>,
    /// Releases of which the owner was told that they are published.
    pub(crate) acknowledged: BTreeSet<Version>,
    /// The highest sequence that the owner was told.
    pub(crate) sequence: u64,
    pub(crate) withdrawal: Withdrawal,
    /// Whether releases are yanked, as far as the owner was told; none where it was not.
    pub(crate) yanked: BTreeMap<Version, Option<bool>>,
    /// The owner has lost its disk, or had none, since it was told something: it does not know what it has published.
    pub(crate) is_forgotten: bool,
}

/// What one life of a node has shown its callers of a package.
#[derive(Debug, Default)]
struct Shown {
    sequence: u64,
    is_withdrawn: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Who publishes from which machine.
    pub(crate) owners: Vec<PeerId>,
    pub(crate) packages: BTreeMap<Key, Published>,
    shown: BTreeMap<(Life, Key), Shown>,
    /// Whether answers are kept for the end.
    pub(crate) is_examined: bool,
    pub(crate) catalogues: BTreeMap<usize, Vec<Package>>,
    pub(crate) listed: Vec<(Key, usize, Versions)>,
    pub(crate) reads: BTreeMap<Key, Vec<(usize, Result<Package>)>>,
}

impl Ledger {
    /// Somebody asks for a change.
    pub(crate) fn asked(&mut self, life: Life, call: &Call) {
        let owner = self.owners[life.machine];
        match call {
            Call::Register(manifest) => {
                let package = self.packages.entry((owner, manifest.name.clone())).or_default();
                let tried = package.tried.entry(manifest.version.clone()).or_default();
                tried.push((**manifest).clone());
            }
            Call::Unregister(name) => {
                if let Some(package) = self.packages.get_mut(&(owner, name.clone()))
                    && package.withdrawal == Withdrawal::No
                {
                    package.withdrawal = Withdrawal::Asked;
                }
            }
            Call::Yank(name, version) | Call::Unyank(name, version) => {
                if let Some(package) = self.packages.get_mut(&(owner, name.clone())) {
                    package.yanked.insert(version.clone(), None);
                }
            }
            _ => {}
        }
    }

    /// The machine has lost what its node has published.
    pub(crate) fn forget(&mut self, machine: usize) {
        let owner = self.owners[machine];
        for (_, package) in self.packages.iter_mut().filter(|((of, _), _)| *of == owner) {
            package.is_forgotten = true;
        }
    }

    /// Packages that this machine's owner has published and not withdrawn.
    pub(crate) fn own(&self, machine: usize) -> Vec<&PackageName> {
        let owner = self.owners[machine];
        let own = |(key, package): &(&Key, &Published)| {
            key.0 == owner && package.withdrawal == Withdrawal::No && package.sequence > 0
        };
        self.packages.iter().filter(own).map(|((_, name), _)| name).collect()
    }

    /// Compares an answer with what is known. Answers with what is wrong with it.
    pub(crate) fn check(&mut self, life: Life, call: &Call, answer: Answer) -> Vec<String> {
        let wrong = match (call, answer) {
            (_, Answer::Change(Ok(receipt))) => self.check_receipt(life, call, &receipt),
            (Call::Get(id, _), Answer::Package(answer)) => {
                let mut wrong = match &answer {
                    Ok(package) => self.check_package(life, package),
                    Err(error) => self.check_error(life, id, error),
                };
                if let Ok(Package { owner, source, .. }) = &answer {
                    wrong.extend(self.check_source(life, &(*owner, id.name().clone()), *source));
                }
                if let (true, Some(owner)) = (self.is_examined, id.owner()) {
                    let key = (*owner, id.name().clone());
                    self.reads.entry(key).or_default().push((life.machine, answer));
                }
                wrong
            }
            (Call::Versions(id, _), Answer::Versions(answer)) => {
                let wrong = match &answer {
                    Ok(versions) => self.check_versions(life, versions),
                    Err(error) => self.check_error(life, id, error),
                };
                if let (true, Some(owner), Ok(versions)) = (self.is_examined, id.owner(), answer) {
                    self.listed.push(((*owner, id.name().clone()), life.machine, versions));
                }
                wrong
            }
            (_, Answer::Found(Ok(found))) => found
                .packages
                .iter()
                .flat_map(|package| self.check_package(life, package))
                .collect(),
            (_, Answer::Catalogue(Ok(all))) => {
                let wrong =
                    all.iter().flat_map(|package| self.check_package(life, package)).collect();
                if self.is_examined {
                    self.catalogues.insert(life.machine, all);
                }
                wrong
            }
            (_, Answer::Metadata(Ok(metadata))) => within_bounds(&metadata),
            _ => Vec::new(),
        };
        wrong.into_iter().map(|wrong| format!("{life:?}, {call:?}: {wrong}")).collect()
    }

    /// Compares what a node tells with what is known.
    pub(crate) fn hear(&mut self, life: Life, event: &Event) -> Vec<String> {
        let wrong = match event {
            Event::Discovered { package } => self.check_package(life, package),
            Event::Withdrawn { id } => self.check_withdrawn(life, id),
            Event::Equivocation { owner, name, .. } => {
                // Who has forgotten what it has signed may sign another under the same number.
                let key = (*owner, name.clone());
                let may = self.packages.get(&key).is_none_or(|package| package.is_forgotten);
                if may { Vec::new() } else { vec![format!("{name} of {owner} has two histories")] }
            }
            _ => Vec::new(),
        };
        wrong.into_iter().map(|wrong| format!("{life:?} tells {event:?}: {wrong}")).collect()
    }

    fn check_receipt(&mut self, life: Life, call: &Call, receipt: &Receipt) -> Vec<String> {
        let key = (self.owners[life.machine], receipt.id.name().clone());
        let Some(package) = self.packages.get_mut(&key) else {
            return vec![format!("a receipt for what nobody has published: {receipt:?}")];
        };
        let mut wrong = Vec::new();
        if receipt.sequence < package.sequence && !package.is_forgotten {
            wrong.push(format!(
                "the owner's sequence went back from {} to {}",
                package.sequence, receipt.sequence
            ));
        }
        // Of changes that are under way at the same time, the last one counts.
        let is_last = receipt.sequence >= package.sequence;
        package.sequence = package.sequence.max(receipt.sequence);
        match call {
            Call::Yank(_, version) | Call::Unyank(_, version) if is_last => {
                package.yanked.insert(version.clone(), Some(matches!(call, Call::Yank(..))));
            }
            Call::Register(manifest) => {
                package.acknowledged.insert(manifest.version.clone());
            }
            Call::Unregister(_) => package.withdrawal = Withdrawal::Done,
            _ => {}
        }
        wrong
    }

    fn check_package(&mut self, life: Life, package: &Package) -> Vec<String> {
        let key = (package.owner, package.manifest.name.clone());
        let mut wrong = self.check_sequence(life, &key, package.sequence);
        let tried =
            self.packages.get(&key).and_then(|known| known.tried.get(&package.manifest.version));
        if !tried.is_some_and(|tried| tried.contains(&package.manifest)) {
            wrong.push(format!("nobody has published {:?}", package.manifest));
        }
        wrong
    }

    fn check_versions(&mut self, life: Life, versions: &Versions) -> Vec<String> {
        let key = (versions.owner, versions.name.clone());
        let mut wrong = self.check_sequence(life, &key, versions.sequence);
        wrong.extend(self.check_source(life, &key, versions.source));
        let Some(known) = self.packages.get(&key) else { return wrong };
        let listed: BTreeSet<&Version> =
            versions.releases.iter().map(|info| &info.version).collect();
        if let Some(version) = listed.iter().find(|version| !known.tried.contains_key(version)) {
            wrong.push(format!("nobody has published version {version}"));
        }
        let lacks = known.acknowledged.iter().find(|version| !listed.contains(version));
        if let Some(version) = lacks
            && key.0 == self.owners[life.machine]
            && !known.is_forgotten
        {
            wrong.push(format!("the owner has lost {version}, which was acknowledged"));
        }
        wrong
    }

    fn check_sequence(&mut self, life: Life, key: &Key, sequence: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let shown = self.shown.entry((life, key.clone())).or_default();
        if sequence < shown.sequence {
            wrong.push(format!("the sequence went back from {} to {sequence}", shown.sequence));
        }
        if shown.is_withdrawn {
            wrong.push("what was withdrawn has come back".into());
        }
        shown.sequence = shown.sequence.max(sequence);
        let own = key.0 == self.owners[life.machine];
        if let Some(known) = self.packages.get(key).filter(|known| own && !known.is_forgotten)
            && sequence < known.sequence
        {
            let acknowledged = known.sequence;
            wrong.push(format!("the owner is at {sequence}, and was acknowledged {acknowledged}"));
        }
        if own && self.is_withdrawn(key) {
            wrong.push("the owner has forgotten that it was withdrawn".into());
        }
        wrong
    }

    /// An owner's own node knows what it has published, and needs nobody to tell it: at the end. Before that, it may have been
    /// started a moment ago, and first ask others what stands.
    fn check_source(&self, life: Life, key: &Key, source: Source) -> Vec<String> {
        let is_known = |known: &Published| known.sequence > 0 && !known.is_forgotten;
        let should_be_own =
            key.0 == self.owners[life.machine] && self.packages.get(key).is_some_and(is_known);
        if self.is_examined && should_be_own && source != Source::Own {
            return vec![format!(
                "the owner has lost what was acknowledged, and has it from others ({source:?})"
            )];
        }
        Vec::new()
    }

    /// Its owner was told that it is withdrawn, and has lost nothing since.
    fn is_withdrawn(&self, key: &Key) -> bool {
        let is_done =
            |known: &Published| known.withdrawal == Withdrawal::Done && !known.is_forgotten;
        self.packages.get(key).is_some_and(is_done)
    }

    /// What an owner has and was told of, its own node answers.
    fn check_own_error(&self, life: Life, asked: &PackageId, error: &Error) -> Vec<String> {
        let owner = self.owners[life.machine];
        let is_own = asked.owner() == Some(&owner);
        let known = self.packages.get(&(owner, asked.name().clone()));
        let is_lost = known.is_some_and(|known| {
            known.sequence > 0 && known.withdrawal == Withdrawal::No && !known.is_forgotten
        });
        if is_own && is_lost && !matches!(error, Error::ShuttingDown) {
            return vec![format!("the owner has lost what was acknowledged: {error}")];
        }
        Vec::new()
    }

    fn check_error(&mut self, life: Life, asked: &PackageId, error: &Error) -> Vec<String> {
        match error {
            Error::Withdrawn { id, .. } => {
                let owner = id.owner().or(asked.owner()).copied();
                let id = id.clone().without_version();
                self.check_withdrawn(life, &owner.map_or(id.clone(), |owner| id.with_owner(owner)))
            }
            _ => self.check_own_error(life, asked, error),
        }
    }

    fn check_withdrawn(&mut self, life: Life, id: &PackageId) -> Vec<String> {
        let Some(owner) = id.owner() else { return vec![format!("{id} is withdrawn by nobody")] };
        let key = (*owner, id.name().clone());
        let known = self.packages.get(&key).map(|package| package.withdrawal).unwrap_or_default();
        self.shown.entry((life, key)).or_default().is_withdrawn = true;
        if known == Withdrawal::No {
            return vec!["its owner has not withdrawn it".into()];
        }
        Vec::new()
    }
}

fn within_bounds(metadata: &RegistryMetadata) -> Vec<String> {
    let limits = Limits::default();
    let bounds = [
        ("connected peers", u64::from(metadata.peers), u64::from(limits.connections)),
        (
            "records",
            u64::from(metadata.records),
            limits.store_records as u64 + 10 * limits.own_packages as u64,
        ),
        ("bytes of records", metadata.record_bytes, limits.store_bytes as u64),
        (
            "packages in the catalogue",
            u64::from(metadata.known_packages),
            limits.catalogue_packages as u64,
        ),
        ("queries that run", metadata.counters.queries.running, limits.running_queries as u64),
        ("calls that wait", metadata.counters.queries.waiting, limits.waiting_calls as u64),
        (
            "announcements that wait",
            metadata.counters.announcements.queued,
            limits.queued_announcements as u64,
        ),
    ];
    let broken = bounds.into_iter().filter(|(_, is, most)| is > most);
    broken.map(|(what, is, most)| format!("{is} {what}, and {most} are allowed")).collect()
}
