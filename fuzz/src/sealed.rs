//! Records of format 1, written by hand after the documentation of `peerage::record`: the crate's own encoder writes
//! what is valid and nothing else, and here the two must agree on what that is.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use peerage::record::{Claim, Kind, Record, Rejected, Signed};

use crate::{
    KEYPAIRS, NETWORK, NOW, PUBLIC_KEYS,
    input::{Number, Time, Who, Word},
    mutation::{Mutation, mutate},
};

const NETWORKS: [&str; 4] = ["golden", "main", "", "Golden"];
const NAMES: [&str; 7] = ["tiny-http", "name", "a", "x_y.z", "Name", "", "-a"];
/// Newest first.
const VERSIONS: [&str; 6] =
    ["9.1.0", "9.0.0", "1.2.0-rc.1+build.5", "1.0.0", "1.0.0-rc.1", "0.0.0"];
const TEXTS: [&str; 4] = ["", "text", "two\nlines", "\u{202e}txet"];
const LINES: [&str; 4] = ["one", "two", "", "two\nlines"];
const KEYWORDS: [&str; 4] = ["http", "server", "HTTP", ""];
const URLS: [&str; 4] =
    ["https://example.org/a", "git+ssh://git@example.org/a", "javascript:alert(1)", "https://"];
const REQUIREMENTS: [&str; 5] = [">=0.4, <2", "*", "^1", "1", ">= 0.4"];
const MEDIA_TYPES: [&str; 4] = ["application/gzip", "a/b", "application", "a/b; c=d"];

/// A record with its signature, and what became of it on its way.
#[derive(Debug, Arbitrary)]
pub struct Sealed<'a> {
    /// What is signed.
    pub body: Body<'a>,
    /// Changes to the body that its owner signs.
    signed: Vec<Mutation<'a>>,
    /// Whose key stands in the envelope, if not the owner's.
    signer: Option<Who>,
    /// Changes to the envelope afterwards.
    unsigned: Vec<Mutation<'a>>,
}

/// A body of any kind.
#[derive(Debug, Arbitrary)]
pub enum Body<'a> {
    /// The head of a package.
    Head(HeadBody<'a>),
    /// A release.
    Release(ReleaseBody<'a>),
    /// A page of a list of releases.
    Page(PageBody<'a>),
    /// A claim to a name.
    Claim(ClaimBody<'a>),
    /// A message of an application.
    Message(MessageBody<'a>),
    /// Whatever somebody signs, behind the network and the owner that any body begins with.
    Raw { kind: u8, owner: Who, rest: &'a [u8] },
}

#[derive(Debug, Arbitrary)]
pub struct HeadBody<'a> {
    network: Word<'a>,
    owner: Who,
    name: Word<'a>,
    revision: [Number; 2],
    issued: Time,
    expires: Time,
    state: State<'a>,
    ext: Word<'a>,
}

#[derive(Debug, Arbitrary)]
enum State<'a> {
    Live { latest: ManifestBody<'a>, releases: Releases, older: Option<(u8, Number)> },
    Withdrawn { reason: Word<'a> },
    Unknown(u8),
}

#[derive(Debug, Arbitrary)]
pub struct ReleaseBody<'a> {
    network: Word<'a>,
    owner: Who,
    name: Word<'a>,
    manifest: ManifestBody<'a>,
    ext: Word<'a>,
}

#[derive(Debug, Arbitrary)]
pub struct PageBody<'a> {
    network: Word<'a>,
    owner: Who,
    name: Word<'a>,
    releases: Releases,
    older: Option<(u8, Number)>,
    ext: Word<'a>,
}

#[derive(Debug, Arbitrary)]
pub struct ClaimBody<'a> {
    network: Word<'a>,
    owner: Who,
    name: Word<'a>,
    revision: [Number; 2],
    issued: Time,
    expires: Time,
    status: u8,
    ext: Word<'a>,
}

#[derive(Debug, Arbitrary)]
pub struct MessageBody<'a> {
    network: Word<'a>,
    author: Who,
    topic: Word<'a>,
    nonce: Number,
    issued: Time,
    data: Word<'a>,
    ext: Word<'a>,
}

#[derive(Debug, Arbitrary)]
struct ManifestBody<'a> {
    version: u8,
    description: Word<'a>,
    license: Option<Word<'a>>,
    authors: Vec<Word<'a>>,
    keywords: Vec<Word<'a>>,
    homepage: Option<Word<'a>>,
    repository: Option<Word<'a>>,
    dependencies: Vec<(Word<'a>, Option<Who>, Word<'a>)>,
    artifacts: Vec<(Word<'a>, Number, Word<'a>)>,
}

