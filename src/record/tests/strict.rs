//! One body has one encoding, and nothing else is taken for it.

use libp2p::identity::ed25519;

use super::*;
use crate::error::Error;

/// Where the epoch stands in the body of a head: after the network, the owner and the name.
const EPOCH: usize = 1 + 4 + 32 + 1 + 9;

#[test]
fn no_bit_of_a_record_can_be_changed() {
    for (key, bytes) in stored() {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&key, &flipped).is_err(), "bit {bit} of {key}");
        }
    }
    for bit in 0..message().bytes().len() * 8 {
        let mut flipped = message().bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Signed::verify_message(&main_net(), &flipped, NOW).is_err(), "bit {bit}");
    }
}

#[test]
fn an_overlong_number_is_refused_even_if_it_is_signed() {
    let mut body = live(1).encode().unwrap();
    assert!(verify(&head(1).key(), &forge_bytes(Kind::Head, &body)).is_ok());
    assert_eq!(body[EPOCH], 0);
    body.splice(EPOCH..=EPOCH, [0x80, 0x00]);
    let rejected = verify(&head(1).key(), &forge_bytes(Kind::Head, &body));
    assert_eq!(rejected, Err(Rejected::encoding("the body is not encoded canonically")));
}

#[test]
fn a_trailing_byte_is_refused_even_if_it_is_signed() {
    let mut body = live(1).encode().unwrap();
    body.push(0);
    let rejected = verify(&head(1).key(), &forge_bytes(Kind::Head, &body));
    assert_eq!(rejected, Err(Rejected::encoding("bytes follow the body")));
}

#[test]
fn the_frame_of_a_set_is_strict_too() {
    let set = ClaimSet::empty(main_net(), name()).with(claim(1), NOW);
    let bytes = set.to_bytes();
    assert!(verify(&set.key(), &bytes).is_ok());
    let trailing = [&*bytes, &[0]].concat();
    assert_eq!(verify(&set.key(), &trailing), Err(Rejected::encoding("bytes follow the body")));
    let mut overlong = bytes;
    overlong.splice(2..3, [0x81, 0x00]);
    let rejected = Rejected::encoding("the set is not encoded canonically");
    assert_eq!(verify(&set.key(), &overlong), Err(rejected));
}

#[test]
fn an_endless_list_is_refused_before_it_is_allocated() {
    // A page that says it lists 2⁶³ releases, and one that lists more than a page may.
    let start = &page().encode().unwrap()[..EPOCH];
    let endless = [start, &[0xff; 8], &[0x7f], &[0; 100]].concat();
    let malformed = Err(Rejected::encoding("the body does not decode"));
    assert_eq!(verify(&page().key(), &forge_bytes(Kind::Page, &endless)), malformed);
    let too_many = [start, &[101], &[0; 7000]].concat();
    assert_eq!(verify(&page().key(), &forge_bytes(Kind::Page, &too_many)), malformed);
}

#[test]
fn bounds_hold_for_what_others_sign() {
    let digest = Digest::of("x");
    let entry = |n| ReleaseEntry { version: Version::new(n, 0, 0), digest, yanked: false };
    let with = |releases: Vec<ReleaseEntry>, older| {
        let latest = manifest(Version::new(1, 0, 0));
        Head::live(main_net(), peer(1), Revision::new(0, 1), day(), latest, releases, older)
    };
    let mut described = live(1);
    if let HeadState::Live { latest, .. } = &mut described.state {
        latest.description = "\u{0}".into();
    }
    for (head, at) in [
        (with(vec![], None), "releases"),
        (with(vec![entry(1), entry(2)], None), "releases"),
        (with(vec![entry(1), entry(1)], None), "releases"),
        (with(vec![entry(2)], None), "latest.version"),
        (with(vec![entry(1)], Some(PageLink { digest, count: 0 })), "older.count"),
        (with(vec![entry(1)], Some(PageLink { digest, count: 5000 })), "older.count"),
        (described, "description"),
    ] {
        match verify(&super::head(1).key(), &forge(&keypair(1), &head)) {
            Err(Rejected::Bounds(error)) => {
                assert!(matches!(&*error, Error::Invalid { field, .. } if field == at), "{error}");
            }
            other => panic!("{at}: {other:?}"),
        }
        assert!(matches!(
            Signed::sign(&keypair(1), head),
            Err(Error::Invalid { field, .. }) if field == at
        ));
    }
}

#[test]
fn a_package_does_not_depend_on_itself_by_its_owner() {
    let itself = Dependency::new(name(), semver::VersionReq::STAR);
    let manifest = manifest(Version::new(1, 0, 0));
    let others = manifest.clone().with_dependency(itself.clone().with_owner(peer(2)));
    Signed::sign(&keypair(1), Release::new(main_net(), peer(1), others)).unwrap();
    let own = manifest.with_dependency(itself.with_owner(peer(1)));
    let error = Signed::sign(&keypair(1), Release::new(main_net(), peer(1), own)).unwrap_err();
    assert!(matches!(error, Error::Invalid { field, .. } if field == "dependencies[1]"));
}

