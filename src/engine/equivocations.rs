//! Owners that were found to have signed two histories.

use std::collections::VecDeque;

use super::{Engine, Now};
use crate::{
    Event,
    record::{EquivocationProof, Head, Record, RecordKey, Signed},
};

/// Proofs that are kept: of 16 KiB each at the most.
pub(super) const MAX_PROOFS: usize = 64;

/// The last proofs, oldest first, one of each package and revision.
#[derive(Debug, Default)]
pub(super) struct Equivocations(VecDeque<EquivocationProof>);

impl Equivocations {
    /// Keeps a proof. False if there is one of that package and revision.
    fn insert(&mut self, proof: EquivocationProof) -> bool {
        let of =
            |proof: &EquivocationProof| (*proof.owner(), proof.name().clone(), proof.revision());
        if self.0.iter().any(|known| of(known) == of(&proof)) {
            return false;
        }
        if self.0.len() >= MAX_PROOFS {
            self.0.pop_front();
        }
        self.0.push_back(proof);
        true
    }

    pub(super) fn list(&self) -> Vec<EquivocationProof> {
        self.0.iter().cloned().collect()
    }
}

impl Engine {
    /// Tells of a proof, unless it is known.
    pub(super) fn expose(&mut self, proof: EquivocationProof) {
        if self.equivocations.insert(proof.clone()) {
            let (owner, name) = (*proof.owner(), proof.name().clone());
            self.events.push_back(Event::Equivocation { owner, name, proof });
        }
    }

    /// Holds a head that has been verified against another one of its package.
    pub(super) fn confront(&mut self, known: &Signed<Head>, head: &Signed<Head>) {
        if let Ok(proof) = EquivocationProof::new(known, head)
            && self.store.is_news_of_equivocation(head)
        {
            self.expose(proof);
        }
    }

    /// Holds a head that has been verified against those that are known of its package here.
    pub(super) fn confront_known(&mut self, now: Now, key: &RecordKey, head: &Signed<Head>) {
        let own = self.own.get(&head.name).map(|own| own.head.clone());
        let cached = self.cache.get(key, now).and_then(|record| match &**record {
            Record::Head(known) => Some(known.clone()),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        });
        let held = match self.store.held(key) {
            Some(Record::Head(held)) => Some(held),
            _ => None,
        };
        for known in [own, cached, held].into_iter().flatten() {
            self.confront(&known, head);
        }
    }
}