/// Entries of a list, in order unless that is asked for.
#[derive(Debug, Arbitrary)]
struct Releases {
    versions: Vec<u8>,
    /// How many entries there are besides, all of them older.
    more: u8,
    /// As they come, and without the one that the manifest is of.
    untidy: bool,
    yanked: u64,
}

impl Sealed<'_> {
    /// The kind that stands in the envelope.
    pub fn kind(&self) -> u8 {
        match self.body {
            Body::Head(_) => Kind::Head as u8,
            Body::Release(_) => Kind::Release as u8,
            Body::Page(_) => Kind::Page as u8,
            Body::Claim(_) => Kind::Claim as u8,
            Body::Message(_) => Kind::Message as u8,
            Body::Raw { kind, .. } => kind % 8,
        }
    }

    /// The record as it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let kind = self.kind();
        let (owner, mut body) = self.body.write();
        mutate(&mut body, &self.signed);
        let signer = self.signer.as_ref().unwrap_or(owner);
        let mut envelope = [&[1, kind], &signer.key()[..], &body, &[0; 64]].concat();
        // The signature is the last check: what fails before it need not have one.
        if let Who::Ours(place) = *signer
            && is_body(kind, &envelope)
        {
            let end = envelope.len() - 64;
            envelope[end..].copy_from_slice(&sign(place, kind, &body));
        }
        mutate(&mut envelope, &self.unsigned);
        envelope
    }
}

/// Whether it reads as a record, unsigned as it is.
fn is_body(kind: u8, envelope: &[u8]) -> bool {
    if kind == Kind::Claim as u8 {
        envelope.len() <= Claim::MAX_BYTES && Record::claimed_key(&framed(&[envelope])).is_ok()
    } else if kind == Kind::Message as u8 {
        // At the beginning of time it is of the future, or its signature is looked at.
        let read = Signed::verify_message(&NETWORK, envelope, 0);
        matches!(read, Err(Rejected::Future { .. } | Rejected::Signature))
    } else {
        Record::claimed_key(envelope).is_ok()
    }
}

/// A set of these claims.
pub fn framed(claims: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut set = vec![1, Kind::ClaimSet as u8];
    varint(&mut set, claims.len() as u64);
    for claim in claims {
        text(&mut set, claim.as_ref());
    }
    set
}

/// What one of our key pairs signs.
fn sign(place: usize, kind: u8, body: &[u8]) -> Vec<u8> {
    const DOMAIN: &[u8] = b"peerage-record-v1";
    let network = NETWORK.as_str().as_bytes();
    let mut message = Vec::with_capacity(64 + body.len());
    for part in [DOMAIN, network] {
        message.extend(u32::try_from(part.len()).expect("a short part").to_be_bytes());
        message.extend(part);
    }
    message.push(kind);
    message.extend(body);
    KEYPAIRS[place].sign(&message).expect("an Ed25519 key signs")
}

impl Body<'_> {
    /// The owner, and the body as it is signed.
    fn write(&self) -> (&Who, Vec<u8>) {
        let out = &mut Vec::with_capacity(512);
        let owner = match self {
            Self::Head(head) => {
                begin(out, &head.network, &head.owner, &head.name);
                let [epoch, sequence] = head.revision;
                // An epoch is one of 32 bits, mostly.
                varint(out, if epoch.0 < 240 { 0 } else { epoch.0 });
                varint(out, sequence.0);
                lifetime(out, head.issued, head.expires);
                head.state.write(out);
                text(out, &head.ext.bytes(&TEXTS));
                &head.owner
            }
            Self::Release(release) => {
                begin(out, &release.network, &release.owner, &release.name);
                release.manifest.write(out);
                text(out, &release.ext.bytes(&TEXTS));
                &release.owner
            }
            Self::Page(page) => {
                begin(out, &page.network, &page.owner, &page.name);
                page.releases.write(out, None);
                link(out, &page.older);
                text(out, &page.ext.bytes(&TEXTS));
                &page.owner
            }
            Self::Claim(claim) => {
                claim.write(out);
                &claim.owner
            }
            Self::Message(message) => {
                text(out, &message.network.bytes(&NETWORKS));
                out.extend(message.author.key());
                text(out, &message.topic.bytes(&["topic", "chat/general", ""]));
                varint(out, message.nonce.0);
                varint(out, message.issued.or(NOW));
                text(out, &message.data.bytes(&TEXTS));
                text(out, &message.ext.bytes(&TEXTS));
                &message.author
            }
            Self::Raw { owner, rest, .. } => {
                text(out, NETWORK.as_str().as_bytes());
                out.extend(owner.key());
                out.extend_from_slice(rest);
                owner
            }
        };
        (owner, std::mem::take(out))
    }
}

