//! The conduct of a bounded number of peers.
//!
//! Who is forgotten when a stranger comes to a full house? Strangers make room for each other: a quarter of the room is
//! theirs before anybody else has to go, a quarter is for those in bad standing, half for those in good. So that a flood
//! of new identities washes out neither what is known against a peer nor what speaks for one. To have a bad name
//! forgotten takes as many others that have earned one, by several invalid copies each; a new identity is
//! cheaper.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use libp2p::PeerId;

use super::conduct::{Conduct, Nearness};
use crate::{engine::dirty::Dirty, reputation::Reputation};

/// A change of the score that gossip is told of.
const NOTICEABLE: u8 = 5;

/// More copies than this make somebody known.
const KNOWN: f64 = 2.0;

/// What is known of those who share a part of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Stranger,
    Bad,
    Good,
}

const CLASSES: [Class; 3] = [Class::Stranger, Class::Bad, Class::Good];

#[derive(Debug)]
struct Entry {
    conduct: Conduct,
    class: Class,
    /// When it was last heard of, among all.
    turn: u64,
    /// The score that gossip was last told.
    told: u8,
}

/// What follows from something that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Its score has changed noticeably.
    Changed { peer: PeerId, score: u8 },
    /// It has served something invalid, and stands below the floor.
    Unbearable { peer: PeerId, score: u8 },
}

/// What has been seen of peers. The time is what [`set_time`](Self::set_time) was told last.
#[derive(Debug)]
pub(crate) struct Reputations {
    now: Duration,
    peers: HashMap<PeerId, Entry>,
    /// All of them, in the order in which they would be forgotten within their class.
    order: BTreeMap<(Class, u64), PeerId>,
    /// How many there are of each class.
    sizes: [usize; CLASSES.len()],
    bound: usize,
    turns: u64,
    judgements: VecDeque<Judgement>,
    /// Peers of whom the storage does not know what is known here.
    pub(super) changed: Dirty<PeerId>,
}

