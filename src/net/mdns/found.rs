//! Which peers were found, where, and for how long that holds.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::packet::MAX_ADDRESSES;

/// So many peers are remembered. Further ones are dropped until some have expired.
pub(super) const MOST_PEERS: usize = 128;

/// Nothing is believed for longer without being heard again, whatever it says: a network that was flooded with lies is
/// itself again after this time.
pub(super) const MAX_TTL: Duration = Duration::from_secs(600);

/// What a peer takes back holds for this much longer, so that another answer on its way does not bring it back
/// (RFC 6762, section 10.1).
const TAKEN_BACK: Duration = Duration::from_secs(1);

/// A peer that is heard again with the same addresses is told again after this time.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(30);

/// The peers that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    peers: BTreeMap<PeerId, Peer>,
}

#[derive(Debug)]
struct Peer {
    /// Each with when it expires.
    addresses: Vec<(Multiaddr, Duration)>,
    /// When it was told last.
    told: Duration,
}

impl Found {
    /// A peer says that it is at these addresses. All that are known of it, if there is something to tell.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        ttl: Duration,
    ) -> Option<Vec<Multiaddr>> {
        self.forget(now);
        if ttl.is_zero() {
            self.take_back(now, peer, &addresses);
            return None;
        }
        let is_known = self.peers.contains_key(&peer);
        if addresses.is_empty() || (!is_known && self.peers.len() >= MOST_PEERS) {
            return None;
        }
        let expires = now.saturating_add(ttl.min(MAX_TTL));
        let known = self.peers.entry(peer).or_insert(Peer { addresses: Vec::new(), told: now });
        let mut is_new = false;
        for address in addresses {
            if let Some((_, until)) = known.addresses.iter_mut().find(|(it, _)| *it == address) {
                *until = expires;
            } else if known.addresses.len() < MAX_ADDRESSES {
                known.addresses.push((address, expires));
                is_new = true;
            }
        }
        if !is_new && now < known.told.saturating_add(TELL_AGAIN) {
            return None;
        }
        known.told = now;
        Some(known.addresses.iter().map(|(address, _)| address.clone()).collect())
    }

    fn take_back(&mut self, now: Duration, peer: PeerId, addresses: &[Multiaddr]) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        for (address, until) in &mut known.addresses {
            if addresses.contains(address) {
                *until = (*until).min(now.saturating_add(TAKEN_BACK));
            }
        }
    }

    /// Drops what has expired.
    fn forget(&mut self, now: Duration) {
        self.peers.retain(|_, peer| {
            peer.addresses.retain(|(_, until)| now < *until);
            !peer.addresses.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn address(last: usize) -> Multiaddr {
        format!("/ip4/10.0.0.{last}/tcp/1").parse().unwrap()
    }

    #[test]
    fn a_peer_is_told_when_it_is_new_has_moved_or_was_long_not_told() {
        let (mut found, peer) = (Found::default(), PeerId::random());
        let mut hear = |now, last| found.hear(at(now), peer, vec![address(last)], at(100));
        assert_eq!(hear(0, 1), Some(vec![address(1)]));
        assert_eq!(hear(1, 1), None);
        assert_eq!(hear(2, 2), Some(vec![address(1), address(2)]));
        assert_eq!(hear(31, 2), None);
        assert_eq!(hear(32, 2), Some(vec![address(1), address(2)]));
        assert_eq!(hear(61, 2), None);
        assert_eq!(hear(101, 3), Some(vec![address(2), address(3)]), "the first has expired");
    }

    #[test]
    fn what_is_taken_back_holds_for_a_second() {
        let (mut found, peer) = (Found::default(), PeerId::random());
        assert!(found.hear(at(0), peer, vec![address(1)], at(100)).is_some());
        assert_eq!(found.hear(at(5), peer, vec![address(1)], Duration::ZERO), None);
        assert_eq!(found.len(), 1);
        let other = PeerId::random();
        assert!(found.hear(at(6), other, vec![address(2)], at(100)).is_some());
        assert_eq!(found.len(), 1);
        assert_eq!(found.hear(at(6), peer, vec![address(1)], Duration::ZERO), None);
        assert_eq!(found.len(), 1, "of whom nothing is known nothing is remembered");
    }

    #[test]
    fn beyond_the_bounds_nothing_is_remembered_until_something_expires() {
        let mut found = Found::default();
        let peers: Vec<PeerId> = (0..MOST_PEERS).map(|_| PeerId::random()).collect();
        for peer in &peers {
            // For ever, if that were believed.
            assert!(found.hear(at(0), *peer, vec![address(1)], Duration::MAX).is_some());
        }
        let late = PeerId::random();
        assert_eq!(found.hear(at(1), late, vec![address(1)], at(100)), None);
        let many = (0..2 * MAX_ADDRESSES).map(address).collect();
        let told = found.hear(at(1), peers[0], many, at(100)).unwrap();
        assert_eq!(told.len(), MAX_ADDRESSES);
        assert!(found.hear(MAX_TTL, late, vec![address(1)], at(100)).is_some());
    }
}
