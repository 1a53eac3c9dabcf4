//! Each check, by what it keeps out.

use super::*;

#[test]
fn what_is_signed_is_verified_and_reads_the_same() {
    let Ok(Record::Head(read)) = verify(&head(3).key(), head(3).bytes()) else { panic!() };
    assert_eq!(read, head(3));
    assert_eq!(read.body(), &live(3));
    assert_eq!(read.digest(), head(3).digest());
    let Ok(Record::Release(read)) = verify(&release().key(), release().bytes()) else { panic!() };
    assert_eq!(read.body(), release().body());
    assert!(ReleaseEntry::of(&release()).is_of(&read));
    let Ok(Record::Page(read)) = verify(&page().key(), page().bytes()) else { panic!() };
    assert_eq!(read.body(), page().body());
    let read = Signed::verify_message(&main_net(), message().bytes(), NOW).unwrap();
    assert_eq!(read.body(), message().body());
    let read = Signed::verify_claim(&main_net(), claim(1).bytes(), NOW, ()).unwrap();
    assert_eq!((read.body(), read.owner()), (claim(1).body(), &peer(1)));
    for (key, bytes) in stored() {
        let record = verify(&key, &bytes).unwrap();
        assert_eq!((record.key(), &*record.to_bytes()), (key, &*bytes));
        assert_eq!(Record::claimed_key(&bytes), Ok(key));
    }
}

#[test]
fn a_record_of_another_network_means_nothing() {
    let other: NetworkName = "test".parse().unwrap();
    for (key, bytes) in stored() {
        let verified = Record::verify(&other, &key, &bytes, NOW, ());
        assert_eq!(verified, Err(Rejected::Network));
    }
    assert_eq!(Signed::verify_message(&other, message().bytes(), NOW), Err(Rejected::Network));

    // One who rewrites the network in the body, but has only the signature for the other, fails.
    let mut head = live(1);
    head.network = "prod".parse().unwrap();
    let mut bytes = Signed::sign(&keypair(1), head).unwrap().bytes().to_vec();
    bytes[35..39].copy_from_slice(b"main");
    assert_eq!(verify(&super::head(1).key(), &bytes), Err(Rejected::Signature));
}

#[test]
fn a_record_under_another_key_is_refused() {
    let elsewhere = [
        RecordKey::head(&main_net(), &peer(2), &name()),
        RecordKey::head(&main_net(), &peer(1), &"other".parse().unwrap()),
        RecordKey::claims(&main_net(), &"other".parse().unwrap()),
    ];
    for (key, bytes) in stored() {
        for wrong in elsewhere.iter().chain(stored().iter().map(|(key, _)| key)) {
            if *wrong != key {
                assert_eq!(verify(wrong, &bytes), Err(Rejected::Key));
            }
        }
    }
}

#[test]
fn a_claim_or_a_message_is_no_record_by_itself() {
    let key = claim(1).key();
    assert_eq!(verify(&key, claim(1).bytes()), Err(Rejected::Kind { found: 4 }));
    assert_eq!(verify(&key, message().bytes()), Err(Rejected::Kind { found: 5 }));
    let announced = Signed::<Head>::verify_announcement(&main_net(), page().bytes(), NOW, ());
    assert_eq!(announced, Err(Rejected::Kind { found: 3 }));
}

#[test]
fn size_format_and_kind_are_looked_at_first() {
    let key = head(1).key();
    assert_eq!(verify(&key, &[1; 8193]), Err(Rejected::TooLarge { size: 8193 }));
    assert_eq!(verify(&key, &[2; 500]), Err(Rejected::Format { found: 2 }));
    assert_eq!(verify(&key, &[1, 9, 0]), Err(Rejected::Kind { found: 9 }));
    for short in 0..head(1).bytes().len() {
        assert!(verify(&key, &head(1).bytes()[..short]).is_err());
    }
}

#[test]
fn a_record_holds_from_its_issue_until_it_expires() {
    let (issued, expires) = (day().issued, day().expires);
    let at = |now| Record::verify(&main_net(), &head(1).key(), head(1).bytes(), now, ());
    assert!(at(issued).is_ok());
    assert!(at(expires - 1).is_ok());
    assert_eq!(at(expires), Err(Rejected::Expired { expires, now: expires }));
    assert!(at(issued - MAX_CLOCK_SKEW_SECS).is_ok(), "clocks differ");
    let now = issued - MAX_CLOCK_SKEW_SECS - 1;
    assert_eq!(at(now), Err(Rejected::Future { issued, now }));
    let now = 0;
    assert_eq!(at(now), Err(Rejected::Future { issued, now }));
}

#[test]
fn releases_and_pages_do_not_expire() {
    for record in
        [(release().key(), release().bytes().to_vec()), (page().key(), page().bytes().to_vec())]
    {
        let verified = Record::verify(&main_net(), &record.0, &record.1, u64::MAX, ()).unwrap();
        assert_eq!(verified.expires(), None);
    }
}

#[test]
fn a_lifetime_is_neither_empty_nor_too_long() {
    for (issued, expires) in
        [(NOW, NOW), (NOW, NOW - 1), (NOW, NOW + MAX_LIFETIME_SECS + 1), (0, u64::MAX)]
    {
        let mut head = live(1);
        head.validity = Validity { issued, expires };
        let verified = verify(&super::head(1).key(), &forge(&keypair(1), &head));
        assert_eq!(verified, Err(Rejected::Lifetime { issued, expires }));
        let error = Signed::sign(&keypair(1), head).unwrap_err();
        assert!(error.to_string().starts_with("invalid expires"), "{error}");
    }
    let mut head = live(1);
    head.validity = Validity::starting(NOW, MAX_LIFETIME_SECS);
    Signed::sign(&keypair(1), head).unwrap();
}

