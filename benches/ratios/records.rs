//! Records, decoded and verified, beside the bare verification of one Ed25519 signature over as many bytes: a key
//! from its 32 bytes, and the signature with it, as libp2p does both.

use std::{hint::black_box, ops::Range, time::Instant};

use peerage::{
    Artifact, Dependency, Digest, Manifest,
    identity::{Keypair, ed25519},
    record::{
        Head, MAX_RECORD_BYTES, NetworkName, Record, RecordKey, ReleaseEntry, Revision, Signed,
        Validity, Verifier,
    },
    semver::Version,
};

use crate::{
    dispatch::Outcome,
    report::{Each, Report, Target},
};

const ROUNDS: usize = 101;
/// Different heads, each of which is verified once in a round.
const HEADS: usize = 128;
/// The time of all verification, in Unix seconds.
const NOW: u64 = 1_800_000_000;

/// Where an envelope has its signer's key, and how long the signature at its end is.
const SIGNER: Range<usize> = 2..34;
const SIGNATURE: usize = 64;
/// How often an announcement arrives.
const ARRIVALS: usize = 8;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let names = [
        "verify/head",
        "verify/head-of-known-owner",
        "verify/malformed",
        "verify/oversized",
        "verify/other-key",
        "verify/other-signer",
        "verify/gossip-eight-times",
    ];
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let [whole, known, malformed, oversized, other_key, other_signer, gossip] = names;
    let owner = Keypair::ed25519_from_bytes([1; 32])?;
    // One that a node has met before, and others that it has not.
    let met = Signed::sign(&owner, head(&owner)?)?;
    let heads = heads(&owner)?;
    let (network, key) = (NetworkName::default(), met.key());
    let bare: Vec<Bare> =
        heads.iter().map(|head| Bare::of(&owner, head.bytes())).collect::<Outcome<_>>()?;
    let bare = || each(&bare, Bare::verify);
    let verify = |key: &RecordKey, bytes: &[u8]| {
        Record::verify(&network, key, black_box(bytes), NOW, ()).map(|_| ())
    };
    let ours = || each(&heads, |head| assert_eq!(verify(&key, head.bytes()), Ok(())));
    report.row(whole, Target::AtMost(1.2), ROUNDS, ours, bare);
    // As a node does it, which has heard of the owner before.
    let ours = || {
        let mut verifier = Verifier::default();
        assert!(verifier.verify(&network, &key, met.bytes(), NOW, ()).is_ok());
        each(&heads, |head| {
            assert!(verifier.verify(&network, &key, black_box(head.bytes()), NOW, ()).is_ok());
        })
    };
    report.row(known, Target::AtMost(1.2), ROUNDS, ours, bare);

    let refused = |name: &str, most: f64, key: &RecordKey, spoil: &dyn Fn(&mut Vec<u8>)| {
        let spoilt = |head: &Signed<Head>| {
            let mut bytes = head.bytes().to_vec();
            spoil(&mut bytes);
            bytes
        };
        let spoilt: Vec<Vec<u8>> = heads.iter().map(spoilt).collect();
        let ours = || each(&spoilt, |bytes| assert!(verify(key, bytes).is_err()));
        report.row(name, Target::AtMost(most), ROUNDS, ours, bare);
    };
    // The last number of the body, the length of an empty `ext`, takes a byte more than it needs: nothing is wrong
    // before it.
    refused(malformed, 0.05, &key, &|bytes| {
        let last = bytes.len() - SIGNATURE - 1;
        bytes.splice(last..=last, [0x80, 0x00]);
    });
    refused(oversized, 0.05, &key, &|bytes| bytes.extend([0; MAX_RECORD_BYTES]));
    let elsewhere = RecordKey::claims(&network, &met.name);
    refused(other_key, 0.15, &elsewhere, &|_| ());
    let thief = Keypair::ed25519_from_bytes([2; 32])?.try_into_ed25519()?.public().to_bytes();
    refused(other_signer, 0.15, &key, &|bytes| {
        bytes.splice(SIGNER, thief);
    });

    // In each round by another verifier, which has not heard of them.
    let arriving = |times: usize| {
        let mut verifier = Verifier::default();
        each(&heads, |head| {
            for _ in 0..times {
                let bytes = black_box(head.bytes());
                assert!(verifier.verify_announcement(&network, bytes, NOW, ()).is_ok());
            }
        })
    };
    report.row(gossip, Target::AtMost(1.2), ROUNDS, || arriving(ARRIVALS), || arriving(1));
    Ok(())
}

/// Many of them, so that neither side comes to know one signature by heart: processors learn the way of a verification
/// that they repeat.
fn heads(owner: &Keypair) -> Outcome<Vec<Signed<Head>>> {
    (0..HEADS as u64)
        .map(|sequence| {
            let mut head = head(owner)?;
            head.revision.sequence += 1 + sequence;
            Ok(Signed::sign(owner, head)?)
        })
        .collect()
}

/// A head as a package of some age has it: twelve releases, and a manifest in which nothing is left out.
fn head(owner: &Keypair) -> Outcome<Head> {
    let mut manifest = Manifest::new("tiny-http".parse()?, Version::new(1, 11, 0))
        .with_description(
            "A small HTTP server, without a runtime. It speaks HTTP/1.1, keeps connections alive, \
            and hands each request to a closure; what it does not do, it leaves to others.",
        )
        .with_license("MIT OR Apache-2.0")
        .with_authors(["Ada <ada@example.org>", "Grace <grace@example.org>"])
        .with_keywords(["http", "server", "web"])
        .with_homepage("https://example.org/tiny-http")
        .with_repository("https://git.example.org/tiny-http")
        .with_artifact(Artifact::of("tiny-http-1.11.0.tar.gz", b"tiny", "application/gzip"))
        .with_artifact(Artifact::of("tiny-http-1.11.0.zip", b"tiny", "application/zip"));
    for (name, requirement) in
        [("log", "^0.4"), ("httparse", "^1.8"), ("chunked", ">=0.2, <0.4"), ("dates", "^1.0.3")]
    {
        manifest = manifest.with_dependency(Dependency::new(name.parse()?, requirement.parse()?));
    }
    let releases = (0..12).rev().map(|minor| {
        let version = Version::new(1, minor, 0);
        ReleaseEntry { digest: Digest::of(version.to_string()), version, yanked: minor == 3 }
    });
    let (network, id) = (NetworkName::default(), owner.public().to_peer_id());
    let validity = Validity::starting(NOW - 60, 48 * 3600);
    Ok(Head::live(network, id, Revision::new(0, 17), validity, manifest, releases.collect(), None))
}

/// A signature, and what is needed to verify it.
struct Bare {
    key: [u8; 32],
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Bare {
    fn of(keypair: &Keypair, message: &[u8]) -> Outcome<Self> {
        let signature = keypair.sign(message)?;
        let key = keypair.clone().try_into_ed25519()?.public().to_bytes();
        Ok(Self { key, message: message.to_vec(), signature })
    }

    fn verify(&self) {
        let key = ed25519::PublicKey::try_from_bytes(black_box(&self.key));
        assert!(key.is_ok_and(|key| key.verify(black_box(&self.message), &self.signature)));
    }
}

fn each<T>(subjects: &[T], work: impl FnMut(&T)) -> Each {
    let start = Instant::now();
    subjects.iter().for_each(work);
    Each { total: start.elapsed(), operations: subjects.len() as u64 }
}
