//! How a change to an own package takes its course: recalled, signed, stored, announced, and put again for
//! as long as the node lives.

use std::{sync::Arc, time::Duration};

use super::{
    ANNOUNCEMENT_INTERVAL, Action, Deadline, Engine, Now, Operation, REPLICATION_BUDGET,
    REPLICATION_DELAY, Renewal,
    calls::{Call, Outcome, Since},
    commands::Begin,
    explaining::Reasons,
    outbox::{AnnouncementId, Outbox},
    own::{self, Change, Recalled, Standing},
    peers::Reach,
    publish::{Publish, Put, Recall, Recalling, Stage, Storing},
    queries::attesting,
    read, wheel,
};
use crate::{
    Announcement, Error, Event, PackageId, PackageName, Receipt, Source,
    command::{Reply, Ticket},
    record::{Kind, RecordKey},
};

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod tests;

impl Stage {
    /// What became of the announcement so far.
    pub(super) fn announcement(&self, outbox: &Outbox) -> Announcement {
        match self {
            Self::Storing(Storing { announcement: Some(id), .. }) => outbox.state(*id),
            Self::Confirming(confirming) => confirming.announcement(outbox),
            Self::Explaining(explaining) => explaining.announcement(outbox),
            Self::Storing(_) | Self::Recalling(_) => Announcement::Queued,
        }
    }
}

impl Engine {
    /// A caller changes an own package.
    pub(super) fn change(
        &mut self,
        begin: Begin,
        change: Change,
        confirmation: u8,
        reply: Reply<Receipt>,
    ) {
        let full = self.own.len() >= self.config.limits.own_packages;
        let publish = Publish { change, reply: Some(reply), confirmation, stage: Stage::BEGINNING };
        if full && !self.own.contains_key(publish.change.name()) {
            let ended = publish.answer(Err(Error::busy("own_packages")));
            return self.count(ended);
        }
        // What is signed is put even if its caller goes away, so the puts have a bound of their own.
        if self.queries.puts() >= self.config.limits.waiting_calls {
            let ended = publish.answer(Err(Error::busy("waiting_calls")));
            return self.count(ended);
        }
        let since = self.since(&begin);
        self.begin_change(begin.now, begin.ticket, since, publish);
    }

    fn begin_change(&mut self, now: Now, ticket: Ticket, since: Since, publish: Publish) {
        let standing = self.own.get(publish.change.name()).map(|own| own.standing);
        let publish = Box::new(publish);
        match (standing, self.peers.reach()) {
            (Some(standing @ Standing::Confirmed { .. }), reach)
                if reach == Reach::Isolated || self.has_newest(now, &publish.change) =>
            {
                self.commit(now, ticket, since, publish, None, standing);
            }
            // Nobody to ask: what an earlier life of this node may have published is recalled later.
            (_, Reach::Isolated) => {
                let recalled = self.recall_here(now, &publish.change);
                self.commit(now, ticket, since, publish, recalled, Standing::Unconfirmed);
            }
            (_, Reach::Joined | Reach::Joining) => self.wait_publish(ticket, since, publish),
        }
    }

    /// What this node itself holds of a package that an earlier life of it has published, from a snapshot say. It may
    /// not be all. But what is signed is above whatever has been seen, and without this it would take its place.
    fn recall_here(&self, now: Now, change: &Change) -> Option<Recalled> {
        let name = change.name();
        if self.own.contains_key(name) {
            return None;
        }
        let mut recall = Recall::Head;
        loop {
            let key = recall.wants(&self.config.network, &self.owner, name);
            recall = match recall.take(self.store.held(&key))? {
                Recalling::More(further) => further,
                Recalling::Listed(recalled) => {
                    match own::missing_newest(None, Some(&recalled), change, &self.signer(now)) {
                        Some(entry) => Recall::Newest { recalled, entry },
                        None => return Some(recalled),
                    }
                }
                Recalling::Complete(recalled) => return Some(recalled),
            };
        }
    }

    /// Whether the release that a change makes the newest is at hand. Those of an earlier life of this node are
    /// with its peers, and are read first.
    fn has_newest(&self, now: Now, change: &Change) -> bool {
        let own = self.own.get(change.name());
        own::missing_newest(own, None, change, &self.signer(now)).is_none()
    }

