//! Sets of claims: as they come, framed by hand around claims of all sorts, and merged.
//!
//! What is accepted is written as the same bytes, less the claims that were dropped. Sets merge to the same in
//! whatever order, keep the best claim of each owner to at most two spellings and nothing that has expired, and always
//! fit into a record.

#![no_main]

use std::{cmp::Reverse, collections::BTreeMap, sync::LazyLock};

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use peerage::record::{
    Claim, ClaimSet, ClaimStatus, MAX_RECORD_BYTES, Record, Revision, Signed, Validity,
};
use peerage_fuzz::{
    KEYPAIRS, NETWORK, NOW, check,
    mutation::{Mutation, mutate},
    sealed::{Sealed, framed, owner_of},
};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Raw(&'a [u8]),
    Framed { claims: Vec<Sealed<'a>>, untidy: bool, mutations: Vec<Mutation<'a>> },
    Merged { sets: [&'a [u8]; 3], now: u16 },
}

/// When the claims that expire early do.
const EARLY: u64 = NOW + 100;

/// Names that look alike.
const SPELLINGS: [&str; 4] = ["the-name", "the_name", "the.name", "the--name"];

/// Claims of each owner to one of two look-alikes, of the first to more than it can have, and of the last one to another
/// name.
static CLAIMS: LazyLock<Vec<Signed<Claim>>> = LazyLock::new(|| {
    let variants = |(name, keypair): (&str, &_)| {
        let owner = libp2p::identity::Keypair::public(keypair).to_peer_id();
        let claim = |sequence, expires, status, ext: &[u8]| {
            let mut claim = Claim::new(
                NETWORK.clone(),
                owner,
                name.parse().expect("a name"),
                Revision::new(0, sequence),
                Validity { issued: NOW - 60, expires },
                status,
            );
            claim.ext = ext.to_vec();
            Signed::sign(keypair, claim).expect("a claim")
        };
        [
            claim(1, NOW + 3600, ClaimStatus::Active, b""),
            claim(2, NOW + 3600, ClaimStatus::Withdrawn, b""),
            claim(2, NOW + 3600, ClaimStatus::Active, b"too"),
            claim(3, EARLY, ClaimStatus::Active, &[0; 170]),
        ]
    };
    let last = KEYPAIRS.len() - 1;
    let each = KEYPAIRS.iter().enumerate().map(|(place, keypair)| match place {
        _ if place == last => ("another", keypair),
        _ => (SPELLINGS[place % 2], keypair),
    });
    let first = SPELLINGS.iter().skip(1).map(|name| (*name, &KEYPAIRS[0]));
    each.chain(first).flat_map(variants).collect()
});

fuzz_target!(|input: Input| {
    match input {
        Input::Raw(bytes) => {
            check::stored(bytes);
        }
        Input::Framed { mut claims, untidy, mutations } => {
            claims.truncate(6);
            if !untidy {
                claims.sort_by_key(owner_of);
                claims.dedup_by_key(|claim| owner_of(claim));
            }
            let claims: Vec<_> = claims.iter().map(Sealed::bytes).collect();
            let mut bytes = framed(&claims);
            mutate(&mut bytes, &mutations);
            if check::stored(&bytes) && mutations.is_empty() {
                counted(&bytes, claims.len());
            }
        }
        Input::Merged { sets, now } => merged(sets, NOW + u64::from(now) % 200),
    }
});

/// Every claim is either good or was dropped.
fn counted(bytes: &[u8], claims: usize) {
    let key = Record::claimed_key(bytes).expect("it was verified");
    let Ok(Record::Claims { set, dropped }) = Record::verify(&NETWORK, &key, bytes, NOW, ()) else {
        panic!("a set verifies as a set, and again");
    };
    assert_eq!(set.len() + dropped, claims);
}

fn set_of<'a>(claims: impl Iterator<Item = &'a Signed<Claim>>, now: u64) -> ClaimSet {
    let empty = ClaimSet::empty(NETWORK.clone(), "the-name".parse().expect("a name"));
    claims.fold(empty, |set, claim| set.with(claim.clone(), now))
}

fn merged(picks: [&[u8]; 3], now: u64) {
    let picked = picks.map(|picks| {
        let claims = picks.iter().take(64).map(|pick| &CLAIMS[usize::from(*pick) % CLAIMS.len()]);
        claims.collect::<Vec<_>>()
    });
    let [a, b, c] = picked.each_ref().map(|claims| set_of(claims.iter().copied(), now));
    let backwards = set_of(picked[0].iter().rev().copied(), now);
    assert_eq!(a, backwards, "in whatever order");
    let ab = a.merge(&b, now);
    assert_eq!(ab, b.merge(&a, now));
    assert_eq!(ab.merge(&c, now), a.merge(&b.merge(&c, now), now));
    assert_eq!(ab.merge(&a, now), ab);
    assert_eq!(ab.merge(&ab, now), ab);
    let later = ab.merge(&ab, EARLY);
    let valid: Vec<_> = ab.iter().filter(|claim| !claim.validity.is_expired(EARLY)).collect();
    assert_eq!(later.iter().collect::<Vec<_>>(), valid, "what has expired goes, and nothing else");

    let mut best = BTreeMap::new();
    for claim in picked.iter().take(2).flatten() {
        if claim.validity.is_expired(now) || claim.name.folded() != *ab.folded_name() {
            continue;
        }
        let rank = (claim.rank(), Reverse(claim.digest()), Reverse(claim.bytes()));
        let best = best.entry((claim.owner, &claim.name)).or_insert((rank.clone(), *claim));
        if best.0 < rank {
            *best = (rank, claim);
        }
    }
    let mut spellings = BTreeMap::new();
    for (owner, _) in best.keys() {
        *spellings.entry(*owner).or_insert(0) += 1;
    }
    let most: usize =
        spellings.values().map(|count: &usize| (*count).min(ClaimSet::MAX_SPELLINGS)).sum();
    assert_eq!(ab.len(), most.min(ClaimSet::MAX_CLAIMS));
    for claim in ab.iter() {
        assert_eq!(best.get(&(claim.owner, &claim.name)).map(|(_, best)| *best), Some(claim));
    }
    let bytes = ab.to_bytes();
    assert!(bytes.len() <= MAX_RECORD_BYTES, "{} bytes", bytes.len());
    // Signatures are slow, and more of them tell nothing new.
    if now == NOW && (1..4).contains(&ab.len()) {
        let read = Record::verify(&NETWORK, &ab.key(), &bytes, now, ());
        assert_eq!(read, Ok(Record::Claims { set: ab, dropped: 0 }));
    }
}
