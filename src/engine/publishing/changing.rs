//! How a change to an own package takes its course: recalled, signed, stored, announced, and put again for
//! as long as the node lives.

use std::time::Duration;

use crate::{
    Error, Event, PackageName, Receipt, Result,
    command::Reply,
    engine::{
        Context, Deadline, Effects, Engine, Now, Publishing, REPLICATION_BUDGET, REPLICATION_DELAY,
        calls::{Outcome, Since},
        clocks::LATE,
        commands::Begin,
        explaining::Reasons,
        own::{self, Authorship, Change, Changed, Recalled, Standing},
        peers::Reach,
        publish::{Publish, Put, Stage, Storing},
        publishing::REPLICATION,
        queries::{attesting, saying},
        recalling::Asked,
        wheel,
    },
    record::{Head, Kind, RecordKey, Signed},
    ticket::Ticket,
};

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod tests;

impl Publishing {
    /// The head of an own package, found by its name: its key need not be computed.
    pub(in crate::engine) fn own_head(
        &self,
        now: Now,
        name: &PackageName,
    ) -> Option<&Signed<Head>> {
        let head = &self.own.get(name)?.head;
        (head.validity.expires > now.unix).then_some(head)
    }

    /// Somebody can be asked who could not be a moment ago: what waited for that begins anew.
    pub(in crate::engine) fn reached(&mut self, out: &mut Effects, now: Now) {
        self.replication.backoff.reset();
        self.replicate_soon(out, now);
    }

    /// Whether this node publishes the package. The owner may have other publishers for others of its packages.
    pub(in crate::engine) fn publishes(&self, cx: &Context, head: &Head) -> bool {
        head.owner == cx.owner && self.own.contains_key(&head.name)
    }

    /// Whether an own package should have been put again a while ago, or nobody believes its head any more, or yet. One
    /// that is due at this moment is not overdue: its own deadline puts it again, and takes no round.
    pub(in crate::engine) fn is_overdue(&self, now: Now, name: &PackageName) -> bool {
        let (Some(own), Some(renewal)) = (self.own.get(name), self.renewals.get(name)) else {
            return false;
        };
        let validity = own.head.validity;
        let is_late = renewal.due.saturating_add(LATE) <= now.unix;
        let is_due = is_late || validity.is_expired(now.unix) || validity.is_early(now.unix);
        is_due && !self.renewing.contains(name)
    }

    /// What a change comes to.
    fn changed(
        &self,
        cx: &Context,
        now: Now,
        change: &Change,
        recalled: &[Recalled],
        asked: Asked,
    ) -> Result<Changed> {
        let name = change.name();
        let own = self.own.get(name);
        let seen = cx.store.high_water(Kind::Head, &cx.owner, name).unwrap_or_default();
        let before = own.map(|own| own.standing);
        let standing = match asked {
            Asked::Yes => Standing::heard(before),
            Asked::No => Standing::Unheard,
        };
        let signer = cx.signer(now);
        let mut changed = own::apply(own, recalled, change, standing, seen, &signer)?;
        // Others may have taken the last places while the package was recalled.
        if own.is_none() && self.own.len() >= cx.config.limits.own_packages {
            return Err(Error::busy("own_packages"));
        }
        if let (Authorship::Kept, Asked::No, Some(before)) = (changed.head, asked, before) {
            changed.package.standing = before;
        }
        Ok(changed)
    }

    /// Sets the time at which an own package is put again.
    fn renew_later(&mut self, cx: &Context, out: &mut Effects, now: Now, name: &PackageName) {
        let (timer, interval) = out.renewal_timer(cx, now, name);
        if let Some(renewal) = self.renewals.get_mut(name) {
            renewal.due = now.unix.saturating_add(interval.as_secs());
            renewal.interval = interval;
            let before = std::mem::replace(&mut renewal.timer, timer);
            out.wheel.cancel(before);
        }
    }

    /// A peer has appeared: own packages that nobody holds are put again, shortly, and those of an earlier life.
    pub(in crate::engine) fn replicate_soon(&mut self, out: &mut Effects, now: Now) {
        if !self.resuming.is_empty() || self.own.values().any(own::OwnPackage::lacks_replicas) {
            self.replicate_after(out, now, REPLICATION_DELAY);
        }
    }

