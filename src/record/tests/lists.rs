//! Lists of releases, however long.

use super::*;
use crate::error::Error;

fn entry(version: Version) -> ReleaseEntry {
    let digest = Digest::of(version.to_string());
    ReleaseEntry { version, digest, yanked: false }
}

/// So many releases, oldest first.
fn releases(count: u64) -> Vec<ReleaseEntry> {
    (0..count).map(|n| entry(Version::new(n / 100, n / 10 % 10, n % 10))).collect()
}

fn newest(releases: &[ReleaseEntry]) -> Manifest {
    manifest(latest(releases).unwrap().version.clone())
}

fn cut(releases: &[ReleaseEntry]) -> Pagination {
    paginate(&keypair(1), &main_net(), &newest(releases), 0, releases.to_vec()).unwrap()
}

/// Signs the head, looks everything up as from the DHT, and puts the list together again.
fn reassemble(latest: Manifest, cut: &Pagination) -> Vec<ReleaseEntry> {
    let (revision, inline) = (Revision::new(0, 1), cut.inline.clone());
    let head = Head::live(main_net(), peer(1), revision, day(), latest, inline, cut.older);
    let head = Signed::sign(&keypair(1), head).unwrap();
    let Ok(Record::Head(head)) = verify(&head.key(), head.bytes()) else { panic!() };
    let mut list = ReleaseList::of(&head);
    while let Some(key) = list.awaits() {
        let page = cut.pages.iter().find(|page| page.key() == key).unwrap();
        let Ok(Record::Page(page)) = verify(&key, page.bytes()) else { panic!() };
        list.accept(&page).unwrap();
    }
    list.into_releases()
}

#[test]
fn a_list_of_any_length_is_cut_and_put_together_again() {
    for count in [1, 2, 24, 25, 124, 125, 1_000, 5_000] {
        let mut releases = releases(count);
        let cut = cut(&releases);
        let list = reassemble(newest(&releases), &cut);
        releases.reverse();
        assert_eq!(list, releases, "{count} releases");
    }
}

#[test]
fn a_short_list_needs_no_pages() {
    let cut = cut(&releases(24));
    assert_eq!((cut.inline.len(), cut.older, cut.pages.len()), (24, None, 0));
}

#[test]
fn a_new_release_changes_only_the_newest_page() {
    let before = cut(&releases(1_000));
    let after = cut(&releases(1_001));
    let kept = before.pages.iter().filter(|page| after.pages.contains(page)).count();
    assert_eq!(kept, before.pages.len() - 1);
    assert_eq!(before.pages.len(), 10);
}

#[test]
fn publishing_release_after_release_leaves_few_pages_behind() {
    let keypair = keypair(1);
    let latest = Manifest::new(name(), Version::new(999, 0, 0));
    let mut releases = Vec::new();
    let mut pages = std::collections::HashSet::new();
    for n in 0..1000 {
        releases.insert(0, entry(Version::new(n, 0, 0)));
        let cut = paginate(&keypair, &main_net(), &latest, 0, releases.clone()).unwrap();
        pages.extend(cut.pages.iter().map(Signed::digest));
    }
    assert!(pages.len() <= 1000 / 8 + 10, "{}", pages.len());
}

#[test]
fn there_is_room_for_the_longest_of_everything() {
    let network: NetworkName = "n".repeat(32).parse().unwrap();
    let name: PackageName = "p".repeat(64).parse().unwrap();
    let long = |n: u32| Version::parse(&format!("1.0.0-{n:a>121}x")).unwrap();
    // A manifest of as many bytes as one may have.
    let mut biggest = Manifest::new(name.clone(), long(299)).with_description("d".repeat(1024));
    let mut room = MAX_MANIFEST_BYTES - manifest_bytes(&biggest).unwrap();
    for n in 0.. {
        let dependency = |length: usize| {
            let requirement = format!("=1.0.0-{}", "x".repeat(length - 7)).parse().unwrap();
            Dependency::new(format!("d{n:0>2}").parse().unwrap(), requirement)
        };
        // The name takes 4 bytes, the owner 1, and the length of the requirement 1.
        let length = (room - 6).min(100);
        biggest = biggest.with_dependency(dependency(length));
        room -= length + 6;
        if room < 120 {
            biggest.license = Some("l".repeat(room - 1));
            break;
        }
    }
    assert_eq!(manifest_bytes(&biggest).unwrap(), MAX_MANIFEST_BYTES);

    let keypair = keypair(1);
    let mut release = Release::new(network.clone(), peer(1), biggest.clone());
    release.ext = vec![0; MAX_EXT_BYTES];
    Signed::sign(&keypair, release).unwrap();

    let releases = (0..300).map(|n| entry(long(n))).collect();
    let cut = paginate(&keypair, &network, &biggest, MAX_EXT_BYTES, releases).unwrap();
    let (revision, validity) =
        (Revision::new(u32::MAX, u64::MAX), Validity::starting(u64::MAX - 9, 9));
    let mut head =
        Head::live(network, peer(1), revision, validity, biggest, cut.inline.clone(), cut.older);
    head.ext = vec![0; MAX_EXT_BYTES];
    let head = Signed::sign(&keypair, head).unwrap();
    // Releases move to the pages eight at a time, so that there may be room for seven, of 165 bytes each.
    assert!(head.bytes().len() > MAX_RECORD_BYTES - 200 - 7 * 165, "the room is used");
    let mut list = ReleaseList::of(&head);
    for page in cut.pages.iter().rev() {
        assert!(page.bytes().len() <= MAX_RECORD_BYTES);
        list.accept(page).unwrap();
    }
    assert_eq!((list.releases().len(), list.awaits()), (300, None));
}

