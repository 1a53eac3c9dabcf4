//! Long histories of yanks and their ends, by several signers who read what peers have kept that slept.

use std::collections::BTreeMap;

use semver::Version;

use super::{sleepers::publisher_of, *};
use crate::{
    engine::{
        own::{Change, Confidence, OwnPackage, Recalled, apply},
        seeded::Random,
        signer::Signer,
    },
    error::Error,
    package::Deprecation,
};

const HISTORIES: u64 = 12;
const RELEASES: usize = 60;
const CHANGES: usize = 240;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// What was said last of a package.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    yanked: BTreeMap<Version, bool>,
    deprecated: Option<String>,
}

impl Said {
    fn by(package: &OwnPackage) -> Self {
        let releases = package.clone().recalled().releases.into_iter();
        let yanked = releases.map(|entry| (entry.version, entry.yanked)).collect();
        let deprecated = package.head.notes().deprecation().map(|said| said.text.clone());
        Self { yanked, deprecated }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Register(manifest) => {
                self.yanked.insert(manifest.version.clone(), false);
            }
            Change::Yank { version, .. } => {
                self.yanked.insert(version.clone(), true);
            }
            Change::Unyank { version, .. } => {
                self.yanked.insert(version.clone(), false);
            }
            Change::Deprecate { deprecation, .. } => {
                self.deprecated = deprecation.as_ref().map(|said| said.text.clone());
            }
            Change::Unregister { .. } | Change::Renew { .. } | Change::Merge { .. } => {}
        }
    }
}

fn change(random: &mut Random, number: usize) -> Change {
    let name: crate::package::PackageName = "tool".parse().unwrap();
    let version = |n: usize| format!("1.{n}.0").parse().unwrap();
    if number < RELEASES {
        return Change::Register(Box::new(Manifest::new(name, version(number))));
    }
    // All have been yanked once, so that there is something to take back of each.
    if number < 2 * RELEASES {
        return Change::Yank { name, version: version(number - RELEASES), reason: String::new() };
    }
    let version = version(random.below(RELEASES));
    match random.below(8) {
        0 => Change::Yank { name, version, reason: String::new() },
        1 => Change::Yank { name, version, reason: "leaks memory".to_owned() },
        2..=5 => Change::Unyank { name, version },
        6 => {
            let texts = [None, Some("old"), Some("unmaintained, and will not be repaired")];
            let text = *random.of(&texts);
            let deprecation = text.map(|text| Box::new(Deprecation::new(text)));
            Change::Deprecate { name, deprecation }
        }
        _ => Change::Renew { name },
    }
}

/// How many changes were refused for want of room.
fn history(seed: u64) -> usize {
    let mut random = Random(seed ^ 0xbacc);
    let byte = u8::try_from(seed + 1).unwrap();
    let owner = Keypair::ed25519_from_bytes([byte; 32]).unwrap();
    let publisher = publisher_of(&owner, byte + 128);
    let signers = [Identity::new(owner, Authority::Owner { epoch: 0 }), publisher];
    let (network, mut unix) = (NetworkName::default(), UNIX);
    let (mut own, mut past): (Option<OwnPackage>, Vec<OwnPackage>) = (None, Vec::new());
    let (mut said, mut refused) = (Said::default(), 0);
    for number in 0..RELEASES + CHANGES {
        let change = change(&mut random, number);
        unix += *random.of(&[1, 1, 60, 1200, 12 * HOUR]);
        let Identity { keypair, authority } = random.of(&signers);
        let ttl = *random.of(&[HOUR, 2 * DAY, 30 * DAY]);
        let (network, clock) = (&network, None);
        let signer = Signer { keypair, authority, network, unix, ttl, floor: 0, clock };
        // It has forgotten what it has signed, or not; and peers still serve what was there before.
        let seen = own.as_ref().map(|own| own.head.rank()).unwrap_or_default();
        let forgets = random.below(4) == 0;
        let (mine, mut recalled): (Option<&OwnPackage>, Vec<Recalled>) = match &own {
            Some(own) if forgets => (None, vec![own.clone().recalled()]),
            own => (own.as_ref(), Vec::new()),
        };
        past.retain(|past| !past.head.validity.is_expired(unix));
        for _ in 0..random.below(3).min(past.len()) {
            recalled.push(random.of(&past).clone().recalled());
        }
        let standing = Confidence::Confirmed { replicas: 1 };
        let context = format!("history {seed}, change {number}: {change:?}");
        match apply(mine, &recalled, &change, standing, seen, &signer) {
            Ok(changed) => {
                said.change(&change);
                assert_eq!(Said::by(&changed.package), said, "{context}");
                past.push(changed.package.clone());
                own = Some(changed.package);
            }
            Err(Error::Invalid { field, .. }) => {
                assert!(
                    ["unyank", "reason", "deprecation"].contains(&&*field),
                    "{context}: {field}"
                );
                refused += 1;
            }
            Err(error) => panic!("{context}: {error}"),
        }
    }
    refused
}

#[test]
fn what_was_said_last_stays_so_whoever_signs_and_whatever_sleepers_serve() {
    let refused: usize = (0..HISTORIES).map(history).sum();
    assert!(refused > 0, "the notes of some head are full");
}
