//! Records as their owners sign them, and what hostile peers make of them.

use std::time::{SystemTime, UNIX_EPOCH};

use peerage::{
    Manifest, NetworkName, PackageName, PeerId,
    identity::Keypair,
    record::{
        Claim, ClaimSet, ClaimStatus, Head, Release, ReleaseEntry, Revision, Signed, Validity,
    },
    semver::Version,
};

/// An hour: longer than any attack.
pub(crate) const LIFETIME: u64 = 3600;

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

pub(crate) fn valid() -> Validity {
    Validity::starting(now(), LIFETIME)
}

/// Somebody who signs records of one package.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) key: Keypair,
    pub(crate) name: PackageName,
}

impl Owner {
    pub(crate) fn new(name: &str) -> Self {
        Self::of(&Keypair::generate_ed25519(), name)
    }

    pub(crate) fn of(key: &Keypair, name: &str) -> Self {
        Self { key: key.clone(), name: name.parse().expect("a name") }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    pub(crate) fn package(&self) -> peerage::PackageId {
        peerage::PackageId::owned(self.id(), self.name.clone())
    }

    /// The release `major.0.0`.
    pub(crate) fn release(&self, major: u64) -> Signed<Release> {
        let manifest = self.manifest(major);
        let release = Release::new(NetworkName::default(), self.id(), manifest);
        Signed::sign(&self.key, release).expect("signed")
    }

    fn manifest(&self, major: u64) -> Manifest {
        Manifest::new(self.name.clone(), Version::new(major, 0, 0))
            .with_description(format!("The {} package", self.name))
    }

    /// A head that lists one release, `sequence.0.0`.
    pub(crate) fn head(&self, sequence: u64) -> Signed<Head> {
        self.head_at(sequence, valid())
    }

    pub(crate) fn head_at(&self, sequence: u64, validity: Validity) -> Signed<Head> {
        let entry = ReleaseEntry::of(&self.release(sequence));
        self.listing(sequence, validity, self.manifest(sequence), vec![entry])
    }

    /// A head that lists these releases, newest first, yanked or not. The first that is not yanked is the latest.
    pub(crate) fn head_of(&self, sequence: u64, releases: &[(u64, bool)]) -> Signed<Head> {
        let latest = releases.iter().find(|(_, yanked)| !yanked).expect("one that is not yanked").0;
        let entries = releases.iter().map(|&(major, yanked)| ReleaseEntry {
            yanked,
            ..ReleaseEntry::of(&self.release(major))
        });
        self.listing(sequence, valid(), self.manifest(latest), entries.collect())
    }

    fn listing(
        &self,
        sequence: u64,
        validity: Validity,
        latest: Manifest,
        entries: Vec<ReleaseEntry>,
    ) -> Signed<Head> {
        let (network, revision) = (NetworkName::default(), Revision::new(0, sequence));
        let head = Head::live(network, self.id(), revision, validity, latest, entries, None);
        Signed::sign(&self.key, head).expect("signed")
    }

    /// The package is withdrawn.
    pub(crate) fn tombstone(&self, sequence: u64) -> Signed<Head> {
        let (network, revision) = (NetworkName::default(), Revision::new(0, sequence));
        let name = self.name.clone();
        let head = Head::withdrawn(network, self.id(), name, revision, valid(), "gone");
        Signed::sign(&self.key, head).expect("signed")
    }

    pub(crate) fn claim(&self, sequence: u64, status: ClaimStatus) -> Signed<Claim> {
        let (network, revision) = (NetworkName::default(), Revision::new(0, sequence));
        let name = self.name.clone();
        let claim = Claim::new(network, self.id(), name, revision, valid(), status);
        Signed::sign(&self.key, claim).expect("signed")
    }
}

/// A set of these claims, which are to one name.
pub(crate) fn claims(claims: impl IntoIterator<Item = Signed<Claim>>) -> ClaimSet {
    let mut claims = claims.into_iter().peekable();
    let name = claims.peek().expect("a claim").name.clone();
    let empty = ClaimSet::empty(NetworkName::default(), name);
    claims.fold(empty, |set, claim| set.with(claim, now()))
}

/// Numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// Below `sides`, which is not zero.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // Xorshift with a multiplication (Vigna, 2016).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("31 bits") % sides
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll(256) as u8).collect()
    }
}
