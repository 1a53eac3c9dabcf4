//! Which peers were found, where, and for how long that holds.
//!
//! Anybody on the network may say anything of anybody. So places are on the account of whoever has sent the packet: where
//! there are none left, a place is taken from the sender that has the most, and that one takes no further ones. What
//! others say is remembered whatever one sender makes up.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::packet::MAX_ADDRESSES;
use crate::fair::place_for;

/// So many peers are remembered.
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
    addresses: Vec<Address>,
    /// When it was told last.
    told: Duration,
    /// When it was heard of last.
    heard: Duration,
    /// On whose account it is: of those that speak of it, one that speaks of few peers.
    by: IpAddr,
}

#[derive(Debug)]
struct Address {
    address: Multiaddr,
    expires: Duration,
    /// Who has said so first.
    by: IpAddr,
}

/// All that is known of a peer's addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whereabouts {
    pub(super) addresses: Vec<Multiaddr>,
    /// On whose account the peer is.
    pub(super) by: IpAddr,
}

impl Found {
    /// A sender says that a peer is at these addresses. All that are known of it, if there is something to tell.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        by: IpAddr,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        ttl: Duration,
    ) -> Option<Whereabouts> {
        self.forget(now);
        if ttl.is_zero() {
            self.take_back(now, peer, &addresses);
            return None;
        }
        if addresses.is_empty() || !self.make_room(by, &peer) {
            return None;
        }
        let expires = now.saturating_add(ttl.min(MAX_TTL));
        let payer = self.payer(by, &peer);
        let vacant = Peer { addresses: Vec::new(), told: now, heard: now, by };
        let known = self.peers.entry(peer).or_insert(vacant);
        (known.heard, known.by) = (now, payer);
        let mut is_new = false;
        for address in addresses {
            is_new |= known.hear(by, address, expires);
        }
        if !is_new && now < known.told.saturating_add(TELL_AGAIN) {
            return None;
        }
        known.told = now;
        Some(Whereabouts { addresses: known.fairly(), by: payer })
    }

    /// Whether there is a place for this peer.
    fn make_room(&mut self, by: IpAddr, peer: &PeerId) -> bool {
        if self.peers.len() < MOST_PEERS || self.peers.contains_key(peer) {
            return true;
        }
        let places = self.peers.iter().map(|(peer, known)| (known.by, known.heard, *peer));
        let gone = place_for(by, places);
        gone.is_some_and(|gone| self.peers.remove(&gone).is_some())
    }

    /// On whose account a peer is of which this sender speaks: its own, unless it speaks of more peers than the one so far.
    fn payer(&self, by: IpAddr, peer: &PeerId) -> IpAddr {
        let count = |by| self.peers.values().filter(|known| known.by == by).count();
        match self.peers.get(peer) {
            Some(known) if count(known.by) < count(by) => known.by,
            Some(_) | None => by,
        }
    }

    fn take_back(&mut self, now: Duration, peer: PeerId, addresses: &[Multiaddr]) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        for Address { address, expires, .. } in &mut known.addresses {
            if addresses.contains(address) {
                *expires = (*expires).min(now.saturating_add(TAKEN_BACK));
            }
        }
    }

    /// Drops what has expired.
    fn forget(&mut self, now: Duration) {
        self.peers.retain(|_, peer| {
            peer.addresses.retain(|address| now < address.expires);
            !peer.addresses.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

impl Peer {
    /// A sender says that it is there. Whether that is new.
    fn hear(&mut self, by: IpAddr, address: Multiaddr, expires: Duration) -> bool {
        if let Some(known) = self.addresses.iter_mut().find(|known| known.address == address) {
            known.expires = expires;
            return false;
        }
        if self.addresses.len() >= MAX_ADDRESSES {
            let places = self.addresses.iter().enumerate();
            let places = places.map(|(place, known)| (known.by, known.expires, place));
            let Some(gone) = place_for(by, places) else { return false };
            self.addresses.remove(gone);
        }
        self.addresses.push(Address { address, expires, by });
        true
    }

    /// Its addresses, the first one of each sender before the second one of any.
    fn fairly(&self) -> Vec<Multiaddr> {
        let mut counts = BTreeMap::new();
        let ranked = self.addresses.iter().map(|known| {
            let count = counts.entry(known.by).or_insert(0_usize);
            *count += 1;
            (*count, &known.address)
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, address)| address.clone()).collect()
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

    fn sender(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    impl Found {
        /// The first sender speaks.
        fn told(
            &mut self,
            now: u64,
            peer: PeerId,
            last: usize,
            ttl: Duration,
        ) -> Option<Vec<Multiaddr>> {
            let told = self.hear(at(now), sender(1), peer, vec![address(last)], ttl);
            told.map(|told| told.addresses)
        }
    }

    #[test]
    fn a_peer_is_told_when_it_is_new_has_moved_or_was_long_not_told() {
        let (mut found, peer) = (Found::default(), PeerId::random());
        let mut hear = |now, last| found.told(now, peer, last, at(100));
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
        assert!(found.told(0, peer, 1, at(100)).is_some());
        assert_eq!(found.told(5, peer, 1, Duration::ZERO), None);
        assert_eq!(found.len(), 1);
        let other = PeerId::random();
        assert!(found.told(6, other, 2, at(100)).is_some());
        assert_eq!(found.len(), 1);
        assert_eq!(found.told(6, peer, 1, Duration::ZERO), None);
        assert_eq!(found.len(), 1, "of whom nothing is known nothing is remembered");
    }

    /// One sender makes up as many peers as there are places, for ever, if that were believed.
    fn flooded() -> (Found, Vec<PeerId>) {
        let mut found = Found::default();
        let peers: Vec<PeerId> = (0..MOST_PEERS).map(|_| PeerId::random()).collect();
        for peer in &peers {
            assert!(found.told(0, *peer, 1, Duration::MAX).is_some());
        }
        (found, peers)
    }

    #[test]
    fn beyond_the_bounds_nothing_of_a_sender_is_remembered_until_something_expires() {
        let (mut found, peers) = flooded();
        let late = PeerId::random();
        assert_eq!(found.told(1, late, 1, at(100)), None);
        let many = (0..2 * MAX_ADDRESSES).map(address).collect();
        let told = found.hear(at(1), sender(1), peers[0], many, at(100)).unwrap();
        assert_eq!(told.addresses.len(), MAX_ADDRESSES);
        assert!(found.told(MAX_TTL.as_secs(), late, 1, at(100)).is_some());
    }

    #[test]
    fn others_are_found_whatever_one_sender_makes_up() {
        let (mut found, _) = flooded();
        for second in 1..=100 {
            let quiet = PeerId::random();
            let by = sender(100 + u8::try_from(second % 50).unwrap());
            let told = found.hear(at(second), by, quiet, vec![address(7)], at(1000)).unwrap();
            assert_eq!(told, Whereabouts { addresses: vec![address(7)], by });
            assert_eq!(found.hear(at(second), by, quiet, vec![address(7)], at(1000)), None);
            assert_eq!(found.told(second, PeerId::random(), 1, at(1000)), None, "it has the most");
            assert_eq!(found.len(), MOST_PEERS);
        }
    }

    #[test]
    fn among_many_senders_the_newest_is_heard() {
        let mut found = Found::default();
        for second in 0..300_u16 {
            let [high, low] = second.to_be_bytes();
            let by = IpAddr::from([10, 0, high, low]);
            let told =
                found.hear(at(second.into()), by, PeerId::random(), vec![address(1)], at(999));
            assert!(told.is_some());
        }
        assert_eq!(found.len(), MOST_PEERS);
    }

    #[test]
    fn false_addresses_of_a_peer_leave_room_for_its_own() {
        for is_first in [true, false] {
            let (mut found, peer) = (Found::default(), PeerId::random());
            let hear = |found: &mut Found, by, addresses| {
                found.hear(at(1), sender(by), peer, addresses, at(100)).map(|told| told.addresses)
            };
            let lies: Vec<Multiaddr> = (100..100 + MAX_ADDRESSES).map(address).collect();
            if is_first {
                assert!(hear(&mut found, 2, vec![address(2)]).is_some());
            }
            assert!(hear(&mut found, 9, lies.clone()).is_some());
            let told = if is_first {
                found.hear(at(40), sender(9), peer, lies, at(100)).map(|told| told.addresses)
            } else {
                hear(&mut found, 2, vec![address(2)])
            };
            let told = told.unwrap();
            assert_eq!(told.len(), MAX_ADDRESSES);
            assert!(told[..2].contains(&address(2)), "{told:?}");
        }
    }

    /// A flood that repeats what is true puts nobody on its own account.
    #[test]
    fn a_peer_is_on_the_account_of_whoever_speaks_of_few() {
        let (mut found, peers) = flooded();
        let told = found.hear(at(40), sender(2), peers[5], vec![address(2)], at(100)).unwrap();
        assert_eq!(told.by, sender(2));
        let told = found.hear(at(80), sender(1), peers[5], vec![address(2)], at(100)).unwrap();
        assert_eq!(told.by, sender(2));
    }
}
