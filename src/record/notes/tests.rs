use libp2p::{PeerId, identity::Keypair};
use proptest::prelude::*;

use super::*;
use crate::{
    package::Manifest,
    record::{Head, MAX_EXT_BYTES, NetworkName, ReleaseEntry, Signed, Validity},
};

const NOW: u64 = 1_800_000_000;

fn keypair() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).unwrap()
}

fn owner() -> PeerId {
    keypair().public().to_peer_id()
}

fn note(version: &str, sequence: u64, reason: &str) -> ReleaseNote {
    let (version, changed) = (version.parse().unwrap(), Revision::new(0, sequence));
    ReleaseNote { version, changed, reason: reason.to_owned() }
}

fn deprecated(deprecation: Option<Deprecation>) -> Option<DeprecationNote> {
    Some(DeprecationNote { changed: Revision::new(0, NOW), deprecation })
}

fn notes() -> Notes {
    let deprecation = Deprecation::new("unmaintained: use the other")
        .with_successor(owner(), "other".parse().unwrap());
    let releases = vec![note("1.1.0", NOW - 5, ""), note("1.0.0", NOW - 9, "leaks memory")];
    Notes { deprecation: deprecated(Some(deprecation)), releases }
}

/// The longest that there can be.
fn longest(seed: u64) -> Notes {
    let name = format!("{seed:0>64}").parse().unwrap();
    let deprecation = Deprecation::new("t".repeat(140)).with_successor(owner(), name);
    let changed = Revision::new(u32::MAX, u64::MAX);
    let version = format!("1.0.{seed}-{}", "a".repeat(100)).parse().unwrap();
    let release = ReleaseNote { version, changed, reason: "r".repeat(100) };
    let deprecation = Some(DeprecationNote { changed, deprecation: Some(deprecation) });
    Notes { deprecation, releases: vec![release] }
}

/// A live head that carries this.
fn head(ext: Vec<u8>) -> Signed<Head> {
    let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
    let entry = ReleaseEntry {
        version: manifest.version.clone(),
        digest: crate::package::Digest::of("1.0.0"),
        yanked: true,
    };
    let (network, validity) = (NetworkName::default(), Validity::starting(NOW, 3600));
    let mut head =
        Head::live(network, owner(), Revision::new(0, NOW), validity, manifest, vec![entry], None);
    head.ext = ext;
    Signed::sign(&keypair(), head).unwrap()
}

fn read(head: &Signed<Head>) -> Notes {
    let network = NetworkName::default();
    let read = Signed::<Head>::verify_announcement(&network, head.bytes(), NOW, ()).unwrap();
    read.notes()
}

#[test]
fn what_an_owner_says_reaches_whoever_reads_the_head() {
    let notes = notes();
    assert_eq!(read(&head(notes.to_ext().unwrap())), notes);
    assert_eq!(notes.reason(&"1.0.0".parse().unwrap()), Some("leaks memory"));
    assert_eq!(notes.reason(&"1.1.0".parse().unwrap()), None);
    let taken_back = Notes { deprecation: deprecated(None), ..Notes::default() };
    let back = read(&head(taken_back.to_ext().unwrap()));
    assert_eq!((back.deprecation(), &back), (None, &taken_back));
    assert_eq!(Notes::default().to_ext().unwrap(), [0; 0], "nothing takes no room");
}

/// Of a later version, or broken: others believe the head, and so does whoever cannot read the notes.
#[test]
fn notes_that_cannot_be_read_are_none_and_no_reason_to_refuse_the_head() {
    let whole = notes().to_ext().unwrap();
    let cut = whole[..whole.len() - 1].to_vec();
    let later = [&whole[..], b"more"].concat();
    let unprintable = Notes { releases: vec![note("1.0.0", 1, "a\nb")], ..Notes::default() };
    let unprintable =
        [&[TAG], &*codec::encode(&NotesWire::of(&unprintable).unwrap()).unwrap()].concat();
    assert!(Notes { releases: vec![note("1.0.0", 1, "a\nb")], ..notes() }.to_ext().is_err());
    for (ext, expected) in [
        (cut, Notes::default()),
        (unprintable, Notes::default()),
        (b"later".to_vec(), Notes::default()),
        (vec![TAG; 512], Notes::default()),
        (vec![TAG], Notes::default()),
        (later, notes()),
    ] {
        assert_eq!(read(&head(ext)), expected);
    }
}

