//! The proof that an owner has signed two histories.

use data_encoding::BASE64URL_NOPAD;

use super::*;

/// A head of this sequence that holds for so many hours, which makes it another one.
fn lasting(sequence: u64, hours: u64) -> Signed<Head> {
    let mut head = live(sequence);
    head.validity = Validity::starting(NOW, hours * 3600);
    Signed::sign(&keypair(1), head).unwrap()
}

fn proof() -> EquivocationProof {
    EquivocationProof::new(&lasting(5, 1), &lasting(5, 2)).unwrap()
}

fn framed(lower: &[u8], higher: &[u8]) -> Vec<u8> {
    [&[FORMAT, 0x41], &*codec::encode(&(lower, higher)).unwrap()].concat()
}

#[test]
fn two_heads_of_one_revision_are_a_proof_for_anybody_at_any_time() {
    let proof = proof();
    assert_eq!(proof, EquivocationProof::new(&lasting(5, 2), &lasting(5, 1)).unwrap());
    assert_eq!((proof.owner(), proof.name()), (&peer(1), &name()));
    assert_eq!(proof.revision(), Revision::new(0, 5));
    assert!(proof.kept().digest() < proof.dropped().digest());
    // Both have long expired.
    let read = EquivocationProof::verify(&main_net(), &proof.to_bytes());
    assert_eq!(read, Ok(proof.clone()));
    assert_eq!(read.unwrap().to_bytes(), proof.to_bytes());
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<EquivocationProof>(&json).unwrap(), proof);
}

/// A tombstone of this sequence that holds for so many hours.
fn ending(sequence: u64, hours: u64) -> Signed<Head> {
    let validity = Validity::starting(NOW, hours * 3600);
    let revision = Revision::new(0, sequence);
    let head = Head::withdrawn(main_net(), peer(1), name(), revision, validity, "");
    Signed::sign(&keypair(1), head).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_proof_keeps_what_selection_keeps_in_either_order(
        x in 1..8_u64, y in 1..8_u64, x_ends: bool, y_ends: bool,
    ) {
        let head = |hours, ends| if ends { ending(5, hours) } else { lasting(5, hours) };
        let (left, right) = (head(x, x_ends), head(y, y_ends));
        prop_assume!(left.digest() != right.digest());
        for (left, right) in [(&left, &right), (&right, &left)] {
            let (kept, dropped) = match select(left, right) {
                Selection::Equivocation { keep: Side::Left } => (left, right),
                Selection::Equivocation { keep: Side::Right } => (right, left),
                other => panic!("{other:?}"),
            };
            let proof = EquivocationProof::new(left, right).unwrap();
            prop_assert_eq!((proof.kept(), proof.dropped()), (kept, dropped));
            let read = EquivocationProof::verify(&main_net(), &proof.to_bytes()).unwrap();
            prop_assert_eq!((read.kept(), read.dropped()), (kept, dropped));
        }
    }
}

#[test]
fn what_is_no_contradiction_proves_nothing() {
    let other_owner = {
        let mut head = live(5);
        head.owner = peer(2);
        Signed::sign(&keypair(2), head).unwrap()
    };
    for (a, b) in [
        (lasting(5, 1), lasting(5, 1)),
        (lasting(5, 1), lasting(6, 2)),
        (lasting(5, 1), other_owner),
    ] {
        assert!(matches!(EquivocationProof::new(&a, &b), Err(Rejected::Proof { .. })));
        for (a, b) in [(&a, &b), (&b, &a)] {
            let read = EquivocationProof::verify(&main_net(), &framed(a.bytes(), b.bytes()));
            assert!(matches!(read, Err(Rejected::Proof { .. })), "{read:?}");
        }
    }
}

#[test]
fn nobody_is_framed() {
    let (kept, dropped) = (proof().kept().clone(), proof().dropped().clone());
    let forged = forge(&keypair(2), dropped.body());
    let read = EquivocationProof::verify(&main_net(), &framed(kept.bytes(), &forged));
    assert_eq!(read, Err(Rejected::Signer));
    let mut forged = dropped.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let read = EquivocationProof::verify(&main_net(), &framed(kept.bytes(), &forged));
    assert_eq!(read, Err(Rejected::Signature));
    let json = serde_json::to_string(&BASE64URL_NOPAD.encode(&framed(kept.bytes(), &forged)));
    assert!(serde_json::from_str::<EquivocationProof>(&json.unwrap()).is_err());
    let other: NetworkName = "other".parse().unwrap();
    let read = EquivocationProof::verify(&other, &proof().to_bytes());
    assert_eq!(read, Err(Rejected::Network));
}

#[test]
fn a_proof_has_one_encoding() {
    let bytes = proof().to_bytes();
    let backwards = framed(proof().dropped().bytes(), proof().kept().bytes());
    let read = EquivocationProof::verify(&main_net(), &backwards);
    assert!(matches!(read, Err(Rejected::Proof { .. })));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(EquivocationProof::verify(&main_net(), &flipped).is_err(), "bit {bit}");
    }
    let trailing = [&*bytes, &[0]].concat();
    let read = EquivocationProof::verify(&main_net(), &trailing);
    assert_eq!(read, Err(Rejected::encoding("bytes follow the body")));
    for short in 0..bytes.len() {
        assert!(EquivocationProof::verify(&main_net(), &bytes[..short]).is_err());
    }
    let endless = vec![1; EquivocationProof::MAX_BYTES + 1];
    let read = EquivocationProof::verify(&main_net(), &endless);
    assert_eq!(read, Err(Rejected::TooLarge { size: endless.len() }));
    assert_eq!(verify(&head(1).key(), &bytes), Err(Rejected::Kind { found: 0x41 }));
}

#[test]
fn what_publishers_sign_is_proof_too_and_only_as_the_owner_has_allowed() {
    let validity = Validity::starting(NOW, 86_400);
    let delegation = Delegation::sign(&keypair(1), &main_net(), peer(2), 7, validity).unwrap();
    let signed = |hours: u64, epoch: u32| {
        let mut head = live(1);
        head.revision.epoch = epoch;
        head.validity = Validity::starting(NOW, hours * 3600);
        head.ext = delegation.to_ext();
        head
    };
    let [a, b] = [1, 2].map(|hours| Signed::sign(&keypair(2), signed(hours, 7)).unwrap());
    let proof = EquivocationProof::new(&a, &b).unwrap();
    let read = EquivocationProof::verify(&main_net(), &proof.to_bytes());
    assert_eq!(read, Ok(proof));

    // In an epoch of its own choice a publisher proves nothing against the owner.
    let mut forged = [1, 2].map(|hours| forge(&keypair(2), &signed(hours, 8)));
    forged.sort_by_key(|bytes| Digest::of(&bytes[34..bytes.len() - 64]));
    let read = EquivocationProof::verify(&main_net(), &framed(&forged[0], &forged[1]));
    assert!(matches!(read, Err(Rejected::Delegation { .. })), "{read:?}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_proof(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let framed = [&[1, 0x41], &*bytes].concat();
        for bytes in [bytes, framed] {
            prop_assert!(EquivocationProof::verify(&main_net(), &bytes).is_err());
        }
    }
}
