//! How answers of the DHT reach the calls that wait for them.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;

use crate::{
    Freshness, PackageId, PackageName, Source,
    engine::{
        Action, Context, Engine, Now, QueryEnd, QueryKey, Reading,
        calls::{Heard, Outcome},
        catalogue::Interest,
        queries::{Ended, Extent, Replies, Waiter, Wants, newest, saying},
        read,
    },
    keyspace::REPLICAS,
    record::{Head, Record, RecordKey, Rejected},
};

/// For how long at the most nothing is asked again of which peers hold copies that do not hold by this node's clock.
const UNTIMELY_ABSENCE: Duration = Duration::from_secs(2);

/// When a copy that was found is enough to answer with.
#[derive(Debug, Clone, Copy)]
enum Enough {
    /// Whichever it is.
    Any,
    /// With as many others as each caller wants.
    AsWanted,
    /// At the end of the lookup.
    Whole,
}

/// Who was heard by the end of a lookup.
#[derive(Debug, Clone, Copy)]
enum Hearing {
    Somebody(Heard),
    Nobody,
    /// The DHT ended it for want of time.
    CutShort,
}

impl Hearing {
    fn of(answered: u32, unheard: u32, replies: &Replies) -> Self {
        let closest = u32::try_from(REPLICAS).unwrap_or(u32::MAX);
        match answered {
            0 => Self::Nobody,
            _ if unheard == 0 || answered >= closest => Self::Somebody(Heard::All),
            _ if answered > replies.silent(unheard) => Self::Somebody(Heard::Most),
            _ => Self::Somebody(Heard::Few),
        }
    }
}

/// The best record under a key.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Best {
    /// It was found with peers.
    Found(Arc<Record>),
    /// No peer was found to hold it, or only older ones: this node was told of it before.
    Known(Arc<Record>),
    /// No peer was found to hold it, or only older ones, and it is in the catalogue.
    Listed(Arc<Record>),
    Nothing,
}

impl Best {
    /// The record, and where it came from if enough was heard.
    pub(in crate::engine) fn known(self) -> Option<(Arc<Record>, Source)> {
        match self {
            Self::Found(record) => Some((record, Source::Network)),
            Self::Known(record) => Some((record, Source::Cache)),
            Self::Listed(record) => Some((record, Source::Catalogue)),
            Self::Nothing => None,
        }
    }
}

impl Reading {
    /// A package is there, whether or not it was a moment ago.
    pub(in crate::engine) fn appeared(&mut self, head: &Head) {
        let keys = [
            RecordKey::head(&head.network, &head.owner, &head.name),
            RecordKey::claims(&head.network, &head.name),
        ];
        keys.iter().for_each(|key| self.absences.remove(key));
    }

