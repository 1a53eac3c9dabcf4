//! The catalogue by itself: mostly of listings that nobody has signed, since a hundred thousand of them are quickly made.

use libp2p::identity::Keypair;

use super::*;
use crate::{
    package::Manifest,
    record::{NetworkName, Rank, ReleaseEntry, Revision, Validity},
};

mod crowds;
mod model;

pub(super) const UNIX: u64 = 2_000_000_000;
const ROOMY: Load = Load { packages: 1000, bytes: 1 << 20 };

fn peer(number: u32) -> PeerId {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    crate::package::owner_from_key(&key).unwrap()
}

fn name(number: u32) -> PackageName {
    format!("package-{number}").parse().unwrap()
}

/// The head of a live package, whose owner and name are of this number.
fn listing(number: u32) -> Listing {
    listing_of(number, number, 1)
}

fn listing_of(owner: u32, package: u32, sequence: u64) -> Listing {
    let bytes = format!("{owner} {package} {sequence} {}", "x".repeat(400));
    Listing {
        key: Key::new(&name(package), &peer(owner)).unwrap(),
        digest: Digest::of(&bytes),
        bytes: bytes.into_bytes().into(),
        rank: Revision::new(0, sequence).into(),
        issued: UNIX - 60,
        expires: UNIX + 3600,
        keywords: Some("".into()),
        indexed: 0,
    }
}

fn tombstone_of(owner: u32, package: u32, sequence: u64) -> Listing {
    let listing = listing_of(owner, package, sequence);
    let rank = Rank { withdrawn: true, ..listing.rank };
    Listing { rank, keywords: None, digest: Digest::of([sequence as u8; 9]), ..listing }
}

fn heard_from(number: u32) -> Arrival {
    Arrival { from: Some(peer(number)), unix: UNIX, interest: Interest::Heard }
}

fn because(interest: Interest) -> Arrival {
    Arrival { interest, ..heard_from(0) }
}

impl Catalogue {
    fn hear(&mut self, listing: Listing, from: u32) -> Admission {
        self.list(listing, heard_from(from)).outcome
    }

    fn lists(&self, listing: &Listing) -> bool {
        self.by_digest(&listing.digest, UNIX).is_some()
    }

    fn sorted_items(&self, slice: &Coverage) -> Vec<(u64, Digest)> {
        let mut items: Vec<_> = self.items(slice, UNIX).collect();
        items.sort_unstable();
        items
    }
}

fn roomy() -> Catalogue {
    Catalogue::new(ROOMY, Coverage::All)
}

/// A head that was signed, of the package that is named so.
fn signed(keypair: &Keypair, name: &str, keywords: &[&str]) -> Signed<Head> {
    let owner = keypair.public().to_peer_id();
    let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap())
        .with_keywords(keywords.iter().copied());
    let (version, digest) = (manifest.version.clone(), Digest::of("release"));
    let head = Head::live(
        NetworkName::default(),
        owner,
        Revision::new(0, 1),
        Validity::starting(UNIX - 60, 3600),
        manifest,
        vec![ReleaseEntry { version, digest, yanked: true }],
        None,
    );
    Signed::sign(keypair, head).unwrap()
}

#[test]
fn the_newest_head_of_a_package_is_listed_whichever_came_first() {
    let (old, new) = (listing_of(1, 1, 1), listing_of(1, 1, 2));
    let mut catalogue = roomy();
    assert_eq!(catalogue.hear(old.clone(), 1), Admission::New);
    assert_eq!(catalogue.hear(new.clone(), 1), Admission::Replaced);
    assert_eq!(catalogue.hear(old.clone(), 1), Admission::Older);
    assert_eq!(catalogue.hear(new.clone(), 2), Admission::Same);
    assert!(catalogue.lists(&new) && !catalogue.lists(&old));
    assert_eq!((catalogue.len(), catalogue.known()), (1, 1));
    catalogue.check();
}

