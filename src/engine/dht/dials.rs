//! Peers that are dialed because somebody is to be asked who is not connected.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

use super::{Deadline, Dht, Effect, Errand, Task, requests::Patience};
use crate::engine::wheel;

/// How long a dial may take before another peer is tried beside it.
pub(super) const SLOW: Duration = Duration::from_millis(250);
/// How long it may take before nobody waits for it any more.
pub(super) const OVERDUE: Duration = Duration::from_millis(750);

/// Where one peer is dialed, at the most.
const MOST_ADDRESSES: usize = 16;

/// How many peers may stand in line to be dialed. Whoever asks for more goes on without.
const MOST_IN_LINE: usize = 1024;

/// A peer that is dialed or is going to be.
#[derive(Debug)]
pub(super) struct Dialing {
    pub(super) addresses: Vec<Multiaddr>,
    /// Who wants to ask it something. Nobody, where it is dialed ahead or to see whether it is there.
    pub(super) errands: Vec<Errand>,
    /// It is less from the time on at which the dial was wanted, also while it stands in line.
    pub(super) patience: Patience,
    pub(super) timer: wheel::Key,
    is_in_line: bool,
}

/// Whether a dial can be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Begin it.
    Now,
    /// It is under way, or in line.
    Waits,
    /// It is under way, and takes so long that nobody waits for it.
    Late,
    /// There are too many.
    Refused,
}

/// All dials, of which so many at a time are under way.
#[derive(Debug)]
pub(super) struct Dials {
    all: HashMap<PeerId, Dialing>,
    line: VecDeque<PeerId>,
    under_way: usize,
    most: usize,
}

impl Dials {
    pub(super) fn new(most: usize) -> Self {
        Self { all: HashMap::new(), line: VecDeque::new(), under_way: 0, most: most.max(1) }
    }

    /// How many more may begin at once.
    pub(super) fn room(&self) -> usize {
        self.most.saturating_sub(self.under_way)
    }

    /// Whether a peer is dialed or going to be.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.all.contains_key(peer)
    }

    /// `timer` tells when it takes long. It is not needed where the dial does not begin with this.
    pub(super) fn want(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        errand: Option<Errand>,
        timer: impl FnOnce() -> wheel::Key,
    ) -> Wanted {
        if let Some(dialing) = self.all.get_mut(&peer) {
            dialing.errands.extend(errand);
            if dialing.is_in_line {
                let news = addresses.into_iter().take(MOST_ADDRESSES);
                let news = news.filter(|one| !dialing.addresses.contains(one)).collect::<Vec<_>>();
                dialing.addresses.extend(news);
                dialing.addresses.truncate(MOST_ADDRESSES);
            }
            let is_late = dialing.patience == Patience::Over;
            return if is_late { Wanted::Late } else { Wanted::Waits };
        }
        let begins = self.room() > 0;
        if !begins && self.line.len() >= MOST_IN_LINE {
            return Wanted::Refused;
        }
        let dialing = Dialing {
            addresses,
            errands: errand.into_iter().collect(),
            patience: Patience::Usual,
            timer: timer(),
            is_in_line: !begins,
        };
        self.all.insert(peer, dialing);
        if begins {
            self.under_way += 1;
            return Wanted::Now;
        }
        self.line.push_back(peer);
        Wanted::Waits
    }

    /// Where a peer that is being dialed is said to be.
    pub(super) fn addresses(&self, peer: &PeerId) -> Option<Vec<Multiaddr>> {
        let dialing = self.all.get(peer).filter(|dialing| !dialing.is_in_line)?;
        Some(dialing.addresses.clone())
    }

    /// It takes long. What is left of the patience with it, and who had asked for it; none where nobody waits any more.
    ///
    /// One that is not waited for gives its place to the next. There are no more of these than of others: beyond, the Swarm
    /// refuses dials.
    fn lose_patience(&mut self, peer: &PeerId) -> Option<(Patience, Vec<Errand>)> {
        let dialing = self.all.get_mut(peer)?;
        dialing.patience = dialing.patience.less()?;
        if dialing.patience == Patience::Over && !dialing.is_in_line {
            self.under_way = self.under_way.saturating_sub(1);
        }
        Some((dialing.patience, dialing.errands.clone()))
    }

    /// It has ended, one way or the other.
    pub(super) fn end(&mut self, peer: &PeerId) -> Option<Dialing> {
        let dialing = self.all.remove(peer)?;
        if dialing.is_in_line {
            self.line.retain(|other| other != peer);
        } else if dialing.patience != Patience::Over {
            self.under_way = self.under_way.saturating_sub(1);
        }
        Some(dialing)
    }

    /// Whoever is dialed next, now that there is room.
    pub(super) fn next_in_line(&mut self) -> Option<PeerId> {
        if self.room() == 0 {
            return None;
        }
        let peer = self.line.pop_front()?;
        if let Some(dialing) = self.all.get_mut(&peer) {
            dialing.is_in_line = false;
            if dialing.patience != Patience::Over {
                self.under_way += 1;
            }
        }
        Some(peer)
    }

    /// A task wants nothing any more. Those who are in line for nobody else leave it.
    pub(super) fn leave(&mut self, task: Task) {
        if self.all.is_empty() {
            return;
        }
        self.all.retain(|_, dialing| {
            let before = dialing.errands.len();
            dialing.errands.retain(|(other, _)| *other != task);
            // Who is dialed for nobody's sake is dialed all the same.
            let was_its_own = dialing.errands.len() < before && dialing.errands.is_empty();
            !was_its_own || !dialing.is_in_line
        });
        let all = &self.all;
        self.line.retain(|peer| all.contains_key(peer));
    }
}

