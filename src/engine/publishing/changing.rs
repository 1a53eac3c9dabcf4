//! How a change to an own package takes its course: recalled, signed, stored, announced.

use libp2p::PeerId;

use crate::{
    engine::{
        calls::{Begin, Outcome, Since},
        context::Context,
        effects::Effects,
        interface::{Now, Reach},
        publishing::{
            Publishing, REPLICATION,
            changes::Underway,
            explaining::Reasons,
            next::{Committed, Failure, Next},
            own::{self, Authorship, Change, Changed, Confidence, Recalled},
            publish::{Publish, Put, Stage, Storing},
            recalling::WasAsked,
        },
        saying::{attesting, saying},
    },
    error::{Error, Result},
    event::Event,
    package::PackageName,
    record::{Head, Kind, Record, RecordKey, Signed},
    ticket::Ticket,
};

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

    /// Whether this node publishes the package. The owner may have other publishers for others of its packages.
    pub(in crate::engine) fn publishes(&self, cx: &Context, head: &Head) -> bool {
        head.owner == cx.owner && self.own.contains_key(&head.name)
    }

    /// Whether a head is this node's business: it publishes the package, or has signed the head, in an earlier life maybe.
    pub(in crate::engine) fn concerns(&self, cx: &Context, head: &Signed<Head>) -> bool {
        let is_signed_here = head.owner == cx.owner && head.signer() == cx.local;
        is_signed_here || self.publishes(cx, head)
    }

    /// Whether this node publishes the package of this name and owner itself. Other devices of the owner may publish more.
    pub(in crate::engine) fn is_published_here(
        &self,
        cx: &Context,
        name: &PackageName,
        owner: &PeerId,
    ) -> bool {
        *owner == cx.owner && self.is_own(name)
    }

    /// A caller changes an own package. So many records stand in line to be put already.
    pub(in crate::engine) fn accept(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        begin: &Begin,
        puts: usize,
        mut publish: Publish,
    ) -> Option<Underway> {
        let limits = &cx.config.limits;
        let full = self.own.len() >= limits.own_packages;
        let lacking = if full && !self.own.contains_key(publish.change.name()) {
            Some("own_packages")
        } else if puts >= limits.waiting_calls {
            // What is signed is put even if its caller goes away, so the puts have a bound of their own.
            Some("waiting_calls")
        } else {
            None
        };
        if let Some(lacking) = lacking {
            publish.answer(out, Err(Error::busy(lacking)));
            return None;
        }
        publish.latest = begin.deadline;
        let since = out.since(begin);
        Some(Underway { ticket: begin.ticket, since, publish: Box::new(publish) })
    }

    /// The node changes an own package by itself, unless it does already.
    pub(in crate::engine) fn keep_up(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        change: Change,
    ) -> Option<Underway> {
        if cx.closed || !self.renewing.insert(change.name().clone()) {
            return None;
        }
        let ticket = out.ticket();
        let since = Since { asked: cx.now().mono, timer: None };
        Some(Underway { ticket, since, publish: Box::new(Publish::new(change, None, 0)) })
    }

    /// A lookup of a change, or a put, has ended.
    pub(in crate::engine) fn resume(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        ticket: Ticket,
        outcome: Outcome,
    ) -> Next {
        let Some(mut change) = self.changes.remove(ticket) else { return Next::Wait };
        match &mut change.publish.stage {
            Stage::Storing(storing) => {
                if let Outcome::Stored { key, replicas } = outcome {
                    storing.stored(&key, replicas);
                }
                storing.clock = cx.clock_disagreement().or(storing.clock);
                let next = if storing.pending > 0 { Next::Wait } else { Next::Settle };
                self.changes.insert(change);
                next
            }
            Stage::Confirming(confirming) => {
                if let Outcome::ReadBack { key, confirmed } = outcome {
                    confirming.ended(&key, confirmed);
                }
                self.go_on_confirming(cx, out, reach, change)
            }
            // They wait for no query.
            Stage::Explaining(_) | Stage::Announcing => {
                self.changes.insert(change);
                Next::Wait
            }
            Stage::Recalling(_) => self.resume_recall(cx, out, change, outcome),
        }
    }

    /// What a change comes to.
    fn changed(
        &self,
        cx: &Context,
        change: &Change,
        recalled: &[Recalled],
        asked: WasAsked,
    ) -> Result<Changed> {
        let name = change.name();
        let own = self.own.get(name);
        let seen = cx.store.high_water(Kind::Head, &cx.owner, name).unwrap_or_default();
        let before = own.map(|own| own.confidence);
        let confidence = match asked {
            WasAsked::Yes => Confidence::heard(before),
            WasAsked::No => Confidence::Unheard,
        };
        let signer = cx.signer();
        let mut changed = own::apply(own, recalled, change, confidence, seen, &signer)?;
        // Others may have taken the last places while the package was recalled.
        if own.is_none() && self.own.len() >= cx.config.limits.own_packages {
            return Err(Error::busy("own_packages"));
        }
        if let (Authorship::Kept, WasAsked::No, Some(before)) = (changed.head, asked, before) {
            changed.package.confidence = before;
        }
        Ok(changed)
    }

    /// Signs the change and puts it in force: stored here, on its way to the peers, to be announced when they have it.
    pub(super) fn commit(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        mut change: Underway,
        recalled: &[Recalled],
        asked: WasAsked,
    ) -> Next {
        let publish = &mut change.publish;
        let changed = match self.changed(cx, &publish.change, recalled, asked) {
            Ok(changed) => changed,
            Err(error) => return self.give_up(change, Failure::Other(error)),
        };
        let name = publish.change.name().clone();
        let Changed { id, package, records, is_whole, head: authorship } = changed;
        let outdated = self.outdated(cx, &name, &records);
        for record in &records {
            if let Err(refused) = cx.store.insert_own(record.clone()) {
                tracing::warn!(%name, %refused, "own record not stored");
            }
        }
        publish.commit = out.saving.next_commit();
        let is_upkeep = publish.change.is_upkeep();
        publish.announcement = self.announce_change(cx, out, &package, authorship, is_upkeep);
        publish.stage = Stage::Storing(Storing {
            id,
            sequence: package.head.revision.sequence,
            pending: records.len(),
            fewest: None,
            is_whole,
            put: records.iter().map(|record| Put::new(cx, record)).collect(),
            clock: cx.clock_disagreement(),
            reasons: Reasons::default(),
        });
        let published = match &publish.change {
            Change::Register(manifest) => Some(manifest.name.clone()),
            _ => None,
        };
        self.resuming.remove(&name);
        self.elsewhere.spend(package.head.digest());
        self.take_in(cx, out, &package.head, recalled, asked);
        self.own.insert(name.clone(), package);
        self.changes.insert(change);
        Next::Put(Box::new(Committed { name, published, outdated, records }))
    }

    /// The keys under which what was read is out of date, now that these records of an own package have been signed.
    fn outdated(&self, cx: &Context, name: &PackageName, records: &[Record]) -> Vec<RecordKey> {
        let network = &cx.config.network;
        let mut keys =
            vec![RecordKey::head(network, &cx.owner, name), RecordKey::claims(network, name)];
        keys.extend(self.own.get(name).into_iter().flat_map(own::OwnPackage::keys));
        keys.extend(records.iter().map(Record::key));
        keys
    }

    /// Every put of a change has ended, and what was looked up beside it: those who lack it are asked why, if a caller waits
    /// to be told.
    pub(in crate::engine) fn stored(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        ticket: Ticket,
    ) -> Next {
        let now = cx.now();
        let Some(change) = self.changes.remove(ticket) else { return Next::Wait };
        let publish = &change.publish;
        let Stage::Storing(storing) = &publish.stage else {
            out.finish(change.since);
            return Next::Wait;
        };
        self.note_stored(out, now, reach, publish, storing);
        let lacking = match publish.reply {
            Some(_) => storing.unacknowledged(),
            None => Vec::new(),
        };
        if lacking.is_empty() {
            return self.report(cx, out, change);
        }
        self.changes.insert(change);
        Next::Explain(lacking)
    }

    /// Takes note of how many peers hold an own package now, and has it put again if that is nobody.
    fn note_stored(
        &mut self,
        out: &mut Effects,
        now: Now,
        reach: Reach,
        publish: &Publish,
        storing: &Storing,
    ) {
        let name = publish.change.name();
        let replicas = storing.replicas();
        let (mut is_taken, mut lacks) = (false, false);
        if let Some(own) = self.own.get_mut(name) {
            let was_held = own.is_held;
            own.is_held = replicas > 0 && (was_held || storing.is_whole);
            is_taken = !was_held && own.is_held;
            if let Confidence::Confirmed { .. } = own.confidence {
                own.confidence = match replicas {
                    // Peers that refuse it may hold a newer one, which the next round reads first.
                    0 => Confidence::Doubted,
                    replicas => Confidence::Confirmed { replicas },
                };
            }
            lacks = own.lacks_replicas();
        }
        let is_upkeep = publish.change.is_upkeep();
        if lacks && replicas > 0 && !is_upkeep {
            // They take it, and some have not said what they hold: they are asked once more, soon. Where one never answers,
            // a pause that grows would keep new packages from being announced.
            let mut pauses = REPLICATION;
            self.replicate_after(out, now, pauses.pause());
        } else if lacks {
            self.replicate_later(out, now, reach);
        }
        // Whoever waits for it is told by the receipt.
        if is_taken && publish.reply.is_none() {
            out.events.push_back(Event::Replicated { id: storing.id.clone(), replicas });
        }
        if is_upkeep {
            self.renewing.remove(name);
        }
    }
}

impl Put {
    fn new(cx: &Context, record: &Record) -> Self {
        let attests = attesting(record, &cx.owner).first().copied();
        Self {
            key: record.key(),
            attests: attests.unwrap_or_else(|| saying(record)),
            acknowledged: Vec::new(),
            replicas: 0,
        }
    }
}