#[test]
fn a_head_below_what_has_been_seen_is_stale() {
    let known = Revision::new(0, 5);
    let seen = seen_by(|kind, owner, package| {
        assert_eq!((kind, *owner, package.clone()), (Kind::Head, peer(1), name()));
        Some(known)
    });
    let at = |sequence| {
        let head = head(sequence);
        Record::verify(&main_net(), &head.key(), head.bytes(), NOW, &seen)
    };
    assert_eq!(
        at(4),
        Err(Rejected::Stale { known: known.into(), found: Revision::new(0, 4).into() })
    );
    assert!(at(5).is_ok(), "the very one that has been seen");
    assert!(at(6).is_ok());
    let epoch = withdrawn();
    assert!(Record::verify(&main_net(), &epoch.key(), epoch.bytes(), NOW, &seen).is_ok());
    let announced = |sequence| {
        let head = head(sequence);
        Signed::<Head>::verify_announcement(&main_net(), head.bytes(), NOW, &seen)
    };
    assert!(matches!(announced(4), Err(Rejected::Stale { .. })));
    assert_eq!(announced(6), Ok(head(6)));
}

#[test]
fn only_the_owner_signs() {
    let stolen = forge(&keypair(2), &live(1));
    assert_eq!(verify(&head(1).key(), &stolen), Err(Rejected::Signer));
    // The owner's key put in place of the thief's does not help.
    let mut stolen = stolen;
    stolen[2..34].copy_from_slice(&head(1).bytes()[2..34]);
    assert_eq!(verify(&head(1).key(), &stolen), Err(Rejected::Signature));
    assert!(matches!(
        Signed::sign(&keypair(2), live(1)),
        Err(crate::error::Error::Invalid { field, .. }) if field == "owner"
    ));
}

#[test]
fn a_message_is_refused_once_it_is_old() {
    let at = |now| Signed::verify_message(&main_net(), message().bytes(), now);
    assert!(at(NOW - 300).is_ok() && at(NOW + 599).is_ok());
    assert_eq!(at(NOW + 600), Err(Rejected::Expired { expires: NOW + 600, now: NOW + 600 }));
    assert_eq!(at(NOW - 301), Err(Rejected::Future { issued: NOW, now: NOW - 301 }));
}

#[test]
fn what_time_brings_about_is_nobodys_fault() {
    assert!(Rejected::Expired { expires: 1, now: 2 }.is_excusable());
    assert!(!Rejected::Signature.is_excusable());
}

#[test]
fn a_key_has_one_spelling() {
    let key = head(1).key();
    assert_eq!(key.as_str().len(), 47);
    assert!(key.as_str().starts_with("/pg/"));
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(RecordKey::try_from(key.as_bytes()), Ok(key));
    assert_eq!(
        serde_json::from_str::<RecordKey>(&serde_json::to_string(&key).unwrap()).unwrap(),
        key
    );
    let other = |text: String| RecordKey::try_from(text.as_bytes());
    assert_eq!(other(format!("{key}A")), Err(Rejected::NotOurs));
    assert_eq!(other(key.as_str().replace("/pg/", "/pk/")), Err(Rejected::NotOurs));
    assert_eq!(other(format!("/pg/{}", "=".repeat(43))), Err(Rejected::NotOurs));
    // The last character carries four bits of the hash: the two below them must be zero.
    assert_eq!(other(format!("/pg/{}B", "A".repeat(42))), Err(Rejected::NotOurs));
    assert!("nonsense".parse::<RecordKey>().is_err());
}

#[test]
fn a_network_has_a_plain_name() {
    for bad in ["", "Main", "a_b", &"n".repeat(33)] {
        assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
    }
    assert_eq!("n".repeat(32).parse::<NetworkName>().unwrap().as_str(), "n".repeat(32));
    assert_eq!(NetworkName::default().to_string(), "main");
}

#[test]
fn the_newer_head_is_selected_wherever_it_stands() {
    assert_eq!(select(&head(2), &head(1)), Selection::Left);
    assert_eq!(select(&head(1), &head(2)), Selection::Right);
    assert_eq!(select(&head(99), &withdrawn()), Selection::Right, "the epoch comes first");
    assert_eq!(select(&head(1), &head(1)), Selection::Same);
    let next = head(1).renewed(Validity::starting(NOW + 9, 60)).unwrap();
    assert_eq!(select(&head(1), &Signed::sign(&keypair(1), next).unwrap()), Selection::Right);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn selection_does_not_depend_on_order(a in 0..3_u64, b in 0..3_u64, x in 1..3_u64, y in 1..3_u64) {
        let head = |sequence, hours| {
            let mut head = live(sequence);
            head.validity = Validity::starting(NOW, hours * 3600);
            Signed::sign(&keypair(1), head).unwrap()
        };
        let (left, right) = (head(a, x), head(b, y));
        let kept = |selection, left: &Signed<Head>, right: &Signed<Head>| match selection {
            Selection::Left | Selection::Same => left.digest(),
            Selection::Right => right.digest(),
            Selection::Equivocation { keep: Side::Left } => left.digest(),
            Selection::Equivocation { keep: Side::Right } => right.digest(),
        };
        let forth = select(&left, &right);
        let back = select(&right, &left);
        prop_assert_eq!(kept(forth, &left, &right), kept(back, &right, &left));
        let equivocates = matches!(forth, Selection::Equivocation { .. });
        prop_assert_eq!(equivocates, a == b && x != y);
        prop_assert_eq!(equivocates, matches!(back, Selection::Equivocation { .. }));
    }
}