#[test]
fn what_cannot_be_listed_is_told() {
    let sign = |releases: Vec<ReleaseEntry>| {
        paginate(&keypair(1), &main_net(), &manifest(Version::new(1, 0, 0)), 0, releases)
    };
    let builds = ["1.0.0+a", "1.0.0+b"].map(|version| entry(version.parse().unwrap())).into();
    let twice = vec![entry(Version::new(1, 0, 0)), entry(Version::new(1, 0, 0))];
    for (releases, why) in [
        (vec![], "has 0 items"),
        (releases(5_001), "has 5001 items"),
        (twice, "has version 1.0.0 twice"),
        (builds, "has version 1.0.0+b twice"),
    ] {
        match sign(releases) {
            Err(Error::Invalid { field, reason }) => {
                assert_eq!(field, "releases");
                assert!(reason.contains(why), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_page_that_does_not_continue_the_list_is_refused() {
    let releases = releases(300);
    let cut = cut(&releases);
    let with = |inline: &[ReleaseEntry], older| {
        let inline = inline.to_vec();
        let revision = Revision::new(0, 1);
        let latest = newest(&releases);
        ReleaseList::of(&Head::live(main_net(), peer(1), revision, day(), latest, inline, older))
    };
    let mut list = with(&cut.inline, cut.older);
    let before = list.clone();
    let refused =
        |list: &mut ReleaseList, page| matches!(list.accept(page), Err(Rejected::Page { .. }));
    assert!(refused(&mut list, &cut.pages[0]), "the oldest page is not next");
    assert_eq!(list, before, "and nothing has changed");
    let link = cut.older.unwrap();
    let miscounted = Some(PageLink { count: link.count + 1, ..link });
    assert!(refused(&mut with(&cut.inline, miscounted), cut.pages.last().unwrap()));
    let overlapping = [entry(Version::new(0, 0, 1))];
    assert!(refused(&mut with(&overlapping, cut.older), cut.pages.last().unwrap()));
    assert!(refused(&mut with(&cut.inline, None), cut.pages.last().unwrap()));

    let foreign = "other".parse().unwrap();
    let foreign = Page::new(main_net(), peer(1), foreign, vec![entry(Version::new(0, 0, 0))], None);
    let foreign = Signed::sign(&keypair(1), foreign).unwrap();
    let link = Some(PageLink { digest: foreign.digest(), count: 1 });
    assert!(refused(&mut with(&cut.inline, link), &foreign));
}

#[test]
fn the_list_of_a_withdrawn_package_is_empty() {
    let list = ReleaseList::of(&withdrawn());
    assert_eq!((list.releases(), list.awaits()), (&[][..], None));
}

#[test]
fn the_latest_is_the_highest_that_is_fit_for_use() {
    let entry = |version: &str, yanked| ReleaseEntry { yanked, ..entry(version.parse().unwrap()) };
    let (old, new) = (entry("1.0.0", false), entry("1.1.0", false));
    let (pre, yanked) = (entry("2.0.0-rc.1", false), entry("3.0.0", true));
    let of = |releases: &[&ReleaseEntry]| {
        let releases: Vec<ReleaseEntry> = releases.iter().copied().cloned().collect();
        latest(&releases).cloned()
    };
    assert_eq!(of(&[&old, &yanked, &new, &pre]), Some(new));
    assert_eq!(of(&[&pre, &yanked]), Some(pre), "rather a pre-release than one that is yanked");
    assert_eq!(of(&[&yanked, &entry("2.9.9", true)]), Some(yanked));
    assert_eq!(of(&[]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_set_of_versions_is_put_together_again(
        versions in proptest::collection::btree_set(any_version(), 1..300),
    ) {
        // Of those that differ in build metadata only, one is listed.
        let mut releases: Vec<ReleaseEntry> = versions.into_iter().map(entry).collect();
        releases.dedup_by(|next, kept| next.is_same_release(&kept.version));
        let list = reassemble(newest(&releases), &cut(&releases));
        prop_assert!(list.iter().eq(releases.iter().rev()));
    }
}
