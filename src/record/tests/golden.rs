//! Records of format 1, byte for byte, as the first release wrote them.
//!
//! The files are kept forever: peers of any age exchange these bytes. A test that fails here has
//! changed the format, which takes a new format version, not new files.

use crate::{
    package::{Artifact, Dependency, Deprecation, Digest, Manifest, PackageName},
    record::{
        Claim, ClaimSet, ClaimStatus, Delegation, DeprecationNote, EquivocationProof, Head,
        Message, NetworkName, Notes, Page, PageLink, Record, RecordKey, Release, ReleaseEntry,
        ReleaseNote, Revision, Signed, Validity,
    },
};
use data_encoding::HEXLOWER;
use libp2p::{PeerId, identity::Keypair};
use semver::Version;

const NOW: u64 = 1_800_000_000;

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn peer(seed: u8) -> PeerId {
    keypair(seed).public().to_peer_id()
}

fn network() -> NetworkName {
    "golden".parse().unwrap()
}

fn name() -> PackageName {
    "tiny-http".parse().unwrap()
}

fn validity() -> Validity {
    Validity::starting(NOW - 60, 7 * 24 * 60 * 60)
}

/// A manifest that has everything once.
fn manifest() -> Manifest {
    let log = Dependency::new("log".parse().unwrap(), ">=0.4, <2".parse().unwrap());
    Manifest::new(name(), "1.2.0-rc.1+build.5".parse().unwrap())
        .with_description("A small HTTP server.\n\nNo frills: \u{e9}.")
        .with_license("MIT OR Apache-2.0")
        .with_authors(["Ada <ada@example.org>", "Grace"])
        .with_keywords(["http", "server"])
        .with_homepage("https://example.org/tiny-http")
        .with_repository("git+ssh://git@example.org/tiny-http")
        .with_dependency(log.clone())
        .with_dependency(log.with_owner(peer(2)))
        .with_artifact(Artifact::of("tiny-http.tar.gz", b"tiny", "application/gzip"))
        .with_artifact(Artifact::new("big.bin", Digest::of("big"), u64::MAX, "application/x.big"))
}

fn release() -> Signed<Release> {
    let mut release = Release::new(network(), peer(1), manifest());
    release.ext = b"later".to_vec();
    Signed::sign(&keypair(1), release).unwrap()
}

fn page() -> Signed<Page> {
    let entry = |minor, yanked| {
        let version = Version::new(0, minor, 0);
        ReleaseEntry { digest: Digest::of(version.to_string()), version, yanked }
    };
    let older = Some(PageLink { digest: Digest::of("older"), count: 300 });
    let releases = vec![entry(9, false), entry(8, true)];
    Signed::sign(&keypair(1), Page::new(network(), peer(1), name(), releases, older)).unwrap()
}

fn head() -> Signed<Head> {
    let releases = vec![ReleaseEntry::of(&release())];
    let older = Some(PageLink { digest: page().digest(), count: 302 });
    let revision = Revision::new(1, 1 << 40);
    let head = Head::live(network(), peer(1), revision, validity(), manifest(), releases, older);
    Signed::sign(&keypair(1), head).unwrap()
}

/// A head whose owner has said something beside the list.
fn noted() -> Signed<Head> {
    let entry =
        |release: &Signed<Release>| ReleaseEntry { yanked: true, ..ReleaseEntry::of(release) };
    let releases = vec![entry(&release())];
    let revision = Revision::new(1, NOW);
    let mut head = Head::live(network(), peer(1), revision, validity(), manifest(), releases, None);
    let deprecation = Deprecation::new("renamed: see \u{e9}")
        .with_successor(peer(2), "tiny-httpd".parse().unwrap());
    let notes = Notes {
        deprecation: Some(DeprecationNote {
            changed: Revision::new(0, NOW - 60),
            deprecation: Some(deprecation),
        }),
        releases: vec![ReleaseNote {
            version: manifest().version,
            changed: revision,
            reason: "leaks memory".to_owned(),
        }],
    };
    head.ext = notes.to_ext().unwrap();
    Signed::sign(&keypair(1), head).unwrap()
}

