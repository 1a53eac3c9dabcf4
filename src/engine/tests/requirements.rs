//! Which release a requirement comes to, and what it costs to find it.

use semver::Version;

use super::*;
use crate::{
    freshness::Freshness,
    package::Requirement,
    record::{Page, PageLink, Pagination, RecordKey, latest, paginate},
};

/// A package with all that its owner has signed of it.
struct Releases {
    id: PackageId,
    keypair: Keypair,
    head: Signed<Head>,
    records: Vec<Signed<Release>>,
    pages: Vec<Signed<Page>>,
}

impl Releases {
    /// A package of these versions, of which those with an exclamation mark are yanked.
    fn of(versions: &[&str]) -> Self {
        let keypair = Keypair::generate_ed25519();
        let (network, owner) = (NetworkName::default(), keypair.public().to_peer_id());
        let name: crate::package::PackageName = "tool".parse().unwrap();
        let release = |text: &&str| {
            let version = text.trim_end_matches('!').parse().unwrap();
            let manifest = Manifest::new(name.clone(), version);
            let release = Release::new(network.clone(), owner, manifest);
            Signed::sign(&keypair, release).unwrap()
        };
        let records: Vec<_> = versions.iter().map(release).collect();
        let entries = records.iter().zip(versions).map(|(release, text)| ReleaseEntry {
            yanked: text.ends_with('!'),
            ..ReleaseEntry::of(release)
        });
        let entries: Vec<_> = entries.collect();
        let newest = latest(&entries).unwrap().version.clone();
        let newest = records.iter().find(|release| *release.version() == newest).unwrap();
        let manifest = newest.manifest.clone();
        let Pagination { inline, older, pages } =
            paginate(&keypair, &network, &manifest, 0, entries).unwrap();
        let validity = Validity::starting(UNIX - 60, 3600);
        let head =
            Head::live(network, owner, Revision::new(0, 1), validity, manifest, inline, older);
        let head = Signed::sign(&keypair, head).unwrap();
        Self { id: PackageId::owned(owner, name), keypair, head, records, pages }
    }

    /// A package with these releases in its head, and those of this one, all of which are in its head, on a page.
    fn below(self, versions: &[&str]) -> Self {
        let Self { keypair, .. } = &self;
        let (network, owner, name) = (&self.head.network, self.head.owner, &self.head.name);
        let (paged, none) = (self.head.releases().to_vec(), None);
        let link = |page: &Signed<Page>| PageLink {
            digest: page.digest(),
            count: page.releases.len() as u32,
        };
        let page = Page::new(network.clone(), owner, name.clone(), paged, none);
        let page = Signed::sign(keypair, page).unwrap();
        let release = |text: &&str| {
            let manifest = Manifest::new(name.clone(), text.parse().unwrap());
            Signed::sign(keypair, Release::new(network.clone(), owner, manifest)).unwrap()
        };
        let mut records: Vec<_> = versions.iter().map(release).collect();
        let (entries, manifest) =
            (records.iter().map(ReleaseEntry::of).collect(), records[0].manifest.clone());
        let (revision, validity) = (self.head.revision, self.head.validity);
        let older = Some(link(&page));
        let head = Head::live(network.clone(), owner, revision, validity, manifest, entries, older);
        let head = Signed::sign(keypair, head).unwrap();
        records.extend(self.records.iter().cloned());
        Self { head, records, pages: vec![page], ..self }
    }

    /// The record under a key.
    fn record(&self, key: &RecordKey) -> Vec<u8> {
        let records = self.records.iter().map(|release| (release.key(), release.bytes()));
        let pages = self.pages.iter().map(|page| (page.key(), page.bytes()));
        let head = std::iter::once((self.head.key(), self.head.bytes()));
        let mut all = records.chain(pages).chain(head);
        all.find(|(known, _)| known == key).expect("what was published").1.to_vec()
    }

    /// What a fresh node answers, and how many records it had to look up.
    fn resolve(&self, requirement: &str) -> (Result<Box<Package>>, usize) {
        let asked = Box::new((self.id.clone(), requirement.parse().unwrap()));
        self.answered(|reply| Command::Resolve { asked, freshness: Freshness::First, reply })
    }