#[test]
fn of_two_heads_of_one_rank_all_nodes_list_the_same() {
    let one = listing_of(1, 1, 1);
    let other = Listing { digest: Digest::of("other"), ..one.clone() };
    let kept = one.digest.min(other.digest);
    for order in [[&one, &other], [&other, &one]] {
        let mut catalogue = roomy();
        for listing in order {
            catalogue.hear(listing.clone(), 1);
        }
        assert_eq!(catalogue.sorted_items(&Coverage::All), [(UNIX - 60, kept)]);
    }
}

#[test]
fn a_withdrawn_package_is_told_to_others_and_neither_searched_nor_counted() {
    let mut catalogue = roomy();
    let end = tombstone_of(1, 1, 2);
    catalogue.hear(listing(1), 1);
    assert_eq!(catalogue.hear(end.clone(), 1), Admission::Replaced);
    assert_eq!(catalogue.hear(listing_of(1, 1, 3), 1), Admission::Older, "the end is the end");
    assert_eq!(catalogue.iter(UNIX).count(), 0);
    assert_eq!((catalogue.len(), catalogue.known()), (1, 0));
    assert_eq!(catalogue.sorted_items(&Coverage::All), [(end.issued, end.digest)]);
    assert!(catalogue.by_digest(&end.digest, UNIX).is_some());
}

#[test]
fn nothing_that_has_expired_is_told_whether_it_was_swept_or_not() {
    let mut catalogue = roomy();
    let brief = Listing { expires: UNIX + 10, ..listing(1) };
    catalogue.hear(brief.clone(), 1);
    catalogue.hear(listing(2), 1);
    for swept in [false, true] {
        let later = UNIX + 10;
        assert!(catalogue.by_digest(&brief.digest, later).is_none());
        assert!(catalogue.get(&name(1), &peer(1), later).is_none());
        assert!(catalogue.providers(&name(1), &peer(1), later).is_empty());
        assert_eq!(catalogue.items(&Coverage::All, later).count(), 1);
        assert_eq!(catalogue.iter(later).count(), 1);
        let gone = if swept { vec![] } else { vec![(name(1), peer(1))] };
        assert_eq!(catalogue.sweep(later, 100), gone);
    }
    assert_eq!(catalogue.len(), 1);
    assert_eq!(catalogue.hear(brief.clone(), 1), Admission::New, "it holds at this time");
    let late = Arrival { unix: UNIX + 10, ..heard_from(1) };
    assert_eq!(catalogue.list(brief, late).outcome, Admission::Expired);
    catalogue.check();
}

#[test]
fn what_lapses_while_a_head_comes_in_again_is_told_to_be_gone() {
    let mut catalogue = roomy();
    for number in 0..10 {
        let lapsing = Listing { expires: UNIX + 100, ..listing(number) };
        assert_eq!(catalogue.hear(lapsing, 1), Admission::New);
    }
    assert_eq!(catalogue.hear(listing(20), 1), Admission::New);
    let later = Arrival { unix: UNIX + 200, ..heard_from(1) };
    let mut gone = catalogue.sweep(UNIX + 200, 1).len();
    while gone < 10 {
        let told = catalogue.list(listing(20), later).gone.len();
        assert!(told > 0, "{gone} of 10 were told");
        gone += told;
    }
    assert_eq!(catalogue.len(), 1);
}

#[test]
fn a_package_that_lapsed_may_come_back_with_whatever_head_is_valid() {
    let mut catalogue = roomy();
    catalogue.hear(Listing { expires: UNIX + 10, ..listing_of(1, 1, 5) }, 1);
    catalogue.sweep(UNIX + 10, 0);
    let late = Arrival { unix: UNIX + 10, ..heard_from(1) };
    let inserted = catalogue.list(listing_of(1, 1, 4), late);
    assert_eq!(inserted, Insertion { outcome: Admission::New, gone: vec![(name(1), peer(1))] });
}