    /// A lookup of a recall, or a put, has ended.
    pub(super) fn resume_publish(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        outcome: Outcome,
    ) {
        match publish.stage {
            Stage::Storing(ref mut storing) => {
                storing.stored(outcome.replicas());
                storing.clock = self.clock_disagreement().or(storing.clock);
                if storing.pending > 0 {
                    let operation = Operation::Publish(publish);
                    self.calls.insert(ticket, Call { since, operation });
                } else {
                    self.stored(now, ticket, since, publish);
                }
            }
            Stage::Confirming(ref mut confirming) => {
                if let Outcome::ReadBack { key, confirmed } = outcome {
                    confirming.ended(&key, confirmed);
                }
                self.go_on_confirming(ticket, since, publish);
            }
            // It waits for no query.
            Stage::Explaining(_) => {
                self.calls.insert(ticket, Call { since, operation: Operation::Publish(publish) });
            }
            Stage::Recalling(recall) => {
                let confirmed = Standing::Confirmed { replicas: 0 };
                let found = match outcome {
                    // A part of the replicas may not hold the newest: to go on from it would sign a sequence twice.
                    Outcome::Found { source: Source::Partial, .. }
                        if matches!(recall, Recall::Head) =>
                    {
                        self.finish(since);
                        publish.stage = Stage::Recalling(recall);
                        let error = self.timeout(now, since);
                        return self.abandon(now, *publish, error);
                    }
                    Outcome::Found { record, .. } => Some(Arc::unwrap_or_clone(record)),
                    // Nobody has asked for it, and what is held here may be as old as the snapshot that it comes from:
                    // what this node has signed since is not signed again.
                    Outcome::NoPeers if self.is_resumed(&publish.change) => {
                        self.finish(since);
                        publish.stage = Stage::Recalling(recall);
                        return self.abandon(now, *publish, Error::NoPeers);
                    }
                    Outcome::NoPeers if matches!(recall, Recall::Head) => {
                        publish.stage = Stage::Recalling(recall);
                        let recalled = self.recall_here(now, &publish.change);
                        let standing = Standing::Unconfirmed;
                        return self.commit(now, ticket, since, publish, recalled, standing);
                    }
                    Outcome::TimedOut => {
                        self.finish(since);
                        publish.stage = Stage::Recalling(recall);
                        let error = self.timeout(now, since);
                        return self.abandon(now, *publish, error);
                    }
                    // That nobody can be asked does not mean that nobody holds the rest of the list.
                    Outcome::NoPeers if matches!(recall, Recall::Pages { .. }) => {
                        self.finish(since);
                        publish.stage = Stage::Recalling(recall);
                        return self.abandon(now, *publish, Error::NoPeers);
                    }
                    Outcome::NotFound(_)
                    | Outcome::NoPeers
                    | Outcome::Stored(_)
                    | Outcome::ReadBack { .. }
                    | Outcome::Bootstrapped => None,
                };
                publish.stage = Stage::Recalling(Recall::Head);
                match recall.take(found) {
                    None => self.commit(now, ticket, since, publish, None, confirmed),
                    Some(Recalling::More(recall)) => {
                        publish.stage = Stage::Recalling(recall);
                        self.wait_publish(ticket, since, publish);
                    }
                    Some(Recalling::Listed(recalled)) => {
                        let own = self.own.get(publish.change.name());
                        let signer = self.signer(now);
                        let change = &publish.change;
                        match own::missing_newest(own, Some(&recalled), change, &signer) {
                            Some(entry) => {
                                publish.stage =
                                    Stage::Recalling(Recall::Newest { recalled, entry });
                                self.wait_publish(ticket, since, publish);
                            }
                            None => {
                                let recalled = Some(recalled);
                                self.commit(now, ticket, since, publish, recalled, confirmed);
                            }
                        }
                    }
                    Some(Recalling::Complete(recalled)) => {
                        self.commit(now, ticket, since, publish, Some(recalled), confirmed);
                    }
                }
            }
        }
    }

    /// Whether the node by itself takes up a package of an earlier life.
    fn is_resumed(&self, change: &Change) -> bool {
        matches!(change, Change::Renew { name } if !self.own.contains_key(name))
    }