    fn answered(
        &self,
        command: impl FnOnce(Reply<Box<Package>>) -> Command,
    ) -> (Result<Box<Package>>, usize) {
        let mut lab = Lab::new(Config::new());
        let (_, waiting) = lab.ask(command);
        let mut lookups = 0;
        loop {
            let gets = lab.actions().into_iter().filter_map(|action| match action {
                Action::Get { query, key, .. } => Some((query, key)),
                _ => None,
            });
            let gets: Vec<_> = gets.collect();
            if gets.is_empty() {
                break;
            }
            for (query, key) in gets {
                lookups += 1;
                lab.learn(bytes_of(query, self.record(&key)));
                lab.end(query, 1);
            }
        }
        (answer(waiting).expect("an answer"), lookups)
    }

    fn resolved(&self, requirement: &str) -> (String, usize) {
        let (answer, lookups) = self.resolve(requirement);
        (answer.unwrap().manifest.version.to_string(), lookups)
    }
}

/// As one lookup of the head, and one of the release where that is not the newest.
#[test]
fn what_the_head_tells_costs_one_lookup() {
    let package = Releases::of(&["1.0.0", "1.2.0", "1.3.0!", "2.0.0", "3.0.0-rc.1"]);
    for (requirement, version, lookups) in [
        ("*", "2.0.0", 1),
        ("latest", "2.0.0", 1),
        (">=1, <3", "2.0.0", 1),
        ("2.0.0", "2.0.0", 1),
        ("^1", "1.2.0", 2),
        ("~1.0", "1.0.0", 2),
        ("1.3.0", "1.3.0", 2),
        (">=3.0.0-alpha", "3.0.0-rc.1", 2),
    ] {
        let found = package.resolved(requirement);
        assert_eq!(found, (version.to_owned(), lookups), "{requirement}");
    }
}

