//! Owners that were found to have signed two histories.

use std::collections::VecDeque;

use crate::{
    engine::{context::Context, effects::Effects, standing::Standing},
    event::Event,
    record::{
        EquivocationProof, Head, HeadState, PageLink, Record, RecordKey, ReleaseEntry, ReleaseNote,
        Signed,
    },
};

/// Proofs that are kept: of 16 KiB each at the most.
pub(in crate::engine) const MAX_PROOFS: usize = 64;

/// The last proofs, oldest first, one of each package and revision.
#[derive(Debug, Default)]
pub(in crate::engine) struct Equivocations(VecDeque<EquivocationProof>);

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

    /// A head has come of a package. What it [heals] stands no longer.
    pub(in crate::engine) fn supersede(&mut self, head: &Signed<Head>) {
        self.0.retain(|proof| !heals(head, proof));
    }

    pub(in crate::engine) fn list(&self) -> Vec<EquivocationProof> {
        self.0.iter().cloned().collect()
    }
}

/// Whether a head that came later says what both of a proof say, so that nothing of either is kept from anybody. Two
/// devices with one key that know nothing of each other sign such two heads in haste; whoever wants to tell one story
/// here and another there signs no such third.
///
/// Only heads are at hand, and no pages. So the two have to link to the same ones: what is on them is no difference
/// then. And a release of which the two say different things has to be in the later head itself, yanked if it is by
/// either, or with a note that says since when it no longer is: since the revision of the two, or a later one.
fn heals(later: &Signed<Head>, proof: &EquivocationProof) -> bool {
    if (later.owner, &later.name) != (*proof.owner(), proof.name())
        || later.revision <= proof.revision()
    {
        return false;
    }
    let notes = later.notes();
    match (list(later), list(proof.kept()), list(proof.dropped())) {
        (Some((later, _)), Some((kept, older)), Some((dropped, older_too))) => {
            let differs = |entry: &&ReleaseEntry| !kept.contains(entry) || !dropped.contains(entry);
            let says = |entry: &ReleaseEntry| {
                let said = later.iter().find(|said| said.version == entry.version);
                said.is_some_and(|said| {
                    // One of the two may be what took the yank back, so that of their own revision counts.
                    let is_later = |note: &ReleaseNote| note.changed >= proof.revision();
                    // Whoever has taken a yank back since has said what became of it.
                    let is_settled = notes.of_release(&said.version).is_some_and(is_later);
                    said.digest == entry.digest && (said.yanked || !entry.yanked || is_settled)
                })
            };
            older == older_too && kept.iter().chain(dropped).filter(differs).all(says)
        }
        // A withdrawal wins. Where neither was one, it does not say what became of the releases.
        (None, None, _) | (None, _, None) => true,
        (None, Some(_), Some(_)) | (Some(_), None, _) | (Some(_), _, None) => false,
    }
}

/// The releases that stand in a live head, and the page on which the list goes on.
fn list(head: &Head) -> Option<(&[ReleaseEntry], Option<&PageLink>)> {
    match &head.state {
        HeadState::Live { releases, older, .. } => Some((releases, older.as_ref())),
        HeadState::Withdrawn { .. } => None,
    }
}

impl Standing {
    /// Tells of a proof, unless it is known. Of an own package it is not told either, if this node's owner has said since,
    /// in the newest head, what became of it.
    pub(in crate::engine) fn expose(
        &mut self,
        out: &mut Effects,
        proof: EquivocationProof,
        own: Option<&Signed<Head>>,
    ) {
        if own.is_some_and(|own| heals(own, &proof)) {
            return;
        }
        if self.equivocations.insert(proof.clone()) {
            let (owner, name) = (*proof.owner(), proof.name().clone());
            out.events.push_back(Event::Equivocation { owner, name, proof });
        }
    }

    /// Holds a head that has been verified against another one of its package. `own` is the newest that this node has
    /// signed of that name.
    pub(in crate::engine) fn confront(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        known: &Signed<Head>,
        head: &Signed<Head>,
        own: Option<&Signed<Head>>,
    ) {
        if let Ok(proof) = EquivocationProof::new(known, head)
            && cx.store.is_news_of_equivocation(head)
        {
            self.expose(out, proof, own);
        }
    }

    /// Holds a head that has been verified against those that are known of its package here: the one that this node has
    /// signed, the one that is cached, and the one that is held for others.
    pub(in crate::engine) fn confront_known(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        key: &RecordKey,
        head: &Signed<Head>,
        own: Option<&Signed<Head>>,
        cached: Option<&Signed<Head>>,
    ) {
        let held = match cx.store.held(key) {
            Some(Record::Head(held)) => Some(held),
            _ => None,
        };
        for known in [own, cached, held.as_ref()].into_iter().flatten() {
            self.confront(cx, out, known, head, own);
        }
    }
}