#[test]
fn who_was_seen_providing_a_package_is_told_with_the_time_the_last_one_first() {
    let mut catalogue = roomy();
    let keypair = Keypair::generate_ed25519();
    let owner = keypair.public().to_peer_id();
    let head = signed(&keypair, "tool", &[]);
    for (number, unix) in [(1, 0), (2, 20), (1, 30), (3, 5), (4, 7), (5, 9)] {
        let arrival = Arrival { unix: UNIX + unix, ..heard_from(number) };
        let _ = catalogue.insert(&head, arrival);
    }
    let providers = catalogue.providers(&head.name, &owner, UNIX);
    // Of five, the one seen longest ago is forgotten; who signed it had it when it was issued.
    let expected = [(1, 30), (2, 20), (5, 9), (4, 7)].map(|(n, unix)| (peer(n), UNIX + unix));
    assert_eq!(providers[..4], expected);
    assert_eq!(providers[4..], [(owner, UNIX - 60)]);
    let listed = catalogue.get(&head.name, &owner, UNIX).unwrap();
    assert_eq!((listed.heard, listed.issued, listed.name), (UNIX, UNIX - 60, &head.name));
    assert_eq!(listed.head().as_ref(), Some(&head));
    assert_eq!((listed.digest, listed.bytes), (head.digest(), head.bytes()));
}

#[test]
fn heads_are_read_again_and_own_packages_are_among_them() {
    let mut catalogue = roomy();
    let (ours, theirs) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let heads = [
        (signed(&ours, "http-ours", &["web"]), Interest::Own),
        (signed(&theirs, "http-theirs", &["web"]), Interest::Heard),
        (signed(&theirs, "gui", &[]), Interest::Heard),
    ];
    for (head, interest) in &heads {
        assert_eq!(catalogue.insert(head, because(*interest)).outcome, Admission::New);
    }
    let mut found: Vec<_> = catalogue
        .iter(UNIX)
        .map(|listed| (listed.head().unwrap().name.to_string(), listed.is_own))
        .collect();
    found.sort();
    let expected = [("gui", false), ("http-ours", true), ("http-theirs", false)];
    assert_eq!(found, expected.map(|(name, is_own)| (name.to_owned(), is_own)));
    assert_eq!((catalogue.len(), catalogue.known()), (3, 2));
}

#[test]
fn own_heads_are_told_beyond_all_bounds_and_follow_what_is_published() {
    let mut catalogue = Catalogue::new(Load { packages: 1, bytes: 1000 }, Coverage::None);
    for number in 0..20 {
        let inserted = catalogue.list(listing(number), because(Interest::Own));
        assert_eq!(inserted, Insertion { outcome: Admission::New, gone: vec![] });
    }
    let again = listing_of(3, 3, 1);
    let renewed = Listing { digest: Digest::of("signed anew"), ..again };
    let inserted = catalogue.list(renewed.clone(), because(Interest::Own));
    assert_eq!(inserted.outcome, Admission::Replaced);
    assert!(catalogue.lists(&renewed));
    assert_eq!(catalogue.items(&Coverage::All, UNIX).count(), 20);
    assert_eq!((catalogue.len(), catalogue.known()), (20, 0));
    assert!(catalogue.bytes() > 20 * 400);
    catalogue.check();
}

#[test]
fn the_sum_tells_whether_two_nodes_list_the_same_whatever_the_order() {
    let (mut left, mut right) = (roomy(), roomy());
    for number in 0..50 {
        left.hear(listing(number), 1);
        right.hear(listing(49 - number), 2);
    }
    assert_eq!(left.digest_sum(), right.digest_sum());
    let generation = left.generation();
    left.hear(listing(7), 3);
    left.promote(&name(7), &peer(7), Interest::Used);
    assert_eq!(left.generation(), generation, "the set is the same");
    left.hear(listing_of(7, 7, 2), 1);
    assert_ne!(left.digest_sum(), right.digest_sum());
    assert_ne!(left.generation(), generation);
    assert_eq!(roomy().digest_sum(), [0; 32]);
}

fn about(number: u32, keywords: &str) -> Listing {
    Listing { keywords: Some(keywords.into()), ..listing(number) }
}

