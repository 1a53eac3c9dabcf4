//! The packages in the index, each under a number, and what is compared when a search has found them.

use std::mem;

use libp2p::PeerId;
use semver::{BuildMetadata, Prerelease, Version, VersionReq};

use super::terms::TermId;
use crate::package::{PackageName, owner_from_key, owner_key};

/// A package.
#[derive(Debug)]
pub(super) struct Doc {
    pub(super) name: PackageName,
    owner: [u8; 32],
    /// Unix seconds at which its newest head was issued.
    pub(super) issued: u64,
    /// The words that it has, by number, and the versions of its releases: as bytes, since they are seldom read.
    terms: Box<[u8]>,
    versions: Box<[u8]>,
}

impl Doc {
    /// `None` where the owner's key is of a kind that owns nothing.
    pub(super) fn new<'a>(
        name: PackageName,
        owner: &PeerId,
        issued: u64,
        terms: impl Iterator<Item = TermId>,
        versions: impl IntoIterator<Item = &'a Version>,
    ) -> Option<Self> {
        let owner = owner_key(owner)?;
        let mut packed = Vec::new();
        for version in versions {
            for number in [version.major, version.minor, version.patch] {
                put(&mut packed, number);
            }
            put(&mut packed, version.pre.len() as u64);
            packed.extend_from_slice(version.pre.as_bytes());
        }
        Some(Self { name, owner, issued, terms: ascending(terms), versions: packed.into() })
    }

    pub(super) fn owner(&self) -> Option<PeerId> {
        owner_from_key(&self.owner)
    }

    pub(super) fn owner_key(&self) -> &[u8; 32] {
        &self.owner
    }

    /// What makes the order of search results total.
    pub(super) fn place(&self) -> (&str, &[u8; 32]) {
        (self.name.as_str(), &self.owner)
    }

    /// The words that it has, in ascending order of their numbers.
    pub(super) fn terms(&self) -> impl Iterator<Item = TermId> + '_ {
        let (mut rest, mut last) = (&*self.terms, 0);
        std::iter::from_fn(move || {
            last += take(&mut rest)? as TermId;
            Some(last)
        })
    }

    /// Whether some release is of such a version.
    pub(super) fn satisfies(&self, requirement: &VersionReq) -> bool {
        let mut rest = &*self.versions;
        while let Some(version) = take_version(&mut rest) {
            if requirement.matches(&version) {
                return true;
            }
        }
        false
    }

    /// The bytes that it takes beside itself. Of the name the text, though it may be shared with others.
    pub(super) fn heap(&self) -> usize {
        self.terms.len()
            + self.versions.len()
            + self.name.as_str().len()
            + 2 * mem::size_of::<usize>()
    }
}

fn take_version(rest: &mut &[u8]) -> Option<Version> {
    let (major, minor, patch) = (take(rest)?, take(rest)?, take(rest)?);
    let length = take(rest)? as usize;
    let (pre, after) = rest.split_at_checked(length)?;
    let pre = Prerelease::new(std::str::from_utf8(pre).ok()?).ok()?;
    *rest = after;
    // Requirements do not look at what was built.
    Some(Version { major, minor, patch, pre, build: BuildMetadata::EMPTY })
}

fn ascending(numbers: impl Iterator<Item = TermId>) -> Box<[u8]> {
    let (mut packed, mut last) = (Vec::new(), 0);
    for number in numbers {
        put(&mut packed, u64::from(number - last));
        last = number;
    }
    packed.into()
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            terms in proptest::collection::btree_set(any::<u32>(), 0..40),
            versions in proptest::collection::vec((any::<[u64; 3]>(), "|[a-z]{1,9}(\\.[0-9])?"), 0..9),
        ) {
            let owner = Keypair::ed25519_from_bytes([1; 32]).unwrap().public().to_peer_id();
            let versions: Vec<Version> = versions
                .into_iter()
                .map(|([major, minor, patch], pre)| Version {
                    pre: pre.parse().unwrap(),
                    ..Version::new(major, minor, patch)
                })
                .collect();
            let name: PackageName = "name".parse().unwrap();
            let doc =
                Doc::new(name, &owner, 7, terms.iter().copied(), &versions).unwrap();
            prop_assert_eq!(doc.terms().collect::<Vec<_>>(), terms.into_iter().collect::<Vec<_>>());
            let (mut rest, mut found) = (&*doc.versions, Vec::new());
            while let Some(version) = take_version(&mut rest) {
                found.push(version);
            }
            prop_assert_eq!(&found, &versions);
            prop_assert_eq!(doc.owner(), Some(owner));
            for version in &versions {
                let exactly = format!("={version}").parse().unwrap();
                prop_assert!(doc.satisfies(&exactly));
            }
        }
    }
}
