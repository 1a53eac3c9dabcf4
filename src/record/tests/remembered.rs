//! What a verifier remembers, and what it does not let itself be told.

use super::*;

fn verified(verifier: &mut Verifier, key: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
    verifier.verify(&main_net(), key, bytes, NOW, ())
}

fn claims(seeds: impl IntoIterator<Item = u8>) -> ClaimSet {
    let empty = ClaimSet::empty(main_net(), name());
    seeds.into_iter().fold(empty, |set, seed| set.with(claim(seed), NOW))
}

#[test]
fn the_same_bytes_are_not_verified_twice() {
    let mut verifier = Verifier::default();
    for _ in 0..3 {
        for (key, bytes) in stored() {
            assert_eq!(verified(&mut verifier, &key, &bytes), verify(&key, &bytes));
        }
        let read = verifier.verify_message(&main_net(), message().bytes(), NOW);
        assert_eq!(read, Ok(message()));
        let read = verifier.verify_announcement(&main_net(), head(1).bytes(), NOW, ());
        assert_eq!(read, Ok(head(1)));
        let read = verifier.verify_claim(&main_net(), claim(1).bytes(), NOW, ());
        assert_eq!(read, Ok(claim(1)));
    }
    assert_eq!(verifier.signatures_verified(), 6, "a claim is the same in a set and outside");
}

#[test]
fn a_set_with_one_more_claim_costs_one_signature() {
    let mut verifier = Verifier::default();
    let set = claims(1..=ClaimSet::MAX_CLAIMS as u8 - 1);
    verified(&mut verifier, &set.key(), &set.to_bytes()).unwrap();
    assert_eq!(verifier.signatures_verified(), 23);
    let more = set.with(claim(100), NOW);
    let read = verified(&mut verifier, &more.key(), &more.to_bytes());
    assert_eq!(read, Ok(Record::Claims { set: more, dropped: 0 }));
    assert_eq!(verifier.signatures_verified(), 24);
}

#[test]
fn an_owner_s_delegation_is_verified_once() {
    let delegation = Delegation::sign(&keypair(1), &main_net(), peer(2), 0, day()).unwrap();
    let mut verifier = Verifier::default();
    for sequence in 0..5 {
        let mut head = live(sequence);
        head.ext = delegation.to_ext();
        let head = Signed::sign(&keypair(2), head).unwrap();
        verified(&mut verifier, &head.key(), head.bytes()).unwrap();
    }
    assert_eq!(verifier.signatures_verified(), 5 + 1);
    // For another publisher it is another one.
    let mut head = live(9);
    head.ext = delegation.to_ext();
    let stolen = forge(&keypair(3), &head);
    let read = verified(&mut verifier, &super::head(1).key(), &stolen);
    assert_eq!(read, Err(Rejected::Signature));
}

#[test]
fn only_the_signature_is_remembered() {
    let (mut verifier, head) = (Verifier::default(), head(5));
    let expires = head.validity.expires;
    let known = Revision::new(0, 6);
    let newer = SeenBy(|_, _: &PeerId, _: &PackageName| Some(known), 0);
    verified(&mut verifier, &head.key(), head.bytes()).unwrap();
    verifier.verify_announcement(&main_net(), head.bytes(), NOW, ()).unwrap();

    let stale = Rejected::Stale { known: known.into(), found: head.rank() };
    let late = Rejected::Expired { expires, now: expires };
    let other: NetworkName = "other".parse().unwrap();
    let key = head.key();
    assert_eq!(verifier.verify(&main_net(), &key, head.bytes(), NOW, &newer), Err(stale.clone()));
    assert_eq!(verifier.verify(&main_net(), &key, head.bytes(), expires, ()), Err(late.clone()));
    assert_eq!(verifier.verify(&other, &key, head.bytes(), NOW, ()), Err(Rejected::Network));
    let elsewhere = claims([1]).key();
    assert_eq!(verified(&mut verifier, &elsewhere, head.bytes()), Err(Rejected::Key));

    let announced = |verifier: &mut Verifier, network: &NetworkName, now, seen: &dyn Seen| {
        verifier.verify_announcement(network, head.bytes(), now, seen)
    };
    assert_eq!(announced(&mut verifier, &main_net(), NOW, &newer), Err(stale));
    assert_eq!(announced(&mut verifier, &main_net(), expires, &()), Err(late));
    assert_eq!(announced(&mut verifier, &other, NOW, &()), Err(Rejected::Network));
    assert_eq!(announced(&mut verifier, &main_net(), NOW, &()), Ok(head.clone()));
}

#[test]
fn a_revocation_holds_for_what_was_verified_before_it() {
    let delegation = Delegation::sign(&keypair(1), &main_net(), peer(2), 1, day()).unwrap();
    let mut head = live(1);
    (head.revision.epoch, head.ext) = (1, delegation.to_ext());
    let head = Signed::sign(&keypair(2), head).unwrap();
    let mut verifier = Verifier::default();
    verifier.verify_announcement(&main_net(), head.bytes(), NOW, ()).unwrap();
    verified(&mut verifier, &head.key(), head.bytes()).unwrap();
    let rotated = SeenBy(|_, _: &PeerId, _: &PackageName| None, 2);
    let revoked = Rejected::Revoked { epoch: 1, floor: 2 };
    let read = verifier.verify_announcement(&main_net(), head.bytes(), NOW, &rotated);
    assert_eq!(read, Err(revoked.clone()));
    let read = verifier.verify(&main_net(), &head.key(), head.bytes(), NOW, &rotated);
    assert_eq!(read, Err(revoked));
}

