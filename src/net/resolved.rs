//! Which address a name has led to: what counts connections by their place has to know.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::place::{begins_with_name, named_peer};

/// Connections by name of which this is remembered. It is asked for until the connection stands, which is a moment later.
const REMEMBERED: usize = 512;

/// What was dialed by name, and where it was found. Clones are one.
///
/// The Swarm knows a connection by the address that was dialed, and a transport cannot tell it of another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved(Arc<Mutex<VecDeque<Entry>>>);

#[derive(Debug)]
struct Entry {
    dialed: Multiaddr,
    peer: PeerId,
    found: Multiaddr,
}

impl Resolved {
    /// A peer that was dialed by name was found at this address.
    #[cfg_attr(not(feature = "dns"), allow(dead_code, reason = "no name leads anywhere"))]
    pub(crate) fn found(&self, dialed: Multiaddr, peer: PeerId, found: Multiaddr) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.dialed != dialed || entry.peer != peer);
        if entries.len() == REMEMBERED {
            entries.pop_front();
        }
        // It ends like the one that was dialed, with the peer or without.
        let found = match (named_peer(&dialed), named_peer(&found)) {
            (None, Some(_)) => {
                found.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
            }
            _ => found,
        };
        entries.push_back(Entry { dialed, peer, found });
    }

    /// The address of a connection with a peer that was dialed at this one.
    pub(crate) fn real(&self, dialed: &Multiaddr, peer: PeerId) -> Multiaddr {
        if !begins_with_name(dialed) {
            return dialed.clone();
        }
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = entries.iter();
        let entry = entries.find(|entry| entry.peer == peer && entry.dialed == *dialed);
        entry.map_or_else(|| dialed.clone(), |entry| entry.found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_connection_by_name_is_where_the_name_has_led_this_time() {
        let resolved = Resolved::default();
        let [peer, other] = [PeerId::random(), PeerId::random()];
        let name = address("/dns4/example.org/tcp/1");
        assert_eq!(resolved.real(&name, peer), name);
        resolved.found(name.clone(), peer, address("/ip4/192.0.2.1/tcp/1"));
        resolved.found(name.clone(), other, address("/ip4/192.0.2.2/tcp/1"));
        assert_eq!(resolved.real(&name, peer), address("/ip4/192.0.2.1/tcp/1"));
        assert_eq!(resolved.real(&name, other), address("/ip4/192.0.2.2/tcp/1"));
        resolved.found(name.clone(), peer, address("/ip4/192.0.2.3/tcp/1"));
        assert_eq!(resolved.real(&name, peer), address("/ip4/192.0.2.3/tcp/1"));
    }

    #[test]
    fn it_names_its_peer_if_the_address_that_was_dialed_did() {
        let resolved = Resolved::default();
        let peer = PeerId::random();
        let found = address("/ip4/192.0.2.1/tcp/1");
        let named = found.clone().with(Protocol::P2p(peer));
        let dialed = address("/dnsaddr/example.org");
        resolved.found(dialed.clone(), peer, named.clone());
        assert_eq!(resolved.real(&dialed, peer), found);
        let dialed = dialed.with(Protocol::P2p(peer));
        resolved.found(dialed.clone(), peer, named.clone());
        assert_eq!(resolved.real(&dialed, peer), named);
    }

    #[test]
    fn of_many_names_the_last_ones_are_remembered() {
        let resolved = Resolved::default();
        let peer = PeerId::random();
        let name = |number: usize| address(&format!("/dns4/{number}.example/tcp/1"));
        for number in 0..=REMEMBERED {
            resolved.found(name(number), peer, address("/ip4/192.0.2.1/tcp/1"));
        }
        assert_eq!(resolved.real(&name(0), peer), name(0));
        assert_ne!(resolved.real(&name(1), peer), name(1));
        assert_eq!(resolved.0.lock().unwrap().len(), REMEMBERED);
    }
}
