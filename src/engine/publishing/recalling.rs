//! How a change to an own package is built on what the network holds of it: read, or gone without where that cannot be.

use std::sync::Arc;

use crate::{
    engine::{
        calls::{Heard, Outcome, Untimely},
        context::Context,
        effects::Effects,
        interface::{Action, Reach},
        publishing::{
            Publishing,
            changes::Underway,
            next::{Failure, Next},
            own::{self, Change, Confidence, Recalled},
            publish::{Recall, Recalling, Stage},
        },
    },
    error::Error,
    package::{PackageName, Source},
    record::{Head, Kind, Record, RecordKey, Signed},
    ticket::Ticket,
};

/// Whether the network was asked what it holds before a change was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum WasAsked {
    /// And what it held is part of the change.
    Yes,
    /// There was nobody to ask; or none of those who have answered had anything, and as many or more are silent.
    No,
}

/// What a lookup of a recall has come to.
enum Found {
    Record(Option<Box<Record>>),
    /// Nobody could tell. The change is signed all the same, on what is known here.
    Unknown,
    /// It cannot be signed without.
    Needed(Failure),
}

impl Effects {
    /// Has those dialed who will hold a change, all at once. Lookups dial three at a time, and each of the three records of
    /// a new release is put to peers of its own: in a large network most of the time would be spent on waiting for them.
    fn approach(&mut self, cx: &Context, change: &Change) {
        let (network, name) = (&cx.config.network, change.name());
        let mut keys =
            vec![RecordKey::head(network, &cx.owner, name), RecordKey::claims(network, name)];
        if let Change::Register(manifest) = change {
            keys.push(RecordKey::release(network, &cx.owner, name, &manifest.version));
        }
        self.actions.extend(keys.into_iter().map(|key| Action::Approach { key }));
    }
}

impl Publishing {
    /// What this node itself holds of a package that an earlier life of it has published, from a snapshot say, and what
    /// it has heard of it. It may not be all. But what is signed is above whatever has been seen, and without this it
    /// would take its place.
    fn recall_here(&self, cx: &Context, change: &Change) -> Vec<Recalled> {
        let name = change.name();
        let own = self.own.get(name);
        let mut heard = self.heard_heads(cx, name);
        let mut recall = Recall::Head { others: Vec::new() };
        loop {
            let key = recall.wants(&cx.config.network, &cx.owner, name);
            let record = match (&recall, own) {
                (Recall::Head { .. }, Some(_)) => None,
                _ => at_hand(cx, &key),
            };
            recall = match recall.take(record, std::mem::take(&mut heard)) {
                Recalling::More(further) => further,
                Recalling::Listed(recalled) => {
                    let recalled = self.with_releases_at_hand(cx, name, recalled);
                    match own::missing_newest(own, &recalled, change, &cx.signer()) {
                        Some(entry) => Recall::newest(recalled, own, entry),
                        None => return recalled,
                    }
                }
                Recalling::Complete(recalled) => return recalled,
            };
        }
    }

    fn take_found(
        &self,
        cx: &Context,
        name: &PackageName,
        recall: Recall,
        found: Option<Record>,
    ) -> Recalling {
        let Recall::Head { mut others } = recall else { return recall.take(found, Vec::new()) };
        others.retain(|head| self.adds(head));
        let found = found.filter(|record| match record {
            Record::Head(head) => self.adds(head),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => true,
        });
        Recall::Head { others }.take(found, self.heard_heads(cx, name))
    }

    /// Adds the releases that an earlier life has published and this node still has: with them the package is whole, also
    /// where nobody else holds them any more.
    fn with_releases_at_hand(
        &self,
        cx: &Context,
        name: &PackageName,
        mut recalled: Vec<Recalled>,
    ) -> Vec<Recalled> {
        if self.own.contains_key(name) {
            return recalled;
        }
        for one in &mut recalled {
            for entry in &one.releases {
                let key = RecordKey::release(&cx.config.network, &cx.owner, name, &entry.version);
                if let Some(Record::Release(release)) = at_hand(cx, &key)
                    && entry.is_of(&release)
                {
                    one.at_hand.push(release);
                }
            }
        }
        recalled
    }

