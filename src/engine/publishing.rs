//! How a change to an own package takes its course: recalled, signed, stored, announced, and put again for
//! as long as the node lives.

use std::time::Duration;

use super::{
    Deadline, Engine, Now, Operation, REPLICATION, REPLICATION_BUDGET, REPLICATION_DELAY,
    calls::{Call, Outcome, Since},
    commands::Begin,
    explaining::Reasons,
    own::{self, Authorship, Change, Changed, Recalled, Standing},
    peers::Reach,
    publish::{Publish, Put, Stage, Storing},
    queries::{attesting, saying},
    read,
    recalling::Asked,
    wheel,
};
use crate::{
    Error, Event, PackageId, PackageName, Receipt, Result, Source,
    command::{Reply, Ticket},
    record::{Kind, RecordKey},
};

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod tests;

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
        let mut publish = Publish::new(change, Some(reply), confirmation);
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
        self.begin_change(begin.now, begin.ticket, since, Box::new(publish));
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
                if let Outcome::Stored { key, replicas } = outcome {
                    storing.stored(&key, replicas);
                }
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
                self.go_on_confirming(now, ticket, since, publish);
            }
            // They wait for no query.
            Stage::Explaining(_) | Stage::Announcing => {
                self.calls.insert(ticket, Call { since, operation: Operation::Publish(publish) });
            }
            Stage::Recalling(_) => self.resume_recall(now, ticket, since, publish, outcome),
        }
    }

    /// Signs the change and puts it in force: stored here, on its way to the peers, to be announced when they have it.
    pub(super) fn commit(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        recalled: &[Recalled],
        asked: Asked,
    ) {
        let name = publish.change.name().clone();
        let changed = match self.changed(now, &publish.change, recalled, asked) {
            Ok(changed) => changed,
            Err(error) => return self.abandon(now, ticket, since, publish, error),
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
            attests: attesting(record, &self.owner)
                .first()
                .copied()
                .unwrap_or_else(|| saying(record)),
            acknowledged: Vec::new(),
            replicas: 0,
        });
        let put = put.collect();
        for record in changed.records {
            self.queries.put(record, Some(ticket));
        }
        let is_upkeep = publish.change.is_upkeep();
        publish.announcement = self.announce_change(now, &changed.package, changed.head, is_upkeep);
        publish.stage = Stage::Storing(Storing {
            id: changed.id,
            sequence: changed.package.head.revision.sequence,
            pending,
            fewest: None,
            is_whole: changed.is_whole,
            put,
            clock: self.clock_disagreement(),
            reasons: Reasons::default(),
        });
        self.add_look_alikes_listed(now, &mut publish);
        let head = &changed.package.head;
        self.shelve_own(&name, &changed.package);
        self.list_own(now, head);
        self.resuming.remove(&name);
        self.equivocations.supersede(head);
        self.elsewhere.spend(head.digest());
        self.take_in(head, recalled, asked);
        self.own.insert(name, changed.package);
        let operation = Operation::Publish(publish);
        self.calls.insert(ticket, Call { since, operation });
    }

    /// What a change comes to.
    fn changed(
        &self,
        now: Now,
        change: &Change,
        recalled: &[Recalled],
        asked: Asked,
    ) -> Result<Changed> {
        let name = change.name();
        let own = self.own.get(name);
        let seen = self.store.high_water(Kind::Head, &self.owner, name).unwrap_or_default();
        let before = own.map(|own| own.standing);
        let standing = match asked {
            Asked::Yes => Standing::heard(before),
            Asked::No => Standing::Unheard,
        };
        let signer = self.signer(now);
        let mut changed = own::apply(own, recalled, change, standing, seen, &signer)?;
        // Others may have taken the last places while the package was recalled.
        if own.is_none() && self.own.len() >= self.config.limits.own_packages {
            return Err(Error::busy("own_packages"));
        }
        if let (Authorship::Kept, Asked::No, Some(before)) = (changed.head, asked, before) {
            changed.package.standing = before;
        }
        Ok(changed)
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
    pub(super) fn abandon(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        error: Error,
    ) {
        self.end_look_alikes(now, ticket, &mut publish);
        if publish.reply.is_some() {
            return match publish.settle(Err(error)) {
                Ok(receipt) => self.answer_announced(ticket, since, publish, receipt),
                Err(error) => self.fail_announced(since, *publish, error),
            };
        }
        self.finish(since);
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
                    if self.resuming.not_found(name, now.unix, self.clocks.moves()) {
                        self.replicate_later(now);
                    }
                }
                _ => self.replicate_later(now),
            },
            None => {}
        }
    }

    /// Every put of a change has ended.
    fn stored(&mut self, now: Now, ticket: Ticket, since: Since, mut publish: Box<Publish>) {
        self.end_look_alikes(now, ticket, &mut publish);
        let Stage::Storing(storing) = &publish.stage else { return self.finish(since) };
        let name = publish.change.name();
        let replicas = storing.replicas();
        let (mut is_taken, mut lacks) = (false, false);
        if let Some(own) = self.own.get_mut(name) {
            let was_held = own.is_held;
            own.is_held = replicas > 0 && (was_held || storing.is_whole);
            is_taken = !was_held && own.is_held;
            if let Standing::Confirmed { .. } = own.standing {
                own.standing = match replicas {
                    // Peers that refuse it may hold a newer one, which the next round reads first.
                    0 => Standing::Doubted,
                    replicas => Standing::Confirmed { replicas },
                };
            }
            lacks = own.lacks_replicas();
        }
        if lacks && replicas > 0 && !publish.change.is_upkeep() {
            // They take it, and some have not said what they hold: they are asked once more, soon. Where one never answers,
            // a pause that grows would keep new packages from being announced.
            let mut pauses = REPLICATION;
            self.replicate_after(now, pauses.pause());
        } else if lacks {
            self.replicate_later(now);
        }
        // Whoever waits for it is told by the receipt.
        if is_taken && publish.reply.is_none() {
            let id = storing.id.clone();
            self.events.push_back(Event::Replicated { id, replicas });
        }
        if publish.change.is_upkeep() {
            self.renewing.remove(name);
        }
        if let Some(publish) = self.ask_why(now, ticket, since, publish) {
            self.report(now, ticket, since, publish);
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

    pub(super) fn renewal_timer(&mut self, now: Now, name: &PackageName) -> (wheel::Key, Duration) {
        // Often enough that a head is signed anew, which happens past half of its life, before it expires.
        let interval = self.config.republish_interval.min(self.config.record_ttl / 3);
        let after = self.jitter(interval);
        let deadline = now.mono.saturating_add(after);
        (self.wheel.insert(deadline, Deadline::Renew(Box::new(name.clone()))), after)
    }

    /// Puts an own package again, signed anew where half of its life is over.
    pub(super) fn renew(&mut self, now: Now, name: PackageName) {
        self.keep_up(now, Change::Renew { name });
    }

    /// Changes an own package by itself, unless it does already.
    pub(super) fn keep_up(&mut self, now: Now, change: Change) {
        if self.closed || !self.renewing.insert(change.name().clone()) {
            return;
        }
        let ticket = self.ticket();
        let since = Since { asked: now.mono, timer: None };
        let publish = Box::new(Publish::new(change, None, 0));
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
    pub(super) fn replicate_later(&mut self, now: Now) {
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
            // What was heard of some is merged in its time.
            .filter(|(name, own)| own.lacks_replicas() && !self.elsewhere.has_timer(name))
            .map(|(name, _)| name)
            .chain(self.resuming.names())
            .cloned()
            .collect();
        for name in lacking {
            self.renew(now, name);
        }
    }
}