/// What was said is taken back.
fn taken_back() -> Signed<Head> {
    let (revision, releases) = (Revision::new(1, NOW + 1), vec![ReleaseEntry::of(&release())]);
    let mut head = Head::live(network(), peer(1), revision, validity(), manifest(), releases, None);
    let reason = String::new();
    let notes = Notes {
        deprecation: Some(DeprecationNote { changed: revision, deprecation: None }),
        releases: vec![ReleaseNote { version: manifest().version, changed: revision, reason }],
    };
    head.ext = notes.to_ext().unwrap();
    Signed::sign(&keypair(1), head).unwrap()
}

fn withdrawn() -> Signed<Head> {
    let revision = Revision::new(300, 0);
    let head = Head::withdrawn(network(), peer(1), name(), revision, validity(), "renamed");
    Signed::sign(&keypair(1), head).unwrap()
}

fn claims() -> ClaimSet {
    let claim = |seed, status| {
        let revision = Revision::new(0, u64::from(seed));
        let claim = Claim::new(network(), peer(seed), name(), revision, validity(), status);
        Signed::sign(&keypair(seed), claim).unwrap()
    };
    ClaimSet::empty(network(), name())
        .with(claim(1, ClaimStatus::Active), NOW)
        .with(claim(2, ClaimStatus::Withdrawn), NOW)
        .with(claim(3, ClaimStatus::Active), NOW)
}

/// Claims to names that look alike, of which one owner has two.
fn look_alikes() -> ClaimSet {
    let claim = |seed, name: &str| {
        let (name, revision) = (name.parse().unwrap(), Revision::new(0, 1));
        let status = ClaimStatus::Active;
        let claim = Claim::new(network(), peer(seed), name, revision, validity(), status);
        Signed::sign(&keypair(seed), claim).unwrap()
    };
    ClaimSet::empty(network(), "tiny_http".parse().unwrap())
        .with(claim(1, "tiny_http"), NOW)
        .with(claim(1, "tiny-http"), NOW)
        .with(claim(2, "tiny._http"), NOW)
}

fn message() -> Signed<Message> {
    let message = Message::new(network(), peer(1), "chat/general", u64::MAX, NOW, "hello");
    Signed::sign(&keypair(1), message).unwrap()
}

fn delegation() -> Delegation {
    let quarter = Validity::starting(NOW - 3600, 90 * 24 * 60 * 60);
    Delegation::sign(&keypair(1), &network(), peer(4), 300, quarter).unwrap()
}

/// A head that a publisher has signed, which holds for so many days.
fn delegated(days: u64) -> Signed<Head> {
    let (revision, releases) = (Revision::new(300, 7), vec![ReleaseEntry::of(&release())]);
    let validity = Validity::starting(NOW - 60, days * 24 * 60 * 60);
    let mut head = Head::live(network(), peer(1), revision, validity, manifest(), releases, None);
    head.ext = delegation().to_ext();
    Signed::sign(&keypair(4), head).unwrap()
}

/// A head in which a publisher says something beside the list.
fn delegated_noted() -> Signed<Head> {
    let mut head = delegated(7).body().clone();
    let notes = Notes {
        deprecation: None,
        releases: vec![ReleaseNote {
            version: manifest().version,
            changed: Revision::new(300, 6),
            reason: String::new(),
        }],
    };
    head.ext.extend(notes.to_ext().unwrap());
    Signed::sign(&keypair(4), head).unwrap()
}

fn proof() -> EquivocationProof {
    EquivocationProof::new(&delegated(1), &delegated(2)).unwrap()
}

/// The key as text, and the record, as they are in a file.
fn golden(file: &str) -> (RecordKey, Vec<u8>) {
    let (key, hex) = file.split_once('\n').unwrap();
    let hex: String = hex.lines().collect();
    (key.parse().unwrap(), HEXLOWER.decode(hex.as_bytes()).unwrap())
}