#[test]
fn a_manifest_too_large_for_a_record_is_told_its_size() {
    let big = (0..50).fold(manifest(Version::new(1, 0, 0)), |manifest, n| {
        let requirement = format!("={n}.0.0-{}", "x".repeat(110)).parse().unwrap();
        manifest.with_dependency(Dependency::new(format!("d{n}").parse().unwrap(), requirement))
    });
    big.validate().unwrap();
    let (size, max) = (manifest_bytes(&big).unwrap(), MAX_MANIFEST_BYTES);
    let expected = Error::TooLarge { what: "manifest".into(), size, max };
    assert_eq!(Signed::sign(&keypair(1), Release::new(main_net(), peer(1), big)), Err(expected));
}

#[test]
fn ext_is_signed_and_bounded() {
    let mut head = live(1);
    head.ext = vec![7; MAX_EXT_BYTES];
    let signed = Signed::sign(&keypair(1), head.clone()).unwrap();
    let Ok(Record::Head(read)) = verify(&signed.key(), signed.bytes()) else { panic!() };
    assert_eq!(read.ext, vec![7; MAX_EXT_BYTES]);
    head.ext.push(7);
    assert!(Signed::sign(&keypair(1), head.clone()).is_err());
    assert!(verify(&signed.key(), &forge(&keypair(1), &head)).is_err());
}

#[test]
fn a_key_that_anybody_can_sign_with_is_refused() {
    // With a key of small order, the neutral point as R and 0 as S are a signature of every message
    // whose hash is a multiple of the order: of one in eight at least.
    let mut signature = [0; 64];
    signature[0] = 1;
    for y in signature::WEAK_Y {
        let key = ed25519::PublicKey::try_from_bytes(&y).unwrap();
        let messages = (0..500_u16).map(u16::to_be_bytes);
        assert!(
            messages.clone().any(|message| key.verify(&message, &signature)),
            "{y:?} is not weak"
        );
        for sign in [0, 0x80] {
            let mut key = y;
            key[31] |= sign;
            assert_eq!(with_signer(key), Err(Rejected::Signer));
        }
    }
    // 2²⁵⁵ - 18 is another way to write 1.
    let mut not_canonical = [0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xee, 0x7f);
    assert_eq!(with_signer(not_canonical), Err(Rejected::Signer));
}

/// A head whose owner is this key, with some signature.
fn with_signer(key: [u8; 32]) -> Result<Record, Rejected> {
    let mut head = live(1);
    head.owner = crate::package::owner_from_key(&key).unwrap();
    let mut bytes = forge(&keypair(1), &head);
    bytes[2..34].copy_from_slice(&key);
    verify(&RecordKey::head(&main_net(), &head.owner, &name()), &bytes)
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_calmly(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for (key, _) in stored() {
            prop_assert!(verify(&key, &bytes).is_err());
        }
        for kind in [1, 2, 3, 4, 5, 0x40] {
            let framed = [&[1, kind], &*bytes].concat();
            let _ = Record::claimed_key(&framed);
            prop_assert!(verify(&head(1).key(), &framed).is_err());
            prop_assert!(Signed::verify_message(&main_net(), &framed, NOW).is_err());
        }
    }

    #[test]
    fn a_body_with_any_tail_is_read_as_it_was_written_or_not_at_all(
        tail in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        // Past the common start, so that more than the first field is tried.
        let start = &live(1).encode().unwrap()[..EPOCH];
        let body = [start, &tail].concat();
        for kind in [Kind::Head, Kind::Release, Kind::Page] {
            let bytes = forge_bytes(kind, &body);
            if let Ok(key) = Record::claimed_key(&bytes)
                && let Ok(record) = verify(&key, &bytes)
            {
                prop_assert_eq!(&*record.to_bytes(), &*bytes);
            }
        }
    }

    #[test]
    fn any_manifest_reads_as_it_was_written(manifest in any_manifest(), mut ext in any::<[u8; 9]>()) {
        // What begins with a 1 is a delegation, and these are none.
        ext[0] |= 2;
        let mut release = Release::new(main_net(), peer(1), manifest);
        release.ext = ext.to_vec();
        let signed = Signed::sign(&keypair(1), release.clone()).unwrap();
        let Ok(Record::Release(read)) = verify(&signed.key(), signed.bytes()) else {
            return Err(TestCaseError::fail("not verified"));
        };
        prop_assert_eq!(read.body(), &release);
        let json = serde_json::to_string(&release.manifest).unwrap();
        prop_assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), release.manifest);
    }

    #[test]
    fn any_message_reads_as_it_was_written(
        topic in "[ -~é]{1,60}", nonce: u64, age in 0..600_u64,
        data in proptest::collection::vec(any::<u8>(), 0..6144),
    ) {
        let message = Message::new(main_net(), peer(1), topic, nonce, NOW - age, data);
        let signed = Signed::sign(&keypair(1), message.clone()).unwrap();
        let read = Signed::verify_message(&main_net(), signed.bytes(), NOW);
        prop_assert_eq!(read.map(|read| read.body().clone()), Ok(message));
    }
}
