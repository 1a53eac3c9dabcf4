//! What was published, kept apart from the registry, so that each of its answers can be checked.

use std::{cell::Cell, collections::BTreeSet, time::Instant};

use peerage::{Manifest, Package, PackageId, PackageName, PeerId, Receipt, Versions};

/// What an answer should have been, where it is not.
pub(crate) type Checked = Result<(), String>;

/// One release.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) manifest: Manifest,
    pub(crate) yanked: bool,
}

/// The newest state of a package that its publisher knows of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) sequence: u64,
    /// When the call began that led to it.
    pub(crate) begun: Instant,
}

/// One package, and its releases from the oldest to the newest.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) publisher: usize,
    pub(crate) id: PackageId,
    pub(crate) releases: Vec<Release>,
    pub(crate) head: Cell<Option<Head>>,
}

/// Hands the packages out to the publishers in turn, all releases of a name to the same one.
pub(crate) fn distribute(manifests: Vec<Manifest>, publishers: &[PeerId]) -> Vec<Listing> {
    let mut listings: Vec<Listing> = Vec::new();
    for manifest in manifests {
        let release = Release { manifest, yanked: false };
        let name = &release.manifest.name;
        match listings.last_mut().filter(|listing| listing.id.name() == name) {
            Some(listing) => listing.releases.push(release),
            None => {
                let publisher = listings.len() % publishers.len().max(1);
                let Some(owner) = publishers.get(publisher) else { continue };
                listings.push(Listing {
                    publisher,
                    id: PackageId::owned(*owner, name.clone()),
                    releases: vec![release],
                    head: Cell::new(None),
                });
            }
        }
    }
    for listing in &mut listings {
        listing.releases.sort_by(|a, b| a.manifest.version.cmp(&b.manifest.version));
    }
    listings
}

impl Listing {
    pub(crate) fn name(&self) -> &PackageName {
        self.id.name()
    }

    pub(crate) fn release_id(&self, release: &Release) -> PackageId {
        self.id.clone().with_version(release.manifest.version.clone())
    }

    pub(crate) fn bare(&self) -> PackageId {
        PackageId::named(self.name().clone())
    }

    /// The release that the package's name alone means: the highest version that is neither yanked nor a
    /// pre-release, else the highest that is not yanked, else the highest.
    pub(crate) fn newest(&self) -> Option<&Release> {
        let from_the_top = || self.releases.iter().rev();
        from_the_top()
            .find(|release| !release.yanked && release.manifest.version.pre.is_empty())
            .or_else(|| from_the_top().find(|release| !release.yanked))
            .or_else(|| from_the_top().next())
    }

    pub(crate) fn yank_newest(&mut self) {
        if let Some(version) = self.newest().map(|release| release.manifest.version.clone()) {
            let yanked = self.releases.iter_mut().find(|one| one.manifest.version == version);
            yanked.into_iter().for_each(|release| release.yanked = true);
        }
    }

    /// Notes a change that the registry has confirmed.
    pub(crate) fn confirm(&self, receipt: &Receipt, id: &PackageId, begun: Instant) -> Checked {
        let Receipt { sequence, replicas, .. } = *receipt;
        let before = self.head.replace(Some(Head { sequence, begun }));
        if receipt.id != *id {
            return Err(format!("the receipt names {}", receipt.id));
        }
        if before.is_some_and(|before| before.sequence >= sequence) {
            return Err(format!("the sequence {sequence} does not grow"));
        }
        if replicas == 0 {
            return Err("no other peer stored it".to_owned());
        }
        Ok(())
    }

    /// Whether this is the release, as it was published.
    pub(crate) fn check(&self, release: &Release, package: &Package) -> Checked {
        if package.id != self.release_id(release) {
            return Err(format!("{} came back", package.id));
        }
        if self.id.owner() != Some(&package.owner) {
            return Err(format!("it is said to be owned by {}", package.owner));
        }
        if package.manifest != release.manifest {
            return Err("another manifest came back".to_owned());
        }
        if package.yanked != release.yanked {
            return Err(format!("yanked should be {}", release.yanked));
        }
        Ok(())
    }

    /// Whether this is the release that the name alone means.
    pub(crate) fn check_newest(&self, package: &Package) -> Checked {
        self.newest().map_or(Ok(()), |release| self.check(release, package))
    }

    /// Whether these are all the releases, newest first.
    pub(crate) fn check_versions(&self, versions: &Versions) -> Checked {
        let versions = &versions.releases;
        let wanted = self.releases.iter().rev();
        let same = versions.len() == self.releases.len()
            && wanted.zip(versions).all(|(release, info)| {
                release.manifest.version == info.version && release.yanked == info.yanked
            });
        if same { Ok(()) } else { Err(format!("{versions:?} came back")) }
    }
}

/// The keywords that packages share, and for each the packages that a search for it must find.
pub(crate) fn by_keyword(listings: &[Listing], most: usize) -> Vec<(String, BTreeSet<PackageId>)> {
    let newest =
        |listing: &Listing| listing.newest().map(|release| release.manifest.keywords.clone());
    let all: BTreeSet<String> = listings.iter().filter_map(newest).flatten().collect();
    let holders = |keyword: &String| {
        let holds = |one: &&Listing| newest(one).is_some_and(|held| held.contains(keyword));
        listings.iter().filter(holds).map(|listing| listing.id.clone()).collect::<BTreeSet<_>>()
    };
    let found = all.into_iter().map(|keyword| (holders(&keyword), keyword));
    found
        .filter(|(holders, _)| (1..=most).contains(&holders.len()))
        .map(|(holders, keyword)| (keyword, holders))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, version: &str) -> Manifest {
        Manifest::new(name.parse().unwrap(), version.parse().unwrap()).with_keywords([name])
    }

    fn listings() -> Vec<Listing> {
        let manifests = vec![
            manifest("a", "1.0.0"),
            manifest("a", "2.0.0"),
            manifest("a", "3.0.0-rc.1"),
            manifest("b", "1.0.0"),
            manifest("c", "1.0.0"),
        ];
        distribute(manifests, &[PeerId::random(), PeerId::random()])
    }

    #[test]
    fn packages_are_handed_out_in_turn_and_a_name_stays_with_one_publisher() {
        let listings = listings();
        let publishers: Vec<_> = listings.iter().map(|listing| listing.publisher).collect();
        assert_eq!(publishers, [0, 1, 0]);
        assert_eq!(listings[0].releases.len(), 3);
    }

    #[test]
    fn a_name_means_the_newest_release_that_is_recommended() {
        let mut listing = listings().swap_remove(0);
        let newest = |listing: &Listing| listing.newest().unwrap().manifest.version.to_string();
        assert_eq!(newest(&listing), "2.0.0");
        listing.yank_newest();
        assert_eq!(newest(&listing), "1.0.0");
        listing.yank_newest();
        assert_eq!(newest(&listing), "3.0.0-rc.1");
        listing.yank_newest();
        assert_eq!(newest(&listing), "3.0.0-rc.1");
    }

    #[test]
    fn keywords_lead_to_the_packages_that_have_them() {
        let listings = listings();
        let found = by_keyword(&listings, 100);
        let keywords: Vec<_> = found.iter().map(|(keyword, _)| keyword.as_str()).collect();
        assert_eq!(keywords, ["a", "b", "c"]);
        assert_eq!(found[0].1, BTreeSet::from([listings[0].id.clone()]));
    }
}
