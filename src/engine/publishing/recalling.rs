//! How a change to an own package is built on what the network holds of it: read, or gone without where that cannot be.

use std::sync::Arc;

use crate::{
    Error, PackageName, Source,
    engine::{
        Action, Context, Effects, Engine, Now, Publishing, Reach,
        calls::{Heard, Outcome, Since},
        own::{self, Change, Recalled, Standing},
        publish::{Publish, Recall, Recalling, Stage},
    },
    record::{Head, Record, RecordKey, Signed},
    ticket::Ticket,
};

/// Whether the network was asked what it holds before a change was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Asked {
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
    Needed(Error),
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
    fn recall_here(&self, cx: &Context, now: Now, change: &Change) -> Vec<Recalled> {
        let name = change.name();
        let own = self.own.get(name);
        let mut heard = self.heard_heads(cx, name);
        let mut recall = Recall::Head { others: Vec::new() };
        loop {
            let key = recall.wants(&cx.config.network, &cx.owner, name);
            let record = match (&recall, own) {
                (Recall::Head { .. }, Some(_)) => None,
                _ => cx.store.held(&key).or_else(|| cx.store.own(&key)),
            };
            recall = match recall.take(record, std::mem::take(&mut heard)) {
                Recalling::More(further) => further,
                Recalling::Listed(recalled) => {
                    match own::missing_newest(own, &recalled, change, &cx.signer(now)) {
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

    /// What was heard of a package and may say what is not known here. Since a head came, whoever has signed it may have
    /// been replaced.
    fn heard_heads(&self, cx: &Context, name: &PackageName) -> Vec<Signed<Head>> {
        let mut heads = self.elsewhere.heads(name);
        heads.retain(|head| self.adds(head) && !cx.store.is_revoked(head));
        heads
    }

    /// Whether a head of an own package that peers hold may say what is not known here. If not, its list need not be
    /// read again. Once the package is in a higher epoch, and the network was asked what of the older ones stays, those
    /// who have been replaced add nothing to it.
    fn adds(&self, head: &Signed<Head>) -> bool {
        let Some(own) = self.own.get(&head.name) else { return true };
        let is_replaced =
            own.standing != Standing::Unheard && head.revision.epoch < own.head.revision.epoch;
        let is_known =
            own.head.digest() == head.digest() || self.elsewhere.is_spent(&head.digest());
        !is_replaced && !is_known
    }
}

impl Engine {
    /// Reads what the network holds, where somebody can be asked.
    pub(in crate::engine) fn begin_change(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
    ) {
        match self.peers.peers.reach() {
            // Nobody to ask: what others may have published is recalled later.
            Reach::Isolated => self.commit_unheard(now, ticket, since, publish),
            Reach::Joined | Reach::Joining => {
                if !publish.change.is_upkeep() {
                    self.out.approach(&self.cx, &publish.change);
                }
                publish.stage = Stage::BEGINNING;
                let claims = self.publishing.claims_to_look_up(&self.cx, &mut publish);
                self.wait_publish(ticket, since, publish);
                // Behind the head in line, which the change waits for.
                if let Some(key) = claims {
                    self.reading.queries.look_up_claims(ticket, key);
                }
            }
        }
    }

    fn commit_unheard(&mut self, now: Now, ticket: Ticket, since: Since, publish: Box<Publish>) {
        let recalled = self.publishing.recall_here(&self.cx, now, &publish.change);
        self.commit(now, ticket, since, publish, &recalled, Asked::No);
    }

    /// A lookup of a recall has ended.
    pub(in crate::engine) fn resume_recall(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        outcome: Outcome,
    ) {
        let Stage::Recalling(recall) = std::mem::replace(&mut publish.stage, Stage::BEGINNING)
        else {
            return self.out.finish(since);
        };
        let found = match self.found(now, since, &publish.change, &recall, outcome) {
            Found::Record(record) => record.map(|record| *record),
            Found::Unknown => return self.commit_unheard(now, ticket, since, publish),
            Found::Needed(error) => return self.abandon(now, ticket, since, publish, error),
        };
        let recall =
            match self.publishing.take_found(&self.cx, publish.change.name(), recall, found) {
                Recalling::More(recall) => recall,
                Recalling::Listed(recalled) => {
                    let own = self.publishing.own.get(publish.change.name());
                    let signer = self.cx.signer(now);
                    match own::missing_newest(own, &recalled, &publish.change, &signer) {
                        Some(entry) => Recall::newest(recalled, own, entry),
                        None => {
                            return self.commit(now, ticket, since, publish, &recalled, Asked::Yes);
                        }
                    }
                }
                Recalling::Complete(recalled) => {
                    return self.commit(now, ticket, since, publish, &recalled, Asked::Yes);
                }
            };
        publish.stage = Stage::Recalling(recall);
        self.wait_publish(ticket, since, publish);
    }

    fn found(
        &self,
        now: Now,
        since: Since,
        change: &Change,
        recall: &Recall,
        outcome: Outcome,
    ) -> Found {
        let own = self.publishing.own.get(change.name());
        let is_head = matches!(recall, Recall::Head { .. });
        let is_known = own.is_some_and(|own| matches!(own.standing, Standing::Confirmed { .. }));
        // An earlier life's, which nobody has asked to be changed. What is held here of it may be as old as the snapshot
        // that it comes from: what this node has signed since is not signed again.
        let is_resumed = change.is_upkeep() && own.is_none();
        match outcome {
            // A part of the replicas may not hold the newest: to go on from it would sign a sequence twice, unless the
            // network has been heard before.
            Outcome::Found { source: Source::Partial, .. } | Outcome::TimedOut
                if is_head && is_known =>
            {
                Found::Unknown
            }
            Outcome::Found { source: Source::Partial, .. } if is_head => {
                Found::Needed(self.cx.timeout(now, since))
            }
            Outcome::Found { record, .. } => {
                Found::Record(Some(Box::new(Arc::unwrap_or_clone(record))))
            }
            Outcome::TimedOut => Found::Needed(self.cx.timeout(now, since)),
            Outcome::NoPeers if is_resumed => Found::Needed(self.peers.nobody()),
            Outcome::NotFound { heard: Heard::Most | Heard::Few, .. } if is_resumed => {
                Found::Needed(self.cx.timeout(now, since))
            }
            // Those who hold it may be the ones that have not answered.
            Outcome::NoPeers | Outcome::NotFound { heard: Heard::Few, .. } if is_head => {
                Found::Unknown
            }
            // That somebody cannot be asked does not mean that nobody holds the rest of the list.
            Outcome::NoPeers if matches!(recall, Recall::Pages(_)) => {
                Found::Needed(self.peers.nobody())
            }
            // Nor is a page given up while one peer could still have it: the list is shorter for good without it.
            Outcome::NotFound { heard: Heard::Most | Heard::Few, .. }
                if matches!(recall, Recall::Pages(_)) =>
            {
                Found::Needed(self.cx.timeout(now, since))
            }
            Outcome::NotFound { .. }
            | Outcome::NoPeers
            | Outcome::Stored { .. }
            | Outcome::ReadBack { .. }
            | Outcome::Bootstrapped => Found::Record(None),
        }
    }
}
