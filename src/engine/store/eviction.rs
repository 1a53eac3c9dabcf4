//! What goes when there is no room, and when its time is over.

use libp2p::PeerId;

use super::{Amount, Held, PackageKey, Refused, Store, package, quota::Account, tiers::Place};
use crate::record::{Record, RecordKey};

/// Among so many records one that can go is looked for. A peer may have put very many, and each request of it is
/// to cost the same.
const MAX_LOOKED_AT: usize = 1024;

impl Store {
    /// Makes room for a record that is not held yet. Nothing is removed unless it can be taken in then.
    pub(super) fn make_room(&mut self, record: &Record, distance: u64) -> Result<(), Refused> {
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
        let mut going = match self.account() {
            Some(peer) => self.room_of(&peer, bytes, distance).ok_or(Refused::PeerQuota)?,
            None => Vec::new(),
        };
        let mut left = self.held.plus(bytes);
        for place in &going {
            left = left.minus(self.bytes_of(place));
        }
        let others = self.farthest().filter(|(_, place)| !going.contains(place));
        let more = self.farther(others, left, self.most, distance).ok_or(Refused::Full)?;
        going.extend(more);
        going.into_iter().for_each(|place| self.remove_at(place));
        Ok(())
    }

    fn is_full(&self, bytes: usize) -> bool {
        let speaker_is_full =
            self.account().is_some_and(|peer| !self.putters.has_room(&peer, bytes));
        speaker_is_full || !self.held.plus(bytes).fits(self.most)
    }

    /// Which of a peer's own records go for another one of it.
    fn room_of(&self, peer: &Account, bytes: usize, distance: u64) -> Option<Vec<Place>> {
        let left = self.putters.held(peer).plus(bytes);
        self.farther(self.going_for(peer), left, self.putters.most(), distance)
    }

    /// What may go to make room for what the same peer puts, the farthest first. Not the claims of several owners: a
    /// peer that adds one of its own to a set has the set on its account, and must not be able to end it with that. Nor
    /// what lies in the storage alone.
    fn going_for(&self, peer: &Account) -> impl Iterator<Item = (u64, Place)> {
        let is_of_several =
            |number| self.records.at(number).is_some_and(|held| held.is_of_several());
        let farthest = self.putters.farthest(peer).take(MAX_LOOKED_AT);
        let mine = farthest.filter(move |(_, number)| !is_of_several(*number));
        mine.map(|(distance, number)| (distance, Place::Memory(number)))
    }

    /// Makes room for a record of so many bytes that takes the place of the one that is held, and tells whose room it
    /// takes then: its sender's, or that of whoever has put the one before, where the sender has none and it takes no
    /// more. Where it does, other records of its sender go. Nothing is removed unless it can be taken in then.
    pub(super) fn make_room_to_grow(
        &mut self,
        key: &RecordKey,
        bytes: usize,
    ) -> Result<Option<Account>, Refused> {
        let Some(number) = self.records.find(key) else { return Ok(self.account()) };
        let Some(before) = self.records.at(number) else { return Ok(self.account()) };
        let putter = self.putters.peer(before.putter);
        let Some(speaker) = self.account().filter(|_| !before.is_outside()) else {
            return Ok(putter);
        };
        let mut left = self.putters.held(&speaker);
        if putter == Some(speaker) {
            left = left.minus(before.len());
        }
        left = left.plus(bytes);
        if bytes <= before.len() && !left.fits(self.putters.most()) {
            return Ok(putter);
        }
        let others = self.going_for(&speaker).filter(|(_, other)| *other != Place::Memory(number));
        let going = self.farther(others, left, self.putters.most(), 0);
        going.ok_or(Refused::PeerQuota)?.into_iter().for_each(|place| self.remove_at(place));
        Ok(Some(speaker))
    }

    /// The first of these records, all of them farther away than `distance`, without which the rest keeps to
    /// the bound.
    fn farther(
        &self,
        farthest_first: impl Iterator<Item = (u64, Place)>,
        mut left: Amount,
        most: Amount,
        distance: u64,
    ) -> Option<Vec<Place>> {
        let mut going = Vec::new();
        let mut candidates = farthest_first.take_while(|(farther, _)| *farther > distance);
        while !left.fits(most) {
            let (_, place) = candidates.next()?;
            left = left.minus(self.bytes_of(&place));
            going.push(place);
        }
        Some(going)
    }

    fn bytes_of(&self, place: &Place) -> usize {
        match place {
            Place::Memory(number) => self.records.at(*number).map_or(0, Held::len),
            Place::Storage(cold) => cold.len,
        }
    }

