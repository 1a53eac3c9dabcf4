//! What is known here of a record: read before, held for others, heard by a lookup that goes on, or absent.

use std::sync::Arc;

use libp2p::PeerId;

use super::{Reading, queries::Replies, read::Read, waiting::Operation};
use crate::{
    engine::{
        context::Context,
        interest::Interest,
        packages,
        saying::{newest, saying},
    },
    freshness::Freshness,
    package::{PackageId, PackageName, Source},
    record::{Head, Record, RecordKey, Signed},
};

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
    pub(in crate::engine) fn record(&self) -> Option<&Record> {
        match self {
            Self::Found(record) | Self::Known(record) | Self::Listed(record) => Some(record),
            Self::Nothing => None,
        }
    }

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

/// How a read goes on with what is known here.
#[derive(Debug)]
pub(in crate::engine) enum Here {
    /// With this record.
    Known(Arc<Record>, Source),
    /// Nobody had what it needs a moment ago.
    Absent,
    /// The record under this key is to be asked for.
    Lacks(RecordKey),
}

impl Reading {
    /// What is known here of the record that a read needs.
    pub(in crate::engine) fn here(&self, cx: &Context, read: &Read) -> Here {
        let (key, freshness) = (read.wants(&cx.config.network), read.freshness());
        let known = self.known(cx, &key, freshness);
        let known = known.or_else(|| self.heard(cx, &key, freshness));
        match known.filter(|(record, _)| read.accepts(record)) {
            Some((record, source)) => Here::Known(record, source),
            None if !read.is_partial() && self.absences.suffices(cx.now(), &key, freshness) => {
                Here::Absent
            }
            None => Here::Lacks(key),
        }
    }

    /// A package is there, whether or not it was a moment ago.
    pub(in crate::engine) fn appeared(&mut self, head: &Head) {
        self.absences.forget_package(head);
    }

    /// A record that can be had without asking anybody: an own one, or one that was read a short while ago.
    pub(in crate::engine) fn known(
        &self,
        cx: &Context,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Option<(Arc<Record>, Source)> {
        let now = cx.now();
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
    pub(super) fn best(&self, cx: &Context, key: &RecordKey, replies: &Replies) -> Best {
        let now = cx.now();
        let known = match self.known(cx, key, Freshness::First) {
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

    /// The best that is known so far of a record, which may be under way.
    pub(in crate::engine) fn best_by_now(&self, cx: &Context, key: &RecordKey) -> Best {
        let nothing = Replies::default();
        self.best(cx, key, self.queries.heard(key).unwrap_or(&nothing))
    }

    /// The best that is known so far of the record that a call waits for, whose time is up, and the package whose head it
    /// is, if the call reads one.
    pub(in crate::engine) fn best_awaited(
        &self,
        cx: &Context,
        operation: &Operation,
    ) -> Option<(Best, Option<(PackageName, PeerId)>)> {
        let key = operation.awaits(&cx.config.network)?;
        Some((self.best_by_now(cx, &key), operation.subject()))
    }

    /// What a lookup that goes on has found already, if it is enough.
    pub(super) fn heard(
        &self,
        cx: &Context,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Option<(Arc<Record>, Source)> {
        let replies = self.queries.heard(key)?;
        if !freshness.is_satisfied(replies.copies()) {
            return None;
        }
        let heard = self.best(cx, key, replies).known();
        heard.filter(|(record, _)| is_head_of_other(record, &cx.owner))
    }

    /// A read goes on with a record.
    pub(in crate::engine) fn note_use(
        &mut self,
        cx: &Context,
        read: &Read,
        record: &Record,
        source: Source,
    ) {
        let Record::Head(head) = record else { return };
        // From here on nothing older is told, however many other packages are heard of. What the catalogue has
        // answered may have been seen in an earlier life, or so long ago that its sequence is forgotten.
        cx.store.raise_high_water(head);
        cx.store.want(&head.owner, &head.name);
        if read.is_claimed()
            // A part of the claims may not name the owner who was there first.
            && !read.is_partial()
            && source != Source::Partial
            && is_live_of_other(head, &cx.owner)
        {
            self.pins.first_use(&head.name, head.owner);
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
        match packages::newest(head, Source::Own) {
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

/// A head that is only read, for which as many copies do as the reader wants. From an own one this node goes on, which
/// takes the newest.
pub(super) fn is_head_of_other(record: &Record, owner: &PeerId) -> bool {
    matches!(record, Record::Head(head) if head.owner != *owner)
}

pub(super) fn is_own_head(record: &Record, owner: &PeerId) -> bool {
    matches!(record, Record::Head(head) if head.owner == *owner)
}

fn is_live_of_other(head: &Signed<Head>, owner: &PeerId) -> bool {
    !head.is_withdrawn() && head.owner != *owner
}