    /// A record that can be had without asking anybody: an own one, or one that was read a short while ago.
    pub(in crate::engine) fn known(
        &self,
        cx: &Context,
        now: Now,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Option<(Arc<Record>, Source)> {
        if let Some(record) = cx.store.own(key) {
            return Some((Arc::new(record), Source::Own));
        }
        if freshness != Freshness::First {
            return None;
        }
        let record = self.cache.get(key, now)?;
        if record.expires().is_some_and(|expires| expires <= now.unix) {
            return None;
        }
        let record = match &**record {
            // Where a newer head has been seen since, by the store for example, this one is not believed.
            Record::Head(head) if cx.store.is_overtaken(head) => return None,
            // Some claims of a set may have expired before the others.
            Record::Claims { set, dropped } => {
                Arc::new(Record::Claims { set: set.merge(set, now.unix), dropped: *dropped })
            }
            Record::Head(_) | Record::Release(_) | Record::Page(_) => Arc::clone(record),
        };
        Some((record, Source::Cache))
    }

    /// The best of what a lookup has found, and of what is known of it here: an announcement, or a peer that has put a
    /// record here meanwhile, may have brought something newer than any copy. What this node has signed itself is no
    /// finding; of its own heads only what peers hold counts.
    pub(in crate::engine) fn best(
        &self,
        cx: &Context,
        now: Now,
        key: &RecordKey,
        replies: &Replies,
    ) -> Best {
        let known = match self.known(cx, now, key, Freshness::First) {
            Some((_, Source::Own)) | None => None,
            Some((record, _)) => Some(record).filter(|known| !cx.is_overtaken(known)),
        };
        let held = cx.store.held(key).filter(|held| !cx.is_overtaken(held)).map(Arc::new);
        let known = match (known, held) {
            (Some(known), Some(held)) => Some(newest(&known, &held, now.unix)),
            (known, held) => known.or(held),
        };
        let is_found = replies.is_found();
        let found = replies.best().filter(|found| !cx.is_overtaken(found));
        match (found, known) {
            (Some(found), Some(known)) => {
                let record = newest(found, &known, now.unix);
                // Of claims, those that were found are a part.
                let is_same =
                    matches!(*record, Record::Claims { .. }) || saying(&record) == saying(found);
                if is_found && is_same { Best::Found(record) } else { Best::Known(record) }
            }
            (Some(found), None) if is_found => Best::Found(Arc::clone(found)),
            (Some(found), None) => Best::Known(Arc::clone(found)),
            (None, Some(known)) => Best::Known(known),
            (None, None) => Best::Nothing,
        }
    }

    pub(in crate::engine) fn interest(
        &self,
        name: &PackageName,
        owner: &PeerId,
        interest: Interest,
    ) -> Interest {
        if self.pins.owner(name) == Some(*owner) {
            interest.max(Interest::Pinned)
        } else {
            interest
        }
    }

    /// Puts an own package where callers read it without asking, or takes it away once it is withdrawn.
    pub(in crate::engine) fn shelve_own(&self, cx: &Context, name: &PackageName, head: &Head) {
        // To its own publisher, the bare name means its own.
        let ids = [PackageId::owned(cx.owner, name.clone()), PackageId::named(name.clone())];
        match read::newest(head, Source::Own) {
            Some(package) => self.shelf.put(ids, package, None, head.validity.expires),
            None => ids.iter().for_each(|id| self.shelf.remove(id)),
        }
    }
}

impl Context {
    /// Whether this is a head of somebody else's that nobody is told any more. Of its own owner's packages the node
    /// goes on from what it finds, whatever has been seen of them.
    fn is_overtaken(&self, record: &Record) -> bool {
        !is_own_head(record, &self.owner) && self.is_outdated(record)
    }