/// What is written today is what is in the file, and what is in the file reads as it should.
fn check(file: &str, expected: &Record) {
    let (key, bytes) = golden(file);
    assert_eq!(expected.key(), key);
    assert_eq!(HEXLOWER.encode(&expected.to_bytes()), HEXLOWER.encode(&bytes));
    let read = Record::verify(&network(), &key, &bytes, NOW, ()).unwrap();
    assert_eq!(read, *expected);
}

#[test]
fn a_head_is_written_as_ever() {
    check(include_str!("../../../tests/golden/head.hex"), &Record::Head(head()));
    let (_, bytes) = golden(include_str!("../../../tests/golden/head.hex"));
    let read = Signed::<Head>::verify_announcement(&network(), &bytes, NOW, ()).unwrap();
    assert_eq!(read.body(), head().body());
}

#[test]
fn a_head_with_notes_is_written_as_ever() {
    check(include_str!("../../../tests/golden/noted_head.hex"), &Record::Head(noted()));
    let file = include_str!("../../../tests/golden/notes_taken_back.hex");
    check(file, &Record::Head(taken_back()));
    assert_eq!(noted().notes().reason(&manifest().version), Some("leaks memory"));
    assert_eq!(taken_back().notes().deprecation(), None);
}

#[test]
fn a_withdrawal_is_written_as_ever() {
    check(include_str!("../../../tests/golden/withdrawn.hex"), &Record::Head(withdrawn()));
}

#[test]
fn a_release_is_written_as_ever() {
    check(include_str!("../../../tests/golden/release.hex"), &Record::Release(release()));
}

#[test]
fn a_page_is_written_as_ever() {
    check(include_str!("../../../tests/golden/page.hex"), &Record::Page(page()));
}

#[test]
fn a_set_of_claims_is_written_as_ever() {
    let set = claims();
    check(include_str!("../../../tests/golden/claims.hex"), &Record::Claims { set, dropped: 0 });
    let set = look_alikes();
    assert_eq!(set.key(), claims().key());
    let file = include_str!("../../../tests/golden/look_alikes.hex");
    check(file, &Record::Claims { set, dropped: 0 });
}

#[test]
fn a_message_is_written_as_ever() {
    let hex: String = include_str!("../../../tests/golden/message.hex").lines().collect();
    let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
    assert_eq!(HEXLOWER.encode(message().bytes()), hex);
    let read = Signed::verify_message(&network(), &bytes, NOW).unwrap();
    assert_eq!(read.body(), message().body());
}

#[test]
fn a_delegated_head_is_written_as_ever() {
    let file = include_str!("../../../tests/golden/delegated_head.hex");
    check(file, &Record::Head(delegated(7)));
    let file = include_str!("../../../tests/golden/delegated_notes.hex");
    check(file, &Record::Head(delegated_noted()));
    assert_eq!(delegated_noted().notes().releases[0].changed, Revision::new(300, 6));
}

/// Bytes without a key, as they are in a file.
fn bytes_of(file: &str) -> Vec<u8> {
    let hex: String = file.lines().collect();
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

#[test]
fn a_delegation_is_written_as_ever() {
    let bytes = bytes_of(include_str!("../../../tests/golden/delegation.hex"));
    assert_eq!(HEXLOWER.encode(&delegation().to_bytes()), HEXLOWER.encode(&bytes));
    let read = Delegation::from_bytes(&bytes).unwrap();
    assert_eq!((read.verify(), read), (Ok(()), delegation()));
}

#[test]
fn a_proof_is_written_as_ever() {
    let bytes = bytes_of(include_str!("../../../tests/golden/equivocation.hex"));
    assert_eq!(HEXLOWER.encode(&proof().to_bytes()), HEXLOWER.encode(&bytes));
    assert_eq!(EquivocationProof::verify(&network(), &bytes), Ok(proof()));
}
