//! What goes when there is no room, and when its time is over.

use libp2p::{PeerId, kad::KBucketDistance};

use super::{Amount, Held, PackageKey, Refused, Store};
use crate::record::{Record, RecordKey};

impl Store {
    /// Makes room for a record that is not held yet. Nothing is removed unless it can be taken in then.
    pub(super) fn make_room(
        &mut self,
        record: &Record,
        distance: KBucketDistance,
    ) -> Result<(), Refused> {
        let bytes = record.to_bytes().len();
        if self.is_full(bytes) {
            self.sweep(usize::MAX);
            self.drop_hidden(bytes);
        }
        if let Some(owner) = self.shares.account(record)
            && self.shares.is_used_up(&owner)
        {
            self.drop_hidden_of(&owner);
        }
        if self.shares.account(record).is_some_and(|owner| self.shares.is_used_up(&owner)) {
            return Err(Refused::Quota);
        }
        let mut going = match self.speaker {
            Some(peer) => self.room_of(&peer, bytes, distance).ok_or(Refused::PeerQuota)?,
            None => Vec::new(),
        };
        let mut left = self.held.plus(bytes);
        for key in &going {
            left = left.minus(self.bytes_of(key));
        }
        let others = self.by_distance.iter().rev().filter(|(_, key)| !going.contains(key));
        let farther = others.map(|&(distance, key)| (distance, key));
        let more = self.farther(farther, left, self.most, distance).ok_or(Refused::Full)?;
        going.extend(more);
        going.iter().for_each(|key| self.remove(key));
        Ok(())
    }

    fn is_full(&self, bytes: usize) -> bool {
        let speaker_is_full = self.speaker.is_some_and(|peer| !self.putters.has_room(&peer, bytes));
        speaker_is_full || !self.held.plus(bytes).fits(self.most)
    }

    /// Which of a peer's own records go for another one of it.
    fn room_of(
        &self,
        peer: &PeerId,
        bytes: usize,
        distance: KBucketDistance,
    ) -> Option<Vec<RecordKey>> {
        let left = self.putters.held(peer).plus(bytes);
        self.farther(self.going_for(peer), left, self.putters.most(), distance)
    }

    /// What may go to make room for what the same peer puts, the farthest first. Not the claims of several owners: a
    /// peer that adds one of its own to a set has the set on its account, and must not be able to end it with that.
    fn going_for(&self, peer: &PeerId) -> impl Iterator<Item = (KBucketDistance, RecordKey)> {
        self.putters.farthest(peer).filter(|(_, key)| match self.records.get(key) {
            Some(Held { record: Record::Claims { set, .. }, .. }) => set.len() < 2,
            _ => true,
        })
    }

    /// Makes room for a record of so many bytes that takes the place of the one that is held, and tells whose room it
    /// takes then: its sender's, or that of whoever has put the one before, where the sender has none and it takes no
    /// more. Where it does, other records of its sender go. Nothing is removed unless it can be taken in then.
    pub(super) fn make_room_to_grow(
        &mut self,
        key: &RecordKey,
        bytes: usize,
    ) -> Result<Option<PeerId>, Refused> {
        let Some(before) = self.records.get(key) else { return Ok(self.speaker) };
        let Some(speaker) = self.speaker.filter(|_| !before.own) else { return Ok(before.putter) };
        let mut left = self.putters.held(&speaker);
        if before.putter == Some(speaker) {
            left = left.minus(before.bytes);
        }
        left = left.plus(bytes);
        if bytes <= before.bytes && !left.fits(self.putters.most()) {
            return Ok(before.putter);
        }
        let others = self.going_for(&speaker).filter(|(_, other)| other != key);
        let nearest = KBucketDistance::default();
        let going = self.farther(others, left, self.putters.most(), nearest);
        going.ok_or(Refused::PeerQuota)?.iter().for_each(|key| self.remove(key));
        Ok(Some(speaker))
    }

