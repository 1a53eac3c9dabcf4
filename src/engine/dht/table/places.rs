//! How many seats one host, and one network, may take.
//!
//! Kademlia fills its table with whoever connects. Somebody with one machine and many identities would take all of
//! it, and then answer every lookup (an [eclipse]). A seat is charged to a place where the peer has really been
//! reached or has come from, never to one that it merely claims: so nobody can use up another network's share.
//!
//! [eclipse]: https://www.usenix.org/system/files/conference/usenixsecurity15/sec15-paper-heilman.pdf

use std::{
    collections::{HashMap, hash_map},
    hash::Hash,
};

use crate::{
    config::Limits,
    place::{Host, Place, Subnet},
};

/// Seats by host and by network. Where nobody sits nothing is kept, so that there are no more of them than seats.
#[derive(Debug)]
pub(super) struct Places {
    hosts: HashMap<Host, usize>,
    subnets: HashMap<Subnet, usize>,
    pub(super) per_host: usize,
    per_subnet: usize,
}

/// What has no seat left for a newcomer. Whoever makes room for it has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded {
    host: Option<Host>,
    subnet: Option<Subnet>,
}

impl Crowded {
    /// Whether somebody with a seat at this place would make room.
    pub(super) fn includes(&self, place: Option<Place>) -> bool {
        let Some(place) = place else { return self.host.is_none() && self.subnet.is_none() };
        self.host.is_none_or(|host| place.host == Some(host))
            && self.subnet.is_none_or(|subnet| place.subnet == subnet)
    }
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            hosts: HashMap::new(),
            subnets: HashMap::new(),
            per_host: limits.routing_peers_per_ip,
            per_subnet: limits.routing_peers_per_subnet,
        }
    }

    /// What is full. Places that are not counted never are.
    pub(super) fn crowded(&self, place: Option<Place>) -> Crowded {
        let Some(Place { host, subnet }) = place else {
            return Crowded { host: None, subnet: None };
        };
        let is_full = |host: &Host| seats(&self.hosts, host) >= self.per_host;
        Crowded {
            host: host.filter(is_full),
            subnet: (seats(&self.subnets, &subnet) >= self.per_subnet).then_some(subnet),
        }
    }

    pub(super) fn has_room(&self, place: Option<Place>) -> bool {
        self.crowded(place) == Crowded { host: None, subnet: None }
    }

    /// Charges a seat to a place.
    pub(super) fn charge(&mut self, place: Option<Place>) {
        let Some(Place { host, subnet }) = place else { return };
        if let Some(host) = host {
            *self.hosts.entry(host).or_default() += 1;
        }
        *self.subnets.entry(subnet).or_default() += 1;
    }

    /// A seat that was charged to this place is free.
    pub(super) fn give_back(&mut self, place: Option<Place>) {
        let Some(Place { host, subnet }) = place else { return };
        if let Some(host) = host {
            lower(&mut self.hosts, host);
        }
        lower(&mut self.subnets, subnet);
    }
}

fn seats<K: Eq + Hash>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or_default()
}

fn lower<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let hash_map::Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(per_ip: usize, per_subnet: usize) -> Places {
        let limits = Limits::new()
            .with_routing_peers_per_ip(per_ip)
            .with_routing_peers_per_subnet(per_subnet);
        Places::new(&limits)
    }

    fn at(address: &str) -> Option<Place> {
        Place::of(&address.parse().unwrap(), false)
    }

    #[test]
    fn one_host_takes_no_more_than_its_share() {
        let mut places = places(2, 10);
        let here = at("/ip4/198.51.100.1/tcp/1");
        places.charge(here);
        assert!(places.has_room(here));
        places.charge(here);
        assert!(!places.has_room(at("/ip4/198.51.100.1/tcp/2")));
        let neighbour = at("/ip4/198.51.100.2/tcp/1");
        assert!(places.has_room(neighbour));
        assert!(places.crowded(here).includes(here) && !places.crowded(here).includes(neighbour));
        places.give_back(here);
        assert!(places.has_room(here), "a seat that is left can be taken");
    }

    #[test]
    fn one_network_takes_no_more_than_its_share() {
        let mut places = places(2, 3);
        for host in 1..=3 {
            places.charge(at(&format!("/ip4/198.51.{host}.1/tcp/1")));
        }
        let fourth = at("/ip4/198.51.4.1/tcp/1");
        assert!(!places.has_room(fourth));
        assert!(places.crowded(fourth).includes(at("/ip4/198.51.1.1/tcp/1")));
        assert!(!places.crowded(fourth).includes(at("/ip4/198.52.1.1/tcp/1")));
        assert!(places.has_room(at("/ip4/198.52.4.1/tcp/1")));
    }

    #[test]
    fn peers_whose_place_is_untold_share_one_network() {
        let mut places = places(1, 2);
        for peer in ["a", "b"] {
            let untold = at(&format!("/dns4/{peer}.example/tcp/1"));
            assert!(places.has_room(untold));
            places.charge(untold);
        }
        assert!(!places.has_room(at("/dns4/c.example/tcp/1")));
    }

    #[test]
    fn places_that_are_not_counted_are_never_full() {
        let mut places = places(1, 1);
        for _ in 0..10 {
            let home = at("/ip4/127.0.0.1/tcp/1");
            assert!(places.has_room(home));
            places.charge(home);
        }
        assert!(places.hosts.is_empty() && places.subnets.is_empty());
    }
}