    /// What a reader is told of the best that is known. For those who publish for its owner it may be too old.
    pub(in crate::engine) fn readable(&self, best: Best) -> Option<Arc<Record>> {
        let (record, _) = best.known()?;
        (!self.is_outdated(&record)).then_some(record)
    }
}

impl Engine {
    /// A copy of a record that is being looked up. What is written once is the same in every valid copy, so that
    /// the first one answers. Of a head, as many copies as each caller wants to hear. Two things wait for the end
    /// of the lookup whatever callers want: of claims the union of all copies answers, and of this node's own heads
    /// the newest. To go on from an older one would undo what came after it, and sign its sequence twice.
    pub(in crate::engine) fn copy(
        &mut self,
        now: Now,
        query: QueryKey,
        from: Option<PeerId>,
        bytes: &[u8],
    ) {
        if from.is_some_and(|peer| self.is_blocked(&peer)) {
            return;
        }
        let Some((key, _)) = self.queries.lookup(query) else { return };
        let verified = self.cx.store.verify(&key, bytes).and_then(|record| {
            if let Record::Head(head) = &record {
                self.discovery.check_listed(&self.cx, head)?;
            }
            Ok(record)
        });
        let record = match verified {
            Ok(record) => record,
            Err(rejected) => {
                tracing::debug!(%key, ?from, %rejected, "copy refused");
                let Some((_, replies)) = self.queries.lookup(query) else { return };
                if from.is_some() {
                    replies.refused(&rejected);
                }
                match (&rejected, from) {
                    (
                        Rejected::Stale { .. }
                        | Rejected::Revoked { .. }
                        | Rejected::Expired { .. },
                        from,
                    ) => {
                        replies.outdated(from);
                        self.answer_heard(now, query);
                    }
                    (rejected, Some(peer)) if !rejected.is_excusable() => {
                        self.standing.reputations.invalid(peer);
                    }
                    _ => {}
                }
                return;
            }
        };
        let elapsed = self.queries.elapsed(query, now.mono).unwrap_or_default();
        if let Some(peer) = from {
            self.credit(peer, &record, elapsed);
        }
        let enough = match &record {
            Record::Release(_) | Record::Page(_) => Enough::Any,
            Record::Claims { .. } => Enough::Whole,
            Record::Head(head) if head.owner != self.cx.owner => Enough::AsWanted,
            Record::Head(head) => {
                if from.is_none() && self.publishing.is_own(&head.name) {
                    // What this node has signed itself says nothing of what peers hold.
                    return;
                }
                Enough::Whole
            }
        };
        let record = Arc::new(record);
        // This node's own replica does not count: it may have missed what has happened since it was handed over.
        let Some((_, replies)) = self.queries.lookup(query) else { return };
        let best = replies.best().map(Arc::clone);
        replies.copy(from, Arc::clone(&record), &self.cx.owner, now.unix);
        self.read_back(now, query, &record);
        if let Record::Head(head) = &*record {
            self.list(now, head, from, Interest::Heard);
            self.confront_known(now, &key, head);
            if from.is_some() {
                self.hear_own(now, head);
            }
            if let Some(Record::Head(best)) = best.as_deref() {
                self.confront(best, head);
            }
        }
        if let (Record::Head(head), Enough::AsWanted) = (&*record, enough) {
            // From here on nothing older is believed, whoever is still waited for.
            self.cx.store.raise_high_water(head);
            self.reading.cache.outdate(head, &key);
            if self.queries.wanted(query).is_none() {
                // It comes too late for its own lookup, and is as good for the next.
                return self.remember(now, &record);
            }
        }
        match enough {
            Enough::Any => self.answer(now, query, |_, _, _| true),
            Enough::AsWanted => self.answer_heard(now, query),
            Enough::Whole => {}
        }
    }

    /// Answers those who have heard as many copies of a head as they want.
    fn answer_heard(&mut self, now: Now, query: QueryKey) {
        let Some((_, replies)) = self.queries.lookup(query) else { return };
        let copies = replies.copies();
        self.answer(now, query, |record, freshness, owner| {
            is_head_of_other(record, owner) && freshness.is_satisfied(copies)
        });
    }

    fn answer(
        &mut self,
        now: Now,
        query: QueryKey,
        enough: impl Fn(&Record, Freshness, &PeerId) -> bool,
    ) {
        let Some(key) = self.queries.wanted(query) else { return };
        let Some(replies) = self.queries.heard(&key) else { return };
        let best = self.reading.best(&self.cx, now, &key, replies);
        let subject = self.calls.subject(self.queries.waiting(&key));
        let best = self.with_listed(now, best, subject.clone());
        let Some((record, source)) = best.known() else { return };
        if source == Source::Catalogue
            && let Some((_, replies)) = self.queries.lookup(query)
        {
            replies.answered_by_listed(subject);
        }
        let owner = &self.cx.owner;
        let (waiting, finish) =
            self.queries.answer(query, |freshness| enough(&record, freshness, owner));
        if let Some(query) = finish {
            self.out.actions.push_back(Action::Finish { query });
        }
        if !waiting.is_empty() && source == Source::Network {
            self.remember(now, &record);
        }
        let outcome = Outcome::Found { record, source };
        for ticket in waiting {
            self.resume(now, ticket, outcome.clone());
        }
    }