    /// Signs the change and puts it in force: stored here, on its way to the peers, announced.
    fn commit(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        recalled: Option<Recalled>,
        standing: Standing,
    ) {
        let name = publish.change.name().clone();
        let own = self.own.get(&name);
        // Others may have taken the last places while the package was recalled.
        let full = own.is_none() && self.own.len() >= self.config.limits.own_packages;
        let seen = self.store.high_water(Kind::Head, &self.owner, &name).unwrap_or_default();
        let signer = self.signer(now);
        let changed =
            match own::apply(own, recalled.as_ref(), &publish.change, standing, seen, &signer) {
                Ok(_) if full => Err(Error::busy("own_packages")),
                changed => changed,
            };
        let changed = match changed {
            Ok(changed) => changed,
            Err(error) => {
                self.finish(since);
                return self.abandon(now, *publish, error);
            }
        };
        self.forget_cached(&name);
        for record in &changed.records {
            if let Err(refused) = self.store.insert_own(record.clone()) {
                tracing::warn!(%name, %refused, "own record not stored");
            }
            self.cache.remove(&record.key());
            self.absences.remove(&record.key());
        }
        let pending = changed.records.len();
        let put = changed.records.iter().map(|record| Put {
            key: record.key(),
            attests: attesting(record, &self.owner),
            acknowledged: Vec::new(),
        });
        let put = put.collect();
        for record in changed.records {
            self.queries.put(record, Some(ticket));
        }
        let is_news = self
            .own
            .get(&name)
            .is_none_or(|own| own.head.digest() != changed.package.head.digest())
            || !matches!(publish.change, Change::Renew { .. });
        let announcement = self.announce_head(now, &name, &changed.package, is_news);
        publish.stage = Stage::Storing(Storing {
            id: changed.id,
            sequence: changed.package.head.revision.sequence,
            announcement: Some(announcement),
            pending,
            fewest: None,
            put,
            clock: self.clock_disagreement(),
            reasons: Reasons::default(),
        });
        self.shelve_own(&name, &changed.package);
        self.list_own(now, &changed.package.head);
        self.resuming.remove(&name);
        self.own.insert(name, changed.package);
        let operation = Operation::Publish(publish);
        self.calls.insert(ticket, Call { since, operation });
    }

    /// Announces the head of an own package, unless it is the one that was announced a short while ago, and sets
    /// the time at which the package is put again.
    fn announce_head(
        &mut self,
        now: Now,
        name: &PackageName,
        package: &own::OwnPackage,
        is_news: bool,
    ) -> AnnouncementId {
        let before =
            self.renewals.get(name).map(|renewal| (renewal.announcement, renewal.announced));
        let (announcement, announced) = match before {
            Some((id, announced))
                if !is_news && now.mono < announced.saturating_add(ANNOUNCEMENT_INTERVAL) =>
            {
                (id, announced)
            }
            _ => {
                let topic = self.config.announcements_topic.clone();
                let data = package.head.bytes().to_vec();
                let expires = package.head.validity.expires;
                let id = self.outbox.add_head(name.clone(), topic.clone(), data.clone(), expires);
                self.actions.push_back(Action::Publish { id, topic, data });
                (id, now.mono)
            }
        };
        let (timer, interval) = self.renewal_timer(now, name);
        let due = now.unix.saturating_add(interval.as_secs());
        let renewal = Renewal { timer, due, interval, announced, announcement };
        if let Some(before) = self.renewals.insert(name.clone(), renewal) {
            self.wheel.cancel(before.timer);
        }
        announcement
    }

    /// Puts an own package where callers read it without asking, or takes it away once it is withdrawn.
    fn shelve_own(&self, name: &PackageName, own: &own::OwnPackage) {
        // To its own publisher, the bare name means its own.
        let ids = [PackageId::owned(self.owner, name.clone()), PackageId::named(name.clone())];
        match read::newest(&own.head, Source::Own) {
            Some(package) => self.shelf.put(ids, package, None, own.head.validity.expires),
            None => ids.iter().for_each(|id| self.shelf.remove(id)),
        }
    }

    /// Forgets what was read of an own package: from now on it is known better.
    fn forget_cached(&mut self, name: &PackageName) {
        let network = &self.config.network;
        self.cache.remove(&RecordKey::head(network, &self.owner, name));
        self.cache.remove(&RecordKey::claims(network, name));
        if let Some(own) = self.own.get(name) {
            for key in own.keys() {
                self.cache.remove(&key);
            }
        }
    }

    /// A change that comes to nothing. What the node does by itself it tries again: a package that is never
    /// put again expires.
    fn abandon(&mut self, now: Now, publish: Publish, error: Error) {
        if publish.reply.is_some() {
            let ended = publish.answer(Err(error));
            return self.count(ended);
        }
        let name = publish.change.name();
        tracing::debug!(%name, %error, "not put again");
        self.renewing.remove(name);
        match self.own.get(name) {
            Some(own) => {
                if own.lacks_replicas() {
                    self.replicate_later(now);
                }
                self.renew_later(now, name);
            }
            None if self.resuming.contains(name) => match error {
                // Nobody holds it any more, and it is not for this life to invent it.
                Error::NotFound { .. } if self.peers.reach() == Reach::Joined => {
                    self.resuming.remove(name);
                }
                _ => self.replicate_later(now),
            },
            None => {}
        }
    }

