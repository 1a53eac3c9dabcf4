//! Sets of claims, which replicas merge.

use std::sync::LazyLock;

use super::*;

/// Key pairs enough to overfill a set.
static KEYPAIRS: LazyLock<Vec<(Keypair, PeerId)>> = LazyLock::new(|| {
    let keypair = |seed| (keypair(seed), peer(seed));
    (1..=40).map(keypair).collect()
});

fn claim_of(who: usize, revision: Revision, status: ClaimStatus, hours: u64) -> Signed<Claim> {
    claim_to(&name(), who, revision, status, hours)
}

fn claim_to(
    name: &PackageName,
    who: usize,
    revision: Revision,
    status: ClaimStatus,
    hours: u64,
) -> Signed<Claim> {
    let (keypair, owner) = &KEYPAIRS[who];
    let validity = Validity::starting(NOW - 3600, hours * 3600);
    let claim = Claim::new(main_net(), *owner, name.clone(), revision, validity, status);
    Signed::sign(keypair, claim).unwrap()
}

/// The name and two that look like it.
fn spellings() -> [PackageName; 3] {
    assert_eq!(name().as_str(), "tiny-http");
    ["tiny-http", "tiny_http", "tiny._http"].map(|name| name.parse().unwrap())
}

fn active(who: usize) -> Signed<Claim> {
    claim_of(who, Revision::new(0, 1), ClaimStatus::Active, 24)
}

fn set_of(claims: impl IntoIterator<Item = Signed<Claim>>) -> ClaimSet {
    let empty = ClaimSet::empty(main_net(), name());
    claims.into_iter().fold(empty, |set, claim| set.with(claim, NOW))
}

fn verified(set: &ClaimSet) -> Result<(ClaimSet, usize), Rejected> {
    match verify(&set.key(), &set.to_bytes())? {
        Record::Claims { set, dropped } => Ok((set, dropped)),
        other => panic!("{other:?}"),
    }
}

/// Frames claims as they come, whatever their order.
fn framed<'a>(claims: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let claims: Vec<&[u8]> = claims.into_iter().collect();
    [&[FORMAT, Kind::ClaimSet as u8], &*codec::encode(&claims).unwrap()].concat()
}

#[test]
fn a_full_set_fits_into_a_record() {
    let network: NetworkName = "n".repeat(32).parse().unwrap();
    let name: PackageName = "p".repeat(64).parse().unwrap();
    let mut set = ClaimSet::empty(network.clone(), name.clone());
    for (keypair, owner) in KEYPAIRS.iter() {
        let revision = Revision::new(1 << 20, 1 << 30);
        let status = ClaimStatus::Active;
        let mut claim = Claim::new(network.clone(), *owner, name.clone(), revision, day(), status);
        while let room = Claim::MAX_BYTES - claim.encode().unwrap().len() - envelope::OVERHEAD
            && room > 0
        {
            claim.ext.extend(vec![0; room]);
        }
        set = set.with(Signed::sign(keypair, claim.clone()).unwrap(), NOW);
        claim.ext.push(0);
        assert!(matches!(Signed::sign(keypair, claim), Err(crate::error::Error::TooLarge { .. })));
    }
    assert_eq!(set.len(), ClaimSet::MAX_CLAIMS);
    assert!(set.to_bytes().len() <= MAX_RECORD_BYTES);
    let read = Record::verify(&network, &set.key(), &set.to_bytes(), NOW, ());
    assert_eq!(read, Ok(Record::Claims { set, dropped: 0 }));
}

#[test]
fn the_owners_who_publish_are_listed() {
    let gone = claim_of(3, Revision::new(0, 2), ClaimStatus::Withdrawn, 24);
    let set = set_of([active(5), gone.clone(), active(1), active(3)]);
    let mut owners = vec![KEYPAIRS[5].1, KEYPAIRS[1].1];
    owners.sort();
    assert_eq!(set.active_owners(&name()), owners);
    assert_eq!(set.of(&KEYPAIRS[3].1, &name()), Some(&gone));
    assert_eq!(set.of(&KEYPAIRS[4].1, &name()), None);
    assert_eq!(verified(&set), Ok((set, 0)));
}

#[test]
fn claims_to_look_alikes_are_found_together_and_told_apart() {
    let [dash, underscore, run] = spellings();
    let claim = |name, who| claim_to(name, who, Revision::new(0, 1), ClaimStatus::Active, 24);
    let set =
        set_of([claim(&dash, 1), claim(&underscore, 1), claim(&underscore, 2), claim(&run, 3)]);
    assert_eq!(set.folded_name(), &dash);
    assert_eq!(set.len(), 4);
    for name in [&dash, &underscore, &run] {
        assert_eq!(RecordKey::claims(&main_net(), name), set.key());
        assert_eq!(
            RecordKey::head(&main_net(), &KEYPAIRS[1].1, name)
                == RecordKey::head(&main_net(), &KEYPAIRS[1].1, &dash),
            *name == dash
        );
    }
    assert_eq!(set.active_owners(&dash), [KEYPAIRS[1].1]);
    let mut both = vec![KEYPAIRS[1].1, KEYPAIRS[2].1];
    both.sort();
    let alike = set.look_alikes(&dash);
    assert_eq!(
        alike.into_iter().collect::<Vec<_>>(),
        [(run, vec![KEYPAIRS[3].1]), (underscore, both)]
    );
    assert_eq!(verified(&set), Ok((set, 0)));
}

