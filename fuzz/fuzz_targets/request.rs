//! What a peer can ask of the DHT's server: records under keys, its own, others' and made up ones, put and got while
//! time passes, to and from the real store.
//!
//! An acknowledgement means verified and stored. What is served was put by somebody, is valid now, is under its own
//! key, and is never older than what was taken in before; a withdrawn package never comes back. No bound is exceeded.

#![no_main]

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use libp2p::identity::Keypair;
use peerage::{
    Config, Limits, Manifest, PackageName, PeerId,
    fuzzing::Store,
    record::{
        Claim, ClaimSet, ClaimStatus, Head, Page, Rank, Record, RecordKey, Rejected, Release,
        ReleaseEntry, Revision, Signed, Validity,
    },
};
use peerage_fuzz::{
    KEYPAIRS, NETWORK, NOW,
    input::Number,
    mutation::{Mutation, mutate},
    sealed::Sealed,
};

/// So few that they are reached.
const MAX_RECORDS: usize = 7;
const MAX_SHARE: usize = 4;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// Whose store it is: that of one whose records are put, or a stranger's.
    stranger: bool,
    requests: Vec<Request<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Request<'a> {
    Put { value: Value<'a>, key: Key<'a>, peer: u8, again: bool },
    Get { key: Key<'a> },
    Pass { seconds: Number },
    Return { seconds: Number },
    Sweep,
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    /// A record of the pool.
    Known(u8),
    /// One that was changed on its way.
    Changed(u8, Vec<Mutation<'a>>),
    Sealed(Box<Sealed<'a>>),
    Raw(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Key<'a> {
    /// The one that the value calls for, if there is a value that does.
    Own,
    /// That of a record of the pool.
    Known(u8),
    /// One that was changed.
    Changed(u8, Mutation<'a>),
    Raw(&'a [u8]),
}

/// Valid records of a few packages of a few owners: heads of which the last withdraws the package, two that have
/// one revision, releases of which two have one version, a page, claims.
static POOL: LazyLock<Vec<(RecordKey, Vec<u8>)>> = LazyLock::new(|| {
    let mut pool = Vec::new();
    for keypair in &KEYPAIRS[..3] {
        for name in ["name", "tiny-http"] {
            package(&mut pool, keypair, name);
        }
    }
    let both = KEYPAIRS[..2]
        .iter()
        .fold(ClaimSet::empty(NETWORK.clone(), "name".parse().expect("a name")), |set, keypair| {
            set.with(claim(keypair, "name", 3), NOW)
        });
    pool.push((both.key(), both.to_bytes()));
    pool
});

/// The records of the pool by their bytes, whose signatures need not be looked at again and again.
static KNOWN: LazyLock<HashMap<&[u8], Record>> = LazyLock::new(|| {
    let verify = |(key, bytes): &'static (RecordKey, Vec<u8>)| {
        let record = Record::verify(&NETWORK, key, bytes, NOW, ());
        (&bytes[..], record.expect("a record of the pool"))
    };
    POOL.iter().map(verify).collect()
});

fn package(pool: &mut Vec<(RecordKey, Vec<u8>)>, keypair: &Keypair, name: &str) {
    let owner = keypair.public().to_peer_id();
    let name: PackageName = name.parse().expect("a name");
    let release = |version: &str, description: &str| {
        let manifest = Manifest::new(name.clone(), version.parse().expect("a version"))
            .with_description(description);
        let release = Release::new(NETWORK.clone(), owner, manifest);
        Signed::sign(keypair, release).expect("a release")
    };
    let releases = [release("1.0.0", ""), release("1.0.0", "other"), release("0.9.0", "")];
    let entries: Vec<_> = [&releases[0], &releases[2]].map(ReleaseEntry::of).into();
    let page = Page::new(NETWORK.clone(), owner, name.clone(), entries.clone(), None);
    let page = Signed::sign(keypair, page).expect("a page");
    pool.extend(releases.iter().map(|release| (release.key(), release.bytes().to_vec())));
    pool.push((page.key(), page.bytes().to_vec()));
    for (sequence, seconds, ext) in [(1, 100, ""), (2, 3600, ""), (2, 3600, "two"), (3, 200, "")] {
        let mut head = Head::live(
            NETWORK.clone(),
            owner,
            Revision::new(0, sequence),
            Validity::starting(NOW - 60, seconds + 60),
            releases[0].manifest.clone(),
            entries.clone(),
            None,
        );
        head.ext = ext.into();
        let head = Signed::sign(keypair, head).expect("a head");
        pool.push((head.key(), head.bytes().to_vec()));
    }
    let (revision, validity) = (Revision::new(1, 0), Validity::starting(NOW - 60, 360));
    let gone = Head::withdrawn(NETWORK.clone(), owner, name.clone(), revision, validity, "gone");
    let gone = Signed::sign(keypair, gone).expect("a head");
    pool.push((gone.key(), gone.bytes().to_vec()));
    for sequence in 1..3 {
        let set = ClaimSet::empty(NETWORK.clone(), name.clone())
            .with(claim(keypair, name.as_str(), sequence), NOW);
        pool.push((set.key(), set.to_bytes()));
    }
}

fn claim(keypair: &Keypair, name: &str, sequence: u64) -> Signed<Claim> {
    let claim = Claim::new(
        NETWORK.clone(),
        keypair.public().to_peer_id(),
        name.parse().expect("a name"),
        Revision::new(0, sequence),
        Validity::starting(NOW - 60, 60 + 100 * sequence),
        if sequence == 2 { ClaimStatus::Withdrawn } else { ClaimStatus::Active },
    );
    Signed::sign(keypair, claim).expect("a claim")
}

fuzz_target!(|input: Input| {
    let local = if input.stranger { [99; 32] } else { [1; 32] };
    let local = Keypair::ed25519_from_bytes(local).expect("any 32 bytes are a key");
    let limits =
        Limits::new().with_store_records(MAX_RECORDS).with_store_records_per_owner(MAX_SHARE);
    let config = Config::new().with_network(NETWORK.clone()).with_limits(limits);
    let local = local.public().to_peer_id();
    let mut server = Server {
        store: Store::new(local, &config, NOW),
        now: NOW,
        latest: NOW,
        accepted: HashSet::new(),
        newest: HashMap::new(),
    };
    for request in input.requests.iter().take(12) {
        server.serve(request);
    }
    server.check();
});

struct Server {
    store: Store,
    now: u64,
    /// The latest that it ever was.
    latest: u64,
    /// What was acknowledged.
    accepted: HashSet<Vec<u8>>,
    /// The newest head that was acknowledged of each package.
    newest: HashMap<(PeerId, PackageName), Rank>,
}

impl Server {
    fn serve(&mut self, request: &Request<'_>) {
        match request {
            Request::Put { value, key, peer, again } => {
                let value = value.bytes();
                let key = key.bytes(&value);
                let peer = KEYPAIRS[usize::from(*peer) % KEYPAIRS.len()].public().to_peer_id();
                for _ in 0..=u8::from(*again) {
                    self.put(peer, &key, &value);
                }
            }
            Request::Get { key } => {
                self.get(&key.bytes(&[]));
            }
            // Far, but not to the end of time, where nothing is valid.
            Request::Pass { seconds } => self.pass(self.now + seconds.0 % (1 << 40)),
            Request::Return { seconds } => self.pass(self.now.saturating_sub(seconds.0)),
            Request::Sweep => self.store.sweep(),
        }
    }

    fn pass(&mut self, now: u64) {
        self.now = now;
        self.latest = self.latest.max(now);
        self.store.set_time(now);
    }

    fn put(&mut self, peer: PeerId, key: &[u8], value: &[u8]) {
        let before = self.store.get(key);
        if !self.store.put(peer, key, value) {
            // What is refused changes nothing but what it finds expired.
            if let Some(before) = before {
                assert_eq!(self.store.get(key), Some(before), "a refusal took something away");
            }
            return;
        }
        let record = self.verify(key, value);
        self.accepted.insert(value.to_vec());
        if let Some(Record::Head(head)) = &record {
            let rank = head.rank();
            let newest = self.newest.entry((head.owner, head.name.clone())).or_insert(rank);
            assert!(*newest <= rank, "{rank} after {newest}");
            *newest = rank;
        }
        assert!(self.store.get(key).is_some(), "acknowledged and not stored");
        self.get(key);
    }

    /// Tells what is served under a key.
    fn get(&self, key: &[u8]) -> Option<Record> {
        let value = self.store.get(key)?;
        let record = self.verify(key, &value)?;
        match &record {
            Record::Head(head) => {
                let newest = self.newest.get(&(head.owner, head.name.clone()));
                assert_eq!(newest, Some(&head.rank()));
            }
            Record::Release(release) => self.not_withdrawn(release.owner, release.name()),
            Record::Page(page) => self.not_withdrawn(page.owner, &page.name),
            // A set is the union of those that were put.
            _ => return Some(record),
        }
        assert!(self.accepted.contains(&value), "nobody put it");
        Some(record)
    }

    /// What is stored is valid under its key. Of what was stored before the clock went back nothing is known.
    fn verify(&self, key: &[u8], value: &[u8]) -> Option<Record> {
        let key = RecordKey::try_from(key).expect("nothing is stored under another key");
        if let Some(record) = KNOWN.get(value) {
            assert_eq!(record.key(), key);
            assert!(record.expires().is_none_or(|expires| self.now < expires), "expired");
            return Some(record.clone());
        }
        match Record::verify(&NETWORK, &key, value, self.now, ()) {
            Ok(record) => Some(record),
            Err(Rejected::Future { .. }) if self.now < self.latest => None,
            Err(rejected) => panic!("what is stored is not valid: {rejected}"),
        }
    }

    fn not_withdrawn(&self, owner: PeerId, name: &PackageName) {
        let newest = self.newest.get(&(owner, name.clone()));
        assert!(newest.is_none_or(|newest| !newest.withdrawn), "a part of what is withdrawn");
    }

    fn check(&self) {
        let records = self.store.records();
        assert!(records <= MAX_RECORDS, "{records} records");
        let mut shares: HashMap<PeerId, usize> = HashMap::new();
        let keys: HashSet<_> = POOL.iter().map(|(key, _)| key).collect();
        for key in keys {
            let owner = match self.get(key.as_bytes()) {
                Some(Record::Head(head)) => head.owner,
                Some(Record::Release(release)) => release.owner,
                Some(Record::Page(page)) => page.owner,
                _ => continue,
            };
            *shares.entry(owner).or_default() += 1;
        }
        assert!(shares.values().all(|share| *share <= MAX_SHARE), "{shares:?}");
    }
}

impl Value<'_> {
    fn bytes(&self) -> Vec<u8> {
        let known = |place: &u8| POOL[usize::from(*place) % POOL.len()].1.clone();
        match self {
            Self::Known(place) => known(place),
            Self::Changed(place, mutations) => {
                let mut bytes = known(place);
                mutate(&mut bytes, mutations);
                bytes
            }
            Self::Sealed(sealed) => sealed.bytes(),
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

impl Key<'_> {
    fn bytes(&self, value: &[u8]) -> Vec<u8> {
        let known = |place: &u8| POOL[usize::from(*place) % POOL.len()].0.as_bytes().to_vec();
        match self {
            Self::Own => match POOL.iter().find(|(_, bytes)| *bytes == value) {
                Some((key, _)) => key.as_bytes().to_vec(),
                None => Record::claimed_key(value)
                    .map_or_else(|_| known(&0), |key| key.as_bytes().to_vec()),
            },
            Self::Known(place) => known(place),
            Self::Changed(place, mutation) => {
                let mut bytes = known(place);
                mutate(&mut bytes, &[*mutation]);
                bytes
            }
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}