    /// Every put of a change has ended.
    fn stored(&mut self, now: Now, ticket: Ticket, since: Since, publish: Box<Publish>) {
        let Stage::Storing(storing) = &publish.stage else { return self.finish(since) };
        let name = publish.change.name();
        let replicas = storing.replicas();
        let (mut lacked, mut lacks) = (false, false);
        if let Some(own) = self.own.get_mut(name) {
            lacked = own.lacks_replicas();
            if let Standing::Confirmed { .. } = own.standing {
                own.standing = match replicas {
                    // Peers that refuse it may hold a newer one, which the next round reads first.
                    0 => Standing::Unconfirmed,
                    replicas => Standing::Confirmed { replicas },
                };
            }
            lacks = own.lacks_replicas();
        }
        if lacks {
            self.replicate_later(now);
        }
        if matches!(publish.change, Change::Renew { .. }) {
            self.renewing.remove(name);
            if lacked && !lacks {
                let id = storing.id.clone();
                self.events.push_back(Event::Replicated { id, replicas });
            }
        }
        if let Some(publish) = self.ask_why(now, ticket, since, publish) {
            self.report(ticket, since, publish);
        }
    }

    /// Sets the time at which an own package is put again.
    fn renew_later(&mut self, now: Now, name: &PackageName) {
        let (timer, interval) = self.renewal_timer(now, name);
        if let Some(renewal) = self.renewals.get_mut(name) {
            renewal.due = now.unix.saturating_add(interval.as_secs());
            renewal.interval = interval;
            let before = std::mem::replace(&mut renewal.timer, timer);
            self.wheel.cancel(before);
        }
    }

    fn renewal_timer(&mut self, now: Now, name: &PackageName) -> (wheel::Key, Duration) {
        // Often enough that a head is signed anew, which happens past half of its life, before it expires.
        let interval = self.config.republish_interval.min(self.config.record_ttl / 3);
        let after = self.jitter(interval);
        let deadline = now.mono.saturating_add(after);
        (self.wheel.insert(deadline, Deadline::Renew(Box::new(name.clone()))), after)
    }

    /// Puts an own package again, signed anew where half of its life is over.
    pub(super) fn renew(&mut self, now: Now, name: PackageName) {
        if self.closed || !self.renewing.insert(name.clone()) {
            return;
        }
        let ticket = self.ticket();
        let since = Since { asked: now.mono, timer: None };
        let change = Change::Renew { name };
        let publish = Publish { change, reply: None, confirmation: 0, stage: Stage::BEGINNING };
        self.begin_change(now, ticket, since, publish);
    }

    /// A peer has appeared: own packages that nobody holds are put again, shortly, and those of an earlier life.
    pub(super) fn replicate_soon(&mut self, now: Now) {
        if !self.resuming.is_empty() || self.own.values().any(own::OwnPackage::lacks_replicas) {
            self.replicate_after(now, REPLICATION_DELAY);
        }
    }

    /// Peers were asked, and an own package still lacks replicas: tries again after a pause. One pause serves
    /// all packages that wait for it, so that it grows with each round and not with each package.
    fn replicate_later(&mut self, now: Now) {
        if self.replication.timer.is_none() && self.peers.reach() == Reach::Joined {
            let pause = self.replication.backoff.pause();
            self.replicate_after(now, pause);
        }
    }

    /// Puts own packages again that nobody holds, after a pause. An earlier time that is set already is kept,
    /// a later one moved up.
    fn replicate_after(&mut self, now: Now, pause: Duration) {
        let deadline = now.mono.saturating_add(pause);
        if let Some((timer, due)) = self.replication.timer {
            if due <= deadline {
                return;
            }
            self.wheel.cancel(timer);
        }
        let timer = self.wheel.insert(deadline, Deadline::Replicate);
        self.replication.timer = Some((timer, deadline));
    }

    /// Puts records of others to the peers that are closest to them now. Where queries stand in line already,
    /// these wait.
    pub(super) fn replicate_others(&mut self) {
        let room = REPLICATION_BUDGET.saturating_sub(self.queries.puts());
        if self.closed || self.peers.reach() != Reach::Joined {
            return;
        }
        for record in self.store.take_due(room) {
            self.queries.put(record, None);
        }
    }

    /// Puts own packages again that nobody holds.
    pub(super) fn replicate(&mut self, now: Now) {
        self.replication.timer = None;
        if self.peers.reach() != Reach::Joined {
            return;
        }
        let lacking: Vec<PackageName> = self
            .own
            .iter()
            .filter(|(_, own)| own.lacks_replicas())
            .map(|(name, _)| name)
            .chain(&self.resuming)
            .cloned()
            .collect();
        for name in lacking {
            self.renew(now, name);
        }
    }
}