    /// The DHT reports the end of a query.
    pub(in crate::engine) fn query_ended(&mut self, now: Now, query: QueryKey, end: QueryEnd) {
        match self.queries.ended(query) {
            Some(Ended::Lookup { key, waiting, replies }) => {
                self.lookup_ended(now, &key, waiting, &replies, end);
            }
            Some(Ended::Put { key, caller }) => {
                let replicas = if let QueryEnd::Stored { replicas } = end { replicas } else { 0 };
                if let Some(ticket) = caller {
                    self.resume(now, ticket, Outcome::Stored { key, replicas });
                }
            }
            Some(Ended::Bootstrap { callers }) => {
                for ticket in callers {
                    self.resume(now, ticket, Outcome::Bootstrapped);
                }
            }
            Some(Ended::Repair) | None => {}
        }
    }

    fn lookup_ended(
        &mut self,
        now: Now,
        key: &RecordKey,
        waiting: Vec<Waiter>,
        replies: &Replies,
        end: QueryEnd,
    ) {
        let (hearing, without) = match end {
            QueryEnd::Lookup { answered, unheard, without } => {
                (Hearing::of(answered, unheard, replies), without)
            }
            QueryEnd::LookupCutShort | QueryEnd::Stored { .. } | QueryEnd::Bootstrapped => {
                (Hearing::CutShort, Vec::new())
            }
        };
        if waiting.is_empty() && replies.agree(&without) {
            return;
        }
        // One that nobody waited for to the end has not asked everybody.
        let extent = match hearing {
            Hearing::Somebody(_) if !waiting.is_empty() => Extent::Whole,
            _ => Extent::Part,
        };
        let found = self.reading.best(&self.cx, now, key, replies);
        let subject = self.calls.subject(waiting.iter().map(|waiter| waiter.ticket));
        let subject = subject.or_else(|| replies.listed());
        let best = self.with_listed(now, found.clone(), subject);
        self.repair(now, key, &best, replies, &without, extent);
        if waiting.is_empty() {
            return;
        }
        match (&best, hearing) {
            (Best::Found(record), Hearing::Somebody(_)) => {
                self.remember(now, record);
            }
            // The catalogue answers the next reader, too, without asking again at once.
            (Best::Listed(_), Hearing::Somebody(_)) => self.reading.absences.insert(*key, now.mono),
            (Best::Nothing, Hearing::Somebody(_)) if replies.untimely().is_none() => {
                self.reading.absences.insert(*key, now.mono);
            }
            // It may be there as soon as a clock is right, here or there. Nothing that peers say of the time decides it.
            (Best::Nothing, Hearing::Somebody(_)) => {
                self.reading.absences.insert_for(*key, now.mono, UNTIMELY_ABSENCE);
            }
            _ => {}
        }
        let copies = replies.copies();
        for Waiter { ticket, wants } in waiting {
            let freshness = match wants {
                Wants::Record(freshness) => freshness,
                Wants::ReadBack => {
                    self.read_back_ended(now, ticket, key, replies, &without);
                    continue;
                }
                Wants::LookAlikes => {
                    let found = best.clone().known().map(|(record, _)| record);
                    self.publishing.claims_found(&self.cx, ticket, found.as_deref());
                    continue;
                }
            };
            let is_heard = match hearing {
                Hearing::Somebody(heard) => {
                    freshness.is_satisfied_at_end(copies, heard == Heard::All)
                }
                Hearing::Nobody | Hearing::CutShort => false,
            };
            // A change goes on from what peers hold, and from nothing else that readers are told.
            let is_change = self.publishing.hears_heads(ticket, replies.own_heads());
            let best = if is_change { &found } else { &best };
            let outcome = match (best, hearing) {
                (Best::Found(record), _) => {
                    let source = if is_heard { Source::Network } else { Source::Partial };
                    Outcome::Found { record: Arc::clone(record), source }
                }
                // What this node holds of its own earlier life is nothing that it could go on from for certain.
                (Best::Known(record), Hearing::Nobody) if is_own_head(record, &self.cx.owner) => {
                    Outcome::NoPeers
                }
                (Best::Known(record), _) => {
                    let source = if is_heard { Source::Cache } else { Source::Partial };
                    Outcome::Found { record: Arc::clone(record), source }
                }
                (Best::Listed(record), _) => {
                    let source = if is_heard { Source::Catalogue } else { Source::Partial };
                    Outcome::Found { record: Arc::clone(record), source }
                }
                (Best::Nothing, Hearing::Somebody(heard)) => {
                    Outcome::NotFound { untimely: replies.untimely(), heard }
                }
                (Best::Nothing, Hearing::Nobody) => Outcome::NoPeers,
                (Best::Nothing, Hearing::CutShort) => {
                    // Whoever joined it late has time left for another.
                    if self.calls.has_deadline(ticket) || self.publishing.has_deadline(ticket) {
                        self.queries.get(*key, Waiter::new(ticket, freshness));
                        continue;
                    }
                    Outcome::TimedOut
                }
            };
            self.resume(now, ticket, outcome);
        }
    }

