//! What must hold at the end, when everything has healed and has had time.

use std::collections::{BTreeMap, BTreeSet};

use peerage::{Error, Package, Result, VersionInfo as Release};

use crate::invariants::{Key, Ledger, Published, Withdrawal};

/// The sequence of each package that a catalogue lists.
type Listed = BTreeMap<Key, u64>;

impl Ledger {
    /// What does not hold.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let mut wrong = self.catalogues_differ();
        for (key, package) in &self.packages {
            let reads = self.reads.get(key).map_or(&[][..], Vec::as_slice);
            wrong.extend(judge(key, package, reads));
        }
        wrong.extend(self.yanks_differ());
        wrong
    }

    /// Releases are yanked for all readers as their owner was told.
    fn yanks_differ(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, machine, versions) in &self.listed {
            let Some(package) = self.packages.get(key).filter(|known| should_resolve(known)) else {
                continue;
            };
            for release in &versions.releases {
                let told = package.yanked.get(&release.version).copied().unwrap_or(Some(false));
                if told.is_some_and(|told| told != release.yanked) {
                    let Release { version, yanked, .. } = release;
                    wrong.push(format!(
                        "machine {machine}: {version} of {key:?} is yanked: {yanked}"
                    ));
                }
            }
        }
        wrong
    }

    /// Catalogues of machines that could hear of everything are the same.
    fn catalogues_differ(&self) -> Vec<String> {
        let listed: BTreeMap<usize, Listed> =
            self.catalogues.iter().map(|(machine, all)| (*machine, listed(all))).collect();
        let keys: BTreeSet<&Key> = listed.values().flat_map(BTreeMap::keys).collect();
        let mut wrong = Vec::new();
        for key in keys {
            let of: BTreeMap<usize, Option<u64>> =
                listed.iter().map(|(machine, all)| (*machine, all.get(key).copied())).collect();
            let known = self.packages.get(key);
            if of.values().collect::<BTreeSet<_>>().len() > 1 {
                wrong.push(format!(
                    "catalogues differ about {key:?} ({}): {of:?}",
                    known.map_or("unknown".into(), state)
                ));
            } else if known.is_some_and(|known| known.withdrawal == Withdrawal::Done) {
                wrong.push(format!("catalogues list {key:?}, which was withdrawn"));
            }
        }
        for (key, package) in &self.packages {
            let is_listed = listed.values().all(|all| all.contains_key(key));
            if should_resolve(package) && !is_listed {
                wrong.push(format!("catalogues lack {key:?} ({})", state(package)));
            }
        }
        wrong
    }
}

fn listed(all: &[Package]) -> Listed {
    all.iter()
        .map(|package| ((package.owner, package.manifest.name.clone()), package.sequence))
        .collect()
}

/// Its owner was told that it is published, has not tried to take it back, and has it still.
fn should_resolve(package: &Published) -> bool {
    package.sequence > 0 && package.withdrawal == Withdrawal::No && !package.is_forgotten
}

fn state(package: &Published) -> String {
    let Published { sequence, withdrawal, is_forgotten, .. } = package;
    format!(
        "sequence {sequence}, withdrawal {withdrawal:?}, forgotten by its owner: {is_forgotten}"
    )
}

fn judge(key: &Key, package: &Published, reads: &[(usize, Result<Package>)]) -> Vec<String> {
    let is_found_by_somebody = reads.iter().any(|(_, read)| read.is_ok());
    let mut wrong = Vec::new();
    for (machine, read) in reads {
        let problem = match (package.withdrawal, read) {
            (Withdrawal::Done, Ok(_)) => Some("was withdrawn".to_owned()),
            (Withdrawal::No, Ok(found))
                if found.sequence < package.sequence && should_resolve(package) =>
            {
                Some(format!("is read at the old sequence {}", found.sequence))
            }
            (Withdrawal::No, Err(error)) if should_resolve(package) || is_found_by_somebody => {
                Some(format!("is not resolved: {error}"))
            }
            (_, Err(error @ (Error::Timeout { .. } | Error::NoPeers))) => {
                Some(format!("cannot be asked for: {error}"))
            }
            _ => None,
        };
        if let Some(problem) = problem {
            wrong.push(format!("machine {machine}: {key:?} ({}) {problem}", state(package)));
        }
    }
    wrong
}
