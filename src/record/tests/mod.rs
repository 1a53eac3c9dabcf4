//! What is written, and what is believed of what others have written.

mod claims;
mod delegated;
mod equivocations;
mod golden;
mod lists;
mod remembered;
mod strict;
mod verified;

use libp2p::{PeerId, identity::Keypair};
use proptest::prelude::*;
use semver::Version;

use super::{body::sealed::Wire, *};
use crate::package::{Artifact, Dependency, Digest, Manifest, PackageName};

/// The time of all tests, in Unix seconds.
const NOW: u64 = 1_800_000_000;

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn peer(seed: u8) -> PeerId {
    keypair(seed).public().to_peer_id()
}

fn main_net() -> NetworkName {
    NetworkName::default()
}

fn name() -> PackageName {
    "tiny-http".parse().unwrap()
}

fn day() -> Validity {
    Validity::starting(NOW, 86_400)
}

fn manifest(version: Version) -> Manifest {
    Manifest::new(name(), version)
        .with_description("A small HTTP server")
        .with_license("MIT")
        .with_keywords(["http", "server"])
        .with_dependency(Dependency::new("log".parse().unwrap(), ">=0.4, <2".parse().unwrap()))
        .with_artifact(Artifact::of("tiny-http.tar.gz", b"tiny", "application/gzip"))
}

fn release() -> Signed<Release> {
    let release = Release::new(main_net(), peer(1), manifest(Version::new(1, 2, 0)));
    Signed::sign(&keypair(1), release).unwrap()
}

fn live(sequence: u64) -> Head {
    let (revision, releases) = (Revision::new(0, sequence), vec![ReleaseEntry::of(&release())]);
    let latest = release().manifest.clone();
    Head::live(main_net(), peer(1), revision, day(), latest, releases, None)
}

fn head(sequence: u64) -> Signed<Head> {
    Signed::sign(&keypair(1), live(sequence)).unwrap()
}

fn withdrawn() -> Signed<Head> {
    let revision = Revision::new(1, 0);
    let head = Head::withdrawn(main_net(), peer(1), name(), revision, day(), "renamed");
    Signed::sign(&keypair(1), head).unwrap()
}

fn page() -> Signed<Page> {
    let older = Some(PageLink { digest: Digest::of("older"), count: 40 });
    let releases = vec![
        ReleaseEntry { version: Version::new(0, 2, 0), digest: Digest::of("b"), yanked: true },
        ReleaseEntry { version: Version::new(0, 1, 0), digest: Digest::of("a"), yanked: false },
    ];
    let page = Page::new(main_net(), peer(1), name(), releases, older);
    Signed::sign(&keypair(1), page).unwrap()
}

fn claim(seed: u8) -> Signed<Claim> {
    let revision = Revision::new(0, 1);
    let claim = Claim::new(main_net(), peer(seed), name(), revision, day(), ClaimStatus::Active);
    Signed::sign(&keypair(seed), claim).unwrap()
}

fn message() -> Signed<Message> {
    let message = Message::new(main_net(), peer(1), "chat", 1, NOW, "hello");
    Signed::sign(&keypair(1), message).unwrap()
}

/// One of each kind that the DHT holds, with its key.
fn stored() -> Vec<(RecordKey, Vec<u8>)> {
    let set = ClaimSet::empty(main_net(), name()).with(claim(1), NOW);
    vec![
        (head(1).key(), head(1).bytes().to_vec()),
        (withdrawn().key(), withdrawn().bytes().to_vec()),
        (release().key(), release().bytes().to_vec()),
        (page().key(), page().bytes().to_vec()),
        (set.key(), set.to_bytes()),
    ]
}

/// What has been seen of packages, as this function tells, and of all owners this epoch.
struct SeenBy<F>(F, u32);

impl<F: Fn(Kind, &PeerId, &PackageName) -> Option<Revision>> Seen for SeenBy<F> {
    fn rank(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        (self.0)(kind, owner, name).map(Rank::from)
    }

    fn epoch(&self, _: &PeerId) -> u32 {
        self.1
    }
}

fn seen_by(revision: impl Fn(Kind, &PeerId, &PackageName) -> Option<Revision>) -> impl Seen {
    SeenBy(revision, 0)
}

fn verify(asked: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
    Record::verify(&main_net(), asked, bytes, NOW, ())
}

/// What somebody signs who does not look at what it is.
fn forge<T: Wire>(keypair: &Keypair, body: &T) -> Vec<u8> {
    envelope::seal(keypair, body.common().network, T::KIND, &body.encode().unwrap()).unwrap()
}

/// Signs these bytes as a body of the kind.
fn forge_bytes(kind: Kind, body: &[u8]) -> Vec<u8> {
    envelope::seal(&keypair(1), &main_net(), kind, body).unwrap()
}

fn any_version() -> impl Strategy<Value = Version> {
    "(0|[1-9][0-9]{0,5})\\.[0-9]\\.[0-9](-[a-z][a-z0-9]{0,6}(\\.[1-9])?)?(\\+[0-9a-z]{1,9})?"
        .prop_map(|text| text.parse().unwrap())
}

fn any_manifest() -> impl Strategy<Value = Manifest> {
    let dependency = (
        "[a-z][a-z0-9_-]{0,20}",
        proptest::option::of(1..9_u8),
        "(\\*|[~^=<>]?[0-9](\\.[0-9](\\.[0-9](-[a-z]{1,3})?)?)?|[0-9]\\.\\*|>=1, <2\\.5)",
    );
    let artifact =
        ("[ -.0-\\[\\]-~é]{1,40}", any::<[u8; 32]>(), any::<u64>(), "[a-z]{1,9}/[a-z+.-]{0,9}x");
    (
        (any_version(), "[ -~é\n\t]{0,300}", proptest::option::of("[A-Z ]{1,20}")),
        proptest::collection::btree_set("[ -~]{1,30}", 0..4),
        proptest::collection::btree_set("[a-z0-9-]{1,32}", 0..4),
        proptest::option::of("https?://[a-z.]{1,30}/[!-~]{0,30}"),
        proptest::collection::btree_map(dependency.0, (dependency.1, dependency.2), 0..4),
        proptest::collection::btree_map(artifact.0, (artifact.1, artifact.2, artifact.3), 0..4),
    )
        .prop_map(|((version, description, license), authors, keywords, url, needs, files)| {
            let mut manifest = Manifest::new(name(), version)
                .with_description(description)
                .with_authors(authors)
                .with_keywords(keywords);
            manifest.license = license;
            manifest.homepage = url.clone();
            manifest.repository = url;
            for (name, (owner, requirement)) in needs {
                let (name, requirement) = (name.parse().unwrap(), requirement.parse().unwrap());
                let mut dependency = Dependency::new(name, requirement);
                dependency.owner = owner.map(peer);
                manifest = manifest.with_dependency(dependency);
            }
            for (name, (digest, size, media_type)) in files {
                let digest = Digest::from_bytes(digest);
                manifest = manifest.with_artifact(Artifact::new(name, digest, size, media_type));
            }
            manifest
        })
        .prop_filter("a path or the package itself", |manifest| manifest.validate().is_ok())
}
