//! How many seats of the routing table one host, and one network, may take.
//!
//! Kademlia fills its table with whoever connects. Somebody with one machine and many identities would take all of
//! it, and then answer every lookup (an eclipse). A seat is charged to a place where the peer has really been
//! reached or come from, never to one that it merely claims: so nobody can use up another network's share.

use std::collections::HashMap;

use libp2p::PeerId;

use crate::Limits;
use crate::place::Place;

/// The peers that have a seat, or wait for one, by the place to which it is charged.
///
/// Peers whose place is not counted are not kept. The rest is at most the routing table's size: 256 buckets of 20
/// and one that waits for a seat in each.
#[derive(Debug)]
pub(crate) struct Diversity {
    members: HashMap<PeerId, Place>,
    per_host: usize,
    per_subnet: usize,
}

/// The place is taken, by these.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded {
    pub(crate) members: Vec<PeerId>,
}

impl Diversity {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            members: HashMap::new(),
            per_host: limits.routing_peers_per_ip,
            per_subnet: limits.routing_peers_per_subnet,
        }
    }

    /// Gives a peer a seat at the expense of its place. A peer that has one keeps it, wherever it has moved to.
    ///
    /// # Errors
    /// Those who share the host, or else the network, that has no seat left.
    pub(crate) fn admit(&mut self, peer: PeerId, place: Place) -> Result<(), Crowded> {
        if self.members.contains_key(&peer) {
            return Ok(());
        }
        if place.host.is_some() {
            self.check(self.per_host, |other| other.host == place.host)?;
        }
        self.check(self.per_subnet, |other| other.subnet == place.subnet)?;
        self.members.insert(peer, place);
        Ok(())
    }

    // A walk over all of them, which only a newcomer costs: it has gone through a handshake before it comes here.
    // Counters would have to be kept in step with what Kademlia does unasked.
    fn check(&self, most: usize, shares: impl Fn(&Place) -> bool) -> Result<(), Crowded> {
        let members: Vec<PeerId> =
            self.members.iter().filter(|(_, place)| shares(place)).map(|(&peer, _)| peer).collect();
        if members.len() < most { Ok(()) } else { Err(Crowded { members }) }
    }

    /// Where a peer's seat is charged.
    pub(crate) fn place_of(&self, peer: &PeerId) -> Option<Place> {
        self.members.get(peer).copied()
    }

    /// A peer has lost its seat, or did not get it.
    pub(crate) fn leave(&mut self, peer: &PeerId) {
        self.members.remove(peer);
    }

    /// Forgets those that have no seat any more.
    pub(crate) fn retain(&mut self, mut seated: impl FnMut(&PeerId) -> bool) {
        self.members.retain(|peer, _| seated(peer));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn diversity(per_ip: usize, per_subnet: usize) -> Diversity {
        let limits = Limits::new()
            .with_routing_peers_per_ip(per_ip)
            .with_routing_peers_per_subnet(per_subnet);
        Diversity::new(&limits)
    }

    fn at(ip: &str) -> Place {
        Place::of(&format!("/ip4/{ip}/tcp/1").parse().unwrap(), true).unwrap()
    }

    #[test]
    fn one_host_takes_no_more_than_its_share() {
        let mut table = diversity(2, 10);
        let [first, second, third] = [(); 3].map(|()| PeerId::random());
        assert_eq!(table.admit(first, at("198.51.100.1")), Ok(()));
        assert_eq!(table.admit(second, at("198.51.100.1")), Ok(()));
        let Crowded { mut members } = table.admit(third, at("198.51.100.1")).unwrap_err();
        members.sort();
        let mut expected = vec![first, second];
        expected.sort();
        assert_eq!(members, expected);
        assert_eq!(table.admit(third, at("198.51.100.2")), Ok(()), "its neighbour has room");
    }

    #[test]
    fn one_network_takes_no_more_than_its_share() {
        let mut table = diversity(2, 3);
        for host in 1..=3 {
            assert_eq!(table.admit(PeerId::random(), at(&format!("198.51.{host}.1"))), Ok(()));
        }
        let crowded = table.admit(PeerId::random(), at("198.51.4.1")).unwrap_err();
        assert_eq!(crowded.members.len(), 3);
        assert_eq!(table.admit(PeerId::random(), at("198.52.4.1")), Ok(()));
    }

    #[test]
    fn a_seat_that_is_left_can_be_taken() {
        let mut table = diversity(1, 1);
        let first = PeerId::random();
        table.admit(first, at("198.51.100.1")).unwrap();
        table.admit(PeerId::random(), at("198.51.100.1")).unwrap_err();
        table.leave(&first);
        table.admit(PeerId::random(), at("198.51.100.1")).unwrap();
        table.retain(|_| false);
        table.admit(PeerId::random(), at("198.51.100.1")).unwrap();
    }

    #[test]
    fn who_has_a_seat_keeps_it_and_pays_where_it_was_given() {
        let mut table = diversity(1, 1);
        let peer = PeerId::random();
        table.admit(peer, at("198.51.100.1")).unwrap();
        table.admit(peer, at("203.0.113.1")).unwrap();
        table.admit(PeerId::random(), at("203.0.113.1")).unwrap();
        table.admit(PeerId::random(), at("198.51.100.1")).unwrap_err();
    }

    #[test]
    fn peers_whose_place_is_untold_share_one_network() {
        let mut table = diversity(1, 2);
        let untold = Place::of(&"/dns4/a.example/tcp/1".parse().unwrap(), false).unwrap();
        table.admit(PeerId::random(), untold).unwrap();
        table.admit(PeerId::random(), untold).unwrap();
        table.admit(PeerId::random(), untold).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_history_of_joining_and_leaving_lets_a_place_take_more(
            steps in prop::collection::vec((0_usize..40, 0_u8..3, 0_u8..4, any::<bool>()), 1..300),
            per_ip in 1_usize..4,
            per_subnet in 1_usize..6,
        ) {
            let peers: Vec<PeerId> = (0..40).map(|_| PeerId::random()).collect();
            let mut table = diversity(per_ip, per_subnet);
            let mut seated: HashMap<PeerId, (u8, u8)> = HashMap::new();
            for (peer, network, host, joins) in steps {
                let peer = peers[peer];
                if joins {
                    let place = at(&format!("198.{network}.0.{host}"));
                    let hosts = seated.values().filter(|&&at| at == (network, host)).count();
                    let networks = seated.values().filter(|at| at.0 == network).count();
                    let room = seated.contains_key(&peer)
                        || (hosts < per_ip && networks < per_subnet);
                    prop_assert_eq!(table.admit(peer, place).is_ok(), room);
                    if room {
                        seated.entry(peer).or_insert((network, host));
                    }
                } else {
                    table.leave(&peer);
                    seated.remove(&peer);
                }
                prop_assert_eq!(table.len(), seated.len());
            }
        }
    }
}
