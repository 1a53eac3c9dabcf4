//! What peers put by way of the DHT, and what it costs them.

use libp2p::PeerId;

use super::{
    Hearing, MAX_REFUSALS, Refused, SharedStore, Speaker, Store, StoreFact, quota::Account,
    rates::cost,
};
use crate::{
    record::{ClaimSet, Kind, RecordKey, Rejected},
    refusal::Refusal,
};

/// The least that a claim has in a set, in bytes: an envelope of 98, keys, revision and times.
const MIN_CLAIM_BYTES: usize = 150;

impl SharedStore {
    /// A peer asks something. What it meets with.
    pub(crate) fn request(&self, peer: PeerId) -> Hearing {
        let mut store = self.lock();
        let now = store.mono;
        store.rates.hear(now, peer)
    }

    /// What a peer asks is about to be carried out, on its account.
    pub(crate) fn speak(&self, peer: PeerId) {
        self.lock().speaker = Some(Speaker::Peer(peer, Account::of(&peer)));
    }

    /// A peer asks something, which is about to be carried out.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn hear(&self, peer: PeerId) -> Hearing {
        self.speak(peer);
        self.request(peer)
    }

    /// A peer has asked for something that costs so many requests. What it meets with.
    pub(crate) fn charge(&self, peer: PeerId, requests: u32) -> Hearing {
        let mut store = self.lock();
        let now = store.mono;
        store.rates.charge(now, peer, requests);
        store.rates.hearing(now, &peer)
    }

    /// It has been carried out.
    pub(crate) fn fall_silent(&self) {
        self.lock().speaker = None;
    }

    /// Whether whoever speaks is served. This node itself always is.
    pub(crate) fn serves(&self) -> bool {
        let store = self.lock();
        let hearing = store.speaking().map(|peer| store.rates.hearing(store.mono, &peer));
        hearing.is_none_or(|hearing| hearing == Hearing::Served)
    }

    /// Takes in a record under a key as it is on the wire, on the account of whoever speaks.
    pub(crate) fn offer(&self, key: &[u8], bytes: &[u8]) -> Result<(), Refused> {
        let outcome = self.offered(key, bytes);
        let mut store = self.lock();
        // What this node stores for itself is no peer's doing.
        if let Some(peer) = store.speaking() {
            match &outcome {
                Ok(()) => store.counters.stored += 1,
                Err(refused) => {
                    tracing::debug!(%peer, %refused, "record refused");
                    store.counters.refused += 1;
                }
            }
            if let Ok(key) = RecordKey::try_from(key) {
                store.remember_outcome(peer, key, outcome.as_ref().err());
            }
        }
        outcome
    }

    /// Why the last record that a peer has put under a key was refused, if it was, and not long ago.
    pub(crate) fn refusal(&self, peer: &PeerId, key: &RecordKey) -> Option<Refusal> {
        let store = self.lock();
        store.reasons.why(store.mono, peer, key)
    }

    fn offered(&self, key: &[u8], bytes: &[u8]) -> Result<(), Refused> {
        if !self.serves() {
            return Err(Refused::Rate);
        }
        let Ok(key) = RecordKey::try_from(key) else {
            return self.account_for(bytes, Err(Refused::NotOurs));
        };
        if self.holds(&key, bytes) {
            // Taken note of without any check: it costs no more than a message.
            return self.insert(&key, bytes);
        }
        let outcome = self.insert(&key, bytes);
        self.account_for(bytes, outcome)
    }

    fn account_for(&self, bytes: &[u8], outcome: Result<(), Refused>) -> Result<(), Refused> {
        self.lock().account_for(bytes, outcome.as_ref().err());
        outcome
    }
}

impl Store {
    fn remember_outcome(&mut self, peer: PeerId, key: RecordKey, refused: Option<&Refused>) {
        match refused {
            Some(refused) => self.reasons.note(self.mono, peer, key, refused.reason()),
            None => self.reasons.forget(&peer, &key),
        }
    }

    /// Whoever speaks pays for what its record has cost, and is remembered for what it was.
    fn account_for(&mut self, bytes: &[u8], refused: Option<&Refused>) {
        let Some(peer) = self.speaking() else { return };
        let excusable = refused.is_none_or(Refused::is_excusable);
        let cost = match refused {
            // Time and revision are looked at before any signature.
            Some(Refused::Rejected(rejected)) if rejected.is_excusable() => cost::CHECK,
            _ if excusable => cost::CHECK.saturating_mul(checks(bytes)),
            _ => cost::BAD_CHECK.saturating_mul(checks(bytes)),
        };
        self.rates.charge(self.mono, peer, cost);
        if refused.is_some() {
            self.note_refusal(peer, excusable);
        }
    }

    /// Refusals of one peer are one fact until the engine has learned of them.
    fn note_refusal(&mut self, peer: PeerId, excusable: bool) {
        for fact in &mut self.refusals {
            if let StoreFact::Refused { peer: known, excusable: kind, times } = fact
                && *known == peer
                && *kind == excusable
            {
                *times = times.saturating_add(1);
                return;
            }
        }
        if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push_back(StoreFact::Refused { peer, excusable, times: 1 });
        }
    }
}

impl Refused {
    /// Whether another clock would not have refused it.
    pub(crate) fn is_untimely(&self) -> bool {
        matches!(self, Self::Rejected(Rejected::Future { .. } | Rejected::Expired { .. }))
    }

    /// Whether an honest peer may well put such a record.
    pub(super) fn is_excusable(&self) -> bool {
        match self {
            Self::Older
            | Self::Full
            | Self::Quota
            | Self::PeerQuota
            | Self::Rate
            | Self::Away
            | Self::Withdrawn => true,
            Self::NotOurs => false,
            Self::Rejected(rejected) => rejected.is_excusable(),
        }
    }
}

/// How many signatures a record may have had checked.
fn checks(bytes: &[u8]) -> u32 {
    if bytes.get(1) != Some(&(Kind::ClaimSet as u8)) {
        return 1;
    }
    let claims = bytes.len().div_ceil(MIN_CLAIM_BYTES).min(ClaimSet::MAX_CLAIMS);
    u32::try_from(claims).unwrap_or(u32::MAX)
}
