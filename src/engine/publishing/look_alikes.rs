//! Which names of others people may confuse with the one that a release is published under.
//!
//! Of a package that this node does not publish yet, the claims to its name and to its look-alikes are looked up at the
//! same time as what the network holds of it. Nothing waits for that lookup: it begins before the puts, which ask the
//! same peers and more, and what it has found by their end is told in the receipt.

use libp2p::PeerId;

use crate::{
    PackageName, Receipt, SimilarName,
    engine::{
        Action, Context, Engine, Now, Publishing,
        lookups::Best,
        own::Change,
        publish::Publish,
        publishing::changes::Changes,
        queries::{Queries, Replies, Waiter, Wants},
    },
    record::{ClaimSet, Record, RecordKey},
    ticket::Ticket,
};

/// What is known of them while a change is published.
#[derive(Debug, Default)]
pub(in crate::engine) struct LookAlikes {
    /// The key of the claims, while they are being looked up.
    lookup: Option<RecordKey>,
    names: Vec<SimilarName>,
}

impl LookAlikes {
    /// Tells what is known so far.
    pub(in crate::engine) fn tell(&mut self, receipt: Receipt) -> Receipt {
        Receipt { look_alikes: std::mem::take(&mut self.names), ..receipt }
    }

    pub(in crate::engine) fn add(
        &mut self,
        more: impl IntoIterator<Item = (PackageName, Vec<PeerId>)>,
    ) {
        let known = std::mem::take(&mut self.names);
        let known = known.into_iter().map(|known| (known.name, known.owners));
        self.names = SimilarName::union(known.chain(more));
    }
}

impl Publish {
    /// What a lookup of claims has come to.
    fn hear_looked_up(&mut self, best: Best, owner: &PeerId) {
        if let Some((record, _)) = best.known()
            && let Record::Claims { set, .. } = &*record
        {
            self.hear_claims(set, owner);
        }
    }

    /// Others than this owner claim these, as was found where the change belongs.
    pub(in crate::engine) fn hear_claims(&mut self, claims: &ClaimSet, owner: &PeerId) {
        let Change::Register(manifest) = &self.change else { return };
        if manifest.name.folded() != *claims.folded_name() {
            return;
        }
        let claimed = claims.look_alikes(&manifest.name).into_iter();
        self.alike.add(claimed.filter_map(|(name, mut owners)| {
            owners.retain(|by| by != owner);
            (!owners.is_empty()).then_some((name, owners))
        }));
    }
}

impl Publishing {
    /// The claims that are to be looked up for a change: where a caller publishes a package that is new here.
    pub(in crate::engine) fn claims_to_look_up(
        &self,
        cx: &Context,
        publish: &mut Publish,
    ) -> Option<RecordKey> {
        let Change::Register(manifest) = &publish.change else { return None };
        if publish.reply.is_none() || self.own.contains_key(&manifest.name) {
            return None;
        }
        publish.alike.lookup = Some(RecordKey::claims(&cx.config.network, &manifest.name));
        publish.alike.lookup
    }
}

impl Queries {
    /// Puts a lookup of claims in line for a change.
    pub(in crate::engine) fn look_up_claims(&mut self, ticket: Ticket, key: RecordKey) {
        self.get(key, Waiter { ticket, wants: Wants::LookAlikes });
    }
}

impl Changes {
    /// The lookup of claims for a change has ended.
    pub(in crate::engine) fn look_alikes_found(
        &mut self,
        cx: &Context,
        ticket: Ticket,
        best: &Best,
    ) {
        let Some(publish) = self.publish(ticket) else { return };
        publish.alike.lookup = None;
        publish.hear_looked_up(best.clone(), &cx.owner);
    }
}

impl Engine {
    /// What the lookup of claims for a change has found by now is all that counts of it.
    pub(in crate::engine) fn end_look_alikes(
        &mut self,
        now: Now,
        ticket: Ticket,
        publish: &mut Publish,
    ) {
        let Some(key) = publish.alike.lookup.take() else { return };
        let nothing = Replies::default();
        let replies = self.reading.queries.heard(&key).unwrap_or(&nothing);
        publish.hear_looked_up(self.reading.best(&self.cx, now, &key, replies), &self.cx.owner);
        if let Some(query) = self.reading.queries.leave(&key, ticket) {
            self.out.actions.push_back(Action::Finish { query });
        }
    }
}
