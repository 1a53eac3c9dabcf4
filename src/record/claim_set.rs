use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
};

use libp2p::PeerId;
use sha2::{Digest as _, Sha256};

use super::{
    checks::Against,
    claim::{Claim, ClaimStatus},
    codec::{self, Bytes, List},
    envelope::Envelope,
    key::RecordKey,
    kind::{Kind, framed},
    limits::MAX_RECORD_BYTES,
    network::NetworkName,
    proven::Proven,
    rejected::Rejected,
    seen::Seen,
    signed::Signed,
    unproven::{Unproven, found},
};
use crate::package::{PackageName, owner_key};

/// The claims to a name and to its [look-alikes](PackageName::folded), for each spelling one an owner, as the DHT holds
/// them under the folded name's key.
///
/// Everyone may add a claim of their own, so replicas merge sets instead of choosing between them.
/// Written down, it is `format u8 = 1 · kind u8 = 0x40 ·` and the list of claims, ordered by their
/// owners' keys and then by name, each with its own envelope.
///
/// A set holds at most 24 claims, and two of one owner. Of more, those with the smallest SHA-256 of the name as it is
/// spelt and the owner's key stay, so that all replicas keep the same. That bounds a set, and one key does not fill it; it
/// does not keep out somebody who makes keys for the purpose. Who relies on a name pins its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimSet {
    network: NetworkName,
    /// Folded.
    name: PackageName,
    /// In the order on the wire.
    claims: BTreeMap<Place, Signed<Claim>>,
}

/// Where a claim stands in a set: by the owner's key, and then by the name as it is spelt.
type Place = ([u8; 32], PackageName);

fn place_of(claim: &Claim) -> Option<Place> {
    Some((owner_key(&claim.owner)?, claim.name.clone()))
}

type ClaimsWire<'a> = List<Bytes<'a, { Claim::MAX_BYTES }>, { ClaimSet::MAX_CLAIMS }>;

impl ClaimSet {
    /// The most claims of a set.
    pub const MAX_CLAIMS: usize = 24;

    /// The most spellings of the name that one owner claims in a set.
    pub const MAX_SPELLINGS: usize = 2;

    /// The set without any claim, for this name and its look-alikes, from which others are built. It cannot be stored.
    #[must_use]
    pub fn empty(network: NetworkName, name: PackageName) -> Self {
        Self { network, name: name.folded(), claims: BTreeMap::new() }
    }

    /// The set with this claim in addition, as [`merge`](Self::merge) has it. `now` is in Unix
    /// seconds.
    #[must_use]
    pub fn with(mut self, claim: Signed<Claim>, now: u64) -> Self {
        self.drop_expired(now);
        if !claim.validity.is_expired(now) {
            self.insert(claim);
        }
        self.settle()
    }

    /// The union of two sets of one folded name. Of each owner's claims to a spelling the one of the higher
    /// [rank](Claim::rank) stays, at the same rank that of the lower digest; claims that have expired at `now` (Unix
    /// seconds) go, and those that are too many. In whatever order sets are merged, the result is the same.
    ///
    /// Claims in `other` to names that are not alike are left out.
    #[must_use]
    pub fn merge(&self, other: &Self, now: u64) -> Self {
        let mut merged = self.clone();
        merged.drop_expired(now);
        for claim in other.claims.values().filter(|claim| !claim.validity.is_expired(now)) {
            merged.insert(claim.clone());
        }
        merged.settle()
    }

    /// Keeps the claim if it belongs here and is better than what its owner has here.
    fn insert(&mut self, claim: Signed<Claim>) {
        if claim.network != self.network || claim.name.folded() != self.name {
            return;
        }
        let Some(place) = place_of(&claim) else { return };
        match self.claims.entry(place) {
            Entry::Vacant(entry) => {
                entry.insert(claim);
            }
            Entry::Occupied(mut entry) => {
                if preference(&claim) > preference(entry.get()) {
                    entry.insert(claim);
                }
            }
        }
    }

    /// What has expired is no longer there, so that it takes nobody's place either: this comes before any
    /// comparison.
    fn drop_expired(&mut self, now: u64) {
        self.claims.retain(|_, claim| !claim.validity.is_expired(now));
    }

