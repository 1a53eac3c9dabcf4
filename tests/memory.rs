//! What a node keeps takes no more memory than `Config::memory_ceiling` says, by an allocator that counts.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::alloc::System;

use cap::Cap;
use peerage::{
    Artifact, Config, Dependency, Digest, Limits, Manifest, MemoryCeiling, NetworkName,
    bench_support::filled::Filled,
    identity::Keypair,
    record::{Head, Release, ReleaseEntry, Revision, Signed, Validity},
};

/// The system's allocator, which counts what is allocated. This binary has one test, so that nobody else does.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const UNIX: u64 = 2_000_000_000;

/// What a manifest is filled with, as far as a record has room.
#[derive(Debug, Clone, Copy)]
enum Filling {
    Nothing,
    Text,
    Lists,
    Requirements,
}

fn dependency(number: usize, comparisons: usize) -> Dependency {
    let requirement = vec!["1"; comparisons].join(",").parse().expect("a requirement");
    Dependency::new(number.to_string().parse().expect("a name"), requirement)
}

fn manifest(number: usize, filling: Filling) -> Manifest {
    let name = format!("{}-{number:05}", "n".repeat(58));
    let manifest = Manifest::new(name.parse().expect("a name"), "1.0.0".parse().expect("one"));
    match filling {
        Filling::Nothing => manifest,
        Filling::Text => manifest
            .with_description("d".repeat(Manifest::MAX_DESCRIPTION_BYTES))
            .with_authors((0..16).map(|i| format!("{i:02}{}", "a".repeat(126)))),
        Filling::Lists => {
            let lists = manifest
                .with_keywords((0..Manifest::MAX_KEYWORDS).map(|i| format!("{i:x}")))
                .with_authors((0..Manifest::MAX_AUTHORS).map(|i| format!("{i:x}")));
            let lists = (0..Manifest::MAX_DEPENDENCIES)
                .fold(lists, |lists, i| lists.with_dependency(dependency(i, 1)));
            (0..Manifest::MAX_ARTIFACTS).fold(lists, |lists, i| {
                lists.with_artifact(Artifact::new(i.to_string(), Digest::of("content"), 1, "a/b"))
            })
        }
        // Of all that fits into a manifest, this grows most when it is read: a comparison of four bytes is a
        // structure of fifty.
        Filling::Requirements => {
            (0..37).fold(manifest, |lists, i| lists.with_dependency(dependency(i, 32)))
        }
    }
}

/// The head of a package of an owner's own, filled.
fn head(owner: &Keypair, number: usize, filling: Filling) -> Signed<Head> {
    let manifest = manifest(number, filling);
    let releases = (0..Head::MAX_INLINE_RELEASES)
        .map(|i| ReleaseEntry {
            version: format!("1.0.{}", Head::MAX_INLINE_RELEASES - i - 1)
                .parse()
                .expect("a version"),
            digest: Digest::of(i.to_string()),
            yanked: false,
        })
        .collect();
    let head = Head::live(
        NetworkName::default(),
        owner.public().to_peer_id(),
        Revision::new(0, 1),
        Validity::starting(UNIX - 60, 48 * 3600),
        manifest,
        releases,
        None,
    );
    Signed::sign(owner, head).expect("signed")
}

fn allocated_by<T>(fill: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATOR.allocated();
    let filled = fill();
    let after = ALLOCATOR.allocated();
    (filled, u64::try_from(after.saturating_sub(before)).expect("bytes"))
}

fn small() -> Limits {
    Limits::new()
        .with_store_records(200)
        .with_cache_records(200)
        .with_catalogue_packages(200)
        .with_remembered_sequences(400)
        .with_announcement_burst(8_000)
}

