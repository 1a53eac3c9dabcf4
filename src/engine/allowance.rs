//! How many heads each peer may have this node fetch.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;

/// In this time a peer may deliver as many heads as a catalogue holds: all that there is to be had, once an hour.
const PERIOD: Duration = Duration::from_secs(3600);

/// What peers have delivered lately, in heads: written as the time at which nothing of it will count any more (the
/// generic cell rate algorithm, ITU-T I.371), so that who has delivered nothing for an hour is forgotten.
///
/// What a peer offers costs it nothing to make up under names of its own, and this node a signature to verify. Whoever
/// joins late takes a whole catalogue from one peer at once, which is within this; who offers new heads without an
/// end comes to as many in an hour.
#[derive(Debug)]
pub(super) struct Allowances {
    free_at: HashMap<PeerId, Duration>,
    /// How long a head counts.
    interval: Duration,
    /// How many peers are remembered.
    bound: usize,
}

impl Allowances {
    pub(super) fn new(heads: usize, bound: usize) -> Self {
        let heads = u32::try_from(heads.max(1)).unwrap_or(u32::MAX);
        Self {
            free_at: HashMap::new(),
            interval: (PERIOD / heads).max(Duration::from_nanos(1)),
            bound,
        }
    }

    /// How many heads may be fetched from a peer now.
    pub(super) fn left(&self, now: Duration, peer: &PeerId) -> usize {
        let free_at = self.free_at.get(peer).copied().unwrap_or(now);
        let left = PERIOD.saturating_sub(free_at.saturating_sub(now));
        usize::try_from(left.as_nanos() / self.interval.as_nanos()).unwrap_or(usize::MAX)
    }

    /// So many have been asked for.
    pub(super) fn spend(&mut self, now: Duration, peer: PeerId, heads: usize) {
        if self.free_at.len() >= self.bound && !self.free_at.contains_key(&peer) {
            self.make_room(now);
        }
        let heads = u32::try_from(heads).unwrap_or(u32::MAX);
        let free_at = self.free_at.entry(peer).or_insert(now);
        *free_at = (*free_at).max(now).saturating_add(self.interval.saturating_mul(heads));
    }

    /// Forgets those of whom nothing counts any more; else the one of whom the least does.
    fn make_room(&mut self, now: Duration) {
        self.free_at.retain(|_, free_at| *free_at > now);
        if self.free_at.len() >= self.bound {
            let least = self.free_at.iter().min_by_key(|(_, free_at)| **free_at);
            if let Some(peer) = least.map(|(&peer, _)| peer) {
                self.free_at.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn a_peer_may_deliver_a_whole_catalogue_at_once_and_then_as_much_in_an_hour() {
        let mut allowances = Allowances::new(3600, 8);
        let [peer, other] = [PeerId::random(), PeerId::random()];
        assert_eq!(allowances.left(START, &peer), 3600);
        allowances.spend(START, peer, 3600);
        assert_eq!(allowances.left(START, &peer), 0);
        assert_eq!(allowances.left(START, &other), 3600, "each for itself");
        assert_eq!(allowances.left(START + Duration::from_secs(60), &peer), 60);
        assert_eq!(allowances.left(START + PERIOD, &peer), 3600);
        assert_eq!(allowances.left(START + 2 * PERIOD, &peer), 3600, "nothing is saved up");
    }

    #[test]
    fn of_too_many_peers_the_one_who_has_delivered_least_is_forgotten() {
        let mut allowances = Allowances::new(3600, 2);
        let peers = [(); 3].map(|()| PeerId::random());
        for (peer, heads) in peers.into_iter().zip([100, 10, 1]) {
            allowances.spend(START, peer, heads);
        }
        assert_eq!(peers.map(|peer| allowances.left(START, &peer)), [3500, 3600, 3599]);
        // Who is quiet makes room by itself.
        let later = START + PERIOD;
        allowances.spend(later, peers[1], 5);
        assert_eq!(allowances.free_at.len(), 1);
    }
}