    /// Drops what is too much: of each owner's spellings first, and then of all.
    ///
    /// Which claims stay depends on keys and names alone, and a full set of the largest claims fits into
    /// a record: so a claim that drops out of a part would drop out of the whole, too.
    fn settle(mut self) -> Self {
        let places: Vec<&Place> = self.claims.keys().collect();
        // An owner's claims stand together.
        let of_owners = places.chunk_by(|(left, _), (right, _)| left == right);
        let mut going: Vec<Place> =
            of_owners.flat_map(|its| beyond(its, Self::MAX_SPELLINGS)).collect();
        self.claims.retain(|place, _| !going.contains(place));
        let places: Vec<&Place> = self.claims.keys().collect();
        going = beyond(&places, Self::MAX_CLAIMS);
        self.claims.retain(|place, _| !going.contains(place));
        self
    }

    /// Verifies a set from the DHT: the claims that hold, and how many there were besides.
    ///
    /// The frame is strict, and so is the order. A claim that is bad or expired is dropped, lest one
    /// of them take the others away; what is stored again has only good ones.
    pub(super) fn verify(
        asked: &RecordKey,
        bytes: &[u8],
        against: &Against<'_, impl Seen>,
        mut proven: Option<&mut Proven>,
    ) -> Result<(Self, usize), Rejected> {
        let mut claims = Vec::new();
        let mut dropped = 0;
        let mut reason = Rejected::encoding("a set of no claims");
        for envelope in Self::envelopes(bytes)? {
            match found::<Claim>(asked, envelope, against, proven.as_deref_mut()) {
                Ok(claim) => claims.push(claim),
                Err(rejected) => {
                    dropped += 1;
                    reason = rejected;
                }
            }
        }
        let Some(first) = claims.first() else { return Err(reason) };
        if !claims.is_sorted_by_key(|claim| place_of(claim)) {
            return Err(Rejected::encoding("the claims are not in order"));
        }
        let mut set = Self::empty(against.network.clone(), first.name.clone());
        let count = claims.len();
        for claim in claims {
            set.insert(claim);
        }
        if set.len() < count {
            return Err(Rejected::encoding("an owner has several claims to one name"));
        }
        let set = set.settle();
        if set.len() < count {
            return Err(Rejected::encoding("an owner claims too many spellings"));
        }
        Ok((set, dropped))
    }

    /// Reads again a set that was verified before, or made here, and has been kept as bytes since.
    pub(super) fn reopened(bytes: &[u8]) -> Result<Self, Rejected> {
        let mut set: Option<Self> = None;
        for envelope in Self::envelopes(bytes)? {
            let claim = Signed::<Claim>::reopened_alone(&envelope.into())?;
            let empty = || Self::empty(claim.network.clone(), claim.name.clone());
            set.get_or_insert_with(empty).insert(claim.clone());
        }
        set.ok_or(Rejected::encoding("a set of no claims"))
    }

    /// Whether each claim of a set that was verified before carries the signature of this key.
    pub(super) fn is_signed_by(bytes: &[u8], signer: &[u8; 32]) -> bool {
        let envelopes = Self::envelopes(bytes).unwrap_or_default();
        let is_its = |claim: &&[u8]| {
            Envelope::parse(Kind::Claim, claim).is_ok_and(|claim| claim.signer == signer)
        };
        !envelopes.is_empty() && envelopes.iter().all(is_its)
    }

    /// The key that the first claim that decodes belongs under.
    pub(super) fn claimed_key(bytes: &[u8]) -> Result<RecordKey, Rejected> {
        let mut reason = Rejected::encoding("a set of no claims");
        for envelope in Self::envelopes(bytes)? {
            match Unproven::<Claim>::open(envelope) {
                Ok(claim) => {
                    return Ok(RecordKey::claims(&claim.body.network, &claim.body.name));
                }
                Err(rejected) => reason = rejected,
            }
        }
        Err(reason)
    }

    /// When the newest of the claims that decode says that it was issued.
    pub(super) fn claimed_issued(bytes: &[u8]) -> Result<Option<u64>, Rejected> {
        let envelopes = Self::envelopes(bytes)?;
        let claims =
            envelopes.into_iter().filter_map(|envelope| Unproven::<Claim>::open(envelope).ok());
        Ok(claims.map(|claim| claim.body.validity.issued).max())
    }