#[test]
fn the_last_word_fits_into_every_head() {
    let mut all = longest(0);
    for seed in 1..9 {
        all.releases.extend(
            longest(seed).releases.into_iter().map(|note| ReleaseNote {
                changed: Revision::new(u32::MAX, u64::MAX - seed),
                ..note
            }),
        );
    }
    let without_reasons = |mut notes: Notes| {
        notes.releases.iter_mut().for_each(|note| note.reason.clear());
        notes
    };
    let fitted = without_reasons(all.clone()).fitted(NOW, |_| false);
    assert_eq!(fitted, without_reasons(longest(0)));
    assert!(fitted.to_ext().unwrap().len() <= Notes::MAX_BYTES);
    let shorter = Notes { deprecation: None, ..all };
    assert_eq!(shorter.fitted(NOW, |_| true).releases, longest(0).releases);
    let short: Vec<_> = (0..50).map(|n| note(&format!("1.{n}.0"), 50 - n, "")).collect();
    let fitted = Notes { releases: short, ..Notes::default() }.fitted(50, |_| false);
    assert_eq!(fitted.releases.len(), Notes::MAX_RELEASES);
    assert!(fitted.releases.is_sorted_by(|a, b| a.version > b.version));
    assert_eq!(fitted.releases.last().unwrap().version.minor, 0, "said last");
}

#[test]
fn yanks_give_way_to_those_that_were_taken_back_whenever_that_was() {
    let back = |version: &Version| version.minor >= 40;
    let releases: Vec<_> = (0..60)
        .map(|n| note(&format!("1.{n}.0"), NOW - n, if n % 2 == 0 { "leaks" } else { "" }))
        .map(|said| ReleaseNote {
            reason: if back(&said.version) { String::new() } else { said.reason },
            ..said
        })
        .collect();
    let fitted = Notes { releases, ..Notes::default() }.fitted(NOW, |version| !back(version));
    let (taken_back, yanked): (Vec<_>, Vec<_>) =
        fitted.releases.iter().partition(|note| back(&note.version));
    assert_eq!(taken_back.len(), 20, "{fitted:?}");
    // Of the yanks, those with a reason stay, and of these the last.
    assert!(!yanked.is_empty());
    let yanked = yanked.iter().rev().map(|note| note.version.minor);
    assert!(yanked.eq((0..).step_by(2).take(fitted.releases.len() - 20)));
}

#[test]
fn what_was_taken_back_is_forgotten_once_no_head_says_otherwise_any_more() {
    let long_ago = NOW - MAX_LIFETIME_SECS - 1;
    let (back, until) = (deprecated(None), NOW + MAX_LIFETIME_SECS);
    let releases = vec![note("1.1.0", long_ago, ""), note("1.0.0", long_ago, "leaks memory")];
    let notes = Notes { deprecation: back.clone(), releases: releases.clone() };
    // A yank keeps its date: without it, any later head would seem to have said it last.
    assert_eq!(notes.clone().fitted(NOW, |_| true), notes);
    let kept = vec![note("1.0.0", long_ago, "leaks memory")];
    let fitted = notes.clone().fitted(NOW, |version| version.minor == 0);
    assert_eq!(fitted, Notes { deprecation: back, releases: kept });
    assert_eq!(notes.fitted(until + 1, |_| true), Notes { deprecation: None, releases });
}

#[test]
fn a_reason_for_what_was_taken_back_takes_no_room() {
    let reason = "r".repeat(Notes::MAX_REASON_BYTES);
    let planted = (0..4).map(|n| note(&format!("0.{n}.0"), NOW, &reason));
    let honest = (0..20).map(|n| note(&format!("1.{n}.0"), NOW - 1, ""));
    let releases = planted.chain(honest).collect();
    let fitted = Notes { releases, ..Notes::default() }.fitted(NOW, |_| false);
    assert_eq!(fitted.releases.len(), 24);
    assert!(fitted.releases.iter().all(|note| note.reason.is_empty()));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = TAG;
        }
        let notes = Notes::in_ext(&bytes);
        prop_assert_eq!(&Notes::in_ext(&notes.to_ext().unwrap()), &notes);
        prop_assert!(notes.fitted(NOW, |version| version.patch == 0).to_ext().unwrap().len() <= MAX_EXT_BYTES);
    }
}