    /// What was heard of a package, or is kept of an earlier life, and may say what is not known here. Since a head came,
    /// whoever has signed it may have been replaced.
    fn heard_heads(&self, cx: &Context, name: &PackageName) -> Vec<Signed<Head>> {
        let mut heads = self.elsewhere.heads(name);
        if !self.own.contains_key(name) {
            heads.extend(self.resuming.head(name));
        }
        heads.retain(|head| self.adds(head) && !cx.store.is_revoked(head));
        heads
    }

    /// Whether a head of an own package that peers hold may say what is not known here. If not, its list need not be
    /// read again. Once the package is in a higher epoch, and the network was asked what of the older ones stays, those
    /// who have been replaced add nothing to it.
    fn adds(&self, head: &Signed<Head>) -> bool {
        let Some(own) = self.own.get(&head.name) else { return true };
        let is_replaced =
            own.confidence != Confidence::Unheard && head.revision.epoch < own.head.revision.epoch;
        let is_known =
            own.head.digest() == head.digest() || self.elsewhere.is_spent(&head.digest());
        !is_replaced && !is_known
    }
}

impl Publishing {
    /// A change begins, or begins anew: reads what the network holds, where somebody can be asked.
    pub(in crate::engine) fn begin(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        mut change: Underway,
    ) -> Next {
        match reach {
            // Nobody to ask: what others may have published is recalled later.
            Reach::Isolated => self.commit_unheard(cx, out, change),
            Reach::Joined | Reach::Joining => {
                if !change.publish.change.is_upkeep() {
                    out.approach(cx, &change.publish.change);
                }
                // Behind the head in line, which the change waits for.
                let claims = self.claims_to_look_up(cx, &mut change.publish);
                self.look_up(cx, change, Recall::Head { others: Vec::new() }, claims)
            }
        }
    }

    /// The change waits for a lookup of what its recall needs next.
    fn look_up(
        &mut self,
        cx: &Context,
        mut change: Underway,
        recall: Recall,
        claims: Option<RecordKey>,
    ) -> Next {
        let key = recall.wants(&cx.config.network, &cx.owner, change.publish.change.name());
        change.publish.stage = Stage::Recalling(recall);
        self.changes.insert(change);
        Next::LookUp { key, claims }
    }

    /// A lookup has found these heads of own packages. True if a change waits for it that goes on from what peers hold.
    pub(in crate::engine) fn take_heads(&mut self, ticket: Ticket, heads: &[Signed<Head>]) -> bool {
        let Some(others) = self.changes.recalling(ticket) else { return false };
        *others = heads.to_vec();
        true
    }

    /// What a change is waiting for that recalls what the network holds.
    pub(in crate::engine) fn recall_lookup(
        &self,
        cx: &Context,
        ticket: Ticket,
    ) -> Option<RecordKey> {
        let publish = self.changes.get(ticket)?;
        match &publish.stage {
            Stage::Recalling(recall) => {
                Some(recall.wants(&cx.config.network, &cx.owner, publish.change.name()))
            }
            Stage::Storing(_) | Stage::Explaining(_) | Stage::Confirming(_) | Stage::Announcing => {
                None
            }
        }
    }

    /// Signs with nobody having been heard, on what is known here.
    fn commit_unheard(&mut self, cx: &Context, out: &mut Effects, change: Underway) -> Next {
        let recalled = self.recall_here(cx, &change.publish.change);
        self.commit(cx, out, change, &recalled, WasAsked::No)
    }

