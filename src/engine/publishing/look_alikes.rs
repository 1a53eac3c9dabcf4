//! Which names of others people may confuse with the one that a release is published under.
//!
//! Of a package that this node does not publish yet, the claims to its name and to its look-alikes are looked up at the
//! same time as what the network holds of it. Nothing waits for that lookup: it begins before the puts, which ask the
//! same peers and more, and what it has found by their end is told in the receipt.

use libp2p::PeerId;

use crate::{
    engine::{
        context::Context,
        publishing::{Publishing, own::Change, publish::Publish},
    },
    package::{PackageName, Receipt, SimilarName},
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

    fn add(&mut self, more: impl IntoIterator<Item = (PackageName, Vec<PeerId>)>) {
        let known = std::mem::take(&mut self.names);
        let known = known.into_iter().map(|known| (known.name, known.owners));
        self.names = SimilarName::union(known.chain(more));
    }
}

impl Publish {
    /// Others than this owner claim these, as was found where the change belongs.
    fn hear_claims(&mut self, claims: &ClaimSet, owner: &PeerId) {
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
    pub(super) fn claims_to_look_up(
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

    /// The claims that are being looked up for a change.
    pub(in crate::engine) fn claims_lookup(&self, ticket: Ticket) -> Option<RecordKey> {
        self.changes.get(ticket)?.alike.lookup
    }

    /// The lookup of claims for a change is over, and this is what it has found.
    pub(in crate::engine) fn claims_found(
        &mut self,
        cx: &Context,
        ticket: Ticket,
        found: Option<&Record>,
    ) {
        if let Some(publish) = self.changes.publish(ticket) {
            publish.alike.lookup = None;
        }
        if let Some(found) = found {
            self.hear_claims(cx, ticket, found);
        }
    }

    /// A record has come that may tell of claims to the name that a change belongs to.
    pub(in crate::engine) fn hear_claims(&mut self, cx: &Context, ticket: Ticket, found: &Record) {
        if let Record::Claims { set, .. } = found
            && let Some(publish) = self.changes.publish(ticket)
        {
            publish.hear_claims(set, &cx.owner);
        }
    }

    /// Others publish these, as the catalogue has it.
    pub(in crate::engine) fn hear_listed(&mut self, ticket: Ticket, listed: Vec<SimilarName>) {
        if let Some(publish) = self.changes.publish(ticket) {
            publish.alike.add(listed.into_iter().map(|listed| (listed.name, listed.owners)));
        }
    }
}