    /// The first of these records, all of them farther away than `distance`, without which the rest keeps to
    /// the bound.
    fn farther(
        &self,
        farthest_first: impl Iterator<Item = (KBucketDistance, RecordKey)>,
        mut left: Amount,
        most: Amount,
        distance: KBucketDistance,
    ) -> Option<Vec<RecordKey>> {
        let mut going = Vec::new();
        let mut candidates = farthest_first.take_while(|(farther, _)| *farther > distance);
        while !left.fits(most) {
            let (_, key) = candidates.next()?;
            left = left.minus(self.bytes_of(&key));
            going.push(key);
        }
        Some(going)
    }

    fn bytes_of(&self, key: &RecordKey) -> usize {
        self.records.get(key).map_or(0, |held| held.bytes)
    }

    /// After a record has taken the place of a smaller one: the farthest go, whichever they are.
    pub(super) fn trim(&mut self) {
        while !self.held.fits(self.most) {
            let Some(&(_, key)) = self.by_distance.last() else { return };
            self.remove(&key);
        }
    }

    /// Removes everything of a package: its releases and pages mean nothing once it is withdrawn.
    pub(super) fn purge(&mut self, package: &PackageKey) {
        for key in self.packages.remove(package).unwrap_or_default() {
            self.remove(&key);
        }
    }

    /// Drops at most `budget` records whose time is over for certain.
    pub(super) fn sweep(&mut self, budget: usize) {
        for _ in 0..budget {
            match self.by_expiry.first() {
                Some(&(until, key)) if until <= self.certain => self.remove(&key),
                _ => return,
            }
        }
    }

    /// Drops as many records whose time seems to be over as so many bytes need room: what holds comes before them. Those
    /// of the sender go first, where its own share is what is full.
    fn drop_hidden(&mut self, bytes: usize) {
        if let Some(peer) = self.speaker {
            self.drop_hidden_put_by(&peer, bytes);
        }
        while !self.held.plus(bytes).fits(self.most) {
            let Some((key, _)) = self.hidden().next() else { return };
            self.remove(&key);
        }
    }

    fn drop_hidden_put_by(&mut self, peer: &PeerId, bytes: usize) {
        let its = self.putters.farthest(peer);
        let hidden: Vec<RecordKey> =
            its.map(|(_, key)| key).filter(|key| self.live(key).is_none()).collect();
        for key in hidden {
            if self.putters.has_room(peer, bytes) {
                return;
            }
            self.remove(&key);
        }
    }

    /// Drops the record on an owner's account whose time seems to be over the longest.
    fn drop_hidden_of(&mut self, owner: &PeerId) {
        let first = self.hidden().find(|(_, held)| held.account.as_ref() == Some(owner));
        if let Some((key, _)) = first {
            self.remove(&key);
        }
    }

    /// Records of others whose time seems to be over, those first for which it has been so the longest. This node's own
    /// take nobody's room, so that nothing is won by dropping them.
    fn hidden(&self) -> impl Iterator<Item = (RecordKey, &Held)> {
        let hidden = self.by_expiry.iter().take_while(|(until, _)| *until <= self.now);
        hidden
            .filter_map(|(_, key)| Some((*key, self.records.get(key)?)))
            .filter(|(_, held)| !held.own)
    }

    /// The calendar has moved by so many seconds. What has no date of its own is kept for a time on it, and moves with it;
    /// so does the time at which a record is put again, if that would come later else. What is over
    /// already, or not for longer than anything is kept, does not move: the calendar of an earlier life says so, and may be
    /// right where this one was wrong.
    pub(super) fn calendar_moved(&mut self, by: i64) {
        let mut undated = Vec::new();
        let (now, last) = (self.now, self.now.saturating_add(self.ttl));
        let most = last.saturating_add_signed(by);
        for (key, held) in &mut self.records {
            if held.record.expires().is_none() {
                let moved = match held.until {
                    until if now < until && until <= last => until.saturating_add_signed(by),
                    until => until.min(most),
                };
                undated.push((std::mem::replace(&mut held.until, moved), moved, *key));
            }
            if by < 0 && self.by_replication.remove(&(held.replicate_at, *key)) {
                held.replicate_at = held.replicate_at.saturating_add_signed(by);
                self.by_replication.insert((held.replicate_at, *key));
            }
        }
        for (before, until, key) in undated {
            self.by_expiry.remove(&(before, key));
            self.by_expiry.insert((until, key));
        }
    }
}