#[test]
fn a_node_that_covers_keywords_lists_packages_with_one_of_them() {
    let mut catalogue = Catalogue::new(ROOMY, Coverage::of(["http", "tls"]));
    assert_eq!(catalogue.hear(about(1, "web\nhttp"), 1), Admission::New);
    assert_eq!(catalogue.hear(about(2, "httpd"), 1), Admission::Uncovered);
    assert_eq!(catalogue.hear(about(3, ""), 1), Admission::Uncovered);
    // What the application has asked for stays, covered or not.
    assert_eq!(catalogue.list(about(4, "gui"), because(Interest::Used)).outcome, Admission::New);
    assert_eq!(*catalogue.coverage(), Coverage::of(["http", "tls"]));
    // The package has left the subject.
    let moved = Listing { keywords: Some("gui".into()), ..listing_of(1, 1, 2) };
    let inserted = catalogue.list(moved, heard_from(1));
    assert_eq!(
        inserted,
        Insertion { outcome: Admission::Uncovered, gone: vec![(name(1), peer(1))] }
    );
    assert_eq!(catalogue.len(), 1);
}

#[test]
fn a_withdrawal_is_covered_as_its_package_was() {
    let web = Coverage::of(["http"]);
    let mut catalogue = Catalogue::new(ROOMY, web.clone());
    catalogue.hear(about(1, "http"), 1);
    assert_eq!(catalogue.hear(tombstone_of(1, 1, 2), 1), Admission::Replaced);
    assert_eq!(catalogue.hear(tombstone_of(2, 2, 2), 1), Admission::Uncovered, "never listed");
    assert_eq!(catalogue.items(&web, UNIX).count(), 1, "and it is told to those who cover it");
    // A withdrawal that is signed anew is still of that package.
    assert_eq!(catalogue.hear(tombstone_of(1, 1, 3), 1), Admission::Replaced);
    assert_eq!(catalogue.items(&web, UNIX).count(), 1);

    let mut everything = roomy();
    assert_eq!(everything.hear(tombstone_of(2, 2, 2), 1), Admission::New);
    assert_eq!(everything.items(&Coverage::All, UNIX).count(), 1);
    assert_eq!(everything.items(&web, UNIX).count(), 0, "nobody has told what it was");
}

#[test]
fn a_slice_is_what_both_nodes_cover() {
    let mut catalogue = roomy();
    for listing in [about(1, "http\nweb"), about(2, "tls"), about(3, "gui")] {
        catalogue.hear(listing, 1);
    }
    for (slice, count) in [
        (Coverage::All, 3),
        (Coverage::of(["http", "tls"]), 2),
        (Coverage::of(["web"]), 1),
        (Coverage::None, 0),
    ] {
        assert_eq!(catalogue.items(&slice, UNIX).count(), count, "{slice:?}");
    }
}

#[test]
fn a_light_client_lists_what_its_application_uses_and_nothing_else() {
    let mut catalogue = Catalogue::new(Load { packages: 8, bytes: 1 << 20 }, Coverage::None);
    assert_eq!(catalogue.hear(listing(0), 1), Admission::Uncovered);
    for number in 1..=7 {
        let inserted = catalogue.list(listing(number), because(Interest::Used));
        assert_eq!(inserted.outcome, Admission::New);
        // Three quarters of the room; there is nothing for the others to fall back among.
        let gone = number.checked_sub(6).filter(|number| *number > 0);
        let gone: Vec<_> = gone.map(|number| (name(number), peer(number))).into_iter().collect();
        assert_eq!(inserted.gone, gone, "{number}");
    }
    catalogue.check();
}

#[test]
fn the_application_is_told_of_a_head_once() {
    let mut catalogue = roomy();
    let is_told = |catalogue: &Catalogue| catalogue.get(&name(1), &peer(1), UNIX).unwrap().is_told;
    catalogue.hear(listing(1), 1);
    assert!(!is_told(&catalogue));
    catalogue.tell(&name(1), &peer(1));
    catalogue.hear(listing(1), 2);
    assert!(is_told(&catalogue));
    catalogue.hear(listing_of(1, 1, 2), 1);
    assert!(!is_told(&catalogue), "that is another head");
}