#[test]
fn a_long_list_is_read_as_far_as_it_takes() {
    let versions: Vec<String> = (0..150).map(|n| format!("{}.{}.0", n / 10, n % 10)).collect();
    let package = Releases::of(&versions.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(package.pages.len() >= 2, "{} pages", package.pages.len());
    assert_eq!(package.resolved("*"), ("14.9.0".to_owned(), 1));
    assert_eq!(package.resolved("^14, <14.5"), ("14.4.0".to_owned(), 2));
    let (version, lookups) = package.resolved("^1");
    assert_eq!(version, "1.9.0");
    assert!(lookups > 2, "a page at least lies between: {lookups}");
}

#[test]
fn a_miss_reads_no_further_than_where_it_would_be() {
    let versions: Vec<String> = (0..150).map(|n| format!("{}.{}.0", n / 10, n % 10)).collect();
    let package = Releases::of(&versions.iter().map(String::as_str).collect::<Vec<_>>());
    for requirement in ["99.0.0", "14.5.9", "^99", "~14.5.1", ">=14.8.1, <14.9", "=14.5.7"] {
        let (answer, lookups) = package.resolve(requirement);
        let error = answer.unwrap_err();
        let Error::NoMatch { versions, total, .. } = &error else { panic!("{error:?}") };
        assert_eq!((versions.len(), *total, lookups), (16, 150, 1), "{requirement}");
    }
    let id = package.id.clone().with_version("14.5.9".parse().unwrap());
    let (named, lookups) = package.answered(|reply| Command::GetPackage {
        package: id,
        freshness: Freshness::First,
        reply,
    });
    assert_eq!((named.unwrap_err().kind(), lookups), ("not_found", 1));
    // What has no lower bound may be anywhere.
    assert_eq!(package.resolve("<0.0.0").1, 1 + package.pages.len());
    assert_eq!(package.resolve("11.5.9").1, 2, "the first page says so");
}

/// Registries publish one of them, and nobody can keep others from it.
#[test]
fn of_two_builds_on_two_pages_the_one_that_is_spelled_is_found() {
    let package = Releases::of(&["1.0.0+a", "0.9.0"]).below(&["2.0.0", "1.0.0+b"]);
    for (asked, version, lookups) in
        [("1.0.0+a", "1.0.0+a", 3), ("1.0.0+b", "1.0.0+b", 2), ("1.0.0+c", "1.0.0+b", 3)]
    {
        assert_eq!(package.resolved(asked), (version.to_owned(), lookups), "{asked}");
    }
    // Something older is listed, so that there is no other one.
    let package = Releases::of(&["0.9.0"]).below(&["2.0.0", "1.0.0+b", "0.9.9"]);
    assert_eq!(package.resolved("1.0.0+a"), ("1.0.0+b".to_owned(), 2));
}

/// Registries publish one of them; a list may hold both all the same.
#[test]
fn a_version_finds_its_release_whatever_its_build_metadata() {
    let package = Releases::of(&["1.0.0+linux", "1.1.0+linux", "2.0.0"]);
    for (asked, version, lookups) in [
        ("1.0.0", "1.0.0+linux", 2),
        ("1.0.0+linux", "1.0.0+linux", 2),
        ("1.0.0+mac", "1.0.0+linux", 2),
        ("^1", "1.1.0+linux", 2),
        ("2.0.0+mac", "2.0.0", 1),
    ] {
        assert_eq!(package.resolved(asked), (version.to_owned(), lookups), "{asked}");
        if let Ok(asked) = asked.parse() {
            let id = package.id.clone().with_version(asked);
            let (named, named_lookups) = package.answered(|reply| Command::GetPackage {
                package: id,
                freshness: Freshness::First,
                reply,
            });
            let named = named.unwrap().manifest.version.to_string();
            assert_eq!((named, named_lookups), (version.to_owned(), lookups));
        }
    }
}

/// All that stand in the head are yanked or pre-releases, and the recommended one lies behind them.
#[test]
fn the_latest_release_is_known_even_where_the_head_does_not_list_it() {
    let mut versions = vec!["1.0.0".to_owned(), "1.1.0".to_owned()];
    versions.extend((0..60).map(|n| format!("2.{n}.0!")));
    let package = Releases::of(&versions.iter().map(String::as_str).collect::<Vec<_>>());
    for requirement in ["*", "^1", "1.1.0"] {
        assert_eq!(package.resolved(requirement), ("1.1.0".to_owned(), 1), "{requirement}");
    }
    assert!(package.resolved("1.0.0").1 > 1);
}

#[test]
fn where_nothing_matches_the_error_says_what_there_is() {
    let package = Releases::of(&["1.0.0", "1.3.0!", "3.0.0-rc.1"]);
    for requirement in ["^2", "1.3", ">1.0.0", "9.9.9"] {
        let error = package.resolve(requirement).0.unwrap_err();
        let Error::NoMatch { versions, total, .. } = &error else { panic!("{error:?}") };
        assert_eq!((versions.len(), *total), (3, 3));
        let text = error.to_string();
        let end = "matches none of 3 releases: 3.0.0-rc.1, 1.3.0 (yanked), 1.0.0";
        assert!(text.ends_with(end), "{text}");
        let required: Requirement = requirement.parse().unwrap();
        assert!(text.contains(&format!("/tool@{required}`")), "{text}");
    }
}

#[test]
fn the_releases_that_an_error_names_are_bounded() {
    let versions: Vec<String> = (0..150).map(|n| format!("{n}.0.0")).collect();
    let package = Releases::of(&versions.iter().map(String::as_str).collect::<Vec<_>>());
    let error = package.resolve("^999").0.unwrap_err();
    let Error::NoMatch { versions, total, .. } = &error else { panic!("{error:?}") };
    assert_eq!((versions.len(), *total), (16, 150));
    assert_eq!(versions[0].version, Version::new(149, 0, 0));
    assert!(error.to_string().ends_with("134.0.0, and 134 older ones"), "{error}");
}

#[test]
fn a_requirement_of_a_package_that_is_gone_or_was_never_there_says_so() {
    let keypair = Keypair::generate_ed25519();
    let (id, _) = published_by(&keypair, "tool", 1);
    let gone = tombstone(&keypair, &id, 2);
    for (record, kind) in [(Some(&gone), "withdrawn"), (None, "not_found")] {
        let mut lab = Lab::new(Config::new());
        let asked = Box::new((id.clone(), Requirement::ANY));
        let (_, waiting) =
            lab.ask(|reply| Command::Resolve { asked, freshness: Freshness::First, reply });
        let query = only_lookup(&mut lab);
        if let Some(head) = record {
            lab.learn(copy(query, head));
        }
        lab.end(query, 1);
        assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), kind);
    }
}