#[test]
fn one_bad_claim_does_not_take_the_others_away() {
    let good = set_of([active(1), active(2), active(3)]);
    let mut bad: Vec<Vec<u8>> = good.iter().map(|claim| claim.bytes().to_vec()).collect();
    *bad[1].last_mut().unwrap() ^= 1;
    let bytes = framed(bad.iter().map(|claim| &**claim));
    let Ok(Record::Claims { set, dropped }) = verify(&good.key(), &bytes) else { panic!() };
    assert_eq!((set.len(), dropped), (2, 1));
    assert_eq!(verified(&set), Ok((set.clone(), 0)), "what is stored again has good ones only");

    for claim in &mut bad {
        *claim.last_mut().unwrap() ^= 2;
    }
    let bytes = framed(bad.iter().map(|claim| &**claim));
    assert_eq!(verify(&good.key(), &bytes), Err(Rejected::Signature));
}

#[test]
fn claims_to_another_name_or_from_the_past_are_dropped() {
    let other = Claim::new(
        main_net(),
        KEYPAIRS[2].1,
        "other".parse().unwrap(),
        Revision::new(0, 1),
        day(),
        ClaimStatus::Active,
    );
    let other = Signed::sign(&KEYPAIRS[2].0, other).unwrap();
    let expired = claim_of(3, Revision::new(0, 9), ClaimStatus::Active, 1);
    let set = set_of([active(1)]);
    let bytes = framed([active(1).bytes(), other.bytes(), expired.bytes()].map(|bytes| &**bytes));
    let expected = Record::Claims { set: set.clone(), dropped: 2 };
    assert_eq!(verify(&set.key(), &bytes), Ok(expected));
    assert_eq!(set.clone().with(other, NOW).with(expired, NOW), set);

    let seen = seen_by(|kind, owner, _| {
        assert_eq!(kind, Kind::Claim);
        (*owner == KEYPAIRS[1].1).then_some(Revision::new(0, 2))
    });
    let stale = Record::verify(&main_net(), &set.key(), &set.to_bytes(), NOW, seen);
    assert!(matches!(stale, Err(Rejected::Stale { .. })));
}

#[test]
fn order_and_number_of_claims_are_checked() {
    let set = set_of([active(1), active(2)]);
    let claims: Vec<&[u8]> = set.iter().map(|claim| &**claim.bytes()).collect();
    let backwards = framed(claims.iter().rev().copied());
    assert_eq!(
        verify(&set.key(), &backwards),
        Err(Rejected::encoding("the claims are not in order"))
    );
    let twice = framed([claims[0], claims[0]]);
    assert_eq!(
        verify(&set.key(), &twice),
        Err(Rejected::encoding("an owner has several claims to one name"))
    );
    let none = Err(Rejected::encoding("a set of no claims"));
    assert_eq!(verify(&set.key(), &framed([])), none);
    assert_eq!(verify(&set.key(), &[1, 0x40]), Err(Rejected::encoding("the body does not decode")));
    let many = framed([claims[0]; ClaimSet::MAX_CLAIMS + 1]);
    assert!(verify(&set.key(), &many).is_err());
    assert!(verify(&set.key(), &ClaimSet::empty(main_net(), name()).to_bytes()).is_err());
}

#[test]
fn one_owner_takes_no_more_than_two_places_however_it_spells_the_name() {
    let spelt = |between: &str| format!("tiny{between}http").parse::<PackageName>().unwrap();
    let signs = ["-", "_", "."];
    let pairs = signs.iter().flat_map(|a| signs.iter().map(move |b| format!("{a}{b}")));
    let triples = pairs.clone().flat_map(|pair| signs.iter().map(move |c| format!("{pair}{c}")));
    let between = pairs.chain(triples).take(ClaimSet::MAX_CLAIMS);
    let claim = |name| claim_to(&name, 1, Revision::new(0, 1), ClaimStatus::Active, 24);
    let crowd: Vec<_> = between.map(|between| claim(spelt(&between))).collect();
    assert_eq!(crowd.len(), ClaimSet::MAX_CLAIMS);

    let alone = set_of(crowd.clone());
    assert_eq!(alone.len(), ClaimSet::MAX_SPELLINGS);
    assert_eq!(set_of(crowd.iter().rev().cloned()), alone, "in whatever order");
    let halves = crowd.chunks(12).map(|half| set_of(half.to_vec()));
    assert_eq!(halves.reduce(|a, b| a.merge(&b, NOW)), Some(alone.clone()));
    let honest: Vec<_> = (2..24).map(active).collect();
    let set = set_of(crowd.iter().cloned().chain(honest.iter().cloned()));
    assert_eq!(set.len(), honest.len() + ClaimSet::MAX_SPELLINGS);
    assert_eq!(set.active_owners(&name()).len(), honest.len(), "nobody else is pushed out");

    // Nor is a set believed that has more.
    let mut three: Vec<_> = crowd.iter().take(3).collect();
    three.sort_by_key(|claim| claim.name.clone());
    let bytes = framed(three.into_iter().map(|claim| &**claim.bytes()));
    let refused = Err(Rejected::encoding("an owner claims too many spellings"));
    assert_eq!(verify(&alone.key(), &bytes), refused);
}

