//! When a contradiction of an owner's no longer stands.

use super::*;
use crate::{
    package::Digest,
    record::{Notes, PageLink, ReleaseNote, latest},
};

/// A head that lists these releases, each of which is yanked or is not.
fn head(
    keypair: &Keypair,
    sequence: u64,
    releases: &[(&str, bool)],
    older: Option<PageLink>,
) -> Signed<Head> {
    noted(keypair, sequence, releases, older, &[])
}

/// As [`head`], with notes on these releases: since which sequence they have been yanked, or have not been.
pub(super) fn noted(
    keypair: &Keypair,
    sequence: u64,
    releases: &[(&str, bool)],
    older: Option<PageLink>,
    notes: &[(&str, u64)],
) -> Signed<Head> {
    let (network, owner) = (NetworkName::default(), keypair.public().to_peer_id());
    let manifest =
        |version: &semver::Version| Manifest::new("tool".parse().unwrap(), version.clone());
    let entry = |(version, yanked): &(&str, bool)| {
        let release = Release::new(network.clone(), owner, manifest(&version.parse().unwrap()));
        let release = Signed::sign(keypair, release).unwrap();
        ReleaseEntry { yanked: *yanked, ..ReleaseEntry::of(&release) }
    };
    let entries: Vec<_> = releases.iter().map(entry).collect();
    let newest = manifest(&latest(&entries).unwrap().version);
    let (revision, validity) = (Revision::new(0, sequence), Validity::starting(UNIX - 60, 3600));
    let mut head = Head::live(network.clone(), owner, revision, validity, newest, entries, older);
    let note = |(version, sequence): &(&str, u64)| ReleaseNote {
        version: version.parse().unwrap(),
        changed: Revision::new(0, *sequence),
        reason: String::new(),
    };
    let releases = notes.iter().map(note).collect();
    head.ext = Notes { deprecation: None, releases }.to_ext().unwrap();
    Signed::sign(keypair, head).unwrap()
}

/// Hears a head, and tells how many contradictions stand.
fn standing(lab: &mut Lab, head: &Signed<Head>) -> usize {
    assert_eq!(lab.hears(head), Verdict::Accept);
    lab.engine.standing.equivocations().list().len()
}

#[test]
fn who_yanks_a_release_to_some_and_not_to_others_has_to_yank_it_to_all() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    let plain = [("1.1.0", false), ("1.0.0", false)];
    let yanked = [("1.1.0", false), ("1.0.0", true)];
    assert_eq!(standing(&mut lab, &head(&key, 5, &plain, None)), 0);
    assert_eq!(standing(&mut lab, &head(&key, 5, &yanked, None)), 1);
    assert_eq!(standing(&mut lab, &head(&key, 6, &plain, None)), 1, "some were told otherwise");
    assert_eq!(standing(&mut lab, &head(&key, 7, &yanked, None)), 0);
}

/// One device takes a yank back in the second in which another one publishes.
#[test]
fn a_yank_that_one_of_the_two_takes_back_is_settled_by_a_later_head_that_says_so() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    let back = noted(&key, 5, &[("1.0.0", false)], None, &[("1.0.0", 5)]);
    let register = noted(&key, 5, &[("1.1.0", false), ("1.0.0", true)], None, &[("1.0.0", 4)]);
    assert_eq!(standing(&mut lab, &back), 0);
    assert_eq!(standing(&mut lab, &register), 1);
    let both = [("1.1.0", false), ("1.0.0", false)];
    let before = noted(&key, 6, &both, None, &[("1.0.0", 4)]);
    assert_eq!(standing(&mut lab, &before), 1, "it was said before the two were signed");
    assert_eq!(standing(&mut lab, &noted(&key, 7, &both, None, &[("1.0.0", 5)])), 0);
}

#[test]
fn two_lists_that_go_on_differently_are_not_answered_by_a_head_that_repeats_their_beginning() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    let list = [("1.1.0", false)];
    let page = |byte| Some(PageLink { digest: Digest::from_bytes([byte; 32]), count: 40 });
    assert_eq!(standing(&mut lab, &head(&key, 5, &list, page(1))), 0);
    assert_eq!(standing(&mut lab, &head(&key, 5, &list, page(2))), 1);
    assert_eq!(standing(&mut lab, &head(&key, 6, &list, page(2))), 1);
    assert_eq!(standing(&mut lab, &head(&key, 7, &list, page(1))), 1);
}

#[test]
fn two_lists_that_go_on_on_one_page_are_answered_by_a_head_with_both_beginnings() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    let page = Some(PageLink { digest: Digest::from_bytes([1; 32]), count: 40 });
    assert_eq!(standing(&mut lab, &head(&key, 5, &[("1.1.0", false)], page)), 0);
    assert_eq!(standing(&mut lab, &head(&key, 5, &[("1.2.0", false)], page)), 1);
    let both = [("1.2.0", false), ("1.1.0", false)];
    assert_eq!(standing(&mut lab, &head(&key, 6, &both, page)), 0);
}