    /// Sends the best record that is known to the replicas that were found to lack it. An older one that this node
    /// holds for others itself is replaced. Replicas that still lack it a moment later do not want it.
    fn repair(
        &mut self,
        now: Now,
        key: &RecordKey,
        best: &Best,
        replies: &Replies,
        without: &[PeerId],
        extent: Extent,
    ) {
        let own = self
            .cx
            .store
            .own(key)
            .filter(|own| !self.publishing.is_unheard(&self.cx, own))
            .map(Arc::new);
        let is_own = own.is_some();
        let best = match (best, own) {
            (Best::Found(best) | Best::Known(best) | Best::Listed(best), Some(own)) => {
                newest(best, &own, now.unix)
            }
            (Best::Found(best) | Best::Known(best) | Best::Listed(best), None) => Arc::clone(best),
            (Best::Nothing, Some(own)) => own,
            (Best::Nothing, None) => return,
        };
        if self.cx.store.holds_another(key, &best.to_bytes())
            && let Err(refused) = self.cx.store.insert(key, &best.to_bytes())
        {
            tracing::debug!(%key, %refused, "own replica not brought up to date");
        }
        let repair = (*key, saying(&best));
        // What this node has signed and nobody has is put again in its time, and not by each lookup of it.
        let without = if replies.is_found() || !is_own { without } else { &[] };
        let mut lacking = replies.lacking(&best, without, extent);
        lacking.retain(|peer| !self.is_blocked(peer));
        self.standing.rank(&mut lacking);
        if lacking.is_empty() || self.cx.closed || self.reading.repairs.contains(&repair, now.mono)
        {
            return;
        }
        tracing::debug!(%key, replicas = lacking.len(), "repairing");
        if self.queries.repair(best, lacking) {
            self.reading.repairs.insert(repair, now.mono);
        }
    }

    /// Keeps what was read for a while, and the sequence for good.
    pub(in crate::engine) fn remember(&mut self, now: Now, record: &Arc<Record>) {
        if self.cx.is_outdated(record) {
            return;
        }
        self.cx.store.raise_epochs(record);
        if let Record::Head(head) = &**record {
            self.cx.store.raise_high_water(head);
            self.list(now, head, None, Interest::Heard);
        }
        self.reading.cache.insert(record.key(), Arc::clone(record), now);
    }
}

/// A head that is only read, for which as many copies do as the reader wants. From an own one this node goes on, which
/// takes the newest.
pub(in crate::engine) fn is_head_of_other(record: &Record, owner: &PeerId) -> bool {
    matches!(record, Record::Head(head) if head.owner != *owner)
}

fn is_own_head(record: &Record, owner: &PeerId) -> bool {
    matches!(record, Record::Head(head) if head.owner == *owner)
}