    /// A lookup of a recall has ended.
    pub(super) fn resume_recall(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        mut change: Underway,
        outcome: Outcome,
    ) -> Next {
        let before = std::mem::replace(&mut change.publish.stage, Stage::BEGINNING);
        let Stage::Recalling(recall) = before else {
            out.finish(change.since);
            return Next::Wait;
        };
        let found = match self.found(cx, &change, &recall, outcome) {
            Found::Record(record) => record.map(|record| *record),
            Found::Unknown => return self.commit_unheard(cx, out, change),
            Found::Needed(failure) => return self.give_up(change, failure),
        };
        let publish = &change.publish;
        let recalled = match self.take_found(cx, publish.change.name(), recall, found) {
            Recalling::More(recall) => return self.look_up(cx, change, recall, None),
            Recalling::Listed(recalled) => {
                let name = publish.change.name();
                let recalled = self.with_releases_at_hand(cx, name, recalled);
                let own = self.own.get(name);
                match own::missing_newest(own, &recalled, &publish.change, &cx.signer()) {
                    Some(entry) => {
                        let recall = Recall::newest(recalled, own, entry);
                        return self.look_up(cx, change, recall, None);
                    }
                    None => recalled,
                }
            }
            Recalling::Complete(recalled) => recalled,
        };
        self.commit(cx, out, change, &recalled, WasAsked::Yes)
    }

    /// Whether a package of an earlier life is published again though nobody holds it. Not where peers have copies that this
    /// node may have refused for its own clock.
    fn stands(&self, cx: &Context, name: &PackageName, untimely: Untimely) -> bool {
        let seen = cx.store.high_water(Kind::Head, &cx.owner, name);
        untimely.is_none()
            && cx.clock_disagreement().is_none()
            && self.resuming.stands(name, cx.now().unix, cx.clocks.moves(), seen)
    }

    fn found(&self, cx: &Context, change: &Underway, recall: &Recall, outcome: Outcome) -> Found {
        let Underway { since, publish, .. } = change;
        let own = self.own.get(publish.change.name());
        let is_head = matches!(recall, Recall::Head { .. });
        let is_page = matches!(recall, Recall::Pages(_));
        let is_known =
            own.is_some_and(|own| matches!(own.confidence, Confidence::Confirmed { .. }));
        // An earlier life's, which nobody has asked to be changed. What is held here of it may be as old as the snapshot
        // that it comes from: what this node has signed since is not signed again.
        let is_resumed = publish.change.is_upkeep() && own.is_none();
        let timeout = || Found::Needed(Failure::Other(cx.timeout(cx.now(), *since)));
        match outcome {
            // A part of the replicas may not hold the newest: to go on from it would sign a sequence twice, unless the
            // network has been heard before.
            Outcome::Found { source: Source::Partial, .. } | Outcome::TimedOut
                if is_head && is_known =>
            {
                Found::Unknown
            }
            Outcome::Found { source: Source::Partial, .. } if is_head => timeout(),
            Outcome::Found { record, .. } => {
                Found::Record(Some(Box::new(Arc::unwrap_or_clone(record))))
            }
            Outcome::TimedOut => timeout(),
            Outcome::NoPeers if is_resumed => Found::Needed(Failure::NobodyToAsk),
            Outcome::NotFound { heard: Heard::Most | Heard::Few, .. } if is_resumed => timeout(),
            Outcome::NotFound { untimely, .. }
                if is_resumed && is_head && !self.stands(cx, publish.change.name(), untimely) =>
            {
                let name = publish.change.name();
                Found::Needed(Failure::Other(Error::not_found(format!("`{name}` at any peer"))))
            }
            // Those who hold it may be the ones that have not answered.
            Outcome::NoPeers | Outcome::NotFound { heard: Heard::Few, .. } if is_head => {
                Found::Unknown
            }
            // That somebody cannot be asked does not mean that nobody holds the rest of the list.
            Outcome::NoPeers if is_page => Found::Needed(Failure::NobodyToAsk),
            // Nor is a page given up while one peer could still have it: the list is shorter for good without it.
            Outcome::NotFound { heard: Heard::Most | Heard::Few, .. } if is_page => timeout(),
            Outcome::NotFound { .. }
            | Outcome::NoPeers
            | Outcome::Stored { .. }
            | Outcome::ReadBack { .. }
            | Outcome::Bootstrapped => Found::Record(None),
        }
    }
}

/// A record of this node's owner that lies here, whichever life has published it.
fn at_hand(cx: &Context, key: &RecordKey) -> Option<Record> {
    cx.store.held(key).or_else(|| cx.store.own(key))
}
