//! What the published packages need of each other, and which releases that comes to.

use std::collections::HashMap;

use peerage::{Dependency, PackageId, PackageName};

use crate::listing::Listing;

/// A dependency on a package that is published here.
#[derive(Debug)]
pub(crate) struct Need<'a> {
    /// Who publishes the package that needs it.
    pub(crate) dependent: usize,
    /// The package that is needed.
    pub(crate) listing: &'a Listing,
    pub(crate) dependency: &'a Dependency,
}

/// All of them, and how many there are on packages that are not published here.
#[derive(Debug)]
pub(crate) struct Needs<'a> {
    pub(crate) published: Vec<Need<'a>>,
    pub(crate) elsewhere: usize,
}

impl<'a> Needs<'a> {
    /// What the newest releases of these packages need.
    pub(crate) fn of(listings: &'a [Listing]) -> Self {
        let by_name: HashMap<&PackageName, &Listing> =
            listings.iter().map(|listing| (listing.name(), listing)).collect();
        let mut needs = Self { published: Vec::new(), elsewhere: 0 };
        for dependent in listings {
            let Some(newest) = dependent.newest() else { continue };
            for dependency in &newest.manifest.dependencies {
                match by_name.get(&dependency.name) {
                    Some(listing) => needs.published.push(Need {
                        dependent: dependent.publisher,
                        listing,
                        dependency,
                    }),
                    None => needs.elsewhere += 1,
                }
            }
        }
        needs
    }

    /// How many come to a release.
    pub(crate) fn resolvable(&self) -> usize {
        self.published.iter().filter(|need| need.release().is_some()).count()
    }
}

impl Need<'_> {
    /// Whether this peer publishes neither of the two packages: then it has to ask.
    pub(crate) fn is_foreign_to(&self, peer: usize) -> bool {
        peer != self.dependent && peer != self.listing.publisher
    }

    /// The release that it comes to: the newest that satisfies the requirement, and has not been yanked.
    pub(crate) fn release(&self) -> Option<PackageId> {
        let releases = self.listing.releases.iter().rev().filter(|release| !release.yanked);
        let mut good = releases
            .filter(|release| self.dependency.requirement.matches(&release.manifest.version));
        good.next().map(|release| self.listing.release_id(release))
    }
}

#[cfg(test)]
mod tests {
    use peerage::{Manifest, PeerId};

    use super::*;
    use crate::listing::distribute;

    #[test]
    fn a_need_comes_to_the_newest_release_that_satisfies_it() {
        let manifest = |name: &str, version: &str| {
            Manifest::new(name.parse().unwrap(), version.parse().unwrap())
        };
        let needs = |name: &str, requirement: &str| {
            Dependency::new(name.parse().unwrap(), requirement.parse().unwrap())
        };
        let app = manifest("app", "1.0.0")
            .with_dependency(needs("log", "1"))
            .with_dependency(needs("time", "2"))
            .with_dependency(needs("missing", "*"));
        let others = ["1.0.0", "1.4.0", "2.0.0"].map(|version| manifest("log", version));
        let manifests = [app].into_iter().chain(others).chain([manifest("time", "1.0.0")]);
        let listings = distribute(manifests.collect(), &[PeerId::random(), PeerId::random()]);
        let needs = Needs::of(&listings);
        let releases = needs.published.iter().map(|need| need.release());
        let releases: Vec<_> = releases.map(|id| id.map(|id| id.to_string())).collect();
        let log = format!("{}@1.4.0", listings[1].id);
        assert_eq!(releases, [Some(log), None]);
        assert_eq!((needs.resolvable(), needs.elsewhere), (1, 1));
        let foreign = |need: &Need<'_>| (0..3).map(|peer| need.is_foreign_to(peer)).collect();
        let foreign: Vec<Vec<bool>> = needs.published.iter().map(foreign).collect();
        assert_eq!(foreign[0], [false, false, true], "of the first peer, needed by the second");
        assert_eq!(foreign[1], [false, true, true], "both of the first peer");
    }
}