    /// Puts own packages again that nobody holds, after a pause. An earlier time that is set already is kept,
    /// a later one moved up.
    fn replicate_after(&mut self, out: &mut Effects, now: Now, pause: Duration) {
        let deadline = now.mono.saturating_add(pause);
        if let Some((timer, due)) = self.replication.timer {
            if due <= deadline {
                return;
            }
            out.wheel.cancel(timer);
        }
        let timer = out.wheel.insert(deadline, Deadline::Replicate);
        self.replication.timer = Some((timer, deadline));
    }
}

impl Effects {
    pub(in crate::engine) fn renewal_timer(
        &mut self,
        cx: &Context,
        now: Now,
        name: &PackageName,
    ) -> (wheel::Key, Duration) {
        // Often enough that a head is signed anew, which happens past half of its life, before it expires.
        let interval = cx.config.republish_interval.min(cx.config.record_ttl / 3);
        let after = self.jitter(interval);
        let deadline = now.mono.saturating_add(after);
        (self.wheel.insert(deadline, Deadline::Renew(Box::new(name.clone()))), after)
    }
}

impl Engine {
    /// A caller changes an own package.
    pub(in crate::engine) fn change(
        &mut self,
        begin: Begin,
        change: Change,
        confirmation: u8,
        reply: Reply<Receipt>,
    ) {
        let full = self.publishing.own.len() >= self.cx.config.limits.own_packages;
        let mut publish = Publish::new(change, Some(reply), confirmation);
        if full && !self.publishing.own.contains_key(publish.change.name()) {
            let ended = publish.answer(Err(Error::busy("own_packages")));
            return self.out.count(ended);
        }
        // What is signed is put even if its caller goes away, so the puts have a bound of their own.
        if self.reading.has_enough_puts(self.cx.config.limits.waiting_calls) {
            let ended = publish.answer(Err(Error::busy("waiting_calls")));
            return self.out.count(ended);
        }
        let since = self.out.since(&begin);
        self.begin_change(begin.now, begin.ticket, since, Box::new(publish));
    }