    fn remove_at(&mut self, place: Place) {
        match place {
            Place::Memory(number) => drop(self.remove(number)),
            Place::Storage(cold) => self.remove_cold(&cold),
        }
    }

    /// After a record has taken the place of a smaller one: the farthest go, whichever they are.
    pub(super) fn trim(&mut self) {
        while !self.held.fits(self.most) {
            let Some((_, place)) = self.farthest().next() else { return };
            self.remove_at(place);
        }
    }

    /// Removes everything of a package that lies in memory: its releases and pages mean nothing once it is withdrawn. What
    /// lies in the storage alone goes when somebody asks for it, or with its time.
    pub(super) fn purge(&mut self, (owner, name): &PackageKey) {
        let is_it = |held: &Held| {
            held.record()
                .and_then(|record| package(&record))
                .is_some_and(|(of, its)| of == *owner && its == *name)
        };
        self.records.take_over_all(is_it);
        let Some(owner) = self.shares.find(owner) else { return };
        for number in self.records.of_package(owner, name) {
            if self.records.at(number).is_some_and(|held| held.names(name)) {
                self.remove(number);
            }
        }
    }

    /// Drops at most `budget` records whose time is over for certain.
    pub(super) fn sweep(&mut self, budget: usize) {
        for _ in 0..budget {
            let first = self.records.by_expiry().next();
            let is_over = |held: &Held| held.until() <= self.certain && !held.is_lasting();
            let Some((number, _)) = first.filter(|(_, held)| is_over(held)) else { break };
            self.remove(number);
        }
    }

    /// Drops as many records whose time seems to be over as so many bytes need room: what holds comes before them. Those
    /// of the sender go first, where its own share is what is full.
    fn drop_hidden(&mut self, bytes: usize) {
        if let Some(peer) = self.account() {
            self.drop_hidden_put_by(&peer, bytes);
        }
        while !self.held.plus(bytes).fits(self.most) {
            let Some((number, _)) = self.hidden().next() else { return };
            self.remove(number);
        }
    }

    fn drop_hidden_put_by(&mut self, peer: &Account, bytes: usize) {
        let Some(putter) = self.putters.find(peer) else { return };
        let hidden = self.hidden().take(MAX_LOOKED_AT).filter(|(_, held)| held.putter == putter);
        let its: Vec<u32> = hidden.map(|(number, _)| number).collect();
        for number in its {
            if self.putters.has_room(peer, bytes) {
                return;
            }
            self.remove(number);
        }
    }

    /// Drops the record on an owner's account whose time seems to be over the longest.
    fn drop_hidden_of(&mut self, owner: &PeerId) {
        let Some(owner) = self.shares.find(owner) else { return };
        let first = self.hidden().take(MAX_LOOKED_AT).find(|(_, held)| held.owner == owner);
        if let Some((number, _)) = first {
            self.remove(number);
        }
    }

    /// Records of others whose time seems to be over, those first for which it has been so the longest. This node's own
    /// take nobody's room, so that nothing is won by dropping them.
    fn hidden(&self) -> impl Iterator<Item = (u32, &Held)> {
        let hidden = self.records.by_expiry().take_while(|(_, held)| !self.is_live(held));
        hidden.filter(|(_, held)| !held.is_outside())
    }

    /// The calendar has moved by so many seconds. What has no date of its own is kept for a time on it, and moves with it;
    /// so does the time at which a record is put again, if that would come later else. What is over
    /// already, or not for longer than anything is kept, does not move: the calendar of an earlier life says so, and may be
    /// right where this one was wrong.
    pub(super) fn calendar_moved(&mut self, by: i64) {
        let (now, last) = (self.now, self.now.saturating_add(self.ttl));
        let most = last.saturating_add_signed(by);
        let moved = |until| match until {
            until if now < until && until <= last => until.saturating_add_signed(by),
            until => until.min(most),
        };
        let all: Vec<u32> = self.records.by_expiry().map(|(number, _)| number).collect();
        for number in all {
            self.records.change(number, |held| {
                if held.is_undated() {
                    held.set_until(moved(held.until()));
                }
                if by < 0 && !held.is_outside() {
                    held.set_replicate_at(held.replicate_at().saturating_add_signed(by));
                }
            });
        }
        self.tiers.cold.move_times(|cold| {
            if cold.is_undated {
                let until = moved(cold.until);
                if until != cold.until {
                    // Its row says something else: it is fetched, and written anew.
                    cold.replicate_at = now;
                }
                cold.until = until;
            }
            if by < 0 {
                cold.replicate_at = cold.replicate_at.saturating_add_signed(by);
            }
        });
    }
}
