//! Own packages of an earlier life: what becomes of them until this one publishes them, or they are withdrawn.
//!
//! The storage has them among the own records, and this is where they stay: outside of all bounds, whatever their dates say.
//! Nobody but their owner says that they are over.

use std::collections::HashSet;

use super::{
    Seen, SharedStore, Standing, Store, held::Held, package, shared::RanksOfOthers, wire::Kept,
};
use crate::record::{Head, Kind, Record, RecordKey, ReleaseList, Signed};

impl SharedStore {
    /// Takes one of this node's own records in, outside the bounds.
    pub(crate) fn insert_own(&self, record: Record) -> Result<(), super::Refused> {
        let mut store = self.lock();
        let key = record.key();
        let head = match &record {
            Record::Head(head) => Some(head.clone()),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => None,
        };
        store.insert(record, Standing::Own)?;
        store.records.take_over(&key.digest());
        if let Some(head) = head {
            store.pass_pages(&head);
        }
        Ok(())
    }
}

impl Store {
    /// Takes in a record that an earlier life has published, and tells what it is if it is valid. A newer one that was seen
    /// since does not end it: this node may have been about to take that in.
    pub(super) fn restore_own(&mut self, kept: &Kept) -> Option<Record> {
        let verified = Record::claimed_key(&kept.bytes).and_then(|key| {
            self.verify_kept(&kept.bytes, |verifier, store, unix| {
                let seen = RanksOfOthers(store);
                verifier.verify(&store.network, &key, &kept.bytes, unix, seen)
            })
        });
        let record = match verified {
            Ok(record) => record,
            Err(rejected) => {
                tracing::warn!(%rejected, "own record of an earlier life dropped");
                return None;
            }
        };
        if self.is_ended(&record) || record_is_over(&record, self.certain) {
            return None;
        }
        if let Err(refused) = self.insert(record.clone(), Standing::Earlier) {
            tracing::debug!(%refused, "own record of an earlier life not taken in");
        }
        Some(record)
    }

    /// Whether it is a head of a package that has been withdrawn since.
    fn is_ended(&self, record: &Record) -> bool {
        let Record::Head(head) = record else { return false };
        let end = self.rank(Kind::Head, &head.owner, &head.name);
        !head.is_withdrawn()
            && end.is_some_and(|end| end.withdrawn && end.epoch >= head.revision.epoch)
    }

    /// What is held under this key is at least this to the node from here on.
    pub(super) fn promote(&mut self, key: &RecordKey, standing: Standing) {
        let Some(number) = self.records.find(key) else { return };
        let Some(held) = self.records.at(number) else { return };
        let before = held.standing();
        let Some(record) = held.record().filter(|_| before < standing) else { return };
        if before == Standing::Others {
            self.held = self.held.minus(held.len());
            self.putters.give_back(held.putter, held.distance, number, held.len());
            self.shares.uncount(held.owner);
        }
        self.records.change(number, |held| held.stand(standing, &record));
    }

    /// A record has taken the place of this one. Where it is an own one, and somebody else has signed the other, the storage
    /// keeps it until this node has taken in what is new: it may say what the other does not. A withdrawal is the end.
    pub(super) fn note_replaced(&mut self, replaced: Held, standing: Standing, by: &Record) {
        let ends = match by {
            Record::Head(head) => head.is_withdrawn(),
            Record::Release(_) | Record::Page(_) => false,
            Record::Claims { .. } => true,
        };
        if standing == Standing::Others && replaced.is_outside() && !ends {
            self.records.overtake(replaced);
        }
    }

    /// Pages that this head of an own package no longer leads to go with their time.
    fn pass_pages(&mut self, head: &Signed<Head>) {
        let Some(owner) = self.shares.find(&head.owner) else { return };
        let is_page = |held: &Held| held.is_page() && held.is_lasting();
        let mut pages = self.records.of_package(owner, &head.name);
        pages.retain(|number| self.records.at(*number).is_some_and(is_page));
        if pages.is_empty() {
            return;
        }
        let Some(linked) = self.linked(head) else { return };
        let until = self.now.saturating_add(self.ttl);
        for number in pages {
            let Some(held) = self.records.at(number) else { continue };
            let is_of_package = || {
                let page = held.record().and_then(|record| package(&record));
                page.is_some_and(|(owner, name)| owner == head.owner && name == head.name)
            };
            if !linked.contains(&held.key()) && is_of_package() {
                self.records.change(number, |held| {
                    held.pass();
                    held.set_until(until);
                });
            }
        }
    }

    /// The keys of the pages that a head leads to, if all of them are here.
    fn linked(&self, head: &Signed<Head>) -> Option<HashSet<RecordKey>> {
        let (mut list, mut linked) = (ReleaseList::of(head), HashSet::new());
        while let Some(key) = list.awaits() {
            let Some(Record::Page(page)) = self.records.get(&key)?.record() else { return None };
            list.accept(&page).ok()?;
            linked.insert(key);
        }
        Some(linked)
    }
}

/// Whether its time is over for certain, and nothing is lost with it.
fn record_is_over(record: &Record, certain: u64) -> bool {
    let goes = match record {
        Record::Head(head) => head.is_withdrawn(),
        Record::Claims { .. } => true,
        Record::Release(_) | Record::Page(_) => false,
    };
    goes && record.expires().is_some_and(|expires| expires <= certain)
}