    /// A lookup of a recall, or a put, has ended.
    pub(in crate::engine) fn resume_publish(
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
                storing.clock = self.cx.clock_disagreement().or(storing.clock);
                if storing.pending > 0 {
                    self.publishing.changes.insert(ticket, since, publish);
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
                self.publishing.changes.insert(ticket, since, publish);
            }
            Stage::Recalling(_) => self.resume_recall(now, ticket, since, publish, outcome),
        }
    }

    /// Signs the change and puts it in force: stored here, on its way to the peers, to be announced when they have it.
    pub(in crate::engine) fn commit(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        recalled: &[Recalled],
        asked: Asked,
    ) {
        let name = publish.change.name().clone();
        let changed = match self.publishing.changed(&self.cx, now, &publish.change, recalled, asked)
        {
            Ok(changed) => changed,
            Err(error) => return self.abandon(now, ticket, since, publish, error),
        };
        self.forget_cached(&name);
        for record in &changed.records {
            if let Err(refused) = self.cx.store.insert_own(record.clone()) {
                tracing::warn!(%name, %refused, "own record not stored");
            }
            self.reading.forget(&record.key());
            self.reading.forget_absence(&record.key());
        }
        let pending = changed.records.len();
        let put = changed.records.iter().map(|record| Put {
            key: record.key(),
            attests: attesting(record, &self.cx.owner)
                .first()
                .copied()
                .unwrap_or_else(|| saying(record)),
            acknowledged: Vec::new(),
            replicas: 0,
        });
        let put = put.collect();
        for record in changed.records {
            self.reading.queries.put(record, Some(ticket));
        }
        let is_upkeep = publish.change.is_upkeep();
        publish.announcement = self.publishing.announce_change(
            &self.cx,
            &mut self.out,
            now,
            &changed.package,
            changed.head,
            is_upkeep,
        );
        publish.stage = Stage::Storing(Storing {
            id: changed.id,
            sequence: changed.package.head.revision.sequence,
            pending,
            fewest: None,
            is_whole: changed.is_whole,
            put,
            clock: self.cx.clock_disagreement(),
            reasons: Reasons::default(),
        });
        self.discovery.add_look_alikes_listed(&self.cx, now, &mut publish);
        let head = &changed.package.head;
        self.reading.shelve_own(&self.cx, &name, head);
        self.discovery.list_own(now, head);
        self.publishing.resuming.remove(&name);
        self.standing.equivocations.supersede(head);
        self.publishing.elsewhere.spend(head.digest());
        self.publishing.take_in(&self.cx, &mut self.out, head, recalled, asked);
        self.publishing.own.insert(name, changed.package);
        self.publishing.changes.insert(ticket, since, publish);
    }

    /// Forgets what was read of an own package: from now on it is known better.
    fn forget_cached(&mut self, name: &PackageName) {
        let network = &self.cx.config.network;
        self.reading.forget(&RecordKey::head(network, &self.cx.owner, name));
        self.reading.forget(&RecordKey::claims(network, name));
        if let Some(own) = self.publishing.own.get(name) {
            for key in own.keys() {
                self.reading.forget(&key);
            }
        }
    }

    /// A change that comes to nothing. What the node does by itself it tries again: a package that is never
    /// put again expires.
    pub(in crate::engine) fn abandon(
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
                Err(error) => self.publishing.fail_announced(&mut self.out, since, *publish, error),
            };
        }
        self.out.finish(since);
        let name = publish.change.name();
        tracing::debug!(%name, %error, "not put again");
        self.publishing.renewing.remove(name);
        match self.publishing.own.get(name) {
            Some(own) => {
                if own.lacks_replicas() {
                    self.replicate_later(now);
                }
                self.publishing.renew_later(&self.cx, &mut self.out, now, name);
            }
            None if self.publishing.resuming.contains(name) => match error {
                // Nobody holds it any more, and it is not for this life to invent it.
                Error::NotFound { .. } if self.peers.peers.reach() == Reach::Joined => {
                    if self.publishing.resuming.not_found(name, now.unix, self.cx.clocks.moves()) {
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
        let Stage::Storing(storing) = &publish.stage else { return self.out.finish(since) };
        let name = publish.change.name();
        let replicas = storing.replicas();
        let (mut is_taken, mut lacks) = (false, false);
        if let Some(own) = self.publishing.own.get_mut(name) {
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
            self.publishing.replicate_after(&mut self.out, now, pauses.pause());
        } else if lacks {
            self.replicate_later(now);
        }
        // Whoever waits for it is told by the receipt.
        if is_taken && publish.reply.is_none() {
            let id = storing.id.clone();
            self.out.events.push_back(Event::Replicated { id, replicas });
        }
        if publish.change.is_upkeep() {
            self.publishing.renewing.remove(name);
        }
        if let Some(publish) = self.ask_why(now, ticket, since, publish) {
            self.report(now, ticket, since, publish);
        }
    }

    /// Puts an own package again, signed anew where half of its life is over.
    pub(in crate::engine) fn renew(&mut self, now: Now, name: PackageName) {
        self.keep_up(now, Change::Renew { name });
    }

    /// Changes an own package by itself, unless it does already.
    pub(in crate::engine) fn keep_up(&mut self, now: Now, change: Change) {
        if self.cx.closed || !self.publishing.renewing.insert(change.name().clone()) {
            return;
        }
        let ticket = self.out.ticket();
        let since = Since { asked: now.mono, timer: None };
        let publish = Box::new(Publish::new(change, None, 0));
        self.begin_change(now, ticket, since, publish);
    }

    /// Peers were asked, and an own package still lacks replicas: tries again after a pause. One pause serves
    /// all packages that wait for it, so that it grows with each round and not with each package.
    pub(in crate::engine) fn replicate_later(&mut self, now: Now) {
        if self.publishing.replication.timer.is_none() && self.peers.peers.reach() == Reach::Joined
        {
            let pause = self.publishing.replication.backoff.pause();
            self.publishing.replicate_after(&mut self.out, now, pause);
        }
    }

    /// Puts records of others to the peers that are closest to them now. Where queries stand in line already,
    /// these wait.
    pub(in crate::engine) fn replicate_others(&mut self) {
        let room = REPLICATION_BUDGET.saturating_sub(self.reading.queries.puts());
        if self.cx.closed || self.peers.peers.reach() != Reach::Joined {
            return;
        }
        for record in self.cx.store.take_due(room) {
            self.reading.queries.put(record, None);
        }
    }

    /// Puts own packages again that nobody holds.
    pub(in crate::engine) fn replicate(&mut self, now: Now) {
        self.publishing.replication.timer = None;
        if self.peers.peers.reach() != Reach::Joined {
            return;
        }
        let lacking: Vec<PackageName> = self
            .publishing
            .own
            .iter()
            // What was heard of some is merged in its time.
            .filter(|(name, own)| {
                own.lacks_replicas() && !self.publishing.elsewhere.has_timer(name)
            })
            .map(|(name, _)| name)
            .chain(self.publishing.resuming.names())
            .cloned()
            .collect();
        for name in lacking {
            self.renew(now, name);
        }
    }
}