    /// Takes the frame apart, strictly.
    fn envelopes(bytes: &[u8]) -> Result<Vec<&[u8]>, Rejected> {
        let kind = Kind::of(bytes)?;
        let Some((_, list)) = bytes.split_first_chunk::<2>().filter(|_| kind == Kind::ClaimSet)
        else {
            return Err(kind.misplaced());
        };
        let wire: ClaimsWire<'_> = codec::decode(list)?;
        if !codec::is_encoding_of(&wire, list) {
            return Err(Rejected::encoding("the set is not encoded canonically"));
        }
        Ok(wire.0.into_iter().map(|claim| claim.0).collect())
    }

    /// The set as it is stored and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let claims = self.claims.values().map(|claim| Bytes(claim.bytes())).collect();
        let list: ClaimsWire<'_> = List(claims);
        framed(Kind::ClaimSet as u8, Some(list))
    }

    /// The key of the DHT that it belongs under.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        RecordKey::claims(&self.network, &self.name)
    }

    /// The network that it belongs to.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        &self.network
    }

    /// What the names that are claimed have in common: their [folded](PackageName::folded) form.
    #[must_use]
    pub fn folded_name(&self) -> &PackageName {
        &self.name
    }

    /// The claims, ordered by their owners' keys and then by name.
    pub fn iter(&self) -> impl Iterator<Item = &Signed<Claim>> {
        self.claims.values()
    }

    /// The claims to a name as it is spelt, ordered by their owners' keys.
    pub fn claims_to(&self, name: &PackageName) -> impl Iterator<Item = &Signed<Claim>> {
        self.iter().filter(move |claim| claim.name == *name)
    }

    /// Whether this owner has a claim to the name as it is spelt, and what it says.
    #[must_use]
    pub fn of(&self, owner: &PeerId, name: &PackageName) -> Option<&Signed<Claim>> {
        self.claims.get(&(owner_key(owner)?, name.clone()))
    }

    /// Who publishes under the name as it is spelt, sorted.
    #[must_use]
    pub fn active_owners(&self, name: &PackageName) -> Vec<PeerId> {
        let active = self.claims_to(name).filter(|claim| claim.status == ClaimStatus::Active);
        let mut owners: Vec<PeerId> = active.map(|claim| claim.owner).collect();
        owners.sort_unstable();
        owners
    }

    /// Who publishes under look-alikes of a name, by name: each with its owners, sorted.
    #[must_use]
    pub fn look_alikes(&self, name: &PackageName) -> BTreeMap<PackageName, Vec<PeerId>> {
        let mut alike: BTreeMap<PackageName, Vec<PeerId>> = BTreeMap::new();
        let active = self.iter().filter(|claim| claim.status == ClaimStatus::Active);
        for claim in active.filter(|claim| claim.name != *name) {
            alike.entry(claim.name.clone()).or_default().push(claim.owner);
        }
        alike.values_mut().for_each(|owners| owners.sort_unstable());
        alike
    }

    /// How many claims there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }
}

/// Which of these places are more than so many: those with the largest hashes.
fn beyond(places: &[&Place], most: usize) -> Vec<Place> {
    if places.len() <= most {
        return Vec::new();
    }
    let rank = |(key, name): &Place| -> [u8; 32] {
        Sha256::new().chain_update(name.as_str()).chain_update(key).finalize().into()
    };
    let mut ranked: Vec<_> = places.iter().map(|place| (rank(place), *place)).collect();
    ranked.sort_unstable();
    ranked.into_iter().skip(most).map(|(_, place)| place.clone()).collect()
}

/// What orders the claims of one owner, the highest being kept. An owner can sign one body twice, and
/// differently: then the bytes decide, so that replicas agree to the last one.
fn preference(claim: &Signed<Claim>) -> impl Ord {
    (claim.rank(), Reverse(claim.digest()), Reverse(claim.bytes().clone()))
}

// What makes the merging of sets independent of their order: no set is too large to be written.
const _: () = assert!(
    3 + ClaimSet::MAX_CLAIMS * (2 + Claim::MAX_BYTES) <= MAX_RECORD_BYTES,
    "a full set of the largest claims must fit into a record"
);
