//! What the network may hold.

use std::sync::LazyLock;

use super::*;
use crate::record::{Record, RecordKey};

/// Packages of others, each with two heads, the second newer.
pub(super) static WORLD: LazyLock<Vec<(PackageId, [Signed<Head>; 2])>> = LazyLock::new(|| {
    (0..6)
        .map(|n| {
            let keypair = keypair(0x10, n);
            let (name, sequence) = (format!("package-{}", n % 3), 1 + n);
            let (id, old) = published_by(&keypair, &name, sequence);
            (id, [old, published_by(&keypair, &name, sequence + 1).1])
        })
        .collect()
});

/// Key pairs that are the same in every run, so that a seed or an input is all that is needed to see a failure again.
fn keypair(family: u8, number: u64) -> Keypair {
    let mut secret = [family; 32];
    secret[..8].copy_from_slice(&number.to_le_bytes());
    Keypair::ed25519_from_bytes(secret).unwrap()
}

/// Everything that the network may hold of a package: heads of which the last withdraws it, a release that is not the
/// newest, and its claim.
pub(super) struct Holding {
    pub(super) keypair: Keypair,
    pub(super) records: Vec<(RecordKey, Vec<u8>)>,
}

fn holding(keypair: Keypair, name: &str) -> Holding {
    let records = records(&keypair, name);
    Holding { keypair, records }
}

fn records(keypair: &Keypair, name: &str) -> Vec<(RecordKey, Vec<u8>)> {
    let network = crate::record::NetworkName::default();
    let owner = keypair.public().to_peer_id();
    let releases: Vec<_> = ["1.0.0", "0.9.0"]
        .map(|version| {
            let manifest = Manifest::new(name.parse().unwrap(), version.parse().unwrap());
            Signed::sign(keypair, Release::new(network.clone(), owner, manifest)).unwrap()
        })
        .into();
    let mut records: Vec<_> =
        releases.iter().map(|release| (release.key(), release.bytes().to_vec())).collect();
    for sequence in 1..5 {
        let validity = Validity::starting(UNIX - 60, 3600);
        let revision = Revision::new(0, sequence);
        let head = if sequence == 4 {
            let name = name.parse().unwrap();
            Head::withdrawn(network.clone(), owner, name, revision, validity, "gone")
        } else {
            let entries = releases.iter().map(ReleaseEntry::of).collect();
            let manifest = releases[0].manifest.clone();
            Head::live(network.clone(), owner, revision, validity, manifest, entries, None)
        };
        let head = Signed::sign(keypair, head).unwrap();
        let name = head.name.clone();
        let status = if sequence == 4 { ClaimStatus::Withdrawn } else { ClaimStatus::Active };
        let claim = Claim::new(network.clone(), owner, name.clone(), revision, validity, status);
        let set = ClaimSet::empty(network.clone(), name)
            .with(Signed::sign(keypair, claim).unwrap(), UNIX);
        records.push((set.key(), set.to_bytes()));
        records.push((head.key(), head.bytes().to_vec()));
    }
    records
}

/// Two owners of each of three names.
pub(super) static HOLDINGS: LazyLock<Vec<Holding>> = LazyLock::new(|| {
    (0..6).map(|n| holding(keypair(0x20, n), &format!("held-{}", n % 3))).collect()
});

/// Heads of others: one of so many, from one of them on, or all of them from the first on.
pub(super) fn heads_of(part: usize) -> impl Iterator<Item = &'static Signed<Head>> {
    static HEADS: LazyLock<Vec<Signed<Head>>> = LazyLock::new(|| {
        let network = crate::record::NetworkName::default();
        let held =
            HOLDINGS.iter().flat_map(|holding| &holding.records).filter_map(|(key, bytes)| {
                match Record::verify(&network, key, bytes, UNIX, ()) {
                    Ok(Record::Head(head)) => Some(head),
                    _ => None,
                }
            });
        WORLD.iter().flat_map(|(_, heads)| heads.clone()).chain(held).collect()
    });
    HEADS.iter().skip(part).step_by(part.max(1))
}

/// Who the node may be, each with what the network holds of its own packages.
pub(super) static IDENTITIES: LazyLock<Vec<Holding>> = LazyLock::new(|| {
    (0..16)
        .map(|n| {
            let keypair = keypair(0x30, n);
            let own = |n| records(&keypair, &format!("own-{n}"));
            let records = (0..3).flat_map(own).collect();
            Holding { keypair, records }
        })
        .collect()
});