#[test]
fn what_has_failed_is_looked_at_anew() {
    let mut verifier = Verifier::default();
    let mut forged = head(1).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for times in 1..4 {
        let read = verified(&mut verifier, &head(1).key(), &forged);
        assert_eq!(read, Err(Rejected::Signature));
        let read = verifier.verify_announcement(&main_net(), &forged, NOW, ());
        assert_eq!(read, Err(Rejected::Signature));
        assert_eq!(verifier.signatures_verified(), 2 * times);
        assert!(verifier.is_empty());
    }
}

#[test]
fn a_good_signature_is_not_lent_to_other_bytes() {
    let mut verifier = Verifier::default();
    let good = head(1);
    verified(&mut verifier, &good.key(), good.bytes()).unwrap();
    verifier.verify_announcement(&main_net(), good.bytes(), NOW, ()).unwrap();
    // Another body before the signature that is remembered; the body that is remembered, as another signer's.
    let other =
        [&good.bytes()[..34], &live(2).encode().unwrap(), &good.bytes()[good.bytes().len() - 64..]];
    let read = verified(&mut verifier, &good.key(), &other.concat());
    assert_eq!(read, Err(Rejected::Signature));
    let read = verifier.verify_announcement(&main_net(), &other.concat(), NOW, ());
    assert_eq!(read, Err(Rejected::Signature));
    let mut stolen = good.bytes().to_vec();
    stolen[2..34].copy_from_slice(&crate::package::owner_key(&peer(2)).unwrap());
    let read = verifier.verify_announcement(&main_net(), &stolen, NOW, ());
    assert_eq!(read, Err(Rejected::Signer));
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let mut verifier = Verifier::new(4);
    let heads: Vec<_> = (0..9).map(head).collect();
    for head in &heads {
        verified(&mut verifier, &head.key(), head.bytes()).unwrap();
        verifier.verify_announcement(&main_net(), head.bytes(), NOW, ()).unwrap();
        assert!(verifier.len() <= 4);
    }
    let before = verifier.signatures_verified();
    assert_eq!(before, 9);
    for head in heads.iter().rev().take(4) {
        verified(&mut verifier, &head.key(), head.bytes()).unwrap();
    }
    assert_eq!(verifier.signatures_verified(), before);
    verified(&mut verifier, &heads[0].key(), heads[0].bytes()).unwrap();
    assert_eq!(verifier.signatures_verified(), before + 1);

    let mut forgetful = Verifier::new(0);
    for _ in 0..3 {
        forgetful.verify_announcement(&main_net(), head(1).bytes(), NOW, ()).unwrap();
    }
    assert_eq!((forgetful.len(), forgetful.signatures_verified()), (0, 3));
}

/// One of each kind, delegated ones among them.
fn all() -> Vec<Vec<u8>> {
    let delegation = Delegation::sign(&keypair(1), &main_net(), peer(2), 0, day()).unwrap();
    let mut delegated = live(4);
    delegated.ext = delegation.to_ext();
    let delegated = Signed::sign(&keypair(2), delegated).unwrap();
    let stored = stored().into_iter().map(|(_, bytes)| bytes);
    stored
        .chain([delegated.bytes().to_vec(), claim(2).bytes().to_vec(), message().bytes().to_vec()])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_verifier_that_remembers_everything_judges_as_one_that_remembers_nothing(
        from in 0..8_usize, into in 0..8_usize, cut in 0..600_usize, length in 0..200_usize,
        flip in proptest::option::of(0..4000_usize), late: bool,
    ) {
        let all = all();
        let mut verifier = Verifier::default();
        let keys: Vec<RecordKey> = stored().into_iter().map(|(key, _)| key).collect();
        let judge = |verifier: &mut Verifier, bytes: &[u8], now| {
            for key in &keys {
                let fresh = Record::verify(&main_net(), key, bytes, now, ());
                prop_assert_eq!(verifier.verify(&main_net(), key, bytes, now, ()), fresh);
            }
            let fresh = Signed::<Head>::verify_announcement(&main_net(), bytes, now, ());
            prop_assert_eq!(verifier.verify_announcement(&main_net(), bytes, now, ()), fresh);
            let fresh = Signed::verify_claim(&main_net(), bytes, now, ());
            prop_assert_eq!(verifier.verify_claim(&main_net(), bytes, now, ()), fresh);
            let fresh = Signed::verify_message(&main_net(), bytes, now);
            prop_assert_eq!(verifier.verify_message(&main_net(), bytes, now), fresh);
            Ok(())
        };
        for bytes in &all {
            judge(&mut verifier, bytes, NOW)?;
        }
        // A part of one in the place of as much of another, and maybe one bit more.
        let mut mixed = all[into].clone();
        let (from, at) = (&all[from], cut % mixed.len());
        let end = (at + length).min(mixed.len());
        let part = &from[cut % from.len()..(cut % from.len() + length).min(from.len())];
        mixed.splice(at..end, part.iter().copied());
        if let Some(bit) = flip && bit / 8 < mixed.len() {
            mixed[bit / 8] ^= 1 << (bit % 8);
        }
        judge(&mut verifier, &mixed, if late { NOW + 90_000 } else { NOW })?;
    }
}