impl Dht {
    /// Has a peer dialed, for a task if one waits. Whether it is going to be.
    pub(super) fn dial(
        &mut self,
        now: Duration,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        errand: Option<Errand>,
    ) -> Wanted {
        let wheel = &mut self.wheel;
        let timer = || wheel.insert(now.saturating_add(SLOW), Deadline::Dial(Box::new(peer)));
        let wanted = self.dials.want(peer, addresses, errand, timer);
        if wanted == Wanted::Now {
            self.begin_dial(peer);
        }
        wanted
    }

    fn begin_dial(&mut self, peer: PeerId) {
        if let Some(addresses) = self.dials.addresses(&peer) {
            self.effects.push_back(Effect::Dial { peer, addresses });
        }
    }

    /// Somebody else's dial to a peer has failed. Where this node has left it to that, it looks itself now.
    pub(crate) fn dial_again(&mut self, peer: PeerId) {
        self.begin_dial(peer);
    }

    /// A dial takes long.
    pub(super) fn dial_late(&mut self, now: Duration, peer: &PeerId) {
        let Some((patience, errands)) = self.dials.lose_patience(peer) else { return };
        if patience == Patience::Over {
            self.begin_dials_in_line();
        } else if let Some(dialing) = self.dials.all.get_mut(peer) {
            let deadline = now.saturating_add(OVERDUE - SLOW);
            dialing.timer = self.wheel.insert(deadline, Deadline::Dial(Box::new(*peer)));
        }
        for (task, kind) in errands {
            if let Some(work) = self.work(task) {
                match patience {
                    Patience::Usual | Patience::Slow => work.hedge(kind, peer),
                    Patience::Over => work.overdue(kind, peer),
                }
            }
            self.ready.push_back(task);
        }
    }

    /// A dial has ended: who had asked for it. The next in line has its turn.
    pub(super) fn dial_ended(&mut self, peer: &PeerId) -> Vec<Errand> {
        let Some(dialing) = self.dials.end(peer) else { return Vec::new() };
        if dialing.patience != Patience::Over {
            self.wheel.cancel(dialing.timer);
        }
        self.begin_dials_in_line();
        dialing.errands
    }

    fn begin_dials_in_line(&mut self) {
        while let Some(next) = self.dials.next_in_line() {
            self.begin_dial(next);
        }
    }
}