impl Reputations {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            now: Duration::ZERO,
            peers: HashMap::new(),
            order: BTreeMap::new(),
            sizes: [0; CLASSES.len()],
            bound,
            turns: 0,
            judgements: VecDeque::new(),
            changed: Dirty::default(),
        }
    }

    /// From here on it is this late, on the monotonic scale.
    pub(crate) fn set_time(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    pub(super) fn time(&self) -> Duration {
        self.now
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Reputation {
        self.peers.get(peer).map(|entry| entry.conduct.reputation(self.now)).unwrap_or_default()
    }

    pub(crate) fn score(&self, peer: &PeerId) -> u8 {
        self.get(peer).score()
    }

    /// Puts those in the best standing first. Equals keep their order.
    pub(crate) fn rank(&self, peers: &mut [PeerId]) {
        peers.sort_by_cached_key(|peer| Reverse(self.score(peer)));
    }

    /// It was asked for a record, and has delivered it after this time.
    pub(super) fn delivered(&mut self, peer: PeerId, after: Duration, nearness: Nearness) {
        let now = self.now;
        self.observe(peer, |conduct| conduct.delivered(now, after, nearness));
    }

    /// It has served, or handed over, what no honest peer does.
    pub(crate) fn invalid(&mut self, peer: PeerId) {
        let now = self.now;
        if let Some((conduct, score)) = self.observe(peer, |conduct| conduct.lied(now))
            && conduct.is_unbearable(now)
        {
            self.judgements.push_back(Judgement::Unbearable { peer, score });
        }
    }

    /// It could not be reached, or did not have what it had acknowledged.
    pub(crate) fn failed(&mut self, peer: PeerId) {
        let now = self.now;
        self.observe(peer, |conduct| conduct.failed(now));
    }

    /// A connection stands, or some time has passed: gossip is told how the peer stands, if it would not guess.
    pub(crate) fn retell(&mut self, peer: &PeerId, anew: bool) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        if anew {
            entry.told = Reputation::default().score();
        }
        let score = entry.conduct.reputation(self.now).score();
        if score.abs_diff(entry.told) >= NOTICEABLE {
            entry.told = score;
            self.judgements.push_back(Judgement::Changed { peer: *peer, score });
        }
    }

    pub(super) fn next_judgement(&mut self) -> Option<Judgement> {
        self.judgements.pop_front()
    }

    /// Notes something, and tells what is known then.
    fn observe(&mut self, peer: PeerId, note: impl FnOnce(&mut Conduct)) -> Option<(Conduct, u8)> {
        if self.bound == 0 {
            return None;
        }
        let before = match self.take(&peer) {
            Some(entry) => entry,
            None => {
                self.make_room();
                let told = Reputation::default().score();
                Entry { conduct: Conduct::default(), class: Class::Stranger, turn: 0, told }
            }
        };
        let mut conduct = before.conduct;
        note(&mut conduct);
        let reputation = conduct.reputation(self.now);
        let class = self.class(&conduct);
        match (before.class, class) {
            (Class::Stranger, Class::Stranger) => {}
            (Class::Stranger, _) => self.changed.mark_new(|| peer),
            (_, Class::Stranger) => self.changed.mark_gone(|| peer),
            _ => self.changed.mark(|| peer),
        }
        self.turns = self.turns.saturating_add(1);
        let entry = Entry { conduct, class, turn: self.turns, told: before.told };
        self.put(peer, entry);
        self.retell(&peer, false);
        Some((conduct, reputation.score()))
    }

    fn class(&self, conduct: &Conduct) -> Class {
        match conduct.seen(self.now) {
            seen if seen <= KNOWN => Class::Stranger,
            _ if conduct.reputation(self.now).success < Reputation::NEUTRAL => Class::Bad,
            _ => Class::Good,
        }
    }

    /// What is known of a peer that is no stranger.
    pub(super) fn known(&self, peer: &PeerId) -> Option<&Conduct> {
        let entry = self.peers.get(peer).filter(|entry| entry.class != Class::Stranger)?;
        Some(&entry.conduct)
    }

    /// Takes in what an earlier life has seen of a peer, unless this one has seen something already.
    pub(super) fn remember(&mut self, peer: PeerId, conduct: Conduct) {
        if self.bound == 0 || self.peers.contains_key(&peer) {
            return;
        }
        self.make_room();
        let (class, told) = (self.class(&conduct), Reputation::default().score());
        if class == Class::Stranger {
            self.changed.mark_row(|| peer);
        }
        self.turns = self.turns.saturating_add(1);
        self.put(peer, Entry { conduct, class, turn: self.turns, told });
    }

    fn take(&mut self, peer: &PeerId) -> Option<Entry> {
        let entry = self.peers.remove(peer)?;
        self.order.remove(&(entry.class, entry.turn));
        if let Some(size) = self.sizes.get_mut(entry.class as usize) {
            *size = size.saturating_sub(1);
        }
        Some(entry)
    }

    fn put(&mut self, peer: PeerId, entry: Entry) {
        self.order.insert((entry.class, entry.turn), peer);
        if let Some(size) = self.sizes.get_mut(entry.class as usize) {
            *size += 1;
        }
        self.peers.insert(peer, entry);
    }

    /// Whoever was heard of longest ago goes, of the first class that has more than its share.
    fn make_room(&mut self) {
        if self.peers.len() < self.bound {
            return;
        }
        let quarter = self.bound / 4;
        let share = |class| match class {
            // One of the strangers' places is taken by the one who comes.
            Class::Stranger => quarter.saturating_sub(1),
            Class::Bad => quarter,
            // And where there is no quarter, of these.
            Class::Good => self.bound - 2 * quarter - usize::from(quarter == 0),
        };
        let crowded = CLASSES.iter().zip(self.sizes).find(|&(class, size)| size > share(*class));
        let Some((&class, _)) = crowded else { return };
        let first = self.order.range((class, 0)..=(class, u64::MAX)).next();
        if let Some((_, &peer)) = first {
            self.take(&peer);
            if class != Class::Stranger {
                self.changed.mark_gone(|| peer);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.peers.len());
        assert_eq!(self.sizes.iter().sum::<usize>(), self.peers.len());
        self.peers.len()
    }
}