#[test]
fn filled_to_its_bounds_a_node_keeps_below_the_ceiling() {
    for filling in [Filling::Nothing, Filling::Text, Filling::Lists, Filling::Requirements] {
        // Everybody has one package, as when keys are made for the purpose.
        let heads: Vec<Signed<Head>> =
            (0..600).map(|i| head(&Keypair::generate_ed25519(), i, filling)).collect();
        let bytes = heads.iter().map(|head| head.bytes().len()).max().unwrap_or_default();
        // Full by the number of records, and full by their bytes.
        for store_bytes in [64 << 20, 400 << 10] {
            let config = Config::new().with_limits(small().with_store_bytes(store_bytes));
            let MemoryCeiling { store, marks, .. } = config.memory_ceiling();
            let (stored, used) = allocated_by(|| {
                let mut node = Filled::new(config.clone(), UNIX);
                for head in &heads {
                    node.put(&head.key(), head.bytes());
                }
                node
            });
            println!("{filling:?}, {bytes} bytes: {used} of {} to hold", store + marks);
            assert!(used <= store + marks, "{filling:?}, {store_bytes}");
            drop(stored);
        }

        let config = Config::new().with_limits(small());
        let MemoryCeiling { cache, catalogue, marks, .. } = config.memory_ceiling();
        let (heard, used) = allocated_by(|| {
            let mut node = Filled::new(config.clone(), UNIX);
            for head in &heads {
                assert!(node.hear("announcements", head.bytes()));
            }
            node
        });
        let ceiling = cache + catalogue + marks;
        println!("{filling:?}, {bytes} bytes: {used} of {ceiling} to know");
        assert!(used <= ceiling, "{filling:?}");
        drop(heard);
    }
    a_full_catalogue_keeps_below_the_ceiling();
    [Text::Han, Text::Thai, Text::Words]
        .into_iter()
        .for_each(words_of_its_own_keep_below_the_ceiling);
    a_store_of_small_records_is_bounded_by_their_bytes();
}

/// Each head has an owner of its own, and four peers of its own have provided it: nothing is shared.
fn a_full_catalogue_keeps_below_the_ceiling() {
    const PACKAGES: usize = 2000;
    let heads: Vec<Signed<Head>> =
        (0..PACKAGES).map(|i| head(&Keypair::generate_ed25519(), i, Filling::Nothing)).collect();
    let bytes: usize = heads.iter().map(|head| head.bytes().len()).sum();
    let peer = || Keypair::generate_ed25519().public().to_peer_id();
    let peers: Vec<_> = (0..4 * PACKAGES).map(|_| peer()).collect();
    let limits = small().with_cache_records(1).with_remembered_sequences(1);
    let filled = |catalogue_packages: usize, providers: usize| {
        let limits = limits.clone().with_catalogue_packages(catalogue_packages);
        let config = Config::new().with_limits(limits);
        let (node, used) = allocated_by(|| {
            let mut node = Filled::new(config.clone(), UNIX);
            for (head, peers) in heads.iter().zip(peers.chunks(4)) {
                for peer in peers.iter().take(providers) {
                    assert!(node.hear_from(*peer, "announcements", head.bytes()));
                }
            }
            node
        });
        drop(node);
        (used, config.memory_ceiling().catalogue)
    };
    let (without, _) = filled(0, 1);
    for providers in [1, 4] {
        let (with, ceiling) = filled(PACKAGES, providers);
        let used = with.saturating_sub(without);
        let beside = used.saturating_sub(u64::try_from(bytes).expect("bytes"));
        let each = beside / u64::try_from(PACKAGES).expect("a number");
        println!("catalogue, {providers} providers: {used} of {ceiling}, {each} beside each head");
        // The bytes are bounded by themselves, so that the rest has to keep to its own part.
        assert!(each <= 1536, "{each} bytes beside each head");
        assert!(used <= ceiling);
    }
}

/// What a description is written in, each word or pair of characters of which no other package has.
#[derive(Debug, Clone, Copy)]
enum Text {
    Han,
    /// Each character with as many marks as count.
    Thai,
    /// Short words with spaces between them.
    Words,
}

/// A description as long as there can be one.
fn description(text: Text, next: &mut impl FnMut(u32) -> u32) -> String {
    let mut letter =
        |first: char, count: u32| char::from_u32(u32::from(first) + next(count)).expect("a letter");
    let mut description = String::new();
    loop {
        let word: String = match text {
            Text::Han => letter('\u{4E00}', 20_992).into(),
            Text::Thai => [('ก', 46), ('\u{E34}', 6), ('\u{E48}', 5)]
                .map(|(first, count)| letter(first, count))
                .into_iter()
                .collect(),
            Text::Words => (0..5).map(|_| letter('a', 26)).chain([' ']).collect(),
        };
        if description.len() + word.len() > Manifest::MAX_DESCRIPTION_BYTES {
            return description;
        }
        description.push_str(&word);
    }
}

