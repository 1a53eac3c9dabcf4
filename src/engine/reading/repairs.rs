//! Replicas that a lookup has found to lack the best record are sent it.

use std::sync::Arc;

use libp2p::PeerId;

use super::{EndedLookup, Reading, lookups::Best};
use crate::{
    engine::{
        context::Context,
        saying::{newest, saying},
    },
    record::Record,
};

impl Reading {
    /// The best record that is known by the end of a lookup, and the replicas that were found to lack it. An older one
    /// that this node holds for others itself is replaced. `own` is what this node has signed itself, if others may be
    /// told of it.
    pub(in crate::engine) fn choose_repair(
        &self,
        cx: &Context,
        ended: &EndedLookup,
        best: &Best,
        own: Option<Record>,
    ) -> Option<(Arc<Record>, Vec<PeerId>)> {
        let key = &ended.key;
        let is_own = own.is_some();
        let best = match (best, own.map(Arc::new)) {
            (Best::Found(best) | Best::Known(best) | Best::Listed(best), Some(own)) => {
                newest(best, &own, cx.now().unix)
            }
            (Best::Found(best) | Best::Known(best) | Best::Listed(best), None) => Arc::clone(best),
            (Best::Nothing, Some(own)) => own,
            (Best::Nothing, None) => return None,
        };
        if cx.store.holds_another(key, &best.to_bytes())
            && let Err(refused) = cx.store.insert(key, &best.to_bytes())
        {
            tracing::debug!(%key, %refused, "own replica not brought up to date");
        }
        // What this node has signed and nobody has is put again in its time, and not by each lookup of it.
        let without = if ended.replies.is_found() || !is_own { &*ended.without } else { &[] };
        let lacking = ended.replies.lacking(&best, without, ended.extent());
        Some((best, lacking))
    }

    /// Sends a record to replicas that lack it, the first of them first. Those that still lack it a moment later do not
    /// want it.
    pub(in crate::engine) fn repair(
        &mut self,
        cx: &Context,
        best: Arc<Record>,
        lacking: Vec<PeerId>,
    ) {
        let now = cx.now();
        if lacking.is_empty() || cx.closed {
            return;
        }
        let key = best.key();
        let repair = (key, saying(&best));
        if self.repairs.contains(&repair, now.mono) {
            return;
        }
        tracing::debug!(%key, replicas = lacking.len(), "repairing");
        if self.queries.repair(best, lacking) {
            self.repairs.insert(repair, now.mono);
        }
    }
}