/// Somebody, and often one of a few.
fn anybody() -> impl Strategy<Value = usize> {
    prop_oneof![0..40_usize, 0..4_usize]
}

fn any_claim() -> impl Strategy<Value = Signed<Claim>> {
    (anybody(), 0..3_usize, 0..2_u32, 0..2_u64, any::<bool>(), 1..4_u64).prop_map(
        |(who, spelling, epoch, sequence, active, hours)| {
            let status = if active { ClaimStatus::Active } else { ClaimStatus::Withdrawn };
            let name = &spellings()[spelling];
            claim_to(name, who, Revision::new(epoch, sequence), status, hours)
        },
    )
}

fn any_set() -> impl Strategy<Value = ClaimSet> {
    // Enough that two sets together have more claims than fit.
    proptest::collection::vec(any_claim(), 0..36).prop_map(set_of)
}

#[test]
fn a_claim_that_has_expired_takes_nobody_s_place() {
    let status = ClaimStatus::Withdrawn;
    let newest = claim_of(0, Revision::new(1, 0), status, 2);
    let older = claim_of(0, Revision::new(0, 0), status, 2);
    // Of the same revision as the newest, and with whichever digest: both orders of the two must do.
    let expired = claim_of(0, Revision::new(1, 0), status, 1);
    for claims in
        [[&newest, &expired, &older], [&expired, &newest, &older], [&older, &expired, &newest]]
    {
        let set = set_of(claims.into_iter().cloned());
        assert_eq!(set.iter().collect::<Vec<_>>(), [&newest]);
    }
    // One that was valid when the set was made, and is no longer when it is merged.
    let (empty, hour_later) = (ClaimSet::empty(main_net(), name()), NOW + 3600);
    let held = empty.clone().with(claim_of(0, Revision::new(2, 0), status, 2), NOW);
    let merged =
        held.merge(&empty.with(claim_of(0, Revision::new(1, 0), status, 24), NOW), hour_later);
    assert_eq!(
        merged.iter().map(|claim| claim.revision).collect::<Vec<_>>(),
        [Revision::new(1, 0)]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn merging_does_not_depend_on_order(a in any_set(), b in any_set(), c in any_set()) {
        prop_assert_eq!(a.merge(&b, NOW), b.merge(&a, NOW));
        prop_assert_eq!(a.merge(&b, NOW).merge(&c, NOW), a.merge(&b.merge(&c, NOW), NOW));
        prop_assert_eq!(a.merge(&a, NOW), a.clone());
        let merged = a.merge(&b, NOW);
        prop_assert_eq!(merged.merge(&b, NOW), merged.clone());
        prop_assert!(merged.len() <= ClaimSet::MAX_CLAIMS);
        for (_, owner) in KEYPAIRS.iter() {
            let its = merged.iter().filter(|claim| claim.owner == *owner);
            prop_assert!(its.count() <= ClaimSet::MAX_SPELLINGS);
        }
        if !merged.is_empty() {
            prop_assert_eq!(verified(&merged).unwrap(), (merged, 0));
        }
    }

    #[test]
    fn of_one_owners_claims_the_newest_stays(claims in proptest::collection::vec(any_claim(), 1..20)) {
        let set = set_of(claims.clone());
        for claim in set.iter() {
            let newest = claims
                .iter()
                .filter(|other| (other.owner, &other.name) == (claim.owner, &claim.name))
                .filter(|other| !other.validity.is_expired(NOW))
                .map(|other| Claim::rank(other))
                .max();
            prop_assert_eq!(Some(Claim::rank(claim)), newest);
        }
    }
}

#[test]
fn within_an_epoch_the_end_of_a_claim_is_the_end_as_it_is_of_the_head() {
    let live = claim_of(3, Revision::new(1, 9), ClaimStatus::Active, 24);
    let gone = claim_of(3, Revision::new(1, 2), ClaimStatus::Withdrawn, 24);
    let anew = claim_of(3, Revision::new(2, 1), ClaimStatus::Active, 24);
    for claims in [[&live, &gone], [&gone, &live]] {
        assert_eq!(set_of(claims.map(Signed::clone)).of(&KEYPAIRS[3].1, &name()), Some(&gone));
    }
    for claims in [[&anew, &gone, &live], [&live, &gone, &anew]] {
        assert_eq!(set_of(claims.map(Signed::clone)).of(&KEYPAIRS[3].1, &name()), Some(&anew));
    }
}