/// What is searched counts in the bytes of the catalogue, in whatever script.
fn words_of_its_own_keep_below_the_ceiling(text: Text) {
    const PACKAGES: usize = 1500;
    const BYTES: usize = 1 << 20;
    let mut state = 1_u64;
    let mut next = |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(state >> 33).expect("31 bits") % below
    };
    let heads: Vec<Signed<Head>> = (0..PACKAGES)
        .map(|number| {
            let owner = Keypair::generate_ed25519();
            let id = owner.public().to_peer_id();
            let manifest = manifest(number, Filling::Nothing);
            let manifest = manifest.with_description(description(text, &mut next));
            let release = Release::new(NetworkName::default(), id, manifest.clone());
            let entries = vec![ReleaseEntry::of(&Signed::sign(&owner, release).expect("signed"))];
            let validity = Validity::starting(UNIX - 60, 48 * 3600);
            let network = NetworkName::default();
            let revision = Revision::new(0, 1);
            let head = Head::live(network, id, revision, validity, manifest, entries, None);
            Signed::sign(&owner, head).expect("signed")
        })
        .collect();
    let filled = |packages: usize| {
        let limits = small().with_cache_records(1).with_remembered_sequences(1);
        let limits = limits.with_catalogue_packages(packages).with_catalogue_bytes(BYTES);
        let (node, used) = allocated_by(|| {
            let mut node = Filled::new(Config::new().with_limits(limits), UNIX);
            heads.iter().for_each(|head| assert!(node.hear("announcements", head.bytes())));
            node
        });
        drop(node);
        used
    };
    let used = filled(PACKAGES).saturating_sub(filled(0));
    // As `Config::memory_ceiling` has it, without what nothing here fills.
    let ceiling = u64::try_from(4 * BYTES + PACKAGES * 2048).expect("bytes");
    println!("{text:?}: {used} of {ceiling} to search");
    assert!(used <= ceiling, "{text:?}");
}

/// Records of this size, as small packages have them, each of an owner and a package of its own.
const SMALL_BYTES: usize = 220;
const SMALL: usize = 100_000;

/// A release that takes so many bytes.
fn small_release(number: usize) -> Signed<Release> {
    let owner = Keypair::generate_ed25519();
    let release = |description: usize| {
        let name = format!("package-{number:06}").parse().expect("a name");
        let manifest = Manifest::new(name, "1.0.0".parse().expect("a version"))
            .with_description("d".repeat(description));
        let release = Release::new(NetworkName::default(), owner.public().to_peer_id(), manifest);
        Signed::sign(&owner, release).expect("signed")
    };
    release(SMALL_BYTES - release(0).bytes().len())
}

/// With the default limits there is room for a hundred thousand small records, which take twice their bytes and 64 more
/// each, at the most.
fn a_store_of_small_records_is_bounded_by_their_bytes() {
    let peers: Vec<_> =
        (0..64).map(|_| Keypair::generate_ed25519().public().to_peer_id()).collect();
    // Nobody puts so many at once by the default rates.
    let limits = Limits::new().with_request_burst(u32::MAX);
    let mut node = Filled::new(Config::new().with_limits(limits), UNIX);
    let before = ALLOCATOR.allocated();
    for (number, peer) in (0..SMALL).zip(peers.iter().cycle()) {
        let release = small_release(number);
        assert_eq!(release.bytes().len(), SMALL_BYTES);
        let is_held = node.put_by(*peer, &release.key(), release.bytes());
        assert!(is_held, "there is room for {number}");
    }
    let each = ALLOCATOR.allocated().saturating_sub(before) / SMALL;
    println!("{SMALL} records of {SMALL_BYTES} bytes: {each} bytes each");
    assert!(each <= 2 * SMALL_BYTES + 64, "{each} bytes for each");
}