impl ClaimBody<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        begin(out, &self.network, &self.owner, &self.name);
        let [epoch, sequence] = self.revision;
        varint(out, epoch.0);
        varint(out, sequence.0);
        lifetime(out, self.issued, self.expires);
        varint(out, self.status.into());
        text(out, &self.ext.bytes(&TEXTS));
    }
}

impl State<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Live { latest, releases, older } => {
                varint(out, 0);
                latest.write(out);
                releases.write(out, Some(latest.version));
                link(out, older);
            }
            Self::Withdrawn { reason } => {
                varint(out, 1);
                text(out, &reason.bytes(&TEXTS));
            }
            Self::Unknown(variant) => varint(out, u64::from(*variant) + 2),
        }
    }
}

impl ManifestBody<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        text(out, version(self.version));
        text(out, &self.description.bytes(&TEXTS));
        optional(out, &self.license, &LINES);
        list(out, &self.authors, |out, author| text(out, &author.bytes(&LINES)));
        list(out, &self.keywords, |out, keyword| text(out, &keyword.bytes(&KEYWORDS)));
        optional(out, &self.homepage, &URLS);
        optional(out, &self.repository, &URLS);
        list(out, &self.dependencies, |out, (name, owner, requirement)| {
            text(out, &name.bytes(&["log", "name", "tiny-http", "Log"]));
            out.push(owner.is_some().into());
            out.extend(owner.iter().flat_map(Who::key));
            text(out, &requirement.bytes(&REQUIREMENTS));
        });
        list(out, &self.artifacts, |out, (name, size, media_type)| {
            text(out, &name.bytes(&["a.tar.gz", "b", "../b", ".", ""]));
            out.extend([7; 32]);
            varint(out, size.0);
            text(out, &media_type.bytes(&MEDIA_TYPES));
        });
    }
}

impl Releases {
    /// The list, with this version among it.
    fn write(&self, out: &mut Vec<u8>, latest: Option<u8>) {
        let mut versions = self.versions.clone();
        if !self.untidy {
            versions.extend(latest);
            versions.iter_mut().for_each(|version| *version %= VERSIONS.len() as u8);
            versions.sort_unstable();
            versions.dedup();
        }
        let more = usize::from(self.more % 128);
        varint(out, (versions.len() + more) as u64);
        let known = versions.iter().map(|place| version(*place).to_vec());
        // Below all of those that have a place.
        let older = (0..more).rev().map(|n| format!("0.0.0-{n}").into_bytes());
        for (n, version) in known.chain(older).enumerate() {
            text(out, &version);
            out.extend([9; 32]);
            out.push((self.yanked >> (n % 64) & 1) as u8);
        }
    }
}

fn version(place: u8) -> &'static [u8] {
    VERSIONS[usize::from(place) % VERSIONS.len()].as_bytes()
}

/// What all bodies but a message's begin with.
fn begin(out: &mut Vec<u8>, network: &Word<'_>, owner: &Who, name: &Word<'_>) {
    text(out, &network.bytes(&NETWORKS));
    out.extend(owner.key());
    text(out, &name.bytes(&NAMES));
}

fn lifetime(out: &mut Vec<u8>, issued: Time, expires: Time) {
    varint(out, issued.or(NOW - 60));
    varint(out, expires.or(NOW + 3600));
}

fn link(out: &mut Vec<u8>, link: &Option<(u8, Number)>) {
    out.push(link.is_some().into());
    if let Some((digest, count)) = link {
        out.extend([*digest; 32]);
        varint(out, count.0);
    }
}

fn optional(out: &mut Vec<u8>, word: &Option<Word<'_>>, known: &[&str]) {
    out.push(word.is_some().into());
    if let Some(word) = word {
        text(out, &word.bytes(known));
    }
}

fn list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    varint(out, items.len() as u64);
    for item in items {
        write(out, item);
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Claims are in the order of their owners' keys. `Who`'s key, to sort by.
pub fn owner_of(sealed: &Sealed<'_>) -> [u8; 32] {
    match &sealed.body {
        Body::Head(body) => body.owner.key(),
        Body::Release(body) => body.owner.key(),
        Body::Page(body) => body.owner.key(),
        Body::Claim(body) => body.owner.key(),
        Body::Message(body) => body.author.key(),
        Body::Raw { owner, .. } => owner.key(),
    }
}

/// The key pair of an owner, if it is one of ours.
pub fn keypair_of(owner: &peerage::PeerId) -> Option<&'static libp2p::identity::Keypair> {
    let key = peerage::package::owner_key(owner)?;
    let place = PUBLIC_KEYS.iter().position(|ours| *ours == key)?;
    KEYPAIRS.get(place)
}
